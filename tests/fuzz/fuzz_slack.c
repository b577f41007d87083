#include <stdint.h>
#include <string.h>

#include "sinks/core/card.h"
#include "sinks/core/secret_url.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/bot_message.h"
#include "sinks/slack/errors.h"
#include "sinks/slack/handle.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/text.h"
#include "sinks/slack/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static bool has_any(struct klx_sv s, const char *set) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\0' && strchr(set, s.p[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Nothing that Slack acts on, wherever it stands, within what Slack takes, and a plain message can be made of it. */
static void check_message(struct klx_arena *a, struct klx_sv payload) {
    const struct klx_json *message = NULL;
    struct klx_buf plain;
    require(klx_json_parse(a, payload, NULL, &message, NULL) == 0);
    require(!has_any(payload, "<>\r\n"));
    require(!has_any(klx_json_str(message, "text"), "*`~"));
    require(klx_slack_units(payload) <=
            KLX_SLACK_BLOCKS_UNITS_MAX + 2 * KLX_SLACK_LINE_UNITS_MAX + 200);
    klx_buf_init(&plain, KLX_SLACK_PAYLOAD_BYTES_MAX);
    require(klx_slack_render_plain(payload, &plain) == 0);
    require(!has_any(klx_buf_sv(&plain), "<>\r\n*`~"));
    klx_buf_release(&plain);
}

/* A bot's payload is within its budget, and every part of it keeps to the same. */
static void check_bot(struct klx_arena *a, const struct klx_card *card,
                      const struct klx_notice *notice, bool whole_reply) {
    struct klx_buf out;
    const struct klx_json *payload = NULL;
    klx_buf_init(&out, KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_slack_render_bot(card, notice, whole_reply, &out);
    require(klx_buf_check(&out) == 0);
    require(klx_json_parse(a, klx_buf_sv(&out), NULL, &payload, NULL) == 0);
    require(klx_json_str(payload, "message.text").n > 0);
    require(whole_reply == (klx_json_get(payload, "reply") == NULL));
    klx_buf_reset(&out);
    klx_slack_add_plain_text(&out, klx_json_get(payload, "message"));
    require(klx_slack_units(klx_buf_sv(&out)) <= KLX_SLACK_UPDATE_UNITS_MAX);
    klx_buf_release(&out);
}

/* Two bytes choose severity and phase; what follows is the event's data, and also every text around it. */
static void render(const uint8_t *choice, struct klx_sv text) {
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *parsed = NULL;
    struct klx_card card;
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&out, KLX_SLACK_PAYLOAD_BYTES_MAX);
    if (klx_json_parse(&a, text, NULL, &parsed, NULL) == 0) {
        const struct klx_event e = { .kind = (enum klx_kind)(choice[0] % (KLX_KINDS_N + 1)),
                                     .type = text,
                                     .cluster = text,
                                     .incident = text,
                                     .severity = (enum klx_severity)(choice[1] % 3),
                                     .phase = (enum klx_phase)(choice[1] / 3 % 4) };
        const struct klx_notice notice = {
            .event = &e, .data = parsed, .team = text, .channel = text
        };
        require(klx_card_make(&a, &notice, &card) == 0);
        klx_slack_render(&card, &out);
        require(klx_buf_check(&out) == 0);
        check_message(&a, klx_buf_sv(&out));
        check_bot(&a, &card, &notice, choice[1] % 2 == 0);
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
}

/* The same bytes as an answer, and as a webhook's URL. */
static void judge(const uint8_t *choice, struct klx_sv text) {
    struct klx_http_result r = { .status = 100 + choice[0] * 2, .retry_after_ms = -1, .error = "" };
    struct klx_verdict v = { 0 };
    struct klx_buf shown;
    klx_buf_init(&shown, 8 << 20);
    klx_secret_url_redact(&shown, text, text);
    r.body = klx_buf_sv(&shown);
    klx_slack_judge(&r, r.body, &v);
    require(v.class < KLX_VERDICTS_N);
    if (klx_slack_webhook_check(text, "fuzz", NULL) == 0) {
        require(!klx_sv_eq(klx_buf_sv(&shown),
                           text)); /* a URL that may be used never comes out whole */
    }
    klx_buf_release(&shown);
}

/* What is read of a handle is written as something that reads the same. */
static void read_handle(struct klx_sv text) {
    struct klx_slack_handle h = { 0 }, again = { 0 };
    char out[KLX_HANDLE_BYTES_MAX + 1];
    if (klx_slack_handle_read(text, &h)) {
        klx_slack_handle_write(&h, out);
        require(klx_slack_handle_read(klx_sv(out), &again));
        require(memcmp(&h, &again, sizeof(h)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct klx_sv text = klx_sv_n((const char *)data + 2, size - 2);
    render(data, text);
    judge(data, text);
    read_handle(text);
    return 0;
}
