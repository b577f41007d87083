/*
 * Internal of schema/samples.c: the files of schema/samples/, one after the other, as cmake/embed.cmake writes them.
 */
#pragma once

#include <stddef.h>

extern const char klx_samples[];
extern const size_t klx_samples_bytes;
