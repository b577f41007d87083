#include "sinks/slack/errors.h"

#include <stdio.h>

#include "lib/base/cleanup.h"

#define CODE_BYTES_MAX 63
#define ANSWER_BYTES_MAX (512u << 10)       /* the Web API repeats the whole message */
#define QUOTA_WAIT_MS (60 * INT64_C(60000)) /* a month's quota is not back in minutes */

/* The first line that matches counts; a code that ends in '*' stands for all that begin so. */
static const struct {
    const char *code;
    enum klx_verdict_class class;
} codes[] = {
    { "ratelimited", KLX_VERDICT_RETRY_BACKOFF },
    { "rate_limited", KLX_VERDICT_RETRY_BACKOFF },
    { "service_unavailable", KLX_VERDICT_RETRY_BACKOFF },
    { "request_timeout", KLX_VERDICT_RETRY_BACKOFF },
    { "team_added_to_org", KLX_VERDICT_RETRY_BACKOFF },
    { "org_login_required", KLX_VERDICT_RETRY_BACKOFF },
    { "update_failed", KLX_VERDICT_RETRY_BACKOFF },
    { "external_channel_migrating", KLX_VERDICT_RETRY_BACKOFF },
    { "internal_error", KLX_VERDICT_RETRY_BACKOFF }, /* may be partly done: can duplicate */
    { "fatal_error", KLX_VERDICT_RETRY_BACKOFF },    /* the same */
    { "rollup_error", KLX_VERDICT_RETRY_BACKOFF },
    { "message_limit_exceeded", KLX_VERDICT_RETRY_AFTER },

    { "invalid_payload", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_blocks", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_blocks_format", KLX_VERDICT_REJECT_MESSAGE },
    { "msg_blocks_too_long", KLX_VERDICT_REJECT_MESSAGE },
    { "msg_too_long", KLX_VERDICT_REJECT_MESSAGE },
    { "no_text", KLX_VERDICT_REJECT_MESSAGE },
    { "missing_text_or_fallback_or_attachments", KLX_VERDICT_REJECT_MESSAGE },
    { "too_many_attachments", KLX_VERDICT_REJECT_MESSAGE },
    { "attachment_payload_limit_exceeded", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_attachments", KLX_VERDICT_REJECT_MESSAGE },
    { "markdown_text_conflict", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_metadata_*", KLX_VERDICT_REJECT_MESSAGE },
    { "metadata_too_large", KLX_VERDICT_REJECT_MESSAGE },
    { "metadata_must_be_sent_from_app", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_arg_name", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_arguments", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_array_arg", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_charset", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_form_data", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_json", KLX_VERDICT_REJECT_MESSAGE },
    { "json_not_object", KLX_VERDICT_REJECT_MESSAGE },
    { "invalid_post_type", KLX_VERDICT_REJECT_MESSAGE },
    { "missing_post_type", KLX_VERDICT_REJECT_MESSAGE },
    { "slack_connect_*",
      KLX_VERDICT_REJECT_MESSAGE }, /* …_sharing_blocked: a link that an admin forbids */

    /* The thread or the message to update is not there or closed: klx_slack_is_gone. The two restricted_action_… stand before the prefix. */
    { "message_not_found", KLX_VERDICT_REJECT_MESSAGE },
    { "cant_update_message", KLX_VERDICT_REJECT_MESSAGE },
    { "edit_window_closed", KLX_VERDICT_REJECT_MESSAGE },
    { "block_mismatch", KLX_VERDICT_REJECT_MESSAGE },
    { "is_inactive", KLX_VERDICT_REJECT_MESSAGE },
    { "streaming_state_conflict", KLX_VERDICT_REJECT_MESSAGE },
    { "restricted_action_thread_locked", KLX_VERDICT_REJECT_MESSAGE },
    { "restricted_action_non_threadable_channel", KLX_VERDICT_REJECT_MESSAGE },
    { "thread_not_found", KLX_VERDICT_REJECT_MESSAGE },
    { "cant_broadcast_message", KLX_VERDICT_REJECT_MESSAGE },

    { "restricted_action*", KLX_VERDICT_DESTINATION_BROKEN },
    { "channel_not_found", KLX_VERDICT_DESTINATION_BROKEN },
    { "channel_is_archived", KLX_VERDICT_DESTINATION_BROKEN },
    { "not_in_channel", KLX_VERDICT_DESTINATION_BROKEN },
    { "is_archived", KLX_VERDICT_DESTINATION_BROKEN },
    { "ekm_access_denied", KLX_VERDICT_DESTINATION_BROKEN },
    { "messages_tab_disabled", KLX_VERDICT_DESTINATION_BROKEN },
    { "team_not_found", KLX_VERDICT_DESTINATION_BROKEN },
    { "cannot_reply_to_message", KLX_VERDICT_DESTINATION_BROKEN },
    { "unknown_method", KLX_VERDICT_DESTINATION_BROKEN }, /* base_url is not that of a Web API */
    { "deprecated_endpoint", KLX_VERDICT_DESTINATION_BROKEN },
    { "method_deprecated", KLX_VERDICT_DESTINATION_BROKEN },
    { "action_prohibited", KLX_VERDICT_DESTINATION_BROKEN },
    { "posting_to_general_channel_denied", KLX_VERDICT_DESTINATION_BROKEN },
    { "user_not_found", KLX_VERDICT_DESTINATION_BROKEN },
    { "user_is_restricted", KLX_VERDICT_DESTINATION_BROKEN },
    { "no_service", KLX_VERDICT_DESTINATION_BROKEN },
    { "no_service_id", KLX_VERDICT_DESTINATION_BROKEN },
    { "no_active_hooks", KLX_VERDICT_DESTINATION_BROKEN },
    { "no_team", KLX_VERDICT_DESTINATION_BROKEN },
    { "team_disabled", KLX_VERDICT_DESTINATION_BROKEN },

    { "invalid_token", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "invalid_auth", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "not_authed", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "token_revoked", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "token_expired", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "account_inactive", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "missing_scope", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "not_allowed_token_type", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "no_permission", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "access_denied", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "accesslimited", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "two_factor_setup_required", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "app_access_restricted", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "team_access_not_granted", KLX_VERDICT_CREDENTIAL_BROKEN },
    { "enterprise_is_restricted", KLX_VERDICT_CREDENTIAL_BROKEN },
};

/* Of an edit or a reply. The last four speak of the channel that the handle names, which need not be the configured one any more. */
static const char *const gone[] = {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "block_mismatch",
    "is_inactive",
    "streaming_state_conflict",
    "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel",
    "thread_not_found",
    "cant_broadcast_message",
    "cannot_reply_to_message",
    "channel_not_found",
    "not_in_channel",
    "is_archived",
};

bool klx_slack_is_gone(const char *code) {
    for (size_t i = 0; i < KLX_COUNT(gone); i++) {
        if (klx_sv_eq(klx_sv(code), klx_sv(gone[i]))) {
            return true;
        }
    }
    return false;
}

struct answer {
    bool ok;
    char code[CODE_BYTES_MAX + 1]; /* "": none */
    int64_t retry_after_ms;        /* of the body; -1: none */
};

static bool is_code(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        bool letter = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9');
        if (!letter && s.p[i] != '_') {
            return false;
        }
    }
    return s.n > 0 && s.n <= CODE_BYTES_MAX;
}

static void take_code(struct answer *a, struct klx_sv code) {
    if (is_code(code)) {
        snprintf(a->code, sizeof(a->code), "%.*s", KLX_SV_FMT(code));
    }
}

static void read_json(struct answer *a, struct klx_sv body) {
    struct klx_arena arena;
    const struct klx_json *parsed = NULL;
    klx_arena_init(&arena, 4096, (size_t)4 * ANSWER_BYTES_MAX);
    if (klx_json_parse(&arena, body, NULL, &parsed, NULL) == 0) {
        int64_t seconds = klx_json_int(parsed, "retry_after", -1);
        a->ok = klx_json_bool(parsed, "ok", false);
        a->retry_after_ms = seconds >= 0 && seconds <= 86400 ? seconds * 1000 : -1;
        take_code(a, klx_json_str(parsed, "error"));
    }
    klx_arena_release(&arena);
}

/* "ok", a code, JSON, or something that is not from Slack at all. */
static struct answer read_answer(struct klx_sv body) {
    struct answer a = { .retry_after_ms = -1 };
    struct klx_sv text = klx_sv_trim(body);
    if (text.n > 0 && text.n <= ANSWER_BYTES_MAX && text.p[0] == '{') {
        read_json(&a, text);
    } else if (klx_sv_eq(text, KLX_SV("ok"))) {
        a.ok = true;
    } else {
        take_code(&a, text);
    }
    return a;
}

static bool matches(struct klx_sv code, struct klx_sv pattern) {
    bool prefix = klx_sv_ends(pattern, KLX_SV("*"));
    return prefix ? klx_sv_starts(code, klx_sv_n(pattern.p, pattern.n - 1))
                  : klx_sv_eq(code, pattern);
}

/* Leaves *ret alone when the code is not in the table. */
static void class_of_code(const char *code, enum klx_verdict_class *ret) {
    for (size_t i = 0; i < KLX_COUNT(codes); i++) {
        if (matches(klx_sv(code), klx_sv(codes[i].code))) {
            *ret = codes[i].class;
            return;
        }
    }
}

/* 2xx without "ok", and codes that are new, say only that it did not work: what keeps the message is right. */
static enum klx_verdict_class class_of_status(int status) {
    if (status == 401 || status == 403) {
        return KLX_VERDICT_CREDENTIAL_BROKEN;
    }
    if (status == 400 || status == 413) {
        return KLX_VERDICT_REJECT_MESSAGE;
    }
    return status >= 300 ? KLX_VERDICT_DESTINATION_BROKEN : KLX_VERDICT_RETRY_BACKOFF;
}

static void judge_answer(int status, const struct answer *a, struct klx_sv shown,
                         struct klx_verdict *ret) {
    enum klx_verdict_class class = class_of_status(status);
    char reason[CODE_BYTES_MAX + 1];
    class_of_code(a->code, &class);
    if (a->code[0] != '\0') {
        snprintf(reason, sizeof(reason), "%s", a->code);
    } else if (status / 100 == 2) {
        snprintf(reason, sizeof(reason), "not_ok");
    } else {
        snprintf(reason, sizeof(reason), "http_%d", status);
    }
    klx_verdict_set(ret, class, reason, shown);
    if (class == KLX_VERDICT_RETRY_AFTER) {
        ret->retry_after_ms = QUOTA_WAIT_MS;
    }
}

/* A status that means "not now": class and wait stay, the words are Slack's. */
static void put_words(const struct answer *a, struct klx_sv shown, struct klx_verdict *v) {
    struct klx_verdict same = *v;
    klx_verdict_set(v, same.class, a->code[0] != '\0' ? a->code : same.reason, shown);
    v->retry_after_ms = same.retry_after_ms;
}

void klx_slack_judge(const struct klx_http_result *r, struct klx_sv body, struct klx_verdict *ret) {
    struct answer a = read_answer(body);
    struct klx_http_result shown =
        *r; /* a status counts although its body broke off, and then that is shown */
    shown.body = body;
    if (klx_verdict_from_http(&shown, ret)) {
        if (r->failure == KLX_HTTP_OK) {
            put_words(&a, body, ret);
        }
    } else if (a.ok && r->status / 100 == 2) {
        klx_verdict_set(ret, KLX_VERDICT_DELIVERED, "ok", body);
    } else {
        judge_answer(r->status, &a, body, ret);
    }
    int64_t wait_ms = r->retry_after_ms >= 0 ? r->retry_after_ms : a.retry_after_ms;
    if (ret->class == KLX_VERDICT_RETRY_BACKOFF && wait_ms >= 0) {
        ret->class = KLX_VERDICT_RETRY_AFTER;
        ret->retry_after_ms = wait_ms;
    }
}
