/*
 * What the data of each kind of event holds (schema/data.def, and the dictionaries of members in data.c). Of this one description are made
 * the JSON Schemas in schema/events/, schema/asyncapi.json and docs/events.md (tests/unit/cli/test_events.c), and every event of every test
 * of a detector is held against it (tests/unit/support/event_check.h).
 *
 * Who writes is held to it exactly: a member that is not described is a mistake. Who reads must pass over members and values that it does
 * not know, so more of them may come without another version. What else changes moves the version, which is in ce_dataschema:
 * "urn:klaxon:node.repair.started:1".
 */
#pragma once

#include "schema/event.h"

enum klx_data_type {
    KLX_DATA_TEXT,
    KLX_DATA_WORD, /* one of `words` */
    KLX_DATA_TIME, /* RFC 3339 with microseconds */
    KLX_DATA_TIME_OR_NULL,
    KLX_DATA_INT,
    KLX_DATA_NUMBER,
    KLX_DATA_BOOL,
    KLX_DATA_OBJECT,   /* of `inner` */
    KLX_DATA_LIST,     /* of objects of `inner` */
    KLX_DATA_INT_LIST, /* of whole numbers */
    KLX_DATA_TEXT_LIST,
    KLX_DATA_TEXTS, /* an object of texts by any name */
    KLX_DATA_ANY,
    KLX_DATA_TYPES_N,
};

struct klx_data_member {
    const char
        *name; /* inside of an object a '?' at its end: not always there. NULL ends a table */
    enum klx_data_type type;
    const char *about; /* a phrase */
    const struct klx_data_member *inner;
    const char *
        inner_name; /* of that table: what several share is described once in the AsyncAPI document */
    const char *words; /* blanks between them */
};

struct klx_data_spec {
    unsigned version; /* 0: the kind has no KLX_DATA in schema/data.def, which a test refuses */
    unsigned phases;  /* a bit 1 << enum klx_phase for each that it may be */
    const struct klx_data_member *family;
    const char *members; /* names of `family` or of what all kinds share; '?': not always there */
    const char *about;
};

extern const struct klx_data_spec klx_data_specs[KLX_KINDS_N];

/* A member where it is used. */
struct klx_data_use {
    const struct klx_data_member *member;
    struct klx_sv name; /* without '?' */
    bool required;
};

/* What all kinds share, as an object: summary, object, reason, labels. */
extern const struct klx_data_member klx_data_head;

#define KLX_DATA_USES_MAX 40

/* All members of a kind's data, in the order that they are written in. SIZE_MAX: a name in `members` is in no dictionary; it is in
   uses[0].name. */
size_t klx_data_members(enum klx_kind kind, struct klx_data_use uses[KLX_DATA_USES_MAX]);
/* The members of an object. */
size_t klx_data_inner(const struct klx_data_member *object,
                      struct klx_data_use uses[KLX_DATA_USES_MAX]);

/* Whether events of the kind end incidents. */
bool klx_data_ends_incidents(enum klx_kind kind);

#define KLX_DATA_URN_BYTES 80
/* "urn:klaxon:node.ready:1", or "" for a kind without a description. The length. */
size_t klx_data_urn(enum klx_kind kind, char out[KLX_DATA_URN_BYTES]);
