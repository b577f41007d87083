#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/secret.h"
#include "sinks/core/settings.h"

#define KAFKA "kafka: { bootstrap.servers: \"localhost:9092\" }\n"

struct config {
    struct klx_secret *webhook_url;
    char *color;
};

static const struct klx_config_field fields[] = {
    { .key = "webhook_url",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct config, webhook_url),
      .required = true,
      .help = "where it is sent" },
    { .key = "color",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct config, color),
      .otherwise = "red" },
    { .key = NULL },
};

/* As the sinks' own do: what is in the configuration, then what is in its secrets. */
static int check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    const struct config *c = config;
    struct klx_sv url;
    struct klx_error why = { 0 };
    if (strcmp(c->color, "none") == 0) {
        return klx_config_fail(at, e, "none is no color");
    }
    return klx_secret_get(c->webhook_url, &url, &why) == 0
               ? 0
               : klx_config_fail(klx_config_get(at, "webhook_url"), e, "%s", why.text);
}

static const struct klx_sink_ops slack = {
    .name = "slack", .fields = fields, .config_bytes = sizeof(struct config), .check = check
};
static const struct klx_config_field email_fields[] = { { .key = NULL } };
static const struct klx_sink_ops email = { .name = "email", .fields = email_fields };

/* The mistakes of `text`, one a line, without the folder; or the settings, when there are none. */
struct outcome {
    struct klx_settings s;
    struct klx_sinks_settings sinks;
    struct klx_buf said;
    size_t mistakes;
};

static char file[] = "/tmp/klaxon-settings-XXXXXX.yaml";

static int name_the_file(void **state) {
    (void)state;
    setenv("KLX_TEST_URL", "http://x", 1);
    int fd = mkstemps(file, (int)sizeof(".yaml") - 1);
    return fd < 0 ? -1 : close(fd);
}

static void keep(void *arg, const char *text) {
    struct klx_buf *said = arg;
    const char *slash = strrchr(file, '/');
    const char *from = strstr(text, slash + 1);
    klx_buf_printf(said, "%s\n", from != NULL ? from : text);
}

static void count_text(void *arg, const char *text) {
    klx_buf_printf(arg, "%s\n", text);
}

static void bind_with(struct outcome *o, const char *text, const struct klx_sink_ops *const *ops,
                      size_t ops_n, bool anywhere) {
    *o = (struct outcome){ 0 };
    klx_buf_init(&o->said, 65536);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(KAFKA, f);
    fputs(text, f);
    fclose(f);
    struct klx_error e = { 0 };
    int rc = klx_settings_load(file, &o->s, &e);
    unlink(file);
    if (rc != 0) {
        fail_msg("%s", e.text);
    }
    o->mistakes =
        anywhere ? klx_sinks_settings_bind_anywhere(&o->s, ops, ops_n, &o->sinks, keep, &o->said)
                 : klx_sinks_settings_bind(&o->s, ops, ops_n, &o->sinks, keep, &o->said);
}

static void bind(struct outcome *o, const char *text, const struct klx_sink_ops *const *ops,
                 size_t ops_n) {
    bind_with(o, text, ops, ops_n, false);
}

static void bind_slack(struct outcome *o, const char *text) {
    static const struct klx_sink_ops *const ops[] = { &slack };
    bind(o, text, ops, 1);
}

static void release(struct outcome *o) {
    klx_sinks_settings_release(&o->sinks);
    klx_settings_release(&o->s);
    klx_buf_release(&o->said);
}

static void expect_none(const struct outcome *o) {
    if (o->mistakes != 0) {
        fail_msg("%s", klx_buf_str(&o->said));
    }
}

#define OPS                                                                                        \
    "channels: { ops: { slack: { webhook_url: { env: KLX_TEST_URL } } }, mail: { email: {} } }\n"

static void binds_what_the_header_shows(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(&o, "sinks:\n"
                   "  slack: { listen: \"127.0.0.1:9465\", queue: 10, give_up_after: 1h }\n" OPS
                   "subscriptions:\n"
                   "  - team: operations\n"
                   "    topics: [nodes, klaxon.gitops]\n"
                   "    match:\n"
                   "      cluster: \"prod-*\"\n"
                   "      severity: [warning, critical]\n"
                   "      name: [\"~^aks-\", \"!aks-9\"]\n"
                   "      labels: { agentpool: system }\n"
                   "    channels: [mail, ops]\n"
                   "    history: true\n");
    expect_none(&o);
    assert_string_equal(o.sinks.process.listen, "127.0.0.1:9465");
    assert_int_equal(o.sinks.process.queue, 10);
    assert_int_equal(o.sinks.process.give_up_after_ms, 3600000);
    assert_int_equal(o.sinks.channels_n, 2);
    const struct klx_channel_settings *ops = &o.sinks.channels[0], *mail = &o.sinks.channels[1];
    assert_string_equal(ops->name, "ops");
    assert_ptr_equal(ops->ops, &slack);
    const struct config *c = ops->config;
    assert_string_equal(c->color, "red");
    assert_string_equal(klx_secret_where(c->webhook_url), "environment variable KLX_TEST_URL");
    assert_string_equal(mail->sink, "email");
    assert_null(mail->ops);
    assert_null(mail->config);
    const struct klx_subscription_settings *s = &o.sinks.subscriptions[0];
    assert_sv(s->team, "operations");
    assert_true(s->topics[KLX_TOPIC_NODES] && s->topics[KLX_TOPIC_GITOPS]);
    assert_false(s->topics[KLX_TOPIC_KUBERNETES]);
    assert_false(s->severities[KLX_SEVERITY_INFO]);
    assert_true(s->severities[KLX_SEVERITY_WARNING] && s->severities[KLX_SEVERITY_CRITICAL]);
    assert_true(klx_match_test(s->cluster, KLX_SV("prod-weu")));
    assert_false(klx_match_test(s->cluster, KLX_SV("dev")));
    assert_true(klx_match_test(s->name, KLX_SV("aks-1")));
    assert_false(klx_match_test(s->name, KLX_SV("aks-9")));
    assert_null(s->namespace);
    assert_int_equal(s->labels_n, 1);
    assert_sv(s->labels[0].key, "agentpool");
    assert_false(klx_match_test(s->labels[0].value, KLX_SV("user")));
    assert_int_equal(s->channels_n, 2);
    assert_int_equal(s->channels[0], 1);
    assert_int_equal(s->channels[1], 0);
    assert_true(s->history);
    assert_int_equal(s->line, 6);
    assert_non_null(strstr(s->file, "/klaxon-settings-"));
    release(&o);
}

static void what_is_left_out_has_its_default(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(&o, OPS "subscriptions: [ { team: a, topics: nodes, channels: ops } ]\n");
    expect_none(&o);
    assert_null(o.sinks.process.listen);
    assert_int_equal(o.sinks.process.queue, 1000);
    assert_int_equal(o.sinks.process.give_up_after_ms, 86400000);
    const struct klx_subscription_settings *s = &o.sinks.subscriptions[0];
    for (int i = 0; i <= KLX_SEVERITY_CRITICAL; i++) {
        assert_true(s->severities[i]);
    }
    assert_null(s->cluster);
    assert_false(s->history);
    release(&o);
    bind_slack(&o, "");
    expect_none(&o);
    assert_int_equal(o.sinks.channels_n + o.sinks.subscriptions_n, 0);
    release(&o);
}

static bool sends_data(const void *config) {
    (void)config;
    return true;
}

static void words_of_its_own(void **state) {
    (void)state;
    static const struct klx_sink_ops data = { .name = "email",
                                              .fields = email_fields,
                                              .sends_data = sends_data };
    static const struct klx_sink_ops *const ops[] = { &slack, &data };
    struct outcome o;
    bind(&o,
         "channels:\n"
         "  ops: { message: { title: x }, slack: { webhook_url: { env: KLX_TEST_URL } } }\n"
         "  plain: { slack: { webhook_url: { env: KLX_TEST_URL } } }\n"
         "subscriptions:\n"
         "  - { team: a, topics: nodes, channels: ops, message: [{ event: node.ready, title: y }] "
         "}\n"
         "  - { team: a, topics: nodes, channels: ops }\n",
         ops, 2);
    expect_none(&o);
    assert_non_null(o.sinks.channels[0].wording);
    assert_null(o.sinks.channels[1].wording);
    assert_non_null(o.sinks.subscriptions[0].wording);
    assert_null(o.sinks.subscriptions[1].wording);
    release(&o);
    bind(&o,
         "channels:\n"
         "  ops: { message: { titel: x }, slack: { webhook_url: { env: KLX_TEST_URL } } }\n"
         "  mail: { email: {}, message: { title: x } }\n"
         "subscriptions:\n"
         "  - { team: a, topics: nodes, channels: ops, message: { event: digest, title: y } }\n",
         ops, 2);
    assert_int_equal(o.mistakes, 4);
    assert_non_null(strstr(klx_buf_str(&o.said), "channels.ops.message: unknown key \"titel\""));
    assert_non_null(strstr(klx_buf_str(&o.said), "channels.mail: this channel is sent data"));
    assert_non_null(strstr(klx_buf_str(&o.said), "put its words at the channel"));
    release(&o);
}

static void what_is_told_and_to_whom_else(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(&o, OPS
               "subscriptions:\n"
               "  - { team: a, topics: nodes, channels: ops, continue: false,\n"
               "      severity: { raise_to: warning, lower_to: warning },\n"
               "      match: { event: [node.ready, \"!node.repair.*\"],\n"
               "               labels: { a: { exists: true }, b: { exists: false }, c: x } } }\n"
               "  - { team: a, topics: nodes, channels: ops, severity: { raise_to: critical } }\n");
    expect_none(&o);
    const struct klx_subscription_settings *s = &o.sinks.subscriptions[0];
    assert_true(s->stops && s->lowers);
    assert_int_equal(s->raise_to, KLX_SEVERITY_WARNING);
    assert_int_equal(s->lower_to, KLX_SEVERITY_WARNING);
    assert_true(klx_match_test(s->event, KLX_SV("node.ready")));
    assert_int_equal(s->labels_n, 3);
    assert_int_equal(s->labels[0].kind, KLX_LABEL_EXISTS);
    assert_int_equal(s->labels[1].kind, KLX_LABEL_ABSENT);
    assert_int_equal(s->labels[2].kind, KLX_LABEL_MATCHES);
    assert_false(s[1].stops || s[1].lowers);
    assert_int_equal(s[1].raise_to, KLX_SEVERITY_CRITICAL);
    assert_null(s[1].event);
    release(&o);
}

/* As from a file of subscriptions.d/ with `team:` in its head. */
static size_t bind_in_file_of(const char *file_team, const char *subscription,
                              struct klx_buf *said) {
    static const struct klx_sink_ops *const ops[] = { &slack };
    struct outcome o;
    struct klx_config *c = NULL;
    char text[128];
    snprintf(text, sizeof(text), "team: %s", file_team);
    assert_int_equal(klx_config_parse(klx_sv(text), "teams.yaml", &c, NULL), 0);
    bind_slack(&o, OPS "subscriptions: [ { team: x, topics: nodes, channels: ops } ]\n");
    expect_none(&o);
    klx_sinks_settings_release(&o.sinks);
    struct klx_config *item = NULL;
    assert_int_equal(klx_config_parse(klx_sv(subscription), "teams.yaml", &item, NULL), 0);
    o.s.subscriptions[0] = klx_config_root(item);
    o.s.subscription_teams[0] = klx_config_get(klx_config_root(c), "team");
    size_t mistakes_n = klx_sinks_settings_bind(&o.s, ops, 1, &o.sinks, count_text, said);
    if (mistakes_n == 0) {
        assert_sv(o.sinks.subscriptions[0].team, "a");
    }
    release(&o);
    klx_config_free(item);
    klx_config_free(c);
    return mistakes_n;
}

static void a_file_is_of_one_team(void **state) {
    (void)state;
    struct klx_buf said KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&said, 4096);
    assert_int_equal(bind_in_file_of("a", "{ topics: nodes, channels: ops }", &said), 0);
    assert_int_equal(bind_in_file_of("a", "{ team: a, topics: nodes, channels: ops }", &said), 0);
    assert_int_equal(bind_in_file_of("b", "{ team: a, topics: nodes, channels: ops }", &said), 1);
    assert_string_equal(klx_buf_str(&said),
                        "teams.yaml:1:9: team: this is a file of the team b (line 1): put what is "
                        "another's in a file of its own\n");
}

static void severities_are_patterns_too(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(&o,
               OPS "subscriptions:\n"
                   "  - { team: a, topics: nodes, channels: ops, match: { severity: \"!info\" } }\n"
                   "  - { team: a, topics: nodes, channels: ops, match: { severity: \"*a*\" } }\n");
    expect_none(&o);
    assert_false(o.sinks.subscriptions[0].severities[KLX_SEVERITY_INFO]);
    assert_true(o.sinks.subscriptions[0].severities[KLX_SEVERITY_WARNING]);
    assert_false(o.sinks.subscriptions[1].severities[KLX_SEVERITY_INFO]);
    assert_true(o.sinks.subscriptions[1].severities[KLX_SEVERITY_CRITICAL]);
    release(&o);
}

static void another_kinds_settings_are_not_this_processes(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(&o, "sinks: { email: { qeue: 1 } }\nchannels: { mail: { email: { wrong: 1 } } }\n");
    expect_none(&o);
    release(&o);
    static const struct klx_sink_ops *const both[] = { &slack, &email };
    bind(&o, "sinks: { email: { qeue: 1 } }\nchannels: { mail: { email: { wrong: 1 } } }\n", both,
         2);
    assert_int_equal(o.mistakes, 2);
    release(&o);
}

/* Line 2 is the first of each text: line 1 is `kafka`. */
static const struct {
    const char *text, *message;
} mistakes[] = {
    { "sinks: { slak: {} }\n",
      ".yaml:2:10: sinks: there is no kind of sink \"slak\", did you mean \"slack\"?" },
    { "sinks: { carrier-pigeon: {} }\n",
      ".yaml:2:10: sinks: there is no kind of sink \"carrier-pigeon\": slack, email" },
    { "sinks: { slack: { queue: 0 } }\n", "sinks.slack.queue: 0 is not between 1 and 100000" },
    { "sinks: { slack: { give_up_after: soon } }\n", "expected a duration such as 30s" },
    { "channels:\n  ops:\n    slak:\n      webhook_url: x\n",
      ".yaml:4:5: channels.ops: there is no kind of sink \"slak\", did you mean \"slack\"?" },
    { "channels: { kafka: { bootstrap.servers: x } }\n",
      ".yaml:2:13: channels: \"kafka\" is a key of klaxon.yaml and no channel: a file of" },
    { "channels: { clusters: [ a ] }\n", "\"clusters\" is a key of klaxon.yaml and no channel" },
    { "channels: { log: { slack: {} } }\n", "channels.log.slack: \"webhook_url\" is missing" },
    { "channels: { ops: {} }\n",
      ".yaml:2:18: channels.ops: expected the kind of sink, slack, email" },
    { "channels: { ops: slack }\n", "channels.ops: expected the kind of sink" },
    { "channels:\n  ops:\n    slack: {webhook_url: {env: KLX_TEST_URL}}\n    email: {}\n",
      ".yaml:5:5: channels.ops: a channel has one kind of sink, found \"slack\" and \"email\": "
      "make "
      "two channels" },
    { "channels:\n  ops:\n    slack: {webhook_url: {env: KLX_TEST_URL}}\n    throtle: {}\n",
      ".yaml:5:5: channels.ops: unknown key \"throtle\", did you mean \"throttle\"?" },
    { "channels:\n  ops:\n    pigeon: 1\n    slack: {webhook_url: {env: KLX_TEST_URL}}\n",
      ".yaml:4:5: channels.ops: unknown key \"pigeon\": a channel has its kind, and may have" },
    { "channels: { \"o/s\": { slack: {webhook_url: {env: KLX_TEST_URL}} } }\n",
      ".yaml:2:13: channels: the name of a channel is 1 to 63 of letters" },
    { "channels: { ops: { slack: {} } }\n",
      ".yaml:2:27: channels.ops.slack: \"webhook_url\" is missing: where it is sent" },
    { "channels: { ops: { slack: { webhook_url: http://x } } }\n",
      "channels.ops.slack.webhook_url: a secret is not written into the configuration" },
    { "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_URL}, colour: red } } }\n",
      "unknown key \"colour\", did you mean \"color\"?" },
    { "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_URL}, color: none } } }\n",
      ".yaml:2:27: channels.ops.slack: none is no color" },
    { "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_NONE}} } }\n",
      ".yaml:2:42: channels.ops.slack.webhook_url: environment variable KLX_TEST_NONE is not set" },
    { OPS "subscriptions: [ { topics: nodes, channels: ops } ]\n",
      ".yaml:3:18: subscriptions[0]: \"team\" is missing: who is told" },
    { OPS "subscriptions: [ { team: , topics: nodes, channels: ops } ]\n",
      "subscriptions[0].team: expected the name of the team" },
    { OPS "subscriptions: [ { team: [a], topics: nodes, channels: ops } ]\n",
      "subscriptions[0].team: expected the name of the team" },
    { OPS "subscriptions: [ { team: a, channels: ops } ]\n", "\"topics\" is missing" },
    { OPS "subscriptions: [ { team: a, topics: nodes } ]\n",
      "\"channels\" is missing: names from `channels:`" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: [] } ]\n",
      ".yaml:3:54: subscriptions[0].channels: the list is empty: expected the name of a channel" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: [ops, mial] } ]\n",
      ".yaml:3:60: subscriptions[0].channels[1]: there is no channel \"mial\", did you mean "
      "\"mail\"?" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: [ops, ops] } ]\n",
      "channels[1]: \"ops\" is in the list twice" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: { ops: 1 } } ]\n",
      "channels: expected the name of a channel or a list of them" },
    { "subscriptions: [ { team: a, topics: nodes, channels: ops } ]\n",
      "there is no channel \"ops\": define it in `channels:` or channels.d/" },
    { OPS "subscriptions: [ { team: a, topics: [nodse], channels: ops } ]\n",
      "topics[0]: there is no topic \"nodse\", did you mean \"nodes\"?" },
    { OPS "subscriptions: [ { team: a, topics: [dlq], channels: ops } ]\n",
      "topics[0]: \"dlq\" is klaxon's own: subscribe to kubernetes, nodes" },
    { OPS "subscriptions: [ { team: a, topics: [nodes, klaxon.nodes], channels: ops } ]\n",
      "topics[1]: \"nodes\" is in the list twice" },
    { OPS "subscriptions: [ { team: a, topics: [[nodes]], channels: ops } ]\n",
      "topics[0]: expected the name of a topic" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, matches: {} } ]\n",
      "unknown key \"matches\", did you mean \"match\"?" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { clsuter: x } } ]\n",
      ".yaml:3:68: subscriptions[0].match: unknown key \"clsuter\", did you mean \"cluster\"?" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: [x] } ]\n",
      "match: expected a map, found a list" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { name: \"~a(\" } } ]\n",
      ".yaml:3:74: subscriptions[0].match.name: pattern \"~a(\": missing closing parenthesis" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { name: [x, \"!\"] } } "
          "]\n",
      "match.name[1]: an empty pattern matches nothing" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { name: null } } ]\n",
      "match.name: expected a pattern" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { name: [] } } ]\n",
      "match.name: the list is empty" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { severity: waring } } "
          "]\n",
      "match.severity: there is no severity \"waring\", did you mean \"warning\"?" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { severity: [\"!fatal\"] "
      "} } ]\n",
      "match.severity[0]: there is no severity \"fatal\": info, warning or critical" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { severity: \"x*\" } } "
          "]\n",
      "match.severity: this matches none of info, warning and critical" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { labels: x } } ]\n",
      "match.labels: expected a map of patterns by label" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { labels: {a: \"~[\"} } "
      "} ]\n",
      "match.labels.a: pattern \"~[\": missing terminating ]" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, history: yes } ]\n",
      "history: expected true or false, found \"yes\"" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { event: node.redy } } ]\n",
      "match.event: there is no kind of event \"node.redy\", did you mean \"node.ready\"?" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { event: "
          "[\"!io.klaxon.node.ready\"] } } ]\n",
      "match.event[0]: there is no kind of event \"io.klaxon.node.ready\": leave io.klaxon. out" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, match: { labels: {a: { exists: "
      "x }} } } ]\n",
      "match.labels.a.exists: expected true or false, found \"x\"" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, severity: critical } ]\n",
      "severity: expected a map" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, severity: { raise_to: loud } } "
      "]\n",
      "severity.raise_to: expected info, warning or critical, found \"loud\"" },
    { OPS
      "subscriptions: [ { team: a, topics: nodes, channels: ops, severity: { raise_to: critical, "
      "lower_to: warning } } ]\n",
      "severity: nothing is at least critical and at most warning" },
    { OPS "subscriptions: [ { team: a, topics: nodes, channels: ops, continue: no } ]\n",
      "continue: expected true or false, found \"no\"" },
    { "subscriptions: [ x ]\n", "subscriptions[0]: expected a map, found a single value" },
};

static void each_mistake_is_one_line_with_its_place(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(mistakes); i++) {
        struct outcome o;
        bind_slack(&o, mistakes[i].text);
        const char *said = klx_buf_str(&o.said);
        if (o.mistakes != 1 || strstr(said, mistakes[i].message) == NULL) {
            fail_msg("of: %s\nexpected: %s\nfound %zu: %s", mistakes[i].text, mistakes[i].message,
                     o.mistakes, said);
        }
        release(&o);
    }
}

static void without_its_secrets_the_rest_is_checked(void **state) {
    (void)state;
    static const struct klx_sink_ops *const ops[] = { &slack };
    struct outcome o;
    bind_with(&o, "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_NONE} } } }\n", ops, 1,
              true);
    expect_none(&o);
    assert_ptr_equal(o.sinks.channels[0].ops, &slack);
    release(&o);
    bind_with(&o,
              "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_NONE}, color: none } } }\n",
              ops, 1, true);
    assert_int_equal(o.mistakes, 1);
    assert_non_null(strstr(klx_buf_str(&o.said), "none is no color"));
    release(&o);
    bind_with(&o, "channels: { ops: { slack: { webhook_url: {env: KLX_TEST_NONE}, colr: x } } }\n",
              ops, 1, true);
    assert_int_equal(o.mistakes, 1);
    release(&o);
}

static void all_mistakes_are_said(void **state) {
    (void)state;
    struct outcome o;
    bind_slack(
        &o, "sinks: { slack: { qeue: 1 } }\n"
            "channels:\n"
            "  ops: { slack: { webhook_url: x, colour: red } }\n"
            "  mail: { emial: {} }\n"
            "subscriptions:\n"
            "  - { topics: [nodse], channels: [ops, mial], match: { severity: waring, nam: x } }\n"
            "  - { team: a, topics: nodes, channels: mail }\n");
    static const char *const lines[] = {
        "unknown key \"qeue\"",    "ops.slack: unknown key \"colour\"",
        "a secret is not written", "did you mean \"email\"",
        "\"team\" is missing",     "did you mean \"nodes\"",
        "unknown key \"nam\"",     "did you mean \"warning\"",
        "did you mean \"mail\"",
    };
    for (size_t i = 0; i < KLX_COUNT(lines); i++) {
        if (strstr(klx_buf_str(&o.said), lines[i]) == NULL) {
            fail_msg("missing: %s\nfound:\n%s", lines[i], klx_buf_str(&o.said));
        }
    }
    assert_int_equal(o.mistakes, KLX_COUNT(lines));
    release(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_what_the_header_shows),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(words_of_its_own),
        cmocka_unit_test(what_is_told_and_to_whom_else),
        cmocka_unit_test(a_file_is_of_one_team),
        cmocka_unit_test(severities_are_patterns_too),
        cmocka_unit_test(another_kinds_settings_are_not_this_processes),
        cmocka_unit_test(each_mistake_is_one_line_with_its_place),
        cmocka_unit_test(without_its_secrets_the_rest_is_checked),
        cmocka_unit_test(all_mistakes_are_said),
    };
    return cmocka_run_group_tests(tests, name_the_file, NULL);
}
