/*
 * How an API server is reached, and as whom: what a kubeconfig (kubeconfig.h), a pod (in_cluster.h) or Azure (azure.h)
 * gives.
 *
 * Certificates and tokens stand in the text or in files; files are read again when they change (lib/base/secret.h). What is sent at a
 * given time is for credential.h to say.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/base/secret.h"
#include "lib/base/sv.h"
#include "lib/io/oauth.h"

/* Both empty: not given. */
struct klx_kube_pem {
    struct klx_sv data; /* owned */
    struct klx_secret *file;
};

/* A plugin that prints credentials (client.authentication.k8s.io). */
struct klx_kube_exec {
    char **argv;       /* NULL-terminated; [0] is the command */
    char **env;        /* "NAME=value", NULL-terminated */
    char *api_version; /* "client.authentication.k8s.io/v1" or …/v1beta1 */
    char *install_hint;
    bool provide_cluster_info;
};

struct klx_kube_access {
    char *server; /* "https://host:443", no trailing slash */
    char *proxy;  /* NULL: none given */
    char *tls_server_name;
    bool insecure; /* the caller warns, loudly */
    struct klx_kube_pem ca, cert, key;
    struct klx_secret *token;               /* a tokenFile; NULL: none */
    char *static_token;                     /* NULL: none */
    struct klx_kube_exec *exec;             /* NULL: none */
    const struct klx_oauth_settings *oauth; /* NULL: none. Borrowed */
    char *context;                          /* the name that was used */
    char *from; /* what says all this, for the log: the kubeconfig's path, "the pod", "Azure" */
    char
        *namespace; /* where klaxon's own objects are: the context's, or the pod's; else "default" */
};

/* Empty when none is given; valid until the next call on p. */
int klx_kube_pem_get(struct klx_kube_pem *p, struct klx_sv *ret,
                     struct klx_error *e) KLX_MUST_CHECK;
void klx_kube_access_free(struct klx_kube_access *a);
