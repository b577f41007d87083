/* Every code that Slack is known to answer with, and what is made of it. */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "sinks/slack/errors.h"

#define HOUR_MS INT64_C(3600000)

static struct klx_verdict judge(int status, int64_t retry_after_ms, const char *body) {
    const struct klx_http_result r = { .failure = KLX_HTTP_OK,
                                       .request_sent = true,
                                       .status = status,
                                       .retry_after_ms = retry_after_ms,
                                       .body = klx_sv(body),
                                       .error = "" };
    struct klx_verdict v = { 0 };
    klx_slack_judge(&r, r.body, &v);
    return v;
}

static const char *const retried[] = {
    "ratelimited",
    "rate_limited",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "update_failed",
    "external_channel_migrating",
    "internal_error",
    "org_login_required",
    "fatal_error",
    "rollup_error",
};
static const char *const bad_messages[] = {
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
    "invalid_attachments",
    "invalid_payload",
    "attachment_payload_limit_exceeded",
    "markdown_text_conflict",
    "metadata_too_large",
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "invalid_arg_name",
    "invalid_array_arg",
    "invalid_charset",
    "invalid_form_data",
    "invalid_post_type",
    "missing_post_type",
    "missing_text_or_fallback_or_attachments",
    "metadata_must_be_sent_from_app",
    "invalid_arguments",
    "invalid_json",
    "json_not_object",
    "slack_connect_file_link_sharing_blocked",
    /* a new message helps where an update or a thread is impossible */
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "block_mismatch",
    "is_inactive",
    "streaming_state_conflict",
    "thread_not_found",
    "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel",
    "cant_broadcast_message",
};
static const char *const broken_destinations[] = {
    "channel_not_found",
    "not_in_channel",
    "is_archived",
    "restricted_action",
    "ekm_access_denied",
    "restricted_action_read_only_channel",
    "messages_tab_disabled",
    "restricted_action_thread_only_channel",
    "team_not_found",
    "posting_to_general_channel_denied",
    "cannot_reply_to_message",
    "channel_is_archived",
    "action_prohibited",
    "user_not_found",
    "no_service",
    "no_active_hooks",
    "no_service_id",
    "no_team",
    "team_disabled",
    "user_is_restricted",
    "unknown_method",
    "deprecated_endpoint",
    "method_deprecated",
};
static const char *const broken_credentials[] = {
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "access_denied",
    "accesslimited",
    "invalid_token",
    "two_factor_setup_required",
    "app_access_restricted",
    "team_access_not_granted",
    "enterprise_is_restricted",
};

/* As the Web API says it, and as a webhook does: with a status that alone would mean something else. */
static void check_codes(const char *const *codes, size_t n, enum klx_verdict_class class,
                        int misleading) {
    for (size_t i = 0; i < n; i++) {
        char json[256];
        snprintf(json, sizeof(json), "{\"ok\":false,\"error\":\"%s\",\"needed\":\"x\"}", codes[i]);
        struct klx_verdict api = judge(200, -1, json);
        struct klx_verdict hook = judge(misleading, -1, codes[i]);
        if (api.class != class || hook.class != class) {
            fail_msg("%s: %s and %s", codes[i], klx_verdict_name(api.class),
                     klx_verdict_name(hook.class));
        }
        assert_string_equal(api.reason, codes[i]);
        assert_string_equal(api.answer, json);
        assert_string_equal(hook.reason, codes[i]);
        assert_string_equal(hook.answer, codes[i]);
    }
}

static void every_code_has_its_class(void **state) {
    (void)state;
    check_codes(retried, KLX_COUNT(retried), KLX_VERDICT_RETRY_BACKOFF, 404);
    check_codes(bad_messages, KLX_COUNT(bad_messages), KLX_VERDICT_REJECT_MESSAGE, 404);
    check_codes(broken_destinations, KLX_COUNT(broken_destinations), KLX_VERDICT_DESTINATION_BROKEN,
                403);
    check_codes(broken_credentials, KLX_COUNT(broken_credentials), KLX_VERDICT_CREDENTIAL_BROKEN,
                404);
}

/* To an edit or a reply: a new message helps. */
static void what_is_gone_can_be_told_anew(void **state) {
    (void)state;
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
    for (size_t i = 0; i < KLX_COUNT(gone); i++) {
        if (!klx_slack_is_gone(gone[i])) {
            fail_msg("%s", gone[i]);
        }
    }
    assert_false(klx_slack_is_gone("restricted_action"));
    assert_false(klx_slack_is_gone("invalid_blocks"));
    assert_false(klx_slack_is_gone(""));
}

static void a_code_counts_more_than_its_status(void **state) {
    (void)state;
    assert_int_equal(judge(400, -1, "user_not_found").class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_int_equal(judge(403, -1, "action_prohibited").class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_int_equal(judge(403, -1, "invalid_token").class, KLX_VERDICT_CREDENTIAL_BROKEN);
    assert_int_equal(judge(410, -1, "channel_is_archived\n").class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_int_equal(judge(404, -1, "invalid_blocks").class, KLX_VERDICT_REJECT_MESSAGE);
}

static void only_ok_is_delivered(void **state) {
    (void)state;
    struct klx_verdict v = judge(200, -1, "ok");
    assert_int_equal(v.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(v.reason, "ok");
    assert_string_equal(v.answer, "ok");
    assert_int_equal(judge(200, -1, "{\"ok\":true,\"ts\":\"1.2\"}").class, KLX_VERDICT_DELIVERED);
    v = judge(200, -1, "<html>Please log in</html>");
    assert_int_equal(v.class, KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(v.reason, "not_ok");
    assert_string_equal(v.answer, "<html>Please log in</html>");
    assert_int_equal(judge(200, -1, "").class, KLX_VERDICT_RETRY_BACKOFF);
    assert_int_equal(judge(200, -1, "{\"ok\":").class, KLX_VERDICT_RETRY_BACKOFF);
    assert_int_equal(judge(404, -1, "ok").class, KLX_VERDICT_DESTINATION_BROKEN);
}

static void what_is_not_known_goes_by_its_status(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { 200, "{\"ok\":false,\"error\":\"of_next_year\"}", KLX_VERDICT_RETRY_BACKOFF,
          "of_next_year" },
        { 302, "", KLX_VERDICT_DESTINATION_BROKEN, "http_302" },
        { 400, "of_next_year", KLX_VERDICT_REJECT_MESSAGE, "of_next_year" },
        { 401, "", KLX_VERDICT_CREDENTIAL_BROKEN, "http_401" },
        { 403, "Forbidden by proxy", KLX_VERDICT_CREDENTIAL_BROKEN, "http_403" },
        { 404, "<h1>Not Found</h1>", KLX_VERDICT_DESTINATION_BROKEN, "http_404" },
        { 410, "gone", KLX_VERDICT_DESTINATION_BROKEN, "gone" },
        { 413, "", KLX_VERDICT_REJECT_MESSAGE, "http_413" },
        { 500, "", KLX_VERDICT_RETRY_BACKOFF, "http_500" },
        { 503, "<html>busy</html>", KLX_VERDICT_RETRY_BACKOFF, "http_503" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_verdict v = judge(cases[i].status, -1, cases[i].body);
        assert_int_equal(v.class, cases[i].class);
        assert_string_equal(v.reason, cases[i].reason);
    }
}

static void slack_says_when(void **state) {
    (void)state;
    static const char body[] = "{\"retry_after\":3,\"ok\":false,\"error\":\"rate_limited\"}";
    static const struct {
        int status;
        int64_t header_ms;
        const char *body;
        enum klx_verdict_class class;
        int64_t wait_ms;
        const char *reason;
    } cases[] = {
        { 429, 7000, body, KLX_VERDICT_RETRY_AFTER, 7000, "rate_limited" }, /* the header counts */
        { 429, -1, body, KLX_VERDICT_RETRY_AFTER, 3000, "rate_limited" },
        { 429, 7000, "", KLX_VERDICT_RETRY_AFTER, 7000, "http_429" },
        { 429, -1, "", KLX_VERDICT_RETRY_BACKOFF, 0, "http_429" },
        { 200, 9000, "{\"ok\":false,\"error\":\"ratelimited\"}", KLX_VERDICT_RETRY_AFTER, 9000,
          "ratelimited" },
        { 503, 60000, "", KLX_VERDICT_RETRY_AFTER, 60000, "http_503" },
        { 200, -1, "{\"ok\":false,\"error\":\"message_limit_exceeded\"}", KLX_VERDICT_RETRY_AFTER,
          HOUR_MS, "message_limit_exceeded" },
        { 404, 7000, "no_service", KLX_VERDICT_DESTINATION_BROKEN, 0, "no_service" },
        { 429, -1, "{\"retry_after\":-5}", KLX_VERDICT_RETRY_BACKOFF, 0, "http_429" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_verdict v = judge(cases[i].status, cases[i].header_ms, cases[i].body);
        assert_int_equal(v.class, cases[i].class);
        assert_int_equal(v.retry_after_ms, cases[i].wait_ms);
        assert_string_equal(v.reason, cases[i].reason);
    }
}

/* No answer at all: the words are the transport's, and what had gone out whole may be there. */
static void silence_is_not_a_refusal(void **state) {
    (void)state;
    struct klx_http_result r = { .failure = KLX_HTTP_BROKEN,
                                 .request_sent = true,
                                 .retry_after_ms = -1,
                                 .error = "Recv failure" };
    struct klx_verdict v = { 0 };
    klx_slack_judge(&r, klx_sv(NULL), &v);
    assert_int_equal(v.class, KLX_VERDICT_AMBIGUOUS);
    assert_string_equal(v.answer, "Recv failure");
    r.request_sent = false;
    klx_slack_judge(&r, klx_sv(NULL), &v);
    assert_int_equal(v.class, KLX_VERDICT_RETRY_BACKOFF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_class),
        cmocka_unit_test(what_is_gone_can_be_told_anew),
        cmocka_unit_test(a_code_counts_more_than_its_status),
        cmocka_unit_test(only_ok_is_delivered),
        cmocka_unit_test(what_is_not_known_goes_by_its_status),
        cmocka_unit_test(slack_says_when),
        cmocka_unit_test(silence_is_not_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
