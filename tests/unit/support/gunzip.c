#include "tests/unit/support/gunzip.h"

#include <zlib.h>

#include "tests/unit/support/support.h"

void test_gunzip(struct klx_buf *out, struct klx_sv gz) {
    unsigned char chunk[4096];
    z_stream z = { .next_in = (z_const Bytef *)gz.p, .avail_in = (uInt)gz.n };
    int rc = inflateInit2(&z, 15 + 16);
    while (rc == Z_OK) {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        rc = inflate(&z, Z_NO_FLUSH);
        klx_buf_add(out, chunk, sizeof(chunk) - z.avail_out);
    }
    assert_int_equal(rc, Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
}
