/*
 * The configuration as a whole: one klaxon.yaml, plus channels.d/ and subscriptions.d/ beside it (every *.yaml and *.yml, in name order).
 * Names that begin with a dot are not read: editors' copies, and ..data of a Kubernetes ConfigMap, which the files' links lead through.
 *
 * A file of a folder holds what the folder is for and nothing else, so whoever may change one of them cannot change what is another's.
 *
 * This module knows the top level only and reads what all processes share; each part is bound by the module that owns it:
 * clusters and collector by collector/settings.h, channels, subscriptions, sinks and links by sinks/core/settings.h.
 *
 *     kafka:         { bootstrap.servers: "…", … }        # any librdkafka property
 *     topics:        { prefix: klaxon., replication: 3, partitions: 4, retention: { nodes: 90d } }
 *     collector:     { … }      clusters: [ … ]
 *     sinks:         { slack: { listen: "127.0.0.1:9465" }, … }
 *     channels:      { name: { slack: { … } } }           # a file of channels.d/ is such a map itself
 *     subscriptions: [ … ]                                # a file of subscriptions.d/ is such a list, or { team: T, subscriptions: […] }
 *     links:         { runbooks: "https://…", … }
 *     log:           { level: info, format: auto }
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "schema/topics.h"

#define KLX_SETTINGS_FILES_MAX 1024

/* The keys: of the file, of `topics:` and of `log:`. */
extern const struct klx_config_field klx_settings_fields[];
extern const struct klx_config_field klx_settings_topics_fields[];
extern const struct klx_config_field klx_settings_log_fields[];
/* Of a file of channels.d/ and of subscriptions.d/, in the form with keys. */
extern const struct klx_config_field klx_settings_channels_file_fields[];
extern const struct klx_config_field klx_settings_subscriptions_file_fields[];

struct klx_settings {
    struct klx_topic_names topics;
    int64_t replication;                /* -1: the broker's default */
    int64_t partitions;                 /* 0: each topic's own */
    int64_t retention_ms[KLX_TOPICS_N]; /* -1: for ever */
    enum klx_log_level log_level;
    enum klx_log_format log_format;

    const struct klx_config_node *kafka;     /* map, never NULL */
    const struct klx_config_node *collector; /* map or NULL */
    const struct klx_config_node *clusters;  /* list or NULL */
    const struct klx_config_node *sinks;     /* map or NULL */
    const struct klx_config_node *links;     /* map or NULL */
    /* Members of all `channels` maps: klx_config_key is the channel's name; unique over all files (else an error with both places). */
    const struct klx_config_node **channels;
    size_t channels_n;
    /* Items of all `subscriptions` lists. */
    const struct klx_config_node **subscriptions;
    const struct klx_config_node **subscription_teams; /* of each: `team` of its file, or NULL */
    size_t subscriptions_n;

    struct klx_config **files;
    size_t files_n;
    size_t unread; /* files that could not be read, or hold no YAML (klx_settings_load_all) */
    char hash[KLX_HASH_TEXT_BYTES]; /* of all files, their names and texts: equal for equal ones */
};

/* Reads and checks the top level. `kafka` without bootstrap.servers is an error. Environment: KLAXON_CONFIG is the default path of
   every program, then /etc/klaxon/klaxon.yaml. */
int klx_settings_load(const char *path, struct klx_settings *ret,
                      struct klx_error *e) KLX_MUST_CHECK;
/* Goes on after a mistake: each is handed to `report`, and the result is their number. *ret holds what could be read in any case (`kafka`
   may be NULL then) and needs klx_settings_release. */
size_t klx_settings_load_all(const char *path, struct klx_settings *ret,
                             klx_config_report_fn report, void *arg);
void klx_settings_release(struct klx_settings *s);
#define KLX_SETTINGS_FOLDERS_N 2
/* channels.d and subscriptions.d beside the main file, whether they are there or not. The caller frees each. */
void klx_settings_folders(const char *main_file, char *ret[static KLX_SETTINGS_FOLDERS_N]);
/* path, or $KLAXON_CONFIG, or /etc/klaxon/klaxon.yaml. */
const char *klx_settings_path(const char *path);
