/* Every answer and its verdict. */
#include "tests/unit/webhook/channel.h"

struct answer {
    int status;
    const char *body;
    int64_t retry_after_ms;
    enum klx_verdict_class class;
    const char *reason;
};

static void check(const struct klx_webhook_rules *rules, const struct answer *a) {
    const struct klx_http_result r = { .status = a->status,
                                       .body = klx_sv(a->body),
                                       .retry_after_ms = a->retry_after_ms,
                                       .error = "" };
    struct klx_verdict v = { 0 };
    klx_webhook_judge(rules, &r, r.body, &v);
    if (v.class != a->class || strcmp(v.reason, a->reason) != 0) {
        fail_msg("%d %s: %s (%s)", a->status, a->body, klx_verdict_name(v.class), v.reason);
    }
    assert_string_equal(v.answer, a->body);
    assert_int_equal(v.retry_after_ms, a->class == KLX_VERDICT_RETRY_AFTER ? a->retry_after_ms : 0);
}

static void an_answer_means_the_usual(void **state) {
    (void)state;
    static const struct answer answers[] = {
        { 200, "ok", -1, KLX_VERDICT_DELIVERED, "http_200" },
        { 201, "", -1, KLX_VERDICT_DELIVERED, "http_201" },
        { 202, "", -1, KLX_VERDICT_ACCEPTED, "http_202" },
        { 204, "", -1, KLX_VERDICT_DELIVERED, "http_204" },
        { 301, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "redirect_301" },
        { 307, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "redirect_307" },
        { 400, "bad", -1, KLX_VERDICT_REJECT_MESSAGE, "http_400" },
        { 401, "", -1, KLX_VERDICT_CREDENTIAL_BROKEN, "http_401" },
        { 402, "", -1, KLX_VERDICT_REJECT_MESSAGE, "http_402" },
        { 403, "", -1, KLX_VERDICT_CREDENTIAL_BROKEN, "http_403" },
        { 404, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_404" },
        { 405, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_405" },
        { 407, "", -1, KLX_VERDICT_CREDENTIAL_BROKEN, "http_407" },
        { 408, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_408" },
        { 409, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_409" },
        { 409, "", 2000, KLX_VERDICT_RETRY_AFTER, "http_409" },
        { 410, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_410" },
        { 413, "", -1, KLX_VERDICT_REJECT_MESSAGE, "http_413" },
        { 415, "", -1, KLX_VERDICT_REJECT_MESSAGE, "http_415" },
        { 422, "", -1, KLX_VERDICT_REJECT_MESSAGE, "http_422" },
        { 423, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_423" },
        { 424, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_424" },
        { 425, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_425" },
        { 426, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_426" },
        { 429, "", 7000, KLX_VERDICT_RETRY_AFTER, "http_429" },
        { 429, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_429" },
        { 451, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_451" },
        { 500, "", -1, KLX_VERDICT_RETRY_BACKOFF, "http_500" },
        { 503, "", 1000, KLX_VERDICT_RETRY_AFTER, "http_503" },
    };
    struct klx_webhook_rules *none = NULL;
    assert_int_equal(klx_webhook_rules_bind(NULL, &none, NULL), 0);
    for (size_t i = 0; i < KLX_COUNT(answers); i++) {
        check(none, &answers[i]);
    }
    klx_webhook_rules_free(none);
}

static void no_answer_is_what_it_is_everywhere(void **state) {
    (void)state;
    struct channel_rig c;
    struct klx_verdict v = { 0 };
    channel_bind(&c, "{url: 'https://a/', responses: [{status: 5xx, outcome: reject}]}");
    const struct klx_http_result lost = {
        .failure = KLX_HTTP_TIMEOUT, .request_sent = true, .retry_after_ms = -1, .error = "late"
    };
    klx_webhook_judge(c.s.rules, &lost, lost.body, &v);
    assert_int_equal(v.class, KLX_VERDICT_AMBIGUOUS);
    const struct klx_http_result refused = { .failure = KLX_HTTP_CONNECT,
                                             .retry_after_ms = -1,
                                             .error = "refused" };
    klx_webhook_judge(c.s.rules, &refused, refused.body, &v);
    assert_int_equal(v.class, KLX_VERDICT_RETRY_BACKOFF);
    const struct klx_http_result large = {
        .failure = KLX_HTTP_TOO_LARGE, .status = 200, .retry_after_ms = -1, .error = "large"
    };
    klx_webhook_judge(c.s.rules, &large, large.body, &v);
    assert_int_equal(v.class, KLX_VERDICT_DELIVERED);
    channel_unbind(&c);
}

static void rules_come_first_in_their_order(void **state) {
    (void)state;
    static const struct answer answers[] = {
        { 200, "{\"status\":\"error\"}", -1, KLX_VERDICT_REJECT_MESSAGE, "http_200" },
        { 200, "{\"status\":\"later\"}", -1, KLX_VERDICT_RETRY_BACKOFF, "http_200" },
        { 200, "{\"status\":\"ok\"}", -1, KLX_VERDICT_DELIVERED, "http_200" },
        { 201, "{\"status\":\"later\"}", 3000, KLX_VERDICT_RETRY_AFTER, "http_201" },
        { 409, "duplicate", -1, KLX_VERDICT_DELIVERED, "http_409" },
        { 503, "", -1, KLX_VERDICT_ACCEPTED, "http_503" },
        { 500, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_500" },
        { 402, "", -1, KLX_VERDICT_CREDENTIAL_BROKEN, "http_402" },
        { 404, "", -1, KLX_VERDICT_DESTINATION_BROKEN, "http_404" },
    };
    struct channel_rig c;
    channel_bind(&c, "url: https://a/\n"
                     "responses:\n"
                     "  - { status: 200, body: '*\"error\"*', outcome: reject }\n"
                     "  - { status: 2xx, body: '~\"la[a-z]er\"', outcome: retry }\n"
                     "  - { body: duplicate, outcome: delivered }\n"
                     "  - { status: [503, 504], outcome: accepted }\n"
                     "  - { status: 5xx, outcome: broken }\n"
                     "  - { status: 402, outcome: credential }\n");
    for (size_t i = 0; i < KLX_COUNT(answers); i++) {
        check(c.s.rules, &answers[i]);
    }
    channel_unbind(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_means_the_usual),
        cmocka_unit_test(no_answer_is_what_it_is_everywhere),
        cmocka_unit_test(rules_come_first_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
