#include "lib/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

struct klx_secret {
    char *name; /* a path, or the name of a variable */
    char *where;
    bool is_file;
    struct stat seen; /* of the file that `value` was read from */
    char *value;      /* NULL: never read */
    size_t value_bytes;
};

static struct klx_secret *make(struct klx_sv name, bool is_file) {
    struct klx_secret *s = klx_alloc(struct klx_secret);
    s->name = klx_sv_dup(name);
    s->is_file = is_file;
    s->where = klx_asprintf("%s %s", is_file ? "file" : "environment variable", s->name);
    return s;
}

struct klx_secret *klx_secret_from_file(struct klx_sv path) {
    return make(path, true);
}

struct klx_secret *klx_secret_from_env(struct klx_sv name) {
    return make(name, false);
}

static void wipe(struct klx_secret *s) {
    if (s->value != NULL) {
        explicit_bzero(s->value, s->value_bytes);
        free(s->value);
        s->value = NULL;
    }
}

void klx_secret_free(struct klx_secret *s) {
    if (s == NULL) {
        return;
    }
    wipe(s);
    free(s->name);
    free(s->where);
    free(s);
}

const char *klx_secret_where(const struct klx_secret *s) {
    return s->where;
}

static int take_value(struct klx_secret *s, struct klx_sv value, struct klx_error *e) {
    if (value.n > 0 && value.p[value.n - 1] == '\n') {
        value.n--;
    }
    if (value.n == 0) {
        return klx_fail(e, -ENODATA, "%s is empty", s->where);
    }
    wipe(s);
    s->value = klx_sv_dup(value);
    s->value_bytes = value.n;
    return 0;
}

void klx_secret_again(struct klx_secret *s) {
    s->seen = (struct stat){ 0 };
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_bytes(struct klx_secret *s, int fd, struct klx_error *e) {
    char *bytes = klx_new_bytes(KLX_SECRET_BYTES_MAX);
    size_t n = 0;
    ssize_t got = 1;
    while (got > 0 && n < KLX_SECRET_BYTES_MAX) {
        got = read(fd, bytes + n, KLX_SECRET_BYTES_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    }
    int rc = got < 0 ? klx_fail(e, -errno, "cannot read %s: %s", s->where, strerror(errno))
                     : take_value(s, klx_sv_n(bytes, n), e);
    explicit_bzero(bytes, n);
    free(bytes);
    return rc;
}

static int read_open_file(struct klx_secret *s, int fd, struct klx_error *e) {
    struct stat now;
    if (fstat(fd, &now) != 0) {
        return klx_fail(e, -errno, "cannot read %s: %s", s->where, strerror(errno));
    }
    if (!S_ISREG(now.st_mode) && !S_ISDIR(now.st_mode)) {
        return klx_fail(
            e, -EINVAL,
            "%s is no file but a pipe, a socket or a device: it is read again and again", s->where);
    }
    if (s->value != NULL && same_file(&now, &s->seen)) {
        return 0;
    }
    if (now.st_size > KLX_SECRET_BYTES_MAX) {
        return klx_fail(e, -EMSGSIZE, "%s is larger than %d bytes", s->where, KLX_SECRET_BYTES_MAX);
    }
    int rc = read_bytes(s, fd, e);
    if (rc == 0) {
        s->seen = now;
    }
    return rc;
}

static int read_file(struct klx_secret *s, struct klx_error *e) {
    int fd = open(s->name, O_RDONLY | O_CLOEXEC |
                               O_NONBLOCK); /* a pipe that nobody writes to would hold us */
    if (fd < 0) {
        return klx_fail(e, -errno, "cannot read %s: %s", s->where, strerror(errno));
    }
    int rc = read_open_file(s, fd, e);
    close(fd);
    return rc;
}

static int read_env(struct klx_secret *s, struct klx_error *e) {
    const char *value = getenv(s->name);
    if (value == NULL) {
        return klx_fail(e, -ENOENT, "%s is not set", s->where);
    }
    return take_value(s, klx_sv(value), e);
}

int klx_secret_get(struct klx_secret *s, struct klx_sv *ret, struct klx_error *e) {
    int rc = s->is_file ? read_file(s, e) : s->value == NULL ? read_env(s, e) : 0;
    if (rc != 0 && s->value == NULL) {
        return rc;
    }
    *ret = klx_sv_n(s->value, s->value_bytes);
    return 0;
}
