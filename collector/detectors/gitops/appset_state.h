/*
 * What is remembered of an ApplicationSet, as a record of `klaxon.state`. Plain data.
 */
#pragma once

#include "collector/detectors/episode.h"
#include "lib/base/buf.h"

#define KLX_APPSET_APPS_BYTES 4096

struct klx_appset_state {
    char namespace[64];
    char name[254];
    char uid[80];
    char labels[512]; /* JSON object */
    char
        apps[KLX_APPSET_APPS_BYTES]; /* JSON array of the names of its Applications; "": too many */
    int64_t apps_n;                  /* -1: not known yet */
    int64_t error_since_us;          /* ErrorOccurred is True since; KLX_TIME_NONE: it is not */
    int64_t told_us;                 /* when the error was told last */
    char reason[128];
    char message[404]; /* redacted */
    struct klx_episode error;
};

void klx_appset_state_init(struct klx_appset_state *h, struct klx_sv namespace, struct klx_sv name);
void klx_appset_state_write(const struct klx_appset_state *h, struct klx_buf *out);
/* -EBADMSG for what klx_appset_state_write did not write. */
int klx_appset_state_read(struct klx_appset_state *h, struct klx_sv namespace, struct klx_sv name,
                          struct klx_sv value) KLX_MUST_CHECK;
