#include "lib/io/smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/curl.h"
#include "lib/io/smtp_connection.h"
#include "lib/io/smtp_dialogue.h"

#define DEADLINE_MS 120000
#define SEND_BYTES_MAX 16384u
#define KEEP_IDLE_MS 30000 /* servers end idle connections after minutes, some after one */
#define KEEP_MAILS_MAX 100 /* some take no more on one connection */
#define KEEP_AGE_US (INT64_C(600) * KLX_US_PER_S)

struct klx_smtp_keeper {
    struct klx_multi *multi;
    struct klx_smtp_connection *idle; /* or NULL */
    struct klx_fd *fd;                /* of an idle one: what comes now is its end */
    struct klx_timer *timer;
};

struct klx_smtp_call {
    struct klx_multi *multi;
    struct klx_smtp_keeper *keeper; /* or NULL */
    struct klx_smtp_connection *connection;
    bool reused; /* it was idle: its end may not have reached us yet */
    struct klx_timer *timer;
    struct klx_fd *fd; /* NULL while libcurl connects */
    struct klx_smtp_dialogue dialogue;
    bool timed_out;
    struct klx_smtp_mail mail; /* what a second connection would need: copies, but for `tls` */
    void (*on_done)(void *arg, const struct klx_smtp_result *result);
    void *arg;
};

static void forget_idle(struct klx_smtp_keeper *k, bool quit) {
    if (k->idle == NULL) {
        return;
    }
    klx_fd_free(k->fd);
    klx_timer_stop(k->timer);
    if (quit) {
        klx_smtp_connection_quit(k->idle);
    }
    klx_smtp_connection_free(k->idle);
    k->idle = NULL;
}

static void on_idle_end(void *arg, int events) {
    (void)events;
    forget_idle(arg, false);
}

static void on_idle_long(void *arg) {
    forget_idle(arg, true);
}

struct klx_smtp_keeper *klx_smtp_keeper_new(struct klx_http *h) {
    struct klx_smtp_keeper *k = klx_alloc(struct klx_smtp_keeper);
    k->multi = klx_http_multi(h);
    k->timer = klx_timer_new(klx_multi_loop(k->multi), on_idle_long, k);
    return k;
}

void klx_smtp_keeper_free(struct klx_smtp_keeper *k) {
    if (k != NULL) {
        forget_idle(k, true);
        klx_timer_free(k->timer);
        free(k);
    }
}

static void keep(struct klx_smtp_keeper *k, struct klx_smtp_connection *c) {
    struct klx_loop *loop = klx_multi_loop(k->multi);
    forget_idle(k, true);
    k->idle = c;
    k->fd = klx_fd_new(loop, c->socket, on_idle_end, k);
    klx_fd_set(k->fd, KLX_FD_READ);
    klx_timer_start(k->timer, KEEP_IDLE_MS);
}

/* The idle connection, if it is one to send this mail on. */
static struct klx_smtp_connection *take_idle(struct klx_smtp_keeper *k,
                                             const struct klx_smtp_mail *m) {
    struct klx_smtp_connection *c = k != NULL ? k->idle : NULL;
    if (c == NULL) {
        return NULL;
    }
    int64_t age_us = klx_loop_now_us(klx_multi_loop(k->multi)) - c->made_us;
    if (!klx_smtp_connection_fits(c, m) || c->mails >= KEEP_MAILS_MAX || age_us > KEEP_AGE_US) {
        forget_idle(k, true);
        return NULL;
    }
    klx_fd_free(k->fd);
    klx_timer_stop(k->timer);
    k->idle = NULL;
    return c;
}

static void free_mail(struct klx_smtp_call *c) {
    char *password = (char *)c->mail.password.p;
    if (password != NULL) {
        explicit_bzero(password, c->mail.password.n);
        free(password);
    }
    free((char *)c->mail.host);
    free((char *)c->mail.helo);
    free((char *)c->mail.user);
}

static void free_call(struct klx_smtp_call *c) {
    klx_timer_free(c->timer);
    if (c->fd != NULL) {
        klx_fd_free(c->fd);
    }
    klx_smtp_connection_free(c->connection);
    klx_smtp_dialogue_release(&c->dialogue);
    free_mail(c);
    free(c);
}

void klx_smtp_cancel(struct klx_smtp_call *c) {
    free_call(c);
}

static const char *broken_words(const struct klx_smtp_call *c, bool sent) {
    if (c->timed_out) {
        return sent ? "no answer in time after the message was sent: it may have been delivered"
                    : "no answer in time";
    }
    if (c->dialogue.strange) {
        return sent ? "what came after the message was sent is not SMTP: it may have been delivered"
                    : "what the server sends is not SMTP";
    }
    return sent ? "the connection ended after the message was sent: it may have been delivered"
                : "the connection ended too early";
}

static const char *words(const struct klx_smtp_call *c, const struct klx_smtp_result *r,
                         CURLcode code) {
    switch (r->failure) {
    case KLX_SMTP_CONNECT:
    case KLX_SMTP_TLS:
    case KLX_SMTP_AUTH:
        return klx_smtp_connection_words(c->connection, r->failure, r->code, code);
    case KLX_SMTP_NO_UTF8:
        return "an address is not ASCII, and the server does not offer SMTPUTF8";
    case KLX_SMTP_REFUSED:
        return "the server refuses the mail";
    case KLX_SMTP_BROKEN:
        return r->code == 421 ? "the server closes the connection" : broken_words(c, false);
    case KLX_SMTP_AMBIGUOUS:
        return broken_words(c, true);
    case KLX_SMTP_OK:
        break;
    }
    return "";
}

/* A connection on which a mail went to its end, good or bad, may carry the next one. */
static void let_go(struct klx_smtp_call *c, const struct klx_smtp_result *r) {
    bool whole = r->failure == KLX_SMTP_OK || r->failure == KLX_SMTP_REFUSED;
    if (c->fd != NULL) {
        klx_fd_free(c->fd);
        c->fd = NULL;
    }
    if (whole && r->code != 421 && c->keeper != NULL) {
        c->connection->mails++;
        keep(c->keeper, c->connection);
        c->connection = NULL;
    } else if (whole) {
        klx_smtp_connection_quit(c->connection);
    }
}

static void finish(struct klx_smtp_call *c, enum klx_smtp_failure failure, int code,
                   const char *reply, CURLcode curl_code) {
    struct klx_smtp_result r = {
        .failure = failure,
        .code = code,
        .reply = reply,
        .challenge = failure == KLX_SMTP_AUTH ? c->connection->challenge : "",
        .recipients = c->dialogue.recipients,
        .recipients_n = c->dialogue.recipients_n,
    };
    if (failure == KLX_SMTP_AUTH && klx_smtp_connection_is_echo(c->connection, klx_sv(reply))) {
        r.reply = "(the reply repeats the credentials and is not shown)";
    }
    char error[CURL_ERROR_SIZE + 320];
    const char *what = words(c, &r, curl_code);
    bool by_reply =
        failure != KLX_SMTP_OK && (failure == KLX_SMTP_BROKEN ? code == 421 : code >= 400);
    if (by_reply) {
        snprintf(error, sizeof(error), "%s: %d %s", what, code, r.reply);
    } else {
        snprintf(error, sizeof(error), "%s", what);
    }
    r.error = error;
    let_go(c, &r);
    c->on_done(c->arg, &r);
    free_call(c);
}

static void connect_anew(struct klx_smtp_call *c);

/* What an idle connection answers to RSET, or does not, is no verdict on the mail, of which it has seen nothing. */
static void finish_dialogue(struct klx_smtp_call *c) {
    const struct klx_smtp_dialogue *d = &c->dialogue;
    if (c->reused && d->ended_in == KLX_SMTP_STEP_RSET && !c->timed_out) {
        connect_anew(c);
        return;
    }
    finish(c, d->failure, d->reply.code, d->reply.text, CURLE_OK);
}

static void receive(struct klx_smtp_call *c) {
    CURLcode code = CURLE_OK;
    while (code == CURLE_OK && c->dialogue.step != KLX_SMTP_STEP_END) {
        char bytes[4096];
        size_t n = 0;
        code = curl_easy_recv(c->connection->easy, bytes, sizeof(bytes), &n);
        if (code == CURLE_OK && n > 0) {
            klx_smtp_dialogue_read(&c->dialogue, klx_sv_n(bytes, n));
        } else if (code != CURLE_AGAIN) {
            klx_smtp_dialogue_lost(&c->dialogue);
        }
    }
}

/* After AGAIN the same bytes are offered again: TLS wants it so. */
static CURLcode transmit(struct klx_smtp_call *c) {
    CURLcode code = CURLE_OK;
    struct klx_sv pending = klx_smtp_dialogue_pending(&c->dialogue);
    while (code == CURLE_OK && pending.n > 0) {
        size_t n = 0;
        code = curl_easy_send(c->connection->easy, pending.p,
                              pending.n < SEND_BYTES_MAX ? pending.n : SEND_BYTES_MAX, &n);
        if (code == CURLE_OK) {
            klx_smtp_dialogue_sent(&c->dialogue, n);
            pending = klx_smtp_dialogue_pending(&c->dialogue);
        }
    }
    return code == CURLE_AGAIN ? CURLE_OK : code;
}

static void turn(struct klx_smtp_call *c) {
    receive(c);
    if (transmit(c) != CURLE_OK) {
        receive(c); /* the server may have said why before it closed */
        klx_smtp_dialogue_lost(&c->dialogue);
    }
    if (c->dialogue.step == KLX_SMTP_STEP_END) {
        finish_dialogue(c);
    } else {
        klx_fd_set(c->fd, KLX_FD_READ |
                              (klx_smtp_dialogue_pending(&c->dialogue).n > 0 ? KLX_FD_WRITE : 0));
    }
}

static void on_ready(void *arg, int events) {
    (void)events;
    turn(arg);
}

static void talk(struct klx_smtp_call *c) {
    c->fd = klx_fd_new(klx_multi_loop(c->multi), c->connection->socket, on_ready, c);
    klx_smtp_dialogue_start(&c->dialogue, &c->connection->offers, c->reused);
    klx_fd_set(c->fd, KLX_FD_READ | KLX_FD_WRITE);
}

/* libcurl takes the challenge with which a server refuses a token for its last word; that would be 535. */
static void finish_login(struct klx_smtp_call *c, CURLcode code) {
    const struct klx_smtp_connection *n = c->connection;
    if (n->auth == KLX_SMTP_AUTH_XOAUTH2 && n->reply.code == 334) {
        finish(c, KLX_SMTP_AUTH, 535, "the token was refused", code);
    } else {
        finish(c, KLX_SMTP_AUTH, n->reply.code >= 400 ? n->reply.code : 0, n->reply.text, code);
    }
}

static void on_connected(void *arg, CURLcode code) {
    struct klx_smtp_call *c = arg;
    struct klx_smtp_connection *n = c->connection;
    enum klx_smtp_failure failure = klx_smtp_connection_judge(n, code);
    c->timed_out = c->timed_out || n->timed_out;
    if (failure == KLX_SMTP_AUTH) {
        finish_login(c, code);
    } else if (failure != KLX_SMTP_OK) {
        finish(c, failure, n->reply.code, n->reply.text, code);
    } else if (c->dialogue.utf8 && !n->offers.utf8) {
        finish(c, KLX_SMTP_NO_UTF8, 0, "", code);
    } else {
        talk(c);
    }
}

static void connect_anew(struct klx_smtp_call *c) {
    if (c->fd != NULL) {
        klx_fd_free(c->fd);
        c->fd = NULL;
    }
    klx_smtp_connection_free(c->connection);
    c->reused = false;
    c->connection = klx_smtp_connection_new(c->multi, &c->mail);
    klx_smtp_connection_start(c->connection, on_connected, c);
}

static void on_deadline(void *arg) {
    struct klx_smtp_call *c = arg;
    c->timed_out = true;
    c->connection->timed_out = true;
    if (c->fd == NULL) {
        on_connected(c, CURLE_OPERATION_TIMEDOUT);
        return;
    }
    klx_smtp_dialogue_lost(&c->dialogue);
    finish_dialogue(c);
}

static bool is_ipv6(const char *host) {
    return strchr(host, ':') != NULL && strspn(host, "0123456789abcdefABCDEF:.") == strlen(host);
}

static int check_addresses(const struct klx_smtp_mail *m, bool *ret_utf8, struct klx_error *e) {
    const char *problem = m->from[0] != '\0' ? klx_smtp_address_problem(klx_sv(m->from)) : NULL;
    if (problem != NULL) {
        return klx_fail(e, -EINVAL, "sender: %s", problem);
    }
    *ret_utf8 = klx_smtp_needs_utf8(klx_sv(m->from));
    for (size_t i = 0; i < m->recipients_n; i++) {
        struct klx_sv address = klx_sv(m->recipients[i].address);
        problem = klx_smtp_address_problem(address);
        if (problem != NULL) {
            return klx_fail(e, -EINVAL, "recipient %zu: %s", i + 1, problem);
        }
        *ret_utf8 = *ret_utf8 || klx_smtp_needs_utf8(address);
    }
    return m->recipients_n > 0 ? 0 : klx_fail(e, -EINVAL, "a mail without recipients");
}

static int check_server(const struct klx_smtp_mail *m, struct klx_error *e) {
    const char *name = m->tls != NULL ? m->tls->server_name : NULL;
    if ((!klx_smtp_is_domain(klx_sv(m->host)) && !is_ipv6(m->host)) ||
        (name != NULL && !klx_smtp_is_domain(klx_sv(name)))) {
        return klx_fail(e, -EINVAL, "the mail server's name is not a host name or address");
    }
    if (m->port == 0 || m->port > 65535) {
        return klx_fail(e, -EINVAL, "the mail server's port is not between 1 and 65535");
    }
    if (m->helo != NULL && !klx_smtp_is_domain(klx_sv(m->helo))) {
        return klx_fail(e, -EINVAL, "the EHLO name is not a host name or [address]");
    }
    if (m->user != NULL && (m->user[0] == '\0' || m->password.n == 0 ||
                            memchr(m->password.p, '\0', m->password.n) != NULL)) {
        return klx_fail(e, -EINVAL, "user or password is empty, or holds a NUL");
    }
    return 0;
}

static int check(const struct klx_smtp_mail *m, bool *ret_utf8, struct klx_error *e) {
    int rc = check_server(m, e);
    if (rc != 0 || m->probe) {
        return rc;
    }
    const char *problem = klx_smtp_message_problem(m->message);
    rc = problem != NULL ? klx_fail(e, -EINVAL, "%s", problem) : check_addresses(m, ret_utf8, e);
    *ret_utf8 = *ret_utf8 || klx_smtp_needs_utf8(m->message);
    return rc;
}

static char *dup_or_null(const char *s) {
    return s != NULL ? klx_strdup(s) : NULL;
}

/* What is needed to connect, now or when an idle connection turns out to be none. The message is the dialogue's. */
static void copy_mail(struct klx_smtp_call *c, const struct klx_smtp_mail *m) {
    c->mail = *m;
    c->mail.host = klx_strdup(m->host);
    c->mail.helo = dup_or_null(m->helo);
    c->mail.user = dup_or_null(m->user);
    c->mail.password = klx_sv(m->user != NULL ? klx_sv_dup(m->password) : NULL);
    c->mail.message = klx_sv(NULL);
}

int klx_smtp_send(struct klx_http *h, const struct klx_smtp_mail *m, struct klx_smtp_call **ret,
                  struct klx_error *e) {
    bool utf8 = false;
    int rc = check(m, &utf8, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_smtp_call *c = klx_alloc(struct klx_smtp_call);
    int64_t deadline_ms = m->deadline_ms > 0 ? m->deadline_ms : DEADLINE_MS;
    c->multi = klx_http_multi(h);
    c->keeper = m->keeper;
    c->on_done = m->on_done;
    c->arg = m->arg;
    copy_mail(c, m);
    klx_smtp_dialogue_init(&c->dialogue, m, utf8);
    c->timer = klx_timer_new(klx_multi_loop(c->multi), on_deadline, c);
    klx_timer_start(c->timer, deadline_ms);
    c->connection = take_idle(c->keeper, m);
    c->reused = c->connection != NULL;
    if (!c->reused || (c->dialogue.utf8 && !c->connection->offers.utf8)) {
        connect_anew(c); /* of the two it says what is wrong in a turn of its own */
    } else {
        talk(c);
    }
    *ret = c;
    return 0;
}
