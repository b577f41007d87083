#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/context_names.h"
#include "sinks/core/settings_subscription.h"
#include "sinks/core/wording_parts.h"

#define ENTRIES_MAX 64
#define FACTS_MAX (KLX_CARD_FACTS_MAX + 1) /* and `defaults` */
#define DEFAULTS KLX_SV("defaults")

struct item {
    const struct klx_config_node *event, *facts;
    char *title, *subject, *summary, *advice, *timezone;
};

const struct klx_config_field klx_wording_fields[] = {
    { .key = "event",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, event),
      .help = "of which events, as node.repair.*; left out: all; of a channel also digest" },
    { .key = "title",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, title),
      .help = "what has happened, in Mustache (docs/templates.md)" },
    { .key = "subject",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, subject),
      .help = "what it is about, in Mustache; a mail's subject" },
    { .key = "summary",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, summary),
      .help = "the text, in Mustache" },
    { .key = "advice",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, advice),
      .help = "what to do, in Mustache; \"\": none" },
    { .key = "facts",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct item, facts),
      .help = "a list of {name, value}; `defaults` in it stands for klaxon's own" },
    { .key = "timezone",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, timezone),
      .otherwise = "UTC",
      .help = "of …_local, as \"Europe/Berlin\"" },
    { .key = NULL },
};

struct fact {
    char *name, *value;
};

const struct klx_config_field klx_wording_fact_fields[] = {
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct fact, name),
      .required = true,
      .help = "in Mustache" },
    { .key = "value",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct fact, value),
      .required = true,
      .help = "in Mustache; empty: the fact is left out" },
    { .key = NULL },
};

struct binder {
    struct klx_settings_reporter *r;
    enum klx_wording_owner owner;
    struct klx_wording *w;
};

static void mistake(struct binder *b, const struct klx_config_node *at, const char *fmt, ...)
    KLX_PRINTF(3, 4);

static void mistake(struct binder *b, const struct klx_config_node *at, const char *fmt, ...) {
    char words[900];
    struct klx_error e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    klx_config_fail(at, &e, "%s", words);
    klx_settings_report(b->r, &e);
}

static void bind_words(struct binder *b, const struct klx_config_node *n, struct klx_words *ret) {
    struct klx_error e = { 0 };
    ret->at = n;
    int rc = klx_template_new(klx_config_scalar(n), &ret->t, &e);
    if (rc == 0 && klx_template_missing(ret->t).n > 0) {
        rc = klx_fail(&e, -EINVAL, "there are no partials here, found {{>%.*s}}",
                      KLX_SV_FMT(klx_template_missing(ret->t)));
    }
    rc = rc == 0 ? klx_context_check_names(ret->t, NULL, &e) : rc;
    if (rc != 0) {
        mistake(b, n, "%s", e.text);
    }
}

static void bind_texts(struct binder *b, const struct klx_config_node *n,
                       struct klx_wording_entry *to) {
    for (size_t i = 0; i < KLX_WORDING_TEXTS_N; i++) {
        const struct klx_wording_text_spec *spec = &klx_wording_texts[i];
        const struct klx_config_node *at = klx_config_get(n, spec->key);
        if (at == NULL || klx_config_type(at) != KLX_CONFIG_SCALAR || klx_config_is_null(at)) {
            continue;
        }
        if (klx_sv_trim(klx_config_scalar(at)).n == 0 && !spec->may_be_empty) {
            mistake(b, at, "a message has a %s: leave it out for klaxon's own", spec->key);
            continue;
        }
        bind_words(b, at, &to->texts[i]);
    }
}

static void bind_fact(struct binder *b, const struct klx_config_node *n,
                      struct klx_wording_fact *to) {
    struct fact fact = { 0 };
    to->defaults = klx_config_type(n) == KLX_CONFIG_SCALAR;
    if (to->defaults && !klx_sv_eq(klx_config_scalar(n), DEFAULTS)) {
        mistake(b, n, "expected {name: …, value: …} or defaults");
    }
    if (to->defaults) {
        return;
    }
    if (klx_config_bind_all(n, klx_wording_fact_fields, &fact, klx_settings_report_text, b->r) ==
        0) {
        bind_words(b, klx_config_get(n, "name"), &to->name);
        bind_words(b, klx_config_get(n, "value"), &to->value);
    }
    klx_config_unbind(klx_wording_fact_fields, &fact);
}

static void bind_facts(struct binder *b, const struct klx_config_node *n,
                       struct klx_wording_entry *to) {
    size_t own = 0, defaults = 0;
    if (klx_config_type(n) != KLX_CONFIG_LIST) {
        mistake(b, n, "expected a list, for example [{name: Owner, value: \"{{team}}\"}]");
        return;
    }
    to->has_facts = true;
    for (const struct klx_config_node *i = klx_config_first(n); i != NULL; i = klx_config_next(i)) {
        if (to->facts_n == FACTS_MAX) {
            mistake(b, i, "a message has at most %d facts", KLX_CARD_FACTS_MAX);
            return;
        }
        to->facts = klx_grow_array(to->facts, to->facts_n, to->facts_n + 1,
                                   sizeof(struct klx_wording_fact));
        struct klx_wording_fact *fact = &to->facts[to->facts_n++];
        bind_fact(b, i, fact);
        own += !fact->defaults;
        defaults += fact->defaults;
        if (own > KLX_CARD_FACTS_MAX || defaults > 1) {
            mistake(b, i,
                    own > KLX_CARD_FACTS_MAX ? "a message has at most 12 facts"
                                             : "defaults is in the list twice");
            return;
        }
    }
    _Static_assert(KLX_CARD_FACTS_MAX == 12, "the message above has the number");
}

static void bind_event(struct binder *b, const struct klx_config_node *n,
                       struct klx_wording_entry *to) {
    if (n == NULL) {
        to->for_events = true;
        return;
    }
    to->event = klx_event_patterns_bind(n, &to->for_digests, b->r);
    to->for_events = to->event != NULL;
    if (to->for_digests && b->owner == KLX_WORDING_OF_SUBSCRIPTION) {
        mistake(b, n, "a digest is of all teams of a channel: put its words at the channel");
    }
}

static bool has_part(const struct klx_wording_entry *e, size_t part) {
    return part < KLX_WORDING_TEXTS_N ? e->texts[part].t != NULL : e->has_facts;
}

/* An entry before this one takes all events, and so this one would never count. */
static void check_order(struct binder *b, size_t at) {
    const struct klx_wording_entry *e = &b->w->entries[at];
    for (size_t part = 0; part <= KLX_WORDING_TEXTS_N; part++) {
        for (size_t i = 0; i < at && has_part(e, part) && !e->for_digests; i++) {
            const struct klx_wording_entry *before = &b->w->entries[i];
            if (before->for_events && before->event == NULL && has_part(before, part)) {
                const char *key =
                    part < KLX_WORDING_TEXTS_N ? klx_wording_texts[part].key : "facts";
                mistake(b, klx_config_get(e->at, key),
                        "the entry in line %u is for every event and has %s too, so this never "
                        "counts: put what is for fewer events first",
                        klx_config_line(before->at), key);
                return;
            }
        }
    }
}

static void bind_zone(struct binder *b, const struct klx_config_node *n, const char *name,
                      struct klx_wording_entry *to) {
    struct klx_error e = { 0 };
    const struct klx_config_node *at = klx_config_get(n, "timezone");
    /* Without a name the zone stays NULL, which all entries share. */
    if (at != NULL && name != NULL && klx_zone_new(klx_sv(name), &to->zone, &e) != 0) {
        mistake(b, at, "%s", e.text);
    }
}

static bool has_value(const struct klx_config_node *n, const char *key) {
    const struct klx_config_node *at = klx_config_get(n, key);
    return at != NULL && !klx_config_is_null(at);
}

static bool is_empty(const struct klx_config_node *n) {
    for (size_t part = 0; part < KLX_WORDING_TEXTS_N; part++) {
        if (has_value(n, klx_wording_texts[part].key)) {
            return false;
        }
    }
    return !has_value(n, "facts");
}

static void bind_entry(struct binder *b, const struct klx_config_node *n) {
    struct klx_wording *w = b->w;
    struct item item = { 0 };
    w->entries = klx_grow_array(w->entries, w->n, w->n + 1, sizeof(struct klx_wording_entry));
    struct klx_wording_entry *to = &w->entries[w->n++];
    to->at = n;
    klx_config_bind_all(n, klx_wording_fields, &item, klx_settings_report_text, b->r);
    bool map = klx_config_type(n) == KLX_CONFIG_MAP;
    if ((map && is_empty(n)) || klx_config_is_null(n)) {
        mistake(b, n, "this changes nothing: expected title, subject, summary, advice or facts");
    }
    if (map) {
        bind_event(b, item.event, to);
        bind_zone(b, n, item.timezone, to);
        bind_texts(b, n, to);
        if (item.facts != NULL) {
            bind_facts(b, item.facts, to);
        }
        check_order(b, w->n - 1);
    }
    klx_config_unbind(klx_wording_fields, &item);
}

void klx_wording_bind(const struct klx_config_node *n, enum klx_wording_owner owner,
                      struct klx_wording **ret, struct klx_settings_reporter *r) {
    struct binder b = { .r = r, .owner = owner, .w = klx_alloc(struct klx_wording) };
    bool list = klx_config_type(n) == KLX_CONFIG_LIST;
    const struct klx_config_node *i = list ? klx_config_first(n) : n;
    *ret = b.w;
    if (i == NULL) {
        mistake(&b, n,
                "the list is empty: expected for example {title: \"{{cluster}}: {{title}}\"}");
    }
    for (; i != NULL; i = list ? klx_config_next(i) : NULL) {
        if (b.w->n == ENTRIES_MAX) {
            mistake(&b, i, "at most %d entries", ENTRIES_MAX);
            return;
        }
        bind_entry(&b, i);
    }
}

static void release_entry(struct klx_wording_entry *e) {
    for (size_t i = 0; i < KLX_WORDING_TEXTS_N; i++) {
        klx_template_free(e->texts[i].t);
    }
    for (size_t i = 0; i < e->facts_n; i++) {
        klx_template_free(e->facts[i].name.t);
        klx_template_free(e->facts[i].value.t);
    }
    free(e->facts);
    klx_match_free(e->event);
    klx_zone_free(e->zone);
}

void klx_wording_free(struct klx_wording *w) {
    for (size_t i = 0; w != NULL && i < w->n; i++) {
        release_entry(&w->entries[i]);
    }
    if (w != NULL) {
        free(w->entries);
    }
    free(w);
}
