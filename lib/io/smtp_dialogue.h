/*
 * Inside lib/io only: one mail's transaction, from MAIL to the reply to the final dot, as a state machine without a connection.
 *
 *   [RSET ──2xx──▶] MAIL ──2xx──▶ RCPT (each, whatever the replies) ──some taken──▶ DATA ──354──▶ BODY ──all sent──▶ FINAL ──2xx──▶ END (OK)
 *     │               └─none taken──▶ END (OK: look at the recipients)  │           │                  └─4xx 5xx──▶ END (REFUSED)
 *     └─4xx 5xx──▶ END (REFUSED) ◀──────────────────────────4xx 5xx────┘───────────┘
 *
 * 421 before the final dot, a reply nobody asked for and what is no reply at all end it as BROKEN; after the dot as AMBIGUOUS.
 * One command is under way at a time. The caller sends what _pending shows, tells by _sent what has left, and feeds what was read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"
#include "lib/io/smtp.h"

/* A reply of one or more lines (RFC 5321 4.2.1) as it comes in. */
struct klx_smtp_reply {
    int code;       /* of the last whole reply, 0: none yet */
    char text[256]; /* its text: the lines after the code, joined by a space, printable ASCII */
    bool inside;    /* more lines of it must come */
};

/* A line with or without its end. 1: the reply is whole, 0: more lines follow, -EBADMSG: not a reply. */
int klx_smtp_reply_line(struct klx_smtp_reply *r, struct klx_sv line);

/* What the reply to EHLO has told. */
struct klx_smtp_offers {
    bool size; /* RFC 1870 */
    bool utf8; /* RFC 6531; 8BITMIME comes with it */
    bool dsn;  /* RFC 3461 */
};

enum klx_smtp_step {
    KLX_SMTP_STEP_RSET, /* of a connection that was idle */
    KLX_SMTP_STEP_NOOP, /* of a probe, in place of all that follows */
    KLX_SMTP_STEP_MAIL,
    KLX_SMTP_STEP_RCPT,
    KLX_SMTP_STEP_DATA,
    KLX_SMTP_STEP_BODY,
    KLX_SMTP_STEP_FINAL,
    KLX_SMTP_STEP_END,
};

struct klx_smtp_dialogue {
    enum klx_smtp_step step;
    enum klx_smtp_step ended_in;   /* at END: the step before it */
    enum klx_smtp_failure failure; /* at END */
    bool probe, utf8, no_notices;
    char *from;
    struct klx_smtp_offers offers;
    struct klx_smtp_recipient *recipients; /* the caller's; results are written */
    size_t recipients_n;
    size_t at; /* the recipient whose reply is awaited */
    size_t taken;
    size_t message_bytes;
    struct klx_buf body; /* with its dots doubled and the final one */
    struct klx_buf command;
    struct klx_sv pending; /* of command or body */
    struct klx_buf line;   /* what has come of a line */
    struct klx_smtp_reply reply;
    size_t read_bytes;
    bool strange; /* END because the other side does not speak SMTP */
};

/* Sender, addresses and message must have been checked; sender and message are copied. utf8: one of them is not ASCII. */
void klx_smtp_dialogue_init(struct klx_smtp_dialogue *d, const struct klx_smtp_mail *m, bool utf8);
/* Begins with RSET, or with MAIL; a second time, on another connection, after an end in RSET. */
void klx_smtp_dialogue_start(struct klx_smtp_dialogue *d, const struct klx_smtp_offers *offers,
                             bool reset);
void klx_smtp_dialogue_release(struct klx_smtp_dialogue *d);
static inline struct klx_sv klx_smtp_dialogue_pending(const struct klx_smtp_dialogue *d) {
    return d->pending;
}
void klx_smtp_dialogue_sent(struct klx_smtp_dialogue *d, size_t n);
void klx_smtp_dialogue_read(struct klx_smtp_dialogue *d, struct klx_sv bytes);
/* The connection ended, or a time-out. */
void klx_smtp_dialogue_lost(struct klx_smtp_dialogue *d);
