/*
 * What may be written to a terminal: colours and glyphs where they are wanted, and text of a cluster made harmless.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"
#include "schema/event.h"

struct klx_terminal {
    bool color;
    bool utf8;
};

/* The environment that decides, so that tests can give it. NULL: not set. */
struct klx_terminal_env {
    bool is_tty;
    const char *no_color;       /* NO_COLOR: set and not empty, no colours (no-color.org) */
    const char *clicolor_force; /* CLICOLOR_FORCE: set and not "0", colours */
    const char *term;           /* TERM=dumb: no colours */
    const char *locale;         /* the first of LC_ALL, LC_CTYPE, LANG that is set and not empty */
};

/* `when` is auto, always or never, and wins over the environment. */
void klx_terminal_init(struct klx_terminal *t, const char *when,
                       const struct klx_terminal_env *env);
/* Of the process, for what is written to fd. */
void klx_terminal_env_read(struct klx_terminal_env *ret, int fd);

/* Appends text with every character that could command a terminal or turn the order of the text (C0, DEL, C1, bidi controls, line
   separators) as a visible escape. Without UTF-8 every character past ASCII is one. */
void klx_terminal_text(const struct klx_terminal *t, struct klx_buf *out, struct klx_sv text);
/* The same for what goes to the process's stdout, without colours. */
void klx_terminal_text_plain(struct klx_buf *out, struct klx_sv text);
/* The same line by line, each ended by LF whatever it ended in. */
void klx_terminal_lines(struct klx_buf *out, struct klx_sv text);
/* Appends JSON that klx_jw has written, the same characters as \uXXXX: the document's meaning stays. */
void klx_terminal_json(struct klx_buf *out, struct klx_sv json);
/* A mark that needs no colour to be told apart: ● ▲ ■, or i ! X. */
const char *klx_terminal_glyph(const struct klx_terminal *t, enum klx_severity s);
/* The sequences around text of a severity; "" without colours. */
const char *klx_terminal_color(const struct klx_terminal *t, enum klx_severity s);
const char *klx_terminal_plain(const struct klx_terminal *t);
