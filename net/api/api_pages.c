#include "net/api/api_pages.h"

#include "net/api/apidoc.h"
#include "net/api/openapi.h"
#include "net/http/asset.h"
#include "net/ui/ui.h"

/* A new version of kymod may say something else: caches ask, and mostly are told 304. */
#define CACHE "no-cache"

struct api_pages {
	struct asset start, graph, doc, openapi_json, openapi_yaml;
	struct ui *ui;
};

static void text_page(struct asset *a, struct buf *b)
{
	asset_init(a, "text/plain; charset=utf-8", CACHE, b);
}

static void start_make(struct asset *a, const struct api_opts *o)
{
	struct buf b;
	const char *at = o->links;
	buf_init(&b);
	buf_printf(&b, "Kymo %s: a metrics database, Remote Write in, PromQL out.\n\n",
	    o->version ? o->version : "");
	buf_printf(&b,
	    "write   POST %s/api/v1/write           Remote Write 1.0 (also .../push, .../receive)\n"
	    "ask     %s/api/v1/query?query=up       and query_range, series, labels, label/<name>/values, metadata: Prometheus' HTTP API\n"
	    "look    this address in a browser; Grafana: a data source of type Prometheus with it\n"
	    "take    %s/api/v1/export?match[]=up    JSON lines (back: POST %s/api/v1/import), %s/federate?match[]=up, remote read: POST %s/api/v1/read\n",
	    at, at, at, at, at, at);
	buf_printf(&b,
	    "watch   %s/metrics  %s/-/healthy  %s/health  %s/-/ready  %s/-/ready?for=write\n", at,
	    at, at, at, at);
	buf_printf(&b,
	    "know    %s/api/v1/status/buildinfo, flags, runtimeinfo, tsdb, active_queries, top_queries\n"
	    "read    %s/api                         all paths with their parameters (%s/api/v1/openapi.json for programs)\n",
	    at, at, at);
	text_page(a, &b);
}

static void graph_make(struct asset *a, const struct api_opts *o)
{
	struct buf b;
	const char *at = o->links;
	buf_init(&b);
	buf_add_str(&b,
	    "A browser sees this expression drawn here; so does Grafana (a data source of type Prometheus\n"
	    "with this server's address). Programs ask the API, whose answers are Prometheus':\n\n");
	buf_printf(&b,
	    "now     %s/api/v1/query?query=EXPRESSION\n"
	    "range   %s/api/v1/query_range?query=EXPRESSION&start=TIME&end=TIME&step=60\n\n"
	    "What else is here: %s/\n",
	    at, at, at);
	text_page(a, &b);
}

static void openapi_make(struct asset *a, const char *type, const struct api_opts *o)
{
	struct buf b;
	buf_init(&b);
	openapi_json(&b, &api_routes, o->links, o->version ? o->version : "");
	asset_init(a, type, CACHE, &b);
}

struct api_pages *api_pages_create(const struct api_opts *o)
{
	struct api_pages *p = mem_zalloc(sizeof(*p));
	struct buf b;
	p->ui = ui_create();
	start_make(&p->start, o);
	graph_make(&p->graph, o);
	buf_init(&b);
	apidoc_html(&b, &api_routes, o->links);
	asset_init(&p->doc, "text/html; charset=utf-8", CACHE, &b);
	openapi_make(&p->openapi_json, "application/json", o);
	openapi_make(&p->openapi_yaml, "application/yaml", o);
	return p;
}

void api_pages_free(struct api_pages *p)
{
	if (!p)
		return;
	asset_release(&p->start);
	asset_release(&p->graph);
	asset_release(&p->doc);
	asset_release(&p->openapi_json);
	asset_release(&p->openapi_yaml);
	ui_free(p->ui);
	mem_free(p);
}

void api_pages_start(struct req *r)
{
	req_reply_asset(r, &api_of(r)->pages->start);
}

void api_pages_graph(struct req *r)
{
	req_reply_asset(r, &api_of(r)->pages->graph);
}

void api_pages_view(struct req *r)
{
	ui_reply_page(api_of(r)->pages->ui, r, 0);
}

void api_pages_help(struct req *r)
{
	ui_reply_page(api_of(r)->pages->ui, r, 1);
}

void api_pages_file(struct req *r)
{
	ui_reply_file(api_of(r)->pages->ui, r);
}

void api_pages_doc(struct req *r)
{
	req_reply_asset(r, &api_of(r)->pages->doc);
}

void api_pages_openapi(struct req *r)
{
	const struct api_pages *p = api_of(r)->pages;
	bool yaml = r->path[r->path_len - 1] == 'l';
	req_reply_asset(r, yaml ? &p->openapi_yaml : &p->openapi_json);
}

void api_pages_favicon(struct req *r)
{
	req_answer_field(r, "cache-control", "max-age=86400");
	req_reply(r, 204, NULL, NULL, 0, REQ_COPY);
}
