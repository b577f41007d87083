/*
 * One whole event of each kind, as schema/samples/ has them, part of the programs: what is to be tried before anything has happened (a template,
 * a channel) is tried with these.
 */
#pragma once

#include "schema/event.h"

/* The sample of a kind, which is not KLX_KIND_UNKNOWN, with its data parsed. Everything is copied into the arena. -ENOMEM: it is full. */
int klx_sample_event(struct klx_arena *a, enum klx_kind kind, struct klx_event *ret,
                     const struct klx_json **ret_data) KLX_MUST_CHECK;
