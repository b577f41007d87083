/*
 * The AsyncAPI 3 document of klaxon's topics: channels with keys and settings (schema/topics.def), messages with headers and data
 * (schema/kinds.def, schema/data.def). schema/asyncapi.json holds it with the prefix "klaxon."; `klaxon schema asyncapi` prints it.
 */
#pragma once

#include "lib/base/buf.h"
#include "schema/topics.h"

/* Appends the document, indented. */
void klx_asyncapi_write(struct klx_buf *out, const struct klx_topic_names *topics);
