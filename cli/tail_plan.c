#include "cli/tail_plan.h"

#include "cli/command.h"
#include "cli/event_topics.h"
#include "cli/reorder.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define AT(member) .offset = offsetof(struct klx_tail_options, member)

const struct klx_option klx_tail_option_table[] = {
    { "config", 'c', KLX_OPT_STR, AT(config), "FILE", KLX_CLI_CONFIG_HELP, NULL },
    { "since", 0, KLX_OPT_STR, AT(since), "TIME", "from this time on (default: only what is new)",
      NULL },
    { "until", 0, KLX_OPT_STR, AT(until), "TIME", "up to this time, then end", NULL },
    { "no-follow", 0, KLX_OPT_FLAG, AT(no_follow), NULL,
      "end with the last event that there is now", NULL },
    { "topic", 't', KLX_OPT_STRS, AT(topics), "NAME",
      "short or full name, repeatable (default: all topics of events)", NULL },
    { "cluster", 0, KLX_OPT_STRS, AT(clusters), "PATTERN", "such as \"prod-*\"; repeatable", NULL },
    { "severity", 's', KLX_OPT_STRS, AT(severities), "NAME",
      "info, warning or critical; repeatable", NULL },
    { "node", 0, KLX_OPT_STRS, AT(nodes), "PATTERN", "only events about such nodes; repeatable",
      NULL },
    { "heartbeats", 0, KLX_OPT_FLAG, AT(heartbeats), NULL,
      "show the heartbeats of the clusters too", NULL },
    { "grep", 0, KLX_OPT_STR, AT(grep), "TEXT", "only events with this text in their summary",
      NULL },
    { "count", 'n', KLX_OPT_INT, AT(count), "N",
      "end after N events; with --no-follow and without --since: the newest N", NULL },
    { "output", 'o', KLX_OPT_CHOICE, AT(output), NULL, "lines for a person, or one object a line",
      "table|json" },
    { "color", 0, KLX_OPT_CHOICE, AT(color), NULL, "when to colour", "auto|always|never" },
    { .name = NULL },
};

static int read_time(const char *option, const char *text, int64_t now_us, int64_t *ret,
                     struct klx_error *e) {
    *ret = KLX_TIME_NONE;
    if (text == NULL) {
        return 0;
    }
    int rc = klx_time_parse_human(klx_sv(text), now_us, ret, e);
    return rc == 0 ? 0 : klx_fail_in(e, rc, "--%s", option);
}

static int choose_span(struct klx_tail_plan *p, const struct klx_tail_options *o, int64_t now_us,
                       struct klx_error *e) {
    int rc = read_time("since", o->since, now_us, &p->since_us, e);
    rc = rc == 0 ? read_time("until", o->until, now_us, &p->until_us, e) : rc;
    if (rc != 0) {
        return rc;
    }
    bool since = p->since_us != KLX_TIME_NONE, until = p->until_us != KLX_TIME_NONE;
    if (since && until && p->until_us <= p->since_us) {
        return klx_fail(e, -EINVAL, "--until %s is not after --since %s", o->until, o->since);
    }
    p->follow = !o->no_follow && (!until || p->until_us > now_us);
    p->start = since ? KLX_READER_TIME : p->follow ? KLX_READER_END : KLX_READER_BEGINNING;
    return 0;
}

/* A record's time is in ms: what is asked for is rounded up, so that a bound is never passed. */
static int64_t ms_of(int64_t us) {
    return us / KLX_US_PER_MS + (us % KLX_US_PER_MS > 0);
}

int klx_tail_plan_init(struct klx_tail_plan *p, const struct klx_tail_options *o,
                       const struct klx_topic_names *names, int64_t now_us, struct klx_error *e) {
    struct klx_tail_plan plan = { .count = o->count, .json = klx_cli_is_json(o->output) };
    const struct klx_filter_words words = { &o->clusters, &o->nodes, &o->severities, o->grep };
    int rc = o->count < 0 ? klx_fail(e, -EINVAL, "--count wants a number from 1 on") : 0;
    rc = rc == 0 ? klx_cli_event_topics(&o->topics, names, plan.topics, &plan.topics_n, e) : rc;
    rc = rc == 0 ? choose_span(&plan, o, now_us, e) : rc;
    rc = rc == 0 ? klx_filter_init(&plan.filter, &words, e) : rc;
    if (rc != 0) {
        return rc;
    }
    plan.filter.heartbeats = o->heartbeats;
    if (plan.since_us != KLX_TIME_NONE) {
        plan.filter.since_ms = ms_of(plan.since_us);
    }
    if (plan.until_us != KLX_TIME_NONE) {
        plan.filter.until_ms = ms_of(plan.until_us);
    }
    plan.newest = plan.count > 0 && !plan.follow && plan.since_us == KLX_TIME_NONE;
    if (plan.newest && plan.count > KLX_REORDER_LINES_MAX) {
        klx_filter_release(&plan.filter);
        return klx_fail(e, -EINVAL, "--count: at most %d without --since", KLX_REORDER_LINES_MAX);
    }
    *p = plan;
    return 0;
}

void klx_tail_plan_release(struct klx_tail_plan *p) {
    klx_filter_release(&p->filter);
}
