/*
 * What the unit tests share: cmocka's includes in their order, and golden files.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/sv.h"

/* Compares text with tests/golden/<name>; on a difference prints both and fails. KLX_GOLDEN_UPDATE=1 writes the file instead and shows
   the difference, for review. */
void golden_check(const char *name, struct klx_sv text);
/* The content of tests/<name>, NUL-terminated; the caller frees. Fails the test when it cannot be read. */
char *test_read_file(const char *name);

#define assert_sv(view, literal) assert_sv_(view, literal, __FILE__, __LINE__)
void assert_sv_(struct klx_sv view, const char *expected, const char *file, int line);
