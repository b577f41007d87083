/*
 * What `klaxon check` has found: mistakes and warnings with their places, and the three ways to print them.
 *
 * A finding comes as the text that the configuration's modules make, "file:line:column: path: words"; its parts are taken out of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/terminal.h"
#include "lib/base/buf.h"
#include "lib/base/sv.h"

struct klx_finding {
    char *text; /* owned; the views look into it */
    bool warning;
    struct klx_sv file;    /* empty: no place */
    unsigned line, column; /* from 1; 0: no place */
    struct klx_sv path;    /* "channels.ops.slack"; empty: none */
    struct klx_sv message;
    size_t file_rank, number; /* the order of files and findings as they came */
};

struct klx_findings {
    struct klx_finding *items;
    size_t n;
    size_t mistakes, warnings;
};

/* How much was there to be checked. */
struct klx_check_counts {
    size_t clusters, channels, subscriptions;
};

void klx_findings_init(struct klx_findings *f);
void klx_findings_release(struct klx_findings *f);
void klx_findings_add(struct klx_findings *f, bool warning, const char *text);
/* By file, in the order in which the files were met, then by place. */
void klx_findings_sort(struct klx_findings *f);

/* A line each, and a last line that sums up. `file` is the main one. */
void klx_findings_text(const struct klx_findings *f, const char *file,
                       const struct klx_check_counts *counts, const struct klx_terminal *t,
                       struct klx_buf *out);
/* {apiVersion, kind: CheckResult, file, valid, mistakes, warnings, clusters, channels, subscriptions,
   findings: [{severity, file, line, column, path, message}]}; null for a place or path that there is not. */
void klx_findings_json(const struct klx_findings *f, const char *file,
                       const struct klx_check_counts *counts, struct klx_buf *out);
/* Workflow commands of GitHub Actions: annotations at the lines of a pull request. */
void klx_findings_github(const struct klx_findings *f, struct klx_buf *out);
