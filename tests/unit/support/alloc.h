/*
 * Allocations that fail when a test says so. Linked by the tests of lib/base, where what comes from input may be refused memory; the
 * linker sends their malloc, calloc and realloc here (--wrap, tests/CMakeLists.txt).
 */
#pragma once

/* The n-th allocation from now on fails, and all after it; 0: none does any more. */
void test_fail_allocation(unsigned n);
