/*
 * What a change of a published JSON Schema of events means for who reads with it: schema/events/, which cli/event_schema.c writes.
 *
 * Readers are open (they pass over what they do not know), and they read what was written with both schemas. So these are no news to them:
 * a member more that is not always there, a word more, another description. All else breaks them: a member that goes or changes its type,
 * that is not always there any more or from now on always, a word that goes.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/json.h"

/* Appends a line for each change that breaks readers: "container.limit: is gone". Nothing: none does. */
void test_schema_breaks(const struct klx_json *old, const struct klx_json *new,
                        struct klx_buf *out);
