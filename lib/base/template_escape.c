#include "lib/base/template.h"
#include "lib/base/url.h"

void klx_escape_none(struct klx_buf *out, struct klx_sv text) {
    klx_utf8_sanitize(out, text);
}

void klx_escape_html(struct klx_buf *out, struct klx_sv text) {
    size_t done = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *entity = text.p[i] == '&'    ? "&amp;"
                             : text.p[i] == '<'  ? "&lt;"
                             : text.p[i] == '>'  ? "&gt;"
                             : text.p[i] == '"'  ? "&quot;"
                             : text.p[i] == '\'' ? "&#39;"
                                                 : NULL;
        if (entity != NULL) {
            klx_utf8_sanitize(out, klx_sv_n(text.p + done, i - done));
            klx_buf_add_str(out, entity);
            done = i + 1;
        }
    }
    if (done < text.n) {
        klx_utf8_sanitize(out, klx_sv_n(text.p + done, text.n - done));
    }
}

/* Written as a string, and the quotes around it taken away. */
void klx_escape_json(struct klx_buf *out, struct klx_sv text) {
    struct klx_buf quoted;
    struct klx_jw w;
    klx_buf_init(&quoted, 6 * text.n + 2);
    klx_jw_init(&w, &quoted);
    klx_jw_sv(&w, text);
    if (klx_buf_check(&quoted) != 0) {
        out->failed = true;
    } else {
        klx_buf_add(out, quoted.data + 1, quoted.len - 2);
    }
    klx_buf_release(&quoted);
}

void klx_escape_url(struct klx_buf *out, struct klx_sv text) {
    struct klx_buf valid;
    klx_buf_init(&valid, 3 * text.n + 1);
    klx_utf8_sanitize(&valid, text);
    klx_url_add_encoded(out, klx_buf_sv(&valid));
    klx_buf_release(&valid);
}
