/*
 * A URL that is a credential: whoever has a webhook's URL may post to it. Its secret is the path (Slack), a value of its query (`sig` of a
 * flow of Power Automate), or both. Such a URL is used byte for byte as it was given: encoding it anew breaks a signature.
 *
 * It is never part of an error, a log line, a metric, a receipt or a dead letter: errors name the place that it was read from
 * (klx_secret_where), and what a server answers goes through klx_secret_url_redact before anybody sees it. sinks/core/http_post.h does both for
 * who sends one request at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

/* Borrows from the text. */
struct klx_secret_url {
    bool https;
    struct klx_sv host;   /* without port; an IPv6 address without brackets */
    struct klx_sv target; /* from the '/' on, path and query; may be empty */
    struct klx_sv path;   /* of the target, up to its '?' */
    struct klx_sv query;  /* behind that '?'; empty: there is none */
};

/* What is wrong, or NULL. The words end a sentence that begins "the webhook's URL in file /run/secrets/x": it must be https, or http to
   loopback; no user, space, control character or fragment. */
const char *klx_secret_url_parse(struct klx_sv url, struct klx_secret_url *ret) KLX_MUST_CHECK;
/* The raw value of a parameter of the query, or empty. */
struct klx_sv klx_secret_url_parameter(const struct klx_secret_url *u, struct klx_sv name);

/* Appends what a server said, with "…" wherever it repeats the URL's target, a token at the end of its path, or a value of its query as it
   stands there or decoded; also when what was said is cut off inside of one. Versions and permissions of Azure's URLs (api-version, sp, sv) may
   stay. A text that is no acceptable URL has no parts to look for: nothing may have been sent to it. */
void klx_secret_url_redact(struct klx_buf *out, struct klx_sv answer, struct klx_sv url);
/* The same for any secrets, such as the values of headers; those under KLX_HIDE_BYTES_MIN are words and stay. */
#define KLX_HIDE_BYTES_MIN 8
void klx_hide_secrets(struct klx_buf *out, struct klx_sv answer, const struct klx_sv *secrets,
                      size_t n);
