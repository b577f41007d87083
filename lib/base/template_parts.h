/*
 * Internal of lib/base/template*.c: a template as it is compiled.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/template.h"

#define KLX_TEMPLATE_DEPTH_MAX 32u   /* sections in each other, of one text */
#define KLX_TEMPLATE_PARTS_MAX 4096u /* of one text */

enum klx_part_kind {
    KLX_PART_TEXT,
    KLX_PART_VARIABLE,
    KLX_PART_SECTION,
    KLX_PART_INVERTED,
    KLX_PART_END,
    KLX_PART_PARTIAL
};

struct klx_part {
    enum klx_part_kind kind;
    bool
        begins_line; /* of TEXT, which may be empty for it: a line begins here, and so the indent of a partial */
    struct klx_sv text; /* of TEXT; else the name. Looks into klx_template.source */
    struct klx_sv
        indent; /* of PARTIAL: the white space before it, when it stands alone on its line */
    size_t
        end; /* of a section: the index of its END; of PARTIAL: the index of its body, or KLX_NO_BODY */
};

#define KLX_NO_BODY SIZE_MAX

/* The template itself, or a partial. */
struct klx_template_body {
    char *name; /* "" for the template itself */
    char *source;
    struct klx_part *parts;
    size_t n;
};

struct klx_template {
    struct klx_template_body *bodies; /* [0]: the template itself */
    size_t n;
};

/* Makes the parts of b->source. Bodies of partials are not looked for yet. */
int klx_template_compile(struct klx_template_body *b, struct klx_sv source,
                         struct klx_error *e) KLX_MUST_CHECK;
/* -EINVAL, "line L, column C: ", of what stands at `at`, and the words. */
int klx_template_fail_at(struct klx_sv source, size_t at, struct klx_error *e, const char *fmt, ...)
    KLX_PRINTF(4, 5);
