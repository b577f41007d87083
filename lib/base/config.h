/*
 * Configuration: YAML with the place of every value, read strictly.
 *
 * Every error is "file:line:column: path: what is wrong, what to do", and an unknown key names the known key that is nearest.
 * A document is read whole, checked by the module that owns each part, and then bound to structs by tables of klx_config_field.
 * Aliases, merge keys, duplicate keys and tags are refused; a file is at most 1 MiB, nesting at most 32.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_config;      /* one document; owns all of its nodes and strings */
struct klx_config_node; /* borrowed from it */

int klx_config_load(const char *file, struct klx_config **ret, struct klx_error *e) KLX_MUST_CHECK;
/* `file` is only for messages. */
int klx_config_parse(struct klx_sv text, const char *file, struct klx_config **ret,
                     struct klx_error *e) KLX_MUST_CHECK;
void klx_config_free(struct klx_config *c);
/* Of the text: equal for the same. */
uint64_t klx_config_hash(const struct klx_config *c);
/* An empty file is an empty map. */
const struct klx_config_node *klx_config_root(const struct klx_config *c);

enum klx_config_type { KLX_CONFIG_SCALAR, KLX_CONFIG_LIST, KLX_CONFIG_MAP };
enum klx_config_type klx_config_type(const struct klx_config_node *n);
/* Fills e with "file:line:column: path: …" and returns -EINVAL. */
int klx_config_fail(const struct klx_config_node *at, struct klx_error *e, const char *fmt, ...)
    KLX_PRINTF(3, 4);
/* The same at the key of a map's member, with the map's path: for a key that is not known or should not be there. */
int klx_config_fail_key(const struct klx_config_node *member, struct klx_error *e, const char *fmt,
                        ...) KLX_PRINTF(3, 4);
/* The member, or NULL. */
const struct klx_config_node *klx_config_get(const struct klx_config_node *map, const char *key);
/* Children in order, of a map or list; NULL ends. */
const struct klx_config_node *klx_config_first(const struct klx_config_node *n);
const struct klx_config_node *klx_config_next(const struct klx_config_node *n);
struct klx_sv klx_config_key(const struct klx_config_node *n);    /* of a member of a map */
struct klx_sv klx_config_scalar(const struct klx_config_node *n); /* empty unless a scalar */
/* Nothing, or null or ~ without quotes. */
bool klx_config_is_null(const struct klx_config_node *n);
/* The same types, keys, texts and order. NULL is equal to NULL alone. */
bool klx_config_equal(const struct klx_config_node *a, const struct klx_config_node *b);
const char *klx_config_file(const struct klx_config_node *n);
unsigned klx_config_line(const struct klx_config_node *n); /* of the key, of a member of a map */

/* Binding. The target is a struct; a field is written at `offset`. What a binding allocates, klx_config_unbind frees. */
enum klx_config_kind {
    KLX_CFG_STR,      /* char *                        */
    KLX_CFG_STR_LIST, /* struct klx_config_strings; a single scalar is a list of one */
    KLX_CFG_INT,      /* int64_t, within [min, max]    */
    KLX_CFG_BOOL,     /* bool; true/false only         */
    KLX_CFG_DURATION, /* int64_t ms; "30s", within [min, max] ms */
    KLX_CFG_BYTES,    /* int64_t; "4MiB", "500k"       */
    KLX_CFG_SECRET,   /* struct klx_secret *; {file: F} or {env: NAME} */
    KLX_CFG_FILE, /* struct klx_secret *; the path of a file that is read as a secret is: again when it has changed */
    KLX_CFG_NODE, /* const struct klx_config_node *, for a part that another module reads */
};

struct klx_config_strings {
    struct klx_sv *items; /* each NUL-terminated too */
    size_t n;
};

struct klx_config_field {
    const char *key; /* NULL ends the table */
    enum klx_config_kind kind;
    size_t offset;
    bool required;
    const char *otherwise; /* the default, as YAML text; NULL: zero */
    int64_t min, max;      /* both 0: no limits */
    const char *help;      /* one line, for docs and schemas */
};

/* Checks that n is a map with only the table's keys and binds them. On failure nothing of the target needs freeing. */
int klx_config_bind(const struct klx_config_node *n, const struct klx_config_field *fields,
                    void *target, struct klx_error *e) KLX_MUST_CHECK;
/* Goes on after a mistake: hands each to `report` and returns their number. Whatever it returns, the target holds what could be bound
   and needs klx_config_unbind. */
typedef void (*klx_config_report_fn)(void *arg, const char *text);
size_t klx_config_bind_all(const struct klx_config_node *n, const struct klx_config_field *fields,
                           void *target, klx_config_report_fn report, void *arg);
void klx_config_unbind(const struct klx_config_field *fields, void *target);

/* "did you mean": the nearest of n candidates within a third of the word's length (edit distance), or NULL. */
const char *klx_config_nearest(struct klx_sv word, const char *const *candidates, size_t n);
/* The same as the end of a message: ', did you mean "x"?' or "". */
struct klx_config_hint {
    char text[96];
};
struct klx_config_hint klx_config_hint(struct klx_sv word, const char *const *candidates, size_t n);
