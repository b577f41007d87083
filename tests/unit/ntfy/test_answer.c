/* Every answer that ntfy documents, and some that it does not, and what each means. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/ntfy/answer.h"

#define ERROR(code, http, words) "{\"code\":" #code ",\"http\":" #http ",\"error\":\"" words "\"}\n"

static struct klx_verdict judge(int status, const char *body, int64_t retry_after_ms) {
    const struct klx_http_result r = { .status = status,
                                       .request_sent = true,
                                       .retry_after_ms = retry_after_ms,
                                       .body = klx_sv(body),
                                       .error = "" };
    struct klx_verdict v = { 0 };
    klx_ntfy_judge(&r, &v);
    return v;
}

static void each_answer_has_its_verdict(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { 200, "{\"id\":\"xE73Iyuabi\",\"event\":\"message\"}\n", KLX_VERDICT_DELIVERED, "ok" },
        { 200, "", KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy" },
        { 200, "<html>log in</html>", KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy" },
        { 200, "{\"id\":7}", KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy" },
        { 200, "{\"id\":\"a b\"}", KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy" },
        { 204, "", KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy" },
        { 301, "", KLX_VERDICT_DESTINATION_BROKEN, "http_301" },
        { 400, ERROR(40024, 400, "invalid JSON"), KLX_VERDICT_REJECT_MESSAGE, "40024" },
        { 400, ERROR(40007, 400, "priority"), KLX_VERDICT_REJECT_MESSAGE, "40007" },
        { 400, ERROR(40009, 400, "topic invalid"), KLX_VERDICT_DESTINATION_BROKEN, "40009" },
        { 400, ERROR(40010, 400, "topic name"), KLX_VERDICT_DESTINATION_BROKEN, "40010" },
        { 400, "Bad Request", KLX_VERDICT_REJECT_MESSAGE, "http_400" },
        { 400, "{\"code\":-1}", KLX_VERDICT_REJECT_MESSAGE, "http_400" },
        { 401, ERROR(40101, 401, "unauthorized"), KLX_VERDICT_CREDENTIAL_BROKEN, "40101" },
        { 401, "", KLX_VERDICT_CREDENTIAL_BROKEN, "http_401" },
        { 403, ERROR(40301, 403, "forbidden"), KLX_VERDICT_DESTINATION_BROKEN, "40301" },
        { 404, ERROR(40401, 404, "page not found"), KLX_VERDICT_DESTINATION_BROKEN, "40401" },
        { 405, "", KLX_VERDICT_DESTINATION_BROKEN, "http_405" },
        { 413, ERROR(41303, 413, "JSON body too large"), KLX_VERDICT_REJECT_MESSAGE, "41303" },
        { 413, "<h1>too large</h1>", KLX_VERDICT_REJECT_MESSAGE, "http_413" },
        { 422, "", KLX_VERDICT_REJECT_MESSAGE, "http_422" },
        { 429, ERROR(42901, 429, "too many requests"), KLX_VERDICT_RETRY_BACKOFF, "42901" },
        { 429, ERROR(42908, 429, "too many messages"), KLX_VERDICT_RETRY_BACKOFF, "42908" },
        { 408, "", KLX_VERDICT_RETRY_BACKOFF, "http_408" },
        { 500, ERROR(50001, 500, "internal"), KLX_VERDICT_RETRY_BACKOFF, "50001" },
        { 502, "bad gateway", KLX_VERDICT_RETRY_BACKOFF, "http_502" },
        { 507, ERROR(50701, 507, "no subscriber"), KLX_VERDICT_RETRY_BACKOFF, "50701" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_verdict v = judge(cases[i].status, cases[i].body, -1);
        if (v.class != cases[i].class || strcmp(v.reason, cases[i].reason) != 0) {
            fail_msg("%d %s: %s %s", cases[i].status, cases[i].body, klx_verdict_name(v.class),
                     v.reason);
        }
        assert_int_equal(strlen(v.handle) > 0, v.class == KLX_VERDICT_DELIVERED);
    }
    assert_string_equal(judge(200, cases[0].body, -1).handle, "xE73Iyuabi");
}

static void a_wait_that_is_said_is_kept_to(void **state) {
    (void)state;
    struct klx_verdict v = judge(429, ERROR(42901, 429, "too many requests"), 7000);
    assert_int_equal(v.class, KLX_VERDICT_RETRY_AFTER);
    assert_int_equal(v.retry_after_ms, 7000);
    assert_string_equal(v.reason, "42901");
}

static void without_an_answer_nobody_knows(void **state) {
    (void)state;
    static const struct {
        struct klx_http_result r;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { { .failure = KLX_HTTP_CONNECT }, KLX_VERDICT_RETRY_BACKOFF, "connect" },
        { { .failure = KLX_HTTP_TLS }, KLX_VERDICT_DESTINATION_BROKEN, "tls" },
        { { .failure = KLX_HTTP_TIMEOUT }, KLX_VERDICT_RETRY_BACKOFF, "timeout" },
        { { .failure = KLX_HTTP_TIMEOUT, .request_sent = true }, KLX_VERDICT_AMBIGUOUS, "timeout" },
        { { .failure = KLX_HTTP_BROKEN, .request_sent = true, .status = 200 },
          KLX_VERDICT_AMBIGUOUS,
          "connection_broken" },
        { { .failure = KLX_HTTP_TOO_LARGE, .request_sent = true, .status = 200 },
          KLX_VERDICT_AMBIGUOUS,
          "answer_too_large" },
        { { .failure = KLX_HTTP_TOO_LARGE, .request_sent = true, .status = 404 },
          KLX_VERDICT_DESTINATION_BROKEN,
          "http_404" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_http_result r = cases[i].r;
        struct klx_verdict v = { 0 };
        r.error = "words";
        r.retry_after_ms = -1;
        klx_ntfy_judge(&r, &v);
        assert_int_equal(v.class, cases[i].class);
        assert_string_equal(v.reason, cases[i].reason);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_verdict),
        cmocka_unit_test(a_wait_that_is_said_is_kept_to),
        cmocka_unit_test(without_an_answer_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
