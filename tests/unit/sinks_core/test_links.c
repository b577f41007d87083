/* Pages to look at, made of what the configuration says. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/card.h"
#include "sinks/core/links.h"
#include "tests/unit/support/arena_rig.h"

static void keep_last(void *arg, const char *text) {
    snprintf(arg, 512, "%s", text);
}

struct bound {
    struct klx_config *yaml;
    struct klx_links *links;
    size_t mistakes;
    char mistake[512];
};

static void bind(struct bound *b, const char *yaml) {
    struct klx_error e = { 0 };
    *b = (struct bound){ 0 };
    if (klx_config_parse(klx_sv(yaml), "f", &b->yaml, &e) != 0) {
        fail_msg("%s", e.text);
    }
    b->mistakes = klx_links_bind(klx_config_root(b->yaml), &b->links, keep_last, b->mistake);
}

static void unbind(struct bound *b) {
    klx_links_free(b->links);
    klx_config_free(b->yaml);
}

static const char everything[] =
    "{console: 'https://klaxon.example.com/', runbooks: 'https://wiki.example.com/k', clusters: "
    "{prod: "
    "{argocd: 'https://argo.example.com', azure: {subscription: s-1, resource_group: rg 1, tenant: "
    "example.com}}, test: {azure: {subscription: s-2, resource_group: rg, name: aks-2, portal: "
    "'https://portal.azure.us'}}}}";

static void check(const struct klx_links *l, const struct klx_event *e, const char *json,
                  const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_link links[KLX_LINKS_MAX];
    const struct klx_json *data = NULL;
    klx_buf_init(&out, 8192);
    assert_int_equal(klx_json_parse(&arena, klx_sv(json), NULL, &data, NULL), 0);
    size_t n = klx_links_make(l, &arena, e, data, links);
    for (size_t i = 0; i < n; i++) {
        klx_buf_printf(&out, "%.*s %.*s\n", KLX_SV_FMT(links[i].title), KLX_SV_FMT(links[i].url));
    }
    assert_string_equal(klx_buf_str(&out), expected);
}

static void leads_to_what_the_event_is_about(void **state) {
    (void)state;
    struct bound b;
    bind(&b, everything);
    assert_int_equal(b.mistakes, 0);
    const struct klx_event app = { .type = KLX_SV("io.klaxon.app.degraded"),
                                   .id = KLX_SV("e1"),
                                   .incident = KLX_SV("i1"),
                                   .cluster = KLX_SV("prod") };
    check(b.links, &app,
          "{\"object\":{\"kind\":\"Application\",\"namespace\":\"argocd\",\"name\":\"a b\"}}",
          "Argo CD https://argo.example.com/applications/argocd/a%20b\n"
          "Runbook https://wiki.example.com/k/app.degraded\n"
          "klaxon https://klaxon.example.com/incidents/i1\n"
          "Azure portal https://portal.azure.com/#@example.com/resource/subscriptions/s-1/"
          "resourceGroups/rg%201/providers/Microsoft.ContainerService/managedClusters/prod/"
          "overview\n");
    const struct klx_event node = { .type = KLX_SV("io.klaxon.node.ready"),
                                    .id = KLX_SV("e2"),
                                    .cluster = KLX_SV("test") };
    check(b.links, &node, "{\"object\":{\"kind\":\"Node\",\"name\":\"n\"}}",
          "Runbook https://wiki.example.com/k/node.ready\n"
          "klaxon https://klaxon.example.com/events/e2\n"
          "Azure portal https://portal.azure.us/#resource/subscriptions/s-2/resourceGroups/rg/"
          "providers/Microsoft.ContainerService/managedClusters/aks-2/overview\n");
    check(NULL, &node, "{}", "");
    unbind(&b);
}

static void a_name_cannot_be_more_than_a_name(void **state) {
    (void)state;
    struct bound b;
    bind(&b, everything);
    const struct klx_event hostile = { .type = KLX_SV("\">/../<x>"),
                                       .incident = KLX_SV("?a=b#c&\"\n"),
                                       .cluster = KLX_SV("other") };
    check(b.links, &hostile, "{}",
          "Runbook https://wiki.example.com/k/%22%3E%2F..%2F%3Cx%3E\n"
          "klaxon https://klaxon.example.com/incidents/%3Fa%3Db%23c%26%22%0A\n");
    unbind(&b);
}

static void refuses_what_is_no_link(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *mistake;
    } cases[] = {
        { "{console: 'javascript:alert(1)'}", "f:1:11: console: expected a URL that a person may" },
        { "{runbooks: 'https://u:p@example.com'}", "runbooks: expected a URL" },
        { "{clusters: {a: {argocd: example.com}}}", "clusters.a.argocd: expected a URL" },
        { "{clusters: {a: {azure: {subscription: s}}}}", "resource_group" },
        { "{clusters: [a]}", "clusters: expected a map" },
        { "{clusters: {a: {azure: {subscription: s, resource_group: r, portal: ''}}}}",
          "portal: expected a URL" },
        { "{runbook: 'https://a'}", "did you mean \"runbooks\"" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct bound b;
        bind(&b, cases[i].yaml);
        if (b.mistakes != 1 || strstr(b.mistake, cases[i].mistake) == NULL) {
            fail_msg("%s\nexpected: %s\nfound:    %s", cases[i].yaml, cases[i].mistake, b.mistake);
        }
        unbind(&b);
    }
}

static void a_card_has_the_events_own_first(void **state) {
    (void)state;
    struct bound b;
    struct klx_card card;
    const struct klx_json *data = NULL;
    bind(&b, everything);
    const struct klx_event e = { .type = KLX_SV("io.klaxon.app.degraded"),
                                 .kind = KLX_KIND_APP_DEGRADED,
                                 .cluster = KLX_SV("prod") };
    assert_int_equal(
        klx_json_parse(
            &arena,
            KLX_SV("{\"object\":{\"kind\":\"Application\",\"namespace\":\"a\",\"name\":\"b\"},"
                   "\"links\":[{\"url\":\"https://own.example.com\",\"title\":\"Argo CD\"},"
                   "{\"url\":\"javascript:x\",\"title\":\"y\"}]}"),
            NULL, &data, NULL),
        0);
    const struct klx_notice notice = { .event = &e, .data = data, .links = b.links };
    assert_int_equal(klx_card_make(&arena, &notice, &card), 0);
    assert_int_equal(card.links_n, 4);
    assert_sv(card.link, "https://own.example.com");
    assert_sv(card.links[1].title, "Runbook");
    unbind(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(leads_to_what_the_event_is_about),
        ARENA_TEST(a_name_cannot_be_more_than_a_name),
        ARENA_TEST(refuses_what_is_no_link),
        ARENA_TEST(a_card_has_the_events_own_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
