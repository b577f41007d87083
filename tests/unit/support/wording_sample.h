/*
 * Words of an operator, made from YAML, and one `message:` with which every channel's renderer is tried.
 */
#pragma once

#include "tests/unit/support/digest_sample.h"
#include "tests/unit/support/support.h"

#include "lib/base/config.h"
#include "sinks/core/settings_subscription.h"
#include "sinks/core/wording.h"

/* Text that would be markup somewhere, in every part. */
#define TEST_MARKUP "<!channel> *x* _y_ [z](http://evil.example) <b>&amp;</b>"

static const char test_words_yaml[] =
    "- event: node.repair.failed\n"
    "  title: \"{{object.name}} is broken " TEST_MARKUP "\"\n"
    "  subject: \"{{cluster}}, {{subject}} " TEST_MARKUP "\"\n"
    "  summary: |\n"
    "    {{summary}}.\n"
    "    At {{clock_local}} on the wall. " TEST_MARKUP "\n"
    "  advice: \"Call {{team}} " TEST_MARKUP "\"\n"
    "  timezone: Europe/Berlin\n"
    "  facts:\n"
    "    - { name: \"Owner <!here> *x* <b>\", value: \"{{team}} " TEST_MARKUP "\" }\n"
    "    - { name: Zone, value: \"\" }\n"
    "    - defaults\n"
    "- event: digest\n"
    "  title: \"{{digest.events}} events " TEST_MARKUP "\"\n"
    "  summary: \"{{#digest.lines}}{{text.20}}; {{/digest.lines}}\"\n"
    "- title: \"[{{cluster}}] {{title}}\"\n";

struct test_words {
    struct klx_config *config;
    struct klx_wording *wording;
    struct klx_buf said; /* mistakes, one a line */
    struct klx_wording_use use;
};

static inline void test_words_report(void *arg, const char *text) {
    klx_buf_printf(arg, "%s\n", text);
}

/* Whatever is wrong with them is in `said`. */
static inline void test_words_bind(struct test_words *w, const char *yaml,
                                   enum klx_wording_owner owner) {
    struct klx_error e = { 0 };
    *w = (struct test_words){ 0 };
    klx_buf_init(&w->said, 65536);
    struct klx_settings_reporter r = { test_words_report, &w->said, 0 };
    if (klx_config_parse(klx_sv(yaml), "k.yaml", &w->config, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_wording_bind(klx_config_root(w->config), owner, &w->wording, &r);
}

static inline void test_words_new(struct test_words *w, const char *yaml) {
    test_words_bind(w, yaml, KLX_WORDING_OF_CHANNEL);
    w->use.of_channel = w->wording;
    if (w->said.len > 0) {
        fail_msg("%s", klx_buf_str(&w->said));
    }
}

static inline void test_words_release(struct test_words *w) {
    klx_wording_free(w->wording);
    klx_config_free(w->config);
    klx_buf_release(&w->said);
}

/* fn gets an event and a digest in those words, each with the name of its golden file. */
static inline void test_in_own_words(struct klx_arena *a,
                                     void (*fn)(const char *golden, const struct klx_notice *n)) {
    struct test_words w;
    struct klx_event e;
    struct klx_notice n = { .event = &e,
                            .team = KLX_SV("operations"),
                            .channel = KLX_SV("ops-channel"),
                            .wording = &w.use };
    test_words_new(&w, test_words_yaml);
    klx_arena_reset(a);
    test_read_event(a, KLX_KIND_REPAIR_FAILED, &e, &n.data);
    fn("own-words", &n);
    klx_arena_reset(a);
    test_digest(a, 3, &e, &n);
    n.channel = KLX_SV("ops-channel");
    n.wording = &w.use;
    fn("own-words-digest", &n);
    assert_int_equal(w.use.failed, 0);
    test_words_release(&w);
}
