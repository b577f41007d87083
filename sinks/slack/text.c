#include "sinks/slack/text.h"

#include <stdbool.h>

#define CUT_MARK "\xE2\x80\xA6" /* … */

static size_t sequence_bytes(unsigned char lead) {
    return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t klx_slack_units(struct klx_sv text) {
    size_t units = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        units += (c & 0xC0u) != 0x80u; /* each character, */
        units += c >= 0xF0u;           /* and a second one for a surrogate pair */
    }
    return units;
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* An underscore between letters is a name's, as in prod_weu: mrkdwn leaves it alone too. */
static bool is_inside_word(struct klx_sv text, size_t at) {
    return at > 0 && at + 1 < text.n && is_word(text.p[at - 1]) && is_word(text.p[at + 1]);
}

/* :name: is an emoji and http:// a link; a colon before a space is neither. */
static bool colon_may_act(struct klx_sv text, size_t at) {
    return at + 1 < text.n && text.p[at + 1] != ' ';
}

static const char *escape_of(char c) {
    return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : NULL;
}

/* What looks the same and does nothing; NULL: the character may stand. */
static const char *inert_form(struct klx_sv text, size_t at) {
    switch (text.p[at]) {
    case '>':
        return at == 0 ? "\xE2\x80\xBA"
                       : NULL; /* U+203A: even escaped, a first > makes a quotation */
    case '*':
        return "\xE2\x88\x97"; /* U+2217 */
    case '~':
        return "\xE2\x88\xBC"; /* U+223C */
    case '`':
        return "\xCB\x8B"; /* U+02CB */
    case '_':
        return is_inside_word(text, at) ? NULL : "\xCB\x8D"; /* U+02CD */
    case ':':
        return colon_may_act(text, at) ? "\xE2\x88\xB6" : NULL; /* U+2236 */
    case '\n':
    case '\r':
    case '\t':
        return " ";
    default:
        return NULL;
    }
}

/* The next piece that must not be cut: a character, or what stands for it. Moves *at on. */
static struct klx_sv next_piece(struct klx_sv text, size_t *at, bool inert, bool escaped) {
    size_t start = *at;
    const char *other = inert ? inert_form(text, start) : NULL;
    if (other == NULL && !escaped) {
        other = escape_of(text.p[start]);
    }
    size_t n = sequence_bytes((unsigned char)text.p[start]);
    if (escaped && text.p[start] == '&') {
        n = klx_sv_find(klx_sv_n(text.p + start, text.n - start), ';') + 1;
    }
    n = n < text.n - start ? n : text.n - start;
    *at = start + n;
    return other != NULL ? klx_sv(other) : klx_sv_n(text.p + start, n);
}

static void add(struct klx_buf *out, struct klx_sv text, size_t units_max, bool inert,
                bool escaped) {
    size_t units = 0, cut_at = out->len;
    for (size_t at = 0; at < text.n;) {
        struct klx_sv piece = next_piece(text, &at, inert, escaped);
        units += klx_slack_units(piece);
        if (units > units_max) {
            if (!out->failed) {
                klx_buf_truncate(out, cut_at);
            }
            klx_buf_add_str(out, CUT_MARK);
            return;
        }
        klx_buf_add_sv(out, piece);
        cut_at = units < units_max ? out->len : cut_at; /* the mark needs one unit */
    }
}

void klx_slack_add_plain(struct klx_buf *out, struct klx_sv text, size_t units_max) {
    add(out, text, units_max, false, false);
}

void klx_slack_add_inert(struct klx_buf *out, struct klx_sv text, size_t units_max) {
    add(out, text, units_max, true, false);
}

void klx_slack_add_inert_escaped(struct klx_buf *out, struct klx_sv text, size_t units_max) {
    add(out, text, units_max, true, true);
}
