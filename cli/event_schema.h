/*
 * JSON Schemas of the data of events, made of their descriptions (schema/data.h): what `klaxon schema <event>` prints, what schema/events/
 * holds, and what the AsyncAPI document is made of.
 *
 * They are for readers: open for members that are not known yet. They keep to what draft-07 and 2020-12 have in common.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "schema/data.h"

/* "node.ready": the type without "io.klaxon.". */
const char *klx_kind_short_name(enum klx_kind kind);

/* Appends the document of a kind, indented. */
void klx_event_schema_write(struct klx_buf *out, enum klx_kind kind);

/* The members of the object that is being written: type, required and properties of the data of a kind, or of an inner object. With `refs`
   an inner object is a reference to #/components/schemas/<its table>, else it stands where it is used. */
void klx_event_schema_data(struct klx_jw *w, enum klx_kind kind, bool refs);
void klx_event_schema_inner(struct klx_jw *w, const struct klx_data_member *object, bool refs);
