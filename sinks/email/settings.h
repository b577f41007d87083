/*
 * A mailbox as the configuration has it.
 *
 *     ops-mail:
 *       email:
 *         to: [ops@example.com]                    # one or a list; each has a verdict of its own
 *         from: klaxon <klaxon@example.com>        # an address, or a name and an address
 *         smtp: smtp://mail.example.com:587        # or smtps://, which is TLS from the first byte; ports 587 and 465 unless given
 *         tls: starttls                            # the default of smtp://: required. opportunistic; none, on loopback only
 *         user: klaxon                             # with a password or a token; left out: no authentication
 *         auth: password                           # the default: PLAIN, or else LOGIN; plain, login, xoauth2
 *         password: { file: /run/secrets/mail }
 *         client_id: …, tenant: …                  # of xoauth2: KLX_OAUTH_FIELDS (lib/io/oauth.h)
 *         initial_response: false                  # true: credentials in the AUTH command
 *         dsn: false                               # true: what cannot be delivered comes back to `from`
 *         ca_file: /etc/klaxon/mail-ca.crt         # instead of the system's
 *         helo: klaxon.example.com                 # the name in EHLO; the host's unless given
 */
#pragma once

#include <stdbool.h>

#include "lib/base/config.h"
#include "lib/base/secret.h"
#include "lib/io/oauth.h"
#include "lib/io/smtp.h"

#define KLX_EMAIL_RECIPIENTS_MAX 100 /* RFC 5321 4.5.3.1.8: so many a server must take */
#define KLX_EMAIL_NAME_BYTES_MAX 100

/* Bound by klx_email_fields. */
struct klx_email_config {
    struct klx_config_strings to;
    char *from;
    char *smtp;
    char *tls;
    char *user;
    struct klx_secret *password;
    char *auth;
    struct klx_oauth_settings oauth; /* as bound: klx_email_identity completes a copy */
    struct klx_secret *ca_file;
    char *helo;
    bool initial_response, dsn;
};

extern const struct klx_config_field klx_email_fields[];

/* What is meant by it. */
struct klx_email_settings {
    const struct klx_email_config *config; /* borrowed; the views too */
    struct klx_sv from_name;               /* of `from`, may be empty */
    struct klx_sv from_address;
    struct klx_sv from_domain;
    struct klx_sv host;
    unsigned port;
    enum klx_smtp_tls tls_mode;
    enum klx_smtp_auth auth;
};

/* -EINVAL with the place of the first mistake; `at` is the map, NULL when the configuration was checked already. Reads no files. */
int klx_email_settings_read(const struct klx_email_config *c, const struct klx_config_node *at,
                            struct klx_email_settings *ret, struct klx_error *e) KLX_MUST_CHECK;
/* The certificates to trust, an empty view for the system's; -EINVAL and others: the file cannot be read or holds none. */
int klx_email_settings_ca(const struct klx_email_settings *s, struct klx_sv *ret_pem,
                          struct klx_error *e) KLX_MUST_CHECK;

/* Who klaxon is for tokens (auth: xoauth2): for klx_oauth_settings_release_copy. `anywhere` as in klx_oauth_settings_complete. */
int klx_email_identity(const struct klx_email_config *c, bool anywhere,
                       struct klx_oauth_settings *ret, struct klx_error *e) KLX_MUST_CHECK;
