#include "sinks/core/edition.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/mem.h"

struct counter {
    klx_config_report_fn report;
    void *arg;
    size_t n;
};

static void count_report(void *arg, const char *text) {
    struct counter *c = arg;
    c->n++;
    c->report(c->arg, text);
}

static void check_kafka(const struct klx_edition *e, struct counter *c) {
    struct klx_error why = { 0 }, said = { 0 };
    size_t before = c->n;
    if (e->settings.kafka == NULL) {
        return; /* that is a mistake of the settings, and said */
    }
    klx_kafka_config_bind(e->kafka, e->settings.kafka, count_report, c);
    klx_kafka_config_spare_plugins(e->kafka);
    if (c->n == before && klx_kafka_config_check(e->kafka, &why) != 0) {
        klx_fail(&said, -EINVAL, "%s: %s", klx_config_file(e->settings.kafka), why.text);
        count_report(c, said.text);
    }
}

static void release(struct klx_edition *e) {
    klx_sinks_settings_release(&e->sinks);
    klx_kafka_config_free(e->kafka);
    klx_settings_release(&e->settings);
    free(e);
}

size_t klx_edition_new(struct klx_settings *settings, const struct klx_sink_ops *ops,
                       klx_config_report_fn report, void *arg, struct klx_edition **ret) {
    struct klx_edition *e = klx_alloc(struct klx_edition);
    struct counter c = { .report = report, .arg = arg };
    e->settings = *settings;
    *settings = (struct klx_settings){ 0 };
    e->kafka = klx_kafka_config_new();
    e->refs = 1;
    klx_sinks_settings_bind(&e->settings, &ops, 1, &e->sinks, count_report, &c);
    check_kafka(e, &c);
    if (c.n > 0) {
        release(e);
    } else {
        *ret = e;
    }
    return c.n;
}

struct klx_edition *klx_edition_ref(struct klx_edition *e) {
    e->refs++;
    return e;
}

void klx_edition_unref(struct klx_edition *e) {
    if (e != NULL && --e->refs == 0) {
        release(e);
    }
}

bool klx_edition_shares(const struct klx_edition *a, const struct klx_edition *b) {
    return a == NULL || b == NULL || klx_config_equal(a->settings.links, b->settings.links);
}

struct klx_edition_census klx_edition_count(const struct klx_edition *e,
                                            const struct klx_sink_ops *ops) {
    struct klx_edition_census c = { 0 };
    const struct klx_sinks_settings *s = &e->sinks;
    bool *used = klx_alloc_n(bool, s->subscriptions_n);
    for (size_t i = 0; i < s->channels_n; i++) {
        if (s->channels[i].ops != ops) {
            continue;
        }
        bool subscribed = false;
        for (size_t j = 0; j < s->subscriptions_n; j++) {
            if (klx_subscription_names(&s->subscriptions[j], i)) {
                subscribed = true;
                c.subscriptions += !used[j];
                used[j] = true;
            }
        }
        c.channels++;
        c.subscribed += subscribed;
        c.unsubscribed =
            !subscribed && c.unsubscribed == NULL ? s->channels[i].name : c.unsubscribed;
    }
    free(used);
    return c;
}
