/*
 * Where an export goes: stdout, or a file that is there whole or not at all. Plain, or as one zstd frame.
 *
 * A file is written beside its place under another name and gets its own with klx_output_commit, when it is on disk; what was there before
 * stays until then. A pipe or a device is written to as it stands. Writing there and to stdout waits for the reader.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_output;

/* file NULL: stdout. -EEXIST never: what is there is replaced. */
int klx_output_open(const char *file, bool zstd, struct klx_output **ret,
                    struct klx_error *e) KLX_MUST_CHECK;
/* -EPIPE: nobody reads any more. After a failure every call fails alike. */
int klx_output_write(struct klx_output *o, struct klx_sv text, struct klx_error *e) KLX_MUST_CHECK;
int klx_output_commit(struct klx_output *o, struct klx_error *e) KLX_MUST_CHECK;
/* Bytes that were written so far, as they are in the file. */
size_t klx_output_bytes(const struct klx_output *o);
/* Without a commit there is no file. */
void klx_output_free(struct klx_output *o);
