/*
 * The payload of a webhook: the headers of the message that are its own, an empty line, and the body.
 *
 *     ce-id: 7af4…                      of format cloudevents (CloudEvents 1.0, HTTP protocol binding, binary mode)
 *     ce-type: io.klaxon.node.ready
 *     content-type: application/json
 *
 *     {"summary":…
 *
 * A secret that a template uses is a placeholder in it, U+0001 name U+0001: the text of an event has no control characters (sinks/core/context.h),
 * a template is refused with one, so nobody else can write it. klx_webhook_fill puts the values in, escaped as a value of the template is.
 */
#pragma once

#include "sinks/core/sink.h"
#include "sinks/webhook/settings.h"

#define KLX_WEBHOOK_PAYLOAD_BYTES_MAX 1048576

/* -EMSGSIZE, -ENOMEM: too large; -ELOOP, -ETIME: of the template; -EBADMSG: the template made no JSON. */
int klx_webhook_render(const struct klx_webhook_settings *s, const struct klx_notice *notice,
                       struct klx_buf *out, struct klx_error *e) KLX_MUST_CHECK;
/* Cuts the headers' lines, without the empty one, off the payload. */
struct klx_sv klx_webhook_cut_head(struct klx_sv *payload);
/* Appends the body with its secrets. Fails with the words of the secret that cannot be read. */
int klx_webhook_fill(const struct klx_webhook_settings *s, struct klx_sv body, struct klx_buf *out,
                     struct klx_error *e) KLX_MUST_CHECK;
/* Of a template: whether each of its names leads to something, and it renders, to JSON if it must, for an event of every kind, for a digest, and
   for text without good intentions. */
int klx_webhook_try(const struct klx_webhook_settings *s, struct klx_error *e) KLX_MUST_CHECK;
