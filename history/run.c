#include "history/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define WRITE_BYTES (512u << 10)
#define READ_BYTES (128u << 10)
#define ITEM_BYTES_MAX (64u << 20)

/* Before each item. */
struct head {
    int64_t time_us, offset;
    uint32_t partition, bytes;
};

static int failed(const struct klx_run *r, const char *what, struct klx_error *e) {
    int code = errno > 0 ? -errno : -EIO;
    return klx_fail(e, code, "cannot %s %s: %s%s", what,
                    r->path != NULL ? r->path : "a temporary file", strerror(-code),
                    code == -ENOSPC
                        ? ": what is sorted needs as much disk as it has bytes; TMPDIR names "
                          "another folder"
                        : "");
}

static int create_unnamed(const char *folder) {
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (size_t)snprintf(path, sizeof(path), "%s/klaxon-XXXXXX", folder) < sizeof(path)) {
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            unlink(path);
        }
    }
    return fd;
}

int klx_run_create(struct klx_run *r, const char *folder, char *path, struct klx_error *e) {
    *r = (struct klx_run){ .path = path };
    r->fd = path != NULL ? open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600)
                         : create_unnamed(folder);
    klx_buf_init(&r->buf, ITEM_BYTES_MAX + WRITE_BYTES);
    if (r->fd >= 0) {
        return 0;
    }
    int code = errno > 0 ? -errno : -EIO;
    return path != NULL ? failed(r, "write", e)
                        : klx_fail(e, code, "cannot write a temporary file in %s: %s", folder,
                                   strerror(-code));
}

static int write_all(struct klx_run *r, struct klx_error *e) {
    size_t done = 0;
    while (done < r->buf.len) {
        ssize_t n = write(r->fd, r->buf.data + done, r->buf.len - done);
        if (n < 0 && errno != EINTR) {
            return failed(r, "write", e);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    r->bytes += r->buf.len;
    klx_buf_reset(&r->buf);
    return 0;
}

int klx_run_put(struct klx_run *r, const struct klx_sorter_key *k, struct klx_sv item,
                struct klx_error *e) {
    struct head h = { k->time_us, k->offset, k->partition, (uint32_t)item.n };
    klx_buf_add(&r->buf, &h, sizeof(h));
    klx_buf_add_sv(&r->buf, item);
    if (r->buf.failed) {
        return klx_fail(e, -EMSGSIZE, "an item of %zu bytes is too large to be sorted", item.n);
    }
    return r->buf.len >= WRITE_BYTES ? write_all(r, e) : 0;
}

int klx_run_finish(struct klx_run *r, bool sync, struct klx_error *e) {
    int rc = write_all(r, e);
    if (rc == 0 && sync && fdatasync(r->fd) != 0) {
        rc = failed(r, "write", e);
    }
    if (rc == 0 && lseek(r->fd, 0, SEEK_SET) < 0) {
        rc = failed(r, "read", e);
    }
    klx_buf_release(&r->buf);
    klx_buf_init(&r->buf, ITEM_BYTES_MAX + READ_BYTES);
    return rc;
}

int klx_run_open(struct klx_run *r, char *path, struct klx_error *e) {
    struct stat st = { 0 };
    *r = (struct klx_run){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC) };
    klx_buf_init(&r->buf, ITEM_BYTES_MAX + READ_BYTES);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) {
        return failed(r, "read", e);
    }
    r->bytes = (size_t)st.st_size;
    return 0;
}

/* At least n bytes from `at` on are in buf; false at the end of the file, or when *rc says why not. */
static bool have(struct klx_run *r, size_t n, int *rc, struct klx_error *e) {
    while (r->buf.len - r->at < n) {
        if (r->at > 0) {
            klx_buf_consume(&r->buf, r->at);
            r->at = 0;
        }
        size_t wanted = n > READ_BYTES ? n : READ_BYTES;
        klx_buf_reserve(&r->buf, wanted - r->buf.len);
        if (r->buf.failed) {
            *rc = klx_fail(e, -EBADMSG, "a run that was sorted is damaged");
            return false;
        }
        ssize_t got = read(r->fd, r->buf.data + r->buf.len, wanted - r->buf.len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            *rc = got < 0 ? failed(r, "read", e) : 0;
            return false;
        }
        r->buf.len += (size_t)got;
        r->read += got;
    }
    return true;
}

int klx_run_next(struct klx_run *r, struct klx_error *e) {
    struct head h;
    int rc = 0;
    r->at += r->item.p != NULL ? sizeof(h) + r->item.n : 0;
    r->item = klx_sv_n(NULL, 0);
    if (!have(r, sizeof(h), &rc, e)) {
        r->ended = rc == 0;
        return r->buf.len != r->at && rc == 0
                   ? klx_fail(e, -EBADMSG, "a run that was sorted is cut off")
                   : rc;
    }
    memcpy(&h, r->buf.data + r->at, sizeof(h));
    if (!have(r, sizeof(h) + h.bytes, &rc, e)) {
        return rc != 0 ? rc : klx_fail(e, -EBADMSG, "a run that was sorted is cut off");
    }
    r->key = (struct klx_sorter_key){ h.time_us, h.offset, h.partition };
    r->item = klx_sv_n(r->buf.data + r->at + sizeof(h), h.bytes);
    return 0;
}

void klx_run_close(struct klx_run *r, bool remove_file) {
    if (r->fd >= 0) {
        close(r->fd);
    }
    if (r->path != NULL && remove_file) {
        unlink(r->path);
    }
    free(r->path);
    klx_buf_release(&r->buf);
    *r = (struct klx_run){ .fd = -1 };
}
