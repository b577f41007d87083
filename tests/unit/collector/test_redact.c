/* What looks like a secret in a text of a cluster does not leave; the rest stays as it is. */
#include "tests/unit/support/support.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

static struct klx_arena arena;

static struct klx_sv redacted(const char *text) {
    return klx_redact(&arena, klx_sv(text), 4096);
}

static void what_follows_a_word_is_hidden(void **state) {
    (void)state;
    static const char *const words[] = {
        "password: ",  "passwd=",  "token: ",     "secret=",         "apikey=",
        "api-key: ",   "api_key=", "access-key=", "access_key: ",    "private_key=",
        "Bearer ",     "basic ",   "ToKeN=",      "\"password\":\"", "Authorization: Bearer ",
        "https://me:",
    };
    for (size_t i = 0; i < KLX_COUNT(words); i++) {
        char *text = klx_asprintf("before it %sc0nfidential@x after it", words[i]);
        for (int loud = 0; loud < 2; loud++) {
            struct klx_sv safe = redacted(text);
            if (memmem(safe.p, safe.n, "c0nfidential", 12) != NULL ||
                memmem(safe.p, safe.n, "C0NFIDENTIAL", 12) != NULL) {
                fail_msg("%s became %.*s", text, KLX_SV_FMT(safe));
            }
            assert_non_null(memmem(safe.p, safe.n, loud ? "BEFORE IT " : "before it ", 10));
            assert_non_null(memmem(safe.p, safe.n, loud ? " AFTER IT" : " after it", 9));
            for (char *c = text; *c != '\0'; c++) {
                *c = (char)toupper((unsigned char)*c);
            }
        }
        free(text);
    }
}

static void the_rest_stays(void **state) {
    (void)state;
    static const char *const texts[] = {
        "Successfully pulled image \"registry.example.com/shop/web:7f9c8d5\" in 1.2s",
        "secret \"db\" not found",
        "Back-off restarting failed container app in pod web-0",
        "https://example.com/a?b=c:d@e",
        ": p t s a b",
        "",
    };
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        assert_sv(redacted(texts[i]), texts[i]);
    }
}

static int set_up(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_a_word_is_hidden),
        cmocka_unit_test(the_rest_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
