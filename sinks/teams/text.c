#include "sinks/teams/text.h"

#include <ctype.h>
#include <stdbool.h>

static bool is_word(char c) {
    return isalnum((unsigned char)c) != 0;
}

static bool is_inside_word(struct klx_sv text, size_t at) {
    return at > 0 && at + 1 < text.n && is_word(text.p[at - 1]) && is_word(text.p[at + 1]);
}

static bool is_followed_by(struct klx_sv text, size_t at, char c) {
    return at + 1 < text.n && text.p[at + 1] == c;
}

/* <at> and </at>, in any case. */
static bool is_mention_tag(struct klx_sv text, size_t at) {
    struct klx_sv rest = klx_sv_n(text.p + at, text.n - at);
    return (rest.n >= 3 && klx_sv_eq_nocase(klx_sv_n(rest.p, 3), KLX_SV("<at"))) ||
           (rest.n >= 4 && klx_sv_eq_nocase(klx_sv_n(rest.p, 4), KLX_SV("</at")));
}

/* What looks the same and does nothing; NULL: the character may stand. */
static const char *plain_form(struct klx_sv text, size_t at) {
    switch (text.p[at]) {
    case '<':
        return is_mention_tag(text, at) ? "\xE2\x80\xB9" : NULL; /* U+2039 */
    case '{':
        return is_followed_by(text, at, '{') ? "{ " : NULL;
    case '\n':
    case '\r':
    case '\t':
        return " ";
    default:
        return NULL;
    }
}

/* Whether a list begins with the character: "- x", "3. x". */
static bool is_list_marker(struct klx_sv text, size_t at) {
    size_t digits = 0;
    while (digits < at && isdigit((unsigned char)text.p[digits])) {
        digits++;
    }
    bool begins = digits == at && (at > 0) == (text.p[at] == '.' || text.p[at] == ')');
    return begins && (at + 1 == text.n || text.p[at + 1] == ' ');
}

static const char *line_start_form(struct klx_sv text, size_t at) {
    if (text.p[at] == '#') {
        return at == 0 ? "\xEF\xBC\x83" : NULL; /* U+FF03 */
    }
    if (!is_list_marker(text, at)) {
        return NULL;
    }
    return text.p[at] == '-'   ? "\xE2\x80\x90" /* U+2010 */
           : text.p[at] == '+' ? "\xEF\xBC\x8B" /* U+FF0B */
           : text.p[at] == '.' ? "\xE2\x80\xA4" /* U+2024 */
                               : "\xEF\xBC\x89" /* U+FF09 */;
}

static const char *inert_form(struct klx_sv text, size_t at) {
    switch (text.p[at]) {
    case '*':
        return "\xE2\x88\x97"; /* U+2217 */
    case '_':
        return is_inside_word(text, at) ? NULL : "\xCB\x8D"; /* U+02CD */
    case '`':
        return "\xCB\x8B"; /* U+02CB */
    case '~':
        return "\xE2\x88\xBC"; /* U+223C */
    case '[':
        return "\xEF\xBC\xBB"; /* U+FF3B */
    case ']':
        return "\xEF\xBC\xBD"; /* U+FF3D */
    case '<':
        return "\xE2\x80\xB9"; /* U+2039 */
    case '>':
        return "\xE2\x80\xBA"; /* U+203A */
    case '&':
        return "\xEF\xBC\x86"; /* U+FF06 */
    case '\\':
        return "\xE2\x88\x96"; /* U+2216 */
    case '#':
    case '-':
    case '+':
    case '.':
    case ')':
        return line_start_form(text, at);
    default:
        return plain_form(text, at);
    }
}

static void add(struct klx_buf *out, struct klx_sv text,
                const char *(*form)(struct klx_sv text, size_t at)) {
    for (size_t at = 0; at < text.n; at++) {
        const char *other = form(text, at);
        if (other != NULL) {
            klx_buf_add_str(out, other);
        } else {
            klx_buf_add_char(out, text.p[at]);
        }
    }
}

void klx_teams_add_plain(struct klx_buf *out, struct klx_sv text) {
    add(out, text, plain_form);
}

void klx_teams_add_inert(struct klx_buf *out, struct klx_sv text) {
    add(out, text, inert_form);
}
