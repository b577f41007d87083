#include "sinks/ntfy/settings.h"

#include <ctype.h>
#include <string.h>

#include "sinks/core/http_post.h"
#include "sinks/core/secret_url.h"
#include "sinks/ntfy/limits.h"

const struct klx_config_field klx_ntfy_fields[] = {
    { .key = "url",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_ntfy_config, url),
      .otherwise = "https://ntfy.sh",
      .help = "the server, without the topic" },
    { .key = "topic",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_ntfy_config, topic),
      .required = true,
      .help = "the topic: 1 to 64 of letters, digits, - and _" },
    { .key = "token",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_ntfy_config, token),
      .help = "an access token of ntfy, as {file: /path} or {env: NAME}" },
    { .key = "tags",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_ntfy_config, tags),
      .help = "tags of every message; the short code of an emoji is shown as one" },
    { .key = NULL },
};

/* Letters, digits and what `others` has. */
static bool is_name(struct klx_sv s, const char *others, size_t bytes_max) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\0' || (!(c < 0x80 && isalnum(c)) && strchr(others, c) == NULL)) {
            return false;
        }
    }
    return s.n > 0 && s.n <= bytes_max;
}

static const char *url_problem(const struct klx_ntfy_config *c) {
    struct klx_secret_url u = { 0 };
    const char *problem = klx_secret_url_parse(klx_sv(c->url), &u);
    if (problem == NULL && u.target.n > 0 && !klx_sv_eq(u.target, KLX_SV("/"))) {
        problem = "has a path: it is the server alone, and the topic stands in `topic`";
    }
    return problem;
}

static int fail_at(const struct klx_config_node *at, const char *key, struct klx_error *e,
                   const char *words) {
    const struct klx_config_node *n = klx_config_get(at, key);
    return klx_config_fail(n != NULL ? n : at, e, "%s", words);
}

static int check_token(const struct klx_ntfy_config *c, const struct klx_config_node *at,
                       struct klx_error *e) {
    struct klx_error why = { 0 };
    if (c->token == NULL || klx_http_post_check_token(c->token, NULL, &why) == 0) {
        return 0;
    }
    return fail_at(at, "token", e, why.text);
}

static int check_tags(const struct klx_ntfy_config *c, const struct klx_config_node *at,
                      struct klx_error *e) {
    if (c->tags.n > KLX_NTFY_TAGS_MAX) {
        return fail_at(at, "tags", e, "more than 5 tags");
    }
    for (size_t i = 0; i < c->tags.n; i++) {
        if (!is_name(c->tags.items[i], "-_+.", KLX_NTFY_TAG_BYTES_MAX)) {
            return fail_at(at, "tags", e, "a tag is 1 to 40 of letters, digits and - _ + .");
        }
    }
    return 0;
}

int klx_ntfy_settings_check(const struct klx_ntfy_config *c, const struct klx_config_node *at,
                            struct klx_error *e) {
    const char *problem = url_problem(c);
    if (problem != NULL) {
        const struct klx_config_node *n = klx_config_get(at, "url");
        return klx_config_fail(n != NULL ? n : at, e, "the server's URL %s", problem);
    }
    if (!is_name(klx_sv(c->topic), "-_", KLX_NTFY_TOPIC_BYTES_MAX)) {
        return fail_at(at, "topic", e, "a topic is 1 to 64 of letters, digits, - and _");
    }
    int rc = check_tags(c, at, e);
    return rc == 0 ? check_token(c, at, e) : rc;
}

/* A server of one's own may be closed by other means. */
const char *klx_ntfy_settings_doubt(const struct klx_ntfy_config *c, const char **ret_key) {
    struct klx_secret_url u = { 0 };
    *ret_key = "topic";
    if (c->token == NULL && klx_secret_url_parse(klx_sv(c->url), &u) == NULL &&
        klx_sv_eq_nocase(u.host, KLX_SV("ntfy.sh"))) {
        return "without a token the topic on ntfy.sh is open: whoever knows or guesses its name "
               "reads "
               "it, and writes to it; reserve it, and set token";
    }
    return NULL;
}
