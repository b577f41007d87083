/* What an operator selects of a source: what is refused, and what is asked of the API server. */
#include "tests/unit/support/support.h"

#include "collector/settings.h"
#include "lib/base/cleanup.h"

static void keep(void *arg, const char *text) {
    klx_buf_printf(arg, "%s\n", text);
}

static void check(const char *sources, const char *mistakes) {
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release), found KLX_CLEANUP(klx_buf_release);
    struct klx_config *c = NULL;
    struct klx_collector_settings collector;
    struct klx_error e = { 0 };
    klx_buf_init(&yaml, 1u << 16);
    klx_buf_init(&found, 1u << 16);
    klx_buf_printf(&yaml, "clusters: [ { name: a, sources: { %s } } ]", sources);
    if (klx_config_parse(klx_buf_sv(&yaml), "f", &c, &e) != 0) {
        fail_msg("%s", e.text);
    }
    const struct klx_settings s = { .clusters = klx_config_get(klx_config_root(c), "clusters") };
    klx_collector_settings_bind(&s, &collector, keep, &found);
    assert_string_equal(klx_buf_str(&found), mistakes);
    klx_collector_settings_release(&collector);
    klx_config_free(c);
}

static void what_cannot_be_selected_is_refused(void **state) {
    (void)state;
    check("events: {}, nodes:", "");
    check("hpa: { namespaces: kube-system }, nodes: { label_selector: \"a=b\" }", "");
    check("hpa: { namespaces: [kube-system, Kube_1] }",
          "f:1:68: clusters[0].sources.hpa.namespaces[1]: expected the name of a namespace (no "
          "patterns), found \"Kube_1\"\n");
    check("hpa: { namespaces: [a, b, a] }",
          "f:1:61: clusters[0].sources.hpa.namespaces[2]: \"a\" stands there twice\n");
    check("hpa: { namespaces: [] }", "f:1:54: clusters[0].sources.hpa.namespaces: names no "
                                     "namespace: leave `namespaces` out to watch all of them\n");
    check("hpa: { namespaces: a, exclude_namespaces: b }",
          "f:1:57: clusters[0].sources.hpa: `namespaces` says already which are watched\n");
    check("nodes: { namespaces: [a] }",
          "f:1:44: clusters[0].sources.nodes: nodes are in no namespace\n");
    check("pods: { label_selector: \" \" }",
          "f:1:59: clusters[0].sources.pods.label_selector: selects nothing: leave it out\n");
    check("pods: { labelselector: x }", "f:1:43: clusters[0].sources.pods: unknown key "
                                        "\"labelselector\", did you mean \"label_selector\"?\n");
    check("pods: 3", "f:1:41: clusters[0].sources.pods: expected a map, found a single value\n");
}

static void generic_items_are_checked(void **state) {
    (void)state;
    check("generic: [ { version: v1, resource: configmaps, fields: [\"data['a.b']\"] } ]", "");
    check("generic: [ { group: apps, version: v1, resource: deployments, fields: spec.replicas,"
          " namespaces: [a], label_selector: x=y } ]",
          "");
    check("generic: {}", "f:1:44: clusters[0].sources.generic: expected a list, for example [ { "
                         "group: apps, version: v1, resource: deployments, fields: [spec.replicas] "
                         "} ]\n");
    check(
        "generic: [ { version: v1, resource: secrets, fields: metadata.name } ]",
        "f:1:71: clusters[0].sources.generic[0].resource: Secrets are not read: whatever is known "
        "of one would stay in Kafka, for everybody who may read there\n");
    check("generic: [ { group: events.k8s.io, version: v1, resource: events, fields: reason } ]",
          "f:1:93: clusters[0].sources.generic[0].resource: Events have a source of their own: "
          "`events`\n");
    check("generic: [ { version: v1, resource: pods/log, fields: a } ]",
          "f:1:71: clusters[0].sources.generic[0].resource: expected at most 63 of a-z, 0-9 and "
          "'-', found \"pods/log\"\n");
    check("generic: [ { version: v1, resource: pods, fields: [a, a] } ]",
          "f:1:89: clusters[0].sources.generic[0].fields[1]: \"a\" stands there twice\n");
    check("generic: [ { version: v1, resource: pods, fields: [a..b, metadata.managedFields] } ]",
          "f:1:86: clusters[0].sources.generic[0].fields[0]: expected a name at character 3 of "
          "\"a..b\"\n"
          "f:1:92: clusters[0].sources.generic[0].fields[1]: \"metadata.managedFields\" changes "
          "with every write, and says nothing\n");
    check("generic: [ { version: v1, resource: pods, fields: [metadata, 'metadata[*]', "
          "'metadata[\"generation\"]', .metadata.resourceVersion, metadata.labels, 'metadata"
          ".annotations[\"generation\"]'] } ]",
          "f:1:86: clusters[0].sources.generic[0].fields[0]: \"metadata\" holds what changes with "
          "every write: name the fields of it that matter\n"
          "f:1:96: clusters[0].sources.generic[0].fields[1]: \"metadata[*]\" holds what changes "
          "with every write: name the fields of it that matter\n"
          "f:1:111: clusters[0].sources.generic[0].fields[2]: \"metadata[\"generation\"]\" holds "
          "what changes with every write: name the fields of it that matter\n"
          "f:1:137: clusters[0].sources.generic[0].fields[3]: \".metadata.resourceVersion\" holds "
          "what changes with every write: name the fields of it that matter\n");
    check("generic: [ { version: v1, resource: pods } ]",
          "f:1:46: clusters[0].sources.generic[0]: \"fields\" is missing: what is followed "
          "of an object, for example [spec.replicas, "
          "\"status.conditions[type=Available].status\"]\n");
    check("generic: [ { version: v1, resource: pods, fields: a }, { version: v1, resource: pods, "
          "fields: b } ]",
          "f:1:90: clusters[0].sources.generic[1]: \"pods\" stands there twice: give one of them "
          "another `name`\n");
    check("generic: [ { version: v1, resource: pods, fields: a }, { version: v1, resource: pods, "
          "fields: b, name: others } ]",
          "");
}

static void what_cannot_be_polled_is_refused(void **state) {
    (void)state;
    check("podmetrics: {}", "");
    check("podmetrics: { every: 15s, timeout: 5s, namespaces: [kube-system] }", "");
    check("podmetrics: { every: 100ms }", "f:1:56: clusters[0].sources.podmetrics.every: 100ms is "
                                          "not between 1s and 1h\n");
    check("hpa: { every: 1m }", "f:1:42: clusters[0].sources.hpa: unknown key \"every\"\n");
    check(
        "prometheus: { endpoints: [ { name: a, url: \"http://localhost/metrics\", metrics: \"a_*\" "
        "}, { name: b, path: /metrics, metrics: [x, y], labels: verb } ] }",
        "");
    check("prometheus: {}",
          "f:1:47: clusters[0].sources.prometheus: \"endpoints\" is missing: what is scraped\n");
    check("prometheus: { endpoints: [] }",
          "f:1:60: clusters[0].sources.prometheus.endpoints: expected a list of endpoints, for "
          "example [{name: apiserver, path: /metrics, metrics: apiserver_request_total}]\n");
    check(
        "prometheus: { endpoints: [ { name: a, metrics: x } ] }",
        "f:1:62: clusters[0].sources.prometheus.endpoints[0]: expected one of `url` and `path`\n");
    check("prometheus: { endpoints: [ { name: A, url: \"ftp://x\", metrics: x } ] }",
          "f:1:70: clusters[0].sources.prometheus.endpoints[0].name: 1 to 63 of a-z, 0-9 and '-'\n"
          "f:1:78: clusters[0].sources.prometheus.endpoints[0].url: expected http://… or https://… "
          "without a user, for example http://localhost:9100/metrics\n");
    check("prometheus: { endpoints: [ { name: a, path: /m, metrics: x, ca_file: y } ] }",
          "f:1:95: clusters[0].sources.prometheus.endpoints[0]: ca_file is for a url: the API "
          "server is asked with the cluster's own credentials\n");
    check("prometheus: { endpoints: [ { name: a, url: \"http://example.com/m\", metrics: x, "
          "token_file: y } ] }",
          "f:1:114: clusters[0].sources.prometheus.endpoints[0]: the token would be sent "
          "unencrypted: use https\n");
    check("prometheus: { endpoints: [ { name: a, path: /m, metrics: x }, { name: a, path: /n, "
          "metrics: [] } ] }",
          "f:1:105: clusters[0].sources.prometheus.endpoints[1].name: \"a\" stands there twice\n"
          "f:1:127: clusters[0].sources.prometheus.endpoints[1].metrics: names no metric: nothing "
          "would be published\n");
}

static void names_of_a_lease_are_checked(void **state) {
    (void)state;
    check("nodes: {} }, lease: { name: klaxon.prod-1, namespace: klaxon", "");
    check("nodes: {} }, lease: { name: \"A b\", namespace: ../x",
          "f:1:63: clusters[0].lease.name: expected the name of a Lease (a-z, 0-9, '-' and '.'), "
          "found \"A b\"\n"
          "f:1:81: clusters[0].lease.namespace: expected the name of a namespace, found "
          "\"../x\"\n");
    check("nodes: {} }, lease: { name: \"\"",
          "f:1:63: clusters[0].lease.name: expected the name of a Lease (a-z, 0-9, '-' and '.'), "
          "found \"\"\n");
}

static void list_namespaces(struct klx_buf *out, const char *source, int n) {
    klx_buf_printf(out, "%s: { namespaces: [", source);
    for (int i = 0; i < n; i++) {
        klx_buf_printf(out, "%sn%d", i > 0 ? "," : "", i);
    }
    klx_buf_add_str(out, "] }");
}

static void there_are_limits(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 1u << 14);
    list_namespaces(&text, "hpa", KLX_NAMESPACES_MAX + 1);
    check(klx_buf_str(&text), "f:1:54: clusters[0].sources.hpa.namespaces: 33 namespaces, at most "
                              "32: watch the whole cluster, without those in "
                              "`exclude_namespaces`\n");
    klx_buf_reset(&text);
    list_namespaces(&text, "hpa", 32);
    klx_buf_add_str(&text, ", ");
    list_namespaces(&text, "pods", 32);
    check(klx_buf_str(&text), "");
    klx_buf_add_str(&text, ", nodes: {}");
    check(klx_buf_str(&text), "f:1:33: clusters[0].sources: these make 65 watches, one for each "
                              "source and namespace; at most 64 for a cluster: watch the whole of "
                              "it, without those in `exclude_namespaces`\n");
}

static void asks(const struct klx_source_settings *s, size_t i, const char *key, const char *path,
                 const char *selectors) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    char found[KLX_WATCH_KEY_BYTES];
    klx_buf_init(&text, 4096);
    klx_source_watch_key(s, klx_source_namespace(s, i), found);
    assert_string_equal(found, key);
    klx_source_watch_path(s, klx_source_namespace(s, i), &text);
    assert_string_equal(klx_buf_str(&text), path);
    klx_buf_reset(&text);
    klx_source_selectors(s, &text);
    assert_string_equal(text.len > 0 ? klx_buf_str(&text) : "", selectors);
}

static void a_selection_is_a_request(void **state) {
    (void)state;
    struct klx_sv two[] = { KLX_SV("default"), KLX_SV("kube-system") };
    struct klx_source_settings s = { .ops = &klx_source_hpa };
    assert_int_equal(klx_source_watches(&s), 1);
    asks(&s, 0, "hpa", "/apis/autoscaling/v2/horizontalpodautoscalers", "");
    s.namespaces = (struct klx_config_strings){ two, 2 };
    assert_int_equal(klx_source_watches(&s), 2);
    asks(&s, 1, "hpa@kube-system",
         "/apis/autoscaling/v2/namespaces/kube-system/horizontalpodautoscalers", "");
    s.label_selector = (char[]){ "tier in (a, b)" };
    asks(&s, 0, "hpa@default~5eb17d4f",
         "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
         "labelSelector=tier%20in%20%28a%2C%20b%29");
    s = (struct klx_source_settings){ .ops = &klx_source_pods,
                                      .exclude_namespaces = { two, 2 },
                                      .field_selector = (char[]){ " spec.nodeName!= " },
                                      .label_selector = (char[]){ "a=b" } };
    asks(&s, 0, "pods~5178aa48", "/api/v1/pods",
         "labelSelector=a%3Db&fieldSelector=spec.nodeName%21%3D%2Cmetadata.namespace%21%3Ddefault"
         "%2Cmetadata.namespace%21%3Dkube-system");
}

static void a_generic_item_is_a_request(void **state) {
    (void)state;
    struct klx_sv shop = KLX_SV("shop");
    struct klx_sv field = KLX_SV("spec.replicas");
    struct klx_config *c = NULL;
    assert_int_equal(klx_config_parse(KLX_SV("fields: [spec.replicas]"), "f", &c, NULL), 0);
    struct klx_source_settings s = { .ops = &klx_source_generic, .namespaces = { &shop, 1 } };
    s.generic_settings = (struct klx_generic_settings){ .group = (char[]){ "apps" },
                                                        .version = (char[]){ "v1" },
                                                        .resource = (char[]){ "deployments" },
                                                        .fields = { &field, 1 } };
    s.generic = klx_generic_new(klx_config_root(c), &s.generic_settings, keep, NULL);
    assert_non_null(s.generic);
    asks(&s, 0, "generic:deployments.apps@shop", "/apis/apps/v1/namespaces/shop/deployments", "");
    s.namespaces.n = 0;
    asks(&s, 0, "generic:deployments.apps", "/apis/apps/v1/deployments", "");
    struct klx_sv own = KLX_SV("deployments.apps/shop/web"), other = KLX_SV("pods/shop/web");
    assert_true(klx_source_cut_item(&s, &own));
    assert_sv(own, "shop/web");
    assert_false(klx_source_cut_item(&s, &other));
    klx_generic_free(s.generic);
    klx_config_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_selected_is_refused),
        cmocka_unit_test(generic_items_are_checked),
        cmocka_unit_test(names_of_a_lease_are_checked),
        cmocka_unit_test(what_cannot_be_polled_is_refused),
        cmocka_unit_test(there_are_limits),
        cmocka_unit_test(a_generic_item_is_a_request),
        cmocka_unit_test(a_selection_is_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
