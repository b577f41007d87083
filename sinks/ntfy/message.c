#include "sinks/ntfy/message.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "sinks/ntfy/limits.h"

#define SEPARATOR " · "
#define CUT_MARK "\xE2\x80\xA6" /* … */
#define TEXT_BYTES_MAX 65536    /* of a message before it is known to fit */

/* How much of a card is shown. */
struct extent {
    size_t facts_n;
    bool links; /* but for the first, which is what a tap opens */
};

/* 1 to 5: from "high" on a phone makes itself heard (docs.ntfy.sh/publish/#message-priority). */
static int64_t priority_of(const struct klx_card *c) {
    static const int64_t priorities[] = {
        [KLX_SEVERITY_INFO] = 3,
        [KLX_SEVERITY_WARNING] = 4,
        [KLX_SEVERITY_CRITICAL] = 5,
    };
    return c->resolved ? 3 : priorities[c->severity];
}

/* The short code of the emoji before the title, or NULL. */
static const char *emoji_of(const struct klx_card *c) {
    static const char *const emojis[] = {
        [KLX_SEVERITY_INFO] = NULL,
        [KLX_SEVERITY_WARNING] = "warning",
        [KLX_SEVERITY_CRITICAL] = "rotating_light",
    };
    return c->resolved ? "white_check_mark" : emojis[c->severity];
}

/* On one line, so that no text looks like a line of ours. */
static void add_flat(struct klx_buf *out, struct klx_sv text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        klx_buf_add_char(out, c == '\n' || c == '\r' || c == '\t' ? ' ' : c);
    }
}

static void add_line(struct klx_buf *out, const char *before, struct klx_sv text) {
    if (text.n > 0) {
        klx_buf_add_str(out, out->len > 0 ? "\n" : "");
        klx_buf_add_str(out, before);
        add_flat(out, text);
    }
}

static void add_named(struct klx_buf *out, struct klx_sv name, struct klx_sv text) {
    add_line(out, "", name);
    klx_buf_add_str(out, ": ");
    add_flat(out, text);
}

/* "Critical: Node not ready · update 3" */
static void add_title(struct klx_buf *out, const struct klx_card *c) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, TEXT_BYTES_MAX);
    if (klx_card_word(c)[0] != '\0') {
        klx_buf_printf(&line, "%s: ", klx_card_word(c));
    }
    add_flat(&line, c->title);
    if (c->state.n > 0 && !c->resolved) {
        klx_buf_add_str(&line, SEPARATOR);
        add_flat(&line, c->state);
    }
    struct klx_sv text = klx_buf_sv(&line);
    if (text.n > KLX_NTFY_TITLE_BYTES_MAX) {
        klx_buf_add_sv(out, klx_sv_utf8_prefix(text, KLX_NTFY_TITLE_BYTES_MAX - strlen(CUT_MARK)));
        klx_buf_add_str(out, CUT_MARK);
        return;
    }
    klx_buf_add_sv(out, text);
}

static void add_left_out(struct klx_buf *out, const struct klx_card *c,
                         const struct extent *extent) {
    size_t facts = c->facts_n - extent->facts_n;
    bool links = !extent->links && c->links_n > 1;
    if (facts > 0 || links) {
        klx_buf_printf(out, "\nLeft out, or the message would be too long for ntfy: %zu %s%s",
                       facts, facts == 1 ? "fact" : "facts", links ? ", links" : "");
    }
}

static void add_message(struct klx_buf *out, const struct klx_card *c,
                        const struct extent *extent) {
    add_line(out, "", c->subject);
    add_line(out, "", c->summary);
    klx_buf_add_str(out, extent->facts_n > 0 ? "\n" : "");
    for (size_t i = 0; i < extent->facts_n; i++) {
        add_named(out, c->facts[i].name, c->facts[i].value);
    }
    add_left_out(out, c, extent);
    klx_buf_add_str(out, c->advice.n > 0 || c->code.n > 0 ? "\n" : "");
    add_line(out, "What to do: ", c->advice);
    add_line(out, "$ ", c->code);
    for (size_t i = 1; extent->links && i < c->links_n; i++) {
        add_named(out, c->links[i].title, c->links[i].url);
    }
    klx_buf_add_str(out, c->footer.n > 0 ? "\n" : "");
    add_line(out, "", c->footer);
}

static void write_tags(struct klx_jw *w, const struct klx_card *card,
                       const struct klx_ntfy_config *c) {
    const char *emoji = emoji_of(card);
    if (emoji == NULL && c->tags.n == 0) {
        return;
    }
    klx_jw_key(w, "tags");
    klx_jw_begin_array(w);
    if (emoji != NULL) {
        klx_jw_str(w, emoji);
    }
    for (size_t i = 0; i < c->tags.n; i++) {
        klx_jw_sv(w, c->tags.items[i]);
    }
    klx_jw_end_array(w);
}

/* Whether it fits. */
static bool try_extent(const struct klx_card *card, const struct klx_ntfy_config *c,
                       const struct extent *extent, struct klx_buf *out) {
    struct klx_buf title KLX_CLEANUP(klx_buf_release);
    struct klx_buf message KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&title, TEXT_BYTES_MAX);
    klx_buf_init(&message, TEXT_BYTES_MAX);
    add_title(&title, card);
    add_message(&message, card, extent);
    klx_buf_reset(out);
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "topic", c->topic);
    klx_jw_member_sv(&w, "title", klx_buf_sv(&title));
    klx_jw_member_sv(&w, "message", klx_buf_sv(&message));
    klx_jw_member_int(&w, "priority", priority_of(card));
    write_tags(&w, card, c);
    klx_jw_member_sv_opt(&w, "click", card->link);
    klx_jw_end_object(&w);
    return !message.failed && message.len <= KLX_NTFY_MESSAGE_BYTES_MAX &&
           klx_buf_check(out) == 0 && out->len <= KLX_NTFY_PAYLOAD_BYTES_MAX;
}

void klx_ntfy_render(const struct klx_card *card, const struct klx_ntfy_config *c,
                     struct klx_buf *out) {
    struct klx_buf payload KLX_CLEANUP(klx_buf_release);
    struct extent extent = { .facts_n = card->facts_n, .links = true };
    klx_buf_init(&payload, TEXT_BYTES_MAX);
    bool fits = try_extent(card, c, &extent, &payload);
    extent.links = false;
    while (!fits && !(fits = try_extent(card, c, &extent, &payload)) && extent.facts_n > 0) {
        extent.facts_n--;
    }
    klx_buf_add_sv(out, klx_buf_sv(&payload));
}
