/* URLs that are credentials: which may be used, and that nothing of them comes back out. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/secret_url.h"

#define SIG "c2lnbmF0dXJlLW9mLWEtZmxvdw%2B%2F_-"
#define SIG_DECODED "c2lnbmF0dXJlLW9mLWEtZmxvdw+/_-"
#define FLOW "/powerautomate/automations/direct/workflows/0123abcd/triggers/manual/paths/invoke"
#define URL                                                                                        \
    "https://x.environment.api.powerplatform.com:443" FLOW                                         \
    "?api-version=2022-03-01-preview&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" SIG

static struct klx_secret_url parse(const char *url) {
    struct klx_secret_url u = { 0 };
    const char *problem = klx_secret_url_parse(klx_sv(url), &u);
    if (problem != NULL) {
        fail_msg("%s %s", url, problem);
    }
    return u;
}

static void a_url_has_its_parts(void **state) {
    (void)state;
    struct klx_secret_url u = parse(URL);
    assert_true(u.https);
    assert_sv(u.host, "x.environment.api.powerplatform.com");
    assert_sv(u.path, FLOW);
    assert_true(klx_sv_starts(u.query, KLX_SV("api-version=")));
    assert_int_equal(u.target.n, u.path.n + 1 + u.query.n);
    assert_sv(klx_secret_url_parameter(&u, KLX_SV("sv")), "1.0");
    assert_sv(klx_secret_url_parameter(&u, KLX_SV("sig")), SIG);
    assert_sv(klx_secret_url_parameter(&u, KLX_SV("si")), "");
    u = parse("http://[::1]:8080");
    assert_false(u.https);
    assert_sv(u.host, "::1");
    assert_sv(u.target, "");
    assert_sv(u.query, "");
    u = parse("HTTPS://host/?a&b=&a=2"); /* the first of a name counts */
    assert_sv(klx_secret_url_parameter(&u, KLX_SV("a")), "");
    assert_sv(klx_secret_url_parameter(&u, KLX_SV("b")), "");
}

static void what_may_not_be_used_says_why(void **state) {
    (void)state;
    static const struct {
        const char *url, *words;
    } cases[] = {
        { "", "is not a URL that begins with https://" },
        { "ftp://host/x", "is not a URL that begins with https://" },
        { "https:///x", "has no host" },
        { "https://:443/x", "has no host" },
        { "https://host?x", "has a host that is not acceptable" },
        { "https://user:x@host/x", "has a host that is not acceptable" },
        { "http://127.0.0.1@evil.example/x", "has a host that is not acceptable" },
        { "http://127.0.0.1\\@evil.example/x", "has a host that is not acceptable" },
        { "http://127.0.0.1#@evil.example/x", "has a host that is not acceptable" },
        { "https://host/x#y", "has a fragment" },
        { "http://host/x", "is http" },
        { "http://127.0.0.1.evil.example/x", "is http" },
        { "http://10.127.0.1/x", "is http" },
        { "https://host/x ", "holds a space" },
        { "https://host/x\nhttps://y", "holds a space, a line end" },
        { "https://host/x\x7f", "holds a space, a line end" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_secret_url u = { 0 };
        const char *problem = klx_secret_url_parse(klx_sv(cases[i].url), &u);
        if (problem == NULL || strstr(problem, cases[i].words) == NULL) {
            fail_msg("%s: %s", cases[i].url, problem != NULL ? problem : "nothing");
        }
        assert_null(u.host.p);
    }
}

static void assert_redacted(const char *answer, const char *url, const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_secret_url_redact(&out, klx_sv(answer), klx_sv(url));
    assert_sv(klx_buf_sv(&out), expected);
}

static void no_part_of_it_comes_out(void **state) {
    (void)state;
    assert_redacted("", URL, "");
    assert_redacted("The workflow 0123abcd is disabled", URL, "The workflow 0123abcd is disabled");
    assert_redacted("POST " URL " failed", URL,
                    "POST https://x.environment.api.powerplatform.com:443… failed");
    assert_redacted("path " FLOW ", signature '" SIG "'", URL, "path …, signature '…'");
    assert_redacted("signature " SIG_DECODED ".", URL, "signature ….");
    assert_redacted("api-version 2022-03-01-preview is old", URL,
                    "api-version 2022-03-01-preview is old");
    assert_redacted("cut off inside of c2lnbmF0dXJl", URL, "cut off inside of …");
    assert_redacted("a short end: c2l", URL, "a short end: c2l");
    assert_redacted("the key 0123456789", "https://host/x?key=0123456789", "the key …");
    assert_redacted("ok /y ok", "https://host/y", "ok … ok");
    assert_redacted("ok / ok", "https://host/", "ok / ok");
    assert_redacted("XyZtoken01 x", "https://host/services/XyZtoken01", "… x");
    assert_redacted("what was said", "no URL", "what was said");
}

static void other_secrets_hide_too(void **state) {
    (void)state;
    static const struct klx_sv secrets[] = { { "Bearer 0123456789", 17 },
                                             { "0123456789", 10 },
                                             { "short", 5 } };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_hide_secrets(&out, KLX_SV("got Bearer 0123456789, 0123456789 and short"), secrets, 3);
    assert_sv(klx_buf_sv(&out), "got …, … and short");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_has_its_parts),
        cmocka_unit_test(what_may_not_be_used_says_why),
        cmocka_unit_test(no_part_of_it_comes_out),
        cmocka_unit_test(other_secrets_hide_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
