#include "sinks/ntfy/answer.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/base/cleanup.h"

#define ANSWER_BYTES_MAX 65536

struct answer {
    int64_t code;                          /* of its error; 0: it names none */
    char handle[KLX_HANDLE_BYTES_MAX + 1]; /* of the message; "": it names none */
};

static bool is_id(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_') {
            return false;
        }
    }
    return s.n > 0 && s.n <= 64;
}

static struct answer read_answer(struct klx_sv body) {
    struct answer a = { .code = 0 };
    struct klx_arena arena;
    const struct klx_json *parsed = NULL;
    if (body.n == 0 || body.n > ANSWER_BYTES_MAX) {
        return a;
    }
    klx_arena_init(&arena, 4096, (size_t)8 * ANSWER_BYTES_MAX);
    if (klx_json_parse(&arena, klx_sv_trim(body), NULL, &parsed, NULL) == 0) {
        struct klx_sv id = klx_json_str(parsed, "id");
        a.code = klx_json_int(parsed, "code", 0);
        if (is_id(id)) {
            snprintf(a.handle, sizeof(a.handle), "%.*s", KLX_SV_FMT(id));
        }
    }
    klx_arena_release(&arena);
    return a;
}

static enum klx_verdict_class class_of(int status, int64_t code) {
    if (code == 40009 || code == 40010) { /* the topic is invalid, or its name is taken by ntfy */
        return KLX_VERDICT_DESTINATION_BROKEN;
    }
    switch (status) {
    case 400:
    case 413:
    case 422:
        return KLX_VERDICT_REJECT_MESSAGE;
    case 401:
        return KLX_VERDICT_CREDENTIAL_BROKEN;
    default: /* 403: not on this topic; 404, 3xx: not a server of ntfy, or not at this address */
        return KLX_VERDICT_DESTINATION_BROKEN;
    }
}

/* The code of ntfy's own table when it says one: "42908" tells more than "http_429". */
static void set(const struct klx_http_result *r, const struct answer *a,
                enum klx_verdict_class class, struct klx_verdict *ret) {
    char reason[32];
    bool coded = a->code >= 40000 && a->code < 60000;
    snprintf(reason, sizeof(reason), coded ? "%lld" : "http_%lld",
             coded ? (long long)a->code : (long long)r->status);
    klx_verdict_set(ret, class, reason, klx_sv_trim(r->body));
}

static void judge_taken(const struct klx_http_result *r, const struct answer *a,
                        struct klx_verdict *ret) {
    if (a->handle[0] != '\0') {
        klx_verdict_set(ret, KLX_VERDICT_DELIVERED, "ok", klx_sv_trim(r->body));
        snprintf(ret->handle, sizeof(ret->handle), "%s", a->handle);
    } else if (r->failure == KLX_HTTP_TOO_LARGE) {
        klx_verdict_set(ret, KLX_VERDICT_AMBIGUOUS, "answer_too_large", klx_sv_trim(r->body));
    } else { /* a login's page, or a proxy's: no ntfy has this message */
        klx_verdict_set(ret, KLX_VERDICT_DESTINATION_BROKEN, "not_ntfy", klx_sv_trim(r->body));
    }
}

void klx_ntfy_judge(const struct klx_http_result *r, struct klx_verdict *ret) {
    struct answer a = read_answer(r->body);
    if (klx_verdict_from_http(r, ret)) {
        struct klx_verdict shared = *ret;
        if (r->failure == KLX_HTTP_OK) {
            set(r, &a, shared.class, ret);
            ret->retry_after_ms = shared.retry_after_ms;
        }
    } else if (r->status / 100 == 2) {
        judge_taken(r, &a, ret);
    } else {
        set(r, &a, class_of(r->status, a.code), ret);
    }
}
