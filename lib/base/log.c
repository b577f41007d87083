#include "lib/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

#define LINE_BYTES_MAX 16384
#define LASTING_FIRST_US (5 * KLX_US_PER_S)
#define LASTING_LAST_US (60 * KLX_US_PER_S)
#define LASTING_FORGOTTEN_US (120 * KLX_US_PER_S)

static struct {
    const char *component;
    enum klx_log_level level;
    bool text;
    bool colour;
    int fd;
} state = { .component = "klaxon", .level = KLX_LOG_INFO, .fd = STDERR_FILENO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static bool wants_colour(void) {
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_colour == NULL || no_colour[0] == '\0') &&
           (term == NULL || !klx_sv_eq(klx_sv(term), KLX_SV("dumb")));
}

void klx_log_init(const char *component, enum klx_log_format format, enum klx_log_level level) {
    bool terminal = isatty(state.fd) == 1;
    state.component = component;
    state.level = level;
    state.text = format == KLX_LOG_TEXT || (format == KLX_LOG_AUTO && terminal);
    state.colour = state.text && terminal && wants_colour();
}

void klx_log_to_fd(int fd) {
    state.fd = fd >= 0 ? fd : STDERR_FILENO;
}

int klx_log_parse_level(struct klx_sv name, enum klx_log_level *ret) {
    for (size_t i = 0; i < KLX_COUNT(level_names); i++) {
        if (klx_sv_eq(name, klx_sv(level_names[i]))) {
            *ret = (enum klx_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool klx_log_enabled(enum klx_log_level level) {
    return level >= state.level;
}

static void write_json(struct klx_buf *line, enum klx_log_level level, const char *message,
                       const struct klx_log_field *f) {
    struct klx_jw w;
    klx_jw_init(&w, line);
    klx_jw_begin_object(&w);
    klx_jw_member_time(&w, "time", klx_clock_real()->wall_us(klx_clock_real()));
    klx_jw_member_str(&w, "level", level_names[level]);
    klx_jw_member_str(&w, "component", state.component);
    klx_jw_member_str(&w, "message", message);
    for (; f->key != NULL; f++) {
        if (f->is_number) {
            klx_jw_member_int(&w, f->key, f->number);
        } else {
            klx_jw_member_sv(&w, f->key, f->text);
        }
    }
    klx_jw_end_object(&w);
}

static void add_text_value(struct klx_buf *line, struct klx_sv value) {
    struct klx_jw w;
    klx_jw_init(&w, line);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c <= ' ' || c == '"' || c >= 0x7f) {
            klx_jw_sv(&w, value); /* quoted and escaped: it may be a terminal that reads this */
            return;
        }
    }
    klx_buf_add_sv(line, value);
}

static void write_text(struct klx_buf *line, enum klx_log_level level, const char *message,
                       const struct klx_log_field *f) {
    static const char *const labels[] = { "DEBUG", "INFO ", "WARN ", "ERROR" };
    static const char *const colours[] = { "\033[2m", "\033[36m", "\033[33m", "\033[31m" };
    char now[KLX_TIME_TEXT_BYTES];
    klx_time_format(klx_clock_real()->wall_us(klx_clock_real()), KLX_TIME_MILLIS, now);
    klx_buf_printf(line, "%.12s %s%s%s %s", now + 11, state.colour ? colours[level] : "",
                   labels[level], state.colour ? "\033[0m" : "", message);
    for (; f->key != NULL; f++) {
        klx_buf_printf(line, " %s=", f->key);
        if (f->is_number) {
            klx_buf_printf(line, "%lld", (long long)f->number);
        } else {
            add_text_value(line, f->text);
        }
    }
}

void klx_log_write(enum klx_log_level level, const char *message,
                   const struct klx_log_field *fields) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, LINE_BYTES_MAX);
    if (state.text) {
        write_text(&line, level, message, fields);
    } else {
        write_json(&line, level, message, fields);
    }
    if (line.failed) {
        static const struct klx_log_field none = { .key = NULL };
        klx_buf_reset(&line);
        write_json(&line, level, "a log line was too long and has been left out", &none);
    }
    klx_buf_add_char(&line, '\n');
    ssize_t n = write(state.fd, line.data, line.len);
    (void)n; /* There is nobody left to tell. */
}

/* That of the words, or else the one whose words were not seen for the longest time. */
static struct klx_log_lasting_words *find_words(struct klx_log_lasting *l, const char *hash) {
    struct klx_log_lasting_words *oldest = &l->of[0];
    for (size_t i = 0; i < KLX_COUNT(l->of); i++) {
        if (strcmp(l->of[i].hash, hash) == 0) {
            return &l->of[i];
        }
        oldest = l->of[i].seen_us < oldest->seen_us ? &l->of[i] : oldest;
    }
    return oldest;
}

bool klx_log_lasting_due(struct klx_log_lasting *l, const char *words, int64_t now_us) {
    char hash[KLX_HASH_TEXT_BYTES];
    const struct klx_sv parts[] = { klx_sv(words) };
    klx_hash_parts(parts, KLX_COUNT(parts), hash);
    struct klx_log_lasting_words *w = find_words(l, hash);
    if (strcmp(w->hash, hash) != 0 || now_us - w->seen_us > LASTING_FORGOTTEN_US) {
        memcpy(w->hash, hash, sizeof(hash));
        w->due_us = now_us;
        w->every_us = LASTING_FIRST_US;
    }
    w->seen_us = now_us;
    if (now_us < w->due_us) {
        return false;
    }
    w->due_us = now_us + w->every_us;
    w->every_us = 2 * w->every_us < LASTING_LAST_US ? 2 * w->every_us : LASTING_LAST_US;
    return true;
}
