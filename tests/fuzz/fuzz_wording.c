#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/utf8.h"
#include "schema/samples.h"
#include "sinks/core/card.h"
#include "sinks/core/settings_subscription.h"
#include "sinks/core/wording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static void ignore(void *arg, const char *text) {
    (void)arg;
    (void)text;
}

/* Nothing, or one line that is shown as it is within its maximum. */
static void check_line(struct klx_sv text, size_t bytes_max, bool may_be_empty) {
    struct klx_buf line;
    klx_buf_init(&line, bytes_max + 1);
    klx_utf8_line(&line, text, bytes_max);
    require(klx_sv_eq(klx_buf_sv(&line), text));
    require(may_be_empty || text.n > 0);
    klx_buf_release(&line);
}

static void check_card(const struct klx_card *c) {
    check_line(c->title, KLX_CARD_LINE_BYTES_MAX, false);
    check_line(c->subject, KLX_CARD_LINE_BYTES_MAX, false);
    check_line(c->summary, KLX_CARD_SUMMARY_BYTES_MAX, false);
    check_line(c->advice, KLX_CARD_SUMMARY_BYTES_MAX, true);
    require(c->facts_n <= KLX_CARD_FACTS_MAX);
    for (size_t i = 0; i < c->facts_n; i++) {
        check_line(c->facts[i].name, KLX_CARD_FACT_NAME_BYTES_MAX, false);
        check_line(c->facts[i].value, KLX_CARD_FACT_BYTES_MAX, false);
    }
}

static void tell(const struct klx_wording *w, enum klx_kind kind, bool digest) {
    static const struct klx_digest_line line = { { "Node a", 6 }, KLX_SEVERITY_WARNING, 2 };
    static const struct klx_digest both = {
        .events = 2, .incidents = 1, .until_us = 1, .lines = &line, .lines_n = 1
    };
    struct klx_arena a;
    struct klx_event e;
    struct klx_card card;
    struct klx_wording_use use = { .of_subscription = w, .of_channel = w };
    struct klx_notice n = { .event = &e,
                            .team = KLX_SV("team"),
                            .channel = KLX_SV("channel"),
                            .digest = digest ? &both : NULL,
                            .wording = &use };
    klx_arena_init(&a, 65536, 8 << 20);
    require(klx_sample_event(&a, kind, &e, &n.data) == 0);
    require(klx_card_make(&a, &n, &card) == 0);
    check_card(&card);
    klx_arena_release(&a);
}

/* A byte chooses the kind of event; the rest is what stands under `message:`. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_config *c = NULL;
    struct klx_settings_reporter r = { ignore, NULL, 0 };
    struct klx_wording *w = NULL;
    if (size == 0 ||
        klx_config_parse(klx_sv_n((const char *)data + 1, size - 1), "fuzz.yaml", &c, NULL) != 0) {
        return 0;
    }
    klx_wording_bind(klx_config_root(c), KLX_WORDING_OF_CHANNEL, &w, &r);
    if (r.mistakes == 0) {
        tell(w, (enum klx_kind)(data[0] % KLX_KINDS_N), false);
        tell(w, (enum klx_kind)(data[0] % KLX_KINDS_N), true);
    }
    klx_wording_free(w);
    klx_config_free(c);
    return 0;
}
