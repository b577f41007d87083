#include "schema/config_event.h"

#include <errno.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"

#define MISTAKE_BYTES_MAX 1024
#define HINT_MISTAKES 3

static struct klx_sv summary_of(struct klx_arena *a, const struct klx_config_event *c) {
    if (c->accepted) {
        return klx_arena_printf(a, "%.*s uses its new configuration", KLX_SV_FMT(c->process));
    }
    return klx_arena_printf(a,
                            "The new configuration of %.*s has %zu mistake%s: it goes on with "
                            "the one before",
                            KLX_SV_FMT(c->process), c->mistakes_total,
                            c->mistakes_total == 1 ? "" : "s");
}

static void write_text(struct klx_jw *w, struct klx_sv text) {
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&clean, 4 * MISTAKE_BYTES_MAX);
    klx_utf8_line(&clean, text, MISTAKE_BYTES_MAX);
    klx_jw_sv(w, klx_buf_sv(&clean));
}

static void write_mistakes(struct klx_jw *w, const struct klx_config_event *c) {
    struct klx_buf hint KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&hint, 2 * HINT_MISTAKES * MISTAKE_BYTES_MAX);
    klx_jw_key(w, "mistakes");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < c->mistakes_n && i < KLX_CONFIG_EVENT_MISTAKES_MAX; i++) {
        write_text(w, c->mistakes[i]);
        if (i < HINT_MISTAKES) {
            klx_buf_add_str(&hint, i > 0 ? "; " : "");
            klx_utf8_line(&hint, c->mistakes[i], MISTAKE_BYTES_MAX);
        }
    }
    klx_jw_end_array(w);
    klx_jw_member_int(w, "mistakesTotal", (int64_t)c->mistakes_total);
    klx_jw_member_sv(w, "hint", klx_buf_sv(&hint));
}

static void write_data(struct klx_jw *w, struct klx_sv summary, const struct klx_config_event *c) {
    char opened[KLX_TIME_TEXT_BYTES];
    klx_time_format(c->opened_us, KLX_TIME_MICROS, opened);
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "summary", summary);
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", "Configuration");
    klx_jw_member_sv(w, "name", c->process);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "reason", c->accepted ? "ConfigAccepted" : "ConfigRejected");
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "file", c->file);
    if (!c->accepted) {
        write_mistakes(w, c);
    }
    klx_jw_key(w, "incident");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "opened", opened);
    klx_jw_member_str(w, "severity", "warning");
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

int klx_config_event_encode(struct klx_arena *a, const struct klx_topic_names *topics,
                            const struct klx_config_event *c, struct klx_record *ret) {
    const struct klx_sv cluster = KLX_SV(KLX_CONFIG_EVENT_CLUSTER);
    enum klx_kind kind = c->accepted ? KLX_KIND_CONFIG_ACCEPTED : KLX_KIND_CONFIG_REJECTED;
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    char now[KLX_TIME_TEXT_BYTES];
    klx_time_format(c->now_us, KLX_TIME_MICROS, now);
    const struct klx_sv parts[] = { c->process, klx_sv(c->hash), klx_sv(now) };
    struct klx_sv summary = summary_of(a, c);
    klx_buf_init(&data, KLX_CONFIG_EVENT_BYTES_MAX);
    klx_jw_init(&w, &data);
    write_data(&w, summary, c);
    if (klx_buf_check(&data) != 0 || summary.p == NULL) {
        return -ENOMEM;
    }
    enum klx_phase first = c->seq == 1 ? KLX_PHASE_OPEN : KLX_PHASE_UPDATE;
    const struct klx_event e = {
        .kind = kind,
        .id = klx_event_id(a, cluster, kind, parts, 3),
        .source = klx_arena_printf(a, "/klaxon/%.*s", KLX_SV_FMT(c->process)),
        .subject = klx_arena_printf(a, "Configuration/%.*s", KLX_SV_FMT(c->process)),
        .cluster = cluster,
        .severity = klx_kind_specs[kind].severity,
        .incident = klx_incident_id(a, cluster, parts, 2),
        .phase = c->accepted ? KLX_PHASE_RESOLVED : first,
        .incident_seq = c->seq,
        .time_us = c->now_us,
        .key = klx_arena_printf(a, "%s/-/Configuration/%.*s", KLX_CONFIG_EVENT_CLUSTER,
                                KLX_SV_FMT(c->process)),
        .data = klx_arena_dup(a, klx_buf_sv(&data)),
    };
    if (e.source.p == NULL || e.subject.p == NULL || e.key.p == NULL || e.data.p == NULL) {
        return -ENOMEM;
    }
    return klx_event_encode(a, topics, &e, c->now_us, ret);
}
