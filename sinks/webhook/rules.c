#include "sinks/webhook/rules.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/match.h"
#include "lib/base/mem.h"

#define BODY_BYTES_MATCHED_MAX 65536

struct rule_config {
    struct klx_config_strings status, body;
    char *outcome;
};

struct rule {
    struct rule_config config;
    struct klx_match *body; /* NULL: any */
    enum klx_verdict_class class;
};

struct klx_webhook_rules {
    struct rule rules[KLX_WEBHOOK_RULES_MAX];
    size_t n;
};

const struct klx_config_field klx_webhook_rule_fields[] = {
    { .key = "status",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct rule_config, status),
      .help = "one or a list of statuses, or classes as \"5xx\"; left out: any" },
    { .key = "body",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct rule_config, body),
      .help = "patterns that the answer's body must match; left out: any" },
    { .key = "outcome",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct rule_config, outcome),
      .required = true,
      .help = "delivered, accepted, retry, reject, broken or credential" },
    { .key = NULL },
};

static const struct {
    const char *name;
    enum klx_verdict_class class;
} outcomes[] = {
    { "delivered", KLX_VERDICT_DELIVERED },       { "accepted", KLX_VERDICT_ACCEPTED },
    { "retry", KLX_VERDICT_RETRY_BACKOFF },       { "reject", KLX_VERDICT_REJECT_MESSAGE },
    { "broken", KLX_VERDICT_DESTINATION_BROKEN }, { "credential", KLX_VERDICT_CREDENTIAL_BROKEN },
};

static bool is_status(struct klx_sv s) {
    return s.n == 3 && s.p[0] >= '2' && s.p[0] <= '5' &&
           ((s.p[1] == 'x' && s.p[2] == 'x') ||
            (s.p[1] >= '0' && s.p[1] <= '9' && s.p[2] >= '0' && s.p[2] <= '9'));
}

static int bind_outcome(struct rule *r, const struct klx_config_node *n, struct klx_error *e) {
    for (size_t i = 0; i < KLX_COUNT(outcomes); i++) {
        if (klx_sv_eq(klx_sv(r->config.outcome), klx_sv(outcomes[i].name))) {
            r->class = outcomes[i].class;
            return 0;
        }
    }
    return klx_config_fail(klx_config_get(n, "outcome"), e,
                           "expected delivered, accepted, retry, reject, broken or credential, "
                           "found \"%s\"",
                           r->config.outcome);
}

static int bind_rule(struct rule *r, const struct klx_config_node *n, struct klx_error *e) {
    struct klx_error why = { 0 };
    for (size_t i = 0; i < r->config.status.n; i++) {
        if (!is_status(r->config.status.items[i])) {
            return klx_config_fail(klx_config_get(n, "status"), e,
                                   "expected a status from 200 to 599 or a class such as \"5xx\", "
                                   "found \"%.*s\"",
                                   KLX_SV_FMT(r->config.status.items[i]));
        }
    }
    if (r->config.status.n == 0 && r->config.body.n == 0) {
        return klx_config_fail(n, e,
                               "a rule has a status, a body or both: this one is for every "
                               "answer");
    }
    if (r->config.body.n > 0 &&
        klx_match_new(r->config.body.items, r->config.body.n, &r->body, &why) != 0) {
        return klx_config_fail(klx_config_get(n, "body"), e, "%s", why.text);
    }
    return bind_outcome(r, n, e);
}

int klx_webhook_rules_bind(const struct klx_config_node *n, struct klx_webhook_rules **ret,
                           struct klx_error *e) {
    struct klx_webhook_rules *r = klx_alloc(struct klx_webhook_rules);
    int rc = 0;
    *ret = r;
    if (n != NULL && klx_config_type(n) != KLX_CONFIG_LIST) {
        return klx_config_fail(n, e,
                               "expected a list, for example [{status: 409, outcome: "
                               "delivered}]");
    }
    const struct klx_config_node *item = n != NULL ? klx_config_first(n) : NULL;
    for (; item != NULL && rc == 0; item = klx_config_next(item)) {
        if (r->n == KLX_WEBHOOK_RULES_MAX) {
            return klx_config_fail(item, e, "there are more than %d rules", KLX_WEBHOOK_RULES_MAX);
        }
        rc = klx_config_bind(item, klx_webhook_rule_fields, &r->rules[r->n].config, e);
        rc = rc == 0 ? bind_rule(&r->rules[r->n++], item, e) : rc;
    }
    return rc;
}

void klx_webhook_rules_free(struct klx_webhook_rules *r) {
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        klx_config_unbind(klx_webhook_rule_fields, &r->rules[i].config);
        klx_match_free(r->rules[i].body);
    }
    free(r);
}

static bool matches_status(const struct klx_config_strings *wanted, const char *status) {
    for (size_t i = 0; i < wanted->n; i++) {
        struct klx_sv w = wanted->items[i];
        if (w.p[0] == status[0] && (w.p[1] == 'x' || klx_sv_eq(w, klx_sv(status)))) {
            return true;
        }
    }
    return wanted->n == 0;
}

static const struct rule *find_rule(const struct klx_webhook_rules *r, const char *status,
                                    struct klx_sv shown) {
    struct klx_sv body = klx_sv_utf8_prefix(shown, BODY_BYTES_MATCHED_MAX);
    for (size_t i = 0; i < r->n; i++) {
        if (matches_status(&r->rules[i].config.status, status) &&
            klx_match_test(r->rules[i].body, body)) {
            return &r->rules[i];
        }
    }
    return NULL;
}

static enum klx_verdict_class class_of_status(int status) {
    static const struct {
        int status;
        enum klx_verdict_class class;
    } classes[] = {
        { 202, KLX_VERDICT_ACCEPTED },           { 401, KLX_VERDICT_CREDENTIAL_BROKEN },
        { 403, KLX_VERDICT_CREDENTIAL_BROKEN },  { 404, KLX_VERDICT_DESTINATION_BROKEN },
        { 405, KLX_VERDICT_DESTINATION_BROKEN }, { 407, KLX_VERDICT_CREDENTIAL_BROKEN },
        { 409, KLX_VERDICT_RETRY_BACKOFF },      { 410, KLX_VERDICT_DESTINATION_BROKEN },
        { 423, KLX_VERDICT_RETRY_BACKOFF },      { 424, KLX_VERDICT_RETRY_BACKOFF },
        { 425, KLX_VERDICT_RETRY_BACKOFF },      { 426, KLX_VERDICT_DESTINATION_BROKEN },
        { 451, KLX_VERDICT_DESTINATION_BROKEN },
    };
    for (size_t i = 0; i < KLX_COUNT(classes); i++) {
        if (classes[i].status == status) {
            return classes[i].class;
        }
    }
    return status / 100 == 2   ? KLX_VERDICT_DELIVERED
           : status / 100 == 4 ? KLX_VERDICT_REJECT_MESSAGE
                               : KLX_VERDICT_DESTINATION_BROKEN;
}

/* The server says when: that counts, whoever said that it is to be tried again. */
static void wait_as_told(const struct klx_http_result *result, struct klx_verdict *v) {
    if (v->class == KLX_VERDICT_RETRY_BACKOFF && result->retry_after_ms >= 0) {
        v->class = KLX_VERDICT_RETRY_AFTER;
        v->retry_after_ms = result->retry_after_ms;
    }
}

void klx_webhook_judge(const struct klx_webhook_rules *r, const struct klx_http_result *result,
                       struct klx_sv shown, struct klx_verdict *ret) {
    char status[16], reason[32];
    struct klx_http_result seen = *result;
    bool whole = result->failure == KLX_HTTP_OK || result->failure == KLX_HTTP_TOO_LARGE;
    seen.body = shown;
    snprintf(status, sizeof(status), "%d", result->status);
    snprintf(reason, sizeof(reason), "%s%s", result->status / 100 == 3 ? "redirect_" : "http_",
             status);
    const struct rule *rule = whole ? find_rule(r, status, shown) : NULL;
    if (rule != NULL) {
        klx_verdict_set(ret, rule->class, reason, shown);
    } else if (!klx_verdict_from_http(&seen, ret)) {
        klx_verdict_set(ret, class_of_status(result->status), reason, shown);
    }
    wait_as_told(result, ret);
}
