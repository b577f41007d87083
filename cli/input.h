/*
 * What a command is given as a file, or as "-", which is stdin.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/error.h"

/* Appends all of it; the buffer's maximum is the largest that is taken. A negative errno, with a text that names the file. */
int klx_input_read(const char *path, struct klx_buf *out, struct klx_error *e) KLX_MUST_CHECK;
/* As messages call it: "stdin", or the path. */
const char *klx_input_name(const char *path);
