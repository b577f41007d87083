/* The text part: what a person reads who does not want HTML, and what a phone shows in its list. */
#include <ctype.h>

#include "lib/base/cleanup.h"
#include "sinks/email/mail.h"

#define WIDTH 72
#define NAME_WIDTH_MAX 16

static size_t characters(struct klx_sv s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return n;
}

/* Words until the width; the lines after the first begin with the indent. `column`: where the text begins. */
static void add_wrapped(struct klx_buf *out, struct klx_sv text, size_t column, size_t indent) {
    bool first = true;
    while (text.n > 0) {
        struct klx_sv word = klx_sv_cut(&text, ' ');
        size_t n = characters(word);
        if (!first && column + 1 + n > WIDTH) {
            klx_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            klx_buf_add_char(out, ' ');
            column++;
        }
        klx_buf_add_sv(out, word);
        column += n;
        first = false;
    }
    klx_buf_add_char(out, '\n');
}

static void add_upper(struct klx_buf *out, const char *word) {
    for (; *word != '\0'; word++) {
        klx_buf_add_char(out, (char)toupper((unsigned char)*word));
    }
}

/* "WARNING: Node not ready (opened)" */
static void add_head(struct klx_buf *out, const struct klx_card *c) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    const char *word = klx_card_word(c);
    klx_buf_init(&line, KLX_EMAIL_BODY_BYTES_MAX);
    if (word[0] != '\0') {
        add_upper(&line, word);
        klx_buf_add_str(&line, ": ");
    }
    klx_buf_add_sv(&line, c->title);
    if (c->state.n > 0 && !c->resolved) {
        klx_buf_printf(&line, " (%.*s)", KLX_SV_FMT(c->state));
    }
    add_wrapped(out, klx_buf_sv(&line), 0, 0);
    add_wrapped(out, c->subject, 0, 0);
}

static size_t name_width(const struct klx_card *c) {
    size_t width = 0;
    for (size_t i = 0; i < c->facts_n; i++) {
        size_t n = characters(c->facts[i].name);
        width = n > width ? n : width;
    }
    return width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX;
}

static void add_facts(struct klx_buf *out, const struct klx_card *c) {
    size_t width = name_width(c), indent = 2 + width + 2;
    if (c->facts_n > 0) {
        klx_buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < c->facts_n; i++) {
        const struct klx_card_fact *f = &c->facts[i];
        size_t n = characters(f->name);
        klx_buf_printf(out, "  %.*s%*s", KLX_SV_FMT(f->name), (int)(n < width ? width - n + 2 : 2),
                       "");
        add_wrapped(out, f->value, n < width ? indent : 2 + n + 2, indent);
    }
}

void klx_email_text(const struct klx_card *card, struct klx_buf *out) {
    add_head(out, card);
    klx_buf_add_char(out, '\n');
    add_wrapped(out, card->summary, 0, 0);
    add_facts(out, card);
    if (card->advice.n > 0) {
        klx_buf_add_str(out, "\nWhat to do: ");
        add_wrapped(out, card->advice, strlen("What to do: "), 0);
    }
    for (size_t i = 0; i < card->links_n; i++) {
        klx_buf_printf(out, "%s%.*s: %.*s\n", i == 0 ? "\n" : "", KLX_SV_FMT(card->links[i].title),
                       KLX_SV_FMT(card->links[i].url));
    }
    if (card->code.n > 0) { /* to be copied whole */
        klx_buf_printf(out, "\n  %.*s\n", KLX_SV_FMT(card->code));
    }
    klx_buf_add_str(out,
                    "\n-- \n"); /* a signature: readers show it in grey, and cut it from answers */
    add_wrapped(out, card->footer, 0, 0);
}
