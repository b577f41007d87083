/* SMTP against a server that says exactly what a case wants: every end of a dialogue, TLS, and what may never be on the wire. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/io/smtp.h"
#include "tests/unit/support/smtp_server.h"

#define MESSAGE "Subject: x\r\n\r\n.hello\r\n..\r\n.\r\nend\r\n"
#define RECIPIENTS_MAX 3

struct client {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_timer *ticker;
    struct klx_smtp_call *call;
    struct klx_smtp_recipient recipients[RECIPIENTS_MAX];
    enum klx_smtp_failure failure;
    int done, code, ticks;
    int *left; /* calls that share the loop */
    int alone;
    char reply[256], error[1024];
};

static void on_tick(void *arg) {
    ((struct client *)arg)->ticks++;
}

static void on_done(void *arg, const struct klx_smtp_result *r) {
    struct client *c = arg;
    c->done++;
    c->failure = r->failure;
    c->code = r->code;
    assert_ptr_equal(r->recipients, c->recipients);
    snprintf(c->reply, sizeof(c->reply), "%s", r->reply);
    snprintf(c->error, sizeof(c->error), "%s", r->error);
    assert_null(strstr(r->error, "s3cret"));
    assert_null(strstr(r->reply, "s3cret"));
    if (--*c->left == 0) {
        klx_loop_stop(c->loop);
    }
}

static void open_client(struct client *c) {
    *c = (struct client){ .loop = klx_loop_new(), .alone = 1 };
    c->left = &c->alone;
    c->http = klx_http_new(c->loop);
    c->ticker = klx_timer_new(c->loop, on_tick, c);
}

/* The loop's free asserts that nothing is alive. */
static void close_client(struct client *c) {
    klx_http_free(c->http);
    klx_timer_free(c->ticker);
    klx_loop_run(c->loop);
    klx_loop_free(c->loop);
}

static struct klx_smtp_mail mail_to(struct client *c, unsigned port, size_t recipients) {
    static const char *const addresses[] = { "a@x.example", "b@x.example", "c@x.example" };
    for (size_t i = 0; i < recipients; i++) {
        c->recipients[i].address = addresses[i];
    }
    return (struct klx_smtp_mail){
        .host = "127.0.0.1",
        .port = port,
        .helo = "klaxon.example",
        .tls_mode = KLX_SMTP_PLAIN,
        .from = "from@x.example",
        .recipients = c->recipients,
        .recipients_n = recipients,
        .message = KLX_SV(MESSAGE),
        .deadline_ms = 10000,
        .on_done = on_done,
        .arg = c,
    };
}

static void run(struct client *c, const struct klx_smtp_mail *m) {
    struct klx_error e = { 0 };
    int rc = klx_smtp_send(c->http, m, &c->call, &e);
    if (rc != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(c->done, 0); /* never from inside */
    klx_loop_run(c->loop);
    assert_int_equal(c->done, 1);
}

/* One plain mail to so many recipients at a server with these rules; then both are closed, and the server's log is there. */
static void exchange(struct client *c, struct smtp_server *s, size_t recipients) {
    open_client(c);
    smtp_server_start(s);
    struct klx_smtp_mail m = mail_to(c, s->port, recipients);
    run(c, &m);
    close_client(c);
    smtp_server_stop(s);
}

static void a_mail_goes_as_it_is(void **state) {
    (void)state;
    struct client c;
    struct smtp_server s = { 0 };
    exchange(&c, &s, 2);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    assert_int_equal(c.code, 250);
    assert_string_equal(c.reply, "2.0.0 queued as 4711");
    assert_string_equal(c.error, "");
    assert_int_equal(c.recipients[1].code, 250);
    assert_string_equal(c.recipients[1].reply, "2.1.5 ok");
    assert_string_equal(klx_buf_str(&s.log), "EHLO klaxon.example\n"
                                             "MAIL FROM:<from@x.example> SIZE=34\n"
                                             "RCPT TO:<a@x.example>\n"
                                             "RCPT TO:<b@x.example>\n"
                                             "DATA\n"
                                             "(message)\n"
                                             "QUIT\n");
    assert_string_equal(klx_buf_str(&s.message),
                        "Subject: x\r\n\r\n..hello\r\n...\r\n..\r\nend\r\n.\r\n");
    smtp_server_release(&s);
}

static void every_recipient_has_its_reply(void **state) {
    (void)state;
    struct client c;
    const struct smtp_rule rules[] = {
        { "RCPT TO:<a@", "550-5.1.1 no such\r\n550 5.1.1 user\x1b[31m", SMTP_GO_ON },
        { "RCPT TO:<b@", "451 4.7.1 greylisted", SMTP_GO_ON },
        { NULL, NULL, SMTP_GO_ON },
    };
    struct smtp_server s = { .rules = rules };
    exchange(&c, &s, 3);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    assert_int_equal(c.recipients[0].code, 550);
    assert_string_equal(c.recipients[0].reply, "5.1.1 no such 5.1.1 user [31m");
    assert_int_equal(c.recipients[1].code, 451);
    assert_string_equal(c.recipients[1].reply, "4.7.1 greylisted");
    assert_int_equal(c.recipients[2].code, 250);
    assert_non_null(strstr(klx_buf_str(&s.log), "(message)"));
    smtp_server_release(&s);
}

static void nothing_is_sent_when_all_are_refused(void **state) {
    (void)state;
    struct client c;
    const struct smtp_rule rules[] = {
        { "RCPT", "550 no", SMTP_GO_ON },
        { "RCPT", "451 later", SMTP_GO_ON },
        { NULL, NULL, SMTP_GO_ON },
    };
    struct smtp_server s = { .rules = rules };
    exchange(&c, &s, 2);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    assert_int_equal(c.recipients[0].code, 550);
    assert_int_equal(c.recipients[1].code, 451);
    assert_null(strstr(klx_buf_str(&s.log), "DATA"));
    smtp_server_release(&s);
}

static const struct {
    struct smtp_rule rule;
    enum klx_smtp_failure failure;
    int code;
    const char *error;
} ends[] = {
    { { "(greeting)", "421 4.3.2 shutting down", SMTP_CLOSE },
      KLX_SMTP_CONNECT,
      421,
      "the server takes no mail: 421 4.3.2 shutting down" },
    { { "(greeting)", "554 go away", SMTP_CLOSE },
      KLX_SMTP_CONNECT,
      554,
      "the server takes no mail: 554 go away" },
    { { "(greeting)", NULL, SMTP_CLOSE }, KLX_SMTP_CONNECT, 0, NULL },
    { { "(greeting)", "SSH-2.0-OpenSSH", SMTP_CLOSE }, KLX_SMTP_CONNECT, 0, NULL },
    { { "(greeting)", NULL, SMTP_SILENT }, KLX_SMTP_CONNECT, 0, "no connection in time" },
    { { "EHLO", NULL, SMTP_SILENT }, KLX_SMTP_BROKEN, 220, "no answer in time" },
    { { "EHLO", NULL, SMTP_CLOSE }, KLX_SMTP_BROKEN, 220, "the connection ended too early" },
    { { "MAIL", "450 4.2.0 later", SMTP_GO_ON },
      KLX_SMTP_REFUSED,
      450,
      "the server refuses the mail: 450 4.2.0 later" },
    { { "MAIL", "552 5.3.4 too big", SMTP_GO_ON },
      KLX_SMTP_REFUSED,
      552,
      "the server refuses the mail: 552 5.3.4 too big" },
    { { "MAIL", "530 5.7.0 authentication required", SMTP_GO_ON }, KLX_SMTP_REFUSED, 530, NULL },
    { { "MAIL", "421 4.4.2 closing", SMTP_CLOSE },
      KLX_SMTP_BROKEN,
      421,
      "the server closes the connection: 421 4.4.2 closing" },
    { { "MAIL", NULL, SMTP_CLOSE }, KLX_SMTP_BROKEN, 0, "the connection ended too early" },
    { { "MAIL", NULL, SMTP_SILENT }, KLX_SMTP_BROKEN, 0, "no answer in time" },
    { { "MAIL", "HTTP/1.1 400 Bad Request", SMTP_GO_ON },
      KLX_SMTP_BROKEN,
      0,
      "what the server sends is not SMTP" },
    { { "MAIL", "250 ok\r\n250 and once more", SMTP_GO_ON },
      KLX_SMTP_BROKEN,
      250,
      "what the server sends is not SMTP" },
    { { "MAIL", "250-ok\r\n251 other", SMTP_GO_ON },
      KLX_SMTP_BROKEN,
      250,
      "what the server sends is not SMTP" },
    { { "MAIL", "354 what", SMTP_GO_ON },
      KLX_SMTP_BROKEN,
      354,
      "what the server sends is not SMTP" },
    { { "RCPT", "421 4.7.0 too many errors", SMTP_CLOSE }, KLX_SMTP_BROKEN, 421, NULL },
    { { "RCPT", NULL, SMTP_SILENT }, KLX_SMTP_BROKEN, 250, "no answer in time" },
    { { "DATA", "451 4.3.0 no disk", SMTP_GO_ON }, KLX_SMTP_REFUSED, 451, NULL },
    { { "DATA", "250 eh", SMTP_GO_ON }, KLX_SMTP_BROKEN, 250, "what the server sends is not SMTP" },
    { { "(dot)", "452 4.3.1 full", SMTP_GO_ON },
      KLX_SMTP_REFUSED,
      452,
      "the server refuses the mail: 452 4.3.1 full" },
    { { "(dot)", "554 5.7.1 spam", SMTP_GO_ON },
      KLX_SMTP_REFUSED,
      554,
      "the server refuses the mail: 554 5.7.1 spam" },
    { { "(dot)", "421 4.4.2 closing", SMTP_CLOSE }, KLX_SMTP_REFUSED, 421, NULL },
    { { "(dot)", NULL, SMTP_SILENT },
      KLX_SMTP_AMBIGUOUS,
      354,
      "no answer in time after the message was sent: it may have been delivered" },
    { { "(dot)", NULL, SMTP_CLOSE },
      KLX_SMTP_AMBIGUOUS,
      354,
      "the connection ended after the message was sent: it may have been delivered" },
    { { "(dot)", "eh?", SMTP_CLOSE }, KLX_SMTP_AMBIGUOUS, 354, NULL },
    { { "(dot)", "250 ok", SMTP_CLOSE }, KLX_SMTP_OK, 250, "" },
    { { "QUIT", NULL, SMTP_SILENT }, KLX_SMTP_OK, 250, "" },
};

static void check_end(size_t i, const struct client *c) {
    if (c->failure != ends[i].failure || c->code != ends[i].code ||
        (ends[i].error != NULL && strcmp(c->error, ends[i].error) != 0)) {
        fail_msg("%s \"%s\": failure %d, code %d, error \"%s\"", ends[i].rule.command,
                 ends[i].rule.reply != NULL ? ends[i].rule.reply : "", (int)c->failure, c->code,
                 c->error);
    }
    assert_true((c->failure == KLX_SMTP_OK) == (c->error[0] == '\0'));
}

/* All at once, so that the silent servers may have a time-out that holds on a machine under load. */
static void every_end(void **state) {
    (void)state;
    static struct client clients[KLX_COUNT(ends)];
    static struct smtp_server servers[KLX_COUNT(ends)];
    static struct smtp_rule rules[KLX_COUNT(ends)][2];
    struct client shared;
    open_client(&shared);
    shared.alone = KLX_COUNT(ends);
    for (size_t i = 0; i < KLX_COUNT(ends); i++) {
        bool waits = ends[i].rule.then == SMTP_SILENT && ends[i].failure != KLX_SMTP_OK;
        rules[i][0] = ends[i].rule;
        servers[i] = (struct smtp_server){ .rules = rules[i] };
        clients[i] =
            (struct client){ .loop = shared.loop, .http = shared.http, .left = &shared.alone };
        smtp_server_start(&servers[i]);
        struct klx_smtp_mail m = mail_to(&clients[i], servers[i].port, 1);
        m.deadline_ms = waits ? 3000 : 30000;
        assert_int_equal(klx_smtp_send(shared.http, &m, &clients[i].call, NULL), 0);
    }
    klx_loop_run(shared.loop);
    close_client(&shared);
    for (size_t i = 0; i < KLX_COUNT(ends); i++) {
        smtp_server_stop(&servers[i]);
        smtp_server_release(&servers[i]);
        assert_int_equal(clients[i].done, 1);
        check_end(i, &clients[i]);
    }
}

static void no_server(void **state) {
    (void)state;
    struct client c;
    open_client(&c);
    struct klx_smtp_mail m = mail_to(&c, 1, 1);
    run(&c, &m);
    assert_int_equal(c.failure, KLX_SMTP_CONNECT);
    assert_int_equal(c.code, 0);
    close_client(&c);
}

/* The end of a mail is only ambiguous when its final dot had gone. */
static void broken_inside_the_message(void **state) {
    (void)state;
    struct client c;
    struct smtp_server s = { .close_inside = 1000 };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 32 << 20);
    while (text.len < (16u << 20)) {
        klx_buf_add_str(&text, "0123456789012345678901234567890123456789012345678901234567890\r\n");
    }
    open_client(&c);
    smtp_server_start(&s);
    struct klx_smtp_mail m = mail_to(&c, s.port, 1);
    m.message = klx_buf_sv(&text);
    run(&c, &m);
    assert_int_equal(c.failure, KLX_SMTP_BROKEN);
    close_client(&c);
    smtp_server_stop(&s);
    smtp_server_release(&s);
}

/* libcurl's own SMTP waits for the reply to the dot, and to QUIT, inside one call: the loop would stand still. */
static void the_loop_turns_meanwhile(void **state) {
    (void)state;
    static const char *const silent_at[] = { "(greeting)", "EHLO", "MAIL", "(dot)" };
    for (size_t i = 0; i < KLX_COUNT(silent_at); i++) {
        struct client c;
        const struct smtp_rule rules[] = { { silent_at[i], NULL, SMTP_SILENT },
                                           { NULL, NULL, SMTP_GO_ON } };
        struct smtp_server s = { .rules = rules };
        open_client(&c);
        smtp_server_start(&s);
        struct klx_smtp_mail m = mail_to(&c, s.port, 1);
        m.deadline_ms = 400;
        klx_timer_repeat(c.ticker, 5);
        run(&c, &m);
        assert_true(c.ticks >= 10);
        close_client(&c);
        smtp_server_stop(&s);
        smtp_server_release(&s);
    }
}

static void cancel(void *arg) {
    struct client *c = arg;
    klx_smtp_cancel(c->call);
    klx_loop_stop(c->loop);
}

static void cancelled_at_any_point(void **state) {
    (void)state;
    static const char *const silent_at[] = { "(greeting)", "EHLO", "RCPT", "(dot)" };
    for (size_t i = 0; i < KLX_COUNT(silent_at); i++) {
        struct client c;
        const struct smtp_rule rules[] = { { silent_at[i], NULL, SMTP_SILENT },
                                           { NULL, NULL, SMTP_GO_ON } };
        struct smtp_server s = { .rules = rules };
        open_client(&c);
        smtp_server_start(&s);
        struct klx_smtp_mail m = mail_to(&c, s.port, 1);
        struct klx_timer *t = klx_timer_new(c.loop, cancel, &c);
        klx_timer_start(t, 50);
        assert_int_equal(klx_smtp_send(c.http, &m, &c.call, NULL), 0);
        klx_loop_run(c.loop);
        assert_int_equal(c.done, 0);
        klx_timer_free(t);
        close_client(&c);
        smtp_server_stop(&s);
        smtp_server_release(&s);
    }
}

static void the_null_sender(void **state) {
    (void)state;
    struct client c;
    const struct smtp_rule rules[] = { { "EHLO", "250 mail.example", SMTP_GO_ON },
                                       { NULL, NULL, SMTP_GO_ON } };
    struct smtp_server s = { .rules = rules };
    open_client(&c);
    smtp_server_start(&s);
    struct klx_smtp_mail m = mail_to(&c, s.port, 1);
    m.from = "";
    run(&c, &m);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c);
    smtp_server_stop(&s);
    assert_non_null(
        strstr(klx_buf_str(&s.log), "\nMAIL FROM:<>\n")); /* and no SIZE when it is not offered */
    smtp_server_release(&s);
}

static const struct {
    struct smtp_rule rules[3];
    enum klx_smtp_failure failure;
    int code;
    const char *log, *error; /* parts */
} credentials[] = {
    { { { 0 } }, KLX_SMTP_OK, 250, "AUTH PLAIN\nAHVzZXIAczNjcmV0LXdvcmQ=\nMAIL", "" },
    { { { "EHLO", "250-x\r\n250 AUTH LOGIN", SMTP_GO_ON },
        { "dXNlcg==", "334 UGFzc3dvcmQ6", SMTP_GO_ON },
        { 0 } },
      KLX_SMTP_OK,
      250,
      "AUTH LOGIN\ndXNlcg==\nczNjcmV0LXdvcmQ=\nMAIL",
      "" },
    { { { "AHV", "535 5.7.8 no", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      535,
      "",
      "the server refuses the credentials: 535 5.7.8 no" },
    { { { "AHV", "454 4.7.0 later", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      454,
      "",
      "the server cannot check the credentials now: 454 4.7.0 later" },
    { { { "AUTH", "538 5.7.11 encryption required", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      538,
      "",
      "the server refuses the credentials" },
    { { { "AHV", "502 5.5.2 unknown: AHVzZXIAczNjcmV0LXdvcmQ=", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      502,
      "",
      "repeats the credentials and is not shown" },
    { { { "AHV", "535 no such password: s3cret-word", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      535,
      "",
      "repeats the credentials and is not shown" },
    { { { "EHLO", "250-x\r\n250 AUTH CRAM-MD5 NTLM", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      0,
      "EHLO klaxon.example\n",
      "the server offers neither AUTH PLAIN nor AUTH LOGIN" },
    { { { "EHLO", "250 x", SMTP_GO_ON }, { 0 } },
      KLX_SMTP_AUTH,
      0,
      "EHLO klaxon.example\n",
      "the server offers neither AUTH PLAIN nor AUTH LOGIN" },
    { { { "AHV", NULL, SMTP_CLOSE }, { 0 } }, KLX_SMTP_BROKEN, 334, "", "" },
};

static void every_end_of_auth(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(credentials); i++) {
        struct client c;
        struct smtp_server s = { .rules = credentials[i].rules };
        open_client(&c);
        smtp_server_start(&s);
        struct klx_smtp_mail m = mail_to(&c, s.port, 1);
        m.user = "user";
        m.password = KLX_SV("s3cret-word");
        run(&c, &m);
        close_client(&c);
        smtp_server_stop(&s);
        if (c.failure != credentials[i].failure || c.code != credentials[i].code ||
            strstr(klx_buf_str(&s.log), credentials[i].log) == NULL ||
            strstr(c.error, credentials[i].error) == NULL) {
            fail_msg("case %zu: failure %d, code %d, error \"%s\", log:\n%s", i, (int)c.failure,
                     c.code, c.error, klx_buf_str(&s.log));
        }
        assert_true(c.failure == KLX_SMTP_OK || strstr(klx_buf_str(&s.log), "MAIL") == NULL);
        smtp_server_release(&s);
    }
}

struct tls_case {
    enum klx_smtp_tls mode;
    const char *host, *server_name;
    bool implicit, foreign_ca;
    const struct smtp_rule *rules;
    enum klx_smtp_failure failure;
    const char *log; /* NULL: what a server without TLS makes of a TLS hello */
    const char *error;
};

/* The certificate is for "localhost". */
static void exchange_tls(const struct tls_case *t, const struct test_pki *good,
                         const struct test_pki *foreign) {
    struct client c;
    struct smtp_server s = { .rules = t->rules, .pki = good, .implicit = t->implicit };
    struct klx_tls tls = { .ca_pem = test_pki_ca(t->foreign_ca ? foreign : good),
                           .server_name = t->server_name };
    open_client(&c);
    smtp_server_start(&s);
    struct klx_smtp_mail m = mail_to(&c, s.port, 1);
    m.host = t->host;
    m.tls_mode = t->mode;
    m.tls = &tls;
    m.user = "user";
    m.password = KLX_SV("s3cret-word");
    run(&c, &m);
    close_client(&c);
    smtp_server_stop(&s);
    if (c.failure != t->failure || strstr(c.error, t->error) == NULL ||
        (t->log != NULL && strcmp(klx_buf_str(&s.log), t->log) != 0)) {
        fail_msg("%s: failure %d, code %d, error \"%s\", log:\n%s", t->error, (int)c.failure,
                 c.code, c.error, klx_buf_str(&s.log));
    }
    smtp_server_release(&s);
}

#define WHOLE                                                                                      \
    "AUTH PLAIN\nAHVzZXIAczNjcmV0LXdvcmQ=\nMAIL FROM:<from@x.example> SIZE=34\nRCPT "              \
    "TO:<a@x.example>\nDATA\n(message)\nQUIT\n"

static void tls_or_nothing(void **state) {
    (void)state;
    static const struct smtp_rule not_offered[] = {
        { "EHLO", "250-x\r\n250 AUTH PLAIN", SMTP_GO_ON }, { 0 }
    };
    static const struct smtp_rule refused[] = { { "STARTTLS", "454 4.7.0 later", SMTP_GO_ON },
                                                { 0 } };
    static const struct tls_case cases[] = {
        { KLX_SMTP_STARTTLS, "localhost", NULL, false, false, NULL, KLX_SMTP_OK,
          "EHLO klaxon.example\nSTARTTLS\n(TLS)\nEHLO klaxon.example\n" WHOLE, "" },
        { KLX_SMTP_STARTTLS, "127.0.0.1", "localhost", false, false, NULL, KLX_SMTP_OK,
          "EHLO klaxon.example\nSTARTTLS\n(TLS)\nEHLO klaxon.example\n" WHOLE, "" },
        { KLX_SMTP_IMPLICIT, "localhost", NULL, true, false, NULL, KLX_SMTP_OK,
          "(TLS)\nEHLO klaxon.example\n" WHOLE, "" },
        { KLX_SMTP_STARTTLS, "localhost", NULL, false, true, NULL, KLX_SMTP_TLS,
          "EHLO klaxon.example\nSTARTTLS\n", "certificate" },
        { KLX_SMTP_IMPLICIT, "localhost", NULL, true, true, NULL, KLX_SMTP_TLS, "", "certificate" },
        { KLX_SMTP_STARTTLS, "127.0.0.1", "mail.example", false, false, NULL, KLX_SMTP_TLS,
          "EHLO klaxon.example\nSTARTTLS\n(TLS)\n", "mail.example" },
        { KLX_SMTP_STARTTLS, "localhost", NULL, false, false, not_offered, KLX_SMTP_TLS,
          "EHLO klaxon.example\n", "does not offer STARTTLS" },
        { KLX_SMTP_STARTTLS, "localhost", NULL, false, false, refused, KLX_SMTP_TLS,
          "EHLO klaxon.example\nSTARTTLS\n", "the server refuses STARTTLS: 454 4.7.0 later" },
        { KLX_SMTP_IMPLICIT, "localhost", NULL, false, false, NULL, KLX_SMTP_CONNECT, NULL, "" },
    };
    struct test_pki *good = test_pki_new("localhost"), *foreign = test_pki_new("localhost");
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        exchange_tls(&cases[i], good, foreign);
    }
    test_pki_free(good);
    test_pki_free(foreign);
}

/* Large enough that the socket fills; dots at every place of a line and of a chunk. */
static void a_large_mail_with_dots(void **state) {
    const struct test_pki *pki = *state;
    struct client c;
    struct smtp_server s = { .pki = pki, .implicit = pki != NULL };
    struct klx_tls tls = { .ca_pem = pki != NULL ? test_pki_ca(pki) : klx_sv(NULL) };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 16 << 20);
    for (unsigned i = 0; text.len < (8u << 20); i = i * 1103515245u + 12345u) {
        static const char *const lines[] = { ".\r\n",  "..\r\n",   "\r\n",   "a.\r\n",
                                             ".a\r\n", "text\r\n", "...\r\n" };
        klx_buf_add_str(&text, lines[(i >> 16) % KLX_COUNT(lines)]);
    }
    open_client(&c);
    smtp_server_start(&s);
    struct klx_smtp_mail m = mail_to(&c, s.port, 1);
    m.host = "localhost";
    m.message = klx_buf_sv(&text);
    m.tls = &tls;
    m.tls_mode = pki != NULL ? KLX_SMTP_IMPLICIT : KLX_SMTP_PLAIN;
    m.deadline_ms = 50000;
    run(&c, &m);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c);
    smtp_server_stop(&s);
    struct klx_buf back KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&back, 16 << 20);
    struct klx_sv rest = klx_sv_n(s.message.data, s.message.len - 3); /* without the final dot */
    while (rest.n > 0) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        bool dot = line.p[0] == '.';
        klx_buf_add(&back, line.p + dot, line.n - dot);
        klx_buf_add_char(&back, '\n');
    }
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.data, text.data, text.len);
    smtp_server_release(&s);
}

static void a_large_mail_in_tls(void **state) {
    (void)state;
    struct test_pki *pki = test_pki_new("localhost");
    void *as_state = pki;
    a_large_mail_with_dots(&as_state);
    test_pki_free(pki);
}

static void addresses(void **state) {
    (void)state;
    static const char *const good[] = {
        "a@x",           "first.last+tag@mail.example", "o'brien=x@x-y.example",
        "a@[10.0.0.1]",  "a@[IPv6:2001:db8::1]",        "a_b@xn--bcher-kva.example",
        "j\xc3\xb6rg@x", "a@\xc3\xbc.example",          "\xe7\x94\xa8\xe6\x88\xb7@x"
    };
    static const char *const bad[] = {
        "",
        "a",
        "@x",
        "a@",
        "a@b@c",
        "a b@x",
        "a@x y",
        "<a@x>",
        "a@x>\r\nRCPT TO:<evil@y",
        "a@x\n",
        "a@x\r",
        "a\t@x",
        "a,b@x",
        "\"a b\"@x",
        "a@x,b@y",
        ".a@x",
        "a.@x",
        "a..b@x",
        "a@x..y",
        "a@.x",
        "a@x.",
        "a@[x",
        "a@[]",
        "a@[x>]",
        "j\xc3\xb6rg\xe2\x80\xae@x",
        "j\xc3@x",
        "j\xc2\x85g@x",
        "a@\xc3\xbc..example",
        "a@x(comment)",
        "a@x;b",
        "a:b@x",
        "a\\@x",
        "12345678901234567890123456789012345678901234567890123456789012345@x"
    };
    for (size_t i = 0; i < KLX_COUNT(good); i++) {
        assert_null(klx_smtp_address_problem(klx_sv(good[i])));
    }
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        if (klx_smtp_address_problem(klx_sv(bad[i])) == NULL) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
    assert_non_null(klx_smtp_address_problem(klx_sv_n("a@x\0y", 5)));
    char longer[256];
    memset(longer, 'x', sizeof(longer));
    longer[1] = '@';
    assert_null(klx_smtp_address_problem(klx_sv_n(longer, 254)));
    assert_non_null(klx_smtp_address_problem(klx_sv_n(longer, 255)));
}

/* What is not acceptable is refused before a byte is sent. */
static void refused_at_once(void **state) {
    (void)state;
    static const struct {
        const char *host, *helo, *from, *to, *user, *password, *message;
        unsigned port;
    } cases[] = {
        { "127.0.0.1", "x", "f@x", "a@x>\r\nRCPT TO:<evil@y", NULL, "", "a\r\n", 1 },
        { "127.0.0.1", "x", "f@x\r\nRCPT TO:<evil@y>", "a@x", NULL, "", "a\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "j\xc3rg@x", NULL, "", "a\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\n.\nMAIL FROM:<x>\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\r.\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\r", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "\xc3\r\n", 1 },
        { "127.0.0.1", "x\r\nMAIL", "f@x", "a@x", NULL, "", "a\r\n", 1 },
        { "127.0.0.1", "", "f@x", "a@x", NULL, "", "a\r\n", 1 },
        { "127.0.0.1/x", "x", "f@x", "a@x", NULL, "", "a\r\n", 1 },
        { "user@127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\r\n", 0 },
        { "127.0.0.1", "x", "f@x", "a@x", NULL, "", "a\r\n", 65536 },
        { "127.0.0.1", "x", "f@x", "a@x", "", "p", "a\r\n", 1 },
        { "127.0.0.1", "x", "f@x", "a@x", "u", "", "a\r\n", 1 },
    };
    struct client c;
    open_client(&c);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        struct klx_smtp_mail m = mail_to(&c, cases[i].port, 1);
        m.host = cases[i].host;
        m.helo = cases[i].helo;
        m.from = cases[i].from;
        c.recipients[0].address = cases[i].to;
        m.user = cases[i].user;
        m.password = klx_sv(cases[i].password);
        m.message = klx_sv(cases[i].message);
        assert_int_equal(klx_smtp_send(c.http, &m, &c.call, &e), -EINVAL);
        assert_true(strlen(e.text) > 10);
    }
    struct klx_smtp_mail m = mail_to(&c, 1, 0);
    assert_int_equal(klx_smtp_send(c.http, &m, &c.call, NULL), -EINVAL);
    char line[1001];
    memset(line, 'x', sizeof(line));
    line[999] = '\r';
    line[1000] = '\n';
    assert_null(klx_smtp_message_problem(klx_sv_n(line + 1, 1000)));
    assert_non_null(klx_smtp_message_problem(klx_sv_n(line, 1001)));
    assert_non_null(klx_smtp_message_problem(klx_sv_n("a\0b\r\n", 5)));
    close_client(&c);
    assert_int_equal(c.done, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_goes_as_it_is),
        cmocka_unit_test(every_recipient_has_its_reply),
        cmocka_unit_test(nothing_is_sent_when_all_are_refused),
        cmocka_unit_test(every_end),
        cmocka_unit_test(no_server),
        cmocka_unit_test(broken_inside_the_message),
        cmocka_unit_test(the_loop_turns_meanwhile),
        cmocka_unit_test(cancelled_at_any_point),
        cmocka_unit_test(the_null_sender),
        cmocka_unit_test(every_end_of_auth),
        cmocka_unit_test(tls_or_nothing),
        cmocka_unit_test(a_large_mail_with_dots),
        cmocka_unit_test(a_large_mail_in_tls),
        cmocka_unit_test(addresses),
        cmocka_unit_test(refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
