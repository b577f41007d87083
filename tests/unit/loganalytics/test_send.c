/* The channel against a server of a few lines, which gives tokens and takes rows: one request a connection, in a given order. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/gunzip.h"
#include "tests/unit/support/http_replies.h"

#define DCR "dcr-0123456789abcdef0123456789abcdef"
#define ROWS_MAX 10
#define TOKEN_REPLY(token)                                                                         \
    HTTP_REPLY("200 OK", "{\"access_token\":\"" token "\",\"expires_in\":3599}")
#define TOKEN TOKEN_REPLY("eyJfirst")
#define TAKEN "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
#define REFUSED                                                                                    \
    HTTP_REPLY("400 Bad Request", "{\"error\":{\"code\":\"InvalidRecord\",\"message\":\"m\"}}")

struct world {
    struct http_replies server;
    struct rig rig;
    size_t rows_n; /* of each send */
    struct klx_verdict verdicts[ROWS_MAX];
    int done;
    bool again; /* done sends once more */
};

static void open_world(struct world *w) {
    char yaml[512];
    setenv("LA_SECRET", "s3cret", 1);
    w->rows_n = w->rows_n > 0 ? w->rows_n : 1;
    http_replies_listen(&w->server);
    snprintf(yaml, sizeof(yaml),
             "endpoint: http://127.0.0.1:%u\ndcr: " DCR
             "\ntoken_url: http://127.0.0.1:%u/token\nclient_id: klaxon\nclient_secret: { env: "
             "LA_SECRET }\n",
             w->server.port, w->server.port);
    rig_open(&w->rig, &klx_sink_loganalytics, yaml);
}

static void close_world(struct world *w) {
    rig_close_channel(&w->rig);
    http_replies_stop(&w->server);
    rig_close(&w->rig);
}

static void send_rows(struct world *w);

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *w = arg;
    assert_int_equal(n, w->rows_n);
    memcpy(w->verdicts, verdicts, n * sizeof(*verdicts));
    w->done++;
    for (size_t i = 0; i < n; i++) {
        assert_null(strstr(verdicts[i].answer, "s3cret"));
        assert_null(strstr(verdicts[i].answer, "eyJ"));
    }
    if (w->again) {
        w->again = false;
        send_rows(w);
        return;
    }
    klx_loop_stop(w->rig.env.loop);
}

/* The rows' memory is gone after the call, as it may be. */
static void send_rows(struct world *w) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    char rows[ROWS_MAX][32];
    struct klx_sv payloads[ROWS_MAX];
    int before = w->done;
    for (size_t i = 0; i < w->rows_n; i++) {
        snprintf(rows[i], sizeof(rows[i]), "{\"n\":%zu}", i);
        payloads[i] = klx_sv(rows[i]);
    }
    const struct klx_send send = { .payloads = payloads,
                                   .payloads_n = w->rows_n,
                                   .recipients = &nobody_in_particular,
                                   .recipients_n = 1,
                                   .id = KLX_SV("0123456789abcdef0123456789abcdef") };
    w->rig.ops->send(w->rig.channel, &send, on_sent, w);
    memset(rows, 'x', sizeof(rows));
    assert_int_equal(w->done, before); /* never from inside */
}

static void run(struct world *w) {
    http_replies_start(&w->server);
    send_rows(w);
    klx_loop_run(w->rig.env.loop);
}

/* The rows of a request, as it was posted. */
static void check_rows(const struct world *w, int request, const char *expected) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const char *all = w->server.requests[request], *body = strstr(all, "\r\n\r\n");
    klx_buf_init(&text, 1 << 20);
    assert_non_null(body);
    test_gunzip(&text, klx_sv_n(body + 4, w->server.bytes[request] - (size_t)(body + 4 - all)));
    assert_string_equal(klx_buf_str(&text), expected);
}

static void the_request_is_what_azure_wants(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, TAKEN }, .rows_n = 3 };
    open_world(&w);
    run(&w);
    const char *token = w.server.requests[0], *request = w.server.requests[1];
    assert_non_null(strstr(token, "POST /token HTTP/1.1\r\n"));
    assert_non_null(strstr(token, "scope=https%3A%2F%2Fmonitor.azure.com%2F.default"));
    assert_ptr_equal(strstr(request, "POST /dataCollectionRules/" DCR
                                     "/streams/Custom-Klaxon?api-version=2023-01-01 HTTP/1.1\r\n"),
                     request);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer eyJfirst\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Encoding: gzip\r\n"));
    const char *id = strstr(request, "\r\nx-ms-client-request-id: ");
    assert_non_null(id);
    id += strlen("\r\nx-ms-client-request-id: ");
    assert_int_equal(strcspn(id, "\r"), 36);
    assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
    check_rows(&w, 1, "[{\"n\":0},{\"n\":1},{\"n\":2}]");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w.verdicts[i].class, KLX_VERDICT_DELIVERED);
    }
    close_world(&w);
}

static void one_bad_row_is_isolated(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, REFUSED, TAKEN, REFUSED, REFUSED, TAKEN },
                        .rows_n = 4 };
    open_world(&w);
    run(&w);
    check_rows(&w, 2, "[{\"n\":0},{\"n\":1}]");
    check_rows(&w, 4, "[{\"n\":2}]");
    check_rows(&w, 5, "[{\"n\":3}]");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(w.verdicts[i].class,
                         i == 2 ? KLX_VERDICT_REJECT_MESSAGE : KLX_VERDICT_DELIVERED);
    }
    assert_string_equal(w.verdicts[2].reason, "InvalidRecord");
    close_world(&w);
}

static void too_large_is_halved(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, HTTP_REPLY("413 Payload Too Large", ""), TAKEN,
                                            TAKEN },
                        .rows_n = 3 };
    open_world(&w);
    run(&w);
    check_rows(&w, 2, "[{\"n\":0}]");
    check_rows(&w, 3, "[{\"n\":1},{\"n\":2}]");
    assert_int_equal(w.verdicts[2].class, KLX_VERDICT_DELIVERED);
    close_world(&w);
}

#define UNAUTHORIZED                                                                               \
    HTTP_REPLY("401 Unauthorized", "{\"error\":{\"code\":\"AuthenticationFailed\"}}")

static void a_refused_token_is_renewed_once(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, UNAUTHORIZED, TOKEN_REPLY("eyJsecond"), TAKEN },
                        .rows_n = 2 };
    open_world(&w);
    run(&w);
    assert_non_null(strstr(w.server.requests[3], "Authorization: Bearer eyJsecond\r\n"));
    check_rows(&w, 3, "[{\"n\":0},{\"n\":1}]");
    assert_int_equal(w.verdicts[1].class, KLX_VERDICT_DELIVERED);
    close_world(&w);

    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, UNAUTHORIZED, TOKEN_REPLY("eyJsecond"),
                                            UNAUTHORIZED },
                        .rows_n = 2 };
    open_world(&w);
    run(&w);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(w.verdicts[i].class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(w.verdicts[i].reason, "AuthenticationFailed");
    }
    close_world(&w);
}

/* What was taken before stays taken; what was not sent is in no doubt. */
static void trouble_in_the_middle_is_for_the_rest(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class now, rest;
        int64_t retry_after_ms;
    } cases[] = {
        { HTTP_REPLY("429 Too Many Requests\r\nRetry-After: 7", ""), KLX_VERDICT_RETRY_AFTER,
          KLX_VERDICT_RETRY_AFTER, 7000 },
        { HTTP_REPLY("503 Service Unavailable", ""), KLX_VERDICT_RETRY_BACKOFF,
          KLX_VERDICT_RETRY_BACKOFF, 0 },
        { HTTP_REPLY("403 Forbidden", "{\"error\":{\"code\":\"OperationFailed\"}}"),
          KLX_VERDICT_DESTINATION_BROKEN, KLX_VERDICT_DESTINATION_BROKEN, 0 },
        { HTTP_REPLIES_RESET, KLX_VERDICT_AMBIGUOUS, KLX_VERDICT_RETRY_BACKOFF, 0 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        static struct world w;
        memset(&w, 0, sizeof(w));
        w = (struct world){ .server.replies = { TOKEN, REFUSED, TAKEN, REFUSED, cases[i].reply },
                            .rows_n = 4 };
        open_world(&w);
        run(&w);
        assert_int_equal(w.verdicts[0].class, KLX_VERDICT_DELIVERED);
        assert_int_equal(w.verdicts[1].class, KLX_VERDICT_DELIVERED);
        assert_int_equal(w.verdicts[2].class, cases[i].now);
        assert_int_equal(w.verdicts[3].class, cases[i].rest);
        assert_int_equal(w.verdicts[3].retry_after_ms, cases[i].retry_after_ms);
        close_world(&w);
    }
}

static void without_a_token_nothing_is_posted(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        const char *words;
    } cases[] = {
        { HTTP_REPLY("401 Unauthorized",
                     "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: x\"}"),
          KLX_VERDICT_CREDENTIAL_BROKEN, "the client secret has expired" },
        { HTTP_REPLY("503 Service Unavailable", ""), KLX_VERDICT_RETRY_BACKOFF, "503" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        static struct world w;
        memset(&w, 0, sizeof(w));
        w = (struct world){ .server.replies = { cases[i].reply }, .rows_n = 2, .again = true };
        open_world(&w);
        run(&w); /* the second send hears the same without asking again: it is too early */
        assert_int_equal(w.done, 2);
        assert_int_equal(w.server.served, 1);
        assert_int_equal(w.verdicts[1].class, cases[i].class);
        assert_string_equal(w.verdicts[1].reason, "token");
        assert_non_null(strstr(w.verdicts[1].answer, cases[i].words));
        close_world(&w);
    }
}

static void the_next_may_start_from_done(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN, TAKEN, TAKEN }, .again = true };
    open_world(&w);
    run(&w);
    assert_int_equal(w.done, 2);
    assert_int_equal(w.server.served, 3); /* one token for both */
    close_world(&w);
}

static void a_certificate_file_that_is_gone_is_said(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    w = (struct world){ .server.replies = { TOKEN }, .rows_n = 2 };
    char yaml[512];
    setenv("LA_SECRET", "s3cret", 1);
    http_replies_listen(&w.server);
    snprintf(yaml, sizeof(yaml),
             "endpoint: http://127.0.0.1:%u\ndcr: " DCR
             "\ntoken_url: http://127.0.0.1:%u/token\nclient_id: klaxon\nclient_secret: { env: "
             "LA_SECRET }\nca_file: /nonexistent/ca.pem\n",
             w.server.port, w.server.port);
    rig_open(&w.rig, &klx_sink_loganalytics, yaml);
    run(&w);
    assert_int_equal(w.verdicts[1].class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_non_null(strstr(w.verdicts[1].answer, "/nonexistent/ca.pem"));
    close_world(&w);
}

/* While the token, and while the answer is awaited. */
static void close_cancels_without_a_call(void **state) {
    (void)state;
    static const char *const first[] = { HTTP_REPLIES_SILENT, TOKEN };
    static const char *const second[] = { NULL, HTTP_REPLIES_SILENT };
    for (size_t i = 0; i < KLX_COUNT(first); i++) {
        static struct world w;
        memset(&w, 0, sizeof(w));
        w = (struct world){ .server.replies = { first[i], second[i] } };
        open_world(&w);
        http_replies_start(&w.server);
        send_rows(&w);
        rig_run_and_close(&w.rig, &w.server, second[i] == NULL ? 1 : 2);
        close_world(&w);
        assert_int_equal(w.done, 0);
    }
}

static void close_before_the_first_turn(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    open_world(&w);
    send_rows(&w);
    close_world(&w);
    assert_int_equal(w.done, 0);
}

static void let_the_token_expire(void *arg) {
    klx_clock_driven_advance(arg, 3600 * KLX_US_PER_S);
}

/* What was sent is what is looked for, whatever the token is by now. */
static void a_token_that_expired_under_way_is_not_shown(void **state) {
    (void)state;
    static struct world w;
    struct klx_clock_driven clock;
    memset(&w, 0, sizeof(w));
    w = (struct world){
        .server.replies = { TOKEN, TAKEN, HTTP_REPLY("403 Forbidden", "you said: Bearer eyJfirst") }
    };
    klx_clock_driven_init(&clock, INT64_C(1773216000000000), 1);
    w.rig.clock = &clock.clock;
    open_world(&w);
    run(&w);
    assert_int_equal(w.verdicts[0].class, KLX_VERDICT_DELIVERED);
    struct klx_timer *timer = klx_timer_new(w.rig.env.loop, let_the_token_expire, &clock);
    send_rows(&w);
    klx_timer_start(timer, 0); /* behind the start of the request */
    klx_loop_run(w.rig.env.loop);
    assert_int_equal(w.verdicts[0].class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_non_null(strstr(w.verdicts[0].answer, "you said: Bearer …"));
    klx_timer_free(timer);
    close_world(&w);
}

static void limits_are_declared(void **state) {
    (void)state;
    const struct klx_sink_ops *ops = &klx_sink_loganalytics;
    assert_string_equal(ops->name, "loganalytics");
    assert_null(ops->recipients);
    assert_true(ops->batch_bytes_max + 2 <= 1048576);
    assert_true(ops->payload_bytes_max <= ops->batch_bytes_max);
    assert_int_equal(ops->batch_age_ms, 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_what_azure_wants),
        cmocka_unit_test(one_bad_row_is_isolated),
        cmocka_unit_test(too_large_is_halved),
        cmocka_unit_test(a_refused_token_is_renewed_once),
        cmocka_unit_test(trouble_in_the_middle_is_for_the_rest),
        cmocka_unit_test(without_a_token_nothing_is_posted),
        cmocka_unit_test(the_next_may_start_from_done),
        cmocka_unit_test(a_certificate_file_that_is_gone_is_said),
        cmocka_unit_test(close_cancels_without_a_call),
        cmocka_unit_test(close_before_the_first_turn),
        cmocka_unit_test(a_token_that_expired_under_way_is_not_shown),
        cmocka_unit_test(limits_are_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
