#include "lib/base/exposition.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/time.h"

#define NUMBER_BYTES_MAX 63
#define TIME_MS_MAX INT64_C(253402300800000) /* the year 10000 */

void klx_exposition_init(struct klx_exposition *x) {
    *x = (struct klx_exposition){ .c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0) };
    assert(x->c_locale != (locale_t)0);
    klx_buf_init(&x->partial, KLX_EXPOSITION_LINE_BYTES_MAX);
    klx_buf_init(&x->escaped, KLX_EXPOSITION_LINE_BYTES_MAX);
}

void klx_exposition_release(struct klx_exposition *x) {
    klx_buf_release(&x->partial);
    klx_buf_release(&x->escaped);
    freelocale(x->c_locale);
}

void klx_exposition_reset(struct klx_exposition *x) {
    klx_buf_reset(&x->partial);
    x->chunk = klx_sv(NULL);
    x->partial_is_out = false;
    x->skipping = false;
}

void klx_exposition_feed(struct klx_exposition *x, struct klx_sv chunk) {
    x->chunk = chunk;
}

static struct klx_sv drop(struct klx_sv s, size_t n) {
    return klx_sv_n(n > 0 ? s.p + n : s.p, s.n - n); /* an empty view may have no pointer to move */
}

static void keep_beginning(struct klx_exposition *x) {
    if (!x->skipping) {
        klx_buf_add_sv(&x->partial, x->chunk);
        x->skipping = x->partial.failed;
    }
    x->chunk = klx_sv(NULL);
}

/* 1, 0, or -EBADMSG: the line was too long. */
static int next_line(struct klx_exposition *x, struct klx_sv *ret) {
    if (x->partial_is_out) {
        klx_buf_reset(&x->partial);
        x->partial_is_out = false;
    }
    size_t at = klx_sv_find(x->chunk, '\n');
    if (at == x->chunk.n) {
        keep_beginning(x);
        return 0;
    }
    struct klx_sv line = klx_sv_n(x->chunk.p, at);
    x->chunk = drop(x->chunk, at + 1);
    if (x->partial.len > 0 && !x->skipping) {
        klx_buf_add_sv(&x->partial, line);
        line = klx_buf_sv(&x->partial);
    }
    x->partial_is_out = true;
    bool too_long = x->skipping || x->partial.failed || line.n > KLX_EXPOSITION_LINE_BYTES_MAX;
    x->skipping = false;
    *ret = line;
    return too_long ? -EBADMSG : 1;
}

static void skip_blanks(struct klx_sv *s) {
    size_t n = 0;
    while (n < s->n && (s->p[n] == ' ' || s->p[n] == '\t')) {
        n++;
    }
    *s = drop(*s, n);
}

static bool is_name_char(char c, bool first, bool colon) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

/* Cuts the name off. Empty: there is none. */
static struct klx_sv take_name(struct klx_sv *s, bool colon) {
    size_t n = 0;
    while (n < s->n && is_name_char(s->p[n], n == 0, colon)) {
        n++;
    }
    struct klx_sv name = klx_sv_n(s->p, n);
    *s = drop(*s, n);
    return name;
}

static bool take_char(struct klx_sv *s, char c) {
    skip_blanks(s);
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    *s = drop(*s, 1);
    return true;
}

/* `escaped` has room for a whole line, so that views into it stay. */
static struct klx_sv without_escapes(struct klx_exposition *x, struct klx_sv text) {
    size_t from = x->escaped.len;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && i + 1 < text.n) {
            c = text.p[++i];
            if (c != 'n' && c != '\\' && c != '"') {
                klx_buf_add_char(&x->escaped, '\\'); /* stands for itself, as Prometheus reads it */
            }
            c = c == 'n' ? '\n' : c;
        }
        klx_buf_add_char(&x->escaped, c);
    }
    return klx_sv_n(x->escaped.data + from, x->escaped.len - from);
}

/* Behind the opening quote. */
static int take_value(struct klx_exposition *x, struct klx_sv *s, struct klx_sv *ret) {
    size_t n = 0;
    bool escapes = false;
    while (n < s->n && s->p[n] != '"') {
        escapes = escapes || s->p[n] == '\\';
        n += s->p[n] == '\\' && n + 1 < s->n ? 2 : 1;
    }
    if (n >= s->n) {
        return -EBADMSG;
    }
    struct klx_sv text = klx_sv_n(s->p, n);
    *s = drop(*s, n + 1);
    *ret = escapes ? without_escapes(x, text) : text;
    return 0;
}

static int take_label(struct klx_exposition *x, struct klx_sv *s,
                      struct klx_exposition_sample *ret) {
    skip_blanks(s);
    struct klx_sv name = take_name(s, false);
    if (name.n == 0 || ret->labels_n == KLX_EXPOSITION_LABELS_MAX || !take_char(s, '=') ||
        !take_char(s, '"')) {
        return -EBADMSG;
    }
    struct klx_exposition_label *l = &x->labels[ret->labels_n++];
    l->name = name;
    return take_value(x, s, &l->value);
}

/* Behind the opening brace; a comma may stand before the closing one. */
static int take_labels(struct klx_exposition *x, struct klx_sv *s,
                       struct klx_exposition_sample *ret) {
    while (!take_char(s, '}')) {
        int rc = take_label(x, s, ret);
        if (rc != 0) {
            return rc;
        }
        skip_blanks(s);
        if (!take_char(s, ',') && (s->n == 0 || s->p[0] != '}')) {
            return -EBADMSG;
        }
    }
    return 0;
}

static struct klx_sv take_word(struct klx_sv *s) {
    skip_blanks(s);
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t') {
        n++;
    }
    struct klx_sv word = klx_sv_n(s->p, n);
    *s = drop(*s, n);
    return word;
}

/* As Go's strconv reads it: decimal or hexadecimal, NaN, Inf with or without a sign; no payload of a NaN. */
static int parse_value(const struct klx_exposition *x, struct klx_sv word, double *ret) {
    char text[NUMBER_BYTES_MAX + 1];
    if (word.n == 0 || word.n > NUMBER_BYTES_MAX || klx_sv_find(word, '(') < word.n) {
        return -EBADMSG;
    }
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    char *end = NULL;
    *ret = strtod_l(text, &end, x->c_locale);
    return end == text + word.n ? 0 : -EBADMSG;
}

static int parse_time(struct klx_sv word, int64_t *ret_us) {
    int64_t ms = 0;
    if (klx_sv_int(word, &ms) != 0 || ms > TIME_MS_MAX || ms < -TIME_MS_MAX) {
        return -EBADMSG;
    }
    *ret_us = ms * KLX_US_PER_MS;
    return 0;
}

static int parse_line(struct klx_exposition *x, struct klx_sv line,
                      struct klx_exposition_sample *ret) {
    *ret = (struct klx_exposition_sample){ .labels = x->labels, .time_us = KLX_TIME_NONE };
    klx_buf_reset(&x->escaped);
    klx_buf_reserve(&x->escaped, line.n); /* it does not move while views look into it */
    ret->name = take_name(&line, true);
    if (ret->name.n == 0) {
        return -EBADMSG;
    }
    if (take_char(&line, '{') && take_labels(x, &line, ret) != 0) {
        return -EBADMSG;
    }
    if (parse_value(x, take_word(&line), &ret->value) != 0) {
        return -EBADMSG;
    }
    struct klx_sv time = take_word(&line);
    if (time.n == 0 || time.p[0] == '#') {
        return 0;
    }
    struct klx_sv more = take_word(&line);
    return more.n == 0 || more.p[0] == '#' ? parse_time(time, &ret->time_us) : -EBADMSG;
}

int klx_exposition_next(struct klx_exposition *x, struct klx_exposition_sample *ret) {
    struct klx_sv line;
    for (int rc = next_line(x, &line); rc != 0; rc = next_line(x, &line)) {
        if (rc < 0) {
            return rc;
        }
        line = klx_sv_ends(line, KLX_SV("\r")) ? klx_sv_n(line.p, line.n - 1) : line;
        skip_blanks(&line);
        if (line.n > 0 && line.p[0] != '#') {
            return parse_line(x, line, ret) == 0 ? 1 : -EBADMSG;
        }
    }
    return 0;
}

int klx_exposition_end(struct klx_exposition *x) {
    bool cut = (x->partial.len > 0 && !x->partial_is_out) || x->skipping;
    bool comment = !x->skipping && x->partial.len > 0 && x->partial.data[0] == '#';
    klx_exposition_reset(x);
    return cut && !comment ? -EBADMSG : 0;
}
