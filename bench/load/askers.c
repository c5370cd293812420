#include "bench/load/askers.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/spread.h"
#include "core/base/clock.h"

#define FAILED_WAIT_US 20000 /* behind a failure: a server that is gone is not asked in a loop */
#define PATH_BYTES     8192
#define TIMES_MAX      (1u << 22)

struct asker {
	struct askers *a;
	pthread_t thread;
	struct httpc http;
	unsigned no;
	double *ms;
	size_t count, cap;
	uint64_t failed;
	char why[300];
};
struct askers {
	struct askers_opts o;
	struct asker *list;
	uint64_t begin_ns;
	bool stop; /* set by askers_end, read by all */
};

static size_t escape(char *out, size_t cap, const char *s)
{
	size_t n = 0;
	for (; *s && n + 4 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, 4, "%%%02X", c);
	}
	out[n] = 0;
	return n;
}

static void path_of(const struct askers *a, const struct shape *q, char path[PATH_BYTES])
{
	char expr[PATH_BYTES / 2];
	double on = (double)(clock_real_mono_ns() - a->begin_ns) / 1e9 * a->o.speed;
	double end = floor(a->o.end_s + on), step = q->own ? q->step_s : a->o.step_s;
	double start = q->own ? end - q->range_s : end - (a->o.end_s - a->o.start_s);
	escape(expr, sizeof(expr), q->expr);
	if (q->instant)
		snprintf(path, PATH_BYTES, "/api/v1/query?query=%s&time=%.3f", expr, end);
	else
		snprintf(path, PATH_BYTES,
		    "/api/v1/query_range?query=%s&start=%.3f&end=%.3f&step=%.3f", expr, start, end,
		    step);
}

static void keep(struct asker *k, double ms)
{
	if (k->count == TIMES_MAX)
		return;
	if (k->count == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 1024;
		k->ms = mem_array(k->ms, k->cap, sizeof(*k->ms));
	}
	k->ms[k->count++] = ms;
}

static void *asker_main(void *arg)
{
	struct asker *k = arg;
	const struct shapes *s = k->a->o.shapes;
	char path[PATH_BYTES];
	/* Each begins at another query: not all ask the same at once. */
	for (size_t i = k->no; !__atomic_load_n(&k->a->stop, __ATOMIC_RELAXED); i++) {
		size_t off = 0;
		path_of(k->a, &s->list[i % s->count], path);
		uint64_t begin = clock_real_mono_ns();
		int status = httpc_do(&k->http, "GET", path, "", NULL, 0, &off);
		if (status == 200) {
			keep(k, (double)(clock_real_mono_ns() - begin) / 1e6);
			continue;
		}
		if (!k->failed++)
			snprintf(k->why, sizeof(k->why), "%d %.*s: %s", status,
			    status > 0
			        ? (int)(k->http.in.len - off < 120 ? k->http.in.len - off : 120)
			        : 0,
			    status > 0 ? (const char *)k->http.in.data + off : "",
			    s->list[i % s->count].name);
		usleep(FAILED_WAIT_US);
	}
	return NULL;
}

enum err askers_begin(const struct askers_opts *o, struct askers **out, struct errbuf *eb)
{
	struct httpc_url u;
	enum err e = httpc_url_parse(o->url, &u, eb);
	if (!e && (!o->shapes->count || !o->clients))
		e = errbuf_set(eb, ERR_BADDATA, "no query, or no client to ask it");
	if (e)
		return e;
	struct askers *a = mem_zalloc(sizeof(*a));
	a->o = *o;
	a->begin_ns = clock_real_mono_ns();
	a->list = mem_zalloc(o->clients * sizeof(*a->list));
	for (unsigned i = 0; i < o->clients; i++) {
		struct asker *k = &a->list[i];
		k->a = a;
		k->no = i;
		httpc_init(&k->http, &u);
		CHECK(!pthread_create(&k->thread, NULL, asker_main, k));
	}
	*out = a;
	return ERR_OK;
}

void askers_end(struct askers *a, struct asked *out)
{
	double *all = NULL, seconds;
	size_t n = 0;
	*out = (struct asked){ .answers = 0 };
	__atomic_store_n(&a->stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < a->o.clients; i++) {
		struct asker *k = &a->list[i];
		pthread_join(k->thread, NULL);
		out->answers += k->count;
		out->failed += k->failed;
		if (k->failed && !out->why[0])
			memcpy(out->why, k->why, sizeof(out->why));
	}
	seconds = (double)(clock_real_mono_ns() - a->begin_ns) / 1e9;
	all = mem_array(NULL, out->answers + 1, sizeof(*all));
	for (unsigned i = 0; i < a->o.clients; i++) {
		struct asker *k = &a->list[i];
		if (k->count)
			memcpy(all + n, k->ms, k->count * sizeof(*all));
		n += k->count;
		httpc_release(&k->http);
		mem_free(k->ms);
	}
	out->p50_ms = spread_quantile(all, n, 0.5);
	out->p99_ms = spread_quantile(all, n, 0.99);
	out->per_s = n ? (double)n / seconds : NAN;
	mem_free(all);
	mem_free(a->list);
	mem_free(a);
}
