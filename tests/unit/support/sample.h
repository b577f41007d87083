/*
 * The records of schema/samples, one a kind, for every test that needs an event as it is on its topic.
 */
#pragma once

#include "lib/base/arena.h"
#include "schema/event.h"

/* Reads the sample of a kind into the arena; fails the test when it cannot be read. */
void test_read_sample(struct klx_arena *a, enum klx_kind kind, struct klx_record *ret);
/* The same, decoded, with its data parsed. */
void test_read_event(struct klx_arena *a, enum klx_kind kind, struct klx_event *ret,
                     const struct klx_json **ret_data);
typedef void (*test_event_fn)(const char *name, const struct klx_event *e,
                              const struct klx_json *data);
/* Calls check with the event of each kind, and the name of its golden file; the arena is reset before each. */
void test_each_event(struct klx_arena *a, test_event_fn check);
/* "node.ready": the type without "io.klaxon.", the name of its golden files. */
const char *test_kind_name(enum klx_kind kind);
/* An event as somebody without good intentions would write it: `text`, which must outlive it, in every place that an event has. */
void test_hostile_event(struct klx_arena *a, struct klx_sv text, struct klx_event *ret,
                        const struct klx_json **ret_data);
