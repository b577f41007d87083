/* SMTP over several mails: connections that are kept and what becomes of them, tokens, probes, and what a mail asks of a server. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/time.h"
#include "lib/io/smtp.h"
#include "tests/unit/support/smtp_server.h"

#define MESSAGE "Subject: x\r\n\r\nhello\r\n"
#define TOKEN "eyJ0oken.eyJ0oken.s1gnature"
#define CONNECT "EHLO klaxon.example\n"
#define MAIL "MAIL FROM:<from@x.example> SIZE=21\nRCPT TO:<a@x.example>\nDATA\n(message)\n"

struct client {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_smtp_keeper *keeper;
    struct smtp_server server;
    struct klx_smtp_recipient recipient;
    struct klx_smtp_mail mail;
    struct klx_smtp_call *call;
    enum klx_smtp_failure failure;
    int done, code;
    char reply[256], error[1024], challenge[256];
};

static void on_done(void *arg, const struct klx_smtp_result *r) {
    struct client *c = arg;
    c->done++;
    c->failure = r->failure;
    c->code = r->code;
    snprintf(c->reply, sizeof(c->reply), "%s", r->reply);
    snprintf(c->error, sizeof(c->error), "%s", r->error);
    snprintf(c->challenge, sizeof(c->challenge), "%s", r->challenge);
    klx_loop_stop(c->loop);
}

static void open_client(struct client *c, const struct smtp_rule *rules) {
    *c = (struct client){ .loop = klx_loop_new(),
                          .server.rules = rules,
                          .recipient.address = "a@x.example" };
    c->http = klx_http_new(c->loop);
    c->keeper = klx_smtp_keeper_new(c->http);
    smtp_server_start(&c->server);
    c->mail = (struct klx_smtp_mail){
        .host = "127.0.0.1",
        .port = c->server.port,
        .helo = "klaxon.example",
        .tls_mode = KLX_SMTP_PLAIN,
        .keeper = c->keeper,
        .from = "from@x.example",
        .recipients = &c->recipient,
        .recipients_n = 1,
        .message = KLX_SV(MESSAGE),
        .deadline_ms = 10000,
        .on_done = on_done,
        .arg = c,
    };
}

static void run(struct client *c) {
    struct klx_error e = { 0 };
    int before = c->done;
    if (klx_smtp_send(c->http, &c->mail, &c->call, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(c->done, before); /* never from inside */
    klx_loop_run(c->loop);
    assert_int_equal(c->done, before + 1);
}

/* The loop's free asserts that nothing is alive; the server's log is whole then. */
static void close_client(struct client *c, const char *log) {
    klx_smtp_keeper_free(c->keeper);
    klx_http_free(c->http);
    klx_loop_run(c->loop);
    klx_loop_free(c->loop);
    smtp_server_stop(&c->server);
    assert_string_equal(klx_buf_str(&c->server.log), log);
    smtp_server_release(&c->server);
}

static void three_mails_are_one_connection(void **state) {
    (void)state;
    struct client c;
    open_client(&c, NULL);
    for (int i = 0; i < 3; i++) {
        run(&c);
        assert_int_equal(c.failure, KLX_SMTP_OK);
    }
    close_client(&c, CONNECT MAIL "RSET\n" MAIL "RSET\n" MAIL "QUIT\n");
}

static void a_refused_mail_does_not_end_it(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "MAIL", "550 5.7.1 no", SMTP_GO_ON }, { 0 } };
    struct client c;
    open_client(&c, rules);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_REFUSED);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT "MAIL FROM:<from@x.example> SIZE=21\nRSET\n" MAIL "QUIT\n");
}

/* Whatever an idle connection says to RSET, the mail has not been seen by anybody: it goes on another one. */
static void an_idle_connection_that_is_gone_is_made_anew(void **state) {
    (void)state;
    static const struct smtp_rule ends[][2] = {
        { { "RSET", NULL, SMTP_CLOSE }, { 0 } },
        { { "RSET", "421 4.4.2 too long", SMTP_CLOSE }, { 0 } },
        { { "RSET", "500 what?", SMTP_CLOSE }, { 0 } },
        { { "RSET", "strange", SMTP_CLOSE }, { 0 } },
    };
    for (size_t i = 0; i < KLX_COUNT(ends); i++) {
        struct client c;
        open_client(&c, ends[i]);
        run(&c);
        run(&c);
        assert_int_equal(c.failure, KLX_SMTP_OK);
        close_client(&c, CONNECT MAIL "RSET\n" CONNECT MAIL "QUIT\n");
    }
}

static void a_connection_that_the_server_ends_is_dropped_at_once(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "(dot)", "250 ok", SMTP_CLOSE }, { 0 } };
    struct client c;
    open_client(&c, rules);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    /* The loop ends when nothing is left to wait for. A connection that is kept is, for 30 s. */
    int64_t began_us = klx_clock_real()->mono_us(klx_clock_real());
    klx_loop_run(c.loop);
    assert_true(klx_clock_real()->mono_us(klx_clock_real()) - began_us < 20 * KLX_US_PER_S);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT MAIL CONNECT MAIL "QUIT\n");
}

/* 421 inside of a mail is that mail's, also on a connection that was kept. */
static void what_ends_inside_of_a_mail_is_told(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "RSET", "250 ok", SMTP_GO_ON },
                                              { "RCPT", "250 ok", SMTP_GO_ON },
                                              { "RCPT", "421 4.3.2 bye", SMTP_CLOSE },
                                              { 0 } };
    struct client c;
    open_client(&c, rules);
    run(&c);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_BROKEN);
    assert_int_equal(c.code, 421);
    close_client(&c,
                 CONNECT MAIL "RSET\nMAIL FROM:<from@x.example> SIZE=21\nRCPT TO:<a@x.example>\n");
}

static void another_password_is_another_connection(void **state) {
    (void)state;
    struct client c;
    open_client(&c, NULL);
    c.mail.user = "user";
    c.mail.password = KLX_SV("one");
    run(&c);
    run(&c);
    c.mail.password = KLX_SV("two");
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT "AUTH PLAIN\nAHVzZXIAb25l\n" MAIL "RSET\n" MAIL "QUIT\n" CONNECT
                             "AUTH PLAIN\nAHVzZXIAdHdv\n" MAIL "QUIT\n");
}

static void a_probe_sends_nothing(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "NOOP", "250 ok", SMTP_GO_ON },
                                              { "NOOP", "421 4.3.2 not now", SMTP_CLOSE },
                                              { 0 } };
    struct client c;
    open_client(&c, rules);
    c.mail.probe = true;
    c.mail.message = klx_sv(NULL);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_BROKEN);
    close_client(&c, CONNECT "NOOP\nRSET\nNOOP\n");
}

/* "user=user\1auth=Bearer TOKEN\1\1" in base64. */
#define BEARER "dXNlcj11c2VyAWF1dGg9QmVhcmVyIGV5SjBva2VuLmV5SjBva2VuLnMxZ25hdHVyZQEB"

static void a_token_goes_in_both_forms(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = {
        { "EHLO", "250-x\r\n250-AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n250 SIZE 1000", SMTP_GO_ON },
        { "AUTH XOAUTH2\r", "334 ", SMTP_GO_ON },
        { 0 },
    };
    static const char *const logs[] = {
        CONNECT "AUTH XOAUTH2\n" BEARER "\n" MAIL "QUIT\n",
        CONNECT "AUTH XOAUTH2 " BEARER "\n" MAIL "QUIT\n",
    };
    for (int i = 0; i < 2; i++) {
        struct client c;
        open_client(&c, rules);
        c.mail.user = "user";
        c.mail.password = KLX_SV(TOKEN);
        c.mail.auth = KLX_SMTP_AUTH_XOAUTH2;
        c.mail.initial_response = i == 1;
        run(&c);
        assert_int_equal(c.failure, KLX_SMTP_OK);
        close_client(&c, logs[i]);
    }
}

static void a_refused_token_says_why(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = {
        { "EHLO", "250-x\r\n250 AUTH XOAUTH2", SMTP_GO_ON },
        { "AUTH XOAUTH2\r", "334 ", SMTP_GO_ON },
        { "dXNlcj11", "334 eyJzdGF0dXMiOiI0MDEifQ==", SMTP_GO_ON },
        { "\r\n", "535 5.7.3 Authentication unsuccessful", SMTP_GO_ON },
        { 0 },
    };
    struct client c;
    open_client(&c, rules);
    c.mail.user = "user";
    c.mail.password = KLX_SV(TOKEN);
    c.mail.auth = KLX_SMTP_AUTH_XOAUTH2;
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_AUTH);
    assert_int_equal(c.code, 535);
    assert_string_equal(c.challenge, "eyJzdGF0dXMiOiI0MDEifQ==");
    assert_null(strstr(c.error, "eyJ0oken"));
    assert_non_null(strstr(c.error, "the token was refused"));
    close_client(&c, CONNECT "AUTH XOAUTH2\n" BEARER "\n");
}

static void what_is_not_offered_has_words(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "EHLO", "250-x\r\n250 AUTH CRAM-MD5", SMTP_GO_ON },
                                              { 0 } };
    static const char *const words[] = {
        [KLX_SMTP_AUTH_PASSWORD] = "neither AUTH PLAIN nor AUTH LOGIN",
        [KLX_SMTP_AUTH_PLAIN] = "does not offer AUTH PLAIN",
        [KLX_SMTP_AUTH_LOGIN] = "does not offer AUTH LOGIN",
        [KLX_SMTP_AUTH_XOAUTH2] = "does not offer AUTH XOAUTH2",
    };
    for (size_t i = 0; i < KLX_COUNT(words); i++) {
        struct client c;
        open_client(&c, rules);
        c.mail.user = "user";
        c.mail.password = KLX_SV(TOKEN);
        c.mail.auth = (enum klx_smtp_auth)i;
        run(&c);
        assert_int_equal(c.failure, KLX_SMTP_AUTH);
        assert_int_equal(c.code, 0);
        assert_non_null(strstr(c.error, words[i]));
        close_client(&c, CONNECT);
    }
}

static void addresses_beyond_ascii_need_smtputf8(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = {
        { "EHLO", "250-x\r\n250-8BITMIME\r\n250 SMTPUTF8", SMTP_GO_ON }, { 0 }
    };
    struct client c;
    open_client(&c, rules);
    c.recipient.address = "j\xc3\xb6rg@x.example";
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT "MAIL FROM:<from@x.example> BODY=8BITMIME SMTPUTF8\n"
                             "RCPT TO:<j\xc3\xb6rg@x.example>\nDATA\n(message)\nQUIT\n");
    open_client(&c, NULL);
    run(&c); /* a plain one first: the next would reuse its connection */
    c.recipient.address = "j\xc3\xb6rg@x.example";
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_NO_UTF8);
    assert_non_null(strstr(c.error, "does not offer SMTPUTF8"));
    close_client(&c, CONNECT MAIL CONNECT);
}

static void notices_are_declined_where_they_are_known(void **state) {
    (void)state;
    static const struct smtp_rule rules[] = { { "EHLO", "250-x\r\n250 DSN", SMTP_GO_ON }, { 0 } };
    struct client c;
    open_client(&c, rules);
    c.mail.no_notices = true;
    run(&c);
    close_client(&c, CONNECT "MAIL FROM:<from@x.example>\nRCPT TO:<a@x.example> NOTIFY=NEVER\n"
                             "DATA\n(message)\nQUIT\n");
    open_client(&c, NULL);
    c.mail.no_notices = true;
    run(&c);
    close_client(&c, CONNECT MAIL "QUIT\n");
}

static void opportunistic_takes_what_there_is(void **state) {
    (void)state;
    struct test_pki *pki = test_pki_new("localhost");
    struct klx_tls tls = { .ca_pem = test_pki_ca(pki), .server_name = "localhost" };
    struct client c;
    open_client(&c, NULL);
    c.mail.tls_mode = KLX_SMTP_OPPORTUNISTIC;
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT MAIL "QUIT\n");
    open_client(&c, NULL);
    c.server.pki = pki;
    c.mail.tls_mode = KLX_SMTP_OPPORTUNISTIC;
    c.mail.tls = &tls;
    run(&c);
    assert_int_equal(c.failure, KLX_SMTP_OK);
    close_client(&c, CONNECT "STARTTLS\n(TLS)\n" CONNECT MAIL "QUIT\n");
    test_pki_free(pki);
}

static void cancelled_while_it_is_kept(void **state) {
    (void)state;
    struct client c;
    open_client(&c, NULL);
    run(&c);
    assert_int_equal(klx_smtp_send(c.http, &c.mail, &c.call, NULL), 0);
    klx_smtp_cancel(c.call);
    close_client(&c, CONNECT MAIL);
    assert_int_equal(c.done, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_mails_are_one_connection),
        cmocka_unit_test(a_refused_mail_does_not_end_it),
        cmocka_unit_test(an_idle_connection_that_is_gone_is_made_anew),
        cmocka_unit_test(a_connection_that_the_server_ends_is_dropped_at_once),
        cmocka_unit_test(what_ends_inside_of_a_mail_is_told),
        cmocka_unit_test(another_password_is_another_connection),
        cmocka_unit_test(a_probe_sends_nothing),
        cmocka_unit_test(a_token_goes_in_both_forms),
        cmocka_unit_test(a_refused_token_says_why),
        cmocka_unit_test(what_is_not_offered_has_words),
        cmocka_unit_test(addresses_beyond_ascii_need_smtputf8),
        cmocka_unit_test(notices_are_declined_where_they_are_known),
        cmocka_unit_test(opportunistic_takes_what_there_is),
        cmocka_unit_test(cancelled_while_it_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
