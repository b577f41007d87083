/*
 * One mail to one or more recipients over SMTP, with a verdict for each (RFC 5321), on the loop through the same multi handle as HTTP.
 *
 * libcurl connects: name, TCP, TLS, greeting, EHLO, STARTTLS, AUTH. The mail itself is a dialogue of our own on that connection, because
 * libcurl (7.88 to 8.x) waits inside one call for the reply to the final dot and to QUIT, which would stop the loop for minutes, hides
 * which recipient was refused, and takes CR/LF in an address. A connection ends with its mail, by a QUIT whose reply nobody waits for, or
 * is kept for the next one: then that begins with RSET, and where its answer is not good, or none, on a connection of its own. With STARTTLS
 * a server that does not offer it gets nothing but EHLO; who wants less asks for it by name (OPPORTUNISTIC).
 *
 * A connection that ends, or a time-out, after the final dot is *ambiguous*: the mail may have been accepted.
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
    KLX_SMTP_OPPORTUNISTIC, /* STARTTLS where it is offered, else in clear: whoever is between can choose */
    KLX_SMTP_PLAIN,         /* no TLS; the configuration allows it on loopback only */
};

enum klx_smtp_auth {
    KLX_SMTP_AUTH_PASSWORD, /* PLAIN, or else LOGIN */
    KLX_SMTP_AUTH_PLAIN,
    KLX_SMTP_AUTH_LOGIN,
    KLX_SMTP_AUTH_XOAUTH2, /* the password is a token */
};

enum klx_smtp_failure {
    KLX_SMTP_OK =
        0, /* the dialogue went to its end; look at each recipient. Also when all of them were refused */
    KLX_SMTP_CONNECT, /* no connection, or a greeting or EHLO answered by 4xx/5xx (code) */
    KLX_SMTP_TLS,  /* STARTTLS not offered or refused (code), or the certificate was not accepted */
    KLX_SMTP_AUTH, /* credentials refused (5xx), not checked now (4xx): see code; 0: no AUTH that we know was offered */
    KLX_SMTP_NO_UTF8, /* an address needs SMTPUTF8 (RFC 6531), which the server does not offer */
    KLX_SMTP_REFUSED, /* MAIL, DATA or the message itself was refused: see code */
    KLX_SMTP_BROKEN,  /* the connection ended, a time-out, or a 421 (code), before the final dot */
    KLX_SMTP_AMBIGUOUS, /* the same after the final dot */
};

struct klx_smtp_recipient {
    const char *address; /* input */
    int code;            /* result: the server's reply to RCPT, 0 if there was none */
    char reply
        [256]; /* that reply's text without the code, on one line, printable ASCII; "" if there was none */
};

struct klx_smtp_result {
    enum klx_smtp_failure failure;
    int code;          /* the last reply's code, 0 if none */
    const char *reply; /* its text, "" if none; valid during on_done */
    const char *
        challenge; /* AUTH: the last one before it was refused, which says why with XOAUTH2 (base64 of JSON); else "" */
    const char *error; /* words for a person, "" when OK; never holds a credential */
    struct klx_smtp_recipient *recipients; /* as given, in order, with results */
    size_t recipients_n;
};

struct klx_smtp_keeper;

struct klx_smtp_mail {
    const char *host;
    unsigned port;
    const char *helo; /* EHLO name; NULL: the host's name */
    enum klx_smtp_tls tls_mode;
    const struct klx_tls *tls;      /* borrowed until on_done; NULL: system CAs */
    struct klx_smtp_keeper *keeper; /* NULL: a connection for this mail alone */
    const char *user;               /* NULL: no AUTH */
    struct klx_sv password;         /* or a token; copied, wiped */
    enum klx_smtp_auth auth;
    bool initial_response; /* credentials in the AUTH command (RFC 4954), not after a 334 */
    bool
        no_notices; /* asks for no delivery status notifications where the server knows them (RFC 3461): NOTIFY=NEVER */
    bool probe;       /* no mail: NOOP. Sender, recipients and message are not looked at */
    const char *from; /* envelope sender; "" is the null sender */
    struct klx_smtp_recipient *recipients; /* the caller's, kept until on_done */
    size_t recipients_n;
    struct klx_sv message; /* headers and body as klx_smtp_message_problem wants them; copied */
    int64_t deadline_ms;   /* of the whole dialogue, 0: 120 s */
    void (*on_done)(void *arg, const struct klx_smtp_result *result);
    void *arg;
};

struct klx_smtp_call;

/* NULL, or what is wrong. Taken is local@domain of RFC 5321's Dot-string and Domain (or [address literal]): so no CR, LF, NUL, '<', '>',
   space, comma or quote; valid UTF-8 without control characters, at most 254 bytes, 64 of them before the '@'. */
const char *klx_smtp_address_problem(struct klx_sv address);
/* It is not ASCII: only a server that offers SMTPUTF8 takes it. */
bool klx_smtp_needs_utf8(struct klx_sv text);
/* Labels between dots, or an address in brackets: what may follow an '@', and be an EHLO name. */
bool klx_smtp_is_domain(struct klx_sv s);
/* NULL, or what is wrong. Taken are lines of ASCII or valid UTF-8 (which needs SMTPUTF8) without NUL, at most 998 bytes each, every one ended by CRLF; no CR or LF elsewhere
   (RFC 5322 2.3: a bare LF lets a text end the mail and smuggle a second one). Dots need no care. */
const char *klx_smtp_message_problem(struct klx_sv message);
/* Keeps a connection between the mails of one server: an idle one for 30 s, for at most 100 mails or 10 min, and only for the same credentials.
   One at a time: what a second mail at the same time has made is closed when that has ended and there is one already. */
struct klx_smtp_keeper *klx_smtp_keeper_new(struct klx_http *h);
/* After its last call has ended; before klx_http_free. */
void klx_smtp_keeper_free(struct klx_smtp_keeper *k);
/* -EINVAL: host, EHLO name, an address, the credentials or the message are not acceptable. on_done comes exactly once, never from inside;
   then the call is gone. All calls must have ended before klx_http_free. */
int klx_smtp_send(struct klx_http *h, const struct klx_smtp_mail *m, struct klx_smtp_call **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
/* No callback comes any more. Not from inside on_done. */
void klx_smtp_cancel(struct klx_smtp_call *c);
