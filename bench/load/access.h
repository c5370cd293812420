/*
 * access - how kymobench gets in: TLS and whom it believes, fields that each request carries, a
 * token, a tenant. For the whole process; what several servers are told is the same.
 *
 * Thread: access_use before there are others. Memory: texts are those of the command line.
 */
#ifndef BENCH_LOAD_ACCESS_H
#define BENCH_LOAD_ACCESS_H

#include "bench/load/cmd.h"
#include "core/base/err.h"

#define ACCESS_HEADERS_MAX 4096
struct access {
	const char *ca, *token_file, *tenant;
	bool insecure;
	char headers[ACCESS_HEADERS_MAX]; /* "name: value\r\n" each */
};
bool access_add_header(void *arg, const char *value); /* "name: value"; of struct access */
/* Rows for cmd_parse. */
#define ACCESS_ARGS(a)                                                                             \
 { .name = "ca",                                                                                   \
	 .meta = "FILE",                                                                           \
	 .help = "certificates to believe, for https (those of the system)",                       \
	 .text = &(a).ca },                                                                        \
     { .name = "insecure", .help = "believe any certificate, for https", .flag = &(a).insecure },  \
     { .name = "header",                                                                           \
	     .meta = "\"NAME: VALUE\"",                                                            \
	     .help = "field of each request, may be repeated",                                     \
	     .each = access_add_header,                                                            \
	     .arg = &(a) },                                                                        \
     { .name = "token-file",                                                                       \
	     .meta = "FILE",                                                                       \
	     .help = "file with the bearer token of each request",                                 \
	     .text = &(a).token_file },                                                            \
 {                                                                                                 \
  .name = "tenant", .meta = "NAME", .help = "X-Scope-OrgID of each request", .text = &(a).tenant   \
 }

MUST_CHECK enum err access_use(struct access *a, struct errbuf *eb);
/* For httpc. */
struct ssl_ctx_st;
struct ssl_ctx_st *access_tls(void); /* NULL without access_use */
bool access_insecure(void);
const char *access_headers(void);

#endif
