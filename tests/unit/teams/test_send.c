/* The channel against a server of a few lines that answers as it is told, one request a connection. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "sinks/teams/limits.h"
#include "tests/unit/support/http_replies.h"

#define SIG "c2lnbmF0dXJlLW9mLWEtZmxvdw%2B_-"
#define SIG_DECODED "c2lnbmF0dXJlLW9mLWEtZmxvdw+_-"
#define FLOW "/powerautomate/automations/direct/workflows/01ab/triggers/manual/paths/invoke"
#define TARGET FLOW "?api-version=2022-03-01-preview&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" SIG
#define PAYLOAD "{\"type\":\"message\"}"

/* A channel of its own for each test, with its server, the file of its secret, and what is logged. */
struct world {
    struct http_replies server;
    struct rig rig;
    char dir[64], secret[96], log[96];
    FILE *log_file;
    struct klx_verdict verdict;
    int done;
};

/* `secret` NULL: there is no file. */
static void open_world_of(struct world *w, const char *secret) {
    char text[512];
    snprintf(w->dir, sizeof(w->dir), "/tmp/klaxon-teams-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->secret, sizeof(w->secret), "%s/flow", w->dir);
    snprintf(w->log, sizeof(w->log), "%s/log", w->dir);
    w->log_file = fopen(w->log, "w+");
    assert_non_null(w->log_file);
    klx_log_to_fd(fileno(w->log_file));
    http_replies_listen(&w->server);
    if (secret != NULL) {
        test_write_file(w->secret, secret);
    }
    snprintf(text, sizeof(text), "webhook_url: { file: %s }\n", w->secret);
    rig_open(&w->rig, &klx_sink_teams, text);
}

static void open_world(struct world *w) {
    char url[512];
    open_world_of(w, NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s\n", w->server.port, TARGET);
    test_write_file(w->secret, url);
}

/* The log's text, which must hold nothing of the signature. */
static void read_log(struct world *w, char *text, size_t size) {
    rewind(w->log_file);
    size_t n = fread(text, 1, size - 1, w->log_file);
    text[n] = '\0';
    assert_null(strstr(text, SIG));
    assert_null(strstr(text, SIG_DECODED));
}

static void close_world(struct world *w) {
    char logged[8192];
    rig_close_channel(&w->rig);
    http_replies_stop(&w->server);
    rig_close(&w->rig);
    read_log(w, logged, sizeof(logged));
    klx_log_to_fd(-1);
    fclose(w->log_file);
    unlink(w->log);
    unlink(w->secret);
    rmdir(w->dir);
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *w = arg;
    assert_int_equal(n, 1);
    w->verdict = verdicts[0];
    w->done++;
    klx_loop_stop(w->rig.env.loop);
}

static void send_payload(struct world *w) {
    rig_send(&w->rig, KLX_SV(PAYLOAD), NULL, 1, on_sent, w);
    assert_int_equal(w->done, 0); /* never from inside */
}

static void run(struct world *w) {
    http_replies_start(&w->server);
    send_payload(w);
    klx_loop_run(w->rig.env.loop);
    assert_int_equal(w->done, 1);
    assert_null(strstr(w->verdict.answer, SIG));
    assert_null(strstr(w->verdict.answer, SIG_DECODED));
}

static void the_request_is_what_a_flow_wants(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLY("202 Accepted", "") } };
    open_world(&w);
    run(&w);
    const char *request = w.server.requests[0];
    assert_ptr_equal(strstr(request, "POST " TARGET " HTTP/1.1\r\n"), request); /* to the byte */
    assert_non_null(strstr(request, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(request, "x-ms-client-tracking-id: id\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n" PAYLOAD));
    assert_int_equal(w.verdict.class, KLX_VERDICT_ACCEPTED);
    assert_string_equal(w.verdict.handle, "");
    close_world(&w);
}

static void a_flow_that_answers_gives_a_handle(void **state) {
    (void)state;
    struct world w = { .server.replies = {
                           HTTP_REPLY("200 OK", "{\"messageId\":\"1773216798316\"}") } };
    open_world(&w);
    run(&w);
    assert_int_equal(w.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(w.verdict.handle, "1773216798316");
    close_world(&w);
}

static void what_comes_back_has_no_signature(void **state) {
    (void)state;
    static const char *const replies[] = {
        HTTP_REPLY("401 Unauthorized", "sig '" SIG_DECODED "' of " TARGET " is wrong"),
        HTTP_REPLY("500 Oops", "sig=" SIG),
        "HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\nsig=" SIG,
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsig=" SIG,
        HTTP_REPLIES_RESET,
    };
    for (size_t i = 0; i < KLX_COUNT(replies); i++) {
        struct world w = { .server.replies = { replies[i] } };
        open_world(&w);
        run(&w);
        assert_int_not_equal(w.verdict.class, KLX_VERDICT_ACCEPTED);
        assert_int_not_equal(w.verdict.class, KLX_VERDICT_DELIVERED);
        close_world(&w);
    }
}

static void success_that_speaks_of_an_error_is_logged(void **state) {
    (void)state;
    struct world w = { .server.replies = {
                           HTTP_REPLY("200 OK", "{\"error\":{\"code\":\"post_413\",\"message\":"
                                                "\"too large, sig=" SIG "\"}}") } };
    char logged[8192];
    open_world(&w);
    run(&w);
    assert_int_equal(w.verdict.class, KLX_VERDICT_REJECT_MESSAGE);
    read_log(&w, logged, sizeof(logged));
    assert_non_null(strstr(logged, "speaks of an error"));
    assert_non_null(strstr(logged, "post_413"));
    close_world(&w);
}

static void a_secret_that_cannot_be_used_names_its_file(void **state) {
    (void)state;
    static const char *const contents[] = {
        NULL, "", "http://evil.example" TARGET,
        "https://contoso.webhook.office.com/webhookb2/c2lnbmF0dXJlLW9mLWEtZmxvdw"
    };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct world w = { 0 };
        struct klx_error e = { 0 };
        open_world_of(&w, contents[i]);
        assert_int_equal(klx_sink_teams.check(w.rig.config, klx_config_root(w.rig.yaml), &e),
                         -EINVAL);
        assert_non_null(strstr(e.text, w.secret));
        assert_ptr_equal(strstr(e.text, "test.yaml:1:"), e.text);
        send_payload(&w);
        klx_loop_run(w.rig.env.loop);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(w.verdict.reason, "webhook_url");
        assert_non_null(strstr(w.verdict.answer, w.secret));
        assert_null(strstr(w.verdict.answer, "c2lnbmF0"));
        close_world(&w);
    }
}

static void an_address_that_will_end_is_doubted(void **state) {
    (void)state;
    struct world w = { 0 };
    const char *key = NULL;
    open_world(&w);
    assert_null(klx_sink_teams.doubt(w.rig.config, &key));
    test_write_file(w.secret,
                    "https://prod-12.westeurope.logic.azure.com:443/workflows/x?sig=" SIG);
    assert_non_null(klx_sink_teams.doubt(w.rig.config, &key));
    assert_string_equal(key, "webhook_url");
    close_world(&w);
}

static void close_cancels_without_a_call(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLIES_SILENT } };
    open_world(&w);
    http_replies_start(&w.server);
    send_payload(&w);
    rig_run_and_close(&w.rig, &w.server, 1);
    close_world(&w);
    assert_int_equal(w.done, 0);
}

static void limits_are_declared(void **state) {
    (void)state;
    assert_string_equal(klx_sink_teams.name, "teams");
    assert_int_equal(klx_sink_teams.min_interval_ms, 1000);
    assert_int_equal(klx_sink_teams.payload_bytes_max, 14000);
    assert_null(klx_sink_teams.recipients);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_what_a_flow_wants),
        cmocka_unit_test(a_flow_that_answers_gives_a_handle),
        cmocka_unit_test(what_comes_back_has_no_signature),
        cmocka_unit_test(success_that_speaks_of_an_error_is_logged),
        cmocka_unit_test(a_secret_that_cannot_be_used_names_its_file),
        cmocka_unit_test(an_address_that_will_end_is_doubted),
        cmocka_unit_test(close_cancels_without_a_call),
        cmocka_unit_test(limits_are_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
