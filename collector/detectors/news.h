/*
 * What a detector says of an object: the parts that are the same for every kind of object and event (schema/event.h), and the state record
 * that is written only when it changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/detectors/episode.h"
#include "collector/observation.h"
#include "collector/outbox.h"
#include "lib/base/hash.h"
#include "lib/base/time.h"

#define KLX_MINUTE_US (60 * KLX_US_PER_S)

/* One call's surroundings, so that helpers need few parameters. */
struct klx_news_call {
    const char *cluster, *detector;
    struct klx_outbox *out;
    const struct klx_observation *o; /* NULL: the clock, or a relist */
    int64_t now_us;
    const void *settings; /* the detector's own */
    void *own;            /* the detector itself, where its parts share what it remembers */
};

/* What an event is about. */
struct klx_news_object {
    const char *kind, *api_version,
        *source;                        /* "Application", "argoproj.io/v1alpha1", "applications" */
    const char *namespace, *name, *uid; /* namespace, api_version and uid may be empty */
    const char *labels;                 /* JSON object */
};

struct klx_news {
    enum klx_kind kind;
    enum klx_severity severity;
    int64_t time_us;
    struct klx_sv reason;
    struct klx_sv summary;
    /* The incident it belongs to, and the phase; the number is counted here. NULL: none. */
    struct klx_episode *episode;
    enum klx_phase phase;
    /* Makes the event's id, with its kind: equal for the same change, however often and by whatever frame it is seen. Empty: the frame, or
       the time. */
    struct klx_sv id;
    struct klx_sv hint; /* MAY: what is special to this object */
    /* MAY: more members of the data, and of data.incident. */
    void (*details)(struct klx_jw *w, const void *arg);
    void (*incident)(struct klx_jw *w, const void *arg);
    const void *arg;
};

void klx_news_tell(struct klx_news_call *c, const struct klx_news_object *about,
                   const struct klx_news *m);
/* Writes the state record of an object ("namespace/name") unless `written` says that it is the same as the last one. Empty: removes it. */
void klx_news_save(struct klx_news_call *c, const char *object, struct klx_sv value,
                   char written[static KLX_HASH_TEXT_BYTES]);

/* "12 min", in the arena; "less than 1 s" also when `to` is before `from`. */
const char *klx_news_words(struct klx_news_call *c, int64_t from_us, int64_t to_us);
/* KLX_TIME_NONE when it is not a time. */
int64_t klx_news_time(const struct klx_json *node, const char *path);
/* A foreign text in an event: whatever its writer made of it, it is no longer than this. */
struct klx_sv klx_news_cut(struct klx_sv text, size_t bytes_max);
void klx_news_copy(char *to, size_t n, struct klx_sv text);
/* The earlier of two times of which either may be KLX_TIME_NONE. */
int64_t klx_news_earlier(int64_t a, int64_t b);
/* A time that the cluster gave, for a hold-down to count from: now when it is in the future, or none. A cluster's clock may be ahead of
   ours, and an alarm is not late by that. */
int64_t klx_news_begun(int64_t given_us, int64_t now_us);
