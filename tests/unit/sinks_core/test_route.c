#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "sinks/core/route.h"
#include "tests/unit/support/arena_rig.h"

static const struct klx_sink_ops ours = { .name = "ours" };

/* Channels 0 and 2 are this process's, 1 is another's. */
static struct klx_channel_settings channels[] = {
    { .name = "ops", .sink = "ours", .ops = &ours },
    { .name = "mail", .sink = "other" },
    { .name = "dev", .sink = "ours", .ops = &ours },
};
static size_t to_ops[] = { 0 }, to_mail[] = { 1 }, to_all[] = { 2, 1, 0 };

static struct klx_subscription_settings subscription(const char *team, size_t *to, size_t n) {
    return (struct klx_subscription_settings){
        .team = klx_sv(team),
        .topics = { [KLX_TOPIC_NODES] = true },
        .severities = { true, true, true },
        .channels = to,
        .channels_n = n,
    };
}

static struct klx_match *pattern(const char *text) {
    const struct klx_sv one = klx_sv(text);
    struct klx_match *m = NULL;
    assert_int_equal(klx_match_new(&one, 1, &m, NULL), 0);
    return m;
}

static struct klx_event event(void) {
    return (struct klx_event){ .cluster = KLX_SV("prod-weu"),
                               .severity = KLX_SEVERITY_WARNING,
                               .data = KLX_SV("{\"reason\":\"NodeRebootStart\",\"object\":{"
                                              "\"kind\":\"Node\",\"name\":\"aks-1\"},\"labels\":{"
                                              "\"agentpool\":\"system\",\"a.b/c\":\"x\"}}") };
}

static size_t route(struct klx_subscription_settings *subscriptions, size_t n,
                    const struct klx_event *e, struct klx_target *ret) {
    const struct klx_sinks_settings s = { .channels = channels,
                                          .channels_n = KLX_COUNT(channels),
                                          .subscriptions = subscriptions,
                                          .subscriptions_n = n };
    struct klx_route *r = klx_route_new(&s, &ours);
    const struct klx_target *targets = NULL;
    const struct klx_json *data = NULL;
    assert_int_equal(klx_json_parse(&arena, e->data, NULL, &data, NULL), 0);
    size_t found = klx_route_match(r, KLX_TOPIC_NODES, e, data, &targets);
    assert_true(found == 0 || klx_route_may_match(r, KLX_TOPIC_NODES, e));
    for (size_t i = 0; i < found; i++) {
        ret[i] = targets[i];
    }
    klx_route_free(r);
    return found;
}

static bool goes(struct klx_subscription_settings *s, const struct klx_event *e) {
    struct klx_target targets[KLX_COUNT(channels)];
    return route(s, 1, e, targets) == 1;
}

static void a_channel_is_told_once_for_the_first_team(void **state) {
    (void)state;
    struct klx_subscription_settings s[] = { subscription("elsewhere", to_mail, 1),
                                             subscription("operations", to_ops, 1),
                                             subscription("platform", to_all, 3),
                                             subscription("late", to_all, 3) };
    struct klx_event e = event();
    struct klx_target targets[KLX_COUNT(channels)];
    assert_int_equal(route(s, KLX_COUNT(s), &e, targets), 2);
    assert_int_equal(targets[0].channel, 0);
    assert_sv(targets[0].subscription->team, "operations");
    assert_int_equal(targets[1].channel, 2);
    assert_sv(targets[1].subscription->team, "platform");
}

static void only_its_own_topics_and_channels(void **state) {
    (void)state;
    struct klx_subscription_settings s[] = { subscription("a", to_mail, 1),
                                             subscription("b", to_ops, 1) };
    s[0].topics[KLX_TOPIC_GITOPS] = true;
    const struct klx_sinks_settings settings = { .channels = channels,
                                                 .channels_n = KLX_COUNT(channels),
                                                 .subscriptions = s,
                                                 .subscriptions_n = 2 };
    struct klx_route *r = klx_route_new(&settings, &ours);
    assert_true(klx_route_reads(r, KLX_TOPIC_NODES));
    assert_false(
        klx_route_reads(r, KLX_TOPIC_GITOPS)); /* only another process's channel wants it */
    assert_true(klx_route_names(r, 0));
    assert_false(klx_route_names(r, 1));
    assert_false(klx_route_names(r, 2));
    struct klx_event e = event();
    const struct klx_target *targets = NULL;
    assert_false(klx_route_may_match(r, KLX_TOPIC_GITOPS, &e));
    assert_int_equal(klx_route_match(r, KLX_TOPIC_GITOPS, &e, NULL, &targets), 0);
    klx_route_free(r);
}

static void attributes_decide_before_the_data_is_read(void **state) {
    (void)state;
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_event e = event();
    assert_true(goes(&s, &e));
    s.severities[KLX_SEVERITY_WARNING] = false;
    assert_false(goes(&s, &e));
    s.severities[KLX_SEVERITY_WARNING] = true;
    s.cluster = pattern("prod-*");
    assert_true(goes(&s, &e));
    e.cluster = KLX_SV("test");
    assert_false(goes(&s, &e));
    const struct klx_sinks_settings settings = {
        .channels = channels, .channels_n = 3, .subscriptions = &s, .subscriptions_n = 1
    };
    struct klx_route *r = klx_route_new(&settings, &ours);
    assert_false(klx_route_may_match(r, KLX_TOPIC_NODES, &e));
    klx_route_free(r);
    klx_match_free(s.cluster);
}

/* Its own severity is info. */
static bool the_end_goes(bool info, bool warning, bool critical, const char *data) {
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_event e = event();
    s.severities[KLX_SEVERITY_INFO] = info;
    s.severities[KLX_SEVERITY_WARNING] = warning;
    s.severities[KLX_SEVERITY_CRITICAL] = critical;
    e.severity = KLX_SEVERITY_INFO;
    e.incident = KLX_SV("i");
    e.phase = KLX_PHASE_RESOLVED;
    e.data = klx_sv(data);
    return goes(&s, &e);
}

static void who_was_alarmed_hears_the_end(void **state) {
    (void)state;
    static const char warning[] = "{\"incident\":{\"severity\":\"warning\"}}",
                      critical[] = "{\"incident\":{\"severity\":\"critical\"}}",
                      info[] = "{\"incident\":{\"severity\":\"info\"}}";
    assert_true(the_end_goes(false, true, true, warning));
    assert_true(the_end_goes(false, true, false, critical));
    assert_true(the_end_goes(false, false, true, critical));
    assert_false(the_end_goes(false, false, true, warning));
    assert_false(the_end_goes(false, true, true, info));
    assert_true(the_end_goes(true, false, false, info));
    assert_false(the_end_goes(false, true, true, "{}"));
}

static void the_object_and_its_labels_match(void **state) {
    (void)state;
    const struct klx_event e = event();
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_match **const places[] = { &s.namespace, &s.name, &s.kind, &s.reason };
    static const char *const good[] = { "!kube-*", "aks-*", "Node", "~^NodeReb" };
    static const char *const bad[] = { "?*", "!aks-1", "Pod", "NodeReboot" };
    for (size_t i = 0; i < KLX_COUNT(places); i++) {
        *places[i] = pattern(good[i]);
        assert_true(goes(&s, &e));
        klx_match_free(*places[i]);
        *places[i] = pattern(bad[i]);
        assert_false(goes(&s, &e));
        klx_match_free(*places[i]);
        *places[i] = NULL;
    }
    struct klx_label_rule labels[] = {
        { .key = KLX_SV("agentpool"), .value = pattern("system") },
        { .key = KLX_SV("a.b/c"), .value = pattern("x") },
    };
    s.labels = labels;
    s.labels_n = 2;
    assert_true(goes(&s, &e));
    labels[1].key = KLX_SV("a.b/d"); /* a label that is not there reads as empty */
    assert_false(goes(&s, &e));
    klx_match_free(labels[0].value);
    klx_match_free(labels[1].value);
}

static void a_label_is_there_or_not(void **state) {
    (void)state;
    struct klx_event e = event();
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_label_rule label = { .key = KLX_SV("agentpool"), .kind = KLX_LABEL_EXISTS };
    s.labels = &label;
    s.labels_n = 1;
    assert_true(goes(&s, &e));
    label.kind = KLX_LABEL_ABSENT;
    assert_false(goes(&s, &e));
    label.key = KLX_SV("spot");
    assert_true(goes(&s, &e));
    label.kind = KLX_LABEL_EXISTS;
    assert_false(goes(&s, &e));
    e.data = KLX_SV("{\"labels\":{\"spot\":\"\"}}"); /* there, and empty */
    assert_true(goes(&s, &e));
}

static void the_type_matches_without_its_prefix(void **state) {
    (void)state;
    struct klx_event e = event();
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    e.type = KLX_SV("io.klaxon.node.repair.started");
    s.event = pattern("node.repair.started");
    assert_true(goes(&s, &e));
    e.type = KLX_SV("io.klaxon.node.ready");
    assert_false(goes(&s, &e));
    klx_match_free(s.event);
}

static enum klx_severity told(enum klx_severity is, enum klx_phase phase,
                              enum klx_severity raise_to, int lower_to) {
    struct klx_event e = event();
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_target targets[KLX_COUNT(channels)];
    e.severity = is;
    e.phase = phase;
    s.raise_to = raise_to;
    s.lowers = lower_to >= 0;
    s.lower_to = s.lowers ? (enum klx_severity)lower_to : KLX_SEVERITY_INFO;
    assert_int_equal(route(&s, 1, &e, targets), 1);
    return targets[0].severity;
}

static void a_severity_is_raised_or_lowered(void **state) {
    (void)state;
    const enum klx_severity info = KLX_SEVERITY_INFO, warning = KLX_SEVERITY_WARNING,
                            critical = KLX_SEVERITY_CRITICAL;
    assert_int_equal(told(warning, KLX_PHASE_OPEN, info, -1), warning);
    assert_int_equal(told(warning, KLX_PHASE_OPEN, critical, -1), critical);
    assert_int_equal(told(critical, KLX_PHASE_OPEN, warning, -1), critical);
    assert_int_equal(told(critical, KLX_PHASE_OPEN, info, KLX_SEVERITY_WARNING), warning);
    assert_int_equal(told(info, KLX_PHASE_NONE, warning, KLX_SEVERITY_WARNING), warning);
    assert_int_equal(told(info, KLX_PHASE_RESOLVED, critical, -1), info); /* the end is no alarm */
    assert_int_equal(told(warning, KLX_PHASE_RESOLVED, info, KLX_SEVERITY_INFO), info);
}

/* Teams that are told, by their first letters. */
static void expect_teams(struct klx_subscription_settings *s, size_t n, const struct klx_event *e,
                         const char *teams) {
    struct klx_target targets[KLX_COUNT(channels)];
    char found[KLX_COUNT(channels) + 1] = "";
    size_t told_n = route(s, n, e, targets);
    for (size_t i = 0; i < told_n; i++) {
        found[i] = targets[i].subscription->team.p[0];
    }
    assert_string_equal(found, teams);
}

static void who_does_not_continue_keeps_it_from_the_rest(void **state) {
    (void)state;
    size_t to_dev[] = { 2 };
    struct klx_event e = event();
    struct klx_subscription_settings s[] = { subscription("first", to_ops, 1),
                                             subscription("second", to_dev, 1) };
    expect_teams(s, 2, &e, "fs");
    s[0].stops = true;
    expect_teams(s, 2, &e, "f");
    s[0].kind = pattern("Pod"); /* only what it matches */
    expect_teams(s, 2, &e, "s");
    klx_match_free(s[0].kind);
    s[0].kind = NULL;
    s[0].channels = to_mail; /* of another process: all agree on who is told */
    expect_teams(s, 2, &e, "");
}

static void the_end_is_not_kept_from_who_heard_the_beginning(void **state) {
    (void)state;
    size_t to_dev[] = { 2 };
    struct klx_event e = event();
    struct klx_subscription_settings s[] = { subscription("critical", to_ops, 1),
                                             subscription("rest", to_dev, 1) };
    s[0].stops = true;
    e.incident = KLX_SV("i");
    e.phase = KLX_PHASE_RESOLVED;
    e.severity = KLX_SEVERITY_INFO;
    e.data = KLX_SV("{\"reason\":\"Ready\",\"incident\":{\"severity\":\"critical\"}}");
    expect_teams(s, 2, &e, "c"); /* nobody else heard of any of it */
    s[0].severities[KLX_SEVERITY_WARNING] = false;
    expect_teams(s, 2, &e, "cr");
    s[0].severities[KLX_SEVERITY_WARNING] = true;
    s[0].reason = pattern("Ready");
    expect_teams(s, 2, &e, "cr");
    klx_match_free(s[0].reason);
}

static void who_asks_for_the_beginning_hears_the_end(void **state) {
    (void)state;
    struct klx_subscription_settings s[] = { subscription("first", to_ops, 1),
                                             subscription("second", to_ops, 1) };
    struct klx_target targets[KLX_COUNT(channels)];
    struct klx_event e = event();
    e.kind = KLX_KIND_NODE_READY;
    e.type = KLX_SV("io.klaxon.node.ready");
    e.incident = KLX_SV("i");
    e.phase = KLX_PHASE_RESOLVED;
    s[0].event = pattern("node.notready");
    assert_int_equal(route(s, 1, &e, targets), 1);
    assert_true(targets[0].end_only); /* if he was told of the beginning */
    assert_int_equal(route(s, 2, &e, targets), 1);
    assert_false(targets[0].end_only); /* the second one is told in any case */
    assert_sv(targets[0].subscription->team, "second");
    e.phase = KLX_PHASE_NONE; /* ready after an upgrade: it ends nothing */
    e.incident = KLX_SV("");
    assert_int_equal(route(s, 1, &e, targets), 0);
    klx_match_free(s[0].event);
    s[0].event = NULL;
    s[0].reason = pattern("NodeNotReady");
    e.phase = KLX_PHASE_RESOLVED;
    e.incident = KLX_SV("i");
    assert_int_equal(route(s, 1, &e, targets), 1);
    assert_true(targets[0].end_only);
    klx_match_free(s[0].reason);
}

static void history_and_replays_are_no_news(void **state) {
    (void)state;
    struct klx_subscription_settings s = subscription("a", to_ops, 1);
    struct klx_event e = event();
    e.resync = true;
    assert_false(goes(&s, &e));
    e.incident = KLX_SV("b25f05a3"); /* an incident that a relist found is so now */
    assert_true(goes(&s, &e));
    e.incident = KLX_SV("");
    s.history = true;
    assert_true(goes(&s, &e));
    e.resync = false;
    assert_true(goes(&s, &e));
    e.replay_id = KLX_SV("r1");
    assert_false(goes(&s, &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_is_told_once_for_the_first_team),
        cmocka_unit_test(only_its_own_topics_and_channels),
        cmocka_unit_test(attributes_decide_before_the_data_is_read),
        cmocka_unit_test(who_was_alarmed_hears_the_end),
        cmocka_unit_test(the_object_and_its_labels_match),
        cmocka_unit_test(a_label_is_there_or_not),
        cmocka_unit_test(the_type_matches_without_its_prefix),
        cmocka_unit_test(a_severity_is_raised_or_lowered),
        cmocka_unit_test(who_does_not_continue_keeps_it_from_the_rest),
        cmocka_unit_test(the_end_is_not_kept_from_who_heard_the_beginning),
        cmocka_unit_test(who_asks_for_the_beginning_hears_the_end),
        cmocka_unit_test(history_and_replays_are_no_news),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
