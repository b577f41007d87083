#include "sinks/core/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/parking/backlog.h"

struct klx_delivery *klx_delivery_new(struct klx_message *m,
                                      const struct klx_subscription_settings *s, int64_t now_us) {
    struct klx_delivery *d = klx_alloc(struct klx_delivery);
    *d = (struct klx_delivery){ .message = klx_message_ref(m),
                                .subscription = s,
                                .reason = KLX_NOTICE_NEWS,
                                .severity = m->event.severity,
                                .queued_us = now_us,
                                .first_us = KLX_TIME_NONE,
                                .last_us = KLX_TIME_NONE };
    return d;
}

static void free_digest(struct klx_digest *digest) {
    if (digest != NULL) {
        free((struct klx_digest_line *)(uintptr_t)digest->lines);
        free(digest);
    }
}

/* The lines and their texts are one piece of memory. */
void klx_delivery_set_digest(struct klx_delivery *d, const struct klx_digest *digest) {
    size_t text_bytes = 0;
    for (size_t i = 0; i < digest->lines_n; i++) {
        text_bytes += digest->lines[i].text.n;
    }
    struct klx_digest *copy = klx_alloc(struct klx_digest);
    *copy = *digest;
    struct klx_digest_line *lines =
        klx_new_bytes(digest->lines_n * sizeof(*lines) + text_bytes + 1);
    char *text = (char *)(lines + digest->lines_n);
    for (size_t i = 0; i < digest->lines_n; i++) {
        const struct klx_sv from = digest->lines[i].text;
        lines[i] = digest->lines[i];
        lines[i].text = klx_sv_n(text, from.n);
        if (from.n > 0) {
            memcpy(text, from.p, from.n);
        }
        text += from.n;
    }
    copy->lines = lines;
    free_digest(d->digest);
    d->digest = copy;
    d->reason = KLX_NOTICE_DIGEST;
}

void klx_delivery_cover(struct klx_delivery *d, struct klx_message *m) {
    if (d->covered_n == d->covered_room) {
        size_t room = d->covered_room > 0 ? d->covered_room * 2 : 16;
        d->covered =
            klx_grow_array(d->covered, d->covered_room, room, sizeof(struct klx_message *));
        d->covered_room = room;
    }
    d->covered[d->covered_n++] = klx_message_ref(m);
}

struct klx_sv klx_delivery_key(const struct klx_delivery *d) {
    const struct klx_message *m = d->message;
    return m->event.incident.n > 0 ? m->event.incident : m->record.key;
}

void klx_delivery_id(const struct klx_delivery *d, struct klx_sv channel,
                     char out[static KLX_HASH_TEXT_BYTES]) {
    static const char *const reasons[] = { "", "reminder", "escalation", "digest" };
    const struct klx_event *e = &d->message->event;
    char repeat[16];
    int n = snprintf(repeat, sizeof(repeat), "%u", (unsigned)d->repeat);
    const struct klx_sv parts[] = {
        e->source,
        e->id,
        e->replay_id,
        channel,
        klx_sv(reasons[d->reason]),
        klx_sv_n(repeat, (size_t)n),
    };
    /* News have the id that they had before there was anything else. */
    klx_hash_parts(parts, d->reason == KLX_NOTICE_NEWS ? 4U : KLX_COUNT(parts), out);
}

static uint64_t hash_of(struct klx_sv name) {
    return klx_hash_seeded(name, 0);
}

void klx_delivery_begin(struct klx_delivery *d, const struct klx_sv *names, size_t n) {
    if (d->recipients != NULL) {
        return;
    }
    d->recipients = klx_alloc_n(struct klx_delivery_recipient, n);
    d->recipients_n = d->recipients_left = n;
    for (size_t i = 0; i < n; i++) {
        d->recipients[i].name = hash_of(names[i]);
    }
}

void klx_delivery_rename(struct klx_delivery *d, const struct klx_sv *names, size_t n) {
    struct klx_delivery_recipient *before = d->recipients;
    size_t before_n = d->recipients_n;
    d->recipients = NULL;
    klx_delivery_begin(d, names, n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < before_n; j++) {
            if (before[j].name == d->recipients[i].name) {
                d->recipients[i] = before[j];
                d->recipients_left -= before[j].final;
                break;
            }
        }
    }
    free(before);
}

static bool has_names(const struct klx_delivery *d, const struct klx_sv *names, size_t n) {
    for (size_t i = 0; i < n && d->recipients_n == n; i++) {
        if (d->recipients[i].name != hash_of(names[i])) {
            return false;
        }
    }
    return d->recipients_n == n;
}

void klx_delivery_fit(struct klx_delivery *d, const struct klx_sv *names, size_t n) {
    if (d->recipients == NULL || has_names(d, names, n)) {
        return;
    }
    klx_delivery_rename(d, names, n);
    for (size_t i = 0; i < n && d->recipients_left == 0; i++) {
        d->recipients[i].final = false;
    }
    d->recipients_left = d->recipients_left > 0 ? d->recipients_left : n;
}

bool klx_delivery_is_revoked(const struct klx_delivery *d) {
    if (d->message->parked != NULL) {
        return klx_backlog_partition(d->message->parked) < 0;
    }
    if (!klx_tracker_is_revoked(&d->message->tracked)) {
        return false;
    }
    for (size_t i = 0; i < d->covered_n; i++) {
        if (!klx_tracker_is_revoked(&d->covered[i]->tracked)) {
            return false;
        }
    }
    return true;
}

static void end(struct klx_delivery *d, void (*drop)(struct klx_message *m)) {
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->covered_n; i++) {
        drop(d->covered[i]);
    }
    drop(d->message);
    free(d->covered);
    free(d->recipients);
    free_digest(d->digest);
    free(d);
}

void klx_delivery_done(struct klx_delivery *d) {
    end(d, klx_message_unref);
}

void klx_delivery_abandon(struct klx_delivery *d) {
    end(d, klx_message_abandon);
}
