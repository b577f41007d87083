#include "sinks/slack/webhook.h"

#include "sinks/core/secret_url.h"

static bool is_workflow(const struct klx_secret_url *u) {
    return klx_sv_starts(u->target, KLX_SV("/workflows/")) ||
           klx_sv_starts(u->target, KLX_SV("/triggers/"));
}

int klx_slack_webhook_check(struct klx_sv url, const char *where, struct klx_error *e) {
    struct klx_secret_url u = { 0 };
    const char *problem = klx_secret_url_parse(url, &u);
    if (problem == NULL && u.target.n < 2) {
        problem = "has no path: copy the whole URL, with its /services/…";
    }
    if (problem == NULL && is_workflow(&u)) {
        problem = "is a trigger of Workflow Builder, which takes no messages: make an incoming "
                  "webhook, /services/…";
    }
    return problem == NULL ? 0 : klx_fail(e, -EINVAL, "the webhook's URL in %s %s", where, problem);
}
