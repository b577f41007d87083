#include "cli/letter_request.h"

#include <errno.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "sinks/core/parking/parked.h"

#define ARENA_BYTES 65536
#define ARENA_BYTES_MAX (64u << 20)
#define TEXT_BYTES_MAX (16u << 20)

static const struct klx_channel_settings *find_channel(const struct klx_cli_channels *all,
                                                       struct klx_sv name) {
    for (size_t i = 0; i < all->sinks.channels_n; i++) {
        if (klx_sv_eq(name, klx_sv(all->sinks.channels[i].name))) {
            return &all->sinks.channels[i];
        }
    }
    return NULL;
}

static int render(const struct klx_cli_channels *all, const struct klx_channel_settings *settings,
                  struct klx_arena *a, const struct klx_parked *p, struct klx_buf *out,
                  struct klx_error *e) {
    struct klx_event event;
    const struct klx_json *data = NULL;
    struct klx_cli_channel c;
    int rc = klx_event_decode(a, &p->original, &event, e);
    rc = rc == 0 ? klx_json_parse(a, event.data, NULL, &data, e) : rc;
    if (rc != 0) {
        return rc;
    }
    event.severity = p->severity;
    const struct klx_notice notice = { .event = &event,
                                       .data = data,
                                       .team = p->team,
                                       .channel = klx_sv(settings->name),
                                       .reason = p->reason,
                                       .digest = p->digest };
    rc = klx_cli_channel_open(all, settings, &c, e);
    rc = rc == 0
             ? klx_cli_notice_render(&c, &notice, klx_parked_subscription(p, &all->sinks), out, e)
             : rc;
    klx_cli_channel_close(&c);
    return rc;
}

void klx_letter_request_make(const struct klx_cli_channels *channels, const struct klx_letter *l,
                             struct klx_letter_request *ret) {
    struct klx_arena arena;
    struct klx_parked p;
    *ret = (struct klx_letter_request){ .bytes_max = 0 };
    klx_buf_init(&ret->text, 0);
    klx_arena_init(&arena, ARENA_BYTES, ARENA_BYTES_MAX);
    int rc = channels != NULL
                 ? klx_letter_parked(&arena, l->record, klx_cli_now_us(), &p, &ret->why)
                 : klx_fail(&ret->why, -EINVAL, "the configuration has mistakes");
    const struct klx_channel_settings *c = rc == 0 ? find_channel(channels, p.channel) : NULL;
    if (rc == 0 && c == NULL) {
        rc = klx_fail(&ret->why, -ENOENT, "the channel is not in this configuration");
    }
    if (rc == 0) {
        ret->bytes_max = c->ops->payload_bytes_max;
        klx_buf_init(&ret->text, ret->bytes_max);
        rc = render(channels, c, &arena, &p, &ret->text, &ret->why);
    }
    if (rc == 0) {
        ret->why = (struct klx_error){ 0 };
    }
    klx_arena_release(&arena);
}

void klx_letter_request_release(struct klx_letter_request *r) {
    klx_buf_release(&r->text);
}

void klx_letter_request_write(const struct klx_letter_request *r, struct klx_buf *out) {
    if (r->why.text[0] != '\0') {
        klx_buf_printf(out, "%-12snone: ", "request");
        klx_terminal_text_plain(out, klx_sv(r->why.text));
        klx_buf_add_char(out, '\n');
        return;
    }
    klx_buf_printf(out, "request, as it would be sent now: %zu bytes of at most %zu\n", r->text.len,
                   r->bytes_max);
    klx_terminal_lines(out, klx_buf_sv(&r->text));
}

void klx_letter_request_write_json(const struct klx_letter_request *r, struct klx_jw *w) {
    klx_jw_key(w, "request");
    klx_jw_begin_object(w);
    if (r->why.text[0] != '\0') {
        klx_jw_member_str(w, "error", r->why.text);
    } else {
        klx_jw_member_int(w, "bytes", (int64_t)r->text.len);
        klx_jw_member_int(w, "bytesMax", (int64_t)r->bytes_max);
        klx_jw_member_sv(w, "text", klx_buf_sv(&r->text));
    }
    klx_jw_end_object(w);
}
