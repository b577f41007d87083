#include "sinks/webhook/body.h"

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/context.h"
#include "sinks/webhook/cloudevents.h"

#define ARENA_BYTES_MAX (48u << 20)
#define MARK '\x01'

/* Values of `secrets` in the context are their placeholders: the escaper lets them through, and nothing else that begins so comes to it. */
static void escape_with(klx_escape_fn escape, struct klx_buf *out, struct klx_sv text) {
    bool placeholder = text.n > 2 && text.p[0] == MARK && text.p[text.n - 1] == MARK;
    if (placeholder) {
        klx_buf_add_sv(out, text);
    } else {
        escape(out, text);
    }
}

static void escape_json(struct klx_buf *out, struct klx_sv text) {
    escape_with(klx_escape_json, out, text);
}

static void escape_url(struct klx_buf *out, struct klx_sv text) {
    escape_with(klx_escape_url, out, text);
}

static void escape_html(struct klx_buf *out, struct klx_sv text) {
    escape_with(klx_escape_html, out, text);
}

static void escape_none(struct klx_buf *out, struct klx_sv text) {
    escape_with(klx_escape_none, out, text);
}

static klx_escape_fn escaper_of(const struct klx_webhook_settings *s) {
    return s->escape == klx_escape_json   ? escape_json
           : s->escape == klx_escape_url  ? escape_url
           : s->escape == klx_escape_html ? escape_html
                                          : escape_none;
}

/* The context, and `secrets` beside it: {"secrets": {"name": "U+0001 name U+0001"}, …}. */
static int make_context(const struct klx_webhook_settings *s, const struct klx_notice *notice,
                        struct klx_arena *a, const struct klx_json **ret) {
    static const struct klx_json_limits limits = { 16u << 20, 64 };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    const struct klx_json *context = NULL;
    klx_buf_init(&text, 16u << 20);
    int rc = klx_context_make(a, notice, s->zone, &context);
    if (rc != 0 || s->secrets_n == 0) {
        *ret = context;
        return rc;
    }
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    for (const struct klx_json *m = klx_json_first(context); m != NULL; m = klx_json_next(m)) {
        klx_jw_key_sv(&w, klx_json_key(m));
        klx_jw_node(&w, m);
    }
    klx_jw_key(&w, "secrets");
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < s->secrets_n; i++) {
        struct klx_sv mark = klx_sv_n("\x01", 1);
        klx_jw_key_sv(&w, s->secrets[i].name);
        klx_jw_sv(&w, KLX_CONCAT(a, mark, s->secrets[i].name, mark));
    }
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
    rc = klx_buf_check(&text);
    return rc != 0 ? rc : klx_json_parse(a, klx_buf_sv(&text), &limits, ret, NULL);
}

static const char *words_of(int rc) {
    switch (rc) {
    case -ELOOP:
        return "the template has sections or partials too deep in each other";
    case -ETIME:
        return "the template takes too much work for this event";
    default:
        return "the message is larger than a webhook's may be";
    }
}

static int render_template(const struct klx_webhook_settings *s, const struct klx_notice *notice,
                           struct klx_arena *a, struct klx_buf *out, struct klx_error *e) {
    const struct klx_json *context = NULL;
    const char *type = s->config->content_type != NULL ? s->config->content_type
                                                       : "application/json; charset=utf-8";
    klx_buf_printf(out, "content-type: %s\n\n", type);
    int rc = make_context(s, notice, a, &context);
    rc = rc == 0
             ? klx_template_render(s->template, context, KLX_TEMPLATE_WORK_MAX, escaper_of(s), out)
             : rc;
    return rc == 0 ? 0 : klx_fail(e, rc, "%s", words_of(rc));
}

/* With whatever in the place of the secrets. */
static int check_json(const struct klx_webhook_settings *s, struct klx_sv payload,
                      struct klx_arena *a, struct klx_error *e) {
    struct klx_buf filled KLX_CLEANUP(klx_buf_release);
    struct klx_error why = { 0 };
    const struct klx_json *parsed = NULL;
    klx_webhook_cut_head(&payload);
    klx_buf_init(&filled, KLX_WEBHOOK_PAYLOAD_BYTES_MAX);
    for (size_t i = 0; i < payload.n; i++) {
        klx_buf_add_char(&filled, payload.p[i] == MARK ? 'x' : payload.p[i]);
    }
    int rc = s->json ? klx_json_parse(a, klx_buf_sv(&filled), NULL, &parsed, &why) : 0;
    return rc == 0 ? 0
                   : klx_fail(e, -EBADMSG, "the template made something that is not JSON: %s",
                              why.text);
}

int klx_webhook_render(const struct klx_webhook_settings *s, const struct klx_notice *notice,
                       struct klx_buf *out, struct klx_error *e) {
    struct klx_arena a;
    int rc = 0;
    klx_arena_init(&a, 65536, ARENA_BYTES_MAX);
    if (s->format == KLX_WEBHOOK_TEMPLATE) {
        rc = render_template(s, notice, &a, out, e);
        rc = rc == 0 ? check_json(s, klx_buf_sv(out), &a, e) : rc;
    } else {
        if (s->format == KLX_WEBHOOK_BINARY) {
            klx_cloudevents_binary(notice, out);
        } else {
            klx_cloudevents_structured(notice, out);
        }
        rc = klx_buf_check(out);
        rc = rc == 0 ? 0 : klx_fail(e, rc, "%s", words_of(rc));
    }
    klx_arena_release(&a);
    return rc;
}

struct klx_sv klx_webhook_cut_head(struct klx_sv *payload) {
    size_t at = klx_sv_find_sv(*payload, KLX_SV("\n\n"));
    struct klx_sv head = klx_sv_n(payload->p, at);
    size_t n = at < payload->n ? at + 2 : payload->n;
    *payload = klx_sv_n(payload->p + n, payload->n - n);
    return head;
}

static const struct klx_webhook_value *find_secret(const struct klx_webhook_settings *s,
                                                   struct klx_sv name) {
    for (size_t i = 0; i < s->secrets_n; i++) {
        if (klx_sv_eq(s->secrets[i].name, name)) {
            return &s->secrets[i];
        }
    }
    return NULL;
}

int klx_webhook_fill(const struct klx_webhook_settings *s, struct klx_sv body, struct klx_buf *out,
                     struct klx_error *e) {
    while (body.n > 0) {
        klx_buf_add_sv(out, klx_sv_cut(&body, MARK));
        struct klx_sv name = klx_sv_cut(&body, MARK), value = { 0 };
        const struct klx_webhook_value *secret = find_secret(s, name);
        if (secret != NULL) {
            int rc = klx_secret_get(secret->secret, &value, e);
            if (rc != 0) {
                return rc;
            }
            s->escape(out, klx_sv_trim(value));
        }
    }
    int rc = klx_buf_check(out);
    return rc == 0 ? 0 : klx_fail(e, rc, "%s", words_of(rc));
}
