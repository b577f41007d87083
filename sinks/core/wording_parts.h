/*
 * Internal of sinks/core/wording*.c: a wording as it is bound.
 */
#pragma once

#include "lib/base/match.h"
#include "lib/base/template.h"
#include "lib/base/zone.h"
#include "sinks/core/wording.h"

/* The texts of a card that may be an operator's. NAME, key, the member of struct klx_card, its maximum, whether it may be empty. */
#define KLX_WORDING_TEXTS(X)                                                                       \
    X(TITLE, title, KLX_CARD_LINE_BYTES_MAX, false)                                                \
    X(SUBJECT, subject, KLX_CARD_LINE_BYTES_MAX, false)                                            \
    X(SUMMARY, summary, KLX_CARD_SUMMARY_BYTES_MAX, false)                                         \
    X(ADVICE, advice, KLX_CARD_SUMMARY_BYTES_MAX, true)

enum klx_wording_text {
#define KLX_WORDING_ENUM(NAME, member, bytes_max, empty) KLX_WORDING_##NAME,
    KLX_WORDING_TEXTS(KLX_WORDING_ENUM)
#undef KLX_WORDING_ENUM
        KLX_WORDING_TEXTS_N,
};

struct klx_wording_text_spec {
    const char *key;
    size_t offset; /* in struct klx_card */
    size_t bytes_max;
    bool may_be_empty;
};
extern const struct klx_wording_text_spec klx_wording_texts[KLX_WORDING_TEXTS_N];

/* A template, and where it stands. */
struct klx_words {
    struct klx_template *t; /* NULL: there is none */
    const struct klx_config_node *at;
};

struct klx_wording_fact {
    bool defaults; /* the card's own, and no name and value */
    struct klx_words name, value;
};

struct klx_wording_entry {
    const struct klx_config_node *at;
    bool for_events, for_digests;
    struct klx_match *event; /* of the events; NULL: all */
    struct klx_zone *zone;
    struct klx_words texts[KLX_WORDING_TEXTS_N];
    bool has_facts;
    struct klx_wording_fact *facts;
    size_t facts_n;
};

struct klx_wording {
    struct klx_wording_entry *entries;
    size_t n;
};

/* `digest` says whether it is one; `type` without "io.klaxon.". */
bool klx_wording_entry_is_for(const struct klx_wording_entry *e, bool digest, struct klx_sv type);

/* What has become of a template. */
struct klx_words_filled {
    struct klx_sv text; /* in the arena */
    bool cut;
};
/* -ENOMEM: the arena is full; -ELOOP, -ETIME: as klx_template_render, with words that name the place. */
int klx_words_fill(const struct klx_words *w, const struct klx_json *context, size_t bytes_max,
                   struct klx_arena *a, struct klx_words_filled *ret,
                   struct klx_error *e) KLX_MUST_CHECK;
/* What that code means, in words. */
const char *klx_words_trouble(int rc);
