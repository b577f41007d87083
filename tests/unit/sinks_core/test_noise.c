/* What a channel hears of which events. */
#include "tests/unit/support/noise_rig.h"

static void an_incident_is_one_message(void **state) {
    (void)state;
    open_world();
    start();
    assert_string_equal(handle("i1"), "");
    open_("i1.1");
    assert_string_equal(handle("i1"), "h");
    w.holds = true;
    update("i1.2");
    answer_all("other"); /* the first message's handle stays */
    assert_string_equal(handle("i1"), "h");
    restart();
    assert_string_equal(handle("i1"), "h"); /* it is on klaxon.state */
    w.replaces = true;
    update("i1.2"); /* it was told, so it is not */
    update("i1.3");
    answer_all("new");
    assert_string_equal(handle("i1"), "new");
    w.replaces = false;
    restart();
    assert_string_equal(handle("i1"), "new");
    w.holds = false;
    resolve("i1.4");
    open_("x");
    heard("0:00 tell slack i1.1\n0:00 tell slack i1.2\n"
          "0:00 hush slack i1.2 repeated (by number 2 of the incident)\n"
          "0:00 tell slack i1.3\n0:00 tell slack i1.4\n0:00 tell slack x\n");
    assert_int_equal(w.settled, 6);
    close_world();
}

static void what_is_older_or_was_told_is_not_told(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    update("i1.3");
    update("i1.2");
    update("i1.3");
    heard("0:00 tell slack i1.1\n0:00 tell slack i1.3\n"
          "0:00 hush slack i1.2 superseded (by number 3 of the incident)\n"
          "0:00 hush slack i1.3 repeated (by number 3 of the incident)\n");
    restart(); /* and what was not committed is read again */
    open_("i1.1");
    update("i1.3");
    resolve("i1.4");
    heard("0:00 hush slack i1.1 superseded (by number 3 of the incident)\n"
          "0:00 hush slack i1.3 repeated (by number 3 of the incident)\n"
          "0:00 tell slack i1.4\n");
    close_world();
}

static void an_update_that_waits_is_passed_over(void **state) {
    (void)state;
    open_world();
    start();
    w.holds = true;
    open_("i1.1");
    update("i1.2");
    update("i1.3");
    resolve("i1.4");
    heard(
        "0:00 tell slack i1.1\n0:00 tell slack i1.2\n0:00 tell slack i1.3\n0:00 tell slack i1.4\n");
    static const bool over[] = { false, true, true, false };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(klx_noise_passes_over(w.noise, "slack", w.on_the_way[i].d), over[i]);
    }
    heard("0:00 hush slack i1.2 superseded (by number 4 of the incident)\n"
          "0:00 hush slack i1.3 superseded (by number 4 of the incident)\n");
    close_world();
}

static void silenced_from_beginning_to_end(void **state) {
    (void)state;
    open_world();
    start();
    silence("a", "i1", 0, HOUR);
    open_("i1.1");
    open_("i2.1");
    open_("i1"); /* outside of an incident, the same name */
    restart();
    silence("a", "i1", 0, HOUR);
    update("i1.2");
    resolve("i1.3");
    resolve("i2.2");
    pass_time(2 * HOUR);
    heard("0:00 hush slack i1.1 silenced (silence a)\n"
          "0:00 tell slack i2.1\n"
          "0:00 hush slack i1 silenced (silence a)\n"
          "0:00 hush slack i1.2 silenced (silence a)\n"
          "0:00 hush slack i1.3 not_told\n"
          "0:00 tell slack i2.2\n");
    assert_int_equal(w.settled, 6);
    close_world();
}

static void what_is_open_at_the_end_of_a_silence_is_told(void **state) {
    (void)state;
    open_world();
    start();
    silence("a", "i1", 0, HOUR);
    silence("b", "i2", 0, HOUR);
    silence("c", "i2", 30 * MINUTE, 2 * HOUR);
    open_("i1.1");
    update("i1.2");
    open_("i2.1");
    klx_buf_reset(&w.story);
    pass_time(50 * MINUTE);
    restart();
    silence("b", "i2", 0, HOUR);
    silence("c", "i2", 30 * MINUTE, 2 * HOUR);
    silence("a", "i1", 0, HOUR);
    pass_time(11 * MINUTE);
    heard("60:00 tell slack i1.2\n");
    resolve("i1.3");
    silence("c", "i2", 30 * MINUTE, 62 * MINUTE); /* ended early */
    pass_time(5 * MINUTE);
    heard("61:00 tell slack i1.3\n62:00 tell slack i2.1\n");
    close_world();
}

static void an_end_is_told_when_the_beginning_was(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    silence("a", "i1", 0, HOUR);
    update("i1.2");
    resolve("i1.3");
    resolve("i9.7"); /* nothing is known of it: it may have been told */
    pass_time(2 * HOUR);
    heard("0:00 tell slack i1.1\n0:00 hush slack i1.2 silenced (silence a)\n0:00 tell slack i1.3\n"
          "0:00 tell slack i9.7\n");
    close_world();
}

static void quiet_hours_end_with_one_message(void **state) {
    (void)state;
    open_world();
    set_quiet("{times: [\"08:00-10:00\"], critical: pass}");
    start();
    open_("i1.1");
    update("i1.2");
    open_("i2.1");
    resolve("i2.2");
    event("i3.1", "open", "critical");
    event("x", "", "warning");
    pass_time(HOUR);
    restart();
    update("i1.3");
    heard("0:00 hush slack i1.1 quiet_hours\n0:00 hush slack i1.2 quiet_hours\n"
          "0:00 hush slack i2.1 quiet_hours\n0:00 hush slack i2.2 not_told\n"
          "0:00 tell slack i3.1\n0:00 hush slack x quiet_hours\n"
          "60:00 hush slack i1.3 quiet_hours\n");
    pass_time(2 * HOUR);
    heard("120:00 tell slack i1.3\n");
    resolve("i1.4");
    heard("180:00 tell slack i1.4\n");
    close_world();
}

static void a_flood_becomes_digests(void **state) {
    (void)state;
    char id[16];
    open_world();
    w.channels[SLACK].throttle =
        (struct klx_throttle_settings){ .messages = 4, .per_ms = 60000, .burst = 2 };
    start();
    w.holds = true;
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "i%d.%d", i % 5, i / 5 + 1);
        if (i < 5) {
            open_(id);
        } else {
            update(id);
        }
    }
    heard("0:00 tell slack i0.1\n0:00 tell slack i1.1\n");
    answer_all("h");
    assert_int_equal(w.settled, 2);
    pass_time(10);
    assert_int_equal(w.settled, 2);
    pass_time(25);
    heard("0:30 tell slack i4.4 digest of 18 in 5\n");
    assert_int_equal(w.settled, 2); /* not before the digest is done */
    assert_int_equal(w.receipts, 18);
    answer_all("d");
    assert_int_equal(w.settled, 20);
    assert_string_equal(handle("i0"), "h");
    assert_string_equal(handle("i4"), ""); /* the digest is not its message */
    resolve("i4.5");
    heard("");
    pass_time(60);
    heard("1:00 tell slack i4.5\n"); /* one is no digest */
    answer_all("h");
    pass_time(5 * 60);
    restart(); /* what the digest told is known */
    update("i3.4");
    heard("6:35 hush slack i3.4 repeated (by number 4 of the incident)\n");
    close_world();
}

static void what_a_parked_digest_covers_counts_as_told(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle =
        (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000, .burst = 1 };
    start();
    open_("i0.1");
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    pass_time(65);
    heard("0:00 tell slack i0.1\n1:00 tell slack i2.1 digest of 2 in 2\n");
    struct klx_delivery *d = w.on_the_way[--w.on_the_way_n].d;
    klx_noise_parked(w.noise, "slack", d);
    klx_delivery_done(d);
    restart();
    open_("i1.1");
    heard("1:05 hush slack i1.1 repeated (by number 1 of the incident)\n");
    close_world();
}

static void a_digest_shows_the_worst_first(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    start();
    w.holds = true;
    open_("a.1");
    open_("b.1");
    event("c.1", "open", "critical");
    update("b.2");
    event("d.1", "open", "info");
    event("c.2", "resolved", "info");
    event("e.1", "open", "critical");
    event("x", "", "warning");
    event("x", "", "warning");
    pass_time(61);
    assert_int_equal(w.on_the_way_n, 2);
    const struct klx_delivery *d = w.on_the_way[1].d;
    const struct klx_digest *g = d->digest;
    assert_int_equal(d->severity, KLX_SEVERITY_CRITICAL);
    assert_sv(d->message->event.id, "e.1");
    assert_int_equal(g->events, 8);
    assert_int_equal(g->incidents, 4);
    assert_int_equal(g->lines_n, 5);
    assert_sv(g->lines[0].text, "Node e (prod): Node not ready");
    assert_sv(g->lines[1].text, "Node c (prod): Node not ready, resolved");
    assert_int_equal(g->lines[1].severity, KLX_SEVERITY_CRITICAL);
    assert_int_equal(g->lines[1].events, 2);
    assert_sv(g->lines[2].text, "Node b (prod): Node not ready");
    assert_sv(g->lines[3].text, "Node x (prod): Node not ready");
    assert_sv(g->lines[4].text, "Node d (prod): Node not ready");
    close_world();
}

static void an_open_incident_is_told_again(void **state) {
    (void)state;
    open_world();
    w.subscription.repeat_ms = 2 * HOUR * 1000;
    start();
    open_("i1.1");
    pass_time(HOUR);
    update("i1.2");
    open_("x"); /* no incident: never again */
    klx_buf_reset(&w.story);
    pass_time(5 * HOUR);
    heard("180:00 tell slack i1.2 again\n300:00 tell slack i1.2 again\n");
    restart();
    pass_time(2 * HOUR);
    heard("420:00 tell slack i1.2 again\n");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), KLX_SV("{\"by\":\"ada\"}"));
    pass_time(5 * HOUR);
    heard("");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), klx_sv(NULL));
    pass_time(1);
    heard("780:00 tell slack i1.2 again\n");
    resolve("i1.3");
    pass_time(24 * HOUR);
    heard("780:01 tell slack i1.3\n");
    close_world();
}

static void nobody_answers_and_it_escalates(void **state) {
    (void)state;
    open_world();
    w.subscription.escalate_after_ms = 30 * MINUTE * 1000;
    w.subscription.escalate_to = w.to_pager;
    w.subscription.escalate_to_n = 1;
    start();
    open_("i1.1");
    open_("i2.1");
    open_("i3.1");
    open_("x");
    pass_time(10 * MINUTE);
    update("i1.2");
    resolve("i2.2");
    klx_noise_control(w.noise, KLX_SV("ack/i3"), KLX_SV("{}"));
    heard("0:00 tell slack i1.1\n0:00 hush pager i1.1 escalation_pending\n"
          "0:00 tell slack i2.1\n0:00 hush pager i2.1 escalation_pending\n"
          "0:00 tell slack i3.1\n0:00 hush pager i3.1 escalation_pending\n"
          "0:00 tell slack x\n"
          "10:00 tell slack i1.2\n10:00 hush pager i1.2 escalation_pending\n"
          "10:00 tell slack i2.2\n10:00 hush pager i2.2 not_told\n");
    restart();
    klx_noise_control(w.noise, KLX_SV("ack/i3"), KLX_SV("{}"));
    pass_time(HOUR);
    heard("30:00 tell pager i1.2 escalated\n");
    update("i1.3");
    resolve("i1.4");
    resolve("i3.2");
    heard("70:00 tell slack i1.3\n70:00 tell pager i1.3\n70:00 tell slack i1.4\n"
          "70:00 tell pager i1.4\n70:00 tell slack i3.2\n70:00 hush pager i3.2 not_told\n");
    close_world();
}

static void only_the_owner_acts(void **state) {
    (void)state;
    open_world();
    w.subscription.repeat_ms = HOUR * 1000;
    start();
    open_("i1.1");
    klx_buf_reset(&w.story);
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_noise_revoked(w.noise, KLX_TOPIC_NODES, 0);
    pass_time(3 * HOUR);
    heard("");
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    pass_time(HOUR);
    heard(""); /* not before klaxon.state was read */
    klx_noise_ready(w.noise);
    pass_time(1);
    heard("240:00 tell slack i1.1 again\n");
    close_world();
}

static void what_is_taken_away_comes_again(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    start();
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    update("i2.2");
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_noise_revoked(w.noise, KLX_TOPIC_NODES, 0);
    assert_int_equal(w.abandoned, 2);
    abandon_all();
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    klx_noise_ready(w.noise);
    klx_buf_reset(&w.story);
    pass_time(5 * 60);
    open_("i1.1");
    pass_time(5 * 60);
    open_("i2.1");
    heard("5:00 tell slack i1.1\n10:00 tell slack i2.1\n");
    close_world();
}

static void what_is_over_is_forgotten(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), KLX_SV("{}"));
    resolve("i1.2");
    size_t before = w.written_n;
    pass_time(59 * MINUTE);
    assert_int_equal(w.written_n, before);
    pass_time(2 * MINUTE);
    assert_int_equal(w.written_n, before + 2);
    assert_string_equal(w.written[before].key, "sink/slack/i1");
    assert_null(w.written[before].value);
    assert_string_equal(w.written[before + 1].key, "ack/i1");
    close_world();
}

static void a_store_is_told_everything(void **state) {
    (void)state;
    open_world();
    w.ops.batch_bytes_max = 1000;
    set_quiet("{times: [\"08:00-10:00\"]}");
    start();
    silence("a", "i1", 0, HOUR);
    open_("i1.1");
    update("i1.3");
    update("i1.2");
    update("i1.2");
    heard(
        "0:00 tell slack i1.1\n0:00 tell slack i1.3\n0:00 tell slack i1.2\n0:00 tell slack i1.2\n");
    assert_int_equal(w.written_n, 0);
    close_world();
}

static void another_configuration_keeps_what_is_held(void **state) {
    (void)state;
    size_t both[] = { SLACK, OTHER };
    open_world();
    w.subscription.channels = both;
    w.subscription.channels_n = 2;
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    w.channels[OTHER].throttle = w.channels[SLACK].throttle;
    start();
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    open_("i3.1");
    klx_buf_reset(&w.story);
    /* `other` is not there any more, and `slack` is another one in the list. */
    struct klx_channel_settings channels[] = { w.channels[PAGER], w.channels[SLACK] };
    size_t to[] = { 1 };
    struct klx_subscription_settings subscription = w.subscription;
    subscription.channels = to;
    subscription.channels_n = 1;
    const struct klx_sinks_settings settings = {
        .channels = channels, .channels_n = 2, .subscriptions = &subscription, .subscriptions_n = 1
    };
    struct klx_route *route = klx_route_new(&settings, &w.ops);
    const struct klx_noise_use use = { &settings, NULL, route };
    klx_noise_reload(w.noise, &use);
    heard("0:00 tell other i3.1 digest of 2 in 2\n");
    memcpy(w.channels, channels, sizeof(channels)); /* so that the story has the names */
    pass_time(60);
    heard("1:00 tell slack i3.1 digest of 2 in 2\n");
    abandon_all();
    klx_noise_free(w.noise);
    w.noise = NULL;
    klx_route_free(route);
    close_world();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_incident_is_one_message),
        cmocka_unit_test(what_is_older_or_was_told_is_not_told),
        cmocka_unit_test(an_update_that_waits_is_passed_over),
        cmocka_unit_test(silenced_from_beginning_to_end),
        cmocka_unit_test(what_is_open_at_the_end_of_a_silence_is_told),
        cmocka_unit_test(an_end_is_told_when_the_beginning_was),
        cmocka_unit_test(quiet_hours_end_with_one_message),
        cmocka_unit_test(a_flood_becomes_digests),
        cmocka_unit_test(what_a_parked_digest_covers_counts_as_told),
        cmocka_unit_test(a_digest_shows_the_worst_first),
        cmocka_unit_test(an_open_incident_is_told_again),
        cmocka_unit_test(nobody_answers_and_it_escalates),
        cmocka_unit_test(only_the_owner_acts),
        cmocka_unit_test(what_is_taken_away_comes_again),
        cmocka_unit_test(what_is_over_is_forgotten),
        cmocka_unit_test(a_store_is_told_everything),
        cmocka_unit_test(another_configuration_keeps_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
