#include "sinks/core/noise/reminders.h"

/* Without looking at the hours. */
static enum klx_due to_tell(const struct klx_incident *i, const struct klx_reminder_rules *r,
                            int64_t *ret_at_us) {
    bool may = !i->resolved && i->event != NULL;
    if (may && (i->waits == KLX_WAITS_FOR_SILENCE || i->waits == KLX_WAITS_FOR_HOURS)) {
        *ret_at_us = i->look_us;
        return KLX_DUE_NEWS;
    }
    if (may && i->waits == KLX_WAITS_TO_ESCALATE && !r->acknowledged && r->escalate_after_us > 0 &&
        i->opened_us != KLX_TIME_NONE) {
        *ret_at_us = i->opened_us + r->escalate_after_us;
        return KLX_DUE_ESCALATION;
    }
    if (may && i->waits == KLX_WAITS_FOR_NOTHING && r->repeat_us > 0 && !r->acknowledged &&
        i->told_us != KLX_TIME_NONE) {
        *ret_at_us = i->told_us + r->repeat_us;
        return KLX_DUE_REMINDER;
    }
    return KLX_DUE_NOTHING;
}

static enum klx_due to_forget(const struct klx_incident *i, int64_t *ret_at_us) {
    if (i->changed_us == KLX_TIME_NONE) {
        return KLX_DUE_NOTHING;
    }
    *ret_at_us = i->changed_us + (i->resolved ? KLX_INCIDENT_KEEP_US : KLX_INCIDENT_STALE_US);
    return KLX_DUE_FORGET;
}

enum klx_due klx_reminders_next(const struct klx_incident *i, const struct klx_reminder_rules *r,
                                int64_t now_us, int64_t *ret_at_us) {
    *ret_at_us = INT64_MAX;
    enum klx_due due = to_tell(i, r, ret_at_us);
    if (due == KLX_DUE_NOTHING) {
        return to_forget(i, ret_at_us);
    }
    if (*ret_at_us < i->look_us) {
        *ret_at_us = i->look_us;
    }
    int64_t at_us = *ret_at_us > now_us ? *ret_at_us : now_us;
    if (klx_hours_are_quiet(r->quiet, i->severity, at_us)) {
        *ret_at_us = klx_hours_until_us(r->quiet, i->severity, at_us);
    }
    return due;
}
