#include "lib/io/http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/io/curl.h"

#define CONNECT_TIMEOUT_MS 10000
#define BODY_BYTES_MAX (16u << 20)
#define STREAM_BUFFER_BYTES 262144L
#define SMALL_BUFFER_BYTES 4096L /* for an answer of a few lines */
#define UPLOAD_BUFFER_BYTES_MIN 16384
#define UPLOAD_BUFFER_BYTES_MAX 65536
#define DEAD_PEER_MS 30000
#define RETRY_AFTER_MAX_S (7 * 86400) /* who asks for more does not mean it */

struct klx_http_call {
    struct klx_http *http;
    struct klx_http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    char *request_body; /* NULL: a request without one */
    size_t request_body_bytes, request_body_read;
    struct klx_buf body; /* whole-body calls: the response. Streams: what came while paused */
    char error[CURL_ERROR_SIZE];
    void (*on_status)(void *arg, int status, int64_t retry_after_ms);
    void (*on_body)(void *arg, struct klx_sv chunk);
    void (*on_done)(void *arg, const struct klx_http_result *result);
    void *arg;
    int64_t retry_after_ms;
    bool status_told;
    bool too_large;
    bool begun;   /* what has a body: a connection stands, and sending began */
    bool refused; /* by us, to send it again */
    bool paused;
    bool in_callback; /* of this call */
    bool cancelled;   /* by the owner, inside a callback: freed when libcurl has returned */
    bool ended;       /* libcurl has it no more */
    bool waking;      /* a deferred wake is under way */
};

struct klx_http {
    struct klx_multi *multi;
    struct klx_http_call *calls;
    bool
        inside; /* of a callback of one of them: libcurl is on the stack below us and may not be re-entered */
};

struct klx_http *klx_http_new(struct klx_loop *l) {
    struct klx_http *h = klx_alloc(struct klx_http);
    h->multi = klx_multi_new(l);
    return h;
}

struct klx_multi *klx_http_multi(struct klx_http *h) {
    return h->multi;
}

static void free_call(void *arg) {
    struct klx_http_call *c = arg;
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->connect_to);
    klx_buf_release(&c->body);
    free(c->request_body);
    free(c);
}

static void unlink_call(struct klx_http_call *c) {
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        c->http->calls = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
}

/* A deferred wake may still hold the call: then it frees it. */
static void end_call(struct klx_http_call *c) {
    unlink_call(c);
    c->cancelled = c->ended = true;
    if (!c->waking) {
        free_call(c);
    }
}

static void wake_soon(struct klx_http_call *c);

void klx_http_cancel(struct klx_http_call *c) {
    if (c->in_callback) {
        c->cancelled = true; /* libcurl aborts the transfer when the callback returns */
        return;
    }
    if (c->http->inside) {
        c->cancelled = true;
        wake_soon(c);
        return;
    }
    klx_multi_remove(c->http->multi, c->easy);
    end_call(c);
}

void klx_http_free(struct klx_http *h) {
    if (h == NULL) {
        return;
    }
    while (h->calls != NULL) {
        klx_http_cancel(h->calls);
    }
    klx_multi_free(h->multi);
    free(h);
}

static int64_t parse_retry_after(struct klx_sv value) {
    int64_t seconds = 0;
    if (klx_sv_int(value, &seconds) != 0) {
        char text[64];
        snprintf(text, sizeof(text), "%.*s", KLX_SV_FMT(value));
        time_t at = curl_getdate(text, NULL);
        time_t now = time(NULL);
        seconds = at < 0 ? -1 : at > now ? (int64_t)(at - now) : 0;
    }
    return seconds >= 0 && seconds < RETRY_AFTER_MAX_S ? seconds * 1000 : -1;
}

static void set_inside(struct klx_http_call *c, bool inside) {
    c->in_callback = c->http->inside = inside;
}

static void tell_status(struct klx_http_call *c) {
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->on_status != NULL && !c->status_told && status >= 200 && !c->cancelled) {
        c->status_told = true;
        set_inside(c, true);
        c->on_status(c->arg, (int)status, c->retry_after_ms);
        set_inside(c, false);
    }
}

static size_t on_curl_header(char *p, size_t size, size_t n, void *arg) {
    struct klx_http_call *c = arg;
    struct klx_sv line = klx_sv_n(p, size * n);
    if (klx_sv_starts(line, KLX_SV("HTTP/"))) {
        c->retry_after_ms = -1; /* a new response, after a 100 or a proxy's */
    }
    if (klx_sv_trim(line).n == 0) { /* a quiet stream may send nothing else for hours */
        tell_status(c);
        return c->cancelled ? 0 : size * n;
    }
    struct klx_sv name = klx_sv_cut(&line, ':');
    if (klx_sv_eq_nocase(name, KLX_SV("retry-after"))) {
        c->retry_after_ms = parse_retry_after(klx_sv_trim(line));
    }
    return size * n;
}

static size_t on_curl_body(char *p, size_t size, size_t n, void *arg) {
    struct klx_http_call *c = arg;
    size_t bytes = size * n;
    if (c->cancelled) {
        return 0;
    }
    if (c->on_body == NULL) {
        klx_buf_add(&c->body, p, bytes);
        c->too_large = c->body.failed;
        return c->too_large ? 0 : bytes;
    }
    if (c->paused) {
        return CURL_WRITEFUNC_PAUSE;
    }
    set_inside(c, true);
    c->on_body(c->arg, klx_sv_n(p, bytes));
    set_inside(c, false);
    return c->cancelled ? 0 : bytes;
}

/*
 * libcurl sends a request a second time, by itself, when a connection that it had kept ends without a byte of an answer. What has a body
 * may have been taken by then, and then must not go out again. So the body comes from a function that cannot go back (no
 * CURLOPT_SEEKFUNCTION; CURLOPT_POSTFIELDS would), and tells what went; and the second sending is refused before its first byte.
 */
static size_t on_curl_read(char *to, size_t size, size_t n, void *arg) {
    struct klx_http_call *c = arg;
    size_t left = c->request_body_bytes - c->request_body_read;
    size_t bytes = size * n < left ? size * n : left;
    memcpy(to, c->request_body + c->request_body_read, bytes);
    c->request_body_read += bytes;
    return bytes;
}

/* Before each sending. A head alone is no request yet, but where the body is empty. */
static int on_curl_request(void *arg, char *peer_ip, char *own_ip, int peer_port, int own_port) {
    (void)peer_ip, (void)own_ip, (void)peer_port, (void)own_port;
    struct klx_http_call *c = arg;
    c->refused = c->begun && (c->request_body_read > 0 || c->request_body_bytes == 0);
    c->begun = true;
    return c->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

void klx_http_pause(struct klx_http_call *c) {
    c->paused = true;
    if (!c->in_callback) {
        curl_easy_pause(c->easy, CURLPAUSE_RECV);
    }
}

/* libcurl hands out what it kept from inside curl_easy_pause: that happens in a turn of its own, and so does what another call's callback
   has asked for. */
static void wake(void *arg) {
    struct klx_http_call *c = arg;
    c->waking = false;
    if (c->ended) {
        free_call(c);
    } else if (c->cancelled) {
        klx_multi_remove(c->http->multi, c->easy);
        end_call(c);
    } else if (!c->paused) {
        struct klx_http *h = c->http;
        curl_easy_pause(c->easy, CURLPAUSE_CONT);
        klx_multi_kick(h->multi);
    }
}

static void wake_soon(struct klx_http_call *c) {
    if (!c->waking) {
        c->waking = true;
        klx_loop_defer(klx_multi_loop(c->http->multi), wake, c);
    }
}

void klx_http_resume(struct klx_http_call *c) {
    c->paused = false;
    wake_soon(c);
}

bool klx_curl_is_certificate_failure(CURLcode code) {
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;
}

/* Once sending began, a connection that cannot be made is one for sending again. */
static enum klx_http_failure failure_of(const struct klx_http_call *c, CURLcode code, bool begun) {
    if (c->too_large) {
        return KLX_HTTP_TOO_LARGE;
    }
    if (code == CURLE_OK) {
        return KLX_HTTP_OK;
    }
    if (begun) {
        return code == CURLE_OPERATION_TIMEDOUT ? KLX_HTTP_TIMEOUT : KLX_HTTP_BROKEN;
    }
    return klx_curl_is_certificate_failure(code) ? KLX_HTTP_TLS : KLX_HTTP_CONNECT;
}

/* What was read for a sending that libcurl gave up may have gone out: its own count is of the last one, and exact where that one broke. */
static bool is_body_sent(const struct klx_http_call *c, CURLcode code) {
    curl_off_t uploaded = 0;
    curl_easy_getinfo(c->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    return code == CURLE_SEND_ERROR ? uploaded >= (curl_off_t)c->request_body_bytes
                                    : c->request_body_read == c->request_body_bytes;
}

/* A connection stood and the head went out. A proxy's refusal is no answer of the other side. */
static bool has_begun(const struct klx_http_call *c) {
    if (c->request_body != NULL) {
        return c->begun;
    }
    long request_bytes = 0;
    curl_off_t pretransfer_us = 0;
    curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    return pretransfer_us > 0 && request_bytes > 0;
}

static const char *error_of(const struct klx_http_call *c, CURLcode code) {
    if (c->too_large) {
        return "the response is larger than allowed";
    }
    if (c->refused || code == CURLE_SEND_FAIL_REWIND) {
        return "the connection ended before an answer came";
    }
    return code == CURLE_OK ? "" : c->error[0] != '\0' ? c->error : curl_easy_strerror(code);
}

static void on_transfer_done(void *arg, CURLcode code) {
    struct klx_http_call *c = arg;
    if (c->cancelled) {
        end_call(c);
        return;
    }
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    bool begun = has_begun(c);
    struct klx_http_result r = {
        .failure = failure_of(c, code, begun),
        .request_sent = begun && is_body_sent(c, code),
        .status = (int)status,
        .retry_after_ms = c->retry_after_ms,
        .body = c->on_body == NULL ? klx_buf_sv(&c->body) : klx_sv(NULL),
        .error = error_of(c, code),
    };
    c->on_done(c->arg, &r);
    end_call(c);
}

static bool has_control(const char *s) {
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return true;
        }
    }
    return false;
}

static int on_socket_created(void *arg, curl_socket_t s, curlsocktype type) {
    (void)arg;
    (void)type;
    unsigned timeout_ms =
        DEAD_PEER_MS; /* a peer that is gone is found even while data is under way */
    setsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    return CURL_SOCKOPT_OK;
}

static void set_blob(CURL *easy, CURLoption option, struct klx_sv pem) {
    if (pem.n > 0) {
        struct curl_blob blob = { .data = (void *)(uintptr_t)pem.p,
                                  .len = pem.n,
                                  .flags = CURL_BLOB_COPY };
        curl_easy_setopt(easy, option, &blob);
    }
}

void klx_curl_set_tls(CURL *easy, const struct klx_tls *tls) {
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (tls == NULL) {
        return;
    }
    if (tls->ca_pem.n > 0) {
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* else the system's folder is trusted too */
        set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
    }
    set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert_pem);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem);
    if (tls->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* libcurl takes 80 KB for each call under way unless it is told otherwise. */
static void set_buffers(struct klx_http_call *c, const struct klx_http_request *r) {
    size_t upload = r->body.n < UPLOAD_BUFFER_BYTES_MIN   ? UPLOAD_BUFFER_BYTES_MIN
                    : r->body.n < UPLOAD_BUFFER_BYTES_MAX ? r->body.n
                                                          : UPLOAD_BUFFER_BYTES_MAX;
    bool small = r->body_bytes_max > 0 && r->body_bytes_max <= UPLOAD_BUFFER_BYTES_MAX;
    curl_easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)upload);
    if (r->own_connection) {
        curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, STREAM_BUFFER_BYTES);
    } else if (small) {
        curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, SMALL_BUFFER_BYTES);
    }
}

static void set_transport(struct klx_http_call *c, const struct klx_http_request *r) {
    CURL *easy = c->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(r->connect_timeout_ms > 0 ? r->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)r->deadline_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are no answer */
    if (r->proxy != NULL) {
        curl_easy_setopt(easy, CURLOPT_PROXY, r->proxy);
    }
    if (r->own_connection) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_created);
    }
    klx_curl_set_tls(easy, r->tls);
    set_buffers(c, r);
}

/* A server name other than the URL's host: the name goes into the URL, the host into the address to connect to. */
static int set_url(struct klx_http_call *c, const struct klx_http_request *r, struct klx_error *e) {
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *whole = NULL;
    int rc = 0;
    if (has_control(r->url) || curl_url_set(u, CURLUPART_URL, r->url, 0) != CURLUE_OK) {
        rc = klx_fail(e, -EINVAL,
                      "the URL is not acceptable: http:// or https:// with a host, and no control "
                      "characters");
    } else if (r->tls != NULL && r->tls->server_name != NULL) {
        curl_url_get(u, CURLUPART_HOST, &host, 0);
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
        char *to = klx_asprintf("%s:%s:%s:%s", r->tls->server_name, port, host, port);
        c->connect_to = curl_slist_append(NULL, to);
        free(to);
        curl_url_set(u, CURLUPART_HOST, r->tls->server_name, 0);
        curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
    }
    if (rc == 0 && curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
        curl_easy_setopt(c->easy, CURLOPT_URL, c->connect_to != NULL ? whole : r->url);
    }
    curl_free(host);
    curl_free(port);
    curl_free(whole);
    curl_url_cleanup(u);
    return rc;
}

static void set_body(struct klx_http_call *c, struct klx_sv body) {
    c->request_body = klx_sv_dup(body);
    c->request_body_bytes = body.n;
    curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_curl_read);
    curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, on_curl_request);
    curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c);
}

static int set_request(struct klx_http_call *c, const struct klx_http_request *r,
                       struct klx_error *e) {
    for (const char *const *h = r->headers; h != NULL && *h != NULL; h++) {
        if (has_control(*h)) {
            return klx_fail(e, -EINVAL, "a header holds a control character");
        }
        c->headers = curl_slist_append(c->headers, *h);
    }
    c->headers = curl_slist_append(c->headers, "Expect:"); /* no waiting for 100 */
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->body.p != NULL) {
        set_body(c, r->body);
    }
    return set_url(c, r, e);
}

int klx_http_start(struct klx_http *h, const struct klx_http_request *r, struct klx_http_call **ret,
                   struct klx_error *e) {
    struct klx_http_call *c = klx_alloc(struct klx_http_call);
    c->http = h;
    c->easy = curl_easy_init();
    c->retry_after_ms = -1;
    c->on_status = r->on_status;
    c->on_body = r->on_body;
    c->on_done = r->on_done;
    c->arg = r->arg;
    klx_buf_init(&c->body, r->body_bytes_max > 0 ? r->body_bytes_max : BODY_BYTES_MAX);
    int rc = set_request(c, r, e);
    if (rc != 0) {
        free_call(c);
        return rc;
    }
    set_transport(c, r);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_curl_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    c->next = h->calls;
    if (h->calls != NULL) {
        h->calls->prev = c;
    }
    h->calls = c;
    klx_multi_add(h->multi, c->easy, on_transfer_done, c);
    *ret = c;
    return 0;
}
