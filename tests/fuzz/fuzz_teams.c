#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "sinks/core/secret_url.h"
#include "sinks/core/sink.h"
#include "sinks/teams/adaptive.h"
#include "sinks/teams/answer.h"
#include "sinks/teams/text.h"
#include "sinks/teams/workflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static void require_plain(struct klx_sv s) {
    require(klx_sv_find_sv(s, KLX_SV("{{")) == s.n);
    for (size_t i = 0; i < s.n; i++) {
        require(i + 3 > s.n || !klx_sv_eq_nocase(klx_sv_n(s.p + i, 3), KLX_SV("<at")));
    }
}

static void require_inert(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        require(s.p[i] == '\0' || strchr("*`~[]<>&\\\r\n", s.p[i]) == NULL);
    }
    require_plain(s);
}

static void check_element(const struct klx_json *o) {
    const struct klx_json *item = klx_json_first(klx_json_get(o, "items"));
    const struct klx_json *run = klx_json_first(klx_json_get(o, "inlines"));
    const struct klx_json *fact = klx_json_first(klx_json_get(o, "facts"));
    for (; item != NULL; item = klx_json_next(item)) {
        check_element(item);
    }
    for (; run != NULL; run = klx_json_next(run)) {
        require_plain(klx_json_str(run, "text"));
    }
    for (; fact != NULL; fact = klx_json_next(fact)) {
        require_inert(klx_json_str(fact, "title"));
        require_inert(klx_json_str(fact, "value"));
    }
}

/* Nothing that Teams acts on, within what Teams takes. */
static void check_message(struct klx_arena *a, struct klx_sv payload) {
    const struct klx_json *message = NULL;
    require(payload.n <= KLX_TEAMS_PAYLOAD_BYTES_MAX);
    require(klx_json_parse(a, payload, NULL, &message, NULL) == 0);
    require_inert(klx_json_str(message, "summary"));
    const struct klx_json *card =
        klx_json_get(klx_json_first(klx_json_get(message, "attachments")), "content");
    const struct klx_json *o = klx_json_first(klx_json_get(card, "body"));
    require(o != NULL);
    for (; o != NULL; o = klx_json_next(o)) {
        check_element(o);
    }
}

/* Two bytes choose severity and phase; what follows is the event's data, and also every text around it. */
static void render(const uint8_t *choice, struct klx_sv text) {
    static const struct klx_teams_mention one = { { "Jo", 2 }, { "jo@example.com", 14 } };
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *parsed = NULL;
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&out, klx_sink_teams.payload_bytes_max);
    if (klx_json_parse(&a, text, NULL, &parsed, NULL) == 0) {
        const struct klx_event e = { .kind = (enum klx_kind)(choice[0] % (KLX_KINDS_N + 1)),
                                     .type = text,
                                     .id = text,
                                     .cluster = text,
                                     .incident = text,
                                     .severity = (enum klx_severity)(choice[1] % 3),
                                     .phase = (enum klx_phase)(choice[1] / 3 % 4) };
        const struct klx_notice notice = {
            .event = &e, .data = parsed, .team = text, .channel = text
        };
        const struct klx_teams_envelope envelope = { &notice, &one, choice[1] / 12 % 2 };
        struct klx_card card;
        require(klx_card_make(&a, &notice, &card) == 0);
        klx_teams_render(&card, &envelope, &out);
        require(klx_buf_check(&out) == 0);
        check_message(&a, klx_buf_sv(&out));
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
}

/* The same bytes as an answer, and as a workflow's URL. */
static void judge(const uint8_t *choice, struct klx_sv text) {
    struct klx_http_result r = { .status = 100 + choice[0] * 2, .retry_after_ms = -1, .error = "" };
    struct klx_verdict v = { 0 };
    struct klx_buf shown;
    klx_buf_init(&shown, 8 << 20);
    klx_secret_url_redact(&shown, text, text);
    r.body = klx_buf_sv(&shown);
    klx_teams_judge(&r, &v);
    require(v.class < KLX_VERDICTS_N);
    require(v.handle[0] == '\0' || v.class == KLX_VERDICT_DELIVERED);
    (void)klx_teams_says_error(&r);
    if (klx_teams_workflow_check(text, "fuzz", NULL) == 0) {
        require(!klx_sv_eq(klx_buf_sv(&shown), text)); /* what may be used never comes out whole */
    } else {
        require(klx_teams_workflow_doubt(text) == NULL);
    }
    klx_buf_release(&shown);
}

static void check_texts(struct klx_sv text) {
    struct klx_buf out;
    klx_buf_init(&out, 4 * text.n + 16);
    klx_teams_add_plain(&out, text);
    require_plain(klx_buf_sv(&out));
    klx_buf_reset(&out);
    klx_teams_add_inert(&out, text);
    require_inert(klx_buf_sv(&out));
    klx_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct klx_sv text = klx_sv_n((const char *)data + 2, size - 2);
    render(data, text);
    judge(data, text);
    check_texts(text);
    return 0;
}
