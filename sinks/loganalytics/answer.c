#include "sinks/loganalytics/answer.h"

#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "sinks/core/secret_url.h"

#define ERROR_BYTES_MAX 65536

/* Codes that were seen or are documented: azure-sdk-for-net and -python, sdk/monitor/…ingestion/TROUBLESHOOTING.md;
   learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview. */
static const struct {
    const char *code;
    enum klx_loganalytics_meaning meaning;
    enum klx_verdict_class class;
    bool too_large;
} codes[] = {
    /* The rule has no such stream (yet: a change takes minutes to be known everywhere). */
    { "InvalidStream", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    { "InvalidStreamName", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    { "InvalidDcrImmutableId", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    { "InvalidApiVersion", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    { "UnsupportedApiVersion", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    { "MissingApiVersionParameter", KLX_LOGANALYTICS_OTHER, KLX_VERDICT_DESTINATION_BROKEN, false },
    /* It stopped reading: the body is too large. */
    { "ReadyBody_ClientConnectionAbort", KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE, true },
    { "ContentLengthLimitExceeded", KLX_LOGANALYTICS_BATCH, KLX_VERDICT_REJECT_MESSAGE, true },
};

struct error {
    char code[sizeof(((struct klx_verdict *)NULL)->reason)];
};

/* It stands in receipts and metrics. */
static bool is_code(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-')) {
            return false;
        }
    }
    return s.n > 0 && s.n < sizeof(((struct error *)NULL)->code);
}

static struct error read_error(struct klx_sv body) {
    struct error found = { "" };
    struct klx_arena arena;
    const struct klx_json *root = NULL;
    const struct klx_json_limits limits = { .bytes_max = ERROR_BYTES_MAX, .depth_max = 16 };
    klx_arena_init(&arena, 4096, (size_t)32 * ERROR_BYTES_MAX);
    if (klx_json_parse(&arena, body, &limits, &root, NULL) == 0) {
        struct klx_sv code = klx_json_str(root, "error.code");
        if (is_code(code)) {
            snprintf(found.code, sizeof(found.code), "%.*s", KLX_SV_FMT(code));
        }
    }
    klx_arena_release(&arena);
    return found;
}

static void by_status(int status, struct klx_loganalytics_answer *ret,
                      enum klx_verdict_class *ret_class) {
    ret->meaning = KLX_LOGANALYTICS_OTHER;
    switch (status) {
    case 400:
    case 413:
        ret->meaning = KLX_LOGANALYTICS_BATCH;
        ret->too_large = status == 413;
        *ret_class = KLX_VERDICT_REJECT_MESSAGE;
        return;
    case 401:
        ret->meaning = KLX_LOGANALYTICS_TOKEN;
        *ret_class = KLX_VERDICT_CREDENTIAL_BROKEN;
        return;
    default:
        /* 403 is the rule's: a role that is missing there, or not known everywhere yet, and no reason to stop other channels of the same
           identity. A 2xx that is none of the API's is a proxy or a login page. */
        *ret_class = status / 100 == 2 ? KLX_VERDICT_RETRY_BACKOFF : KLX_VERDICT_DESTINATION_BROKEN;
    }
}

static void by_code(const struct error *found, struct klx_loganalytics_answer *ret,
                    enum klx_verdict_class *ret_class) {
    for (size_t i = 0; i < KLX_COUNT(codes); i++) {
        if (klx_sv_eq(klx_sv(found->code), klx_sv(codes[i].code))) {
            ret->meaning = codes[i].meaning;
            ret->too_large = codes[i].too_large;
            *ret_class = codes[i].class;
        }
    }
}

static void judge_status(const struct klx_http_result *r, const struct error *found,
                         struct klx_loganalytics_answer *ret) {
    enum klx_verdict_class class = KLX_VERDICT_RETRY_BACKOFF;
    char reason[32];
    snprintf(reason, sizeof(reason), r->status / 100 == 2 ? "not_204" : "http_%d", r->status);
    by_status(r->status, ret, &class);
    if (r->status >= 400) {
        by_code(found, ret, &class);
    }
    klx_verdict_set(&ret->verdict, class, found->code[0] != '\0' ? found->code : reason, r->body);
}

static void judge(const struct klx_http_result *r, struct klx_loganalytics_answer *ret) {
    struct error found = read_error(r->body);
    bool refused = r->status >= 400 && r->status < 500 && r->status != 408 && r->status != 429;
    *ret = (struct klx_loganalytics_answer){ .meaning = KLX_LOGANALYTICS_OTHER };
    if (r->failure == KLX_HTTP_OK && r->status == 204) {
        ret->meaning = KLX_LOGANALYTICS_TAKEN;
        klx_verdict_set(&ret->verdict, KLX_VERDICT_DELIVERED, "http_204", r->body);
    } else if (refused || !klx_verdict_from_http(r, &ret->verdict)) {
        judge_status(r, &found, ret); /* also when the body of a refusal broke off */
    } else if (r->failure == KLX_HTTP_OK && found.code[0] != '\0') {
        snprintf(ret->verdict.reason, sizeof(ret->verdict.reason), "%s", found.code);
    }
}

void klx_loganalytics_judge(const struct klx_http_result *r, struct klx_sv token,
                            struct klx_loganalytics_answer *ret) {
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    struct klx_http_result told = *r;
    klx_buf_init(&shown, r->body.n + 16); /* "…" is shorter than what it stands for */
    klx_hide_secrets(&shown, r->body, &token, 1);
    told.body = klx_buf_sv(&shown);
    judge(&told, ret);
}
