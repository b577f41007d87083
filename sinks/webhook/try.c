#include "lib/base/cleanup.h"
#include "schema/samples.h"
#include "sinks/core/context_names.h"
#include "sinks/webhook/body.h"

#define ARENA_BYTES_MAX (16u << 20)

static int try_notice(const struct klx_webhook_settings *s, const struct klx_event *event,
                      const struct klx_json *data, const struct klx_digest *digest,
                      const char *what, struct klx_error *e) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_notice notice = { .event = event,
                                       .data = data,
                                       .team = KLX_SV("team"),
                                       .channel = KLX_SV("channel"),
                                       .reason =
                                           digest != NULL ? KLX_NOTICE_DIGEST : KLX_NOTICE_NEWS,
                                       .digest = digest };
    klx_buf_init(&out, KLX_WEBHOOK_PAYLOAD_BYTES_MAX);
    int rc = klx_webhook_render(s, &notice, &out, e);
    return rc == 0 ? 0 : klx_fail_in(e, rc, "tried with %s", what);
}

static int try_kind(const struct klx_webhook_settings *s, enum klx_kind kind, struct klx_error *e) {
    struct klx_arena a;
    struct klx_event event;
    const struct klx_json *data = NULL;
    klx_arena_init(&a, 65536, ARENA_BYTES_MAX);
    int rc = klx_sample_event(&a, kind, &event, &data);
    rc = rc == 0 ? try_notice(s, &event, data, NULL, klx_kind_specs[kind].type, e)
                 : klx_fail(e, rc, "there is no sample of %s", klx_kind_specs[kind].type);
    klx_arena_release(&a);
    return rc;
}

/* What an owner of a pod may write: it must not end a string, nor begin anything. */
static int try_hostile(const struct klx_webhook_settings *s, struct klx_error *e) {
    static const char json[] =
        "{\"summary\":\"\\\"},{\\\\ "
        "\\u0001\\n<b>&{{title}}\",\"object\":{\"kind\":\"\\\"Pod\",\"name\":"
        "\"\\\"\\\\\",\"namespace\":\"'\"},\"reason\":\"\\\"\",\"labels\":{\"\\\"a.b/"
        "c\":\"\\\"\"}}";
    static const struct klx_digest_line line = { { "\"\\\n", 3 }, KLX_SEVERITY_CRITICAL, 2 };
    static const struct klx_digest digest = {
        .events = 2, .incidents = 1, .since_us = 0, .until_us = 1, .lines = &line, .lines_n = 1
    };
    const struct klx_sv text = KLX_SV("\"\\\x01\r\n<&");
    const struct klx_event event = { .kind = KLX_KIND_UNKNOWN,
                                     .type = text,
                                     .id = text,
                                     .source = text,
                                     .subject = text,
                                     .cluster = text,
                                     .incident = text,
                                     .phase = KLX_PHASE_UPDATE,
                                     .severity = KLX_SEVERITY_CRITICAL };
    struct klx_arena a;
    const struct klx_json *data = NULL;
    klx_arena_init(&a, 65536, ARENA_BYTES_MAX);
    int rc = klx_json_parse(&a, klx_sv(json), NULL, &data, NULL);
    rc = rc == 0 ? try_notice(s, &event, data, NULL, "quotes and line ends in its texts", e) : rc;
    rc = rc == 0 ? try_notice(s, &event, data, &digest, "a digest", e) : rc;
    klx_arena_release(&a);
    return rc;
}

static int check_names(const struct klx_webhook_settings *s, struct klx_error *e) {
    const char *secrets[KLX_WEBHOOK_SECRETS_MAX];
    for (size_t i = 0; i < s->secrets_n; i++) {
        secrets[i] = s->secrets[i].name.p; /* a key of the configuration, which ends in NUL */
    }
    return klx_context_check_names(
        s->template, &(struct klx_context_beside){ "secrets", secrets, s->secrets_n }, e);
}

int klx_webhook_try(const struct klx_webhook_settings *s, struct klx_error *e) {
    int rc = check_names(s, e);
    for (int kind = 0; kind < KLX_KINDS_N && rc == 0; kind++) {
        rc = try_kind(s, (enum klx_kind)kind, e);
    }
    return rc == 0 ? try_hostile(s, e) : rc;
}
