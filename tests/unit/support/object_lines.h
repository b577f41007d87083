/*
 * Lines of a transcript that are about whole objects, made by merge patches (tests/unit/support/fake_app.h) and observed through their source:
 *
 *     > 00:00 change NAME {patch}        MODIFIED
 *     > 00:00 list NAME {patch}          in the first list
 *     > 00:00 relisted NAME {patch}      in a list after a gap
 *     > 00:00 add NAME {patch}           ADDED: another one of that name
 *     > 00:00 delete NAME                DELETED
 *     > 00:00 relist NAMESPACE/NAME…     the list's end: what there is
 */
#pragma once

#include "collector/sources/source.h"
#include "tests/unit/support/fake_app.h"

struct object_lines {
    struct fake_apps objects; /* its base is given */
    const struct klx_source_ops *source;
    const struct klx_generic *generic; /* as the observation has it */
    const char *kind;
};

/* As transcript_line_fn; the transcript's arg is a struct object_lines. */
void object_lines_run(struct transcript *t, const char *line, struct klx_sv verb,
                      struct klx_sv rest);
