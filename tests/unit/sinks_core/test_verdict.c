#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/sink.h"

static const struct {
    const char *name;
    struct klx_http_result r;
    bool judged;
    enum klx_verdict_class class;
    int64_t retry_after_ms;
    const char *reason;
} cases[] = {
    { "refused", { .failure = KLX_HTTP_CONNECT }, true, KLX_VERDICT_RETRY_BACKOFF, 0, "connect" },
    { "bad certificate",
      { .failure = KLX_HTTP_TLS },
      true,
      KLX_VERDICT_DESTINATION_BROKEN,
      0,
      "tls" },
    { "time-out before the request was out",
      { .failure = KLX_HTTP_TIMEOUT },
      true,
      KLX_VERDICT_RETRY_BACKOFF,
      0,
      "timeout" },
    { "time-out after it",
      { .failure = KLX_HTTP_TIMEOUT, .request_sent = true },
      true,
      KLX_VERDICT_AMBIGUOUS,
      0,
      "timeout" },
    { "reset before the request was out",
      { .failure = KLX_HTTP_BROKEN },
      true,
      KLX_VERDICT_RETRY_BACKOFF,
      0,
      "connection_broken" },
    { "reset after it",
      { .failure = KLX_HTTP_BROKEN, .request_sent = true },
      true,
      KLX_VERDICT_AMBIGUOUS,
      0,
      "connection_broken" },
    { "429 with Retry-After",
      { .status = 429, .request_sent = true, .retry_after_ms = 7000 },
      true,
      KLX_VERDICT_RETRY_AFTER,
      7000,
      "http_429" },
    { "429 without", { .status = 429 }, true, KLX_VERDICT_RETRY_BACKOFF, 0, "http_429" },
    { "Retry-After: 0",
      { .status = 503, .retry_after_ms = 0 },
      true,
      KLX_VERDICT_RETRY_AFTER,
      0,
      "http_503" },
    { "408", { .status = 408 }, true, KLX_VERDICT_RETRY_BACKOFF, 0, "http_408" },
    { "503 whose body was cut off",
      { .failure = KLX_HTTP_BROKEN, .status = 503, .request_sent = true },
      true,
      KLX_VERDICT_RETRY_BACKOFF,
      0,
      "http_503" },
    { "200", { .status = 200 }, false, 0, 0, "" },
    { "404", { .status = 404 }, false, 0, 0, "" },
    { "200 with too large a body",
      { .failure = KLX_HTTP_TOO_LARGE, .status = 200, .request_sent = true },
      false,
      0,
      0,
      "" },
};

static void http_results_are_judged(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_http_result r = cases[i].r;
        bool no_header = r.retry_after_ms == 0 && strstr(cases[i].name, "Retry-After") == NULL;
        r.retry_after_ms = no_header ? -1 : r.retry_after_ms;
        r.error = "words";
        struct klx_verdict v = { .class = KLX_VERDICTS_N };
        print_message("%s\n", cases[i].name);
        assert_int_equal(klx_verdict_from_http(&r, &v), cases[i].judged);
        if (cases[i].judged) {
            assert_int_equal(v.class, cases[i].class);
            assert_int_equal(v.retry_after_ms, cases[i].retry_after_ms);
            assert_string_equal(v.reason, cases[i].reason);
        }
    }
}

static void an_answer_is_cut_and_valid(void **state) {
    (void)state;
    char text[1000];
    struct klx_verdict v;
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        text[i] = '\xC3';
        text[i + 1] = '\xA4';
    }
    klx_verdict_set(&v, KLX_VERDICT_REJECT_MESSAGE, "bad", klx_sv_n(text, sizeof(text)));
    assert_int_equal(strlen(v.answer), sizeof(v.answer) - 2);
    memset(text, 0xFF, sizeof(text));
    klx_verdict_set(&v, KLX_VERDICT_REJECT_MESSAGE, "bad", klx_sv_n(text, sizeof(text)));
    assert_int_equal(strlen(v.answer), (sizeof(v.answer) - 1) / 3 * 3);
    assert_memory_equal(v.answer, "\xEF\xBF\xBD\xEF\xBF\xBD", 6);
    klx_verdict_set(&v, KLX_VERDICT_DELIVERED, "ok", klx_sv(NULL));
    assert_string_equal(v.answer, "");
}

static void names_and_finality(void **state) {
    (void)state;
    assert_string_equal(klx_verdict_name(KLX_VERDICT_DELIVERED), "delivered");
    assert_string_equal(klx_verdict_name(KLX_VERDICT_CREDENTIAL_BROKEN), "credential_broken");
    assert_true(klx_verdict_is_final(KLX_VERDICT_REJECT_RECIPIENT));
    assert_false(klx_verdict_is_final(KLX_VERDICT_AMBIGUOUS));
    assert_false(klx_verdict_is_final(KLX_VERDICT_DESTINATION_BROKEN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_results_are_judged),
        cmocka_unit_test(an_answer_is_cut_and_valid),
        cmocka_unit_test(names_and_finality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
