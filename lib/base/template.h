/*
 * Mustache templates (mustache(5), spec of github.com/mustache/spec, version 1.4): variables, sections, inverted sections, comments,
 * partials, changes of delimiter, dotted names, the implicit iterator {{.}}, standalone lines. Not there: lambdas, inheritance and dynamic
 * names, which the specification calls optional; they are refused with a message.
 *
 * Every variable goes through the escaper of the channel. There is no way around it: {{{x}}} and {{&x}} are refused at compile time,
 * because the text of an event is written by whoever owns a pod.
 *
 * One thing is ours: a number at the end of a name that leads to a text cuts it, {{summary.80}} is its first 80 characters at most, with "…"
 * where something was cut. Elsewhere such a name would render as nothing.
 *
 * A compiled template borrows nothing and may be rendered any number of times. Values: strings, numbers, booleans, arrays, objects of
 * a klx_json tree; a missing value renders as nothing. False are: false, null, an empty list, an empty text, and what is missing.
 *
 * Bounded: text and partials by KLX_TEMPLATE_BYTES_MAX together, sections by 32 in each other, a rendering by 64 contexts and partials in
 * each other, and by its work (nodes looked at and parts written), so that sections in sections over long lists end in time.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/sv.h"

#define KLX_TEMPLATE_BYTES_MAX 262144
#define KLX_TEMPLATE_CONTEXTS_MAX 64u /* contexts and partials in each other */

struct klx_template;

/* Appends `text`, made harmless for the place it will stand in, to `out`. */
typedef void (*klx_escape_fn)(struct klx_buf *out, struct klx_sv text);

/* Appends as it is: for plain text (subjects are folded elsewhere), terminal tables and tests. */
void klx_escape_none(struct klx_buf *out, struct klx_sv text);
/* & < > " ' */
void klx_escape_html(struct klx_buf *out, struct klx_sv text);
/* For between the quotes of a JSON string. */
void klx_escape_json(struct klx_buf *out, struct klx_sv text);
/* For one value of a query or a form: everything but letters, digits and "-._~" as %2F. */
void klx_escape_url(struct klx_buf *out, struct klx_sv text);

/* A template that another one may take in, {{>name}}. */
struct klx_template_partial {
    struct klx_sv name, text;
};

/* Without partials. -EINVAL with "line L, column C: …". */
int klx_template_new(struct klx_sv text, struct klx_template **ret,
                     struct klx_error *e) KLX_MUST_CHECK;
/* Partials may take in each other and themselves. All are compiled, so a mistake in one that nobody takes in is said too, with
   'partial "name": ' before it. */
int klx_template_new_with(struct klx_sv text, const struct klx_template_partial *partials, size_t n,
                          struct klx_template **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_template_free(struct klx_template *t);
/* The first partial that is taken in and not there, and so renders as nothing; empty when all are there. */
struct klx_sv klx_template_missing(const struct klx_template *t);

/* A name that a template uses, and the sections around it, the outermost first: it is looked for from the innermost out. */
struct klx_template_use {
    struct klx_sv name;
    const struct klx_sv *within;
    size_t within_n;
};
/* 0, or an error whose words say what is wrong with the name. */
typedef int (*klx_template_use_fn)(void *arg, const struct klx_template_use *use,
                                   struct klx_error *e);
/* Asks fn about each name, those of a partial wherever it is taken in (within itself only once), until it says no. Its error then has
   'partial "p": line L, column C: {{name}}: ' before it. */
int klx_template_check(const struct klx_template *t, klx_template_use_fn fn, void *arg,
                       struct klx_error *e) KLX_MUST_CHECK;

/* Nodes looked at and parts written; some 80 ns each. */
#define KLX_TEMPLATE_WORK_MAX 1000000u
/* Appends to out. -EMSGSIZE: out's maximum is passed; -ELOOP: contexts and partials stand too deep in each other; -ETIME: it takes more than
   work_max. */
int klx_template_render(const struct klx_template *t, const struct klx_json *context,
                        unsigned work_max, klx_escape_fn escape,
                        struct klx_buf *out) KLX_MUST_CHECK;
