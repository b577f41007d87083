#include "lib/base/span.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/time.h"

#define US_PER_DAY (INT64_C(86400) * KLX_US_PER_S)

/* What the clock of the zone shows at an instant, as if that were UTC. */
static int64_t wall_of(const struct klx_zone *zone, int64_t us) {
    struct klx_zone_time t;
    klx_zone_at(zone, us, &t);
    return us + t.offset_s * KLX_US_PER_S;
}

/* Offsets change at most once in two days, so one of the two that hold a day before and a day after is that of the instant. */
static int64_t instant_of(const struct klx_zone *zone, int64_t wall_us) {
    struct klx_zone_time before, after;
    klx_zone_at(zone, wall_us - US_PER_DAY, &before);
    klx_zone_at(zone, wall_us + US_PER_DAY, &after);
    int64_t early = wall_us - before.offset_s * KLX_US_PER_S;
    int64_t late = wall_us - after.offset_s * KLX_US_PER_S;
    return wall_of(zone, early) == wall_us || wall_of(zone, late) != wall_us ? early : late;
}

static bool is_date_without_zone(struct klx_sv text) {
    int64_t unused = 0;
    return text.n >= 10 && text.p[4] == '-' && text.p[7] == '-' &&
           klx_time_parse(text, &unused) != 0;
}

static bool is_day(struct klx_sv text) {
    return klx_sv_eq(text, KLX_SV("today")) || klx_sv_eq(text, KLX_SV("yesterday"));
}

int klx_span_time(struct klx_sv text, const struct klx_zone *zone, int64_t now_us, int64_t *ret_us,
                  struct klx_error *e) {
    bool on_the_wall = is_day(text) || is_date_without_zone(text);
    int64_t us = 0, now = on_the_wall ? wall_of(zone, now_us) : now_us;
    int rc = klx_time_parse_human(text, now, &us, e);
    if (rc == 0) {
        *ret_us = on_the_wall ? instant_of(zone, us) : us;
    }
    return rc;
}

static bool is_duration(struct klx_sv text, int64_t *ret_us) {
    int64_t ms = 0;
    bool is = klx_duration_parse(text, &ms) == 0 && ms < INT64_MAX / 2000;
    *ret_us = is ? ms * KLX_US_PER_MS : 0;
    return is;
}

/* "2h", "-2h", "now", "now-2h": counted from now. */
static bool is_relative(struct klx_sv text) {
    int64_t unused = 0;
    return is_duration(text, &unused) || klx_sv_starts(text, KLX_SV("-")) ||
           klx_sv_starts(text, KLX_SV("now"));
}

/* What a range is read with. */
struct reading {
    const struct klx_zone *zone;
    int64_t now_us;
};

static int read_both(const struct reading *r, struct klx_sv since, struct klx_sv until,
                     struct klx_span *ret, const char *option, struct klx_error *e) {
    int64_t length_us = 0;
    int rc = 0;
    *ret = (struct klx_span){ KLX_TIME_NONE, KLX_TIME_NONE };
    if (since.p != NULL) {
        rc = klx_span_time(since, r->zone, r->now_us, &ret->since_us, e);
        option = option != NULL ? option : rc != 0 ? "--since" : "--until";
    }
    if (rc == 0 && until.p != NULL && since.p != NULL && !is_relative(since) &&
        is_duration(until, &length_us)) {
        ret->until_us = ret->since_us + length_us;
    } else if (rc == 0 && until.p != NULL) {
        rc = klx_span_time(until, r->zone, r->now_us, &ret->until_us, e);
    }
    return rc == 0 ? 0 : klx_fail_in(e, rc, "%s", option != NULL ? option : "--until");
}

/* Times have colons of their own: the one that stands between two times is looked for. */
static int read_at(const struct reading *r, struct klx_sv at, struct klx_span *ret,
                   struct klx_error *e) {
    struct klx_span one;
    size_t found = 0;
    for (size_t i = 1; i + 1 < at.n; i++) {
        if (at.p[i] == ':' && read_both(r, klx_sv_n(at.p, i), klx_sv_n(at.p + i + 1, at.n - i - 1),
                                        &one, "--at", NULL) == 0) {
            *ret = one;
            found++;
        }
    }
    return found == 1 ? 0
                      : klx_fail(e, -EINVAL,
                                 "--at: \"%.*s\" is %s: write 2026-03-11T08:00:00Z:2h, "
                                 "yesterday:today or 2h:1h",
                                 KLX_SV_FMT(at),
                                 found == 0 ? "no range of two times" : "more than one range");
}

int klx_span_parse(const struct klx_span_words *w, const struct klx_zone *zone, int64_t now_us,
                   struct klx_span *ret, struct klx_error *e) {
    const struct reading r = { zone, now_us };
    if (w->at != NULL && (w->since != NULL || w->until != NULL)) {
        return klx_fail(e, -EINVAL, "--at is both ends of the range: leave %s out",
                        w->since != NULL ? "--since" : "--until");
    }
    int rc = w->at != NULL ? read_at(&r, klx_sv(w->at), ret, e)
                           : read_both(&r, klx_sv(w->since), klx_sv(w->until), ret, NULL, e);
    if (rc == 0 && ret->since_us != KLX_TIME_NONE && ret->until_us != KLX_TIME_NONE &&
        ret->until_us < ret->since_us) {
        return w->at != NULL
                   ? klx_fail(e, -EINVAL, "--at %s ends before it begins", w->at)
                   : klx_fail(e, -EINVAL, "--until %s is before --since %s", w->until, w->since);
    }
    return rc;
}

/* /etc/localtime is a link into the database: "/usr/share/zoneinfo/Europe/Berlin". */
static struct klx_sv local_name(char *path, size_t room) {
    const char *tz = getenv("TZ");
    if (tz != NULL && tz[0] != '\0') {
        return klx_sv(tz[0] == ':' ? tz + 1 : tz);
    }
    ssize_t n = readlink("/etc/localtime", path, room);
    struct klx_sv link = klx_sv_n(path, n > 0 ? (size_t)n : 0), folder = KLX_SV("zoneinfo/");
    size_t at = klx_sv_find_sv(link, folder);
    return at < link.n ? klx_sv_n(link.p + at + folder.n, link.n - at - folder.n) : KLX_SV("UTC");
}

int klx_span_zone(const char *name, struct klx_zone **ret, struct klx_error *e) {
    char path[PATH_MAX];
    struct klx_sv zone = klx_sv(name);
    *ret = NULL;
    if (name == NULL) {
        return 0;
    }
    if (klx_sv_eq(zone, KLX_SV("local"))) {
        zone = local_name(path, sizeof(path));
    }
    int rc = klx_zone_new(zone, ret, e);
    return rc == 0 ? 0 : klx_fail_in(e, rc, "--tz");
}
