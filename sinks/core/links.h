/*
 * Pages to look at, made of what the configuration says of its surroundings: the part `links:` of the configuration.
 *
 *     links:
 *       console: https://klaxon.example.com            # …/incidents/<incident>, of an event without one …/events/<id>
 *       runbooks: https://wiki.example.com/klaxon      # …/node.repair.failed
 *       clusters:
 *         prod-weu:
 *           argocd: https://argocd.example.com         # …/applications/argocd/shop, of the events of Applications
 *           azure: { subscription: 00000000-…, resource_group: rg-prod, name: aks-prod-weu, tenant: example.com }
 *
 * All of it may be left out. Names of the event go into a link percent-encoded, and what would be no link (klx_url_is_link) is left out, so a
 * link is safe wherever a renderer puts it.
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/config.h"
#include "schema/event.h"

#define KLX_LINKS_MAX 4

/* The keys: of `links:`, of one of its clusters, of `azure:` there. */
extern const struct klx_config_field klx_links_fields[];
extern const struct klx_config_field klx_links_cluster_fields[];
extern const struct klx_config_field klx_links_azure_fields[];

struct klx_links;

struct klx_link {
    struct klx_sv title; /* ours: "Runbook" */
    struct klx_sv url;
};

/* `n` NULL: none are configured. Each mistake is handed to `report`; the result is their number. *ret needs klx_links_free in any case. */
size_t klx_links_bind(const struct klx_config_node *n, struct klx_links **ret,
                      klx_config_report_fn report, void *arg);
void klx_links_free(struct klx_links *l);
/* What there is to say of the event, the most telling first; l NULL: nothing. Lives in the arena; a link that it has no room for is left out. */
size_t klx_links_make(const struct klx_links *l, struct klx_arena *a, const struct klx_event *e,
                      const struct klx_json *data, struct klx_link ret[static KLX_LINKS_MAX]);
