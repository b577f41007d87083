#include "lib/base/url.h"

#include <arpa/inet.h>
#include <stdio.h>

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
