#include "lib/base/zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/zone_rule.h"

#define NAME_BYTES_MAX 64
#define FILE_BYTES_MAX 65536
#define HEADER_BYTES 44
#define TYPES_MAX 256

struct klx_zone {
    char *name;
    int64_t *changes; /* unix seconds, rising */
    uint8_t *types_of;
    size_t changes_n;
    struct klx_zone_period *types; /* [0]: before the first change */
    size_t types_n;
    struct klx_zone_rule rule; /* after the last change */
    bool has_rule;
};

/* Names go into a path. */
static bool is_name(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && memchr("_+-/", s.p[i], 4) == NULL) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX && s.p[0] != '/';
}

static int read_file(const char *path, struct klx_buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char bytes[4096];
    ssize_t n = 0;
    do {
        n = read(fd, bytes, sizeof(bytes));
        klx_buf_add(out, bytes, n > 0 ? (size_t)n : 0);
    } while (n > 0 && !out->failed);
    int rc = n < 0 ? -errno : klx_buf_check(out);
    close(fd);
    return rc;
}

static int64_t big_endian(const char *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | (uint8_t)p[i];
    }
    return n == 4 ? (int64_t)(int32_t)(uint32_t)v : (int64_t)v;
}

/* The counts of a header, and how long the block behind it is. */
struct header {
    size_t utc, standard, leaps, changes, types, characters;
    size_t block_bytes;
};

static bool read_header(struct klx_sv *s, size_t time_bytes, struct header *ret) {
    size_t counts[6];
    if (s->n < HEADER_BYTES || memcmp(s->p, "TZif", 4) != 0) {
        return false;
    }
    for (size_t i = 0; i < KLX_COUNT(counts); i++) {
        int64_t n = big_endian(s->p + 20 + 4 * i, 4);
        if (n < 0 || n > FILE_BYTES_MAX) {
            return false;
        }
        counts[i] = (size_t)n;
    }
    *ret = (struct header){ counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], 0 };
    ret->block_bytes = ret->changes * (time_bytes + 1) + ret->types * 6 + ret->characters +
                       ret->leaps * (time_bytes + 4) + ret->standard + ret->utc;
    *s = klx_sv_n(s->p + HEADER_BYTES, s->n - HEADER_BYTES);
    return s->n >= ret->block_bytes;
}

static bool read_types(struct klx_zone *z, const char *types, const char *characters,
                       const struct header *h) {
    z->types_n = h->types;
    z->types = klx_alloc_n(struct klx_zone_period, h->types);
    for (size_t i = 0; i < h->types; i++) {
        size_t at = (uint8_t)types[6 * i + 5];
        if (at >= h->characters) {
            return false;
        }
        z->types[i].offset_s = (int32_t)big_endian(types + 6 * i, 4);
        snprintf(z->types[i].abbreviation, sizeof(z->types[i].abbreviation), "%.*s",
                 (int)(h->characters - at), characters + at);
    }
    return true;
}

static bool read_changes(struct klx_zone *z, struct klx_sv block, const struct header *h) {
    const char *types_of = block.p + 8 * h->changes;
    z->changes_n = h->changes;
    z->changes = klx_alloc_n(int64_t, h->changes);
    z->types_of = klx_alloc_n(uint8_t, h->changes);
    for (size_t i = 0; i < h->changes; i++) {
        z->changes[i] = big_endian(block.p + 8 * i, 8);
        z->types_of[i] = (uint8_t)types_of[i];
        if (z->types_of[i] >= h->types || (i > 0 && z->changes[i] <= z->changes[i - 1])) {
            return false;
        }
    }
    return true;
}

/* Version 2 and later: the same twice, the second time with times of 64 bits, then a line with the rule. */
static bool read_zone(struct klx_zone *z, struct klx_sv s) {
    struct header h;
    bool has_second = s.n >= HEADER_BYTES && s.p[4] >= '2';
    if (!has_second || !read_header(&s, 4, &h)) {
        return false;
    }
    s = klx_sv_n(s.p + h.block_bytes, s.n - h.block_bytes);
    if (!read_header(&s, 8, &h) || h.types == 0 || h.types > TYPES_MAX) {
        return false;
    }
    const char *types = s.p + 9 * h.changes;
    if (!read_changes(z, s, &h) || !read_types(z, types, types + 6 * h.types, &h)) {
        return false;
    }
    struct klx_sv rule = klx_sv_trim(klx_sv_n(s.p + h.block_bytes, s.n - h.block_bytes));
    z->has_rule = rule.n > 0;
    return !z->has_rule || klx_zone_rule_parse(rule, &z->rule) == 0;
}

static int load(struct klx_zone *z, const char *path, struct klx_error *e) {
    struct klx_buf file KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&file, FILE_BYTES_MAX);
    int rc = read_file(path, &file);
    if (rc == 0 && !read_zone(z, klx_buf_sv(&file))) {
        return klx_fail(e, -EINVAL, "%s is no file of a time zone", path);
    }
    return rc == 0 ? 0
                   : klx_fail(e, -ENOENT,
                              "there is no time zone \"%s\" in %s: a name is as in "
                              "\"Europe/Berlin\", and the package tzdata has them",
                              z->name, path);
}

int klx_zone_new(struct klx_sv name, struct klx_zone **ret, struct klx_error *e) {
    if (!is_name(name)) {
        return klx_fail(e, -EINVAL, "\"%.*s\" is no name of a time zone, as \"Europe/Berlin\" is",
                        KLX_SV_FMT(klx_sv_utf8_prefix(name, NAME_BYTES_MAX)));
    }
    struct klx_zone *z = klx_alloc(struct klx_zone);
    z->name = klx_sv_dup(name);
    if (!klx_sv_eq(name, KLX_SV("UTC"))) {
        const char *directory = getenv("TZDIR");
        char *path KLX_CLEANUP(klx_free_p) =
            klx_asprintf("%s/%s", directory != NULL ? directory : "/usr/share/zoneinfo", z->name);
        int rc = load(z, path, e);
        if (rc != 0) {
            klx_zone_free(z);
            return rc;
        }
    }
    *ret = z;
    return 0;
}

void klx_zone_free(struct klx_zone *z) {
    if (z != NULL) {
        free(z->name);
        free(z->changes);
        free(z->types_of);
        free(z->types);
        free(z);
    }
}

const char *klx_zone_name(const struct klx_zone *z) {
    return z != NULL ? z->name : "UTC";
}

static const struct klx_zone_period *period_at(const struct klx_zone *z, int64_t unix_s) {
    static const struct klx_zone_period utc = { 0, "UTC" };
    if (z == NULL || z->types_n == 0) {
        return &utc;
    }
    size_t from = 0, to = z->changes_n; /* changes[from - 1] <= unix_s < changes[to] */
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (z->changes[middle] <= unix_s) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if (from == z->changes_n && z->has_rule) {
        return klx_zone_rule_at(&z->rule, unix_s);
    }
    return &z->types[from > 0 ? z->types_of[from - 1] : 0];
}

void klx_zone_at(const struct klx_zone *z, int64_t us, struct klx_zone_time *ret) {
    int64_t unix_s = us / KLX_US_PER_S - (us % KLX_US_PER_S < 0);
    const struct klx_zone_period *p = period_at(z, unix_s);
    int64_t local = unix_s + p->offset_s;
    int64_t days = local / 86400 - (local % 86400 < 0);
    int64_t rest = local - days * 86400;
    *ret = (struct klx_zone_time){ .hour = (int)(rest / 3600),
                                   .minute = (int)(rest / 60 % 60),
                                   .second = (int)(rest % 60),
                                   .weekday = (int)(((days + 4) % 7 + 7) % 7),
                                   .offset_s = p->offset_s };
    klx_date_from_days(days, &ret->year, &ret->month, &ret->day);
    snprintf(ret->abbreviation, sizeof(ret->abbreviation), "%s", p->abbreviation);
}

size_t klx_zone_format(const struct klx_zone *z, int64_t us, char out[static KLX_TIME_TEXT_BYTES]) {
    struct klx_zone_time t;
    out[0] = '\0';
    if (us == KLX_TIME_NONE) {
        return 0;
    }
    klx_zone_at(z, us, &t);
    int n = snprintf(out, KLX_TIME_TEXT_BYTES, "%04d-%02d-%02d %02d:%02d:%02d %s", t.year, t.month,
                     t.day, t.hour, t.minute, t.second, t.abbreviation);
    return n < KLX_TIME_TEXT_BYTES ? (size_t)n : KLX_TIME_TEXT_BYTES - 1;
}
