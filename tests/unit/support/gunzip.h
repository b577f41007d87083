/*
 * What somebody who is sent a gzip member reads.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* Appends the text; fails the test unless it is one whole gzip member and nothing else. */
void test_gunzip(struct klx_buf *out, struct klx_sv gz);
