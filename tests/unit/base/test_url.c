#include "lib/base/url.h"

#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

static void only_plain_addresses_are_links(void **state) {
    (void)state;
    static const struct {
        const char *url;
        bool wanted;
    } cases[] = {
        { "https://argocd.example.com", true },
        { "http://argocd:8080/ui/applications/a/b?view=tree#x", true },
        { "https://[::1]:8080/", true },
        { "https://h/%2F", true },
        { "", false },
        { "https://", false },
        { "https:///path", false },
        { "https://:80/", false },
        { "ftp://h/", false },
        { "javascript:alert(1)", false },
        { "HTTPS://h/", false },
        { "https://user@h/", false },
        { "https://user:secret@h/", false },
        { "https://h/a@b", true },
        { "https://h/a b", false },
        { "https://h/\"onclick=", false },
        { "https://h/'", false },
        { "https://h/<b>", false },
        { "https://h/\n", false },
        { "https://h/|x", false },
        { "https://h/\xc3\xa4", false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        if (klx_url_is_link(klx_sv(cases[i].url)) != cases[i].wanted) {
            fail_msg("%s", cases[i].url);
        }
    }
    char longest[KLX_URL_LINK_BYTES_MAX + 2] = "https://h/";
    memset(longest + 10, 'a', sizeof(longest) - 11);
    assert_false(klx_url_is_link(klx_sv(longest)));
    assert_true(klx_url_is_link(klx_sv_n(longest, KLX_URL_LINK_BYTES_MAX)));
}

static void a_segment_stays_one(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 200);
    klx_url_add_encoded(&out, KLX_SV("shop-1._~/../?#%&\xff"));
    assert_string_equal(klx_buf_str(&out), "shop-1._~%2F..%2F%3F%23%25%26%FF");
}

static void an_authority_is_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *authority, *host, *port;
    } cases[] = { { "mail", "mail", "" },
                  { "mail:587", "mail", "587" },
                  { "[::1]:25", "::1", "25" },
                  { "[::1]", "::1", "" },
                  { "", "", "" } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_sv port = klx_sv("?");
        assert_true(
            klx_sv_eq(klx_url_host(klx_sv(cases[i].authority), &port), klx_sv(cases[i].host)));
        assert_true(klx_sv_eq(port, klx_sv(cases[i].port)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_plain_addresses_are_links),
        cmocka_unit_test(a_segment_stays_one),
        cmocka_unit_test(an_authority_is_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
