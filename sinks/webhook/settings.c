#include "sinks/webhook/settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "sinks/core/secret_url.h"
#include "sinks/webhook/sign.h"

#define NAME_BYTES_MAX 64

const struct klx_config_field klx_webhook_fields[] = {
    { .key = "url",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, url),
      .help = "where messages are sent: https://…" },
    { .key = "secret_url",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_webhook_config, secret_url),
      .help = "in place of url, when whoever has it may send: {file: /path} or {env: NAME}" },
    { .key = "method",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, method),
      .otherwise = "POST",
      .help = "POST, PUT or PATCH" },
    { .key = "format",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, format),
      .help = "cloudevents (binary), cloudevents-structured or template; left out: template when "
              "there is one, else cloudevents" },
    { .key = "template",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, template),
      .help = "the body, in Mustache (docs/templates.md)" },
    { .key = "template_file",
      .kind = KLX_CFG_FILE,
      .offset = offsetof(struct klx_webhook_config, template_file),
      .help = "the same, in a file" },
    { .key = "partials",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_webhook_config, partials),
      .help = "by name: templates that the template takes in, {{>name}}" },
    { .key = "secrets",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_webhook_config, secrets),
      .help = "by name: {file: /path} or {env: NAME}, for {{secrets.name}} in the template" },
    { .key = "content_type",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, content_type),
      .help = "of a template; left out: application/json" },
    { .key = "escape",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, escape),
      .help = "what values in the template are escaped for: json, url, html or none; left out: by "
              "the content type" },
    { .key = "headers",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_webhook_config, headers),
      .help = "by name: a text, {file: /path} or {env: NAME}" },
    { .key = "bearer_token",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_webhook_config, bearer_token),
      .help = "sent as Authorization: Bearer …" },
    { .key = "user",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, user),
      .help = "with password: sent as Authorization: Basic …" },
    { .key = "password",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_webhook_config, password),
      .help = "of the user, as {file: /path} or {env: NAME}" },
    { .key = "signing_secret",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_webhook_config, signing_secret),
      .help = "signs each message as Standard Webhooks does; a key a line" },
    { .key = "idempotency_header",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, idempotency_header),
      .otherwise = "Idempotency-Key",
      .help = "the header that has the message's id, the same for each attempt; \"\": none" },
    { .key = "responses",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_webhook_config, responses),
      .help =
          "what answers mean, where they do not mean the usual; the first that matches counts" },
    { .key = "timeout",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_webhook_config, timeout_ms),
      .otherwise = "30s",
      .min = 1000,
      .max = 300000,
      .help = "how long an answer may take" },
    { .key = "concurrency",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_webhook_config, concurrency),
      .otherwise = "1",
      .min = 1,
      .max = KLX_WEBHOOK_CONCURRENCY_MAX,
      .help = "messages that may be under way at once, of different incidents" },
    { .key = "ca_file",
      .kind = KLX_CFG_FILE,
      .offset = offsetof(struct klx_webhook_config, ca_file),
      .help = "certificates (PEM) to trust instead of the system's" },
    { .key = "timezone",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_webhook_config, timezone),
      .otherwise = "UTC",
      .help = "of …_local in the template, as \"Europe/Berlin\"" },
    { .key = NULL },
};

struct reader {
    const struct klx_webhook_config *c;
    const struct klx_config_node *at;
    struct klx_webhook_settings *s;
    struct klx_error *e;
};

/* At the key, when there is a document to point into. */
static int refuse(const struct reader *r, const char *key, const char *fmt, ...) KLX_PRINTF(3, 4);

static int refuse(const struct reader *r, const char *key, const char *fmt, ...) {
    char why[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    const struct klx_config_node *n = r->at != NULL ? klx_config_get(r->at, key) : NULL;
    n = n != NULL ? n : r->at;
    return n != NULL ? klx_config_fail(n, r->e, "%s", why)
                     : klx_fail(r->e, -EINVAL, "%s: %s", key, why);
}

/* The index of the word among n, or n. */
static size_t word_of(const char *text, const char *const *words, size_t n) {
    size_t i = 0;
    while (i < n && !klx_sv_eq(klx_sv(text), klx_sv(words[i]))) {
        i++;
    }
    return i;
}

static int read_url(const struct reader *r) {
    struct klx_secret_url parsed;
    if ((r->c->url != NULL) == (r->c->secret_url != NULL)) {
        return refuse(r, r->c->url != NULL ? "secret_url" : "url",
                      "a webhook has either url or secret_url");
    }
    const char *problem =
        r->c->url != NULL ? klx_secret_url_parse(klx_sv(r->c->url), &parsed) : NULL;
    return problem == NULL ? 0 : refuse(r, "url", "the URL %s", problem);
}

static int read_method(const struct reader *r) {
    static const char *const methods[] = { "POST", "PUT", "PATCH" };
    return word_of(r->c->method, methods, KLX_COUNT(methods)) < KLX_COUNT(methods)
               ? 0
               : refuse(r, "method", "expected POST, PUT or PATCH, found \"%s\"", r->c->method);
}

static bool has_template(const struct klx_webhook_config *c) {
    return c->template != NULL || c->template_file != NULL;
}

static int read_format(const struct reader *r) {
    static const char *const formats[] = { "cloudevents", "cloudevents-structured", "template" };
    bool template = has_template(r->c);
    if (r->c->format == NULL) {
        r->s->format = template ? KLX_WEBHOOK_TEMPLATE : KLX_WEBHOOK_BINARY;
        return 0;
    }
    size_t i = word_of(r->c->format, formats, KLX_COUNT(formats));
    r->s->format = (enum klx_webhook_format)i;
    if (i == KLX_COUNT(formats)) {
        return refuse(r, "format",
                      "expected cloudevents, cloudevents-structured or template, found \"%s\"",
                      r->c->format);
    }
    return template == (r->s->format == KLX_WEBHOOK_TEMPLATE)
               ? 0
               : refuse(r, "format", "%s",
                        template ? "there is a template, which this format does not use"
                                 : "there is no template: write template or template_file");
}

/* "application/json", of "application/json; charset=utf-8". */
static struct klx_sv media_type(const char *content_type) {
    struct klx_sv rest = klx_sv(content_type);
    return klx_sv_trim(klx_sv_cut(&rest, ';'));
}

static const char *escape_of(struct klx_sv type) {
    if (klx_sv_ends(type, KLX_SV("/json")) || klx_sv_ends(type, KLX_SV("+json"))) {
        return "json";
    }
    if (klx_sv_eq(type, KLX_SV("application/x-www-form-urlencoded"))) {
        return "url";
    }
    if (klx_sv_eq(type, KLX_SV("text/html")) || klx_sv_ends(type, KLX_SV("/xml")) ||
        klx_sv_ends(type, KLX_SV("+xml"))) {
        return "html";
    }
    return klx_sv_eq(type, KLX_SV("text/plain")) ? "none" : NULL;
}

static bool is_header_text(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static int read_escape(const struct reader *r) {
    static const char *const words[] = { "json", "url", "html", "none" };
    static const klx_escape_fn escapes[] = { klx_escape_json, klx_escape_url, klx_escape_html,
                                             klx_escape_none };
    const char *type = r->c->content_type != NULL ? r->c->content_type : "application/json";
    if (!is_header_text(klx_sv(type)) || klx_sv_find(klx_sv(type), '/') == strlen(type)) {
        return refuse(r, "content_type",
                      "expected a content type, for example application/json, found \"%s\"", type);
    }
    const char *word = r->c->escape != NULL ? r->c->escape : escape_of(media_type(type));
    if (word == NULL) {
        return refuse(r, "content_type",
                      "what values are escaped for does not follow from \"%s\": add escape: json, "
                      "url, html or none",
                      type);
    }
    size_t i = word_of(word, words, KLX_COUNT(words));
    if (i == KLX_COUNT(words)) {
        return refuse(r, "escape", "expected json, url, html or none, found \"%s\"", word);
    }
    r->s->escape = escapes[i];
    r->s->json = i == 0;
    return 0;
}

static bool has_controls(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' && c != '\n' && c != '\r' && c != '\t') {
            return true;
        }
    }
    return false;
}

static int read_partials(const struct reader *r, struct klx_template_partial *ret, size_t *ret_n) {
    *ret_n = 0;
    if (r->c->partials == NULL) {
        return 0;
    }
    if (klx_config_type(r->c->partials) != KLX_CONFIG_MAP) {
        return refuse(r, "partials", "expected a map of templates by their names");
    }
    const struct klx_config_node *n = klx_config_first(r->c->partials);
    for (; n != NULL; n = klx_config_next(n)) {
        if (*ret_n == KLX_WEBHOOK_PARTIALS_MAX || klx_config_type(n) != KLX_CONFIG_SCALAR ||
            has_controls(klx_config_scalar(n))) {
            return klx_config_fail(n, r->e, "expected a template, and at most %d of them",
                                   KLX_WEBHOOK_PARTIALS_MAX);
        }
        ret[(*ret_n)++] = (struct klx_template_partial){ klx_config_key(n), klx_config_scalar(n) };
    }
    return 0;
}

static int read_template(const struct reader *r) {
    struct klx_template_partial partials[KLX_WEBHOOK_PARTIALS_MAX];
    const char *key = r->c->template != NULL ? "template" : "template_file";
    struct klx_sv text = klx_sv(r->c->template);
    struct klx_error why = { 0 };
    size_t n = 0;
    if (r->c->template != NULL && r->c->template_file != NULL) {
        return refuse(r, "template_file", "a webhook has either template or template_file");
    }
    int rc = read_partials(r, partials, &n);
    if (rc != 0) {
        return rc;
    }
    if (r->c->template_file != NULL && klx_secret_get(r->c->template_file, &text, &why) != 0) {
        return refuse(r, key, "%s", why.text);
    }
    if (has_controls(text)) {
        return refuse(r, key, "the template holds a control character");
    }
    if (klx_template_new_with(text, partials, n, &r->s->template, &why) != 0) {
        return refuse(r, key, "%s", why.text);
    }
    struct klx_sv missing = klx_template_missing(r->s->template);
    return missing.n == 0 ? 0
                          : refuse(r, key, "there is no partial \"%.*s\": write it in partials",
                                   KLX_SV_FMT(missing));
}

static bool is_token(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && memchr("!#$%&'*+-.^_`|~", s.p[i], 15) == NULL) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

/* A map of texts and secrets: bound by a table that is made of its own keys. */
static int read_values(const struct reader *r, const struct klx_config_node *n, const char *key,
                       struct klx_webhook_value *ret, size_t max, size_t *ret_n) {
    struct klx_config_field fields[KLX_WEBHOOK_HEADERS_MAX + KLX_WEBHOOK_SECRETS_MAX + 1] = {
        { .key = NULL }
    };
    size_t count = 0;
    if (n == NULL) {
        return 0;
    }
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        return refuse(r, key, "expected a map, for example {Name: {file: /path}}");
    }
    const struct klx_config_node *m = klx_config_first(n);
    for (; m != NULL; m = klx_config_next(m), count++) {
        bool text = klx_config_type(m) == KLX_CONFIG_SCALAR;
        if (count == max || !is_token(klx_config_key(m))) {
            return klx_config_fail_key(
                m, r->e, "expected at most %zu names of letters, digits, '-' and '_'", max);
        }
        ret[count].name = klx_config_key(m);
        fields[count] = (struct klx_config_field){
            .key = klx_config_key(m).p,
            .kind = text ? KLX_CFG_STR : KLX_CFG_SECRET,
            .offset = count * sizeof(*ret) + (text ? offsetof(struct klx_webhook_value, text)
                                                   : offsetof(struct klx_webhook_value, secret)),
            .required = true,
        };
    }
    int rc = klx_config_bind(n, fields, ret, r->e);
    *ret_n = rc == 0 ? count : 0;
    return rc;
}

static bool is_credential_name(struct klx_sv name) {
    static const char *const words[] = { "authorization", "token",  "key",      "secret",
                                         "password",      "cookie", "signature" };
    char lower[NAME_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < name.n && i < NAME_BYTES_MAX; i++) {
        lower[i] = (char)tolower((unsigned char)name.p[i]);
    }
    for (size_t i = 0; i < KLX_COUNT(words); i++) {
        if (strstr(lower, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Those that klaxon or HTTP itself says. */
static bool is_ours(const struct klx_webhook_config *c, struct klx_sv name) {
    static const char *const names[] = {
        "Content-Type", "Content-Length", "Transfer-Encoding", "Connection",       "Host",
        "Expect",       "webhook-id",     "webhook-timestamp", "webhook-signature"
    };
    bool authorization = c->bearer_token != NULL || c->password != NULL;
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        if (klx_sv_eq_nocase(name, klx_sv(names[i]))) {
            return true;
        }
    }
    return klx_sv_eq_nocase(name, klx_sv(c->idempotency_header)) ||
           (name.n > 3 && klx_sv_eq_nocase(klx_sv_n(name.p, 3), KLX_SV("ce-"))) ||
           (authorization && klx_sv_eq_nocase(name, KLX_SV("Authorization")));
}

static int read_headers(const struct reader *r) {
    struct klx_webhook_settings *s = r->s;
    int rc = read_values(r, r->c->headers, "headers", s->headers, KLX_WEBHOOK_HEADERS_MAX,
                         &s->headers_n);
    for (size_t i = 0; i < s->headers_n && rc == 0; i++) {
        const struct klx_webhook_value *h = &s->headers[i];
        if (is_ours(r->c, h->name)) {
            rc = refuse(r, "headers", "%.*s is said by klaxon itself: leave it out",
                        KLX_SV_FMT(h->name));
        } else if (h->text != NULL && is_credential_name(h->name)) {
            rc = refuse(r, "headers",
                        "%.*s looks like a credential: give it as {file: /path} or {env: NAME}",
                        KLX_SV_FMT(h->name));
        } else if (h->text != NULL && !is_header_text(klx_sv(h->text))) {
            rc = refuse(r, "headers", "%.*s holds a line end or a control character",
                        KLX_SV_FMT(h->name));
        }
    }
    return rc;
}

static int read_secrets(const struct reader *r) {
    struct klx_webhook_settings *s = r->s;
    int rc = read_values(r, r->c->secrets, "secrets", s->secrets, KLX_WEBHOOK_SECRETS_MAX,
                         &s->secrets_n);
    if (rc == 0 && s->secrets_n > 0 && !has_template(r->c)) {
        return refuse(r, "secrets", "there is no template that could use them");
    }
    for (size_t i = 0; i < s->secrets_n && rc == 0; i++) {
        if (s->secrets[i].text != NULL) {
            rc =
                refuse(r, "secrets", "%.*s is written out: give it as {file: /path} or {env: NAME}",
                       KLX_SV_FMT(s->secrets[i].name));
        }
    }
    return rc;
}

static int read_login(const struct reader *r) {
    const struct klx_webhook_config *c = r->c;
    if ((c->user != NULL) != (c->password != NULL)) {
        return refuse(r, c->user != NULL ? "user" : "password",
                      "user and password belong together");
    }
    if (c->user != NULL && c->bearer_token != NULL) {
        return refuse(r, "bearer_token", "a webhook has either bearer_token or user and password");
    }
    if (c->user != NULL &&
        (!is_header_text(klx_sv(c->user)) || klx_sv_find(klx_sv(c->user), ':') < strlen(c->user))) {
        return refuse(r, "user", "a name without ':' and control characters is needed");
    }
    if (c->idempotency_header[0] != '\0' && !is_token(klx_sv(c->idempotency_header))) {
        return refuse(r, "idempotency_header", "\"%s\" is no name of a header",
                      c->idempotency_header);
    }
    return 0;
}

static int read_zone(const struct reader *r) {
    struct klx_error why = { 0 };
    return klx_zone_new(klx_sv(r->c->timezone), &r->s->zone, &why) == 0
               ? 0
               : refuse(r, "timezone", "%s", why.text);
}

int klx_webhook_settings_read(const struct klx_webhook_config *c, const struct klx_config_node *at,
                              struct klx_webhook_settings *ret, struct klx_error *e) {
    const struct reader r = { c, at, ret, e };
    int (*const steps[])(const struct reader *) = { read_url,     read_method, read_format,
                                                    read_headers, read_login,  read_secrets,
                                                    read_zone };
    *ret = (struct klx_webhook_settings){ .config = c };
    int rc = 0;
    for (size_t i = 0; i < KLX_COUNT(steps) && rc == 0; i++) {
        rc = steps[i](&r);
    }
    if (rc == 0 && ret->format == KLX_WEBHOOK_TEMPLATE) {
        rc = read_escape(&r);
        rc = rc == 0 ? read_template(&r) : rc;
    } else if (rc == 0 && (c->content_type != NULL || c->escape != NULL || c->partials != NULL)) {
        rc = refuse(&r,
                    c->content_type != NULL ? "content_type"
                    : c->escape != NULL     ? "escape"
                                            : "partials",
                    "this is for a template, and there is none");
    }
    return rc == 0 ? klx_webhook_rules_bind(c->responses, &ret->rules, e) : rc;
}

static void release_values(struct klx_webhook_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(values[i].text);
        klx_secret_free(values[i].secret);
    }
}

void klx_webhook_settings_release(struct klx_webhook_settings *s) {
    klx_template_free(s->template);
    klx_zone_free(s->zone);
    release_values(s->headers, s->headers_n);
    release_values(s->secrets, s->secrets_n);
    klx_webhook_rules_free(s->rules);
    *s = (struct klx_webhook_settings){ 0 };
}

int klx_webhook_url(const struct klx_webhook_config *c, struct klx_sv *ret, struct klx_error *e) {
    struct klx_secret_url parsed;
    struct klx_sv url = klx_sv(c->url);
    if (c->secret_url != NULL) {
        int rc = klx_secret_get(c->secret_url, &url, e);
        if (rc != 0) {
            return rc;
        }
        url = klx_sv_trim(url);
    }
    const char *problem = klx_secret_url_parse(url, &parsed);
    if (problem != NULL) {
        return klx_fail(e, -EINVAL, "the webhook's URL in %s %s",
                        c->secret_url != NULL ? klx_secret_where(c->secret_url) : "url", problem);
    }
    *ret = url;
    return 0;
}

/* Of a header, or a part of one. */
static int check_header_secret(const struct reader *r, const char *key, struct klx_secret *secret) {
    struct klx_sv value = { 0 };
    struct klx_error why = { 0 };
    if (secret == NULL) {
        return 0;
    }
    if (klx_secret_get(secret, &value, &why) != 0) {
        return refuse(r, key, "%s", why.text);
    }
    return is_header_text(value) ? 0
                                 : refuse(r, key, "%s holds a line end or a control character",
                                          klx_secret_where(secret));
}

static int check_url(const struct reader *r) {
    struct klx_sv url;
    struct klx_error why = { 0 };
    return klx_webhook_url(r->c, &url, &why) == 0
               ? 0
               : refuse(r, r->c->url != NULL ? "url" : "secret_url", "%s", why.text);
}

static int check_signing(const struct reader *r) {
    struct klx_sv keys = { 0 };
    struct klx_error why = { 0 };
    if (r->c->signing_secret == NULL) {
        return 0;
    }
    int rc = klx_secret_get(r->c->signing_secret, &keys, &why);
    rc = rc == 0 ? klx_webhook_sign_check(keys, klx_secret_where(r->c->signing_secret), &why) : rc;
    return rc == 0 ? 0 : refuse(r, "signing_secret", "%s", why.text);
}

int klx_webhook_settings_check(const struct klx_webhook_settings *s,
                               const struct klx_config_node *at, struct klx_error *e) {
    const struct reader r = { s->config, at, NULL, e };
    struct klx_sv value;
    struct klx_error why = { 0 };
    int rc = check_url(&r);
    rc = rc == 0 ? check_header_secret(&r, "bearer_token", s->config->bearer_token) : rc;
    rc = rc == 0 ? check_header_secret(&r, "password", s->config->password) : rc;
    rc = rc == 0 ? check_signing(&r) : rc;
    for (size_t i = 0; i < s->headers_n && rc == 0; i++) {
        rc = check_header_secret(&r, "headers", s->headers[i].secret);
    }
    for (size_t i = 0; i < s->secrets_n && rc == 0; i++) {
        if (klx_secret_get(s->secrets[i].secret, &value, &why) != 0) {
            rc = refuse(&r, "secrets", "%s", why.text);
        }
    }
    return rc;
}
