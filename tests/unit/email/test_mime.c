/* Headers and bodies: what stands on the wire, and that nothing in a text can be more than text. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/email/mime.h"

#define A20 "aaaaaaaaaaaaaaaaaaaa"

static void check_lines(struct klx_sv text) {
    while (text.n > 0) {
        struct klx_sv line = klx_sv_cut(&text, '\n');
        assert_true(line.n > 0 && line.p[line.n - 1] == '\r');
        assert_in_range(line.n, 1, 77);
        for (size_t i = 0; i + 1 < line.n; i++) {
            assert_in_range(line.p[i], 0x20, 0x7e);
        }
    }
}

static void text_of_a_header(void **state) {
    (void)state;
    static const struct {
        const char *text, *header;
    } cases[] = {
        { "", "Subject:\r\n" },
        { "Node aks-1 (prod-weu)", "Subject: Node aks-1 (prod-weu)\r\n" },
        { " a\r\nBcc: evil@y\r\n\r\n", "Subject: a Bcc: evil@y\r\n" },
        { "a =?UTF-8?Q?b?=", "Subject: =?UTF-8?Q?a_=3D=3FUTF-8=3FQ=3Fb=3F=3D?=\r\n" },
        { "é=_?\t\"", "Subject: =?UTF-8?Q?=C3=A9=3D=5F=3F_=22?=\r\n" },
        { "\xff", "Subject: =?UTF-8?Q?=EF=BF=BD?=\r\n" },
        { "\xE2\x80\xAE evil", "Subject: evil\r\n" },
        { A20 " " A20 " " A20 " " A20, "Subject: " A20 " " A20 " " A20 "\r\n " A20 "\r\n" },
        /* Longer than a line: in encoded words, which may be cut. */
        { A20 A20 A20 A20,
          "Subject: =?UTF-8?Q?" A20 A20 "aaaaaaaaaaaaaaa?=\r\n =?UTF-8?Q?" A20 "aaaaa?=\r\n" },
        /* No word cuts a character: the fourth does not fit. */
        { "漢漢漢漢漢漢漢",
          "Subject: =?UTF-8?Q?=E6=BC=A2=E6=BC=A2=E6=BC=A2=E6=BC=A2=E6=BC=A2=E6=BC="
          "A2?=\r\n =?UTF-8?Q?=E6=BC=A2?=\r\n" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 65536);
        klx_mime_text(&out, "Subject", klx_sv(cases[i].text));
        assert_string_equal(klx_buf_str(&out), cases[i].header);
        check_lines(klx_buf_sv(&out));
    }
}

static void long_text_is_cut(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 1 << 20);
    klx_buf_init(&out, 65536);
    while (text.len < 65536) {
        klx_buf_add_str(&text, "word ");
    }
    klx_mime_text(&out, "X-Klaxon-Event-Id", klx_buf_sv(&text));
    check_lines(klx_buf_sv(&out));
    assert_in_range(out.len, 500, 1000);
    assert_true(klx_sv_ends(klx_buf_sv(&out), KLX_SV("=E2=80=A6?=\r\n")));
}

static void addresses_are_folded_and_never_cut(void **state) {
    (void)state;
    static const struct klx_sv some[] = { KLX_SV("a@x.example"), KLX_SV("b@x.example") };
    static const struct klx_sv wide[] = { KLX_SV(A20 A20 "@x.example"),
                                          KLX_SV(A20 A20 "@x.example") };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 65536);
    klx_mime_tokens(&out, "To", some, 2);
    klx_mime_tokens(&out, "To", wide, 2);
    klx_mime_tokens(&out, "Message-ID", &some[0], 1);
    assert_string_equal(klx_buf_str(&out),
                        "To: a@x.example, b@x.example\r\n"
                        "To: " A20 A20 "@x.example,\r\n " A20 A20 "@x.example\r\n"
                        "Message-ID: a@x.example\r\n");
}

static void the_name_of_a_mailbox_is_no_syntax(void **state) {
    (void)state;
    static const struct {
        const char *name, *header;
    } cases[] = {
        { "", "From: k@x.example\r\n" },
        { "klaxon", "From: \"klaxon\" <k@x.example>\r\n" },
        { "a, b <c@d>, \"e\" \\", "From: \"a, b <c@d>, \\\"e\\\" \\\\\" <k@x.example>\r\n" },
        { "Störung, 24/7", "From: =?UTF-8?Q?St=C3=B6rung=2C_24/7?= <k@x.example>\r\n" },
        { A20 A20 A20, "From: \"" A20 A20 A20 "\"\r\n <k@x.example>\r\n" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 65536);
        klx_mime_mailbox(&out, "From", klx_sv(cases[i].name), KLX_SV("k@x.example"));
        assert_string_equal(klx_buf_str(&out), cases[i].header);
    }
}

static void dates(void **state) {
    (void)state;
    static const struct {
        int64_t us;
        const char *header;
    } cases[] = {
        { 0, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n" },
        { -1, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n" },
        { INT64_MIN, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n" },
        { INT64_C(1773215538999999), "Date: Wed, 11 Mar 2026 07:52:18 +0000\r\n" },
        { INT64_C(1709164799) * KLX_US_PER_S, "Date: Wed, 28 Feb 2024 23:59:59 +0000\r\n" },
        { INT64_C(1709164800) * KLX_US_PER_S, "Date: Thu, 29 Feb 2024 00:00:00 +0000\r\n" },
        { INT64_MAX, "Date: Fri, 31 Dec 9999 23:59:59 +0000\r\n" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 256);
        klx_mime_date(&out, cases[i].us);
        assert_string_equal(klx_buf_str(&out), cases[i].header);
    }
}

static void quoted_printable(void **state) {
    (void)state;
    static const struct {
        const char *text, *encoded;
    } cases[] = {
        { "", "\r\n" },
        { "a\n\nb\n", "a\r\n\r\nb\r\n" },
        { "a=b é", "a=3Db =C3=A9\r\n" },
        { "-- \n", "--=20\r\n" },
        { "From me\nNot From me\n", "=46rom me\r\nNot From me\r\n" },
        { "a\r\nb\tc\x01", "a=0D\r\nb=09c=01\r\n" },
        { ".\n", ".\r\n" },
        /* 76 characters stand on a line, with more behind them 75 and the soft break. */
        { A20 A20 A20 "bbbbbbbbbbbbbbbb", A20 A20 A20 "bbbbbbbbbbbbbbbb\r\n" },
        { A20 A20 A20 "bbbbbbbbbbbbbbbbc", A20 A20 A20 "bbbbbbbbbbbbbbb=\r\nbc\r\n" },
        { A20 A20 A20 "bbbbbbbbbbbbb=", A20 A20 A20 "bbbbbbbbbbbbb=3D\r\n" },
        { A20 A20 A20 "bbbbbbbbbbbbb==", A20 A20 A20 "bbbbbbbbbbbbb=\r\n=3D=3D\r\n" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 65536);
        klx_mime_quoted_printable(&out, klx_sv(cases[i].text));
        assert_string_equal(klx_buf_str(&out), cases[i].encoded);
        check_lines(klx_buf_sv(&out));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_a_header),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(addresses_are_folded_and_never_cut),
        cmocka_unit_test(the_name_of_a_mailbox_is_no_syntax),
        cmocka_unit_test(dates),
        cmocka_unit_test(quoted_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
