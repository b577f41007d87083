#include "sinks/slack/bot_message.h"

#include "sinks/slack/blocks.h"

#define METADATA_ID_BYTES_MAX 255 /* an event of another producer may have any id */

static const char *why(const struct klx_card *c, const struct klx_notice *n) {
    if (n->reason == KLX_NOTICE_REMINDER || n->reason == KLX_NOTICE_ESCALATION) {
        return "again";
    }
    return c->resolved ? "resolved" : "news";
}

static void member_id(struct klx_jw *w, const char *key, struct klx_sv id) {
    if (id.n <= METADATA_ID_BYTES_MAX) {
        klx_jw_member_sv_opt(w, key, id);
    }
}

/* Flat, of strings: Slack takes nothing else. */
static void write_metadata(struct klx_jw *w, const struct klx_notice *n) {
    klx_jw_key(w, "metadata");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "event_type", "klaxon_event");
    klx_jw_key(w, "event_payload");
    klx_jw_begin_object(w);
    member_id(w, "id", n->event->id);
    member_id(w, "incident", n->event->incident);
    klx_jw_member_sv_opt(w, "phase", klx_sv(klx_phase_name(n->event->phase)));
    klx_jw_member_str(w, "severity", klx_severity_name(n->event->severity));
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_message(struct klx_jw *w, const char *key, const struct klx_card *c,
                          const struct klx_notice *n, bool brief) {
    klx_jw_key(w, key);
    klx_jw_begin_object(w);
    klx_slack_write_members(w, c, brief);
    write_metadata(w, n);
    klx_jw_end_object(w);
}

void klx_slack_render_bot(const struct klx_card *card, const struct klx_notice *notice,
                          bool whole_reply, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "severity", klx_severity_name(card->severity));
    klx_jw_member_str(&w, "why", why(card, notice));
    write_message(&w, "message", card, notice, false);
    if (!whole_reply) {
        write_message(&w, "reply", card, notice, true);
    }
    klx_jw_end_object(&w);
}
