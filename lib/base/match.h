/*
 * Patterns as operators write them in subscriptions: one or a list of
 *     exact text      "kube-system"
 *     glob            "prod-*"  (* any run, ? one character)
 *     not             "!kube-*" (a list of only negatives matches everything else)
 *     regular expr.   "~^aks-(a|b)"  (pcre2, not anchored, step limit: a pattern that explodes does not match)
 * A list matches when no negative matches and some positive does (or there is no positive).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_match;

/* -EINVAL with what is wrong in which pattern. */
int klx_match_new(const struct klx_sv *patterns, size_t n, struct klx_match **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
void klx_match_free(struct klx_match *m);
/* m NULL matches everything. */
bool klx_match_test(const struct klx_match *m, struct klx_sv text);
/* For an index: the exact texts one of which a text must be to match, as far as they are needed; views of m. Their number, or 0: not so
   (m NULL, a wildcard or regular expression among the positives, only negatives, more than `max`). */
size_t klx_match_literals(const struct klx_match *m, struct klx_sv *ret, size_t max);
/* Equal for the same patterns in the same order, given the same seed; m NULL is a list of its own. */
uint64_t klx_match_hash(const struct klx_match *m, uint64_t seed);
/* How often the step limit was hit, for a metric. m NULL: never. */
size_t klx_match_limit_hits(const struct klx_match *m);
