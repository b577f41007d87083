#include "sinks/email/verdicts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"

#define GREYLIST_MS INT64_C(300000) /* what greylisting wants is five minutes, rarely more */

/* Where in the dialogue a reply was given. */
enum stage {
    STAGE_BEFORE = 1, /* greeting, EHLO, STARTTLS */
    STAGE_AUTH = 2,
    STAGE_MAIL = 4,
    STAGE_RCPT = 8,
    STAGE_MESSAGE = 16, /* DATA and the final dot */
    ANY = 31,
};

/* The first line that matches counts. code 0: all of the class (4 or 5); status "": whatever it is. */
static const struct {
    int stages;
    int class;
    int code;
    const char *status; /* without its first digit, which repeats the code's */
    enum klx_verdict_class verdict;
    const char *reason; /* NULL: "smtp_CODE" */
} table[] = {
    { STAGE_RCPT, 4, 451, "", KLX_VERDICT_RETRY_AFTER, NULL }, /* greylisting, mostly */
    { STAGE_RCPT, 5, 552, "5.3", KLX_VERDICT_RETRY_BACKOFF,
      "too_many_recipients" }, /* RFC 5321 4.5.3.1.10 */
    { ANY, 4, 0, "", KLX_VERDICT_RETRY_BACKOFF, NULL },

    { ANY, 5, 530, "", KLX_VERDICT_CREDENTIAL_BROKEN, NULL },
    { ANY, 5, 534, "", KLX_VERDICT_CREDENTIAL_BROKEN, NULL },
    { ANY, 5, 535, "", KLX_VERDICT_CREDENTIAL_BROKEN, NULL },
    { ANY, 5, 538, "", KLX_VERDICT_CREDENTIAL_BROKEN, NULL },
    { ANY, 5, 0, "7.30", KLX_VERDICT_CREDENTIAL_BROKEN,
      "basic_auth_disabled" }, /* Exchange Online: no password any more */
    { ANY, 5, 0, "7.57", KLX_VERDICT_CREDENTIAL_BROKEN, NULL }, /* not authenticated */
    { ANY, 5, 0, "7.60", KLX_VERDICT_DESTINATION_BROKEN,
      "sender_refused" }, /* may not send as this sender */
    { ANY, 5, 0, "2.252", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" }, /* the same */
    { STAGE_AUTH, 5, 0, "", KLX_VERDICT_CREDENTIAL_BROKEN, NULL },
    { STAGE_BEFORE, 5, 0, "", KLX_VERDICT_DESTINATION_BROKEN, NULL },

    /* The sender is refused, and so is every mail of the channel: they are kept. But for a size (RFC 1870), which is this mail's. */
    { STAGE_MAIL, 5, 552, "", KLX_VERDICT_REJECT_MESSAGE, "too_large" },
    { STAGE_MAIL, 5, 0, "", KLX_VERDICT_DESTINATION_BROKEN, "sender_refused" },

    { STAGE_RCPT, 5, 552, "", KLX_VERDICT_REJECT_RECIPIENT, "mailbox_full" },
    { STAGE_RCPT, 5, 0, "2.2", KLX_VERDICT_REJECT_RECIPIENT, "mailbox_full" },
    /* A command that it does not know or want is a mistake between the two of us, not of the recipient. */
    { STAGE_RCPT, 5, 500, "", KLX_VERDICT_DESTINATION_BROKEN, NULL },
    { STAGE_RCPT, 5, 502, "", KLX_VERDICT_DESTINATION_BROKEN, NULL },
    { STAGE_RCPT, 5, 503, "", KLX_VERDICT_DESTINATION_BROKEN, NULL },
    { STAGE_RCPT, 5, 504, "", KLX_VERDICT_DESTINATION_BROKEN, NULL },
    { STAGE_RCPT, 5, 0, "", KLX_VERDICT_REJECT_RECIPIENT, NULL },

    { STAGE_MESSAGE, 5, 552, "", KLX_VERDICT_REJECT_MESSAGE, "too_large" },
    { STAGE_MESSAGE, 5, 0, "", KLX_VERDICT_REJECT_MESSAGE, NULL },
};

/* "7.1" of "5.7.1 go away": the enhanced status without its class; empty when there is none. */
static struct klx_sv status_of(const char *reply) {
    struct klx_sv rest = klx_sv(reply), status = klx_sv_cut(&rest, ' ');
    bool plausible = status.n >= 5 && status.n <= 9 && status.p[1] == '.' &&
                     (status.p[0] == '4' || status.p[0] == '5');
    for (size_t i = 0; i < status.n; i++) {
        plausible = plausible && (isdigit((unsigned char)status.p[i]) || status.p[i] == '.');
    }
    return plausible ? klx_sv_n(status.p + 2, status.n - 2) : klx_sv(NULL);
}

static bool says_greylisted(const char *reply) {
    return strcasestr(reply, "greylist") != NULL || strcasestr(reply, "graylist") != NULL ||
           strcasestr(reply, "grey-list") != NULL || strcasestr(reply, "gray-list") != NULL;
}

/* What to do about it, where the server's words do not say. */
static const char *advice_for(const char *reason) {
    bool basic = reason != NULL && strcmp(reason, "basic_auth_disabled") == 0;
    return basic ? " [this server takes no passwords any more: set auth: xoauth2, "
                   "docs/channels/email.md]"
                 : "";
}

static void set_from_reply(struct klx_verdict *v, enum klx_verdict_class class, const char *reason,
                           int code, const char *reply) {
    char answer[400], usual[16];
    snprintf(answer, sizeof(answer), "%d %s%s", code, reply, advice_for(reason));
    snprintf(usual, sizeof(usual), "smtp_%d", code);
    klx_verdict_set(v, class, reason != NULL ? reason : usual, klx_sv(answer));
    if (class == KLX_VERDICT_RETRY_AFTER) {
        v->retry_after_ms = GREYLIST_MS;
    }
}

/* A reply of 4xx or 5xx. */
static void judge_reply(enum stage stage, int code, const char *reply, struct klx_verdict *ret) {
    struct klx_sv status = status_of(reply);
    if (code / 100 == 4 && says_greylisted(reply)) {
        set_from_reply(ret, KLX_VERDICT_RETRY_AFTER, "greylisted", code, reply);
        return;
    }
    for (size_t i = 0; i < KLX_COUNT(table); i++) {
        bool fits = (table[i].stages & (int)stage) != 0 && table[i].class == code / 100 &&
                    (table[i].code == 0 || table[i].code == code) &&
                    (table[i].status[0] == '\0' || klx_sv_eq(status, klx_sv(table[i].status)));
        if (fits) {
            set_from_reply(ret, table[i].verdict, table[i].reason, code, reply);
            return;
        }
    }
    set_from_reply(ret, KLX_VERDICT_RETRY_BACKOFF, NULL, code, reply);
}

/* A token that is refused: the JSON of the server's challenge says why ({"status":"401","schemes":"bearer",…}). */
static void add_challenge(const char *challenge, struct klx_verdict *v) {
    struct klx_buf answer KLX_CLEANUP(klx_buf_release);
    struct klx_verdict same = *v;
    klx_buf_init(&answer, 2 * sizeof(v->answer));
    klx_buf_printf(&answer, "%s ", v->answer);
    if (klx_base64_decode(&answer, klx_sv(challenge)) == 0) {
        klx_verdict_set(v, same.class, same.reason, klx_buf_sv(&answer));
        v->retry_after_ms = same.retry_after_ms;
    }
}

/* What ended before a mail was under way. */
static void judge_connection(const struct klx_smtp_result *r, struct klx_verdict *ret) {
    if (r->code >= 400) {
        judge_reply(r->failure == KLX_SMTP_AUTH ? STAGE_AUTH : STAGE_BEFORE, r->code, r->reply,
                    ret);
        if (r->failure == KLX_SMTP_AUTH && r->challenge != NULL && r->challenge[0] != '\0') {
            add_challenge(r->challenge, ret);
        }
    } else if (r->failure == KLX_SMTP_TLS) {
        klx_verdict_set(ret, KLX_VERDICT_DESTINATION_BROKEN, "tls", klx_sv(r->error));
    } else if (r->failure == KLX_SMTP_AUTH) {
        klx_verdict_set(ret, KLX_VERDICT_DESTINATION_BROKEN, "auth_not_offered", klx_sv(r->error));
    } else {
        klx_verdict_set(ret, KLX_VERDICT_RETRY_BACKOFF, "connect", klx_sv(r->error));
    }
}

/* All whom no reply to RCPT has refused share what became of the mail. */
static void judge_mail(const struct klx_smtp_result *r, const struct klx_smtp_recipient *recipient,
                       struct klx_verdict *ret) {
    switch (r->failure) {
    case KLX_SMTP_OK:
        set_from_reply(ret, KLX_VERDICT_DELIVERED, NULL, r->code, r->reply);
        return;
    case KLX_SMTP_REFUSED:
        judge_reply(recipient->code == 0 ? STAGE_MAIL : STAGE_MESSAGE, r->code, r->reply, ret);
        return;
    case KLX_SMTP_BROKEN:
        klx_verdict_set(ret, KLX_VERDICT_RETRY_BACKOFF,
                        r->code == 421 ? "smtp_421" : "connection_broken", klx_sv(r->error));
        return;
    case KLX_SMTP_AMBIGUOUS:
        klx_verdict_set(ret, KLX_VERDICT_AMBIGUOUS, "no_answer", klx_sv(r->error));
        return;
    case KLX_SMTP_NO_UTF8:
        klx_verdict_set(ret, KLX_VERDICT_DESTINATION_BROKEN, "smtputf8_not_offered",
                        klx_sv(r->error));
        return;
    case KLX_SMTP_CONNECT:
    case KLX_SMTP_TLS:
    case KLX_SMTP_AUTH:
        judge_connection(r, ret);
        return;
    }
}

void klx_email_judge(const struct klx_smtp_result *r, size_t i, struct klx_verdict *ret) {
    const struct klx_smtp_recipient *recipient = &r->recipients[i];
    bool refused = recipient->code >= 400 && recipient->code != 421; /* 421 is the connection's */
    if (refused) {
        judge_reply(STAGE_RCPT, recipient->code, recipient->reply, ret);
    } else {
        judge_mail(r, recipient, ret);
    }
}

void klx_email_judge_probe(const struct klx_smtp_result *r, struct klx_verdict *ret) {
    const struct klx_smtp_recipient nobody = { .address = "" };
    if (r->failure == KLX_SMTP_REFUSED) { /* NOOP */
        judge_reply(STAGE_BEFORE, r->code, r->reply, ret);
    } else {
        judge_mail(r, &nobody, ret);
    }
}
