/*
 * Silences: what somebody does not want to hear of for a while. They are records of klaxon.control, so every sink knows them at once.
 *
 *     key    silence/3f9c1a20b7d4                              a tombstone removes it
 *     value  {"matchers":[{"name":"cluster","value":"prod-weu","isRegex":false,"isEqual":true}],
 *             "startsAt":"2026-03-11T08:00:00Z","endsAt":"2026-03-11T10:00:00Z",
 *             "createdBy":"ada","comment":"planned upgrade","updatedAt":"2026-03-11T07:58:12Z"}
 *
 * The members are those of Alertmanager's API v2, so what other tools write can be taken as it is. Whoever ends a silence early writes it
 * again with endsAt = now (`expire`): so it stays readable what was silenced, and by whom. KLX_SILENCE_KEPT_US after its end a sink writes
 * the tombstone.
 *
 * For a command `silence add`: klx_silence_init, klx_matchers_parse for each operand, times and texts, klx_silence_check, then
 * klx_silence_key and klx_silence_encode make the record. For `query`: klx_silences_put for each record that klx_follow hands out,
 * klx_silences_at, klx_silence_state, klx_matchers_write. For `expire`: set ends_us, encode again. To show what a silence would hide:
 * klx_matchers_test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/base/time.h"
#include "sinks/core/noise/matchers.h"

#define KLX_SILENCE_KEY_PREFIX "silence/"
#define KLX_SILENCE_ID_BYTES 65 /* with the NUL */
#define KLX_SILENCE_BYTES_MAX (64u << 10)
#define KLX_SILENCES_MAX 2000 /* of one set; more are refused */
#define KLX_SILENCE_TEXT_BYTES_MAX 4096
#define KLX_SILENCE_KEPT_US (120 * 3600 * KLX_US_PER_S) /* after its end, as Alertmanager's are */

struct klx_silence {
    char id[KLX_SILENCE_ID_BYTES]; /* letters, digits, '-', '_' and '.' */
    struct klx_matchers matchers;
    int64_t starts_us, ends_us; /* [starts, ends) */
    int64_t updated_us;         /* KLX_TIME_NONE: not told */
    char *author, *comment;     /* never NULL */
};

enum klx_silence_state { KLX_SILENCE_PENDING, KLX_SILENCE_ACTIVE, KLX_SILENCE_EXPIRED };

/* An id of its own, no matchers, from now for an hour. */
void klx_silence_init(struct klx_silence *s, struct klx_clock *clock);
void klx_silence_release(struct klx_silence *s);
/* Copies the texts; NULL leaves what is there. */
void klx_silence_set_texts(struct klx_silence *s, const char *author, const char *comment);
/* -EINVAL: no matcher, matchers that would match every event, an end that is not after the start, no comment, no author. */
int klx_silence_check(const struct klx_silence *s, struct klx_error *e) KLX_MUST_CHECK;
/* The record's key and value. */
void klx_silence_key(const struct klx_silence *s, struct klx_buf *out);
void klx_silence_encode(const struct klx_silence *s, struct klx_buf *out);
/* Of a record with a value. -ENOENT: the key is not a silence's. -EBADMSG: the value is none, with what is wrong. On success *ret needs
   klx_silence_release. A silence without comment or author, as others may write it, is taken. */
int klx_silence_decode(struct klx_sv key, struct klx_sv value, struct klx_silence *ret,
                       struct klx_error *e) KLX_MUST_CHECK;
enum klx_silence_state klx_silence_state(const struct klx_silence *s, int64_t now_us);
const char *klx_silence_state_name(enum klx_silence_state s); /* "pending", "active", "expired" */

/* All silences that are known, by id. */
struct klx_silences;

struct klx_silences *klx_silences_new(void);
void klx_silences_free(struct klx_silences *s);
/* A record of klaxon.control; value.p NULL removes. 0: taken. -ENOENT: not about a silence. -EBADMSG: not a valid one, the one before it of
   the same id is gone. -E2BIG: KLX_SILENCES_MAX are there; those that ended first make room, so all of these are in force or to come. */
int klx_silences_put(struct klx_silences *s, struct klx_sv key, struct klx_sv value, int64_t now_us,
                     struct klx_error *e) KLX_MUST_CHECK;
/* One that is in force and matches, of several the one that ends last; or NULL. Valid until the next put. */
const struct klx_silence *klx_silences_find(const struct klx_silences *s,
                                            const struct klx_matched *what, int64_t now_us);
size_t klx_silences_n(const struct klx_silences *s);
const struct klx_silence *klx_silences_at(const struct klx_silences *s, size_t i);
/* One that ended KLX_SILENCE_KEPT_US ago or earlier; or NULL. Valid until the next put. */
const struct klx_silence *klx_silences_find_old(const struct klx_silences *s, int64_t now_us);
/* How many are in force. */
size_t klx_silences_active(const struct klx_silences *s, int64_t now_us);
