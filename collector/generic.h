/*
 * An item of the source `generic`: a resource of any group and version, and the fields of its objects that are followed.
 *
 *     generic:
 *       - { group: apps, version: v1, resource: deployments, namespaces: [shop],
 *           fields: [spec.replicas, "status.conditions[type=Available].status", "spec.template.spec.containers[*].image"] }
 *
 * The fields are a white-list: nothing else of an object is kept or published. Their paths are those of lib/base/json_path.h.
 * Secrets cannot be read at all, and the writers' bookkeeping (managedFields, last-applied-configuration) cannot be followed.
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/json_path.h"

#define KLX_GENERIC_ITEMS_MAX 32 /* of a cluster */
#define KLX_GENERIC_FIELDS_MAX 16
#define KLX_GENERIC_NAME_BYTES_MAX 100 /* in the key of the watch and of each object's state */
#define KLX_GENERIC_PREFIX "generic:"  /* no other source has one in its name */

/* As it stands in the configuration. */
struct klx_generic_settings {
    char *group, *version, *resource, *name;
    struct klx_config_strings fields;
};

struct klx_generic_field {
    char *text;
    struct klx_json_path *path;
};

struct klx_generic {
    char *source;      /* "generic:deployments.apps": as the name of a source */
    const char *name;  /* "deployments.apps", or what the operator calls it; within `source` */
    char *api_version; /* "apps/v1" */
    char *path, *namespaced_path; /* as those of struct klx_source_ops */
    struct klx_generic_field fields[KLX_GENERIC_FIELDS_MAX];
    size_t fields_n;
};

/* Of the item `at`; each mistake is handed to `report`, and then there is NULL. */
struct klx_generic *klx_generic_new(const struct klx_config_node *at,
                                    const struct klx_generic_settings *s,
                                    klx_config_report_fn report, void *arg);
void klx_generic_free(struct klx_generic *g);
