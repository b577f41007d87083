/*
 * What a mail server's replies mean for each recipient (RFC 5321, 3463; the tables are in verdicts.c).
 *
 * A reply to RCPT speaks of that recipient, one to MAIL, DATA or the final dot of all that were not refused before it. The code decides,
 * for few cases with the enhanced status behind it.
 */
#pragma once

#include "lib/io/smtp.h"
#include "sinks/core/sink.h"

/* The verdict of r->recipients[i]. */
void klx_email_judge(const struct klx_smtp_result *r, size_t i, struct klx_verdict *ret);
/* The verdict of a probe: DELIVERED when the server would have taken a mail. */
void klx_email_judge_probe(const struct klx_smtp_result *r, struct klx_verdict *ret);
