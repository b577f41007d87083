/*
 * Deterministic ids: a 128-bit digest (XXH3) over a list of parts, as 32 lower-case hex digits.
 *
 * Each part is preceded by its length, so ("ab","c") and ("a","bc") differ. The result is part of the data format: record ids and
 * incident ids are made of it, and must never change for the same parts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/sv.h"

#define KLX_HASH_TEXT_BYTES 33

/* For tables in memory: never stored. The seed is random where the text is somebody else's. */
uint64_t klx_hash_seeded(struct klx_sv text, uint64_t seed);
void klx_hash_parts(const struct klx_sv *parts, size_t n, char out[static KLX_HASH_TEXT_BYTES]);
