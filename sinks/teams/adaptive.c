#include "sinks/teams/adaptive.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/utf8.h"
#include "sinks/teams/text.h"

#define SEPARATOR " · "
/* Of a message before it is known to fit: every text of a card has a limit, and becomes three times as long at worst. */
#define DRAFT_BYTES_MAX (1u << 20)

/* How much of the card is laid out. */
struct extent {
    size_t facts_n;
    size_t summary_bytes_max;
    size_t links_n;
};

static const char *style_of(const struct klx_card *c) {
    static const char *const styles[] = {
        [KLX_SEVERITY_INFO] = "emphasis",
        [KLX_SEVERITY_WARNING] = "warning",
        [KLX_SEVERITY_CRITICAL] = "attention",
    };
    return c->resolved ? "good" : styles[c->severity];
}

static const char *reason_name(enum klx_notice_reason reason) {
    static const char *const names[] = {
        [KLX_NOTICE_NEWS] = "news",
        [KLX_NOTICE_REMINDER] = "reminder",
        [KLX_NOTICE_ESCALATION] = "escalation",
        [KLX_NOTICE_DIGEST] = "digest",
    };
    return names[reason];
}

static void member_text(struct klx_jw *w, const char *key, struct klx_sv text,
                        void (*add)(struct klx_buf *out, struct klx_sv text)) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, DRAFT_BYTES_MAX);
    add(&b, text);
    klx_jw_member_sv(w, key, klx_buf_sv(&b));
}

static void add_after(struct klx_buf *b, const char *separator, struct klx_sv text) {
    if (text.n > 0) {
        klx_buf_add_str(b, b->len > 0 ? separator : "");
        klx_buf_add_sv(b, text);
    }
}

/* "Critical: Node not ready · opened"; the colour says the severity to the eye only. */
static void add_headline(struct klx_buf *b, const struct klx_card *c) {
    if (klx_card_word(c)[0] != '\0') {
        klx_buf_printf(b, "%s: ", klx_card_word(c));
    }
    klx_buf_add_sv(b, c->title);
}

/* "Critical: Node not ready · Node aks-1 (prod-weu) · opened" */
static void add_line(struct klx_buf *out, const struct klx_card *c) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release), cut KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, DRAFT_BYTES_MAX);
    klx_buf_init(&cut, KLX_TEAMS_LINE_BYTES_MAX + 8);
    add_headline(&line, c);
    add_after(&line, SEPARATOR, c->subject);
    add_after(&line, SEPARATOR, c->resolved ? klx_sv(NULL) : c->state);
    klx_utf8_line(&cut, klx_buf_sv(&line), KLX_TEAMS_LINE_BYTES_MAX);
    klx_teams_add_inert(out, klx_buf_sv(&cut));
}

static void begin(struct klx_jw *w, const char *type) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", type);
}

static void begin_list(struct klx_jw *w, const char *key) {
    klx_jw_key(w, key);
    klx_jw_begin_array(w);
}

/* What ends a list ends the object that it is the last member of. */
static void end_list(struct klx_jw *w) {
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void begin_rich(struct klx_jw *w, const char *spacing) {
    begin(w, "RichTextBlock");
    klx_jw_member_sv_opt(w, "spacing", klx_sv(spacing));
    begin_list(w, "inlines");
}

struct run {
    const char *weight, *size, *font;
    bool subtle;
};

static void write_run(struct klx_jw *w, struct klx_sv text, const struct run *how) {
    begin(w, "TextRun");
    member_text(w, "text", text, klx_teams_add_plain);
    klx_jw_member_sv_opt(w, "weight", klx_sv(how->weight));
    klx_jw_member_sv_opt(w, "size", klx_sv(how->size));
    klx_jw_member_sv_opt(w, "fontType", klx_sv(how->font));
    if (how->subtle) {
        klx_jw_member_bool(w, "isSubtle", true);
    }
    klx_jw_end_object(w);
}

static void write_paragraph(struct klx_jw *w, struct klx_sv text, const char *spacing,
                            const struct run *how) {
    if (text.n > 0) {
        begin_rich(w, spacing);
        write_run(w, text, how);
        end_list(w);
    }
}

static void begin_container(struct klx_jw *w, const char *style, bool bleed) {
    begin(w, "Container");
    klx_jw_member_str(w, "style", style);
    if (bleed) {
        klx_jw_member_bool(w, "bleed", true);
    }
    begin_list(w, "items");
}

static void write_head(struct klx_jw *w, const struct klx_card *c) {
    struct klx_buf title KLX_CLEANUP(klx_buf_release), about KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&title, DRAFT_BYTES_MAX);
    klx_buf_init(&about, DRAFT_BYTES_MAX);
    add_headline(&title, c);
    add_after(&about, SEPARATOR, c->subject);
    add_after(&about, SEPARATOR, c->state);
    begin_container(w, style_of(c), true);
    write_paragraph(w, klx_buf_sv(&title), NULL,
                    &(struct run){ .weight = "Bolder", .size = "Large" });
    write_paragraph(w, klx_buf_sv(&about), "Small", &(struct run){ .weight = "Bolder" });
    end_list(w);
}

static void write_summary(struct klx_jw *w, const struct klx_card *c, size_t bytes_max) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, DRAFT_BYTES_MAX);
    klx_utf8_line(&b, c->summary, bytes_max);
    write_paragraph(w, klx_buf_sv(&b), NULL, &(struct run){ .size = NULL });
}

static void write_facts(struct klx_jw *w, const struct klx_card_fact *facts, size_t n) {
    if (n == 0) {
        return;
    }
    begin(w, "FactSet");
    begin_list(w, "facts");
    for (size_t i = 0; i < n; i++) {
        klx_jw_begin_object(w);
        member_text(w, "title", facts[i].name, klx_teams_add_inert);
        member_text(w, "value", facts[i].value, klx_teams_add_inert);
        klx_jw_end_object(w);
    }
    end_list(w);
}

/* What to do, and the command in a box of its own. */
static void write_advice(struct klx_jw *w, const struct klx_card *c) {
    if (c->advice.n > 0) {
        begin_rich(w, NULL);
        write_run(w, KLX_SV("What to do: "), &(struct run){ .weight = "Bolder" });
        write_run(w, c->advice, &(struct run){ .size = NULL });
        end_list(w);
    }
    if (c->code.n > 0) {
        begin_container(w, "emphasis", false);
        write_paragraph(w, c->code, NULL, &(struct run){ .font = "Monospace" });
        end_list(w);
    }
}

static void add_tag(struct klx_buf *b, const struct klx_teams_mention *m) {
    klx_buf_printf(b, "<at>%.*s</at>", KLX_SV_FMT(m->name));
}

/* The one TextBlock: mentions work there and in facts only. */
static void write_mentions(struct klx_jw *w, const struct klx_teams_envelope *e) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, DRAFT_BYTES_MAX);
    for (size_t i = 0; i < e->mentions_n; i++) {
        klx_buf_add_str(&b, i > 0 ? ", " : "");
        add_tag(&b, &e->mentions[i]);
    }
    if (e->mentions_n > 0) {
        begin(w, "TextBlock");
        klx_jw_member_sv(w, "text", klx_buf_sv(&b));
        klx_jw_member_bool(w, "wrap", true);
        klx_jw_end_object(w);
    }
}

static void add_count(struct klx_buf *b, size_t n, const char *of_one, const char *of_many) {
    if (n > 0) {
        klx_buf_printf(b, "%s%zu more %s", b->len > 0 ? ", " : "", n, n == 1 ? of_one : of_many);
    }
}

static void write_left_out(struct klx_jw *w, const struct klx_card *c, const struct extent *x) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, DRAFT_BYTES_MAX);
    add_count(&b, c->facts_n - x->facts_n, "fact", "facts");
    add_count(&b, c->links_n - x->links_n, "link", "links");
    if (b.len > 0) {
        klx_buf_add_str(&b, " left out: the message would be too long for Teams");
    }
    write_paragraph(w, klx_buf_sv(&b), NULL, &(struct run){ .subtle = true });
}

static void write_entity(struct klx_jw *w, const struct klx_teams_mention *m) {
    struct klx_buf tag KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&tag, DRAFT_BYTES_MAX);
    add_tag(&tag, m);
    begin(w, "mention");
    klx_jw_member_sv(w, "text", klx_buf_sv(&tag));
    klx_jw_key(w, "mentioned");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "id", m->id);
    klx_jw_member_sv(w, "name", m->name);
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_msteams(struct klx_jw *w, const struct klx_teams_envelope *e) {
    klx_jw_key(w, "msteams");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "width", "Full");
    if (e->mentions_n > 0) {
        begin_list(w, "entities");
        for (size_t i = 0; i < e->mentions_n; i++) {
            write_entity(w, &e->mentions[i]);
        }
        klx_jw_end_array(w);
    }
    klx_jw_end_object(w);
}

static void write_actions(struct klx_jw *w, const struct klx_link *links, size_t n) {
    begin_list(w, "actions");
    for (size_t i = 0; i < n; i++) {
        begin(w, "Action.OpenUrl");
        member_text(w, "title", links[i].title, klx_teams_add_plain);
        klx_jw_member_sv(w, "url", links[i].url);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_card(struct klx_jw *w, const struct klx_card *c,
                       const struct klx_teams_envelope *e, const struct extent *x,
                       struct klx_sv line) {
    begin(w, "AdaptiveCard");
    klx_jw_member_str(w, "$schema", "http://adaptivecards.io/schemas/adaptive-card.json");
    klx_jw_member_str(w, "version", "1.4");
    klx_jw_member_sv(w, "fallbackText", line);
    write_msteams(w, e);
    begin_list(w, "body");
    write_head(w, c);
    write_summary(w, c, x->summary_bytes_max);
    write_facts(w, c->facts, x->facts_n);
    write_advice(w, c);
    write_mentions(w, e);
    write_left_out(w, c, x);
    write_paragraph(w, c->footer, NULL, &(struct run){ .size = "Small", .subtle = true });
    klx_jw_end_array(w);
    if (x->links_n > 0) {
        write_actions(w, c->links, x->links_n);
    }
    klx_jw_end_object(w);
}

static void write_klaxon(struct klx_jw *w, const struct klx_card *c, const struct klx_notice *n) {
    /* A digest is of no incident: its event is only the worst of many. */
    static const struct klx_event many = { .phase = KLX_PHASE_NONE };
    const struct klx_event *e = n->reason == KLX_NOTICE_DIGEST ? &many : n->event;
    klx_jw_key(w, "klaxon");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "event", klx_sv_utf8_prefix(e->id, 64));
    klx_jw_member_sv(w, "incident", klx_sv_utf8_prefix(e->incident, 64));
    klx_jw_member_int(w, "number", e->incident_seq);
    klx_jw_member_str(w, "phase", klx_phase_name(e->phase));
    klx_jw_member_str(w, "severity", klx_severity_name(c->severity));
    klx_jw_member_str(w, "reason", reason_name(n->reason));
    klx_jw_member_sv(w, "channel", klx_sv_utf8_prefix(n->channel, 64));
    klx_jw_member_sv(w, "team", klx_sv_utf8_prefix(n->team, 100));
    klx_jw_end_object(w);
}

static void write_message(struct klx_buf *out, const struct klx_card *c,
                          const struct klx_teams_envelope *e, const struct extent *x) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&line, DRAFT_BYTES_MAX);
    add_line(&line, c);
    klx_buf_reset(out);
    klx_jw_init(&w, out);
    begin(&w, "message");
    klx_jw_member_sv(&w, "summary", klx_buf_sv(&line));
    if (e->notice->reason != KLX_NOTICE_DIGEST) {
        klx_jw_member_sv_opt(&w, "replyToId", e->notice->handle);
    }
    write_klaxon(&w, c, e->notice);
    begin_list(&w, "attachments");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "contentType", "application/vnd.microsoft.card.adaptive");
    klx_jw_key(&w, "content");
    write_card(&w, c, e, x, klx_buf_sv(&line));
    klx_jw_end_object(&w);
    end_list(&w);
}

/* False: there is nothing more to leave out. */
static bool leave_out(struct extent *x) {
    if (x->facts_n > 0) {
        x->facts_n--;
    } else if (x->summary_bytes_max > KLX_TEAMS_SHORT_SUMMARY_BYTES_MAX) {
        x->summary_bytes_max = KLX_TEAMS_SHORT_SUMMARY_BYTES_MAX;
    } else if (x->links_n > 0) {
        x->links_n--;
    } else {
        return false;
    }
    return true;
}

void klx_teams_render(const struct klx_card *card, const struct klx_teams_envelope *envelope,
                      struct klx_buf *out) {
    struct klx_buf draft KLX_CLEANUP(klx_buf_release);
    struct extent x = { .facts_n = card->facts_n,
                        .summary_bytes_max = KLX_CARD_SUMMARY_BYTES_MAX,
                        .links_n = card->links_n };
    klx_buf_init(&draft, DRAFT_BYTES_MAX);
    write_message(&draft, card, envelope, &x);
    while (draft.len > KLX_TEAMS_PAYLOAD_BYTES_MAX && leave_out(&x)) {
        write_message(&draft, card, envelope, &x);
    }
    klx_buf_add_sv(out, klx_buf_sv(&draft));
    out->failed = out->failed || draft.failed;
}
