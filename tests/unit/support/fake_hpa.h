/*
 * HorizontalPodAutoscalers as the API server shows them, made of a transcript's lines. What a line does not name stays as it was; the
 * times of conditions follow the HPA controller: lastTransitionTime moves with the status, not with the reason.
 *
 *     NAME [ns=kube-system] [uid=U] [min=2] [max=12] [current=2] [desired=2] [memory=3Gi] [target=5Gi] [cpu=83] [scaled=MM:SS]
 *     [limited=DesiredWithinRange] [active=ValidMetricFound] [able=ReadyForNewScale] [by=MANAGER] [up=Disabled]
 *     [at=MM:SS] [fresh]
 *
 * memory=- and cpu=-: not known. fresh: the controller has not looked at it. active=FailedGet… and able=Failed… are False, limited=
 * DesiredWithinRange too. A manager (by=) is the one that owns the bounds since this line. at=: when the conditions
 * changed, if not now.
 */
#pragma once

#include "lib/base/time.h"
#include "tests/unit/support/transcript.h"

struct fake_condition {
    char reason[64];
    bool is_true;
    char since[KLX_TIME_TEXT_BYTES];
};

struct fake_hpa {
    char name[64], namespace[64], uid[40];
    char min[16], max[16], current[16], desired[16], memory[32], target[32], cpu[16], up[16];
    char manager[64], managed[KLX_TIME_TEXT_BYTES], scaled[KLX_TIME_TEXT_BYTES];
    struct fake_condition able, active, limited;
};

#define FAKE_HPAS_MAX 4

struct fake_hpas {
    struct fake_hpa items[FAKE_HPAS_MAX];
    size_t n;
};

/* The object's JSON text, in the transcript's arena. */
struct klx_sv fake_hpa_json(struct fake_hpas *all, struct transcript *t, const char *line,
                            struct klx_sv name);
