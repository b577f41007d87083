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
/* What is there already is gone. */
void test_write_file(const char *path, const char *text);
/* Calls check (or NULL) with the content of each file in tests/golden/<folder>, also of those that nobody makes any more; returns their number. */
size_t golden_each(const char *folder, void (*check)(const char *text));

#define assert_sv(view, literal) assert_sv_(view, literal, __FILE__, __LINE__)
void assert_sv_(struct klx_sv view, const char *expected, const char *file, int line);
