/*
 * The configuration of a channel of Teams.
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/secret.h"
#include "schema/event.h"
#include "sinks/teams/limits.h"

struct klx_teams_config {
    struct klx_secret *webhook_url;
    struct klx_config_strings mentions; /* "Jo Miller <jo@example.com>" */
    char *mention_from;
};

extern const struct klx_config_field klx_teams_fields[];

struct klx_teams_mention {
    struct klx_sv name; /* fit for markdown as it is */
    struct klx_sv id;   /* a user principal name or the object id of Entra ID */
};

/* As read; borrows from the configuration. */
struct klx_teams_settings {
    struct klx_secret *webhook_url;
    struct klx_teams_mention mentions[KLX_TEAMS_MENTIONS_MAX];
    size_t mentions_n;
    enum klx_severity mention_from; /* who is told of less is not mentioned */
};

/* Everything but the secret. `at` is for the error's place; may be NULL. */
int klx_teams_settings_read(const struct klx_teams_config *c, const struct klx_config_node *at,
                            struct klx_teams_settings *ret, struct klx_error *e) KLX_MUST_CHECK;
