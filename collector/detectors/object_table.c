#include "collector/detectors/object_table.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define KEY_BYTES (64 + 254) /* of a namespace, of a name */

struct entry {
    UT_hash_handle hh;
    char key[KEY_BYTES];
    char written[KLX_HASH_TEXT_BYTES];
    _Alignas(max_align_t) unsigned char state[];
};

struct klx_object_table {
    const struct klx_object_kind *kind;
    struct entry *entries;
};

static struct entry *entry_of(const void *state) {
    return (struct entry *)((uintptr_t)state - offsetof(struct entry, state));
}

static void make_key(char key[static KEY_BYTES], struct klx_sv namespace, struct klx_sv name) {
    snprintf(key, KEY_BYTES, "%.*s%s%.*s", KLX_SV_FMT(namespace), namespace.n > 0 ? "/" : "",
             KLX_SV_FMT(name));
}

struct klx_object_table *klx_object_table_new(const struct klx_object_kind *kind) {
    struct klx_object_table *t = klx_alloc(struct klx_object_table);
    t->kind = kind;
    return t;
}

static void drop(struct klx_object_table *t, struct entry *e) {
    HASH_DEL(t->entries, e);
    free(e);
}

void klx_object_table_free(struct klx_object_table *t) {
    struct entry *e = NULL, *next = NULL;
    if (t == NULL) {
        return;
    }
    HASH_ITER(hh, t->entries, e, next) {
        drop(t, e);
    }
    free(t);
}

static struct entry *find_key(const struct klx_object_table *t, const char *key) {
    struct entry *e = NULL;
    HASH_FIND_STR(t->entries, key, e);
    return e;
}

void *klx_object_table_find(const struct klx_object_table *t, struct klx_sv namespace,
                            struct klx_sv name) {
    char key[KEY_BYTES];
    make_key(key, namespace, name);
    struct entry *e = find_key(t, key);
    return e != NULL ? e->state : NULL;
}

static struct entry *new_entry(const struct klx_object_table *t, const char *key) {
    struct entry *e = klx_new_bytes(sizeof(struct entry) + t->kind->state_bytes);
    snprintf(e->key, sizeof(e->key), "%s", key);
    return e;
}

static void insert(struct klx_object_table *t, struct entry *e) {
    HASH_ADD_STR(t->entries, key, e);
}

void *klx_object_table_add(struct klx_object_table *t, struct klx_sv namespace,
                           struct klx_sv name) {
    char key[KEY_BYTES];
    make_key(key, namespace, name);
    struct entry *e = new_entry(t, key);
    t->kind->init(e->state, namespace, name);
    insert(t, e);
    return e->state;
}

int klx_object_table_restore(struct klx_object_table *t, struct klx_sv object,
                             struct klx_sv value) {
    struct klx_sv name = object, namespace = klx_sv("");
    char key[KEY_BYTES];
    if (klx_sv_find(object, '/') < object.n) {
        namespace = klx_sv_cut(&name, '/');
    }
    if (name.n == 0 || object.n >= sizeof(key)) {
        return -EBADMSG;
    }
    make_key(key, namespace, name);
    struct entry *e = new_entry(t, key), *old = find_key(t, key);
    if (t->kind->read(e->state, namespace, name, value) != 0) {
        free(e);
        return -EBADMSG;
    }
    klx_hash_parts(&value, 1, e->written);
    if (old != NULL) {
        drop(t, old);
    }
    insert(t, e);
    return 0;
}

void klx_object_table_save(struct klx_object_table *t, struct klx_news_call *c, void *state) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    struct entry *e = entry_of(state);
    klx_buf_init(&value, t->kind->record_bytes_max);
    t->kind->write(state, &value);
    klx_news_save(c, e->key, klx_buf_sv(&value), e->written);
}

void klx_object_table_forget(struct klx_object_table *t, struct klx_news_call *c, void *state) {
    struct entry *e = entry_of(state);
    klx_news_save(c, e->key, klx_sv(""), e->written);
    drop(t, e);
}

void *klx_object_table_first(const struct klx_object_table *t) {
    return t->entries != NULL ? t->entries->state : NULL;
}

void *klx_object_table_next(const void *state) {
    struct entry *next = entry_of(state)->hh.next;
    return next != NULL ? next->state : NULL;
}

const char *klx_object_table_key(const void *state) {
    return entry_of(state)->key;
}
