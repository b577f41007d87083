#include "collector/listed_names.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"

#define NAME_BYTES 512 /* a namespace of 63, a name of 253; what is longer is no name */
#define ROOM_MIN 512

void klx_listed_names_begin(struct klx_listed_names *l, uint64_t seed) {
    l->n = 0;
    l->sorted = true;
    l->seed = seed;
}

void klx_listed_names_add(struct klx_listed_names *l, struct klx_sv namespace, struct klx_sv name) {
    char text[NAME_BYTES];
    int n = snprintf(text, sizeof(text), "%.*s%s%.*s", KLX_SV_FMT(namespace),
                     namespace.n > 0 ? "/" : "", KLX_SV_FMT(name));
    if (n <= 0 || (size_t)n >= sizeof(text)) {
        return;
    }
    if (l->n == l->room) {
        size_t room = l->room > 0 ? 2 * l->room : ROOM_MIN;
        l->hashes = klx_grow_array(l->hashes, l->room, room, sizeof(*l->hashes));
        l->room = room;
    }
    l->hashes[l->n++] = klx_hash_seeded(klx_sv_n(text, (size_t)n), l->seed);
    l->sorted = false;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

bool klx_listed_names_has(struct klx_listed_names *l, struct klx_sv name) {
    uint64_t hash = klx_hash_seeded(name, l->seed);
    if (l->n == 0) {
        return false;
    }
    if (!l->sorted) {
        qsort(l->hashes, l->n, sizeof(*l->hashes), compare);
        l->sorted = true;
    }
    return bsearch(&hash, l->hashes, l->n, sizeof(*l->hashes), compare) != NULL;
}

void klx_listed_names_forget(struct klx_listed_names *l) {
    free(l->hashes);
    *l = (struct klx_listed_names){ 0 };
}
