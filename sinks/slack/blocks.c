#include "sinks/slack/blocks.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/text.h"

#define SEPARATOR " · "

static const char *color_of(const struct klx_card *c) {
    static const char *const colors[] = {
        [KLX_SEVERITY_INFO] = "#439FE0",
        [KLX_SEVERITY_WARNING] = "warning",
        [KLX_SEVERITY_CRITICAL] = "danger",
    };
    return c->resolved ? "good" : colors[c->severity];
}

/* "Warning: Node not ready · Node aks-1 (prod-weu) · opened" */
static void add_line(struct klx_buf *out, const struct klx_card *c) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, KLX_SLACK_PAYLOAD_BYTES_MAX);
    if (klx_card_word(c)[0] != '\0') { /* a lock screen has no colour */
        klx_buf_printf(&line, "%s: ", klx_card_word(c));
    }
    klx_buf_add_sv(&line, c->title);
    klx_buf_add_str(&line, SEPARATOR);
    klx_buf_add_sv(&line, c->subject);
    if (c->state.n > 0 && !c->resolved) {
        klx_buf_add_str(&line, SEPARATOR);
        klx_buf_add_sv(&line, c->state);
    }
    klx_slack_add_inert(out, klx_buf_sv(&line), KLX_SLACK_LINE_UNITS_MAX);
}

static void member_escaped(struct klx_jw *w, const char *key, struct klx_sv text,
                           size_t units_max) {
    struct klx_buf escaped KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&escaped, KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_slack_add_plain(&escaped, text, units_max);
    klx_jw_member_sv(w, key, klx_buf_sv(&escaped));
}

static void write_plain_text(struct klx_jw *w, struct klx_sv text, size_t units_max) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "plain_text");
    member_escaped(w, "text", text, units_max);
    klx_jw_member_bool(w, "emoji", false);
    klx_jw_end_object(w);
}

static void begin_block(struct klx_jw *w, const char *type) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", type);
}

static void write_header(struct klx_jw *w, const struct klx_card *c) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_buf_add_sv(&text, c->title);
    if (c->state.n > 0) {
        klx_buf_add_str(&text, SEPARATOR);
        klx_buf_add_sv(&text, c->state);
    }
    begin_block(w, "header");
    klx_jw_key(w, "text");
    write_plain_text(w, klx_buf_sv(&text), KLX_SLACK_HEADER_UNITS_MAX);
    klx_jw_end_object(w);
}

static void write_fact(struct klx_jw *w, const struct klx_card_fact *f) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_buf_add_sv(&text, f->name);
    klx_buf_add_char(&text, '\n');
    klx_buf_add_sv(&text, f->value);
    write_plain_text(w, klx_buf_sv(&text), KLX_SLACK_FIELD_UNITS_MAX);
}

/* A summary (may be empty) and at most ten facts: the two columns of a section. */
static void write_section(struct klx_jw *w, struct klx_sv summary,
                          const struct klx_card_fact *facts, size_t n) {
    if (summary.n == 0 && n == 0) {
        return;
    }
    begin_block(w, "section");
    if (summary.n > 0) {
        klx_jw_key(w, "text");
        write_plain_text(w, summary, KLX_SLACK_SECTION_UNITS_MAX);
    }
    if (n > 0) {
        klx_jw_key(w, "fields");
        klx_jw_begin_array(w);
        for (size_t i = 0; i < n; i++) {
            write_fact(w, &facts[i]);
        }
        klx_jw_end_array(w);
    }
    klx_jw_end_object(w);
}

static void write_body(struct klx_jw *w, const struct klx_card *c, size_t facts_n) {
    size_t first = facts_n < KLX_SLACK_FIELDS_MAX ? facts_n : KLX_SLACK_FIELDS_MAX;
    write_section(w, c->summary, c->facts, first);
    for (size_t i = first; i < facts_n; i += KLX_SLACK_FIELDS_MAX) {
        size_t left = facts_n - i;
        write_section(w, klx_sv(NULL), &c->facts[i],
                      left < KLX_SLACK_FIELDS_MAX ? left : KLX_SLACK_FIELDS_MAX);
    }
}

static void write_run(struct klx_jw *w, struct klx_sv text, bool bold) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "text");
    member_escaped(w, "text", text, KLX_SLACK_SECTION_UNITS_MAX);
    if (bold) {
        klx_jw_key(w, "style");
        klx_jw_begin_object(w);
        klx_jw_member_bool(w, "bold", true);
        klx_jw_end_object(w);
    }
    klx_jw_end_object(w);
}

static void begin_rich(struct klx_jw *w, const char *type) {
    begin_block(w, type);
    klx_jw_key(w, "elements");
    klx_jw_begin_array(w);
}

static void end_rich(struct klx_jw *w) {
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_link(struct klx_jw *w, struct klx_sv url, struct klx_sv title) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "link");
    klx_jw_member_sv(w, "url", url);
    member_escaped(w, "text", title, KLX_SLACK_SECTION_UNITS_MAX);
    klx_jw_end_object(w);
}

/* What to do, the pages to look at, and the command in a box of its own, where Slack offers to copy it. */
static void write_advice(struct klx_jw *w, const struct klx_card *c) {
    if (c->advice.n == 0 && c->code.n == 0 && c->links_n == 0) {
        return;
    }
    begin_rich(w, "rich_text");
    if (c->advice.n > 0) {
        begin_rich(w, "rich_text_section");
        write_run(w, KLX_SV("What to do: "), true);
        write_run(w, c->advice, false);
        end_rich(w);
    }
    if (c->links_n > 0) {
        begin_rich(w, "rich_text_section");
        for (size_t i = 0; i < c->links_n; i++) {
            if (i > 0) {
                write_run(w, KLX_SV(SEPARATOR), false);
            }
            write_link(w, c->links[i].url, c->links[i].title);
        }
        end_rich(w);
    }
    if (c->code.n > 0) {
        begin_rich(w, "rich_text_preformatted");
        write_run(w, c->code, false);
        end_rich(w);
    }
    end_rich(w);
}

static void write_footer(struct klx_jw *w, const struct klx_card *c, size_t left_out) {
    char note[96];
    int n = snprintf(note, sizeof(note),
                     "%zu more %s left out: the message would be too long for Slack", left_out,
                     left_out == 1 ? "fact was" : "facts were");
    if (left_out == 0 && c->footer.n == 0) {
        return;
    }
    begin_rich(w, "context");
    if (left_out > 0) {
        write_plain_text(w, klx_sv_n(note, (size_t)n), KLX_SLACK_FOOTER_UNITS_MAX);
    }
    if (c->footer.n > 0) {
        write_plain_text(w, c->footer, KLX_SLACK_FOOTER_UNITS_MAX);
    }
    end_rich(w);
}

static void write_blocks(struct klx_buf *out, const struct klx_card *c, size_t facts_n) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_array(&w);
    write_header(&w, c);
    write_body(&w, c, facts_n);
    write_advice(&w, c);
    write_footer(&w, c, c->facts_n - facts_n);
    klx_jw_end_array(&w);
}

/* As many facts as fit. Without any the rest always fits: each of its texts has a limit. */
static void write_blocks_that_fit(struct klx_buf *out, const struct klx_card *c) {
    size_t facts_n = c->facts_n;
    write_blocks(out, c, facts_n);
    while (klx_slack_units(klx_buf_sv(out)) > KLX_SLACK_BLOCKS_UNITS_MAX && facts_n > 0) {
        facts_n--;
        klx_buf_reset(out);
        write_blocks(out, c, facts_n);
    }
}

static void begin_message(struct klx_jw *w, struct klx_buf *out, struct klx_sv text) {
    klx_jw_init(w, out);
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "text", text);
    klx_jw_member_bool(w, "unfurl_links", false);
    klx_jw_member_bool(w, "unfurl_media", false);
}

/* The line and the bar's colour say the rest. */
static void write_brief_blocks(struct klx_buf *out, const struct klx_card *c) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_array(&w);
    if (c->summary.n == 0) {
        write_header(&w, c);
    }
    write_section(&w, c->summary, NULL, 0);
    write_footer(&w, c, 0);
    klx_jw_end_array(&w);
}

static void write_attachments(struct klx_jw *w, const struct klx_card *c,
                              void (*write)(struct klx_buf *out, const struct klx_card *c)) {
    struct klx_buf blocks KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&blocks, (size_t)4 * KLX_SLACK_PAYLOAD_BYTES_MAX);
    write(&blocks, c);
    klx_jw_key(w, "attachments");
    klx_jw_begin_array(w);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "color", color_of(c));
    klx_jw_key(w, "blocks");
    klx_jw_raw(w, klx_buf_sv(&blocks));
    klx_jw_end_object(w);
    klx_jw_end_array(w);
    w->out->failed = w->out->failed || blocks.failed;
}

void klx_slack_render(const struct klx_card *card, struct klx_buf *out) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&line, KLX_SLACK_PAYLOAD_BYTES_MAX);
    add_line(&line, card);
    begin_message(&w, out, klx_buf_sv(&line));
    write_attachments(&w, card, write_blocks_that_fit);
    klx_jw_end_object(&w);
    out->failed = out->failed || line.failed;
}

void klx_slack_write_members(struct klx_jw *w, const struct klx_card *card, bool brief) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, KLX_SLACK_PAYLOAD_BYTES_MAX);
    add_line(&line, card);
    klx_jw_member_sv(w, "text", klx_buf_sv(&line));
    write_attachments(w, card, brief ? write_brief_blocks : write_blocks_that_fit);
}

/* The text of the first section of a rendered message; empty when there is none. */
static struct klx_sv summary_of(const struct klx_json *message) {
    const struct klx_json *attachment = klx_json_first(klx_json_get(message, "attachments"));
    const struct klx_json *b = klx_json_first(klx_json_get(attachment, "blocks"));
    for (; b != NULL; b = klx_json_next(b)) {
        if (klx_sv_eq(klx_json_str(b, "type"), KLX_SV("section"))) {
            return klx_json_str(b, "text.text");
        }
    }
    return klx_sv(NULL);
}

void klx_slack_add_plain_text(struct klx_buf *out, const struct klx_json *message) {
    klx_buf_add_sv(out, klx_json_str(message, "text")); /* inert already */
    klx_buf_add_str(out, SEPARATOR);
    klx_slack_add_inert_escaped(out, summary_of(message), KLX_SLACK_FALLBACK_UNITS_MAX);
}

static void write_plain(const struct klx_json *message, struct klx_buf *out) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_slack_add_plain_text(&text, message);
    begin_message(&w, out, klx_buf_sv(&text));
    klx_jw_end_object(&w);
}

int klx_slack_render_plain(struct klx_sv message, struct klx_buf *out) {
    struct klx_arena arena;
    const struct klx_json *parsed = NULL;
    klx_arena_init(&arena, 16384, 1 << 20);
    int rc = klx_json_parse(&arena, message, NULL, &parsed, NULL);
    if (rc == 0 && klx_json_str(parsed, "text").n == 0) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        write_plain(parsed, out);
    }
    klx_arena_release(&arena);
    return rc != 0 ? rc : klx_buf_check(out);
}
