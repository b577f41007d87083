#include "lib/io/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#define CHUNK_BYTES 4096
#define BACKGROUND_MS 500

struct output {
    uv_pipe_t uv; /* data: the process */
    struct klx_buf bytes;
    bool drop; /* what passes the maximum, instead of ending the program */
    char chunk[CHUNK_BYTES];
};

/* A loop object: freed in its last close callback. */
struct klx_process {
    uv_process_t uv; /* data: this, as in all of its handles */
    uv_timer_t timer;
    struct output out, err;
    void (*on_done)(void *arg, const struct klx_process_result *result);
    void *arg;
    struct klx_process_result result;
    unsigned handles_open;
    unsigned outputs_open; /* that have not ended yet */
    bool running;
    bool ended; /* on_done was called, or nobody wants it */
};

static void release_output(struct output *o) {
    explicit_bzero(o->chunk, sizeof(o->chunk));
    klx_buf_wipe(&o->bytes);
}

static void on_closed(uv_handle_t *h) {
    struct klx_process *p = h->data;
    p->handles_open--;
    if (p->handles_open == 0) {
        release_output(&p->out);
        release_output(&p->err);
        free(p);
    }
}

/* Whoever is left of the program's group is killed, and all handles are closed: that of a program that was killed when the system has
   said that it is gone, or it would stay as a zombie. */
static void end(struct klx_process *p) {
    p->ended = true;
    if (p->running || p->outputs_open > 0) {
        kill(-p->uv.pid, SIGKILL);
    }
    if (!p->running) {
        uv_close((uv_handle_t *)&p->uv, on_closed);
    }
    uv_close((uv_handle_t *)&p->timer, on_closed);
    uv_close((uv_handle_t *)&p->out.uv, on_closed);
    uv_close((uv_handle_t *)&p->err.uv, on_closed);
}

static void finish(struct klx_process *p) {
    void (*on_done)(void *, const struct klx_process_result *) = p->on_done;
    end(p);
    p->result.out = klx_buf_sv(&p->out.bytes);
    p->result.err = klx_buf_sv(&p->err.bytes);
    on_done(p->arg, &p->result); /* p lives until its handles are closed */
}

static void cut_short(struct klx_process *p, enum klx_process_end why) {
    p->result.end = why;
    p->result.code = 0;
    finish(p);
}

static void finish_when_all_is_over(struct klx_process *p) {
    if (!p->running && p->outputs_open == 0) {
        finish(p);
    }
}

static void on_timeout(uv_timer_t *timer) {
    struct klx_process *p = timer->data;
    if (p->running) {
        cut_short(p, KLX_PROCESS_TIMEOUT);
    } else {
        finish(p);
    }
}

static void on_exit_of(uv_process_t *uv, int64_t status, int signum) {
    struct klx_process *p = uv->data;
    p->running = false;
    if (p->ended) {
        uv_close((uv_handle_t *)uv, on_closed);
        return;
    }
    p->result.end = signum != 0 ? KLX_PROCESS_SIGNALLED : KLX_PROCESS_EXITED;
    p->result.code = signum != 0 ? signum : (int)status;
    uv_timer_start(&p->timer, on_timeout, BACKGROUND_MS, 0);
    finish_when_all_is_over(p);
}

static struct output *output_of(uv_handle_t *h) {
    struct klx_process *p = h->data;
    return h == (uv_handle_t *)&p->out.uv ? &p->out : &p->err;
}

static void give_chunk(uv_handle_t *h, size_t wanted, uv_buf_t *ret) {
    (void)wanted;
    struct output *o = output_of(h);
    *ret = uv_buf_init(o->chunk, sizeof(o->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes) {
    struct klx_process *p = stream->data;
    struct output *o = output_of((uv_handle_t *)stream);
    if (p->ended || n == 0) {
        return;
    }
    if (n < 0) {
        uv_read_stop(stream);
        p->outputs_open--;
        finish_when_all_is_over(p);
        return;
    }
    size_t room = o->bytes.max - o->bytes.len, got = (size_t)n;
    klx_buf_add(&o->bytes, bytes->base, got < room ? got : room);
    if (got > room && !o->drop) {
        cut_short(p, KLX_PROCESS_TOO_LARGE);
    }
}

static bool names_same(const char *a, const char *b) {
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool is_among(const char *const *list, const char *variable) {
    for (; list != NULL && *list != NULL; list++) {
        if (names_same(*list, variable)) {
            return true;
        }
    }
    return false;
}

/* Our environment without what `env` names, and then `env`. Borrows the strings. */
static char **environment_with(const char *const *env) {
    size_t n = 0, kept = 0;
    while (environ != NULL && environ[n] != NULL) {
        n++;
    }
    size_t ours = n;
    for (const char *const *v = env; v != NULL && *v != NULL; v++) {
        n++;
    }
    char **all = klx_alloc_n(char *, n + 1);
    for (size_t i = 0; i < ours; i++) {
        if (!is_among(env, environ[i])) {
            all[kept++] = environ[i];
        }
    }
    for (const char *const *v = env; v != NULL && *v != NULL; v++) {
        all[kept++] = (char *)(uintptr_t)*v;
    }
    return all;
}

static int spawn(struct klx_process *p, uv_loop_t *loop, const struct klx_process_request *r) {
    char **env = environment_with(r->env);
    uv_stdio_container_t stdio[3] = {
        { .flags = UV_IGNORE },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&p->out.uv },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&p->err.uv },
    };
    const uv_process_options_t options = {
        .exit_cb = on_exit_of,
        .file = r->argv[0],
        .args = (char **)(uintptr_t)r->argv,
        .env = env,
        .flags = UV_PROCESS_DETACHED, /* a group of its own */
        .stdio = stdio,
        .stdio_count = 3,
    };
    int rc = uv_spawn(loop, &p->uv, &options);
    free(env);
    return rc;
}

static void init(struct klx_process *p, uv_loop_t *loop, const struct klx_process_request *r) {
    uv_timer_init(loop, &p->timer);
    uv_pipe_init(loop, &p->out.uv, 0);
    uv_pipe_init(loop, &p->err.uv, 0);
    p->uv.data = p->timer.data = p->out.uv.data = p->err.uv.data = p;
    p->handles_open = 4;
    klx_buf_init(&p->out.bytes, r->out_bytes_max);
    klx_buf_reserve(&p->out.bytes, r->out_bytes_max); /* growing would leave copies of a secret */
    klx_buf_init(&p->err.bytes, KLX_PROCESS_ERR_BYTES_MAX);
    p->err.drop = true;
    p->on_done = r->on_done;
    p->arg = r->arg;
}

int klx_process_start(struct klx_loop *l, const struct klx_process_request *r,
                      struct klx_process **ret, struct klx_error *e) {
    uv_loop_t *loop = klx_loop_uv(l);
    struct klx_process *p = klx_alloc(struct klx_process);
    init(p, loop, r);
    int rc = spawn(p, loop, r);
    if (rc != 0) {
        end(p);
        return klx_fail(e, rc, "cannot start %s: %s", r->argv[0], strerror(-rc));
    }
    p->running = true;
    p->outputs_open = 2;
    uv_update_time(loop);
    uv_timer_start(&p->timer, on_timeout, (uint64_t)r->timeout_ms, 0);
    uv_read_start((uv_stream_t *)&p->out.uv, give_chunk, on_read);
    uv_read_start((uv_stream_t *)&p->err.uv, give_chunk, on_read);
    *ret = p;
    return 0;
}

void klx_process_cancel(struct klx_process *p) {
    if (p != NULL && !p->ended) {
        end(p);
    }
}
