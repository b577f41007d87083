#include "sinks/core/message.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/edition.h"

#define CHUNK_BYTES 4096 /* most events fit, parsed */
#define FREE_MAX 64 /* messages kept for the next records, with their first chunk */

static const struct klx_json_limits data_limits = { .bytes_max = 4u << 20,
                                                    .depth_max = KLX_MESSAGE_DEPTH_MAX };

struct klx_message_pool {
    void (*on_done)(void *arg, struct klx_message *m);
    void *arg;
    struct klx_message *free;
    size_t free_n;
    size_t alive;
    size_t bytes;
};

struct klx_message_pool *klx_message_pool_new(void (*on_done)(void *arg, struct klx_message *m),
                                              void *arg) {
    struct klx_message_pool *p = klx_alloc(struct klx_message_pool);
    p->on_done = on_done;
    p->arg = arg;
    return p;
}

static void free_message(struct klx_message *m) {
    klx_arena_release(&m->arena);
    free(m);
}

void klx_message_pool_free(struct klx_message_pool *p) {
    if (p == NULL) {
        return;
    }
    assert(p->alive == 0);
    while (p->free != NULL) {
        struct klx_message *next = p->free->next_free;
        free_message(p->free);
        p->free = next;
    }
    free(p);
}

size_t klx_message_pool_bytes(const struct klx_message_pool *p) {
    return p->bytes;
}

static struct klx_message *take(struct klx_message_pool *p) {
    struct klx_message *m = p->free;
    if (m != NULL) {
        p->free = m->next_free;
        p->free_n--;
    } else {
        m = klx_alloc(struct klx_message);
        klx_arena_init(&m->arena, CHUNK_BYTES, KLX_MESSAGE_BYTES_MAX);
    }
    p->alive++;
    return m;
}

static void count_bytes(struct klx_message *m) {
    size_t now = m->arena.held_bytes + sizeof(*m);
    m->pool->bytes += now - m->bytes;
    m->bytes = now;
}

static void give_back(struct klx_message *m) {
    struct klx_message_pool *p = m->pool;
    p->alive--;
    p->bytes -= m->bytes;
    klx_edition_unref(m->edition);
    klx_arena_reset(&m->arena);
    if (p->free_n >= FREE_MAX || m->arena.held_bytes > CHUNK_BYTES) {
        free_message(m);
        return;
    }
    *m = (struct klx_message){ .arena = m->arena, .next_free = p->free };
    p->free = m;
    p->free_n++;
}

struct klx_message *klx_message_new(struct klx_message_pool *p, const struct klx_record *r) {
    struct klx_message *m = take(p);
    m->pool = p;
    m->record = *r;
    m->record.topic = klx_arena_dup(&m->arena, klx_sv(r->topic)).p;
    assert(m->record.topic != NULL);
    m->refs = 1;
    count_bytes(m);
    return m;
}

int klx_message_decode(struct klx_message *m, struct klx_error *e) {
    int rc = klx_event_decode(&m->arena, &m->record, &m->event, e);
    count_bytes(m);
    return rc;
}

static bool copy_record(struct klx_message *m) {
    struct klx_arena *a = &m->arena;
    struct klx_record *r = &m->record;
    struct klx_record_header *headers = klx_arena_alloc(a, r->headers_n * sizeof(*headers));
    bool whole = headers != NULL || r->headers_n == 0;
    for (size_t i = 0; whole && i < r->headers_n; i++) {
        headers[i] = (struct klx_record_header){ klx_arena_dup(a, r->headers[i].name),
                                                 klx_arena_dup(a, r->headers[i].value) };
        whole = headers[i].name.p != NULL && headers[i].value.p != NULL;
    }
    struct klx_sv key = klx_arena_dup(a, r->key), value = klx_arena_dup(a, r->value);
    if (!whole || key.p == NULL || value.p == NULL) {
        return false;
    }
    r->headers = headers;
    r->key = key;
    r->value = value;
    return true;
}

int klx_message_keep(struct klx_message *m, struct klx_error *e) {
    bool whole = copy_record(m);
    int rc = whole ? klx_event_decode(&m->arena, &m->record, &m->event, e)
                   : klx_fail(e, -EBADMSG, "the record is larger than klaxon carries");
    if (rc == 0 && klx_json_parse(&m->arena, m->event.data, &data_limits, &m->data, e) != 0) {
        rc = klx_fail_in(e, -EBADMSG, "the data of the event %.*s", KLX_SV_FMT(m->event.id));
    }
    if (rc == 0 && !klx_json_is_object(m->data)) {
        rc = klx_fail(e, -EBADMSG, "the data of the event %.*s is not a JSON object",
                      KLX_SV_FMT(m->event.id));
    }
    count_bytes(m);
    return rc;
}

void klx_message_use(struct klx_message *m, struct klx_edition *e) {
    struct klx_edition *before = m->edition;
    m->edition = e != NULL ? klx_edition_ref(e) : NULL;
    klx_edition_unref(before);
}

struct klx_message *klx_message_ref(struct klx_message *m) {
    m->refs++;
    return m;
}

void klx_message_unref(struct klx_message *m) {
    m->refs--;
    if (m->refs == 0) {
        m->pool->on_done(m->pool->arg, m);
        give_back(m);
    }
}

void klx_message_abandon(struct klx_message *m) {
    m->abandoned = true;
    klx_message_unref(m);
}
