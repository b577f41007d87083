/* The HTML part: mail.html, filled in. Every value goes through klx_escape_html. */
#include <assert.h>

#include "lib/base/cleanup.h"
#include "sinks/email/mail.h"
#include "sinks/email/template.h"

struct klx_template *klx_email_html_template(void) {
    struct klx_template *t = NULL;
    struct klx_error e = { 0 };
    int rc = klx_template_new(klx_sv_n(klx_email_template, klx_email_template_bytes), &t, &e);
    assert(rc == 0); /* it is part of the program */
    (void)rc;
    return t;
}

/* White on each of them can be read (contrast at least 4.5). */
static const char *color_of(const struct klx_card *c) {
    static const char *const colors[] = {
        [KLX_SEVERITY_INFO] = "#1d5fa8",
        [KLX_SEVERITY_WARNING] = "#a85508",
        [KLX_SEVERITY_CRITICAL] = "#b91c1c",
    };
    return c->resolved ? "#15713c" : colors[c->severity];
}

static void write_facts(struct klx_jw *w, const struct klx_card *c) {
    klx_jw_member_bool(w, "has_facts", c->facts_n > 0);
    klx_jw_key(w, "facts");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < c->facts_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "name", c->facts[i].name);
        klx_jw_member_sv(w, "value", c->facts[i].value);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_links(struct klx_jw *w, const struct klx_card *c) {
    klx_jw_member_bool(w, "has_links", c->links_n > 0);
    klx_jw_key(w, "links");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < c->links_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "url", c->links[i].url);
        klx_jw_member_sv(w, "title", c->links[i].title);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_context(struct klx_buf *out, const struct klx_card *c) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "color", color_of(c));
    klx_jw_member_str(&w, "word", klx_card_word(c));
    klx_jw_member_sv(&w, "title", c->title);
    klx_jw_member_sv(&w, "subject", c->subject);
    klx_jw_member_sv(&w, "state", c->resolved ? klx_sv(NULL) : c->state);
    klx_jw_member_sv(&w, "summary", c->summary);
    write_facts(&w, c);
    klx_jw_member_sv(&w, "advice", c->advice);
    write_links(&w, c);
    klx_jw_member_sv(&w, "code", c->code);
    klx_jw_member_sv(&w, "footer", c->footer);
    klx_jw_end_object(&w);
}

int klx_email_html(const struct klx_template *html, const struct klx_card *card,
                   struct klx_arena *a, struct klx_buf *out) {
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    const struct klx_json *context = NULL;
    klx_buf_init(&json, KLX_EMAIL_BODY_BYTES_MAX);
    write_context(&json, card);
    int rc = klx_buf_check(&json);
    if (rc == 0) {
        rc = klx_json_parse(a, klx_buf_sv(&json), NULL, &context, NULL);
    }
    return rc != 0
               ? rc
               : klx_template_render(html, context, KLX_TEMPLATE_WORK_MAX, klx_escape_html, out);
}
