/* RFC 3927 and RFC 4291 for link-local; metadata services by the manuals of AWS (IPv6), Alibaba
 * Cloud and Azure; 169.254.169.254 is link-local already. */
#include "lib/enrich/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static bool v4_is_internal(uint32_t a)
{
    return (a & 0xffff0000u) == 0xa9fe0000u || /* 169.254/16 */
           a == 0x646464c8u ||                 /* 100.100.100.200 */
           a == 0xa83f8110u;                   /* 168.63.129.16 */
}

static bool v6_is_internal(const struct in6_addr *a)
{
    static const unsigned char aws[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        uint32_t v4;
        memcpy(&v4, a->s6_addr + 12, sizeof v4);
        return v4_is_internal(ntohl(v4));
    }
    return IN6_IS_ADDR_LINKLOCAL(a) || memcmp(a->s6_addr, aws, sizeof aws) == 0;
}

bool address_is_internal(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof in);
        return v4_is_internal(ntohl(in.sin_addr.s_addr));
    }
    if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, addr, sizeof in);
        return v6_is_internal(&in.sin6_addr);
    }
    return true; /* nothing else is an HTTP server */
}

bool address_host_is_internal(const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char inside[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        return address_is_internal((const struct sockaddr *)&v4);
    size_t n = strlen(host);
    if (n < 2 || host[0] != '[' || n - 2 >= sizeof inside)
        return false;
    memcpy(inside, host + 1, n - 2);
    inside[n - 2] = '\0';
    inside[strcspn(inside, "%")] = '\0';
    return inet_pton(AF_INET6, inside, &v6.sin6_addr) == 1 &&
           address_is_internal((const struct sockaddr *)&v6);
}
