/*
 * What an operator selects of a source, and the watches that this makes:
 *
 *     sources:
 *       events: {}                                            # everything: one watch of the whole cluster
 *       hpa:    { namespaces: [kube-system] }                 # one watch for each namespace, and no right beyond
 *       pods:   { exclude_namespaces: [ci], label_selector: "tier=backend", field_selector: "spec.nodeName!=" }
 *       generic: [ { group: apps, version: v1, resource: deployments, fields: [spec.replicas] } ]     # collector/generic.h
 *
 *       podmetrics: { every: 30s, namespaces: [kube-system] } # asked for on an interval (collector/source_poll.h)
 *       prometheus: { every: 30s, endpoints: [...] }          # collector/endpoint_settings.h
 *
 * The server selects; what leaves the selection is as good as deleted. There is one watch for each source and namespace, however many
 * detectors read it.
 */
#pragma once

#include "collector/generic.h"
#include "collector/endpoint_settings.h"
#include "collector/sources/source.h"
#include "lib/base/buf.h"
#include "lib/base/config.h"

#define KLX_SOURCES_MAX 64    /* the named ones, and the items of `generic` */
#define KLX_NAMESPACES_MAX 32 /* of one source; more of them are watched with the whole cluster */

/* "generic:", a name of 100, "@" with a namespace of 63, and the digest of the selectors. */
#define KLX_WATCH_KEY_BYTES 192

/* The keys of a source, or of each of its items; what is in no namespace has fewer. */
const struct klx_config_field *klx_source_fields(const struct klx_source_ops *ops);

struct klx_source_settings {
    const struct klx_source_ops *ops;
    struct klx_config_strings namespaces; /* empty: all of them, in one watch */
    struct klx_config_strings exclude_namespaces;
    char *label_selector;
    char *field_selector;
    struct klx_generic_settings generic_settings; /* of an item of `generic` */
    struct klx_generic *generic;                  /* and what it makes; NULL: another source */
    /* Of sources that are asked for on an interval. */
    int64_t every_ms, timeout_ms;
    const struct klx_config_node *endpoints_at;
    struct klx_endpoint_settings
        *endpoints; /* one request each, in place of one for each namespace */
    size_t endpoints_n;
};

/* Binds the member `n` of `sources:`; each mistake is handed to `report`. How many sources it makes, at most `room`: one, or one of each item
   of `generic`; none when there is no such source. Each needs _release, whatever was wrong. */
size_t klx_source_settings_bind(const struct klx_config_node *n, struct klx_source_settings *ret,
                                size_t room, klx_config_report_fn report, void *arg) KLX_MUST_CHECK;
void klx_source_settings_release(struct klx_source_settings *s);

/* Whether it can be the name of one. */
bool klx_source_is_namespace(struct klx_sv s);
/* "hpa", "generic:deployments.apps" */
const char *klx_source_name(const struct klx_source_settings *s);
/* "/api/v1/pods": the list of the whole cluster. */
const char *klx_source_path(const struct klx_source_settings *s);
/* The same with %s for a namespace; NULL: what it reads is in no namespace. */
const char *klx_source_namespaced_path(const struct klx_source_settings *s);
/* Detectors name what they know of generic resources "deployments.apps/namespace/name": cuts the first part off. False: it is of another
   item than this. Other sources' names stay as they are. */
bool klx_source_cut_item(const struct klx_source_settings *s, struct klx_sv *object);

/* How many watches or requests it makes, and the namespace of each of them: empty for the whole cluster. */
size_t klx_source_watches(const struct klx_source_settings *s);
struct klx_sv klx_source_namespace(const struct klx_source_settings *s, size_t i);
/* "hpa" or "hpa@kube-system": a watch in messages. */
void klx_source_watch_name(const struct klx_source_settings *s, struct klx_sv namespace,
                           char ret[static KLX_WATCH_KEY_BYTES]);
/* The name, and when there are selectors "~" and a digest of them: a watch in `klaxon.state`. Another selection is another watch. */
void klx_source_watch_key(const struct klx_source_settings *s, struct klx_sv namespace,
                          char ret[static KLX_WATCH_KEY_BYTES]);
/* Where it is listed, and "labelSelector=…&fieldSelector=…", percent-encoded; nothing when everything is selected. */
void klx_source_watch_path(const struct klx_source_settings *s, struct klx_sv namespace,
                           struct klx_buf *out);
void klx_source_selectors(const struct klx_source_settings *s, struct klx_buf *out);
