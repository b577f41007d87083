#include "lib/io/smtp_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define CONNECT_MS 120000
#define GREETING_BYTES_MAX (1u << 20) /* of all replies until the connection is made */
#define ECHO_BYTES 8u /* so much of a credential in a reply, and the reply is not shown */

static bool contains_start(struct klx_sv reply, struct klx_sv secret) {
    size_t n = secret.n < ECHO_BYTES ? secret.n : ECHO_BYTES;
    return n > 0 && klx_sv_find_sv(reply, klx_sv_n(secret.p, n)) < reply.n;
}

/* Some servers repeat a command that they do not understand, and AUTH's lines are the credentials. */
bool klx_smtp_connection_is_echo(const struct klx_smtp_connection *c, struct klx_sv reply) {
    struct klx_buf plain KLX_CLEANUP(klx_buf_wipe), text KLX_CLEANUP(klx_buf_wipe);
    klx_buf_init(&plain, 1 << 20);
    klx_buf_init(&text, 2 << 20);
    if (c->user == NULL) {
        return false;
    }
    klx_buf_printf(&plain, "%c%s%c%s", 0, c->user, 0, c->password);
    klx_base64_add(&text, klx_buf_sv(&plain));
    size_t plain_bytes = text.len;
    klx_base64_add(&text, klx_sv(c->password));
    return contains_start(reply, klx_sv(c->password)) ||
           contains_start(reply, klx_sv_n(text.data, plain_bytes)) ||
           contains_start(reply, klx_sv_n(text.data + plain_bytes, text.len - plain_bytes));
}

static bool offers(struct klx_sv line, const char *word) {
    size_t n = strlen(word);
    bool there = line.n >= 4 + n && klx_sv_eq_nocase(klx_sv_n(line.p + 4, n), klx_sv(word));
    return there && (line.n == 4 + n || strchr(" \r\n", line.p[4 + n]) != NULL);
}

/* The reply to EHLO is the only one of 250 before a mail; the one under TLS counts. */
static void read_offers(struct klx_smtp_connection *c, struct klx_sv line, bool first) {
    if (first) {
        c->offers = (struct klx_smtp_offers){ 0 };
    }
    c->offers.size = c->offers.size || offers(line, "SIZE");
    c->offers.utf8 = c->offers.utf8 || offers(line, "SMTPUTF8");
    c->offers.dsn = c->offers.dsn || offers(line, "DSN");
}

/* Every line of the server until the connection is made. */
static size_t on_curl_header(char *p, size_t size, size_t n, void *arg) {
    struct klx_smtp_connection *c = arg;
    struct klx_sv line = klx_sv_n(p, size * n);
    bool first = !c->reply.inside;
    c->greeting_bytes += line.n;
    if (klx_smtp_reply_line(&c->reply, line) < 0) {
        c->reply.inside = false;
    } else if (c->reply.code == 250) {
        read_offers(c, line, first);
    } else if (c->reply.code == 334) {
        memcpy(c->challenge, c->reply.text, sizeof(c->challenge));
    }
    c->authenticated = c->authenticated || c->reply.code == 235;
    return c->greeting_bytes > GREETING_BYTES_MAX ? 0 : size * n;
}

static bool is_ipv6(const char *host) {
    return strchr(host, ':') != NULL && strspn(host, "0123456789abcdefABCDEF:.") == strlen(host);
}

/* A server name other than the host: the name goes into the URL, the host into the address to connect to. */
static void set_url(struct klx_smtp_connection *c, const struct klx_smtp_mail *m) {
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

static void set_login(struct klx_smtp_connection *c, const struct klx_smtp_mail *m) {
    static const char *const options[] = {
        [KLX_SMTP_AUTH_PASSWORD] = "AUTH=PLAIN;AUTH=LOGIN",
        [KLX_SMTP_AUTH_PLAIN] = "AUTH=PLAIN",
        [KLX_SMTP_AUTH_LOGIN] = "AUTH=LOGIN",
        [KLX_SMTP_AUTH_XOAUTH2] = "AUTH=XOAUTH2",
    };
    c->user = klx_strdup(m->user);
    c->password = klx_sv_dup(m->password);
    c->auth = m->auth;
    curl_easy_setopt(c->easy, CURLOPT_USERNAME, c->user);
    curl_easy_setopt(c->easy, CURLOPT_LOGIN_OPTIONS, options[m->auth]);
    curl_easy_setopt(c->easy, CURLOPT_SASL_IR, m->initial_response ? 1L : 0L);
    curl_easy_setopt(c->easy,
                     m->auth == KLX_SMTP_AUTH_XOAUTH2 ? CURLOPT_XOAUTH2_BEARER : CURLOPT_PASSWORD,
                     c->password);
}

static long use_ssl(enum klx_smtp_tls mode) {
    return mode == KLX_SMTP_PLAIN           ? CURLUSESSL_NONE
           : mode == KLX_SMTP_OPPORTUNISTIC ? CURLUSESSL_TRY
                                            : CURLUSESSL_ALL;
}

struct klx_smtp_connection *klx_smtp_connection_new(struct klx_multi *multi,
                                                    const struct klx_smtp_mail *m) {
    struct klx_smtp_connection *c = klx_alloc(struct klx_smtp_connection);
    CURL *easy = curl_easy_init();
    c->multi = multi;
    c->easy = easy;
    c->socket = CURL_SOCKET_BAD;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* the environment's are for HTTP */
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(m->deadline_ms > 0 ? m->deadline_ms : CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->curl_error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, use_ssl(m->tls_mode));
    klx_curl_set_tls(easy, m->tls);
    if (m->user != NULL) {
        set_login(c, m);
    }
    set_url(c, m);
    return c;
}

void klx_smtp_connection_start(struct klx_smtp_connection *c,
                               void (*on_done)(void *arg, CURLcode code), void *arg) {
    c->made_us = klx_loop_now_us(klx_multi_loop(c->multi));
    klx_multi_connect(c->multi, c->easy, on_done, arg);
}

/* A reply that is missing or good says that the connection ended; one of 4xx or 5xx is why there is none. */
static enum klx_smtp_failure judge_curl(struct klx_smtp_connection *c, CURLcode code) {
    c->timed_out = c->timed_out || code == CURLE_OPERATION_TIMEDOUT;
    if (klx_curl_is_certificate_failure(code) || code == CURLE_USE_SSL_FAILED) {
        return KLX_SMTP_TLS;
    }
    if (code == CURLE_LOGIN_DENIED) {
        return KLX_SMTP_AUTH;
    }
    bool refused = c->reply.code >= 400 || c->reply.code == 0;
    return refused || code == CURLE_SSL_CONNECT_ERROR ? KLX_SMTP_CONNECT : KLX_SMTP_BROKEN;
}

enum klx_smtp_failure klx_smtp_connection_judge(struct klx_smtp_connection *c, CURLcode code) {
    if (code != CURLE_OK) {
        return judge_curl(c, code);
    }
    if (c->user != NULL && !c->authenticated) { /* libcurl goes on without when none is offered */
        c->reply = (struct klx_smtp_reply){ 0 };
        return KLX_SMTP_AUTH;
    }
    curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &c->socket);
    return c->socket == CURL_SOCKET_BAD ? judge_curl(c, CURLE_RECV_ERROR) : KLX_SMTP_OK;
}

static const char *auth_words(const struct klx_smtp_connection *c, int code) {
    static const char *const not_offered[] = {
        [KLX_SMTP_AUTH_PASSWORD] = "the server offers neither AUTH PLAIN nor AUTH LOGIN",
        [KLX_SMTP_AUTH_PLAIN] = "the server does not offer AUTH PLAIN",
        [KLX_SMTP_AUTH_LOGIN] = "the server does not offer AUTH LOGIN",
        [KLX_SMTP_AUTH_XOAUTH2] = "the server does not offer AUTH XOAUTH2",
    };
    return code >= 500   ? "the server refuses the credentials"
           : code >= 400 ? "the server cannot check the credentials now"
                         : not_offered[c->auth];
}

const char *klx_smtp_connection_words(const struct klx_smtp_connection *c,
                                      enum klx_smtp_failure failure, int code, CURLcode curl_code) {
    const char *curl_words =
        c->curl_error[0] != '\0' ? c->curl_error : curl_easy_strerror(curl_code);
    if (failure == KLX_SMTP_AUTH) {
        return auth_words(c, code);
    }
    if (failure == KLX_SMTP_TLS) {
        return code >= 400                         ? "the server refuses STARTTLS"
               : curl_code == CURLE_USE_SSL_FAILED ? "the server does not offer STARTTLS, and "
                                                     "nothing is sent in clear"
                                                   : curl_words;
    }
    return code >= 400             ? "the server takes no mail"
           : c->timed_out          ? "no connection in time"
           : curl_code != CURLE_OK ? curl_words
                                   : "no connection";
}

static bool same(const char *a, struct klx_sv b) {
    return a == NULL ? b.n == 0 : klx_sv_eq(klx_sv(a), b);
}

bool klx_smtp_connection_fits(const struct klx_smtp_connection *c, const struct klx_smtp_mail *m) {
    return same(c->user, klx_sv(m->user)) &&
           same(c->password, m->user != NULL ? m->password : klx_sv(NULL)) &&
           (c->user == NULL || c->auth == m->auth);
}

void klx_smtp_connection_quit(struct klx_smtp_connection *c) {
    size_t n = 0;
    (void)curl_easy_send(c->easy, "QUIT\r\n", 6, &n); /* politeness: nobody waits for 221 */
}

void klx_smtp_connection_free(struct klx_smtp_connection *c) {
    if (c == NULL) {
        return;
    }
    klx_multi_remove(c->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->connect_to);
    klx_wipe(c->password);
    free(c->user);
    free(c);
}
