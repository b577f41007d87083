#include "sinks/email/mime.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"

#define LINE_MAX 76
#define WORD_BEGIN "=?UTF-8?Q?"
#define WORD_END "?="
#define WORD_MAX 75 /* RFC 2047 2 */
#define TIME_MAX_US (INT64_C(253402300799) * KLX_US_PER_S)

/* A header being written; column counts what stands on its last line. */
struct header {
    struct klx_buf *out;
    size_t column;
};

static struct header begin(struct klx_buf *out, const char *name) {
    klx_buf_printf(out, "%s:", name);
    return (struct header){ out, strlen(name) + 1 };
}

static void end(struct header *h) {
    klx_buf_add_str(h->out, "\r\n");
}

/* Room for n more characters behind a space, on this line or the next. */
static void gap(struct header *h, size_t n) {
    bool fold = h->column + 1 + n > LINE_MAX;
    klx_buf_add_str(h->out, fold ? "\r\n " : " ");
    h->column = fold ? 1 : h->column + 1;
}

static void add(struct header *h, struct klx_sv s) {
    klx_buf_add_sv(h->out, s);
    h->column += s.n;
}

static struct klx_sv skip(struct klx_sv s, size_t n) {
    return klx_sv_n(s.p + n, s.n - n);
}

static bool is_word_char(unsigned char c) {
    return isalnum(c) ||
           strchr("!*+-/", c) != NULL; /* RFC 2047 5 (3): safe wherever a word may stand */
}

static size_t word_bytes(struct klx_sv character) {
    size_t n = 0;
    for (size_t i = 0; i < character.n; i++) {
        unsigned char c = (unsigned char)character.p[i];
        n += c == ' ' || is_word_char(c) ? 1 : 3;
    }
    return n;
}

static void add_word_character(struct header *h, struct klx_sv character) {
    for (size_t i = 0; i < character.n; i++) {
        unsigned char c = (unsigned char)character.p[i];
        if (c == ' ' || is_word_char(c)) {
            klx_buf_add_char(h->out, c == ' ' ? '_' : (char)c);
        } else {
            klx_buf_printf(h->out, "=%02X", c);
        }
    }
    h->column += word_bytes(character);
}

/* Encoded words, none of which cuts a character. White space between two of them is not shown. */
static void add_encoded(struct header *h, struct klx_sv text) {
    size_t used = WORD_MAX;
    for (size_t n = 0; text.n > 0; text = skip(text, n)) {
        (void)klx_utf8_first(text, &n);
        struct klx_sv character = klx_sv_n(text.p, n);
        size_t bytes = word_bytes(character), tail = strlen(WORD_END);
        if (used + bytes + tail > WORD_MAX || h->column + bytes + tail > LINE_MAX) {
            if (used < WORD_MAX) {
                add(h, KLX_SV(WORD_END));
            }
            gap(h, strlen(WORD_BEGIN) + bytes + tail);
            add(h, KLX_SV(WORD_BEGIN));
            used = strlen(WORD_BEGIN);
        }
        add_word_character(h, character);
        used += bytes;
    }
    add(h, KLX_SV(WORD_END));
}

/* Text that stands for itself: printable ASCII, nothing that looks like an encoded word, words that fit a line. */
static bool is_plain(struct klx_sv text) {
    size_t word = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        word = c == ' ' ? 0 : word + 1;
        if (c < ' ' || c >= 0x7f || word > LINE_MAX - 1) {
            return false;
        }
    }
    return klx_sv_find_sv(text, KLX_SV("=?")) == text.n;
}

static void add_words(struct header *h, struct klx_sv text) {
    while (text.n > 0) {
        struct klx_sv word = klx_sv_cut(&text, ' ');
        gap(h, word.n);
        add(h, word);
    }
}

void klx_mime_text(struct klx_buf *out, const char *name, struct klx_sv text) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    struct header h = begin(out, name);
    klx_buf_init(&line, KLX_MIME_TEXT_BYTES_MAX + 1);
    klx_utf8_line(&line, text, KLX_MIME_TEXT_BYTES_MAX);
    if (is_plain(klx_buf_sv(&line))) {
        add_words(&h, klx_buf_sv(&line));
    } else {
        add_encoded(&h, klx_buf_sv(&line));
    }
    end(&h);
}

void klx_mime_tokens(struct klx_buf *out, const char *name, const struct klx_sv *tokens, size_t n) {
    struct header h = begin(out, name);
    for (size_t i = 0; i < n; i++) {
        struct klx_sv comma = i + 1 < n ? KLX_SV(",") : klx_sv(NULL);
        gap(&h, tokens[i].n + comma.n);
        add(&h, tokens[i]);
        add(&h, comma);
    }
    end(&h);
}

/* As a quoted-string (RFC 5322 3.2.4), which cannot be folded. */
static void add_display(struct header *h, struct klx_sv display) {
    struct klx_buf quoted KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&quoted, 2 * display.n + 2);
    klx_buf_add_char(&quoted, '"');
    for (size_t i = 0; i < display.n; i++) {
        if (display.p[i] == '"' || display.p[i] == '\\') {
            klx_buf_add_char(&quoted, '\\');
        }
        klx_buf_add_char(&quoted, display.p[i]);
    }
    klx_buf_add_char(&quoted, '"');
    if (is_plain(display) && quoted.len < LINE_MAX) {
        gap(h, quoted.len);
        add(h, klx_buf_sv(&quoted));
    } else {
        add_encoded(h, display);
    }
}

void klx_mime_mailbox(struct klx_buf *out, const char *name, struct klx_sv display,
                      struct klx_sv address) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    struct header h = begin(out, name);
    klx_buf_init(&line, KLX_MIME_TEXT_BYTES_MAX + 1);
    klx_utf8_line(&line, display, KLX_MIME_TEXT_BYTES_MAX);
    bool alone = line.len == 0;
    if (!alone) {
        add_display(&h, klx_buf_sv(&line));
    }
    gap(&h, address.n + (alone ? 0 : 2));
    add(&h, alone ? klx_sv(NULL) : KLX_SV("<"));
    add(&h, address);
    add(&h, alone ? klx_sv(NULL) : KLX_SV(">"));
    end(&h);
}

void klx_mime_date(struct klx_buf *out, int64_t us) {
    static const char days[][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    char text[KLX_TIME_TEXT_BYTES]; /* 2026-03-11T07:52:18Z */
    us = us < 0 ? 0 : us > TIME_MAX_US ? TIME_MAX_US : us;
    klx_time_format(us, KLX_TIME_SECONDS, text);
    int month = (text[5] - '0') * 10 + (text[6] - '0') - 1;
    int64_t day = us / (86400 * KLX_US_PER_S) % 7;
    klx_buf_printf(out, "Date: %s, %.2s %s %.4s %.8s +0000\r\n", days[day], text + 8, months[month],
                   text, text + 11);
}

/* "From " at the beginning of a line gets a '>' from old mail stores. */
static bool must_encode(struct klx_sv line, size_t i) {
    unsigned char c = (unsigned char)line.p[i];
    bool last = i + 1 == line.n;
    return c == '=' || c < ' ' || c >= 0x7f || (c == ' ' && last) ||
           (i == 0 && klx_sv_starts(line, KLX_SV("From ")));
}

static void add_line(struct klx_buf *out, struct klx_sv line) {
    size_t column = 0;
    for (size_t i = 0; i < line.n; i++) {
        bool encode = must_encode(line, i);
        size_t n = encode ? 3 : 1, soft = i + 1 < line.n ? 1 : 0;
        if (column + n + soft > LINE_MAX) {
            klx_buf_add_str(out, "=\r\n");
            column = 0;
        }
        if (encode) {
            klx_buf_printf(out, "=%02X", (unsigned char)line.p[i]);
        } else {
            klx_buf_add_char(out, line.p[i]);
        }
        column += n;
    }
    klx_buf_add_str(out, "\r\n");
}

void klx_mime_quoted_printable(struct klx_buf *out, struct klx_sv text) {
    do {
        add_line(out, klx_sv_cut(&text, '\n'));
    } while (text.n > 0);
}
