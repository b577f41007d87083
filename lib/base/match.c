#define PCRE2_CODE_UNIT_WIDTH 8
#include "lib/base/match.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"

#define STEPS_MAX 100000u

struct pattern {
    char *text; /* of an exact text or glob */
    pcre2_code *regex;
    bool negative;
};

struct klx_match {
    struct pattern *patterns;
    size_t n;
    size_t positives;
    pcre2_match_context *limits;
    pcre2_match_data *data;
    size_t limit_hits;
    uint64_t hash; /* of the patterns as written */
};

void klx_match_free(struct klx_match *m) {
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        free(m->patterns[i].text);
        pcre2_code_free(m->patterns[i].regex);
    }
    pcre2_match_context_free(m->limits);
    pcre2_match_data_free(m->data);
    free(m->patterns);
    free(m);
}

static int compile(struct klx_sv text, struct pattern *p, struct klx_error *e) {
    if (text.n > 0 && text.p[0] == '!') {
        p->negative = true;
        text = klx_sv_n(text.p + 1, text.n - 1);
    }
    if (text.n == 0) {
        return klx_fail(e, -EINVAL,
                        "an empty pattern matches nothing: leave it out, or write \"*\"");
    }
    if (text.p[0] != '~') {
        p->text = klx_sv_dup(text);
        return 0;
    }
    int code = 0;
    PCRE2_SIZE at = 0;
    p->regex = pcre2_compile((PCRE2_SPTR)(text.p + 1), text.n - 1, PCRE2_NEVER_BACKSLASH_C, &code,
                             &at, NULL);
    if (p->regex == NULL) {
        PCRE2_UCHAR words[160] = "";
        pcre2_get_error_message(code, words, sizeof(words));
        return klx_fail(e, -EINVAL, "pattern \"%.*s\": %s at character %zu", KLX_SV_FMT(text),
                        (char *)words, (size_t)at + 1);
    }
    return 0;
}

int klx_match_new(const struct klx_sv *patterns, size_t n, struct klx_match **ret,
                  struct klx_error *e) {
    struct klx_match *m = klx_alloc(struct klx_match);
    m->patterns = klx_alloc_n(struct pattern, n);
    m->limits = pcre2_match_context_create(NULL);
    m->data = pcre2_match_data_create(1, NULL);
    pcre2_set_match_limit(m->limits, STEPS_MAX);
    pcre2_set_depth_limit(m->limits, STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        m->n++;
        m->hash = klx_hash_seeded(patterns[i], m->hash + i + 1);
        int rc = compile(patterns[i], &m->patterns[i], e);
        if (rc != 0) {
            klx_match_free(m);
            return rc;
        }
        m->positives += !m->patterns[i].negative;
    }
    *ret = m;
    return 0;
}

/* Backtracks only to the last star, so the worst case is the product of the lengths. */
static bool glob(const char *p, struct klx_sv s) {
    const char *star = NULL;
    size_t i = 0, star_at = 0;
    while (i < s.n) {
        if (*p == '*') {
            star = p++;
            star_at = i;
        } else if (*p != '\0' && (*p == '?' || *p == s.p[i])) {
            p++;
            i++;
        } else if (star != NULL) {
            p = star + 1;
            i = ++star_at;
        } else {
            return false;
        }
    }
    while (*p == '*') {
        p++;
    }
    return *p == '\0';
}

static bool test(struct klx_match *m, const struct pattern *p, struct klx_sv text) {
    if (p->regex == NULL) {
        return glob(p->text, text);
    }
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.p != NULL ? text.p : "");
    int rc = pcre2_match(p->regex, subject, text.n, 0, 0, m->data, m->limits);
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT) {
        m->limit_hits++;
    }
    return rc >= 0;
}

bool klx_match_test(const struct klx_match *m, struct klx_sv text) {
    if (m == NULL) {
        return true;
    }
    bool positive = m->positives == 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct pattern *p = &m->patterns[i];
        if ((p->negative || !positive) && test((struct klx_match *)m, p, text)) {
            if (p->negative) {
                return false;
            }
            positive = true;
        }
    }
    return positive;
}

size_t klx_match_literals(const struct klx_match *m, struct klx_sv *ret, size_t max) {
    if (m == NULL || m->positives == 0 || m->positives > max) {
        return 0;
    }
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct pattern *p = &m->patterns[i];
        if (!p->negative && (p->text == NULL || strpbrk(p->text, "*?") != NULL)) {
            return 0;
        }
        if (!p->negative) {
            ret[n++] = klx_sv(p->text);
        }
    }
    return n;
}

uint64_t klx_match_hash(const struct klx_match *m, uint64_t seed) {
    const uint64_t of[] = { m != NULL ? m->hash : 0, seed };
    return klx_hash_seeded(klx_sv_n((const char *)of, sizeof(of)), 0);
}

size_t klx_match_limit_hits(const struct klx_match *m) {
    return m != NULL ? m->limit_hits : 0;
}
