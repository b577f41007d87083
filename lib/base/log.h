/*
 * The log of a process: one JSON object a line on stderr, or a readable form with colours when stderr is a terminal.
 *
 *     klx_log_warn("watch ended, retrying", KLX_F_STR("cluster", name), KLX_F_INT("retry_ms", 4000));
 *
 * A line is written with one write(2). Libraries log nothing above debug: errors go up as values and the process logs them once,
 * where it decides what happens next. Values are escaped; secrets are never passed here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/hash.h"
#include "lib/base/sv.h"

enum klx_log_level { KLX_LOG_DEBUG, KLX_LOG_INFO, KLX_LOG_WARN, KLX_LOG_ERROR };
enum klx_log_format { KLX_LOG_AUTO, KLX_LOG_JSON, KLX_LOG_TEXT };

struct klx_log_field {
    const char *key; /* NULL ends the list */
    struct klx_sv text;
    int64_t number;
    bool is_number;
};

#define KLX_F_STR(k, s) ((struct klx_log_field){ .key = (k), .text = klx_sv(s) })
#define KLX_F_SV(k, v) ((struct klx_log_field){ .key = (k), .text = (v) })
#define KLX_F_INT(k, n)                                                                            \
    ((struct klx_log_field){ .key = (k), .number = (int64_t)(n), .is_number = true })

/* Before the first line. `component` (a literal) stands in every line. AUTO: text on a terminal, else JSON. */
void klx_log_init(const char *component, enum klx_log_format format, enum klx_log_level level);
/* 0, or -EINVAL; "debug", "info", "warn", "error". */
int klx_log_parse_level(struct klx_sv name, enum klx_log_level *ret)
    __attribute__((warn_unused_result));
bool klx_log_enabled(enum klx_log_level level);
void klx_log_write(enum klx_log_level level, const char *message,
                   const struct klx_log_field *fields);

/* Of what goes wrong again and again: the same words are due at once, then after 5 s, 10 s, 20 s … and every minute. After two minutes
   without them they are news. Of several things that take turns, each by itself. Zeroed at first. */
struct klx_log_lasting {
    struct klx_log_lasting_words {
        char hash[KLX_HASH_TEXT_BYTES];
        int64_t seen_us, due_us, every_us;
    } of[4];
};
bool klx_log_lasting_due(struct klx_log_lasting *l, const char *words, int64_t now_us);

/* Where lines go instead of stderr (tests); -1 = stderr. */
void klx_log_to_fd(int fd);

#define KLX_LOG_(level, message, ...)                                                              \
    do {                                                                                           \
        if (klx_log_enabled(level)) {                                                              \
            klx_log_write(                                                                         \
                level, message,                                                                    \
                (const struct klx_log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } });      \
        }                                                                                          \
    } while (0)
#define klx_log_debug(message, ...) KLX_LOG_(KLX_LOG_DEBUG, message, __VA_ARGS__)
#define klx_log_info(message, ...) KLX_LOG_(KLX_LOG_INFO, message, __VA_ARGS__)
#define klx_log_warn(message, ...) KLX_LOG_(KLX_LOG_WARN, message, __VA_ARGS__)
#define klx_log_error(message, ...) KLX_LOG_(KLX_LOG_ERROR, message, __VA_ARGS__)
