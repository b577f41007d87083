#include "lib/io/watch_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"

#define SETTLE_MS 250
#define LOOK_MS 30000
#define EVENTS_BYTES 8192
#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM |              \
     IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

struct klx_watch_files {
    char *file;
    char *main_folder;
    char **folders;
    size_t folders_n;
    int fd; /* -1: the system has no more of them, and only looking is left */
    int main_watch;
    struct klx_fd *readable;
    struct klx_timer *settle, *look;
    uint64_t known, candidate;
    void (*on_change)(void *arg);
    void *arg;
};

static uint64_t add_file(const char *path, uint64_t hash) {
    struct stat st;
    uint64_t of[6] = { hash, 0 };
    if (stat(path, &st) != 0) {
        of[1] = (uint64_t)errno;
    } else {
        of[2] = (uint64_t)st.st_dev;
        of[3] = (uint64_t)st.st_ino;
        of[4] = (uint64_t)st.st_size;
        of[5] = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    }
    return klx_hash_seeded(klx_sv_n((const char *)of, sizeof(of)),
                           klx_hash_seeded(klx_sv(path), 0));
}

static int is_seen(const struct dirent *d) {
    return d->d_name[0] != '.';
}

static uint64_t add_folder(const char *folder, uint64_t hash) {
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_seen, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = klx_asprintf("%s/%s", folder, entries[i]->d_name);
        hash = add_file(path, hash);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return hash;
}

static uint64_t look(const struct klx_watch_files *w) {
    uint64_t hash = add_file(w->file, 0);
    for (size_t i = 0; i < w->folders_n; i++) {
        hash = add_folder(w->folders[i], hash);
    }
    return hash;
}

/* Of a folder that is watched already this changes nothing; one that was made anew is another. */
static void watch_folders(struct klx_watch_files *w) {
    if (w->fd >= 0) {
        w->main_watch = inotify_add_watch(w->fd, w->main_folder, EVENTS);
        for (size_t i = 0; i < w->folders_n; i++) {
            (void)!inotify_add_watch(w->fd, w->folders[i], EVENTS);
        }
    }
}

static void on_settle(void *arg) {
    struct klx_watch_files *w = arg;
    uint64_t now = look(w);
    watch_folders(w);
    if (now == w->known) {
        return;
    }
    if (now != w->candidate) {
        w->candidate = now;
        klx_timer_start(w->settle, SETTLE_MS);
        return;
    }
    w->known = now;
    w->on_change(w->arg); /* last: it may free w */
}

static void on_look(void *arg) {
    struct klx_watch_files *w = arg;
    if (!klx_timer_active(w->settle)) {
        on_settle(w);
    }
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Other files beside the main one, such as a log, may be written all the time. */
static bool concerns(const struct klx_watch_files *w, const struct inotify_event *e) {
    bool ours = e->wd != w->main_watch || e->len == 0 || strncmp(e->name, "..", 2) == 0 ||
                strcmp(e->name, name_of(w->file)) == 0;
    for (size_t i = 0; !ours && i < w->folders_n; i++) {
        ours = strcmp(e->name, name_of(w->folders[i])) == 0;
    }
    return ours;
}

static void on_readable(void *arg, int events) {
    struct klx_watch_files *w = arg;
    _Alignas(struct inotify_event) char buffer[EVENTS_BYTES];
    (void)events;
    bool any = false;
    ssize_t n = read(w->fd, buffer, sizeof(buffer));
    while (n > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(buffer + at);
            any = any || concerns(w, e);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
        n = read(w->fd, buffer, sizeof(buffer));
    }
    if (any && !klx_timer_active(w->settle)) {
        klx_timer_start(w->settle, SETTLE_MS);
    }
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return klx_strdup(".");
    }
    return klx_sv_dup(klx_sv_n(path, slash == path ? 1 : (size_t)(slash - path)));
}

struct klx_watch_files *klx_watch_files_new(struct klx_loop *l, const char *file,
                                            const char *const *folders, size_t folders_n,
                                            void (*on_change)(void *arg), void *arg) {
    struct klx_watch_files *w = klx_alloc(struct klx_watch_files);
    w->file = klx_strdup(file);
    w->main_folder = folder_of(file);
    w->folders = klx_alloc_n(char *, folders_n);
    w->folders_n = folders_n;
    for (size_t i = 0; i < folders_n; i++) {
        w->folders[i] = klx_strdup(folders[i]);
    }
    w->on_change = on_change;
    w->arg = arg;
    w->settle = klx_timer_new(l, on_settle, w);
    w->look = klx_timer_new(l, on_look, w);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd >= 0) {
        w->readable = klx_fd_new(l, w->fd, on_readable, w);
        klx_fd_set(w->readable, KLX_FD_READ);
    }
    watch_folders(w);
    klx_timer_start(w->settle, SETTLE_MS);
    klx_timer_repeat(w->look, LOOK_MS);
    return w;
}

void klx_watch_files_seen(struct klx_watch_files *w) {
    watch_folders(w);
    w->known = look(w);
}

void klx_watch_files_free(struct klx_watch_files *w) {
    if (w == NULL) {
        return;
    }
    klx_timer_free(w->settle);
    klx_timer_free(w->look);
    klx_fd_free(w->readable);
    if (w->fd >= 0) {
        close(w->fd);
    }
    for (size_t i = 0; i < w->folders_n; i++) {
        free(w->folders[i]);
    }
    free(w->folders);
    free(w->main_folder);
    free(w->file);
    free(w);
}
