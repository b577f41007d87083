/* Tokens, from a server of a few lines that answers each request with the next line of a script; time is driven. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "lib/io/oauth.h"

#define START_US INT64_C(1750000000000000)
#define REQUESTS_MAX 8

struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    const char *const *answers; /* NULL ends them */
    char requests[REQUESTS_MAX][4096];
    int n;
};

static bool is_whole(const char *request) {
    const char *end = strstr(request, "\r\n\r\n"),
               *length = strcasestr(request, "content-length: ");
    return end != NULL && (length == NULL || strlen(end + 4) >= strtoul(length + 16, NULL, 10));
}

static void *serve(void *arg) {
    struct server *s = arg;
    for (; s->answers[s->n] != NULL; s->n++) {
        int fd = accept(s->fd, NULL, NULL);
        char *request = s->requests[s->n];
        for (size_t n = 0; !is_whole(request);) {
            ssize_t got = read(fd, request + n, sizeof(s->requests[0]) - 1 - n);
            if (got <= 0) {
                break;
            }
            n += (size_t)got;
        }
        char text[2048];
        const char *a = s->answers[s->n];
        int n =
            snprintf(text, sizeof(text),
                     "HTTP/1.1 %.3s X\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", a,
                     strlen(a + 4), strncmp(a, "429", 3) == 0 ? "Retry-After: 30\r\n" : "", a + 4);
        (void)!write(fd, text, (size_t)n);
        close(fd);
    }
    return NULL;
}

struct world {
    struct server server;
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_clock_driven clock;
    struct klx_oauth_settings settings;
    struct klx_oauth *oauth;
    struct klx_oauth_waiter waiter;
    unsigned woken;
};

static void on_woken(void *arg) {
    struct world *w = arg;
    w->woken++;
    klx_loop_stop(w->loop);
}

static void begin(struct world *w, const char *const *answers) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(a);
    *w = (struct world){ .server = { .answers = answers } };
    w->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->server.fd, (struct sockaddr *)&a, length), 0);
    assert_int_equal(listen(w->server.fd, 4), 0);
    assert_int_equal(getsockname(w->server.fd, (struct sockaddr *)&a, &length), 0);
    assert_int_equal(pthread_create(&w->server.thread, NULL, serve, &w->server), 0);
    w->loop = klx_loop_new();
    w->http = klx_http_new(w->loop);
    klx_clock_driven_init(&w->clock, START_US, 1);
    w->waiter = (struct klx_oauth_waiter){ .fn = on_woken, .arg = w };
    w->settings.token_url =
        klx_asprintf("http://127.0.0.1:%u/tenant/oauth2/v2.0/token", ntohs(a.sin_port));
    w->settings.client_id = klx_strdup("id-1");
    w->settings.scope = klx_strdup("https://monitor.azure.com/.default");
}

/* With what the test has added to the settings. */
static void open_source(struct world *w) {
    struct klx_error e = { 0 };
    if (klx_oauth_settings_complete(&w->settings, NULL, false, &e) != 0) {
        fail_msg("%s", e.text);
    }
    w->oauth = klx_oauth_new(w->loop, w->http, &w->clock.clock, &w->settings);
}

static void begin_with_secret(struct world *w, const char *const *answers) {
    begin(w, answers);
    setenv("KLX_TEST_SECRET", "s~ecret &1", 1);
    w->settings.client_secret = klx_secret_from_env(KLX_SV("KLX_TEST_SECRET"));
    open_source(w);
}

static void end(struct world *w) {
    klx_oauth_free(w->oauth);
    pthread_join(w->server.thread, NULL);
    close(w->server.fd);
    klx_http_free(w->http);
    klx_oauth_settings_release(&w->settings);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    klx_metrics_reset();
}

static void ask(struct world *w) {
    assert_false(klx_oauth_ready(w->oauth, &w->waiter));
    klx_loop_run(w->loop);
    assert_null(w->waiter.of);
}

static void advance(struct world *w, int64_t seconds) {
    klx_clock_driven_advance(&w->clock, seconds * KLX_US_PER_S);
}

static void expect_token(struct world *w, const char *token) {
    struct klx_oauth_token t;
    struct klx_error e = { 0 };
    if (klx_oauth_get(w->oauth, &t, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_string_equal(t.value.p, token);
}

static void expect_error(struct world *w, int code, const char *part) {
    struct klx_oauth_token t;
    struct klx_error e = { 0 };
    assert_int_equal(klx_oauth_get(w->oauth, &t, &e), code);
    if (strstr(e.text, part) == NULL) {
        fail_msg("\"%s\" does not hold \"%s\"", e.text, part);
    }
    assert_null(strstr(e.text, "s~ecret"));
    assert_null(strstr(e.text, "eyJ"));
}

#define TOKEN(name, life)                                                                          \
    "200 {\"token_type\":\"Bearer\",\"expires_in\":" life ",\"access_token\":\"" name "\"}"

static void a_secret_is_sent_as_a_form_and_the_token_kept(void **state) {
    (void)state;
    static const char *const answers[] = { TOKEN("t1", "3600"), NULL };
    struct world w;
    begin_with_secret(&w, answers);
    expect_error(&w, -EAGAIN, "not come yet");
    ask(&w);
    expect_token(&w, "t1");
    assert_true(klx_oauth_ready(w.oauth, &w.waiter));
    const char *request = w.server.requests[0];
    assert_int_equal(strncmp(request, "POST /tenant/oauth2/v2.0/token HTTP/1.1\r\n", 41), 0);
    assert_non_null(strstr(request, "Content-Type: application/x-www-form-urlencoded\r\n"));
    assert_string_equal(strstr(request, "\r\n\r\n") + 4,
                        "grant_type=client_credentials&client_id=id-1&scope=https%3A%2F%2Fmonitor."
                        "azure.com%2F.default&client_secret=s%7Eecret%20%261");
    assert_int_equal(w.woken, 1);
    end(&w);
}

static void it_is_refreshed_before_it_expires_while_the_old_one_serves(void **state) {
    (void)state;
    static const char *const answers[] = { TOKEN("t1", "3600"), TOKEN("t2", "3600"), NULL };
    struct world w;
    begin_with_secret(&w, answers);
    ask(&w);
    advance(&w, 3299);
    assert_true(klx_oauth_ready_fresh(w.oauth, &w.waiter));
    advance(&w, 2);
    assert_true(klx_oauth_ready(w.oauth, &w.waiter)); /* asks in the background */
    expect_token(&w, "t1");
    assert_false(klx_oauth_ready_fresh(w.oauth, &w.waiter)); /* the same request */
    klx_loop_run(w.loop);
    expect_token(&w, "t2");
    end(&w);
}

static void many_wait_for_one_request(void **state) {
    (void)state;
    static const char *const answers[] = { TOKEN("t1", "3600"), NULL };
    struct world w;
    begin_with_secret(&w, answers);
    struct klx_oauth_waiter others[3];
    for (size_t i = 0; i < 3; i++) {
        others[i] = (struct klx_oauth_waiter){ .fn = on_woken, .arg = &w };
        assert_false(klx_oauth_ready(w.oauth, &others[i]));
    }
    klx_oauth_forget(&others[1]);
    ask(&w);
    assert_int_equal(w.woken, 3);
    expect_token(&w, "t1");
    end(&w);
}

static void a_failure_is_said_and_waited_after_and_a_good_token_stays(void **state) {
    (void)state;
    static const char *const answers[] = { "503 busy", "429 {}", TOKEN("t1", "1000"), "500 x",
                                           NULL };
    struct world w;
    begin_with_secret(&w, answers);
    ask(&w);
    expect_error(&w, -EBUSY, "127.0.0.1:");
    expect_error(&w, -EBUSY, "answers 503");
    assert_true(klx_oauth_ready(w.oauth, &w.waiter)); /* too early */
    assert_in_range(klx_oauth_retry_ms(w.oauth), 1000, 2001);
    advance(&w, 2);
    ask(&w);
    assert_in_range(klx_oauth_retry_ms(w.oauth), 30000, 60001); /* Retry-After: 30 */
    advance(&w, 61);
    ask(&w);
    expect_token(&w, "t1");
    advance(&w, 900);
    assert_false(klx_oauth_ready_fresh(w.oauth, &w.waiter));
    klx_loop_run(w.loop);
    expect_token(&w, "t1");
    advance(&w, 101);
    expect_error(&w, -EBUSY, "answers 500");
    const char *scope = w.settings.scope;
    assert_int_equal(
        klx_counter_value(klx_counter("klaxon_token_requests_total", "",
                                      KLX_LABELS({ "scope", scope }, { "outcome", "failed" }))),
        3);
    end(&w);
}

static void a_refused_token_is_replaced_once_at_once_then_after_waits(void **state) {
    (void)state;
    static const char *const answers[] = { TOKEN("t1", "3600"), TOKEN("t2", "3600"),
                                           TOKEN("t3", "3600"), NULL };
    struct world w;
    struct klx_oauth_token t;
    begin_with_secret(&w, answers);
    ask(&w);
    assert_int_equal(klx_oauth_get(w.oauth, &t, NULL), 0);
    klx_oauth_refused(w.oauth, t.generation);
    klx_oauth_refused(w.oauth, t.generation); /* another who was sent away with it */
    ask(&w);
    expect_token(&w, "t2");
    klx_oauth_refused(w.oauth, t.generation); /* late news of the first */
    assert_true(klx_oauth_ready(w.oauth, &w.waiter));
    klx_oauth_refused(w.oauth, t.generation + 1);
    assert_true(klx_oauth_ready(w.oauth, &w.waiter)); /* not at once */
    advance(&w, 4);
    ask(&w);
    expect_token(&w, "t3");
    end(&w);
}

static void what_entra_refuses_is_explained_without_secrets(void **state) {
    (void)state;
    static const char *const answers[] = {
        "401 {\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: The provided "
        "client secret keys for app 'id-1' are expired. Trace ID: 1 Correlation ID: 2\"}",
        "401 {\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: no s~ecret &1\"}",
        "400 <html>",
        "200 {\"access_token\":\"a b\"}",
        "200 {\"access_token\":\"t\",\"token_type\":\"pop\"}",
        NULL,
    };
    static const struct {
        int code;
        const char *part;
    } expected[] = {
        { -EACCES, "gives no token for https://monitor.azure.com/.default: the client secret has "
                   "expired: make a new one for the application (answer 401: invalid_client: "
                   "AADSTS7000222: The provided client secret keys for app 'id-1' are expired.)" },
        { -EACCES, "not its id (answer 401: invalid_client)" },
        { -EACCES, "gives no token for https://monitor.azure.com/.default (answer 400)" },
        { -EPROTO, "without an access_token" },
        { -EPROTO, "not of the type Bearer" },
    };
    struct world w;
    begin_with_secret(&w, answers);
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        ask(&w);
        expect_error(&w, expected[i].code, expected[i].part);
        advance(&w, 70);
    }
    end(&w);
}

static void a_federated_token_is_read_for_each_request(void **state) {
    (void)state;
    static const char *const answers[] = { TOKEN("t1", "\"600\""), TOKEN("t2", "600"), NULL };
    char path[] = "/tmp/klaxon-oauth-XXXXXX";
    struct world w;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "first\n", 6), 6);
    begin(&w, answers);
    setenv("AZURE_FEDERATED_TOKEN_FILE", path, 1);
    open_source(&w);
    ask(&w);
    expect_token(&w, "t1");
    assert_int_equal(pwrite(fd, "other\n", 6, 0), 6);
    advance(&w, 601);
    ask(&w);
    expect_token(&w, "t2");
    assert_non_null(strstr(w.server.requests[0],
                           "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-"
                           "type%3Ajwt-bearer&client_assertion=first"));
    assert_non_null(strstr(w.server.requests[1], "&client_assertion=other"));
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    end(&w);
    close(fd);
    unlink(path);
}

static void a_machine_is_asked_for_a_resource(void **state) {
    (void)state;
    static const char *const answers[] = { "410 {}", TOKEN("t1", "\"3599\""), NULL };
    struct world w;
    begin(&w, answers);
    w.settings.managed_identity = true;
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    open_source(&w);
    ask(&w);
    expect_error(&w, -EBUSY, "answers 410");
    advance(&w, 2);
    ask(&w);
    unsetenv("http_proxy");
    expect_token(&w, "t1");
    assert_ptr_equal(strstr(w.server.requests[0],
                            "GET /tenant/oauth2/v2.0/token?api-version=2018-02-01&resource=https%3A"
                            "%2F%2Fmonitor.azure.com&client_id=id-1 HTTP/1.1\r\n"),
                     w.server.requests[0]);
    assert_non_null(strstr(w.server.requests[0], "Metadata: true\r\n"));
    end(&w);
}

static void expect_refused(struct klx_oauth_settings s, const char *part) {
    struct klx_error e = { 0 };
    s.scope = s.scope != NULL ? klx_strdup(s.scope) : NULL;
    s.token_url = s.token_url != NULL ? klx_strdup(s.token_url) : NULL;
    s.authority = s.authority != NULL ? klx_strdup(s.authority) : NULL;
    s.tenant = s.tenant != NULL ? klx_strdup(s.tenant) : NULL;
    assert_int_equal(klx_oauth_settings_complete(&s, NULL, false, &e), -EINVAL);
    if (strstr(e.text, part) == NULL) {
        fail_msg("\"%s\" does not hold \"%s\"", e.text, part);
    }
    klx_oauth_settings_release(&s);
}

static void settings_that_cannot_work_are_refused(void **state) {
    (void)state;
    char scope[] = "s/.default", plain[] = "http://idp.example/token", odd[] = "ftp://x/";
    char user[] = "https://a:b@idp.example/token", tenant[] = "../x";
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    expect_refused((struct klx_oauth_settings){ 0 }, "scope is missing");
    expect_refused((struct klx_oauth_settings){ .scope = scope }, "nothing proves who klaxon is");
    expect_refused((struct klx_oauth_settings){ .scope = scope,
                                                .managed_identity = true,
                                                .client_secret = klx_secret_from_env(KLX_SV("X")) },
                   "exclude each other");
#define WITH_SECRET .scope = scope, .client_secret = klx_secret_from_env(KLX_SV("X"))
    expect_refused((struct klx_oauth_settings){ WITH_SECRET, .token_url = plain },
                   "token_url must begin with https://");
    expect_refused((struct klx_oauth_settings){ WITH_SECRET, .token_url = odd }, "must be a URL");
    expect_refused((struct klx_oauth_settings){ WITH_SECRET, .token_url = user }, "without user");
    expect_refused((struct klx_oauth_settings){ WITH_SECRET, .tenant = tenant }, "tenant must be");
    expect_refused((struct klx_oauth_settings){ WITH_SECRET },
                   "tenant is missing, and $AZURE_TENA");
    setenv("AZURE_TENANT_ID", "t-1", 1);
    expect_refused((struct klx_oauth_settings){ WITH_SECRET },
                   "client_id is missing, and $AZURE_C");
    setenv("AZURE_FEDERATED_TOKEN_FILE", "/x", 1);
    setenv("AZURE_KUBERNETES_TOKEN_PROXY", "https://x", 1);
    expect_refused((struct klx_oauth_settings){ .scope = scope }, "identity bindings");
    unsetenv("AZURE_KUBERNETES_TOKEN_PROXY");
    setenv("AZURE_CLIENT_ID", "c-1", 1);
    setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/", 1);
    struct klx_oauth_settings s = { 0 };
    struct klx_error e;
    assert_int_equal(klx_oauth_settings_complete(&s, "x/.default", false, &e), 0);
    assert_string_equal(s.token_url, "https://login.microsoftonline.us/t-1/oauth2/v2.0/token");
    assert_string_equal(s.client_id, "c-1");
    assert_int_equal(s.way, KLX_OAUTH_FEDERATED);
    klx_oauth_settings_release(&s);
    assert_int_equal(klx_oauth_settings_complete(&s, "x/.default", true, &e), 0);
    assert_int_equal(klx_oauth_settings_complete(&s, "x/.default", false, &e), 0);
    assert_string_equal(s.token_url, "https://login.microsoftonline.us/t-1/oauth2/v2.0/token");
    klx_oauth_settings_release(&s);
    unsetenv("AZURE_TENANT_ID");
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    unsetenv("AZURE_CLIENT_ID");
    unsetenv("AZURE_AUTHORITY_HOST");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_sent_as_a_form_and_the_token_kept),
        cmocka_unit_test(it_is_refreshed_before_it_expires_while_the_old_one_serves),
        cmocka_unit_test(many_wait_for_one_request),
        cmocka_unit_test(a_failure_is_said_and_waited_after_and_a_good_token_stays),
        cmocka_unit_test(a_refused_token_is_replaced_once_at_once_then_after_waits),
        cmocka_unit_test(what_entra_refuses_is_explained_without_secrets),
        cmocka_unit_test(a_federated_token_is_read_for_each_request),
        cmocka_unit_test(a_machine_is_asked_for_a_resource),
        cmocka_unit_test(settings_that_cannot_work_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
