/*
 * Payloads as tests see them, checked against what Slack takes. The numbers are Slack's, written
 * down again, so that a mistake in sinks/slack/limits.h is found.
 */
#pragma once

#include "tests/unit/support/json_payload.h"

#include <string.h>

#include "lib/base/url.h"

static inline size_t payload_units(struct klx_sv s) {
    size_t units = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        units += c < 0x80 || c >= 0xC0 ? (c >= 0xF0 ? 2 : 1) : 0;
    }
    return units;
}

/* No < or >, and no & but of an entity. */
static inline void payload_assert_escaped(struct klx_sv text) {
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;" };
    for (size_t i = 0; i < text.n; i++) {
        struct klx_sv rest = klx_sv_n(text.p + i, text.n - i);
        bool entity = false;
        for (size_t k = 0; k < 3; k++) {
            entity = entity || klx_sv_starts(rest, klx_sv(entities[k]));
        }
        if (text.p[i] == '<' || text.p[i] == '>' || (text.p[i] == '&' && !entity)) {
            fail_msg("not escaped: %.*s", KLX_SV_FMT(rest));
        }
    }
}

/* The line above the blocks is mrkdwn. */
static inline void payload_assert_inert(struct klx_sv text) {
    payload_assert_escaped(text);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], after = i + 1 < text.n ? text.p[i + 1] : ' ';
        assert_null(strchr("*~`\r\n", c));
        assert_true(c != ':' || after == ' ');
        assert_true(c != '_' || (i > 0 && text.p[i - 1] > ' ' && after > ' '));
    }
    assert_false(klx_sv_starts(text, KLX_SV("&gt;")));
}

static inline void payload_check_length(struct klx_sv text, size_t units_max) {
    assert_true(text.n > 0);
    assert_in_range(payload_units(text), 1, units_max);
    payload_assert_escaped(text);
}

static inline void payload_check_plain(const struct klx_json *o, size_t units_max) {
    assert_sv(klx_json_str(o, "type"), "plain_text");
    assert_false(klx_json_bool(o, "emoji", true));
    payload_check_length(klx_json_str(o, "text"), units_max);
}

static inline size_t payload_check_each(const struct klx_json *list, size_t units_max) {
    size_t n = 0;
    for (const struct klx_json *o = klx_json_first(list); o != NULL; o = klx_json_next(o), n++) {
        payload_check_plain(o, units_max);
    }
    return n;
}

static inline void payload_check_rich(const struct klx_json *block) {
    const struct klx_json *part = klx_json_first(klx_json_get(block, "elements"));
    assert_non_null(part);
    for (; part != NULL; part = klx_json_next(part)) {
        const struct klx_json *run = klx_json_first(klx_json_get(part, "elements"));
        assert_non_null(run);
        for (; run != NULL; run = klx_json_next(run)) {
            bool link = klx_sv_eq(klx_json_str(run, "type"), KLX_SV("link"));
            assert_true(link ? klx_url_is_link(klx_json_str(run, "url"))
                             : klx_sv_eq(klx_json_str(run, "type"), KLX_SV("text")));
            payload_check_length(klx_json_str(run, "text"), 3000);
        }
    }
}

static inline void payload_check_block(const struct klx_json *block) {
    struct klx_sv type = klx_json_str(block, "type");
    if (klx_sv_eq(type, KLX_SV("header"))) {
        payload_check_plain(klx_json_get(block, "text"), 150);
    } else if (klx_sv_eq(type, KLX_SV("section"))) {
        const struct klx_json *text = klx_json_get(block, "text");
        const struct klx_json *list = klx_json_get(block, "fields");
        assert_true(text != NULL || list != NULL);
        if (text != NULL) {
            payload_check_plain(text, 3000);
        }
        if (list != NULL) {
            assert_in_range(payload_check_each(list, 2000), 1, 10);
        }
    } else if (klx_sv_eq(type, KLX_SV("context"))) {
        assert_in_range(payload_check_each(klx_json_get(block, "elements"), 3000), 1, 10);
    } else {
        assert_sv(type, "rich_text");
        payload_check_rich(block);
    }
}

/* Everything that a message of ours must keep to, but for what is said beside it. */
static inline void payload_check_content(const struct klx_json *message) {
    const struct klx_json *attachments = klx_json_get(message, "attachments");
    const struct klx_json *one = klx_json_first(attachments);
    const struct klx_json *b = klx_json_first(klx_json_get(one, "blocks"));
    struct klx_buf all;
    struct klx_jw w;
    size_t n = 0;
    payload_assert_inert(klx_json_str(message, "text"));
    assert_in_range(klx_json_str(message, "text").n, 1, 4000);
    assert_non_null(one);
    assert_null(klx_json_next(one));
    assert_true(klx_json_str(one, "color").n > 0);
    for (; b != NULL; b = klx_json_next(b), n++) {
        payload_check_block(b);
    }
    assert_in_range(n, 1, 5); /* Slack takes 50, and folds away what comes after the fifth */
    klx_buf_init(&all, 1 << 20);
    klx_jw_init(&w, &all);
    klx_jw_node(&w, klx_json_get(one, "blocks"));
    assert_in_range(payload_units(klx_buf_sv(&all)), 1, 13200);
    klx_buf_release(&all);
}

static inline void payload_check(const struct klx_json *message) {
    assert_false(klx_json_bool(message, "unfurl_links", true));
    assert_false(klx_json_bool(message, "unfurl_media", true));
    payload_check_content(message);
}
