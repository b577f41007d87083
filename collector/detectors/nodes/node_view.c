#include "collector/detectors/nodes/node_view.h"

#include <string.h>

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"

#define MARK_PARTS_MAX 256 /* 126 labels */

enum klx_vm_event klx_vm_event_of(struct klx_sv text) {
    static const struct {
        const char *word;
        enum klx_vm_event event;
    } words[] = {
        { "Freeze", KLX_VM_EVENT_FREEZE },       { "Reboot", KLX_VM_EVENT_REBOOT },
        { "Redeploy", KLX_VM_EVENT_REDEPLOY },   { "Preempt", KLX_VM_EVENT_PREEMPT },
        { "Terminate", KLX_VM_EVENT_TERMINATE },
    };
    for (size_t i = 0; i < KLX_COUNT(words); i++) {
        size_t n = strlen(words[i].word);
        if (klx_sv_starts(text, klx_sv(words[i].word))) {
            struct klx_sv rest = klx_sv_trim(klx_sv_n(text.p + n, text.n - n));
            return klx_sv_starts(rest, KLX_SV("Scheduled")) ? words[i].event : KLX_VM_EVENT_UNNAMED;
        }
    }
    return KLX_VM_EVENT_UNNAMED;
}

/* The autoscaler's taint stays until the node is gone; karpenter's has a key of its own in each of its versions. */
static enum klx_node_remover remover_of(const struct klx_json *object) {
    const struct klx_json *t = klx_json_first(klx_json_get(object, "spec.taints"));
    for (; t != NULL; t = klx_json_next(t)) {
        struct klx_sv key = klx_json_str(t, "key");
        if (klx_sv_eq(key, KLX_SV("ToBeDeletedByClusterAutoscaler"))) {
            return KLX_REMOVER_AUTOSCALER;
        }
        if (klx_sv_eq(key, KLX_SV("karpenter.sh/disrupted")) ||
            klx_sv_eq(key, KLX_SV("karpenter.sh/disruption"))) {
            return KLX_REMOVER_KARPENTER;
        }
    }
    return klx_json_str(object, "metadata.deletionTimestamp").n > 0 ? KLX_REMOVER_SOMEBODY
                                                                    : KLX_REMOVER_NONE;
}

static enum klx_condition status_of(const struct klx_json *condition) {
    struct klx_sv status = klx_json_str(condition, "status");
    return klx_sv_eq(status, KLX_SV("True"))    ? KLX_CONDITION_TRUE
           : klx_sv_eq(status, KLX_SV("False")) ? KLX_CONDITION_FALSE
                                                : KLX_CONDITION_UNKNOWN;
}

static void read_condition(struct klx_node_view *v, const struct klx_json *condition) {
    struct klx_sv type = klx_json_str(condition, "type");
    size_t spec = klx_node_problem_spec_of(type);
    if (klx_sv_eq(type, KLX_SV("VMEventScheduled"))) {
        v->vm_event = status_of(condition);
        v->vm_event_is = klx_vm_event_of(klx_json_str(condition, "message"));
        v->vm_event_us = klx_news_time(condition, "lastTransitionTime");
    } else if (spec < klx_node_problem_specs_n) {
        v->problems[spec] = status_of(condition);
        v->reasons[spec] = klx_json_str(condition, "reason");
        v->since_us[spec] = klx_news_time(condition, "lastTransitionTime");
    }
}

void klx_node_view_read(const struct klx_observation *o, struct klx_node_view *ret) {
    *ret = (struct klx_node_view){ .remover = remover_of(o->object), .vm_event_us = KLX_TIME_NONE };
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        ret->since_us[i] = KLX_TIME_NONE;
    }
    const struct klx_json *c = klx_json_first(klx_json_get(o->object, "status.conditions"));
    for (; c != NULL; c = klx_json_next(c)) {
        read_condition(ret, c);
    }
}

void klx_node_view_mark(const struct klx_observation *o, const struct klx_node_view *v,
                        char out[static KLX_HASH_TEXT_BYTES]) {
    struct klx_sv parts[MARK_PARTS_MAX + KLX_NODE_PROBLEM_SPECS_MAX];
    size_t n = 0;
    const int64_t numbers[] = {
        o->node.ready, o->node.ready_since_us, o->node.unschedulable, o->node.upgrading, v->remover,
        v->vm_event,   v->vm_event_is
    };
    parts[n++] = o->uid;
    parts[n++] = o->node.ready_reason;
    parts[n++] = klx_sv_n((const char *)numbers, sizeof(numbers));
    parts[n++] = klx_sv_n((const char *)v->problems, sizeof(v->problems));
    const struct klx_json *l = klx_json_first(o->labels);
    for (; l != NULL && n + 2 <= MARK_PARTS_MAX; l = klx_json_next(l)) {
        parts[n++] = klx_json_key(l);
        parts[n++] = klx_json_str(l, "");
    }
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        parts[n++] = v->reasons[i];
    }
    klx_hash_parts(parts, n, out);
}
