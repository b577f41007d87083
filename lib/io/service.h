/*
 * What the manager of a service is told by its process, in the way of sd_notify(3), which systemd (Type=notify) and others know:
 *
 *     READY=1       from now on it does its work (that Kafka answers is no part of it: /readyz says that)
 *     WATCHDOG=1    the loop turns: in half of the time after which the manager would end it ($WATCHDOG_USEC)
 *     STOPPING=1    it was asked to end
 *
 * Without $NOTIFY_SOCKET nobody is told, and all of this does nothing.
 */
#pragma once

#include "lib/io/loop.h"

struct klx_service;

/* Says READY. Takes the variables out of the environment: a program that this process starts (a credential plugin) does not speak for it. */
struct klx_service *klx_service_new(struct klx_loop *l);
void klx_service_stopping(struct klx_service *s);
void klx_service_free(struct klx_service *s); /* NULL is allowed */
