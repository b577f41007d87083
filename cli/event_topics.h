/*
 * Which topics a command reads: those that hold events, by --topic.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/options.h"
#include "lib/io/kafka_config.h"
#include "schema/topics.h"

/* Full names, of `names`, each once; without a word: kubernetes, nodes, scaling, gitops, metrics. -EINVAL with the option. */
int klx_cli_event_topics(const struct klx_option_strings *words,
                         const struct klx_topic_names *names, const char *ret[KLX_TOPICS_N],
                         size_t *ret_n, struct klx_error *e) KLX_MUST_CHECK;

/* Before anything is read: Kafka answers, and the topics are there. Topics that were asked for (`named`) must be; of the others, those that
   are missing are left out, and said. KLX_EXIT_OK, or the exit code after it has said what is wrong. Blocks. */
int klx_cli_event_topics_look(const char *command, const struct klx_kafka_config *kafka,
                              const char *topics[KLX_TOPICS_N], size_t *n,
                              bool named) KLX_MUST_CHECK;
