/*
 * The URL of a workflow (a flow of Power Automate) that posts to Teams. It is a credential, by its `sig`; sinks/core/secret_url.h has what
 * that means.
 */
#pragma once

#include "lib/base/error.h"
#include "lib/base/sv.h"

/* -EINVAL with what is wrong and what to do. Refused are, besides what klx_secret_url_parse refuses, the connectors that Microsoft has
   retired, and a URL of Power Automate without a signature, which answers 401 to everybody outside of the tenant. `where` names the
   secret in the text. */
int klx_teams_workflow_check(struct klx_sv url, const char *where,
                             struct klx_error *e) KLX_MUST_CHECK;
/* What an operator should know of a URL that may be used, or NULL. */
const char *klx_teams_workflow_doubt(struct klx_sv url);
