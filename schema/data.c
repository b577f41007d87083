#include "schema/data.h"

#include <assert.h>
#include <stdio.h>

#include "lib/base/cleanup.h"

#define MEMBER(name_, TYPE, about_)                                                                \
    { .name = (name_), .type = KLX_DATA_##TYPE, .about = (about_) }
#define WORD(name_, about_, words_)                                                                \
    { .name = (name_), .type = KLX_DATA_WORD, .about = (about_), .words = (words_) }
#define OBJECT(name_, about_, inner_)                                                              \
    {                                                                                              \
        .name = (name_), .type = KLX_DATA_OBJECT, .about = (about_), .inner = (inner_),            \
        .inner_name = #inner_                                                                      \
    }
#define LIST(name_, about_, inner_)                                                                \
    {                                                                                              \
        .name = (name_), .type = KLX_DATA_LIST, .about = (about_), .inner = (inner_),              \
        .inner_name = #inner_                                                                      \
    }
#define END                                                                                        \
    { .name = NULL }
#include "schema/members.def"

const struct klx_data_member klx_data_head = OBJECT("data", "what every event holds", head);

enum { /* the words of data.def */
       ALONE = 1u << KLX_PHASE_NONE,
       UPDATES = 1u << KLX_PHASE_UPDATE,
       OPENS = 1u << KLX_PHASE_OPEN | UPDATES,
       RESOLVES = 1u << KLX_PHASE_RESOLVED,
};

const struct klx_data_spec klx_data_specs[KLX_KINDS_N] = {
#define KLX_GROUP(title, about)
#define KLX_DATA(NAME, version, phases, family, members, about)                                    \
    [KLX_KIND_##NAME] = { version, phases, family, members, about },
#include "schema/data.def"
#undef KLX_GROUP
#undef KLX_DATA
};

static struct klx_data_use use_of(const struct klx_data_member *m, struct klx_sv name) {
    bool optional = name.n > 0 && name.p[name.n - 1] == '?';
    return (struct klx_data_use){ m, klx_sv_n(name.p, name.n - optional), !optional };
}

static size_t add_all(const struct klx_data_member *table, struct klx_data_use *uses, size_t n) {
    for (const struct klx_data_member *m = table; m != NULL && m->name != NULL; m++) {
        assert(n < KLX_DATA_USES_MAX);
        uses[n++] = use_of(m, klx_sv(m->name));
    }
    return n;
}

size_t klx_data_inner(const struct klx_data_member *object_,
                      struct klx_data_use uses[KLX_DATA_USES_MAX]) {
    return add_all(object_->inner, uses, 0);
}

static const struct klx_data_member *find(const struct klx_data_member *table, struct klx_sv name) {
    for (const struct klx_data_member *m = table; m != NULL && m->name != NULL; m++) {
        if (klx_sv_eq(name, klx_sv(m->name))) {
            return m;
        }
    }
    return NULL;
}

static const struct klx_data_member *find_in(const struct klx_data_member *family,
                                             struct klx_sv name) {
    const struct klx_data_member *own = find(family, name);
    return own != NULL ? own : find(common, name);
}

size_t klx_data_members(enum klx_kind kind, struct klx_data_use uses[KLX_DATA_USES_MAX]) {
    const struct klx_data_spec *spec = &klx_data_specs[kind];
    size_t n = add_all(head, uses, 0);
    struct klx_sv rest = klx_sv(spec->members);
    while (rest.n > 0) {
        struct klx_data_use use = use_of(NULL, klx_sv_cut(&rest, ' '));
        use.member = find_in(spec->family, use.name);
        if (use.member == NULL) {
            uses[0].name = use.name;
            return SIZE_MAX;
        }
        assert(n < KLX_DATA_USES_MAX);
        uses[n++] = use;
    }
    if ((spec->phases & ~(unsigned)ALONE) != 0) {
        assert(n < KLX_DATA_USES_MAX);
        struct klx_data_use use = use_of(NULL, KLX_SV("incident"));
        use.member = find_in(spec->family, use.name);
        use.required = (spec->phases & ALONE) == 0;
        uses[n++] = use;
    }
    return n;
}

bool klx_data_ends_incidents(enum klx_kind kind) {
    return kind < KLX_KINDS_N && (klx_data_specs[kind].phases >> KLX_PHASE_RESOLVED & 1) != 0;
}

size_t klx_data_urn(enum klx_kind kind, char out[KLX_DATA_URN_BYTES]) {
    out[0] = '\0';
    if (kind >= KLX_KINDS_N || klx_data_specs[kind].version == 0) {
        return 0;
    }
    struct klx_sv type = klx_event_short_type(klx_sv(klx_kind_specs[kind].type));
    int n = snprintf(out, KLX_DATA_URN_BYTES, "urn:klaxon:%.*s:%u", KLX_SV_FMT(type),
                     klx_data_specs[kind].version);
    assert(n > 0 && n < KLX_DATA_URN_BYTES);
    return (size_t)n;
}
