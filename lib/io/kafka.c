#include "lib/io/kafka.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/base/url.h"
#include "lib/io/kafka_login.h"

#define PROPERTIES_MAX 64
#define END_MS 300
#define OAUTH "oauth" /* among the properties, but not librdkafka's */

struct klx_kafka_config {
    struct {
        char *name, *value;
    } items[PROPERTIES_MAX];
    size_t n;
    struct klx_kafka_login *login; /* NULL: none. Shared by copies */
};

/* What klaxon decides itself, and why. */
static const struct {
    const char *name, *why;
} reserved[] = {
    { "transactional.id", "the collector makes it of the cluster's name" },
    { "group.id", "each sink has its own" },
    { "enable.auto.commit", "offsets follow the deliveries' verdicts" },
    { "enable.auto.offset.store", "offsets follow the deliveries' verdicts" },
    { "enable.idempotence", "it is always on" },
    { "isolation.level", "it is always read_committed" },
    { "enable.partition.eof", "readers need it" },
    { "partition.assignment.strategy", "all sinks of a group must have the same" },
    { "transactions", "it stands under `collector:`" },
    { "group.protocol", "sinks share their partitions by the classic one" },
};

struct klx_kafka_config *klx_kafka_config_new(void) {
    return klx_alloc(struct klx_kafka_config);
}

void klx_kafka_config_free(struct klx_kafka_config *c) {
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        free(c->items[i].name);
        klx_wipe(c->items[i].value);
    }
    klx_kafka_login_release(c->login);
    free(c);
}

struct klx_kafka_login *klx_kafka_config_login(const struct klx_kafka_config *c) {
    return c->login;
}

struct klx_kafka_config *klx_kafka_config_dup(const struct klx_kafka_config *c) {
    struct klx_kafka_config *copy = klx_kafka_config_new();
    for (size_t i = 0; i < c->n; i++) {
        copy->items[i].name = klx_strdup(c->items[i].name);
        copy->items[i].value = klx_strdup(c->items[i].value);
    }
    copy->n = c->n;
    copy->login = klx_kafka_login_keep(c->login);
    return copy;
}

/* librdkafka lists the properties that have a value; these have none until somebody sets them. */
static const char *const unlisted[] = {
    "bootstrap.servers",        "sasl.username",    "sasl.password", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location", "client.rack",   "group.instance.id",
};

static struct klx_config_hint nearest_property(const char *name) {
    size_t n = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char **pairs = rd_kafka_conf_dump(conf, &n);
    const char **names = (const char **)klx_alloc_n(char *, n / 2 + KLX_COUNT(unlisted));
    size_t count = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        names[count++] = pairs[i];
    }
    for (size_t i = 0; i < KLX_COUNT(unlisted); i++) {
        names[count++] = unlisted[i];
    }
    struct klx_config_hint hint = klx_config_hint(klx_sv(name), names, count);
    free(names);
    rd_kafka_conf_dump_free(pairs, n);
    rd_kafka_conf_destroy(conf);
    return hint;
}

static int check_property(const char *name, const char *value, struct klx_error *e) {
    for (size_t i = 0; i < KLX_COUNT(reserved); i++) {
        if (strcmp(name, reserved[i].name) == 0) {
            return klx_fail(e, -EINVAL, "%s cannot be set: %s", name, reserved[i].why);
        }
    }
    /* librdkafka's own words repeat the value, which may be a secret: only the kind of mistake is passed on. */
    char words[256];
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    rd_kafka_conf_res_t rc = rd_kafka_conf_set(scratch, name, value, words, sizeof(words));
    rd_kafka_conf_destroy(scratch);
    if (rc == RD_KAFKA_CONF_UNKNOWN) {
        return klx_fail(e, -EINVAL, "librdkafka has no property \"%s\"%s", name,
                        nearest_property(name).text);
    }
    return rc == RD_KAFKA_CONF_OK
               ? 0
               : klx_fail(e, -EINVAL, "librdkafka refuses the value of \"%s\"", name);
}

int klx_kafka_config_set(struct klx_kafka_config *c, struct klx_sv name, struct klx_sv value,
                         struct klx_error *e) {
    char *n = klx_sv_dup(name), *v = klx_sv_dup(value);
    int rc = check_property(n, v, e);
    if (rc == 0 && c->n == PROPERTIES_MAX) {
        rc = klx_fail(e, -EINVAL, "more than %d properties", PROPERTIES_MAX);
    }
    if (rc != 0) {
        free(n);
        free(v);
        return rc;
    }
    c->items[c->n].name = n;
    c->items[c->n].value = v;
    c->n++;
    return 0;
}

/* {file: /path} or {env: NAME}; NULL when it is neither. */
static struct klx_secret *secret_in(const struct klx_config_node *n) {
    const struct klx_config_node *only =
        klx_config_type(n) == KLX_CONFIG_MAP ? klx_config_first(n) : NULL;
    if (only == NULL || klx_config_next(only) != NULL || klx_config_scalar(only).n == 0) {
        return NULL;
    }
    return klx_sv_eq(klx_config_key(only), KLX_SV("file"))
               ? klx_secret_from_file(klx_config_scalar(only))
           : klx_sv_eq(klx_config_key(only), KLX_SV("env"))
               ? klx_secret_from_env(klx_config_scalar(only))
               : NULL;
}

static void set_secret(struct klx_kafka_config *c, const struct klx_config_node *n, bool anywhere,
                       struct klx_error *e) {
    struct klx_secret *secret = secret_in(n);
    struct klx_error inner = { 0 };
    struct klx_sv value;
    if (secret == NULL) {
        klx_config_fail(n, e, "expected a value, or {file: /path} or {env: NAME} that holds it");
        return;
    }
    int rc = klx_secret_get(secret, &value, &inner);
    if (rc == 0) {
        rc = klx_kafka_config_set(c, klx_config_key(n), value, &inner);
    } else if (anywhere) {
        rc = 0;
    }
    if (rc != 0) {
        klx_config_fail(n, e, "%s", inner.text);
    }
    klx_secret_free(secret);
}

static void set_member(struct klx_kafka_config *c, const struct klx_config_node *n, bool anywhere,
                       struct klx_error *e) {
    struct klx_error inner = { 0 };
    if (klx_config_type(n) != KLX_CONFIG_SCALAR) {
        set_secret(c, n, anywhere, e);
    } else if (klx_kafka_config_set(c, klx_config_key(n), klx_config_scalar(n), &inner) != 0) {
        klx_config_fail(n, e, "%s", inner.text);
    }
}

static bool says(const char *value, const char *word) {
    return value != NULL && strcasecmp(value, word) == 0;
}

/* Without TLS anybody on the way could take the token. */
static bool all_loopback(const char *brokers) {
    struct klx_sv rest = klx_sv(brokers);
    while (rest.n > 0) {
        if (!klx_url_is_loopback(klx_url_host(klx_sv_trim(klx_sv_cut(&rest, ',')), NULL))) {
            return false;
        }
    }
    return true;
}

static const char *mechanism_of(const struct klx_kafka_config *c) {
    const char *mechanism = klx_kafka_config_get(c, "sasl.mechanism");
    return mechanism != NULL ? mechanism : klx_kafka_config_get(c, "sasl.mechanisms");
}

/* NULL, or what does not fit `oauth`, or lacks it. */
static const char *misfit_of_login(const struct klx_kafka_config *c, bool has_oauth) {
    const char *protocol = klx_kafka_config_get(c, "security.protocol");
    bool bearer = says(mechanism_of(c), "OAUTHBEARER");
    if (!has_oauth) {
        return bearer && !says(klx_kafka_config_get(c, "sasl.oauthbearer.method"), "oidc") &&
                       !says(klx_kafka_config_get(c, "enable.sasl.oauthbearer.unsecure.jwt"),
                             "true")
                   ? "sasl.mechanism OAUTHBEARER needs a token: say in `oauth` where it comes from"
                   : NULL;
    }
    if (!bearer) {
        return "oauth is of no use without sasl.mechanism: OAUTHBEARER";
    }
    if (says(protocol, "sasl_plaintext") && !all_loopback(klx_kafka_config_bootstrap(c))) {
        return "the token would go to the brokers without TLS: set security.protocol: SASL_SSL";
    }
    return says(protocol, "sasl_ssl") || says(protocol, "sasl_plaintext")
               ? NULL
               : "oauth is of no use without security.protocol: SASL_SSL";
}

static size_t bind_login(struct klx_kafka_config *c, const struct klx_config_node *map,
                         bool anywhere, klx_config_report_fn report, void *arg) {
    const struct klx_config_node *oauth = klx_config_get(map, OAUTH);
    const char *misfit = misfit_of_login(c, oauth != NULL);
    if (misfit != NULL) {
        struct klx_error e;
        klx_config_fail(oauth != NULL ? oauth : map, &e, "%s", misfit);
        report(arg, e.text);
        return 1;
    }
    if (oauth != NULL) {
        c->login =
            klx_kafka_login_bind(oauth, klx_kafka_config_bootstrap(c), anywhere, report, arg);
    }
    return oauth != NULL && c->login == NULL ? 1 : 0;
}

static size_t bind_members(struct klx_kafka_config *c, const struct klx_config_node *map,
                           bool anywhere, klx_config_report_fn report, void *arg) {
    size_t refused = 0;
    const struct klx_config_node *n = klx_config_first(map);
    for (; n != NULL; n = klx_config_next(n)) {
        struct klx_error e = { 0 };
        if (klx_sv_eq(klx_config_key(n), KLX_SV(OAUTH))) {
            continue; /* it needs the others */
        }
        set_member(c, n, anywhere, &e);
        if (e.code != 0) {
            report(arg, e.text);
            refused++;
        }
    }
    return refused > 0 ? refused : bind_login(c, map, anywhere, report, arg);
}

size_t klx_kafka_config_bind(struct klx_kafka_config *c, const struct klx_config_node *map,
                             klx_config_report_fn report, void *arg) {
    return bind_members(c, map, false, report, arg);
}

size_t klx_kafka_config_bind_anywhere(struct klx_kafka_config *c, const struct klx_config_node *map,
                                      klx_config_report_fn report, void *arg) {
    return bind_members(c, map, true, report, arg);
}

/* As librdkafka reads it, with its defaults. */
static bool has_value(const rd_kafka_conf_t *conf, const char *name, const char *part) {
    char value[64] = "";
    size_t n = sizeof(value);
    return rd_kafka_conf_get(conf, name, value, &n) == RD_KAFKA_CONF_OK &&
           strcasestr(value, part) != NULL;
}

void klx_kafka_config_spare_plugins(const struct klx_kafka_config *c) {
    rd_kafka_conf_t *conf = klx_kafka_conf(c);
    bool kerberos = has_value(conf, "security.protocol", "sasl") &&
                    has_value(conf, "sasl.mechanisms", "GSSAPI");
    if (!kerberos) {
        setenv("SASL_PATH", "/nonexistent", 0); /* Cyrus SASL has no other way */
    }
    rd_kafka_conf_destroy(conf);
}

int klx_kafka_config_check(const struct klx_kafka_config *c, struct klx_error *e) {
    rd_kafka_conf_t *conf = klx_kafka_conf(c);
    rd_kafka_t *rk = NULL;
    klx_kafka_set(conf, "bootstrap.servers", "");
    int rc = klx_kafka_new(RD_KAFKA_PRODUCER, conf, &rk, e);
    if (rc == 0) {
        rd_kafka_destroy(rk);
    }
    return rc;
}

const char *klx_kafka_config_get(const struct klx_kafka_config *c, const char *name) {
    for (size_t i = c->n; i > 0; i--) {
        if (strcmp(c->items[i - 1].name, name) == 0) {
            return c->items[i - 1].value;
        }
    }
    return NULL;
}

const char *klx_kafka_config_doubt(const struct klx_kafka_config *c) {
    return klx_kafka_scram_trouble(mechanism_of(c));
}

const char *klx_kafka_config_bootstrap(const struct klx_kafka_config *c) {
    const char *value = klx_kafka_config_get(c, "bootstrap.servers");
    return value != NULL ? value : "";
}

void klx_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char words[256];
    rd_kafka_conf_res_t rc = rd_kafka_conf_set(conf, name, value, words, sizeof(words));
    assert(rc == RD_KAFKA_CONF_OK);
    (void)rc;
}

void klx_kafka_set_default(rd_kafka_conf_t *conf, const struct klx_kafka_config *c,
                           const char *name, const char *value) {
    if (klx_kafka_config_get(c, name) == NULL) {
        klx_kafka_set(conf, name, value);
    }
}

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    (void)level;
    (void)facility;
    (void)text; /* what matters comes as errors, which the process logs once, in its own words */
}

rd_kafka_conf_t *klx_kafka_conf(const struct klx_kafka_config *c) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, ignore_log);
    /* A broker that makes topics by itself would make them with the wrong settings: `klaxon topics apply` makes them. */
    klx_kafka_set(conf, "allow.auto.create.topics", "false");
    for (size_t i = 0; i < c->n; i++) {
        klx_kafka_set(conf, c->items[i].name, c->items[i].value);
    }
    if (c->login != NULL) {
        klx_kafka_login_prepare(conf);
    }
    return conf;
}

int klx_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
                  struct klx_error *e) {
    char words[KLX_KAFKA_WORDS];
    rd_kafka_t *rk = rd_kafka_new(type, conf, words, sizeof(words));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return klx_fail(e, -EINVAL, "Kafka client: %s", words);
    }
    *ret = rk;
    return 0;
}

/* A client that is being destroyed by a thread of its own while a worker waits a while for it. */
struct ending {
    rd_kafka_t *rk;
    void (*after)(void *arg); /* or NULL */
    void *arg;
    sem_t destroyed;
    atomic_int holders; /* the last one frees it */
};

static void let_go(struct ending *e) {
    if (atomic_fetch_sub(&e->holders, 1) == 1) {
        sem_destroy(&e->destroyed);
        free(e);
    }
}

static void *destroy(void *arg) {
    struct ending *e = arg;
    rd_kafka_destroy_flags(e->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (e->after != NULL) {
        e->after(e->arg);
    }
    sem_post(&e->destroyed);
    let_go(e);
    return NULL;
}

static void wait_until_destroyed(void *arg) {
    struct ending *e = arg;
    struct timespec deadline;
    pthread_t thread;
    if (pthread_create(&thread, NULL, destroy, e) != 0) {
        let_go(e); /* no thread to be had: the client lives until the process ends */
        return;
    }
    pthread_setname_np(thread, "klx-kafka-end");
    pthread_detach(thread);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += END_MS * 1000000;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    while (sem_timedwait(&e->destroyed, &deadline) != 0 && errno == EINTR) {
    }
}

static void on_waited(void *arg) {
    let_go(arg);
}

void klx_kafka_end_with(struct klx_loop *l, rd_kafka_t *rk, void (*after)(void *arg), void *arg) {
    struct ending *e = klx_alloc(struct ending);
    e->rk = rk;
    e->after = after;
    e->arg = arg;
    sem_init(&e->destroyed, 0, 0);
    atomic_init(&e->holders, 2);
    klx_work(l, wait_until_destroyed, on_waited, e);
}

void klx_kafka_end(struct klx_loop *l, rd_kafka_t *rk) {
    klx_kafka_end_with(l, rk, NULL, NULL);
}

rd_kafka_resp_err_t klx_kafka_produce(rd_kafka_t *rk, const struct klx_record *r, int flags,
                                      void *opaque) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(r->headers_n);
    for (size_t i = 0; i < r->headers_n; i++) {
        const struct klx_record_header *h = &r->headers[i];
        rd_kafka_header_add(headers, h->name.p, (ssize_t)h->name.n, h->value.p,
                            (ssize_t)h->value.n);
    }
    rd_kafka_resp_err_t err = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(r->topic),
        RD_KAFKA_V_PARTITION(r->partition < 0 ? RD_KAFKA_PARTITION_UA : r->partition),
        RD_KAFKA_V_KEY(r->key.p, r->key.n),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value.p, r->value.n), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_TIMESTAMP(r->timestamp_ms), RD_KAFKA_V_MSGFLAGS(flags),
        RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers); /* taken only on success */
    }
    return err;
}

static bool is_of_event(const char *name) {
    return strncmp(name, "ce_", 3) == 0 || strcasecmp(name, "content-type") == 0;
}

struct klx_record klx_kafka_record(const rd_kafka_message_t *m, struct klx_record_header *headers,
                                   size_t max) {
    struct klx_record r = {
        .topic = rd_kafka_topic_name(m->rkt),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, NULL),
        .key = klx_sv_n(m->key, m->key_len),
        .value = klx_sv_n(m->payload, m->len),
        .headers = headers,
    };
    rd_kafka_headers_t *list = NULL; /* parsed when they are asked for */
    if (max == 0 || rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return r;
    }
    const char *name = NULL;
    const void *value = NULL;
    size_t bytes = 0;
    bool all = rd_kafka_header_cnt(list) <= max;
    for (size_t i = 0;
         r.headers_n < max &&
         rd_kafka_header_get_all(list, i, &name, &value, &bytes) == RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (all || is_of_event(name)) {
            headers[r.headers_n++] =
                (struct klx_record_header){ klx_sv(name), klx_sv_n(value, bytes) };
        }
    }
    return r;
}
