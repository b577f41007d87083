/*
 * Messages as tests see them, checked against what Teams takes. The numbers and names are Microsoft's, written down again, so that a mistake in
 * sinks/teams is found. The stage (tests/stage/teams_rules.py) checks the golden files by the whole schema.
 */
#pragma once

#include "tests/unit/support/json_payload.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/url.h"
#include "sinks/core/card.h"

static inline bool message_is_one_of(struct klx_sv s, const char *const *names) {
    for (; *names != NULL; names++) {
        if (klx_sv_eq(s, klx_sv(*names))) {
            return true;
        }
    }
    return false;
}

static inline void message_only_has(const struct klx_json *object, const char *const *names) {
    assert_true(klx_json_is_object(object));
    for (const struct klx_json *m = klx_json_first(object); m != NULL; m = klx_json_next(m)) {
        if (!message_is_one_of(klx_json_key(m), names)) {
            fail_msg("there is no property %.*s", KLX_SV_FMT(klx_json_key(m)));
        }
    }
}
#define MESSAGE_ONLY_HAS(object, ...)                                                              \
    message_only_has(object, (const char *const[]){ __VA_ARGS__, NULL })

/* Nothing that Teams acts on in a text without markdown. */
static inline void message_check_plain(struct klx_sv text) {
    assert_true(text.n > 0);
    for (size_t i = 0; i < text.n; i++) {
        struct klx_sv rest = klx_sv_n(text.p + i, text.n - i);
        assert_false(rest.n >= 3 && klx_sv_eq_nocase(klx_sv_n(rest.p, 3), KLX_SV("<at")));
        assert_false(klx_sv_starts(rest, KLX_SV("{{")));
        assert_false(text.p[i] == '\n' || text.p[i] == '\r');
    }
}

/* Nor in one with it. */
static inline void message_check_inert(struct klx_sv text) {
    message_check_plain(text);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (strchr("*`~[]<>&\\", c) != NULL) {
            fail_msg("%c may act in %.*s", c, KLX_SV_FMT(text));
        }
        bool inside = i > 0 && i + 1 < text.n && isalnum((unsigned char)text.p[i - 1]) != 0 &&
                      isalnum((unsigned char)text.p[i + 1]) != 0;
        assert_true(c != '_' || inside);
    }
    assert_true(strchr("#", text.p[0]) == NULL);
    assert_false(text.n > 1 && strchr("-+", text.p[0]) != NULL && text.p[1] == ' ');
}

static inline void message_check_rich(const struct klx_json *o) {
    const struct klx_json *run = klx_json_first(klx_json_get(o, "inlines"));
    MESSAGE_ONLY_HAS(o, "type", "spacing", "inlines");
    assert_non_null(run);
    for (; run != NULL; run = klx_json_next(run)) {
        MESSAGE_ONLY_HAS(run, "type", "text", "weight", "size", "fontType", "isSubtle");
        assert_sv(klx_json_str(run, "type"), "TextRun");
        message_check_plain(klx_json_str(run, "text"));
    }
}

static inline void message_check_facts(const struct klx_json *o) {
    const struct klx_json *fact = klx_json_first(klx_json_get(o, "facts"));
    MESSAGE_ONLY_HAS(o, "type", "facts");
    assert_non_null(fact);
    for (; fact != NULL; fact = klx_json_next(fact)) {
        MESSAGE_ONLY_HAS(fact, "title", "value");
        assert_true(klx_json_is_string(klx_json_get(fact, "title")));
        assert_true(klx_json_is_string(klx_json_get(fact, "value")));
        message_check_inert(klx_json_str(fact, "title"));
        message_check_inert(klx_json_str(fact, "value"));
    }
}

/* The one place with markup: tags of people, who must all be entities, in the same order. */
static inline void message_check_mentions(const struct klx_json *o, const struct klx_json *card) {
    struct klx_sv text = klx_json_str(o, "text");
    const struct klx_json *entity = klx_json_first(klx_json_get(card, "msteams.entities"));
    MESSAGE_ONLY_HAS(o, "type", "text", "wrap");
    assert_true(klx_json_bool(o, "wrap", false));
    for (; entity != NULL; entity = klx_json_next(entity)) {
        struct klx_sv tag = klx_json_str(entity, "text");
        assert_true(klx_sv_starts(text, tag));
        text = klx_sv_n(text.p + tag.n, text.n - tag.n);
        text = klx_sv_starts(text, KLX_SV(", ")) ? klx_sv_n(text.p + 2, text.n - 2) : text;
        assert_sv(klx_json_str(entity, "type"), "mention");
        assert_true(klx_json_str(entity, "mentioned.id").n > 0);
        assert_true(klx_json_str(entity, "mentioned.name").n == tag.n - strlen("<at></at>"));
    }
    assert_int_equal(text.n, 0);
}

static inline void message_check_element(const struct klx_json *o, const struct klx_json *card) {
    static const char *const styles[] = { "emphasis", "good", "warning", "attention", NULL };
    struct klx_sv type = klx_json_str(o, "type");
    if (klx_sv_eq(type, KLX_SV("Container"))) {
        const struct klx_json *item = klx_json_first(klx_json_get(o, "items"));
        MESSAGE_ONLY_HAS(o, "type", "style", "bleed", "items");
        assert_true(message_is_one_of(klx_json_str(o, "style"), styles));
        assert_non_null(item);
        for (; item != NULL; item = klx_json_next(item)) {
            message_check_element(item, card);
        }
    } else if (klx_sv_eq(type, KLX_SV("RichTextBlock"))) {
        message_check_rich(o);
    } else if (klx_sv_eq(type, KLX_SV("FactSet"))) {
        message_check_facts(o);
    } else {
        assert_sv(type, "TextBlock");
        message_check_mentions(o, card);
    }
}

static inline void message_check_actions(const struct klx_json *actions) {
    const struct klx_json *a = klx_json_first(actions);
    assert_true(actions == NULL || a != NULL);
    for (; a != NULL; a = klx_json_next(a)) {
        MESSAGE_ONLY_HAS(a, "type", "title", "url");
        assert_sv(klx_json_str(a, "type"), "Action.OpenUrl");
        assert_true(klx_url_is_link(klx_json_str(a, "url")));
        message_check_plain(klx_json_str(a, "title"));
    }
}

static inline const struct klx_json *message_card(const struct klx_json *message) {
    return klx_json_get(klx_json_first(klx_json_get(message, "attachments")), "content");
}

/* Everything that a message of ours must keep to. */
static inline void message_check(struct klx_sv text, const struct klx_json *message) {
    const struct klx_json *attachment = klx_json_first(klx_json_get(message, "attachments"));
    const struct klx_json *card = message_card(message);
    const struct klx_json *o = klx_json_first(klx_json_get(card, "body"));
    assert_in_range(text.n, 1, 14000);
    MESSAGE_ONLY_HAS(message, "type", "summary", "replyToId", "klaxon", "attachments");
    assert_sv(klx_json_str(message, "type"), "message");
    message_check_inert(klx_json_str(message, "summary"));
    assert_non_null(attachment);
    assert_null(klx_json_next(attachment));
    MESSAGE_ONLY_HAS(attachment, "contentType", "content");
    assert_sv(klx_json_str(attachment, "contentType"), "application/vnd.microsoft.card.adaptive");
    MESSAGE_ONLY_HAS(card, "type", "$schema", "version", "fallbackText", "msteams", "body",
                     "actions");
    assert_sv(klx_json_str(card, "type"), "AdaptiveCard");
    assert_sv(klx_json_str(card, "version"), "1.4");
    assert_sv(klx_json_str(card, "msteams.width"), "Full");
    message_check_inert(klx_json_str(card, "fallbackText"));
    assert_non_null(o);
    for (; o != NULL; o = klx_json_next(o)) {
        message_check_element(o, card);
    }
    message_check_actions(klx_json_get(card, "actions"));
}
