#include "schema/settings.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define DEFAULT_PATH "/etc/klaxon/klaxon.yaml"
#define RETENTION_MS_MIN 60000
#define RETENTION_MS_MAX (INT64_C(3650) * 86400 * 1000)

struct top {
    const struct klx_config_node *kafka, *topics, *collector, *clusters, *sinks, *channels,
        *subscriptions, *links, *log;
};

const struct klx_config_field klx_settings_fields[] = {
    { .key = "kafka",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, kafka),
      .required = true,
      .help = "a map with at least bootstrap.servers" },
    { .key = "topics",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, topics),
      .help = "names and settings of the ten topics" },
    { .key = "collector",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, collector),
      .help = "the process klaxon-collector" },
    { .key = "clusters",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, clusters),
      .help = "the clusters that klaxon-collector watches" },
    { .key = "sinks",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, sinks),
      .help = "the processes klaxon-sink-…, by kind" },
    { .key = "channels",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, channels),
      .help = "where messages go, by name; also in channels.d/*.yaml" },
    { .key = "subscriptions",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, subscriptions),
      .help = "who is told of what; also in subscriptions.d/*.yaml" },
    { .key = "links",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, links),
      .help = "pages that messages link to" },
    { .key = "log",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct top, log),
      .help = "what the processes log, on stderr" },
    { .key = NULL },
};

struct topics {
    char *prefix;
    int64_t replication, partitions;
    const struct klx_config_node *retention;
};

const struct klx_config_field klx_settings_topics_fields[] = {
    { .key = "prefix",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct topics, prefix),
      .otherwise = "klaxon.",
      .help = "stands in front of the name of every topic" },
    { .key = "replication",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct topics, replication),
      .otherwise = "-1",
      .min = -1,
      .max = 10,
      .help = "copies of each topic; -1: the default of the broker" },
    { .key = "partitions",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct topics, partitions),
      .otherwise = "0",
      .min = 0,
      .max = 1000,
      .help = "of each topic that is not compacted; 0: its own number" },
    { .key = "retention",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct topics, retention),
      .help = "how long records are kept, by topic" },
    { .key = NULL },
};

struct log {
    char *level, *format;
};

const struct klx_config_field klx_settings_log_fields[] = {
    { .key = "level",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct log, level),
      .otherwise = "info",
      .help = "debug, info, warn or error" },
    { .key = "format",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct log, format),
      .otherwise = "auto",
      .help = "json, text, or auto: text on a terminal" },
    { .key = NULL },
};

struct channels_file {
    const struct klx_config_node *channels;
};

const struct klx_config_field klx_settings_channels_file_fields[] = {
    { .key = "channels",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct channels_file, channels),
      .required = true,
      .help = "where messages go, by name" },
    { .key = NULL },
};

struct subscriptions_file {
    const struct klx_config_node *team, *subscriptions;
};

const struct klx_config_field klx_settings_subscriptions_file_fields[] = {
    { .key = "team",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct subscriptions_file, team),
      .help = "whose file this is: the team of each of its subscriptions" },
    { .key = "subscriptions",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct subscriptions_file, subscriptions),
      .required = true,
      .help = "who is told of what" },
    { .key = NULL },
};

/* Where the settings and the mistakes go. */
struct loader {
    struct klx_settings *s;
    klx_config_report_fn report;
    void *arg;
    size_t mistakes;
    int code; /* of the first mistake */
};

static void mistake(struct loader *l, const struct klx_error *e) {
    l->code = l->mistakes == 0 ? e->code : l->code;
    l->mistakes++;
    l->report(l->arg, e->text);
}

static void take_report(void *arg, const char *text) {
    struct klx_error e;
    klx_fail(&e, -EINVAL, "%s", text);
    mistake(arg, &e);
}

/* What is compacted is kept for ever, so it is no key here. */
static void read_retention(struct loader *l, const struct klx_config_node *n) {
    struct klx_config_field fields[KLX_TOPICS_N + 1] = { 0 };
    int64_t values[KLX_TOPICS_N] = { 0 };
    size_t count = 0;
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        if (klx_topic_specs[i].retention_ms > 0) {
            fields[count++] = (struct klx_config_field){ .key = klx_topic_specs[i].short_name,
                                                         .kind = KLX_CFG_DURATION,
                                                         .offset = i * sizeof(values[0]),
                                                         .min = RETENTION_MS_MIN,
                                                         .max = RETENTION_MS_MAX };
        }
    }
    klx_config_bind_all(n, fields, values, take_report, l);
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        l->s->retention_ms[i] = values[i] > 0 ? values[i] : l->s->retention_ms[i];
    }
}

static void read_topics(struct loader *l, const struct klx_config_node *n) {
    struct topics t = { 0 };
    struct klx_error e, inner = { 0 };
    size_t before = l->mistakes;
    klx_config_bind_all(n, klx_settings_topics_fields, &t, take_report, l);
    if (l->mistakes == before && t.replication == 0) {
        klx_config_fail(klx_config_get(n, "replication"), &e,
                        "at least 1, or -1 for the broker's default");
        mistake(l, &e);
    }
    l->s->replication = t.replication;
    l->s->partitions = t.partitions;
    if (t.prefix != NULL && klx_topic_names_init(&l->s->topics, klx_sv(t.prefix), &inner) != 0) {
        klx_config_fail(klx_config_get(n, "prefix"), &e, "%s", inner.text);
        mistake(l, &e);
    }
    if (t.retention != NULL) {
        read_retention(l, t.retention);
    }
    klx_config_unbind(klx_settings_topics_fields, &t);
}

static void read_log(struct loader *l, const struct klx_config_node *n) {
    static const char *const formats[] = { "auto", "json", "text" };
    struct log log = { 0 };
    struct klx_error e;
    klx_config_bind_all(n, klx_settings_log_fields, &log, take_report, l);
    if (log.level != NULL && klx_log_parse_level(klx_sv(log.level), &l->s->log_level) != 0) {
        klx_config_fail(klx_config_get(n, "level"), &e,
                        "expected debug, info, warn or error, found \"%s\"", log.level);
        mistake(l, &e);
    }
    bool known = log.format == NULL;
    for (size_t i = 0; i < KLX_COUNT(formats) && !known; i++) {
        known = strcmp(log.format, formats[i]) == 0;
        l->s->log_format = known ? (enum klx_log_format)i : l->s->log_format;
    }
    if (!known) {
        klx_config_fail(klx_config_get(n, "format"), &e,
                        "expected auto, json or text, found \"%s\"", log.format);
        mistake(l, &e);
    }
    klx_config_unbind(klx_settings_log_fields, &log);
}

/* n, or NULL when it is not there or not what is expected. */
static const struct klx_config_node *expect(struct loader *l, const struct klx_config_node *n,
                                            enum klx_config_type type, const char *what) {
    if (n == NULL || klx_config_type(n) == type) {
        return n;
    }
    struct klx_error e;
    klx_config_fail(n, &e, "expected %s", what);
    mistake(l, &e);
    return NULL;
}

static void add_channel(struct loader *l, const struct klx_config_node *c) {
    struct klx_settings *s = l->s;
    for (size_t i = 0; i < s->channels_n; i++) {
        if (klx_sv_eq(klx_config_key(s->channels[i]), klx_config_key(c))) {
            struct klx_error e;
            klx_config_fail(c, &e, "the channel is defined already in %s:%u",
                            klx_config_file(s->channels[i]), klx_config_line(s->channels[i]));
            mistake(l, &e);
            return;
        }
    }
    s->channels =
        klx_grow_array(s->channels, s->channels_n, s->channels_n + 1, sizeof(*s->channels));
    s->channels[s->channels_n++] = c;
}

static void add_channels(struct loader *l, const struct klx_config_node *map) {
    const struct klx_config_node *n = expect(l, map, KLX_CONFIG_MAP, "a map of channels by name");
    for (n = n != NULL ? klx_config_first(n) : NULL; n != NULL; n = klx_config_next(n)) {
        add_channel(l, n);
    }
}

/* team: of the whole file, or NULL. */
static void add_subscriptions(struct loader *l, const struct klx_config_node *list,
                              const struct klx_config_node *team) {
    struct klx_settings *s = l->s;
    const struct klx_config_node *n = expect(l, list, KLX_CONFIG_LIST, "a list of subscriptions");
    for (n = n != NULL ? klx_config_first(n) : NULL; n != NULL; n = klx_config_next(n)) {
        s->subscriptions = klx_grow_array(s->subscriptions, s->subscriptions_n,
                                          s->subscriptions_n + 1, sizeof(*s->subscriptions));
        s->subscription_teams =
            klx_grow_array(s->subscription_teams, s->subscriptions_n, s->subscriptions_n + 1,
                           sizeof(*s->subscription_teams));
        s->subscription_teams[s->subscriptions_n] = team;
        s->subscriptions[s->subscriptions_n++] = n;
    }
}

/* The root of the file, or NULL after a report. */
static const struct klx_config_node *open_file(struct loader *l, const char *path) {
    struct klx_settings *s = l->s;
    struct klx_config *c = NULL;
    struct klx_error e = { 0 };
    int rc = s->files_n < KLX_SETTINGS_FILES_MAX
                 ? klx_config_load(path, &c, &e)
                 : klx_fail(&e, -EINVAL, "%s: more than %d configuration files", path,
                            KLX_SETTINGS_FILES_MAX);
    if (rc != 0) {
        s->unread++;
        mistake(l, &e);
        return NULL;
    }
    s->files = klx_grow_array(s->files, s->files_n, s->files_n + 1, sizeof(struct klx_config *));
    s->files[s->files_n++] = c;
    return klx_config_root(c);
}

/* The channels themselves, or one map with that key; of subscriptions likewise. */
static void add_channels_file(struct loader *l, const struct klx_config_node *root) {
    struct channels_file f = { 0 };
    if (klx_config_type(root) == KLX_CONFIG_MAP && klx_config_get(root, "channels") != NULL) {
        klx_config_bind_all(root, klx_settings_channels_file_fields, &f, take_report, l);
        root = f.channels;
    }
    add_channels(l, root);
}

static void add_subscriptions_file(struct loader *l, const struct klx_config_node *root) {
    struct subscriptions_file f = { 0 };
    if (klx_config_type(root) != KLX_CONFIG_MAP) {
        add_subscriptions(l, root, NULL);
        return;
    }
    if (klx_config_get(root, "topics") != NULL || klx_config_get(root, "match") != NULL) {
        struct klx_error e;
        klx_config_fail(root, &e, "expected a list: begin with `- team: …`");
        mistake(l, &e);
        return;
    }
    klx_config_bind_all(root, klx_settings_subscriptions_file_fields, &f, take_report, l);
    if (f.team != NULL && (klx_config_is_null(f.team) || klx_config_scalar(f.team).n == 0)) {
        struct klx_error e;
        klx_config_fail(f.team, &e, "expected the name of the team that the file is of");
        mistake(l, &e);
        f.team = NULL;
    }
    add_subscriptions(l, f.subscriptions, f.team);
}

static void add_extra(struct loader *l, const char *key, const struct klx_config_node *root) {
    if (klx_config_type(root) == KLX_CONFIG_MAP && klx_config_first(root) == NULL) {
        return; /* an empty file */
    }
    if (strcmp(key, "channels") == 0) {
        add_channels_file(l, root);
    } else {
        add_subscriptions_file(l, root);
    }
}

static int is_yaml(const struct dirent *d) {
    struct klx_sv name = klx_sv(d->d_name);
    return name.p[0] != '.' &&
           (klx_sv_ends(name, KLX_SV(".yaml")) || klx_sv_ends(name, KLX_SV(".yml")));
}

static char *folder_of(const char *main_file, const char *key) {
    const char *slash = strrchr(main_file, '/');
    int folder_bytes = slash != NULL ? (int)(slash - main_file + 1) : 0;
    return klx_asprintf("%.*s%s.d", folder_bytes, main_file, key);
}

void klx_settings_folders(const char *main_file, char *ret[static KLX_SETTINGS_FOLDERS_N]) {
    ret[0] = folder_of(main_file, "channels");
    ret[1] = folder_of(main_file, "subscriptions");
}

/* A pipe, a socket or a device would be waited for, or never end. */
static bool is_file(struct loader *l, const char *path) {
    struct stat st;
    struct klx_error e;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        return true; /* or reading it says what is wrong */
    }
    klx_fail(&e, -EINVAL, "%s is no file but a pipe, a socket or a device", path);
    l->s->unread++;
    mistake(l, &e);
    return false;
}

static void read_folder(struct loader *l, const char *main_file, const char *key) {
    char *folder = folder_of(main_file, key);
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_yaml, alphasort);
    if (n < 0 && errno != ENOENT) {
        struct klx_error e;
        klx_fail(&e, -errno, "cannot read %s: %s", folder, strerror(errno));
        l->s->unread++;
        mistake(l, &e);
    }
    for (int i = 0; i < n; i++) {
        char *path = klx_asprintf("%s/%s", folder, entries[i]->d_name);
        const struct klx_config_node *root = is_file(l, path) ? open_file(l, path) : NULL;
        if (root != NULL) {
            add_extra(l, key, root);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
}

/* `clusters:` with nothing behind it, for example because all of it is commented out, is as if it were not there. */
static void drop_nothing(const struct klx_config_node **n) {
    if (*n != NULL && klx_config_type(*n) == KLX_CONFIG_SCALAR && klx_config_scalar(*n).n == 0) {
        *n = NULL;
    }
}

static void read_kafka(struct loader *l, const struct klx_config_node *n) {
    struct klx_error e;
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        klx_config_fail(n, &e, "expected a map, found %s",
                        klx_config_type(n) == KLX_CONFIG_LIST ? "a list" : "a single value");
        mistake(l, &e);
        return;
    }
    l->s->kafka = n;
    const struct klx_config_node *servers = klx_config_get(n, "bootstrap.servers");
    if (servers == NULL) {
        klx_config_fail(n, &e,
                        "\"bootstrap.servers\" is missing: host:port of one or more brokers");
        mistake(l, &e);
    } else if (klx_config_is_null(servers) || (klx_config_type(servers) == KLX_CONFIG_SCALAR &&
                                               klx_config_scalar(servers).n == 0)) {
        klx_config_fail(servers, &e, "expected host:port of one or more brokers, found nothing");
        mistake(l, &e);
    }
}

static void read_top(struct loader *l, struct top *top) {
    drop_nothing(&top->topics);
    drop_nothing(&top->collector);
    drop_nothing(&top->clusters);
    drop_nothing(&top->sinks);
    drop_nothing(&top->channels);
    drop_nothing(&top->subscriptions);
    drop_nothing(&top->links);
    drop_nothing(&top->log);
    if (top->kafka != NULL) {
        read_kafka(l, top->kafka);
    }
    if (top->topics != NULL) {
        read_topics(l, top->topics);
    }
    if (top->log != NULL) {
        read_log(l, top->log);
    }
    l->s->collector = expect(l, top->collector, KLX_CONFIG_MAP, "a map");
    l->s->clusters = expect(l, top->clusters, KLX_CONFIG_LIST, "a list of clusters");
    l->s->sinks = expect(l, top->sinks, KLX_CONFIG_MAP, "a map of sinks");
    l->s->links = expect(l, top->links, KLX_CONFIG_MAP, "a map");
    add_channels(l, top->channels);
    add_subscriptions(l, top->subscriptions, NULL);
}

static void make_hash(struct klx_settings *s) {
    struct klx_sv *parts = klx_alloc_n(struct klx_sv, 2 * s->files_n);
    uint64_t *hashes = klx_alloc_n(uint64_t, s->files_n);
    for (size_t i = 0; i < s->files_n; i++) {
        hashes[i] = klx_config_hash(s->files[i]);
        parts[2 * i] = klx_sv(klx_config_file(klx_config_root(s->files[i])));
        parts[2 * i + 1] = klx_sv_n((const char *)&hashes[i], sizeof(hashes[i]));
    }
    klx_hash_parts(parts, 2 * s->files_n, s->hash);
    free(hashes);
    free(parts);
}

static void load(struct loader *l, const char *path) {
    const char *file = klx_settings_path(path);
    struct top top = { 0 };
    struct klx_error e = { 0 };
    *l->s = (struct klx_settings){ .replication = -1,
                                   .log_level = KLX_LOG_INFO,
                                   .log_format = KLX_LOG_AUTO };
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        l->s->retention_ms[i] = klx_topic_specs[i].retention_ms;
    }
    if (klx_topic_names_init(&l->s->topics, KLX_SV("klaxon."), &e) != 0) {
        mistake(l, &e);
    }
    const struct klx_config_node *root = open_file(l, file);
    if (root != NULL) {
        klx_config_bind_all(root, klx_settings_fields, &top, take_report, l);
        read_top(l, &top);
        read_folder(l, file, "channels");
        read_folder(l, file, "subscriptions");
    }
    make_hash(l->s);
}

const char *klx_settings_path(const char *path) {
    const char *named = getenv("KLAXON_CONFIG");
    return path != NULL ? path : named != NULL && named[0] != '\0' ? named : DEFAULT_PATH;
}

size_t klx_settings_load_all(const char *path, struct klx_settings *ret,
                             klx_config_report_fn report, void *arg) {
    struct loader l = { .s = ret, .report = report, .arg = arg };
    load(&l, path);
    return l.mistakes;
}

static void keep_first(void *arg, const char *text) {
    struct klx_error *e = arg;
    if (e->code == 0) {
        klx_fail(e, -EINVAL, "%s", text);
    }
}

int klx_settings_load(const char *path, struct klx_settings *ret, struct klx_error *e) {
    struct klx_settings s;
    struct klx_error first = { 0 };
    struct loader l = { .s = &s, .report = keep_first, .arg = &first };
    load(&l, path);
    if (l.mistakes > 0) {
        klx_settings_release(&s);
        return klx_fail(e, l.code, "%s", first.text);
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
    free(s->subscription_teams);
    *s = (struct klx_settings){ 0 };
}
