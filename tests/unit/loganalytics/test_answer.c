/* Every answer of the API that is documented or was seen, and what is made of it. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/loganalytics/answer.h"

#define ERROR(code) "{\"error\":{\"code\":\"" code "\",\"message\":\"m\",\"details\":[]}}"

static struct klx_loganalytics_answer judge(int status, int64_t retry_after_ms, const char *body) {
    const struct klx_http_result r = { .failure = KLX_HTTP_OK,
                                       .request_sent = true,
                                       .status = status,
                                       .retry_after_ms = retry_after_ms,
                                       .body = klx_sv(body),
                                       .error = "" };
    struct klx_loganalytics_answer a;
    klx_loganalytics_judge(&r, KLX_SV("eyJtoken"), &a);
    return a;
}

static void each_answer_has_its_meaning(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum klx_loganalytics_meaning meaning;
        enum klx_verdict_class class;
        const char *reason;
        bool too_large;
    } cases[] = {
        { 204, "", KLX_LOGANALYTICS_TAKEN, KLX_VERDICT_DELIVERED, "http_204", false },
        { 200, "<html>", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_RETRY_BACKOFF, "not_204", false },
        { 302, "", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, "http_302", false },
        { 400, ERROR("InvalidRecord"), KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE,
          "InvalidRecord", false },
        { 400, "not JSON", KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE, "http_400", false },
        { 400, ERROR("a b"), KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE, "http_400",
          false },
        { 400, ERROR("RecordsTimeRangeIsMoreThan30Minutes"), KLX_LOGANALYTICS_BATCH,
          KLX_VERDICT_REJECT_MESSAGE, "RecordsTimeRangeIsMoreThan30Minutes", false },
        { 400, ERROR("InvalidStream"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN,
          "InvalidStream", false },
        { 400, ERROR("InvalidStreamName"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN,
          "InvalidStreamName", false },
        { 400, ERROR("InvalidDcrImmutableId"), KLX_LOGANALYTICS_OTHER,
          KLX_VERDICT_DESTINATION_BROKEN, "InvalidDcrImmutableId", false },
        { 400, ERROR("InvalidApiVersion"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN,
          "InvalidApiVersion", false },
        { 400, ERROR("MissingApiVersionParameter"), KLX_LOGANALYTICS_OTHER,
          KLX_VERDICT_DESTINATION_BROKEN, "MissingApiVersionParameter", false },
        { 400, ERROR("UnsupportedApiVersion"), KLX_LOGANALYTICS_OTHER,
          KLX_VERDICT_DESTINATION_BROKEN, "UnsupportedApiVersion", false },
        { 400, ERROR("ReadyBody_ClientConnectionAbort"), KLX_LOGANALYTICS_BATCH,
          KLX_VERDICT_REJECT_MESSAGE, "ReadyBody_ClientConnectionAbort", true },
        { 401, ERROR("AuthenticationFailed"), KLX_LOGANALYTICS_TOKEN, KLX_VERDICT_CREDENTIAL_BROKEN,
          "AuthenticationFailed", false },
        { 403, ERROR("OperationFailed"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN,
          "OperationFailed", false },
        { 404, ERROR("NotFound"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN,
          "NotFound", false },
        { 408, "", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_RETRY_BACKOFF, "http_408", false },
        { 400, ERROR("ContentLengthLimitExceeded"), KLX_LOGANALYTICS_BATCH,
          KLX_VERDICT_REJECT_MESSAGE, "ContentLengthLimitExceeded", true },
        { 413, "", KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE, "http_413", true },
        { 415, "", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, "http_415", false },
        { 429, "", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_RETRY_BACKOFF, "http_429", false },
        { 500, ERROR("InternalServerError"), KLX_LOGANALYTICS_OTHER, KLX_VERDICT_RETRY_BACKOFF,
          "InternalServerError", false },
        { 503, "", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_RETRY_BACKOFF, "http_503", false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_loganalytics_answer a = judge(cases[i].status, -1, cases[i].body);
        if (a.meaning != cases[i].meaning || a.verdict.class != cases[i].class ||
            strcmp(a.verdict.reason, cases[i].reason) != 0 || a.too_large != cases[i].too_large) {
            fail_msg("%d %s: %s, %s", cases[i].status, cases[i].body,
                     klx_verdict_name(a.verdict.class), a.verdict.reason);
        }
        assert_string_equal(a.verdict.answer, cases[i].body);
    }
}

static void azure_says_when(void **state) {
    (void)state;
    struct klx_loganalytics_answer a = judge(429, 7000, ERROR("RequestLimitReached"));
    assert_int_equal(a.verdict.class, KLX_VERDICT_RETRY_AFTER);
    assert_int_equal(a.verdict.retry_after_ms, 7000);
    assert_string_equal(a.verdict.reason, "RequestLimitReached");
}

static void no_answer_is_what_all_channels_make_of_it(void **state) {
    (void)state;
    struct klx_http_result r = { .failure = KLX_HTTP_TIMEOUT,
                                 .request_sent = true,
                                 .retry_after_ms = -1,
                                 .error = "no answer in 60 s" };
    struct klx_loganalytics_answer a;
    klx_loganalytics_judge(&r, KLX_SV("eyJtoken"), &a);
    assert_int_equal(a.meaning, KLX_LOGANALYTICS_OTHER);
    assert_int_equal(a.verdict.class, KLX_VERDICT_AMBIGUOUS);
    r.request_sent = false;
    klx_loganalytics_judge(&r, KLX_SV("eyJtoken"), &a);
    assert_int_equal(a.verdict.class, KLX_VERDICT_RETRY_BACKOFF);
}

static void a_token_that_comes_back_is_not_shown(void **state) {
    (void)state;
    static const int statuses[] = { 400, 401, 403, 500, 200 };
    for (size_t i = 0; i < KLX_COUNT(statuses); i++) {
        struct klx_loganalytics_answer a =
            judge(statuses[i], -1, "<pre>Authorization: Bearer eyJtoken</pre>");
        assert_null(strstr(a.verdict.answer, "eyJ"));
        assert_non_null(strstr(a.verdict.answer, "Authorization: Bearer …</pre>"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_meaning),
        cmocka_unit_test(azure_says_when),
        cmocka_unit_test(no_answer_is_what_all_channels_make_of_it),
        cmocka_unit_test(a_token_that_comes_back_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
