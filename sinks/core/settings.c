#include "sinks/core/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "sinks/core/noise/settings_noise.h"
#include "sinks/core/settings_subscription.h"
#include "sinks/core/wording.h"

#define CHANNEL_NAME_BYTES_MAX 63

/* Only names, so that a process does not link the kinds it does not serve. */
static const char *const kinds[] = {
#define KLX_SINK(name) #name,
#include "sinks/core/list.def"
#undef KLX_SINK
};

const struct klx_config_field klx_sink_process_fields[] = {
    { .key = "listen",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_sink_process_settings, listen),
      .help = "host:port of /metrics, /healthz and /readyz; left out: no server" },
    { .key = "queue",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_sink_process_settings, queue),
      .otherwise = "1000",
      .min = 1,
      .max = 100000,
      .help = "deliveries that may wait for one channel; then reading stops" },
    { .key = "give_up_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_sink_process_settings, give_up_after_ms),
      .otherwise = "24h",
      .min = 1000,
      .max = 30LL * 86400 * 1000,
      .help = "a delivery that was tried for so long becomes a dead letter" },
    { .key = "park_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_sink_process_settings, park_after_ms),
      .otherwise = "30s",
      .min = 1000,
      .max = 86400 * 1000,
      .help = "a channel that has failed for so long is parked on klaxon.retry" },
    { .key = NULL },
};

struct binder {
    const struct klx_settings *s;
    const struct klx_sink_ops *const *ops;
    size_t ops_n;
    struct klx_sinks_settings out;
    struct klx_settings_reporter r;
    bool anywhere; /* a secret that cannot be read is no mistake */
};

void klx_settings_report_text(void *arg, const char *text) {
    struct klx_settings_reporter *r = arg;
    r->mistakes++;
    r->report(r->arg, text);
}

void klx_settings_report(struct klx_settings_reporter *r, const struct klx_error *e) {
    klx_settings_report_text(r, e->text);
}

static bool is_kind(struct klx_sv name) {
    for (size_t i = 0; i < KLX_COUNT(kinds); i++) {
        if (klx_sv_eq(name, klx_sv(kinds[i]))) {
            return true;
        }
    }
    return false;
}

/* "slack or email" */
static struct klx_config_hint kinds_in_words(void) {
    struct klx_config_hint words = { "" };
    size_t n = 0;
    for (size_t i = 0; i < KLX_COUNT(kinds); i++) {
        const char *before = i == 0 ? "" : i + 1 == KLX_COUNT(kinds) ? " or " : ", ";
        n += (size_t)snprintf(words.text + n, sizeof(words.text) - n, "%s%s", before, kinds[i]);
    }
    return words;
}

static void unknown_kind(struct binder *b, const struct klx_config_node *n) {
    struct klx_config_hint hint = klx_config_hint(klx_config_key(n), kinds, KLX_COUNT(kinds));
    struct klx_error e;
    klx_config_fail_key(n, &e, "there is no kind of sink \"%.*s\"%s%s",
                        KLX_SV_FMT(klx_config_key(n)), hint.text[0] != '\0' ? hint.text : ": ",
                        hint.text[0] != '\0' ? "" : kinds_in_words().text);
    klx_settings_report(&b->r, &e);
}

static const struct klx_sink_ops *ops_of(const struct binder *b, struct klx_sv kind) {
    for (size_t i = 0; i < b->ops_n; i++) {
        if (klx_sv_eq(kind, klx_sv(b->ops[i]->name))) {
            return b->ops[i];
        }
    }
    return NULL;
}

/* A process without a line under `sinks` runs with the defaults, which an empty map gives. */
static void bind_process_defaults(struct binder *b) {
    struct klx_config *none = NULL;
    struct klx_error e = { 0 };
    int rc = klx_config_parse(KLX_SV("{}"), "defaults", &none, &e);
    rc = rc == 0
             ? klx_config_bind(klx_config_root(none), klx_sink_process_fields, &b->out.process, &e)
             : rc;
    if (rc != 0) {
        klx_settings_report(&b->r, &e);
    }
    klx_config_free(none);
}

static void bind_processes(struct binder *b) {
    bool bound = false;
    const struct klx_config_node *n = b->s->sinks != NULL ? klx_config_first(b->s->sinks) : NULL;
    for (; n != NULL; n = klx_config_next(n)) {
        const struct klx_sink_ops *ops = ops_of(b, klx_config_key(n));
        if (ops == NULL && !is_kind(klx_config_key(n))) {
            unknown_kind(b, n);
        }
        if (ops == NULL) {
            continue;
        }
        struct klx_sink_process_settings p = { 0 };
        klx_config_bind_all(n, klx_sink_process_fields, &p, klx_settings_report_text, &b->r);
        if (ops == b->ops[0]) {
            b->out.process = p;
            bound = true;
        } else {
            klx_config_unbind(klx_sink_process_fields, &p);
        }
    }
    if (!bound) {
        bind_process_defaults(b);
    }
}

/* The name stands in keys of records and labels of metrics. */
static bool is_channel_name(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= CHANNEL_NAME_BYTES_MAX;
}

static struct klx_secret *secret_of(const struct klx_config_field *f, const void *config) {
    bool is_file = f->kind == KLX_CFG_SECRET || f->kind == KLX_CFG_FILE;
    return is_file ? *(struct klx_secret *const *)((const char *)config + f->offset) : NULL;
}

static bool is_readable(struct klx_secret *secret, struct klx_error *why) {
    struct klx_sv value;
    return secret == NULL || klx_secret_get(secret, &value, why) == 0;
}

/* Secrets and other files that cannot be read are said here, for every kind of sink in the same words. */
static void read_secrets(struct binder *b, const struct klx_sink_ops *ops,
                         const struct klx_config_node *n, const void *config) {
    for (const struct klx_config_field *f = ops->fields; f->key != NULL; f++) {
        struct klx_error e = { 0 }, why = { 0 };
        if (!is_readable(secret_of(f, config), &why) && !b->anywhere) {
            klx_config_fail(klx_config_get(n, f->key), &e, "%s", why.text);
            klx_settings_report(&b->r, &e);
        }
    }
}

/* What the sink's own check says of such a file is said already, or not to be said. */
static bool is_about_unreadable(const struct klx_sink_ops *ops, const struct klx_config_node *n,
                                const void *config, const char *text) {
    for (const struct klx_config_field *f = ops->fields; f->key != NULL; f++) {
        struct klx_error place = { 0 }, why = { 0 };
        if (is_readable(secret_of(f, config), &why)) {
            continue;
        }
        klx_config_fail(klx_config_get(n, f->key), &place, "%s", "");
        if (klx_sv_starts(klx_sv(text), klx_sv(place.text))) {
            return true;
        }
    }
    return false;
}

static int bind_config(const struct klx_sink_ops *ops, const struct klx_config_node *n,
                       struct binder *b, void **ret) {
    size_t before = b->r.mistakes;
    void *config = klx_new_bytes(ops->config_bytes > 0 ? ops->config_bytes : 1);
    klx_config_bind_all(n, ops->fields, config, klx_settings_report_text, &b->r);
    bool complete = b->r.mistakes == before;
    read_secrets(b, ops, n, config);
    struct klx_error e = { 0 };
    if (complete && ops->check != NULL && ops->check(config, n, &e) != 0 &&
        !is_about_unreadable(ops, n, config, e.text)) {
        klx_settings_report(&b->r, &e);
    }
    if (b->r.mistakes == before && !b->anywhere && ops->check_here != NULL &&
        ops->check_here(config, n, &e) != 0) {
        klx_settings_report(&b->r, &e);
    }
    if (b->r.mistakes != before) {
        klx_config_unbind(ops->fields, config);
        free(config);
        return -EINVAL;
    }
    *ret = config;
    return 0;
}

/* The member itself, or else the next one, that may be the kind. */
static const struct klx_config_node *kind_from(const struct klx_config_node *member) {
    while (member != NULL && (klx_sv_eq(klx_config_key(member), KLX_SV("throttle")) ||
                              klx_sv_eq(klx_config_key(member), KLX_SV("message")))) {
        member = klx_config_next(member);
    }
    return member;
}

/* Two members that may be the kind, and are not both. */
static void report_second(struct binder *b, const struct klx_config_node *first,
                          const struct klx_config_node *second) {
    static const char *const beside[] = { "throttle", "message" };
    struct klx_error e;
    bool one = is_kind(klx_config_key(first)) != is_kind(klx_config_key(second));
    if (!one) {
        klx_config_fail_key(second, &e,
                            "a channel has one kind of sink, found \"%.*s\" and \"%.*s\": make two "
                            "channels",
                            KLX_SV_FMT(klx_config_key(first)), KLX_SV_FMT(klx_config_key(second)));
    } else {
        const struct klx_config_node *unknown = is_kind(klx_config_key(first)) ? second : first;
        struct klx_config_hint hint =
            klx_config_hint(klx_config_key(unknown), beside, KLX_COUNT(beside));
        klx_config_fail_key(
            unknown, &e, "unknown key \"%.*s\"%s", KLX_SV_FMT(klx_config_key(unknown)),
            hint.text[0] != '\0' ? hint.text
                                 : ": a channel has its kind, and may have throttle and message");
    }
    klx_settings_report(&b->r, &e);
}

/* The one member of the channel's map that names a kind of sink, or NULL after a report. */
static const struct klx_config_node *only_kind(struct binder *b, const struct klx_config_node *n) {
    struct klx_error e;
    const struct klx_config_node *kind = kind_from(klx_config_first(n));
    if (klx_config_type(n) != KLX_CONFIG_MAP || kind == NULL) {
        klx_config_fail(n, &e,
                        "expected the kind of sink, %s, with its settings, for example "
                        "{slack: {…}}",
                        kinds_in_words().text);
        klx_settings_report(&b->r, &e);
        return NULL;
    }
    const struct klx_config_node *second = kind_from(klx_config_next(kind));
    if (second != NULL) {
        report_second(b, kind, second);
        return NULL;
    }
    return kind;
}

static bool has_kind(const struct klx_config_node *channel) {
    const struct klx_config_node *member = klx_config_first(channel);
    while (member != NULL && !is_kind(klx_config_key(member))) {
        member = klx_config_next(member);
    }
    return member != NULL;
}

/* `kafka:` in a file of channels.d/, say. */
static bool is_misplaced(const struct klx_config_node *n) {
    const struct klx_config_field *f = klx_settings_fields;
    while (f->key != NULL && !klx_sv_eq(klx_config_key(n), klx_sv(f->key))) {
        f++;
    }
    return f->key != NULL && !has_kind(n);
}

static void bind_wording(struct binder *b, const struct klx_config_node *n,
                         struct klx_channel_settings *to) {
    struct klx_error e;
    if (n == NULL) {
        return;
    }
    klx_wording_bind(n, KLX_WORDING_OF_CHANNEL, &to->wording, &b->r);
    if (to->ops != NULL && klx_channel_sends_data(to)) {
        klx_config_fail_key(n, &e,
                            "this channel is sent data and no message for people: these words "
                            "would be nowhere");
        klx_settings_report(&b->r, &e);
    }
}

static void bind_channel(struct binder *b, const struct klx_config_node *n,
                         struct klx_channel_settings *to) {
    struct klx_error e;
    /* Also when something is wrong: then subscriptions that name it are right nevertheless. The key is NUL-terminated. */
    *to = (struct klx_channel_settings){ .name = klx_config_key(n).p, .sink = "", .at = n };
    if (!is_channel_name(klx_config_key(n))) {
        klx_config_fail_key(
            n, &e,
            "the name of a channel is 1 to %d of letters, digits, '-', '_' and '.', "
            "found \"%.*s\"",
            CHANNEL_NAME_BYTES_MAX, KLX_SV_FMT(klx_config_key(n)));
        klx_settings_report(&b->r, &e);
    }
    if (is_misplaced(n)) {
        klx_config_fail_key(
            n, &e,
            "\"%.*s\" is a key of klaxon.yaml and no channel: a file of channels.d/ "
            "has channels only",
            KLX_SV_FMT(klx_config_key(n)));
        klx_settings_report(&b->r, &e);
        return;
    }
    const struct klx_config_node *kind = only_kind(b, n);
    if (kind == NULL) {
        return;
    }
    const struct klx_sink_ops *ops = ops_of(b, klx_config_key(kind));
    if (ops == NULL && !is_kind(klx_config_key(kind))) {
        unknown_kind(b, kind);
        return;
    }
    to->sink = klx_config_key(kind).p;
    if (ops == NULL) {
        return;
    }
    klx_throttle_bind(klx_config_get(n, "throttle"), ops, &to->throttle, &b->r);
    if (bind_config(ops, kind, b, &to->config) == 0) {
        to->ops = ops;
    }
    bind_wording(b, klx_config_get(n, "message"), to);
}

bool klx_channel_sends_data(const struct klx_channel_settings *c) {
    return c->ops != NULL && c->ops->sends_data != NULL && c->ops->sends_data(c->config);
}

static size_t bind_all(struct binder *b, struct klx_sinks_settings *ret) {
    const struct klx_settings *s = b->s;
    b->out = (struct klx_sinks_settings){
        .channels = klx_alloc_n(struct klx_channel_settings, s->channels_n),
        .channels_n = s->channels_n,
        .subscriptions = klx_alloc_n(struct klx_subscription_settings, s->subscriptions_n),
        .subscriptions_n = s->subscriptions_n,
    };
    bind_processes(b);
    klx_links_bind(s->links, &b->out.links, klx_settings_report_text, &b->r);
    for (size_t i = 0; i < s->channels_n; i++) {
        bind_channel(b, s->channels[i], &b->out.channels[i]);
    }
    const struct klx_subscription_env env = { .topics = &s->topics,
                                              .channels = b->out.channels,
                                              .channels_n = b->out.channels_n };
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        klx_subscription_settings_bind(s->subscriptions[i], s->subscription_teams[i], &env,
                                       &b->out.subscriptions[i], &b->r);
    }
    if (b->r.mistakes > 0) {
        klx_sinks_settings_release(&b->out);
    } else {
        *ret = b->out;
    }
    return b->r.mistakes;
}

size_t klx_sinks_settings_bind(const struct klx_settings *s, const struct klx_sink_ops *const *ops,
                               size_t ops_n, struct klx_sinks_settings *ret,
                               void (*report)(void *arg, const char *text), void *arg) {
    struct binder b = { .s = s, .ops = ops, .ops_n = ops_n, .r = { report, arg, 0 } };
    return bind_all(&b, ret);
}

size_t klx_sinks_settings_bind_anywhere(const struct klx_settings *s,
                                        const struct klx_sink_ops *const *ops, size_t ops_n,
                                        struct klx_sinks_settings *ret,
                                        void (*report)(void *arg, const char *text), void *arg) {
    struct binder b = {
        .s = s, .ops = ops, .ops_n = ops_n, .r = { report, arg, 0 }, .anywhere = true
    };
    return bind_all(&b, ret);
}

void klx_sinks_settings_release(struct klx_sinks_settings *s) {
    klx_config_unbind(klx_sink_process_fields, &s->process);
    klx_links_free(s->links);
    for (size_t i = 0; i < s->channels_n; i++) {
        struct klx_channel_settings *c = &s->channels[i];
        klx_wording_free(c->wording);
        if (c->config != NULL) {
            klx_config_unbind(c->ops->fields, c->config);
            free(c->config);
        }
    }
    free(s->channels);
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        klx_subscription_settings_release(&s->subscriptions[i]);
    }
    free(s->subscriptions);
    *s = (struct klx_sinks_settings){ 0 };
}
