#include "cli/event_file.h"

#include <errno.h>

#include "cli/input.h"
#include "lib/base/cleanup.h"

#define ARENA_BYTES_MAX (64u << 20)
#define HEADERS_MAX 64
#define FORMS                                                                                      \
    "it must be a line of `klaxon tail -o json`, a record {topic, key, headers, value}, or a "     \
    "CloudEvent in structured mode"

/* The first line when that is a document, else all of it. */
static int parse(struct klx_arena *a, struct klx_sv text, const struct klx_json **ret,
                 struct klx_error *e) {
    struct klx_sv rest = klx_sv_trim(text);
    struct klx_sv first = klx_sv_cut(&rest, '\n');
    if (first.n > 0 && klx_json_parse(a, first, NULL, ret, NULL) == 0) {
        return 0;
    }
    return klx_json_parse(a, text, NULL, ret, e);
}

static struct klx_sv text_of(struct klx_arena *a, const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_EVENT_FILE_BYTES_MAX * 2);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return klx_arena_dup(a, klx_buf_sv(&text));
}

static void add_header(struct klx_record *r, struct klx_record_header *headers, struct klx_sv name,
                       struct klx_sv value) {
    if (r->headers_n < HEADERS_MAX) {
        headers[r->headers_n++] = (struct klx_record_header){ name, value };
    }
}

static void take_record(struct klx_arena *a, const struct klx_json *doc,
                        struct klx_record_header *headers, struct klx_record *r) {
    r->key = klx_json_str(doc, "key");
    r->value = text_of(a, klx_json_get(doc, "value"));
    const struct klx_json *h = klx_json_first(klx_json_get(doc, "headers"));
    for (; h != NULL; h = klx_json_next(h)) {
        add_header(r, headers, klx_json_key(h), klx_json_str(h, ""));
    }
}

static void take_structured(struct klx_arena *a, const struct klx_json *doc,
                            struct klx_record_header *headers, struct klx_record *r) {
    r->value = text_of(a, doc);
    add_header(r, headers, KLX_SV("content-type"), KLX_SV("application/cloudevents+json"));
}

/* The members of `klaxon tail -o json` are attributes under short names. */
static void take_tailed(struct klx_arena *a, const struct klx_json *doc,
                        struct klx_record_header *headers, struct klx_record *r) {
    static const char *const names[] = { "id",      "source",   "type",     "time", "subject",
                                         "cluster", "severity", "incident", "phase" };
    add_header(r, headers, KLX_SV("ce_specversion"), KLX_SV("1.0"));
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        struct klx_sv value = klx_json_str(doc, names[i]);
        if (value.n > 0) {
            add_header(r, headers, klx_arena_printf(a, "ce_%s", names[i]), value);
        }
    }
    int64_t seq = klx_json_int(doc, "seq", 0);
    if (seq > 0) {
        add_header(r, headers, KLX_SV("ce_incidentseq"),
                   klx_arena_printf(a, "%lld", (long long)seq));
    }
    if (klx_json_bool(doc, "resync", false)) {
        add_header(r, headers, KLX_SV("ce_resync"), KLX_SV("true"));
    }
    add_header(r, headers, KLX_SV("content-type"), KLX_SV("application/json"));
    r->value = text_of(a, klx_json_get(doc, "data"));
}

static void find_topic(struct klx_event_file *f, struct klx_sv named) {
    struct klx_topic_names names;
    f->topic = KLX_TOPIC_KUBERNETES;
    if (f->event.kind != KLX_KIND_UNKNOWN) {
        f->topic = klx_kind_specs[f->event.kind].topic;
    } else if (named.n > 0 && klx_topic_names_init(&names, KLX_SV("klaxon."), NULL) == 0) {
        (void)!klx_topic_find(&names, named, &f->topic, NULL);
    }
}

static int decode(struct klx_event_file *f, struct klx_error *e) {
    int rc = klx_event_decode(&f->arena, &f->record, &f->event, e);
    return rc == 0 ? klx_json_parse(&f->arena, f->event.data, NULL, &f->data, e) : rc;
}

static int take(struct klx_event_file *f, const struct klx_json *doc, struct klx_error *e) {
    struct klx_arena *a = &f->arena;
    struct klx_record_header *headers = klx_arena_alloc(a, HEADERS_MAX * sizeof(*headers));
    if (headers == NULL) {
        return klx_fail(e, -ENOMEM, "it is too large");
    }
    f->record = (struct klx_record){ .topic = "", .partition = -1, .headers = headers };
    if (klx_json_is_object(klx_json_get(doc, "headers"))) {
        take_record(a, doc, headers, &f->record);
    } else if (klx_json_str(doc, "specversion").n > 0) {
        take_structured(a, doc, headers, &f->record);
    } else if (klx_json_str(doc, "type").n > 0) {
        take_tailed(a, doc, headers, &f->record);
    } else {
        return klx_fail(e, -EBADMSG, FORMS);
    }
    int rc = decode(f, e);
    if (rc == 0) {
        find_topic(f, klx_json_str(doc, "topic"));
    }
    return rc;
}

int klx_event_file_read(const char *path, struct klx_event_file *ret, struct klx_error *e) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *doc = NULL;
    struct klx_error why = { 0 };
    *ret = (struct klx_event_file){ 0 };
    klx_arena_init(&ret->arena, 65536, ARENA_BYTES_MAX);
    klx_buf_init(&text, KLX_EVENT_FILE_BYTES_MAX);
    int rc = klx_input_read(path, &text, e);
    if (rc != 0) {
        return rc;
    }
    rc = parse(&ret->arena, klx_buf_sv(&text), &doc, &why);
    rc = rc == 0 ? take(ret, doc, &why) : rc;
    return rc == 0 ? 0 : klx_fail(e, rc, "%s is no event: %s", klx_input_name(path), why.text);
}

int klx_event_file_test(const char *channel, int64_t now_us, struct klx_event_file *ret,
                        struct klx_error *e) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    *ret = (struct klx_event_file){ 0 };
    klx_arena_init(&ret->arena, 4096, ARENA_BYTES_MAX);
    klx_buf_init(&data, 4096);
    klx_jw_init(&w, &data);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary",
                     klx_arena_printf(&ret->arena, "This is a test of the channel %s", channel));
    klx_jw_member_str(&w, "reason", "Test");
    klx_jw_key(&w, "object");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "Channel");
    klx_jw_member_str(&w, "name", channel);
    klx_jw_end_object(&w);
    klx_jw_key(&w, "labels");
    klx_jw_begin_object(&w);
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
    ret->event = (struct klx_event){
        .kind = KLX_KIND_UNKNOWN,
        .type = KLX_SV("Test"),
        .id = klx_arena_printf(&ret->arena, "test-%lld", (long long)now_us),
        .source = KLX_SV("/klaxon"),
        .subject = klx_arena_printf(&ret->arena, "Channel/%s", channel),
        .cluster = KLX_SV("klaxon"),
        .time_us = now_us,
        .data = klx_arena_dup(&ret->arena, klx_buf_sv(&data)),
    };
    return klx_json_parse(&ret->arena, ret->event.data, NULL, &ret->data, e);
}

int klx_event_file_of(const struct klx_record *r, const struct klx_topic_names *topics,
                      struct klx_event_file *ret, struct klx_error *e) {
    *ret = (struct klx_event_file){ .record = *r };
    klx_arena_init(&ret->arena, 65536, ARENA_BYTES_MAX);
    int rc = decode(ret, e);
    if (rc == 0) {
        find_topic(ret, klx_sv(""));
    }
    for (size_t i = 0; rc == 0 && ret->event.kind == KLX_KIND_UNKNOWN && i < KLX_TOPICS_N; i++) {
        bool here = klx_sv_eq(klx_sv(r->topic), klx_sv(topics->name[i]));
        ret->topic = here ? (enum klx_topic)i : ret->topic;
    }
    return rc;
}

int klx_event_file_mark(struct klx_event_file *f, const char *word, struct klx_error *e) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&data, KLX_EVENT_FILE_BYTES_MAX * 2);
    klx_jw_init(&w, &data);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(
        &w, "summary",
        klx_arena_printf(&f->arena, "%s%.*s", word, KLX_SV_FMT(klx_json_str(f->data, "summary"))));
    const struct klx_json *m = klx_json_first(f->data);
    for (; m != NULL; m = klx_json_next(m)) {
        if (!klx_sv_eq(klx_json_key(m), KLX_SV("summary"))) {
            klx_jw_key_sv(&w, klx_json_key(m));
            klx_jw_node(&w, m);
        }
    }
    klx_jw_end_object(&w);
    f->event.data = klx_arena_dup(&f->arena, klx_buf_sv(&data));
    return klx_json_parse(&f->arena, f->event.data, NULL, &f->data, e);
}

void klx_event_file_release(struct klx_event_file *f) {
    klx_arena_release(&f->arena);
}
