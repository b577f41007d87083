/*
 * The names that a list has shown, to tell what has vanished: 8 bytes each, however long they are.
 *
 * A name is known by its 64-bit hash, with a seed of the list's own: of a million names, one that has vanished is taken for one that is there
 * once in 10^13 lists. Embedded by value; released by klx_listed_names_forget.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/sv.h"

struct klx_listed_names {
    uint64_t *hashes;
    size_t n, room;
    uint64_t seed;
    bool sorted;
};

/* Empty again. */
void klx_listed_names_begin(struct klx_listed_names *l, uint64_t seed);
/* "namespace/name", or "name" where there is no namespace. */
void klx_listed_names_add(struct klx_listed_names *l, struct klx_sv namespace, struct klx_sv name);
/* A name in that form. */
bool klx_listed_names_has(struct klx_listed_names *l, struct klx_sv name);
void klx_listed_names_forget(struct klx_listed_names *l);
