#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/sink.h"

const char *klx_verdict_name(enum klx_verdict_class c) {
    static const char *const names[] = {
#define KLX_VERDICT_NAME(NAME, name, final) name,
        KLX_VERDICTS(KLX_VERDICT_NAME)
#undef KLX_VERDICT_NAME
    };
    return names[c];
}

bool klx_verdict_is_final(enum klx_verdict_class c) {
    static const bool finals[] = {
#define KLX_VERDICT_FINAL(NAME, name, final) final,
        KLX_VERDICTS(KLX_VERDICT_FINAL)
#undef KLX_VERDICT_FINAL
    };
    return finals[c];
}

/* An answer is whatever the other side wrote: it becomes valid UTF-8 on the way, cut where a sequence ends. */
static void set_answer(struct klx_verdict *v, struct klx_sv answer) {
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&clean, 4 * sizeof(v->answer)); /* U+FFFD is three bytes for one */
    klx_utf8_sanitize(&clean, klx_sv_utf8_prefix(answer, sizeof(v->answer) - 1));
    struct klx_sv cut = klx_sv_utf8_prefix(klx_buf_sv(&clean), sizeof(v->answer) - 1);
    if (cut.n > 0) {
        memcpy(v->answer, cut.p, cut.n);
    }
    v->answer[cut.n] = '\0';
}

void klx_verdict_set(struct klx_verdict *v, enum klx_verdict_class class, const char *reason,
                     struct klx_sv answer) {
    v->class = class;
    v->retry_after_ms = 0;
    v->handle[0] = '\0';
    v->handle_replaces = false;
    snprintf(v->reason, sizeof(v->reason), "%s", reason);
    set_answer(v, answer);
}

/* A status that means "not now" is an answer, even when its body was cut off. */
static bool judge_status(const struct klx_http_result *r, struct klx_verdict *ret) {
    if (r->status != 408 && r->status != 429 && r->status < 500) {
        return false;
    }
    char reason[16];
    snprintf(reason, sizeof(reason), "http_%d", r->status);
    klx_verdict_set(ret,
                    r->retry_after_ms >= 0 ? KLX_VERDICT_RETRY_AFTER : KLX_VERDICT_RETRY_BACKOFF,
                    reason, r->body);
    ret->retry_after_ms = r->retry_after_ms >= 0 ? r->retry_after_ms : 0;
    return true;
}

bool klx_verdict_from_http(const struct klx_http_result *r, struct klx_verdict *ret) {
    if (r->status != 0 && judge_status(r, ret)) {
        return true;
    }
    /* What was sent whole and not answered may have been taken. */
    enum klx_verdict_class lost =
        r->request_sent ? KLX_VERDICT_AMBIGUOUS : KLX_VERDICT_RETRY_BACKOFF;
    struct klx_sv words = klx_sv(r->error);
    switch (r->failure) {
    case KLX_HTTP_OK:
    case KLX_HTTP_TOO_LARGE: /* the status is there: the channel judges it */
        return false;
    case KLX_HTTP_CONNECT:
        klx_verdict_set(ret, KLX_VERDICT_RETRY_BACKOFF, "connect", words);
        return true;
    case KLX_HTTP_TLS: /* nothing was sent, and nothing will be until somebody repairs it */
        klx_verdict_set(ret, KLX_VERDICT_DESTINATION_BROKEN, "tls", words);
        return true;
    case KLX_HTTP_TIMEOUT:
        klx_verdict_set(ret, lost, "timeout", words);
        return true;
    case KLX_HTTP_BROKEN:
        klx_verdict_set(ret, lost, "connection_broken", words);
        return true;
    }
    return false;
}
