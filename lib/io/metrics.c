#include "lib/io/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define LABELS_BYTES_MAX 1024

const double klx_latency_bounds[15] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                        0.5,   1,      2.5,   5,    10,    30,   60 };

enum type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };

struct klx_counter {
    uint64_t value;
};

struct klx_gauge {
    double value;
};

struct klx_histogram {
    const double *bounds;
    size_t n;
    uint64_t *counts; /* n + 1: the last one is +Inf */
    double sum;
};

struct series {
    struct series *next;
    enum type type;
    char *name;
    const char *help;
    char *labels; /* `a="b",c="d"`, escaped */
    struct klx_counter counter;
    struct klx_gauge gauge;
    struct klx_histogram histogram;
};

static struct {
    struct series *first, **tail;
    char *version;
    int64_t started_us;
} registry;

static void add_escaped(struct klx_buf *b, const char *value) {
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"') {
            klx_buf_add_char(b, '\\');
        }
        if (*value == '\n') {
            klx_buf_add_str(b, "\\n");
        } else {
            klx_buf_add_char(b, *value);
        }
    }
}

static char *labels_text(const struct klx_label *labels) {
    struct klx_buf b;
    klx_buf_init(&b, LABELS_BYTES_MAX);
    for (const struct klx_label *l = labels; l != NULL && l->name != NULL; l++) {
        klx_buf_printf(&b, "%s%s=\"", b.len > 0 ? "," : "", l->name);
        add_escaped(&b, l->value);
        klx_buf_add_char(&b, '"');
    }
    char *text = klx_strdup(klx_buf_str(&b));
    klx_buf_release(&b);
    return text;
}

static struct series *find_or_add(enum type type, const char *name, const char *help,
                                  const struct klx_label *labels) {
    char *text = labels_text(labels);
    for (struct series *s = registry.first; s != NULL; s = s->next) {
        if (strcmp(s->name, name) == 0 && strcmp(s->labels, text) == 0) {
            free(text);
            return s;
        }
    }
    struct series *s = klx_alloc(struct series);
    s->type = type;
    s->name = klx_strdup(name);
    s->help = help;
    s->labels = text;
    if (registry.tail == NULL) {
        registry.tail = &registry.first;
        registry.started_us = klx_clock_real()->wall_us(klx_clock_real());
    }
    *registry.tail = s;
    registry.tail = &s->next;
    return s;
}

struct klx_counter *klx_counter(const char *name, const char *help,
                                const struct klx_label *labels) {
    return &find_or_add(TYPE_COUNTER, name, help, labels)->counter;
}

struct klx_gauge *klx_gauge(const char *name, const char *help, const struct klx_label *labels) {
    return &find_or_add(TYPE_GAUGE, name, help, labels)->gauge;
}

struct klx_histogram *klx_histogram(const char *name, const char *help,
                                    const struct klx_label *labels, const double *bounds,
                                    size_t n) {
    struct klx_histogram *h = &find_or_add(TYPE_HISTOGRAM, name, help, labels)->histogram;
    if (h->counts == NULL) {
        *h = (struct klx_histogram){ .bounds = bounds,
                                     .n = n,
                                     .counts = klx_alloc_n(uint64_t, n + 1) };
    }
    return h;
}

void klx_counter_add(struct klx_counter *c, uint64_t n) {
    c->value += n;
}

uint64_t klx_counter_value(const struct klx_counter *c) {
    return c->value;
}

void klx_gauge_set(struct klx_gauge *g, double v) {
    g->value = v;
}

void klx_histogram_observe(struct klx_histogram *h, double v) {
    size_t i = 0;
    while (i < h->n && v > h->bounds[i]) {
        i++;
    }
    h->counts[i]++;
    h->sum += v;
}

static void write_value(struct klx_buf *out, const char *name, const char *suffix,
                        const char *labels, const char *extra, double v) {
    const char *comma = labels[0] != '\0' && extra[0] != '\0' ? "," : "";
    bool any = labels[0] != '\0' || extra[0] != '\0';
    klx_buf_printf(out, "%s%s%s%s%s%s%s %.17g\n", name, suffix, any ? "{" : "", labels, comma,
                   extra, any ? "}" : "", v);
}

static void write_histogram(struct klx_buf *out, const struct series *s) {
    const struct klx_histogram *h = &s->histogram;
    uint64_t total = 0;
    for (size_t i = 0; i <= h->n; i++) {
        char le[48] = "le=\"+Inf\"";
        if (i < h->n) {
            snprintf(le, sizeof(le), "le=\"%g\"", h->bounds[i]);
        }
        total += h->counts[i];
        write_value(out, s->name, "_bucket", s->labels, le, (double)total);
    }
    write_value(out, s->name, "_sum", s->labels, "", h->sum);
    write_value(out, s->name, "_count", s->labels, "", (double)total);
}

static void write_series(struct klx_buf *out, const struct series *s) {
    if (s->type == TYPE_HISTOGRAM) {
        write_histogram(out, s);
    } else {
        write_value(out, s->name, "", s->labels, "",
                    s->type == TYPE_COUNTER ? (double)s->counter.value : s->gauge.value);
    }
}

/* All series of a name stand together, under one HELP and TYPE, as the format wants it. */
static void write_family(struct klx_buf *out, const struct series *first) {
    static const char *const types[] = { "counter", "gauge", "histogram" };
    klx_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", first->name, first->help, first->name,
                   types[first->type]);
    for (const struct series *s = first; s != NULL; s = s->next) {
        if (strcmp(s->name, first->name) == 0) {
            write_series(out, s);
        }
    }
}

static bool is_first_of_its_name(const struct series *s) {
    for (const struct series *other = registry.first; other != s; other = other->next) {
        if (strcmp(other->name, s->name) == 0) {
            return false;
        }
    }
    return true;
}

static double resident_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "re");
    char text[128] = "";
    int64_t pages = 0;
    if (f != NULL) {
        size_t n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        struct klx_sv rest = klx_sv_n(text, n);
        klx_sv_cut(&rest, ' ');
        if (klx_sv_int(klx_sv_cut(&rest, ' '), &pages) != 0) {
            pages = 0;
        }
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_process(struct klx_buf *out) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    klx_buf_printf(
        out,
        "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %.0f\n"
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n"
        "# TYPE klaxon_build_info gauge\nklaxon_build_info{version=\"%s\"} 1\n",
        resident_bytes(), seconds(usage.ru_utime) + seconds(usage.ru_stime),
        (double)registry.started_us / 1e6, registry.version != NULL ? registry.version : "unknown");
}

void klx_metrics_write(struct klx_buf *out) {
    for (const struct series *s = registry.first; s != NULL; s = s->next) {
        if (is_first_of_its_name(s)) {
            write_family(out, s);
        }
    }
    write_process(out);
}

void klx_metrics_set_version(const char *version) {
    free(registry.version);
    registry.version = klx_strdup(version);
}

void klx_metrics_reset(void) {
    struct series *s = registry.first;
    while (s != NULL) {
        struct series *next = s->next;
        free(s->name);
        free(s->labels);
        free(s->histogram.counts);
        free(s);
        s = next;
    }
    free(registry.version);
    registry.first = NULL;
    registry.tail = NULL;
    registry.version = NULL;
}
