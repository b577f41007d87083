/*
 * Applications, or other custom resources, as their controller leaves them on the API server. Each begins as the object of a file (of
 * Applications tests/golden/gitops/application.json: deployed, Synced, Healthy, with auto-sync) and changes by JSON merge patches, which
 * is what Argo CD's controller writes. In a patch,
 *     "@MM:SS"  is that instant of the transcript                     "#a"  is a commit of forty times that digit
 *
 * The lines of a transcript of them, where `app` stands for the verb of the kind:
 *     > 00:00 app NAME {patch}           MODIFIED
 *     > 00:00 list NAME {patch}          in the first list
 *     > 00:00 relisted NAME {patch}      in a list after a gap
 *     > 00:00 add NAME {patch}           ADDED: another one of that name
 *     > 00:00 delete NAME                DELETED
 *     > 00:00 bookmark [NAMESPACE]       of the watch of that namespace, or of all
 *     > 00:00 restart                    of the detector, where the transcript is run without one after every line
 *     > 00:00 relist NAMESPACE/NAME…     the list's end: what there is
 */
#pragma once

#include "tests/unit/support/transcript.h"

#define FAKE_APPS_MAX 8

struct fake_app {
    char name[64];
    char uid[80];
    struct klx_buf object; /* JSON text */
};

struct fake_apps {
    const char *base; /* the file of the object that each begins as; NULL: that Application */
    const char *verb; /* "app" */
    const struct klx_source_ops *source;
    struct fake_app items[FAKE_APPS_MAX];
    size_t n;
};

/* The object after the patch, as JSON in the transcript's arena. `fresh`: another one of that name, with another uid. */
const struct klx_json *fake_app(struct fake_apps *all, struct transcript *t, struct klx_sv name,
                                struct klx_sv patch, bool fresh);
/* A transcript_line_fn; the transcript's arg is struct fake_apps. */
void fake_apps_run_line(struct transcript *t, const char *line, struct klx_sv verb,
                        struct klx_sv rest);
void fake_apps_release(struct fake_apps *all);
/* RFC 7396, written to w. */
void fake_merge(struct klx_jw *w, const struct klx_json *target, const struct klx_json *patch);
