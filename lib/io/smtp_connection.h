/*
 * Inside lib/io only: a connection to a mail server, made by libcurl: name, TCP, TLS, greeting, EHLO, STARTTLS, AUTH. What is said on it
 * afterwards is others' (lib/io/smtp_dialogue.h), through the easy handle's send and recv.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/io/curl.h"
#include "lib/io/smtp.h"
#include "lib/io/smtp_dialogue.h"

struct klx_smtp_connection {
    struct klx_multi *multi;
    CURL *easy;
    struct curl_slist *connect_to;
    struct klx_smtp_reply reply; /* the last one of the server, while libcurl connects */
    char challenge[sizeof(((struct klx_smtp_reply *)0)->text)]; /* the last 334, as it came */
    size_t greeting_bytes;
    struct klx_smtp_offers offers;
    bool authenticated;
    bool timed_out;
    char *user;     /* NULL: no AUTH */
    char *password; /* or a token */
    enum klx_smtp_auth auth;
    char curl_error[CURL_ERROR_SIZE];
    unsigned mails;       /* that were sent on it */
    int64_t made_us;      /* of the loop's time */
    curl_socket_t socket; /* once it is connected */
};

/* The mail's settings must have been checked; credentials are copied. */
struct klx_smtp_connection *klx_smtp_connection_new(struct klx_multi *multi,
                                                    const struct klx_smtp_mail *m);
/* on_done comes once, not from inside. A code of CURLE_OK: klx_smtp_connection_ready may be asked. */
void klx_smtp_connection_start(struct klx_smtp_connection *c,
                               void (*on_done)(void *arg, CURLcode code), void *arg);
/* KLX_SMTP_OK, or why the connection that libcurl was making, or has made, is none to send mail on. */
enum klx_smtp_failure klx_smtp_connection_judge(struct klx_smtp_connection *c, CURLcode code);
/* Words for such a failure; the reply is not in them. */
const char *klx_smtp_connection_words(const struct klx_smtp_connection *c,
                                      enum klx_smtp_failure failure, int code, CURLcode curl_code);
/* The reply holds a piece of the credentials, which some servers repeat. */
bool klx_smtp_connection_is_echo(const struct klx_smtp_connection *c, struct klx_sv reply);
/* Whether the mail would be sent by the same credentials. */
bool klx_smtp_connection_fits(const struct klx_smtp_connection *c, const struct klx_smtp_mail *m);
/* Says QUIT, whose reply nobody waits for. */
void klx_smtp_connection_quit(struct klx_smtp_connection *c);
/* Closes it; no call comes any more. */
void klx_smtp_connection_free(struct klx_smtp_connection *c);
