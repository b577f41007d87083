#include "lib/io/reload_metrics.h"

#include <ctype.h>

#include "lib/io/metrics.h"

#define EXACT_DIGITS 13 /* 52 bits: what a sample, which is a double, holds exactly */

static void set_failed(bool failed) {
    klx_gauge_set(klx_gauge("klaxon_config_reload_failed",
                            "1: the configuration in the files cannot be used, and the one before "
                            "is.",
                            NULL),
                  failed);
}

void klx_reload_metrics_good(const char *hash, struct klx_clock *clock) {
    double number = 0;
    for (size_t i = 0; i < EXACT_DIGITS && isxdigit((unsigned char)hash[i]); i++) {
        int c = hash[i];
        number = number * 16 + (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    set_failed(false);
    klx_gauge_set(klx_gauge("klaxon_config_loaded_timestamp_seconds",
                            "When the files were last found to hold the configuration in use.",
                            NULL),
                  (double)clock->wall_us(clock) / 1e6);
    klx_gauge_set(klx_gauge("klaxon_config_hash",
                            "A number made of the configuration in use: equal for equal files.",
                            NULL),
                  number);
}

void klx_reload_metrics_bad(void) {
    set_failed(true);
}
