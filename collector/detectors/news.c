#include "collector/detectors/news.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"

#define DATA_BYTES_MAX                                                                             \
    (256 * 1024) /* every text in it is bounded; an escape takes up to six bytes for one */
#define UID_SHOWN_BYTES_MAX 128

struct klx_sv klx_news_cut(struct klx_sv text, size_t bytes_max) {
    return klx_sv_utf8_prefix(text, bytes_max);
}

void klx_news_copy(char *to, size_t n, struct klx_sv text) {
    snprintf(to, n, "%.*s", KLX_SV_FMT(klx_sv_utf8_prefix(text, n - 1)));
}

int64_t klx_news_time(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

int64_t klx_news_earlier(int64_t a, int64_t b) {
    return a == KLX_TIME_NONE || (b != KLX_TIME_NONE && b < a) ? b : a;
}

int64_t klx_news_begun(int64_t given_us, int64_t now_us) {
    return given_us == KLX_TIME_NONE || given_us > now_us ? now_us : given_us;
}

const char *klx_news_words(struct klx_news_call *c, int64_t from_us, int64_t to_us) {
    char words[KLX_TIME_TEXT_BYTES];
    if (from_us == KLX_TIME_NONE || to_us == KLX_TIME_NONE || to_us - from_us < KLX_US_PER_S) {
        return "less than 1 s";
    }
    klx_duration_words((to_us - from_us) / KLX_US_PER_MS, words);
    return klx_arena_dup(c->out->arena, klx_sv(words)).p;
}

void klx_news_save(struct klx_news_call *c, const char *object, struct klx_sv value,
                   char written[static KLX_HASH_TEXT_BYTES]) {
    char mark[KLX_HASH_TEXT_BYTES];
    klx_hash_parts(&value, 1, mark);
    if (memcmp(mark, written, sizeof(mark)) == 0) {
        return;
    }
    memcpy(written, mark, sizeof(mark));
    c->out->state(c->out,
                  klx_arena_printf(c->out->arena, "%s/%s/%s", c->cluster, c->detector, object),
                  value);
}

static void write_object(struct klx_jw *w, const struct klx_news_object *about) {
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", about->kind);
    klx_jw_member_str(w, "name", about->name);
    klx_jw_member_sv_opt(w, "namespace", klx_sv(about->namespace));
    klx_jw_member_sv_opt(w, "apiVersion", klx_sv(about->api_version));
    klx_jw_member_sv_opt(w, "uid", klx_sv(about->uid));
    klx_jw_end_object(w);
}

static void write_cause(struct klx_jw *w, const struct klx_news_object *about,
                        const struct klx_observation *o) {
    klx_jw_key(w, "cause");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind",
                      o->kind == KLX_OBSERVED_EVENT          ? "Event"
                      : o->kind == KLX_OBSERVED_ANALYSIS_RUN ? "AnalysisRun"
                                                             : about->kind);
    klx_jw_member_sv(w, "uid", klx_news_cut(o->uid, UID_SHOWN_BYTES_MAX));
    klx_jw_member_sv(w, "resourceVersion", klx_news_cut(o->resource_version, UID_SHOWN_BYTES_MAX));
    klx_jw_end_object(w);
}

static void write_incident(struct klx_jw *w, const struct klx_news *m) {
    klx_jw_key(w, "incident");
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "opened", m->episode->opened_us);
    klx_jw_member_str(w, "severity", klx_severity_name(m->episode->worst));
    if (m->incident != NULL) {
        m->incident(w, m->arg);
    }
    klx_jw_end_object(w);
}

static void write_data(struct klx_news_call *c, const struct klx_news_object *about,
                       const struct klx_news *m, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", m->summary);
    write_object(&w, about);
    klx_jw_member_sv(&w, "reason", m->reason);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(about->labels));
    if (m->details != NULL) {
        m->details(&w, m->arg);
    }
    klx_jw_member_sv_opt(&w, "hint", m->hint);
    if (c->o != NULL) {
        write_cause(&w, about, c->o);
    }
    if (m->episode != NULL) {
        write_incident(&w, m);
    }
    klx_jw_end_object(&w);
}

static struct klx_sv id_of(struct klx_news_call *c, const struct klx_news_object *about,
                           const struct klx_news *m) {
    struct klx_arena *a = c->out->arena;
    struct klx_sv from_clock = klx_arena_printf(a, "%" PRId64, m->time_us);
    struct klx_sv what = m->id.n > 0 ? m->id : c->o == NULL ? from_clock : c->o->resource_version;
    const struct klx_sv parts[] = { klx_sv(about->namespace), klx_sv(about->name),
                                    klx_sv(about->uid),
                                    klx_sv(m->episode != NULL ? m->episode->id : NULL), what };
    return klx_event_id(a, klx_sv(c->cluster), m->kind, parts, KLX_COUNT(parts));
}

void klx_news_tell(struct klx_news_call *c, const struct klx_news_object *about,
                   const struct klx_news *m) {
    struct klx_arena *a = c->out->arena;
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    bool spaced = about->namespace[0] != '\0';
    if (m->episode != NULL) {
        klx_episode_count(m->episode, m->severity);
    }
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_data(c, about, m, &data);
    const struct klx_event e = {
        .kind = m->kind,
        .id = id_of(c, about, m),
        .source = klx_arena_printf(a, "/clusters/%s/%s", c->cluster, about->source),
        .subject = klx_arena_printf(a, "%s%s%s/%s", about->namespace, spaced ? "/" : "",
                                    about->kind, about->name),
        .key = klx_arena_printf(a, "%s/%s/%s", c->cluster, spaced ? about->namespace : "-",
                                about->name),
        .cluster = klx_sv(c->cluster),
        .severity = m->severity,
        .incident = klx_sv(m->episode != NULL ? m->episode->id : NULL),
        .phase = m->episode != NULL ? m->phase : KLX_PHASE_NONE,
        .incident_seq = m->episode != NULL ? m->episode->seq : 0,
        .resync = c->o != NULL && c->o->origin != KLX_ORIGIN_LIVE,
        .time_us = m->time_us,
        .data = klx_buf_sv(&data),
    };
    c->out->event(c->out, &e);
}
