/*
 * A server of a few lines on loopback that answers as it is told, one request a connection, so that an answer can be cut off, late, or
 * none at all. What it was asked is kept.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_REPLIES_MAX 8
#define HTTP_REPLIES_RESET "reset" /* the request is read, the connection dropped */
#define HTTP_REPLIES_SILENT                                                                        \
    "silent" /* the request is read, nothing follows until the client goes */
#define HTTP_REPLY(status, body)                                                                   \
    "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" body

struct http_replies {
    int fd;
    unsigned port;
    pthread_t thread;
    bool running;                              /* the thread, and it is not joined */
    const char *replies[HTTP_REPLIES_MAX + 1]; /* NULL ends */
    char requests[HTTP_REPLIES_MAX][65536];    /* as they came, NUL-terminated */
    size_t bytes[HTTP_REPLIES_MAX];            /* of each: a body may hold NUL */
    _Atomic int served;
};

/* Fill in `replies` first; the port is known afterwards. */
void http_replies_listen(struct http_replies *s);
void http_replies_start(struct http_replies *s);
/* Waits until all that were started for have been served. */
void http_replies_stop(struct http_replies *s);
