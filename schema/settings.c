#include "schema/settings.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define DEFAULT_PATH "/etc/klaxon/klaxon.yaml"

struct top {
    const struct klx_config_node *kafka, *topics, *collector, *clusters, *sinks, *channels,
        *subscriptions, *log;
};

static const struct klx_config_field top_fields[] = {
    { .key = "kafka",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, kafka),
      .required = true,
      .help = "a map with at least bootstrap.servers" },
    { .key = "topics", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, topics) },
    { .key = "collector", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, collector) },
    { .key = "clusters", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, clusters) },
    { .key = "sinks", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, sinks) },
    { .key = "channels", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, channels) },
    { .key = "subscriptions", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, subscriptions) },
    { .key = "log", .kind = KLX_CFG_NODE, .offset = offsetof(struct top, log) },
    { .key = NULL },
};

struct topics {
    char *prefix;
    int64_t replication, partitions;
};

static const struct klx_config_field topics_fields[] = {
    { .key = "prefix",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct topics, prefix),
      .otherwise = "klaxon." },
    { .key = "replication",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct topics, replication),
      .otherwise = "-1",
      .min = -1,
      .max = 10 },
    { .key = "partitions",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct topics, partitions),
      .otherwise = "0",
      .min = 0,
      .max = 1000 },
    { .key = NULL },
};

struct log {
    char *level, *format;
};

static const struct klx_config_field log_fields[] = {
    { .key = "level",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct log, level),
      .otherwise = "info" },
    { .key = "format",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct log, format),
      .otherwise = "auto" },
    { .key = NULL },
};

static int read_topics(const struct klx_config_node *n, struct klx_settings *s,
                       struct klx_error *e) {
    struct topics t = { 0 };
    int rc = klx_config_bind(n, topics_fields, &t, e);
    if (rc != 0) {
        return rc;
    }
    if (t.replication == 0) {
        rc = klx_config_fail(n, e, "replication: at least 1, or -1 for the broker's default");
    }
    s->replication = t.replication;
    s->partitions = t.partitions;
    struct klx_error inner = { 0 };
    if (rc == 0 && klx_topic_names_init(&s->topics, klx_sv(t.prefix), &inner) != 0) {
        rc = klx_config_fail(n, e, "%s", inner.text);
    }
    klx_config_unbind(topics_fields, &t);
    return rc;
}

static int read_log(const struct klx_config_node *n, struct klx_settings *s, struct klx_error *e) {
    static const char *const formats[] = { "auto", "json", "text" };
    struct log l = { 0 };
    int rc = klx_config_bind(n, log_fields, &l, e);
    if (rc != 0) {
        return rc;
    }
    if (klx_log_parse_level(klx_sv(l.level), &s->log_level) != 0) {
        rc = klx_config_fail(n, e, "level: expected debug, info, warn or error, found \"%s\"",
                             l.level);
    }
    bool known = false;
    for (size_t i = 0; i < KLX_COUNT(formats); i++) {
        if (strcmp(l.format, formats[i]) == 0) {
            s->log_format = (enum klx_log_format)i;
            known = true;
        }
    }
    if (rc == 0 && !known) {
        rc = klx_config_fail(n, e, "format: expected auto, json or text, found \"%s\"", l.format);
    }
    klx_config_unbind(log_fields, &l);
    return rc;
}

static int expect(const struct klx_config_node *n, enum klx_config_type type, const char *what,
                  struct klx_error *e) {
    return n == NULL || klx_config_type(n) == type ? 0 : klx_config_fail(n, e, "expected %s", what);
}

static int add_channels(struct klx_settings *s, const struct klx_config_node *map,
                        struct klx_error *e) {
    int rc = expect(map, KLX_CONFIG_MAP, "a map of channels by name", e);
    const struct klx_config_node *c = rc == 0 && map != NULL ? klx_config_first(map) : NULL;
    for (; c != NULL; c = klx_config_next(c)) {
        for (size_t i = 0; i < s->channels_n; i++) {
            if (klx_sv_eq(klx_config_key(s->channels[i]), klx_config_key(c))) {
                return klx_config_fail(c, e, "the channel is defined already in %s:%u",
                                       klx_config_file(s->channels[i]),
                                       klx_config_line(s->channels[i]));
            }
        }
        s->channels =
            klx_grow_array(s->channels, s->channels_n, s->channels_n + 1, sizeof(*s->channels));
        s->channels[s->channels_n++] = c;
    }
    return rc;
}

static int add_subscriptions(struct klx_settings *s, const struct klx_config_node *list,
                             struct klx_error *e) {
    int rc = expect(list, KLX_CONFIG_LIST, "a list of subscriptions", e);
    const struct klx_config_node *n = rc == 0 && list != NULL ? klx_config_first(list) : NULL;
    for (; n != NULL; n = klx_config_next(n)) {
        s->subscriptions = klx_grow_array(s->subscriptions, s->subscriptions_n,
                                          s->subscriptions_n + 1, sizeof(*s->subscriptions));
        s->subscriptions[s->subscriptions_n++] = n;
    }
    return rc;
}

static int open_file(struct klx_settings *s, const char *path,
                     const struct klx_config_node **ret_root, struct klx_error *e) {
    struct klx_config *c = NULL;
    if (s->files_n == KLX_SETTINGS_FILES_MAX) {
        return klx_fail(e, -EINVAL, "%s: more than %d configuration files", path,
                        KLX_SETTINGS_FILES_MAX);
    }
    int rc = klx_config_load(path, &c, e);
    if (rc == 0) {
        s->files =
            klx_grow_array(s->files, s->files_n, s->files_n + 1, sizeof(struct klx_config *));
        s->files[s->files_n++] = c;
        *ret_root = klx_config_root(c);
    }
    return rc;
}

/* A file of channels.d/ or subscriptions.d/ may hold the channels or subscriptions themselves, or one map with that key. */
static int add_extra(struct klx_settings *s, const char *key, const struct klx_config_node *root,
                     struct klx_error *e) {
    bool channels = strcmp(key, "channels") == 0;
    bool is_map = klx_config_type(root) == KLX_CONFIG_MAP;
    if (is_map && klx_config_first(root) == NULL) {
        return 0;
    }
    if (is_map && (!channels || klx_config_get(root, key) != NULL)) {
        const struct klx_config_field only[] = {
            { .key = key, .kind = KLX_CFG_NODE, .required = true },
            { .key = NULL },
        };
        int rc = klx_config_bind(root, only, &root, e);
        if (rc != 0) {
            return rc;
        }
    }
    return channels ? add_channels(s, root, e) : add_subscriptions(s, root, e);
}

static int is_yaml(const struct dirent *d) {
    struct klx_sv name = klx_sv(d->d_name);
    return name.p[0] != '.' &&
           (klx_sv_ends(name, KLX_SV(".yaml")) || klx_sv_ends(name, KLX_SV(".yml")));
}

static int read_folder(struct klx_settings *s, const char *main_file, const char *key,
                       struct klx_error *e) {
    const char *slash = strrchr(main_file, '/');
    int folder_bytes = slash != NULL ? (int)(slash - main_file + 1) : 0;
    char *folder = klx_asprintf("%.*s%s.d", folder_bytes, main_file, key);
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_yaml, alphasort);
    int rc = n < 0 && errno != ENOENT
                 ? klx_fail(e, -errno, "cannot read %s: %s", folder, strerror(errno))
                 : 0;
    for (int i = 0; i < n; i++) {
        const struct klx_config_node *root = NULL;
        char *path = klx_asprintf("%s/%s", folder, entries[i]->d_name);
        rc = rc == 0 ? open_file(s, path, &root, e) : rc;
        rc = rc == 0 ? add_extra(s, key, root, e) : rc;
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return rc;
}

/* `clusters:` with nothing behind it, for example because all of it is commented out, is as if it were not there. */
static void drop_nothing(const struct klx_config_node **n) {
    if (*n != NULL && klx_config_type(*n) == KLX_CONFIG_SCALAR && klx_config_scalar(*n).n == 0) {
        *n = NULL;
    }
}

static int read_main(const char *path, struct klx_settings *s, struct klx_error *e) {
    const struct klx_config_node *root = NULL;
    struct top top = { 0 };
    int rc = open_file(s, path, &root, e);
    rc = rc == 0 ? klx_config_bind(root, top_fields, &top, e) : rc;
    if (rc != 0) {
        return rc;
    }
    drop_nothing(&top.topics);
    drop_nothing(&top.collector);
    drop_nothing(&top.clusters);
    drop_nothing(&top.sinks);
    drop_nothing(&top.channels);
    drop_nothing(&top.subscriptions);
    drop_nothing(&top.log);
    s->kafka = top.kafka;
    s->collector = top.collector;
    s->clusters = top.clusters;
    s->sinks = top.sinks;
    if (klx_config_type(top.kafka) != KLX_CONFIG_MAP ||
        klx_config_get(top.kafka, "bootstrap.servers") == NULL) {
        return klx_config_fail(
            top.kafka, e, "\"bootstrap.servers\" is missing: host:port of one or more brokers");
    }
    rc = top.topics != NULL ? read_topics(top.topics, s, e) : 0;
    rc = rc == 0 && top.log != NULL ? read_log(top.log, s, e) : rc;
    rc = rc == 0 ? expect(s->collector, KLX_CONFIG_MAP, "a map", e) : rc;
    rc = rc == 0 ? expect(s->clusters, KLX_CONFIG_LIST, "a list of clusters", e) : rc;
    rc = rc == 0 ? expect(s->sinks, KLX_CONFIG_MAP, "a map of sinks", e) : rc;
    rc = rc == 0 && top.channels != NULL ? add_channels(s, top.channels, e) : rc;
    return rc == 0 && top.subscriptions != NULL ? add_subscriptions(s, top.subscriptions, e) : rc;
}

const char *klx_settings_path(const char *path) {
    const char *named = getenv("KLAXON_CONFIG");
    return path != NULL ? path : named != NULL && named[0] != '\0' ? named : DEFAULT_PATH;
}

int klx_settings_load(const char *path, struct klx_settings *ret, struct klx_error *e) {
    const char *file = klx_settings_path(path);
    struct klx_settings s = { .replication = -1,
                              .log_level = KLX_LOG_INFO,
                              .log_format = KLX_LOG_AUTO };
    int rc = klx_topic_names_init(&s.topics, KLX_SV("klaxon."), e);
    rc = rc == 0 ? read_main(file, &s, e) : rc;
    rc = rc == 0 ? read_folder(&s, file, "channels", e) : rc;
    rc = rc == 0 ? read_folder(&s, file, "subscriptions", e) : rc;
    if (rc != 0) {
        klx_settings_release(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

void klx_settings_release(struct klx_settings *s) {
    for (size_t i = 0; i < s->files_n; i++) {
        klx_config_free(s->files[i]);
    }
    free(s->files);
    free(s->channels);
    free(s->subscriptions);
    *s = (struct klx_settings){ 0 };
}
