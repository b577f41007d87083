#include <stdint.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "sinks/loganalytics/answer.h"
#include "sinks/loganalytics/batch.h"
#include "sinks/loganalytics/row.h"

#define NOW_US INT64_C(1773219600000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static bool is_column(struct klx_sv name) {
    for (size_t i = 0; klx_loganalytics_columns[i].name != NULL; i++) {
        if (klx_sv_eq(name, klx_sv(klx_loganalytics_columns[i].name))) {
            return true;
        }
    }
    return false;
}

/* One flat object of columns, each within what a field may hold. */
static void check_row(struct klx_arena *a, struct klx_sv text) {
    const struct klx_json *row = NULL;
    require(klx_json_parse(a, text, NULL, &row, NULL) == 0 && klx_json_is_object(row));
    for (const struct klx_json *m = klx_json_first(row); m != NULL; m = klx_json_next(m)) {
        bool nested = klx_json_is_object(m) || klx_json_is_array(m);
        require(is_column(klx_json_key(m)));
        require(!nested || klx_sv_eq(klx_json_key(m), KLX_SV("Payload")));
        require(klx_json_str(m, "").n <= KLX_LOGANALYTICS_FIELD_BYTES_MAX);
    }
    const struct klx_json *payload = klx_json_get(row, "Payload");
    if (payload != NULL) {
        struct klx_buf again;
        struct klx_jw w;
        klx_buf_init(&again, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
        klx_jw_init(&w, &again);
        klx_jw_node(&w, payload);
        require(klx_buf_check(&again) == 0);
        klx_buf_release(&again);
    }
}

/* Two bytes choose kind and severity; what follows is the event's data, and also every text around it. */
static void render(const uint8_t *choice, struct klx_sv text) {
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *parsed = NULL;
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&out, KLX_LOGANALYTICS_ROW_BYTES_MAX);
    if (klx_json_parse(&a, text, NULL, &parsed, NULL) == 0) {
        const struct klx_digest_line line = { .text = text, .events = choice[0] };
        const struct klx_digest digest = {
            .lines = &line, .lines_n = 1, .since_us = NOW_US, .until_us = NOW_US
        };
        bool is_digest = choice[1] & 64;
        const struct klx_event e = { .kind = (enum klx_kind)(choice[0] % (KLX_KINDS_N + 1)),
                                     .type = text,
                                     .data_schema = text,
                                     .id = text,
                                     .cluster = text,
                                     .incident = text,
                                     .severity = (enum klx_severity)(choice[1] % 3),
                                     .phase = (enum klx_phase)(choice[1] / 3 % 4),
                                     .time_us = NOW_US - (int64_t)choice[1] * 3600 * KLX_US_PER_S };
        const struct klx_notice notice = { .event = &e,
                                           .data = parsed,
                                           .team = text,
                                           .channel = text,
                                           .reason =
                                               is_digest ? KLX_NOTICE_DIGEST : KLX_NOTICE_NEWS,
                                           .digest = is_digest ? &digest : NULL };
        require(klx_loganalytics_row(&notice, NOW_US, &out) == 0);
        check_row(&a, klx_buf_sv(&out));
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
}

/* The same bytes as an answer. */
static void judge(const uint8_t *choice, struct klx_sv text) {
    struct klx_http_result r = {
        .status = 100 + choice[0] * 2, .retry_after_ms = -1, .body = text, .error = ""
    };
    struct klx_loganalytics_answer answer;
    klx_loganalytics_judge(&r, KLX_SV("eyJtoken"), &answer);
    require(answer.verdict.class < KLX_VERDICTS_N);
    require(strstr(answer.verdict.answer, "eyJtoken") == NULL);
    require(answer.meaning != KLX_LOGANALYTICS_TAKEN || r.status == 204);
}

/* Each byte is a row, and the answer to whatever request it is in: every row has a verdict in the end. */
static void halve(struct klx_sv bytes) {
    struct klx_sv rows[256];
    struct klx_verdict v = { 0 };
    size_t n = bytes.n < KLX_COUNT(rows) ? bytes.n : KLX_COUNT(rows), requests = 0, first = 0;
    if (n == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = KLX_SV("{}");
    }
    struct klx_batch *b = klx_batch_new(rows, n, 4 + (size_t)(uint8_t)bytes.p[0]);
    while (klx_batch_next(b)) {
        require(++requests <= 2 * n);
        klx_batch_rows(b, &first);
        uint8_t how = (uint8_t)bytes.p[first];
        klx_verdict_set(&v, how & 1 ? KLX_VERDICT_REJECT_MESSAGE : KLX_VERDICT_DELIVERED, "x",
                        KLX_SV(""));
        if (how == 255) {
            klx_batch_end(b, &v, &v);
        } else if (how & 1) {
            klx_batch_refused(b, &v, how & 2);
        } else {
            klx_batch_taken(b, &v);
        }
    }
    const struct klx_verdict *verdicts = klx_batch_verdicts(b, &requests);
    for (size_t i = 0; i < n; i++) {
        require(verdicts[i].reason[0] != '\0');
    }
    klx_batch_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct klx_sv text = klx_sv_n((const char *)data + 2, size - 2);
    render(data, text);
    judge(data, text);
    halve(text);
    return 0;
}
