/*
 * The JSON Schema of the configuration, for editors: made of the same tables that the configuration is bound by.
 *
 * Draft-07, which every editor's YAML plug-in understands. It is less strict than `klaxon check`: it knows no references, no patterns,
 * and does not ask for `kafka`, so that it also fits files of channels.d/ and subscriptions.d/.
 */
#pragma once

#include "lib/base/buf.h"

/* Appends the document, indented. */
void klx_schema_write(struct klx_buf *out);
/* Appends JSON that klx_jw wrote (no white space outside of strings) as people read it. */
void klx_schema_indent(struct klx_buf *out, struct klx_sv json);
