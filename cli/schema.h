/*
 * The JSON Schema of the configuration, for editors: made of the same tables that the configuration is bound by.
 *
 * Draft-07, which every editor's YAML plug-in understands. It is less strict than `klaxon check`: it knows no references, no patterns,
 * and does not ask for `kafka`.
 */
#pragma once

#include "lib/base/buf.h"

enum klx_schema_file { KLX_SCHEMA_MAIN, KLX_SCHEMA_CHANNELS, KLX_SCHEMA_SUBSCRIPTIONS };

/* Appends the document, indented: of klaxon.yaml, or of a file of channels.d/ or subscriptions.d/. */
void klx_schema_write(struct klx_buf *out, enum klx_schema_file file);
/* Appends JSON that klx_jw wrote (no white space outside of strings) as people read it. */
void klx_schema_indent(struct klx_buf *out, struct klx_sv json);
