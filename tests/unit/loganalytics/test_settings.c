/* What may stand under `loganalytics:`, what is said of what may not, and what cloud and environment add. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/sink.h"
#include "sinks/loganalytics/settings.h"

#define DCR "dcr-0123456789abcdef0123456789abcdef"
#define HOST "https://klaxon-ab12.westeurope-1.ingest.monitor.azure.com"
#define GOOD                                                                                       \
    "endpoint: " HOST "\ndcr: " DCR "\nclient_id: c\ntenant: t\nclient_secret: { env: NO_SUCH }\n"

struct bound {
    struct klx_config *yaml;
    struct klx_loganalytics_config c;
};

static void bind(struct bound *b, const char *yaml) {
    struct klx_error e = { 0 };
    *b = (struct bound){ 0 };
    if (klx_config_parse(klx_sv(yaml), "test.yaml", &b->yaml, &e) != 0 ||
        klx_config_bind(klx_config_root(b->yaml), klx_loganalytics_fields, &b->c, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void unbind(struct bound *b) {
    klx_config_unbind(klx_loganalytics_fields, &b->c);
    klx_config_free(b->yaml);
}

/* "endpoint: …" and so on with one value changed; a value of NULL leaves the key out. */
static int check(const char *key, const char *value, struct klx_error *e) {
    struct bound b;
    char yaml[1024];
    const char *endpoint = HOST, *dcr = DCR;
    endpoint = strcmp(key, "endpoint") == 0 ? value : endpoint;
    dcr = strcmp(key, "dcr") == 0 ? value : dcr;
    bool other = endpoint != value && dcr != value;
    snprintf(yaml, sizeof(yaml),
             "client_id: c\ntenant: t\nclient_secret: { env: NO_SUCH }\nendpoint: \"%s\"\ndcr: "
             "\"%s\"\n%s%s%s\n",
             endpoint, dcr, other ? key : "", other ? ": " : "", other ? value : "");
    bind(&b, yaml);
    int rc = klx_sink_loganalytics.check(&b.c, klx_config_root(b.yaml), e);
    unbind(&b);
    return rc;
}

static void good_values(void **state) {
    (void)state;
    static const struct {
        const char *key, *value;
    } cases[] = {
        { "endpoint", HOST },
        { "endpoint", HOST "/" },
        { "endpoint", "https://proxy.example:8443" },
        { "endpoint", "http://127.0.0.1:8080" },
        { "dcr", DCR },
        { "stream", "Custom-Klaxon" },
        { "stream", "Custom-Klaxon_CL" },
        { "cloud", "usgov" },
        { "api_version", "2021-11-01-preview" },
        { "scope", "https://monitor.azure.com//.default" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        if (check(cases[i].key, cases[i].value, &e) != 0) {
            fail_msg("%s: %s: %s", cases[i].key, cases[i].value, e.text);
        }
    }
}

static void mistakes_are_said_at_their_place(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *words;
    } cases[] = {
        { "endpoint", "klaxon.ingest.monitor.azure.com",
          "test.yaml:4:11: endpoint: must be a URL" },
        { "endpoint", "http://klaxon.ingest.monitor.azure.com", "must begin with https://" },
        { "endpoint", HOST "/dataCollectionRules/" DCR, "without a path" },
        { "endpoint", "https://", "without a path" },
        { "endpoint", "https://user@host", "nothing else" },
        { "endpoint", "https://host?x=1", "nothing else" },
        { "endpoint", "https://a b", "nothing else" },
        { "dcr", "dcr-0123", "test.yaml:5:6: dcr: must be the rule's immutable id" },
        { "dcr", DCR "0", "immutable id" },
        { "dcr", "dcr-0123456789abcdef0123456789abcdeg", "32 hexadecimal digits" },
        { "dcr", "DCR-0123456789abcdef0123456789abcdef", "32 hexadecimal digits" },
        { "dcr", "/subscriptions/x/dataCollectionRules/klaxon", "is the rule's resource id" },
        { "stream", "Klaxon_CL", "test.yaml:6:9: stream: must begin with Custom-" },
        { "stream", "Custom-", "must begin with Custom-" },
        { "stream", "Custom-a/b", "must begin with Custom-" },
        { "cloud", "germany", "must be public, usgov or china" },
        { "api_version", "\"2023/01\"", "must be a version" },
        { "managed_identity", "true", "exclude each other" },
        { "token_url", "https://a/b", "token_url beside authority or tenant" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        assert_int_equal(check(cases[i].key, cases[i].value, &e), -EINVAL);
        if (strstr(e.text, cases[i].words) == NULL || strstr(e.text, "test.yaml:") != e.text) {
            fail_msg("%s: %s", cases[i].value, e.text);
        }
    }
}

static void check_identity(const char *yaml, bool anywhere, const char *token_url,
                           const char *scope) {
    struct bound b;
    struct klx_oauth_settings s;
    struct klx_error e = { 0 };
    bind(&b, yaml);
    if (klx_loganalytics_oauth(&b.c, anywhere, &s, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_string_equal(s.token_url, token_url);
    assert_string_equal(s.scope, scope);
    klx_oauth_settings_release_copy(&s, &b.c.oauth);
    unbind(&b);
}

#define SECRET "dcr: " DCR "\nclient_id: c\ntenant: t\nclient_secret: { env: NO_SUCH }\n"

static void a_cloud_has_an_authority_and_a_scope(void **state) {
    (void)state;
    unsetenv("AZURE_AUTHORITY_HOST");
    check_identity("endpoint: " HOST "\n" SECRET, false,
                   "https://login.microsoftonline.com/t/oauth2/v2.0/token",
                   "https://monitor.azure.com/.default");
    check_identity("cloud: china\nendpoint: " HOST "\n" SECRET, false,
                   "https://login.partner.microsoftonline.cn/t/oauth2/v2.0/token",
                   "https://monitor.azure.cn/.default");
    check_identity("endpoint: https://k.usgovvirginia-1.ingest.monitor.azure.us\n" SECRET, false,
                   "https://login.microsoftonline.us/t/oauth2/v2.0/token",
                   "https://monitor.azure.us/.default");
    check_identity("scope: x/.default\nauthority: https://login.example\nendpoint: " HOST
                   "\n" SECRET,
                   false, "https://login.example/t/oauth2/v2.0/token", "x/.default");
    check_identity("managed_identity: true\nendpoint: " HOST "\ndcr: " DCR "\n", false,
                   "http://169.254.169.254/metadata/identity/oauth2/token",
                   "https://monitor.azure.com/.default");
}

static void aks_says_who_klaxon_is(void **state) {
    (void)state;
    static const char yaml[] =
        "endpoint: https://k.usgovvirginia-1.ingest.monitor.azure.us\ndcr: " DCR "\n";
    struct bound b;
    struct klx_error e = { 0 };
    setenv("AZURE_CLIENT_ID", "c", 1);
    setenv("AZURE_TENANT_ID", "t", 1);
    setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token", 1);
    setenv("AZURE_AUTHORITY_HOST", "https://login.aks.example/", 1);
    check_identity(yaml, false, "https://login.aks.example/t/oauth2/v2.0/token",
                   "https://monitor.azure.us/.default");
    char text[512];
    snprintf(text, sizeof(text), "cloud: usgov\n%s", yaml); /* what is written down decides */
    check_identity(text, false, "https://login.microsoftonline.us/t/oauth2/v2.0/token",
                   "https://monitor.azure.us/.default");
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    bind(&b, yaml);
    assert_int_equal(klx_sink_loganalytics.check(&b.c, klx_config_root(b.yaml), &e), 0);
    assert_int_equal(klx_sink_loganalytics.check_here(&b.c, klx_config_root(b.yaml), &e), -EINVAL);
    assert_non_null(strstr(e.text, "nothing proves who klaxon is"));
    unbind(&b);
    unsetenv("AZURE_CLIENT_ID");
    unsetenv("AZURE_TENANT_ID");
    unsetenv("AZURE_AUTHORITY_HOST");
}

static void the_url_is_the_documented_one(void **state) {
    (void)state;
    static const char *const endpoints[] = { HOST, HOST "/" };
    for (size_t i = 0; i < KLX_COUNT(endpoints); i++) {
        struct bound b;
        char yaml[512];
        snprintf(yaml, sizeof(yaml), "endpoint: %s\ndcr: " DCR "\n", endpoints[i]);
        bind(&b, yaml);
        char *url = klx_loganalytics_url(&b.c);
        assert_string_equal(url, HOST "/dataCollectionRules/" DCR
                                      "/streams/Custom-Klaxon?api-version=2023-01-01");
        free(url);
        unbind(&b);
    }
}

static void a_credential_names_who_and_holds_no_secret(void **state) {
    (void)state;
    struct bound b;
    struct klx_buf out;
    setenv("LA_SECRET", "s3cret", 1);
    klx_buf_init(&out, 1024);
    bind(&b, "endpoint: " HOST "\ndcr: " DCR
             "\nclient_id: c\ntenant: t\nclient_secret: { env: LA_SECRET }\n");
    klx_sink_loganalytics.credential(&b.c, &out);
    assert_string_equal(klx_buf_str(&out),
                        "https://login.microsoftonline.com/t/oauth2/v2.0/token c "
                        "https://monitor.azure.com/.default environment variable LA_SECRET");
    unbind(&b);
    klx_buf_release(&out);
    unsetenv("LA_SECRET");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values),
        cmocka_unit_test(mistakes_are_said_at_their_place),
        cmocka_unit_test(a_cloud_has_an_authority_and_a_scope),
        cmocka_unit_test(aks_says_who_klaxon_is),
        cmocka_unit_test(the_url_is_the_documented_one),
        cmocka_unit_test(a_credential_names_who_and_holds_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
