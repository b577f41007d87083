#include "history/sorter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "history/run.h"
#include "lib/base/mem.h"

#define RUNS_MAX 128 /* then they are merged into one: each needs a buffer and a file */
#define NAME "run-%06u"

/* An item in memory. */
struct entry {
    struct klx_sorter_key key;
    uint32_t bytes;
    size_t at;
};

struct klx_sorter {
    size_t memory_max;
    char *folder, *keep;
    int (*on_spill)(void *arg, const uint32_t *runs, size_t n, struct klx_error *e);
    void *arg;
    struct entry *entries;
    size_t n, room;
    char *text; /* of all entries */
    size_t text_bytes, text_room;
    struct klx_run *runs;
    size_t runs_n;
    uint32_t last_run; /* its number */
    size_t spilled_items;

    /* Handing out. */
    enum { ADDING, HANDING_OUT, EMPTY } state;
    size_t next;  /* of the entries */
    size_t *heap; /* of runs, the first item first */
    size_t heap_n;
};

struct klx_sorter *klx_sorter_new(const struct klx_sorter_options *o) {
    struct klx_sorter *s = klx_alloc(struct klx_sorter);
    const char *folder = o->folder != NULL ? o->folder : getenv("TMPDIR");
    s->memory_max = o->memory_max > 0 ? o->memory_max : KLX_SORTER_MEMORY_MAX;
    s->folder = klx_strdup(folder != NULL && folder[0] != '\0' ? folder : "/var/tmp");
    s->keep = o->keep != NULL ? klx_strdup(o->keep) : NULL;
    s->on_spill = o->on_spill;
    s->arg = o->arg;
    s->runs = klx_alloc_n(struct klx_run, RUNS_MAX + 1);
    return s;
}

void klx_sorter_free(struct klx_sorter *s) {
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->runs_n; i++) {
        klx_run_close(&s->runs[i], s->keep == NULL || s->state == EMPTY);
    }
    free(s->runs);
    free(s->entries);
    free(s->text);
    free(s->heap);
    free(s->folder);
    free(s->keep);
    free(s);
}

static int compare(const struct klx_sorter_key *a, const struct klx_sorter_key *b) {
    if (a->time_us != b->time_us) {
        return a->time_us < b->time_us ? -1 : 1;
    }
    if (a->partition != b->partition) {
        return a->partition < b->partition ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int compare_entries(const void *a, const void *b) {
    return compare(&((const struct entry *)a)->key, &((const struct entry *)b)->key);
}

static void sort(struct klx_sorter *s) {
    if (s->n > 0) {
        qsort(s->entries, s->n, sizeof(*s->entries), compare_entries);
    }
}

static char *run_path(const struct klx_sorter *s, uint32_t number) {
    return s->keep != NULL ? klx_asprintf("%s/" NAME, s->keep, number) : NULL;
}

static int create_run(struct klx_sorter *s, struct klx_run *ret, struct klx_error *e) {
    uint32_t number = s->last_run + 1;
    int rc = klx_run_create(ret, s->folder, run_path(s, number), e);
    ret->number = number;
    if (rc != 0) {
        klx_run_close(ret, false);
        return rc;
    }
    s->last_run = number;
    return 0;
}

/* Tells the owner which runs are there now. */
static int tell(struct klx_sorter *s, struct klx_error *e) {
    uint32_t numbers[RUNS_MAX + 1];
    for (size_t i = 0; i < s->runs_n; i++) {
        numbers[i] = s->runs[i].number;
    }
    return s->keep != NULL && s->on_spill != NULL ? s->on_spill(s->arg, numbers, s->runs_n, e) : 0;
}

static bool is_before(const struct klx_sorter *s, size_t a, size_t b) {
    return compare(&s->runs[a].key, &s->runs[b].key) < 0;
}

static void sift_down(struct klx_sorter *s, size_t i) {
    for (;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        least = left < s->heap_n && is_before(s, s->heap[left], s->heap[least]) ? left : least;
        least = right < s->heap_n && is_before(s, s->heap[right], s->heap[least]) ? right : least;
        if (least == i) {
            return;
        }
        size_t run = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = run;
        i = least;
    }
}

static int begin_merge(struct klx_sorter *s, struct klx_error *e) {
    free(s->heap);
    s->heap = klx_alloc_n(size_t, s->runs_n + 1);
    s->heap_n = 0;
    for (size_t i = 0; i < s->runs_n; i++) {
        int rc = klx_run_next(&s->runs[i], e);
        if (rc != 0) {
            return rc;
        }
        if (!s->runs[i].ended) {
            s->heap[s->heap_n++] = i;
        }
    }
    for (size_t i = s->heap_n / 2; i-- > 0;) {
        sift_down(s, i);
    }
    return 0;
}

/* The run at the top goes on to its next item. */
static int advance(struct klx_sorter *s, struct klx_error *e) {
    struct klx_run *r = &s->runs[s->heap[0]];
    int rc = klx_run_next(r, e);
    if (rc == 0 && r->ended) {
        s->heap[0] = s->heap[--s->heap_n];
    }
    if (rc == 0) {
        sift_down(s, 0);
    }
    return rc;
}

static int merge_into(struct klx_sorter *s, struct klx_run *to, struct klx_error *e) {
    int rc = begin_merge(s, e);
    while (rc == 0 && s->heap_n > 0) {
        const struct klx_run *first = &s->runs[s->heap[0]];
        rc = klx_run_put(to, &first->key, first->item, e);
        rc = rc == 0 ? advance(s, e) : rc;
    }
    return rc == 0 ? klx_run_finish(to, s->keep != NULL, e) : rc;
}

/* The old ones go when the owner knows of the new one. */
static int merge_runs(struct klx_sorter *s, struct klx_error *e) {
    struct klx_run merged = { .fd = -1 };
    struct klx_run *old = klx_alloc_n(struct klx_run, RUNS_MAX + 1);
    int rc = create_run(s, &merged, e);
    rc = rc == 0 ? merge_into(s, &merged, e) : rc;
    if (rc != 0) {
        klx_run_close(&merged, true);
        free(old);
        return rc;
    }
    size_t old_n = s->runs_n;
    memcpy(old, s->runs, old_n * sizeof(*old));
    s->runs[0] = merged;
    s->runs_n = 1;
    rc = tell(s, e);
    for (size_t i = 0; i < old_n; i++) {
        klx_run_close(&old[i], rc == 0);
    }
    free(old);
    return rc;
}

int klx_sorter_flush(struct klx_sorter *s, struct klx_error *e) {
    if (s->n == 0) {
        return 0;
    }
    struct klx_run *r = &s->runs[s->runs_n];
    int rc = create_run(s, r, e);
    if (rc != 0) {
        return rc;
    }
    sort(s);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const struct entry *entry = &s->entries[i];
        rc = klx_run_put(r, &entry->key, klx_sv_n(s->text + entry->at, entry->bytes), e);
    }
    rc = rc == 0 ? klx_run_finish(r, s->keep != NULL, e) : rc;
    if (rc != 0) {
        klx_run_close(r, true);
        return rc;
    }
    s->runs_n++;
    s->spilled_items += s->n;
    s->n = 0;
    s->text_bytes = 0;
    rc = tell(s, e);
    return rc == 0 && s->runs_n == RUNS_MAX ? merge_runs(s, e) : rc;
}

/* Memory grows as it is needed, up to the maximum and one item. */
static void make_room(struct klx_sorter *s, size_t bytes) {
    if (s->n == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 1024;
        s->entries = klx_grow_array(s->entries, s->room, room, sizeof(*s->entries));
        s->room = room;
    }
    if (s->text_bytes + bytes > s->text_room) {
        size_t room = s->text_room > 0 ? 2 * s->text_room : 65536;
        room = room > s->memory_max ? s->memory_max : room;
        room = room < s->text_bytes + bytes ? s->text_bytes + bytes : room;
        s->text = klx_grow_array(s->text, s->text_room, room, 1);
        s->text_room = room;
    }
}

/* What is full is written with the item in hand: on_spill speaks of all that has been added. */
int klx_sorter_add(struct klx_sorter *s, const struct klx_sorter_key *k, struct klx_sv item,
                   struct klx_error *e) {
    make_room(s, item.n);
    if (item.n > 0) {
        memcpy(s->text + s->text_bytes, item.p, item.n);
    }
    s->entries[s->n++] = (struct entry){ *k, (uint32_t)item.n, s->text_bytes };
    s->text_bytes += item.n;
    return s->text_bytes + s->n * sizeof(struct entry) >= s->memory_max ? klx_sorter_flush(s, e)
                                                                        : 0;
}

/* A number of a run's name, or 0. */
static uint32_t run_number(const char *name) {
    int64_t number = 0;
    struct klx_sv text = klx_sv(name), prefix = KLX_SV("run-");
    return klx_sv_starts(text, prefix) &&
                   klx_sv_int(klx_sv_n(text.p + prefix.n, text.n - prefix.n), &number) == 0 &&
                   number > 0 && number < UINT32_MAX
               ? (uint32_t)number
               : 0;
}

static bool is_among(uint32_t number, const uint32_t *runs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (runs[i] == number) {
            return true;
        }
    }
    return false;
}

static void remove_others(const struct klx_sorter *s, const uint32_t *runs, size_t n) {
    DIR *dir = opendir(s->keep);
    const struct dirent *d = dir != NULL ? readdir(dir) : NULL;
    for (; d != NULL; d = readdir(dir)) {
        uint32_t number = run_number(d->d_name);
        if (number > 0 && !is_among(number, runs, n)) {
            char *path = run_path(s, number);
            unlink(path);
            free(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

int klx_sorter_resume(struct klx_sorter *s, const uint32_t *runs, size_t n, struct klx_error *e) {
    if (n > RUNS_MAX) {
        return klx_fail(e, -EBADMSG, "there are more runs than there can be");
    }
    for (size_t i = 0; i < n; i++) {
        struct klx_run *r = &s->runs[s->runs_n];
        int rc = klx_run_open(r, run_path(s, runs[i]), e);
        if (rc != 0) {
            klx_run_close(r, false);
            return rc;
        }
        r->number = runs[i];
        s->last_run = runs[i] > s->last_run ? runs[i] : s->last_run;
        s->runs_n++;
    }
    remove_others(s, runs, n);
    return 0;
}

/* From memory alone when it all fits, or one run more. */
static int begin_handing_out(struct klx_sorter *s, struct klx_error *e) {
    int rc = 0;
    if (s->runs_n > 0) {
        rc = klx_sorter_flush(s, e);
        free(s->entries);
        free(s->text);
        s->entries = NULL;
        s->text = NULL;
        s->room = s->text_room = 0;
        rc = rc == 0 ? begin_merge(s, e) : rc;
    } else {
        sort(s);
    }
    s->state = rc == 0 ? HANDING_OUT : s->state;
    return rc;
}

int klx_sorter_next(struct klx_sorter *s, struct klx_sorter_key *ret_key, struct klx_sv *ret_item,
                    bool *ret_more, struct klx_error *e) {
    bool first = s->state == ADDING;
    int rc = first ? begin_handing_out(s, e) : 0;
    *ret_more = false;
    if (rc == 0 && !first && s->runs_n > 0 && s->heap_n > 0) {
        rc = advance(s, e);
    }
    if (rc != 0) {
        return rc;
    }
    if (s->runs_n == 0 ? s->next == s->n : s->heap_n == 0) {
        s->state = EMPTY;
        return 0;
    }
    if (s->runs_n > 0) {
        *ret_key = s->runs[s->heap[0]].key;
        *ret_item = s->runs[s->heap[0]].item;
    } else {
        const struct entry *entry = &s->entries[s->next++];
        *ret_key = entry->key;
        *ret_item = klx_sv_n(s->text + entry->at, entry->bytes);
    }
    *ret_more = true;
    return 0;
}

size_t klx_sorter_items(const struct klx_sorter *s) {
    return s->spilled_items + s->n;
}

size_t klx_sorter_spilled_bytes(const struct klx_sorter *s) {
    size_t bytes = 0;
    for (size_t i = 0; i < s->runs_n; i++) {
        bytes += s->runs[i].bytes;
    }
    return bytes;
}
