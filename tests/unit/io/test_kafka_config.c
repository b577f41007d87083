/* The `kafka:` map: what is refused, and where. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/io/kafka_config.h"

static void keep(void *arg, const char *text) {
    snprintf(arg, 1024, "%s", text);
}

/* The number of mistakes, and the words of the last. */
static size_t bind(const char *text, bool anywhere, char words[static 1024]) {
    struct klx_config *c = NULL;
    struct klx_error e = { 0 };
    struct klx_kafka_config *kafka = klx_kafka_config_new();
    words[0] = '\0';
    if (klx_config_parse(klx_sv(text), "k.yaml", &c, &e) != 0) {
        fail_msg("%s", e.text);
    }
    const struct klx_config_node *root = klx_config_root(c);
    size_t n = anywhere ? klx_kafka_config_bind_anywhere(kafka, root, keep, words)
                        : klx_kafka_config_bind(kafka, root, keep, words);
    if (n == 0 && !anywhere && klx_kafka_config_check(kafka, &e) != 0) {
        fail_msg("%s", e.text);
    }
    struct klx_kafka_config *copy = klx_kafka_config_dup(kafka);
    klx_kafka_config_free(kafka);
    klx_kafka_config_free(copy);
    klx_config_free(c);
    return n;
}

#define BEARER "bootstrap.servers: \"k:9093\"\nsasl.mechanism: OAUTHBEARER\n"
#define TLS BEARER "security.protocol: SASL_SSL\n"
#define ENOUGH "client_id: c, tenant: t, client_secret: { env: KLX_TEST_SECRET }"

static void what_does_not_fit_a_login_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { BEARER, "k.yaml:1:1: sasl.mechanism OAUTHBEARER needs a token: say in `oauth` where" },
        { "bootstrap.servers: k\nsasl.mechanism: PLAIN\noauth: { scope: s, " ENOUGH " }\n",
          "k.yaml:3:8: oauth: oauth is of no use without sasl.mechanism: OAUTHBEARER" },
        { BEARER "oauth: { scope: s, " ENOUGH " }\n",
          "oauth is of no use without security.protocol: SASL_SSL" },
        { BEARER "security.protocol: sasl_plaintext\noauth: { scope: s, " ENOUGH " }\n",
          "the token would go to the brokers without TLS" },
        { TLS "oauth: { " ENOUGH " }\n", "oauth: scope is missing" },
        { TLS "oauth: { scope: s, authority: \"http://login.example\", " ENOUGH " }\n",
          "authority must begin with https://" },
        { TLS "oauth: { scpe: s }\n", "did you mean \"scope\"?" },
        { TLS "oauth: { scope: s, client_secret: s3cret }\n", "oauth.client_secret" },
        { TLS "oauth: [ 1 ]\n", "expected a map" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        char words[1024];
        assert_int_equal(bind(cases[i].text, false, words), 1);
        if (strstr(words, cases[i].words) == NULL) {
            fail_msg("\"%s\" does not hold \"%s\"", words, cases[i].words);
        }
        assert_null(strstr(words, "s3cret"));
    }
}

static void a_login_that_fits_is_taken(void **state) {
    (void)state;
    static const char *const texts[] = {
        TLS "oauth: { scope: s, " ENOUGH " }\n",
        TLS "oauth: { scope: s, managed_identity: true }\n",
        "sasl.mechanisms: OAUTHBEARER\nsecurity.protocol: SASL_SSL\n"
        "bootstrap.servers: \"n.servicebus.windows.net:9093\"\noauth: { " ENOUGH " }\n",
        "sasl.mechanism: OAUTHBEARER\nsecurity.protocol: SASL_PLAINTEXT\n"
        "bootstrap.servers: \"127.0.0.1:1,localhost:2\"\noauth: { scope: s, " ENOUGH " }\n",
        ("sasl.mechanism: OAUTHBEARER\nsecurity.protocol: SASL_SSL\nbootstrap.servers: k\n"
         "enable.sasl.oauthbearer.unsecure.jwt: true\n"),
    };
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        char words[1024];
        if (bind(texts[i], false, words) != 0) {
            fail_msg("%s", words);
        }
    }
}

static void what_only_the_environment_can_bring_is_no_mistake_elsewhere(void **state) {
    (void)state;
    char words[1024];
    assert_int_equal(bind(TLS "oauth: { scope: s }\n", true, words), 0);
    assert_int_equal(bind(TLS "oauth: { scope: s }\n", false, words), 1);
    assert_non_null(strstr(words, "nothing proves who klaxon is"));
}

/* Whether a file of this name is mapped. */
static bool is_loaded(const char *name) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    bool found = false;
    assert_non_null(maps);
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        found = strstr(line, name) != NULL;
    }
    fclose(maps);
    return found;
}

static void spare(const char *protocol, const char *mechanism) {
    struct klx_kafka_config *kafka = klx_kafka_config_new();
    assert_int_equal(
        klx_kafka_config_set(kafka, KLX_SV("security.protocol"), klx_sv(protocol), NULL), 0);
    if (mechanism != NULL) {
        assert_int_equal(
            klx_kafka_config_set(kafka, KLX_SV("sasl.mechanism"), klx_sv(mechanism), NULL), 0);
    }
    klx_kafka_config_spare_plugins(kafka);
    klx_kafka_config_free(kafka);
}

/* The first case: plugins are loaded with the first client of a process, and stay. */
static void plugins_of_sasl_are_for_kerberos_alone(void **state) {
    (void)state;
    char words[1024];
    unsetenv("SASL_PATH");
    spare("SASL_SSL", NULL); /* GSSAPI, unless it is said */
    assert_null(getenv("SASL_PATH"));
    spare("SASL_PLAINTEXT", "GSSAPI");
    assert_null(getenv("SASL_PATH"));
    spare("SASL_SSL", "SCRAM-SHA-512");
    assert_non_null(getenv("SASL_PATH"));
    unsetenv("SASL_PATH");
    spare("PLAINTEXT", NULL);
    assert_non_null(getenv("SASL_PATH"));
    assert_int_equal(bind("bootstrap.servers: k\n", false, words), 0); /* makes a client */
    assert_false(is_loaded("/sasl2/"));
}

int main(void) {
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    setenv("KLX_TEST_SECRET", "s3cret", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_of_sasl_are_for_kerberos_alone),
        cmocka_unit_test(what_does_not_fit_a_login_is_refused_with_its_place),
        cmocka_unit_test(a_login_that_fits_is_taken),
        cmocka_unit_test(what_only_the_environment_can_bring_is_no_mistake_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
