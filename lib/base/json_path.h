/*
 * Paths into JSON that a user writes, close to kubectl's JSONPath:
 *
 *     spec.replicas                                   a member of a member
 *     metadata.annotations["example.com/owner"]       a key that holds a dot, in either quotes
 *     status.conditions[type=Available].status        the first item whose member has this text; [?type=Available] is the same
 *     spec.template.spec.containers[*].image          of every item or member
 *     spec.ports[0].port                              the first item
 *
 * A leading dot is passed over. What is not there is no node; nothing of a foreign object is an error.
 */
#pragma once

#include "lib/base/json.h"

#define KLX_JSON_PATH_BYTES_MAX 512
#define KLX_JSON_PATH_STEPS_MAX 32

struct klx_json_path;

/* -EINVAL with what is wrong, and where. */
int klx_json_path_parse(struct klx_sv text, struct klx_json_path **ret,
                        struct klx_error *e) KLX_MUST_CHECK;
void klx_json_path_free(struct klx_json_path *p);
/* Whether it may lead to several nodes: it has a [*]. */
bool klx_json_path_is_many(const struct klx_json_path *p);
/* The last key of it: "image"; empty when it ends otherwise. */
struct klx_sv klx_json_path_last_key(const struct klx_json_path *p);

typedef void (*klx_json_path_fn)(void *arg, const struct klx_json *node);
/* Each node that it leads to, in the order of the document. */
void klx_json_path_each(const struct klx_json_path *p, const struct klx_json *root,
                        klx_json_path_fn fn, void *arg);
