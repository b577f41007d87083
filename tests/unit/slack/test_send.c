/* The channel against a server of a few lines that answers as it is told, one request a connection. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "tests/unit/support/http_replies.h"

#define TOKEN "XyZtoken0123456789abcdef"
#define RESET HTTP_REPLIES_RESET
#define SILENT HTTP_REPLIES_SILENT
#define PAYLOAD                                                                                    \
    "{\"text\":\"Warning: t · s\",\"attachments\":[{\"color\":\"warning\",\"blocks\":[{\"type\":" \
    "\"section\",\"text\":{\"type\":\"plain_text\",\"text\":\"*what* &lt;happened&gt;\"}}]}]}"

/* A channel of its own for each test, with its server and the file of its secret. */
struct world {
    struct http_replies server;
    struct rig rig;
    char dir[64], secret[96];
    struct klx_verdict verdict;
    int done;
    bool again; /* done sends once more */
};

static void write_url(struct world *r, const char *name) {
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/services/T1/%s/" TOKEN "\n", r->server.port,
             name);
    test_write_file(r->secret, url);
}

static void open_world(struct world *r) {
    char yaml[256];
    snprintf(r->dir, sizeof(r->dir), "/tmp/klaxon-slack-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->secret, sizeof(r->secret), "%s/hook", r->dir);
    http_replies_listen(&r->server);
    write_url(r, "B1");
    snprintf(yaml, sizeof(yaml), "webhook_url: { file: %s }\n", r->secret);
    rig_open(&r->rig, &klx_sink_slack, yaml);
}

static void close_world(struct world *r) {
    rig_close_channel(&r->rig);
    http_replies_stop(&r->server);
    rig_close(&r->rig);
    unlink(r->secret);
    rmdir(r->dir);
}

static void send_payload(struct world *r);

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *r = arg;
    assert_int_equal(n, 1);
    r->verdict = verdicts[0];
    r->done++;
    if (r->again) {
        r->again = false;
        send_payload(r);
        return;
    }
    klx_loop_stop(r->rig.env.loop);
}

/* The payload's memory is gone after the call, as it may be. */
static void send_payload(struct world *r) {
    int before = r->done;
    char *payload = strdup(PAYLOAD);
    rig_send(&r->rig, klx_sv(payload), NULL, 1, on_sent, r);
    free(payload);
    assert_int_equal(r->done, before); /* never from inside */
}

static void run(struct world *r) {
    http_replies_start(&r->server);
    send_payload(r);
    klx_loop_run(r->rig.env.loop);
    assert_int_equal(r->done, 1);
    assert_null(strstr(r->verdict.answer, TOKEN));
    assert_null(strstr(r->verdict.reason, TOKEN));
}

#define INVALID HTTP_REPLY("400 Bad Request", "invalid_blocks")

static void one_post_and_its_verdict(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason, *answer;
    } cases[] = {
        { HTTP_REPLY("200 OK", "ok"), KLX_VERDICT_DELIVERED, 0, "ok", "ok" },
        { HTTP_REPLY("404 Not Found", "no_service"), KLX_VERDICT_DESTINATION_BROKEN, 0,
          "no_service", "no_service" },
        { HTTP_REPLY("403 Forbidden", "invalid_token"), KLX_VERDICT_CREDENTIAL_BROKEN, 0,
          "invalid_token", "invalid_token" },
        { HTTP_REPLY("429 Too Many Requests\r\nRetry-After: 7", "rate_limited"),
          KLX_VERDICT_RETRY_AFTER, 7000, "rate_limited", "rate_limited" },
        { HTTP_REPLY("500 Internal Server Error", "rollup_error"), KLX_VERDICT_RETRY_BACKOFF, 0,
          "rollup_error", "rollup_error" },
        { HTTP_REPLY("200 OK", "<html>"), KLX_VERDICT_RETRY_BACKOFF, 0, "not_ok", "<html>" },
        { HTTP_REPLY("404 Not Found", "no /services/T1/B1/" TOKEN " here"),
          KLX_VERDICT_DESTINATION_BROKEN, 0, "http_404", "no … here" },
        { RESET, KLX_VERDICT_AMBIGUOUS, 0, "connection_broken", NULL },
        { "HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\nno /services/T1/B1/" TOKEN,
          KLX_VERDICT_RETRY_BACKOFF, 0, "http_503", "no …" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok", KLX_VERDICT_AMBIGUOUS, 0,
          "connection_broken", NULL },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct world r = { .server.replies = { cases[i].reply } };
        open_world(&r);
        run(&r);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_int_equal(r.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_true(cases[i].answer == NULL || strcmp(r.verdict.answer, cases[i].answer) == 0);
        assert_int_equal(r.server.served, 1);
        close_world(&r);
    }
}

static void the_request_is_what_slack_wants(void **state) {
    (void)state;
    struct world r = { .server.replies = { HTTP_REPLY("200 OK", "ok") } };
    open_world(&r);
    run(&r);
    const char *request = r.server.requests[0];
    assert_ptr_equal(strstr(request, "POST /services/T1/B1/" TOKEN " HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n" PAYLOAD));
    close_world(&r);
}

static void nobody_listens(void **state) {
    (void)state;
    struct world r = { 0 };
    open_world(&r);
    test_write_file(r.secret, "http://127.0.0.1:1/services/T1/B1/" TOKEN);
    send_payload(&r);
    klx_loop_run(r.rig.env.loop);
    assert_int_equal(r.verdict.class, KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(r.verdict.reason, "connect");
    assert_null(strstr(r.verdict.answer, TOKEN));
    close_world(&r);
}

static void a_rejected_message_is_said_in_plain_text(void **state) {
    (void)state;
    struct world r = { .server.replies = { INVALID, HTTP_REPLY("200 OK", "ok") } };
    open_world(&r);
    run(&r);
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(r.verdict.reason, "plain_text");
    assert_string_equal(r.verdict.answer, "invalid_blocks; as plain text: ok");
    assert_non_null(strstr(r.server.requests[1],
                           "\r\n\r\n{\"text\":\"Warning: t · s · ∗what∗ &lt;happened&gt;\","
                           "\"unfurl_links\":false,\"unfurl_media\":false}"));
    close_world(&r);
}

static void what_the_plain_text_meets_is_the_verdict(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason, *answer;
    } cases[] = {
        { HTTP_REPLY("400 Bad Request", "no_text"), KLX_VERDICT_REJECT_MESSAGE, 0, "invalid_blocks",
          "invalid_blocks; as plain text: no_text" },
        { HTTP_REPLY("429 Too Many Requests\r\nRetry-After: 2", ""), KLX_VERDICT_RETRY_AFTER, 2000,
          "http_429", "invalid_blocks; as plain text: " },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct world r = { .server.replies = { INVALID, cases[i].reply } };
        open_world(&r);
        run(&r);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_int_equal(r.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_string_equal(r.verdict.answer, cases[i].answer);
        assert_int_equal(r.server.served, 2);
        close_world(&r);
    }
}

static void a_secret_that_cannot_be_read_names_its_file(void **state) {
    (void)state;
    static const char *const contents[] = { NULL, "", "http://evil.example/" TOKEN };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct world r = { 0 };
        struct klx_error e = { 0 };
        open_world(&r);
        if (contents[i] == NULL) {
            unlink(r.secret);
        } else {
            test_write_file(r.secret, contents[i]);
        }
        assert_int_equal(klx_sink_slack.check(r.rig.config, klx_config_root(r.rig.yaml), &e),
                         -EINVAL);
        assert_non_null(strstr(e.text, r.secret));
        assert_ptr_equal(strstr(e.text, "test.yaml:1:"), e.text);
        send_payload(&r);
        klx_loop_run(r.rig.env.loop);
        assert_int_equal(r.done, 1);
        assert_int_equal(r.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(r.verdict.reason, "webhook_url");
        assert_non_null(strstr(r.verdict.answer, r.secret));
        assert_null(strstr(r.verdict.answer, TOKEN));
        close_world(&r);
    }
}

static void a_rotated_secret_counts_from_the_next_message(void **state) {
    (void)state;
    struct world r = { .server.replies = { HTTP_REPLY("200 OK", "ok"),
                                           HTTP_REPLY("200 OK", "ok") } };
    struct klx_error e = { 0 };
    open_world(&r);
    assert_int_equal(klx_sink_slack.check(r.rig.config, klx_config_root(r.rig.yaml), &e), 0);
    run(&r);
    write_url(&r, "B2222");
    send_payload(&r);
    klx_loop_run(r.rig.env.loop);
    assert_int_equal(r.done, 2);
    assert_non_null(strstr(r.server.requests[0], "/services/T1/B1/"));
    assert_non_null(strstr(r.server.requests[1], "/services/T1/B2222/"));
    close_world(&r);
}

static void the_next_may_start_from_done(void **state) {
    (void)state;
    struct world r = { .server.replies = { HTTP_REPLY("200 OK", "ok"),
                                           HTTP_REPLY("410 Gone", "no_team") },
                       .again = true };
    open_world(&r);
    http_replies_start(&r.server);
    send_payload(&r);
    klx_loop_run(r.rig.env.loop);
    assert_int_equal(r.done, 2);
    assert_string_equal(r.verdict.reason, "no_team");
    close_world(&r);
}

static void a_probe_shows_nothing_to_anybody(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { HTTP_REPLY("400 Bad Request", "no_text"), KLX_VERDICT_DELIVERED, "reachable" },
        { HTTP_REPLY("400 Bad Request", "invalid_payload"), KLX_VERDICT_DELIVERED, "reachable" },
        { HTTP_REPLY("404 Not Found", "no_service"), KLX_VERDICT_DESTINATION_BROKEN, "no_service" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct world r = { .server.replies = { cases[i].reply } };
        open_world(&r);
        http_replies_start(&r.server);
        klx_sink_slack.probe(r.rig.channel, on_sent, &r);
        klx_loop_run(r.rig.env.loop);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_non_null(strstr(r.server.requests[0], "\r\n\r\n{}"));
        assert_int_equal(r.server.served, 1);
        close_world(&r);
    }
}

/* While the answer is awaited, and in the second before the plain text. */
static void close_cancels_without_a_call(void **state) {
    (void)state;
    static const char *const replies[] = { SILENT, INVALID };
    for (size_t i = 0; i < KLX_COUNT(replies); i++) {
        struct world r = { .server.replies = { replies[i] } };
        open_world(&r);
        http_replies_start(&r.server);
        send_payload(&r);
        rig_run_and_close(&r.rig, &r.server, 1);
        close_world(&r);
        assert_int_equal(r.done, 0);
    }
}

static void limits_are_declared(void **state) {
    (void)state;
    assert_string_equal(klx_sink_slack.name, "slack");
    assert_int_equal(klx_sink_slack.min_interval_ms, 1000);
    assert_int_equal(klx_sink_slack.payload_bytes_max, 65536);
    assert_null(klx_sink_slack.recipients);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_post_and_its_verdict),
        cmocka_unit_test(the_request_is_what_slack_wants),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_rejected_message_is_said_in_plain_text),
        cmocka_unit_test(what_the_plain_text_meets_is_the_verdict),
        cmocka_unit_test(a_secret_that_cannot_be_read_names_its_file),
        cmocka_unit_test(a_rotated_secret_counts_from_the_next_message),
        cmocka_unit_test(the_next_may_start_from_done),
        cmocka_unit_test(a_probe_shows_nothing_to_anybody),
        cmocka_unit_test(close_cancels_without_a_call),
        cmocka_unit_test(limits_are_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
