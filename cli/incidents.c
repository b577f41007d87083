#include "cli/incidents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "cli/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "sinks/core/message.h"
#include "sinks/core/noise/acks.h"
#include "sinks/core/noise/reminders.h"
#include "sinks/core/noise/snapshot.h"

#define TEXTS_BYTES_MAX (256u << 20)
#define SCRATCH_BYTES_MAX (16u << 20)
#define EVENTS_BYTES_MAX (64u << 20)  /* of what is found in the topics; more stays unknown */
#define MARGIN_US (60 * KLX_US_PER_S) /* a record's timestamp may be before what the sink noted */

struct entry {
    struct klx_cli_incident shown;
    struct klx_cli_ack ack;
    const struct klx_incident *last; /* the channel that has heard last */
    char *found;                     /* its last event in a topic, as a snapshot */
    size_t found_bytes;
    uint32_t found_number;
    UT_hash_handle hh;
};

struct klx_cli_incidents {
    struct klx_incidents *states;
    struct entry *by_id;
    struct klx_message_pool *pool;
    struct klx_arena texts, scratch;
    size_t found_bytes, unreadable;
    int64_t now_us;
};

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    (void)m;
}

struct klx_cli_incidents *klx_cli_incidents_new(int64_t now_us) {
    struct klx_cli_incidents *all = klx_alloc(struct klx_cli_incidents);
    all->states = klx_incidents_new();
    all->pool = klx_message_pool_new(on_message_done, NULL);
    all->now_us = now_us;
    klx_arena_init(&all->texts, 65536, TEXTS_BYTES_MAX);
    klx_arena_init(&all->scratch, 65536, SCRATCH_BYTES_MAX);
    return all;
}

void klx_cli_incidents_free(struct klx_cli_incidents *all) {
    struct entry *en, *next;
    if (all == NULL) {
        return;
    }
    HASH_ITER(hh, all->by_id, en, next) {
        HASH_DEL(all->by_id, en);
        free(en->shown.channels);
        free(en->found);
        free(en);
    }
    klx_incidents_free(all->states);
    klx_message_pool_free(all->pool);
    klx_arena_release(&all->texts);
    klx_arena_release(&all->scratch);
    free(all);
}

static struct entry *find_entry(const struct klx_cli_incidents *all, struct klx_sv id) {
    struct entry *en = NULL;
    HASH_FIND(hh, all->by_id, id.p, id.n, en);
    return en;
}

/* NULL: there is no memory for more. */
static struct entry *get_entry(struct klx_cli_incidents *all, struct klx_sv id) {
    struct entry *en = find_entry(all, id);
    struct klx_sv copy = en == NULL ? klx_arena_dup(&all->texts, id) : klx_sv(NULL);
    if (en == NULL && copy.p != NULL) {
        en = klx_alloc(struct entry);
        en->shown.id = copy;
        en->shown.since_us = KLX_TIME_NONE;
        HASH_ADD_KEYPTR(hh, all->by_id, copy.p, copy.n, en);
    }
    return en;
}

void klx_cli_incidents_state(struct klx_cli_incidents *all, const struct klx_record *r) {
    struct klx_error e = { 0 };
    int rc = 0;
    (void)klx_incidents_put(all->states, r->key, r->value, &rc, &e);
    all->unreadable += rc != 0;
}

static struct klx_sv keep(struct klx_cli_incidents *all, struct klx_sv text) {
    return text.n > 0 ? klx_arena_dup(&all->texts, text) : klx_sv("");
}

/* The sinks take whatever stands there for an acknowledgement, so it is one here too. */
static void take_ack(struct klx_cli_incidents *all, struct entry *en, struct klx_sv value) {
    const struct klx_json_limits limits = { .bytes_max = KLX_CLI_ACK_BYTES_MAX * 8,
                                            .depth_max = 16 };
    const struct klx_json *j = NULL;
    klx_arena_reset(&all->scratch);
    if (klx_json_parse(&all->scratch, value, &limits, &j, NULL) != 0) {
        j = NULL;
    }
    en->ack.by = keep(all, klx_json_str(j, "by"));
    en->ack.comment = keep(all, klx_json_str(j, "comment"));
    if (klx_time_parse(klx_json_str(j, "at"), &en->ack.at_us) != 0) {
        en->ack.at_us = KLX_TIME_NONE;
    }
    en->shown.ack = &en->ack;
}

void klx_cli_incidents_control(struct klx_cli_incidents *all, const struct klx_record *r) {
    struct klx_sv id = r->key;
    size_t prefix = strlen(KLX_ACK_KEY_PREFIX);
    if (!klx_sv_starts(id, KLX_SV(KLX_ACK_KEY_PREFIX)) || id.n == prefix) {
        return;
    }
    id = klx_sv_n(id.p + prefix, id.n - prefix);
    struct entry *en = r->value.p != NULL ? get_entry(all, id) : find_entry(all, id);
    if (en != NULL && r->value.p == NULL) {
        en->shown.ack = NULL;
    } else if (en != NULL) {
        take_ack(all, en, r->value);
    }
}

static int by_name(const void *a, const void *b) {
    const struct klx_incident *const *x = a, *const *y = b;
    return strcmp((*x)->channel, (*y)->channel);
}

static bool is_later(const struct klx_incident *a, const struct klx_incident *b) {
    return a->number != b->number ? a->number > b->number : a->changed_us > b->changed_us;
}

static void add_channel(struct klx_cli_incidents *all, const struct klx_incident *state) {
    struct entry *en = get_entry(all, klx_sv(state->id));
    if (en == NULL) {
        return;
    }
    struct klx_cli_incident *i = &en->shown;
    i->channels = klx_grow_array(i->channels, i->channels_n, i->channels_n + 1,
                                 sizeof(struct klx_incident *));
    i->channels[i->channels_n++] = state;
    en->last = en->last == NULL || is_later(state, en->last) ? state : en->last;
    i->severity = state->severity > i->severity ? state->severity : i->severity;
    if (state->opened_us != KLX_TIME_NONE &&
        (i->since_us == KLX_TIME_NONE || state->opened_us < i->since_us)) {
        i->since_us = state->opened_us;
    }
}

static bool is_stale(const struct klx_cli_incidents *all, const struct klx_incident *state) {
    return state->changed_us != KLX_TIME_NONE &&
           state->changed_us < all->now_us - KLX_INCIDENT_STALE_US;
}

void klx_cli_incidents_join(struct klx_cli_incidents *all) {
    const struct klx_incident *state = klx_incidents_first(all->states);
    for (; state != NULL; state = klx_incidents_next(state)) {
        add_channel(all, state);
    }
    for (struct entry *en = all->by_id; en != NULL; en = en->hh.next) {
        if (en->last != NULL) {
            qsort(en->shown.channels, en->shown.channels_n, sizeof(struct klx_incident *), by_name);
            en->shown.number = en->last->number;
            en->shown.topic = en->last->topic;
            en->shown.open = !en->last->resolved && !is_stale(all, en->last);
        }
    }
    klx_cli_incidents_describe(all);
}

/* The newest that a sink has kept; else what was found. Empty: none. */
static struct klx_sv snapshot_of(const struct entry *en) {
    const struct klx_incident *best = NULL;
    for (size_t i = 0; i < en->shown.channels_n; i++) {
        const struct klx_incident *one = en->shown.channels[i];
        if (one->event != NULL && (best == NULL || is_later(one, best))) {
            best = one;
        }
    }
    return best != NULL ? klx_sv_n(best->event, best->event_bytes)
                        : klx_sv_n(en->found, en->found_bytes);
}

static bool is_wanted(const struct entry *en, enum klx_topic topic) {
    return en->shown.open && en->shown.topic == topic &&
           (en->found != NULL || snapshot_of(en).n == 0);
}

bool klx_cli_incidents_want(const struct klx_cli_incidents *all, enum klx_topic topic,
                            int64_t *ret_since_us) {
    bool wanted = false;
    for (const struct entry *en = all->by_id; en != NULL; en = en->hh.next) {
        if (is_wanted(en, topic)) {
            int64_t since_us = en->shown.since_us > MARGIN_US ? en->shown.since_us - MARGIN_US : 0;
            *ret_since_us = !wanted || since_us < *ret_since_us ? since_us : *ret_since_us;
            wanted = true;
        }
    }
    return wanted;
}

static void take_found(struct klx_cli_incidents *all, struct entry *en, struct klx_message *m) {
    size_t bytes = 0;
    char *text = klx_message_keep(m, NULL) == 0 ? klx_snapshot_make(m, &bytes) : NULL;
    if (text == NULL || all->found_bytes - en->found_bytes + bytes > EVENTS_BYTES_MAX) {
        free(text);
        return;
    }
    free(en->found);
    all->found_bytes += bytes - en->found_bytes;
    en->found = text;
    en->found_bytes = bytes;
    en->found_number = m->event.incident_seq;
}

void klx_cli_incidents_event(struct klx_cli_incidents *all, const struct klx_record *r) {
    struct klx_message *m = klx_message_new(all->pool, r);
    struct entry *en = NULL;
    if (klx_message_decode(m, NULL) == 0 && m->event.incident.n > 0) {
        en = find_entry(all, m->event.incident);
    }
    if (en != NULL && is_wanted(en, en->shown.topic) && m->event.incident_seq >= en->found_number) {
        take_found(all, en, m);
    }
    klx_message_unref(m);
}

static int look(struct klx_cli_incidents *all, const struct entry *en, struct klx_event *ret_event,
                const struct klx_json **ret_data) {
    struct klx_record r;
    struct klx_error e = { 0 };
    struct klx_sv text = snapshot_of(en);
    klx_arena_reset(&all->scratch);
    if (text.n == 0) {
        return -ENOENT;
    }
    int rc = klx_snapshot_read(&all->scratch, text, "", &r, &e);
    rc = rc == 0 ? klx_event_decode(&all->scratch, &r, ret_event, &e) : rc;
    return rc == 0 ? klx_json_parse(&all->scratch, ret_event->data, NULL, ret_data, &e) : rc;
}

static void describe(struct klx_cli_incidents *all, struct entry *en) {
    struct klx_cli_incident *i = &en->shown;
    struct klx_event event;
    const struct klx_json *data = NULL;
    int64_t opened_us = 0;
    if (look(all, en, &event, &data) != 0) {
        return;
    }
    i->cluster = keep(all, event.cluster);
    i->type = keep(all, event.type);
    i->summary = keep(all, klx_json_str(data, "summary"));
    i->kind = keep(all, klx_json_str(data, "object.kind"));
    i->namespace = keep(all, klx_json_str(data, "object.namespace"));
    i->name = keep(all, klx_json_str(data, "object.name"));
    if (klx_time_parse(klx_json_str(data, "incident.opened"), &opened_us) == 0) {
        i->since_us = opened_us;
    }
    i->number = event.incident_seq > i->number ? event.incident_seq : i->number;
    /* A sink that has not got so far yet. */
    i->open = i->open && event.phase != KLX_PHASE_RESOLVED;
}

static int by_weight(const struct entry *a, const struct entry *b) {
    const struct klx_cli_incident *x = &a->shown, *y = &b->shown;
    if (x->severity != y->severity) {
        return x->severity > y->severity ? -1 : 1;
    }
    if (x->since_us != y->since_us) {
        return x->since_us < y->since_us ? -1 : 1;
    }
    return klx_sv_cmp(x->id, y->id);
}

void klx_cli_incidents_describe(struct klx_cli_incidents *all) {
    for (struct entry *en = all->by_id; en != NULL; en = en->hh.next) {
        if (en->shown.open && en->shown.type.n == 0) {
            describe(all, en);
        }
    }
    HASH_SORT(all->by_id, by_weight);
}

static const struct entry *entry_of(const struct klx_cli_incident *i) {
    return (const struct entry *)((const char *)i - offsetof(struct entry, shown));
}

const struct klx_cli_incident *klx_cli_incidents_next(const struct klx_cli_incidents *all,
                                                      const struct klx_cli_incident *i) {
    const struct entry *en = i == NULL ? all->by_id : entry_of(i)->hh.next;
    return en != NULL ? &en->shown : NULL;
}

int klx_cli_incidents_find(const struct klx_cli_incidents *all, struct klx_sv word,
                           bool (*of)(const struct klx_cli_incident *i),
                           const struct klx_cli_incident **ret) {
    const struct entry *found = find_entry(all, word);
    if (found != NULL && of(&found->shown)) {
        *ret = &found->shown;
        return 0;
    }
    found = NULL;
    for (const struct entry *en = all->by_id; en != NULL && word.n >= KLX_CLI_INCIDENT_WORD_MIN;
         en = en->hh.next) {
        if (klx_sv_starts(en->shown.id, word) && of(&en->shown)) {
            if (found != NULL) {
                return -ENOTUNIQ;
            }
            found = en;
        }
    }
    if (found == NULL) {
        return -ENOENT;
    }
    *ret = &found->shown;
    return 0;
}

bool klx_cli_incident_matches(struct klx_cli_incidents *all, const struct klx_cli_incident *i,
                              const struct klx_matchers *m, bool *unseen) {
    struct klx_event event;
    const struct klx_json *data = NULL;
    if (look(all, entry_of(i), &event, &data) != 0) {
        *unseen = true;
        return false;
    }
    for (size_t c = 0; c < i->channels_n; c++) {
        const struct klx_incident *channel = i->channels[c];
        const struct klx_matched what = { .event = &event,
                                          .data = data,
                                          .severity = channel->severity,
                                          .topic = klx_sv(klx_topic_specs[i->topic].short_name),
                                          .team = klx_sv(channel->team),
                                          .channel = klx_sv(channel->channel) };
        if (klx_matchers_test(m, &what)) {
            return true;
        }
    }
    return false;
}

int klx_cli_filters_parse(const struct klx_option_strings *filters, struct klx_matchers *ret,
                          struct klx_error *e) {
    for (size_t i = 0; i < filters->n; i++) {
        int rc = klx_matchers_parse(ret, klx_sv(filters->items[i]), e);
        if (rc != 0) {
            return klx_fail_in(e, rc, "--filter");
        }
    }
    return 0;
}

void klx_cli_ack_key(struct klx_sv incident, struct klx_buf *out) {
    klx_buf_add_str(out, KLX_ACK_KEY_PREFIX);
    klx_buf_add_sv(out, incident);
}

void klx_cli_ack_encode(const struct klx_cli_ack *a, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "by", a->by);
    klx_jw_member_time(&w, "at", a->at_us);
    klx_jw_member_sv_opt(&w, "comment", a->comment);
    klx_jw_end_object(&w);
}

static void on_state(void *arg, const struct klx_record *r) {
    klx_cli_incidents_state(arg, r);
}

static void on_control(void *arg, const struct klx_record *r) {
    klx_cli_incidents_control(arg, r);
}

static void on_event(void *arg, const struct klx_record *r) {
    klx_cli_incidents_event(arg, r);
}

int klx_cli_incidents_read(const char *command, const struct klx_cli_config *c,
                           struct klx_cli_incidents *all) {
    int code = klx_cli_read(command, c, KLX_TOPIC_STATE, -1, on_state, all);
    code = code == KLX_EXIT_OK ? klx_cli_read(command, c, KLX_TOPIC_CONTROL, -1, on_control, all)
                               : code;
    if (code == KLX_EXIT_OK && all->unreadable > 0) {
        fprintf(stderr, "%s: %zu records of %s hold no state of an incident, and are passed over\n",
                command, all->unreadable, c->settings.topics.name[KLX_TOPIC_STATE]);
    }
    if (code == KLX_EXIT_OK) {
        klx_cli_incidents_join(all);
    }
    return code;
}

int klx_cli_incidents_read_events(const char *command, const struct klx_cli_config *c,
                                  struct klx_cli_incidents *all) {
    int code = KLX_EXIT_OK;
    for (int t = 0; t < KLX_TOPICS_N && code == KLX_EXIT_OK; t++) {
        int64_t since_us = 0;
        if (klx_cli_incidents_want(all, (enum klx_topic)t, &since_us)) {
            code = klx_cli_read(command, c, (enum klx_topic)t, since_us / KLX_US_PER_MS, on_event,
                                all);
        }
    }
    klx_cli_incidents_describe(all);
    return code;
}
