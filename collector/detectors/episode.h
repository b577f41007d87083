/*
 * The incident of something that is wrong for a while: its id, the number of its last event, the worst that was said, when it began and
 * ended. One that comes back soon after its end is the same incident again: it goes on with its id and its numbers.
 *
 * Plain data, kept in a detector's state; nothing here writes an event.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/hash.h"
#include "lib/base/json.h"
#include "schema/event.h"

struct klx_episode {
    char id[KLX_HASH_TEXT_BYTES]; /* "": there never was one */
    uint32_t seq;                 /* of its last event */
    enum klx_severity worst;
    int64_t opened_us;
    int64_t ended_us; /* KLX_TIME_NONE: it is open, if there is one */
};

void klx_episode_init(struct klx_episode *e);
bool klx_episode_is_open(const struct klx_episode *e);
/* Opens a new one with `id`, or goes on with the last one when that ended less than reopen_us before at_us. The phase of its event. */
enum klx_phase klx_episode_open(struct klx_episode *e, int64_t at_us, int64_t reopen_us,
                                struct klx_sv id);
void klx_episode_close(struct klx_episode *e, int64_t at_us);
/* One more event of it: counts it and keeps the worst severity. */
void klx_episode_count(struct klx_episode *e, enum klx_severity severity);
/* As a member of an object; nothing when there never was one. */
void klx_episode_write(const struct klx_episode *e, const char *key, struct klx_jw *w);
/* From the member's value; NULL: there never was one. */
void klx_episode_read(struct klx_episode *e, const struct klx_json *node);
