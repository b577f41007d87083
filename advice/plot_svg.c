/*
 * A picture: load, replicas with the bounds, the largest pod with its limit. Plain SVG without a script, readable on light and dark.
 */
#include <math.h>
#include <stdio.h>

#include "advice/report.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define WIDTH 960
#define LEFT 90
#define RIGHT 20
#define PANEL 170
#define GAP 56
#define TOP 88
#define PANELS 3
#define COLUMNS 425 /* every other unit */
#define NOW_COLOR "#c2410c"
#define PROPOSED_COLOR "#1d4ed8"
#define LOAD_COLOR "#64748b"
#define LIMIT_COLOR "#b91c1c"

struct panel {
    const struct klx_series *s;
    struct klx_buf *out;
    double top; /* the value at its upper edge */
    int y;      /* of its upper edge */
};

static double x_of(const struct klx_series *s, size_t i) {
    return LEFT + (double)(WIDTH - LEFT - RIGHT) * (double)i / (double)s->n;
}

static double y_of(const struct panel *p, double value) {
    double part = p->top > 0 ? value / p->top : 0;
    return p->y + PANEL * (1 - (part > 1 ? 1 : part));
}

static void frame(const struct panel *p, const char *title, const char *label) {
    klx_buf_printf(p->out, "<text x=\"%d\" y=\"%d\" class=\"t\">%s</text>\n", LEFT, p->y - 10,
                   title);
    klx_buf_printf(
        p->out,
        "<path d=\"M%d %dV%dH%d\" class=\"a\"/>\n<text x=\"%d\" y=\"%d\" class=\"l\">%s</text>\n"
        "<text x=\"%d\" y=\"%d\" class=\"l\">0</text>\n",
        LEFT, p->y, p->y + PANEL, WIDTH - RIGHT, LEFT - 8, p->y + 5, label, LEFT - 8, p->y + PANEL);
}

/* A line at a value across the panel, with its name at the right. */
static void rule(const struct panel *p, double value, const char *color, const char *name) {
    if (value <= 0 || value > p->top) {
        return;
    }
    double y = y_of(p, value);
    klx_buf_printf(p->out,
                   "<path d=\"M%d %.1fH%d\" stroke=\"%s\" class=\"r\"/>\n"
                   "<text x=\"%d\" y=\"%.1f\" style=\"fill:%s\" class=\"n\">%s</text>\n",
                   LEFT, y, WIDTH - RIGHT, color, WIDTH - RIGHT, y - 4, color, name);
}

/* A step line through the columns that are known; written where it turns. */
static void line(const struct panel *p, double (*at)(const struct klx_series_column *c),
                 const char *style) {
    const struct klx_series *s = p->s;
    bool down = false;
    double last = 0;
    klx_buf_add_str(p->out, "<path d=\"");
    for (size_t i = 0; i < s->n; i++) {
        const struct klx_series_column *c = &s->columns[i];
        double y = c->known ? round(y_of(p, at(c)) * 10) / 10 : 0;
        bool turns = down && c->known && y != last;
        bool ends = down && !c->known;
        if (turns || ends) {
            klx_buf_printf(p->out, "H%.1f", x_of(s, i));
        }
        if (turns) {
            klx_buf_printf(p->out, "V%.1f", y);
        } else if (c->known && !down) {
            klx_buf_printf(p->out, "M%.1f %.1f", x_of(s, i), y);
        }
        down = c->known;
        last = y;
    }
    if (down) {
        klx_buf_printf(p->out, "H%.1f", x_of(s, s->n));
    }
    klx_buf_printf(p->out, "\" %s/>\n", style);
}

static double total(const struct klx_series_column *c) {
    return c->total;
}

static double recorded(const struct klx_series_column *c) {
    return c->recorded;
}

static double now(const struct klx_series_column *c) {
    return c->now;
}

static double proposed(const struct klx_series_column *c) {
    return c->proposed;
}

static double largest_now(const struct klx_series_column *c) {
    return c->largest_now;
}

static double largest_proposed(const struct klx_series_column *c) {
    return c->largest_proposed;
}

static double greatest(const struct klx_series *s,
                       double (*at)(const struct klx_series_column *c)) {
    double most = 0;
    for (size_t i = 0; i < s->n; i++) {
        most = fmax(most, at(&s->columns[i]));
    }
    return most;
}

static void add_load(struct panel *p) {
    char label[KLX_QUANTITY_TEXT_BYTES];
    p->top = greatest(p->s, total);
    klx_quantity_bytes(p->top, label);
    frame(p, "Memory of all pods, as recorded", label);
    line(p, total, "stroke=\"" LOAD_COLOR "\" class=\"s\"");
}

static void add_replicas(struct panel *p, const struct klx_report *r) {
    const struct klx_scaler_spec *a = &r->advice->now.spec, *b = &r->advice->proposed.spec;
    char label[KLX_QUANTITY_TEXT_BYTES];
    double used =
        fmax(greatest(p->s, recorded), fmax(greatest(p->s, now), greatest(p->s, proposed)));
    /* A maximum far above what is used would press the lines to the ground. */
    p->top = used + 1;
    p->top = a->max <= 2 * used && a->max >= used ? a->max + 1 : p->top;
    p->top = b->max <= 2 * used && b->max + 1 > p->top ? b->max + 1 : p->top;
    snprintf(label, sizeof(label), "%.0f", p->top);
    frame(p, "Replicas", label);
    rule(p, a->max, NOW_COLOR, "max now");
    rule(p, b->max, PROPOSED_COLOR, b->max == a->max ? "" : "max proposed");
    rule(p, a->min, NOW_COLOR, "min now");
    rule(p, b->min, PROPOSED_COLOR, b->min == a->min ? "" : "min proposed");
    line(p, recorded, "stroke=\"" LOAD_COLOR "\" stroke-dasharray=\"2 3\" class=\"s\"");
    line(p, now, "stroke=\"" NOW_COLOR "\" class=\"s\"");
    line(p, proposed, "stroke=\"" PROPOSED_COLOR "\" class=\"s\"");
}

static void add_largest(struct panel *p, const struct klx_report *r) {
    char label[KLX_QUANTITY_TEXT_BYTES];
    double used = fmax(greatest(p->s, largest_now), greatest(p->s, largest_proposed));
    p->top = fmax(used, r->load->limit) * 1.05;
    klx_quantity_bytes(p->top, label);
    frame(p, "Memory of the largest pod", label);
    rule(p, r->load->limit, LIMIT_COLOR, "limit");
    if (!r->advice->now.spec.metrics[0].utilization) {
        rule(p, (double)r->advice->now.spec.metrics[0].value / 1000, LOAD_COLOR,
             "target of the mean");
    }
    line(p, largest_now, "stroke=\"" NOW_COLOR "\" class=\"s\"");
    line(p, largest_proposed, "stroke=\"" PROPOSED_COLOR "\" class=\"s\"");
}

static void add_head(const struct klx_report *r, int height, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    klx_buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
        "height=\"%d\" role=\"img\">\n<title>HPA %s/%s in %s: load, replicas, limits</title>\n",
        WIDTH, height, WIDTH, height, s->namespace, s->name, s->cluster);
    klx_buf_add_str(
        out, "<style>text{font:13px sans-serif;fill:#334155}.t{font-weight:bold}.l{text-anchor:end}"
             ".n{text-anchor:end;font-size:11px;paint-order:stroke;stroke:#ffffff;stroke-width:3px}"
             ".a{stroke:#94a3b8;fill:none}.r{stroke-dasharray:6 4;"
             "fill:none}.s{stroke-width:1.6;fill:none}</style>\n"
             "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    klx_buf_printf(
        out,
        "<text x=\"%d\" y=\"24\" class=\"t\">HPA %s/%s in %s</text>\n"
        "<text x=\"%d\" y=\"42\"><tspan style=\"fill:" NOW_COLOR "\">■</tspan> now %d-%d  "
        "<tspan style=\"fill:" PROPOSED_COLOR "\">■</tspan> proposed %d-%d  "
        "<tspan style=\"fill:" LOAD_COLOR "\">■</tspan> recorded</text>\n",
        LEFT, s->namespace, s->name, s->cluster, LEFT, r->advice->now.spec.min,
        r->advice->now.spec.max, r->advice->proposed.spec.min, r->advice->proposed.spec.max);
}

static void add_times(const struct klx_series *s, int y, struct klx_buf *out) {
    char from[KLX_TIME_TEXT_BYTES], to[KLX_TIME_TEXT_BYTES];
    klx_time_format(s->from_us, KLX_TIME_SECONDS, from);
    klx_time_format(s->to_us, KLX_TIME_SECONDS, to);
    klx_buf_printf(
        out, "<text x=\"%d\" y=\"%d\">%s</text>\n<text x=\"%d\" y=\"%d\" class=\"l\">%s</text>\n",
        LEFT, y, from, WIDTH - RIGHT, y, to);
}

void klx_report_svg(const struct klx_report *r, struct klx_buf *out) {
    struct klx_series *s = klx_series_new(r, COLUMNS);
    int height = TOP + PANELS * (PANEL + GAP);
    struct panel p = { .s = s, .out = out, .y = TOP };
    add_head(r, height, out);
    add_load(&p);
    p.y += PANEL + GAP;
    add_replicas(&p, r);
    p.y += PANEL + GAP;
    add_largest(&p, r);
    add_times(s, p.y + PANEL + 20, out);
    klx_buf_add_str(out, "</svg>\n");
    klx_series_free(s);
}
