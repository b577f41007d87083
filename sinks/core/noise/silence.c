#include "sinks/core/noise/silence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define HOUR_US (3600 * KLX_US_PER_S)
#define ARENA_BYTES_MAX (4u << 20)

static const struct klx_json_limits value_limits = { .bytes_max = KLX_SILENCE_BYTES_MAX,
                                                     .depth_max = 8 };

void klx_silence_init(struct klx_silence *s, struct klx_clock *clock) {
    *s = (struct klx_silence){ .updated_us = KLX_TIME_NONE };
    snprintf(s->id, sizeof(s->id), "%012llx",
             (unsigned long long)(clock->random(clock) & 0xffffffffffffULL));
    s->starts_us = clock->wall_us(clock);
    s->ends_us = s->starts_us + HOUR_US;
    klx_silence_set_texts(s, "", "");
}

void klx_silence_release(struct klx_silence *s) {
    klx_matchers_release(&s->matchers);
    free(s->author);
    free(s->comment);
    s->author = NULL;
    s->comment = NULL;
}

static void set_text(char **to, const char *text) {
    if (text != NULL) {
        char *copy = klx_strdup(text);
        free(*to);
        *to = copy;
    }
}

void klx_silence_set_texts(struct klx_silence *s, const char *author, const char *comment) {
    set_text(&s->author, author);
    set_text(&s->comment, comment);
}

static bool is_id(struct klx_sv id) {
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.')) {
            return false;
        }
    }
    return id.n > 0 && id.n < KLX_SILENCE_ID_BYTES;
}

/* What a record needs to have an effect that somebody can have meant. */
static int check_effect(const struct klx_silence *s, struct klx_error *e) {
    if (s->matchers.n == 0) {
        return klx_fail(e, -EINVAL, "a silence needs a matcher, for example cluster=prod-weu");
    }
    if (klx_matchers_match_nothing(&s->matchers)) {
        return klx_fail(e, -EINVAL,
                        "these matchers hold for every event: at least one must ask for a value, "
                        "for example cluster=~\".+\"");
    }
    if (s->ends_us <= s->starts_us) {
        return klx_fail(e, -EINVAL, "a silence ends after it starts");
    }
    return 0;
}

int klx_silence_check(const struct klx_silence *s, struct klx_error *e) {
    if (!is_id(klx_sv(s->id))) {
        return klx_fail(e, -EINVAL, "the id of a silence is 1 to %d letters, digits, - _ and .",
                        KLX_SILENCE_ID_BYTES - 1);
    }
    if (s->comment[0] == '\0') {
        return klx_fail(e, -EINVAL, "a silence needs a comment: why is it there?");
    }
    if (s->author[0] == '\0') {
        return klx_fail(e, -EINVAL, "a silence needs an author");
    }
    if (strlen(s->comment) > KLX_SILENCE_TEXT_BYTES_MAX ||
        strlen(s->author) > KLX_SILENCE_TEXT_BYTES_MAX) {
        return klx_fail(e, -EINVAL, "comment and author are at most %d bytes",
                        KLX_SILENCE_TEXT_BYTES_MAX);
    }
    return check_effect(s, e);
}

void klx_silence_key(const struct klx_silence *s, struct klx_buf *out) {
    klx_buf_printf(out, KLX_SILENCE_KEY_PREFIX "%s", s->id);
}

void klx_silence_encode(const struct klx_silence *s, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_key(&w, "matchers");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < s->matchers.n; i++) {
        const struct klx_matcher *m = &s->matchers.items[i];
        klx_jw_begin_object(&w);
        klx_jw_member_sv(&w, "name", m->name);
        klx_jw_member_sv(&w, "value", m->value);
        klx_jw_member_bool(&w, "isRegex", m->regex != NULL);
        klx_jw_member_bool(&w, "isEqual", m->op == KLX_MATCHER_EQUAL || m->op == KLX_MATCHER_REGEX);
        klx_jw_end_object(&w);
    }
    klx_jw_end_array(&w);
    klx_jw_member_time(&w, "startsAt", s->starts_us);
    klx_jw_member_time(&w, "endsAt", s->ends_us);
    if (s->updated_us != KLX_TIME_NONE) {
        klx_jw_member_time(&w, "updatedAt", s->updated_us);
    }
    klx_jw_member_str(&w, "createdBy", s->author);
    klx_jw_member_str(&w, "comment", s->comment);
    klx_jw_end_object(&w);
}

static int decode_matchers(const struct klx_json *list, struct klx_matchers *to,
                           struct klx_error *e) {
    const struct klx_json *m = klx_json_first(list);
    for (; m != NULL; m = klx_json_next(m)) {
        bool regex = klx_json_bool(m, "isRegex", false), equal = klx_json_bool(m, "isEqual", true);
        enum klx_matcher_op op = regex   ? (equal ? KLX_MATCHER_REGEX : KLX_MATCHER_NOT_REGEX)
                                 : equal ? KLX_MATCHER_EQUAL
                                         : KLX_MATCHER_NOT_EQUAL;
        int rc = klx_matchers_add(to, klx_json_str(m, "name"), op, klx_json_str(m, "value"), e);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int decode_members(const struct klx_json *j, struct klx_silence *s, struct klx_error *e) {
    if (klx_time_parse(klx_json_str(j, "startsAt"), &s->starts_us) != 0 ||
        klx_time_parse(klx_json_str(j, "endsAt"), &s->ends_us) != 0) {
        return klx_fail(e, -EBADMSG, "startsAt and endsAt are not both times");
    }
    if (klx_time_parse(klx_json_str(j, "updatedAt"), &s->updated_us) != 0) {
        s->updated_us = KLX_TIME_NONE;
    }
    char *author KLX_CLEANUP(klx_free_p) = klx_sv_dup(klx_json_str(j, "createdBy"));
    char *comment KLX_CLEANUP(klx_free_p) = klx_sv_dup(klx_json_str(j, "comment"));
    klx_silence_set_texts(s, author, comment);
    return decode_matchers(klx_json_get(j, "matchers"), &s->matchers, e);
}

static bool is_expired_at_once(const struct klx_silence *s) {
    return s->ends_us == s->starts_us; /* ended before it had begun */
}

static int decode_value(struct klx_sv value, struct klx_silence *s, struct klx_error *e) {
    struct klx_arena a;
    const struct klx_json *j = NULL;
    klx_arena_init(&a, 4096, ARENA_BYTES_MAX);
    int rc = klx_json_parse(&a, value, &value_limits, &j, e);
    rc = rc == 0 ? decode_members(j, s, e) : rc;
    if (rc == 0 && !is_expired_at_once(s)) {
        rc = check_effect(s, e);
    }
    klx_arena_release(&a);
    return rc;
}

static bool cut_id(struct klx_sv key, struct klx_sv *ret) {
    if (!klx_sv_starts(key, KLX_SV(KLX_SILENCE_KEY_PREFIX))) {
        return false;
    }
    *ret = klx_sv_n(key.p + strlen(KLX_SILENCE_KEY_PREFIX), key.n - strlen(KLX_SILENCE_KEY_PREFIX));
    return true;
}

int klx_silence_decode(struct klx_sv key, struct klx_sv value, struct klx_silence *ret,
                       struct klx_error *e) {
    struct klx_sv id;
    if (!cut_id(key, &id)) {
        return klx_fail(e, -ENOENT, "\"%.*s\" is not the key of a silence", KLX_SV_FMT(key));
    }
    if (!is_id(id)) {
        return klx_fail(e, -EBADMSG, "silence \"%.*s\": the id is not one", KLX_SV_FMT(id));
    }
    struct klx_silence s = { .updated_us = KLX_TIME_NONE };
    memcpy(s.id, id.p, id.n);
    if (decode_value(value, &s, e) != 0) {
        klx_silence_release(&s);
        return klx_fail_in(e, -EBADMSG, "silence %.*s", KLX_SV_FMT(id));
    }
    *ret = s;
    return 0;
}

enum klx_silence_state klx_silence_state(const struct klx_silence *s, int64_t now_us) {
    return now_us >= s->ends_us    ? KLX_SILENCE_EXPIRED
           : now_us < s->starts_us ? KLX_SILENCE_PENDING
                                   : KLX_SILENCE_ACTIVE;
}

const char *klx_silence_state_name(enum klx_silence_state s) {
    static const char *const names[] = { [KLX_SILENCE_PENDING] = "pending",
                                         [KLX_SILENCE_ACTIVE] = "active",
                                         [KLX_SILENCE_EXPIRED] = "expired" };
    return names[s];
}

struct klx_silences {
    struct klx_silence *items;
    size_t n, room;
};

struct klx_silences *klx_silences_new(void) {
    return klx_alloc(struct klx_silences);
}

void klx_silences_free(struct klx_silences *s) {
    if (s != NULL) {
        for (size_t i = 0; i < s->n; i++) {
            klx_silence_release(&s->items[i]);
        }
        free(s->items);
        free(s);
    }
}

/* The order is of no meaning. */
static void take_out(struct klx_silences *s, size_t i) {
    klx_silence_release(&s->items[i]);
    s->items[i] = s->items[--s->n];
}

static void remove_id(struct klx_silences *s, struct klx_sv id) {
    for (size_t i = 0; i < s->n; i++) {
        if (klx_sv_eq(klx_sv(s->items[i].id), id)) {
            take_out(s, i);
            return;
        }
    }
}

static void remove_expired(struct klx_silences *s, int64_t now_us) {
    for (size_t i = s->n; i > 0; i--) {
        if (klx_silence_state(&s->items[i - 1], now_us) == KLX_SILENCE_EXPIRED) {
            take_out(s, i - 1);
        }
    }
}

static int add(struct klx_silences *s, struct klx_silence *one, int64_t now_us,
               struct klx_error *e) {
    if (s->n >= KLX_SILENCES_MAX) {
        remove_expired(s, now_us);
    }
    if (s->n >= KLX_SILENCES_MAX) {
        klx_silence_release(one);
        return klx_fail(e, -E2BIG, "more than %d silences: one is not in force", KLX_SILENCES_MAX);
    }
    if (s->n == s->room) {
        size_t room = s->room > 0 ? s->room * 2 : 16;
        s->items = klx_grow_array(s->items, s->room, room, sizeof(*s->items));
        s->room = room;
    }
    s->items[s->n++] = *one;
    return 0;
}

int klx_silences_put(struct klx_silences *s, struct klx_sv key, struct klx_sv value, int64_t now_us,
                     struct klx_error *e) {
    struct klx_sv id;
    struct klx_silence one;
    if (!cut_id(key, &id)) {
        return klx_fail(e, -ENOENT, "not about a silence");
    }
    remove_id(s, id);
    if (value.p == NULL) {
        return 0;
    }
    int rc = klx_silence_decode(key, value, &one, e);
    return rc == 0 ? add(s, &one, now_us, e) : rc;
}

const struct klx_silence *klx_silences_find(const struct klx_silences *s,
                                            const struct klx_matched *what, int64_t now_us) {
    const struct klx_silence *found = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const struct klx_silence *one = &s->items[i];
        bool later = found == NULL || one->ends_us > found->ends_us;
        if (later && klx_silence_state(one, now_us) == KLX_SILENCE_ACTIVE &&
            klx_matchers_test(&one->matchers, what)) {
            found = one;
        }
    }
    return found;
}

size_t klx_silences_n(const struct klx_silences *s) {
    return s->n;
}

const struct klx_silence *klx_silences_at(const struct klx_silences *s, size_t i) {
    return &s->items[i];
}

const struct klx_silence *klx_silences_find_old(const struct klx_silences *s, int64_t now_us) {
    for (size_t i = 0; i < s->n; i++) {
        if (now_us - s->items[i].ends_us >= KLX_SILENCE_KEPT_US) {
            return &s->items[i];
        }
    }
    return NULL;
}

size_t klx_silences_active(const struct klx_silences *s, int64_t now_us) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += klx_silence_state(&s->items[i], now_us) == KLX_SILENCE_ACTIVE;
    }
    return n;
}
