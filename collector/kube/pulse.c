#include "collector/kube/pulse.h"

#define PERIOD_US_MIN 500000 /* whatever is measured: a moment's load is no death */

void klx_pulse_begin(struct klx_pulse *p, int64_t now_us) {
    p->heard_us = now_us;
    p->mark_us = now_us;
    p->measured = false;
}

/* The longest one of the stream counts: the last bookmark comes early, two seconds before the end. */
void klx_pulse_frame(struct klx_pulse *p, bool bookmark, int64_t now_us) {
    p->heard_us = now_us;
    if (!bookmark) {
        return;
    }
    int64_t period_us = now_us - p->mark_us;
    period_us = period_us > PERIOD_US_MIN ? period_us : PERIOD_US_MIN;
    p->period_us = p->measured && p->period_us > period_us ? p->period_us : period_us;
    p->measured = true;
    p->mark_us = now_us;
}

void klx_pulse_excuse(struct klx_pulse *p, int64_t now_us) {
    p->heard_us = now_us;
    p->mark_us = now_us;
}

int64_t klx_pulse_due_us(const struct klx_pulse *p) {
    return p->period_us == 0 ? INT64_MAX : p->heard_us + KLX_PULSE_BEATS * p->period_us;
}

void klx_pulse_lost(struct klx_pulse *p) {
    p->period_us *= 2;
}
