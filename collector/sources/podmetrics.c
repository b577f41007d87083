/*
 * PodMetrics of metrics.k8s.io, which can be listed and not watched (facts: kubernetes.md 3.1). A sample that was seen before is not handed
 * up again (collector/sample_times.h). Nothing is published by itself: the detector autoscaling knows the limits of the containers, and
 * publishes each sample beside them.
 */
#include <errno.h>
#include <stdlib.h>

#include "collector/kube/frame.h"
#include "collector/kube/list_stream.h"
#include "collector/sample_times.h"
#include "collector/source_settings.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define ITEM_TREE_BYTES_MAX (16u << 20)
#define NAME_BYTES_MAX 512

struct reader {
    struct klx_list_stream list;
    struct klx_sample_times *times;
    struct klx_arena arena; /* of an item, then of the rest of the list */
};

/* PodMetrics have no uid and no resourceVersion: their time stands in its place. */
static int observe(const struct klx_json *object, struct klx_observation *ret) {
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = klx_json_str(object, "metadata.namespace");
    ret->uid = klx_sv(NULL);
    ret->resource_version = klx_json_str(object, "timestamp");
    ret->labels = klx_json_get(object, "metadata.labels");
    int64_t us = 0;
    bool whole =
        ret->name.n > 0 && ret->namespace.n > 0 && klx_time_parse(ret->resource_version, &us) == 0;
    return whole ? 0 : -EBADMSG;
}

static void *open_reader(const struct klx_source_settings *s, size_t i) {
    (void)s;
    (void)i;
    struct reader *r = klx_alloc(struct reader);
    klx_list_stream_init(&r->list);
    klx_arena_init(&r->arena, 16384, ITEM_TREE_BYTES_MAX);
    r->times = klx_sample_times_new();
    return r;
}

static void close_reader(void *reader) {
    struct reader *r = reader;
    klx_list_stream_release(&r->list);
    klx_arena_release(&r->arena);
    klx_sample_times_free(r->times);
    free(r);
}

static void begin(void *reader, int64_t asked_us, bool more) {
    (void)asked_us;
    (void)more;
    struct reader *r = reader;
    klx_list_stream_reset(&r->list);
}

static void take_item(struct reader *r, struct klx_sv text, struct klx_poll_sink *sink) {
    const struct klx_json *object = NULL;
    struct klx_observation o = { .kind = KLX_OBSERVED_POD_METRICS,
                                 .change = KLX_CHANGE_MODIFIED,
                                 .origin = KLX_ORIGIN_LIVE,
                                 .cluster = sink->cluster };
    int64_t at_us = 0;
    klx_arena_reset(&r->arena);
    if (klx_frame_parse(&r->arena, text, NULL, &object) != 0 || observe(object, &o) != 0 ||
        klx_time_parse(o.resource_version, &at_us) != 0) {
        sink->skipped++;
        return;
    }
    struct klx_sv key = KLX_CONCAT(&r->arena, o.namespace, KLX_SV("/"), o.name);
    if (key.n <= NAME_BYTES_MAX && klx_sample_times_is_new(r->times, key, at_us)) {
        o.object = object;
        sink->samples++;
        sink->observe(sink, &o);
    }
}

static void write_state(void *arg, const char *name, struct klx_sv value) {
    struct klx_poll_sink *sink = arg;
    sink->state(sink, name, value);
}

static int take(void *reader, struct klx_sv chunk, struct klx_poll_sink *sink,
                struct klx_error *e) {
    struct reader *r = reader;
    struct klx_sv item;
    int rc = 0;
    klx_list_stream_feed(&r->list, chunk);
    while ((rc = klx_list_stream_next(&r->list, &item)) > 0) {
        take_item(r, item, sink);
    }
    klx_sample_times_flush(r->times, write_state, sink);
    return rc < 0 ? klx_fail(e, rc, "an item of the list is larger than %u bytes",
                             KLX_LIST_ITEM_BYTES_MAX)
                  : 0;
}

static int end(void *reader, struct klx_poll_sink *sink, struct klx_sv *ret_more,
               struct klx_error *e) {
    struct reader *r = reader;
    const struct klx_json *list = NULL;
    klx_arena_reset(&r->arena);
    if (klx_list_stream_end(&r->list, &r->arena, &list) != 0) {
        return klx_fail(e, -EBADMSG, "the answer is no whole list");
    }
    *ret_more = klx_json_str(list, "metadata.continue");
    if (ret_more->n == 0) {
        sink->skipped += klx_sample_times_is_full(r->times);
        klx_sample_times_end(r->times, write_state, sink);
    }
    return 0;
}

static int restore(void *reader, struct klx_sv name, struct klx_sv value) {
    struct reader *r = reader;
    return klx_sample_times_restore(r->times, name, value);
}

static const struct klx_poll_ops poll = {
    .accept = "application/json",
    .open = open_reader,
    .close = close_reader,
    .begin = begin,
    .take = take,
    .end = end,
    .restore = restore,
};

const struct klx_source_ops klx_source_podmetrics = {
    .name = "podmetrics",
    .path = "/apis/metrics.k8s.io/v1beta1/pods",
    .namespaced_path = "/apis/metrics.k8s.io/v1beta1/namespaces/%s/pods",
    .observed = KLX_OBSERVED_POD_METRICS,
    .topic = KLX_TOPIC_METRICS,
    .observe = observe,
    .poll = &poll,
};
