/*
 * Words of a silence that no event has: of closed sets, so that nobody believes for a night that something is silenced.
 */
#include <stdio.h>

#include "cli/silence.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "schema/event.h"

#define WORDS_MAX 128

_Static_assert(KLX_KINDS_N <= WORDS_MAX, "raise WORDS_MAX");

struct words {
    const char *items[WORDS_MAX];
    size_t n;
};

static void add(struct words *w, const char *word) {
    w->items[w->n++] = word;
}

/* All that the member may be; nothing: it may be anything. */
static void words_of(struct klx_sv name, struct words *ret) {
    ret->n = 0;
    for (int i = 0; klx_sv_eq(name, KLX_SV("severity")) && i <= KLX_SEVERITY_CRITICAL; i++) {
        add(ret, klx_severity_name((enum klx_severity)i));
    }
    for (int i = KLX_PHASE_OPEN; klx_sv_eq(name, KLX_SV("phase")) && i <= KLX_PHASE_RESOLVED; i++) {
        add(ret, klx_phase_name((enum klx_phase)i));
    }
    for (int i = 0; klx_sv_eq(name, KLX_SV("topic")) && i < KLX_TOPICS_N; i++) {
        add(ret, klx_topic_specs[i].short_name);
    }
    for (int i = 0; klx_sv_eq(name, KLX_SV("type")) && i < KLX_KINDS_N; i++) {
        add(ret, klx_event_short_type(klx_sv(klx_kind_specs[i].type)).p);
    }
}

static bool is_among(struct klx_sv value, const struct words *w) {
    for (size_t i = 0; i < w->n; i++) {
        if (klx_sv_eq(value, klx_sv(w->items[i]))) {
            return true;
        }
    }
    return false;
}

void klx_cli_silence_doubt(const char *command, const struct klx_silence *s) {
    for (size_t i = 0; i < s->matchers.n; i++) {
        const struct klx_matcher *m = &s->matchers.items[i];
        struct klx_buf value KLX_CLEANUP(klx_buf_release);
        struct words words;
        klx_buf_init(&value, 65536);
        words_of(m->name, &words);
        if (m->regex != NULL || m->value.n == 0 || words.n == 0 || is_among(m->value, &words)) {
            continue;
        }
        klx_terminal_text_plain(&value, m->value);
        fprintf(stderr, "%s: no event of klaxon has the %.*s \"%s\"%s\n", command,
                KLX_SV_FMT(m->name), klx_buf_str(&value),
                klx_config_hint(m->value, words.items, words.n).text);
    }
}
