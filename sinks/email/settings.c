#include "sinks/email/settings.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/url.h"

#define STARTTLS_PORT 587
#define IMPLICIT_PORT 465
#define EXCHANGE_SCOPE "https://outlook.office365.com/.default"

const struct klx_config_field klx_email_fields[] = {
    { .key = "to",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_email_config, to),
      .required = true,
      .help = "the address or addresses that get the mail" },
    { .key = "from",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, from),
      .required = true,
      .help = "the sender's address, klaxon@example.com, or name <address>" },
    { .key = "smtp",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, smtp),
      .required = true,
      .help = "the mail server, smtp://host:587 or smtps://host:465" },
    { .key = "tls",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, tls),
      .help =
          "starttls (the default of smtp://: required), opportunistic, or none, on loopback only" },
    { .key = "user",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, user),
      .help = "who authenticates; left out: nobody" },
    { .key = "password",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_email_config, password),
      .help = "of the user, as {file: /path} or {env: NAME}" },
    { .key = "auth",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, auth),
      .help =
          "password (the default: PLAIN, or else LOGIN), plain, login, or xoauth2 with a token" },
    KLX_OAUTH_FIELDS(struct klx_email_config, oauth),
    { .key = "initial_response",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct klx_email_config, initial_response),
      .help =
          "true: credentials stand in the AUTH command, and do not wait for the server to ask" },
    { .key = "dsn",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct klx_email_config, dsn),
      .help =
          "true: mail that cannot be delivered later on comes back to from; left out: not where "
          "the server can be asked" },
    { .key = "ca_file",
      .kind = KLX_CFG_FILE,
      .offset = offsetof(struct klx_email_config, ca_file),
      .help = "certificates (PEM) to trust instead of the system's" },
    { .key = "helo",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_email_config, helo),
      .help = "the name said in EHLO; left out: the host's" },
    { .key = NULL },
};

struct reader {
    const struct klx_email_config *c;
    const struct klx_config_node *at;
    struct klx_email_settings *s;
    struct klx_error *e;
};

/* At the key, when there is a document to point into. */
static int refuse(const struct reader *r, const char *key, const char *why) {
    const struct klx_config_node *n = r->at != NULL ? klx_config_get(r->at, key) : NULL;
    n = n != NULL ? n : r->at;
    return n != NULL ? klx_config_fail(n, r->e, "%s", why)
                     : klx_fail(r->e, -EINVAL, "%s: %s", key, why);
}

/* The node of the i-th address, which may stand alone. */
static const struct klx_config_node *address_node(const struct reader *r, size_t i) {
    const struct klx_config_node *to = r->at != NULL ? klx_config_get(r->at, "to") : NULL;
    if (to == NULL || klx_config_type(to) != KLX_CONFIG_LIST) {
        return to;
    }
    const struct klx_config_node *n = klx_config_first(to);
    while (n != NULL && i-- > 0) {
        n = klx_config_next(n);
    }
    return n;
}

static bool stands_before(const struct klx_config_strings *to, size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (klx_sv_eq_nocase(to->items[k], to->items[i])) {
            return true;
        }
    }
    return false;
}

static int read_to(const struct reader *r) {
    const struct klx_config_strings *to = &r->c->to;
    if (to->n == 0) {
        return refuse(r, "to", "at least one address is needed");
    }
    if (to->n > KLX_EMAIL_RECIPIENTS_MAX) {
        return refuse(r, "to",
                      "more than 100 addresses: make a distribution list, or a second channel");
    }
    for (size_t i = 0; i < to->n; i++) {
        const char *problem = klx_smtp_address_problem(to->items[i]);
        if (problem == NULL && stands_before(to, i)) {
            problem = "this address stands here twice";
        }
        if (problem != NULL) {
            const struct klx_config_node *n = address_node(r, i);
            return n != NULL ? klx_config_fail(n, r->e, "%s", problem)
                             : klx_fail(r->e, -EINVAL, "to: %s", problem);
        }
    }
    return 0;
}

static bool has_control(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* "a@x.example", "Name <a@x.example>" or "\"Name\" <a@x.example>" */
static int read_from(const struct reader *r) {
    struct klx_sv from = klx_sv_trim(klx_sv(r->c->from)), name = klx_sv(NULL);
    if (klx_sv_ends(from, KLX_SV(">"))) {
        struct klx_sv rest = klx_sv_n(from.p, from.n - 1);
        name = klx_sv_trim(klx_sv_cut(&rest, '<'));
        from = rest;
    }
    if (name.n >= 2 && name.p[0] == '"' && name.p[name.n - 1] == '"') {
        name = klx_sv_n(name.p + 1, name.n - 2);
    }
    const char *problem = klx_smtp_address_problem(from);
    if (problem != NULL) {
        return refuse(r, "from", problem);
    }
    if (name.n > KLX_EMAIL_NAME_BYTES_MAX || has_control(name)) {
        return refuse(r, "from",
                      "the name before the address is longer than 100 bytes or holds a line end");
    }
    struct klx_sv domain = from;
    (void)klx_sv_cut(&domain, '@');
    if (klx_smtp_needs_utf8(domain)) { /* it stands in every Message-ID */
        return refuse(r, "from", "the domain of the sender is not ASCII: write it as xn--…");
    }
    r->s->from_name = name;
    r->s->from_address = from;
    (void)klx_sv_cut(&from, '@');
    r->s->from_domain = from;
    return 0;
}

static bool is_host(struct klx_sv host) {
    char text[64];
    struct in6_addr v6;
    snprintf(text, sizeof(text), "%.*s", KLX_SV_FMT(host));
    return host.n < 256 && ((host.n > 0 && host.p[0] != '[' && klx_smtp_is_domain(host)) ||
                            inet_pton(AF_INET6, text, &v6) == 1);
}

static const char *read_server(struct klx_sv rest, struct klx_email_settings *s) {
    struct klx_sv port = { 0 };
    int64_t number = s->tls_mode == KLX_SMTP_IMPLICIT ? IMPLICIT_PORT : STARTTLS_PORT;
    if (klx_sv_find(rest, '@') < rest.n) {
        return "the user does not belong into the URL: write user and password";
    }
    if (klx_sv_find(rest, '/') < rest.n) {
        return "nothing may follow the port";
    }
    s->host = klx_url_host(rest, &port);
    if (!is_host(s->host)) {
        return "this is not a host name or address; write smtp://mail.example.com:587";
    }
    if (port.n > 0 && (klx_sv_int(port, &number) != 0 || number < 1 || number > 65535)) {
        return "the port is not a number between 1 and 65535";
    }
    s->port = (unsigned)number;
    return NULL;
}

static int read_smtp(const struct reader *r) {
    struct klx_sv url = klx_sv(r->c->smtp), rest = { 0 };
    if (klx_sv_starts(url, KLX_SV("smtp://"))) {
        r->s->tls_mode = KLX_SMTP_STARTTLS;
        rest = klx_sv_n(url.p + strlen("smtp://"), url.n - strlen("smtp://"));
    } else if (klx_sv_starts(url, KLX_SV("smtps://"))) {
        r->s->tls_mode = KLX_SMTP_IMPLICIT;
        rest = klx_sv_n(url.p + strlen("smtps://"), url.n - strlen("smtps://"));
    } else {
        return refuse(r, "smtp", "this does not begin with smtp:// or smtps://");
    }
    const char *problem = read_server(rest, r->s);
    return problem != NULL ? refuse(r, "smtp", problem) : 0;
}

static int read_plain(const struct reader *r) {
    if (!klx_url_is_loopback(r->s->host)) {
        return refuse(r, "tls",
                      "mail goes without TLS to loopback only: the server must offer STARTTLS");
    }
    if (r->c->ca_file != NULL) {
        return refuse(r, "ca_file", "without TLS (tls: none) it has no use");
    }
    r->s->tls_mode = KLX_SMTP_PLAIN;
    return 0;
}

static int read_opportunistic(const struct reader *r) {
    if (r->c->user != NULL && !klx_url_is_loopback(r->s->host)) {
        return refuse(r, "tls",
                      "whoever is on the way could have the credentials: with a user it must be "
                      "starttls");
    }
    r->s->tls_mode = KLX_SMTP_OPPORTUNISTIC;
    return 0;
}

static int read_tls(const struct reader *r) {
    struct klx_sv tls = klx_sv(r->c->tls);
    bool none = klx_sv_eq(tls, KLX_SV("none")), maybe = klx_sv_eq(tls, KLX_SV("opportunistic"));
    if (r->c->tls == NULL) {
        return 0;
    }
    if (!none && !maybe && !klx_sv_eq(tls, KLX_SV("starttls"))) {
        return refuse(r, "tls", "expected starttls, opportunistic or none");
    }
    if (r->s->tls_mode == KLX_SMTP_IMPLICIT) {
        return refuse(r, "tls",
                      "smtps:// is TLS from the first byte: leave tls out, or write smtp://");
    }
    return none ? read_plain(r) : maybe ? read_opportunistic(r) : 0;
}

static bool is_set(const char *text) {
    return text != NULL && text[0] != '\0';
}

/* The first key of a token's that is given; NULL: none. */
static const char *oauth_key(const struct klx_oauth_settings *o) {
    return o->client_id != NULL         ? "client_id"
           : o->tenant != NULL          ? "tenant"
           : o->authority != NULL       ? "authority"
           : o->token_url != NULL       ? "token_url"
           : o->scope != NULL           ? "scope"
           : o->client_secret != NULL   ? "client_secret"
           : o->federated_token != NULL ? "federated_token_file"
           : o->token_ca != NULL        ? "token_ca"
           : o->managed_identity        ? "managed_identity"
                                        : NULL;
}

static int read_token(const struct reader *r) {
    struct klx_oauth_settings identity;
    struct klx_error why = { 0 };
    if (!is_set(r->c->user)) {
        return refuse(r, "auth", "xoauth2 needs a user: the mailbox that sends");
    }
    if (r->c->password != NULL) {
        return refuse(r, "password", "with auth: xoauth2 there is a token in its place");
    }
    if (klx_email_identity(r->c, true, &identity, &why) != 0) {
        return refuse(r, "auth", why.text);
    }
    klx_oauth_settings_release_copy(&identity, &r->c->oauth);
    return 0;
}

static int read_password(const struct reader *r) {
    bool user = is_set(r->c->user), password = r->c->password != NULL;
    const char *key = oauth_key(&r->c->oauth);
    if (key != NULL) {
        return refuse(r, key, "this is for a token: write auth: xoauth2");
    }
    if (user != password) {
        return refuse(r, user ? "user" : "password",
                      user ? "a user needs a password: write password: {file: /path}, or auth: "
                             "xoauth2"
                           : "a password needs a user");
    }
    if (r->c->auth != NULL && !user) {
        return refuse(r, "auth", "this needs a user and a password");
    }
    return 0;
}

static int read_auth(const struct reader *r) {
    static const char *const names[] = { [KLX_SMTP_AUTH_PASSWORD] = "password",
                                         [KLX_SMTP_AUTH_PLAIN] = "plain",
                                         [KLX_SMTP_AUTH_LOGIN] = "login",
                                         [KLX_SMTP_AUTH_XOAUTH2] = "xoauth2" };
    struct klx_sv auth = r->c->auth != NULL ? klx_sv(r->c->auth) : KLX_SV("password");
    size_t i = 0;
    while (i < KLX_COUNT(names) && !klx_sv_eq(auth, klx_sv(names[i]))) {
        i++;
    }
    if (i == KLX_COUNT(names)) {
        return refuse(r, "auth", "expected password, plain, login or xoauth2");
    }
    r->s->auth = (enum klx_smtp_auth)i;
    return r->s->auth == KLX_SMTP_AUTH_XOAUTH2 ? read_token(r) : read_password(r);
}

static int read_rest(const struct reader *r) {
    if (r->c->helo != NULL && !klx_smtp_is_domain(klx_sv(r->c->helo))) {
        return refuse(r, "helo", "this is not a host name or an [address]");
    }
    return 0;
}

int klx_email_settings_read(const struct klx_email_config *c, const struct klx_config_node *at,
                            struct klx_email_settings *ret, struct klx_error *e) {
    static int (*const parts[])(const struct reader *) = { read_to,  read_from, read_smtp,
                                                           read_tls, read_auth, read_rest };
    struct klx_email_settings s = { .config = c };
    const struct reader r = { c, at, &s, e };
    int rc = 0;
    for (size_t i = 0; i < KLX_COUNT(parts) && rc == 0; i++) {
        rc = parts[i](&r);
    }
    if (rc == 0) {
        *ret = s;
    }
    return rc;
}

int klx_email_settings_ca(const struct klx_email_settings *s, struct klx_sv *ret_pem,
                          struct klx_error *e) {
    struct klx_sv pem = { 0 };
    if (s->config->ca_file == NULL) {
        *ret_pem = pem;
        return 0;
    }
    int rc = klx_secret_get(s->config->ca_file, &pem, e);
    if (rc == 0 && klx_sv_find_sv(pem, KLX_SV("-----BEGIN CERTIFICATE-----")) == pem.n) {
        rc = klx_fail(e, -EINVAL, "%s holds no certificate (PEM)",
                      klx_secret_where(s->config->ca_file));
    }
    if (rc == 0) {
        *ret_pem = pem;
    }
    return rc;
}

int klx_email_identity(const struct klx_email_config *c, bool anywhere,
                       struct klx_oauth_settings *ret, struct klx_error *e) {
    struct klx_oauth_settings s = klx_oauth_settings_copy(&c->oauth);
    int rc = klx_oauth_settings_complete(&s, EXCHANGE_SCOPE, anywhere, e);
    if (rc != 0) {
        klx_oauth_settings_release_copy(&s, &c->oauth);
        return rc;
    }
    *ret = s;
    return 0;
}
