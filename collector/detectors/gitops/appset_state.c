#include "collector/detectors/gitops/appset_state.h"

#include <errno.h>
#include <stdio.h>

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"

void klx_appset_state_init(struct klx_appset_state *h, struct klx_sv namespace,
                           struct klx_sv name) {
    *h = (struct klx_appset_state){
        .labels = "{}", .apps_n = -1, .error_since_us = KLX_TIME_NONE, .told_us = KLX_TIME_NONE
    };
    klx_news_copy(h->namespace, sizeof(h->namespace), namespace);
    klx_news_copy(h->name, sizeof(h->name), name);
    klx_episode_init(&h->error);
}

void klx_appset_state_write(const struct klx_appset_state *h, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", 1);
    klx_jw_member_str(&w, "uid", h->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(h->labels));
    klx_jw_member_int(&w, "applications", h->apps_n);
    if (h->apps[0] != '\0') {
        klx_jw_key(&w, "names");
        klx_jw_raw(&w, klx_sv(h->apps));
    }
    if (h->error_since_us != KLX_TIME_NONE) {
        klx_jw_member_time(&w, "errorSince", h->error_since_us);
        klx_jw_member_time(&w, "told", h->told_us);
        klx_jw_member_str(&w, "reason", h->reason);
        klx_jw_member_str(&w, "message", h->message);
    }
    klx_episode_write(&h->error, "error", &w);
    klx_jw_end_object(&w);
}

/* The node as text again. */
static int read_json(const struct klx_json *node, char *to, size_t n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, n - 1);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    snprintf(to, n, "%s", klx_buf_str(&text));
    return text.failed ? -EBADMSG : 0;
}

int klx_appset_state_read(struct klx_appset_state *h, struct klx_sv namespace, struct klx_sv name,
                          struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 4096, 1u << 20);
    klx_appset_state_init(h, namespace, name);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 || klx_json_int(v, "version", 0) != 1) {
        return -EBADMSG;
    }
    const struct klx_json *labels = klx_json_get(v, "labels"), *names = klx_json_get(v, "names");
    if (!klx_json_is_object(labels) || read_json(labels, h->labels, sizeof(h->labels)) != 0 ||
        (klx_json_is_array(names) && read_json(names, h->apps, sizeof(h->apps)) != 0)) {
        return -EBADMSG;
    }
    klx_news_copy(h->uid, sizeof(h->uid), klx_json_str(v, "uid"));
    h->apps_n = klx_json_int(v, "applications", -1);
    h->error_since_us = klx_news_time(v, "errorSince");
    h->told_us = klx_news_time(v, "told");
    klx_news_copy(h->reason, sizeof(h->reason), klx_json_str(v, "reason"));
    klx_news_copy(h->message, sizeof(h->message), klx_json_str(v, "message"));
    klx_episode_read(&h->error, klx_json_get(v, "error"));
    return 0;
}
