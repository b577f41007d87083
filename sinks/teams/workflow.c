#include "sinks/teams/workflow.h"

#include "sinks/core/secret_url.h"

static bool ends_nocase(struct klx_sv s, struct klx_sv end) {
    return s.n >= end.n && klx_sv_eq_nocase(klx_sv_n(s.p + s.n - end.n, end.n), end);
}

/* The host itself, or one below it. */
static bool is_under(struct klx_sv host, struct klx_sv domain) {
    bool below = host.n > domain.n && host.p[host.n - domain.n - 1] == '.';
    return ends_nocase(host, domain) && (below || host.n == domain.n);
}

static bool is_connector(const struct klx_secret_url *u) {
    if (is_under(u->host, KLX_SV("webhook.office.com"))) {
        return !klx_sv_starts(u->path, KLX_SV("/workflows/"));
    }
    return (klx_sv_eq_nocase(u->host, KLX_SV("outlook.office.com")) ||
            klx_sv_eq_nocase(u->host, KLX_SV("outlook.office365.com"))) &&
           klx_sv_starts(u->path, KLX_SV("/webhook"));
}

static bool is_logic_app(const struct klx_secret_url *u) {
    return is_under(u->host, KLX_SV("logic.azure.com"));
}

static bool is_power_automate(const struct klx_secret_url *u) {
    return is_logic_app(u) || is_under(u->host, KLX_SV("api.powerplatform.com")) ||
           is_under(u->host, KLX_SV("api.powerautomate.com"));
}

static const char *problem_of(struct klx_sv url, struct klx_secret_url *u) {
    const char *problem = klx_secret_url_parse(url, u);
    if (problem != NULL) {
        return problem;
    }
    if (is_connector(u)) {
        return "is an Office 365 connector; Microsoft has retired them. Make a workflow: in Teams "
               "the "
               "channel's …, Workflows, \"Send webhook alerts to a channel\", and copy its URL "
               "(docs/channels/teams.md)";
    }
    if (u->target.n < 2) {
        return "has no path: copy the whole URL of the workflow";
    }
    if (is_power_automate(u) && klx_secret_url_parameter(u, KLX_SV("sig")).n == 0) {
        return "has no signature (sig=…): copy the whole URL of the workflow, whose trigger must "
               "be "
               "open to \"Anyone\"";
    }
    return NULL;
}

int klx_teams_workflow_check(struct klx_sv url, const char *where, struct klx_error *e) {
    struct klx_secret_url u = { 0 };
    const char *problem = problem_of(url, &u);
    return problem == NULL ? 0
                           : klx_fail(e, -EINVAL, "the workflow's URL in %s %s", where, problem);
}

const char *klx_teams_workflow_doubt(struct klx_sv url) {
    struct klx_secret_url u = { 0 };
    if (problem_of(url, &u) == NULL && is_logic_app(&u)) {
        return "the workflow's URL is on logic.azure.com, which Microsoft has announced to end for "
               "flows of Power Automate: open the flow and copy the URL that its trigger shows now";
    }
    return NULL;
}
