#include "lib/base/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct klx_sv klx_url_host(struct klx_sv authority, struct klx_sv *ret_port) {
    bool brackets = authority.n > 0 && authority.p[0] == '[';
    struct klx_sv rest = authority;
    if (brackets) {
        rest = klx_sv_n(authority.p + 1, authority.n - 1);
    }
    struct klx_sv host = klx_sv_cut(&rest, brackets ? ']' : ':');
    if (brackets && rest.n > 0 && rest.p[0] == ':') {
        rest = klx_sv_n(rest.p + 1, rest.n - 1);
    }
    if (ret_port != NULL) {
        *ret_port = rest;
    }
    return host;
}

bool klx_url_is_loopback(struct klx_sv host) {
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    if (klx_sv_eq_nocase(host, KLX_SV("localhost"))) {
        return true;
    }
    snprintf(text, sizeof(text), "%.*s", KLX_SV_FMT(host));
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_unreserved(unsigned char c) {
    return c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL) && c != '\0';
}

static bool is_of_url(unsigned char c) {
    return is_unreserved(c) || (c != '\0' && strchr("%:/?#[]@!$&()*+,;=", c) != NULL);
}

bool klx_url_is_link(struct klx_sv url) {
    struct klx_sv rest = url;
    if (klx_sv_starts(rest, KLX_SV("https://"))) {
        rest = klx_sv_n(rest.p + 8, rest.n - 8);
    } else if (klx_sv_starts(rest, KLX_SV("http://"))) {
        rest = klx_sv_n(rest.p + 7, rest.n - 7);
    } else {
        return false;
    }
    for (size_t i = 0; i < rest.n; i++) {
        if (!is_of_url((unsigned char)rest.p[i])) {
            return false;
        }
    }
    size_t n = 0;
    while (n < rest.n && strchr("/?#", rest.p[n]) == NULL) {
        n++;
    }
    struct klx_sv authority = klx_sv_n(rest.p, n);
    return url.n <= KLX_URL_LINK_BYTES_MAX && klx_url_host(authority, NULL).n > 0 &&
           klx_sv_find(authority, '@') == authority.n;
}

void klx_url_add_encoded(struct klx_buf *out, struct klx_sv text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (is_unreserved(c)) {
            klx_buf_add_char(out, (char)c);
        } else {
            klx_buf_printf(out, "%%%02X", c);
        }
    }
}
