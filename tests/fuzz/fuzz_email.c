#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "lib/io/smtp.h"
#include "sinks/core/sink.h"
#include "sinks/email/mime.h"
#include "sinks/email/settings.h"
#include "sinks/email/verdicts.h"

#define LINE_MAX_BYTES 77 /* 76 and the CR */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static struct klx_sv from(struct klx_sv s, size_t at) {
    return klx_sv_n(s.p + at, s.n - at);
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "=XX" at the beginning of s. */
static bool add_escaped(struct klx_buf *out, struct klx_sv s) {
    if (s.n < 3 || s.p[0] != '=' || digit(s.p[1]) < 0 || digit(s.p[2]) < 0) {
        return false;
    }
    klx_buf_add_char(out, (char)(digit(s.p[1]) * 16 + digit(s.p[2])));
    return true;
}

/* The text of a header, as a mail reader takes it. */
static void decode_words(struct klx_buf *out, struct klx_sv value) {
    bool inside = false;
    while (value.n > 0) {
        size_t n = 1;
        if (!inside && klx_sv_starts(value, KLX_SV("=?UTF-8?Q?"))) {
            inside = true;
            n = strlen("=?UTF-8?Q?");
        } else if (inside && klx_sv_starts(value, KLX_SV("?="))) {
            inside = false;
            n = klx_sv_starts(value, KLX_SV("?= =?")) ? 3 : 2; /* the space between two is none */
        } else if (inside && add_escaped(out, value)) {
            n = 3;
        } else {
            klx_buf_add_char(out, inside && value.p[0] == '_' ? ' ' : value.p[0]);
        }
        value = from(value, n);
    }
    require(!inside);
}

/* "Name: value" without its folds; one header and no more. */
static void unfold(struct klx_buf *out, struct klx_sv header) {
    bool first = true;
    while (header.n > 0) {
        struct klx_sv line = klx_sv_cut(&header, '\n');
        require(line.n > 0 && line.n <= LINE_MAX_BYTES && line.p[line.n - 1] == '\r');
        require(first || line.p[0] == ' ');
        klx_buf_add(out, line.p, line.n - 1);
        first = false;
    }
}

static void header_says_the_text(struct klx_sv text) {
    struct klx_buf header KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release),
        said KLX_CLEANUP(klx_buf_release), wanted KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&header, 65536);
    klx_buf_init(&value, 65536);
    klx_buf_init(&said, 65536);
    klx_buf_init(&wanted, 65536);
    klx_mime_text(&header, "Subject", text);
    require(klx_buf_check(&header) == 0);
    unfold(&value, klx_buf_sv(&header));
    struct klx_sv rest = from(klx_buf_sv(&value), strlen("Subject:"));
    decode_words(&said, rest.n > 0 ? from(rest, 1) : rest);
    klx_utf8_line(&wanted, text, KLX_MIME_TEXT_BYTES_MAX);
    require(klx_sv_eq(klx_buf_sv(&said), klx_buf_sv(&wanted)));
}

static void mailbox_keeps_its_address(struct klx_sv text) {
    struct klx_buf header KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&header, 65536);
    klx_buf_init(&value, 65536);
    klx_mime_mailbox(&header, "From", klx_sv_utf8_prefix(text, 60), KLX_SV("k@x.example"));
    require(klx_buf_check(&header) == 0);
    unfold(&value, klx_buf_sv(&header));
    require(klx_sv_ends(klx_buf_sv(&value), KLX_SV(" k@x.example")) ||
            klx_sv_ends(klx_buf_sv(&value), KLX_SV(" <k@x.example>")));
}

static void body_says_the_text(struct klx_sv text) {
    struct klx_buf encoded KLX_CLEANUP(klx_buf_release), said KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&encoded, 16 << 20);
    klx_buf_init(&said, 16 << 20);
    klx_mime_quoted_printable(&encoded, text);
    require(klx_smtp_message_problem(klx_buf_sv(&encoded)) == NULL);
    for (struct klx_sv rest = klx_buf_sv(&encoded); rest.n > 0;) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        require(line.n <= LINE_MAX_BYTES);
        bool soft = line.n >= 2 && line.p[line.n - 2] == '=';
        line.n -= soft ? 2 : 1;
        require(line.n == 0 || soft || line.p[line.n - 1] != ' ');
        while (line.n > 0) {
            bool escaped = add_escaped(&said, line);
            if (!escaped) {
                klx_buf_add_char(&said, line.p[0]);
            }
            line = from(line, escaped ? 3 : 1);
        }
        klx_buf_add_str(&said, soft ? "" : "\n");
    }
    bool ended = text.n > 0 && text.p[text.n - 1] == '\n';
    said.len -= ended ? 0 : 1;
    require(klx_sv_eq(klx_buf_sv(&said), text));
}

/* One for all inputs, as a process has it. */
static void *channel(void) {
    static void *made;
    static struct klx_config *yaml;
    if (made == NULL) {
        struct klx_loop *loop = klx_loop_new();
        const struct klx_sink_env env = { loop, NULL, klx_clock_real() };
        void *config = klx_new_bytes(klx_sink_email.config_bytes);
        require(klx_config_parse(KLX_SV("to: [a@x.example]\nfrom: k@x.example\n"
                                        "smtp: smtp://mail.example\n"),
                                 "fuzz", &yaml, NULL) == 0);
        require(klx_config_bind(klx_config_root(yaml), klx_sink_email.fields, config, NULL) == 0);
        require(klx_sink_email.open(&env, "mail", config, &made, NULL) == 0);
    }
    return made;
}

static size_t count(struct klx_sv text, const char *what) {
    size_t n = 0;
    for (size_t at = klx_sv_find_sv(text, klx_sv(what)); at < text.n;
         at = klx_sv_find_sv(text, klx_sv(what))) {
        text = from(text, at + strlen(what));
        n++;
    }
    return n;
}

/* Nothing but our headers, each once, and two parts. */
static void check_message(struct klx_sv message) {
    static const char *const once[] = { "\r\nFrom:",       "\r\nTo:",           "\r\nSubject:",
                                        "\r\nMessage-ID:", "\r\nMIME-Version:", "\r\nList-Id:" };
    static const char *const never[] = { "\r\nBcc:", "\r\nCc:", "\r\nReply-To:", "\r\n\r\n" };
    size_t end = klx_sv_find_sv(message, KLX_SV("\r\n\r\n"));
    require(klx_smtp_message_problem(message) == NULL && end < message.n);
    for (size_t i = 0; i < KLX_COUNT(once); i++) {
        require(count(klx_sv_n(message.p, end + 2), once[i]) == 1);
    }
    for (size_t i = 0; i < KLX_COUNT(never); i++) {
        require(count(klx_sv_n(message.p, end + 2), never[i]) == 0);
    }
    require(count(message, "\r\n--=_klaxon_") == 3);
}

/* Two bytes choose kind, severity and phase; what follows is the event's data, and also every text around it. */
static void render(const uint8_t *choice, struct klx_sv text) {
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *parsed = NULL;
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&out, klx_sink_email.payload_bytes_max);
    if (klx_json_parse(&a, text, NULL, &parsed, NULL) == 0) {
        const struct klx_event e = { .kind = (enum klx_kind)(choice[0] % (KLX_KINDS_N + 1)),
                                     .type = text,
                                     .id = text,
                                     .cluster = text,
                                     .incident = choice[1] & 0x80 ? text : klx_sv(NULL),
                                     .severity = (enum klx_severity)(choice[1] % 3),
                                     .phase = (enum klx_phase)(choice[1] / 3 % 4),
                                     .time_us =
                                         (int64_t)((uint64_t)choice[0] << (choice[1] % 64)) };
        const struct klx_notice notice = {
            .event = &e, .data = parsed, .team = text, .channel = text
        };
        require(klx_sink_email.render(channel(), &notice, &out, NULL) == 0);
        check_message(klx_buf_sv(&out));
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
}

/* The same bytes as a server's words. */
static void judge(const uint8_t *choice, struct klx_sv text) {
    struct klx_smtp_recipient recipient = { .code = choice[1] * 3 };
    char reply[256];
    struct klx_verdict v = { .class = KLX_VERDICTS_N };
    const struct klx_smtp_result r = { .failure = (enum klx_smtp_failure)(choice[0] % 8),
                                       .challenge = reply,
                                       .code = choice[0] * 3,
                                       .reply = reply,
                                       .error = "",
                                       .recipients = &recipient,
                                       .recipients_n = 1 };
    snprintf(reply, sizeof(reply), "%.*s", KLX_SV_FMT(text));
    snprintf(recipient.reply, sizeof(recipient.reply), "%s", reply);
    klx_email_judge(&r, 0, &v);
    require(v.class < KLX_VERDICTS_N);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct klx_sv text = klx_sv_n((const char *)data + 2, size - 2);
    header_says_the_text(text);
    mailbox_keeps_its_address(text);
    body_says_the_text(text);
    render(data, text);
    judge(data, text);
    return 0;
}
