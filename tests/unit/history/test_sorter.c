/* Any number of items comes back in order, whatever fits into memory, and after a process that died. */
#include "tests/unit/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history/sorter.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define ITEMS 20000

/* Numbers in no order, the same each time. */
static uint64_t next_number(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static struct klx_sorter_key key_of(uint64_t *seed, int64_t i) {
    return (struct klx_sorter_key){ (int64_t)(next_number(seed) % 500) - 250, i,
                                    (uint32_t)(next_number(seed) % 3) };
}

static void add(struct klx_sorter *s, int from, int to, uint64_t *seed) {
    struct klx_error e = { 0 };
    char item[64];
    for (int i = from; i < to; i++) {
        struct klx_sorter_key k = key_of(seed, i);
        int n = snprintf(item, sizeof(item), "item %d of %lld", i, (long long)k.time_us);
        if (klx_sorter_add(s, &k, klx_sv_n(item, (size_t)(i % 10 == 0 ? 0 : n)), &e) != 0) {
            fail_msg("%s", e.text);
        }
    }
}

static bool is_before(const struct klx_sorter_key *a, const struct klx_sorter_key *b) {
    return a->time_us != b->time_us       ? a->time_us < b->time_us
           : a->partition != b->partition ? a->partition < b->partition
                                          : a->offset < b->offset;
}

/* Every item once, each after the one before. */
static void check(struct klx_sorter *s, int n) {
    struct klx_sorter_key last = { INT64_MIN, 0, 0 }, k;
    struct klx_sv item;
    bool more = true;
    char expected[64];
    bool *seen = klx_alloc_n(bool, (size_t)n);
    int count = 0;
    for (;;) {
        assert_int_equal(klx_sorter_next(s, &k, &item, &more, NULL), 0);
        if (!more) {
            break;
        }
        assert_true(is_before(&last, &k));
        assert_true(k.offset >= 0 && k.offset < n && !seen[k.offset]);
        seen[k.offset] = true;
        int len = snprintf(expected, sizeof(expected), "item %lld of %lld", (long long)k.offset,
                           (long long)k.time_us);
        assert_true(klx_sv_eq(item, klx_sv_n(expected, (size_t)(k.offset % 10 == 0 ? 0 : len))));
        last = k;
        count++;
    }
    free(seen);
    assert_int_equal(count, n);
}

static void items_come_back_in_order(void **state) {
    (void)state;
    static const struct {
        size_t memory;
        bool spills;
    } cases[] = { { 0, false }, { 256 << 10, true }, { 4096, true } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_sorter_options o = { .memory_max = cases[i].memory };
        struct klx_sorter *s = klx_sorter_new(&o);
        uint64_t seed = 1;
        add(s, 0, ITEMS, &seed);
        assert_int_equal(klx_sorter_items(s), ITEMS);
        assert_int_equal(klx_sorter_spilled_bytes(s) > 0, cases[i].spills);
        check(s, ITEMS);
        klx_sorter_free(s);
    }
}

static void nothing_is_in_order_too(void **state) {
    (void)state;
    struct klx_sorter *s = klx_sorter_new(&(struct klx_sorter_options){ .memory_max = 0 });
    check(s, 0);
    klx_sorter_free(s);
}

/* What a process writes down at each spill. */
struct diary {
    uint32_t runs[256];
    size_t n;
    size_t items;
    struct klx_sorter *sorter;
    size_t spills;
};

static int on_spill(void *arg, const uint32_t *runs, size_t n, struct klx_error *e) {
    struct diary *d = arg;
    (void)e;
    memcpy(d->runs, runs, n * sizeof(*runs));
    d->n = n;
    d->items = klx_sorter_items(d->sorter);
    d->spills++;
    return 0;
}

static size_t files_in(const char *folder) {
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2;
}

static void it_goes_on_with_what_was_written_down(void **state) {
    (void)state;
    char folder[] = "/tmp/klaxon-sorter-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct diary diary = { .n = 0 };
    const struct klx_sorter_options o = {
        .memory_max = 8192, .keep = folder, .on_spill = on_spill, .arg = &diary
    };
    uint64_t seed = 2;
    diary.sorter = klx_sorter_new(&o);
    add(diary.sorter, 0, ITEMS / 2, &seed);
    klx_sorter_free(diary.sorter); /* what was in memory is lost, as when it is killed */
    size_t kept = diary.items;
    assert_true(kept > 0 && kept < ITEMS / 2 && diary.n > 1);
    assert_int_equal(files_in(folder), diary.n);

    uint32_t left_over = diary.runs[diary.n - 1] + 1; /* written, but not written down */
    char path[64];
    snprintf(path, sizeof(path), "%s/run-%06u", folder, left_over);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    seed = 2;
    for (size_t i = 0; i < kept; i++) {
        (void)key_of(&seed, 0);
    }
    diary.sorter = klx_sorter_new(&o);
    assert_int_equal(klx_sorter_resume(diary.sorter, diary.runs, diary.n, NULL), 0);
    assert_int_equal(files_in(folder), diary.n);
    add(diary.sorter, (int)kept, ITEMS, &seed);
    check(diary.sorter, ITEMS);
    klx_sorter_free(diary.sorter);
    assert_int_equal(files_in(folder), 0);
    rmdir(folder);
}

static void many_runs_become_one(void **state) {
    (void)state;
    char folder[] = "/tmp/klaxon-sorter-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct diary diary = { .n = 0 };
    const struct klx_sorter_options o = {
        .memory_max = 2048, .keep = folder, .on_spill = on_spill, .arg = &diary
    };
    uint64_t seed = 3;
    diary.sorter = klx_sorter_new(&o);
    add(diary.sorter, 0, ITEMS, &seed);
    assert_true(diary.spills > 300 && diary.n < 130);
    assert_int_equal(files_in(folder), diary.n);
    check(diary.sorter, ITEMS);
    klx_sorter_free(diary.sorter);
    assert_int_equal(files_in(folder), 0);
    rmdir(folder);
}

static void what_cannot_be_written_or_read_is_said(void **state) {
    (void)state;
    struct klx_error e = { 0 };
    const struct klx_sorter_key k = { 1, 1, 1 };
    struct klx_sorter *s = klx_sorter_new(
        &(struct klx_sorter_options){ .memory_max = 1, .folder = "/nowhere/at/all" });
    assert_int_equal(klx_sorter_add(s, &k, KLX_SV("x"), &e), -ENOENT);
    assert_non_null(strstr(e.text, "cannot write a temporary file in /nowhere/at/all"));
    klx_sorter_free(s);

    char folder[] = "/tmp/klaxon-sorter-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    s = klx_sorter_new(&(struct klx_sorter_options){ .keep = folder });
    assert_int_equal(klx_sorter_resume(s, (const uint32_t[]){ 7 }, 1, &e), -ENOENT);
    klx_sorter_free(s);
    snprintf(path, sizeof(path), "%s/run-000007", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("neither a head nor an item", f);
    fclose(f);
    struct klx_sorter_key key;
    struct klx_sv item;
    bool more = false;
    s = klx_sorter_new(&(struct klx_sorter_options){ .keep = folder });
    assert_int_equal(klx_sorter_resume(s, (const uint32_t[]){ 7 }, 1, &e), 0);
    assert_int_equal(klx_sorter_next(s, &key, &item, &more, &e), -EBADMSG);
    klx_sorter_free(s);
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_back_in_order),
        cmocka_unit_test(nothing_is_in_order_too),
        cmocka_unit_test(it_goes_on_with_what_was_written_down),
        cmocka_unit_test(many_runs_become_one),
        cmocka_unit_test(what_cannot_be_written_or_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
