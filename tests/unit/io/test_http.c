/* The HTTP client against a server of a few lines, which sends exactly what a case wants. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/io/http.h"

struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    const char *reply; /* sent when the request's head has come */
    size_t big;        /* then that many bytes 'x' */
    bool stay_open;    /* until the client goes */
    char request[8192];
};

static void *serve(void *arg) {
    struct server *s = arg;
    int fd = accept(s->fd, NULL, NULL);
    size_t n = 0;
    while (strstr(s->request, "\r\n\r\n") == NULL) {
        ssize_t got = read(fd, s->request + n, sizeof(s->request) - 1 - n);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    (void)!write(fd, s->reply, strlen(s->reply));
    char block[4096];
    memset(block, 'x', sizeof(block));
    for (size_t left = s->big; left > 0;) {
        ssize_t sent = send(fd, block, left < sizeof(block) ? left : sizeof(block), MSG_NOSIGNAL);
        if (sent <= 0) {
            break;
        }
        left -= (size_t)sent;
    }
    while (s->stay_open && read(fd, block, sizeof(block)) > 0) {
    }
    close(fd);
    return NULL;
}

static void listen_on_loopback(struct server *s) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
}

static void start(struct server *s, const char *reply) {
    s->reply = reply;
    listen_on_loopback(s);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s) {
    pthread_join(s->thread, NULL);
    close(s->fd);
}

struct client {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_http_call *call, *other;
    struct klx_timer *timer;
    struct klx_buf body;
    char error[256];
    struct klx_http_result result;
    int done, status, chunks;
    bool pause_each, cancel_first, cancel_at_status, pause_at_status;
};

static void resume(void *arg) {
    struct client *c = arg;
    klx_http_resume(c->call);
}

static void on_status(void *arg, int status, int64_t retry_after_ms) {
    struct client *c = arg;
    (void)retry_after_ms;
    c->status = status;
    if (c->cancel_at_status) {
        klx_http_cancel(c->call);
        klx_loop_stop(c->loop);
    } else if (c->pause_at_status) {
        klx_http_pause(c->call);
        klx_timer_start(c->timer, 1);
    }
}

static void on_body(void *arg, struct klx_sv chunk) {
    struct client *c = arg;
    klx_buf_add_sv(&c->body, chunk);
    c->chunks++;
    if (c->other != NULL) {
        klx_http_cancel(c->other);
        c->other = NULL;
    }
    if (c->cancel_first) {
        klx_http_cancel(c->call);
        klx_loop_stop(c->loop);
    } else if (c->pause_each) {
        klx_http_pause(c->call);
        klx_timer_start(c->timer, 1);
    }
}

static void on_done(void *arg, const struct klx_http_result *r) {
    struct client *c = arg;
    c->result = *r;
    c->done++;
    snprintf(c->error, sizeof(c->error), "%s", r->error);
    klx_buf_add_sv(&c->body, r->body);
    klx_loop_stop(c->loop);
}

static void open_client(struct client *c) {
    *c = (struct client){ .loop = klx_loop_new() };
    c->http = klx_http_new(c->loop);
    c->timer = klx_timer_new(c->loop, resume, c);
    klx_buf_init(&c->body, 64 << 20);
}

/* The loop's free asserts that nothing of all this is alive. */
static void close_client(struct client *c) {
    klx_http_free(c->http);
    klx_timer_free(c->timer);
    klx_loop_run(c->loop);
    klx_loop_free(c->loop);
    klx_buf_release(&c->body);
}

static int get(struct client *c, unsigned port, bool stream, struct klx_http_request *r,
               struct klx_error *e) {
    char url[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/path?token=secret", port);
    r->method = r->method != NULL ? r->method : "GET";
    r->url = url;
    r->on_done = on_done;
    r->arg = c;
    if (stream) {
        r->on_status = on_status;
        r->on_body = on_body;
    }
    return klx_http_start(c->http, r, &c->call, e);
}

static void run(struct client *c, struct server *s, bool stream, struct klx_http_request r) {
    assert_int_equal(get(c, s->port, stream, &r, NULL), 0);
    assert_int_equal(c->done, 0); /* never from inside the call that started it */
    klx_loop_run(c->loop);
}

static int64_t retry_after(const char *value) {
    struct server s = { 0 };
    struct client c;
    char answer[256];
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", value);
    open_client(&c);
    start(&s, answer);
    run(&c, &s, false, (struct klx_http_request){ .method = "GET" });
    int64_t ms = c.result.retry_after_ms;
    stop(&s);
    close_client(&c);
    return ms;
}

/* Nobody means to be left alone for years. */
static void a_wait_that_makes_no_sense_is_none(void **state) {
    (void)state;
    assert_int_equal(retry_after("60"), 60000);
    assert_int_equal(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    assert_int_equal(retry_after("Fri, 21 Oct 2157 07:28:00 GMT"), -1);
    assert_int_equal(retry_after("999999999999"), -1);
    assert_int_equal(retry_after("-5"), -1);
    assert_int_equal(retry_after("soon"), -1);
}

static void a_whole_body(void **state) {
    (void)state;
    struct server s = { 0 };
    struct client c;
    open_client(&c);
    start(&s, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nhello");
    const char *headers[] = { "X-Test: yes", NULL };
    run(&c, &s, false,
        (struct klx_http_request){
            .method = "POST", .headers = headers, .body = KLX_SV("payload") });
    assert_int_equal(c.result.failure, KLX_HTTP_OK);
    assert_int_equal(c.result.status, 429);
    assert_int_equal(c.result.retry_after_ms, 7000);
    assert_true(c.result.request_sent);
    assert_string_equal(klx_buf_str(&c.body), "hello");
    assert_non_null(strstr(s.request, "X-Test: yes\r\n"));
    assert_null(strstr(s.request, "Accept-Encoding"));
    stop(&s);
    close_client(&c);
}

static void a_stream_that_pauses_loses_nothing(void **state) {
    (void)state;
    struct server s = { .big = 3000000 };
    struct client c;
    open_client(&c);
    c.pause_each = true;
    start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    run(&c, &s, true, (struct klx_http_request){ .own_connection = true });
    assert_int_equal(c.result.failure, KLX_HTTP_OK);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.body.len, 3000000);
    assert_true(c.chunks > 5);
    stop(&s);
    close_client(&c);
}

static void the_status_comes_with_the_head(void **state) {
    (void)state;
    struct server quiet = { .stay_open = true }, s = { .big = 100000 };
    struct client c;
    open_client(&c);
    c.cancel_at_status = true;
    start(&quiet, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    run(&c, &quiet, true, (struct klx_http_request){ 0 });
    assert_int_equal(c.status, 200);
    assert_int_equal(c.chunks + c.done, 0);
    close_client(&c);
    stop(&quiet);
    open_client(&c);
    c.pause_at_status = true;
    start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    run(&c, &s, true, (struct klx_http_request){ 0 });
    assert_int_equal(c.body.len, 100000);
    close_client(&c);
    stop(&s);
}

static void cancelled_inside_its_callback(void **state) {
    (void)state;
    struct server s = { .big = 300000, .stay_open = true };
    struct client c;
    open_client(&c);
    c.cancel_first = true;
    start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    run(&c, &s, true, (struct klx_http_request){ 0 });
    assert_int_equal(c.chunks, 1);
    close_client(&c);
    assert_int_equal(c.done, 0);
    stop(&s);
}

/* libcurl may not be entered from inside of it, for any of its transfers. */
static void cancelled_inside_the_callback_of_another(void **state) {
    (void)state;
    struct server quiet = { .stay_open = true }, s = { .big = 300000 };
    struct client c;
    struct klx_http_request r = { 0 };
    open_client(&c);
    start(&quiet, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(get(&c, quiet.port, false, &r, NULL), 0);
    c.other = c.call;
    run(&c, &s, true, (struct klx_http_request){ 0 });
    assert_int_equal(c.done, 1);
    assert_int_equal(c.body.len, 300000);
    close_client(&c);
    assert_int_equal(c.done, 1);
    stop(&quiet);
    stop(&s);
}

static void ends_that_are_no_answer(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        size_t big;
        bool stay_open;
        struct klx_http_request request;
        enum klx_http_failure failure;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 0, false, { 0 }, KLX_HTTP_BROKEN },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
          0,
          false,
          { 0 },
          KLX_HTTP_BROKEN },
        { "", 0, false, { 0 }, KLX_HTTP_BROKEN },
        { "HTTP/1.1 200 OK\r\n\r\n", 0, true, { .deadline_ms = 100 }, KLX_HTTP_TIMEOUT },
        { "HTTP/1.1 200 OK\r\n\r\n",
          100000,
          false,
          { .body_bytes_max = 5000 },
          KLX_HTTP_TOO_LARGE },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server s = { .big = cases[i].big, .stay_open = cases[i].stay_open };
        struct client c;
        open_client(&c);
        start(&s, cases[i].reply);
        run(&c, &s, false, cases[i].request);
        assert_int_equal(c.result.failure, cases[i].failure);
        assert_int_equal(c.done, 1);
        assert_true(strlen(c.error) > 0);
        assert_null(strstr(c.error, "secret"));
        close_client(&c);
        stop(&s);
    }
}

static void refused_connections_and_bad_input(void **state) {
    (void)state;
    struct client c;
    struct klx_error e = { 0 };
    open_client(&c);
    struct klx_http_request r = { 0 };
    assert_int_equal(get(&c, 1, false, &r, NULL), 0);
    klx_loop_run(c.loop);
    assert_int_equal(c.result.failure, KLX_HTTP_CONNECT);
    assert_false(c.result.request_sent);
    const char *evil[] = { "X: a\r\nY: b", NULL };
    r.headers = evil;
    assert_int_equal(get(&c, 1, false, &r, &e), -EINVAL);
    assert_string_equal(e.text, "a header holds a control character");
    close_client(&c);
}

static void a_proxy_that_refuses_is_no_connection(void **state) {
    (void)state;
    struct server s = { 0 };
    struct client c;
    char proxy[64];
    open_client(&c);
    start(&s, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", s.port);
    struct klx_http_request r = { .method = "GET",
                                  .url = "https://127.0.0.1:1/",
                                  .proxy = proxy,
                                  .on_status = on_status,
                                  .on_done = on_done,
                                  .arg = &c };
    assert_int_equal(klx_http_start(c.http, &r, &c.call, NULL), 0);
    klx_loop_run(c.loop);
    assert_int_equal(c.result.failure, KLX_HTTP_CONNECT);
    assert_false(c.result.request_sent);
    assert_int_equal(c.status, 0);
    assert_non_null(strstr(c.error, "407"));
    close_client(&c);
    stop(&s);
}

/* A server that keeps its connections, but for the request whose number is `close_at`: that one it reads whole, and hangs up. */
struct keeper {
    int fd;
    unsigned port;
    pthread_t thread;
    int close_at;   /* without an answer; 0: none */
    int hang_up_at; /* after the answer; 0: none */
    bool half;      /* of that request is read: the body is not */
    bool goes;      /* for good, when it hangs up */
    _Atomic int requests, hung_up;
};

static bool read_request(int fd, bool body_too) {
    char head[65536] = "";
    size_t n = 0;
    const char *end = NULL;
    while (end == NULL) {
        ssize_t got = read(fd, head + n, sizeof(head) - 1 - n);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
        head[n] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    const char *length = strstr(head, "Content-Length: ");
    size_t body =
        body_too && length != NULL ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;
    size_t came = n - (size_t)(end + 4 - head);
    while (came < body) {
        ssize_t got = read(fd, head, sizeof(head));
        if (got <= 0) {
            return false;
        }
        came += (size_t)got;
    }
    return true;
}

static void serve_kept(struct keeper *s, int fd) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    while (read_request(fd, !s->half || s->requests + 1 != s->close_at)) {
        int number = ++s->requests;
        if (number == s->close_at) {
            if (s->goes) {
                shutdown(s->fd, SHUT_RDWR);
            }
            return;
        }
        (void)!write(fd, answer, strlen(answer));
        if (number == s->hang_up_at) {
            return;
        }
    }
}

static void *keep(void *arg) {
    struct keeper *s = arg;
    for (int fd = accept(s->fd, NULL, NULL); fd >= 0; fd = accept(s->fd, NULL, NULL)) {
        serve_kept(s, fd);
        close(fd);
        s->hung_up++;
    }
    return NULL;
}

static void start_keeper(struct keeper *s) {
    struct server listener = { 0 };
    listen_on_loopback(&listener);
    s->fd = listener.fd;
    s->port = listener.port;
    assert_int_equal(pthread_create(&s->thread, NULL, keep, s), 0);
}

/* The client is gone: what came is what there was. */
static void stop_keeper(struct keeper *s) {
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static void ask(struct client *c, struct keeper *s, const char *method, struct klx_sv body) {
    struct klx_http_request r = { .method = method, .body = body, .deadline_ms = 20000 };
    assert_int_equal(get(c, s->port, false, &r, NULL), 0);
    klx_loop_run(c->loop);
}

/* libcurl repeats by itself what a connection that it had kept did not answer: what has a body may have been taken. */
static void a_body_is_never_sent_twice(void **state) {
    (void)state;
    static const size_t sizes[] = { 0, 1, 300, 70000, 3000000 };
    char *bytes = test_malloc(3000000);
    memset(bytes, 'b', 3000000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct keeper s = { .close_at = 2 };
        struct client c;
        open_client(&c);
        start_keeper(&s);
        ask(&c, &s, "POST", KLX_SV("first"));
        assert_int_equal(c.result.failure, KLX_HTTP_OK);
        ask(&c, &s, "POST", klx_sv_n(bytes, sizes[i]));
        assert_int_equal(c.done, 2);
        assert_int_equal(c.result.failure, KLX_HTTP_BROKEN);
        assert_true(c.result.request_sent);
        assert_int_equal(c.result.status, 0);
        assert_true(strlen(c.error) > 0);
        ask(&c, &s, "PATCH", KLX_SV("next")); /* the client goes on */
        assert_int_equal(c.result.failure, KLX_HTTP_OK);
        close_client(&c);
        stop_keeper(&s);
        assert_int_equal(s.requests, 3);
    }
    test_free(bytes);
}

/* Nobody takes half a body for a whole one. */
static void half_a_body_is_not_sent(void **state) {
    (void)state;
    size_t n = 32u << 20; /* more than the sockets hold */
    char *bytes = test_malloc(n);
    memset(bytes, 'b', n);
    for (int at = 1; at <= 2; at++) {
        struct keeper s = { .close_at = at, .half = true };
        struct client c;
        open_client(&c);
        start_keeper(&s);
        for (int i = 1; i <= at; i++) {
            ask(&c, &s, "POST", i < at ? KLX_SV("first") : klx_sv_n(bytes, n));
        }
        assert_int_equal(c.result.failure, KLX_HTTP_BROKEN);
        assert_false(c.result.request_sent);
        close_client(&c);
        stop_keeper(&s);
        assert_int_equal(s.requests, at);
    }
    test_free(bytes);
}

/* Then the other connection that libcurl tries cannot be made: that is no proof that nothing was sent. */
static void a_server_that_goes_may_have_taken_the_body(void **state) {
    (void)state;
    struct keeper s = { .close_at = 2, .goes = true };
    struct client c;
    open_client(&c);
    start_keeper(&s);
    ask(&c, &s, "POST", KLX_SV("first"));
    ask(&c, &s, "POST", KLX_SV("second"));
    assert_int_equal(c.result.failure, KLX_HTTP_BROKEN);
    assert_true(c.result.request_sent);
    ask(&c, &s, "POST", KLX_SV("third"));
    assert_int_equal(c.result.failure, KLX_HTTP_CONNECT);
    assert_false(c.result.request_sent);
    close_client(&c);
    stop_keeper(&s);
    assert_int_equal(s.requests, 2);
}

static void without_a_body_it_is_repeated(void **state) {
    (void)state;
    struct keeper s = { .close_at = 2 };
    struct client c;
    open_client(&c);
    start_keeper(&s);
    ask(&c, &s, "GET", klx_sv(NULL));
    ask(&c, &s, "GET", klx_sv(NULL));
    assert_int_equal(c.result.failure, KLX_HTTP_OK);
    close_client(&c);
    stop_keeper(&s);
    assert_int_equal(s.requests, 3);
}

/* No reason for doubt: the body goes out on a new connection. */
static void a_connection_closed_while_idle_costs_nothing(void **state) {
    (void)state;
    struct keeper s = { .hang_up_at = 1 };
    struct client c;
    open_client(&c);
    start_keeper(&s);
    ask(&c, &s, "POST", KLX_SV("first"));
    while (s.hung_up == 0) {
        sched_yield();
    }
    ask(&c, &s, "POST", KLX_SV("second"));
    assert_int_equal(c.result.failure, KLX_HTTP_OK);
    assert_int_equal(c.result.status, 200);
    close_client(&c);
    stop_keeper(&s);
    assert_int_equal(s.requests, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_that_makes_no_sense_is_none),
        cmocka_unit_test(a_whole_body),
        cmocka_unit_test(a_stream_that_pauses_loses_nothing),
        cmocka_unit_test(the_status_comes_with_the_head),
        cmocka_unit_test(cancelled_inside_its_callback),
        cmocka_unit_test(cancelled_inside_the_callback_of_another),
        cmocka_unit_test(ends_that_are_no_answer),
        cmocka_unit_test(a_proxy_that_refuses_is_no_connection),
        cmocka_unit_test(a_body_is_never_sent_twice),
        cmocka_unit_test(half_a_body_is_not_sent),
        cmocka_unit_test(a_server_that_goes_may_have_taken_the_body),
        cmocka_unit_test(without_a_body_it_is_repeated),
        cmocka_unit_test(a_connection_closed_while_idle_costs_nothing),
        cmocka_unit_test(refused_connections_and_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
