/*
 * Payloads that are JSON as tests see them: parsed, laid out, and compared with a golden file.
 */
#pragma once

#include "tests/unit/support/support.h"

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"

static inline const struct klx_json *payload_parse(struct klx_arena *a, struct klx_sv text) {
    const struct klx_json *node = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(a, text, NULL, &node, &e) != 0) {
        fail_msg("the payload is not JSON: %s", e.text);
    }
    return node;
}

static inline void payload_indent(struct klx_buf *out, int depth) {
    klx_buf_printf(out, "\n%*s", 2 * depth, "");
}

/* One member a line: a difference shows where it is. */
static inline void payload_pretty(struct klx_buf *out, const struct klx_json *node, int depth) {
    bool object = klx_json_is_object(node);
    if (!object && !klx_json_is_array(node)) {
        struct klx_jw w;
        klx_jw_init(&w, out);
        klx_jw_node(&w, node);
        return;
    }
    klx_buf_add_char(out, object ? '{' : '[');
    for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
        payload_indent(out, depth + 1);
        if (object) {
            klx_buf_printf(out, "\"%.*s\": ", KLX_SV_FMT(klx_json_key(m)));
        }
        payload_pretty(out, m, depth + 1);
        klx_buf_add_str(out, klx_json_next(m) != NULL ? "," : "");
    }
    payload_indent(out, depth);
    klx_buf_add_char(out, object ? '}' : ']');
}

/* With tests/golden/<name>, "ntfy/node.ready.json"; returns it parsed. */
static inline const struct klx_json *payload_golden(struct klx_arena *a, const char *name,
                                                    struct klx_sv text) {
    struct klx_buf pretty KLX_CLEANUP(klx_buf_release);
    const struct klx_json *parsed = payload_parse(a, text);
    klx_buf_init(&pretty, 1 << 20);
    payload_pretty(&pretty, parsed, 0);
    klx_buf_add_char(&pretty, '\n');
    golden_check(name, klx_buf_sv(&pretty));
    return parsed;
}
