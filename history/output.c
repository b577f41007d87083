#include "history/output.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/zstd.h"

#define WRITE_BYTES (256u << 10)
#define BUFFER_BYTES_MAX (64u << 20)

struct klx_output {
    int fd;
    char *file;      /* NULL: stdout */
    char *temporary; /* NULL: what is written stands where it belongs */
    struct klx_zstd *zstd;
    struct klx_buf buf;
    size_t bytes;
    int failure;
};

static int failed(struct klx_output *o, struct klx_error *e) {
    o->failure = errno > 0 ? -errno : -EIO;
    return klx_fail(e, o->failure, "cannot write %s: %s", o->file != NULL ? o->file : "to stdout",
                    strerror(-o->failure));
}

/* A pipe or a device is written to: a file in its place would be none of it any more. */
static int open_file(struct klx_output *o) {
    struct stat found;
    bool there = stat(o->file, &found) == 0;
    if (there && S_ISDIR(found.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    if (there && !S_ISREG(found.st_mode)) {
        return open(o->file, O_WRONLY | O_CLOEXEC);
    }
    o->temporary = klx_asprintf("%s.%d.part", o->file, (int)getpid());
    (void)unlink(o->temporary); /* of a process that was killed; then nobody's link is followed */
    return open(o->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
}

int klx_output_open(const char *file, bool zstd, struct klx_output **ret, struct klx_error *e) {
    struct klx_output *o = klx_alloc(struct klx_output);
    o->fd = STDOUT_FILENO;
    klx_buf_init(&o->buf, BUFFER_BYTES_MAX);
    if (file != NULL) {
        o->file = klx_strdup(file);
        o->fd = open_file(o);
    }
    if (o->fd < 0) {
        int rc = failed(o, e);
        klx_output_free(o);
        return rc;
    }
    o->zstd = zstd ? klx_zstd_new() : NULL;
    *ret = o;
    return 0;
}

static int drain(struct klx_output *o, struct klx_error *e) {
    size_t done = 0;
    if (o->buf.failed) {
        errno = ENOMEM;
        return failed(o, e);
    }
    while (done < o->buf.len) {
        ssize_t n = write(o->fd, o->buf.data + done, o->buf.len - done);
        if (n < 0 && errno == EAGAIN) { /* somebody made the pipe non-blocking */
            struct pollfd p = { .fd = o->fd, .events = POLLOUT };
            (void)poll(&p, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return failed(o, e);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    o->bytes += o->buf.len;
    klx_buf_reset(&o->buf);
    return 0;
}

int klx_output_write(struct klx_output *o, struct klx_sv text, struct klx_error *e) {
    if (o->failure != 0) {
        return klx_fail(e, o->failure, "cannot write: %s", strerror(-o->failure));
    }
    if (o->zstd != NULL) {
        klx_zstd_add(o->zstd, text, &o->buf);
    } else {
        klx_buf_add_sv(&o->buf, text);
    }
    return o->buf.failed || o->buf.len >= WRITE_BYTES ? drain(o, e) : 0;
}

int klx_output_commit(struct klx_output *o, struct klx_error *e) {
    if (o->failure == 0 && o->zstd != NULL) {
        klx_zstd_end(o->zstd, &o->buf);
    }
    int rc = o->failure != 0 ? klx_fail(e, o->failure, "cannot write: %s", strerror(-o->failure))
                             : drain(o, e);
    if (rc == 0 && o->temporary != NULL &&
        (fsync(o->fd) != 0 || rename(o->temporary, o->file) != 0)) {
        rc = failed(o, e);
    }
    if (rc == 0) {
        free(o->temporary);
        o->temporary = NULL;
    }
    return rc;
}

size_t klx_output_bytes(const struct klx_output *o) {
    return o->bytes + o->buf.len;
}

void klx_output_free(struct klx_output *o) {
    if (o == NULL) {
        return;
    }
    if (o->temporary != NULL) {
        unlink(o->temporary);
    }
    if (o->fd >= 0 && o->fd != STDOUT_FILENO) {
        close(o->fd);
    }
    klx_zstd_free(o->zstd);
    klx_buf_release(&o->buf);
    free(o->file);
    free(o->temporary);
    free(o);
}
