/*
 * Whether the names of a template lead to anything: a name that is not there renders as nothing, in a message that looks complete.
 *
 * Known is what sinks/core/context.h lists, whether or not every event has it. `data` is the event's own, and every name in it may be there.
 */
#pragma once

#include "lib/base/template.h"

/* An object that the channel puts beside the context, with texts that nothing may be cut off. */
struct klx_context_beside {
    const char *name;           /* "secrets" */
    const char *const *members; /* borrowed */
    size_t n;
};

/* beside NULL: nothing. -EINVAL: some name of the template leads to nothing, whatever happens; with its place. */
int klx_context_check_names(const struct klx_template *t, const struct klx_context_beside *beside,
                            struct klx_error *e) KLX_MUST_CHECK;
