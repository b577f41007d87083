/* One request at a time to a URL that is a secret, against a server of a few lines. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "sinks/core/http_post.h"
#include "tests/unit/support/http_replies.h"

#define TOKEN "XyZtoken0123456789abcdef"

struct world {
    struct http_replies server;
    struct klx_sink_env env;
    char secret[64];
    struct klx_secret *url, *token;
    struct klx_http_post *post;
    int done, status;
    enum klx_http_failure failure;
    char said[512];
    bool again; /* done starts once more */
};

static int check(struct klx_sv url, const char *where, struct klx_error *e) {
    return klx_sv_starts(url, KLX_SV("http://127.0.0.1:"))
               ? 0
               : klx_fail(e, -EINVAL, "the URL in %s is not for this", where);
}

static void open_world(struct world *w) {
    static const char *const headers[] = { "Content-Type: application/json", "X-A: b", NULL };
    char url[256];
    struct klx_loop *loop = klx_loop_new();
    http_replies_listen(&w->server);
    snprintf(w->secret, sizeof(w->secret), "/tmp/klaxon-post-XXXXXX");
    close(mkstemp(w->secret));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook?a=%%2f&sig=" TOKEN "\n", w->server.port);
    test_write_file(w->secret, url);
    w->env = (struct klx_sink_env){ loop, klx_http_new(loop), klx_clock_real() };
    w->url = klx_secret_from_file(klx_sv(w->secret));
    w->post = klx_http_post_new(&(struct klx_http_post_options){
        .env = &w->env, .url = w->url, .check = check, .headers = headers });
}

/* In place of the URL that is a secret: one that is none, and a token. */
static void post_with_token(struct world *w, char address[static 64], const char *token) {
    test_write_file(w->secret, token);
    snprintf(address, 64, "http://127.0.0.1:%u/", w->server.port);
    klx_http_post_free(w->post);
    w->token = klx_secret_from_file(klx_sv(w->secret));
    w->post = klx_http_post_new(&(struct klx_http_post_options){
        .env = &w->env, .address = address, .bearer_token = w->token });
}

static void close_world(struct world *w) {
    klx_http_post_free(w->post);
    klx_secret_free(w->token);
    http_replies_stop(&w->server);
    klx_http_free(w->env.http);
    klx_loop_run(w->env.loop);
    klx_loop_free(w->env.loop);
    klx_secret_free(w->url);
    unlink(w->secret);
}

static void start(struct world *w);

static void on_end(void *arg, const struct klx_http_post_end *end) {
    struct world *w = arg;
    w->done++;
    if (end->result != NULL) {
        w->status = end->result->status;
        w->failure = end->result->failure;
        snprintf(w->said, sizeof(w->said), "%.*s", KLX_SV_FMT(end->result->body));
    } else {
        snprintf(w->said, sizeof(w->said), "%s", end->not_sent);
    }
    assert_null(strstr(w->said, TOKEN));
    if (w->again) {
        w->again = false;
        start(w);
        return;
    }
    klx_loop_stop(w->env.loop);
}

/* The body's memory is gone after the call, as it may be. */
static void start(struct world *w) {
    int before = w->done;
    char *body = strdup("{\"a\":1}");
    klx_http_post_start(w->post, klx_sv(body), on_end, w);
    free(body);
    assert_int_equal(w->done, before); /* never from inside */
}

static void the_url_arrives_as_it_is_and_does_not_come_back(void **state) {
    (void)state;
    struct world w = { .server.replies = {
                           HTTP_REPLY("202 Accepted", "took /hook?a=%2f&sig=" TOKEN " " TOKEN) } };
    open_world(&w);
    http_replies_start(&w.server);
    start(&w);
    klx_loop_run(w.env.loop);
    assert_int_equal(w.status, 202);
    assert_string_equal(w.said, "took … …");
    const char *request = w.server.requests[0];
    assert_ptr_equal(strstr(request, "POST /hook?a=%2f&sig=" TOKEN " HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "X-A: b\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n{\"a\":1}"));
    close_world(&w);
}

/* A status came, and then the connection broke inside of the body. */
static void an_answer_that_broke_off_is_redacted_too(void **state) {
    (void)state;
    struct world w = { .server.replies = {
                           "HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\nsig " TOKEN } };
    open_world(&w);
    http_replies_start(&w.server);
    start(&w);
    klx_loop_run(w.env.loop);
    assert_int_equal(w.failure, KLX_HTTP_BROKEN);
    assert_int_equal(w.status, 503);
    close_world(&w);
}

static void a_token_is_sent_and_does_not_come_back(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLY("401 Unauthorized", "not " TOKEN "!") } };
    char address[64];
    open_world(&w);
    post_with_token(&w, address, TOKEN "\n");
    http_replies_start(&w.server);
    start(&w);
    klx_loop_run(w.env.loop);
    assert_int_equal(w.status, 401);
    assert_string_equal(w.said, "not …!");
    assert_non_null(strstr(w.server.requests[0], "POST / HTTP/1.1\r\n"));
    assert_non_null(strstr(w.server.requests[0], "Authorization: Bearer " TOKEN "\r\n"));
    close_world(&w);
}

static void a_token_that_is_none_is_not_sent(void **state) {
    (void)state;
    static const char *const contents[] = { "", " \n", "a " TOKEN, TOKEN "\r\nX: y" };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct world w = { .status = -1 };
        struct klx_error e = { 0 };
        char address[64];
        open_world(&w);
        post_with_token(&w, address, contents[i]);
        assert_int_not_equal(klx_http_post_check_token(w.token, NULL, &e), 0);
        assert_non_null(strstr(e.text, w.secret));
        start(&w);
        klx_loop_run(w.env.loop);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, -1);
        assert_non_null(strstr(w.said, w.secret));
        close_world(&w);
    }
}

static void what_was_not_sent_says_why(void **state) {
    (void)state;
    static const char *const contents[] = { NULL, "", "http://evil.example/" TOKEN };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct world w = { .status = -1 };
        open_world(&w);
        if (contents[i] == NULL) {
            unlink(w.secret);
        } else {
            test_write_file(w.secret, contents[i]);
        }
        start(&w);
        klx_loop_run(w.env.loop);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, -1);
        assert_non_null(strstr(w.said, w.secret));
        close_world(&w);
    }
}

static void the_next_may_start_from_done_with_a_new_url(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLY("200 OK", "1"), HTTP_REPLY("201 Made", "2") },
                       .again = true };
    open_world(&w);
    http_replies_start(&w.server);
    start(&w);
    char url[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/another-one", w.server.port);
    test_write_file(w.secret, url);
    klx_loop_run(w.env.loop);
    assert_int_equal(w.done, 2);
    assert_string_equal(w.said, "2");
    assert_non_null(strstr(w.server.requests[0], "POST /hook?"));
    assert_non_null(strstr(w.server.requests[1], "POST /another-one "));
    close_world(&w);
}

static void free_when_served(void *arg) {
    struct world *w = arg;
    if (w->server.served > 0) {
        klx_http_post_free(w->post);
        w->post = NULL;
        klx_loop_stop(w->env.loop);
    }
}

static void free_cancels_without_a_call(void **state) {
    (void)state;
    struct world w = { .server.replies = { HTTP_REPLIES_SILENT } };
    open_world(&w);
    struct klx_timer *timer = klx_timer_new(w.env.loop, free_when_served, &w);
    klx_timer_repeat(timer, 50);
    http_replies_start(&w.server);
    start(&w);
    klx_loop_run(w.env.loop);
    klx_timer_free(timer);
    close_world(&w);
    assert_int_equal(w.done, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_url_arrives_as_it_is_and_does_not_come_back),
        cmocka_unit_test(an_answer_that_broke_off_is_redacted_too),
        cmocka_unit_test(a_token_is_sent_and_does_not_come_back),
        cmocka_unit_test(a_token_that_is_none_is_not_sent),
        cmocka_unit_test(what_was_not_sent_says_why),
        cmocka_unit_test(the_next_may_start_from_done_with_a_new_url),
        cmocka_unit_test(free_cancels_without_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
