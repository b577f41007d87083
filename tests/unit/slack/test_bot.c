/* A bot against a server of a few lines that answers as it is told: which calls are made, in which order, with which arguments. */
#include "tests/unit/slack/payload.h"
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/http_replies.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

#define TOKEN "xoxb-123456789012-abcdefghijklmnop"
#define HANDLE "C024BE91L/1700000000.000100/warning"
#define OK(ts) HTTP_REPLY("200 OK", "{\"ok\":true,\"channel\":\"C024BE91L\",\"ts\":\"" ts "\"}")
#define NO(code) HTTP_REPLY("200 OK", "{\"ok\":false,\"error\":\"" code "\"}")

struct world {
    struct http_replies server;
    struct rig rig;
    char dir[64], secret[96];
    struct klx_arena arena;
    struct klx_verdict verdict;
    int done;
};

static void open_channel(struct world *r, const char *channel, const char *more) {
    char yaml[512];
    snprintf(r->dir, sizeof(r->dir), "/tmp/klaxon-slack-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->secret, sizeof(r->secret), "%s/token", r->dir);
    http_replies_listen(&r->server);
    test_write_file(r->secret, TOKEN "\n");
    snprintf(yaml, sizeof(yaml),
             "{ token: { file: %s }, channel: %s, base_url: 'http://127.0.0.1:%u/api', %s }",
             r->secret, channel, r->server.port, more);
    rig_open(&r->rig, &klx_sink_slack, yaml);
    klx_arena_init(&r->arena, 65536, 64 << 20);
}

static void open_world(struct world *r, const char *more) {
    open_channel(r, "ops", more);
}

static void close_world(struct world *r) {
    rig_close_channel(&r->rig);
    http_replies_stop(&r->server);
    rig_close(&r->rig);
    klx_arena_release(&r->arena);
    unlink(r->secret);
    rmdir(r->dir);
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct world *r = arg;
    assert_int_equal(n, 1);
    r->verdict = verdicts[0];
    r->done++;
    klx_loop_stop(r->rig.env.loop);
}

static struct klx_sv render(struct world *r, enum klx_severity severity, enum klx_phase phase,
                            enum klx_notice_reason reason) {
    struct klx_event e;
    struct klx_notice notice = { .event = &e, .team = KLX_SV("operations"), .reason = reason };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, klx_sink_slack.payload_bytes_max);
    test_read_event(&r->arena, KLX_KIND_NODE_NOT_READY, &e, &notice.data);
    e.severity = severity;
    e.phase = phase;
    assert_int_equal(klx_sink_slack.render(r->rig.channel, &notice, &out, NULL), 0);
    return klx_arena_dup(&r->arena, klx_buf_sv(&out));
}

static void tell_as(struct world *r, struct klx_sv payload, const char *handle, bool is_old) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_send send = { .payloads = &payload,
                                   .payloads_n = 1,
                                   .recipients = &nobody_in_particular,
                                   .recipients_n = 1,
                                   .id = KLX_SV("id"),
                                   .handle = klx_sv(handle),
                                   .is_old = is_old };
    int before = r->done;
    klx_sink_slack.send(r->rig.channel, &send, on_sent, r);
    assert_int_equal(r->done, before); /* never from inside */
    klx_loop_run(r->rig.env.loop);
    assert_int_equal(r->done, before + 1);
    assert_null(strstr(r->verdict.answer, TOKEN));
}

static void tell(struct world *r, struct klx_sv payload, const char *handle) {
    tell_as(r, payload, handle, false);
}

/* The arguments of the i-th call, which must be of this method. */
static const struct klx_json *call_of(struct world *r, int i, const char *method) {
    const char *request = r->server.requests[i];
    char head[64];
    snprintf(head, sizeof(head), "POST /api/%s HTTP/1.1\r\n", method);
    assert_ptr_equal(strstr(request, head), request);
    assert_non_null(strstr(request, "Authorization: Bearer " TOKEN "\r\n"));
    assert_non_null(strstr(request, "Content-Type: application/json; charset=utf-8\r\n"));
    return payload_parse(&r->arena, klx_sv(strstr(request, "\r\n\r\n") + 4));
}

static void assert_post(const struct klx_json *args) {
    assert_sv(klx_json_str(args, "channel"), "ops");
    assert_null(klx_json_get(args, "thread_ts"));
    assert_true(klx_json_bool(args, "unfurl_links", true) == false);
    assert_sv(klx_json_str(args, "metadata.event_type"), "klaxon_event");
    payload_check(args);
}

static void assert_reply(const struct klx_json *args, bool broadcast) {
    assert_sv(klx_json_str(args, "channel"), "C024BE91L");
    assert_sv(klx_json_str(args, "thread_ts"), "1700000000.000100");
    assert_int_equal(klx_json_bool(args, "reply_broadcast", !broadcast), broadcast);
    payload_check(args);
}

static void assert_edit(const struct klx_json *args) {
    assert_sv(klx_json_str(args, "channel"), "C024BE91L");
    assert_sv(klx_json_str(args, "ts"), "1700000000.000100");
    assert_sv(klx_json_str(args, "parse"), "none");
    assert_null(klx_json_get(args, "unfurl_links"));
    assert_in_range(payload_units(klx_json_str(args, "text")), 1, 4000);
}

static void the_first_message_has_a_handle(void **state) {
    (void)state;
    struct world r = { .server.replies = { OK("1700000000.000100") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    tell(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_OPEN, KLX_NOTICE_NEWS), "");
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(r.verdict.handle, HANDLE);
    assert_string_equal(r.verdict.answer, "ok, channel C024BE91L, ts 1700000000.000100");
    assert_post(call_of(&r, 0, "chat.postMessage"));
    close_world(&r);
}

enum calls { E = 1, R = 2, B = 4 }; /* edit, reply, broadcast */

static void news_is_edited_and_replied(void **state) {
    (void)state;
    static const struct {
        const char *more;
        enum klx_severity severity;
        enum klx_phase phase;
        enum klx_notice_reason reason;
        int calls;
        const char *handle;
    } cases[] = {
        /* no worse than what people were notified of */
        { "", KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, E, HANDLE },
        { "", KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, E | R | B,
          "C024BE91L/1700000000.000100/critical" },
        { "broadcast: false", KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, E | R,
          "C024BE91L/1700000000.000100/critical" },
        { "", KLX_SEVERITY_INFO, KLX_PHASE_RESOLVED, KLX_NOTICE_NEWS, E | R, HANDLE },
        { "", KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_REMINDER, E | R | B, HANDLE },
        { "updates: edit", KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, E, HANDLE },
        { "updates: edit", KLX_SEVERITY_INFO, KLX_PHASE_RESOLVED, KLX_NOTICE_NEWS, E, HANDLE },
        { "updates: edit", KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_REMINDER, E | R | B,
          HANDLE },
        { "updates: thread", KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, R, HANDLE },
        { "updates: thread", KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS, R | B,
          "C024BE91L/1700000000.000100/critical" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        int calls = cases[i].calls, n = ((calls & E) != 0) + ((calls & R) != 0);
        struct world r = { 0 };
        for (int k = 0; k < n; k++) {
            r.server.replies[k] = OK("1700000009.000900");
        }
        open_world(&r, cases[i].more);
        http_replies_start(&r.server);
        tell(&r, render(&r, cases[i].severity, cases[i].phase, cases[i].reason), HANDLE);
        assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
        assert_string_equal(r.verdict.handle, cases[i].handle);
        assert_int_equal(r.server.served, n);
        if (calls & E) {
            assert_edit(call_of(&r, 0, "chat.update"));
        }
        if (calls & R) {
            assert_reply(call_of(&r, n - 1, "chat.postMessage"), (calls & B) != 0);
        }
        close_world(&r);
    }
}

static void what_cannot_be_edited_is_posted_anew(void **state) {
    (void)state;
    static const char *const answers[] = {
        NO("message_not_found"),
        NO("cant_update_message"),
        NO("edit_window_closed"),
        NO("block_mismatch"),
        NO("is_inactive"),
        NO("streaming_state_conflict"),
        NO("restricted_action_thread_locked"),
        NO("restricted_action_non_threadable_channel"),
        NO("channel_not_found"),
        NO("is_archived"),
    };
    for (size_t i = 0; i < KLX_COUNT(answers); i++) {
        struct world r = { .server.replies = { answers[i], OK("1700000007.000700") } };
        open_world(&r, "");
        http_replies_start(&r.server);
        tell(&r, render(&r, KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS), HANDLE);
        assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
        assert_string_equal(r.verdict.reason, "posted_anew");
        assert_non_null(strstr(r.verdict.answer, "; posted anew: ok, channel C024BE91L"));
        assert_string_equal(r.verdict.handle, "C024BE91L/1700000007.000700/critical");
        assert_edit(call_of(&r, 0, "chat.update"));
        assert_post(call_of(&r, 1, "chat.postMessage"));
        close_world(&r);
    }
}

/* It was redriven, or is told again after a crash: the message stays as it is. */
static void what_is_older_than_the_message_is_a_reply(void **state) {
    (void)state;
    static const char *const settings[] = { "", "updates: edit", "updates: thread" };
    for (size_t i = 0; i < KLX_COUNT(settings); i++) {
        struct world r = { .server.replies = { OK("1700000007.000700") } };
        open_world(&r, settings[i]);
        http_replies_start(&r.server);
        tell_as(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_OPEN, KLX_NOTICE_NEWS), HANDLE,
                true);
        assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
        assert_reply(call_of(&r, 0, "chat.postMessage"), false);
        assert_string_equal(r.verdict.handle, HANDLE);
        close_world(&r);
    }
}

static void what_cannot_be_replied_to_is_posted_anew(void **state) {
    (void)state;
    struct world r = { .server.replies = { OK("1700000000.000100"),
                                           NO("restricted_action_thread_locked"),
                                           OK("1700000007.000700") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    tell(&r, render(&r, KLX_SEVERITY_INFO, KLX_PHASE_RESOLVED, KLX_NOTICE_NEWS), HANDLE);
    assert_string_equal(r.verdict.reason, "posted_anew");
    assert_reply(call_of(&r, 1, "chat.postMessage"), false);
    assert_post(call_of(&r, 2, "chat.postMessage"));
    close_world(&r);
}

/* A handle that is none of ours, or of another channel than the configured one: somebody has moved it. */
static void a_strange_handle_is_none(void **state) {
    (void)state;
    static const char *const handles[] = { "x", "C1", "C1/x", "<20261125@example.com>",
                                           "C0OTHER/1700000000.000100/info" };
    for (size_t i = 0; i < KLX_COUNT(handles); i++) {
        struct world r = { .server.replies = { OK("1700000007.000700") } };
        open_channel(&r, "C024BE91L", "");
        http_replies_start(&r.server);
        tell(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS), handles[i]);
        assert_string_equal(r.verdict.handle, "C024BE91L/1700000007.000700/warning");
        call_of(&r, 0, "chat.postMessage");
        close_world(&r);
    }
}

static void a_refused_message_is_said_in_plain_text(void **state) {
    (void)state;
    struct world r = { .server.replies = {
                           HTTP_REPLY("200 OK",
                                      "{\"ok\":false,\"error\":\"invalid_blocks\",\"response_"
                                      "metadata\":{\"messages\":[\"no more than 25 items allowed "
                                      "[json-pointer:/blocks/1/elements]\"]}}"),
                           OK("1700000000.000100") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    tell(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS), HANDLE);
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(r.verdict.reason, "plain_text");
    assert_non_null(strstr(r.verdict.answer, "[json-pointer:/blocks/1/elements]"));
    assert_non_null(strstr(r.verdict.answer, "; as plain text: ok, channel"));
    assert_string_equal(r.verdict.handle, HANDLE);
    const struct klx_json *args = call_of(&r, 1, "chat.update");
    assert_edit(args);
    assert_true(klx_json_is_array(klx_json_get(args, "attachments"))); /* else the old ones stay */
    assert_null(klx_json_first(klx_json_get(args, "attachments")));
    assert_null(klx_json_get(args, "metadata"));
    payload_assert_inert(klx_json_str(args, "text"));
    close_world(&r);
}

/* The pointer to what is wrong stands behind a message of many kilobytes that Slack repeats. */
static void what_is_wrong_with_a_block_is_kept(void **state) {
    (void)state;
    char reply[4096], echo[2001];
    memset(echo, 'x', sizeof(echo) - 1);
    echo[sizeof(echo) - 1] = '\0';
    snprintf(reply, sizeof(reply),
             HTTP_REPLY("200 OK",
                        "{\"ok\":false,\"error\":\"invalid_blocks\",\"message\":\"%s\","
                        "\"response_metadata\":{\"messages\":[\"[json-pointer:/a/7]\"]}}"),
             echo);
    struct world r = { .server.replies = { reply, NO("no_text") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    tell(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_OPEN, KLX_NOTICE_NEWS), "");
    assert_int_equal(r.verdict.class, KLX_VERDICT_REJECT_MESSAGE);
    assert_string_equal(r.verdict.reason, "invalid_blocks");
    assert_ptr_equal(strstr(r.verdict.answer, "invalid_blocks; [json-pointer:/a/7]; {"),
                     r.verdict.answer);
    close_world(&r);
}

static void an_edited_message_is_delivered_without_its_reply(void **state) {
    (void)state;
    struct world r = { .server.replies = { OK("1700000000.000100"), NO("invalid_blocks"),
                                           NO("msg_too_long") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    tell(&r, render(&r, KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS), HANDLE);
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    assert_string_equal(r.verdict.reason, "edited_only");
    assert_string_equal(r.verdict.handle, HANDLE); /* nobody was notified */
    close_world(&r);
}

static void every_answer_has_its_class(void **state) {
    (void)state;
    static const struct {
        const char *reply, *handle;
        enum klx_verdict_class class;
        int64_t retry_after_ms;
        const char *reason;
    } cases[] = {
        { NO("not_in_channel"), "", KLX_VERDICT_DESTINATION_BROKEN, 0, "not_in_channel" },
        { NO("restricted_action_read_only_channel"), HANDLE, KLX_VERDICT_DESTINATION_BROKEN, 0,
          "restricted_action_read_only_channel" },
        { NO("token_revoked"), HANDLE, KLX_VERDICT_CREDENTIAL_BROKEN, 0, "token_revoked" },
        { NO("internal_error"), "", KLX_VERDICT_RETRY_BACKOFF, 0, "internal_error" },
        { NO("of_next_year"), "", KLX_VERDICT_RETRY_BACKOFF, 0, "of_next_year" },
        { HTTP_REPLY("429 Too Many Requests\r\nRetry-After: 7",
                     "{\"ok\":false,\"error\":\"ratelimited\"}"),
          HANDLE, KLX_VERDICT_RETRY_AFTER, 7000, "ratelimited" },
        { HTTP_REPLY("503 Service Unavailable", "<html>busy</html>"), "", KLX_VERDICT_RETRY_BACKOFF,
          0, "http_503" },
        { HTTP_REPLIES_RESET, "", KLX_VERDICT_AMBIGUOUS, 0, "connection_broken" },
        { HTTP_REPLIES_RESET, HANDLE, KLX_VERDICT_RETRY_BACKOFF, 0, "connection_broken" },
        { HTTP_REPLY("200 OK", "<html>no " TOKEN " here</html>"), "", KLX_VERDICT_RETRY_BACKOFF, 0,
          "not_ok" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct world r = { .server.replies = { cases[i].reply } };
        open_world(&r, "");
        http_replies_start(&r.server);
        tell(&r, render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS),
             cases[i].handle);
        assert_int_equal(r.verdict.class, cases[i].class);
        assert_int_equal(r.verdict.retry_after_ms, cases[i].retry_after_ms);
        assert_string_equal(r.verdict.reason, cases[i].reason);
        assert_string_equal(r.verdict.handle, "");
        close_world(&r);
    }
}

static void a_token_that_is_gone_names_its_file(void **state) {
    (void)state;
    struct world r = { 0 };
    open_world(&r, "");
    struct klx_sv payload = render(&r, KLX_SEVERITY_INFO, KLX_PHASE_NONE, KLX_NOTICE_NEWS);
    test_write_file(r.secret, "not a token");
    tell(&r, payload, "");
    assert_int_equal(r.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
    assert_string_equal(r.verdict.reason, "token");
    assert_non_null(strstr(r.verdict.answer, r.secret));
    tell(&r, KLX_SV("{"), "");
    assert_int_equal(r.verdict.class, KLX_VERDICT_REJECT_MESSAGE);
    close_world(&r);
}

static void a_probe_tests_the_token(void **state) {
    (void)state;
    struct world r = { .server.replies = { HTTP_REPLY("200 OK", "{\"ok\":true,\"team\":\"t\"}"),
                                           NO("account_inactive") } };
    open_world(&r, "");
    http_replies_start(&r.server);
    klx_sink_slack.probe(r.rig.channel, on_sent, &r);
    klx_loop_run(r.rig.env.loop);
    assert_int_equal(r.verdict.class, KLX_VERDICT_DELIVERED);
    klx_sink_slack.probe(r.rig.channel, on_sent, &r);
    klx_loop_run(r.rig.env.loop);
    assert_int_equal(r.verdict.class, KLX_VERDICT_CREDENTIAL_BROKEN);
    call_of(&r, 0, "auth.test");
    close_world(&r);
}

/* While the answer is awaited, and in the second before the plain text. */
static void close_cancels_without_a_call(void **state) {
    (void)state;
    static const char *const replies[] = { HTTP_REPLIES_SILENT, NO("invalid_blocks") };
    for (size_t i = 0; i < KLX_COUNT(replies); i++) {
        static const struct klx_sv nobody_in_particular = { "", 0 };
        struct world r = { .server.replies = { replies[i] } };
        open_world(&r, "");
        http_replies_start(&r.server);
        struct klx_sv payload = render(&r, KLX_SEVERITY_INFO, KLX_PHASE_NONE, KLX_NOTICE_NEWS);
        const struct klx_send send = { .payloads = &payload,
                                       .payloads_n = 1,
                                       .recipients = &nobody_in_particular,
                                       .recipients_n = 1 };
        klx_sink_slack.send(r.rig.channel, &send, on_sent, &r);
        rig_run_and_close(&r.rig, &r.server, 1);
        close_world(&r);
        assert_int_equal(r.done, 0);
    }
}

static void golden(struct world *r, const char *name, struct klx_sv payload) {
    char file[64];
    snprintf(file, sizeof(file), "slack_bot/%s.json", name);
    const struct klx_json *parsed = payload_golden(&r->arena, file, payload);
    payload_check_content(klx_json_get(parsed, "message"));
    if (klx_json_get(parsed, "reply") != NULL) {
        payload_check_content(klx_json_get(parsed, "reply"));
    }
}

static void the_payload_says_where_it_goes(void **state) {
    (void)state;
    struct world r = { 0 };
    open_world(&r, "");
    golden(&r, "opened", render(&r, KLX_SEVERITY_WARNING, KLX_PHASE_OPEN, KLX_NOTICE_NEWS));
    golden(&r, "resolved", render(&r, KLX_SEVERITY_INFO, KLX_PHASE_RESOLVED, KLX_NOTICE_NEWS));
    golden(&r, "reminder",
           render(&r, KLX_SEVERITY_CRITICAL, KLX_PHASE_UPDATE, KLX_NOTICE_REMINDER));
    close_world(&r);
    struct world t = { 0 };
    open_world(&t, "updates: thread");
    golden(&t, "thread", render(&t, KLX_SEVERITY_WARNING, KLX_PHASE_UPDATE, KLX_NOTICE_NEWS));
    close_world(&t);
}

static struct world own_words;

static void check_own_words(const char *name, const struct klx_notice *n) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, klx_sink_slack.payload_bytes_max);
    assert_int_equal(klx_sink_slack.render(own_words.rig.channel, n, &out, NULL), 0);
    golden(&own_words, name, klx_buf_sv(&out));
}

static void both_messages_are_in_own_words(void **state) {
    (void)state;
    struct klx_arena arena;
    klx_arena_init(&arena, 65536, 8 << 20);
    open_world(&own_words, "updates: both");
    test_in_own_words(&arena, check_own_words);
    close_world(&own_words);
    klx_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_messages_are_in_own_words),
        cmocka_unit_test(the_first_message_has_a_handle),
        cmocka_unit_test(news_is_edited_and_replied),
        cmocka_unit_test(what_cannot_be_edited_is_posted_anew),
        cmocka_unit_test(what_cannot_be_replied_to_is_posted_anew),
        cmocka_unit_test(what_is_older_than_the_message_is_a_reply),
        cmocka_unit_test(a_strange_handle_is_none),
        cmocka_unit_test(a_refused_message_is_said_in_plain_text),
        cmocka_unit_test(what_is_wrong_with_a_block_is_kept),
        cmocka_unit_test(an_edited_message_is_delivered_without_its_reply),
        cmocka_unit_test(every_answer_has_its_class),
        cmocka_unit_test(a_token_that_is_gone_names_its_file),
        cmocka_unit_test(a_probe_tests_the_token),
        cmocka_unit_test(close_cancels_without_a_call),
        cmocka_unit_test(the_payload_says_where_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
