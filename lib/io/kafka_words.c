/*
 * What librdkafka's errors say, for a person: what, where, and what to do.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/cleanup.h"
#include "lib/io/kafka.h"

#define SCRAM_FIXED_IN 0x020601ff /* librdkafka 2.6.1 */

void klx_kafka_bootstrap_of(rd_kafka_t *rk, char *out, size_t n) {
    size_t size = n;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), "bootstrap.servers", out, &size) != RD_KAFKA_CONF_OK) {
        snprintf(out, n, "the brokers");
    }
}

void klx_kafka_reason(const char *text, char *out, size_t n) {
    struct klx_sv rest = klx_sv(text);
    size_t colon = klx_sv_find_sv(rest, KLX_SV(": "));
    if (colon < rest.n) {
        rest = klx_sv_n(rest.p + colon + 2, rest.n - colon - 2);
    }
    rest = klx_sv_n(rest.p, klx_sv_find_sv(rest, KLX_SV(" (after ")));
    snprintf(out, n, "%.*s", KLX_SV_FMT(rest));
}

static bool holds(const char *text, const char *word) {
    return strstr(text, word) != NULL;
}

const char *klx_kafka_scram_trouble(const char *mechanism) {
    return mechanism != NULL && strncasecmp(mechanism, "SCRAM-", 6) == 0 &&
                   rd_kafka_version() < SCRAM_FIXED_IN
               ? "this librdkafka is older than 2.6.1, and its SCRAM is refused by Kafka 4.0 and "
                 "later whatever the password: use a newer one, or a certificate, OAUTHBEARER or "
                 "PLAIN with TLS"
               : NULL;
}

/* What to do about a login that was refused for `why`. */
static const char *advice(rd_kafka_t *rk, const char *why) {
    char mechanism[64] = "";
    size_t size = sizeof(mechanism);
    rd_kafka_conf_get(rd_kafka_conf(rk), "sasl.mechanism", mechanism, &size);
    const char *scram = klx_kafka_scram_trouble(mechanism);
    return holds(why, "Unsupported SASL mechanism") ? "sasl.mechanism must be one of the broker's"
           : holds(why, "invalid_token")
               ? "the brokers do not take the token: are scope (its audience) and tenant (its "
                 "issuer) those that they expect, and is the identity allowed in?"
           : scram != NULL ? scram
                           : "look at sasl.username and sasl.password";
}

static void words_of_login(rd_kafka_t *rk, const char *brokers, const char *detail, char *out,
                           size_t n) {
    static const struct klx_sv no_token = { "Failed to acquire SASL OAUTHBEARER token: ", 42 };
    char why[KLX_KAFKA_WORDS] = "";
    if (detail != NULL && klx_sv_starts(klx_sv(detail), no_token)) {
        snprintf(out, n, "no token for Kafka at %s: %s", brokers, detail + no_token.n);
        return;
    }
    klx_kafka_reason(detail, why, sizeof(why));
    snprintf(out, n, "Kafka at %s does not accept the credentials%s%.200s%s: %s", brokers,
             why[0] != '\0' ? " (" : "", why, why[0] != '\0' ? ")" : "", advice(rk, why));
}

/* librdkafka 2.0 does not say which of the two is wrong with a certificate. */
static void words_of_tls(const char *brokers, const char *detail, char *out, size_t n) {
    char why[KLX_KAFKA_WORDS] = "";
    klx_kafka_reason(detail, why, sizeof(why));
    if (holds(why, "certificate verify failed")) {
        snprintf(out, n,
                 "the certificate of Kafka at %s is not accepted: ssl.ca.location must name the "
                 "CA that has signed it, and the name of the broker must stand in it",
                 brokers);
    } else if (holds(why, "alert") && holds(why, "certificate")) {
        snprintf(out, n,
                 "Kafka at %s does not accept the client's certificate (%.200s): "
                 "ssl.certificate.location and ssl.key.location",
                 brokers, why);
    } else if (holds(why, "incorrect security.protocol")) {
        snprintf(out, n,
                 "Kafka at %s ends every connection: does security.protocol fit the port? (SSL, "
                 "SASL_SSL)",
                 brokers);
    } else {
        snprintf(out, n, "no TLS with Kafka at %s (%.200s): does security.protocol fit the port?",
                 brokers, why);
    }
}

void klx_kafka_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *detail, char *out,
                     size_t n) {
    char brokers[KLX_KAFKA_BROKERS];
    klx_kafka_bootstrap_of(rk, brokers, sizeof(brokers));
    switch (err) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        snprintf(out, n, "Kafka at %s does not answer", brokers);
        return;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        words_of_login(rk, brokers, detail, out, n);
        return;
    case RD_KAFKA_RESP_ERR__SSL:
        words_of_tls(brokers, detail, out, n);
        return;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        snprintf(out, n, "the topic %s does not exist on %s: run `klaxon topics apply`",
                 detail != NULL ? detail : "", brokers);
        return;
    default:
        snprintf(out, n, "Kafka at %s: %s", brokers,
                 detail != NULL ? detail : rd_kafka_err2str(err));
    }
}

void klx_kafka_topic_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *topic, char *out,
                           size_t n) {
    char detail[KLX_KAFKA_WORDS];
    bool denied = err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    bool missing = klx_kafka_denies(err) && !denied && err != RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
    if (missing) {
        klx_kafka_words(rk, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, topic, out, n);
        return;
    }
    snprintf(detail, sizeof(detail),
             denied ? "this user may not use the topic %s: allow it Describe, and Write or Read, "
                      "on it (kafka-acls)"
                    : "topic %s: %s",
             topic, rd_kafka_err2str(err));
    klx_kafka_words(rk, err, detail, out, n);
}

void klx_kafka_message_words(rd_kafka_t *rk, const rd_kafka_message_t *m, char *out, size_t n) {
    if (m->rkt != NULL) {
        klx_kafka_topic_words(rk, m->err, rd_kafka_topic_name(m->rkt), out, n);
    } else {
        klx_kafka_words(rk, m->err, rd_kafka_message_errstr(m), out, n);
    }
}

void klx_kafka_record_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *topic,
                            size_t bytes, char *out, size_t n) {
    if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        snprintf(out, n,
                 "a record of %zu bytes is too large for %s: raise message.max.bytes of the client "
                 "or max.message.bytes of the topic",
                 bytes, topic);
    } else if (err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
        klx_kafka_words(rk, err,
                        "this user may not write without repetitions: allow it IdempotentWrite on "
                        "the cluster (kafka-acls --cluster)",
                        out, n);
    } else {
        klx_kafka_topic_words(rk, err, topic, out, n);
    }
}

rd_kafka_resp_err_t klx_kafka_sort(rd_kafka_resp_err_t err, const char *reason, bool never_had) {
    bool tls = holds(reason, "SSL routines") ||
               (never_had && holds(reason, "incorrect security.protocol"));
    return klx_kafka_passes(err) && tls ? RD_KAFKA_RESP_ERR__SSL : err;
}

bool klx_kafka_passes(rd_kafka_resp_err_t err) {
    return err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           err == RD_KAFKA_RESP_ERR__RESOLVE;
}

bool klx_kafka_denies(rd_kafka_resp_err_t err) {
    return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
           err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

int klx_kafka_errno(rd_kafka_resp_err_t err) {
    switch (err) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return -EAGAIN;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
        return -EEXIST;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return -ENOENT;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return -EACCES;
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return -EOPNOTSUPP;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return -EMSGSIZE;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        return -ETIMEDOUT;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return -EHOSTUNREACH;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return -ECANCELED;
    default:
        return -EIO;
    }
}
