/*
 * Holds an event against its description (schema/data.h), as strictly as who writes is held to it: every member must be described, of its
 * type, and there when it is always there; the incident's phase must be one of the kind's.
 */
#pragma once

#include "schema/event.h"

/* Fails the test, and says what to change. */
void test_check_event(const struct klx_event *e);
