#include "sinks/core/context_names.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/config.h"

#define CANDIDATES_MAX 256

/* What is inside of a value, besides the names in the table below. */
static const char TEXT[] = "text";     /* or a number: a number behind its name may cut it */
static const char WHOLE[] = "whole";   /* a text that is not cut */
static const char OPEN[] = "open";     /* anything */
static const char BESIDE[] = "beside"; /* the members of what the channel adds */

/* Where a name stands, and what is inside of it. An item of a list is called by the list, "facts[]". */
static const struct {
    const char *in, *name, *inside;
} names[] = {
    { "", "title", TEXT },
    { "", "subject", TEXT },
    { "", "state", TEXT },
    { "", "word", TEXT },
    { "", "summary", TEXT },
    { "", "advice", TEXT },
    { "", "code", TEXT },
    { "", "footer", TEXT },
    { "", "link", TEXT },
    { "", "link_title", TEXT },
    { "", "has_facts", TEXT },
    { "", "facts", "facts[]" },
    { "facts[]", "last", TEXT },
    { "facts[]", "name", TEXT },
    { "facts[]", "value", TEXT },
    { "", "has_links", TEXT },
    { "", "links", "links[]" },
    { "links[]", "last", TEXT },
    { "links[]", "title", TEXT },
    { "links[]", "url", TEXT },
    { "", "kind", TEXT },
    { "", "type", TEXT },
    { "", "id", TEXT },
    { "", "cluster", TEXT },
    { "", "severity", TEXT },
    { "", "team", TEXT },
    { "", "channel", TEXT },
    { "", "why", TEXT },
    { "", "is", "is" },
    { "is", "info", TEXT },
    { "is", "warning", TEXT },
    { "is", "critical", TEXT },
    { "is", "open", TEXT },
    { "is", "update", TEXT },
    { "is", "resolved", TEXT },
    { "is", "news", TEXT },
    { "is", "reminder", TEXT },
    { "is", "escalation", TEXT },
    { "is", "digest", TEXT },
    { "", "time", TEXT },
    { "", "time_local", TEXT },
    { "", "time_unix", TEXT },
    { "", "date", TEXT },
    { "", "clock", TEXT },
    { "", "date_local", TEXT },
    { "", "clock_local", TEXT },
    { "", "object", "object" },
    { "object", "kind", TEXT },
    { "object", "name", TEXT },
    { "object", "namespace", TEXT },
    { "", "labels", "labels[]" },
    { "labels[]", "last", TEXT },
    { "labels[]", "key", TEXT },
    { "labels[]", "value", TEXT },
    { "", "incident", "incident" },
    { "incident", "id", TEXT },
    { "incident", "short", TEXT },
    { "incident", "number", TEXT },
    { "incident", "severity", TEXT },
    { "incident", "opened", TEXT },
    { "incident", "opened_local", TEXT },
    { "incident", "duration", TEXT },
    { "incident", "seconds", TEXT },
    { "", "digest", "digest" },
    { "digest", "events", TEXT },
    { "digest", "incidents", TEXT },
    { "digest", "since", TEXT },
    { "digest", "since_local", TEXT },
    { "digest", "until", TEXT },
    { "digest", "until_local", TEXT },
    { "digest", "duration", TEXT },
    { "digest", "seconds", TEXT },
    { "digest", "lines", "lines[]" },
    { "lines[]", "last", TEXT },
    { "lines[]", "text", TEXT },
    { "lines[]", "severity", TEXT },
    { "lines[]", "events", TEXT },
    { "", "event", "event" },
    { "event", "id", TEXT },
    { "event", "source", TEXT },
    { "event", "type", TEXT },
    { "event", "subject", TEXT },
    { "event", "time", TEXT },
    { "event", "dataschema", TEXT },
    { "event", "cluster", TEXT },
    { "event", "severity", TEXT },
    { "event", "incident", TEXT },
    { "event", "phase", TEXT },
    { "event", "incidentseq", TEXT },
    { "event", "resync", TEXT },
    { "event", "replayid", TEXT },
    { "", "data", OPEN },
};

/* Where a name of a template is looked for. */
struct scopes {
    const struct klx_context_beside *beside;
    const char *in[KLX_TEMPLATE_CONTEXTS_MAX + 1];
    size_t n;
};

static bool is_list(const char *inside) {
    return klx_sv_ends(klx_sv(inside), KLX_SV("[]"));
}

/* What is inside of in's member; NULL: there is none. */
static const char *inside_of(const struct klx_context_beside *b, const char *in,
                             struct klx_sv name) {
    if (in == OPEN) {
        return OPEN;
    }
    for (size_t i = 0; in == BESIDE && i < b->n; i++) {
        if (klx_sv_eq(name, klx_sv(b->members[i]))) {
            return WHOLE;
        }
    }
    if (in[0] == '\0' && klx_sv_eq(name, klx_sv(b->name))) {
        return BESIDE;
    }
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        if (strcmp(names[i].in, in) == 0 && klx_sv_eq(name, klx_sv(names[i].name))) {
            return names[i].inside;
        }
    }
    return NULL;
}

/* The channel's own stands at the top alone: data that has a member of its name does not hide a mistake in it. */
static const char *inside_of_first(const struct scopes *s, struct klx_sv head) {
    const char *found = NULL;
    size_t n = klx_sv_eq(head, klx_sv(s->beside->name)) ? 1 : s->n;
    for (size_t i = n; i > 0 && found == NULL; i--) {
        found = inside_of(s->beside, s->in[i - 1], head);
    }
    return found;
}

static void add_candidates(const struct klx_context_beside *b, const char *in,
                           const char **candidates, size_t *n) {
    for (size_t i = 0; in == BESIDE && i < b->n && *n < CANDIDATES_MAX; i++) {
        candidates[(*n)++] = b->members[i];
    }
    for (size_t i = 0; i < KLX_COUNT(names) && *n < CANDIDATES_MAX; i++) {
        if (strcmp(names[i].in, in) == 0) {
            candidates[(*n)++] = names[i].name;
        }
    }
}

static int fail_first(const struct scopes *s, struct klx_sv head, struct klx_error *e) {
    const char *candidates[CANDIDATES_MAX];
    size_t n = 0;
    for (size_t i = s->n; i > 0; i--) {
        add_candidates(s->beside, s->in[i - 1], candidates, &n);
    }
    if (n < CANDIDATES_MAX && s->beside->name[0] != '\0') {
        candidates[n++] = s->beside->name;
    }
    return klx_fail(e, -EINVAL, "no event has it%s", klx_config_hint(head, candidates, n).text);
}

static int fail_member(const struct scopes *s, const char *in, struct klx_sv of, struct klx_sv name,
                       struct klx_error *e) {
    const char *candidates[CANDIDATES_MAX];
    size_t n = 0;
    if (is_list(in)) {
        return klx_fail(e, -EINVAL, "\"%.*s\" is a list: write {{#%.*s}} … {{/%.*s}}",
                        KLX_SV_FMT(of), KLX_SV_FMT(of), KLX_SV_FMT(of));
    }
    add_candidates(s->beside, in, candidates, &n);
    return klx_fail(e, -EINVAL, "\"%.*s\" has no \"%.*s\"%s", KLX_SV_FMT(of), KLX_SV_FMT(name),
                    klx_config_hint(name, candidates, n).text);
}

/* As lookup() of lib/base/template.c goes. */
static int resolve(const struct scopes *s, struct klx_sv name, const char **ret_inside,
                   struct klx_error *e) {
    struct klx_sv rest = name, head = klx_sv_cut(&rest, '.');
    bool item = head.n == 0; /* {{.}} */
    const char *inside = item ? s->in[s->n - 1] : inside_of_first(s, head);
    int64_t characters = 0;
    if (inside == NULL) {
        return fail_first(s, head, e);
    }
    while (rest.n > 0) {
        struct klx_sv of = klx_sv_n(name.p, (size_t)(rest.p - name.p) - 1);
        struct klx_sv part = klx_sv_cut(&rest, '.');
        bool cuts = inside == TEXT && rest.n == 0 && klx_sv_int(part, &characters) == 0;
        bool list = is_list(inside) && !item;
        const char *next = cuts ? TEXT : list ? NULL : inside_of(s->beside, inside, part);
        if (next == NULL) {
            return fail_member(s, inside, of, part, e);
        }
        inside = next;
        item = false;
    }
    *ret_inside = inside;
    return 0;
}

static int check_use(void *arg, const struct klx_template_use *use, struct klx_error *e) {
    struct scopes s = { .beside = arg, .in = { "" }, .n = 1 };
    const char *inside = NULL;
    for (size_t i = 0; i < use->within_n && s.n <= KLX_TEMPLATE_CONTEXTS_MAX; i++) {
        int rc = resolve(&s, use->within[i], &inside, e);
        if (rc != 0) {
            return rc;
        }
        s.in[s.n++] = inside;
    }
    return resolve(&s, use->name, &inside, e);
}

int klx_context_check_names(const struct klx_template *t, const struct klx_context_beside *beside,
                            struct klx_error *e) {
    static const struct klx_context_beside nothing = { .name = "" };
    return klx_template_check(t, check_use, (void *)(beside != NULL ? beside : &nothing), e);
}
