/*
 * An arena for the tests of a program: `arena`, between the setup and the teardown of one test or of all.
 */
#pragma once

#include "tests/unit/support/support.h"

#include "lib/base/arena.h"

static struct klx_arena arena;

static inline int arena_setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 64 << 20);
    return 0;
}

static inline int arena_teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)
