/*
 * Time zones by their names in the IANA database ("Europe/Berlin"): what the clock on the wall says at an instant.
 *
 * A zone is read once from the system's TZif files (RFC 9636), $TZDIR or /usr/share/zoneinfo, and never again; "UTC" needs no file. Instants
 * after the last change that the file lists go by the rule at its end. Nothing here touches TZ or the C library's notion of local time.
 */
#pragma once

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/base/time.h"

struct klx_zone;

#define KLX_ZONE_ABBREVIATION_BYTES 16

struct klx_zone_time {
    int year, month, day;                           /* 2026, 1 … 12, 1 … 31 */
    int hour, minute, second;                       /* 0 … 23, 0 … 59, 0 … 59 */
    int weekday;                                    /* 0 = Sunday */
    int32_t offset_s;                               /* east of UTC */
    char abbreviation[KLX_ZONE_ABBREVIATION_BYTES]; /* "CEST" */
};

/* -ENOENT: there is no such zone, or the database is not installed; -EINVAL: no name of a zone, or a file that is none. */
int klx_zone_new(struct klx_sv name, struct klx_zone **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_zone_free(struct klx_zone *z);
/* z NULL is UTC here and below. */
const char *klx_zone_name(const struct klx_zone *z);
void klx_zone_at(const struct klx_zone *z, int64_t us, struct klx_zone_time *ret);
/* "2026-03-11 09:02:18 CET"; returns the length. KLX_TIME_NONE: "". */
size_t klx_zone_format(const struct klx_zone *z, int64_t us, char out[static KLX_TIME_TEXT_BYTES]);
