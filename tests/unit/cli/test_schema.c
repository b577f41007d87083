#include "tests/unit/support/support.h"

#include "cli/schema.h"
#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "sinks/core/sink.h"

/* Made of the tables: a key that is added there is in the editors' schema with the next update of it (KLX_GOLDEN_UPDATE=1). */
static void the_schema_that_is_shipped_is_that_of_the_tables(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1u << 20);
    klx_schema_write(&out, KLX_SCHEMA_MAIN);
    assert_int_equal(klx_buf_check(&out), 0);
    golden_check("../../schema/klaxon.schema.json", klx_buf_sv(&out));
}

static void every_key_of_a_channel_is_in_it(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_arena arena;
    const struct klx_json *schema = NULL;
    klx_buf_init(&out, 1u << 20);
    klx_arena_init(&arena, 65536, 8u << 20);
    klx_schema_write(&out, KLX_SCHEMA_MAIN);
    assert_int_equal(klx_json_parse(&arena, klx_buf_sv(&out), NULL, &schema, NULL), 0);
    const struct klx_json *email =
        klx_json_get(schema, "definitions.channel.properties.email.properties");
    size_t n = 0;
    for (const struct klx_config_field *f = klx_sink_email.fields; f->key != NULL; f++) {
        assert_non_null(klx_json_member(email, klx_sv(f->key)));
        n++;
    }
    for (const struct klx_json *c = klx_json_first(email); c != NULL; c = klx_json_next(c)) {
        n--;
    }
    assert_int_equal(n, 0);
    klx_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_that_is_shipped_is_that_of_the_tables),
        cmocka_unit_test(every_key_of_a_channel_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
