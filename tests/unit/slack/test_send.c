/* The channel against a server of a few lines that answers as it is told, one request a connection. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "sinks/core/sink.h"

#define TOKEN "XyZtoken0123456789abcdef"
#define REQUESTS_MAX 4
#define RESET "reset"   /* the request is read, the connection dropped */
#define SILENT "silent" /* the request is read, nothing follows until the client goes */
#define PAYLOAD                                                                                    \
    "{\"text\":\"Warning: t · s\",\"attachments\":[{\"color\":\"warning\",\"blocks\":[{\"type\":" \
    "\"section\",\"text\":{\"type\":\"plain_text\",\"text\":\"*what* &lt;happened&gt;\"}}]}]}"

struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    const char *replies[REQUESTS_MAX + 1]; /* NULL ends */
    char requests[REQUESTS_MAX][8192];
    _Atomic int served;
};

static bool is_whole(const char *request) {
    const char *length = strstr(request, "Content-Length: ");
    const char *body = strstr(request, "\r\n\r\n");
    return length != NULL && body != NULL &&
           strlen(body + 4) >= strtoul(length + strlen("Content-Length: "), NULL, 10);
}

static void reset_connection(int fd) {
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void serve_one(struct server *s, int fd, int i) {
    char *request = s->requests[i], byte;
    size_t n = 0;
    ssize_t got = 1;
    while (!is_whole(request) && got > 0) {
        got = read(fd, request + n, sizeof(s->requests[i]) - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    s->served = i + 1;
    if (strcmp(s->replies[i], RESET) == 0) {
        reset_connection(fd);
    } else if (strcmp(s->replies[i], SILENT) == 0) {
        (void)!read(fd, &byte, 1);
    } else {
        (void)!write(fd, s->replies[i], strlen(s->replies[i]));
    }
}

static void *serve(void *arg) {
    struct server *s = arg;
    for (int i = 0; s->replies[i] != NULL; i++) {
        int fd = accept(s->fd, NULL, NULL);
        serve_one(s, fd, i);
        close(fd);
    }
    return NULL;
}

static void listen_on(struct server *s) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
}

/* A channel of its own for each test: loop, client, secret file, configuration as the runtime makes it. */
struct rig {
    struct server server;
    struct klx_sink_env env;
    struct klx_config *yaml;
    void *config, *channel;
    char dir[64], secret[96];
    struct klx_verdict verdict;
    int done;
    bool again; /* done sends once more */
};

static void write_secret(struct rig *r, const char *text) {
    FILE *f = fopen(r->secret, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void write_url(struct rig *r, const char *name) {
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/services/T1/%s/" TOKEN "\n", r->server.port,
             name);
    write_secret(r, url);
}

static const struct klx_config_node *parse_config(struct rig *r) {
    struct klx_error e = { 0 };
    char yaml[256];
    int n = snprintf(yaml, sizeof(yaml), "webhook_url: { file: %s }\n", r->secret);
    if (klx_config_parse(klx_sv_n(yaml, (size_t)n), "test.yaml", &r->yaml, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return klx_config_root(r->yaml);
}

static void open_rig(struct rig *r) {
    const struct klx_sink_ops *ops = &klx_sink_slack;
    struct klx_loop *loop = klx_loop_new();
    struct klx_error e = { 0 };
    snprintf(r->dir, sizeof(r->dir), "/tmp/klaxon-slack-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->secret, sizeof(r->secret), "%s/hook", r->dir);
    listen_on(&r->server);
    write_url(r, "B1");
    r->env = (struct klx_sink_env){ loop, klx_http_new(loop), klx_clock_real() };
    r->config = klx_new_bytes(ops->config_bytes);
    if (klx_config_bind(parse_config(r), ops->fields, r->config, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(ops->open(&r->env, "ops-slack", r->config, &r->channel, &e), 0);
}

static void start_server(struct rig *r) {
    assert_int_equal(pthread_create(&r->server.thread, NULL, serve, &r->server), 0);
}

static void close_channel(struct rig *r) {
    if (r->channel != NULL) {
        klx_sink_slack.close(r->channel);
        r->channel = NULL;
    }
}

/* The loop's free asserts that nothing of all this is alive. */
static void close_rig(struct rig *r) {
    close_channel(r);
    if (r->server.replies[0] != NULL) {
        pthread_join(r->server.thread, NULL);
    }
    klx_http_free(r->env.http);
    klx_loop_run(r->env.loop);
    klx_loop_free(r->env.loop);
    klx_config_unbind(klx_sink_slack.fields, r->config);
    klx_config_free(r->yaml);
    free(r->config);
    close(r->server.fd);
    unlink(r->secret);
    rmdir(r->dir);
}

static void send_payload(struct rig *r);

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct rig *r = arg;
    assert_int_equal(n, 1);
    r->verdict = verdicts[0];
    r->done++;
    if (r->again) {
        r->again = false;
        send_payload(r);
        return;
    }
    klx_loop_stop(r->env.loop);
}

/* The payload's memory is gone after the call, as it may be. */
static void send_payload(struct rig *r) {
    int before = r->done;
    char *payload = strdup(PAYLOAD);
    klx_sink_slack.send(r->channel, klx_sv(payload), KLX_SV("id"), NULL, 1, on_sent, r);
    free(payload);
    assert_int_equal(r->done, before); /* never from inside */
}

static void run(struct rig *r) {
    start_server(r);
    send_payload(r);
    klx_loop_run(r->env.loop);
    assert_int_equal(r->done, 1);
    assert_null(strstr(r->verdict.answer, TOKEN));
    assert_null(strstr(r->verdict.reason, TOKEN));
}

#define REPLY(status, body)                                                                        \
    "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" body
#define INVALID REPLY("400 Bad Request", "invalid_blocks")

static void one_post_and_its_verdict(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason, *answer;
    } cases[] = {
        { REPLY("200 OK", "ok"), KLX_VERDICT_DELIVERED, 0, "ok", "ok" },
        { REPLY("404 Not Found", "no_service"), KLX_VERDICT_DESTINATION_BROKEN, 0, "no_service",
          "no_service" },
        { REPLY("403 Forbidden", "invalid_token"), KLX_VERDICT_CREDENTIAL_BROKEN, 0,
          "invalid_token", "invalid_token" },
        { REPLY("429 Too Many Requests\r\nRetry-After: 7", "rate_limited"), KLX_VERDICT_RETRY_AFTER,
          7000, "rate_limited", "rate_limited" },
        { REPLY("500 Internal Server Error", "rollup_error"), KLX_VERDICT_RETRY_BACKOFF, 0,
          "rollup_error", "rollup_error" },
        { REPLY("200 OK", "<html>"), KLX_VERDICT_RETRY_BACKOFF, 0, "not_ok", "<html>" },
        { REPLY("404 Not Found", "no /services/T1/B1/" TOKEN " here"),
          KLX_VERDICT_DESTINATION_BROKEN, 0, "http_404", "no … here" },
        { RESET, KLX_VERDICT_AMBIGUOUS, 0, "connection_broken", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok", KLX_VERDICT_AMBIGUOUS, 0,
          "connection_broken", NULL },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct rig r = { .server.replies = { cases[i].reply } };
        open_rig(&r);
        run(&r);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_int_equal(r.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_true(cases[i].answer == NULL || strcmp(r.verdict.answer, cases[i].answer) == 0);
        assert_int_equal(r.server.served, 1);
        close_rig(&r);
    }
}

static void the_request_is_what_slack_wants(void **state) {
    (void)state;
    struct rig r = { .server.replies = { REPLY("200 OK", "ok") } };
    open_rig(&r);
    run(&r);
    const char *request = r.server.requests[0];
    assert_ptr_equal(strstr(request, "POST /services/T1/B1/" TOKEN " HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n" PAYLOAD));
    close_rig(&r);
}

static void nobody_listens(void **state) {
    (void)state;
    struct rig r = { 0 };
    open_rig(&r);
    write_secret(&r, "http://127.0.0.1:1/services/T1/B1/" TOKEN);
    send_payload(&r);
    klx_loop_run(r.env.loop);
    assert_int_equal(r.verdict.class, KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(r.verdict.reason, "connect");
    assert_null(strstr(r.verdict.answer, TOKEN));
    close_rig(&r);
}

static void a_rejected_message_is_said_in_plain_text(void **state) {
    (void)state;
    struct rig r = { .server.replies = { INVALID, REPLY("200 OK", "ok") } };
    open_rig(&r);
    run(&r);
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(r.verdict.reason, "plain_text");
    assert_string_equal(r.verdict.answer, "invalid_blocks; as plain text: ok");
    assert_non_null(strstr(r.server.requests[1],
                           "\r\n\r\n{\"text\":\"Warning: t · s · ∗what∗ &lt;happened&gt;\","
                           "\"unfurl_links\":false,\"unfurl_media\":false}"));
    close_rig(&r);
}

static void what_the_plain_text_meets_is_the_verdict(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason, *answer;
    } cases[] = {
        { REPLY("400 Bad Request", "no_text"), KLX_VERDICT_REJECT_MESSAGE, 0, "invalid_blocks",
          "invalid_blocks; as plain text: no_text" },
        { REPLY("429 Too Many Requests\r\nRetry-After: 2", ""), KLX_VERDICT_RETRY_AFTER, 2000,
          "http_429", "invalid_blocks; as plain text: " },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct rig r = { .server.replies = { INVALID, cases[i].reply } };
        open_rig(&r);
        run(&r);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_int_equal(r.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_string_equal(r.verdict.answer, cases[i].answer);
        assert_int_equal(r.server.served, 2);
        close_rig(&r);
    }
}

static void a_secret_that_cannot_be_read_names_its_file(void **state) {
    (void)state;
    static const char *const contents[] = { NULL, "", "http://evil.example/" TOKEN };
    for (size_t i = 0; i < KLX_COUNT(contents); i++) {
        struct rig r = { 0 };
        struct klx_error e = { 0 };
        open_rig(&r);
        if (contents[i] == NULL) {
            unlink(r.secret);
        } else {
            write_secret(&r, contents[i]);
        }
        assert_int_equal(klx_sink_slack.check(r.config, klx_config_root(r.yaml), &e), -EINVAL);
        assert_non_null(strstr(e.text, r.secret));
        assert_ptr_equal(strstr(e.text, "test.yaml:1:"), e.text);
        send_payload(&r);
        klx_loop_run(r.env.loop);
        assert_int_equal(r.done, 1);
        assert_int_equal(r.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_string_equal(r.verdict.reason, "webhook_url");
        assert_non_null(strstr(r.verdict.answer, r.secret));
        assert_null(strstr(r.verdict.answer, TOKEN));
        close_rig(&r);
    }
}

static void a_rotated_secret_counts_from_the_next_message(void **state) {
    (void)state;
    struct rig r = { .server.replies = { REPLY("200 OK", "ok"), REPLY("200 OK", "ok") } };
    struct klx_error e = { 0 };
    open_rig(&r);
    assert_int_equal(klx_sink_slack.check(r.config, klx_config_root(r.yaml), &e), 0);
    run(&r);
    write_url(&r, "B2222");
    send_payload(&r);
    klx_loop_run(r.env.loop);
    assert_int_equal(r.done, 2);
    assert_non_null(strstr(r.server.requests[0], "/services/T1/B1/"));
    assert_non_null(strstr(r.server.requests[1], "/services/T1/B2222/"));
    close_rig(&r);
}

static void the_next_may_start_from_done(void **state) {
    (void)state;
    struct rig r = { .server.replies = { REPLY("200 OK", "ok"), REPLY("410 Gone", "no_team") },
                     .again = true };
    open_rig(&r);
    start_server(&r);
    send_payload(&r);
    klx_loop_run(r.env.loop);
    assert_int_equal(r.done, 2);
    assert_string_equal(r.verdict.reason, "no_team");
    close_rig(&r);
}

static void close_when_served(void *arg) {
    struct rig *r = arg;
    if (r->server.served > 0) {
        close_channel(r);
        klx_loop_stop(r->env.loop);
    }
}

/* While the answer is awaited, and in the second before the plain text. */
static void close_cancels_without_a_call(void **state) {
    (void)state;
    static const char *const replies[] = { SILENT, INVALID };
    for (size_t i = 0; i < KLX_COUNT(replies); i++) {
        struct rig r = { .server.replies = { replies[i] } };
        open_rig(&r);
        struct klx_timer *timer = klx_timer_new(r.env.loop, close_when_served, &r);
        klx_timer_repeat(timer, 100);
        start_server(&r);
        send_payload(&r);
        klx_loop_run(r.env.loop);
        klx_timer_free(timer);
        close_rig(&r);
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
        cmocka_unit_test(close_cancels_without_a_call),
        cmocka_unit_test(limits_are_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
