#include "cli/channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/options.h"
#include "sinks/core/route.h"
#include "sinks/core/subject.h"
#include "sinks/core/wording.h"

static const struct klx_sink_ops *const kinds[] = {
#define KLX_SINK(name) &klx_sink_##name,
#include "sinks/core/list.def"
#undef KLX_SINK
};

size_t klx_cli_sinks(const struct klx_sink_ops *ret[static KLX_SINKS_MAX]) {
    _Static_assert(KLX_COUNT(kinds) <= KLX_SINKS_MAX, "raise KLX_SINKS_MAX");
    memcpy(ret, kinds, sizeof(kinds));
    return KLX_COUNT(kinds);
}

static void print_mistake(void *arg, const char *text) {
    fprintf(stderr, "%s: %s\n", (const char *)arg, text);
}

int klx_cli_channels_load(const char *command, const char *file, struct klx_cli_channels *ret) {
    struct klx_error e = { 0 };
    int rc = klx_settings_load(file, &ret->settings, &e);
    if (rc != 0) {
        fprintf(stderr, "%s: %s%s\n", command, e.text,
                rc == -ENOENT ? "; name the configuration with -c FILE or KLAXON_CONFIG" : "");
        return KLX_EXIT_CONFIG;
    }
    size_t wrong =
        klx_sinks_settings_bind_anywhere(&ret->settings, kinds, KLX_COUNT(kinds), &ret->sinks,
                                         print_mistake, (void *)(uintptr_t)command);
    if (wrong > 0) {
        klx_settings_release(&ret->settings);
        return KLX_EXIT_CONFIG;
    }
    return KLX_EXIT_OK;
}

void klx_cli_channels_release(struct klx_cli_channels *c) {
    klx_sinks_settings_release(&c->sinks);
    klx_settings_release(&c->settings);
}

const struct klx_channel_settings *
klx_cli_channel_find(const char *command, const struct klx_cli_channels *c, const char *name) {
    const char **names = klx_alloc_n(const char *, c->sinks.channels_n + 1);
    const struct klx_channel_settings *found = NULL;
    for (size_t i = 0; i < c->sinks.channels_n; i++) {
        names[i] = c->sinks.channels[i].name;
        found = strcmp(name, names[i]) == 0 ? &c->sinks.channels[i] : found;
    }
    if (found == NULL) {
        fprintf(stderr, "%s: there is no channel \"%.80s\"%s\n", command, name,
                klx_config_hint(klx_sv(name), names, c->sinks.channels_n).text);
    }
    free(names);
    return found;
}

size_t klx_cli_channel_subscriptions(const struct klx_cli_channels *c, size_t channel) {
    size_t n = 0;
    for (size_t i = 0; i < c->sinks.subscriptions_n; i++) {
        const struct klx_subscription_settings *s = &c->sinks.subscriptions[i];
        n += klx_subscription_names(s, channel);
    }
    return n;
}

int klx_cli_channel_open(const struct klx_cli_channels *all, const struct klx_channel_settings *s,
                         struct klx_cli_channel *ret, struct klx_error *e) {
    struct klx_loop *loop = klx_loop_new();
    *ret = (struct klx_cli_channel){
        .all = all,
        .settings = s,
        .ops = s->ops,
        .env = { .loop = loop, .http = klx_http_new(loop), .clock = klx_clock_real() },
        .name = s->name,
    };
    return s->ops->open(&ret->env, s->name, s->config, &ret->channel, e);
}

static const struct klx_target *find_target(const struct klx_cli_channel *c,
                                            const struct klx_target *targets, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (&c->all->sinks.channels[targets[i].channel] == c->settings) {
            return &targets[i];
        }
    }
    return NULL;
}

/* The subscription that sends it to the channel, and how bad it is told: as the sink would, or the first of the team. NULL: none does. */
static const struct klx_subscription_settings *find_subscription(const struct klx_cli_channel *c,
                                                                 const struct klx_event_file *f,
                                                                 const char *team,
                                                                 enum klx_severity *severity) {
    const struct klx_sinks_settings *all = &c->all->sinks;
    const struct klx_target *targets = NULL;
    struct klx_subject subject;
    if (team == NULL) {
        struct klx_route *route = klx_route_new(all, c->ops);
        struct klx_event live = f->event;
        live.replay_id = KLX_SV(""); /* nobody is told of a replay; who was told of the event? */
        size_t n = klx_route_match(route, f->topic, &live, f->data, &targets);
        const struct klx_target *t = find_target(c, targets, n);
        const struct klx_subscription_settings *s = t != NULL ? t->subscription : NULL;
        *severity = t != NULL ? t->severity : *severity;
        klx_route_free(route);
        return s;
    }
    klx_subject_init(&subject, &f->event, f->data);
    for (size_t i = 0; i < all->subscriptions_n; i++) {
        const struct klx_subscription_settings *s = &all->subscriptions[i];
        if (klx_sv_eq(s->team, klx_sv(team)) && s->topics[f->topic] &&
            klx_subscription_names(s, (size_t)(c->settings - all->channels)) &&
            klx_subject_match(&subject, s) != KLX_MATCH_NONE) {
            *severity = klx_subject_told(&subject, s);
            return s;
        }
    }
    fprintf(stderr, "no subscription of the team %.80s sends this event to %s\n", team, c->name);
    return NULL;
}

int klx_cli_notice_render(const struct klx_cli_channel *c, const struct klx_notice *notice,
                          const struct klx_subscription_settings *subscription, struct klx_buf *out,
                          struct klx_error *e) {
    struct klx_wording_use words = { .of_subscription =
                                         subscription != NULL ? subscription->wording : NULL,
                                     .of_channel = c->settings->wording };
    struct klx_notice told = *notice;
    told.links = c->all->sinks.links;
    told.wording = &words;
    int rc = c->ops->render(c->channel, &told, out, e);
    if (words.failed > 0) {
        fprintf(stderr, "%s; told in klaxon's own words\n", words.why.text);
    }
    return rc == 0 && klx_buf_check(out) != 0
               ? klx_fail(e, -EMSGSIZE, "the message is larger than %zu bytes",
                          c->ops->payload_bytes_max)
               : rc;
}

int klx_cli_channel_render(const struct klx_cli_channel *c, const struct klx_event_file *f,
                           const char *team, struct klx_buf *out, struct klx_error *e) {
    struct klx_event event = f->event;
    const struct klx_subscription_settings *s = find_subscription(c, f, team, &event.severity);
    const struct klx_notice notice = { .event = &event,
                                       .data = f->data,
                                       .team = team != NULL ? klx_sv(team)
                                               : s != NULL  ? s->team
                                                            : KLX_SV("test"),
                                       .channel = klx_sv(c->name) };
    return klx_cli_notice_render(c, &notice, s, out, e);
}

void klx_cli_channel_close(struct klx_cli_channel *c) {
    if (c->channel != NULL) {
        c->ops->close(c->channel);
    }
    klx_http_free(c->env.http);
    klx_loop_run(c->env.loop); /* the last close callbacks */
    klx_loop_free(c->env.loop);
}

/* The channel, open, or NULL. */
static const struct klx_cli_channel *open_named(struct klx_cli_recipients *r,
                                                struct klx_sv channel) {
    struct klx_error e = { 0 };
    if (r->last.name != NULL && klx_sv_eq(channel, klx_sv(r->last.name))) {
        return r->last.channel != NULL ? &r->last : NULL;
    }
    for (size_t i = 0; i < r->all->sinks.channels_n; i++) {
        const struct klx_channel_settings *s = &r->all->sinks.channels[i];
        if (klx_sv_eq(channel, klx_sv(s->name))) {
            klx_cli_recipients_release(r);
            return klx_cli_channel_open(r->all, s, &r->last, &e) == 0 ? &r->last : NULL;
        }
    }
    return NULL;
}

bool klx_cli_recipients_may_have(struct klx_cli_recipients *r, struct klx_sv channel,
                                 struct klx_sv recipient) {
    const struct klx_cli_channel *c = open_named(r, channel);
    const struct klx_sv *names = NULL;
    if (c == NULL || c->ops->recipients == NULL) {
        return true;
    }
    size_t n = c->ops->recipients(c->channel, &names);
    for (size_t i = 0; i < n; i++) {
        if (klx_sv_eq(names[i], recipient)) {
            return true;
        }
    }
    return false;
}

void klx_cli_recipients_release(struct klx_cli_recipients *r) {
    if (r->last.name != NULL) {
        klx_cli_channel_close(&r->last);
        r->last = (struct klx_cli_channel){ .name = NULL };
    }
}
