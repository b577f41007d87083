#include "sinks/slack/webhook.h"

#include <stdbool.h>

#include "lib/base/url.h"

#define TOKEN_BYTES_MIN 8 /* a shorter last segment is no token, but a word such as "ok" */

struct url {
    bool https;
    struct klx_sv host; /* without port; an IPv6 address without brackets */
    struct klx_sv path; /* from its '/' on, with the query */
};

static bool starts_nocase(struct klx_sv s, struct klx_sv prefix) {
    return s.n >= prefix.n && klx_sv_eq_nocase(klx_sv_n(s.p, prefix.n), prefix);
}

static struct klx_sv from(struct klx_sv s, size_t at) {
    return klx_sv_n(s.p + at, s.n - at);
}

static bool has_space_or_control(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* What is wrong with the URL, or NULL. Stricter than libcurl where the two could see different hosts. */
static const char *parse(struct klx_sv text, struct url *ret) {
    struct klx_sv rest = { 0 };
    if (starts_nocase(text, KLX_SV("https://"))) {
        ret->https = true;
        rest = from(text, strlen("https://"));
    } else if (starts_nocase(text, KLX_SV("http://"))) {
        rest = from(text, strlen("http://"));
    } else {
        return "is not a URL that begins with https://";
    }
    size_t slash = klx_sv_find(rest, '/');
    struct klx_sv authority = klx_sv_n(rest.p, slash);
    if (klx_sv_find(authority, '@') < authority.n || klx_sv_find(authority, '\\') < authority.n ||
        klx_sv_find(authority, '?') < authority.n || klx_sv_find(authority, '#') < authority.n) {
        return "has a host that is not acceptable: only a name and a port may stand there";
    }
    ret->host = klx_url_host(authority, NULL);
    ret->path = from(rest, slash);
    if (ret->host.n == 0) {
        return "has no host";
    }
    return ret->path.n > 1 ? NULL : "has no path: copy the whole URL, with its /services/…";
}

static bool is_workflow(const struct url *u) {
    return klx_sv_starts(u->path, KLX_SV("/workflows/")) ||
           klx_sv_starts(u->path, KLX_SV("/triggers/"));
}

int klx_slack_webhook_check(struct klx_sv url, const char *where, struct klx_error *e) {
    struct url u = { 0 };
    const char *problem = has_space_or_control(url) ? "holds a space, a line end or a control "
                                                      "character: it must be the URL alone"
                                                    : parse(url, &u);
    if (problem == NULL && !u.https && !klx_url_is_loopback(u.host)) {
        problem = "is http: the URL is a credential and is sent over https only (http is for "
                  "loopback)";
    }
    if (problem == NULL && is_workflow(&u)) {
        problem = "is a trigger of Workflow Builder, which takes no messages: make an incoming "
                  "webhook, /services/…";
    }
    return problem == NULL ? 0 : klx_fail(e, -EINVAL, "the webhook's URL in %s %s", where, problem);
}

static struct klx_sv last_segment(struct klx_sv path) {
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/') {
        at--;
    }
    return from(path, at);
}

void klx_slack_webhook_redact(struct klx_buf *out, struct klx_sv answer, struct klx_sv url) {
    struct url u = { 0 };
    if (parse(url, &u) != NULL) {
        klx_buf_add_sv(out, answer);
        return;
    }
    struct klx_sv token = last_segment(u.path);
    bool has_token = token.n >= TOKEN_BYTES_MIN;
    while (answer.n > 0) {
        struct klx_sv hit = klx_sv_starts(answer, u.path)               ? u.path
                            : has_token && klx_sv_starts(answer, token) ? token
                                                                        : klx_sv(NULL);
        if (hit.n > 0) {
            klx_buf_add_str(out, "…");
        } else {
            klx_buf_add_char(out, answer.p[0]);
        }
        answer = from(answer, hit.n > 0 ? hit.n : 1);
    }
}
