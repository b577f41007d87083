/*
 * mail.html as bytes; the build makes them (cmake/embed.cmake).
 */
#pragma once

#include <stddef.h>

extern const char klx_email_template[];
extern const size_t klx_email_template_bytes;
