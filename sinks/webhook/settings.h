/*
 * A webhook's configuration, bound, and what is made of it once.
 *
 *     url: https://…                 or  secret_url: {file: F}: whoever has it may send
 *     method: POST                   PUT, PATCH
 *     format: cloudevents            binary mode; cloudevents-structured; template (when there is one)
 *     template: "…"                  or  template_file: F; partials: {name: "…"}; secrets: {name: {file: F}} for {{secrets.name}}
 *     content_type: application/json of a template; escape: json, url, html, none: by the content type
 *     headers: {Name: text or {file: F}}; bearer_token: {file: F}; user, password: {file: F}
 *     signing_secret: {file: F}      Standard Webhooks; several lines are several keys
 *     idempotency_header: Idempotency-Key
 *     responses: [{status: ["2xx"], body: "*error*", outcome: retry}]
 *     timeout: 30s, concurrency: 1, ca_file: F, timezone: Europe/Berlin
 *
 * A secret in a template is put in when the message is sent, not when it is rendered: a payload never holds one (sinks/webhook/body.h).
 */
#pragma once

#include <stdbool.h>

#include "lib/base/config.h"
#include "lib/base/secret.h"
#include "lib/base/template.h"
#include "lib/base/zone.h"
#include "sinks/webhook/rules.h"

#define KLX_WEBHOOK_HEADERS_MAX 16
#define KLX_WEBHOOK_SECRETS_MAX 16
#define KLX_WEBHOOK_PARTIALS_MAX 32
#define KLX_WEBHOOK_CONCURRENCY_MAX 16

struct klx_webhook_config {
    char *url;
    struct klx_secret *secret_url;
    char *method, *format, *template, *content_type, *escape, *user, *idempotency_header, *timezone;
    struct klx_secret *template_file, *bearer_token, *password, *signing_secret, *ca_file;
    const struct klx_config_node *partials, *secrets, *headers, *responses;
    int64_t timeout_ms, concurrency;
};

extern const struct klx_config_field klx_webhook_fields[];

enum klx_webhook_format { KLX_WEBHOOK_BINARY, KLX_WEBHOOK_STRUCTURED, KLX_WEBHOOK_TEMPLATE };

/* A name of the configuration, and a text or a secret. */
struct klx_webhook_value {
    struct klx_sv name;
    char *text; /* NULL: */
    struct klx_secret *secret;
};

struct klx_webhook_settings {
    const struct klx_webhook_config *config;
    enum klx_webhook_format format;
    struct klx_template *template; /* of KLX_WEBHOOK_TEMPLATE */
    klx_escape_fn escape;
    bool json; /* what the template makes must be JSON */
    struct klx_zone *zone;
    struct klx_webhook_value headers[KLX_WEBHOOK_HEADERS_MAX];
    size_t headers_n;
    struct klx_webhook_value secrets[KLX_WEBHOOK_SECRETS_MAX];
    size_t secrets_n;
    struct klx_webhook_rules *rules;
};

/* -EINVAL with the place. `at`: the channel's map, for places; NULL: it was checked before. *ret needs klx_webhook_settings_release
   in any case. Does not read secrets, but for template_file. */
int klx_webhook_settings_read(const struct klx_webhook_config *c, const struct klx_config_node *at,
                              struct klx_webhook_settings *ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_webhook_settings_release(struct klx_webhook_settings *s);
/* What the values of secrets must be: the URL one that may be used, headers without line ends, the signing secret a key. */
int klx_webhook_settings_check(const struct klx_webhook_settings *s,
                               const struct klx_config_node *at,
                               struct klx_error *e) KLX_MUST_CHECK;
/* The URL to send to. */
int klx_webhook_url(const struct klx_webhook_config *c, struct klx_sv *ret,
                    struct klx_error *e) KLX_MUST_CHECK;
