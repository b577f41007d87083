#include "sinks/teams/settings.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define GUID_BYTES 36

const struct klx_config_field klx_teams_fields[] = {
    { .key = "webhook_url",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_teams_config, webhook_url),
      .required = true,
      .help = "the URL of a workflow of Teams, as {file: /path} or {env: NAME}" },
    { .key = "mentions",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_teams_config, mentions),
      .help =
          "who is mentioned: \"Jo Miller <jo@example.com>\", or an object id of Entra ID between "
          "the brackets" },
    { .key = "mention_from",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_teams_config, mention_from),
      .otherwise = "critical",
      .help = "from which severity on: info, warning or critical; never when it is resolved" },
    { .key = NULL },
};

static bool is_guid(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.p[i] != '-' : !isxdigit((unsigned char)s.p[i])) {
            return false;
        }
    }
    return s.n == GUID_BYTES;
}

/* What Entra ID allows in one: jo.miller@example.com. */
static bool is_principal_name(struct klx_sv s) {
    size_t at = klx_sv_find(s, '@');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (!isalnum(c) && (c == '\0' || strchr("'.-_!#^~@", c) == NULL)) {
            return false;
        }
        if (c == '@' && i != at) {
            return false;
        }
    }
    return at > 0 && at + 1 < s.n && s.n <= KLX_TEAMS_MENTION_ID_BYTES_MAX;
}

/* The tag and the entity must be equal to the byte, and the tag stands in markdown. */
static bool is_name(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f || strchr("<>&*_[]`~\\\"{}#", c) != NULL) {
            return false;
        }
    }
    return s.n > 0 && s.n <= KLX_TEAMS_MENTION_NAME_BYTES_MAX;
}

/* NULL, or what is wrong with it. */
static const char *read_mention(struct klx_sv text, struct klx_teams_mention *ret) {
    struct klx_sv rest = klx_sv_trim(text);
    if (!klx_sv_ends(rest, KLX_SV(">")) || klx_sv_find(rest, '<') == rest.n) {
        return "expected a name and who it is: \"Jo Miller <jo@example.com>\"";
    }
    rest.n--;
    ret->name = klx_sv_trim(klx_sv_cut(&rest, '<'));
    ret->id = rest;
    if (!is_name(ret->name)) {
        return "the name has 1 to 64 bytes, without line ends and without < > & * _ [ ] ` ~ \\ \" "
               "{ } "
               "#, which mean something to Teams";
    }
    if (!is_guid(ret->id) && !is_principal_name(ret->id)) {
        return "between the brackets stands a user principal name, jo@example.com, or the object "
               "id "
               "of a user in Entra ID; channels, teams and tags cannot be mentioned";
    }
    return NULL;
}

static int refuse(const struct klx_config_node *at, const char *key, size_t i, struct klx_error *e,
                  const char *why) {
    const struct klx_config_node *n = at != NULL ? klx_config_get(at, key) : NULL;
    if (n != NULL && klx_config_type(n) == KLX_CONFIG_LIST) {
        n = klx_config_first(n);
        while (n != NULL && i-- > 0) {
            n = klx_config_next(n);
        }
    }
    n = n != NULL ? n : at;
    return n != NULL ? klx_config_fail(n, e, "%s", why) : klx_fail(e, -EINVAL, "%s: %s", key, why);
}

static int read_mentions(const struct klx_teams_config *c, const struct klx_config_node *at,
                         struct klx_teams_settings *s, struct klx_error *e) {
    if (c->mentions.n > KLX_TEAMS_MENTIONS_MAX) {
        return refuse(at, "mentions", KLX_TEAMS_MENTIONS_MAX, e,
                      "more than 10 people: make a second channel, or let them follow the channel");
    }
    for (size_t i = 0; i < c->mentions.n; i++) {
        const char *problem = read_mention(c->mentions.items[i], &s->mentions[i]);
        if (problem != NULL) {
            return refuse(at, "mentions", i, e, problem);
        }
    }
    s->mentions_n = c->mentions.n;
    return 0;
}

int klx_teams_settings_read(const struct klx_teams_config *c, const struct klx_config_node *at,
                            struct klx_teams_settings *ret, struct klx_error *e) {
    struct klx_teams_settings s = { .webhook_url = c->webhook_url,
                                    .mention_from = KLX_SEVERITY_CRITICAL };
    int rc = read_mentions(c, at, &s, e);
    if (rc == 0 && c->mention_from != NULL &&
        klx_severity_parse(klx_sv(c->mention_from), &s.mention_from) != 0) {
        rc = refuse(at, "mention_from", 0, e, "expected info, warning or critical");
    }
    if (rc == 0) {
        *ret = s;
    }
    return rc;
}
