#include "cli/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/utf8.h"

static bool is_set(const char *value) {
    return value != NULL && value[0] != '\0';
}

static bool wants_color(const char *when, const struct klx_terminal_env *env) {
    if (strcmp(when, "auto") != 0) {
        return strcmp(when, "always") == 0;
    }
    if (is_set(env->no_color)) {
        return false;
    }
    if (is_set(env->clicolor_force) && strcmp(env->clicolor_force, "0") != 0) {
        return true;
    }
    return env->is_tty && !(env->term != NULL && strcmp(env->term, "dumb") == 0);
}

static bool names_utf8(const char *locale) {
    return is_set(locale) &&
           (strcasestr(locale, "utf-8") != NULL || strcasestr(locale, "utf8") != NULL);
}

void klx_terminal_init(struct klx_terminal *t, const char *when,
                       const struct klx_terminal_env *env) {
    *t = (struct klx_terminal){ .color = wants_color(when, env), .utf8 = names_utf8(env->locale) };
}

void klx_terminal_env_read(struct klx_terminal_env *ret, int fd) {
    static const char *const locales[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    *ret = (struct klx_terminal_env){ .is_tty = isatty(fd) == 1,
                                      .no_color = getenv("NO_COLOR"),
                                      .clicolor_force = getenv("CLICOLOR_FORCE"),
                                      .term = getenv("TERM") };
    for (size_t i = 0; i < KLX_COUNT(locales) && !is_set(ret->locale); i++) {
        ret->locale = getenv(locales[i]);
    }
}

static void add_escape(struct klx_buf *out, uint32_t c) {
    if (c == '\n' || c == '\r' || c == '\t') {
        klx_buf_add_str(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else if (c < 0x80) {
        klx_buf_printf(out, "\\x%02x", c);
    } else {
        klx_buf_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
    }
}

void klx_terminal_text(const struct klx_terminal *t, struct klx_buf *out, struct klx_sv text) {
    struct klx_buf valid KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&valid, 3 * text.n + 1);
    klx_utf8_sanitize(&valid, text);
    struct klx_sv rest = klx_buf_sv(&valid);
    while (rest.n > 0) {
        size_t n = 0;
        uint32_t c = klx_utf8_first(rest, &n);
        if (klx_utf8_is_control(c) || (!t->utf8 && c > 0x7f)) {
            add_escape(out, c);
        } else {
            klx_buf_add(out, rest.p, n);
        }
        rest = klx_sv_n(rest.p + n, rest.n - n);
    }
}

void klx_terminal_text_plain(struct klx_buf *out, struct klx_sv text) {
    struct klx_terminal terminal;
    struct klx_terminal_env env;
    klx_terminal_env_read(&env, STDOUT_FILENO);
    klx_terminal_init(&terminal, "never", &env);
    klx_terminal_text(&terminal, out, text);
}

void klx_terminal_json(struct klx_buf *out, struct klx_sv json) {
    struct klx_sv rest = json;
    while (rest.n > 0) {
        size_t n = 0;
        uint32_t c = klx_utf8_first(rest, &n);
        if (klx_utf8_is_control(c) && c > 0xffff) {
            klx_buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                           0xdc00 + ((c - 0x10000) & 0x3ff));
        } else if (klx_utf8_is_control(c)) {
            klx_buf_printf(out, "\\u%04x", c);
        } else {
            klx_buf_add(out, rest.p, n);
        }
        rest = klx_sv_n(rest.p + n, rest.n - n);
    }
}

const char *klx_terminal_glyph(const struct klx_terminal *t, enum klx_severity s) {
    static const char *const glyphs[][2] = { { "i", "●" }, { "!", "▲" }, { "X", "■" } };
    return glyphs[s][t->utf8];
}

const char *klx_terminal_color(const struct klx_terminal *t, enum klx_severity s) {
    static const char *const colors[] = { "\033[36m", "\033[33m", "\033[1;31m" };
    return t->color ? colors[s] : "";
}

const char *klx_terminal_plain(const struct klx_terminal *t) {
    return t->color ? "\033[0m" : "";
}

void klx_terminal_lines(struct klx_buf *out, struct klx_sv text) {
    while (text.n > 0) {
        struct klx_sv line = klx_sv_cut(&text, '\n');
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
        klx_terminal_text_plain(out, line);
        klx_buf_add_char(out, '\n');
    }
}
