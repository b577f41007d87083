#include "tests/unit/support/smtp_server.h"

#include "tests/unit/support/support.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

struct test_pki {
    SSL_CTX *context;
    BIO *ca;
};

static X509 *certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key) {
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), issuer != NULL ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    char names[256];
    snprintf(names, sizeof(names), "DNS:%s", name);
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer != NULL ? issuer : x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(
        NULL, &context, issuer != NULL ? NID_subject_alt_name : NID_basic_constraints,
        issuer != NULL ? names : "critical,CA:TRUE");
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

struct test_pki *test_pki_new(const char *host) {
    static unsigned made;
    char authority[32]; /* a name of its own: between two of one name only the signature tells */
    snprintf(authority, sizeof(authority), "Test CA %u", ++made);
    struct test_pki *p = klx_alloc(struct test_pki);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = certificate(authority, ca_key, NULL, ca_key);
    X509 *leaf = certificate(host, key, ca, ca_key);
    p->ca = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(p->ca, ca);
    p->context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(p->context, leaf), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->context, key), 1);
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return p;
}

void test_pki_free(struct test_pki *p) {
    SSL_CTX_free(p->context);
    BIO_free(p->ca);
    free(p);
}

struct klx_sv test_pki_ca(const struct test_pki *p) {
    char *data = NULL;
    long n = BIO_get_mem_data(p->ca, &data);
    return klx_sv_n(data, (size_t)n);
}

struct peer {
    struct smtp_server *server;
    int fd;
    SSL *tls;
    char in[4096];
    size_t at, n;
    bool message_comes; /* DATA was answered by 354 */
};

static int next_byte(struct peer *p) {
    if (p->at == p->n) {
        int n = p->tls != NULL ? SSL_read(p->tls, p->in, sizeof(p->in))
                               : (int)read(p->fd, p->in, sizeof(p->in));
        if (n <= 0) {
            return -1;
        }
        p->at = 0;
        p->n = (size_t)n;
    }
    return (unsigned char)p->in[p->at++];
}

/* With its end; false: the client has gone. */
static bool read_line(struct peer *p, struct klx_buf *line) {
    klx_buf_reset(line);
    while (line->len == 0 || line->data[line->len - 1] != '\n') {
        int c = next_byte(p);
        if (c < 0) {
            return false;
        }
        klx_buf_add_char(line, (char)c);
    }
    return true;
}

static void say(struct peer *p, const char *reply) {
    char text[8192];
    int n = snprintf(text, sizeof(text), "%s\r\n", reply);
    if (p->tls != NULL) {
        (void)!SSL_write(p->tls, text, n);
    } else {
        (void)!send(p->fd, text, (size_t)n, MSG_NOSIGNAL);
    }
}

static bool handshake(struct peer *p) {
    p->tls = SSL_new(p->server->pki->context);
    SSL_set_fd(p->tls, p->fd);
    p->at = p->n = 0;
    if (SSL_accept(p->tls) != 1) {
        return false;
    }
    klx_buf_add_str(&p->server->log, "(TLS)\n");
    return true;
}

static const char *friendly(const struct peer *p, const char *command) {
    static const struct {
        const char *command, *reply;
    } replies[] = { { "(greeting)", "220 mail.example ESMTP" },
                    { "AUTH PLAIN", "334 " },
                    { "AUTH LOGIN", "334 VXNlcm5hbWU6" },
                    { "DATA", "354 go on" },
                    { "(dot)", "250 2.0.0 queued as 4711" },
                    { "STARTTLS", "220 go on" },
                    { "QUIT", "221 bye" },
                    { "RSET", "250 2.0.0 forgotten" },
                    { "NOOP", "250 2.0.0 here" },
                    { "MAIL", "250 2.1.0 ok" },
                    { "RCPT", "250 2.1.5 ok" } };
    if (strncmp(command, "EHLO", 4) == 0) {
        return p->server->pki != NULL && p->tls == NULL
                   ? "250-mail.example\r\n250-STARTTLS\r\n250 SIZE 1000000000"
                   : "250-mail.example\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 SIZE 1000000000";
    }
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (strncmp(command, replies[i].command, strlen(replies[i].command)) == 0) {
            return replies[i].reply;
        }
    }
    return "235 2.7.0 welcome"; /* a line of AUTH */
}

/* False: the connection ends here. */
static bool answer(struct peer *p, const char *command) {
    struct smtp_server *s = p->server;
    struct smtp_rule rule = { command, friendly(p, command), SMTP_GO_ON };
    for (unsigned i = 0; s->rules != NULL && s->rules[i].command != NULL; i++) {
        const char *begins = s->rules[i].command;
        if ((s->used & 1u << i) == 0 && strncmp(command, begins, strlen(begins)) == 0) {
            s->used |= 1u << i;
            rule = s->rules[i];
            break;
        }
    }
    if (rule.reply != NULL) {
        say(p, rule.reply);
        p->message_comes = strcmp(command, "DATA\r\n") == 0 && strncmp(rule.reply, "354", 3) == 0;
    }
    while (rule.then == SMTP_SILENT && next_byte(p) >= 0) {
    }
    if (rule.then != SMTP_GO_ON || strcmp(command, "QUIT\r\n") == 0) {
        return false;
    }
    return strcmp(command, "STARTTLS\r\n") != 0 || rule.reply[0] != '2' || handshake(p);
}

static bool take_message(struct peer *p, struct klx_buf *line) {
    struct smtp_server *s = p->server;
    klx_buf_reset(&s->message);
    while (read_line(p, line)) {
        klx_buf_add_sv(&s->message, klx_buf_sv(line));
        if (s->close_inside > 0 && s->message.len >= s->close_inside) {
            return false;
        }
        if (strcmp(klx_buf_str(line), ".\r\n") == 0) {
            klx_buf_add_str(&s->log, "(message)\n");
            return answer(p, "(dot)");
        }
    }
    return false;
}

static void converse(struct peer *p) {
    struct smtp_server *s = p->server;
    struct klx_buf line;
    klx_buf_init(&line, 16 << 20);
    bool more = (!s->implicit || handshake(p)) && answer(p, "(greeting)");
    while (more && read_line(p, &line)) {
        const char *command = klx_buf_str(&line);
        klx_buf_add(&s->log, command, strcspn(command, "\r\n"));
        klx_buf_add_char(&s->log, '\n');
        more = answer(p, command);
        if (more && p->message_comes) {
            more = take_message(p, &line);
        }
    }
    klx_buf_release(&line);
}

static void *serve(void *arg) {
    struct smtp_server *s = arg;
    for (int fd = accept(s->listener, NULL, NULL); fd >= 0; fd = accept(s->listener, NULL, NULL)) {
        struct peer *p = klx_alloc(struct peer);
        p->server = s;
        p->fd = fd;
        converse(p);
        SSL_free(p->tls);
        close(fd);
        free(p);
    }
    return NULL;
}

void smtp_server_start(struct smtp_server *s) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    klx_buf_init(&s->log, 1 << 20);
    klx_buf_init(&s->message, 64 << 20);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void smtp_server_stop(struct smtp_server *s) {
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

void smtp_server_release(struct smtp_server *s) {
    klx_buf_release(&s->log);
    klx_buf_release(&s->message);
}
