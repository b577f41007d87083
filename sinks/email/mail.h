/*
 * The mail: a card of sinks/core as headers, a text and an HTML part. The same event and channel give the same bytes, so that a retry is
 * the same mail for whoever looks at its Message-ID.
 *
 *     Date, From, To          the event's time, not that of the sending
 *     Subject                 the same for all mails of an incident; the title is in front of it outside of one
 *     Message-ID              <event-DIGEST@domain>, of event and channel
 *     In-Reply-To, References <incident-DIGEST@domain>: a mail that was never sent, under which readers gather those of an incident
 *     Auto-Submitted, List-Id, X-Klaxon-*
 *     multipart/alternative   text/plain, then text/html (RFC 2046 5.1.4: the last is preferred), both quoted-printable
 *
 * No boundary can stand in a part: it begins with "=_", which quoted-printable never has.
 */
#pragma once

#include "lib/base/template.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"
#include "sinks/email/settings.h"

#define KLX_EMAIL_BODY_BYTES_MAX (128u << 10) /* of one part before it is encoded */
#define KLX_EMAIL_MESSAGE_BYTES_MAX (1u << 20)

/* Appends the message as klx_smtp_message_problem wants it. -ENOMEM: the arena is full. */
int klx_email_render(const struct klx_email_settings *s, const struct klx_template *html,
                     const struct klx_notice *notice, const struct klx_card *card,
                     struct klx_arena *a, struct klx_buf *out) KLX_MUST_CHECK;
/* Appends a rendered message with the id of its sending in the Message-ID: a reminder or a digest is of the same event as another mail, and
   would be thrown away for a copy of it. News have the id that is there already. */
void klx_email_with_id(struct klx_sv message, struct klx_sv id, struct klx_buf *out);

/* The two parts, lines ended by LF. */
void klx_email_text(const struct klx_card *card, struct klx_buf *out);
int klx_email_html(const struct klx_template *html, const struct klx_card *card,
                   struct klx_arena *a, struct klx_buf *out) KLX_MUST_CHECK;
/* The template of the HTML part, mail.html. Does not fail: a test renders it. */
struct klx_template *klx_email_html_template(void);
