#include "sinks/core/subject.h"

#include "schema/data.h"

void klx_subject_init(struct klx_subject *s, const struct klx_event *e,
                      const struct klx_json *data) {
    const struct klx_json *object = klx_json_get(data, "object");
    *s = (struct klx_subject){ .event = e,
                               .cluster = e->cluster,
                               .type =
                                   klx_event_short_type(e->type.n > 0 || e->kind >= KLX_KINDS_N
                                                            ? e->type
                                                            : klx_sv(klx_kind_specs[e->kind].type)),
                               .namespace = klx_json_str(object, "namespace"),
                               .name = klx_json_str(object, "name"),
                               .kind = klx_json_str(object, "kind"),
                               .reason = klx_json_str(data, "reason"),
                               .labels = klx_json_get(data, "labels"),
                               .worst = e->severity };
    s->ends =
        e->phase == KLX_PHASE_RESOLVED && e->incident.n > 0 && klx_data_ends_incidents(e->kind);
    if (e->phase == KLX_PHASE_RESOLVED &&
        klx_severity_parse(klx_json_str(data, "incident.severity"), &s->worst) != 0) {
        s->worst = e->severity;
    }
}

bool klx_subject_may_match(const struct klx_subject *s,
                           const struct klx_subscription_settings *sub) {
    const struct klx_event *e = s->event;
    bool is_history = e->resync && e->incident.n == 0;
    return (sub->severities[e->severity] || e->phase == KLX_PHASE_RESOLVED) &&
           (sub->history || !is_history) && klx_match_test(sub->cluster, s->cluster) &&
           (s->ends || klx_match_test(sub->event, s->type));
}

static bool severity_matches(const struct klx_subject *s,
                             const struct klx_subscription_settings *sub) {
    bool matches = sub->severities[s->event->severity];
    for (int i = 0; s->event->phase == KLX_PHASE_RESOLVED && i <= (int)s->worst; i++) {
        matches = matches || sub->severities[i];
    }
    return matches;
}

static bool label_matches(const struct klx_subject *s, const struct klx_label_rule *l) {
    const struct klx_json *value = klx_json_member(s->labels, l->key);
    switch (l->kind) {
    case KLX_LABEL_EXISTS:
        return value != NULL;
    case KLX_LABEL_ABSENT:
        return value == NULL;
    default:
        return klx_match_test(l->value, klx_json_str(value, ""));
    }
}

static bool own_matches(const struct klx_subject *s, const struct klx_subscription_settings *sub) {
    return klx_match_test(sub->event, s->type) && klx_match_test(sub->reason, s->reason);
}

static bool object_matches(const struct klx_subject *s,
                           const struct klx_subscription_settings *sub) {
    bool matches = klx_match_test(sub->namespace, s->namespace) &&
                   klx_match_test(sub->name, s->name) && klx_match_test(sub->kind, s->kind);
    for (size_t i = 0; matches && i < sub->labels_n; i++) {
        matches = label_matches(s, &sub->labels[i]);
    }
    return matches;
}

enum klx_subject_match klx_subject_match(const struct klx_subject *s,
                                         const struct klx_subscription_settings *sub) {
    bool own = own_matches(s, sub);
    if ((!own && !s->ends) || !klx_subject_may_match(s, sub) || !severity_matches(s, sub) ||
        !object_matches(s, sub)) {
        return KLX_MATCH_NONE;
    }
    return own ? KLX_MATCH_WHOLE : KLX_MATCH_END;
}

bool klx_subject_is(const struct klx_subject *s, const struct klx_subscription_settings *sub) {
    return sub->severities[s->event->severity] && klx_match_test(sub->cluster, s->cluster) &&
           own_matches(s, sub) && object_matches(s, sub);
}

bool klx_subject_stops(const struct klx_subject *s, const struct klx_subscription_settings *sub) {
    if (!sub->stops || s->event->phase != KLX_PHASE_RESOLVED) {
        return sub->stops;
    }
    bool whole = sub->reason == NULL && sub->event == NULL;
    for (int i = 0; i <= (int)s->worst; i++) {
        whole = whole && sub->severities[i];
    }
    return whole;
}

enum klx_severity klx_subject_told(const struct klx_subject *s,
                                   const struct klx_subscription_settings *sub) {
    enum klx_severity told = s->event->severity;
    if (told < sub->raise_to && s->event->phase != KLX_PHASE_RESOLVED) {
        told = sub->raise_to;
    }
    return sub->lowers && told > sub->lower_to ? sub->lower_to : told;
}
