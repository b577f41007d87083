#include "lib/io/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "lib/io/metrics.h"

#define BODY_BYTES_MAX (8u << 20)
#define CONNECTIONS_MAX 32u
#define IDLE_S 10u
#define SERVE_EVERY_MS 1000 /* time-outs of connections are noticed at least so often */

struct klx_httpd {
    struct MHD_Daemon *daemon;
    struct klx_fd *fd;
    struct klx_timer *timer;
    klx_ready_fn ready;
    void *arg;
};

static void serve(struct klx_httpd *h) {
    MHD_run(h->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    bool waits = MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES && wait_ms < SERVE_EVERY_MS;
    klx_timer_start(h->timer, waits ? (int64_t)wait_ms : SERVE_EVERY_MS);
}

static void on_timer(void *arg) {
    serve(arg);
}

static void on_fd(void *arg, int events) {
    (void)events;
    serve(arg);
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             const struct klx_buf *body) {
    struct MHD_Response *r = MHD_create_response_from_buffer(
        body->len, (void *)(uintptr_t)klx_buf_str(body), MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static unsigned answer(struct klx_httpd *h, const char *path, struct klx_buf *body) {
    if (strcmp(path, "/metrics") == 0) {
        klx_metrics_write(body);
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/healthz") == 0) {
        klx_buf_add_str(body, "ok\n");
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/readyz") == 0) {
        bool ready = h->ready(h->arg, body);
        klx_buf_add_str(body, ready ? "ready\n" : "not ready\n");
        return ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    klx_buf_add_str(body, "there are /metrics, /healthz and /readyz\n");
    return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **state) {
    static int seen;
    (void)version;
    (void)upload;
    if (*state == NULL) {
        *state = &seen; /* the first call brings the headers only */
        return MHD_YES;
    }
    struct klx_buf body;
    klx_buf_init(&body, BODY_BYTES_MAX);
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (get && *upload_n == 0) {
        status = answer(arg, url, &body);
    }
    *upload_n = 0;
    bool metrics = status == MHD_HTTP_OK && strcmp(url, "/metrics") == 0;
    enum MHD_Result rc = reply(
        c, status,
        metrics ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8", &body);
    klx_buf_release(&body);
    return rc;
}

/* "host:port", "[v6]:port" or ":port". */
static int parse_address(const char *address, struct sockaddr_storage *ret, socklen_t *ret_n) {
    const char *colon = strrchr(address, ':');
    int64_t port = 0;
    char host[64] = "127.0.0.1";
    if (colon == NULL || klx_sv_int(klx_sv(colon + 1), &port) != 0 || port < 0 || port > 65535) {
        return -EINVAL;
    }
    struct klx_sv text = klx_sv_n(address, (size_t)(colon - address));
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
        text = klx_sv_n(text.p + 1, text.n - 2);
    }
    if (text.n >= sizeof(host)) {
        return -EINVAL;
    }
    if (text.n > 0) {
        memcpy(host, text.p, text.n);
        host[text.n] = '\0';
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){ 0 };
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *ret_n = sizeof(*v4);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *ret_n = sizeof(*v6);
        return 0;
    }
    return -EINVAL;
}

static int understand(const char *address, struct sockaddr_storage *ret, socklen_t *ret_n,
                      struct klx_error *e) {
    return parse_address(address, ret, ret_n) == 0
               ? 0
               : klx_fail(e, -EINVAL,
                          "\"%s\" is not an address to listen on: write 127.0.0.1:9464, "
                          "[::1]:9464 or :9464",
                          address);
}

int klx_httpd_check_address(const char *address, struct klx_error *e) {
    struct sockaddr_storage where;
    socklen_t n = 0;
    return understand(address, &where, &n, e);
}

int klx_httpd_new(struct klx_loop *l, const char *address, klx_ready_fn ready, void *arg,
                  struct klx_httpd **ret, struct klx_error *e) {
    struct sockaddr_storage where;
    socklen_t n = 0;
    int rc = understand(address, &where, &n, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_httpd *h = klx_alloc(struct klx_httpd);
    h->ready = ready;
    h->arg = arg;
    errno = 0;
    unsigned flags = MHD_USE_EPOLL | (where.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    h->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR,
                         (struct sockaddr *)&where, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
    if (h->daemon == NULL) {
        int code = errno != 0 ? errno : EADDRINUSE;
        free(h);
        return klx_fail(e, -code, "cannot listen on %s: %s", address, strerror(code));
    }
    h->timer = klx_timer_new(l, on_timer, h);
    h->fd =
        klx_fd_new(l, MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, on_fd, h);
    klx_fd_set(h->fd, KLX_FD_READ);
    *ret = h;
    return 0;
}

unsigned klx_httpd_port(const struct klx_httpd *h) {
    return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void klx_httpd_free(struct klx_httpd *h) {
    if (h != NULL) {
        klx_fd_free(h->fd);
        klx_timer_free(h->timer);
        MHD_stop_daemon(h->daemon);
        free(h);
    }
}
