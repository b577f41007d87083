/*
 * KLX_CLEANUP(fn): run fn(&variable) when the variable leaves its scope, for locals with several exits.
 */
#pragma once

#define KLX_CLEANUP(fn) __attribute__((cleanup(fn)))
/* Defines fn##_p, the form KLX_CLEANUP wants, for a `void fn(type *)`. */
#define KLX_CLEANUP_DEFINE(type, fn)                                                               \
    static inline void fn##_p(type **p) {                                                          \
        fn(*p);                                                                                    \
    }
/* The number of elements of an array. */
#define KLX_COUNT(array) (sizeof(array) / sizeof((array)[0]))
