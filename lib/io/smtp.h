/*
 * One mail to one or more recipients over SMTP, with a verdict for each (RFC 5321), on the loop through the same multi handle as HTTP.
 *
 * libcurl 7.88 hides which recipient was refused and does not stop CR/LF in addresses: addresses are checked here, and every line of the
 * server is read. A time-out after the final dot is *ambiguous*: the mail may have been accepted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/http.h"

enum klx_smtp_tls {
    KLX_SMTP_STARTTLS, /* required: nothing is sent in clear. The default */
    KLX_SMTP_IMPLICIT, /* smtps:// */
    KLX_SMTP_PLAIN,    /* no TLS; the configuration allows it on loopback only */
};

enum klx_smtp_failure {
    KLX_SMTP_OK = 0,    /* the dialogue went to its end; look at each recipient */
    KLX_SMTP_CONNECT,   /* no connection, or a greeting of 4xx/5xx (code) */
    KLX_SMTP_TLS,       /* STARTTLS not offered, or the certificate was not accepted */
    KLX_SMTP_AUTH,      /* credentials refused (5xx) or not checked now (4xx): see code */
    KLX_SMTP_REFUSED,   /* MAIL, DATA or the message itself was refused: see code */
    KLX_SMTP_BROKEN,    /* the connection ended, or a time-out, before the final dot */
    KLX_SMTP_AMBIGUOUS, /* the same after the final dot */
};

struct klx_smtp_recipient {
    const char *address; /* input */
    int code;            /* result: the server's reply to RCPT, 0 if there was none */
    char reply[256];     /* that reply's text */
};

struct klx_smtp_result {
    enum klx_smtp_failure failure;
    int code;          /* the last reply's code, 0 if none */
    const char *reply; /* its text, "" if none; valid during on_done */
    const char *error; /* words for a person, "" when OK; never holds a credential */
    struct klx_smtp_recipient *recipients; /* as given, in order, with results */
    size_t recipients_n;
};

struct klx_smtp_mail {
    const char *host;
    unsigned port;
    const char *helo; /* EHLO name; NULL: the host's name */
    enum klx_smtp_tls tls_mode;
    const struct klx_tls *tls;             /* borrowed until on_done; NULL: system CAs */
    const char *user;                      /* NULL: no AUTH */
    struct klx_sv password;                /* copied, wiped */
    const char *from;                      /* envelope sender; "" is the null sender */
    struct klx_smtp_recipient *recipients; /* the caller's, kept until on_done */
    size_t recipients_n;
    struct klx_sv message; /* headers and body, CRLF line ends only (else -EINVAL); copied */
    int64_t deadline_ms;   /* 0: 120 s */
    void (*on_done)(void *arg, const struct klx_smtp_result *result);
    void *arg;
};

struct klx_smtp_call;

/* 0, or an error text that is the reason: no CR, LF, NUL, '<', '>' or space, exactly one '@', at most 254 bytes, ASCII. */
const char *klx_smtp_address_problem(struct klx_sv address);
/* -EINVAL: a bad address or a bare LF in the message. on_done comes exactly once, never from inside. */
int klx_smtp_send(struct klx_http *h, const struct klx_smtp_mail *m, struct klx_smtp_call **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
void klx_smtp_cancel(struct klx_smtp_call *c);
