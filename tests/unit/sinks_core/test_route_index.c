/* The index finds what going through all subscriptions finds, in the same order: thousands of random ones are asked both ways. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/route.h"
#include "sinks/core/subject.h"

#define ROUNDS 60
#define SUBSCRIPTIONS_MAX 80
#define EVENTS 60
#define CHANNELS 6
#define LIST_MAX 70 /* more than there may be combinations */

static const struct klx_sink_ops ours = { .name = "ours" };
static struct klx_channel_settings channels[CHANNELS];
static uint64_t seed;
static size_t ends; /* targets that are told of an end only */

/* Deterministic, so that a failure can be looked at. */
static unsigned dice(unsigned sides) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

static const char *const words[] = { "a", "b", "c", "ab", "abc", "" };

/* Of each topic one kind that ends incidents and one that does not, and what another producer wrote. */
static const enum klx_kind node_kinds[] = { KLX_KIND_NODE_NOT_READY, KLX_KIND_NODE_READY,
                                            KLX_KIND_UNKNOWN },
                           app_kinds[] = { KLX_KIND_APP_SYNC_FAILED, KLX_KIND_APP_RECOVERED,
                                           KLX_KIND_UNKNOWN };

static enum klx_kind random_kind(enum klx_topic topic) {
    return topic == KLX_TOPIC_NODES ? node_kinds[dice(3)] : app_kinds[dice(3)];
}

static struct klx_sv word(void) {
    return klx_sv(words[dice(KLX_COUNT(words))]);
}

/* Mostly exact texts, which the index is made of; sometimes a long list of them, wildcards and what is not wanted. */
static struct klx_match *random_patterns(bool types) {
    static const char *const wild[] = { "a*", "*", "?", "~^a", "!a", "!b*", "!*" };
    char texts[LIST_MAX][64];
    struct klx_sv views[LIST_MAX];
    if (dice(2) == 0) {
        return NULL;
    }
    size_t n = dice(12) == 0 ? LIST_MAX - dice(20) : 1 + dice(3);
    for (size_t i = 0; i < n; i++) {
        struct klx_sv w = dice(5) == 0 ? klx_sv(wild[dice(KLX_COUNT(wild))]) : word();
        if (types && dice(2) == 0) {
            w = klx_event_short_type(klx_sv(klx_kind_specs[node_kinds[dice(2)]].type));
        }
        snprintf(texts[i], sizeof(texts[i]), "%.*s", KLX_SV_FMT(w));
        if (w.n == 0 || i >= KLX_COUNT(words)) {
            snprintf(texts[i], sizeof(texts[i]), "w%zu", i);
        }
        views[i] = klx_sv(texts[i]);
        for (size_t k = 0; k < i; k++) {
            if (klx_sv_eq(views[k], views[i])) { /* such a list is refused */
                snprintf(texts[i], sizeof(texts[i]), "x%zu", i);
                views[i] = klx_sv(texts[i]);
            }
        }
    }
    struct klx_match *m = NULL;
    assert_int_equal(klx_match_new(views, n, &m, NULL), 0);
    return m;
}

static void random_subscription(struct klx_subscription_settings *s, unsigned line) {
    *s = (struct klx_subscription_settings){
        .team = KLX_SV("t"),
        .severities = { dice(2) == 0, dice(3) > 0, dice(4) > 0 },
        .cluster = random_patterns(false),
        .event = random_patterns(true),
        .namespace = random_patterns(false),
        .name = random_patterns(false),
        .kind = random_patterns(false),
        .history = dice(3) == 0,
        .raise_to = (enum klx_severity)dice(3),
        .stops = dice(25) == 0,
        .channels = klx_alloc_n(size_t, 2),
        .channels_n = 1 + dice(2),
        .line = line,
    };
    s->topics[KLX_TOPIC_NODES] = dice(4) > 0;
    s->topics[KLX_TOPIC_GITOPS] = dice(2) == 0;
    s->channels[0] = dice(CHANNELS);
    s->channels[1] = (s->channels[0] + 1) % CHANNELS;
}

static void release(struct klx_subscription_settings *s) {
    klx_match_free(s->cluster);
    klx_match_free(s->event);
    klx_match_free(s->namespace);
    klx_match_free(s->name);
    klx_match_free(s->kind);
    free(s->channels);
}

/* The channel's target, or the next free one. */
static size_t place_of(const struct klx_target *targets, size_t n, size_t channel) {
    size_t i = 0;
    while (i < n && targets[i].channel != channel) {
        i++;
    }
    return i;
}

static size_t linear(const struct klx_sinks_settings *all, enum klx_topic topic,
                     const struct klx_event *e, const struct klx_json *data,
                     struct klx_target *ret) {
    struct klx_subject subject;
    size_t n = 0;
    klx_subject_init(&subject, e, data);
    for (size_t i = 0; e->replay_id.n == 0 && i < all->subscriptions_n; i++) {
        const struct klx_subscription_settings *s = &all->subscriptions[i];
        enum klx_subject_match match =
            s->topics[topic] ? klx_subject_match(&subject, s) : KLX_MATCH_NONE;
        for (size_t c = 0; match != KLX_MATCH_NONE && c < s->channels_n; c++) {
            size_t at = place_of(ret, n, s->channels[c]);
            bool better = at < n && ret[at].end_only && match == KLX_MATCH_WHOLE;
            if (channels[s->channels[c]].ops == &ours && (at == n || better)) {
                n += at == n;
                ret[at] = (struct klx_target){ .channel = s->channels[c],
                                               .subscription = s,
                                               .severity = klx_subject_told(&subject, s),
                                               .end_only = match == KLX_MATCH_END };
            }
        }
        if (match == KLX_MATCH_WHOLE && klx_subject_stops(&subject, s)) {
            break;
        }
    }
    return n;
}

static void random_event(struct klx_event *e, enum klx_topic topic, char *data, size_t data_n) {
    enum klx_kind kind = random_kind(topic);
    *e =
        (struct klx_event){ .cluster = word(),
                            .kind = kind,
                            .type = kind < KLX_KINDS_N ? klx_sv(klx_kind_specs[kind].type) : word(),
                            .severity = (enum klx_severity)dice(3),
                            .phase = (enum klx_phase)dice(4),
                            .resync = dice(4) == 0,
                            .incident = word() };
    static const char *const severities[] = { "info", "warning", "critical" };
    snprintf(data, data_n,
             "{\"object\":{\"kind\":\"%s\",\"name\":\"%s\",\"namespace\":\"%s\"},"
             "\"incident\":{\"severity\":\"%s\"}}",
             word().p, word().p, word().p, severities[dice(3)]);
    e->data = klx_sv(data);
}

static size_t compare_one(struct klx_route *r, const struct klx_sinks_settings *all) {
    struct klx_event e;
    struct klx_arena arena;
    char data[256];
    const struct klx_json *json = NULL;
    struct klx_target expected[CHANNELS];
    const struct klx_target *found = NULL;
    enum klx_topic topic = dice(2) == 0 ? KLX_TOPIC_NODES : KLX_TOPIC_GITOPS;
    klx_arena_init(&arena, 1024, 1 << 16);
    random_event(&e, topic, data, sizeof(data));
    assert_int_equal(klx_json_parse(&arena, e.data, NULL, &json, NULL), 0);
    size_t n = linear(all, topic, &e, json, expected);
    assert_int_equal(klx_route_match(r, topic, &e, json, &found), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(found[i].channel, expected[i].channel);
        assert_int_equal(found[i].subscription->line, expected[i].subscription->line);
        assert_int_equal(found[i].severity, expected[i].severity);
        assert_int_equal(found[i].end_only, expected[i].end_only);
        ends += found[i].end_only;
    }
    assert_true(n == 0 || klx_route_may_match(r, topic, &e));
    klx_arena_release(&arena);
    return n;
}

static void the_index_finds_what_is_there_in_order(void **state) {
    (void)state;
    size_t told = 0;
    seed = 20240607;
    for (size_t i = 0; i < CHANNELS; i++) {
        channels[i] =
            (struct klx_channel_settings){ .name = "c", .ops = i % 3 == 2 ? NULL : &ours };
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct klx_subscription_settings s[SUBSCRIPTIONS_MAX];
        const struct klx_sinks_settings all = { .channels = channels,
                                                .channels_n = CHANNELS,
                                                .subscriptions = s,
                                                .subscriptions_n = dice(SUBSCRIPTIONS_MAX) };
        for (unsigned i = 0; i < all.subscriptions_n; i++) {
            random_subscription(&s[i], i);
        }
        struct klx_route *r = klx_route_new(&all, &ours);
        for (unsigned i = 0; i < EVENTS; i++) {
            told += compare_one(r, &all);
        }
        klx_route_free(r);
        for (size_t i = 0; i < all.subscriptions_n; i++) {
            release(&s[i]);
        }
    }
    assert_true(told > (size_t)ROUNDS * EVENTS / 4); /* else the cases say little */
    assert_true(ends > 20);
}

/* What the attributes rule out is not parsed: it must be said of events that nobody wants, not only allowed. */
static void what_nobody_asks_for_is_ruled_out_by_its_attributes(void **state) {
    (void)state;
    const struct klx_sv cluster = KLX_SV("prod"), wild = KLX_SV("edge-*");
    struct klx_subscription_settings s[2];
    seed = 1;
    for (unsigned i = 0; i < 2; i++) {
        random_subscription(&s[i], i);
        release(&s[i]);
        s[i] = (struct klx_subscription_settings){ .topics = { [KLX_TOPIC_NODES] = true },
                                                   .severities = { false, true, true },
                                                   .channels = klx_alloc_n(size_t, 1),
                                                   .channels_n = 1 };
        assert_int_equal(klx_match_new(i == 0 ? &cluster : &wild, 1, &s[i].cluster, NULL), 0);
    }
    channels[0].ops = &ours;
    const struct klx_sinks_settings all = {
        .channels = channels, .channels_n = 1, .subscriptions = s, .subscriptions_n = 2
    };
    struct klx_route *r = klx_route_new(&all, &ours);
    struct klx_event e = { .cluster = cluster, .severity = KLX_SEVERITY_WARNING };
    assert_true(klx_route_may_match(r, KLX_TOPIC_NODES, &e));
    e.cluster = KLX_SV("edge-7");
    assert_true(klx_route_may_match(r, KLX_TOPIC_NODES, &e));
    e.cluster = KLX_SV("test");
    assert_false(klx_route_may_match(r, KLX_TOPIC_NODES, &e));
    e.cluster = cluster;
    e.severity = KLX_SEVERITY_INFO;
    assert_false(klx_route_may_match(r, KLX_TOPIC_NODES, &e));
    klx_route_free(r);
    release(&s[0]);
    release(&s[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_finds_what_is_there_in_order),
        cmocka_unit_test(what_nobody_asks_for_is_ruled_out_by_its_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
