/*
 * Mustache templates (mustache(5), spec of github.com/mustache/spec): variables, sections, inverted sections, comments, dotted
 * names, the implicit iterator {{.}}, standalone lines. No partials, lambdas or delimiter changes yet: they are refused with a message.
 *
 * Every variable goes through the escaper of the channel. There is no way around it: {{{x}}} and {{&x}} are refused at compile time,
 * because the text of an event is written by whoever owns a pod.
 *
 * A compiled template borrows nothing and may be rendered any number of times. Values: strings, numbers, booleans, arrays, objects of
 * a klx_json tree; a missing value renders as nothing.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/sv.h"

struct klx_template;

/* Appends `text`, made harmless for the place it will stand in, to `out`. */
typedef void (*klx_escape_fn)(struct klx_buf *out, struct klx_sv text);

/* Appends as it is: for plain text (subjects are folded elsewhere), terminal tables and tests. */
void klx_escape_none(struct klx_buf *out, struct klx_sv text);
/* & < > " ' */
void klx_escape_html(struct klx_buf *out, struct klx_sv text);
/* -EINVAL with "line L, column C: …". */
int klx_template_new(struct klx_sv text, struct klx_template **ret,
                     struct klx_error *e) KLX_MUST_CHECK;
void klx_template_free(struct klx_template *t);
/* Appends to out; -EMSGSIZE when out's maximum is passed. */
int klx_template_render(const struct klx_template *t, const struct klx_json *context,
                        klx_escape_fn escape, struct klx_buf *out) KLX_MUST_CHECK;
