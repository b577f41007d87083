#include "cli/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/channels.h"
#include "cli/event_topics.h"
#include "cli/history_counts.h"
#include "cli/log.h"
#include "history/record_bytes.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/time.h"

#define ITEM_BYTES_MAX (32u << 20)
#define ARENA_BYTES_MAX (16u << 20)
#define ID_BYTES 12

/* Reading: everything that is meant into the sorter, as records. */

static void on_selected(void *arg, const struct klx_history_event *h, int64_t time_us, size_t i) {
    struct klx_replay *r = arg;
    struct klx_error e = { 0 };
    struct klx_buf bytes KLX_CLEANUP(klx_buf_release);
    const struct klx_sorter_key key = { time_us, h->record->offset, (uint32_t)i };
    klx_buf_init(&bytes, ITEM_BYTES_MAX);
    if (r->sorter == NULL || r->read.over) {
        return;
    }
    klx_record_pack(h->record, &bytes);
    int rc = klx_buf_check(&bytes);
    rc = rc == 0 ? klx_sorter_add(r->sorter, &key, klx_buf_sv(&bytes), &e)
                 : klx_fail(&e, rc, "%s/%d@%" PRId64 " is too large", h->record->topic,
                            (int)h->record->partition, h->record->offset);
    if (rc != 0) {
        klx_history_read_fail(&r->read, &e, KLX_EXIT_FAILED);
    }
}

static void on_end(void *arg) {
    struct klx_replay *r = arg;
    r->total = r->read.selected;
    klx_history_read_end(&r->read, r->read.gone > 0 ? KLX_EXIT_PARTLY : KLX_EXIT_OK);
}

int klx_replay_next(struct klx_replay *r, struct klx_record *ret, bool *ret_more,
                    struct klx_error *e) {
    struct klx_sorter_key key;
    struct klx_sv item;
    int rc = klx_sorter_next(r->sorter, &key, &item, ret_more, e);
    if (rc != 0 || !*ret_more) {
        return rc;
    }
    rc = klx_record_unpack(item, r->headers, KLX_REPLAY_HEADERS_MAX, ret);
    if (rc != 0 || key.partition >= r->read.partitions_n) {
        return klx_fail(e, -EBADMSG, "what was sorted is damaged");
    }
    ret->topic = r->read.partitions[key.partition].topic;
    ret->partition = r->read.partitions[key.partition].partition;
    ret->offset = key.offset;
    return 0;
}

int klx_replay_done(struct klx_replay *r, uint64_t done, struct klx_error *e) {
    const struct klx_history_state s = {
        .question = klx_sv(r->question),
        .span = r->plan.span,
        .replay_id = klx_sv(r->id),
        .done = done,
        .partitions = r->read.partitions,
        .partitions_n = r->read.partitions_n,
    };
    r->done = done;
    return r->o->state != NULL ? klx_history_state_save(r->o->state, &s, e) : 0;
}

/* Who replayed what, and why: replay/<id> on klaxon.control. */
static int write_mark(const struct klx_replay *r, const char *state) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    const char *by = klx_cli_author(r->o->author);
    struct klx_jw w;
    klx_buf_init(&key, 256);
    klx_buf_init(&value, 65536);
    klx_buf_printf(&key, "replay/%s", r->id);
    klx_jw_init(&w, &value);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "state", state);
    klx_jw_member_time(&w, "at", klx_cli_now_us());
    klx_jw_member_str(&w, "by", by != NULL ? by : "unknown");
    klx_jw_member_str(&w, "reason", r->o->reason);
    klx_jw_member_str(&w, "to", r->o->to);
    klx_jw_member_time(&w, "since", r->plan.span.since_us);
    klx_jw_member_time(&w, "until", r->plan.span.until_us);
    klx_jw_member_int(&w, "events", (int64_t)r->total);
    klx_jw_member_int(&w, "done", (int64_t)r->done);
    klx_jw_end_object(&w);
    const struct klx_record record = { .partition = -1,
                                       .timestamp_ms = klx_cli_now_us() / KLX_US_PER_MS,
                                       .key = klx_buf_sv(&key),
                                       .value = klx_buf_sv(&value) };
    return klx_cli_write(KLX_REPLAY, r->config, KLX_TOPIC_CONTROL, &record, 1);
}

/* Where a replay was broken off: the range and the ends are those of then, and so is the order. */
static int take_up(struct klx_replay *r, struct klx_arena *a, struct klx_error *e) {
    struct klx_history_state s = { 0 };
    int rc = r->o->state != NULL ? klx_history_state_load(r->o->state, a, &s, e) : -ENOENT;
    if (rc != 0) {
        return rc == -ENOENT ? 0 : rc;
    }
    if (!klx_sv_eq(s.question, klx_sv(r->question)) || s.replay_id.n == 0 ||
        s.replay_id.n >= sizeof(r->id)) {
        return klx_fail(e, -EINVAL,
                        "%s is of something else: give the same options, or remove it to begin "
                        "anew",
                        r->o->state);
    }
    struct klx_range_partition *again = klx_arena_alloc(a, (s.partitions_n + 1) * sizeof(*again));
    if (again == NULL) {
        return klx_fail(e, -ENOMEM, "%s: too many partitions", r->o->state);
    }
    memcpy(again, s.partitions, s.partitions_n * sizeof(*again));
    for (size_t i = 0; i < s.partitions_n; i++) {
        again[i].next = again[i].begin;
        again[i].gone = 0;
    }
    snprintf(r->id, sizeof(r->id), "%.*s", KLX_SV_FMT(s.replay_id));
    r->done = s.done;
    r->plan.span = s.span;
    r->read.resume = again;
    r->read.resume_n = s.partitions_n;
    fprintf(stderr, KLX_REPLAY ": goes on with replay %s after %" PRIu64 " events\n", r->id,
            r->done);
    return 0;
}

static int read_range(struct klx_replay *r) {
    const struct klx_sorter_options sorting = { .memory_max = 0 };
    r->read.command = KLX_REPLAY;
    r->read.kafka = r->config->kafka;
    r->read.plan = &r->plan;
    r->read.quiet = r->o->quiet;
    r->read.on_selected = on_selected;
    r->read.on_end = on_end;
    r->read.arg = r;
    r->sorter = r->o->yes && !r->o->dry_run ? klx_sorter_new(&sorting) : NULL;
    return klx_history_read_run(&r->read);
}

static int skip_done(struct klx_replay *r) {
    struct klx_record record;
    struct klx_error e = { 0 };
    bool more = true;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && more && i < r->done; i++) {
        rc = klx_replay_next(r, &record, &more, &e);
    }
    if (rc != 0) {
        fprintf(stderr, KLX_REPLAY ": %s\n", e.text);
    }
    return rc == 0 ? KLX_EXIT_OK : KLX_EXIT_FAILED;
}

static int tell(struct klx_replay *r, bool to_channel) {
    klx_progress_init(&r->progress, KLX_REPLAY, r->o->quiet);
    int code = write_mark(r, r->done > 0 ? "resumed" : "begun");
    code = code == KLX_EXIT_OK ? skip_done(r) : code;
    if (code != KLX_EXIT_OK) {
        return code;
    }
    code = to_channel ? klx_replay_to_channel(r) : klx_replay_to_topic(r);
    klx_progress_clear(&r->progress);
    int marked = write_mark(r, r->done == r->total ? "done" : "broken_off");
    fprintf(stderr, KLX_REPLAY ": replay %s: %" PRIu64 " of %" PRIu64 " events to %s", r->id,
            r->done, r->total, r->o->to);
    fprintf(stderr, r->refused > 0 ? ", of which %" PRIu64 " were refused\n" : "%.0" PRIu64 "\n",
            r->refused);
    if (r->done < r->total && r->o->state != NULL) {
        fprintf(stderr, KLX_REPLAY ": the same command goes on from there\n");
    }
    return code != KLX_EXIT_OK ? code : r->refused > 0 ? KLX_EXIT_PARTLY : marked;
}

static int say_dry(const struct klx_replay *r) {
    klx_history_counts_print(&r->read);
    fprintf(stderr,
            KLX_REPLAY ": nothing was told. %" PRIu64 " events would go to %s; --yes and --reason "
                       "TEXT do it\n",
            r->total - r->done, r->o->to);
    return r->read.gone > 0 ? KLX_EXIT_PARTLY : KLX_EXIT_OK;
}

static int run(struct klx_replay *r, bool to_channel) {
    struct klx_error e = { 0 };
    struct klx_arena a;
    klx_arena_init(&a, 4096, ARENA_BYTES_MAX);
    int code = KLX_EXIT_USAGE;
    if (take_up(r, &a, &e) != 0) {
        fprintf(stderr, KLX_REPLAY ": %s\n", e.text);
    } else {
        code = read_range(r);
        if (code == KLX_EXIT_OK || code == KLX_EXIT_PARTLY) {
            code = r->sorter == NULL ? say_dry(r) : tell(r, to_channel);
        }
    }
    klx_sorter_free(r->sorter);
    klx_history_read_release(&r->read);
    klx_arena_release(&a);
    return code;
}

static bool is_id(const char *id) {
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n > 0 && id[n] == '\0' && n < sizeof(((struct klx_replay *)0)->id);
}

/* One that is not given: of what is asked, and when. */
static void make_id(struct klx_replay *r) {
    char now[KLX_TIME_TEXT_BYTES], digest[KLX_HASH_TEXT_BYTES];
    if (r->o->id != NULL) {
        snprintf(r->id, sizeof(r->id), "%s", r->o->id);
        return;
    }
    size_t n = klx_time_format(klx_cli_now_us(), KLX_TIME_MICROS, now);
    const struct klx_sv parts[] = { klx_sv(r->question), klx_sv_n(now, n) };
    klx_hash_parts(parts, KLX_COUNT(parts), digest);
    snprintf(r->id, sizeof(r->id), "%.*s", ID_BYTES, digest);
}

/* "channel/ops-slack" or "topic/sandbox". */
static int read_goal(struct klx_replay *r, bool *ret_channel, struct klx_error *e) {
    struct klx_sv to = klx_sv(r->o->to), channel = KLX_SV("channel/"), topic = KLX_SV("topic/");
    if (!klx_sv_starts(to, channel) && !klx_sv_starts(to, topic)) {
        return klx_fail(e, -EINVAL, "--to wants channel/NAME or topic/NAME%s%s",
                        r->o->to != NULL ? ", found " : "", r->o->to != NULL ? r->o->to : "");
    }
    *ret_channel = klx_sv_starts(to, channel);
    r->goal = r->o->to + (*ret_channel ? channel.n : topic.n);
    if (r->goal[0] == '\0') {
        return klx_fail(e, -EINVAL, "--to: a name is missing");
    }
    if (r->o->id != NULL && !is_id(r->o->id)) {
        return klx_fail(e, -EINVAL, "--id wants letters, digits, '-', '_' and '.', at most 63");
    }
    if (r->o->rate < 0) {
        return klx_fail(e, -EINVAL, "--rate wants a number of events a second from 1 on");
    }
    if (r->o->yes && (r->o->reason == NULL || r->o->reason[0] == '\0')) {
        return klx_fail(e, -EINVAL, "--reason TEXT is missing: why these are told again");
    }
    return 0;
}

/* A channel that a subscription names has people behind it; a topic of klaxon's own has readers that count. */
static int check_goal(struct klx_replay *r, bool to_channel, struct klx_error *e) {
    bool own = false;
    if (to_channel) {
        struct klx_cli_channels channels = { 0 };
        int code = klx_cli_channels_load(KLX_REPLAY, r->o->config, &channels);
        if (code != KLX_EXIT_OK) {
            return code;
        }
        const struct klx_channel_settings *s = klx_cli_channel_find(KLX_REPLAY, &channels, r->goal);
        size_t named =
            s != NULL
                ? klx_cli_channel_subscriptions(&channels, (size_t)(s - channels.sinks.channels))
                : 0;
        klx_cli_channels_release(&channels);
        if (s == NULL) {
            return KLX_EXIT_FAILED;
        }
        own = named > 0;
    } else {
        for (size_t i = 0; i < KLX_TOPICS_N; i++) {
            own = own || strcmp(r->goal, r->config->settings.topics.name[i]) == 0;
        }
    }
    bool confirmed = r->o->confirm != NULL && strcmp(r->o->confirm, r->goal) == 0;
    if (own && r->o->yes && !r->o->dry_run && !confirmed) {
        klx_fail(e, -EPERM, "%s is %s: --confirm %s says that this is meant", r->o->to,
                 to_channel ? "a channel that subscriptions tell people on"
                            : "a topic of klaxon's own, whose readers count what is on it",
                 r->goal);
        fprintf(stderr, KLX_REPLAY ": %s\n", e->text);
        return KLX_EXIT_FAILED;
    }
    return to_channel ? KLX_EXIT_OK : klx_replay_look_for_topic(r);
}

#define OPTION(member) offsetof(struct klx_replay_options, member)

static const struct klx_option table[] = {
    { "to", 0, KLX_OPT_STR, OPTION(to), "GOAL", "channel/NAME or topic/NAME (required)", NULL },
    KLX_HISTORY_OPTION_ROWS(struct klx_replay_options),
    { "yes", 'y', KLX_OPT_FLAG, OPTION(yes), NULL, "do it; without, it is only counted", NULL },
    { "dry-run", 0, KLX_OPT_FLAG, OPTION(dry_run), NULL, "count only, also with --yes", NULL },
    { "reason", 0, KLX_OPT_STR, OPTION(reason), "TEXT", "why (required with --yes)", NULL },
    { "author", 'a', KLX_OPT_STR, OPTION(author), "NAME", "who (default: $USER)", NULL },
    { "confirm", 0, KLX_OPT_STR, OPTION(confirm), "NAME",
      "the goal's name again, where people or counting readers are", NULL },
    { "rate", 0, KLX_OPT_INT, OPTION(rate), "N",
      "events a second, at most (default: 1 to a channel, 1000 to a topic)", NULL },
    { "id", 0, KLX_OPT_STR, OPTION(id), "ID", "what stands in replayid (default: made up)", NULL },
    { "resume", 0, KLX_OPT_STR, OPTION(state), "FILE",
      "write down in FILE how far it is, and go on from there", NULL },
    { "quiet", 'q', KLX_OPT_FLAG, OPTION(quiet), NULL, "no progress", NULL },
    { "config", 'c', KLX_OPT_STR, OPTION(config), "FILE", KLX_CLI_CONFIG_HELP, NULL },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = KLX_REPLAY,
    .operands = "",
    .summary = "Tell a channel, or a topic, again what happened between two instants.",
    .examples = "  klaxon replay --since 1d -t nodes -s critical --to channel/ops-slack\n"
                "  klaxon replay --at yesterday:today --to topic/sandbox.nodes\n",
};

int klx_cli_replay(int argc, char **argv) {
    struct klx_replay_options o = { 0 };
    struct klx_replay r = { .o = &o };
    struct klx_cli_config config;
    struct klx_error e = { 0 };
    bool to_channel = false;
    int code = KLX_EXIT_OK, first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(KLX_REPLAY, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    if (read_goal(&r, &to_channel, &e) != 0) {
        return klx_cli_usage(KLX_REPLAY, e.text);
    }
    code = klx_cli_config_load(KLX_REPLAY, o.config, &config);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    r.config = &config;
    if (klx_history_plan_init(&r.plan, &o.history, &config.settings.topics, klx_cli_now_us(), &e) ==
        0) {
        klx_history_digest(&r.plan, &o.history, o.to, r.question);
        make_id(&r);
        code = check_goal(&r, to_channel, &e);
        code = code == KLX_EXIT_OK
                   ? klx_cli_event_topics_look(KLX_REPLAY, config.kafka, r.plan.topics,
                                               &r.plan.topics_n, o.history.topics.n > 0)
                   : code;
        code = code == KLX_EXIT_OK ? run(&r, to_channel) : code;
        klx_history_plan_release(&r.plan);
    } else {
        code = klx_cli_usage(KLX_REPLAY, e.text);
    }
    klx_cli_config_release(&config);
    return code;
}
