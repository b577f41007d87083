#include "collector/detectors/episode.h"

#include <stdio.h>

#include "lib/base/time.h"

void klx_episode_init(struct klx_episode *e) {
    *e = (struct klx_episode){ .opened_us = KLX_TIME_NONE, .ended_us = KLX_TIME_NONE };
}

bool klx_episode_is_open(const struct klx_episode *e) {
    return e->id[0] != '\0' && e->ended_us == KLX_TIME_NONE;
}

enum klx_phase klx_episode_open(struct klx_episode *e, int64_t at_us, int64_t reopen_us,
                                struct klx_sv id) {
    if (klx_episode_is_open(e)) {
        return KLX_PHASE_UPDATE;
    }
    if (e->id[0] != '\0' && at_us - e->ended_us < reopen_us) {
        e->ended_us = KLX_TIME_NONE;
        return KLX_PHASE_UPDATE;
    }
    klx_episode_init(e);
    snprintf(e->id, sizeof(e->id), "%.*s", KLX_SV_FMT(id));
    e->opened_us = at_us;
    return KLX_PHASE_OPEN;
}

void klx_episode_close(struct klx_episode *e, int64_t at_us) {
    e->ended_us = at_us;
}

void klx_episode_count(struct klx_episode *e, enum klx_severity severity) {
    e->seq++;
    e->worst = severity > e->worst ? severity : e->worst;
}

void klx_episode_write(const struct klx_episode *e, const char *key, struct klx_jw *w) {
    if (e->id[0] == '\0') {
        return;
    }
    klx_jw_key(w, key);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "id", e->id);
    klx_jw_member_int(w, "seq", e->seq);
    klx_jw_member_str(w, "severity", klx_severity_name(e->worst));
    klx_jw_member_time(w, "opened", e->opened_us);
    klx_jw_member_time(w, "ended", e->ended_us);
    klx_jw_end_object(w);
}

static int64_t time_at(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

void klx_episode_read(struct klx_episode *e, const struct klx_json *node) {
    klx_episode_init(e);
    snprintf(e->id, sizeof(e->id), "%.*s", KLX_SV_FMT(klx_json_str(node, "id")));
    e->seq = (uint32_t)klx_json_int(node, "seq", 0);
    if (klx_severity_parse(klx_json_str(node, "severity"), &e->worst) != 0) {
        e->worst = KLX_SEVERITY_WARNING; /* what nearly every incident begins with */
    }
    e->opened_us = time_at(node, "opened");
    e->ended_us = time_at(node, "ended");
}
