/*
 * Three plots of one width: the load, the replicas, the largest pod against its limit.
 *
 *   the first is filled; in the others a column shows ● (now), ○ (proposed), or ◉ where both are one; without UTF-8  n, p and *
 */
#include <math.h>
#include <stdio.h>

#include "advice/report.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define ROWS 6
#define LABEL 9
#define WIDTH_LEAST 20

struct plot {
    const struct klx_report_style *style;
    const struct klx_series *s;
    double top;
};

static const char *mark(const struct plot *p, bool now, bool proposed) {
    if (now && proposed) {
        return p->style->utf8 ? "◉" : "*";
    }
    if (now) {
        return p->style->utf8 ? "●" : "n";
    }
    return p->style->utf8 ? "○" : "p";
}

/* The row of a value, from 0 at the bottom; -1: below all. */
static int row_of(const struct plot *p, double value) {
    if (p->top <= 0) {
        return -1;
    }
    int row = (int)ceil(value / p->top * ROWS) - 1;
    return row < ROWS ? row : ROWS - 1;
}

static void label(const struct plot *p, int row, const char *text, struct klx_buf *out) {
    klx_buf_printf(out, "%s%*s%s %s", p->style->weak, LABEL, row == ROWS - 1 ? text : "",
                   p->style->plain, p->style->utf8 ? "│" : "|");
}

static void title(const struct plot *p, const char *text, struct klx_buf *out) {
    klx_buf_printf(out, "%*s  %s%s%s\n", LABEL, "", p->style->strong, text, p->style->plain);
}

static void axis(const struct plot *p, struct klx_buf *out) {
    klx_buf_printf(out, "%s%*s %s", p->style->weak, LABEL, "0", p->style->utf8 ? "└" : "+");
    for (size_t i = 0; i < p->s->n; i++) {
        klx_buf_add_str(out, p->style->utf8 ? "─" : "-");
    }
    klx_buf_printf(out, "%s\n", p->style->plain);
}

/* A column of the filled plot in one row: an eighth of a cell is the smallest step. */
static const char *fill(const struct plot *p, double value, int row) {
    static const char *const eighths[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    double part = p->top > 0 ? value / p->top * ROWS - row : 0;
    int eighth = part <= 0 ? 0 : part >= 1 ? 8 : (int)ceil(part * 8);
    if (p->style->utf8) {
        return eighths[eighth];
    }
    return eighth >= 4 ? "#" : eighth > 0 ? "." : " ";
}

static void plot_load(struct plot *p, struct klx_buf *out) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    p->top = 0;
    for (size_t i = 0; i < p->s->n; i++) {
        p->top = fmax(p->top, p->s->columns[i].total);
    }
    klx_quantity_bytes(p->top, text);
    title(p, "memory of all pods, as recorded", out);
    for (int row = ROWS - 1; row >= 0; row--) {
        label(p, row, text, out);
        for (size_t i = 0; i < p->s->n; i++) {
            const struct klx_series_column *c = &p->s->columns[i];
            klx_buf_add_str(out, c->known ? fill(p, c->total, row) : " ");
        }
        klx_buf_add_char(out, '\n');
    }
    axis(p, out);
}

/* Two values a column. */
struct lines {
    double now, proposed;
};

static struct lines replicas_at(const struct klx_series_column *c) {
    return (struct lines){ c->now, c->proposed };
}

static struct lines largest_at(const struct klx_series_column *c) {
    return (struct lines){ c->largest_now, c->largest_proposed };
}

static void plot_lines(struct plot *p, struct lines (*at)(const struct klx_series_column *c),
                       double ruled, const char *top_label, struct klx_buf *out) {
    int rule = ruled > 0 ? row_of(p, ruled) : -1;
    for (int row = ROWS - 1; row >= 0; row--) {
        label(p, row, top_label, out);
        for (size_t i = 0; i < p->s->n; i++) {
            struct lines x = at(&p->s->columns[i]);
            bool now = row_of(p, x.now) == row, proposed = row_of(p, x.proposed) == row;
            bool known = p->s->columns[i].known && (now || proposed);
            klx_buf_add_str(out, known         ? mark(p, now, proposed)
                                 : row == rule ? p->style->utf8 ? "╌" : "-"
                                               : " ");
        }
        klx_buf_add_char(out, '\n');
    }
    axis(p, out);
}

static void plot_replicas(struct plot *p, const struct klx_report *r, struct klx_buf *out) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    double top = 1;
    for (size_t i = 0; i < p->s->n; i++) {
        top = fmax(top, fmax(p->s->columns[i].now, p->s->columns[i].proposed));
    }
    int32_t max = r->advice->now.spec.max;
    p->top = top;
    snprintf(text, sizeof(text), "%.0f", top);
    title(p,
          p->style->utf8 ? "replicas: ● now, ○ proposed, ◉ both; ╌ today's maximum"
                         : "replicas: n now, p proposed, * both; - today's maximum",
          out);
    plot_lines(p, replicas_at, max <= top ? max : 0, text, out);
}

static void plot_largest(struct plot *p, const struct klx_report *r, struct klx_buf *out) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    p->top = r->load->limit;
    for (size_t i = 0; i < p->s->n; i++) {
        const struct klx_series_column *c = &p->s->columns[i];
        p->top = fmax(p->top, fmax(c->largest_now, c->largest_proposed));
    }
    klx_quantity_bytes(p->top, text);
    title(p,
          r->load->limit > 0
              ? p->style->utf8 ? "the largest pod; ╌ its limit" : "the largest pod; - its limit"
              : "the largest pod",
          out);
    plot_lines(p, largest_at, r->load->limit, text, out);
}

static void add_times(const struct plot *p, struct klx_buf *out) {
    char from[KLX_TIME_TEXT_BYTES], to[KLX_TIME_TEXT_BYTES];
    klx_time_format(p->s->from_us, KLX_TIME_SECONDS, from);
    klx_time_format(p->s->to_us, KLX_TIME_SECONDS, to);
    int room = (int)p->s->n > 40 ? (int)p->s->n - 40 : 1;
    klx_buf_printf(out, "%s%*s  %s%*s%s%s\n", p->style->weak, LABEL, "", from, room, "", to,
                   p->style->plain);
}

void klx_report_plot(const struct klx_report *r, const struct klx_report_style *style,
                     struct klx_buf *out) {
    size_t room = style->width > LABEL + 2 ? style->width - LABEL - 2 : 0;
    struct klx_series *s = klx_series_new(r, room > WIDTH_LEAST ? room : WIDTH_LEAST);
    struct plot p = { .style = style, .s = s };
    plot_load(&p, out);
    plot_replicas(&p, r, out);
    plot_largest(&p, r, out);
    add_times(&p, out);
    klx_series_free(s);
}
