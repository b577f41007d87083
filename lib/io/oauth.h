/*
 * OAuth 2.0 tokens of a service for a service (client credentials, RFC 6749 section 4.4), kept fresh: for Entra ID, or another server
 * that speaks the same. One klx_oauth is one identity and one scope; everybody who needs that token shares it.
 *
 *   client secret        `client_secret` beside `client_id`
 *   federated token      a file that somebody else keeps fresh, read again for each request (RFC 7523; AKS workload identity)
 *   managed identity     GET from the metadata service of an Azure machine, never through a proxy
 *
 * What is not configured comes from the variables that AKS workload identity sets: AZURE_CLIENT_ID, AZURE_TENANT_ID,
 * AZURE_FEDERATED_TOKEN_FILE, AZURE_AUTHORITY_HOST.
 *
 *                ready()                    an answer with a token
 *   NONE, EXPIRED ───────▶ ASKING ───────────────────────────────▶ GOOD ──┐ 5 min, or a fifth of its life, before it expires:
 *        ▲                  │   ▲                                  │ ▲    │ DUE. It is still handed out while the next is fetched
 *        └── it failed; ────┘   └── refused (401): at once the ────┘ └────┘
 *            not before           first time, then after 1 s … 60 s
 *            1 s … 60 s, or Retry-After
 *
 * One request at a time, 30 s, an answer of at most 64 KiB. TLS is verified; without TLS only this machine, and the metadata service,
 * are asked. Metrics, by `scope`: klaxon_token_requests_total{outcome}, klaxon_token_expires_timestamp_seconds. Neither a token nor a secret is ever part of an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/base/secret.h"
#include "lib/base/sv.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"

enum klx_oauth_way { KLX_OAUTH_SECRET, KLX_OAUTH_FEDERATED, KLX_OAUTH_MANAGED };

struct klx_oauth_settings {
    char *authority; /* "https://login.microsoftonline.com" */
    char *tenant;
    char *token_url; /* in place of both */
    char *client_id;
    char *scope;
    struct klx_secret *client_secret, *federated_token, *token_ca; /* NULL: none */
    bool managed_identity;
    enum klx_oauth_way way; /* of klx_oauth_settings_complete */
};

/* The keys of a configuration table whose target of type `type` has a struct klx_oauth_settings as `member`. */
#define KLX_OAUTH_FIELDS(type, member)                                                             \
    { .key = "client_id",                                                                          \
      .kind = KLX_CFG_STR,                                                                         \
      .offset = offsetof(type, member.client_id),                                                  \
      .help = "who klaxon is; left out: $AZURE_CLIENT_ID" },                                       \
        { .key = "tenant",                                                                         \
          .kind = KLX_CFG_STR,                                                                     \
          .offset = offsetof(type, member.tenant),                                                 \
          .help = "the id of the Entra ID tenant; left out: $AZURE_TENANT_ID" },                   \
        { .key = "authority",                                                                      \
          .kind = KLX_CFG_STR,                                                                     \
          .offset = offsetof(type, member.authority),                                              \
          .help = "left out: $AZURE_AUTHORITY_HOST, https://login.microsoftonline.com" },          \
        { .key = "token_url",                                                                      \
          .kind = KLX_CFG_STR,                                                                     \
          .offset = offsetof(type, member.token_url),                                              \
          .help = "the whole URL to ask, in place of authority and tenant" },                      \
        { .key = "token_ca",                                                                       \
          .kind = KLX_CFG_FILE,                                                                    \
          .offset = offsetof(type, member.token_ca),                                               \
          .help = "certificates (PEM) to trust there instead of the system's" },                   \
        { .key = "scope",                                                                          \
          .kind = KLX_CFG_STR,                                                                     \
          .offset = offsetof(type, member.scope),                                                  \
          .help = "what the token is for; at Entra ID it ends in /.default" },                     \
        { .key = "client_secret",                                                                  \
          .kind = KLX_CFG_SECRET,                                                                  \
          .offset = offsetof(type, member.client_secret),                                          \
          .help = "{file: F} or {env: NAME}" },                                                    \
        { .key = "federated_token_file",                                                           \
          .kind = KLX_CFG_FILE,                                                                    \
          .offset = offsetof(type, member.federated_token),                                        \
          .help = "the token that proves who klaxon is; left out: $AZURE_FEDERATED_TOKEN_FILE" },  \
    {                                                                                              \
        .key = "managed_identity", .kind = KLX_CFG_BOOL,                                           \
        .offset = offsetof(type, member.managed_identity),                                         \
        .help = "true: as the identity of the Azure machine, in place of a secret or file"         \
    }

/* Fills in what the environment says and decides the way. `scope`: when none is configured; NULL: it must be. -EINVAL: two ways at once, no
   way at all, something is missing or not acceptable; the words name the key. `anywhere`: the environment is not looked at, and what it
   could bring is no mistake (klaxon check --no-environment); it may be completed with it afterwards. */
int klx_oauth_settings_complete(struct klx_oauth_settings *s, const char *scope, bool anywhere,
                                struct klx_error *e) KLX_MUST_CHECK;
void klx_oauth_settings_release(struct klx_oauth_settings *s);
/* A copy that can be completed while *s stays as it was written. It borrows the secrets of *s, which outlives it. */
struct klx_oauth_settings klx_oauth_settings_copy(const struct klx_oauth_settings *s);
/* `of` is what it was copied from. */
void klx_oauth_settings_release_copy(struct klx_oauth_settings *s,
                                     const struct klx_oauth_settings *of);

struct klx_oauth;

struct klx_oauth_token {
    struct klx_sv value;
    int64_t left_ms;     /* of its life; at least 0 */
    uint64_t generation; /* another number for each token */
};

/* Who waits for an answer; the caller's memory, zeroed but for fn and arg. fn may call klx_oauth_get, and start again to wait. */
struct klx_oauth_waiter {
    void (*fn)(void *arg);
    void *arg;
    struct klx_oauth *of; /* waits there; NULL: does not */
    struct klx_oauth_waiter *next;
};

/* Borrows all of them. */
struct klx_oauth *klx_oauth_new(struct klx_loop *l, struct klx_http *http, struct klx_clock *clock,
                                const struct klx_oauth_settings *s);
/* Ends a request under way; nobody waits any more. */
void klx_oauth_free(struct klx_oauth *o);
/* True: klx_oauth_get has an answer, good or bad. False: the token is being asked for, and w->fn is called when that has ended (w NULL:
   nobody is). A token that is due is asked for as well, without anybody waiting. */
bool klx_oauth_ready(struct klx_oauth *o, struct klx_oauth_waiter *w);
/* The same for who keeps the token for long: waits as well when it is due. */
bool klx_oauth_ready_fresh(struct klx_oauth *o, struct klx_oauth_waiter *w);
/* No call comes any more. */
void klx_oauth_forget(struct klx_oauth_waiter *w);
/* The view is valid until the next call on o. -EAGAIN while there is none yet; -EACCES: refused; -EHOSTUNREACH: no answer; others. */
int klx_oauth_get(struct klx_oauth *o, struct klx_oauth_token *ret,
                  struct klx_error *e) KLX_MUST_CHECK;
/* A server answered 401 to the token of this generation: the next is asked for, once at once, then at longer intervals. */
void klx_oauth_refused(struct klx_oauth *o, uint64_t generation);
/* After a failure: when it will be asked for again at the earliest. 0: now. */
int64_t klx_oauth_retry_ms(const struct klx_oauth *o);
