#include "lib/io/smtp_dialogue.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

#define LINE_BYTES_MAX 4096u    /* RFC 5321 4.5.3.1.5 has 512; servers pass it */
#define COMMAND_BYTES_MAX 1024u /* an address is at most 254 bytes */
#define REPLIES_BYTES_MAX (1u << 20)
#define MAIL_LINE_BYTES_MAX 998u

/* Bytes of UTF-8, whose validity is looked at apart. */
static bool is_wide(char c) {
    return (unsigned char)c >= 0x80;
}

static bool is_atom(char c) {
    return is_wide(c) || isalnum((unsigned char)c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Words of what `is_part` takes, between single dots. */
static bool is_dotted(struct klx_sv s, bool (*is_part)(char c)) {
    for (size_t i = 0; i < s.n; i++) {
        bool dot = s.p[i] == '.';
        if (dot ? i == 0 || i + 1 == s.n || s.p[i - 1] == '.' : !is_part(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_label(char c) {
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

static bool is_literal(char c) {
    return isxdigit((unsigned char)c) || c == ':' || c == '.' || c == 'I' || c == 'P' || c == 'v';
}

bool klx_smtp_is_domain(struct klx_sv s) {
    if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']') {
        return is_dotted(s, is_label);
    }
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (!is_literal(s.p[i])) {
            return false;
        }
    }
    return true;
}

static bool is_wide_label(char c) {
    return is_wide(c) || is_label(c);
}

bool klx_smtp_needs_utf8(struct klx_sv text) {
    for (size_t i = 0; i < text.n; i++) {
        if (is_wide(text.p[i])) {
            return true;
        }
    }
    return false;
}

static bool is_valid_utf8(struct klx_sv text) {
    struct klx_buf same KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&same, 3 * text.n + 1); /* U+FFFD is three bytes for one */
    klx_utf8_sanitize(&same, text);
    return klx_sv_eq(klx_buf_sv(&same), text);
}

/* Of valid text: nothing in it hides or turns the rest. */
static bool is_visible(struct klx_sv text) {
    for (size_t n = 0; text.n > 0; text = klx_sv_n(text.p + n, text.n - n)) {
        if (klx_utf8_is_control(klx_utf8_first(text, &n))) {
            return false;
        }
    }
    return true;
}

const char *klx_smtp_address_problem(struct klx_sv address) {
    struct klx_sv domain = address;
    if (address.n == 0) {
        return "an address is empty";
    }
    if (address.n > 254) {
        return "an address is longer than 254 bytes";
    }
    if (klx_smtp_needs_utf8(address) && (!is_valid_utf8(address) || !is_visible(address))) {
        return "an address holds a control character, or what is not UTF-8";
    }
    struct klx_sv local = klx_sv_cut(&domain, '@');
    if (local.n == address.n || klx_sv_find(domain, '@') < domain.n) {
        return "an address needs exactly one @";
    }
    if (local.n > 64) {
        return "an address has more than 64 bytes before its @";
    }
    if (!is_dotted(local, is_atom)) {
        return "an address holds a character before its @ that is not allowed";
    }
    bool is_domain =
        klx_smtp_needs_utf8(domain) ? is_dotted(domain, is_wide_label) : klx_smtp_is_domain(domain);
    return is_domain ? NULL : "what follows the @ of an address is not a domain";
}

const char *klx_smtp_message_problem(struct klx_sv message) {
    size_t line_bytes = 0;
    for (size_t i = 0; i < message.n; i++) {
        unsigned char c = (unsigned char)message.p[i];
        bool end = c == '\r' && i + 1 < message.n && message.p[i + 1] == '\n';
        if ((c == '\r' && !end) || c == '\n') {
            return "the message holds a CR or LF that is not a CRLF";
        }
        if (c == '\0') {
            return "the message holds a NUL";
        }
        line_bytes = end ? 0 : line_bytes + 1;
        if (line_bytes > MAIL_LINE_BYTES_MAX) {
            return "the message has a line of more than 998 bytes";
        }
        i += end;
    }
    if (klx_smtp_needs_utf8(message) && !is_valid_utf8(message)) {
        return "the message holds bytes that are not UTF-8";
    }
    return message.n > 0 && line_bytes == 0 ? NULL : "the message does not end in CRLF";
}

static void add_text(struct klx_smtp_reply *r, struct klx_sv text) {
    size_t n = strlen(r->text);
    bool gap = n > 0;
    for (size_t i = 0; i < text.n && n + 2 < sizeof(r->text); i++) {
        char c = isprint((unsigned char)text.p[i]) ? text.p[i] : ' ';
        if (gap) {
            r->text[n++] = ' ';
            gap = false;
        }
        r->text[n++] = c;
    }
    r->text[n] = '\0';
}

int klx_smtp_reply_line(struct klx_smtp_reply *r, struct klx_sv line) {
    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r')) {
        line.n--;
    }
    int64_t code = 0;
    char mark = line.n > 3 ? line.p[3] : ' ';
    if (line.n < 3 || klx_sv_int(klx_sv_n(line.p, 3), &code) != 0 || code < 200 || code > 599 ||
        (mark != ' ' && mark != '-') || (r->inside && code != r->code)) {
        return -EBADMSG;
    }
    if (!r->inside) {
        r->text[0] = '\0';
    }
    r->code = (int)code;
    add_text(r, line.n > 4 ? klx_sv_trim(klx_sv_n(line.p + 4, line.n - 4)) : klx_sv(NULL));
    r->inside = mark == '-';
    return r->inside ? 0 : 1;
}

/* Lines that begin with a dot get a second one (RFC 5321 4.5.2); the message ends in CRLF, so the final dot is on a line of its own. */
static void add_body(struct klx_buf *out, struct klx_sv message) {
    while (message.n > 0) {
        size_t end = klx_sv_find(message, '\n') + 1;
        if (message.p[0] == '.') {
            klx_buf_add_char(out, '.');
        }
        klx_buf_add(out, message.p, end);
        message = klx_sv_n(message.p + end, message.n - end);
    }
    klx_buf_add_str(out, ".\r\n");
}

void klx_smtp_dialogue_init(struct klx_smtp_dialogue *d, const struct klx_smtp_mail *m, bool utf8) {
    *d = (struct klx_smtp_dialogue){ .recipients = m->recipients,
                                     .recipients_n = m->probe ? 0 : m->recipients_n,
                                     .message_bytes = m->message.n,
                                     .probe = m->probe,
                                     .utf8 = utf8,
                                     .no_notices = m->no_notices };
    d->from = klx_strdup(m->probe ? "" : m->from);
    klx_buf_init(&d->command, COMMAND_BYTES_MAX);
    klx_buf_init(&d->line, LINE_BYTES_MAX);
    klx_buf_init(&d->body, 2 * m->message.n + 3);
    add_body(&d->body, m->probe ? klx_sv(NULL) : m->message);
    for (size_t i = 0; i < d->recipients_n; i++) {
        d->recipients[i].code = 0;
        d->recipients[i].reply[0] = '\0';
    }
}

/* One command is under way at a time. */
static void say(struct klx_smtp_dialogue *d, enum klx_smtp_step step) {
    klx_buf_add_str(&d->command, "\r\n");
    d->step = step;
    d->pending = klx_buf_sv(&d->command);
}

static void begin(struct klx_smtp_dialogue *d) {
    klx_buf_reset(&d->command);
    if (d->probe) {
        klx_buf_add_str(&d->command, "NOOP");
        say(d, KLX_SMTP_STEP_NOOP);
        return;
    }
    klx_buf_printf(&d->command, "MAIL FROM:<%s>", d->from);
    if (d->offers.size) {
        klx_buf_printf(&d->command, " SIZE=%zu", d->message_bytes);
    }
    if (d->utf8) {
        klx_buf_add_str(&d->command, " BODY=8BITMIME SMTPUTF8");
    }
    say(d, KLX_SMTP_STEP_MAIL);
}

void klx_smtp_dialogue_start(struct klx_smtp_dialogue *d, const struct klx_smtp_offers *offers,
                             bool reset) {
    d->offers = *offers;
    d->failure = KLX_SMTP_OK;
    d->reply = (struct klx_smtp_reply){ 0 };
    d->strange = false;
    klx_buf_reset(&d->line);
    klx_buf_reset(&d->command);
    if (reset) {
        klx_buf_add_str(&d->command, "RSET");
        say(d, KLX_SMTP_STEP_RSET);
    } else {
        begin(d);
    }
}

void klx_smtp_dialogue_release(struct klx_smtp_dialogue *d) {
    klx_buf_release(&d->command);
    klx_buf_release(&d->line);
    klx_buf_release(&d->body);
    free(d->from);
}

static void end(struct klx_smtp_dialogue *d, enum klx_smtp_failure failure) {
    d->failure = failure;
    d->ended_in = d->step;
    d->step = KLX_SMTP_STEP_END;
    d->pending = klx_sv(NULL);
}

void klx_smtp_dialogue_lost(struct klx_smtp_dialogue *d) {
    if (d->step != KLX_SMTP_STEP_END) {
        end(d, d->step == KLX_SMTP_STEP_FINAL ? KLX_SMTP_AMBIGUOUS : KLX_SMTP_BROKEN);
    }
}

static void end_strange(struct klx_smtp_dialogue *d) {
    d->strange = true;
    klx_smtp_dialogue_lost(d);
}

/* 421 says that the other side closes: what was agreed so far is void. As the reply to the final dot it is a plain refusal. */
static void end_refused(struct klx_smtp_dialogue *d) {
    bool closing = d->reply.code == 421 && d->step != KLX_SMTP_STEP_FINAL;
    if (d->reply.code < 400) {
        end_strange(d);
    } else {
        end(d, closing ? KLX_SMTP_BROKEN : KLX_SMTP_REFUSED);
    }
}

static void ask(struct klx_smtp_dialogue *d) {
    klx_buf_reset(&d->command);
    if (d->at < d->recipients_n) {
        klx_buf_printf(&d->command, "RCPT TO:<%s>%s", d->recipients[d->at].address,
                       d->no_notices && d->offers.dsn ? " NOTIFY=NEVER" : "");
        say(d, KLX_SMTP_STEP_RCPT);
    } else if (d->taken > 0) {
        klx_buf_add_str(&d->command, "DATA");
        say(d, KLX_SMTP_STEP_DATA);
    } else {
        end(d, KLX_SMTP_OK);
    }
}

static void on_recipient(struct klx_smtp_dialogue *d) {
    struct klx_smtp_recipient *r = &d->recipients[d->at++];
    r->code = d->reply.code;
    snprintf(r->reply, sizeof(r->reply), "%s", d->reply.text);
    d->taken += r->code / 100 == 2;
    if (r->code == 421 || r->code / 100 == 3) {
        end_refused(d);
    } else {
        ask(d);
    }
}

static void on_reply(struct klx_smtp_dialogue *d) {
    bool good = d->reply.code / 100 == 2;
    bool unasked = d->pending.n > 0;
    if (unasked && d->step != KLX_SMTP_STEP_BODY && d->reply.code != 421) {
        end_strange(d); /* every later reply would be taken for another command's */
    } else if (unasked || (d->step == KLX_SMTP_STEP_DATA && d->reply.code != 354) ||
               (d->step != KLX_SMTP_STEP_DATA && d->step != KLX_SMTP_STEP_RCPT && !good)) {
        end_refused(d);
    } else if (d->step == KLX_SMTP_STEP_RSET) {
        begin(d);
    } else if (d->step == KLX_SMTP_STEP_MAIL) {
        ask(d);
    } else if (d->step == KLX_SMTP_STEP_RCPT) {
        on_recipient(d);
    } else if (d->step == KLX_SMTP_STEP_DATA) {
        d->step = KLX_SMTP_STEP_BODY;
        d->pending = klx_buf_sv(&d->body);
    } else {
        end(d, KLX_SMTP_OK);
    }
}

void klx_smtp_dialogue_sent(struct klx_smtp_dialogue *d, size_t n) {
    if (n == 0) {
        return; /* at END there is nothing pending */
    }
    d->pending = klx_sv_n(d->pending.p + n, d->pending.n - n);
    if (d->step == KLX_SMTP_STEP_BODY && d->pending.n == 0) {
        d->step = KLX_SMTP_STEP_FINAL;
    }
}

void klx_smtp_dialogue_read(struct klx_smtp_dialogue *d, struct klx_sv bytes) {
    d->read_bytes += bytes.n;
    if (d->read_bytes > REPLIES_BYTES_MAX) {
        end_strange(d);
    }
    while (bytes.n > 0 && d->step != KLX_SMTP_STEP_END) {
        size_t end_at = klx_sv_find(bytes, '\n');
        bool whole = end_at < bytes.n;
        size_t n = whole ? end_at + 1 : bytes.n;
        klx_buf_add(&d->line, bytes.p, n);
        bytes = klx_sv_n(bytes.p + n, bytes.n - n);
        if (!whole && !d->line.failed) {
            return;
        }
        int rc = d->line.failed ? -EBADMSG : klx_smtp_reply_line(&d->reply, klx_buf_sv(&d->line));
        klx_buf_reset(&d->line);
        if (rc < 0) {
            end_strange(d);
        } else if (rc > 0) {
            on_reply(d);
        }
    }
}
