#include "cli/history.h"

#include <stdlib.h>
#include <string.h>

#include "cli/event_topics.h"
#include "history/format.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/settings_subscription.h"

#define MARGIN_US (3600 * KLX_US_PER_S)

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum klx_time_field field_of(const char *word) {
    return word == NULL || strcmp(word, "event") == 0 ? KLX_TIME_FIELD_EVENT
           : strcmp(word, "recorded") == 0            ? KLX_TIME_FIELD_RECORDED
                                                      : KLX_TIME_FIELD_INGEST;
}

static int read_span(struct klx_history_plan *p, const struct klx_history_options *o,
                     int64_t now_us, struct klx_error *e) {
    const struct klx_span_words words = { o->since, o->until, o->at };
    struct klx_zone *zone = NULL;
    if (o->utc && o->tz != NULL) {
        return klx_fail(e, -EINVAL, "--utc and --tz: give one of them");
    }
    int rc = klx_span_zone(o->tz, &zone, e);
    rc = rc == 0 ? klx_span_parse(&words, zone, now_us, &p->span, e) : -EINVAL;
    klx_zone_free(zone);
    if (rc == 0 && p->span.until_us == KLX_TIME_NONE) {
        bool ahead = p->span.since_us != KLX_TIME_NONE && p->span.since_us > now_us;
        p->span.until_us = ahead ? p->span.since_us : now_us;
    }
    return rc;
}

/* Records are dated like their events by klaxon, and rounded down to a ms; others may be late by a margin. What Kafka's own times are asked for
   needs none. */
static int choose_begin(struct klx_history_plan *p, const struct klx_history_options *o,
                        struct klx_error *e) {
    int64_t margin_us = MARGIN_US, margin_ms = 0, from_us = p->span.since_us;
    if (o->margin != NULL) {
        if (klx_duration_parse(klx_sv(o->margin), &margin_ms) != 0 ||
            margin_ms > INT64_MAX / KLX_US_PER_MS) {
            return klx_fail(e, -EINVAL, "--margin: \"%s\" is not a duration: write 1h, 30m",
                            o->margin);
        }
        margin_us = margin_ms * KLX_US_PER_MS;
    }
    p->from_ms = INT64_MIN;
    if (from_us != KLX_TIME_NONE) {
        from_us -= p->field == KLX_TIME_FIELD_INGEST ? 0 : margin_us;
        p->from_ms = from_us > 0 ? from_us / KLX_US_PER_MS : INT64_MIN;
    }
    return 0;
}

struct first_mistake {
    struct klx_error *e;
    bool any;
};

static void keep_first(void *arg, const char *text) {
    struct first_mistake *m = arg;
    if (!m->any) {
        klx_fail(m->e, -EINVAL, "%s", text);
        m->any = true;
    }
}

static int read_match(struct klx_history_plan *p, const char *text, struct klx_error *e) {
    struct first_mistake mistake = { .e = e };
    struct klx_settings_reporter reporter = { keep_first, &mistake, 0 };
    int rc = klx_config_parse(klx_sv(text != NULL ? text : "{}"), "--match", &p->match_text, e);
    if (rc == 0) {
        klx_subscription_match_bind(klx_config_root(p->match_text), &p->match, &reporter);
    }
    return rc == 0 && reporter.mistakes == 0 ? 0 : -EINVAL;
}

int klx_history_plan_init(struct klx_history_plan *p, const struct klx_history_options *o,
                          const struct klx_topic_names *names, int64_t now_us,
                          struct klx_error *e) {
    struct klx_history_plan plan = { .field = field_of(o->time_field) };
    const struct klx_filter_words words = { &o->clusters, &o->nodes, &o->severities, o->grep };
    int rc = klx_cli_event_topics(&o->topics, names, plan.topics, &plan.topics_n, e);
    rc = rc == 0 ? read_span(&plan, o, now_us, e) : rc;
    rc = rc == 0 ? choose_begin(&plan, o, e) : rc;
    rc = rc == 0 ? klx_filter_init(&plan.filter, &words, e) : rc;
    rc = rc == 0 ? read_match(&plan, o->match, e) : rc;
    if (rc != 0) {
        klx_history_plan_release(&plan);
        return rc;
    }
    qsort(plan.topics, plan.topics_n, sizeof(plan.topics[0]), compare_names);
    const struct klx_subscription_settings *m = &plan.match;
    plan.filter.heartbeats = o->heartbeats;
    plan.selects = plan.filter.selects || o->match != NULL;
    plan.needs_data = plan.filter.grep.n > 0 || m->namespace != NULL || m->name != NULL ||
                      m->kind != NULL || m->reason != NULL || m->labels_n > 0;
    *p = plan;
    return 0;
}

void klx_history_plan_release(struct klx_history_plan *p) {
    klx_filter_release(&p->filter);
    klx_subscription_settings_release(&p->match);
    klx_config_free(p->match_text);
    p->match_text = NULL;
}

static int64_t record_time(const struct klx_record *r) {
    int64_t us = 0;
    return __builtin_mul_overflow(r->timestamp_ms, KLX_US_PER_MS, &us) ? 0 : us;
}

int64_t klx_history_time(const struct klx_history_plan *p, const struct klx_record *r,
                         const struct klx_event *e) {
    if (p->field == KLX_TIME_FIELD_EVENT && e != NULL) {
        return e->time_us;
    }
    int64_t recorded =
        p->field == KLX_TIME_FIELD_RECORDED ? klx_history_recorded_us(r) : KLX_TIME_NONE;
    return recorded != KLX_TIME_NONE ? recorded : record_time(r);
}

bool klx_history_in_span(const struct klx_history_plan *p, int64_t time_us) {
    return (p->span.since_us == KLX_TIME_NONE || time_us >= p->span.since_us) &&
           time_us < p->span.until_us;
}

bool klx_history_wants(const struct klx_history_plan *p, const struct klx_event *e,
                       const struct klx_json *data) {
    struct klx_subject subject;
    if (!klx_filter_has_event(&p->filter, e, klx_json_str(data, "summary"))) {
        return false;
    }
    klx_subject_init(&subject, e, data);
    return klx_subject_is(&subject, &p->match);
}

void klx_history_span_words(const struct klx_span *s, struct klx_buf *out) {
    char since[KLX_TIME_TEXT_BYTES] = "the oldest record", until[KLX_TIME_TEXT_BYTES];
    if (s->since_us != KLX_TIME_NONE) {
        klx_time_format(s->since_us, KLX_TIME_MILLIS, since);
    }
    klx_time_format(s->until_us, KLX_TIME_MILLIS, until);
    klx_buf_printf(out, "%s to %s (UTC)", since, until);
}

static void add_list(struct klx_buf *b, const struct klx_option_strings *s) {
    for (size_t i = 0; i < s->n; i++) {
        klx_buf_add_str(b, s->items[i]);
        klx_buf_add_char(b, '\0');
    }
    klx_buf_add_char(b, '\n');
}

void klx_history_digest(const struct klx_history_plan *p, const struct klx_history_options *o,
                        const char *what, char out[static KLX_HASH_TEXT_BYTES]) {
    struct klx_buf lists KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&lists, 1 << 20);
    add_list(&lists, &o->clusters);
    add_list(&lists, &o->severities);
    add_list(&lists, &o->nodes);
    for (size_t i = 0; i < p->topics_n; i++) {
        klx_buf_printf(&lists, "%s\n", p->topics[i]);
    }
    klx_buf_printf(&lists, "%d %d %d", (int)p->field, o->heartbeats, o->utc);
    const struct klx_sv parts[] = {
        klx_sv(what),     klx_sv(o->since), klx_sv(o->until),  klx_sv(o->at),      klx_sv(o->tz),
        klx_sv(o->match), klx_sv(o->grep),  klx_sv(o->margin), klx_buf_sv(&lists),
    };
    klx_hash_parts(parts, KLX_COUNT(parts), out);
}
