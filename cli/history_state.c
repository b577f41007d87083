#include "cli/history_state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

#define BYTES_MAX (4u << 20)
#define PARTITIONS_MAX 10000

static void write_partition(struct klx_jw *w, const struct klx_range_partition *p) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "topic", p->topic);
    klx_jw_member_int(w, "partition", p->partition);
    klx_jw_member_int(w, "begin", p->begin);
    klx_jw_member_int(w, "end", p->end);
    klx_jw_member_int(w, "high", p->high);
    klx_jw_member_int(w, "next", p->next);
    klx_jw_member_int(w, "gone", p->gone);
    klx_jw_end_object(w);
}

static void encode(const struct klx_history_state *s, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "question", s->question);
    klx_jw_member_time(&w, "since", s->span.since_us);
    klx_jw_member_time(&w, "until", s->span.until_us);
    klx_jw_member_int(&w, "selected", (int64_t)s->selected);
    klx_jw_member_int(&w, "notEvents", (int64_t)s->not_events);
    klx_jw_member_sv_opt(&w, "replayId", s->replay_id);
    klx_jw_member_int(&w, "done", (int64_t)s->done);
    klx_jw_key(&w, "partitions");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < s->partitions_n; i++) {
        write_partition(&w, &s->partitions[i]);
    }
    klx_jw_end_array(&w);
    klx_jw_key(&w, "runs");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < s->runs_n; i++) {
        klx_jw_int(&w, s->runs[i]);
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static int failed(const char *path, struct klx_error *e) {
    int code = errno > 0 ? -errno : -EIO;
    return klx_fail(e, code, "%s: %s", path, strerror(-code));
}

int klx_history_state_save(const char *path, const struct klx_history_state *s,
                           struct klx_error *e) {
    char temporary[PATH_MAX];
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, BYTES_MAX);
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    encode(s, &text);
    if (text.failed) {
        return klx_fail(e, -EMSGSIZE, "%s: too many partitions", path);
    }
    int fd = open(temporary, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return failed(temporary, e);
    }
    bool good = write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int rc = good ? 0 : failed(temporary, e);
    close(fd);
    return rc == 0 && rename(temporary, path) != 0 ? failed(path, e) : rc;
}

static int read_file(const char *path, struct klx_buf *out, struct klx_error *e) {
    char bytes[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return failed(path, e);
    }
    ssize_t n = 0;
    do {
        n = read(fd, bytes, sizeof(bytes));
        klx_buf_add(out, bytes, n > 0 ? (size_t)n : 0);
    } while (n > 0 && !out->failed);
    int rc = n < 0 ? failed(path, e) : 0;
    close(fd);
    return rc;
}

static size_t count(const struct klx_json *list) {
    size_t n = 0;
    for (const struct klx_json *m = klx_json_first(list); m != NULL; m = klx_json_next(m)) {
        n++;
    }
    return n;
}

static void read_partition(const struct klx_json *m, struct klx_range_partition *ret) {
    *ret = (struct klx_range_partition){
        .topic = klx_json_str(m, "topic").p, /* of the tree, with its NUL */
        .partition = (int32_t)klx_json_int(m, "partition", -1),
        .begin = klx_json_int(m, "begin", -1),
        .end = klx_json_int(m, "end", -1),
        .high = klx_json_int(m, "high", -1),
        .next = klx_json_int(m, "next", -1),
        .gone = klx_json_int(m, "gone", 0),
    };
}

static bool is_whole(const struct klx_range_partition *p) {
    return p->topic != NULL && p->partition >= 0 && p->begin >= 0 && p->end >= 0 &&
           p->next >= p->begin;
}

static int read_lists(const struct klx_json *node, struct klx_arena *a,
                      struct klx_history_state *s) {
    const struct klx_json *partitions = klx_json_get(node, "partitions");
    const struct klx_json *runs = klx_json_get(node, "runs");
    size_t partitions_n = count(partitions), runs_n = count(runs);
    if (partitions_n > PARTITIONS_MAX || runs_n > KLX_HISTORY_RUNS_MAX) {
        return -EBADMSG;
    }
    struct klx_range_partition *p = klx_arena_alloc(a, (partitions_n + 1) * sizeof(*p));
    uint32_t *numbers = klx_arena_alloc(a, (runs_n + 1) * sizeof(*numbers));
    if (p == NULL || numbers == NULL) {
        return -ENOMEM;
    }
    s->partitions = p;
    s->runs = numbers;
    for (const struct klx_json *m = klx_json_first(partitions); m != NULL; m = klx_json_next(m)) {
        read_partition(m, &p[s->partitions_n]);
        if (!is_whole(&p[s->partitions_n++])) {
            return -EBADMSG;
        }
    }
    for (const struct klx_json *m = klx_json_first(runs); m != NULL; m = klx_json_next(m)) {
        int64_t number = klx_json_int(m, "", -1);
        if (number < 1 || number > UINT32_MAX) {
            return -EBADMSG;
        }
        numbers[s->runs_n++] = (uint32_t)number;
    }
    return 0;
}

int klx_history_state_load(const char *path, struct klx_arena *a, struct klx_history_state *ret,
                           struct klx_error *e) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *node = NULL;
    struct klx_history_state s = { .span = { KLX_TIME_NONE, KLX_TIME_NONE } };
    klx_buf_init(&text, BYTES_MAX);
    int rc = read_file(path, &text, e);
    if (rc != 0) {
        return rc;
    }
    rc = klx_json_parse(a, klx_buf_sv(&text), NULL, &node, NULL);
    rc = rc == 0 ? read_lists(node, a, &s) : rc;
    struct klx_sv since = klx_json_str(node, "since");
    bool spans = (since.n == 0 || klx_time_parse(since, &s.span.since_us) == 0) &&
                 klx_time_parse(klx_json_str(node, "until"), &s.span.until_us) == 0;
    s.question = klx_json_str(node, "question");
    s.selected = (uint64_t)klx_json_int(node, "selected", 0);
    s.not_events = (uint64_t)klx_json_int(node, "notEvents", 0);
    s.replay_id = klx_json_str(node, "replayId");
    s.done = (uint64_t)klx_json_int(node, "done", 0);
    if (rc != 0 || !spans || s.question.n == 0) {
        return klx_fail(e, -EBADMSG, "%s is no state of klaxon's: remove it to begin anew", path);
    }
    *ret = s;
    return 0;
}
