/*
 * The clusters of the process, and what becomes of them when the configuration is read again: each is added, changed or removed by itself,
 * and the others go on without a gap.
 */
#pragma once

#include "collector/member.h"
#include "collector/settings.h"
#include "schema/settings.h"

struct klx_fleet;

/* Takes over the contents of `settings` and `c`, which belong together, in any case; env's kafka and topics are theirs. */
int klx_fleet_new(const struct klx_member_env *env, struct klx_settings *settings,
                  struct klx_collector_settings *c, struct klx_fleet **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
void klx_fleet_start(struct klx_fleet *f);
/* The same for another configuration. On an error, what runs goes on as it was. What is no cluster's (kafka, topics, listen) stays what
   it was at the start; a difference is told. */
int klx_fleet_reload(struct klx_fleet *f, struct klx_settings *settings,
                     struct klx_collector_settings *c, struct klx_error *e) KLX_MUST_CHECK;
bool klx_fleet_ready(const struct klx_fleet *f, struct klx_buf *why);
/* Not clean: it must not be freed (klx_member_stop). */
void klx_fleet_stop(struct klx_fleet *f, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                    void *arg);
void klx_fleet_free(struct klx_fleet *f);
