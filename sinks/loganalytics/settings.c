#include "sinks/loganalytics/settings.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

#define DCR_PREFIX "dcr-"
#define DCR_DIGITS 32
#define STREAM_PREFIX "Custom-"
#define STREAM_BYTES_MAX 100

#define OFFSET(member) offsetof(struct klx_loganalytics_config, member)

const struct klx_config_field klx_loganalytics_fields[] = {
    { .key = "endpoint",
      .kind = KLX_CFG_STR,
      .offset = OFFSET(endpoint),
      .required = true,
      .help = "where logs are taken: endpoints.logsIngestion of the data collection rule" },
    { .key = "dcr",
      .kind = KLX_CFG_STR,
      .offset = OFFSET(dcr),
      .required = true,
      .help = "the rule's immutable id: dcr- and 32 hexadecimal digits" },
    { .key = "stream",
      .kind = KLX_CFG_STR,
      .offset = OFFSET(stream),
      .otherwise = "Custom-Klaxon",
      .help = "the stream that the rule declares" },
    { .key = "cloud",
      .kind = KLX_CFG_STR,
      .offset = OFFSET(cloud),
      .help = "public, usgov or china; left out: what the endpoint's host says" },
    { .key = "api_version",
      .kind = KLX_CFG_STR,
      .offset = OFFSET(api_version),
      .otherwise = "2023-01-01",
      .help = "of the Logs Ingestion API" },
    { .key = "ca_file",
      .kind = KLX_CFG_FILE,
      .offset = OFFSET(ca_file),
      .help = "certificates (PEM) to trust for the endpoint instead of the system's" },
    KLX_OAUTH_FIELDS(struct klx_loganalytics_config, oauth),
    { .key = NULL },
};

struct cloud {
    const char *name, *domain, *authority, *scope;
};

/* Scopes: learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview. The first is what is not known otherwise. */
static const struct cloud clouds[] = {
    { "public", ".azure.com", "https://login.microsoftonline.com",
      "https://monitor.azure.com/.default" },
    { "usgov", ".azure.us", "https://login.microsoftonline.us",
      "https://monitor.azure.us/.default" },
    { "china", ".azure.cn", "https://login.partner.microsoftonline.cn",
      "https://monitor.azure.cn/.default" },
};

static const struct cloud *cloud_named(const char *name) {
    for (size_t i = 0; i < KLX_COUNT(clouds); i++) {
        if (strcmp(clouds[i].name, name) == 0) {
            return &clouds[i];
        }
    }
    return NULL;
}

/* "https://HOST[:PORT]", with or without a '/' at its end. */
struct endpoint {
    bool https;
    struct klx_sv authority, host;
};

static const char *parse_endpoint(const char *text, struct endpoint *ret) {
    struct klx_sv url = klx_sv(text);
    ret->https = klx_sv_starts(url, KLX_SV("https://"));
    if (!ret->https && !klx_sv_starts(url, KLX_SV("http://"))) {
        return "must be a URL that begins with https://";
    }
    struct klx_sv rest = klx_sv_n(url.p + (ret->https ? 8 : 7), url.n - (ret->https ? 8 : 7));
    ret->authority = klx_sv_cut(&rest, '/');
    ret->host = klx_url_host(ret->authority, NULL);
    for (size_t i = 0; i < ret->authority.n; i++) {
        if ((unsigned char)ret->authority.p[i] <= ' ' || strchr("@?#\\", ret->authority.p[i])) {
            return "must be https:// and a host, nothing else";
        }
    }
    if (ret->host.n == 0 || rest.n > 0) {
        return "must be https:// and a host, without a path: it is endpoints.logsIngestion of the "
               "data collection rule, not its resource id";
    }
    return ret->https || klx_url_is_loopback(ret->host)
               ? NULL
               : "must begin with https:// (http is for loopback): the token is sent there";
}

static const struct cloud *cloud_of(const struct klx_loganalytics_config *c) {
    struct endpoint where = { 0 };
    if (c->cloud != NULL) {
        return cloud_named(c->cloud);
    }
    if (parse_endpoint(c->endpoint, &where) == NULL) {
        for (size_t i = 0; i < KLX_COUNT(clouds); i++) {
            if (klx_sv_ends(where.host, klx_sv(clouds[i].domain))) {
                return &clouds[i];
            }
        }
    }
    return &clouds[0];
}

static bool is_of(struct klx_sv s, const char *characters) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(characters, s.p[i]) == NULL) {
            return false;
        }
    }
    return s.n > 0;
}

static const char *problem_of_dcr(const char *text) {
    struct klx_sv dcr = klx_sv(text), prefix = KLX_SV(DCR_PREFIX);
    if (klx_sv_starts(dcr, KLX_SV("/subscriptions/"))) {
        return "is the rule's resource id: its immutable id is wanted, dcr- and 32 hexadecimal "
               "digits (az monitor data-collection rule show --query immutableId)";
    }
    if (!klx_sv_starts(dcr, prefix) || dcr.n != prefix.n + DCR_DIGITS ||
        !is_of(klx_sv_n(dcr.p + prefix.n, DCR_DIGITS), "0123456789abcdef")) {
        return "must be the rule's immutable id, dcr- and 32 hexadecimal digits in lower case (az "
               "monitor data-collection rule show --query immutableId)";
    }
    return NULL;
}

static const char *problem_of_stream(const char *text) {
    struct klx_sv stream = klx_sv(text), prefix = KLX_SV(STREAM_PREFIX);
    bool good = klx_sv_starts(stream, prefix) && stream.n <= STREAM_BYTES_MAX &&
                is_of(klx_sv_n(stream.p + prefix.n, stream.n - prefix.n),
                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return good ? NULL
                : "must begin with Custom-: the name under streamDeclarations of the rule, such as "
                  "Custom-Klaxon";
}

static const char *problem_of_version(const char *text) {
    return is_of(klx_sv(text), "abcdefghijklmnopqrstuvwxyz0123456789-")
               ? NULL
               : "must be a version of the API, such as \"2023-01-01\"";
}

static int fail_at(const struct klx_config_node *at, const char *key, struct klx_error *e,
                   const char *words) {
    return at != NULL ? klx_config_fail(klx_config_get(at, key), e, "%s", words)
                      : klx_fail(e, -EINVAL, "%s %s", key, words);
}

int klx_loganalytics_config_check(const struct klx_loganalytics_config *c,
                                  const struct klx_config_node *at, struct klx_error *e) {
    struct endpoint where = { 0 };
    struct klx_oauth_settings oauth = { 0 };
    struct klx_error why = { 0 };
    const struct {
        const char *key, *problem;
    } checks[] = {
        { "endpoint", parse_endpoint(c->endpoint, &where) },
        { "dcr", problem_of_dcr(c->dcr) },
        { "stream", problem_of_stream(c->stream) },
        { "api_version", problem_of_version(c->api_version) },
        { "cloud", c->cloud == NULL || cloud_named(c->cloud) != NULL
                       ? NULL
                       : "must be public, usgov or china" },
    };
    for (size_t i = 0; i < KLX_COUNT(checks); i++) {
        if (checks[i].problem != NULL) {
            return fail_at(at, checks[i].key, e, checks[i].problem);
        }
    }
    int rc = klx_loganalytics_oauth(c, true, &oauth, &why);
    if (rc == 0) {
        klx_oauth_settings_release_copy(&oauth, &c->oauth);
        return 0;
    }
    return at != NULL ? klx_config_fail(at, e, "%s", why.text)
                      : klx_fail(e, -EINVAL, "%s", why.text);
}

/* A cloud that is written down decides; one that was guessed leaves it to $AZURE_AUTHORITY_HOST. */
static const char *authority_of(const struct klx_loganalytics_config *c, bool anywhere) {
    const char *variable = anywhere ? NULL : getenv("AZURE_AUTHORITY_HOST");
    bool set = variable != NULL && variable[0] != '\0';
    return c->cloud != NULL || !set ? cloud_of(c)->authority : NULL;
}

int klx_loganalytics_oauth(const struct klx_loganalytics_config *c, bool anywhere,
                           struct klx_oauth_settings *ret, struct klx_error *e) {
    struct klx_oauth_settings s = klx_oauth_settings_copy(&c->oauth);
    if (s.authority == NULL && s.token_url == NULL && !s.managed_identity) {
        const char *authority = authority_of(c, anywhere);
        s.authority = authority != NULL ? klx_strdup(authority) : NULL;
    }
    int rc = klx_oauth_settings_complete(&s, cloud_of(c)->scope, anywhere, e);
    if (rc != 0) {
        klx_oauth_settings_release_copy(&s, &c->oauth);
        return rc;
    }
    *ret = s;
    return 0;
}

char *klx_loganalytics_url(const struct klx_loganalytics_config *c) {
    const char *slash = klx_sv_ends(klx_sv(c->endpoint), KLX_SV("/")) ? "" : "/";
    return klx_asprintf("%s%sdataCollectionRules/%s/streams/%s?api-version=%s", c->endpoint, slash,
                        c->dcr, c->stream, c->api_version);
}
