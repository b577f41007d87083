#include "cli/standing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "schema/event.h"
#include "sinks/core/parking/parked.h"

#define ARENA_BYTES 4096
#define ARENA_BYTES_MAX (64u << 20)
#define SCRATCH_BYTES 65536
#define SCRATCH_BYTES_MAX (16u << 20)

const char *klx_standing_class_name(enum klx_standing_class c) {
    static const char *const names[] = { "delivered", "refused", "gaveUp", "suppressed" };
    return names[c];
}

void klx_standings_init(struct klx_standings *all) {
    *all = (struct klx_standings){ .first = NULL };
    klx_arena_init(&all->arena, ARENA_BYTES, ARENA_BYTES_MAX);
    klx_arena_init(&all->scratch, SCRATCH_BYTES, SCRATCH_BYTES_MAX);
}

static void free_last(struct klx_standing_last *last) {
    free(last->reason);
    free(last->code);
    free(last->answer);
}

void klx_standings_release(struct klx_standings *all) {
    for (struct klx_standing *s = all->first, *next = NULL; s != NULL; s = next) {
        next = s->next;
        free_last(&s->delivered);
        free_last(&s->refused);
        free(s->name);
        free(s->sink);
        free(s);
    }
    all->first = NULL;
    klx_arena_release(&all->arena);
    klx_arena_release(&all->scratch);
}

struct klx_standing *klx_standings_get(struct klx_standings *all, struct klx_sv name) {
    struct klx_standing **at = &all->first;
    while (*at != NULL && klx_sv_cmp(klx_sv((*at)->name), name) < 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && klx_sv_eq(klx_sv((*at)->name), name)) {
        return *at;
    }
    struct klx_standing *s = klx_alloc(struct klx_standing);
    s->name = klx_sv_dup(name);
    s->parked_since_us = s->delivered.at_us = s->refused.at_us = KLX_TIME_NONE;
    s->next = *at;
    *at = s;
    return s;
}

static void set_sink(struct klx_standing *s, struct klx_sv sink) {
    if (s->sink == NULL && sink.n > 0) {
        s->sink = klx_sv_dup(sink);
    }
}

void klx_standings_control(struct klx_standings *all, const struct klx_record *r) {
    struct klx_sv channel = klx_circuit_channel(r->key);
    struct klx_circuit_mark m;
    if (channel.n == 0) {
        return;
    }
    struct klx_standing *s = klx_standings_get(all, channel);
    s->has_circuit = r->value.p != NULL && klx_circuit_decode(&all->arena, r->value, &m, NULL) == 0;
    if (s->has_circuit) {
        s->circuit = m;
        set_sink(s, m.sink);
    }
}

void klx_standings_retry(struct klx_standings *all, const struct klx_record *r) {
    struct klx_sv sink, channel;
    klx_parked_whose(r, &sink, &channel);
    if (channel.n == 0 || sink.n == 0) {
        return;
    }
    struct klx_standing *s = klx_standings_get(all, channel);
    set_sink(s, sink);
    const struct klx_place here = { r->partition, r->offset };
    if (s->has_circuit && klx_place_covers(s->circuit.drained, here)) {
        return;
    }
    int64_t at_us = r->timestamp_ms * KLX_US_PER_MS;
    s->parked++;
    if (s->parked_since_us == KLX_TIME_NONE || at_us < s->parked_since_us) {
        s->parked_since_us = at_us;
    }
}

static enum klx_standing_class class_of(struct klx_sv reason, struct klx_sv verdict) {
    if (klx_sv_eq(verdict, KLX_SV("suppressed"))) {
        return KLX_STANDING_SUPPRESSED;
    }
    if (klx_sv_eq(reason, KLX_SV("gave_up"))) {
        return KLX_STANDING_GAVE_UP;
    }
    if (klx_sv_eq(reason, KLX_SV("delivered")) || klx_sv_eq(reason, KLX_SV("accepted"))) {
        return KLX_STANDING_DELIVERED;
    }
    return KLX_STANDING_REFUSED;
}

static void keep_last(struct klx_standing_last *last, int64_t at_us, const struct klx_json *data) {
    if (last->at_us > at_us) {
        return;
    }
    free_last(last);
    last->at_us = at_us;
    last->reason = klx_sv_dup(klx_json_str(data, "reason"));
    last->code = klx_sv_dup(klx_json_str(data, "code"));
    last->answer = klx_sv_dup(klx_json_str(data, "answer"));
}

void klx_standings_receipt(struct klx_standings *all, const struct klx_record *r) {
    struct klx_event event;
    const struct klx_json *data = NULL;
    klx_arena_reset(&all->scratch);
    if (klx_event_decode(&all->scratch, r, &event, NULL) != 0 || event.kind != KLX_KIND_DELIVERY ||
        klx_json_parse(&all->scratch, event.data, NULL, &data, NULL) != 0) {
        return;
    }
    struct klx_sv channel = klx_json_str(data, "channel");
    if (channel.n == 0) {
        return;
    }
    struct klx_standing *s = klx_standings_get(all, channel);
    enum klx_standing_class class =
        class_of(klx_json_str(data, "reason"), klx_json_str(data, "verdict"));
    set_sink(s, klx_json_str(data, "sink"));
    s->receipts[class]++;
    if (class == KLX_STANDING_DELIVERED) {
        keep_last(&s->delivered, event.time_us, data);
    } else if (class != KLX_STANDING_SUPPRESSED) {
        keep_last(&s->refused, event.time_us, data);
    }
}

void klx_standings_letter(struct klx_standings *all, const struct klx_letter *l) {
    if (l->channel.n == 0) {
        return;
    }
    struct klx_standing *s = klx_standings_get(all, l->channel);
    set_sink(s, l->sink);
    s->letters++;
    s->letters_open += l->state == KLX_LETTER_OPEN;
}
