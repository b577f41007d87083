#include "sinks/core/settings_subscription.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/noise/hours.h"
#include "sinks/core/noise/settings_noise.h"
#include "sinks/core/subject.h"
#include "sinks/core/wording.h"

struct item {
    const struct klx_config_node *team, *topics, *match, *channels, *severity, *quiet, *escalate,
        *message;
    bool history, goes_on;
    int64_t repeat_ms;
};

const struct klx_config_field klx_subscription_fields[] = {
    { .key = "team",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, team),
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
    { .key = "severity",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, severity),
      .help = "what is told, when it is not that of the event" },
    { .key = "continue",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct item, goes_on),
      .otherwise = "true",
      .help = "false: an event that this one matches goes to none that stands after it" },
    { .key = "history",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct item, history),
      .otherwise = "false",
      .help = "also what a relist found and that belongs to no incident" },
    { .key = "quiet",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, quiet),
      .help = "when not to tell: one or a list of times" },
    { .key = "repeat",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct item, repeat_ms),
      .min = 60000,
      .max = 30LL * 86400 * 1000,
      .help = "tell again, as long as an incident is open and not acknowledged" },
    { .key = "escalate",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, escalate),
      .help = "whom else to tell of an incident that nobody acknowledges" },
    { .key = "message",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, message),
      .help = "its words, before those of its channels (docs/templates.md)" },
    { .key = NULL },
};

struct severity {
    char *raise_to, *lower_to;
};

const struct klx_config_field klx_subscription_severity_fields[] = {
    { .key = "raise_to",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct severity, raise_to),
      .help = "told as at least this: info, warning or critical" },
    { .key = "lower_to",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct severity, lower_to),
      .help = "told as at most this" },
    { .key = NULL },
};

struct label {
    bool exists;
};

const struct klx_config_field klx_label_fields[] = {
    { .key = "exists",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct label, exists),
      .required = true,
      .help = "whether the label is there, whatever its value" },
    { .key = NULL },
};

struct match {
    const struct klx_config_node *cluster, *severity, *event, *namespace, *name, *kind, *reason,
        *labels;
};

#define MATCH_FIELD(key_, help_)                                                                   \
    { .key = #key_, .kind = KLX_CFG_NODE, .offset = offsetof(struct match, key_), .help = help_ }

const struct klx_config_field klx_match_fields[] = {
    MATCH_FIELD(cluster, "the cluster's name"),
    MATCH_FIELD(severity, "info, warning, critical"),
    MATCH_FIELD(event, "its type without io.klaxon., for example node.repair.*"),
    MATCH_FIELD(namespace, "of the object that the event is about"),
    MATCH_FIELD(name, "of that object"),
    MATCH_FIELD(kind, "of that object, for example Node or Pod"),
    MATCH_FIELD(reason, "of the event, for example NodeRebootStart"),
    MATCH_FIELD(labels, "of that object, by label"),
    { .key = NULL },
};

/* What all of the steps below need. */
struct binder {
    const struct klx_subscription_env *env;
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
static struct klx_match *patterns_of(const struct klx_config_node *const *nodes, size_t count,
                                     const struct klx_config_node *n,
                                     struct klx_settings_reporter *r) {
    size_t before = r->mistakes;
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
    return all;
}

#define A_PATTERN "a pattern such as \"prod-*\""

static struct klx_match *patterns(const struct klx_config_node *n,
                                  struct klx_settings_reporter *r) {
    size_t count = 0, before = r->mistakes;
    const struct klx_config_node **nodes = texts(n, A_PATTERN, r, &count);
    struct klx_match *all = r->mistakes == before ? patterns_of(nodes, count, n, r) : NULL;
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

static void bind_label(const struct klx_config_node *n, struct binder *b,
                       struct klx_label_rule *to) {
    struct label l = { 0 };
    to->key = klx_config_key(n);
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        to->value = patterns(n, b->r);
    } else if (klx_config_bind_all(n, klx_label_fields, &l, klx_settings_report_text, b->r) == 0) {
        to->kind = l.exists ? KLX_LABEL_EXISTS : KLX_LABEL_ABSENT;
    }
}

static void bind_labels(const struct klx_config_node *n, struct binder *b) {
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        mistake(b->r, n, "expected a map of patterns by label, for example {agentpool: system}");
        return;
    }
    for (const struct klx_config_node *c = klx_config_first(n); c != NULL; c = klx_config_next(c)) {
        struct klx_subscription_settings *s = b->out;
        s->labels = klx_grow_array(s->labels, s->labels_n, s->labels_n + 1, sizeof(s->labels[0]));
        bind_label(c, b, &s->labels[s->labels_n++]);
    }
}

/* A text without wildcards that names no kind of event is a mistake of writing: it would never match. */
static void check_event_name(const struct klx_config_node *n, struct klx_settings_reporter *r) {
    const char *names[KLX_KINDS_N];
    struct klx_sv text = klx_config_scalar(n);
    if (klx_sv_starts(text, KLX_SV("!"))) {
        text = klx_sv_n(text.p + 1, text.n - 1);
    }
    if (klx_sv_starts(text, KLX_SV("~")) || memchr(text.p, '*', text.n) != NULL ||
        memchr(text.p, '?', text.n) != NULL) {
        return;
    }
    for (size_t i = 0; i < KLX_KINDS_N; i++) {
        names[i] = klx_event_short_type(klx_sv(klx_kind_specs[i].type)).p;
        if (klx_sv_eq(text, klx_sv(names[i]))) {
            return;
        }
    }
    struct klx_config_hint hint = klx_config_hint(text, names, KLX_KINDS_N);
    mistake(r, n, "there is no kind of event \"%.*s\"%s", KLX_SV_FMT(text),
            klx_sv_starts(text, KLX_SV("io.klaxon.")) ? ": leave io.klaxon. out" : hint.text);
}

struct klx_match *klx_event_patterns_bind(const struct klx_config_node *n, bool *ret_digest,
                                          struct klx_settings_reporter *r) {
    size_t before = r->mistakes, count = 0, kept = 0;
    const struct klx_config_node **nodes = texts(n, A_PATTERN, r, &count);
    for (size_t i = 0; i < count; i++) {
        if (ret_digest != NULL && klx_sv_eq(klx_config_scalar(nodes[i]), KLX_SV("digest"))) {
            *ret_digest = true;
        } else {
            nodes[kept++] = nodes[i];
        }
    }
    struct klx_match *m = kept > 0 ? patterns_of(nodes, kept, n, r) : NULL;
    for (size_t i = 0; i < kept && r->mistakes == before; i++) {
        check_event_name(nodes[i], r);
    }
    free(nodes);
    return m;
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
    b->out->event = m.event != NULL ? klx_event_patterns_bind(m.event, NULL, b->r) : NULL;
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
        if (klx_topic_find(b->env->topics, klx_config_scalar(nodes[i]), &topic, &e) != 0) {
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
    const char **names = (const char **)klx_alloc_n(char *, b->env->channels_n);
    for (size_t i = 0; i < b->env->channels_n; i++) {
        names[i] = b->env->channels[i].name;
    }
    struct klx_config_hint hint = klx_config_hint(klx_config_scalar(n), names, b->env->channels_n);
    mistake(b->r, n, "there is no channel \"%.*s\"%s", KLX_SV_FMT(klx_config_scalar(n)),
            b->env->channels_n == 0 ? ": define it in `channels:` or channels.d/" : hint.text);
    free(names);
}

static void bind_channels(const struct klx_config_node *n, struct binder *b, size_t **ret,
                          size_t *ret_n) {
    size_t count = 0;
    const struct klx_config_node **nodes = texts(n, "the name of a channel", b->r, &count);
    *ret = klx_alloc_n(size_t, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < b->env->channels_n &&
               !klx_sv_eq(klx_sv(b->env->channels[at].name), klx_config_scalar(nodes[i]))) {
            at++;
        }
        if (at == b->env->channels_n) {
            unknown_channel(nodes[i], b);
        } else {
            (*ret)[(*ret_n)++] = at;
        }
    }
    free(nodes);
}

static void bind_team(const struct klx_config_node *item, const struct klx_config_node *own,
                      const struct klx_config_node *file, struct binder *b) {
    const struct klx_config_node *team = own != NULL ? own : file;
    if (team == NULL) {
        mistake(b->r, item, "\"team\" is missing: who is told");
    } else if (klx_config_scalar(team).n == 0 || klx_config_is_null(team)) {
        mistake(b->r, team, "expected the name of the team that is told");
    } else if (file != NULL && !klx_sv_eq(klx_config_scalar(team), klx_config_scalar(file))) {
        mistake(b->r, team,
                "this is a file of the team %.*s (line %u): put what is another's in "
                "a file of its own",
                KLX_SV_FMT(klx_config_scalar(file)), klx_config_line(file));
    } else {
        b->out->team = klx_config_scalar(team);
    }
}

static void bind_told(const struct klx_config_node *n, struct binder *b) {
    struct severity s = { 0 };
    struct klx_subscription_settings *out = b->out;
    klx_config_bind_all(n, klx_subscription_severity_fields, &s, klx_settings_report_text, b->r);
    bool good = true;
    const struct {
        const char *key, *text;
        enum klx_severity *to;
    } ends[] = { { "raise_to", s.raise_to, &out->raise_to },
                 { "lower_to", s.lower_to, &out->lower_to } };
    for (size_t i = 0; i < KLX_COUNT(ends); i++) {
        if (ends[i].text != NULL && klx_severity_parse(klx_sv(ends[i].text), ends[i].to) != 0) {
            mistake(b->r, klx_config_get(n, ends[i].key),
                    "expected info, warning or critical, found \"%s\"", ends[i].text);
            good = false;
        }
    }
    out->lowers = s.lower_to != NULL;
    if (good && out->lowers && out->lower_to < out->raise_to) {
        mistake(b->r, n, "nothing is at least %s and at most %s", s.raise_to, s.lower_to);
    }
    klx_config_unbind(klx_subscription_severity_fields, &s);
}

static void bind_noise(const struct item *item, struct binder *b) {
    struct klx_subscription_settings *out = b->out;
    const struct klx_config_node *channels =
        item->escalate != NULL ? klx_escalate_bind(item->escalate, &out->escalate_after_ms, b->r)
                               : NULL;
    out->repeat_ms = item->repeat_ms;
    if (item->quiet != NULL) {
        klx_hours_bind(item->quiet, &out->quiet, b->r);
    }
    if (channels != NULL) {
        bind_channels(channels, b, &out->escalate_to, &out->escalate_to_n);
    }
}

void klx_subscription_settings_bind(const struct klx_config_node *n,
                                    const struct klx_config_node *file_team,
                                    const struct klx_subscription_env *env,
                                    struct klx_subscription_settings *ret,
                                    struct klx_settings_reporter *r) {
    *ret = (struct klx_subscription_settings){ .file = klx_config_file(n),
                                               .line = klx_config_line(n) };
    struct binder b = { .env = env, .out = ret, .r = r };
    struct item item = { 0 };
    klx_config_bind_all(n, klx_subscription_fields, &item, klx_settings_report_text, r);
    if (klx_config_type(n) == KLX_CONFIG_MAP) {
        bind_team(n, item.team, file_team, &b);
    }
    if (item.topics != NULL) {
        bind_topics(item.topics, &b);
    }
    bind_match(item.match, &b);
    if (item.channels != NULL) {
        bind_channels(item.channels, &b, &ret->channels, &ret->channels_n);
    }
    bind_noise(&item, &b);
    if (item.severity != NULL) {
        bind_told(item.severity, &b);
    }
    if (item.message != NULL) {
        klx_wording_bind(item.message, KLX_WORDING_OF_SUBSCRIPTION, &ret->wording, r);
    }
    ret->history = item.history;
    ret->stops = !item.goes_on;
}

void klx_subscription_match_bind(const struct klx_config_node *match,
                                 struct klx_subscription_settings *ret,
                                 struct klx_settings_reporter *r) {
    *ret = (struct klx_subscription_settings){ .history = true };
    struct binder b = { .out = ret, .r = r };
    bind_match(match, &b);
}

static bool holds(const size_t *channels, size_t n, size_t channel) {
    for (size_t i = 0; i < n; i++) {
        if (channels[i] == channel) {
            return true;
        }
    }
    return false;
}

bool klx_subscription_names(const struct klx_subscription_settings *s, size_t channel) {
    return holds(s->channels, s->channels_n, channel) ||
           holds(s->escalate_to, s->escalate_to_n, channel);
}

size_t klx_subscription_limit_hits(const struct klx_subscription_settings *s) {
    size_t n = klx_match_limit_hits(s->cluster) + klx_match_limit_hits(s->event) +
               klx_match_limit_hits(s->namespace) + klx_match_limit_hits(s->name) +
               klx_match_limit_hits(s->kind) + klx_match_limit_hits(s->reason);
    for (size_t i = 0; i < s->labels_n; i++) {
        n += klx_match_limit_hits(s->labels[i].value);
    }
    return n;
}

void klx_subscription_settings_release(struct klx_subscription_settings *s) {
    klx_match_free(s->cluster);
    klx_match_free(s->event);
    klx_match_free(s->namespace);
    klx_match_free(s->name);
    klx_match_free(s->kind);
    klx_match_free(s->reason);
    for (size_t i = 0; i < s->labels_n; i++) {
        klx_match_free(s->labels[i].value);
    }
    free(s->labels);
    free(s->channels);
    free(s->escalate_to);
    klx_hours_free(s->quiet);
    klx_wording_free(s->wording);
    *s = (struct klx_subscription_settings){ 0 };
}
