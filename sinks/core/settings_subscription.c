#include "sinks/core/settings_subscription.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

struct item {
    const struct klx_config_node *team, *topics, *match, *channels;
    bool history;
};

const struct klx_config_field klx_subscription_fields[] = {
    { .key = "team",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, team),
      .required = true,
      .help = "who is told; it stands in messages and receipts" },
    { .key = "topics",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, topics),
      .required = true,
      .help = "for example [nodes]" },
    { .key = "match",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, match),
      .help = "which of their events; left out: all" },
    { .key = "channels",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, channels),
      .required = true,
      .help = "names from `channels:`" },
    { .key = "history",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct item, history),
      .otherwise = "false",
      .help = "also what a relist found and that belongs to no incident" },
    { .key = NULL },
};

struct match {
    const struct klx_config_node *cluster, *severity, *namespace, *name, *kind, *reason, *labels;
};

#define MATCH_FIELD(key_, help_)                                                                   \
    { .key = #key_, .kind = KLX_CFG_NODE, .offset = offsetof(struct match, key_), .help = help_ }

const struct klx_config_field klx_match_fields[] = {
    MATCH_FIELD(cluster, "the cluster's name"),
    MATCH_FIELD(severity, "info, warning, critical"),
    MATCH_FIELD(namespace, "of the object that the event is about"),
    MATCH_FIELD(name, "of that object"),
    MATCH_FIELD(kind, "of that object, for example Node or Pod"),
    MATCH_FIELD(reason, "of the event, for example NodeRebootStart"),
    MATCH_FIELD(labels, "of that object, by label"),
    { .key = NULL },
};

/* What all of the steps below need. */
struct binder {
    const struct klx_topic_names *topics;
    const struct klx_channel_settings *channels;
    size_t channels_n;
    struct klx_subscription_settings *out;
    struct klx_settings_reporter *r;
};

static void __attribute__((format(printf, 3, 4)))
mistake(struct klx_settings_reporter *r, const struct klx_config_node *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char words[512];
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    struct klx_error e;
    klx_config_fail(at, &e, "%s", words);
    klx_settings_report(r, &e);
}

/* "One or a list" of texts, none of them empty or there twice: their nodes, or NULL when there is something to repair. The caller frees. */
static const struct klx_config_node **texts(const struct klx_config_node *n, const char *what,
                                            struct klx_settings_reporter *r, size_t *ret_n) {
    bool list = klx_config_type(n) == KLX_CONFIG_LIST;
    const struct klx_config_node **nodes = NULL;
    size_t count = 0;
    size_t before = r->mistakes;
    const struct klx_config_node *c = list ? klx_config_first(n) : n;
    for (; c != NULL; c = list ? klx_config_next(c) : NULL) {
        struct klx_sv text = klx_config_scalar(c);
        if (text.n == 0 || klx_config_is_null(c)) {
            mistake(r, c, "expected %s%s", what, list ? "" : " or a list of them");
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (klx_sv_eq(klx_config_scalar(nodes[i]), text)) {
                mistake(r, c, "\"%.*s\" is in the list twice", KLX_SV_FMT(text));
            }
        }
        nodes = klx_grow_array(nodes, count, count + 1, sizeof(struct klx_config_node *));
        nodes[count++] = c;
    }
    if (list && klx_config_first(n) == NULL) {
        mistake(r, n, "the list is empty: expected %s", what);
    }
    if (r->mistakes != before) {
        free(nodes);
        return NULL;
    }
    *ret_n = count;
    return nodes;
}

/* Each pattern is tried alone first, because only then is the place of a bad one known. */
static struct klx_match *patterns(const struct klx_config_node *n,
                                  struct klx_settings_reporter *r) {
    size_t count = 0;
    size_t before = r->mistakes;
    const struct klx_config_node **nodes = texts(n, "a pattern such as \"prod-*\"", r, &count);
    struct klx_sv *views = klx_alloc_n(struct klx_sv, count);
    struct klx_match *all = NULL;
    for (size_t i = 0; i < count; i++) {
        struct klx_match *one = NULL;
        struct klx_error e = { 0 };
        views[i] = klx_config_scalar(nodes[i]);
        if (klx_match_new(&views[i], 1, &one, &e) != 0) {
            mistake(r, nodes[i], "%s", e.text);
        }
        klx_match_free(one);
    }
    if (r->mistakes == before) {
        struct klx_error e = { 0 };
        if (klx_match_new(views, count, &all, &e) != 0) {
            mistake(r, n, "%s", e.text);
        }
    }
    free(views);
    free(nodes);
    return all;
}

static bool is_pattern(struct klx_sv text) {
    return text.p[0] == '~' || klx_sv_find(text, '*') < text.n || klx_sv_find(text, '?') < text.n;
}

/* A pattern that is meant as a name must be one of the three: "waring" would silently match nothing. */
static void check_severity_names(const struct klx_config_node *n, struct klx_settings_reporter *r) {
    const char *names[KLX_SEVERITY_CRITICAL + 1];
    for (int i = 0; i <= KLX_SEVERITY_CRITICAL; i++) {
        names[i] = klx_severity_name((enum klx_severity)i);
    }
    bool list = klx_config_type(n) == KLX_CONFIG_LIST;
    const struct klx_config_node *c = list ? klx_config_first(n) : n;
    for (; c != NULL; c = list ? klx_config_next(c) : NULL) {
        struct klx_sv name = klx_config_scalar(c);
        if (klx_sv_starts(name, KLX_SV("!"))) {
            name = klx_sv_n(name.p + 1, name.n - 1);
        }
        enum klx_severity unused;
        if (name.n > 0 && !is_pattern(name) && klx_severity_parse(name, &unused) != 0) {
            struct klx_config_hint hint = klx_config_hint(name, names, KLX_COUNT(names));
            mistake(r, c, "there is no severity \"%.*s\"%s", KLX_SV_FMT(name),
                    hint.text[0] != '\0' ? hint.text : ": info, warning or critical");
        }
    }
}

static void bind_severities(const struct klx_config_node *n, struct binder *b) {
    size_t before = b->r->mistakes;
    struct klx_match *m = NULL;
    if (n != NULL) {
        m = patterns(n, b->r);
        check_severity_names(n, b->r);
    }
    bool any = false;
    for (int i = 0; i <= KLX_SEVERITY_CRITICAL; i++) {
        b->out->severities[i] = klx_match_test(m, klx_sv(klx_severity_name((enum klx_severity)i)));
        any = any || b->out->severities[i];
    }
    if (!any && b->r->mistakes == before) {
        mistake(b->r, n, "this matches none of info, warning and critical");
    }
    klx_match_free(m);
}

static void bind_labels(const struct klx_config_node *n, struct binder *b) {
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        mistake(b->r, n, "expected a map of patterns by label, for example {agentpool: system}");
        return;
    }
    for (const struct klx_config_node *c = klx_config_first(n); c != NULL; c = klx_config_next(c)) {
        struct klx_subscription_settings *s = b->out;
        s->labels = klx_grow_array(s->labels, s->labels_n, s->labels_n + 1, sizeof(s->labels[0]));
        s->labels[s->labels_n].key = klx_config_key(c);
        s->labels[s->labels_n++].value = patterns(c, b->r);
    }
}

static void bind_match(const struct klx_config_node *n, struct binder *b) {
    struct match m = { 0 };
    if (n != NULL) {
        klx_config_bind_all(n, klx_match_fields, &m, klx_settings_report_text, b->r);
    }
    const struct {
        const struct klx_config_node *from;
        struct klx_match **to;
    } simple[] = {
        { m.cluster, &b->out->cluster }, { m.namespace, &b->out->namespace },
        { m.name, &b->out->name },       { m.kind, &b->out->kind },
        { m.reason, &b->out->reason },
    };
    for (size_t i = 0; i < KLX_COUNT(simple); i++) {
        *simple[i].to = simple[i].from != NULL ? patterns(simple[i].from, b->r) : NULL;
    }
    bind_severities(m.severity, b);
    if (m.labels != NULL) {
        bind_labels(m.labels, b);
    }
}

/* The others are klaxon's own: whoever is told of receipts makes more of them. */
static bool holds_events(enum klx_topic t) {
    return t == KLX_TOPIC_KUBERNETES || t == KLX_TOPIC_NODES || t == KLX_TOPIC_SCALING ||
           t == KLX_TOPIC_GITOPS || t == KLX_TOPIC_METRICS;
}

static void bind_topics(const struct klx_config_node *n, struct binder *b) {
    size_t count = 0;
    const struct klx_config_node **nodes = texts(n, "the name of a topic", b->r, &count);
    for (size_t i = 0; i < count; i++) {
        enum klx_topic topic = KLX_TOPICS_N;
        struct klx_error e = { 0 };
        if (klx_topic_find(b->topics, klx_config_scalar(nodes[i]), &topic, &e) != 0) {
            mistake(b->r, nodes[i], "%s", e.text);
        } else if (!holds_events(topic)) {
            mistake(b->r, nodes[i],
                    "\"%s\" is klaxon's own: subscribe to kubernetes, nodes, scaling, gitops or "
                    "metrics",
                    klx_topic_specs[topic].short_name);
        } else if (b->out->topics[topic]) {
            mistake(b->r, nodes[i], "\"%s\" is in the list twice",
                    klx_topic_specs[topic].short_name);
        } else {
            b->out->topics[topic] = true;
        }
    }
    free(nodes);
}

static void unknown_channel(const struct klx_config_node *n, struct binder *b) {
    const char **names = (const char **)klx_alloc_n(char *, b->channels_n);
    for (size_t i = 0; i < b->channels_n; i++) {
        names[i] = b->channels[i].name;
    }
    struct klx_config_hint hint = klx_config_hint(klx_config_scalar(n), names, b->channels_n);
    mistake(b->r, n, "there is no channel \"%.*s\"%s", KLX_SV_FMT(klx_config_scalar(n)),
            b->channels_n == 0 ? ": define it in `channels:` or channels.d/" : hint.text);
    free(names);
}

static void bind_channels(const struct klx_config_node *n, struct binder *b) {
    size_t count = 0;
    const struct klx_config_node **nodes = texts(n, "the name of a channel", b->r, &count);
    b->out->channels = klx_alloc_n(size_t, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < b->channels_n &&
               !klx_sv_eq(klx_sv(b->channels[at].name), klx_config_scalar(nodes[i]))) {
            at++;
        }
        if (at == b->channels_n) {
            unknown_channel(nodes[i], b);
        } else {
            b->out->channels[b->out->channels_n++] = at;
        }
    }
    free(nodes);
}

static void bind_team(const struct klx_config_node *n, struct binder *b) {
    b->out->team = klx_config_scalar(n);
    if (b->out->team.n == 0 || klx_config_is_null(n)) {
        mistake(b->r, n, "expected the name of the team that is told");
    }
}

void klx_subscription_settings_bind(const struct klx_config_node *n,
                                    const struct klx_topic_names *topics,
                                    const struct klx_channel_settings *channels, size_t channels_n,
                                    struct klx_subscription_settings *ret,
                                    struct klx_settings_reporter *r) {
    *ret = (struct klx_subscription_settings){ .file = klx_config_file(n),
                                               .line = klx_config_line(n) };
    struct binder b = {
        .topics = topics, .channels = channels, .channels_n = channels_n, .out = ret, .r = r
    };
    struct item item = { 0 };
    klx_config_bind_all(n, klx_subscription_fields, &item, klx_settings_report_text, r);
    if (item.team != NULL) {
        bind_team(item.team, &b);
    }
    if (item.topics != NULL) {
        bind_topics(item.topics, &b);
    }
    bind_match(item.match, &b);
    if (item.channels != NULL) {
        bind_channels(item.channels, &b);
    }
    ret->history = item.history;
}

size_t klx_subscription_limit_hits(const struct klx_subscription_settings *s) {
    size_t n = klx_match_limit_hits(s->cluster) + klx_match_limit_hits(s->namespace) +
               klx_match_limit_hits(s->name) + klx_match_limit_hits(s->kind) +
               klx_match_limit_hits(s->reason);
    for (size_t i = 0; i < s->labels_n; i++) {
        n += klx_match_limit_hits(s->labels[i].value);
    }
    return n;
}

void klx_subscription_settings_release(struct klx_subscription_settings *s) {
    klx_match_free(s->cluster);
    klx_match_free(s->namespace);
    klx_match_free(s->name);
    klx_match_free(s->kind);
    klx_match_free(s->reason);
    for (size_t i = 0; i < s->labels_n; i++) {
        klx_match_free(s->labels[i].value);
    }
    free(s->labels);
    free(s->channels);
    *s = (struct klx_subscription_settings){ 0 };
}
