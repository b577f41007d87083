/*
 * The circuit of a credential that several channels use: when it is refused for one of them, all wait, and one of them tries.
 *
 *              CREDENTIAL_BROKEN of a member                    a member proves it works
 *     CLOSED ─────────────────────────────────▶ OPEN ─────────────────────────────────────▶ CLOSED: all go on
 *                                               │  ▲
 *                      klx_circuit_try, when due▼  │ refused again, or nothing known: the next try in 10 s to 5 min
 *                                              TRYING: the others wait
 *
 * Which member tries is nobody's choice: the first that has something to send when the time has come, and rather another one than the last
 * time, so that one channel whose destination is away does not keep the others waiting. What was begun before the credential was refused
 * says nothing of it any more.
 *
 * Opening and closing are logged once, with the names of the channels. Members are called by on_change when they may go on or must wait for
 * another time: from inside of another member's call, so they only note it. Freed by the last member that leaves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/sv.h"
#include "sinks/core/sink.h"

struct klx_circuits; /* of a process, by credential */
struct klx_circuit_member;

struct klx_circuits *klx_circuits_new(struct klx_clock *clock, const char *kind);
/* Every member must have left. */
void klx_circuits_free(struct klx_circuits *cs);

/* credential: as ops->credential names it. name: of the channel, borrowed. */
struct klx_circuit_member *klx_circuit_join(struct klx_circuits *cs, struct klx_sv credential,
                                            const char *name, void (*on_change)(void *arg),
                                            void *arg);
void klx_circuit_leave(struct klx_circuit_member *m);
/* False for NULL, and for a member that is alone: its channel's own circuit is enough. */
bool klx_circuit_is_shared(const struct klx_circuit_member *m);
bool klx_circuit_is_open(const struct klx_circuit_member *m);
/* When this member may send. INT64_MIN: the circuit is closed; INT64_MAX: another one is trying. */
int64_t klx_circuit_due_us(const struct klx_circuit_member *m);
/* A send or probe begins. While the circuit is open it is the one that tries. */
void klx_circuit_try(struct klx_circuit_member *m);
/* How it ended, whether the circuit was open or not. */
void klx_circuit_judge(struct klx_circuit_member *m, const struct klx_verdict *verdicts, size_t n,
                       int64_t began_us);
/* The next try may begin at once, whichever member's it is. */
void klx_circuit_retry_now(struct klx_circuit_member *m);
/* Of an open circuit: since when, monotonic, and what the other side said. */
int64_t klx_circuit_since_us(const struct klx_circuit_member *m);
const struct klx_verdict *klx_circuit_verdict(const struct klx_circuit_member *m);
/* Appends "broken since TIME: token_revoked, the credential of a, b, c; their messages are kept until it is repaired". */
void klx_circuit_describe(const struct klx_circuit_member *m, struct klx_buf *out);
