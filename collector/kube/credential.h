/*
 * What is sent to an API server to say who we are, kept fresh.
 *
 *   a token or certificate in the kubeconfig   as it is
 *   files (token, certificate, key, CA)        looked at before each request, and read again when they have changed; every 50 s, and at
 *                                              once after a 401, whatever they look like. When reading fails the old content stays
 *   Entra ID (azure.h, lib/io/oauth.h)         a token that is asked for before it expires, and once when a server refused it; until the
 *                                              first has come, requests wait
 *   a plugin (exec_plugin.h)                   run when there is no credential, when it has expired, and once when a server refused it;
 *                                              until it has ended, requests wait
 *
 *                     ready()                    the plugin ends well
 *   NONE, EXPIRED ───────────────▶ RUNNING ────────────────────────────▶ GOOD ──┐ until it expires
 *        ▲                          │   ▲                                │ ▲    │
 *        └── it fails; not before ──┘   └── ready(), not before a wait ──┘ └────┘
 *            1 s … 60 s have passed         that grows: refused (401)
 *
 * A plugin that fails is not run again before a wait of 1 s to 60 s; a credential that is refused as often as it is fetched is fetched at
 * once the first time, and then after such waits too. One that has expired when it comes (clocks differ) is used for 10 s.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/kube/access.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"

struct klx_credential;

/* Views are valid until the next call on the credential. */
struct klx_identity {
    struct klx_sv token; /* empty: none */
    struct klx_sv ca_pem, cert_pem, key_pem;
    uint64_t generation; /* another number whenever token or certificate have changed */
};

/* Who waits for a plugin; the caller's memory, zeroed but for fn and arg. fn notes that it may go on, in a later turn. */
struct klx_credential_waiter {
    void (*fn)(void *arg);
    void *arg;
    struct klx_credential *of; /* waits there; NULL: does not */
    struct klx_credential_waiter *next;
};

/* Borrows all of them. */
struct klx_credential *klx_credential_new(struct klx_loop *l, struct klx_http *http,
                                          struct klx_clock *clock, struct klx_kube_access *access);
/* Ends a plugin that runs; nobody waits any more. */
void klx_credential_free(struct klx_credential *c);
/* True: klx_credential_get has an answer, good or bad. False: a plugin runs, or a token is asked for, and w->fn is called when that has
   ended (w NULL: nobody is). */
bool klx_credential_ready(struct klx_credential *c, struct klx_credential_waiter *w);
/* No call comes any more. */
void klx_credential_forget(struct klx_credential_waiter *w);
/* -EACCES and others, with words; -EAGAIN while a plugin runs. */
int klx_credential_get(struct klx_credential *c, struct klx_identity *ret,
                       struct klx_error *e) KLX_MUST_CHECK;
/* A server answered 401 to this generation. */
void klx_credential_refused(struct klx_credential *c, uint64_t generation);
