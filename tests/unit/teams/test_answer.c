/* Every answer that a flow is known to give, and what is made of it. */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "sinks/teams/answer.h"

#define ERROR(code) "{\"error\":{\"code\":\"" code "\",\"message\":\"words\"}}"
#define CONNECTOR                                                                                  \
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error "

static struct klx_http_result answered(int status, int64_t retry_after_ms, const char *body) {
    return (struct klx_http_result){ .failure = KLX_HTTP_OK,
                                     .request_sent = true,
                                     .status = status,
                                     .retry_after_ms = retry_after_ms,
                                     .body = klx_sv(body),
                                     .error = "" };
}

static struct klx_verdict judge(int status, int64_t retry_after_ms, const char *body) {
    const struct klx_http_result r = answered(status, retry_after_ms, body);
    struct klx_verdict v = { .handle = "left over" };
    klx_teams_judge(&r, &v);
    return v;
}

static const struct {
    int status;
    const char *body;
    enum klx_verdict_class class;
    const char *reason, *handle;
} cases[] = {
    /* taken */
    { 202, "", KLX_VERDICT_ACCEPTED, "accepted", "" },
    { 202, "{}", KLX_VERDICT_ACCEPTED, "accepted", "" },
    { 200, "", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "{\"ok\":true}", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "{\"messageId\":\"1773216798316\"}", KLX_VERDICT_DELIVERED, "posted", "1773216798316" },
    { 200, " {\"messageId\":1773216798316,\"error\":null}\n", KLX_VERDICT_DELIVERED, "posted",
      "1773216798316" },
    { 201, "{\"messageId\":\"19:a@thread.tacv2;1\",\"error\":\"\"}", KLX_VERDICT_DELIVERED,
      "posted", "19:a@thread.tacv2;1" },
    { 200, "{\"messageId\":\"a b\"}", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "{\"messageId\":\"\\u0007\"}", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "{\"messageId\":-1}", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "{\"messageId\":", KLX_VERDICT_DELIVERED, "ok", "" },
    { 200, "<html>Sign in</html>", KLX_VERDICT_RETRY_BACKOFF, "not_a_flow", "" },

    /* success that speaks of an error */
    { 200, ERROR("post_413"), KLX_VERDICT_REJECT_MESSAGE, "post_413", "" },
    { 200, ERROR("post_400"), KLX_VERDICT_REJECT_MESSAGE, "post_400", "" },
    { 200, ERROR("post_429"), KLX_VERDICT_RETRY_BACKOFF, "post_429", "" },
    { 200, ERROR("post_403"), KLX_VERDICT_DESTINATION_BROKEN, "post_403", "" },
    { 200, ERROR("post_404"), KLX_VERDICT_DESTINATION_BROKEN, "post_404", "" },
    { 200, ERROR("post_x"), KLX_VERDICT_RETRY_BACKOFF, "post_x", "" },
    { 200, ERROR("OfNextYear"), KLX_VERDICT_RETRY_BACKOFF, "OfNextYear", "" },
    { 200, "{\"error\":\"two words\"}", KLX_VERDICT_RETRY_BACKOFF, "flow_error", "" },
    { 202, "{\"messageId\":\"1\",\"error\":{}}", KLX_VERDICT_RETRY_BACKOFF, "flow_error", "" },
    { 200, CONNECTOR "413 with ContextId", KLX_VERDICT_REJECT_MESSAGE, "says_error", "" },
    { 200, CONNECTOR "429", KLX_VERDICT_RETRY_BACKOFF, "says_error", "" },
    { 200, CONNECTOR "404", KLX_VERDICT_DESTINATION_BROKEN, "says_error", "" },
    { 200, CONNECTOR "4", KLX_VERDICT_ACCEPTED, "says_error", "" },
    { 200, "no Errors so far", KLX_VERDICT_ACCEPTED, "says_error", "" },

    /* the message */
    { 400, "", KLX_VERDICT_REJECT_MESSAGE, "http_400", "" },
    { 400, ERROR("TriggerInputSchemaMismatch"), KLX_VERDICT_REJECT_MESSAGE,
      "TriggerInputSchemaMismatch", "" },
    { 400, ERROR("InvalidRequestContent"), KLX_VERDICT_REJECT_MESSAGE, "InvalidRequestContent",
      "" },
    { 413, ERROR("RequestEntityTooLarge"), KLX_VERDICT_REJECT_MESSAGE, "RequestEntityTooLarge",
      "" },
    { 413, "<h1>Too large</h1>", KLX_VERDICT_REJECT_MESSAGE, "http_413", "" },
    { 415, "", KLX_VERDICT_REJECT_MESSAGE, "http_415", "" },
    { 422, "", KLX_VERDICT_REJECT_MESSAGE, "http_422", "" },

    /* the flow */
    { 400, ERROR("WorkflowTriggerIsNotEnabled"), KLX_VERDICT_DESTINATION_BROKEN,
      "WorkflowTriggerIsNotEnabled", "" },
    { 400, ERROR("MissingApiVersionParameter"), KLX_VERDICT_DESTINATION_BROKEN,
      "MissingApiVersionParameter", "" },
    { 401, ERROR("DirectApiAuthorizationRequired"), KLX_VERDICT_DESTINATION_BROKEN,
      "DirectApiAuthorizationRequired", "" },
    { 401, "", KLX_VERDICT_DESTINATION_BROKEN, "http_401", "" },
    { 403, ERROR("RequestDisallowedByPolicy"), KLX_VERDICT_DESTINATION_BROKEN,
      "RequestDisallowedByPolicy", "" },
    { 403, "Forbidden by proxy", KLX_VERDICT_DESTINATION_BROKEN, "http_403", "" },
    { 404, ERROR("WorkflowNotFound"), KLX_VERDICT_DESTINATION_BROKEN, "WorkflowNotFound", "" },
    { 404, "{\"error\":", KLX_VERDICT_DESTINATION_BROKEN, "http_404", "" },
    { 410, "", KLX_VERDICT_DESTINATION_BROKEN, "http_410", "" },
    { 302, "", KLX_VERDICT_DESTINATION_BROKEN, "http_302", "" },

    /* not now */
    { 408, "", KLX_VERDICT_RETRY_BACKOFF, "http_408", "" },
    { 429, ERROR("TooManyRequests"), KLX_VERDICT_RETRY_BACKOFF, "TooManyRequests", "" },
    { 500, "", KLX_VERDICT_RETRY_BACKOFF, "http_500", "" },
    { 502, "<html>Bad gateway</html>", KLX_VERDICT_RETRY_BACKOFF, "http_502", "" },
    { 502, ERROR("NoResponse"), KLX_VERDICT_AMBIGUOUS, "NoResponse", "" },
    { 502, ERROR("post_400"), KLX_VERDICT_REJECT_MESSAGE, "post_400", "" },
    { 502, ERROR("post_404"), KLX_VERDICT_DESTINATION_BROKEN, "post_404", "" },
    { 502, ERROR("post_500"), KLX_VERDICT_RETRY_BACKOFF, "post_500", "" },
    { 503, ERROR("ServerBusy"), KLX_VERDICT_RETRY_BACKOFF, "ServerBusy", "" },
    { 504, "", KLX_VERDICT_AMBIGUOUS, "http_504", "" },
    { 504, ERROR("GatewayTimeout"), KLX_VERDICT_AMBIGUOUS, "GatewayTimeout", "" },
};

static void each_answer_has_its_verdict(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_verdict v = judge(cases[i].status, -1, cases[i].body);
        struct klx_sv said = klx_sv_trim(klx_sv(cases[i].body));
        if (v.class != cases[i].class) {
            fail_msg("%d %s: %s", cases[i].status, cases[i].body, klx_verdict_name(v.class));
        }
        assert_string_equal(v.reason, cases[i].reason);
        assert_string_equal(v.handle, cases[i].handle);
        assert_true(klx_sv_eq(klx_sv(v.answer), said));
        assert_int_equal(v.retry_after_ms, 0);
    }
}

/* Each with a status that alone would mean something else. */
static void a_code_counts_more_than_its_status(void **state) {
    (void)state;
    static const struct {
        const char *code;
        int status;
        enum klx_verdict_class class;
    } codes[] = {
        { "WorkflowTriggerIsNotEnabled", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "WorkflowTriggerNotFound", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "WorkflowNotFound", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "WorkflowDisabled", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "WorkflowSuspended", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "FlowNotFound", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "FlowSuspended", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "EnvironmentNotFound", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "MissingApiVersionParameter", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "InvalidApiVersionParameter", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "DirectApiAuthorizationRequired", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "InvalidSharedAccessSignature", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "AuthorizationFailed", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "MisMatchingOAuthClaims", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "RequestDisallowedByPolicy", 400, KLX_VERDICT_DESTINATION_BROKEN },
        { "TriggerInputSchemaMismatch", 403, KLX_VERDICT_REJECT_MESSAGE },
        { "InvalidRequestContent", 403, KLX_VERDICT_REJECT_MESSAGE },
        { "RequestEntityTooLarge", 403, KLX_VERDICT_REJECT_MESSAGE },
        { "TooManyRequests", 403, KLX_VERDICT_RETRY_BACKOFF },
        { "ServerBusy", 403, KLX_VERDICT_RETRY_BACKOFF },
        { "NoResponse", 500, KLX_VERDICT_AMBIGUOUS },
        { "GatewayTimeout", 500, KLX_VERDICT_AMBIGUOUS },
    };
    for (size_t i = 0; i < KLX_COUNT(codes); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\"}}", codes[i].code);
        struct klx_verdict v = judge(codes[i].status, -1, body);
        if (v.class != codes[i].class) {
            fail_msg("%s: %s", codes[i].code, klx_verdict_name(v.class));
        }
        assert_string_equal(v.reason, codes[i].code);
    }
}

static void it_says_when(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
    } waits[] = { { 429, "" },
                  { 429, ERROR("TooManyRequests") },
                  { 503, "" },
                  { 502, ERROR("NoResponse") },
                  { 504, "" } };
    for (size_t i = 0; i < KLX_COUNT(waits); i++) {
        struct klx_verdict v = judge(waits[i].status, 7000, waits[i].body);
        assert_int_equal(v.class, KLX_VERDICT_RETRY_AFTER);
        assert_int_equal(v.retry_after_ms, 7000);
    }
}

static void a_message_that_stands_alone_replaces_the_first_one(void **state) {
    (void)state;
    assert_true(judge(200, -1, "{\"messageId\":\"1\",\"reply\":false}").handle_replaces);
    assert_false(judge(200, -1, "{\"messageId\":\"1\",\"reply\":true}").handle_replaces);
    assert_false(judge(200, -1, "{\"messageId\":\"1\"}").handle_replaces);
    assert_false(judge(200, -1, "{\"reply\":false}").handle_replaces);
}

/* No answer at all: the words are the transport's, and what had gone out whole may be there. */
static void silence_is_not_a_refusal(void **state) {
    (void)state;
    struct klx_http_result r = { .failure = KLX_HTTP_TIMEOUT,
                                 .request_sent = true,
                                 .retry_after_ms = -1,
                                 .error = "no answer" };
    struct klx_verdict v = { 0 };
    klx_teams_judge(&r, &v);
    assert_int_equal(v.class, KLX_VERDICT_AMBIGUOUS);
    assert_string_equal(v.answer, "no answer");
    r.request_sent = false;
    r.failure = KLX_HTTP_CONNECT;
    klx_teams_judge(&r, &v);
    assert_int_equal(v.class, KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(v.reason, "connect");
    r.failure = KLX_HTTP_TLS;
    klx_teams_judge(&r, &v);
    assert_int_equal(v.class, KLX_VERDICT_DESTINATION_BROKEN);
}

static void a_success_that_speaks_of_an_error_is_told_apart(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        bool says;
    } answers[] = {
        { 202, "", false },
        { 200, "{\"messageId\":\"1\"}", false },
        { 200, "{\"messageId\":\"1\",\"error\":null}", false },
        { 200, "{\"messageId\":\"1\",\"error\":\"x\"}", true },
        { 200, ERROR("post_413"), true },
        { 202, "Some ERROR", true },
        { 400, ERROR("x"), false },
    };
    for (size_t i = 0; i < KLX_COUNT(answers); i++) {
        const struct klx_http_result r = answered(answers[i].status, -1, answers[i].body);
        assert_int_equal(klx_teams_says_error(&r), answers[i].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_verdict),
        cmocka_unit_test(a_message_that_stands_alone_replaces_the_first_one),
        cmocka_unit_test(a_code_counts_more_than_its_status),
        cmocka_unit_test(it_says_when),
        cmocka_unit_test(silence_is_not_a_refusal),
        cmocka_unit_test(a_success_that_speaks_of_an_error_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
