#include "sinks/core/noise/throttle.h"

void klx_throttle_init(struct klx_throttle *t, int64_t messages, int64_t per_us, int64_t burst) {
    *t = (struct klx_throttle){ .full_us = INT64_MIN / 2 };
    if (messages <= 0) {
        return;
    }
    burst = burst > 0 ? burst : messages / 2;
    burst = burst > 0 ? burst : 1;
    int64_t spread = messages > burst ? messages - burst : 1;
    t->every_us = (per_us + spread - 1) / spread;
    t->slack_us = (burst - 1) * t->every_us;
}

int64_t klx_throttle_next_us(const struct klx_throttle *t, int64_t now_us) {
    int64_t at_us = t->full_us - t->slack_us;
    return t->every_us == 0 || at_us < now_us ? now_us : at_us;
}

bool klx_throttle_take(struct klx_throttle *t, int64_t now_us) {
    if (klx_throttle_next_us(t, now_us) > now_us) {
        return false;
    }
    t->full_us = (t->full_us > now_us ? t->full_us : now_us) + t->every_us;
    return true;
}
