/*
 * What a detector remembers of each object: a state of the detector's own struct, found by "namespace/name" (only the name where the object
 * has no namespace), with its record in `klaxon.state`, which is written when it changed.
 *
 * A state is owned by the table, stays where it is, and lives until it is forgotten or the table is released.
 */
#pragma once

#include "collector/detectors/news.h"

struct klx_object_table;

/* What a table has to know of the states in it. */
struct klx_object_kind {
    size_t state_bytes;
    size_t record_bytes_max; /* of what `write` writes, at most */
    /* Of an object that nothing is known of. */
    void (*init)(void *state, struct klx_sv namespace, struct klx_sv name);
    void (*write)(const void *state, struct klx_buf *out);
    /* Fills all of a state from what `write` wrote; -EBADMSG when it is not that. */
    int (*read)(void *state, struct klx_sv namespace, struct klx_sv name, struct klx_sv value);
};

/* `kind` is borrowed for the table's life. */
struct klx_object_table *klx_object_table_new(const struct klx_object_kind *kind);
void klx_object_table_free(struct klx_object_table *t);

/* NULL: nothing is remembered of it. */
void *klx_object_table_find(const struct klx_object_table *t, struct klx_sv namespace,
                            struct klx_sv name);
/* The object must not be there. */
void *klx_object_table_add(struct klx_object_table *t, struct klx_sv namespace, struct klx_sv name);
/* klx_detector_ops.restore: `object` is the end of a record's key. -EBADMSG when the value, or the object, cannot be read. */
int klx_object_table_restore(struct klx_object_table *t, struct klx_sv object,
                             struct klx_sv value) KLX_MUST_CHECK;
/* Writes the record of a state, unless it is as it was written last. */
void klx_object_table_save(struct klx_object_table *t, struct klx_news_call *c, void *state);
/* Removes a state and its record. */
void klx_object_table_forget(struct klx_object_table *t, struct klx_news_call *c, void *state);

/* Every state once, in no order. The one that is looked at may be forgotten once the next was taken. */
void *klx_object_table_first(const struct klx_object_table *t);
void *klx_object_table_next(const void *state);
/* "namespace/name" of a state in a table. */
const char *klx_object_table_key(const void *state);
