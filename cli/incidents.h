/*
 * Incidents as `klaxon incident` shows them: what the sinks keep of each on klaxon.state, a record a channel (sinks/core/noise/incidents.h),
 * put together, and who has acknowledged it on klaxon.control (sinks/core/noise/acks.h).
 *
 *    state and control, in any order ─▶ join ─▶ what is open, the worst first
 *                                        │
 *                                        └ the sinks keep an event only of what they may have to tell again: the last event of the others is
 *                                          looked for in the topics (klx_cli_incidents_read_events), from the first opening on
 *
 * What no channel was to hear of is not among them.
 */
#pragma once

#include "cli/command.h"
#include "lib/base/record.h"
#include "lib/base/time.h"
#include "sinks/core/noise/incidents.h"
#include "sinks/core/noise/matchers.h"

#define KLX_CLI_ACK_BYTES_MAX 8192
#define KLX_CLI_INCIDENT_SHORT 8    /* letters of an id, as messages show it */
#define KLX_CLI_INCIDENT_WORD_MIN 4 /* letters that may stand for a longer id */

struct klx_cli_ack {
    struct klx_sv by, comment;
    int64_t at_us; /* KLX_TIME_NONE: not told */
};

/* Lives as long as the set. */
struct klx_cli_incident {
    struct klx_sv id;
    const struct klx_incident **
        channels; /* that were told of it or may be, by name; none: only its acknowledgement is there */
    size_t channels_n;
    const struct klx_cli_ack *ack; /* NULL: nobody has acknowledged it */
    bool open;
    enum klx_topic topic;
    enum klx_severity severity; /* of the last event, the worst that a channel was told of it as */
    uint32_t number;            /* of the last event */
    int64_t since_us;           /* KLX_TIME_NONE: not known */
    /* Of its last event; empty where it is not known. */
    struct klx_sv cluster, type, summary, kind, namespace, name;
};

struct klx_cli_incidents;

struct klx_cli_incidents *klx_cli_incidents_new(int64_t now_us);
void klx_cli_incidents_free(struct klx_cli_incidents *all);
/* Records of klaxon.state and klaxon.control; those of something else are passed over. */
void klx_cli_incidents_state(struct klx_cli_incidents *all, const struct klx_record *r);
void klx_cli_incidents_control(struct klx_cli_incidents *all, const struct klx_record *r);
/* Once, after all of these. */
void klx_cli_incidents_join(struct klx_cli_incidents *all);
/* After it: whether the event of an open incident of this topic is not known, and since when there can be one. */
bool klx_cli_incidents_want(const struct klx_cli_incidents *all, enum klx_topic topic,
                            int64_t *ret_since_us);
/* A record of a topic of events, in the order of its partition. */
void klx_cli_incidents_event(struct klx_cli_incidents *all, const struct klx_record *r);
/* After the last event. */
void klx_cli_incidents_describe(struct klx_cli_incidents *all);

/* From NULL on; NULL ends. Worst first, and of these what is open for the longest time. */
const struct klx_cli_incident *klx_cli_incidents_next(const struct klx_cli_incidents *all,
                                                      const struct klx_cli_incident *i);
/* Of those that are meant (`of`): the one of that id, or the only one whose id begins with it. -ENOENT, or -ENOTUNIQ: of several. */
int klx_cli_incidents_find(const struct klx_cli_incidents *all, struct klx_sv word,
                           bool (*of)(const struct klx_cli_incident *i),
                           const struct klx_cli_incident **ret) KLX_MUST_CHECK;
/* As a silence would match its last event on one of its channels. What is not known of it matches nothing, and sets *unseen. */
bool klx_cli_incident_matches(struct klx_cli_incidents *all, const struct klx_cli_incident *i,
                              const struct klx_matchers *m, bool *unseen);

/* The record of klaxon.control: its key, and its value; a tombstone takes it back. */
void klx_cli_ack_key(struct klx_sv incident, struct klx_buf *out);
void klx_cli_ack_encode(const struct klx_cli_ack *a, struct klx_buf *out);

/* Reads klaxon.state and klaxon.control, and joins them. KLX_EXIT_OK, or the exit code after it has said what is wrong. */
int klx_cli_incidents_read(const char *command, const struct klx_cli_config *c,
                           struct klx_cli_incidents *all) KLX_MUST_CHECK;
/* Then, for whoever shows or filters them: the topics of those whose event is not known. */
int klx_cli_incidents_read_events(const char *command, const struct klx_cli_config *c,
                                  struct klx_cli_incidents *all) KLX_MUST_CHECK;

/* The option --filter, of struct options with `filters`; and what it says. -EINVAL with what is wrong; *ret needs klx_matchers_release in any case. */
#define KLX_CLI_INCIDENT_OPTION_FILTER                                                             \
    {                                                                                              \
        "filter", 0, KLX_OPT_STRS, offsetof(struct options, filters), "MATCHER",                   \
            "whose last event matches, as of a silence: cluster=prod, name=~\"aks-.*\"; "          \
            "repeatable",                                                                          \
            NULL                                                                                   \
    }
int klx_cli_filters_parse(const struct klx_option_strings *filters, struct klx_matchers *ret,
                          struct klx_error *e) KLX_MUST_CHECK;

int klx_cli_incident_ack(int argc, char **argv);
int klx_cli_incident_unack(int argc, char **argv);
