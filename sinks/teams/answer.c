#include "sinks/teams/answer.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/base/cleanup.h"

#define CODE_BYTES_MAX 63
#define BODY_BYTES_MAX 65536

/* Codes of Power Automate and Logic Apps, whatever their status. The rest goes by it. */
static const struct {
    const char *code;
    enum klx_verdict_class class;
} codes[] = {
    { "WorkflowTriggerIsNotEnabled", KLX_VERDICT_DESTINATION_BROKEN }, /* 400: off, or deleted */
    { "WorkflowTriggerNotFound", KLX_VERDICT_DESTINATION_BROKEN },
    { "WorkflowNotFound", KLX_VERDICT_DESTINATION_BROKEN },
    { "WorkflowDisabled", KLX_VERDICT_DESTINATION_BROKEN },
    { "WorkflowSuspended", KLX_VERDICT_DESTINATION_BROKEN },
    { "FlowNotFound", KLX_VERDICT_DESTINATION_BROKEN },
    { "FlowSuspended", KLX_VERDICT_DESTINATION_BROKEN },
    { "EnvironmentNotFound", KLX_VERDICT_DESTINATION_BROKEN },
    { "MissingApiVersionParameter", KLX_VERDICT_DESTINATION_BROKEN }, /* the URL is not whole */
    { "InvalidApiVersionParameter", KLX_VERDICT_DESTINATION_BROKEN },
    { "DirectApiAuthorizationRequired", KLX_VERDICT_DESTINATION_BROKEN }, /* not for Anyone */
    { "InvalidSharedAccessSignature", KLX_VERDICT_DESTINATION_BROKEN },
    { "AuthorizationFailed", KLX_VERDICT_DESTINATION_BROKEN },
    { "MisMatchingOAuthClaims", KLX_VERDICT_DESTINATION_BROKEN },
    { "RequestDisallowedByPolicy", KLX_VERDICT_DESTINATION_BROKEN },

    { "TriggerInputSchemaMismatch", KLX_VERDICT_REJECT_MESSAGE },
    { "InvalidRequestContent", KLX_VERDICT_REJECT_MESSAGE },
    { "RequestEntityTooLarge", KLX_VERDICT_REJECT_MESSAGE },

    { "TooManyRequests", KLX_VERDICT_RETRY_BACKOFF },
    { "ServerBusy", KLX_VERDICT_RETRY_BACKOFF },
    { "NoResponse", KLX_VERDICT_AMBIGUOUS }, /* 502: it ran, and may have posted */
    { "GatewayTimeout", KLX_VERDICT_AMBIGUOUS },
};

struct answer {
    char code[CODE_BYTES_MAX + 1]; /* of its error; "": it names none */
    char handle[KLX_HANDLE_BYTES_MAX + 1];
    bool is_error; /* {"error": …} */
    bool is_anew;  /* "reply": false, it stands under no other message */
};

static bool is_code(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != '-' && s.p[i] != '.') {
            return false;
        }
    }
    return s.n > 0 && s.n <= CODE_BYTES_MAX;
}

/* It goes back to the flow as it came, so it must be able to stand in a text. */
static bool is_handle(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f) {
            return false;
        }
    }
    return s.n > 0 && s.n <= KLX_HANDLE_BYTES_MAX;
}

/* "error": {"code": "…"} or "error": "…"; null and "" are none. */
static void take_error(struct answer *a, const struct klx_json *error) {
    struct klx_sv code = klx_json_str(error, "code"), text = klx_json_str(error, "");
    a->is_error = klx_json_is_object(error) || text.n > 0;
    code = code.n > 0 ? code : text;
    if (is_code(code)) {
        snprintf(a->code, sizeof(a->code), "%.*s", KLX_SV_FMT(code));
    }
}

static void take_handle(struct answer *a, const struct klx_json *id) {
    struct klx_sv text = klx_json_str(id, "");
    int64_t number = klx_json_int(id, "", -1);
    if (is_handle(text)) {
        snprintf(a->handle, sizeof(a->handle), "%.*s", KLX_SV_FMT(text));
    } else if (number >= 0) {
        snprintf(a->handle, sizeof(a->handle), "%lld", (long long)number);
    }
}

static struct answer read_answer(struct klx_sv body) {
    struct answer a = { .is_error = false };
    struct klx_arena arena;
    const struct klx_json *parsed = NULL;
    struct klx_sv text = klx_sv_trim(body);
    if (text.n == 0 || text.n > BODY_BYTES_MAX || text.p[0] != '{') {
        return a;
    }
    klx_arena_init(&arena, 4096, (size_t)8 * BODY_BYTES_MAX);
    if (klx_json_parse(&arena, text, NULL, &parsed, NULL) == 0) {
        take_error(&a, klx_json_get(parsed, "error"));
        take_handle(&a, klx_json_get(parsed, "messageId"));
        a.is_anew = !klx_json_bool(parsed, "reply", true);
    }
    klx_arena_release(&arena);
    return a;
}

static enum klx_verdict_class class_of_status(int64_t status) {
    if (status == 408 || status == 429 || status >= 500) {
        return KLX_VERDICT_RETRY_BACKOFF;
    }
    if (status == 400 || status == 413 || status == 415 || status == 422) {
        return KLX_VERDICT_REJECT_MESSAGE;
    }
    return status >= 300 ? KLX_VERDICT_DESTINATION_BROKEN : KLX_VERDICT_RETRY_BACKOFF;
}

/* False: the code says nothing. "post_413" is what Teams answered to the flow. */
static bool class_of_code(const char *code, enum klx_verdict_class *ret) {
    int64_t status = 0;
    for (size_t i = 0; i < KLX_COUNT(codes); i++) {
        if (klx_sv_eq(klx_sv(code), klx_sv(codes[i].code))) {
            *ret = codes[i].class;
            return true;
        }
    }
    if (klx_sv_starts(klx_sv(code), KLX_SV("post_")) &&
        klx_sv_int(klx_sv(code + strlen("post_")), &status) == 0) {
        *ret = class_of_status(status);
        return true;
    }
    return false;
}

static bool contains_error(struct klx_sv body) {
    for (size_t i = 0; i + strlen("error") <= body.n; i++) {
        if (klx_sv_eq_nocase(klx_sv_n(body.p + i, strlen("error")), KLX_SV("error"))) {
            return true;
        }
    }
    return false;
}

bool klx_teams_says_error(const struct klx_http_result *r) {
    struct answer a = read_answer(r->body);
    bool speaks = a.is_error || (a.handle[0] == '\0' && contains_error(r->body));
    return r->failure == KLX_HTTP_OK && r->status / 100 == 2 && speaks;
}

/* "… failed with error: Microsoft Teams endpoint returned HTTP error 413 …", as text with a status of 2xx. */
static enum klx_verdict_class class_of_words(struct klx_sv body) {
    static const char words[] = "HTTP error ";
    size_t at = klx_sv_find_sv(body, klx_sv(words));
    int64_t status = 0;
    if (at + sizeof(words) - 1 + 3 <= body.n &&
        klx_sv_int(klx_sv_n(body.p + at + sizeof(words) - 1, 3), &status) == 0 && status >= 400) {
        return class_of_status(status);
    }
    return KLX_VERDICT_ACCEPTED;
}

/* 2xx. Trying again what may stand there already floods a channel, so only a clear failure is one. */
static void judge_taken(const struct klx_http_result *r, const struct answer *a,
                        struct klx_verdict *ret) {
    struct klx_sv body = klx_sv_trim(r->body);
    if (a->is_error) {
        klx_verdict_set(ret, KLX_VERDICT_RETRY_BACKOFF, a->code[0] != '\0' ? a->code : "flow_error",
                        body);
    } else if (a->handle[0] != '\0') {
        klx_verdict_set(ret, KLX_VERDICT_DELIVERED, "posted", body);
        snprintf(ret->handle, sizeof(ret->handle), "%s", a->handle);
        ret->handle_replaces = a->is_anew;
    } else if (contains_error(body)) {
        klx_verdict_set(ret, class_of_words(body), "says_error", body);
    } else if (body.n > 0 && body.p[0] == '<') { /* a proxy's or a login's page */
        klx_verdict_set(ret, KLX_VERDICT_RETRY_BACKOFF, "not_a_flow", body);
    } else {
        klx_verdict_set(ret, r->status == 202 ? KLX_VERDICT_ACCEPTED : KLX_VERDICT_DELIVERED,
                        r->status == 202 ? "accepted" : "ok", body);
    }
}

static void judge_refused(const struct klx_http_result *r, const struct answer *a,
                          struct klx_verdict *ret) {
    char status[16];
    snprintf(status, sizeof(status), "http_%d", r->status);
    klx_verdict_set(ret, class_of_status(r->status), a->code[0] != '\0' ? a->code : status,
                    klx_sv_trim(r->body));
}

/* Class and wait stay, the words are the flow's. */
static void put_words(const struct klx_http_result *r, const struct answer *a,
                      struct klx_verdict *v) {
    struct klx_verdict same = *v;
    klx_verdict_set(v, same.class, a->code[0] != '\0' ? a->code : same.reason,
                    klx_sv_trim(r->body));
    v->retry_after_ms = same.retry_after_ms;
}

void klx_teams_judge(const struct klx_http_result *r, struct klx_verdict *ret) {
    struct answer a = read_answer(r->body);
    enum klx_verdict_class class = KLX_VERDICT_RETRY_BACKOFF;
    if (klx_verdict_from_http(r, ret)) {
        if (r->failure == KLX_HTTP_OK) {
            put_words(r, &a, ret);
        }
        if (r->status == 504 && ret->class == KLX_VERDICT_RETRY_BACKOFF) {
            ret->class = KLX_VERDICT_AMBIGUOUS; /* it was handed on, and then nobody answered */
        }
    } else if (r->status / 100 == 2) {
        judge_taken(r, &a, ret);
    } else {
        judge_refused(r, &a, ret);
    }
    if (r->failure == KLX_HTTP_OK && class_of_code(a.code, &class) &&
        ret->class != KLX_VERDICT_RETRY_AFTER) {
        ret->class = class;
    }
}
