#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/webhook/body.h"
#include "sinks/webhook/rules.h"
#include "sinks/webhook/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static const char *const channels[] = {
    "url: https://a/\n",
    "url: https://a/\nformat: cloudevents-structured\n",
    "url: https://a/\nsecrets: {k: {env: FUZZ_KEY}}\n"
    "responses: [{status: 2xx, body: '~a+b', outcome: retry}]\n"
    "template: '{\"k\": \"{{secrets.k}}\", \"t\": \"{{title}}{{summary.9}}{{team}}{{data}}\", "
    "\"f\": [{{#facts}}\"{{name}}{{value}}\"{{^last}},{{/last}}{{/facts}}], \"l\": "
    "[{{#labels}}\"{{key}}={{value}}\"{{^last}},{{/last}}{{/labels}}]}'\n",
};

/* The head is lines of printable ASCII, the body JSON in every format, with the secret once and nowhere else. */
static void check_payload(const struct klx_webhook_settings *s, struct klx_sv payload) {
    struct klx_arena a;
    struct klx_buf body;
    const struct klx_json *parsed = NULL;
    struct klx_sv head = klx_webhook_cut_head(&payload);
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&body, 8 << 20);
    for (size_t i = 0; i < head.n; i++) {
        require(head.p[i] == '\n' || (head.p[i] >= ' ' && head.p[i] < 0x7f));
    }
    require(klx_webhook_fill(s, payload, &body, NULL) == 0);
    require(klx_json_parse(&a, klx_buf_sv(&body), NULL, &parsed, NULL) == 0);
    if (s->format == KLX_WEBHOOK_TEMPLATE) {
        require(klx_sv_eq(klx_json_str(parsed, "k"), KLX_SV("5ecret\"value")));
    }
    klx_buf_release(&body);
    klx_arena_release(&a);
}

static void render(const struct klx_webhook_settings *s, const uint8_t *choice,
                   struct klx_sv text) {
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *parsed = NULL;
    const struct klx_digest_line line = { text, KLX_SEVERITY_WARNING, 3 };
    const struct klx_digest digest = { .events = 3, .incidents = 1, .lines = &line, .lines_n = 1 };
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&out, KLX_WEBHOOK_PAYLOAD_BYTES_MAX);
    if (klx_json_parse(&a, text, NULL, &parsed, NULL) == 0) {
        const struct klx_event e = { .kind = (enum klx_kind)(choice[0] % (KLX_KINDS_N + 1)),
                                     .type = text,
                                     .id = text,
                                     .source = text,
                                     .cluster = text,
                                     .incident = text,
                                     .severity = (enum klx_severity)(choice[1] % 3),
                                     .phase = (enum klx_phase)(choice[1] / 3 % 4) };
        const struct klx_notice notice = {
            .event = &e,
            .data = parsed,
            .team = text,
            .channel = text,
            .reason = choice[1] & 64 ? KLX_NOTICE_DIGEST : KLX_NOTICE_NEWS,
            .digest = choice[1] & 64 ? &digest : NULL,
        };
        int rc = klx_webhook_render(s, &notice, &out, NULL);
        require(rc == 0 || rc == -EMSGSIZE || rc == -ENOMEM || rc == -ETIME);
        if (rc == 0) {
            check_payload(s, klx_buf_sv(&out));
        }
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
}

static void try_channel(const char *yaml, const uint8_t *choice, struct klx_sv text) {
    struct klx_config *config = NULL;
    struct klx_webhook_settings s;
    struct klx_webhook_config c = { 0 };
    require(klx_config_parse(klx_sv(yaml), "fuzz", &config, NULL) == 0);
    require(klx_config_bind(klx_config_root(config), klx_webhook_fields, &c, NULL) == 0);
    require(klx_webhook_settings_read(&c, klx_config_root(config), &s, NULL) == 0);
    render(&s, choice, text);
    const struct klx_http_result answer = {
        .status = 100 + choice[0] * 2, .body = text, .retry_after_ms = -1, .error = ""
    };
    struct klx_verdict v = { 0 };
    klx_webhook_judge(s.rules, &answer, text, &v);
    require(v.class < KLX_VERDICTS_N);
    klx_webhook_settings_release(&s);
    klx_config_unbind(klx_webhook_fields, &c);
    klx_config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    setenv("FUZZ_KEY", "5ecret\"value", 1);
    struct klx_sv text = klx_sv_n((const char *)data + 2, size - 2);
    for (size_t i = 0; i < KLX_COUNT(channels); i++) {
        try_channel(channels[i], data, text);
    }
    return 0;
}
