/* The mails: a golden one for each kind, and hostile text that stays text. What a mail reader makes of them: tests/integration/test_email.py. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/io/smtp.h"
#include "sinks/email/mail.h"
#include "tests/unit/support/digest_sample.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

#define YAML                                                                                       \
    "to: [ ops@example.com, second@example.com ]\nfrom: klaxon <klaxon@example.com>\nsmtp: "       \
    "smtp://mail.example.com\n"

static struct klx_arena arena;
static struct rig rig;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 16 << 20);
    rig_open(&rig, &klx_sink_email, YAML);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_close(&rig);
    klx_arena_release(&arena);
    return 0;
}

/* The message's text lives in the arena. */
static struct klx_sv render_notice(const struct klx_notice *notice) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_error error = { 0 };
    klx_buf_init(&out, klx_sink_email.payload_bytes_max);
    if (klx_sink_email.render(rig.channel, notice, &out, &error) != 0) {
        fail_msg("%s", error.text);
    }
    const char *problem = klx_smtp_message_problem(klx_buf_sv(&out));
    if (problem != NULL) {
        fail_msg("%s:\n%s", problem, klx_buf_str(&out));
    }
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static struct klx_sv render_for(const struct klx_event *e, const struct klx_json *data,
                                const char *channel) {
    const struct klx_notice notice = {
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = klx_sv(channel)
    };
    return render_notice(&notice);
}

static struct klx_sv render_event(const struct klx_event *e, const struct klx_json *data) {
    return render_for(e, data, "ops-mail");
}

static void check_golden(const char *name, struct klx_sv message) {
    char golden[128];
    snprintf(golden, sizeof(golden), "email/%s.eml", name);
    golden_check(golden, message);
}

static void what_is_no_news_says_so(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice notice;
    klx_arena_reset(&arena);
    test_digest(&arena, 12, &e, &notice);
    notice.id = KLX_SV("0123456789abcdef0123456789abcdef");
    check_golden("digest", render_notice(&notice));
    notice = (struct klx_notice){ .event = &e,
                                  .data = notice.data,
                                  .team = KLX_SV("operations"),
                                  .channel = KLX_SV("ops-mail"),
                                  .id = KLX_SV("fedcba9876543210fedcba9876543210") };
    e.severity = KLX_SEVERITY_WARNING;
    notice.reason = KLX_NOTICE_REMINDER;
    check_golden("reminder", render_notice(&notice));
    notice.reason = KLX_NOTICE_ESCALATION;
    check_golden("escalation", render_notice(&notice));
}

static void check_event(const char *name, const struct klx_event *e, const struct klx_json *data) {
    check_golden(name, render_event(e, data));
}

static void each_kind_has_its_mail(void **state) {
    (void)state;
    test_each_event(&arena, check_event);
}

static void check_notice(const char *name, const struct klx_notice *notice) {
    check_golden(name, render_notice(notice));
}

static void own_words_are_text_too(void **state) {
    (void)state;
    test_in_own_words(&arena, check_notice);
}

static struct klx_sv render_hostile(struct klx_sv text) {
    struct klx_event e;
    const struct klx_json *data = NULL;
    test_hostile_event(&arena, text, &e, &data);
    return render_event(&e, data);
}

/* "Name: value" of the head, on one line; empty when there is none. Fails when there are two. */
static struct klx_sv header(struct klx_sv message, const char *name) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    char start[64];
    bool inside = false;
    int seen = 0;
    snprintf(start, sizeof(start), "%s:", name);
    klx_buf_init(&value, 1 << 20);
    while (!klx_sv_starts(message, KLX_SV("\r\n"))) {
        struct klx_sv line = klx_sv_cut(&message, '\n');
        line.n -= 1;
        bool folded = line.p[0] == ' ';
        inside = folded ? inside : klx_sv_starts(line, klx_sv(start));
        seen += !folded && inside;
        if (inside) {
            klx_buf_add_sv(
                &value, folded ? line : klx_sv_n(line.p + strlen(start), line.n - strlen(start)));
        }
    }
    assert_in_range(seen, 0, 1);
    return klx_arena_dup(&arena, klx_sv_trim(klx_buf_sv(&value)));
}

/* Every header is one of ours: text adds none. */
static void check_headers(struct klx_sv message) {
    static const char *const known[] = {
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "List-Id",
        "Importance",
        "X-Klaxon-Event-Id",
        "X-Klaxon-Type",
        "X-Klaxon-Severity",
        "MIME-Version",
        "Content-Type",
    };
    while (!klx_sv_starts(message, KLX_SV("\r\n"))) {
        struct klx_sv line = klx_sv_cut(&message, '\n');
        struct klx_sv name = klx_sv_cut(&line, ':');
        bool found = name.p[0] == ' ';
        for (size_t i = 0; i < KLX_COUNT(known); i++) {
            found = found || klx_sv_eq(name, klx_sv(known[i]));
        }
        if (!found) {
            fail_msg("not a header of ours: %.*s", KLX_SV_FMT(name));
        }
    }
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    static const struct {
        const char *golden;
        struct klx_sv text;
    } cases[] = {
        { "hostile-headers", KLX_SV("a@x>\r\nRCPT TO:<evil@y\r\nBcc: evil@y\r\n\r\n.\r\nMAIL "
                                    "FROM:<evil@y>\n.\nFrom evil\n=?UTF-8?Q?Bcc?= =0D=0A") },
        { "hostile-html",
          KLX_SV("<script>alert(1)</script><img src=x onerror=\"a()\"> </title> <!--[if mso]> "
                 "{{summary}} &lt; ' \" http://evil.example") },
        { "hostile-unicode", KLX_SV("\xE2\x80\xAE"
                                    "cba\xE2\x80\xA8x\x1b[31m\xff\xfe \xE6\xBC\xA2\xE5\xAD\x97 "
                                    "\xF0\x9F\x94\xA5 \xC3\xA9\xED\xA0\x80") },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        klx_arena_reset(&arena);
        struct klx_sv message = render_hostile(cases[i].text);
        check_headers(message);
        check_golden(cases[i].golden, message);
    }
}

/* 64 KB of one character everywhere, the widest in each way of writing it. */
static void long_text_is_cut(void **state) {
    (void)state;
    static const char *const units[] = {
        "&", "\"", "x", " x", "=", "\xE6\xBC\xA2", "\xF0\x9F\x94\xA5", "\r\n", "\xff"
    };
    for (size_t i = 0; i < KLX_COUNT(units); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        klx_arena_reset(&arena);
        klx_buf_init(&text, 1 << 20);
        while (text.len < 65536) {
            klx_buf_add_str(&text, units[i]);
        }
        struct klx_sv message = render_hostile(klx_buf_sv(&text));
        check_headers(message);
        assert_in_range(message.n, 1, 100000);
        if (strcmp(units[i], "&") == 0) {
            check_golden("hostile-64k", message);
        }
    }
}

/* Opened, updated and resolved: one subject, one root, three ids. */
static void mails_of_an_incident_are_one_thread(void **state) {
    (void)state;
    static const enum klx_kind kinds[] = { KLX_KIND_NODE_NOT_READY, KLX_KIND_REPAIR_STARTED,
                                           KLX_KIND_REPAIR_COMPLETED };
    struct klx_sv subject[3], root[3], references[3], id[3];
    klx_arena_reset(&arena);
    for (size_t i = 0; i < 3; i++) {
        struct klx_event e;
        const struct klx_json *data = NULL;
        test_read_event(&arena, kinds[i], &e, &data);
        struct klx_sv message = render_event(&e, data);
        subject[i] = header(message, "Subject");
        root[i] = header(message, "In-Reply-To");
        references[i] = header(message, "References");
        id[i] = header(message, "Message-ID");
        assert_true(klx_sv_eq(subject[i], subject[0]));
        assert_true(klx_sv_eq(root[i], root[0]));
        assert_true(klx_sv_eq(references[i], root[0]));
    }
    assert_sv(subject[0], "Node aks-system-31337-vmss000001 (prod-weu)");
    assert_true(klx_sv_starts(root[0], KLX_SV("<incident-")));
    assert_false(klx_sv_eq(id[0], id[1]));
    assert_false(klx_sv_eq(id[1], id[2]));
}

static void the_same_event_is_the_same_mail(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_NODE_NOT_READY, &e, &data);
    struct klx_sv first = render_event(&e, data);
    assert_true(klx_sv_eq(first, render_event(&e, data)));
    struct klx_sv other = render_for(&e, data, "other-mail");
    assert_false(klx_sv_eq(header(first, "Message-ID"), header(other, "Message-ID")));
    e.replay_id = KLX_SV("replay-1");
    struct klx_sv replayed = render_event(&e, data);
    assert_false(klx_sv_eq(header(first, "Message-ID"), header(replayed, "Message-ID")));
    assert_false(klx_sv_eq(header(first, "References"), header(replayed, "References")));
}

/* A reminder of an event is another mail, and readers throw away what has the id of one that they have. */
static void the_id_of_a_mail_is_that_of_its_sending(void **state) {
    (void)state;
    static const char *const messages[][2] = {
        { "From: x\r\nMessage-ID: "
          "<event-0123456789abcdef0123456789abcdef@x.example>\r\n\r\n<event-",
          "From: x\r\nMessage-ID: "
          "<event-ffffffffffffffffffffffffffffffff@x.example>\r\n\r\n<event-" },
        { "From: x\r\nMessage-ID:\r\n <event-0123456789abcdef0123456789abcdef@x>\r\n\r\n",
          "From: x\r\nMessage-ID:\r\n <event-ffffffffffffffffffffffffffffffff@x>\r\n\r\n" },
        { "From: x\r\n\r\nhello\r\n", "From: x\r\n\r\nhello\r\n" },
        { "\r\nMessage-ID: <event-0", "\r\nMessage-ID: <event-0" },
    };
    for (size_t i = 0; i < KLX_COUNT(messages); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1024);
        klx_email_with_id(klx_sv(messages[i][0]), KLX_SV("ffffffffffffffffffffffffffffffff"), &out);
        assert_string_equal(klx_buf_str(&out), messages[i][1]);
        klx_buf_reset(&out);
        klx_email_with_id(klx_sv(messages[i][0]), KLX_SV("short"), &out);
        assert_string_equal(klx_buf_str(&out), messages[i][0]);
    }
}

/* A card that holds nothing but what is required is a mail too, and what is not there leaves no empty frame. */
static void a_card_of_almost_nothing_is_a_mail(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_buf html KLX_CLEANUP(klx_buf_release);
    struct klx_template *t = klx_email_html_template();
    const struct klx_card c = { .subject = KLX_SV("s"),
                                .title = KLX_SV("t"),
                                .summary = KLX_SV("it is"),
                                .footer = KLX_SV("f") };
    klx_arena_reset(&arena);
    klx_buf_init(&text, 65536);
    klx_buf_init(&html, 65536);
    klx_email_text(&c, &text);
    assert_string_equal(klx_buf_str(&text), "t\ns\n\nit is\n\n-- \nf\n");
    assert_int_equal(klx_email_html(t, &c, &arena, &html), 0);
    assert_non_null(strstr(klx_buf_str(&html), ">Information</div>"));
    assert_null(strstr(klx_buf_str(&html), "What to do"));
    assert_null(strstr(klx_buf_str(&html), "monospace"));
    klx_template_free(t);
}

static void colour_and_word_are_the_severity(void **state) {
    (void)state;
    static const struct {
        enum klx_severity severity;
        bool resolved;
        const char *color, *html, *text;
    } cases[] = {
        { KLX_SEVERITY_INFO, false, "#1d5fa8", ">Information &middot; update 2</div>", "t (" },
        { KLX_SEVERITY_WARNING, false, "#a85508", ">Warning &middot; update 2</div>",
          "WARNING: t (update 2)\n" },
        { KLX_SEVERITY_CRITICAL, false, "#b91c1c", ">Critical &middot; update 2</div>",
          "CRITICAL: t (update 2)\n" },
        { KLX_SEVERITY_CRITICAL, true, "#15713c", ">Resolved</div>", "RESOLVED: t\n" },
    };
    struct klx_template *t = klx_email_html_template();
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        struct klx_buf html KLX_CLEANUP(klx_buf_release);
        const struct klx_card c = { .subject = KLX_SV("s"),
                                    .title = KLX_SV("t"),
                                    .state = KLX_SV("update 2"),
                                    .severity = cases[i].severity,
                                    .resolved = cases[i].resolved };
        klx_arena_reset(&arena);
        klx_buf_init(&text, 65536);
        klx_buf_init(&html, 65536);
        klx_email_text(&c, &text);
        assert_int_equal(klx_email_html(t, &c, &arena, &html), 0);
        assert_true(klx_sv_starts(klx_buf_sv(&text), klx_sv(cases[i].text)));
        assert_non_null(strstr(klx_buf_str(&html), cases[i].html));
        assert_non_null(strstr(klx_buf_str(&html), cases[i].color));
    }
    klx_template_free(t);
}

static void check_sendable(const char *text) {
    assert_null(klx_smtp_message_problem(klx_sv(text)));
    check_headers(klx_sv(text));
}

/* Also what a later change forgets to render. */
static void every_golden_file_can_be_sent(void **state) {
    (void)state;
    assert_int_equal(golden_each("email", check_sendable), KLX_KINDS_N + 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_are_text_too),
        cmocka_unit_test(each_kind_has_its_mail),
        cmocka_unit_test(what_is_no_news_says_so),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(mails_of_an_incident_are_one_thread),
        cmocka_unit_test(the_same_event_is_the_same_mail),
        cmocka_unit_test(the_id_of_a_mail_is_that_of_its_sending),
        cmocka_unit_test(a_card_of_almost_nothing_is_a_mail),
        cmocka_unit_test(colour_and_word_are_the_severity),
        cmocka_unit_test(every_golden_file_can_be_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
