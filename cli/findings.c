#include "cli/findings.h"

#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

void klx_findings_init(struct klx_findings *f) {
    *f = (struct klx_findings){ 0 };
}

void klx_findings_release(struct klx_findings *f) {
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].text);
    }
    free(f->items);
    klx_findings_init(f);
}

/* Takes "12:" off the front. */
static bool cut_number(struct klx_sv *rest, unsigned *ret) {
    struct klx_sv after = *rest;
    struct klx_sv digits = klx_sv_cut(&after, ':');
    int64_t number = 0;
    if (digits.n == rest->n || klx_sv_int(digits, &number) != 0 || number < 1 ||
        number > INT32_MAX) {
        return false;
    }
    *ret = (unsigned)number;
    *rest = after;
    return true;
}

/* The name of a file may hold colons itself: the place is the first ":number:number: ". */
static void split_place(struct klx_finding *f, struct klx_sv *rest) {
    for (size_t i = 0; i < rest->n; i++) {
        struct klx_sv after = klx_sv_n(rest->p + i + 1, rest->n - i - 1);
        unsigned line = 0, column = 0;
        if (rest->p[i] == ':' && cut_number(&after, &line) && cut_number(&after, &column)) {
            f->file = klx_sv_n(rest->p, i);
            f->line = line;
            f->column = column;
            *rest = klx_sv_trim(after);
            return;
        }
    }
}

/* "channels.ops: words": a path holds no space, and our words begin with more than one word. */
static void split_path(struct klx_finding *f, struct klx_sv *rest) {
    size_t colon = klx_sv_find_sv(*rest, KLX_SV(": "));
    if (f->line != 0 && colon < rest->n && klx_sv_find(*rest, ' ') > colon) {
        f->path = klx_sv_n(rest->p, colon);
        *rest = klx_sv_n(rest->p + colon + 2, rest->n - colon - 2);
    }
}

void klx_findings_add(struct klx_findings *f, bool warning, const char *text) {
    f->items = klx_grow_array(f->items, f->n, f->n + 1, sizeof(*f->items));
    struct klx_finding *item = &f->items[f->n];
    *item = (struct klx_finding){ .text = klx_strdup(text), .warning = warning, .number = f->n };
    struct klx_sv rest = klx_sv(item->text);
    split_place(item, &rest);
    split_path(item, &rest);
    item->message = rest;
    item->file_rank = f->n;
    for (size_t i = f->n; i > 0; i--) {
        if (klx_sv_eq(f->items[i - 1].file, item->file)) {
            item->file_rank = f->items[i - 1].file_rank;
        }
    }
    f->n++;
    f->mistakes += !warning;
    f->warnings += warning;
}

static int compare(const void *left, const void *right) {
    const struct klx_finding *a = left, *b = right;
    const size_t x[] = { a->file_rank, a->line, a->column, a->number };
    const size_t y[] = { b->file_rank, b->line, b->column, b->number };
    for (size_t i = 0; i < KLX_COUNT(x); i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

void klx_findings_sort(struct klx_findings *f) {
    if (f->n > 0) {
        qsort(f->items, f->n, sizeof(*f->items), compare);
    }
}

static void add_count(struct klx_buf *out, size_t n, const char *what) {
    klx_buf_printf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void add_counts(struct klx_buf *out, const struct klx_check_counts *c) {
    add_count(out, c->clusters, "cluster");
    klx_buf_add_str(out, ", ");
    add_count(out, c->channels, "channel");
    klx_buf_add_str(out, ", ");
    add_count(out, c->subscriptions, "subscription");
}

void klx_findings_text(const struct klx_findings *f, const char *file,
                       const struct klx_check_counts *counts, const struct klx_terminal *t,
                       struct klx_buf *out) {
    for (size_t i = 0; i < f->n; i++) {
        const struct klx_finding *item = &f->items[i];
        if (item->line != 0) {
            klx_terminal_text(t, out, item->file);
            klx_buf_printf(out, ":%u:%u: ", item->line, item->column);
        }
        klx_buf_add_str(out, item->warning ? "warning: " : "");
        klx_terminal_text(t, out, item->path);
        klx_buf_add_str(out, item->path.n > 0 ? ": " : "");
        klx_terminal_text(t, out, item->message);
        klx_buf_add_char(out, '\n');
    }
    klx_terminal_text(t, out, klx_sv(file));
    klx_buf_add_str(out, ": ");
    add_counts(out, counts);
    klx_buf_add_str(out, ": ");
    if (f->mistakes > 0) {
        add_count(out, f->mistakes, "mistake");
    } else {
        klx_buf_add_str(out, "valid");
    }
    if (f->warnings > 0) {
        klx_buf_add_str(out, ", ");
        add_count(out, f->warnings, "warning");
    }
    klx_buf_add_char(out, '\n');
}

static void number_or_null(struct klx_jw *w, const char *key, unsigned value) {
    klx_jw_key(w, key);
    if (value > 0) {
        klx_jw_int(w, value);
    } else {
        klx_jw_null(w);
    }
}

void klx_findings_json(const struct klx_findings *f, const char *file,
                       const struct klx_check_counts *counts, struct klx_buf *out) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, out->max);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(&w, "kind", "CheckResult");
    klx_jw_member_str(&w, "file", file);
    klx_jw_member_bool(&w, "valid", f->mistakes == 0);
    klx_jw_member_int(&w, "mistakes", (int64_t)f->mistakes);
    klx_jw_member_int(&w, "warnings", (int64_t)f->warnings);
    klx_jw_member_int(&w, "clusters", (int64_t)counts->clusters);
    klx_jw_member_int(&w, "channels", (int64_t)counts->channels);
    klx_jw_member_int(&w, "subscriptions", (int64_t)counts->subscriptions);
    klx_jw_key(&w, "findings");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < f->n; i++) {
        const struct klx_finding *item = &f->items[i];
        klx_jw_begin_object(&w);
        klx_jw_member_str(&w, "severity", item->warning ? "warning" : "error");
        klx_jw_member_sv_null(&w, "file", item->file);
        number_or_null(&w, "line", item->line);
        number_or_null(&w, "column", item->column);
        klx_jw_member_sv_null(&w, "path", item->path);
        klx_jw_member_sv(&w, "message", item->message);
        klx_jw_end_object(&w);
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
    klx_terminal_json(out, klx_buf_sv(&text));
    klx_buf_add_char(out, '\n');
    out->failed = out->failed || text.failed;
}

/* As @actions/core does it: a property also must not hold what ends it. */
static void add_escaped(struct klx_buf *out, struct klx_sv s, const char *special) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f || strchr(special, c) != NULL) {
            klx_buf_printf(out, "%%%02X", c);
        } else {
            klx_buf_add_char(out, (char)c);
        }
    }
}

void klx_findings_github(const struct klx_findings *f, struct klx_buf *out) {
    for (size_t i = 0; i < f->n; i++) {
        const struct klx_finding *item = &f->items[i];
        klx_buf_add_str(out, item->warning ? "::warning" : "::error");
        if (item->line != 0) {
            klx_buf_add_str(out, " file=");
            add_escaped(out, item->file, "%:,");
            klx_buf_printf(out, ",line=%u,col=%u", item->line, item->column);
        }
        klx_buf_add_str(out, "::");
        add_escaped(out, item->path, "%");
        klx_buf_add_str(out, item->path.n > 0 ? ": " : "");
        add_escaped(out, item->message, "%");
        klx_buf_add_char(out, '\n');
    }
}
