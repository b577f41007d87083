#include "sinks/core/wording.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/utf8.h"
#include "sinks/core/context.h"
#include "sinks/core/subject.h"
#include "sinks/core/wording_parts.h"

#define WORK_BYTES_MAX (48u << 20)                         /* a context of the largest event */
#define FILLED_BYTES_MAX (KLX_TEMPLATE_BYTES_MAX + 65536u) /* before it is cut to its place */
#define PART_WORK_MAX 50000u  /* a card has up to 30 parts, and the loop waits for all of them */
#define VALUE_BYTES_MAX 4096u /* more of one value than any place shows */

const struct klx_wording_text_spec klx_wording_texts[KLX_WORDING_TEXTS_N] = {
#define KLX_WORDING_SPEC(NAME, member, bytes_max, empty)                                           \
    { #member, offsetof(struct klx_card, member), bytes_max, empty },
    KLX_WORDING_TEXTS(KLX_WORDING_SPEC)
#undef KLX_WORDING_SPEC
};

/* One card that is being filled in. */
struct filler {
    struct klx_arena *to;
    struct klx_arena work; /* contexts, which may be much larger than the card's arena */
    const struct klx_notice *notice;
    const struct klx_card *own;
    struct klx_sv type;
    /* The last context: all entries without a time zone have the same. */
    const struct klx_json *context;
    const struct klx_zone *zone;
};

bool klx_wording_entry_is_for(const struct klx_wording_entry *e, bool digest, struct klx_sv type) {
    return digest ? e->for_digests : e->for_events && klx_match_test(e->event, type);
}

/* What comes of it is plain text: each renderer escapes it for its place. */
static void add_value(struct klx_buf *out, struct klx_sv text) {
    klx_buf_add_sv(out, klx_sv_utf8_prefix(text, VALUE_BYTES_MAX));
}

static struct klx_sv line(struct klx_arena *a, struct klx_sv text, size_t bytes_max, bool *cut) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release), longer KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, bytes_max + 1);
    klx_buf_init(&longer, bytes_max + 64);
    klx_utf8_line(&b, text, bytes_max);
    klx_utf8_line(&longer, text, bytes_max + 63);
    *cut = !klx_sv_eq(klx_buf_sv(&b), klx_buf_sv(&longer));
    return klx_arena_dup(a, klx_buf_sv(&b));
}

const char *klx_words_trouble(int rc) {
    return rc == -ELOOP   ? "sections too deep in each other"
           : rc == -ETIME ? "too much work for this event"
                          : "there is no memory for it";
}

int klx_words_fill(const struct klx_words *w, const struct klx_json *context, size_t bytes_max,
                   struct klx_arena *a, struct klx_words_filled *ret, struct klx_error *e) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, FILLED_BYTES_MAX);
    int rc = klx_template_render(w->t, context, PART_WORK_MAX, add_value, &out);
    if (rc == 0 || rc == -EMSGSIZE) { /* so much is more than enough */
        ret->text = line(a, klx_buf_sv(&out), bytes_max, &ret->cut);
        rc = ret->text.p != NULL ? 0 : -ENOMEM;
    }
    if (rc != 0) {
        klx_config_fail(w->at, e, "%s", klx_words_trouble(rc));
    }
    return rc;
}

static int find_context(struct filler *f, const struct klx_zone *zone) {
    if (f->context != NULL && f->zone == zone) {
        return 0;
    }
    f->zone = zone;
    f->context = NULL;
    return klx_context_of_card(&f->work, f->notice, f->own, zone, &f->context);
}

static bool fill(struct filler *f, const struct klx_wording_entry *entry, const struct klx_words *w,
                 size_t bytes_max, struct klx_sv *ret) {
    struct klx_error why = { 0 };
    struct klx_words_filled filled = { 0 };
    int rc = find_context(f, entry->zone);
    rc = rc == 0 ? klx_words_fill(w, f->context, bytes_max, f->to, &filled, &why)
                 : klx_config_fail(w->at, &why, "%s", klx_words_trouble(rc));
    if (rc != 0 && f->notice->wording->failed++ == 0) {
        f->notice->wording->why = why;
    }
    *ret = filled.text;
    return rc == 0;
}

/* part: of the texts, or else the facts. */
static bool has_part(const struct klx_wording_entry *e, size_t part) {
    return part < KLX_WORDING_TEXTS_N ? e->texts[part].t != NULL : e->has_facts;
}

static const struct klx_wording_entry *find_in(const struct filler *f, const struct klx_wording *w,
                                               size_t part) {
    for (size_t i = 0; w != NULL && i < w->n; i++) {
        const struct klx_wording_entry *e = &w->entries[i];
        if (has_part(e, part) && klx_wording_entry_is_for(e, f->notice->digest != NULL, f->type)) {
            return e;
        }
    }
    return NULL;
}

static const struct klx_wording_entry *find(const struct filler *f, size_t part) {
    const struct klx_wording_use *use = f->notice->wording;
    const struct klx_wording_entry *e =
        f->notice->digest == NULL ? find_in(f, use->of_subscription, part) : NULL;
    return e != NULL ? e : find_in(f, use->of_channel, part);
}

static void fill_text(struct filler *f, size_t part, struct klx_card *card) {
    const struct klx_wording_text_spec *spec = &klx_wording_texts[part];
    const struct klx_wording_entry *e = find(f, part);
    struct klx_sv text;
    if (e != NULL && fill(f, e, &e->texts[part], spec->bytes_max, &text) &&
        (text.n > 0 || spec->may_be_empty)) {
        *(struct klx_sv *)((char *)card + spec->offset) = text;
    }
}

static bool names_fact(const struct klx_card_fact *facts, size_t n, struct klx_sv name) {
    for (size_t i = 0; i < n; i++) {
        if (klx_sv_eq(facts[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Those of the card that the list does not name, as many as its own leave room for. */
static void add_defaults(const struct klx_card *own, const struct klx_card_fact *named, size_t n,
                         size_t room, struct klx_card *card) {
    for (size_t i = 0; i < own->facts_n && room > 0; i++) {
        if (!names_fact(named, n, own->facts[i].name)) {
            card->facts[card->facts_n++] = own->facts[i];
            room--;
        }
    }
}

/* All of its own facts, those without a value too: they are named. False: one cannot be filled in. */
static bool fill_facts_of(struct filler *f, const struct klx_wording_entry *e,
                          struct klx_card_fact *facts, size_t *ret_shown) {
    bool whole = true;
    *ret_shown = 0;
    for (size_t i = 0; i < e->facts_n && whole; i++) {
        const struct klx_wording_fact *fact = &e->facts[i];
        facts[i] = (struct klx_card_fact){ .name = { 0 } };
        if (!fact->defaults) {
            whole = fill(f, e, &fact->name, KLX_CARD_FACT_NAME_BYTES_MAX, &facts[i].name) &&
                    fill(f, e, &fact->value, KLX_CARD_FACT_BYTES_MAX, &facts[i].value);
            *ret_shown += facts[i].name.n > 0 && facts[i].value.n > 0;
        }
    }
    return whole;
}

static void fill_facts(struct filler *f, struct klx_card *card) {
    struct klx_card_fact facts[KLX_CARD_FACTS_MAX + 1];
    const struct klx_wording_entry *e = find(f, KLX_WORDING_TEXTS_N);
    size_t shown = 0;
    if (e == NULL || !fill_facts_of(f, e, facts, &shown)) {
        return;
    }
    card->facts_n = 0;
    for (size_t i = 0; i < e->facts_n; i++) {
        if (e->facts[i].defaults) {
            add_defaults(f->own, facts, e->facts_n, KLX_CARD_FACTS_MAX - shown, card);
        } else if (facts[i].name.n > 0 && facts[i].value.n > 0) {
            card->facts[card->facts_n++] = facts[i];
        }
    }
}

void klx_wording_apply(struct klx_arena *a, const struct klx_notice *n, struct klx_card *card) {
    const struct klx_card own = *card;
    struct klx_subject subject;
    klx_subject_init(&subject, n->event, n->data);
    struct filler f = { .to = a, .notice = n, .own = &own, .type = subject.type };
    n->wording->failed = 0;
    klx_arena_init(&f.work, 65536, WORK_BYTES_MAX);
    for (size_t i = 0; i < KLX_WORDING_TEXTS_N; i++) {
        fill_text(&f, i, card);
    }
    fill_facts(&f, card);
    klx_arena_release(&f.work);
}
