#include "sinks/slack/handle.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool klx_slack_is_id(struct klx_sv text) {
    bool id = text.n >= 2 && text.n <= KLX_SLACK_ID_BYTES_MAX && strchr("CGDU", text.p[0]) != NULL;
    for (size_t i = 1; i < text.n && id; i++) {
        id = isdigit((unsigned char)text.p[i]) || isupper((unsigned char)text.p[i]);
    }
    return id;
}

bool klx_slack_is_ts(struct klx_sv text) {
    size_t point = klx_sv_find(text, '.');
    bool ts = point > 0 && point + 1 < text.n && text.n <= KLX_SLACK_ID_BYTES_MAX;
    for (size_t i = 0; i < text.n && ts; i++) {
        ts = i == point || isdigit((unsigned char)text.p[i]);
    }
    return ts;
}

static void copy(char *out, struct klx_sv s) {
    snprintf(out, KLX_SLACK_ID_BYTES_MAX + 1, "%.*s", KLX_SV_FMT(s));
}

bool klx_slack_handle_read(struct klx_sv text, struct klx_slack_handle *ret) {
    struct klx_sv channel = klx_sv_cut(&text, '/'), ts = klx_sv_cut(&text, '/');
    if (!klx_slack_is_id(channel) || !klx_slack_is_ts(ts)) {
        return false;
    }
    copy(ret->channel, channel);
    copy(ret->ts, ts);
    if (klx_severity_parse(text, &ret->told) != 0) {
        ret->told = KLX_SEVERITY_INFO;
    }
    return true;
}

void klx_slack_handle_write(const struct klx_slack_handle *h,
                            char out[static KLX_HANDLE_BYTES_MAX + 1]) {
    snprintf(out, KLX_HANDLE_BYTES_MAX + 1, "%s/%s/%s", h->channel, h->ts,
             klx_severity_name(h->told));
}
