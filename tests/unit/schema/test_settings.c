#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "schema/settings.h"

#define FILES_MAX 6

static char folder[] = "/tmp/klaxon-settings-XXXXXX";

static int setup(void **state) {
    (void)state;
    char path[64];
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/channels.d", folder);
    int rc = mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/subscriptions.d", folder);
    return rc == 0 ? mkdir(path, 0700) : rc;
}

static int teardown(void **state) {
    (void)state;
    static const char *const folders[] = { "channels.d", "subscriptions.d", "" };
    char path[64];
    for (size_t i = 0; i < KLX_COUNT(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, folders[i]);
        rmdir(path);
    }
    return 0;
}

struct file {
    const char *name, *text;
};

static void path_of(char *out, size_t n, const char *name) {
    snprintf(out, n, "%s/%s", folder, name);
}

static char main_file[128];

static void write_files(const struct file *files) {
    char path[128];
    for (size_t i = 0; i < FILES_MAX && files[i].name != NULL; i++) {
        path_of(path, sizeof(path), files[i].name);
        test_write_file(path, files[i].text);
    }
    path_of(main_file, sizeof(main_file), "klaxon.yaml");
}

static void remove_files(const struct file *files) {
    char path[128];
    for (size_t i = 0; i < FILES_MAX && files[i].name != NULL; i++) {
        path_of(path, sizeof(path), files[i].name);
        unlink(path);
    }
}

static int load(const struct file *files, struct klx_settings *s, struct klx_error *e) {
    write_files(files);
    int rc = klx_settings_load(main_file, s, e);
    remove_files(files);
    return rc;
}

#define KAFKA "kafka: { bootstrap.servers: \"localhost:9092\" }\n"

static void the_smallest_has_the_defaults(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = { { "klaxon.yaml", KAFKA "clusters:\nchannels:\n" } };
    struct klx_settings s;
    assert_int_equal(load(files, &s, NULL), 0);
    assert_string_equal(s.topics.name[KLX_TOPIC_NODES], "klaxon.nodes");
    assert_int_equal(s.replication, -1);
    assert_int_equal(s.partitions, 0);
    assert_int_equal(s.retention_ms[KLX_TOPIC_NODES], 30LL * 86400000);
    assert_int_equal(s.retention_ms[KLX_TOPIC_STATE], -1);
    assert_int_equal(s.log_level, KLX_LOG_INFO);
    assert_int_equal(s.log_format, KLX_LOG_AUTO);
    assert_null(s.clusters);
    assert_int_equal(s.channels_n, 0);
    klx_settings_release(&s);
}

static void the_folders_add_in_name_order(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = {
        { "klaxon.yaml", KAFKA "topics: { prefix: eu-, replication: 3, partitions: 8, "
                               "retention: { nodes: 90d } }\n"
                               "log: { level: debug, format: json }\n"
                               "clusters: [ { name: prod } ]\n"
                               "channels: { one: { slack: {} } }\n"
                               "subscriptions: [ { team: a } ]\n" },
        { "channels.d/b.yaml", "two: { slack: {} }\nthree: { email: {} }\n" },
        { "channels.d/a.yml", "channels: { four: { slack: {} } }\n" },
        { "channels.d/notes.txt", "not read\n" },
        { "subscriptions.d/x.yaml", "subscriptions: [ { team: b }, { team: c } ]\n" },
        { "subscriptions.d/y.yaml", "- team: d\n" },
    };
    static const char *const names[] = { "one", "four", "two", "three" };
    struct klx_settings s;
    struct klx_error e = { 0 };
    int rc = load(files, &s, &e);
    if (rc != 0) {
        fail_msg("%s", e.text);
    }
    assert_string_equal(s.topics.name[KLX_TOPIC_DLQ], "eu-dlq");
    assert_int_equal(s.replication, 3);
    assert_int_equal(s.partitions, 8);
    assert_int_equal(s.retention_ms[KLX_TOPIC_NODES], 90LL * 86400000);
    assert_int_equal(s.retention_ms[KLX_TOPIC_DLQ], 30LL * 86400000);
    assert_int_equal(s.log_level, KLX_LOG_DEBUG);
    assert_int_equal(s.log_format, KLX_LOG_JSON);
    assert_int_equal(s.channels_n, KLX_COUNT(names));
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        assert_sv(klx_config_key(s.channels[i]), names[i]);
    }
    assert_int_equal(s.subscriptions_n, 4);
    assert_sv(klx_config_scalar(klx_config_get(s.subscriptions[3], "team")), "d");
    klx_settings_release(&s);
}

static void a_file_may_be_of_one_team(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = {
        { "klaxon.yaml", KAFKA "subscriptions: [ { team: a } ]\n" },
        { "subscriptions.d/.hidden.yaml", "{ not: read\n" },
        { "subscriptions.d/b.yaml", "team: b\nsubscriptions: [ { topics: nodes }, {} ]\n" },
        { "subscriptions.d/c.yaml", "- team: c\n" },
        { "subscriptions.d/d.yaml", "# nothing yet\n" },
    };
    static const char *const teams[] = { NULL, "b", "b", NULL };
    struct klx_settings s;
    struct klx_error e = { 0 };
    if (load(files, &s, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(s.subscriptions_n, KLX_COUNT(teams));
    for (size_t i = 0; i < KLX_COUNT(teams); i++) {
        assert_int_equal(s.subscription_teams[i] != NULL, teams[i] != NULL);
        if (teams[i] != NULL) {
            assert_sv(klx_config_scalar(s.subscription_teams[i]), teams[i]);
        }
    }
    klx_settings_release(&s);
}

/* What a ConfigMap's volume looks like: links through ..data, which is exchanged as a whole. */
static void links_of_a_config_map_are_followed(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = {
        { "klaxon.yaml", KAFKA },
        { "subscriptions.d/..2026_01/a.yaml", "- team: a\n" },
    };
    char at[128], link_path[128];
    path_of(at, sizeof(at), "subscriptions.d/..2026_01");
    assert_int_equal(mkdir(at, 0700), 0);
    path_of(link_path, sizeof(link_path), "subscriptions.d/..data");
    assert_int_equal(symlink("..2026_01", link_path), 0);
    path_of(at, sizeof(at), "subscriptions.d/a.yaml");
    assert_int_equal(symlink("..data/a.yaml", at), 0);
    struct klx_settings s;
    struct klx_error e = { 0 };
    int rc = load(files, &s, &e);
    unlink(at);
    unlink(link_path);
    path_of(at, sizeof(at), "subscriptions.d/..2026_01");
    rmdir(at);
    if (rc != 0) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(s.subscriptions_n, 1);
    klx_settings_release(&s);
}

static void a_mistake_is_said_with_its_place(void **state) {
    (void)state;
    static const struct {
        struct file files[FILES_MAX];
        const char *message;
    } cases[] = {
        { { { "klaxon.yaml", KAFKA "chanels: {}\n" } },
          "klaxon.yaml:2:1: unknown key \"chanels\", did you mean \"channels\"?" },
        { { { "klaxon.yaml", "log: {}\n" } }, "\"kafka\" is missing" },
        { { { "klaxon.yaml", "kafka: { client.id: x }\n" } },
          "klaxon.yaml:1:8: kafka: \"bootstrap.servers\" is missing" },
        { { { "klaxon.yaml", "kafka: localhost\n" } },
          "klaxon.yaml:1:8: kafka: expected a map, found a single value" },
        { { { "klaxon.yaml", "kafka: { bootstrap.servers: \"\" }\n" } },
          "klaxon.yaml:1:29: kafka.bootstrap.servers: expected host:port" },
        { { { "klaxon.yaml", KAFKA }, { "subscriptions.d/a.yaml", "team: x\ntopics: [nodes]\n" } },
          "subscriptions.d/a.yaml:1:1: expected a list: begin with `- team: …`" },
        { { { "klaxon.yaml", KAFKA }, { "subscriptions.d/a.yaml", "team: x\n" } },
          "subscriptions.d/a.yaml:1:1: \"subscriptions\" is missing" },
        { { { "klaxon.yaml", KAFKA }, { "subscriptions.d/a.yaml", "team:\nsubscriptions: []\n" } },
          "subscriptions.d/a.yaml:1:6: team: expected the name of the team" },
        { { { "klaxon.yaml", KAFKA },
            { "subscriptions.d/a.yaml", "subscriptions: []\nchannels: {}\n" } },
          "subscriptions.d/a.yaml:2:1: unknown key \"channels\"" },
        { { { "klaxon.yaml", KAFKA },
            { "channels.d/a.yaml", "channels: {}\nsubscriptions: []\n" } },
          "channels.d/a.yaml:2:1: unknown key \"subscriptions\"" },
        { { { "klaxon.yaml", KAFKA "topics: { prefix: \"a b\" }\n" } }, "topic prefix \"a b\"" },
        { { { "klaxon.yaml", KAFKA "topics: { replication: 0 }\n" } },
          "topics.replication: at least 1" },
        { { { "klaxon.yaml", KAFKA "topics: { partitions: 0x4 }\n" } },
          "klaxon.yaml:2:23: topics.partitions: expected a whole number" },
        { { { "klaxon.yaml", KAFKA "topics: { retention: { nodse: 1d } }\n" } },
          "klaxon.yaml:2:24: topics.retention: unknown key \"nodse\", did you mean \"nodes\"?" },
        { { { "klaxon.yaml", KAFKA "topics: { retention: { state: 1d } }\n" } },
          "topics.retention: unknown key \"state\"" },
        { { { "klaxon.yaml", KAFKA "topics: { retention: { nodes: 1s } }\n" } },
          "topics.retention.nodes: 1s is not between" },
        { { { "klaxon.yaml", KAFKA "log: { level: loud }\n" } },
          "log.level: expected debug, info, warn or error, found \"loud\"" },
        { { { "klaxon.yaml", KAFKA "log: { format: xml }\n" } },
          "klaxon.yaml:2:16: log.format: expected auto, json or text" },
        { { { "klaxon.yaml", KAFKA "clusters: { name: x }\n" } }, "expected a list of clusters" },
        { { { "klaxon.yaml", KAFKA "sinks: []\n" } }, "expected a map of sinks" },
        { { { "klaxon.yaml", KAFKA "channels: [ x ]\n" } }, "a map of channels by name" },
        { { { "klaxon.yaml", KAFKA "subscriptions: x\n" } }, "a list of subscriptions" },
        { { { "klaxon.yaml", KAFKA },
            { "subscriptions.d/a.yaml", "subscriptions: []\ntaem: x\n" } },
          "subscriptions.d/a.yaml:2:1: unknown key \"taem\"" },
        { { { "klaxon.yaml", KAFKA }, { "channels.d/a.yaml", "a: {" } }, "channels.d/a.yaml:" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_settings s;
        struct klx_error e = { 0 };
        assert_int_equal(load(cases[i].files, &s, &e), -EINVAL);
        if (strstr(e.text, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, e.text);
        }
    }
}

static void a_channel_defined_twice_names_both_places(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = {
        { "klaxon.yaml", KAFKA "channels:\n  ops: { slack: {} }\n" },
        { "channels.d/team.yaml", "other: { slack: {} }\nops: { slack: {} }\n" },
    };
    char wanted[512];
    snprintf(wanted, sizeof(wanted),
             "%s/channels.d/team.yaml:2:6: ops: the channel is defined already in "
             "%s/klaxon.yaml:3",
             folder, folder);
    struct klx_settings s;
    struct klx_error e = { 0 };
    assert_int_equal(load(files, &s, &e), -EINVAL);
    assert_string_equal(e.text, wanted);
}

static void count(void *arg, const char *text) {
    struct klx_buf *said = arg;
    klx_buf_printf(said, "%s\n", text);
}

static void all_mistakes_are_said(void **state) {
    (void)state;
    const struct file files[FILES_MAX] = {
        { "klaxon.yaml", "kafka: { client.id: x }\nchanels: {}\nclusters: x\n"
                         "topics: { replication: 0, retention: { nodse: 1d } }\n"
                         "log: { level: loud, format: xml }\n" },
        { "channels.d/a.yaml", "a: {" },
        { "channels.d/b.yaml", "b: {}\n" },
        { "subscriptions.d/x.yaml", "teams: []\n" },
    };
    static const char *const expected[] = {
        "klaxon.yaml:2:1: unknown key \"chanels\"",
        "\"bootstrap.servers\" is missing",
        "topics.replication: at least 1",
        "did you mean \"nodes\"",
        "log.level: expected debug, info, warn or error, found \"loud\"",
        "found \"xml\"",
        "expected a list of clusters",
        "channels.d/a.yaml:2:1: did not find",
        "subscriptions.d/x.yaml:1:1: unknown key \"teams\"",
        "subscriptions.d/x.yaml:1:1: \"subscriptions\" is missing",
    };
    struct klx_buf said KLX_CLEANUP(klx_buf_release);
    struct klx_settings s;
    klx_buf_init(&said, 65536);
    write_files(files);
    assert_int_equal(klx_settings_load_all(main_file, &s, count, &said), KLX_COUNT(expected));
    remove_files(files);
    for (size_t i = 0; i < KLX_COUNT(expected); i++) {
        if (strstr(klx_buf_str(&said), expected[i]) == NULL) {
            fail_msg("missing: %s\nfound:\n%s", expected[i], klx_buf_str(&said));
        }
    }
    assert_int_equal(s.unread, 1);
    assert_int_equal(s.channels_n, 1);
    assert_sv(klx_config_key(s.channels[0]), "b");
    klx_settings_release(&s);
}

static void a_missing_file_is_said(void **state) {
    (void)state;
    struct klx_settings s;
    struct klx_error e = { 0 };
    assert_int_equal(klx_settings_load("/nowhere/klaxon.yaml", &s, &e), -ENOENT);
    assert_string_equal(e.text, "cannot read /nowhere/klaxon.yaml: No such file or directory");
}

static void the_path_comes_from_the_environment(void **state) {
    (void)state;
    unsetenv("KLAXON_CONFIG");
    assert_string_equal(klx_settings_path(NULL), "/etc/klaxon/klaxon.yaml");
    setenv("KLAXON_CONFIG", "/x.yaml", 1);
    assert_string_equal(klx_settings_path(NULL), "/x.yaml");
    assert_string_equal(klx_settings_path("y.yaml"), "y.yaml");
    unsetenv("KLAXON_CONFIG");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_has_the_defaults),
        cmocka_unit_test(the_folders_add_in_name_order),
        cmocka_unit_test(a_file_may_be_of_one_team),
        cmocka_unit_test(links_of_a_config_map_are_followed),
        cmocka_unit_test(a_mistake_is_said_with_its_place),
        cmocka_unit_test(a_channel_defined_twice_names_both_places),
        cmocka_unit_test(all_mistakes_are_said),
        cmocka_unit_test(a_missing_file_is_said),
        cmocka_unit_test(the_path_comes_from_the_environment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
