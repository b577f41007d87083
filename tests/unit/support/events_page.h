/*
 * docs/events.md below its first, hand-written part: every kind by groups, with its members, what to do and an example, made of
 * schema/kinds.def, schema/data.def and schema/samples.
 */
#pragma once

#include "lib/base/buf.h"

void test_write_events_page(struct klx_buf *out);
