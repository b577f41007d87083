#include "sinks/core/noise/incidents.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define VALUE_BYTES_MAX (512u << 10)
#define ARENA_BYTES_MAX (8u << 20)
#define PREFIX_N (sizeof(KLX_INCIDENT_KEY_PREFIX) - 1)

struct klx_incidents {
    struct klx_incident *by_key;
    size_t bytes;
    size_t forgotten;
};

static const char *const wait_names[] = {
    [KLX_WAITS_FOR_NOTHING] = "",
    [KLX_WAITS_FOR_SILENCE] = "silenced",
    [KLX_WAITS_FOR_HOURS] = "quiet_hours",
    [KLX_WAITS_TO_ESCALATE] = "escalation",
};

const char *klx_incident_wait_name(enum klx_incident_wait w) {
    return wait_names[w];
}

struct klx_incidents *klx_incidents_new(void) {
    return klx_alloc(struct klx_incidents);
}

static void free_incident(struct klx_incident *i) {
    free(i->channel);
    free(i->id);
    free(i->key);
    free(i->team);
    free(i->handle);
    free(i->event);
    free(i);
}

void klx_incidents_remove(struct klx_incidents *t, struct klx_incident *i) {
    HASH_DEL(t->by_key, i);
    t->bytes -= i->event_bytes;
    free_incident(i);
}

void klx_incidents_free(struct klx_incidents *t) {
    if (t != NULL) {
        while (t->by_key != NULL) {
            klx_incidents_remove(t, t->by_key);
        }
        free(t);
    }
}

size_t klx_incidents_n(const struct klx_incidents *t) {
    return HASH_COUNT(t->by_key);
}

size_t klx_incidents_forgotten(const struct klx_incidents *t) {
    return t->forgotten;
}

struct klx_incident *klx_incidents_first(const struct klx_incidents *t) {
    return t->by_key;
}

struct klx_incident *klx_incidents_next(const struct klx_incident *i) {
    return i->hh.next;
}

struct klx_incident *klx_incidents_find(const struct klx_incidents *t, struct klx_sv channel,
                                        struct klx_sv id) {
    struct klx_incident *found = NULL;
    char *key KLX_CLEANUP(klx_free_p) =
        klx_asprintf("%.*s/%.*s", KLX_SV_FMT(channel), KLX_SV_FMT(id));
    HASH_FIND_STR(t->by_key, key, found);
    return found;
}

static void add(struct klx_incidents *t, struct klx_incident *i) {
    HASH_ADD_KEYPTR(hh, t->by_key, i->key, strlen(i->key), i);
}

/* The oldest first, which uthash keeps at the head. */
static void forget_old(struct klx_incidents *t, const struct klx_incident *but) {
    while (t->by_key != but &&
           (klx_incidents_n(t) > KLX_INCIDENTS_MAX || t->bytes > KLX_INCIDENTS_BYTES_MAX)) {
        klx_incidents_remove(t, t->by_key);
        t->forgotten++;
    }
}

struct klx_incident *klx_incidents_get(struct klx_incidents *t, struct klx_sv channel,
                                       struct klx_sv id) {
    struct klx_incident *i = klx_incidents_find(t, channel, id);
    if (i != NULL) {
        return i;
    }
    i = klx_alloc(struct klx_incident);
    i->channel = klx_sv_dup(channel);
    i->id = klx_sv_dup(id);
    i->key = klx_asprintf("%s/%s", i->channel, i->id);
    i->team = klx_strdup("");
    i->handle = klx_strdup("");
    i->hushed = true;
    i->partition = -1;
    i->opened_us = KLX_TIME_NONE;
    i->changed_us = KLX_TIME_NONE;
    i->told_us = KLX_TIME_NONE;
    add(t, i);
    forget_old(t, i);
    return i;
}

void klx_incidents_changed(struct klx_incidents *t, struct klx_incident *i, int64_t now_us) {
    i->rev++;
    i->own = true;
    i->changed_us = now_us;
    HASH_DEL(t->by_key, i);
    add(t, i);
    forget_old(t, i);
}

static void set_text(char **to, struct klx_sv text) {
    if (!klx_sv_eq(klx_sv(*to), text)) {
        char *copy = klx_sv_dup(text);
        free(*to);
        *to = copy;
    }
}

void klx_incident_set_handle(struct klx_incident *i, struct klx_sv handle) {
    set_text(&i->handle, handle);
}

void klx_incident_set_team(struct klx_incident *i, struct klx_sv team) {
    set_text(&i->team, team);
}

void klx_incidents_set_event(struct klx_incidents *t, struct klx_incident *i, char *event,
                             size_t bytes) {
    t->bytes -= i->event_bytes;
    free(i->event);
    i->event = event;
    i->event_bytes = event != NULL ? bytes : 0;
    t->bytes += i->event_bytes;
}

void klx_incident_key(const struct klx_incident *i, struct klx_buf *out) {
    klx_buf_add_str(out, KLX_INCIDENT_KEY_PREFIX);
    klx_buf_add_str(out, i->key);
}

static void write_time_opt(struct klx_jw *w, const char *key, int64_t us) {
    if (us != KLX_TIME_NONE) {
        klx_jw_member_time(w, key, us);
    }
}

void klx_incident_encode(const struct klx_incident *i, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "rev", (int64_t)i->rev);
    klx_jw_member_str(&w, "topic", klx_topic_specs[i->topic].short_name);
    klx_jw_member_int(&w, "partition", i->partition);
    klx_jw_member_int(&w, "number", i->number);
    klx_jw_member_int(&w, "told", i->told);
    klx_jw_member_bool(&w, "wasTold", i->was_told);
    klx_jw_member_bool(&w, "hushed", i->hushed);
    klx_jw_member_bool(&w, "resolved", i->resolved);
    klx_jw_member_str(&w, "severity", klx_severity_name(i->severity));
    write_time_opt(&w, "opened", i->opened_us);
    write_time_opt(&w, "toldAt", i->told_us);
    write_time_opt(&w, "changed", i->changed_us);
    klx_jw_member_int(&w, "reminders", i->reminders);
    klx_jw_member_sv_opt(&w, "waits", klx_sv(wait_names[i->waits]));
    klx_jw_member_sv_opt(&w, "team", klx_sv(i->team));
    klx_jw_member_sv_opt(&w, "handle", klx_sv(i->handle));
    if (i->event != NULL) {
        klx_jw_key(&w, "event");
        klx_jw_raw(&w, klx_sv_n(i->event, i->event_bytes));
    }
    klx_jw_end_object(&w);
}

static int64_t time_of(const struct klx_json *j, const char *path) {
    int64_t us = KLX_TIME_NONE;
    return klx_time_parse(klx_json_str(j, path), &us) == 0 ? us : KLX_TIME_NONE;
}

static bool parse_topic(struct klx_sv name, enum klx_topic *ret) {
    for (int t = 0; t < KLX_TOPICS_N; t++) {
        if (klx_sv_eq(name, klx_sv(klx_topic_specs[t].short_name))) {
            *ret = (enum klx_topic)t;
            return true;
        }
    }
    return false;
}

static enum klx_incident_wait parse_wait(struct klx_sv name) {
    for (size_t w = 1; w < KLX_COUNT(wait_names); w++) {
        if (klx_sv_eq(name, klx_sv(wait_names[w]))) {
            return (enum klx_incident_wait)w;
        }
    }
    return KLX_WAITS_FOR_NOTHING;
}

static uint32_t number_of(const struct klx_json *j, const char *path) {
    int64_t n = klx_json_int(j, path, 0);
    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static uint64_t rev_of(const struct klx_json *j) {
    int64_t rev = klx_json_int(j, "rev", 0);
    return rev > 0 ? (uint64_t)rev : 0;
}

/* The event as one line again, as klx_incident_encode wants it. */
static void take_event(struct klx_incidents *t, struct klx_incident *i, const struct klx_json *j) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *event = klx_json_get(j, "event");
    struct klx_jw w;
    klx_buf_init(&text, VALUE_BYTES_MAX);
    if (!klx_json_is_object(event)) {
        klx_incidents_set_event(t, i, NULL, 0);
        return;
    }
    klx_jw_init(&w, &text);
    klx_jw_node(&w, event);
    klx_incidents_set_event(t, i, klx_sv_dup(klx_buf_sv(&text)), text.len);
}

static void take_members(struct klx_incidents *t, struct klx_incident *i,
                         const struct klx_json *j) {
    i->rev = rev_of(j);
    (void)parse_topic(klx_json_str(j, "topic"), &i->topic);
    i->partition = (int32_t)klx_json_int(j, "partition", -1);
    i->number = number_of(j, "number");
    i->told = number_of(j, "told");
    i->was_told = klx_json_bool(j, "wasTold", false);
    i->hushed = klx_json_bool(j, "hushed", false);
    i->resolved = klx_json_bool(j, "resolved", false);
    if (klx_severity_parse(klx_json_str(j, "severity"), &i->severity) != 0) {
        i->severity = KLX_SEVERITY_INFO;
    }
    i->opened_us = time_of(j, "opened");
    i->told_us = time_of(j, "toldAt");
    i->changed_us = time_of(j, "changed");
    i->reminders = number_of(j, "reminders");
    i->waits = parse_wait(klx_json_str(j, "waits"));
    klx_incident_set_team(i, klx_json_str(j, "team"));
    klx_incident_set_handle(i, klx_json_str(j, "handle"));
    i->subscription = NULL;
    i->looked_up = false;
    i->waited = KLX_WAITS_FOR_NOTHING;
    i->pushed = i->told;
    i->look_us = 0;
    i->own = false;
    take_event(t, i, j);
}

/* A state that does not take the place of ours, an echo perhaps: what the channel was told it was told nevertheless. */
static void take_told(struct klx_incident *i, const struct klx_json *j) {
    uint32_t told = number_of(j, "told");
    i->told = told > i->told ? told : i->told;
    i->was_told = i->was_told || klx_json_bool(j, "wasTold", false);
    i->hushed = i->hushed && klx_json_bool(j, "hushed", false);
    if (i->handle[0] == '\0') {
        klx_incident_set_handle(i, klx_json_str(j, "handle"));
    }
}

static struct klx_incident *take_value(struct klx_incidents *t, struct klx_sv channel,
                                       struct klx_sv id, const struct klx_json *j) {
    struct klx_incident *i = klx_incidents_find(t, channel, id);
    uint64_t rev = rev_of(j);
    if (i != NULL && (i->own ? rev <= i->rev : rev < i->rev)) {
        take_told(i, j);
        return NULL;
    }
    i = i != NULL ? i : klx_incidents_get(t, channel, id);
    take_members(t, i, j);
    HASH_DEL(t->by_key, i);
    add(t, i);
    forget_old(t, i);
    return i;
}

static bool cut_key(struct klx_sv key, struct klx_sv *ret_channel, struct klx_sv *ret_id) {
    if (!klx_sv_starts(key, KLX_SV(KLX_INCIDENT_KEY_PREFIX))) {
        return false;
    }
    *ret_id = klx_sv_n(key.p + PREFIX_N, key.n - PREFIX_N);
    *ret_channel = klx_sv_cut(ret_id, '/');
    return ret_channel->n > 0 && ret_id->n > 0;
}

struct klx_incident *klx_incidents_put(struct klx_incidents *t, struct klx_sv key,
                                       struct klx_sv value, int *ret_rc, struct klx_error *e) {
    static const struct klx_json_limits limits = { .bytes_max = VALUE_BYTES_MAX, .depth_max = 32 };
    struct klx_sv channel, id;
    const struct klx_json *j = NULL;
    *ret_rc = 0;
    if (!cut_key(key, &channel, &id)) {
        return NULL;
    }
    if (value.p == NULL) {
        struct klx_incident *i = klx_incidents_find(t, channel, id);
        if (i != NULL && !i->own) {
            klx_incidents_remove(t, i);
        }
        return NULL;
    }
    struct klx_arena a;
    struct klx_incident *changed = NULL;
    klx_arena_init(&a, 8192, ARENA_BYTES_MAX);
    if (klx_json_parse(&a, value, &limits, &j, e) == 0 && klx_json_is_object(j)) {
        changed = take_value(t, channel, id, j);
    } else {
        *ret_rc = klx_fail(e, -EBADMSG, "%.*s holds no state of an incident", KLX_SV_FMT(key));
    }
    klx_arena_release(&a);
    return changed;
}
