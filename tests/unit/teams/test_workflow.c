/* Which URLs may carry a message, and that they never come back out. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/teams/workflow.h"

#define SIG "c2lnbmF0dXJlLW9mLWEtZmxvdw"
#define QUERY "?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" SIG
#define FLOW "/powerautomate/automations/direct/workflows/01ab/triggers/manual/paths/invoke"

static void good_urls(void **state) {
    (void)state;
    static const char *const urls[] = {
        "https://default0123.ab.environment.api.powerplatform.com:443" FLOW QUERY,
        "https://default0123.ab.environment.api.powerplatform.com" FLOW QUERY,
        "https://x.api.powerautomate.com" FLOW QUERY,
        "https://prod-12.westeurope.logic.azure.com:443/workflows/01ab/triggers/manual/paths/"
        "invoke" QUERY,
        "https://contoso.webhook.office.com/workflows/01ab",
        "https://flow.microsoft.us/workflows/01ab" QUERY,
        "https://proxy.example/teams",
        "http://127.0.0.1:8080" FLOW QUERY,
        "http://[::1]:8080/x",
    };
    for (size_t i = 0; i < KLX_COUNT(urls); i++) {
        struct klx_error e = { 0 };
        if (klx_teams_workflow_check(klx_sv(urls[i]), "file x", &e) != 0) {
            fail_msg("%s: %s", urls[i], e.text);
        }
    }
}

#define RETIRED "is an Office 365 connector; Microsoft has retired them. Make a workflow"

static void bad_urls_say_why_and_do_not_show_themselves(void **state) {
    (void)state;
    static const struct {
        const char *url, *words;
    } cases[] = {
        { "", "is not a URL that begins with https://" },
        { "http://x.environment.api.powerplatform.com" FLOW QUERY, "is http" },
        { "https://contoso.webhook.office.com/webhookb2/" SIG, RETIRED },
        { "https://CONTOSO.Webhook.Office.com/webhookb2/" SIG, RETIRED },
        { "https://webhook.office.com/webhook/" SIG, RETIRED },
        { "https://contoso.webhook.office.com/workflowsx/" SIG, RETIRED },
        { "https://outlook.office.com/webhook/" SIG, RETIRED },
        { "https://outlook.office365.com/webhook/" SIG, RETIRED },
        { "https://x.environment.api.powerplatform.com" FLOW "?api-version=1",
          "has no signature (sig=…)" },
        { "https://prod-1.westeurope.logic.azure.com/workflows/x?sig=", "has no signature" },
        { "https://proxy.example", "has no path" },
        { "https://proxy.example/x?sig=" SIG " ", "holds a space" },
        { "https://u:" SIG "@proxy.example/x", "has a host that is not acceptable" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        int rc = klx_teams_workflow_check(klx_sv(cases[i].url), "file /run/secrets/flow", &e);
        if (rc != -EINVAL || strstr(e.text, cases[i].words) == NULL) {
            fail_msg("%s: %d %s", cases[i].url, rc, e.text);
        }
        assert_non_null(strstr(e.text, "the workflow's URL in file /run/secrets/flow"));
        assert_null(strstr(e.text, SIG));
    }
}

static void an_old_address_is_doubted(void **state) {
    (void)state;
    static const char *const fine[] = {
        "https://x.environment.api.powerplatform.com" FLOW QUERY,
        "https://logic.azure.com.example/x",
        "https://notlogic.azure.com/x",
        "nothing",
    };
    const char *words = klx_teams_workflow_doubt(
        KLX_SV("https://prod-12.westeurope.logic.azure.com:443/workflows/x" QUERY));
    assert_non_null(words);
    assert_non_null(strstr(words, "logic.azure.com"));
    assert_null(strstr(words, SIG));
    for (size_t i = 0; i < KLX_COUNT(fine); i++) {
        assert_null(klx_teams_workflow_doubt(klx_sv(fine[i])));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(bad_urls_say_why_and_do_not_show_themselves),
        cmocka_unit_test(an_old_address_is_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
