/*
 * Text that others wrote, made fit to be shown to a person.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* The first character of valid UTF-8 that is not empty, and its length. */
uint32_t klx_utf8_first(struct klx_sv s, size_t *ret_n);
/* Characters that command a terminal, turn the order of the text or hide in it: C0, DEL, C1, bidi controls, line separators, tags. */
bool klx_utf8_is_control(uint32_t c);
/* Appends one line of at most bytes_max bytes: valid UTF-8, every run of white space and control characters as one space, none at the ends;
   what was cut is told by "…". */
void klx_utf8_line(struct klx_buf *out, struct klx_sv text, size_t bytes_max);
