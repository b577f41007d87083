#include "tests/unit/support/support.h"

#include "cli/mime_part.h"
#include "lib/base/cleanup.h"
#include "sinks/email/mime.h"

static void make(struct klx_buf *mail, const char *text, const char *html) {
    klx_buf_add_str(mail, "Subject: text/html\r\nContent-Type: multipart/alternative;\r\n"
                          " boundary=\"=_klaxon_1\"\r\n\r\n--=_klaxon_1\r\n"
                          "Content-Type: text/plain; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    klx_mime_quoted_printable(mail, klx_sv(text));
    klx_buf_add_str(mail, "\r\n--=_klaxon_1\r\nContent-Type: text/html; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    klx_mime_quoted_printable(mail, klx_sv(html));
    klx_buf_add_str(mail, "\r\n--=_klaxon_1--\r\n");
}

static const char html[] =
    "<p title=\"a=b\">Knoten \xC3\xBC"
    "berlastet, "
    "und diese Zeile ist l\xC3\xA4nger als sechsundsiebzig Zeichen, also umgebrochen.</p>\n"
    "--=_klaxon_1 is text\n";

static void each_part_comes_back_as_it_was(void **state) {
    (void)state;
    struct klx_buf mail KLX_CLEANUP(klx_buf_release), out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&mail, 65536);
    klx_buf_init(&out, 65536);
    make(&mail, "Hello,\n\nworld = 1\n", html);
    assert_true(klx_mime_part(klx_buf_sv(&mail), "text/html", &out));
    assert_string_equal(klx_buf_str(&out), html);
    klx_buf_reset(&out);
    assert_true(klx_mime_part(klx_buf_sv(&mail), "text/plain", &out));
    assert_string_equal(klx_buf_str(&out), "Hello,\n\nworld = 1\n");
}

static void what_is_no_mail_has_no_part(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 65536);
    assert_false(klx_mime_part(KLX_SV(""), "text/html", &out));
    assert_false(
        klx_mime_part(KLX_SV("{\"text\":\"Content-Type: text/html\"}"), "text/html", &out));
    assert_false(
        klx_mime_part(KLX_SV("Content-Type: text/html\r\n\r\nx\r\n--=_"), "text/html", &out));
    assert_true(
        klx_mime_part(KLX_SV("\r\n--=_\r\nContent-Type: text/html\r\n\r\na=4"), "text/html", &out));
    assert_string_equal(klx_buf_str(&out), "a=4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_mail_has_no_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
