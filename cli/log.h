/*
 * What commands do with a topic: read what is there, and write a record. Each call has a loop of its own and waits.
 */
#pragma once

#include "cli/command.h"
#include "lib/base/record.h"

/* What is in the topic now, from the first record whose timestamp is at least start_ms (-1: from the beginning) to the end. KLX_EXIT_OK, or the exit code after it has said
   what is wrong; a topic that is not there is said with what to do. */
int klx_cli_read(const char *command, const struct klx_cli_config *c, enum klx_topic topic,
                 int64_t start_ms, void (*on_record)(void *arg, const struct klx_record *r),
                 void *arg) KLX_MUST_CHECK;
/* So long, unless a signal comes: KLX_EXIT_OK or KLX_EXIT_INTERRUPTED. */
int klx_cli_wait(int64_t ms) KLX_MUST_CHECK;
/* Returns when Kafka has acknowledged them all. `topic` of each is ignored: they go to `topic`. KLX_EXIT_OK, or the exit code after it has said why not. */
int klx_cli_write(const char *command, const struct klx_cli_config *c, enum klx_topic topic,
                  const struct klx_record *records, size_t n) KLX_MUST_CHECK;
