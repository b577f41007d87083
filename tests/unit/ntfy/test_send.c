/* The channel against a server of a few lines that answers as it is told, one request a connection. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/http_replies.h"

#define TOKEN "tk_s3cr3ts3cr3ts3cr3t"
#define PAYLOAD "{\"topic\":\"a\"}"

struct world {
    struct http_replies server;
    struct rig rig;
    char secret[64];
    struct klx_verdict verdict;
    int done;
};

static void open_world(struct world *w, const char *token) {
    char yaml[256];
    snprintf(w->secret, sizeof(w->secret), "/tmp/klaxon-ntfy-XXXXXX");
    int fd = mkstemp(w->secret);
    assert_int_equal(write(fd, token, strlen(token)), (int)strlen(token));
    close(fd);
    http_replies_listen(&w->server);
    snprintf(yaml, sizeof(yaml),
             "{ url: \"http://127.0.0.1:%u\", topic: a, token: { file: %s } }\n", w->server.port,
             w->secret);
    rig_open(&w->rig, &klx_sink_ntfy, yaml);
}

static void close_world(struct world *w) {
    rig_close_channel(&w->rig);
    http_replies_stop(&w->server);
    rig_close(&w->rig);
    unlink(w->secret);
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *w = arg;
    assert_int_equal(n, 1);
    w->verdict = verdicts[0];
    w->done++;
    klx_loop_stop(w->rig.env.loop);
}

static void run(struct world *w) {
    rig_send(&w->rig, KLX_SV(PAYLOAD), NULL, 1, on_sent, w);
    assert_int_equal(w->done, 0); /* never from inside */
    klx_loop_run(w->rig.env.loop);
    assert_int_equal(w->done, 1);
    assert_null(strstr(w->verdict.answer, TOKEN));
}

static void the_request_is_what_ntfy_wants(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLY("200 OK", "{\"id\":\"xE73Iyuabi\"}") } };
    open_world(&w, TOKEN "\n");
    http_replies_start(&w.server);
    run(&w);
    const char *request = w.server.requests[0];
    assert_ptr_equal(strstr(request, "POST / HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(request, "Authorization: Bearer " TOKEN "\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n" PAYLOAD));
    assert_int_equal(w.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(w.verdict.handle, "xE73Iyuabi");
    close_world(&w);
}

static void what_comes_back_has_no_token(void **state) {
    (void)state;
    static const char *const replies[] = {
        HTTP_REPLY("401 Unauthorized", "not " TOKEN),
        HTTP_REPLY("500 Oops", TOKEN),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\n" TOKEN),
        HTTP_REPLIES_RESET,
    };
    for (size_t i = 0; i < KLX_COUNT(replies); i++) {
        struct world w = { .server.replies = { replies[i] } };
        open_world(&w, TOKEN);
        http_replies_start(&w.server);
        run(&w);
        assert_int_not_equal(w.verdict.class, KLX_VERDICT_DELIVERED);
        close_world(&w);
    }
}

static void a_token_that_cannot_be_used_names_its_file(void **state) {
    (void)state;
    static const char *const contents[] = { "", TOKEN " x" };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct world w = { 0 };
        open_world(&w, contents[i]);
        run(&w);
        assert_int_equal(w.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(w.verdict.reason, "token");
        assert_non_null(strstr(w.verdict.answer, w.secret));
        close_world(&w);
    }
}

static void close_cancels_without_a_call(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLIES_SILENT } };
    open_world(&w, TOKEN);
    http_replies_start(&w.server);
    rig_send(&w.rig, KLX_SV(PAYLOAD), NULL, 1, on_sent, &w);
    rig_run_and_close(&w.rig, &w.server, 1);
    close_world(&w);
    assert_int_equal(w.done, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_what_ntfy_wants),
        cmocka_unit_test(what_comes_back_has_no_token),
        cmocka_unit_test(a_token_that_cannot_be_used_names_its_file),
        cmocka_unit_test(close_cancels_without_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
