/* Every reply that a mail server may give, at every place of the dialogue, and its class of outcome. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/email/verdicts.h"

#define GREYLIST_MS 300000

/* The verdict of the one recipient of a dialogue that ended so. */
static struct klx_verdict judge(enum klx_smtp_failure failure, int rcpt_code, int code,
                                const char *reply) {
    struct klx_smtp_recipient recipient = { .address = "a@x.example", .code = rcpt_code };
    const struct klx_smtp_result r = { .failure = failure,
                                       .code = code,
                                       .reply = reply,
                                       .error = failure == KLX_SMTP_OK ? "" : "in words",
                                       .recipients = &recipient,
                                       .recipients_n = 1 };
    struct klx_verdict v = { 0 };
    if (rcpt_code >= 400) {
        snprintf(recipient.reply, sizeof(recipient.reply), "%s", reply);
    }
    klx_email_judge(&r, 0, &v);
    return v;
}

struct reply_case {
    int code;
    const char *reply;
    enum klx_verdict_class class;
    const char *reason;
};

static void check(struct klx_verdict v, const struct reply_case *c) {
    char answer[400];
    bool advised = strcmp(c->reason, "basic_auth_disabled") == 0;
    snprintf(answer, sizeof(answer), "%d %s%s", c->code, c->reply,
             advised ? " [this server takes no passwords any more: set auth: xoauth2, "
                       "docs/channels/email.md]"
                     : "");
    if (v.class != c->class || strcmp(v.reason, c->reason) != 0) {
        fail_msg("%s: %s (%s), expected %s (%s)", answer, klx_verdict_name(v.class), v.reason,
                 klx_verdict_name(c->class), c->reason);
    }
    assert_string_equal(v.answer, answer);
    assert_int_equal(v.retry_after_ms, c->class == KLX_VERDICT_RETRY_AFTER ? GREYLIST_MS : 0);
}

static void replies_to_rcpt(void **state) {
    (void)state;
    static const struct reply_case cases[] = {
        { 450, "4.2.1 busy", KLX_VERDICT_RETRY_BACKOFF, "smtp_450" },
        { 450, "4.2.0 Greylisted, see http://postgrey", KLX_VERDICT_RETRY_AFTER, "greylisted" },
        { 451, "4.7.1 Greylisting in action", KLX_VERDICT_RETRY_AFTER, "greylisted" },
        { 451, "4.7.1 please come back later", KLX_VERDICT_RETRY_AFTER, "smtp_451" },
        { 451, "", KLX_VERDICT_RETRY_AFTER, "smtp_451" },
        { 452, "4.2.2 over quota", KLX_VERDICT_RETRY_BACKOFF, "smtp_452" },
        { 454, "4.7.0 later", KLX_VERDICT_RETRY_BACKOFF, "smtp_454" },
        { 499, "?", KLX_VERDICT_RETRY_BACKOFF, "smtp_499" },
        { 500, "what?", KLX_VERDICT_DESTINATION_BROKEN, "smtp_500" },
        { 501, "5.1.3 bad address", KLX_VERDICT_REJECT_RECIPIENT, "smtp_501" },
        { 502, "5.5.1 not here", KLX_VERDICT_DESTINATION_BROKEN, "smtp_502" },
        { 503, "5.5.1 MAIL first", KLX_VERDICT_DESTINATION_BROKEN, "smtp_503" },
        { 504, "5.5.4 no such parameter", KLX_VERDICT_DESTINATION_BROKEN, "smtp_504" },
        { 530, "5.7.0 authentication required", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_530" },
        { 534, "5.7.9 mechanism too weak", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_534" },
        { 535, "5.7.8 no", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_535" },
        { 538, "5.7.11 encryption required", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_538" },
        { 550, "5.1.1 no such user", KLX_VERDICT_REJECT_RECIPIENT, "smtp_550" },
        { 550, "", KLX_VERDICT_REJECT_RECIPIENT, "smtp_550" },
        { 550, "5.2.2 mailbox full", KLX_VERDICT_REJECT_RECIPIENT, "mailbox_full" },
        { 550, "5.7.30 Basic authentication is not supported for Client Submission.",
          KLX_VERDICT_CREDENTIAL_BROKEN, "basic_auth_disabled" },
        { 551, "5.1.6 moved", KLX_VERDICT_REJECT_RECIPIENT, "smtp_551" },
        { 552, "5.2.2 mailbox full", KLX_VERDICT_REJECT_RECIPIENT, "mailbox_full" },
        { 552, "full", KLX_VERDICT_REJECT_RECIPIENT, "mailbox_full" },
        { 552, "5.5.3 too many recipients", KLX_VERDICT_RETRY_BACKOFF, "too_many_recipients" },
        { 553, "5.1.3 not an address", KLX_VERDICT_REJECT_RECIPIENT, "smtp_553" },
        { 554, "5.7.1 relay access denied", KLX_VERDICT_REJECT_RECIPIENT, "smtp_554" },
        { 556, "5.1.10 null MX", KLX_VERDICT_REJECT_RECIPIENT, "smtp_556" },
        { 599, "5.x.y ?", KLX_VERDICT_REJECT_RECIPIENT, "smtp_599" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(judge(KLX_SMTP_OK, cases[i].code, cases[i].code, cases[i].reply), &cases[i]);
        /* What happened to the others says nothing of this one. */
        check(judge(KLX_SMTP_AMBIGUOUS, cases[i].code, 354, cases[i].reply), &cases[i]);
    }
}

static void replies_to_mail(void **state) {
    (void)state;
    static const struct reply_case cases[] = {
        { 450, "4.7.1 later", KLX_VERDICT_RETRY_BACKOFF, "smtp_450" },
        { 451, "4.3.0 later", KLX_VERDICT_RETRY_BACKOFF, "smtp_451" },
        { 451, "4.7.1 graylisted", KLX_VERDICT_RETRY_AFTER, "greylisted" },
        { 452, "4.3.1 full", KLX_VERDICT_RETRY_BACKOFF, "smtp_452" },
        { 501, "5.1.7 sender?", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
        { 530, "5.7.57 Client not authenticated", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_530" },
        { 550, "5.7.1 sender rejected", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
        { 550, "5.7.57 Client not authenticated", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_550" },
        { 552, "5.3.4 more than 10 octets", KLX_VERDICT_REJECT_MESSAGE, "too_large" },
        { 553, "5.7.1 not owned by user", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
        { 554, "5.7.1 no", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(judge(KLX_SMTP_REFUSED, 0, cases[i].code, cases[i].reply), &cases[i]);
    }
}

static void replies_to_the_message(void **state) {
    (void)state;
    static const struct reply_case cases[] = {
        { 421, "4.3.2 closing", KLX_VERDICT_RETRY_BACKOFF, "smtp_421" },
        { 450, "4.7.1 later", KLX_VERDICT_RETRY_BACKOFF, "smtp_450" },
        { 451, "4.3.0 queue error", KLX_VERDICT_RETRY_BACKOFF, "smtp_451" },
        { 451, "4.7.1 Greylisted", KLX_VERDICT_RETRY_AFTER, "greylisted" },
        { 452, "4.3.1 disk full", KLX_VERDICT_RETRY_BACKOFF, "smtp_452" },
        { 550, "5.7.1 spam", KLX_VERDICT_REJECT_MESSAGE, "smtp_550" },
        { 550, "5.7.60 SMTP; Client does not have permissions to send as this sender",
          KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
        { 552, "5.3.4 too big", KLX_VERDICT_REJECT_MESSAGE, "too_large" },
        { 554, "5.2.252 SendAsDenied", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },
        { 554, "5.6.0 no", KLX_VERDICT_REJECT_MESSAGE, "smtp_554" },
        { 500, "line too long", KLX_VERDICT_REJECT_MESSAGE, "smtp_500" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(judge(KLX_SMTP_REFUSED, 250, cases[i].code, cases[i].reply), &cases[i]);
    }
}

static void replies_before_a_mail(void **state) {
    (void)state;
    static const struct {
        enum klx_smtp_failure failure;
        struct reply_case reply;
    } cases[] = {
        { KLX_SMTP_CONNECT, { 421, "4.3.2 too busy", KLX_VERDICT_RETRY_BACKOFF, "smtp_421" } },
        { KLX_SMTP_CONNECT, { 554, "5.7.1 blocked", KLX_VERDICT_DESTINATION_BROKEN, "smtp_554" } },
        { KLX_SMTP_TLS, { 454, "4.7.0 TLS not now", KLX_VERDICT_RETRY_BACKOFF, "smtp_454" } },
        { KLX_SMTP_TLS, { 502, "no", KLX_VERDICT_DESTINATION_BROKEN, "smtp_502" } },
        { KLX_SMTP_AUTH, { 454, "4.7.0 later", KLX_VERDICT_RETRY_BACKOFF, "smtp_454" } },
        { KLX_SMTP_AUTH, { 534, "5.7.9 too weak", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_534" } },
        { KLX_SMTP_AUTH, { 535, "5.7.8 wrong", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_535" } },
        { KLX_SMTP_AUTH, { 504, "5.5.4 which?", KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_504" } },
        { KLX_SMTP_AUTH,
          { 535, "5.7.139 Authentication unsuccessful, basic authentication is disabled",
            KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_535" } },
        { KLX_SMTP_AUTH,
          { 550, "5.7.30 Basic authentication is not supported", KLX_VERDICT_CREDENTIAL_BROKEN,
            "basic_auth_disabled" } },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(judge(cases[i].failure, 0, cases[i].reply.code, cases[i].reply.reply),
              &cases[i].reply);
    }
}

static void ends_without_a_reply(void **state) {
    (void)state;
    static const struct {
        enum klx_smtp_failure failure;
        int rcpt_code, code;
        enum klx_verdict_class class;
        const char *reason;
    } cases[] = {
        { KLX_SMTP_CONNECT, 0, 0, KLX_VERDICT_RETRY_BACKOFF, "connect" },
        { KLX_SMTP_TLS, 0, 220, KLX_VERDICT_DESTINATION_BROKEN, "tls" },
        { KLX_SMTP_AUTH, 0, 0, KLX_VERDICT_DESTINATION_BROKEN, "auth_not_offered" },
        { KLX_SMTP_NO_UTF8, 0, 0, KLX_VERDICT_DESTINATION_BROKEN, "smtputf8_not_offered" },
        { KLX_SMTP_BROKEN, 0, 250, KLX_VERDICT_RETRY_BACKOFF, "connection_broken" },
        { KLX_SMTP_BROKEN, 250, 421, KLX_VERDICT_RETRY_BACKOFF, "smtp_421" },
        { KLX_SMTP_BROKEN, 421, 421, KLX_VERDICT_RETRY_BACKOFF, "smtp_421" },
        { KLX_SMTP_AMBIGUOUS, 250, 354, KLX_VERDICT_AMBIGUOUS, "no_answer" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_verdict v = judge(cases[i].failure, cases[i].rcpt_code, cases[i].code, "");
        assert_int_equal(v.class, cases[i].class);
        assert_string_equal(v.reason, cases[i].reason);
        assert_string_equal(v.answer, "in words");
    }
    struct klx_verdict v = judge(KLX_SMTP_OK, 250, 250, "2.0.0 queued as 4711");
    assert_int_equal(v.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(v.reason, "smtp_250");
    assert_string_equal(v.answer, "250 2.0.0 queued as 4711");
}

/* Whatever the code: it has a class, 4xx is never final, and a recipient's refusal never breaks more than that by accident. */
static void every_code_has_a_class(void **state) {
    (void)state;
    for (int code = 400; code < 600; code++) {
        struct klx_verdict rcpt = judge(KLX_SMTP_OK, code, code, "words");
        struct klx_verdict mail = judge(KLX_SMTP_REFUSED, 0, code, "words");
        struct klx_verdict dot = judge(KLX_SMTP_REFUSED, 250, code, "words");
        struct klx_verdict auth = judge(KLX_SMTP_AUTH, 0, code, "words");
        if (code == 421) {
            continue; /* as a reply to RCPT it ends the connection: KLX_SMTP_BROKEN */
        }
        assert_int_equal(klx_verdict_is_final(rcpt.class) && code < 500, 0);
        assert_int_equal(klx_verdict_is_final(mail.class), code == 552);
        assert_true(code < 500 ? !klx_verdict_is_final(dot.class)
                               : dot.class == KLX_VERDICT_REJECT_MESSAGE ||
                                     dot.class == KLX_VERDICT_CREDENTIAL_BROKEN);
        assert_int_equal(auth.class,
                         code < 500 ? KLX_VERDICT_RETRY_BACKOFF : KLX_VERDICT_CREDENTIAL_BROKEN);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_to_rcpt),        cmocka_unit_test(replies_to_mail),
        cmocka_unit_test(replies_to_the_message), cmocka_unit_test(replies_before_a_mail),
        cmocka_unit_test(ends_without_a_reply),   cmocka_unit_test(every_code_has_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
