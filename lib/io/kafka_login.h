/*
 * Inside lib/io only: who we are to brokers that want a token (SASL OAUTHBEARER), from lib/io/oauth.h.
 *
 * The login belongs to the `kafka:` configuration and is shared by its copies and by every client that is made of them: the clients of a
 * process have one token, asked for once. librdkafka asks for a token when a client begins and when 80 % of the last one's life is over, on
 * a queue of its own, so that whoever is busy with the client (a commit on a worker) holds up nothing.
 *
 *     conf = klx_kafka_conf(kafka); … klx_kafka_new(…, &rk)
 *     client->login = klx_kafka_login_join(kafka, loop, rk);     NULL, and no work, without `oauth`
 *     … klx_kafka_login_leave(client->login), before rk is destroyed
 */
#pragma once

#include "lib/base/config.h"
#include "lib/io/kafka.h"

struct klx_kafka_login;
struct klx_kafka_login_client;

/* Of the map `oauth`. `brokers`: their names, of which the scope of an Event Hubs namespace is made when none is given. NULL after mistakes,
   which were reported. */
struct klx_kafka_login *klx_kafka_login_bind(const struct klx_config_node *oauth,
                                             const char *brokers, bool anywhere,
                                             klx_config_report_fn report, void *arg);
struct klx_kafka_login *klx_kafka_login_keep(struct klx_kafka_login *l);
void klx_kafka_login_release(struct klx_kafka_login *l);
void klx_kafka_login_prepare(rd_kafka_conf_t *conf);

struct klx_kafka_login_client *klx_kafka_login_join(const struct klx_kafka_config *c,
                                                    struct klx_loop *loop, rd_kafka_t *rk);
void klx_kafka_login_leave(struct klx_kafka_login_client *c);
/* For who has no loop. BLOCKS until the token has come, or could not be had: at most timeout_ms. */
int klx_kafka_login_once(const struct klx_kafka_config *c, rd_kafka_t *rk, int64_t timeout_ms,
                         struct klx_error *e) KLX_MUST_CHECK;
