#include "tests/unit/support/support.h"

#include <stdio.h>

#include "collector/detector_settings.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

static void keep(void *arg, const char *text) {
    klx_buf_printf(arg, "%s\n", text);
}

static void check(const char *yaml, const char *mistakes) {
    struct klx_config *c = NULL;
    struct klx_detector_settings s;
    struct klx_error e = { 0 };
    struct klx_buf found KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&found, 4096);
    if (klx_config_parse(klx_sv(yaml), "f", &c, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_detector_settings_bind(klx_config_get(klx_config_root(c), "detectors"), &s, keep, &found);
    assert_string_equal(klx_buf_str(&found), mistakes);
    void *d = klx_detector_autoscaling.create(KLX_SV("prod"), s.of[KLX_DETECTOR_autoscaling]);
    klx_detector_autoscaling.destroy(d);
    klx_detector_settings_release(&s);
    klx_config_free(c);
}

static void settings_are_bound_or_refused(void **state) {
    (void)state;
    check("x: 1", "");
    check("detectors: {}", "");
    check("detectors: { autoscaling: { at_max_after: 5m, blind_after: 30s }, node_repair: {} }",
          "");
    check("detectors: 3", "f:1:12: detectors: expected a map, for example {autoscaling: "
                          "{at_max_after: 5m}}\n");
    check("detectors: { autoscalling: {} }", "f:1:14: detectors: there is no detector "
                                             "\"autoscalling\", did you mean \"autoscaling\"?\n");
    check("detectors: { autoscaling: { at_max_afte: 5m, blind_after: 0s } }",
          "f:1:29: detectors.autoscaling: unknown key \"at_max_afte\", did you mean "
          "\"at_max_after\"?\n"
          "f:1:59: detectors.autoscaling.blind_after: 0s is not between 1s and 1d\n");
    check("detectors: { node_repair: { alarm_after: 0s, burst_nodes: 8, burst_percent: 10, "
          "burst_at_most: 20, burst_within: 2m } }",
          "");
    check("detectors: { node_repair: { burst_node: 1, burst_percent: 101 } }",
          "f:1:29: detectors.node_repair: unknown key \"burst_node\", did you mean "
          "\"burst_nodes\"?\n"
          "f:1:59: detectors.node_repair.burst_percent: 101 is not between 1 and 100\n");
    check("detectors: { rollouts: { x: 1 } }", "f:1:26: detectors.rollouts: unknown key \"x\"\n");
    check("detectors: { gitops: { argocd_url: https://cd.example.com/ui/, drift_after: 2m } }", "");
    check("detectors: { gitops: { argocd_url: \"https://admin:secret@cd.example.com\" } }",
          "f:1:36: detectors.gitops.argocd_url: expected the address of Argo CD's web page without "
          "user and password, for example https://argocd.example.com\n");
    check("detectors: { gitops: { argocd_url: \"https://cd.example.com/?a=b\" } }",
          "f:1:36: detectors.gitops.argocd_url: expected the address of Argo CD's web page without "
          "user and password, for example https://argocd.example.com\n");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(settings_are_bound_or_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
