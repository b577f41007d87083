#include "cli/letters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "schema/event.h"

#define SCRATCH_BYTES 65536
#define SCRATCH_BYTES_MAX (16u << 20)
#define LETTER_BYTES 1024
#define LETTER_BYTES_MAX (8u << 20)

struct entry {
    UT_hash_handle hh;
    struct klx_arena arena;
    struct klx_letter letter;
    size_t kept_bytes;
};

struct mark {
    UT_hash_handle hh;
    struct klx_arena arena;
    struct klx_sv id;
    struct klx_letter_mark mark;
};

struct klx_letters {
    klx_letter_keep_fn keep;
    const void *keep_arg;
    struct entry *entries;
    struct mark *marks;
    struct klx_arena scratch;
    size_t kept_bytes;
    size_t unreadable;
};

struct klx_letters *klx_letters_new(klx_letter_keep_fn keep, const void *arg) {
    struct klx_letters *all = klx_alloc(struct klx_letters);
    all->keep = keep;
    all->keep_arg = arg;
    klx_arena_init(&all->scratch, SCRATCH_BYTES, SCRATCH_BYTES_MAX);
    return all;
}

static void free_mark(struct klx_letters *all, struct mark *m) {
    HASH_DEL(all->marks, m);
    klx_arena_release(&m->arena);
    free(m);
}

static void free_entry(struct klx_letters *all, struct entry *en) {
    HASH_DEL(all->entries, en);
    all->kept_bytes -= en->kept_bytes;
    klx_arena_release(&en->arena);
    free(en);
}

void klx_letters_free(struct klx_letters *all) {
    if (all == NULL) {
        return;
    }
    while (all->entries != NULL) {
        free_entry(all, all->entries);
    }
    while (all->marks != NULL) {
        free_mark(all, all->marks);
    }
    klx_arena_release(&all->scratch);
    free(all);
}

void klx_letters_control(struct klx_letters *all, const struct klx_record *r) {
    const struct klx_sv prefix = KLX_SV(KLX_LETTER_KEY_PREFIX);
    struct klx_sv id = r->key;
    if (!klx_sv_starts(id, prefix)) {
        return;
    }
    id = klx_sv_n(id.p + prefix.n, id.n - prefix.n);
    struct mark *m = NULL;
    HASH_FIND(hh, all->marks, id.p, id.n, m);
    if (m != NULL) {
        free_mark(all, m);
    }
    m = klx_alloc(struct mark);
    klx_arena_init(&m->arena, LETTER_BYTES, LETTER_BYTES_MAX);
    m->id = klx_arena_dup(&m->arena, id);
    if (r->value.p == NULL || m->id.p == NULL ||
        klx_letter_mark_decode(&m->arena, r->value, &m->mark) != 0) {
        klx_arena_release(&m->arena);
        free(m);
        return;
    }
    HASH_ADD_KEYPTR(hh, all->marks, m->id.p, m->id.n, m);
}

static struct klx_sv copy(struct klx_arena *a, const struct klx_json *data, const char *path) {
    struct klx_sv text = klx_json_str(data, path);
    return text.n > 0 ? klx_arena_dup(a, text) : klx_sv("");
}

static void read_letter(struct klx_arena *a, const struct klx_record *r,
                        const struct klx_json *data, struct klx_letter *l) {
    l->place = (struct klx_place){ r->partition, r->offset };
    l->time_us = r->timestamp_ms * KLX_US_PER_MS;
    l->channel = copy(a, data, "channel");
    l->sink = copy(a, data, "sink");
    l->team = copy(a, data, "team");
    l->recipient = copy(a, data, "recipient");
    l->reason = copy(a, data, "reason");
    l->code = copy(a, data, "code");
    l->event = copy(a, data, "event");
    l->event_type = copy(a, data, "eventType");
    l->summary = copy(a, data, "original.value.summary");
}

/* NULL: the arena is full, which is said where the record is needed. */
static const struct klx_record *copy_record(struct klx_arena *a, const struct klx_record *r) {
    struct klx_record *to = klx_arena_alloc(a, sizeof(*to));
    struct klx_record_header *headers =
        klx_arena_alloc(a, (r->headers_n + 1) * sizeof(struct klx_record_header));
    if (to == NULL || headers == NULL) {
        return NULL;
    }
    *to = *r;
    to->topic = klx_arena_dup(a, klx_sv(r->topic)).p;
    to->key = klx_arena_dup(a, r->key);
    to->value = klx_arena_dup(a, r->value);
    to->headers = headers;
    for (size_t i = 0; i < r->headers_n; i++) {
        headers[i].name = klx_arena_dup(a, r->headers[i].name);
        headers[i].value = klx_arena_dup(a, r->headers[i].value);
    }
    return a->used_bytes < a->max_bytes / 2 && to->value.p != NULL ? to : NULL;
}

static void keep(struct klx_letters *all, struct entry *en, const struct klx_record *r) {
    if (all->keep == NULL || !all->keep(all->keep_arg, &en->letter) ||
        all->kept_bytes + r->value.n > KLX_LETTERS_KEPT_BYTES_MAX) {
        return;
    }
    en->letter.record = copy_record(&en->arena, r);
    en->kept_bytes = en->arena.used_bytes;
    all->kept_bytes += en->kept_bytes;
}

static void join(const struct klx_letters *all, struct klx_letter *l) {
    struct mark *m = NULL;
    HASH_FIND(hh, all->marks, l->id.p, l->id.n, m);
    if (m != NULL && klx_place_covers(m->mark.letter, l->place)) {
        l->state = m->mark.state;
        l->mark = m->mark;
    }
}

int klx_letters_put(struct klx_letters *all, const struct klx_record *r, struct klx_error *e) {
    struct klx_event event;
    const struct klx_json *data = NULL;
    klx_arena_reset(&all->scratch);
    int rc = klx_letter_data(&all->scratch, r, &data, e);
    if (rc != 0) {
        return rc;
    }
    rc = klx_event_decode(&all->scratch, r, &event, e);
    if (rc != 0) {
        return rc;
    }
    struct entry *en = NULL;
    HASH_FIND(hh, all->entries, event.id.p, event.id.n, en);
    if (en != NULL) {
        free_entry(all, en);
    }
    en = klx_alloc(struct entry);
    klx_arena_init(&en->arena, LETTER_BYTES, LETTER_BYTES_MAX);
    en->letter.id = klx_arena_dup(&en->arena, event.id);
    read_letter(&en->arena, r, data, &en->letter);
    HASH_ADD_KEYPTR(hh, all->entries, en->letter.id.p, en->letter.id.n, en);
    join(all, &en->letter);
    keep(all, en, r);
    return 0;
}

static int compare(const struct entry *a, const struct entry *b) {
    const struct klx_place *x = &a->letter.place, *y = &b->letter.place;
    if (x->partition != y->partition) {
        return x->partition < y->partition ? -1 : 1;
    }
    return (x->offset > y->offset) - (x->offset < y->offset);
}

void klx_letters_sort(struct klx_letters *all) {
    HASH_SORT(all->entries, compare);
}

void klx_letters_filter(struct klx_letters *all, klx_letter_keep_fn passes, const void *arg) {
    struct entry *en, *next;
    HASH_ITER(hh, all->entries, en, next) {
        if (!passes(arg, &en->letter)) {
            free_entry(all, en);
        }
    }
}

const struct klx_letter *klx_letters_next(const struct klx_letters *all,
                                          const struct klx_letter *l) {
    const struct entry *en =
        l == NULL
            ? all->entries
            : ((const struct entry *)((uintptr_t)l - offsetof(struct entry, letter)))->hh.next;
    return en != NULL ? &en->letter : NULL;
}

static void on_control(void *arg, const struct klx_record *r) {
    klx_letters_control(arg, r);
}

static void on_letter(void *arg, const struct klx_record *r) {
    struct klx_letters *all = arg;
    if (klx_letters_put(all, r, NULL) != 0) {
        all->unreadable++;
    }
}

int klx_letters_read(const char *command, const struct klx_cli_config *c, int64_t start_ms,
                     struct klx_letters *all) {
    int code = klx_cli_read(command, c, KLX_TOPIC_CONTROL, -1, on_control, all);
    if (code == KLX_EXIT_OK) {
        code = klx_cli_read(command, c, KLX_TOPIC_DLQ, start_ms, on_letter, all);
    }
    if (code == KLX_EXIT_OK && all->unreadable > 0) {
        fprintf(stderr, "%s: %zu records of %s are no dead letters, and are passed over\n", command,
                all->unreadable, c->settings.topics.name[KLX_TOPIC_DLQ]);
    }
    klx_letters_sort(all);
    return code;
}
