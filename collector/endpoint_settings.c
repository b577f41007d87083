#include "collector/endpoint_settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/url.h"

#define NAME_BYTES_MAX 63
#define ADDRESS_BYTES_MAX 2048
#define SAMPLES_MAX 50000

const struct klx_config_field klx_endpoint_fields[] = {
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_endpoint_settings, name),
      .required = true,
      .help = "it stands in the key of its samples" },
    { .key = "url",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_endpoint_settings, url),
      .help = "http or https, of anything that answers; or `path`" },
    { .key = "path",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_endpoint_settings, path),
      .help = "of the API server, as the collector's account: /metrics, or "
              "/api/v1/namespaces/NS/services/NAME:PORT/proxy/metrics" },
    { .key = "metrics",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_endpoint_settings, metrics),
      .required = true,
      .help = "names and globs of the metrics that are kept, for example kube_pod_*; nothing else "
              "is published" },
    { .key = "labels",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_endpoint_settings, labels),
      .help = "names of the labels that are kept, beside le and quantile; left out: none" },
    { .key = "ca_file",
      .kind = KLX_CFG_FILE,
      .offset = offsetof(struct klx_endpoint_settings, ca),
      .help = "certificates that the url's is checked with; left out: the system's" },
    { .key = "token_file",
      .kind = KLX_CFG_FILE,
      .offset = offsetof(struct klx_endpoint_settings, token),
      .help = "a bearer token for the url, read again when the file changes" },
    { .key = "samples_max",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_endpoint_settings, samples_max),
      .otherwise = "5000",
      .min = 1,
      .max = SAMPLES_MAX,
      .help = "what of one scrape is published at most" },
    { .key = NULL },
};

struct binder {
    klx_config_report_fn report;
    void *arg;
};

static void mistake(const struct binder *b, const struct klx_error *e) {
    b->report(b->arg, e->text);
}

static bool is_name(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static bool is_printable(const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '#') {
            return false;
        }
    }
    return strlen(text) <= ADDRESS_BYTES_MAX;
}

static bool is_url(const char *text) {
    struct klx_sv rest = klx_sv(text), scheme = klx_sv_cut(&rest, ':');
    bool http = klx_sv_eq(scheme, KLX_SV("http")) || klx_sv_eq(scheme, KLX_SV("https"));
    if (!http || !klx_sv_starts(rest, KLX_SV("//")) || !is_printable(text)) {
        return false;
    }
    rest = klx_sv_n(rest.p + 2, rest.n - 2);
    struct klx_sv authority = klx_sv_cut(&rest, '/');
    return klx_url_host(authority, NULL).n > 0 && klx_sv_find(authority, '@') == authority.n;
}

static void check_address(const struct binder *b, const struct klx_config_node *n,
                          const struct klx_endpoint_settings *s) {
    struct klx_error e;
    const struct klx_config_node *url = klx_config_get(n, "url"), *path = klx_config_get(n, "path");
    if ((url == NULL) == (path == NULL)) {
        klx_config_fail(n, &e, "expected one of `url` and `path`");
        mistake(b, &e);
    }
    if (s->url != NULL && !is_url(s->url)) {
        klx_config_fail(url, &e,
                        "expected http://… or https://… without a user, for example "
                        "http://localhost:9100/metrics");
        mistake(b, &e);
    }
    if (s->path != NULL && (s->path[0] != '/' || !is_printable(s->path))) {
        klx_config_fail(path, &e, "expected a path of the API server, for example /metrics");
        mistake(b, &e);
    }
    if (path != NULL && (s->ca != NULL || s->token != NULL)) {
        klx_config_fail_key(klx_config_get(n, s->ca != NULL ? "ca_file" : "token_file"), &e,
                            "%s is for a url: the API server is asked with the cluster's own "
                            "credentials",
                            s->ca != NULL ? "ca_file" : "token_file");
        mistake(b, &e);
    }
    bool plain = s->url != NULL && klx_sv_starts(klx_sv(s->url), KLX_SV("http://"));
    struct klx_sv host = klx_sv(plain ? s->url + strlen("http://") : NULL);
    host = klx_url_host(klx_sv_cut(&host, '/'), NULL);
    if (plain && s->token != NULL && !klx_url_is_loopback(host)) {
        klx_config_fail_key(klx_config_get(n, "token_file"), &e,
                            "the token would be sent unencrypted: use https");
        mistake(b, &e);
    }
}

static void check_name(const struct binder *b, const struct klx_config_node *n,
                       const struct klx_endpoint_settings *items, size_t i) {
    struct klx_error e;
    if (items[i].name == NULL) {
        return;
    }
    if (!is_name(klx_sv(items[i].name))) {
        klx_config_fail(klx_config_get(n, "name"), &e, "1 to %d of a-z, 0-9 and '-'",
                        NAME_BYTES_MAX);
        mistake(b, &e);
    }
    for (size_t k = 0; k < i; k++) {
        if (items[k].name != NULL && strcmp(items[k].name, items[i].name) == 0) {
            klx_config_fail(klx_config_get(n, "name"), &e, "\"%s\" stands there twice",
                            items[i].name);
            mistake(b, &e);
        }
    }
}

static void make_match(const struct binder *b, const struct klx_config_node *n,
                       struct klx_endpoint_settings *s) {
    const struct klx_config_node *at = klx_config_get(n, "metrics");
    struct klx_error why, e;
    if (s->metrics.n == 0) {
        if (at != NULL) {
            klx_config_fail(at, &e, "names no metric: nothing would be published");
            mistake(b, &e);
        }
        return;
    }
    if (klx_match_new(s->metrics.items, s->metrics.n, &s->match, &why) != 0) {
        klx_config_fail(at, &e, "%s", why.text);
        mistake(b, &e);
    }
}

void klx_endpoints_bind(const struct klx_config_node *n, struct klx_endpoint_settings **ret,
                        size_t *ret_n, klx_config_report_fn report, void *arg) {
    const struct binder b = { report, arg };
    struct klx_endpoint_settings *items = NULL;
    size_t count = 0;
    struct klx_error e;
    const struct klx_config_node *item =
        klx_config_type(n) == KLX_CONFIG_LIST ? klx_config_first(n) : NULL;
    if (item == NULL) {
        klx_config_fail(n, &e,
                        "expected a list of endpoints, for example [{name: apiserver, path: "
                        "/metrics, metrics: apiserver_request_total}]");
        mistake(&b, &e);
    }
    for (; item != NULL && count < KLX_ENDPOINTS_MAX; item = klx_config_next(item)) {
        items = klx_grow_array(items, count, count + 1, sizeof(*items));
        klx_config_bind_all(item, klx_endpoint_fields, &items[count], report, arg);
        if (klx_config_type(item) == KLX_CONFIG_MAP) {
            check_name(&b, item, items, count);
            check_address(&b, item, &items[count]);
            make_match(&b, item, &items[count]);
        }
        count++;
    }
    if (item != NULL) {
        klx_config_fail(item, &e, "at most %d endpoints", KLX_ENDPOINTS_MAX);
        mistake(&b, &e);
    }
    *ret = items;
    *ret_n = count;
}

void klx_endpoints_free(struct klx_endpoint_settings *items, size_t n) {
    for (size_t i = 0; i < n; i++) {
        klx_match_free(items[i].match);
        klx_config_unbind(klx_endpoint_fields, &items[i]);
    }
    free(items);
}
