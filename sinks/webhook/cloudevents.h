/*
 * A notice as a CloudEvent over HTTP (CloudEvents 1.0, HTTP protocol binding): binary mode has the attributes as headers ce-<name> and the
 * event's data as the body, structured mode all of it as one JSON object (application/cloudevents+json).
 *
 * The attributes are the event's own (schema/event.h), severity as it is told. `notice` says why somebody is told of an event again: reminder or
 * escalation. A digest is an event of its own, io.klaxon.digest: {events, incidents, since, until, lines: [{text, severity, events}]}.
 */
#pragma once

#include "sinks/core/sink.h"

/* Both append headers, an empty line and the body; out may fail. */
void klx_cloudevents_binary(const struct klx_notice *notice, struct klx_buf *out);
void klx_cloudevents_structured(const struct klx_notice *notice, struct klx_buf *out);
