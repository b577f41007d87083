/*
 * Inside of asyncapi only: messages that are no events of a kind, for the topics that klaxon writes for itself. Headers and payload are JSON
 * Schemas as text; what they say is in sinks/core/parking/parked.h and marks.h.
 */
#pragma once

#include "schema/topics.h"

struct klx_own_message {
    enum klx_topic topic;
    const char *name, *title, *about;
    const char *headers; /* NULL: none that matter */
    const char *payload;
};

extern const struct klx_own_message klx_own_messages[];
extern const size_t klx_own_messages_n;
