#include <pthread.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/io/curl.h"

struct klx_multi {
    struct klx_loop *loop;
    struct klx_timer *timer;
    CURLM *curl;
};

struct transfer {
    void (*on_done)(void *arg, CURLcode code);
    void *arg;
    bool stays; /* in the multi when it is done */
};

static void report_done(struct klx_multi *m) {
    int left = 0;
    for (CURLMsg *msg = curl_multi_info_read(m->curl, &left); msg != NULL;
         msg = curl_multi_info_read(m->curl, &left)) {
        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;
        struct transfer *t = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        struct transfer copy = *t;
        if (!copy.stays) {
            klx_multi_remove(m, easy);
        }
        copy.on_done(copy.arg, code);
    }
}

struct socket_watch {
    struct klx_multi *multi;
    struct klx_fd *fd;
    curl_socket_t socket;
};

static void on_fd(void *arg, int events) {
    struct socket_watch *w = arg;
    struct klx_multi *m = w->multi;
    int running = 0;
    int flags = (events & KLX_FD_READ ? CURL_CSELECT_IN : 0) |
                (events & KLX_FD_WRITE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(m->curl, w->socket, flags, &running); /* w may be gone from here on */
    report_done(m);
}

static int on_curl_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *per_socket) {
    (void)easy;
    struct klx_multi *m = arg;
    struct socket_watch *w = per_socket;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            curl_multi_assign(m->curl, s, NULL);
            klx_fd_free(w->fd);
            free(w);
        }
        return 0;
    }
    if (w == NULL) {
        w = klx_alloc(struct socket_watch);
        w->multi = m;
        w->socket = s;
        w->fd = klx_fd_new(m->loop, s, on_fd, w);
        curl_multi_assign(m->curl, s, w);
    }
    klx_fd_set(w->fd,
               (what & CURL_POLL_IN ? KLX_FD_READ : 0) | (what & CURL_POLL_OUT ? KLX_FD_WRITE : 0));
    return 0;
}

static void on_timer(void *arg) {
    struct klx_multi *m = arg;
    int running = 0;
    curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    report_done(m);
}

static int on_curl_timer(CURLM *curl, long ms, void *arg) {
    (void)curl;
    struct klx_multi *m = arg;
    if (ms < 0) {
        klx_timer_stop(m->timer);
    } else {
        klx_timer_start(
            m->timer,
            ms); /* 0 too comes from the loop: libcurl must not be entered from its own callback */
    }
    return 0;
}

static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct klx_multi *klx_multi_new(struct klx_loop *l) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct klx_multi *m = klx_alloc(struct klx_multi);
    m->loop = l;
    m->timer = klx_timer_new(l, on_timer, m);
    m->curl = curl_multi_init();
    if (m->curl == NULL) {
        abort();
    }
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    return m;
}

void klx_multi_free(struct klx_multi *m) {
    if (m != NULL) {
        curl_multi_cleanup(m->curl);
        klx_timer_free(m->timer);
        free(m);
    }
}

struct klx_loop *klx_multi_loop(struct klx_multi *m) {
    return m->loop;
}

static void add(struct klx_multi *m, CURL *easy, struct transfer transfer) {
    struct transfer *t = klx_alloc(struct transfer);
    *t = transfer;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_multi_add_handle(m->curl, easy);
}

void klx_multi_add(struct klx_multi *m, CURL *easy, void (*on_done)(void *arg, CURLcode code),
                   void *arg) {
    add(m, easy, (struct transfer){ .on_done = on_done, .arg = arg });
}

void klx_multi_connect(struct klx_multi *m, CURL *easy, void (*on_done)(void *arg, CURLcode code),
                       void *arg) {
    add(m, easy, (struct transfer){ .on_done = on_done, .arg = arg, .stays = true });
}

void klx_multi_remove(struct klx_multi *m, CURL *easy) {
    struct transfer *t = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
    curl_multi_remove_handle(m->curl, easy);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    free(t);
}

void klx_multi_kick(struct klx_multi *m) {
    klx_timer_start(m->timer, 0);
}
