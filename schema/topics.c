#include "schema/topics.h"

#include <stdio.h>

#include "lib/base/config.h"

#define NAME_BYTES_MAX 100

const struct klx_topic_spec klx_topic_specs[KLX_TOPICS_N] = {
#define KLX_TOPIC(NAME, name, policy, retention, partitions, key)                                  \
    [KLX_TOPIC_##NAME] = { name, policy, retention, partitions, key },
#include "schema/topics.def"
#undef KLX_TOPIC
};

static bool is_legal(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

int klx_topic_names_init(struct klx_topic_names *t, struct klx_sv prefix, struct klx_error *e) {
    for (size_t i = 0; i < prefix.n; i++) {
        if (!is_legal(prefix.p[i])) {
            return klx_fail(
                e, -EINVAL,
                "topic prefix \"%.*s\": Kafka allows only letters, digits, '.', '_' and '-'",
                KLX_SV_FMT(prefix));
        }
    }
    if (prefix.n > NAME_BYTES_MAX) {
        return klx_fail(e, -EINVAL, "the topic prefix is longer than %d bytes", NAME_BYTES_MAX);
    }
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        snprintf(t->name[i], sizeof(t->name[i]), "%.*s%s", KLX_SV_FMT(prefix),
                 klx_topic_specs[i].short_name);
    }
    return 0;
}

struct klx_sv klx_topic_installation(const struct klx_topic_names *t) {
    struct klx_sv prefix = klx_sv(t->name[KLX_TOPIC_NODES]);
    prefix.n -= strlen(klx_topic_specs[KLX_TOPIC_NODES].short_name);
    if (klx_sv_eq(prefix, KLX_SV("klaxon."))) {
        return klx_sv(NULL);
    }
    prefix.n -= klx_sv_ends(prefix, KLX_SV(".")) ? 1 : 0;
    return prefix;
}

int klx_topic_find(const struct klx_topic_names *t, struct klx_sv name, enum klx_topic *ret,
                   struct klx_error *e) {
    const char *short_names[KLX_TOPICS_N];
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        short_names[i] = klx_topic_specs[i].short_name;
        if (klx_sv_eq(name, klx_sv(short_names[i])) || klx_sv_eq(name, klx_sv(t->name[i]))) {
            *ret = (enum klx_topic)i;
            return 0;
        }
    }
    const char *near = klx_config_nearest(name, short_names, KLX_TOPICS_N);
    return klx_fail(e, -ENOENT, "there is no topic \"%.*s\"%s%s%s", KLX_SV_FMT(name),
                    near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                    near != NULL ? "\"?" : "");
}
