/*
 * What an answer means: the rules of the configuration, the first that matches, then the table that is right for most services.
 *
 *     2xx                              delivered; 202 accepted
 *     3xx                              destination_broken "redirect": nothing is followed
 *     400 and other 4xx                reject_message
 *     401, 403, 407                    credential_broken
 *     404, 405, 410, 426, 451          destination_broken
 *     408, 429, 5xx                    retry, when the server says
 *     409, 423, 424, 425               retry: the same request is still under way, or something it needs is
 *     no answer                        as klx_verdict_from_http says; sent whole: ambiguous
 *
 * A rule is tried on every status, 429 and 5xx included, but not when there was no answer.
 */
#pragma once

#include "lib/base/config.h"
#include "lib/io/http.h"
#include "sinks/core/sink.h"

#define KLX_WEBHOOK_RULES_MAX 32

struct klx_webhook_rules;

extern const struct klx_config_field klx_webhook_rule_fields[];

/* `n` NULL: no rules. */
int klx_webhook_rules_bind(const struct klx_config_node *n, struct klx_webhook_rules **ret,
                           struct klx_error *e) KLX_MUST_CHECK;
void klx_webhook_rules_free(struct klx_webhook_rules *r);
/* `shown`: the result's body without secrets, all that is read or kept of it. */
void klx_webhook_judge(const struct klx_webhook_rules *r, const struct klx_http_result *result,
                       struct klx_sv shown, struct klx_verdict *ret);
