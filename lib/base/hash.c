#include "lib/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static void write_hex(uint64_t n, char out[static 16]) {
    for (unsigned i = 0; i < 16; i++) {
        out[i] = "0123456789abcdef"[n >> (60 - 4 * i) & 15];
    }
}

void klx_hash_parts(const struct klx_sv *parts, size_t n, char out[static KLX_HASH_TEXT_BYTES]) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < n; i++) {
        /* Little-endian, whatever the machine: the id is part of the data format. */
        unsigned char length[8];
        for (unsigned b = 0; b < 8; b++) {
            length[b] = (unsigned char)((uint64_t)parts[i].n >> (8 * b));
        }
        XXH3_128bits_update(&state, length, sizeof(length));
        if (parts[i].n > 0) {
            XXH3_128bits_update(&state, parts[i].p, parts[i].n);
        }
    }
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    write_hex(h.high64, out);
    write_hex(h.low64, out + 16);
    out[32] = '\0';
}

uint64_t klx_hash_seeded(struct klx_sv text, uint64_t seed) {
    return XXH3_64bits_withSeed(text.p, text.n, seed);
}
