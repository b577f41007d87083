/* One clear error with its place for each mistake of a mailbox, and what is meant by those without. */
#include "tests/unit/support/sink_rig.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "sinks/email/settings.h"

#define TO "to: a@x.example\n"
#define FROM "from: k@x.example\n"
#define SMTP "smtp: smtp://mail\n"

struct mistake {
    const char *yaml, *error; /* NULL: it is none */
};

static void check(const char *yaml, const char *error) {
    struct rig r = { 0 };
    struct klx_error e = { 0 };
    rig_bind(&r, &klx_sink_email, yaml);
    int rc = klx_sink_email.check(r.config, klx_config_root(r.yaml), &e);
    if (error == NULL) {
        assert_int_equal(rc, 0);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_ptr_equal(strstr(e.text, "test.yaml:"), e.text);
        assert_string_equal(e.text + strlen("test.yaml:"), error);
    }
    rig_unbind(&r);
}

static void mistakes_have_a_place(void **state) {
    (void)state;
    static const struct mistake cases[] = {
        { "to: []\n" FROM SMTP, "1:5: to: at least one address is needed" },
        { "to: nobody\n" FROM SMTP, "1:5: to: an address needs exactly one @" },
        { "to: [a@x.example, \"b@x>\\r\\nRCPT TO:<evil@y\"]\n" FROM SMTP,
          "1:19: to[1]: an address needs exactly one @" },
        { "to: [a@x.example, \"b@x.example>\\r\\nRCPT TO:<evil\"]\n" FROM SMTP,
          "1:19: to[1]: what follows the @ of an address is not a domain" },
        { "to: [a@x.example, A@X.example]\n" FROM SMTP,
          "1:19: to[1]: this address stands here twice" },
        { TO "from: klaxon\n" SMTP, "2:7: from: an address needs exactly one @" },
        { TO "from: k@x.example <k@x.example> x\n" SMTP,
          "2:7: from: an address needs exactly one @" },
        { TO "from: \"a\\r\\nBcc: z <k@x.example>\"\n" SMTP,
          "2:7: from: the name before the address is longer than 100 bytes or holds a line end" },
        { TO FROM "smtp: mail:587\n", "3:7: smtp: this does not begin with smtp:// or smtps://" },
        { TO FROM "smtp: smtp://\n", "3:7: smtp: this is not a host name or address; write "
                                     "smtp://mail.example.com:587" },
        { TO FROM "smtp: \"smtp://a b\"\n", "3:7: smtp: this is not a host name or address; write "
                                            "smtp://mail.example.com:587" },
        { TO FROM "smtp: \"smtp://[::1\"\n", NULL },
        { TO FROM "smtp: smtp://me:pw@mail\n",
          "3:7: smtp: the user does not belong into the URL: write user and password" },
        { TO FROM "smtp: smtp://mail:587/x\n", "3:7: smtp: nothing may follow the port" },
        { TO FROM "smtp: smtp://mail:0\n",
          "3:7: smtp: the port is not a number between 1 and 65535" },
        { TO FROM "smtp: smtp://mail:65536\n",
          "3:7: smtp: the port is not a number between 1 and 65535" },
        { TO FROM SMTP "tls: yes\n", "4:6: tls: expected starttls, opportunistic or none" },
        { TO FROM SMTP "tls: none\n", "4:6: tls: mail goes without TLS to loopback only: the "
                                      "server must offer STARTTLS" },
        { TO FROM "smtp: smtp://127.0.0.1.example\ntls: none\n",
          "4:6: tls: mail goes without TLS to loopback only: the server must offer STARTTLS" },
        { TO FROM "smtp: smtps://mail\ntls: starttls\n",
          "4:6: tls: smtps:// is TLS from the first byte: leave tls out, or write smtp://" },
        { TO FROM "smtp: smtp://localhost\ntls: none\nca_file: /x\n",
          "5:10: ca_file: without TLS (tls: none) it has no use" },
        { TO FROM SMTP "helo: a b\n", "4:7: helo: this is not a host name or an [address]" },
        { TO FROM SMTP "ca_file: /nonexistent/ca\n",
          "4:10: ca_file: cannot read file /nonexistent/ca: No such file or directory" },
        { TO FROM SMTP "ca_file: /etc/hostname\n",
          "4:10: ca_file: file /etc/hostname holds no certificate (PEM)" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(cases[i].yaml, cases[i].error);
    }
}

static void who_sends_is_said_in_one_way(void **state) {
    (void)state;
    static const struct mistake cases[] = {
        { TO FROM SMTP "user: me\n",
          "4:7: user: a user needs a password: write password: {file: /path}, or auth: xoauth2" },
        { TO FROM SMTP "auth: plain\n", "4:7: auth: this needs a user and a password" },
        { TO FROM SMTP "auth: ntlm\n", "4:7: auth: expected password, plain, login or xoauth2" },
        { TO FROM SMTP "auth: xoauth2\n",
          "4:7: auth: xoauth2 needs a user: the mailbox that sends" },
        { TO FROM SMTP "auth: xoauth2\nuser: me\npassword: {env: HOME}\n",
          "6:11: password: with auth: xoauth2 there is a token in its place" },
        { TO FROM SMTP "user: me\npassword: {env: HOME}\ntenant: x\n",
          "6:9: tenant: this is for a token: write auth: xoauth2" },
        { TO FROM SMTP "user: me\npassword: {env: HOME}\ntls: opportunistic\n",
          "6:6: tls: whoever is on the way could have the credentials: with a user it must be "
          "starttls" },
        { TO "from: k@b\xc3\xbc.example\n" SMTP,
          "2:7: from: the domain of the sender is not ASCII: write it as xn--…" },
        { "to: j\xc3\xb6rg@b\xc3\xbc.example\nfrom: k\xc3\xb6@x.example\n" SMTP, NULL },
        { TO FROM SMTP "tls: opportunistic\n", NULL },
        { TO FROM SMTP "user: me\npassword: {env: HOME}\nauth: login\n", NULL },
        { TO FROM SMTP "password: {env: HOME}\n", "4:11: password: a password needs a user" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check(cases[i].yaml, cases[i].error);
    }
}

static void too_many_addresses(void **state) {
    (void)state;
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { 0 };
    struct rig r = { 0 };
    klx_buf_init(&yaml, 65536);
    klx_buf_add_str(&yaml, FROM SMTP "to:\n");
    for (int i = 0; i < 101; i++) {
        klx_buf_printf(&yaml, "  - a%d@x.example\n", i);
    }
    rig_bind(&r, &klx_sink_email, klx_buf_str(&yaml));
    assert_int_equal(klx_sink_email.check(r.config, klx_config_root(r.yaml), &e), -EINVAL);
    assert_non_null(strstr(e.text, "more than 100 addresses"));
    rig_unbind(&r);
}

static void what_is_meant(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *host;
        unsigned port;
        enum klx_smtp_tls tls;
        const char *name;
    } cases[] = {
        { FROM SMTP, "mail", 587, KLX_SMTP_STARTTLS, "" },
        { FROM SMTP "tls: starttls\n", "mail", 587, KLX_SMTP_STARTTLS, "" },
        { FROM "smtp: smtp://mail.example.com:25\n", "mail.example.com", 25, KLX_SMTP_STARTTLS,
          "" },
        { "from: Klaxon Störung <k@x.example>\nsmtp: smtps://mail\n", "mail", 465,
          KLX_SMTP_IMPLICIT, "Klaxon Störung" },
        { "from: '\"a, b\" <k@x.example>'\nsmtp: smtps://[2001:db8::1]:466\n", "2001:db8::1", 466,
          KLX_SMTP_IMPLICIT, "a, b" },
        { "from: <k@x.example>\nsmtp: smtp://[::1]:2525\ntls: none\n", "::1", 2525, KLX_SMTP_PLAIN,
          "" },
        { FROM "smtp: smtp://127.9.9.9\ntls: none\n", "127.9.9.9", 587, KLX_SMTP_PLAIN, "" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct rig r = { 0 };
        struct klx_error e = { 0 };
        struct klx_email_settings s = { 0 };
        char yaml[256];
        snprintf(yaml, sizeof(yaml), TO "%s", cases[i].yaml);
        rig_bind(&r, &klx_sink_email, yaml);
        if (klx_email_settings_read(r.config, klx_config_root(r.yaml), &s, &e) != 0) {
            fail_msg("%s", e.text);
        }
        assert_sv(s.host, cases[i].host);
        assert_int_equal(s.port, cases[i].port);
        assert_int_equal(s.tls_mode, cases[i].tls);
        assert_sv(s.from_name, cases[i].name);
        assert_sv(s.from_address, "k@x.example");
        assert_sv(s.from_domain, "x.example");
        rig_unbind(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(who_sends_is_said_in_one_way),
        cmocka_unit_test(too_many_addresses),
        cmocka_unit_test(what_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
