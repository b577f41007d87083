#include "sinks/email/mail.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "schema/topics.h"
#include "sinks/email/mime.h"

/* The `id` of the send, which of news has these parts; they never change for the same event and channel. */
static void message_digest(const struct klx_notice *n, char out[static KLX_HASH_TEXT_BYTES]) {
    const struct klx_event *e = n->event;
    if (n->id.n == KLX_HASH_TEXT_BYTES - 1) {
        memcpy(out, n->id.p, n->id.n);
        out[n->id.n] = '\0';
        return;
    }
    const struct klx_sv parts[] = { e->source, e->id, e->replay_id, n->channel };
    klx_hash_parts(parts, KLX_COUNT(parts), out);
}

/* A replay is a thread of its own. */
static void incident_digest(const struct klx_event *e, char out[static KLX_HASH_TEXT_BYTES]) {
    const struct klx_sv parts[] = { e->incident, e->replay_id };
    klx_hash_parts(parts, KLX_COUNT(parts), out);
}

static struct klx_sv make_id(struct klx_arena *a, const char *what, const char *digest,
                             struct klx_sv domain) {
    return klx_arena_printf(a, "<%s-%s@%.*s>", what, digest, KLX_SV_FMT(domain));
}

/* A digest is of many incidents. */
static bool is_of_incident(const struct klx_notice *n) {
    return n->event->incident.n > 0 && n->digest == NULL;
}

static void add_subject(const struct klx_notice *n, const struct klx_card *card,
                        struct klx_arena *a, struct klx_buf *out) {
    struct klx_sv subject = card->subject;
    if (!is_of_incident(n)) {
        subject = KLX_CONCAT(a, card->title, KLX_SV(": "), card->subject);
    }
    klx_mime_text(out, "Subject", subject);
}

static void add_identity(const struct klx_email_settings *s, const struct klx_notice *n,
                         const char *digest, struct klx_arena *a, struct klx_buf *out) {
    struct klx_sv id = make_id(a, "event", digest, s->from_domain);
    klx_mime_tokens(out, "Message-ID", &id, 1);
    if (is_of_incident(n)) {
        char incident[KLX_HASH_TEXT_BYTES];
        incident_digest(n->event, incident);
        struct klx_sv root = make_id(a, "incident", incident, s->from_domain);
        klx_mime_tokens(out, "In-Reply-To", &root, 1);
        klx_mime_tokens(out, "References", &root, 1);
    }
}

/* What a mailbox's rules can go by. */
static void add_marks(const struct klx_email_settings *s, const struct klx_notice *n,
                      const struct klx_card *card, struct klx_arena *a, struct klx_buf *out) {
    const struct klx_event *e = n->event;
    bool known = e->kind < KLX_KINDS_N;
    bool literal = s->from_domain.p[0] == '['; /* a list has no address literal (RFC 2919 2) */
    struct klx_sv list = klx_arena_printf(
        a, "<%s.klaxon.%.*s>",
        known ? klx_topic_specs[klx_kind_specs[e->kind].topic].short_name : "other",
        KLX_SV_FMT(literal ? KLX_SV("localhost") : s->from_domain));
    klx_buf_add_str(out, "Auto-Submitted: auto-generated\r\n");
    klx_mime_tokens(out, "List-Id", &list, 1);
    if (card->severity == KLX_SEVERITY_CRITICAL && !card->resolved) {
        klx_buf_add_str(out, "Importance: high\r\n");
    }
    klx_mime_text(out, "X-Klaxon-Event-Id", e->id);
    klx_mime_text(out, "X-Klaxon-Type", e->type);
    klx_mime_text(out, "X-Klaxon-Severity", klx_sv(klx_severity_name(e->severity)));
}

static void add_part(struct klx_buf *out, const char *digest, const char *subtype,
                     struct klx_sv body) {
    klx_buf_printf(out,
                   "--=_klaxon_%s\r\n"
                   "Content-Type: text/%s; charset=utf-8\r\n"
                   "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                   digest, subtype);
    klx_mime_quoted_printable(out, body);
    klx_buf_add_str(out, "\r\n");
}

static int add_body(const struct klx_template *html, const struct klx_card *card,
                    const char *digest, struct klx_arena *a, struct klx_buf *out) {
    struct klx_buf body KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&body, KLX_EMAIL_BODY_BYTES_MAX);
    klx_buf_printf(out,
                   "MIME-Version: 1.0\r\n"
                   "Content-Type: multipart/alternative;\r\n"
                   " boundary=\"=_klaxon_%s\"\r\n\r\n",
                   digest);
    klx_email_text(card, &body);
    int rc = klx_buf_check(&body);
    add_part(out, digest, "plain", klx_buf_sv(&body));
    klx_buf_reset(&body);
    if (rc == 0) {
        rc = klx_email_html(html, card, a, &body);
    }
    add_part(out, digest, "html", klx_buf_sv(&body));
    klx_buf_printf(out, "--=_klaxon_%s--\r\n", digest);
    return rc;
}

int klx_email_render(const struct klx_email_settings *s, const struct klx_template *html,
                     const struct klx_notice *notice, const struct klx_card *card,
                     struct klx_arena *a, struct klx_buf *out) {
    char digest[KLX_HASH_TEXT_BYTES];
    message_digest(notice, digest);
    klx_mime_date(out, notice->event->time_us);
    klx_mime_mailbox(out, "From", s->from_name, s->from_address);
    klx_mime_tokens(out, "To", s->config->to.items, s->config->to.n);
    add_subject(notice, card, a, out);
    add_identity(s, notice, digest, a, out);
    add_marks(s, notice, card, a, out);
    int rc = add_body(html, card, digest, a, out);
    return rc != 0 ? rc : klx_buf_check(out);
}

/* Behind "<event-" of the Message-ID, which may stand on a line of its own; the message's length when there is none. */
static size_t find_event_id(struct klx_sv message) {
    size_t header = klx_sv_find_sv(message, KLX_SV("\r\nMessage-ID:"));
    struct klx_sv rest = klx_sv_n(message.p + header, message.n - header);
    size_t at = klx_sv_find_sv(rest, KLX_SV("<event-"));
    return at < rest.n ? header + at + strlen("<event-") : message.n;
}

void klx_email_with_id(struct klx_sv message, struct klx_sv id, struct klx_buf *out) {
    size_t at = find_event_id(message);
    klx_buf_add_sv(out, message);
    if (id.n == KLX_HASH_TEXT_BYTES - 1 && at + id.n <= message.n && !out->failed) {
        memcpy(out->data + out->len - message.n + at, id.p, id.n);
    }
}
