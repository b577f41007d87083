/* The rights that are printed: exactly what the sources read, where they read it. */
#include "tests/unit/support/support.h"

#include "cli/rbac.h"
#include "lib/base/cleanup.h"

static void fail_on(void *arg, const char *text) {
    (void)arg;
    fail_msg("%s", text);
}

static void rights_are_those_of_the_sources(void **state) {
    (void)state;
    const char *yaml =
        "clusters:\n"
        "  - { name: wide, sources: { events: {}, hpa: {}, nodes: {} } }\n"
        "  - name: narrow\n"
        "    sources:\n"
        "      events: { namespaces: [default, \"123\"] }\n"
        "      nodes: {}\n"
        "      hpa: { namespaces: kube-system }\n"
        "      pods: { namespaces: [\"123\", kube-system], label_selector: a=b }\n"
        "  - name: any\n"
        "    sources:\n"
        "      pods: {}\n"
        "      generic:\n"
        "        - { group: apps, version: v1, resource: deployments, fields: a,"
        " namespaces: shop }\n"
        "        - { version: v1, resource: configmaps, fields: a }\n"
        "        - { version: v1, resource: pods, name: labels, fields: a }\n"
        "        - { group: apps, version: v1, resource: daemonsets, fields: a }\n"
        "  - { name: only, sources: { hpa: { namespaces: [kube-system] } } }\n"
        "  - { name: one-of-two, lease: {}, sources: { events: {}, nodes: {} } }\n"
        "  - { name: led, canary: false, lease: { namespace: leases, name: it },"
        " sources: { pods: { namespaces: shop } } }\n"
        "  - { name: quiet, canary: false, sources: { events: {} } }\n"
        "  - name: both\n"
        "    canary: { namespace: default }\n"
        "    sources: { events: { namespaces: [default] } }\n"
        "  - name: polled\n"
        "    sources:\n"
        "      podmetrics: { namespaces: [kube-system] }\n"
        "      prometheus:\n"
        "        endpoints:\n"
        "          - { name: api, path: \"/metrics?x=1\", metrics: a }\n"
        "          - { name: ksm, path: /api/v1/namespaces/monitoring/services/ksm:8080/"
        "proxy/metrics, metrics: a }\n"
        "          - { name: pod, path: /api/v1/namespaces/kube-system/pods/x:2234/"
        "proxy/metrics, metrics: a }\n"
        "          - { name: url, url: \"http://localhost/metrics\", metrics: a }\n"
        "  - { name: all, sources: { podmetrics: {}, pods: {} } }\n"
        "  - name: outside\n"
        "    sources: { hpa: {}, prometheus: { endpoints: [ { name: url, url: "
        "\"http://localhost/metrics\", metrics: a } ] } }\n";
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_config *c = NULL;
    struct klx_collector_settings collector;
    struct klx_table table;
    assert_int_equal(klx_config_parse(klx_sv(yaml), "f", &c, NULL), 0);
    const struct klx_settings s = { .clusters = klx_config_get(klx_config_root(c), "clusters") };
    klx_collector_settings_bind(&s, &collector, fail_on, NULL);
    klx_buf_init(&out, 65536);
    klx_table_init(&table, klx_rbac_heads, KLX_RBAC_COLUMNS);
    for (size_t i = 0; i < collector.clusters_n; i++) {
        const struct klx_rbac r = { &collector.clusters[i],
                                    { "watcher", "monitoring" },
                                    "monitoring" };
        klx_rbac_yaml(&r, &out);
        klx_rbac_rows(&r, &table);
    }
    golden_check("rbac/roles.yaml", klx_buf_sv(&out));
    klx_buf_reset(&out);
    klx_table_write(&table, &out);
    golden_check("rbac/table.txt", klx_buf_sv(&out));
    klx_table_release(&table);
    klx_collector_settings_release(&collector);
    klx_config_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(rights_are_those_of_the_sources) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
