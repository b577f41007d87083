/*
 * Detectors, by transcripts: tests/golden/<file> holds what is observed ("> MM:SS verb …") and, below each line, the events that it makes:
 *
 *     time severity kind  incident+number phase  [worst so far, of a resolved one] [resync] summary
 *
 * Incidents are letters in the order of their first event. Lines that begin with '#' are kept. Before each line the detector's timers are
 * run. Every transcript should be run twice, as it is and with a restart of the detector after every line: the result is the same.
 * KLX_GOLDEN_UPDATE=1 writes what was found.
 *
 * Two verbs are the runner's own; all others are the test's (transcript_line_fn):
 *     > 00:00 tick          nothing but the timers
 *     > 00:00 states        names each state record that exists, and how often it was written so far
 */
#pragma once

#include "collector/detectors/detector.h"
#include "collector/sources/source.h"
#include "lib/base/arena.h"
#include "lib/base/buf.h"

struct CMUnitTest;

#define TRANSCRIPT_BASE_US INT64_C(1773212400000000) /* 00:00 is 2026-03-11T07:00:00Z */

struct transcript_state {
    char key[600]; /* "prod/node_repair/aks-1" */
    struct klx_buf value;
    unsigned writes;
};

struct transcript {
    struct klx_outbox out; /* first: the callbacks find the transcript by it */
    const struct klx_detector_ops *ops;
    void *detector;
    struct klx_arena arena; /* of one line */
    struct klx_buf text;
    struct transcript_state *states;
    size_t states_n;
    char incidents[26][40];
    size_t incidents_n;
    unsigned version; /* the last resourceVersion that was given */
    int64_t now_us;
    bool restarting;
    bool shows_samples;   /* events of klaxon.metrics, which are many */
    const void *settings; /* the detector's own; NULL: nothing is set */
    void *arg;            /* the test's */
};

/* `line` is the whole line, for transcript_has_word; `rest` is what follows the verb. */
typedef void (*transcript_line_fn)(struct transcript *t, const char *line, struct klx_sv verb,
                                   struct klx_sv rest);

/* Runs the transcript tests/golden/<file> on a detector of cluster "prod" and compares. */
void transcript_run(const struct klx_detector_ops *ops, const char *file, bool restarting,
                    transcript_line_fn run_line, void *arg);
/* The same with something set. */
void transcript_run_with(const struct klx_detector_ops *ops, const void *settings, const char *file,
                         bool restarting, transcript_line_fn run_line, void *arg);
/* How the test runs one of its transcripts: tests/golden/<detector>/<name>.txt, with one of the two above. */
typedef void (*transcript_run_fn)(const char *name, bool restarting);
/* All of a test program, what main returns: the tests of `others`, and each transcript twice. */
int transcript_main(const struct CMUnitTest *others, size_t others_n, const char *const *names,
                    size_t names_n, transcript_run_fn run);
/* The detector takes nothing as the state of `key` that is empty, no JSON, no object, or one of `bad`. Another version: every
   restart of a transcript tries it. */
void transcript_check_bad_states(const struct klx_detector_ops *ops, const char *key,
                                 const char *const *bad, size_t n);
/* For a line that stands for many observations: before each, the time it comes at; after each, the restart that is due. */
void transcript_begin_step(struct transcript *t, int64_t now_us);
void transcript_end_step(struct transcript *t);
/* Plays what tests/record/ wrote: each line of the file is {"at": seconds, "source", "frame": {"type", "object"}, "baseline"?}. Each frame is
   read by its source and observed at its time, as a step. */
void transcript_play(struct transcript *t, const char *file);
/* Between blanks, or at the end. */
bool transcript_has_word(const char *line, const char *word);
/* What follows "name=" up to the next blank; empty: not there. */
struct klx_sv transcript_option(const char *line, const char *name);
/* "MM:SS" in microseconds since the epoch. */
int64_t transcript_time(struct klx_sv text);
/* A MODIFIED of cluster "prod" with uid "uid" and a resourceVersion of its own; the words "baseline" and "resync" make its origin. */
struct klx_observation transcript_observation(struct transcript *t, const char *line);
/* A frame: the object goes through its source to the detector, with the origin that a word of `line` says. */
void transcript_observe(struct transcript *t, const char *line, const struct klx_source_ops *source,
                        enum klx_change change, const struct klx_json *object);
/* For klx_detector_ops.relisted: arg is a line that names what exists. */
bool transcript_is_listed(void *line, struct klx_sv name);
