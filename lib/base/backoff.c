#include "lib/base/backoff.h"

void klx_backoff_init(struct klx_backoff *b, int64_t floor_ms, int64_t base_ms, int64_t cap_ms) {
    *b = (struct klx_backoff){ .base_ms = base_ms, .cap_ms = cap_ms, .floor_ms = floor_ms };
}

int64_t klx_backoff_next(struct klx_backoff *b, struct klx_clock *clock) {
    int64_t bound = b->cap_ms;
    if (b->attempt < 32 && b->base_ms <= b->cap_ms >> b->attempt) {
        bound = b->base_ms << b->attempt;
    }
    b->attempt++;
    int64_t delay = (int64_t)(clock->random(clock) % ((uint64_t)bound + 1));
    return delay < b->floor_ms ? b->floor_ms : delay;
}

int64_t klx_backoff_next_after(struct klx_backoff *b, struct klx_clock *clock,
                               int64_t retry_after_ms) {
    int64_t delay = klx_backoff_next(b, clock);
    return delay < retry_after_ms ? retry_after_ms : delay;
}

void klx_backoff_reset(struct klx_backoff *b) {
    b->attempt = 0;
}
