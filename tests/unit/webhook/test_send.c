/* The channel against a server of a few lines that answers as it is told, one request a connection. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/webhook/sign.h"
#include "tests/unit/support/http_replies.h"

#define TOKEN "XyZtoken0123456789abcdef"
#define OK HTTP_REPLY("200 OK", "fine")
#define PAYLOAD "content-type: text/plain\n\nbody of \x01k\x01"

struct world {
    struct http_replies server;
    struct rig rig;
    struct klx_verdict verdict;
    int done, wanted;
};

static void open_world(struct world *w, const char *yaml) {
    char text[2048], url[128];
    http_replies_listen(&w->server);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hooks/" TOKEN "?sig=" TOKEN, w->server.port);
    setenv("WEBHOOK_TEST_URL", url, 1);
    setenv("WEBHOOK_TEST_TOKEN", TOKEN "\n", 1);
    snprintf(text, sizeof(text), "secret_url: {env: WEBHOOK_TEST_URL}\n%s", yaml);
    rig_open(&w->rig, &klx_sink_webhook, text);
}

static void close_world(struct world *w) {
    rig_close_channel(&w->rig);
    http_replies_stop(&w->server);
    rig_close(&w->rig);
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *w = arg;
    assert_int_equal(n, 1);
    w->verdict = verdicts[0];
    w->done++;
    if (w->done == w->wanted) {
        klx_loop_stop(w->rig.env.loop);
    }
}

/* The payload's memory is gone after the call, as it may be. */
static void send_payload(struct world *w) {
    int before = w->done;
    char *payload = strdup(PAYLOAD);
    rig_send(&w->rig, klx_sv(payload), NULL, 1, on_sent, w);
    free(payload);
    assert_int_equal(w->done, before); /* never from inside */
}

static void run(struct world *w, int n) {
    w->wanted = n;
    if (w->server.replies[0] != NULL) {
        http_replies_start(&w->server);
    }
    for (int i = 0; i < n; i++) {
        send_payload(w);
    }
    klx_loop_run(w->rig.env.loop);
    assert_int_equal(w->done, n);
    assert_null(strstr(w->verdict.answer, TOKEN));
    assert_null(strstr(w->verdict.reason, TOKEN));
}

static void one_post_and_its_verdict(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason, *answer;
    } cases[] = {
        { OK, KLX_VERDICT_DELIVERED, 0, "http_200", "fine" },
        { HTTP_REPLY("202 Accepted", ""), KLX_VERDICT_ACCEPTED, 0, "http_202", "" },
        { HTTP_REPLY("302 Found\r\nLocation: http://127.0.0.1:1/", ""),
          KLX_VERDICT_DESTINATION_BROKEN, 0, "redirect_302", "" },
        { HTTP_REPLY("429 Too Many Requests\r\nRetry-After: 7", "slow"), KLX_VERDICT_RETRY_AFTER,
          7000, "http_429", "slow" },
        { HTTP_REPLY("404 Not Found", "no /hooks/" TOKEN "?sig=" TOKEN " here"),
          KLX_VERDICT_DESTINATION_BROKEN, 0, "http_404", "no … here" },
        { HTTP_REPLY("401 Unauthorized", "bad token " TOKEN), KLX_VERDICT_CREDENTIAL_BROKEN, 0,
          "http_401", "bad token …" },
        { HTTP_REPLIES_RESET, KLX_VERDICT_AMBIGUOUS, 0, "connection_broken", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok", KLX_VERDICT_AMBIGUOUS, 0,
          "connection_broken", NULL },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct world w = { .server.replies = { cases[i].reply } };
        open_world(&w, "bearer_token: {env: WEBHOOK_TEST_TOKEN}\n");
        run(&w, 1);
        assert_string_equal(w.verdict.reason, cases[i].reason);
        assert_int_equal(w.verdict.class, cases[i].class);
        assert_int_equal(w.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_true(cases[i].answer == NULL || strcmp(w.verdict.answer, cases[i].answer) == 0);
        assert_int_equal(w.server.served, 1); /* a redirect is not followed */
        close_world(&w);
    }
}

static bool has_line(const char *request, const char *line) {
    char wanted[512];
    snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
    return strstr(request, wanted) != NULL;
}

static void the_request_has_all_that_was_asked_for(void **state) {
    (void)state;
    struct world w = { .server.replies = { OK } };
    open_world(&w, "method: PUT\n"
                   "headers: { X-Team: ops, X-Api-Key: { env: WEBHOOK_TEST_TOKEN } }\n"
                   "user: klaxon\n"
                   "password: { env: WEBHOOK_TEST_TOKEN }\n"
                   "signing_secret: { env: WEBHOOK_TEST_TOKEN }\n"
                   "content_type: text/plain\n"
                   "secrets: { k: { env: WEBHOOK_TEST_TOKEN } }\n"
                   "template: '{{secrets.k}}'\n");
    run(&w, 1);
    const char *request = w.server.requests[0];
    assert_ptr_equal(strstr(request, "PUT /hooks/" TOKEN "?sig=" TOKEN " HTTP/1.1\r\n"), request);
    assert_true(has_line(request, "content-type: text/plain"));
    assert_true(has_line(request, "X-Team: ops"));
    assert_true(has_line(request, "X-Api-Key: " TOKEN));
    assert_true(has_line(request, "User-Agent: klaxon"));
    assert_true(has_line(request, "Idempotency-Key: id"));
    assert_true(has_line(request, "webhook-id: id"));
    assert_true(has_line(request, "Authorization: Basic "
                                  "a2xheG9uOlh5WnRva2VuMDEyMzQ1Njc4OWFiY2RlZg=="));
    assert_non_null(strstr(request, "\r\n\r\nbody of " TOKEN));
    const char *stamp = strstr(request, "\r\nwebhook-timestamp: ");
    assert_non_null(stamp);
    struct klx_sv rest = klx_sv(stamp + strlen("\r\nwebhook-timestamp: "));
    int64_t unix_s = 0;
    assert_int_equal(klx_sv_int(klx_sv_cut(&rest, '\r'), &unix_s), 0);
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, 512);
    klx_buf_add_str(&line, "webhook-signature: ");
    klx_webhook_sign(&line, KLX_SV(TOKEN), KLX_SV("id"), unix_s, KLX_SV("body of " TOKEN));
    assert_true(has_line(request, klx_buf_str(&line)));
    close_world(&w);
}

static void an_own_header_for_the_id_or_none(void **state) {
    (void)state;
    struct world w = { .server.replies = { OK } };
    open_world(&w, "idempotency_header: X-Request-Id\nheaders: { user-agent: ours }\n");
    run(&w, 1);
    assert_true(has_line(w.server.requests[0], "X-Request-Id: id"));
    assert_true(has_line(w.server.requests[0], "user-agent: ours"));
    assert_null(strstr(w.server.requests[0], "User-Agent: klaxon"));
    assert_null(strstr(w.server.requests[0], "webhook-"));
    close_world(&w);
    struct world v = { .server.replies = { OK } };
    open_world(&v, "idempotency_header: ''\n");
    run(&v, 1);
    assert_null(strstr(v.server.requests[0], ": id\r\n"));
    close_world(&v);
}

static void several_at_once(void **state) {
    (void)state;
    struct world w = { .server.replies = { OK, OK, OK, OK } };
    open_world(&w, "concurrency: 4\n");
    assert_int_equal(w.rig.ops->concurrency_of(w.rig.channel), 4);
    run(&w, 4);
    assert_int_equal(w.server.served, 4);
    close_world(&w);
}

static void a_secret_that_is_gone_keeps_the_message(void **state) {
    (void)state;
    static const char *const yamls[] = {
        "bearer_token: {file: /nowhere/klaxon}\n",
        "headers: {X-Key: {file: /nowhere/klaxon}}\n",
        "signing_secret: {file: /nowhere/klaxon}\n",
        "ca_file: /nowhere/klaxon\n",
        "content_type: text/plain\ntemplate: x\nsecrets: {k: {file: /nowhere/klaxon}}\n",
    };
    for (size_t i = 0; i < KLX_COUNT(yamls); i++) {
        struct world w = { .server.replies = { NULL } };
        open_world(&w, yamls[i]);
        run(&w, 1);
        assert_int_equal(w.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(w.verdict.reason, "secret");
        assert_non_null(strstr(w.verdict.answer, "/nowhere/klaxon"));
        close_world(&w);
    }
}

static void closing_ends_what_is_under_way(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLIES_SILENT } };
    open_world(&w, "");
    http_replies_start(&w.server);
    send_payload(&w);
    rig_run_and_close(&w.rig, &w.server, 1);
    close_world(&w);
    assert_int_equal(w.done, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_post_and_its_verdict),
        cmocka_unit_test(the_request_has_all_that_was_asked_for),
        cmocka_unit_test(an_own_header_for_the_id_or_none),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(a_secret_that_is_gone_keeps_the_message),
        cmocka_unit_test(closing_ends_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
