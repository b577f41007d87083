#include "lib/io/smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/io/curl.h"
#include "lib/io/smtp_dialogue.h"

#define DEADLINE_MS 120000
#define SEND_BYTES_MAX 16384u
#define GREETING_BYTES_MAX (1u << 20) /* of all replies until the connection is made */
#define ECHO_BYTES 8u /* so much of a credential in a reply, and the reply is not shown */

struct klx_smtp_call {
    struct klx_multi *multi;
    CURL *easy;
    struct curl_slist *connect_to;
    struct klx_timer *timer;
    struct klx_fd *fd; /* NULL while libcurl connects */
    struct klx_smtp_dialogue dialogue;
    struct klx_smtp_reply reply; /* while libcurl connects */
    size_t greeting_bytes;
    bool offers_size;
    bool authenticated;
    bool timed_out;
    char *user; /* NULL: no AUTH */
    char *password;
    int64_t deadline_ms;
    char curl_error[CURL_ERROR_SIZE];
    void (*on_done)(void *arg, const struct klx_smtp_result *result);
    void *arg;
};

static void wipe(char *secret) {
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

static void free_call(struct klx_smtp_call *c) {
    klx_timer_free(c->timer);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->connect_to);
    klx_smtp_dialogue_release(&c->dialogue);
    wipe(c->password);
    free(c->user);
    free(c);
}

void klx_smtp_cancel(struct klx_smtp_call *c) {
    if (c->fd != NULL) {
        klx_fd_free(c->fd);
    }
    klx_multi_remove(c->multi, c->easy);
    free_call(c);
}

/* Some servers repeat a command that they do not understand, and AUTH's lines are the credentials. */
static bool repeats_credentials(const struct klx_smtp_call *c, struct klx_sv reply) {
    struct klx_buf secrets KLX_CLEANUP(klx_buf_release);
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&secrets, 1 << 20);
    klx_buf_init(&text, 2 << 20);
    klx_buf_printf(&secrets, "%c%s%c%s", 0, c->user, 0, c->password);
    klx_base64_add(&text, klx_buf_sv(&secrets));
    size_t plain_bytes = text.len;
    klx_base64_add(&text, klx_sv(c->password));
    struct klx_sv forms[] = { klx_sv(c->password), klx_sv_n(text.data, plain_bytes),
                              klx_sv_n(text.data + plain_bytes, text.len - plain_bytes) };
    bool found = false;
    for (size_t i = 0; i < KLX_COUNT(forms); i++) {
        size_t n = forms[i].n < ECHO_BYTES ? forms[i].n : ECHO_BYTES;
        found = found || (n > 0 && klx_sv_find_sv(reply, klx_sv_n(forms[i].p, n)) < reply.n);
    }
    explicit_bzero(secrets.data, secrets.len);
    explicit_bzero(text.data, text.len);
    return found;
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
    const char *curl_words = c->curl_error[0] != '\0' ? c->curl_error : curl_easy_strerror(code);
    switch (r->failure) {
    case KLX_SMTP_CONNECT:
        return r->code >= 400     ? "the server takes no mail"
               : c->timed_out     ? "no connection in time"
               : code != CURLE_OK ? curl_words
                                  : "no connection";
    case KLX_SMTP_TLS:
        return r->code >= 400                 ? "the server refuses STARTTLS"
               : code == CURLE_USE_SSL_FAILED ? "the server does not offer STARTTLS, and nothing "
                                                "is sent in clear"
                                              : curl_words;
    case KLX_SMTP_AUTH:
        return r->code >= 500   ? "the server refuses the credentials"
               : r->code >= 400 ? "the server cannot check the credentials now"
                                : "the server offers neither AUTH PLAIN nor AUTH LOGIN";
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

static void finish(struct klx_smtp_call *c, enum klx_smtp_failure failure, int code,
                   const char *reply, CURLcode curl_code) {
    struct klx_smtp_result r = {
        .failure = failure,
        .code = code,
        .reply = reply,
        .recipients = c->dialogue.recipients,
        .recipients_n = c->dialogue.recipients_n,
    };
    if (failure == KLX_SMTP_AUTH && repeats_credentials(c, klx_sv(reply))) {
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
    if (c->fd != NULL) {
        klx_fd_free(c->fd);
    }
    klx_multi_remove(c->multi, c->easy);
    c->on_done(c->arg, &r);
    free_call(c);
}

static void finish_dialogue(struct klx_smtp_call *c) {
    const struct klx_smtp_dialogue *d = &c->dialogue;
    if (d->failure == KLX_SMTP_OK || d->failure == KLX_SMTP_REFUSED) {
        size_t n = 0;
        (void)curl_easy_send(c->easy, "QUIT\r\n", 6, &n); /* politeness: nobody waits for 221 */
    }
    finish(c, d->failure, d->reply.code, d->reply.text, CURLE_OK);
}

static void receive(struct klx_smtp_call *c) {
    CURLcode code = CURLE_OK;
    while (code == CURLE_OK && c->dialogue.step != KLX_SMTP_STEP_END) {
        char bytes[4096];
        size_t n = 0;
        code = curl_easy_recv(c->easy, bytes, sizeof(bytes), &n);
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
        code = curl_easy_send(c->easy, pending.p,
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

static void fail_to_connect(struct klx_smtp_call *c, CURLcode code) {
    int last = c->reply.code;
    c->timed_out = c->timed_out || code == CURLE_OPERATION_TIMEDOUT;
    enum klx_smtp_failure failure = last >= 400 || last == 0 ? KLX_SMTP_CONNECT : KLX_SMTP_BROKEN;
    if (klx_curl_is_certificate_failure(code) || code == CURLE_USE_SSL_FAILED) {
        failure = KLX_SMTP_TLS;
    } else if (code == CURLE_SSL_CONNECT_ERROR) {
        failure = KLX_SMTP_CONNECT;
    } else if (code == CURLE_LOGIN_DENIED) {
        failure = KLX_SMTP_AUTH;
        last = last >= 400 ? last : 0;
    }
    finish(c, failure, last, c->reply.text, code);
}

static void on_connected(void *arg, CURLcode code) {
    struct klx_smtp_call *c = arg;
    if (code != CURLE_OK) {
        fail_to_connect(c, code);
        return;
    }
    if (c->user != NULL && !c->authenticated) { /* libcurl goes on without when none is offered */
        finish(c, KLX_SMTP_AUTH, 0, "", CURLE_OK);
        return;
    }
    curl_socket_t s = CURL_SOCKET_BAD;
    curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &s);
    if (s == CURL_SOCKET_BAD) {
        fail_to_connect(c, CURLE_RECV_ERROR);
        return;
    }
    c->fd = klx_fd_new(klx_multi_loop(c->multi), s, on_ready, c);
    klx_smtp_dialogue_start(&c->dialogue, c->offers_size);
    turn(c);
}

static void on_deadline(void *arg) {
    struct klx_smtp_call *c = arg;
    c->timed_out = true;
    if (c->fd == NULL) {
        fail_to_connect(c, CURLE_OPERATION_TIMEDOUT);
        return;
    }
    klx_smtp_dialogue_lost(&c->dialogue);
    finish_dialogue(c);
}

/* Every line of the server until the connection is made. */
static size_t on_curl_header(char *p, size_t size, size_t n, void *arg) {
    struct klx_smtp_call *c = arg;
    struct klx_sv line = klx_sv_n(p, size * n);
    c->greeting_bytes += line.n;
    if (klx_smtp_reply_line(&c->reply, line) < 0) {
        c->reply.inside = false;
    } else if (c->reply.code == 250 && line.n >= 8 &&
               klx_sv_eq_nocase(klx_sv_n(line.p + 4, 4), KLX_SV("SIZE"))) {
        c->offers_size = true;
    }
    c->authenticated = c->authenticated || c->reply.code == 235;
    return c->greeting_bytes > GREETING_BYTES_MAX ? 0 : size * n;
}

static bool is_ipv6(const char *host) {
    return strchr(host, ':') != NULL && strspn(host, "0123456789abcdefABCDEF:.") == strlen(host);
}

/* A server name other than the host: the name goes into the URL, the host into the address to connect to. */
static void set_url(struct klx_smtp_call *c, const struct klx_smtp_mail *m) {
    const char *name = m->tls != NULL ? m->tls->server_name : NULL;
    const char *open = is_ipv6(m->host) ? "[" : "", *close = open[0] != '\0' ? "]" : "";
    char *helo = curl_easy_escape(c->easy, m->helo != NULL ? m->helo : "", 0);
    const char *scheme = m->tls_mode == KLX_SMTP_IMPLICIT ? "smtps" : "smtp";
    char *url = name != NULL ? klx_asprintf("%s://%s:%u/%s", scheme, name, m->port, helo)
                             : klx_asprintf("%s://%s%s%s:%u/%s", scheme, open, m->host, close,
                                            m->port, helo);
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    if (name != NULL) {
        char *to = klx_asprintf("%s:%u:%s%s%s:%u", name, m->port, open, m->host, close, m->port);
        c->connect_to = curl_slist_append(NULL, to);
        curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
        free(to);
    }
    free(url);
    curl_free(helo);
}

static void set_options(struct klx_smtp_call *c, const struct klx_smtp_mail *m) {
    CURL *easy = c->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* the environment's are for HTTP */
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->deadline_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->curl_error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     (long)(m->tls_mode == KLX_SMTP_PLAIN ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    klx_curl_set_tls(easy, m->tls);
    if (c->user != NULL) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, c->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, c->password);
        curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN");
    }
    set_url(c, m);
}

static int check_addresses(const struct klx_smtp_mail *m, struct klx_error *e) {
    const char *problem = m->from[0] != '\0' ? klx_smtp_address_problem(klx_sv(m->from)) : NULL;
    if (problem != NULL) {
        return klx_fail(e, -EINVAL, "sender: %s", problem);
    }
    for (size_t i = 0; i < m->recipients_n; i++) {
        problem = klx_smtp_address_problem(klx_sv(m->recipients[i].address));
        if (problem != NULL) {
            return klx_fail(e, -EINVAL, "recipient %zu: %s", i + 1, problem);
        }
    }
    return m->recipients_n > 0 ? 0 : klx_fail(e, -EINVAL, "a mail without recipients");
}

static int check(const struct klx_smtp_mail *m, struct klx_error *e) {
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
    const char *problem = klx_smtp_message_problem(m->message);
    return problem != NULL ? klx_fail(e, -EINVAL, "%s", problem) : check_addresses(m, e);
}

int klx_smtp_send(struct klx_http *h, const struct klx_smtp_mail *m, struct klx_smtp_call **ret,
                  struct klx_error *e) {
    int rc = check(m, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_smtp_call *c = klx_alloc(struct klx_smtp_call);
    c->multi = klx_http_multi(h);
    c->easy = curl_easy_init();
    c->on_done = m->on_done;
    c->arg = m->arg;
    c->deadline_ms = m->deadline_ms > 0 ? m->deadline_ms : DEADLINE_MS;
    if (m->user != NULL) {
        c->user = klx_strdup(m->user);
        c->password = klx_sv_dup(m->password);
    }
    klx_smtp_dialogue_init(&c->dialogue, m->from, m->recipients, m->recipients_n, m->message);
    set_options(c, m);
    c->timer = klx_timer_new(klx_multi_loop(c->multi), on_deadline, c);
    klx_timer_start(c->timer, c->deadline_ms);
    klx_multi_connect(c->multi, c->easy, on_connected, c);
    *ret = c;
    return 0;
}
