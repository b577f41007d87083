/*
 * What finding the subscriptions of an event costs: one line for each number of subscriptions, ns an event.
 *
 *     bench-matching [SECONDS_EACH]
 *
 * Subscriptions as platform teams write them: one in ten takes all clusters or a glob of namespaces, the others name a cluster, an object
 * kind and a namespace; a quarter of the events is wanted by nobody. "linear" asks each subscription in turn, as a routing without an index would.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/arena.h"
#include "lib/base/mem.h"
#include "sinks/core/route.h"
#include "sinks/core/subject.h"

#define EVENTS 512
#define CLUSTERS 20
#define CHANNELS 16

static const struct klx_sink_ops ours = { .name = "ours" };
static struct klx_channel_settings channels[CHANNELS];
static size_t channel_numbers[CHANNELS];

struct event {
    struct klx_event event;
    const struct klx_json *data;
};

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct klx_match *pattern(const char *text) {
    const struct klx_sv one = klx_sv(text);
    struct klx_match *m = NULL;
    struct klx_error e = { 0 };
    if (klx_match_new(&one, 1, &m, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return m;
}

/* Of a team with a namespace of its own in each cluster. */
static void subscribe(struct klx_subscription_settings *s, size_t i) {
    char text[64];
    *s = (struct klx_subscription_settings){ .topics = { [KLX_TOPIC_SCALING] = true },
                                             .severities = { false, true, true },
                                             .channels = &channel_numbers[i % CHANNELS],
                                             .channels_n = 1 };
    if (i % 10 == 0 && i < 1000) {
        s->namespace = pattern("kube-*");
        return;
    }
    snprintf(text, sizeof(text), "cluster-%zu", i % CLUSTERS);
    s->cluster = pattern(text);
    snprintf(text, sizeof(text), "team-%zu", i / CLUSTERS);
    s->namespace = pattern(text);
    s->kind = pattern("Pod");
}

static void make_event(struct event *to, size_t i, size_t teams, struct klx_arena *a) {
    char text[256];
    snprintf(text, sizeof(text),
             "{\"summary\":\"x\",\"object\":{\"kind\":\"Pod\",\"name\":\"api-%zu\",\"namespace\":"
             "\"team-%zu\"},\"reason\":\"OOMKilled\",\"labels\":{}}",
             i, i % 4 == 0 ? 1000000 : i * 7919 % teams);
    const struct klx_sv data = klx_arena_dup(a, klx_sv(text));
    snprintf(text, sizeof(text), "cluster-%zu", i % CLUSTERS);
    to->event = (struct klx_event){ .kind = KLX_KIND_POD_OOM_KILLED,
                                    .cluster = klx_arena_dup(a, klx_sv(text)),
                                    .severity = KLX_SEVERITY_WARNING,
                                    .data = data };
    if (klx_json_parse(a, data, NULL, &to->data, NULL) != 0) {
        abort();
    }
}

static size_t by_index(struct klx_route *r, const struct klx_sinks_settings *s,
                       const struct event *e) {
    const struct klx_target *targets = NULL;
    (void)s;
    return klx_route_may_match(r, KLX_TOPIC_SCALING, &e->event)
               ? klx_route_match(r, KLX_TOPIC_SCALING, &e->event, e->data, &targets)
               : 0;
}

static size_t by_asking_each(struct klx_route *r, const struct klx_sinks_settings *s,
                             const struct event *e) {
    struct klx_subject subject;
    size_t told = 0; /* a bit a channel */
    (void)r;
    klx_subject_init(&subject, &e->event, e->data);
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        if (klx_subject_match(&subject, &s->subscriptions[i]) == KLX_MATCH_WHOLE) {
            told |= (size_t)1 << s->subscriptions[i].channels[0];
        }
    }
    return (size_t)__builtin_popcountll(told);
}

static double ns_an_event(size_t (*match)(struct klx_route *, const struct klx_sinks_settings *,
                                          const struct event *),
                          struct klx_route *r, const struct klx_sinks_settings *s,
                          const struct event *events, double seconds, size_t *ret_told) {
    double began = now_s(), took = 0;
    size_t rounds = 0;
    *ret_told = 0;
    while (took < seconds) {
        for (size_t i = 0; i < EVENTS; i++) {
            *ret_told += match(r, s, &events[i]);
        }
        rounds++;
        took = now_s() - began;
    }
    *ret_told /= rounds;
    return took * 1e9 / (double)(rounds * EVENTS);
}

static void measure(size_t n, double seconds) {
    struct klx_subscription_settings *subscriptions =
        klx_alloc_n(struct klx_subscription_settings, n);
    struct event *events = klx_alloc_n(struct event, EVENTS);
    struct klx_arena arena;
    klx_arena_init(&arena, 1 << 16, 64 << 20);
    for (size_t i = 0; i < n; i++) {
        subscribe(&subscriptions[i], i);
    }
    for (size_t i = 0; i < EVENTS; i++) {
        make_event(&events[i], i, n / CLUSTERS + 1, &arena);
    }
    const struct klx_sinks_settings s = { .channels = channels,
                                          .channels_n = CHANNELS,
                                          .subscriptions = subscriptions,
                                          .subscriptions_n = n };
    size_t told = 0, told_linear = 0;
    double began = now_s();
    struct klx_route *r = klx_route_new(&s, &ours);
    double build_ms = (now_s() - began) * 1e3;
    double index = ns_an_event(by_index, r, &s, events, seconds, &told);
    double linear = ns_an_event(by_asking_each, r, &s, events, seconds, &told_linear);
    printf("%13zu %14.0f %14.0f %10.1f %12zu\n", n, index, linear, build_ms, told);
    if (told != told_linear) {
        printf("WRONG: the index found %zu targets, asking each found %zu\n", told, told_linear);
        exit(1);
    }
    klx_route_free(r);
    for (size_t i = 0; i < n; i++) {
        klx_match_free(subscriptions[i].cluster);
        klx_match_free(subscriptions[i].namespace);
        klx_match_free(subscriptions[i].kind);
    }
    klx_arena_release(&arena);
    free(events);
    free(subscriptions);
}

int main(int argc, char **argv) {
    static const size_t numbers[] = { 10, 100, 1000, 10000 };
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    for (size_t i = 0; i < CHANNELS; i++) {
        channels[i] = (struct klx_channel_settings){ .name = "c", .ops = &ours };
        channel_numbers[i] = i;
    }
    printf("%13s %14s %14s %10s %12s\n", "subscriptions", "ns an event", "linear, ns", "build, ms",
           "told of 512");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        measure(numbers[i], seconds);
    }
    return 0;
}
