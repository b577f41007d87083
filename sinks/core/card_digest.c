#include "sinks/core/card_digest.h"

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"

static struct klx_sv line(struct klx_arena *a, struct klx_sv text, size_t bytes_max) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, bytes_max + 1);
    klx_utf8_line(&b, text, bytes_max);
    return klx_arena_dup(a, klx_buf_sv(&b));
}

static const char *plural(size_t n) {
    return n == 1 ? "" : "s";
}

/* "08:00:01", or "2026-03-11 08:00:01" when that is another day. */
static struct klx_sv clock_of(struct klx_arena *a, int64_t us, int64_t beside_us) {
    char text[KLX_TIME_TEXT_BYTES], beside[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_time_format(beside_us, KLX_TIME_SECONDS, beside);
    bool same_day = klx_sv_eq(klx_sv_n(text, 10), klx_sv_n(beside, 10));
    return same_day ? klx_arena_printf(a, "%.8s", text + 11)
                    : klx_arena_printf(a, "%.10s %.8s", text, text + 11);
}

static struct klx_sv counts(struct klx_arena *a, const struct klx_digest *d) {
    return d->incidents == 0
               ? klx_arena_printf(a, "%zu event%s", d->events, plural(d->events))
               : klx_arena_printf(a, "%zu event%s of %zu incident%s", d->events, plural(d->events),
                                  d->incidents, plural(d->incidents));
}

static void add_fact(struct klx_card *c, const char *name, struct klx_sv value) {
    if (value.n > 0 && c->facts_n < KLX_CARD_FACTS_MAX) {
        c->facts[c->facts_n++] = (struct klx_card_fact){ klx_sv(name), value };
    }
}

static const char *const severity_words[] = {
    [KLX_SEVERITY_INFO] = "Info",
    [KLX_SEVERITY_WARNING] = "Warning",
    [KLX_SEVERITY_CRITICAL] = "Critical",
};

static void add_line(struct klx_arena *a, const struct klx_digest_line *l, struct klx_card *c) {
    /* The number stands at the end, so there must be room for it. */
    struct klx_sv text = line(a, l->text, KLX_CARD_FACT_BYTES_MAX - 40);
    add_fact(c, severity_words[l->severity],
             l->events > 1 ? klx_arena_printf(a, "%.*s (%zu events)", KLX_SV_FMT(text), l->events)
                           : text);
}

void klx_card_fill_digest(struct klx_arena *a, const struct klx_digest *digest,
                          struct klx_card *card) {
    struct klx_sv n = counts(a, digest);
    struct klx_sv since = clock_of(a, digest->since_us, digest->until_us);
    struct klx_sv until = clock_of(a, digest->until_us, digest->until_us);
    size_t events_shown = 0, shown = 0;
    size_t room = digest->lines_n > KLX_CARD_FACTS_MAX || digest->lines_n < digest->incidents
                      ? KLX_CARD_FACTS_MAX - 1
                      : KLX_CARD_FACTS_MAX;
    card->title = KLX_SV("Digest");
    card->subject = n;
    card->summary = klx_arena_printf(
        a, "More came than this channel is sent: %.*s, from %.*s to %.*s UTC, the worst first.",
        KLX_SV_FMT(n), KLX_SV_FMT(since), KLX_SV_FMT(until));
    for (; shown < digest->lines_n && shown < room; shown++) {
        events_shown += digest->lines[shown].events;
        add_line(a, &digest->lines[shown], card);
    }
    if (events_shown < digest->events) {
        add_fact(card, "Not shown",
                 klx_arena_printf(a, "%zu more events; each has a receipt on the topic deliveries",
                                  digest->events - events_shown));
    }
}
