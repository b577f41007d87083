/* The channel against a mail server that says exactly what a case wants. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/http_replies.h"
#include "tests/unit/support/smtp_server.h"

#define PASSWORD "s3cret-password"
#define MAIL "Subject: x\r\nMessage-ID: <event-1@x.example>\r\n\r\n.hello\r\n"
#define RECIPIENTS_MAX 3

static const struct klx_sv addresses[RECIPIENTS_MAX] = {
    KLX_SV("a@x.example"),
    KLX_SV("b@x.example"),
    KLX_SV("c@x.example"),
};

struct sender {
    struct rig rig;
    struct smtp_server server;
    char dir[64], password[96], ca[96];
    struct klx_verdict verdicts[RECIPIENTS_MAX];
    size_t n;
    int done, again;
};

static void write_ca(struct sender *s, const struct test_pki *pki) {
    char *pem = klx_sv_dup(test_pki_ca(pki));
    test_write_file(s->ca, pem);
    free(pem);
}

/* The server must have been started. */
static void open_sender(struct sender *s, const char *host, bool user) {
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    bool tls = s->server.pki != NULL;
    snprintf(s->dir, sizeof(s->dir), "/tmp/klaxon-email-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->password, sizeof(s->password), "%s/password", s->dir);
    snprintf(s->ca, sizeof(s->ca), "%s/ca", s->dir);
    test_write_file(s->password, PASSWORD "\n");
    klx_buf_init(&yaml, 4096);
    klx_buf_printf(&yaml,
                   "to: [a@x.example, b@x.example, c@x.example]\nfrom: from@x.example\n"
                   "helo: h.example\nsmtp: %s://%s:%u\n",
                   s->server.implicit ? "smtps" : "smtp", host, s->server.port);
    if (tls) {
        write_ca(s, s->server.pki);
    }
    klx_buf_printf(&yaml, "%s%s\n", tls ? "ca_file: " : "tls: none", tls ? s->ca : "");
    if (user) {
        klx_buf_printf(&yaml, "user: me\npassword: { file: %s }\n", s->password);
    }
    rig_open(&s->rig, &klx_sink_email, klx_buf_str(&yaml));
}

static void close_sender(struct sender *s) {
    rig_close(&s->rig);
    smtp_server_stop(&s->server);
    unlink(s->password);
    unlink(s->ca);
    rmdir(s->dir);
}

static void send_mail(struct sender *s, const struct klx_sv *to, size_t n);

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct sender *s = arg;
    assert_in_range(n, 1, RECIPIENTS_MAX);
    memcpy(s->verdicts, verdicts, n * sizeof(*verdicts));
    s->n = n;
    s->done++;
    for (size_t i = 0; i < n; i++) {
        assert_null(strstr(verdicts[i].answer, PASSWORD));
    }
    if (s->again > 0) {
        s->again--;
        send_mail(s, addresses, 1);
        return;
    }
    klx_loop_stop(s->rig.env.loop);
}

/* The payload's and the addresses' memory is gone after the call, as it may be. */
static void send_mail(struct sender *s, const struct klx_sv *to, size_t n) {
    int before = s->done;
    char *payload = strdup(MAIL);
    struct klx_sv *copies = klx_alloc_n(struct klx_sv, n);
    for (size_t i = 0; i < n; i++) {
        copies[i] = klx_sv(klx_sv_dup(to[i]));
    }
    rig_send(&s->rig, klx_sv(payload), copies, n, on_sent, s);
    for (size_t i = 0; i < n; i++) {
        free((char *)copies[i].p);
    }
    free(copies);
    free(payload);
    assert_int_equal(s->done, before); /* never from inside */
}

static void run(struct sender *s, const struct klx_sv *to, size_t n) {
    send_mail(s, to, n);
    klx_loop_run(s->rig.env.loop);
    assert_int_equal(s->n, n);
}

static void the_dialogue_is_what_was_configured(void **state) {
    (void)state;
    struct sender s = { 0 };
    const struct klx_sv *to = NULL;
    smtp_server_start(&s.server);
    open_sender(&s, "127.0.0.1", false);
    assert_int_equal(klx_sink_email.recipients(s.rig.channel, &to), 3);
    run(&s, to, 3);
    close_sender(&s);
    assert_int_equal(s.done, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s.verdicts[i].class, KLX_VERDICT_DELIVERED);
        assert_string_equal(s.verdicts[i].answer, "250 2.0.0 queued as 4711");
    }
    assert_non_null(strstr(klx_buf_str(&s.server.log), "EHLO h.example\n"
                                                       "MAIL FROM:<from@x.example> "));
    assert_non_null(strstr(klx_buf_str(&s.server.log), "RCPT TO:<a@x.example>\n"
                                                       "RCPT TO:<b@x.example>\n"
                                                       "RCPT TO:<c@x.example>\n"
                                                       "DATA\n(message)\n"));
    smtp_server_release(&s.server);
}

/* The stage's version of this, with the runtime around it: tests/integration/test_email.py. */
static void each_recipient_has_its_own_verdict(void **state) {
    (void)state;
    const struct smtp_rule rules[] = {
        { "RCPT TO:<a@", "550 5.1.1 no such user", SMTP_GO_ON },
        { "RCPT TO:<b@", "451 4.7.1 greylisted", SMTP_GO_ON },
        { NULL, NULL, SMTP_GO_ON },
    };
    struct sender s = { .server.rules = rules };
    smtp_server_start(&s.server);
    open_sender(&s, "127.0.0.1", false);
    run(&s, addresses, 3);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_REJECT_RECIPIENT);
    assert_int_equal(s.verdicts[1].class, KLX_VERDICT_RETRY_AFTER);
    assert_int_equal(s.verdicts[1].retry_after_ms, 300000);
    assert_int_equal(s.verdicts[2].class, KLX_VERDICT_DELIVERED);
    run(&s, &addresses[1], 1); /* again, to that one alone */
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_DELIVERED);
    close_sender(&s);
    const char *second = strstr(klx_buf_str(&s.server.log), "RSET\n"); /* the same connection */
    assert_non_null(second);
    assert_null(strstr(second, "RCPT TO:<a@"));
    assert_null(strstr(second, "RCPT TO:<c@"));
    assert_non_null(strstr(second, "RCPT TO:<b@x.example>\nDATA\n(message)\n"));
    smtp_server_release(&s.server);
}

static void one_end_and_its_verdict(void **state) {
    (void)state;
    static const struct {
        struct smtp_rule rule;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { { "(greeting)", "554 5.7.1 blocked", SMTP_CLOSE },
          KLX_VERDICT_DESTINATION_BROKEN,
          "smtp_554" },
        { { "(greeting)", "421 4.3.2 busy", SMTP_CLOSE }, KLX_VERDICT_RETRY_BACKOFF, "smtp_421" },
        { { "(greeting)", NULL, SMTP_CLOSE }, KLX_VERDICT_RETRY_BACKOFF, "connect" },
        { { "MAIL", "550 5.7.1 who are you?", SMTP_GO_ON },
          KLX_VERDICT_DESTINATION_BROKEN,
          "sender_refused" },
        { { "MAIL", "530 5.7.0 authentication required", SMTP_GO_ON },
          KLX_VERDICT_CREDENTIAL_BROKEN,
          "smtp_530" },
        { { "RCPT", "421 4.3.2 closing", SMTP_CLOSE }, KLX_VERDICT_RETRY_BACKOFF, "smtp_421" },
        { { "DATA", NULL, SMTP_CLOSE }, KLX_VERDICT_RETRY_BACKOFF, "connection_broken" },
        { { "(dot)", "452 4.3.1 full", SMTP_GO_ON }, KLX_VERDICT_RETRY_BACKOFF, "smtp_452" },
        { { "(dot)", "554 5.6.0 no", SMTP_GO_ON }, KLX_VERDICT_REJECT_MESSAGE, "smtp_554" },
        { { "(dot)", NULL, SMTP_CLOSE }, KLX_VERDICT_AMBIGUOUS, "no_answer" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct smtp_rule rules[] = { cases[i].rule, { NULL, NULL, SMTP_GO_ON } };
        struct sender s = { .server.rules = rules };
        smtp_server_start(&s.server);
        open_sender(&s, "127.0.0.1", false);
        run(&s, addresses, 2);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(s.verdicts[k].class, cases[i].class);
            assert_string_equal(s.verdicts[k].reason, cases[i].reason);
        }
        close_sender(&s);
        smtp_server_release(&s.server);
    }
}

static void tls_and_credentials(void **state) {
    (void)state;
    static const struct {
        bool implicit, user, other_name, other_ca;
        struct smtp_rule rule;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { .user = true, .class = KLX_VERDICT_DELIVERED, .reason = "smtp_250" },
        { .implicit = true, .user = true, .class = KLX_VERDICT_DELIVERED, .reason = "smtp_250" },
        { .other_name = true, .class = KLX_VERDICT_DESTINATION_BROKEN, .reason = "tls" },
        { .other_ca = true, .class = KLX_VERDICT_DESTINATION_BROKEN, .reason = "tls" },
        { .implicit = true,
          .other_ca = true,
          .class = KLX_VERDICT_DESTINATION_BROKEN,
          .reason = "tls" },
        { .rule = { "STARTTLS", "454 4.7.0 not now", SMTP_GO_ON },
          .class = KLX_VERDICT_RETRY_BACKOFF,
          .reason = "smtp_454" },
        { .user = true,
          .rule = { "AUTH", "535 5.7.8 wrong", SMTP_GO_ON },
          .class = KLX_VERDICT_CREDENTIAL_BROKEN,
          .reason = "smtp_535" },
        { .user = true,
          .rule = { "AUTH", "454 4.7.0 later", SMTP_GO_ON },
          .class = KLX_VERDICT_RETRY_BACKOFF,
          .reason = "smtp_454" },
    };
    struct test_pki *pki = test_pki_new("localhost"), *other_name = test_pki_new("mail.example"),
                    *other_ca = test_pki_new("localhost");
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct smtp_rule rules[] = { cases[i].rule, { NULL, NULL, SMTP_GO_ON } };
        struct sender s = { .server = { .rules = cases[i].rule.command != NULL ? rules : NULL,
                                        .pki = cases[i].other_name ? other_name : pki,
                                        .implicit = cases[i].implicit } };
        smtp_server_start(&s.server);
        open_sender(&s, "localhost", cases[i].user);
        if (cases[i].other_ca) { /* a file that was replaced counts from the next mail on */
            write_ca(&s, other_ca);
        }
        run(&s, addresses, 1);
        assert_int_equal(s.verdicts[0].class, cases[i].class);
        assert_string_equal(s.verdicts[0].reason, cases[i].reason);
        close_sender(&s);
        bool delivered = cases[i].class == KLX_VERDICT_DELIVERED;
        assert_int_equal(strstr(klx_buf_str(&s.server.log), "MAIL") != NULL, delivered);
        smtp_server_release(&s.server);
    }
    test_pki_free(pki);
    test_pki_free(other_name);
    test_pki_free(other_ca);
}

/* Nothing in clear: without STARTTLS on offer the server hears EHLO and nothing else. */
static void no_starttls_no_mail(void **state) {
    (void)state;
    struct sender s = { 0 };
    char yaml[256];
    smtp_server_start(&s.server);
    snprintf(yaml, sizeof(yaml), "to: a@x.example\nfrom: b@x.example\nsmtp: smtp://127.0.0.1:%u\n",
             s.server.port);
    rig_open(&s.rig, &klx_sink_email, yaml);
    run(&s, addresses, 1);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_string_equal(s.verdicts[0].reason, "tls");
    rig_close(&s.rig);
    smtp_server_stop(&s.server);
    assert_null(strstr(klx_buf_str(&s.server.log), "MAIL"));
    smtp_server_release(&s.server);
}

static void what_cannot_be_sent_has_a_verdict_too(void **state) {
    (void)state;
    struct sender s = { 0 };
    smtp_server_start(&s.server);
    open_sender(&s, "127.0.0.1", true);
    rig_send(&s.rig, KLX_SV("Subject: x\r\n\r\na\nb\r\n"), addresses, 2, on_sent, &s);
    assert_int_equal(s.done, 0);
    klx_loop_run(s.rig.env.loop);
    assert_int_equal(s.verdicts[1].class, KLX_VERDICT_REJECT_MESSAGE);
    assert_string_equal(s.verdicts[1].reason, "malformed");
    run(&s, &KLX_SV("a@x>\r\nRCPT TO:<evil@y"), 1);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_DESTINATION_BROKEN);
    assert_string_equal(s.verdicts[0].reason, "settings");
    close_sender(&s);
    assert_string_equal(klx_buf_str(&s.server.log), "");
    smtp_server_release(&s.server);
}

static void a_password_that_cannot_be_read_names_its_place(void **state) {
    (void)state;
    struct sender s = { 0 };
    char yaml[256];
    snprintf(yaml, sizeof(yaml),
             "to: a@x.example\nfrom: b@x.example\nsmtp: smtp://127.0.0.1\ntls: none\nuser: me\n"
             "password: { file: /nonexistent/password }\n");
    rig_open(&s.rig, &klx_sink_email, yaml);
    run(&s, addresses, 1);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_CREDENTIAL_BROKEN);
    assert_string_equal(s.verdicts[0].reason, "password");
    assert_non_null(strstr(s.verdicts[0].answer, "/nonexistent/password"));
    rig_close(&s.rig);
}

#define BEARER_1 "dXNlcj1tZUB4LmV4YW1wbGUBYXV0aD1CZWFyZXIgdG9rZW4tbnVtYmVyLW9uZQEB"
#define BEARER_2 "dXNlcj1tZUB4LmV4YW1wbGUBYXV0aD1CZWFyZXIgdG9rZW4tbnVtYmVyLXR3bwEB"
#define TOKEN_REPLY(token)                                                                         \
    HTTP_REPLY("200 OK",                                                                           \
               "{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"" token "\"}")
#define OFFER                                                                                      \
    { "EHLO", "250-x\r\n250 AUTH PLAIN XOAUTH2", SMTP_GO_ON }
#define ASKS                                                                                       \
    { "AUTH XOAUTH2", "334 ", SMTP_GO_ON }

static void open_token_sender(struct sender *s, struct http_replies *tokens) {
    char yaml[1024];
    snprintf(s->dir, sizeof(s->dir), "/tmp/klaxon-email-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->password, sizeof(s->password), "%s/secret", s->dir);
    test_write_file(s->password, "client-secret-value");
    http_replies_listen(tokens);
    snprintf(yaml, sizeof(yaml),
             "to: a@x.example\nfrom: me@x.example\nsmtp: smtp://127.0.0.1:%u\ntls: none\n"
             "user: me@x.example\nauth: xoauth2\nclient_id: klaxon\nclient_secret: {file: %s}\n"
             "token_url: http://127.0.0.1:%u/token\n",
             s->server.port, s->password, tokens->port);
    rig_open(&s->rig, &klx_sink_email, yaml);
    http_replies_start(tokens);
}

static void close_token_sender(struct sender *s, struct http_replies *tokens) {
    rig_close_channel(&s->rig);
    http_replies_stop(tokens);
    close_sender(s);
}

/* One token for two mails on one connection; a token that is refused is replaced once, within the same mail. */
static void a_token_in_place_of_a_password(void **state) {
    (void)state;
    const struct smtp_rule rules[] = { OFFER, ASKS, { NULL, NULL, SMTP_GO_ON } };
    struct http_replies tokens = { .replies = { TOKEN_REPLY("token-number-one") } };
    struct sender s = { .server.rules = rules };
    smtp_server_start(&s.server);
    open_token_sender(&s, &tokens);
    run(&s, addresses, 1);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_DELIVERED);
    run(&s, addresses, 1);
    assert_int_equal(s.verdicts[0].class, KLX_VERDICT_DELIVERED);
    close_token_sender(&s, &tokens);
    assert_non_null(strstr(tokens.requests[0], "scope=https%3A%2F%2Foutlook.office365.com%2F"));
    assert_non_null(strstr(klx_buf_str(&s.server.log), "AUTH XOAUTH2\n" BEARER_1 "\nMAIL"));
    assert_non_null(strstr(klx_buf_str(&s.server.log), "RSET\nMAIL"));
    smtp_server_release(&s.server);
}

static void a_refused_token_is_renewed_once(void **state) {
    (void)state;
    static const struct smtp_rule cases[][8] = {
        { OFFER, ASKS, { BEARER_1, "535 5.7.3 no", SMTP_GO_ON }, OFFER, ASKS, { 0 } },
        { OFFER,
          ASKS,
          { BEARER_1, "535 5.7.3 no", SMTP_GO_ON },
          OFFER,
          ASKS,
          { BEARER_2, "334 eyJzdGF0dXMiOiI0MDEifQ==", SMTP_GO_ON },
          { 0 } },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct http_replies tokens = { .replies = { TOKEN_REPLY("token-number-one"),
                                                    TOKEN_REPLY("token-number-two") } };
        struct sender s = { .server.rules = cases[i] };
        smtp_server_start(&s.server);
        open_token_sender(&s, &tokens);
        run(&s, addresses, 1);
        assert_int_equal(s.verdicts[0].class,
                         i == 0 ? KLX_VERDICT_DELIVERED : KLX_VERDICT_CREDENTIAL_BROKEN);
        if (i == 1) { /* with the reason that the server gave in its challenge */
            assert_string_equal(s.verdicts[0].answer,
                                "535 the token was refused {\"status\":\"401\"}");
        }
        close_token_sender(&s, &tokens);
        assert_non_null(strstr(klx_buf_str(&s.server.log), BEARER_1));
        assert_non_null(strstr(klx_buf_str(&s.server.log), BEARER_2));
        smtp_server_release(&s.server);
    }
}

static void no_token_no_mail(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        enum klx_verdict_class class;
    } cases[] = {
        { HTTP_REPLY("401 Unauthorized", "{\"error\":\"invalid_client\"}"),
          KLX_VERDICT_CREDENTIAL_BROKEN },
        { HTTP_REPLY("503 Service Unavailable", "busy"), KLX_VERDICT_RETRY_BACKOFF },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct http_replies tokens = { .replies = { cases[i].reply } };
        struct sender s = { 0 };
        smtp_server_start(&s.server);
        open_token_sender(&s, &tokens);
        run(&s, addresses, 1);
        assert_int_equal(s.verdicts[0].class, cases[i].class);
        assert_string_equal(s.verdicts[0].reason, "token");
        close_token_sender(&s, &tokens);
        assert_string_equal(klx_buf_str(&s.server.log), "");
        smtp_server_release(&s.server);
    }
}

static void a_probe_logs_in_and_sends_nothing(void **state) {
    (void)state;
    static const struct {
        struct smtp_rule rule;
        enum klx_verdict_class class;
    } cases[] = {
        { { "NOOP", "250 ok", SMTP_GO_ON }, KLX_VERDICT_DELIVERED },
        { { "NOOP", "550 5.7.1 no", SMTP_GO_ON }, KLX_VERDICT_DESTINATION_BROKEN },
        { { "AUTH", "535 5.7.8 wrong", SMTP_GO_ON }, KLX_VERDICT_CREDENTIAL_BROKEN },
        { { "(greeting)", "421 4.3.2 busy", SMTP_CLOSE }, KLX_VERDICT_RETRY_BACKOFF },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct smtp_rule rules[] = { cases[i].rule, { NULL, NULL, SMTP_GO_ON } };
        struct sender s = { .server.rules = rules };
        smtp_server_start(&s.server);
        open_sender(&s, "127.0.0.1", true);
        klx_sink_email.probe(s.rig.channel, on_sent, &s);
        assert_int_equal(s.done, 0);
        klx_loop_run(s.rig.env.loop);
        assert_int_equal(s.n, 1);
        assert_int_equal(s.verdicts[0].class, cases[i].class);
        close_sender(&s);
        assert_null(strstr(klx_buf_str(&s.server.log), "MAIL"));
        smtp_server_release(&s.server);
    }
}

static void the_next_may_start_from_done(void **state) {
    (void)state;
    struct sender s = { .again = 1 };
    smtp_server_start(&s.server);
    open_sender(&s, "127.0.0.1", false);
    send_mail(&s, addresses, 3);
    klx_loop_run(s.rig.env.loop);
    assert_int_equal(s.done, 2);
    assert_int_equal(s.n, 1);
    close_sender(&s);
    smtp_server_release(&s.server);
}

static void stop(void *arg) {
    klx_loop_stop(arg);
}

/* While an answer is awaited, and when it could not even begin. */
static void close_cancels_without_a_call(void **state) {
    (void)state;
    const struct smtp_rule rules[] = { { "DATA", NULL, SMTP_SILENT }, { NULL, NULL, SMTP_GO_ON } };
    for (int malformed = 0; malformed < 2; malformed++) {
        struct sender s = { .server.rules = rules };
        smtp_server_start(&s.server);
        open_sender(&s, "127.0.0.1", false);
        struct klx_timer *timer = klx_timer_new(s.rig.env.loop, stop, s.rig.env.loop);
        if (malformed) {
            rig_send(&s.rig, KLX_SV("x"), addresses, 2, on_sent, &s);
        } else {
            send_mail(&s, addresses, 2);
            klx_timer_start(timer, 200);
            klx_loop_run(s.rig.env.loop);
        }
        klx_timer_free(timer);
        close_sender(&s);
        assert_int_equal(s.done, 0);
        smtp_server_release(&s.server);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dialogue_is_what_was_configured),
        cmocka_unit_test(each_recipient_has_its_own_verdict),
        cmocka_unit_test(one_end_and_its_verdict),
        cmocka_unit_test(tls_and_credentials),
        cmocka_unit_test(no_starttls_no_mail),
        cmocka_unit_test(what_cannot_be_sent_has_a_verdict_too),
        cmocka_unit_test(a_password_that_cannot_be_read_names_its_place),
        cmocka_unit_test(a_token_in_place_of_a_password),
        cmocka_unit_test(a_refused_token_is_renewed_once),
        cmocka_unit_test(no_token_no_mail),
        cmocka_unit_test(a_probe_logs_in_and_sends_nothing),
        cmocka_unit_test(the_next_may_start_from_done),
        cmocka_unit_test(close_cancels_without_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
