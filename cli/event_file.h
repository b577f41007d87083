/*
 * An event from a file, for commands that try what would become of it. One JSON document, in any of three forms:
 *
 *   a line of `klaxon tail -o json`
 *   a record of the documentation (docs/events.md): {topic, key, timestamp, headers, value}
 *   a CloudEvent in structured mode: {specversion, id, source, type, …, data}
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "schema/event.h"

#define KLX_EVENT_FILE_BYTES_MAX (4u << 20)

struct klx_event_file {
    struct klx_arena arena; /* holds all of it */
    struct klx_record record;
    struct klx_event event;
    const struct klx_json *data;
    enum klx_topic topic; /* of its kind; of a foreign kind as the file says, else kubernetes */
};

/* `path` may be "-", stdin. Of several documents in a row the first. *ret needs klx_event_file_release also when it fails. */
int klx_event_file_read(const char *path, struct klx_event_file *ret,
                        struct klx_error *e) KLX_MUST_CHECK;
/* The event by which a channel is tried: it says that it is a test, and from whom. */
int klx_event_file_test(const char *channel, int64_t now_us, struct klx_event_file *ret,
                        struct klx_error *e) KLX_MUST_CHECK;
/* An event that a record of `topics` carries, with its data; borrows from the record. -EBADMSG: it is none. *ret as above. */
int klx_event_file_of(const struct klx_record *r, const struct klx_topic_names *topics,
                      struct klx_event_file *ret, struct klx_error *e) KLX_MUST_CHECK;
/* Puts a word ("TEST: ") in front of its summary, so that nobody takes it for what has just happened. */
int klx_event_file_mark(struct klx_event_file *f, const char *word,
                        struct klx_error *e) KLX_MUST_CHECK;
void klx_event_file_release(struct klx_event_file *f);
