/*
 * Matchers in Alertmanager's grammar: which events a silence is about.
 *
 *     cluster=prod-weu                 is that text
 *     severity!=critical               is not
 *     name=~"aks-system-.*"            a regular expression (pcre2) that holds for the whole text
 *     namespace!~"kube-.*|argocd"      … that does not
 *     {team="operations", topic=nodes,}    several, in braces or not; all must hold
 *
 * A value without quotes has no white space and none of { } ! = ~ , \ " ' `. Inside of double quotes are the escapes of a Go string. What an
 * event does not have reads as empty text, so `namespace=""` asks for events that have none, and `owner!=x` holds for an object without
 * the label. A pattern that takes too long does not match.
 *
 * Names: cluster, namespace, name and kind (of the object), type ("node.repair.started"), reason, severity, phase, incident, topic ("nodes"),
 * team, channel; any other name is a label of the event's data, and so is what follows "labels.".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/match.h"
#include "lib/base/sv.h"
#include "schema/event.h"

#define KLX_MATCHERS_MAX 64

enum klx_matcher_op {
    KLX_MATCHER_EQUAL,     /* =  */
    KLX_MATCHER_NOT_EQUAL, /* != */
    KLX_MATCHER_REGEX,     /* =~ */
    KLX_MATCHER_NOT_REGEX, /* !~ */
};

struct klx_matcher {
    struct klx_sv name, value; /* NUL-terminated too */
    enum klx_matcher_op op;
    struct klx_match *regex; /* of the two that need one */
};

/* Zeroed is empty; klx_matchers_release frees what was added. */
struct klx_matchers {
    struct klx_matcher *items;
    size_t n;
};

/* What is matched: an event on its way to one channel. Everything is borrowed. */
struct klx_matched {
    const struct klx_event *event;
    const struct klx_json *data; /* of the event */
    enum klx_severity severity;  /* after the subscription's raise or lower */
    struct klx_sv topic;         /* short: "nodes" */
    struct klx_sv team, channel;
};

/* Adds one or several; nothing is added when it fails. -EINVAL: what is wrong, and where in the text. */
int klx_matchers_parse(struct klx_matchers *m, struct klx_sv text,
                       struct klx_error *e) KLX_MUST_CHECK;
/* Adds one whose parts are known. -EINVAL: an empty name, or a pattern that is none; -E2BIG: KLX_MATCHERS_MAX are there. */
int klx_matchers_add(struct klx_matchers *m, struct klx_sv name, enum klx_matcher_op op,
                     struct klx_sv value, struct klx_error *e) KLX_MUST_CHECK;
void klx_matchers_release(struct klx_matchers *m);
/* All hold. Without any: false. */
bool klx_matchers_test(const struct klx_matchers *m, const struct klx_matched *what);
/* All hold for an event that has nothing: such matchers would match every event, and are a mistake. */
bool klx_matchers_match_nothing(const struct klx_matchers *m);
/* Appends {cluster="prod", name=~"a.*"}, which can be parsed again. */
void klx_matchers_write(const struct klx_matchers *m, struct klx_buf *out);
