#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "schema/samples.h"
#include "sinks/core/context.h"
#include "sinks/core/wording_parts.h"

#define SAMPLES_N (KLX_KINDS_N + 1) /* and a digest, the last */
#define SAMPLES_BYTES_MAX (128u << 20)

struct sample {
    bool digest;
    struct klx_sv type;             /* "node.ready" */
    const struct klx_json *context; /* NULL: there is no sample */
};

struct klx_wording_trial {
    struct klx_arena arena;
    struct sample samples[SAMPLES_N];
};

struct trier {
    const struct klx_wording_trial *t;
    const struct klx_wording_entry *entry;
    klx_config_report_fn mistake, doubt;
    void *arg;
};

static void say(klx_config_report_fn to, void *arg, const struct klx_config_node *at,
                const char *fmt, ...) KLX_PRINTF(4, 5);

static void say(klx_config_report_fn to, void *arg, const struct klx_config_node *at,
                const char *fmt, ...) {
    char words[900];
    struct klx_error e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    klx_config_fail(at, &e, "%s", words);
    to(arg, e.text);
}

static void make_sample(struct klx_wording_trial *t, enum klx_kind kind,
                        const struct klx_digest *digest, struct sample *ret) {
    struct klx_event event;
    struct klx_card card;
    struct klx_notice n = { .event = &event,
                            .team = KLX_SV("team"),
                            .channel = KLX_SV("channel"),
                            .reason = digest != NULL ? KLX_NOTICE_DIGEST : KLX_NOTICE_NEWS,
                            .digest = digest };
    *ret = (struct sample){ .digest = digest != NULL,
                            .type = klx_event_short_type(klx_sv(klx_kind_specs[kind].type)) };
    int rc = klx_sample_event(&t->arena, kind, &event, &n.data);
    rc = rc == 0 ? klx_card_make(&t->arena, &n, &card) : rc;
    rc = rc == 0 ? klx_context_of_card(&t->arena, &n, &card, NULL, &ret->context) : rc;
    ret->context = rc == 0 ? ret->context : NULL;
}

struct klx_wording_trial *klx_wording_trial_new(void) {
    static const struct klx_digest_line lines[] = {
        { { "Node aks-1 (prod-weu): Node not ready", 37 }, KLX_SEVERITY_CRITICAL, 12 },
        { { "Node aks-2 (prod-weu): Node not ready", 37 }, KLX_SEVERITY_WARNING, 1 },
    };
    static const struct klx_digest digest = {
        .events = 13, .incidents = 2, .until_us = 58000000, .lines = lines, .lines_n = 2
    };
    struct klx_wording_trial *t = klx_alloc(struct klx_wording_trial);
    klx_arena_init(&t->arena, 65536, SAMPLES_BYTES_MAX);
    for (int kind = 0; kind < KLX_KINDS_N; kind++) {
        make_sample(t, (enum klx_kind)kind, NULL, &t->samples[kind]);
    }
    make_sample(t, (enum klx_kind)0, &digest, &t->samples[KLX_KINDS_N]);
    return t;
}

void klx_wording_trial_free(struct klx_wording_trial *t) {
    if (t != NULL) {
        klx_arena_release(&t->arena);
    }
    free(t);
}

static bool is_tried(const struct trier *r, const struct sample *s) {
    return s->context != NULL && klx_wording_entry_is_for(r->entry, s->digest, s->type);
}

/* Whether an event that the entry is for has it. Data is open: only samples tell. */
static bool some_sample_has(const struct trier *r, const char *path) {
    for (size_t i = 0; i < SAMPLES_N; i++) {
        if (is_tried(r, &r->t->samples[i]) &&
            klx_json_get(r->t->samples[i].context, path) != NULL) {
            return true;
        }
    }
    return false;
}

/* "data.object.name" of "data.object.name.20". */
static struct klx_sv without_cut(struct klx_sv name) {
    size_t n = name.n;
    while (n > 0 && name.p[n - 1] >= '0' && name.p[n - 1] <= '9') {
        n--;
    }
    return n > 0 && n < name.n && name.p[n - 1] == '.' ? klx_sv_n(name.p, n - 1) : name;
}

static int check_data(void *arg, const struct klx_template_use *use, struct klx_error *e) {
    struct klx_sv name = without_cut(use->name);
    if (!klx_sv_starts(name, KLX_SV("data.")) || klx_sv_starts(name, KLX_SV("data.labels."))) {
        return 0;
    }
    char *path = klx_sv_dup(name);
    bool known = some_sample_has(arg, path);
    free(path);
    return known ? 0 : klx_fail(e, -EINVAL, "no kind of event that this is for has it");
}

static int refuse_labels(void *arg, const struct klx_template_use *use, struct klx_error *e) {
    (void)arg;
    return klx_sv_starts(use->name, KLX_SV("labels")) ||
                   klx_sv_starts(use->name, KLX_SV("data.labels"))
               ? klx_fail(e, -EINVAL, "of the operator's own")
               : 0;
}

/* No sample has the labels that operators give. */
static bool uses_labels(const struct klx_words *w) {
    struct klx_error e;
    return klx_template_check(w->t, refuse_labels, NULL, &e) != 0;
}

/* What one template makes of all the samples that it is for. */
struct count {
    size_t tried, cut, empty;
};

static bool try_sample(const struct trier *r, const struct klx_words *w, size_t bytes_max,
                       const struct sample *s, struct count *count) {
    struct klx_words_filled filled = { 0 };
    struct klx_error why = { 0 };
    struct klx_arena a;
    klx_arena_init(&a, 1024, 65536);
    int rc = klx_words_fill(w, s->context, bytes_max, &a, &filled, &why);
    if (rc != 0) {
        say(r->mistake, r->arg, w->at, "with %s: %s", s->digest ? "a digest" : s->type.p,
            klx_words_trouble(rc));
    }
    count->tried++;
    count->cut += filled.cut;
    count->empty += filled.text.n == 0;
    klx_arena_release(&a);
    return rc == 0;
}

static void try_words(const struct trier *r, const struct klx_words *w, size_t bytes_max,
                      bool may_be_empty) {
    struct count n = { 0 };
    struct klx_error why = { 0 };
    for (size_t i = 0; i < SAMPLES_N; i++) {
        if (is_tried(r, &r->t->samples[i]) && !try_sample(r, w, bytes_max, &r->t->samples[i], &n)) {
            return;
        }
    }
    if (n.tried > 0 && n.cut == n.tried) {
        say(r->mistake, r->arg, w->at, "this is cut at %zu bytes, whatever comes: shorten it",
            bytes_max);
    } else if (n.tried > 0 && klx_template_check(w->t, check_data, (void *)r, &why) != 0) {
        say(r->doubt, r->arg, w->at, "%s", why.text);
    } else if (n.tried > 0 && n.empty == n.tried && !may_be_empty && !uses_labels(w)) {
        say(r->doubt, r->arg, w->at,
            "this comes out empty for every kind of event that it is for, as klaxon knows them");
    }
}

static void try_entry(const struct trier *r) {
    const struct klx_wording_entry *e = r->entry;
    bool any = false;
    for (size_t i = 0; i < SAMPLES_N && !any; i++) {
        any = is_tried(r, &r->t->samples[i]);
    }
    if (!any) {
        say(r->doubt, r->arg, klx_config_get(e->at, "event"), "no kind of event of klaxon is this");
    }
    for (size_t i = 0; i < KLX_WORDING_TEXTS_N; i++) {
        const struct klx_wording_text_spec *spec = &klx_wording_texts[i];
        if (e->texts[i].t != NULL) {
            try_words(r, &e->texts[i], spec->bytes_max, spec->may_be_empty);
        }
    }
    for (size_t i = 0; i < e->facts_n; i++) {
        const struct klx_wording_fact *f = &e->facts[i];
        if (!f->defaults) {
            bool leaves_out = klx_config_scalar(f->value.at).n == 0;
            try_words(r, &f->name, KLX_CARD_FACT_NAME_BYTES_MAX, false);
            try_words(r, &f->value, KLX_CARD_FACT_BYTES_MAX, leaves_out);
        }
    }
}

void klx_wording_try(struct klx_wording_trial *t, const struct klx_wording *w,
                     klx_config_report_fn mistake, klx_config_report_fn doubt, void *arg) {
    for (size_t i = 0; i < w->n; i++) {
        try_entry(&(struct trier){ t, &w->entries[i], mistake, doubt, arg });
    }
}
