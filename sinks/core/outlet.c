#include "sinks/core/outlet.h"

#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/edition.h"
#include "sinks/core/parking/parker.h"
#include "sinks/core/parking/parking.h"

#define CREDENTIAL_BYTES_MAX 4096
#define FULL_MS 1000 /* so long a queue may be full, or be filling and stand, while others wait */
/* The process stood still for so long (a frozen container, a stopped process) that its partitions may be others'. A heartbeat tells, and
   until then nothing is sent that they may have told. */
#define STOOD_STILL_MS 3000 /* half of the least session.timeout.ms that brokers allow */
#define HEARTBEAT_MS 2000

/* What it is by, and what it will be by. */
struct edition {
    const struct klx_channel_settings *channel;
    const struct klx_links *links;
    struct klx_edition *kept; /* a reference */
    void *opened;             /* of ops->open, until the lane has it */
};

struct klx_outlet {
    struct klx_outlet_options o;
    struct edition now, next, prepared; /* without `opened`: there is none */
    bool removed, stopped, held;
    bool rest; /* something in the lane is to be parked when the sends before it have ended */
    struct klx_lane *lane;
    struct klx_timer *timer, *turn;
    struct klx_parker *parker; /* of `parking`; NULL: nothing is parked */
    struct klx_timer *parker_timer, *look_timer;
    const struct klx_sv *recipients; /* of the lane's channel */
    size_t recipients_n;
    int64_t full_since_us; /* INT64_MAX: it is not full */
    int64_t turned_us;     /* when the loop was seen to turn */
    int64_t unsure_until_us;
    enum klx_way way;
    bool closed; /* being freed */
    void (*on_gone)(void *arg, struct klx_outlet *t);
    void *gone_arg;
};

static int64_t mono_us(const struct klx_outlet *t) {
    return t->o.env.clock->mono_us(t->o.env.clock);
}

static void on_outcome(void *arg, const struct klx_outcome *outcome) {
    struct klx_outlet *t = arg;
    t->o.on_outcome(t->o.arg, outcome);
}

/* What comes is more than it takes: it takes nothing. */
static bool stands(const struct klx_outlet *t) {
    return !klx_lane_has_room(t->lane) && klx_lane_stands_ms(t->lane) >= FULL_MS;
}

static bool needs_look(const struct klx_outlet *t) {
    return t->parker != NULL &&
           ((t->rest && !klx_lane_is_sending(t->lane)) || klx_lane_is_broken(t->lane) ||
            (klx_lane_full(t->lane) && t->full_since_us == INT64_MAX) ||
            (klx_parker_way(t->parker) == KLX_WAY_LANE && stands(t)));
}

/* In a turn of its own: the lane, or the gate, may be on the stack below us. */
static void look_soon(struct klx_outlet *t) {
    if (needs_look(t) && !klx_timer_active(t->look_timer)) {
        klx_timer_start(t->look_timer, 0);
    }
}

static void on_lane_change(void *arg) {
    struct klx_outlet *t = arg;
    if (t->closed) {
        return;
    }
    if ((t->next.opened != NULL || t->removed) && !klx_lane_is_sending(t->lane)) {
        klx_timer_start(t->turn, 0); /* the lane is on the stack below us */
    }
    look_soon(t);
    t->o.on_change(t->o.arg);
}

static struct klx_sv find_handle(void *arg, const struct klx_delivery *d, bool *ret_is_old) {
    const struct klx_outlet *t = arg;
    return t->o.find_handle(t->o.arg, t->now.channel->name, d, ret_is_old);
}

static bool passes_over(void *arg, const struct klx_delivery *d) {
    const struct klx_outlet *t = arg;
    return t->o.passes_over(t->o.arg, t->now.channel->name, d);
}

static void schedule(struct klx_timer *timer, int64_t delay_ms) {
    if (delay_ms < 0) {
        klx_timer_stop(timer);
    } else {
        klx_timer_start(timer, delay_ms);
    }
}

static void schedule_lane(void *arg, int64_t delay_ms) {
    schedule(((struct klx_outlet *)arg)->timer, delay_ms);
}

/* How long it may not be known whose the partitions are; 0: it is. */
static int64_t unsure_us(struct klx_outlet *t) {
    int64_t now_us = mono_us(t);
    if (now_us - t->turned_us >= STOOD_STILL_MS * KLX_US_PER_MS) {
        t->unsure_until_us = now_us + HEARTBEAT_MS * KLX_US_PER_MS;
    }
    t->turned_us = now_us;
    return t->unsure_until_us > now_us ? t->unsure_until_us - now_us : 0;
}

static void on_lane_timer(void *arg) {
    struct klx_outlet *t = arg;
    int64_t wait_us = unsure_us(t);
    if (wait_us > 0) {
        klx_timer_start(t->timer, (wait_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    } else {
        klx_lane_wake(t->lane);
    }
}

static void schedule_parker(void *arg, int64_t delay_ms) {
    schedule(((struct klx_outlet *)arg)->parker_timer, delay_ms);
}

static void on_parker_timer(void *arg) {
    klx_parker_wake(((struct klx_outlet *)arg)->parker);
}

static void on_look_timer(void *arg) {
    klx_outlet_look(arg);
}

static int place(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e) {
    struct klx_outlet *t = arg;
    return t->o.place(t->o.place_arg, r, placed, placed_arg, e);
}

static void give_back(void *arg, struct klx_delivery *d) {
    klx_lane_push(((struct klx_outlet *)arg)->lane, d);
}

static void tell_lost(const struct klx_outlet *t, const struct klx_delivery *d, size_t i,
                      const struct klx_verdict *v) {
    const struct klx_delivery_recipient *r = &d->recipients[i];
    const struct klx_outcome o = { .delivery = d,
                                   .message = d->message,
                                   .subscription = d->subscription,
                                   .channel = t->now.channel->name,
                                   .recipient = t->recipients[i],
                                   .verdict = v,
                                   .attempts = r->attempts,
                                   .ambiguous = r->ambiguous,
                                   .first_us = d->first_us,
                                   .last_us = d->last_us };
    t->o.on_outcome(t->o.arg, &o);
}

static void lost(void *arg, struct klx_delivery *d, const char *why) {
    struct klx_outlet *t = arg;
    struct klx_verdict v;
    klx_verdict_set(&v, KLX_VERDICT_REJECT_MESSAGE, "too_large_to_park", klx_sv(why));
    klx_delivery_begin(d, t->recipients, t->recipients_n);
    klx_delivery_fit(d, t->recipients, t->recipients_n);
    for (size_t i = 0; i < t->recipients_n; i++) {
        if (!d->recipients[i].final) {
            tell_lost(t, d, i, &v);
        }
    }
    klx_delivery_done(d);
}

static void on_parked(void *arg, const struct klx_delivery *d) {
    struct klx_outlet *t = arg;
    t->o.on_parked(t->o.arg, t->now.channel->name, d);
}

static void on_parker_change(void *arg) {
    struct klx_outlet *t = arg;
    enum klx_way way = klx_parker_way(t->parker);
    bool again = way == KLX_WAY_LANE && t->way != KLX_WAY_LANE;
    t->way = way;
    if (again) {
        klx_lane_retry_now(t->lane); /* the owner of the retry partition has got through */
    }
    if (t->removed && !t->closed) {
        klx_timer_start(t->turn, 0); /* the parker is on the stack below us */
    }
    t->o.on_change(t->o.arg);
}

static int open_edition(const struct klx_outlet_options *o, struct edition *ret,
                        struct klx_error *e) {
    void *opened = NULL;
    int rc = o->ops->open(&o->env, o->channel->name, o->channel->config, &opened, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "channel %s", o->channel->name);
    }
    *ret = (struct edition){ .channel = o->channel,
                             .links = o->links,
                             .kept = o->edition != NULL ? klx_edition_ref(o->edition) : NULL,
                             .opened = opened };
    return 0;
}

static void find_recipients(struct klx_outlet *t, void *channel) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    t->recipients = &nobody_in_particular;
    t->recipients_n =
        t->o.ops->recipients != NULL ? t->o.ops->recipients(channel, &t->recipients) : 1;
}

static struct klx_lane *new_lane(struct klx_outlet *t, struct edition *of) {
    struct klx_buf credential KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&credential, CREDENTIAL_BYTES_MAX);
    if (t->o.ops->credential != NULL) {
        t->o.ops->credential(of->channel->config, &credential);
    }
    const struct klx_lane_callbacks cb = { .on_outcome = on_outcome,
                                           .on_change = on_lane_change,
                                           .schedule = schedule_lane,
                                           .find_handle = find_handle,
                                           .passes_over = passes_over,
                                           .arg = t };
    const struct klx_lane_options lane = {
        .ops = t->o.ops,
        .channel = of->opened,
        .name = of->channel->name,
        .clock = t->o.env.clock,
        .links = of->links,
        .wording = of->channel->wording,
        .queue_max = t->o.queue_max,
        .give_up_after_ms = t->o.give_up_after_ms,
        .circuits = t->o.circuits,
        .credential = klx_buf_sv(&credential),
    };
    find_recipients(t, of->opened);
    of->opened = NULL;
    return klx_lane_new(&lane, &cb);
}

static void hold_lane(struct klx_outlet *t) {
    klx_lane_hold(t->lane, t->held || t->rest);
}

/* Nothing of the old lane is under way any more. */
static void use_next(struct klx_outlet *t) {
    struct klx_lane *old = t->lane;
    struct edition before = t->now;
    t->now = t->next;
    t->next = (struct edition){ 0 };
    t->lane = new_lane(t, &t->now);
    hold_lane(t);
    if (t->parker != NULL) {
        klx_parker_set_recipients(t->parker, t->recipients, t->recipients_n);
    }
    klx_lane_take_over(t->lane, old);
    klx_lane_free(old);
    klx_edition_unref(before.kept);
}

static void on_turn(void *arg) {
    struct klx_outlet *t = arg;
    if (t->stopped || klx_lane_is_sending(t->lane)) {
        return;
    }
    if (t->removed) {
        if (t->parker != NULL && !klx_parker_retire(t->parker)) {
            return; /* on_parker_change comes back to it */
        }
        klx_lane_give_up_all(t->lane, "channel_removed");
        t->on_gone(t->gone_arg, t);
    } else if (t->next.opened != NULL) {
        use_next(t);
    }
}

static void open_parker(struct klx_outlet *t) {
    if (t->o.parking == NULL) {
        return;
    }
    const struct klx_parker_options o = {
        .clock = t->o.env.clock,
        .channel = t->now.channel->name,
        .sink = t->o.ops->name,
        .retry_topic = t->o.topics->name[KLX_TOPIC_RETRY],
        .control_topic = t->o.topics->name[KLX_TOPIC_CONTROL],
        .hold_max = t->o.queue_max,
        .recipients = t->recipients,
        .recipients_n = t->recipients_n,
        .place = place,
        .give_back = give_back,
        .lost = lost,
        .parked = on_parked,
        .on_change = on_parker_change,
        .schedule = schedule_parker,
        .arg = t,
    };
    t->parker_timer = klx_timer_new(t->o.env.loop, on_parker_timer, t);
    t->look_timer = klx_timer_new(t->o.env.loop, on_look_timer, t);
    t->parker = klx_parker_new(&o);
    klx_parking_add(t->o.parking, t->now.channel->name, t->parker);
}

int klx_outlet_new(const struct klx_outlet_options *o, struct klx_outlet **ret,
                   struct klx_error *e) {
    struct edition first = { 0 };
    int rc = open_edition(o, &first, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_outlet *t = klx_alloc(struct klx_outlet);
    t->o = *o;
    t->now = first;
    t->timer = klx_timer_new(o->env.loop, on_lane_timer, t);
    t->turn = klx_timer_new(o->env.loop, on_turn, t);
    t->full_since_us = INT64_MAX;
    t->turned_us = mono_us(t);
    t->lane = new_lane(t, &t->now);
    open_parker(t);
    *ret = t;
    return 0;
}

static void drop(struct klx_outlet *t, struct edition *of) {
    if (of->opened != NULL) {
        t->o.ops->close(of->opened);
        klx_edition_unref(of->kept);
        *of = (struct edition){ 0 };
    }
}

void klx_outlet_cancel(struct klx_outlet *t) {
    drop(t, &t->prepared);
}

int klx_outlet_prepare(struct klx_outlet *t, const struct klx_outlet_options *o,
                       struct klx_error *e) {
    klx_outlet_cancel(t);
    return open_edition(o, &t->prepared, e);
}

static void begin_turn(struct klx_outlet *t) {
    klx_lane_stop(t->lane);
    if (!klx_lane_is_sending(t->lane)) {
        klx_timer_start(t->turn, 0);
    }
}

bool klx_outlet_commit(struct klx_outlet *t) {
    if (t->prepared.opened == NULL) {
        return false;
    }
    drop(t, &t->next); /* an earlier change that has not come to its turn */
    t->next = t->prepared;
    t->prepared = (struct edition){ 0 };
    begin_turn(t);
    return true;
}

void klx_outlet_limit(struct klx_outlet *t, const struct klx_outlet_options *o) {
    t->o.queue_max = o->queue_max;
    t->o.give_up_after_ms = o->give_up_after_ms;
    t->o.park_after_ms = o->park_after_ms;
    t->o.alone = o->alone;
    klx_lane_limit(t->lane, o->queue_max, o->give_up_after_ms);
    if (t->parker != NULL) {
        klx_parker_limit(t->parker, o->queue_max);
    }
    look_soon(t);
}

void klx_outlet_remove(struct klx_outlet *t, void (*on_gone)(void *arg, struct klx_outlet *t),
                       void *arg) {
    drop(t, &t->prepared);
    drop(t, &t->next);
    t->removed = true;
    t->on_gone = on_gone;
    t->gone_arg = arg;
    begin_turn(t);
}

const struct klx_channel_settings *klx_outlet_settings(const struct klx_outlet *t) {
    return t->next.opened != NULL ? t->next.channel : t->now.channel;
}

void klx_outlet_free(struct klx_outlet *t) {
    if (t != NULL) {
        t->closed = true;
        if (t->parker != NULL) {
            klx_parker_close(
                t->parker); /* what is on its way is still answered: parking frees it */
            klx_timer_free(t->parker_timer);
            klx_timer_free(t->look_timer);
        }
        klx_lane_free(t->lane);
        drop(t, &t->prepared);
        drop(t, &t->next);
        klx_edition_unref(t->now.kept);
        klx_timer_free(t->timer);
        klx_timer_free(t->turn);
        free(t);
    }
}

/* Behind what is to be parked when its send has ended: it must not be parked before that. */
static bool is_behind_rest(const struct klx_outlet *t, const struct klx_delivery *d) {
    const struct klx_delivery *first = t->rest ? klx_lane_first_like(t->lane, d) : NULL;
    return first != NULL && first->message->parked == NULL;
}

void klx_outlet_push(struct klx_outlet *t, struct klx_delivery *d) {
    if (t->parker == NULL || is_behind_rest(t, d) || !klx_parker_take(t->parker, d)) {
        klx_lane_push(t->lane, d);
        look_soon(t);
    }
}

size_t klx_outlet_recipients(const struct klx_outlet *t, const struct klx_sv **ret) {
    *ret = t->recipients;
    return t->recipients_n;
}

void klx_outlet_push_parked(struct klx_outlet *t, struct klx_delivery *d) {
    klx_lane_push(t->lane, d);
}

void klx_outlet_retry_now(struct klx_outlet *t) {
    klx_lane_retry_now(t->lane);
}

void klx_outlet_drop_revoked(struct klx_outlet *t) {
    klx_lane_drop_revoked(t->lane);
    if (t->parker != NULL) {
        klx_parker_drop_revoked(t->parker);
    }
}

void klx_outlet_hold(struct klx_outlet *t, bool held) {
    t->held = held;
    hold_lane(t);
}

/* In the lane's order, by `next`, what was read from the event topics and is behind no send; what is parked already goes back. */
static struct klx_delivery *take_direct(struct klx_outlet *t) {
    struct klx_delivery *direct = NULL, **direct_tail = &direct;
    struct klx_delivery *parked = NULL, **parked_tail = &parked;
    for (struct klx_delivery *d = klx_lane_take(t->lane); d != NULL; d = klx_lane_take(t->lane)) {
        struct klx_delivery ***tail = d->message->parked != NULL ? &parked_tail : &direct_tail;
        d->next = NULL;
        **tail = d;
        *tail = &d->next;
    }
    for (struct klx_delivery *next = NULL; parked != NULL; parked = next) {
        next = parked->next;
        klx_lane_push(t->lane, parked);
    }
    return direct;
}

/* Why what waits should be parked; false: it should not. */
static bool is_too_slow(const struct klx_outlet *t, struct klx_verdict *why) {
    int64_t ms = 0;
    const struct klx_verdict *last = klx_lane_trouble(t->lane, &ms);
    if (last != NULL && (klx_lane_is_broken(t->lane) || ms >= t->o.park_after_ms)) {
        *why = *last;
        return klx_lane_depth(t->lane) > 0;
    }
    bool full = mono_us(t) - t->full_since_us >= FULL_MS * KLX_US_PER_MS;
    if (!t->o.alone && (full || stands(t))) {
        klx_verdict_set(why, KLX_VERDICT_RETRY_BACKOFF, "queue_full",
                        klx_sv("more comes than the channel takes"));
        return true;
    }
    return false;
}

/* What is behind a send stays where it is until that has ended: if it fails it must go first. */
static void park(struct klx_outlet *t, const struct klx_verdict *why) {
    if (klx_parker_open(t->parker, why, klx_lane_asked_until_us(t->lane))) {
        t->rest = klx_lane_is_sending(t->lane);
        hold_lane(t);
        klx_parker_put_first(t->parker, take_direct(t));
    }
}

static void park_rest(struct klx_outlet *t) {
    if (!t->rest || klx_lane_is_sending(t->lane)) {
        return;
    }
    struct klx_delivery *direct = take_direct(t);
    t->rest = false;
    for (struct klx_delivery *next = NULL; direct != NULL; direct = next) {
        next = direct->next;
        klx_outlet_push(t, direct);
    }
    hold_lane(t);
}

void klx_outlet_look(struct klx_outlet *t) {
    struct klx_verdict why;
    (void)unsure_us(t);
    klx_lane_look(t->lane);
    if (t->parker == NULL) {
        return;
    }
    if (!klx_lane_full(t->lane)) {
        t->full_since_us = INT64_MAX;
    } else if (t->full_since_us == INT64_MAX) {
        t->full_since_us = mono_us(t);
    }
    if (klx_parker_way(t->parker) == KLX_WAY_LANE && is_too_slow(t, &why)) {
        park(t, &why);
    }
    park_rest(t);
}

void klx_outlet_park_rest(struct klx_outlet *t) {
    int64_t ms = 0;
    struct klx_verdict why;
    if (t->parker == NULL) {
        return;
    }
    if (klx_parker_way(t->parker) == KLX_WAY_LANE && klx_lane_depth(t->lane) > 0) {
        const struct klx_verdict *last = klx_lane_trouble(t->lane, &ms);
        klx_verdict_set(&why, KLX_VERDICT_ACCEPTED, "partitions_given_back", klx_sv(""));
        park(t, last != NULL ? last : &why);
    }
    park_rest(t);
}

bool klx_outlet_is_parking(const struct klx_outlet *t) {
    return t->parker != NULL && (t->rest || klx_parker_is_writing(t->parker));
}

void klx_outlet_stop(struct klx_outlet *t) {
    t->stopped = true;
    klx_lane_stop(t->lane);
}

bool klx_outlet_is_sending(const struct klx_outlet *t) {
    return klx_lane_is_sending(t->lane);
}

static size_t parked_n(const struct klx_outlet *t) {
    return t->parker != NULL ? klx_parker_depth(t->parker) : 0;
}

bool klx_outlet_full(const struct klx_outlet *t) {
    return klx_lane_full(t->lane) || parked_n(t) >= t->o.queue_max;
}

bool klx_outlet_has_room(const struct klx_outlet *t) {
    return klx_lane_has_room(t->lane) && parked_n(t) <= t->o.queue_max / 4 * 3;
}

bool klx_outlet_is_broken(const struct klx_outlet *t) {
    return klx_lane_is_broken(t->lane);
}

size_t klx_outlet_depth(const struct klx_outlet *t) {
    return klx_lane_depth(t->lane) + parked_n(t);
}

const char *klx_outlet_name(const struct klx_outlet *t) {
    return klx_lane_name(t->lane);
}

void klx_outlet_describe(const struct klx_outlet *t, struct klx_buf *out) {
    klx_lane_describe(t->lane, out);
    if (t->parker != NULL && out->len > 0) {
        klx_buf_truncate(out, out->len - 1);
        klx_parker_describe(t->parker, out);
        klx_buf_add_char(out, '\n');
    }
}
