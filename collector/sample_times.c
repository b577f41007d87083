#include "collector/sample_times.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define VERSION 1
#define DIGEST_DIGITS 12 /* hexadecimal, of an object */
#define AGE_DIGITS 4     /* seconds before the newest of the record */
#define ENTRY_DIGITS (DIGEST_DIGITS + AGE_DIGITS)
#define AGE_MAX_S 0xffff
#define RECORD_BYTES_MAX (1u << 20)
#define RECORDS_MAX 65536 /* of one generation: an answer of many small chunks */

struct object {
    char digest[DIGEST_DIGITS + 1];
    int64_t time_s;
    unsigned answer; /* the last one that showed it */
    UT_hash_handle hh;
};

struct klx_sample_times {
    struct object *objects;
    size_t n;
    unsigned answer;
    bool full, news; /* of this answer */
    /* The generation that is written, and how many records each has. */
    unsigned generation;
    unsigned records[2];
    struct object **group; /* shown since the last flush */
    size_t group_n, group_room;
};

struct klx_sample_times *klx_sample_times_new(void) {
    struct klx_sample_times *t = klx_alloc(struct klx_sample_times);
    t->answer = 1;
    return t;
}

static void forget(struct klx_sample_times *t, struct object *o) {
    HASH_DEL(t->objects, o);
    t->n--;
    free(o);
}

void klx_sample_times_free(struct klx_sample_times *t) {
    struct object *o = NULL, *next = NULL;
    if (t == NULL) {
        return;
    }
    HASH_ITER(hh, t->objects, o, next) {
        forget(t, o);
    }
    free(t->group);
    free(t);
}

static struct object *find_or_add(struct klx_sample_times *t,
                                  const char digest[static DIGEST_DIGITS + 1]) {
    struct object *o = NULL;
    HASH_FIND_STR(t->objects, digest, o);
    if (o != NULL || t->n >= KLX_SAMPLE_TIMES_MAX) {
        return o;
    }
    o = klx_alloc(struct object);
    memcpy(o->digest, digest, sizeof(o->digest));
    o->time_s = INT64_MIN;
    HASH_ADD_STR(t->objects, digest, o);
    t->n++;
    return o;
}

static void add_to_group(struct klx_sample_times *t, struct object *o) {
    if (t->group_n == t->group_room) {
        size_t room = t->group_room > 0 ? 2 * t->group_room : 256;
        t->group = klx_grow_array(t->group, t->group_room, room, sizeof(struct object *));
        t->group_room = room;
    }
    t->group[t->group_n++] = o;
}

bool klx_sample_times_is_new(struct klx_sample_times *t, struct klx_sv object, int64_t time_us) {
    char text[KLX_HASH_TEXT_BYTES], digest[DIGEST_DIGITS + 1];
    klx_hash_parts(&object, 1, text);
    snprintf(digest, sizeof(digest), "%.*s", DIGEST_DIGITS, text);
    struct object *o = find_or_add(t, digest);
    if (o == NULL) {
        t->full = true;
        return false;
    }
    bool is_new = time_us / KLX_US_PER_S > o->time_s;
    o->time_s = is_new ? time_us / KLX_US_PER_S : o->time_s;
    t->news = t->news || is_new;
    if (o->answer != t->answer || is_new) {
        o->answer = t->answer;
        add_to_group(t, o);
    }
    return is_new;
}

bool klx_sample_times_is_full(const struct klx_sample_times *t) {
    return t->full;
}

static void write_group(const struct klx_sample_times *t, struct klx_buf *out) {
    int64_t newest_s = INT64_MIN;
    for (size_t i = 0; i < t->group_n; i++) {
        newest_s = t->group[i]->time_s > newest_s ? t->group[i]->time_s : newest_s;
    }
    klx_buf_printf(out, "{\"version\":%d,\"newest\":%" PRId64 ",\"seen\":\"", VERSION, newest_s);
    for (size_t i = 0; i < t->group_n; i++) {
        int64_t age_s = newest_s - t->group[i]->time_s;
        klx_buf_printf(out, "%s%04x", t->group[i]->digest,
                       (unsigned)(age_s < AGE_MAX_S ? age_s : AGE_MAX_S));
    }
    klx_buf_add_str(out, "\"}");
}

static void record_name(unsigned generation, unsigned number, char out[static 16]) {
    snprintf(out, 16, "%c%u", generation == 0 ? 'a' : 'b', number);
}

void klx_sample_times_flush(struct klx_sample_times *t, klx_sample_times_write_fn write,
                            void *arg) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    char name[16];
    klx_buf_init(&value, RECORD_BYTES_MAX);
    if (!t->news || t->group_n == 0) {
        return;
    }
    write_group(t, &value);
    record_name(t->generation, t->records[t->generation]++, name);
    write(arg, name, klx_buf_sv(&value));
    t->group_n = 0;
}

void klx_sample_times_end(struct klx_sample_times *t, klx_sample_times_write_fn write, void *arg) {
    struct object *o = NULL, *next = NULL;
    klx_sample_times_flush(t, write, arg);
    HASH_ITER(hh, t->objects, o, next) {
        if (o->answer != t->answer && t->news) {
            forget(t, o);
        }
    }
    if (t->news) {
        unsigned before = 1 - t->generation;
        for (unsigned i = 0; i < t->records[before]; i++) {
            char name[16];
            record_name(before, i, name);
            write(arg, name, klx_sv(NULL));
        }
        t->records[before] = 0;
        t->generation = before;
    }
    t->group_n = 0;
    t->answer++;
    t->news = false;
    t->full = false;
}

/* "a17" */
static int parse_name(struct klx_sv name, unsigned *ret_generation, unsigned *ret_number) {
    int64_t number = 0;
    if (name.n < 2 || (name.p[0] != 'a' && name.p[0] != 'b') ||
        klx_sv_int(klx_sv_n(name.p + 1, name.n - 1), &number) != 0 || number < 0 ||
        number >= RECORDS_MAX) {
        return -EBADMSG;
    }
    *ret_generation = name.p[0] == 'a' ? 0 : 1;
    *ret_number = (unsigned)number;
    return 0;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int restore_object(struct klx_sample_times *t, const char *entry, int64_t newest_s) {
    char digest[DIGEST_DIGITS + 1];
    int64_t age_s = 0;
    snprintf(digest, sizeof(digest), "%.*s", DIGEST_DIGITS, entry);
    for (size_t i = 0; i < ENTRY_DIGITS; i++) {
        int d = digit(entry[i]);
        if (d < 0) {
            return -EBADMSG;
        }
        age_s = i >= DIGEST_DIGITS ? age_s * 16 + d : 0;
    }
    struct object *o = find_or_add(t, digest);
    if (o != NULL && newest_s - age_s > o->time_s) {
        o->time_s = newest_s - age_s;
    }
    return 0;
}

/* Where the next answer is written: in the generation that is free. When an answer was broken off none is; it goes on behind one of them. */
static void choose_generation(struct klx_sample_times *t) {
    t->generation = t->records[0] > 0 && t->records[1] == 0 ? 1 : 0;
}

int klx_sample_times_restore(struct klx_sample_times *t, struct klx_sv name, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    unsigned generation = 0, number = 0;
    klx_arena_init(&arena, 4096, 4u << 20);
    if (parse_name(name, &generation, &number) != 0) {
        return -EBADMSG;
    }
    if (value.n ==
        0) { /* a generation is removed as a whole; what it said is out of date, but not wrong */
        t->records[generation] = 0;
        choose_generation(t);
        return 0;
    }
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    struct klx_sv seen = klx_json_str(v, "seen");
    for (size_t i = 0; i + ENTRY_DIGITS <= seen.n; i += ENTRY_DIGITS) {
        if (restore_object(t, seen.p + i, klx_json_int(v, "newest", 0)) != 0) {
            return -EBADMSG;
        }
    }
    t->records[generation] =
        number + 1 > t->records[generation] ? number + 1 : t->records[generation];
    choose_generation(t);
    return 0;
}
