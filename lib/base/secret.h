/*
 * A secret value that comes from a file or a named environment variable, never from the configuration itself.
 *
 * The value is read when first asked for and again when the file's identity or time has changed (checked on each klx_secret_get, so a
 * swapped Kubernetes secret is seen at once). One trailing newline is cut. It is wiped from memory on release. Nothing here prints it.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_SECRET_BYTES_MAX (1 << 20) /* a bundle of certificates is read this way too */

struct klx_secret;

/* Copies the path or name. */
struct klx_secret *klx_secret_from_file(struct klx_sv path);
struct klx_secret *klx_secret_from_env(struct klx_sv name);
void klx_secret_free(struct klx_secret *s);
/* The value, valid until the next call on s. -ENOENT, -EACCES, -EMSGSIZE, -ENODATA (empty): the text names the file or variable.
   When re-reading fails and there is an old value, the old value stays and 0 is returned. */
int klx_secret_get(struct klx_secret *s, struct klx_sv *ret, struct klx_error *e) KLX_MUST_CHECK;
/* The next klx_secret_get reads the file whatever it looks like: some file systems tell of a change late. */
void klx_secret_again(struct klx_secret *s);
/* For messages: "file /run/secrets/x" or "environment variable X". */
const char *klx_secret_where(const struct klx_secret *s);
