/*
 * An SMTP server in a thread, which says exactly what a case wants.
 *
 * Every command is answered by the first rule that fits and was not used yet, else as a friendly server would. What came is in `log`, one
 * command a line, with "(TLS)" where a handshake was done and "(message)" for a mail; the mail's bytes are in `message`, as they came.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

enum smtp_then {
    SMTP_GO_ON,
    SMTP_CLOSE,  /* after the reply */
    SMTP_SILENT, /* after the reply, until the client goes */
};

struct smtp_rule {
    const char *command; /* what it begins with; "(greeting)", "(dot)"; NULL ends the list */
    const char *reply;   /* one or more lines without the last CRLF; NULL: nothing */
    enum smtp_then then;
};

/* A certificate authority and a certificate of it for a host name, each made for the test. */
struct test_pki;
struct test_pki *test_pki_new(const char *host);
void test_pki_free(struct test_pki *p);
struct klx_sv test_pki_ca(const struct test_pki *p);

struct smtp_server {
    /* Before start. */
    const struct smtp_rule *rules;
    const struct test_pki *pki; /* NULL: no TLS */
    bool implicit;              /* TLS from the first byte */
    size_t close_inside;        /* != 0: closes after so many bytes of a message */

    unsigned port;
    /* After stop. */
    struct klx_buf log, message;

    /* The server's own. */
    int listener;
    pthread_t thread;
    unsigned used; /* a bit for each rule */
};

void smtp_server_start(struct smtp_server *s);
/* Joins the thread: connections must have ended. */
void smtp_server_stop(struct smtp_server *s);
void smtp_server_release(struct smtp_server *s);
