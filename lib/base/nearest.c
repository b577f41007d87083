#include <stdio.h>
#include <string.h>

#include "lib/base/config.h"

#define WORD_BYTES_MAX 63

/* Edit distance (insert, delete, replace, swap of neighbours counts two), one row at a time. */
static size_t distance(struct klx_sv a, struct klx_sv b) {
    size_t row[WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t replace = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            size_t insert_or_delete = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replace < insert_or_delete ? replace : insert_or_delete;
        }
    }
    return row[b.n];
}

const char *klx_config_nearest(struct klx_sv word, const char *const *candidates, size_t n) {
    if (word.n > WORD_BYTES_MAX) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = word.n / 3 + 2;
    for (size_t i = 0; i < n; i++) {
        struct klx_sv candidate = klx_sv(candidates[i]);
        size_t d = candidate.n <= WORD_BYTES_MAX ? distance(word, candidate) : SIZE_MAX;
        if (d < best_distance) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}

struct klx_config_hint klx_config_hint(struct klx_sv word, const char *const *candidates,
                                       size_t n) {
    struct klx_config_hint hint = { "" };
    const char *near = klx_config_nearest(word, candidates, n);
    if (near != NULL) {
        snprintf(hint.text, sizeof(hint.text), ", did you mean \"%s\"?", near);
    }
    return hint;
}
