/*
 * AnalysisRuns of Argo Rollouts (facts: argocd.md 2.2). Nothing is published by itself; the detector analysisruns reads the object: queries
 * and arguments may hold secrets.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_analysisruns = {
    .name = "analysisruns",
    .path = "/apis/argoproj.io/v1alpha1/analysisruns",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/analysisruns",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_ANALYSIS_RUN,
    .topic = KLX_TOPIC_GITOPS,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
