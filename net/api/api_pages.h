/*
 * api_pages - what people and tools read about this server: the web page (net/ui), the texts at /
 * and /graph for who is no browser, the API's documentation at /api and, for programs, as OpenAPI.
 * All of them are made once, at the start, the latter from the table of routes, and say the paths
 * that clients see (api_opts.links).
 * Thread: api_pages_create and _free: the main thread; the handlers: the loop of the request.
 */
#ifndef NET_API_API_PAGES_H
#define NET_API_API_PAGES_H

#include "net/api/api.h"

struct api_pages;
struct api_pages *api_pages_create(const struct api_opts *o);
void api_pages_free(struct api_pages *p);

void api_pages_start(struct req *r); /* / */
void api_pages_graph(struct req *r); /* where links of Grafana, Prometheus and Alertmanager lead */
void api_pages_view(struct req *r);  /* the web page, at the paths of its views */
void api_pages_help(struct req *r);  /* the same at /help/<page> */
void api_pages_file(struct req *r);  /* its files, below /ui/ */
void api_pages_doc(struct req *r);   /* /api */
void api_pages_openapi(struct req *r); /* /api/v1/openapi.json, .yaml */
void api_pages_favicon(struct req *r); /* browsers ask for it; there is none */

#endif
