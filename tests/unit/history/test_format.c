#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "history/format.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define HEADER(name, value)                                                                        \
    { KLX_SV(name), KLX_SV(value) }

static const struct klx_record_header headers[] = {
    HEADER("ce_specversion", "1.0"),
    HEADER("ce_id", "first"),
    HEADER("ce_id", "e-1"),
    HEADER("ce_source", "/clusters/prod/nodes"),
    HEADER("ce_type", "io.klaxon.node.notready"),
    HEADER("ce_time", "2026-03-11T08:52:18.3+01:00"),
    HEADER("ce_subject", "Node/aks-1"),
    HEADER("ce_cluster", "prod"),
    HEADER("ce_severity", "warning"),
    HEADER("ce_incident", "i-1"),
    HEADER("ce_phase", "open"),
    HEADER("ce_incidentseq", "2"),
    HEADER("ce_recordedtime", "2026-03-11T07:52:19Z"),
    HEADER("ce_other", "a \"word\"\x01"),
    HEADER("content-type", "application/json"),
    HEADER("x-foreign", "no attribute"),
};

static const struct klx_record record = {
    .topic = "klaxon.nodes",
    .partition = 2,
    .offset = INT64_C(5000000000),
    .timestamp_ms = INT64_C(1773215538300),
    .key = KLX_SV("prod/aks-1"),
    .value = KLX_SV("{\"summary\": \"=cmd, \\\"x\\\"\", \"object\": {\"kind\": \"Node\", \"name\": "
                    "\"aks-1\"}, \"reason\": \"KubeletNotReady\", \"labels\": {\"agentpool\": "
                    "\"system\", \"app\": \"a,b\"}}"),
    .headers = headers,
    .headers_n = KLX_COUNT(headers),
};

static void check(enum klx_history_format f, const struct klx_record *r, const char *expected) {
    struct klx_arena a;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_event event;
    struct klx_history_event h = { .record = r, .event = &event };
    klx_buf_init(&out, 65536);
    klx_arena_init(&a, 4096, 1 << 20);
    assert_int_equal(klx_event_decode(&a, r, &event, NULL), 0);
    if (klx_json_parse(&a, event.data, NULL, &h.data, NULL) != 0) {
        h.data = NULL;
    }
    klx_history_format_head(f, &out);
    klx_history_format(f, &h, &out);
    assert_string_equal(klx_buf_str(&out), expected);
    klx_arena_release(&a);
}

static void a_cloudevent_has_its_attributes_and_its_place(void **state) {
    (void)state;
    check(
        KLX_HISTORY_NDJSON, &record,
        "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/clusters/prod/nodes\",\"type\":"
        "\"io.klaxon.node.notready\",\"subject\":\"Node/aks-1\",\"cluster\":\"prod\",\"severity\":"
        "\"warning\",\"incident\":\"i-1\",\"phase\":\"open\",\"incidentseq\":\"2\","
        "\"recordedtime\":\"2026-03-11T07:52:19Z\",\"other\":\"a \\\"word\\\"\\u0001\",\"time\":"
        "\"2026-03-11T07:52:18.300000Z\",\"datacontenttype\":\"application/json\","
        "\"partitionkey\":\"prod/aks-1\",\"kafkatopic\":\"klaxon.nodes\",\"kafkapartition\":2,"
        "\"kafkaoffset\":\"5000000000\",\"kafkatime\":\"2026-03-11T07:52:18.300Z\",\"data\":"
        "{\"summary\":\"=cmd, \\\"x\\\"\",\"object\":{\"kind\":\"Node\",\"name\":\"aks-1\"},"
        "\"reason\":\"KubeletNotReady\",\"labels\":{\"agentpool\":\"system\",\"app\":\"a,b\"}}}"
        "\n");
}

static void a_row_has_all_columns(void **state) {
    (void)state;
    check(KLX_HISTORY_ROWS, &record,
          "{\"time\":\"2026-03-11T07:52:18.300Z\",\"recorded_time\":\"2026-03-11T07:52:19.000Z\","
          "\"id\":\"e-1\",\"type\":\"io.klaxon.node.notready\",\"source\":\"/clusters/prod/nodes\","
          "\"subject\":\"Node/aks-1\",\"cluster\":\"prod\",\"namespace\":null,\"kind\":\"Node\","
          "\"name\":\"aks-1\",\"node\":\"aks-1\",\"pool\":\"system\",\"app\":\"a,b\",\"team\":null,"
          "\"severity\":\"warning\",\"severity_number\":13,\"reason\":\"KubeletNotReady\","
          "\"message\":\"=cmd, \\\"x\\\"\",\"correlation_id\":\"i-1\",\"causation_id\":null,"
          "\"topic\":\"klaxon.nodes\",\"partition\":2,\"offset\":5000000000,\"schema\":null,"
          "\"replay_id\":null,\"phase\":\"open\",\"incident_seq\":2,\"data\":{\"summary\":"
          "\"=cmd, \\\"x\\\"\",\"object\":{\"kind\":\"Node\",\"name\":\"aks-1\"},\"reason\":"
          "\"KubeletNotReady\",\"labels\":{\"agentpool\":\"system\",\"app\":\"a,b\"}}}\n");
}

static void a_csv_quotes_and_is_no_formula(void **state) {
    (void)state;
    check(
        KLX_HISTORY_CSV, &record,
        "time,recorded_time,id,type,source,subject,cluster,namespace,kind,name,node,pool,app,team,"
        "severity,severity_number,reason,message,correlation_id,causation_id,topic,partition,"
        "offset,schema,replay_id,phase,incident_seq,data\r\n"
        "2026-03-11T07:52:18.300Z,2026-03-11T07:52:19.000Z,e-1,io.klaxon.node.notready,"
        "/clusters/prod/nodes,Node/aks-1,prod,,Node,aks-1,aks-1,system,\"a,b\",,warning,13,"
        "KubeletNotReady,\"'=cmd, \"\"x\"\"\",i-1,,klaxon.nodes,2,5000000000,,,open,2,"
        "\"{\"\"summary\"\":\"\"=cmd, \\\"\"x\\\"\"\"\",\"\"object\"\":{\"\"kind\"\":\"\"Node\"\","
        "\"\"name\"\":\"\"aks-1\"\"},\"\"reason\"\":\"\"KubeletNotReady\"\",\"\"labels\"\":"
        "{\"\"agentpool\"\":\"\"system\"\",\"\"app\"\":\"\"a,b\"\"}}\"\r\n");
}

static void raw_is_the_value(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_record r = { .value = KLX_SV("\xFF any\n thing") };
    klx_buf_init(&out, 64);
    klx_history_format_head(KLX_HISTORY_RAW, &out);
    klx_history_format(KLX_HISTORY_RAW, &(struct klx_history_event){ .record = &r }, &out);
    assert_string_equal(klx_buf_str(&out), "\xFF any\n thing\n");
}

static void data_that_is_no_json_stays_what_it_is(void **state) {
    (void)state;
    static const struct klx_record_header few[] = {
        HEADER("ce_specversion", "1.0"),
        HEADER("ce_id", "e"),
        HEADER("ce_source", "s"),
        HEADER("ce_type", "t"),
        HEADER("ce_partitionkey", "its own"),
        HEADER("ce_data", "no second one"),
        HEADER("ce_kafkatopic", "nor here"),
        HEADER("ce_datacontenttype", "nor here"),
        HEADER("content-type", "text/plain"),
    };
    const struct klx_record r = { .topic = "t",
                                  .key = KLX_SV("k"),
                                  .value = KLX_SV("no {json"),
                                  .headers = few,
                                  .headers_n = KLX_COUNT(few) };
    check(KLX_HISTORY_NDJSON, &r,
          "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\",\"partitionkey\":"
          "\"its own\",\"time\":\"1970-01-01T00:00:00.000000Z\",\"datacontenttype\":\"text/plain\","
          "\"kafkatopic\":\"t\",\"kafkapartition\":0,\"kafkaoffset\":\"0\",\"kafkatime\":"
          "\"1970-01-01T00:00:00.000Z\",\"data_base64\":\"bm8ge2pzb24=\"}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cloudevent_has_its_attributes_and_its_place),
        cmocka_unit_test(a_row_has_all_columns),
        cmocka_unit_test(a_csv_quotes_and_is_no_formula),
        cmocka_unit_test(raw_is_the_value),
        cmocka_unit_test(data_that_is_no_json_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
