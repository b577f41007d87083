/*
 * What every channel tells of an event, before it is laid out: the same words on Slack, in a mail, on a card of Teams.
 *
 * Some of it an operator may have put in other words (sinks/core/wording.h): what is ours below is so without them.
 *
 * All texts are plain and untrusted: they hold whatever a pod's owner wrote, and each renderer escapes them for the place where they will
 * stand. Only `code` and links are safe as they are: `code` is left empty when a name in it is not a plain Kubernetes name, a link is left out when it is not
 * one that a person may follow (klx_url_is_link). Control characters, bidi controls and invalid UTF-8 are gone already; every text is cut
 * at its maximum with "…".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "sinks/core/links.h"
#include "sinks/core/sink.h"

#define KLX_CARD_LINE_BYTES_MAX 200 /* subject, title */
#define KLX_CARD_SUMMARY_BYTES_MAX 1000
#define KLX_CARD_FACT_NAME_BYTES_MAX 60
#define KLX_CARD_FACT_BYTES_MAX 300
#define KLX_CARD_FACTS_MAX 12
#define KLX_CARD_LINKS_MAX 6

struct klx_card_fact {
    struct klx_sv name;  /* "Cluster" */
    struct klx_sv value; /* the event's */
};

struct klx_card {
    struct klx_sv
        subject; /* what the incident is about, equal for all of its events: "Node aks-1 (prod-weu)" */
    struct klx_sv title; /* ours: the kind's title */
    struct klx_sv
        state; /* ours: "opened", "update 3", "resolved", "still open"; "" outside of an incident and of a digest */
    struct klx_sv summary; /* one sentence */
    struct klx_card_fact
        facts[KLX_CARD_FACTS_MAX]; /* cluster, object, reason, times, the actions so far … */
    size_t facts_n;
    struct klx_sv advice; /* ours: what to do; "" when resolved or unknown */
    struct klx_sv code;   /* a command to copy: "kubectl describe node aks-1"; or "" */
    struct klx_link
        links[KLX_CARD_LINKS_MAX]; /* pages to look at: the event's own, then the configuration's */
    size_t links_n;
    struct klx_sv link,
        link_title;       /* the first of them: a URL, and what it is called: "Argo CD"; or "" */
    struct klx_sv footer; /* "klaxon · operations · incident b25f05a3 · 2026-03-11 08:02:18 UTC" */
    enum klx_severity severity;
    bool resolved;
};

/* "Warning", "Critical", "Resolved", "" for information: what colour says to the eye. */
const char *klx_card_word(const struct klx_card *card);
/* In the words of the notice's wording, if it has one. Everything lives in the arena. -ENOMEM: it is full. */
int klx_card_make(struct klx_arena *a, const struct klx_notice *notice,
                  struct klx_card *ret) KLX_MUST_CHECK;
