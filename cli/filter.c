#include "cli/filter.h"

#include "lib/base/cleanup.h"

static int compile(const char *option, const struct klx_option_strings *words,
                   struct klx_match **ret, struct klx_error *e) {
    struct klx_sv patterns[KLX_OPTION_STRINGS_MAX];
    for (size_t i = 0; i < words->n; i++) {
        patterns[i] = klx_sv(words->items[i]);
    }
    if (words->n == 0) {
        return 0;
    }
    int rc = klx_match_new(patterns, words->n, ret, e);
    return rc == 0 ? 0 : klx_fail_in(e, rc, "--%s", option);
}

static int read_severities(struct klx_filter *f, const struct klx_option_strings *words,
                           struct klx_error *e) {
    for (size_t i = 0; i < KLX_COUNT(f->severities); i++) {
        f->severities[i] = words->n == 0;
    }
    for (size_t i = 0; i < words->n; i++) {
        enum klx_severity s = KLX_SEVERITY_INFO;
        if (klx_severity_parse(klx_sv(words->items[i]), &s) != 0) {
            return klx_fail(e, -EINVAL,
                            "--severity wants one of info, warning, critical, found \"%s\"",
                            words->items[i]);
        }
        f->severities[s] = true;
    }
    return 0;
}

int klx_filter_init(struct klx_filter *f, const struct klx_filter_words *w, struct klx_error *e) {
    *f = (struct klx_filter){ .since_ms = INT64_MIN, .until_ms = INT64_MAX };
    f->grep = klx_sv(w->grep);
    f->selects = w->clusters->n > 0 || w->nodes->n > 0 || w->severities->n > 0 || f->grep.n > 0;
    int rc = read_severities(f, w->severities, e);
    rc = rc == 0 ? compile("cluster", w->clusters, &f->cluster, e) : rc;
    rc = rc == 0 ? compile("node", w->nodes, &f->node, e) : rc;
    if (rc != 0) {
        klx_filter_release(f);
    }
    return rc;
}

void klx_filter_release(struct klx_filter *f) {
    klx_match_free(f->cluster);
    klx_match_free(f->node);
    f->cluster = NULL;
    f->node = NULL;
}

bool klx_filter_has_time(const struct klx_filter *f, const struct klx_record *r) {
    return r->timestamp_ms >= f->since_ms && r->timestamp_ms < f->until_ms;
}

static bool contains(struct klx_sv text, struct klx_sv word) {
    for (size_t i = 0; i + word.n <= text.n; i++) {
        if (klx_sv_eq_nocase(klx_sv_n(text.p + i, word.n), word)) {
            return true;
        }
    }
    return word.n == 0;
}

/* Subjects are "Node/aks-1", and "-/Node/aks-1" in the Events of Kubernetes. */
static bool is_about_node(const struct klx_match *wanted, struct klx_sv subject) {
    struct klx_sv kind = KLX_SV("Node/");
    size_t at = klx_sv_find_sv(subject, kind);
    bool is_kind = at < subject.n && (at == 0 || subject.p[at - 1] == '/');
    return is_kind &&
           klx_match_test(wanted, klx_sv_n(subject.p + at + kind.n, subject.n - at - kind.n));
}

bool klx_filter_has_event(const struct klx_filter *f, const struct klx_event *e,
                          struct klx_sv summary) {
    return (f->heartbeats || e->kind != KLX_KIND_HEARTBEAT) && f->severities[e->severity] &&
           klx_match_test(f->cluster, e->cluster) &&
           (f->node == NULL || is_about_node(f->node, e->subject)) && contains(summary, f->grep);
}
