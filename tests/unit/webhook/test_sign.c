/* Signatures, against the vectors of RFC 4231 and of Standard Webhooks. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/hmac.h"
#include "sinks/webhook/sign.h"

static void hmac_is_that_of_rfc_4231(void **state) {
    (void)state;
    static const struct {
        struct klx_sv key, parts[2];
        const char *beginning;
    } cases[] = {
        { { "Jefe", 4 },
          { { "what do ya want ", 16 }, { "for nothing?", 12 } },
          "W9zBRr9gdU5qBCQm" },
        { { NULL, 0 }, { { NULL, 0 }, { NULL, 0 } }, "thNnmggU2ex3L5XX" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        unsigned char digest[KLX_HMAC_BYTES];
        klx_hmac_sha256(cases[i].key, cases[i].parts, 2, digest);
        klx_buf_init(&text, 64);
        klx_base64_add(&text, klx_sv_n((const char *)digest, 12));
        assert_string_equal(klx_buf_str(&text), cases[i].beginning);
    }
}

static void base64_is_read_back(void **state) {
    (void)state;
    static const char *const texts[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        struct klx_buf encoded KLX_CLEANUP(klx_buf_release);
        struct klx_buf back KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&encoded, 64);
        klx_buf_init(&back, 64);
        klx_base64_add(&encoded, klx_sv(texts[i]));
        assert_int_equal(klx_base64_decode(&back, klx_buf_sv(&encoded)), 0);
        assert_string_equal(klx_buf_str(&back), texts[i]);
    }
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 64);
    assert_int_equal(klx_base64_decode(&out, KLX_SV("Zm9v!")), -EINVAL);
    assert_int_equal(klx_base64_decode(&out, KLX_SV("Zm9vY")), -EINVAL);
    assert_int_equal(klx_base64_decode(&out, KLX_SV("Z=9v")), -EINVAL);
}

/* The example of the libraries of Standard Webhooks (standard-webhooks/libraries, tests). */
static void a_signature_is_that_of_standard_webhooks(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1024);
    klx_webhook_sign(&out, KLX_SV("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                     KLX_SV("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                     KLX_SV("{\"test\": 2432232314}"));
    assert_string_equal(klx_buf_str(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    klx_buf_reset(&out);
    klx_webhook_sign(&out, KLX_SV("\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n plain \n"),
                     KLX_SV("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                     KLX_SV("{\"test\": 2432232314}"));
    assert_non_null(
        strstr(klx_buf_str(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,"));
}

static void keys_are_checked(void **state) {
    (void)state;
    struct klx_error e = { 0 };
    assert_int_equal(klx_webhook_sign_check(KLX_SV("a key"), "file x", &e), 0);
    assert_int_equal(klx_webhook_sign_check(KLX_SV("a\nb\nc\nd\n"), "file x", &e), 0);
    assert_int_equal(klx_webhook_sign_check(KLX_SV("a\nb\nc\nd\ne"), "file x", &e), -EINVAL);
    assert_string_equal(e.text, "file x holds 5 keys: expected 1 to 4, one a line");
    assert_int_equal(klx_webhook_sign_check(KLX_SV(" \n"), "file x", &e), -EINVAL);
    assert_int_equal(klx_webhook_sign_check(KLX_SV("whsec_"), "file x", &e), -EINVAL);
    assert_int_equal(klx_webhook_sign_check(KLX_SV("whsec_a!"), "file x", &e), -EINVAL);
    assert_null(strstr(e.text, "a!"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_is_that_of_rfc_4231),
        cmocka_unit_test(base64_is_read_back),
        cmocka_unit_test(a_signature_is_that_of_standard_webhooks),
        cmocka_unit_test(keys_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
