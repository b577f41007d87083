/*
 * Kubernetes quantities: "7Gi", "250m", "12345678n", "1.5", "1e3", "-3k" (apimachinery, api/resource/quantity.go): a decimal number with
 * one suffix of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or a decimal exponent. 'E' is exa unless a number follows.
 */
#pragma once

#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_QUANTITY_TEXT_BYTES 32

/* In the base unit (bytes, cores); a double holds every quantity of a memory exactly. 0 or -EINVAL; -ERANGE past an exponent of ±30. */
int klx_quantity_parse(struct klx_sv text, double *ret) KLX_MUST_CHECK;
/* Bytes for people, with the largest binary suffix and at most one decimal: "7Gi", "5.4Gi", "512Mi", "100". Returns the length. */
size_t klx_quantity_bytes(double bytes, char out[static KLX_QUANTITY_TEXT_BYTES]);
