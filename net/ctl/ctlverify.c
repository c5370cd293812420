#include "net/ctl/ctlverify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/num.h"
#include "core/model/sample.h"
#include "net/ctl/ctlsame.h"
#include "net/ctl/ctlterm.h"

#define GROUP     20u  /* names of a query */
#define POOL      256u /* places that random queries are drawn from */
#define LEAST_MS  60000
#define TOLERANCE 1e-9
#define CHOICE    64u /* series of which one is read */

struct side {
	struct ctlhttp *http;
	const char *params, *word; /* "source" */
	bool closed;               /* a range has its left end, too */
};
struct spot { /* where samples are */
	char *name;
	size_t sel;
	int64_t from_ms, to_ms;
};
struct check {
	struct ctlverify *v;
	struct side sides[2];
	struct ctlsrc *reads; /* the target by remote read; NULL: not asked yet */
	struct spot pool[POOL];
	uint64_t spots; /* that there were; the pool has some of them */
	uint64_t random;
	struct ctlprog prog;
};

static uint64_t draw(struct check *k, uint64_t below)
{
	uint64_t z = (k->random += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

/* --- asking --- */

/* too_much: the server says so, nothing is told then. *result: the vector. */
static int ask(const struct side *s, const char *query, int64_t at_ms, json_t **result, bool *too_much)
{
	struct buf form;
	char text[32];
	json_t *j = NULL;
	buf_init(&form);
	*result = NULL;
	ctlhttp_param(&form, "query", query);
	text[num_fmt_ts(at_ms, text)] = 0;
	ctlhttp_param(&form, "time", text);
	ctlhttp_param(&form, "nocache", "1");
	if (s->params && *s->params)
		buf_printf(&form, "&%s", s->params);
	struct ctlhttp_call call = { .method = "POST",
		.path = "/api/v1/query",
		.body = form.data,
		.body_len = form.len,
		.keep_trying = true };
	ctlhttp_begin(s->http, &call);
	ctlhttp_wait(s->http, &call);
	int status = CTL_OK;
	if (too_much)
		*too_much = (!call.err && (call.status == 422 || ctlhttp_says_too_much(&call))) ||
		    call.err == ERR_TIMEOUT || call.err == ERR_TOOBIG;
	if (!too_much || !*too_much)
		status = ctlhttp_outcome(&call);
	if (!status && !call.err && call.status < 300) {
		j = json_loadb((const char *)call.answer.data, call.answer.len, JSON_ALLOW_NUL, NULL);
		*result = json_incref(json_object_get(json_object_get(j, "data"), "result"));
		if (!json_is_array(*result))
			status = ctl_fail(CTL_REFUSED, "%s: a query's answer has no result",
			    ctlhttp_server(s->http));
	}
	json_decref(j);
	ctlhttp_call_release(&call);
	buf_release(&form);
	return status;
}

static double value_of(const json_t *element)
{
	const char *text = json_string_value(json_array_get(json_object_get(element, "value"), 1));
	double v;
	return text && !num_parse_float(text, strlen(text), &v) ? v : NAN;
}

/* Has a minute of half minutes three points, or two? */
static int look_at_ranges(struct side *s)
{
	json_t *result;
	int status =
	    ask(s, "count_over_time(vector(1)[1m:30s])", INT64_C(1700000040000), &result, NULL);
	double n = value_of(json_array_get(result, 0));
	if (!status && n != 2 && n != 3)
		status = ctl_fail(CTL_REFUSED, "%s: ranges are read as nothing known here",
		    ctlhttp_server(s->http));
	s->closed = n == 3;
	json_decref(result);
	return status;
}

static void put_range(
    struct buf *q, const struct side *s, const struct ctlsel *sel, int64_t from_ms, int64_t to_ms)
{
	ctlsel_text(q, sel);
	buf_printf(q, "[%" PRId64 "ms]", to_ms - from_ms + !s->closed);
}

/* --- counts --- */

struct group {
	const struct ctlsel *sel;
	const char *const *names;
	size_t count;
	int64_t from_ms, to_ms;
};

static void count_query(struct arena *a, const struct side *s, const struct group *g, struct buf *q)
{
	for (size_t i = 0; i < g->count; i++) {
		struct ctlsel one;
		struct ctlsel_names name = { .names = g->names + i, .count = 1 };
		ctlsel_narrow(a, g->sel, &name, &one);
		buf_printf(q, "%slabel_replace(sum(count_over_time(", i ? " or " : "");
		put_range(q, s, &one, g->from_ms, g->to_ms);
		buf_printf(q, ")),\"n\",\"%zu\",\"\",\"\")", i);
	}
	buf_add_u8(q, 0);
}

/* Adds to counts. */
static int count_group(const struct side *s, const struct group *g, double *counts)
{
	struct arena a;
	struct buf q;
	json_t *result;
	const json_t *e;
	size_t i;
	bool too_much = false;
	arena_init(&a, 4096);
	buf_init(&q);
	count_query(&a, s, g, &q);
	int status = ask(s, (const char *)q.data, g->to_ms, &result, &too_much);
	json_array_foreach(result, i, e)
	{
		const char *n = json_string_value(json_object_get(json_object_get(e, "metric"), "n"));
		size_t at = n ? strtoul(n, NULL, 10) : g->count;
		if (at < g->count)
			counts[at] += value_of(e);
	}
	json_decref(result);
	buf_release(&q);
	arena_release(&a);
	if (status || !too_much)
		return status;
	struct group left = *g, right = *g;
	if (g->count > 1) {
		left.count = g->count / 2;
		right.names += left.count;
		right.count -= left.count;
	} else if (g->to_ms - g->from_ms > LEAST_MS) {
		left.to_ms = g->from_ms + (g->to_ms - g->from_ms) / 2;
		right.from_ms = left.to_ms + 1;
	} else {
		return ctl_fail(CTL_REFUSED, "%s: a minute of %s is too much to count",
		    ctlhttp_server(s->http), g->names[0]);
	}
	status = count_group(s, &left, counts);
	return status ? status : count_group(s, &right, counts + (g->count > 1 ? left.count : 0));
}

static void remember(struct check *k, const struct ctlwalk *w, const char *name)
{
	uint64_t at = k->spots++;
	if (at >= POOL)
		at = draw(k, k->spots);
	if (at >= POOL)
		return;
	struct spot *s = &k->pool[at];
	mem_free(s->name);
	s->name = mem_alloc(strlen(name) + 1);
	memcpy(s->name, name, strlen(name) + 1);
	s->sel = w->sel;
	s->from_ms = w->piece.from_ms;
	s->to_ms = w->piece.to_ms;
}

static void tell_count(
    const struct check *k, const struct group *g, const char *name, double from, double to)
{
	char a[32], b[32];
	if (k->v->differ > CTLVERIFY_LISTED)
		return;
	a[num_fmt_time(g->from_ms, a)] = 0;
	b[num_fmt_time(g->to_ms, b)] = 0;
	ctlterm_print(stdout, name);
	printf(" from %s to %s: %.0f samples at the source, %.0f at the target\n", a, b, from, to);
}

static int compare_counts(struct check *k, const struct ctlwalk *w)
{
	double counts[2][GROUP] = { { 0 }, { 0 } };
	struct group g = { .sel = &k->v->sels[w->sel],
		.names = w->names,
		.count = w->names_count,
		.from_ms = w->piece.from_ms,
		.to_ms = w->piece.to_ms };
	for (size_t i = 0; i < 2; i++) {
		int status = count_group(&k->sides[i], &g, counts[i]);
		if (status)
			return status;
	}
	for (size_t i = 0; i < g.count; i++) {
		k->v->compared++;
		k->v->counted += (uint64_t)counts[0][i];
		if (counts[0][i] > 0)
			remember(k, w, g.names[i]);
		if (counts[0][i] == counts[1][i])
			continue;
		k->v->differ++;
		tell_count(k, &g, g.names[i], counts[0][i], counts[1][i]);
	}
	return CTL_OK;
}

static int all_counts(struct check *k)
{
	struct ctlverify *v = k->v;
	struct ctlwalk w;
	bool more;
	int status;
	ctlwalk_open(&w,
	    &(struct ctlwalk_opts){ .http = v->from,
	        .sels = v->sels,
	        .sels_count = v->sels_count,
	        .from_ms = v->from_ms,
	        .to_ms = v->to_ms,
	        .window_ms = v->window_ms,
	        .group = GROUP,
	        .group_max = GROUP,
	        .names_ms = CTLWALK_NAMES_MS,
	        .partial = v->partial },
	    NULL);
	while (!(status = ctlwalk_next(&w, &more)) && more && !status) {
		status = compare_counts(k, &w);
		if (status)
			break;
		ctlwalk_done(&w, 0);
		ctlprog_tell(&k->prog, (double)v->counted);
	}
	ctlwalk_close(&w);
	return status;
}

/* --- queries --- */

static const struct {
	const char *head, *tail;
	bool adds; /* values, which are of both signs perhaps */
} shapes[] = {
	{ "count%s(count_over_time(", "))", false }, /* these two of histograms, too */
	{ "sum%s(count_over_time(", "))", false },
	{ "max%s(max_over_time(", "))", false },
	{ "min%s(min_over_time(", "))", false },
	{ "sum%s(sum_over_time(", "))", true },
	{ "sum%s(last_over_time(", "))", true },
	{ "quantile%s(0.9, max_over_time(", "))", false },
};

/* A label that the series of the spot have, or none. */
static int some_label(
    struct check *k, const struct ctlsel *sel, const struct spot *spot, char *out, size_t size)
{
	struct buf form, text;
	json_t *labels;
	char number[32];
	buf_init(&form);
	buf_init(&text);
	ctlsel_text(&text, sel);
	ctlhttp_param_len(&form, "match[]", (const char *)text.data, text.len);
	number[num_fmt_ts(spot->from_ms, number)] = 0;
	ctlhttp_param(&form, "start", number);
	number[num_fmt_ts(spot->to_ms, number)] = 0;
	ctlhttp_param(&form, "end", number);
	int status = ctlwalk_json(k->v->from, "/api/v1/labels", &form, true, &labels);
	size_t n = json_array_size(labels);
	const char *label = n ? json_string_value(json_array_get(labels, draw(k, n))) : NULL;
	bool good =
	    label && strcmp(label, "__name__") != 0 && label_name_is_classic(label, strlen(label));
	snprintf(out, size, good ? " by (%s) " : "%s", good ? label : "");
	json_decref(labels);
	buf_release(&form);
	buf_release(&text);
	return status;
}

/* size: of what both are the sums of, which may be near zero themselves; 0 = not known. */
static bool close_to(double a, double b, double size)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return a == b || fabs(a - b) <= TOLERANCE * fmax(fmax(fabs(a), fabs(b)), size);
}

/* Elements of an answer by their labels: there may be a hundred thousand. */
static json_t *by_labels(const json_t *result)
{
	json_t *all = json_object(), *e;
	size_t i;
	json_array_foreach(result, i, e)
	{
		char *key = json_dumps(
		    json_object_get(e, "metric"), JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
		json_object_set(all, key ? key : "", e);
		free(key);
	}
	return all;
}

/* Each element of a has its like in b. sizes: of what was summed, NULL or as a. */
static bool same(const json_t *a, const json_t *b, const json_t *sizes)
{
	json_t *left = by_labels(a), *right = by_labels(b), *of = by_labels(sizes), *x;
	const char *key;
	bool yes = json_array_size(a) == json_array_size(b) &&
	    json_object_size(left) == json_object_size(right);
	json_object_foreach(left, key, x)
	{
		const json_t *y = json_object_get(right, key), *size = json_object_get(of, key);
		yes = yes && y && close_to(value_of(x), value_of(y), size ? value_of(size) : 0);
	}
	json_decref(left);
	json_decref(right);
	json_decref(of);
	return yes;
}

static void tell_query(struct check *k, const struct buf *q, int64_t at_ms, json_t *const results[2])
{
	char at[32];
	k->v->asked_differ++;
	if (k->v->asked_differ > CTLVERIFY_LISTED)
		return;
	at[num_fmt_time(at_ms, at)] = 0;
	ctlterm_print(stdout, (const char *)q->data);
	printf(" at %s: ", at);
	for (size_t i = 0; i < 2; i++) {
		const json_t *value = json_object_get(json_array_get(results[i], 0), "value");
		const char *text = json_string_value(json_array_get(value, 1));
		printf("%s%zu series, first ", i ? "; target " : "source ",
		    json_array_size(results[i]));
		ctlterm_print(stdout, text ? text : "(none)");
	}
	printf("\n");
}

/* Of native histograms counts alone are compared: old servers read other things into them. */
static int has_hists(
    struct check *k, const struct ctlsel *sel, int64_t from_ms, int64_t to_ms, bool *has)
{
	struct buf q;
	json_t *result;
	bool too_much;
	buf_init(&q);
	buf_add_str(&q, "count(histogram_count(last_over_time(");
	put_range(&q, &k->sides[1], sel, from_ms, to_ms);
	buf_add_str(&q, ")))");
	buf_add_u8(&q, 0);
	int status = ask(&k->sides[1], (const char *)q.data, to_ms, &result, &too_much);
	*has = json_array_size(result) > 0;
	json_decref(result);
	buf_release(&q);
	return status;
}

/*
 * How large a sum could be: two servers that add large values of both signs in another order differ
 * by a part of that, not of what is left. Asked of the target when sums differ.
 */
static int ask_sizes(struct check *k, const struct ctlsel *sel, const char *by, int64_t from_ms,
    int64_t to_ms, json_t **sizes)
{
	static const char *const parts[] = { "(count_over_time(", ") * (abs(max_over_time(",
		")) + abs(min_over_time(" };
	struct buf q;
	bool too_much;
	buf_init(&q);
	buf_printf(&q, "sum%s", by);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		buf_add_str(&q, parts[i]);
		put_range(&q, &k->sides[1], sel, from_ms, to_ms);
	}
	buf_add_str(&q, "))))");
	buf_add_u8(&q, 0);
	int status = ask(&k->sides[1], (const char *)q.data, to_ms, sizes, &too_much);
	buf_release(&q);
	return status;
}

/* One of the first series that the source gives; *out is empty when it gives none. */
static int some_series(
    struct check *k, struct arena *a, const struct ctlsrc_piece *piece, struct labels *out)
{
	struct ctlsrc_item item;
	uint64_t n = 0;
	*out = (struct labels){ 0 };
	ctlsrc_begin(k->v->reads, piece);
	enum ctlsrc_got got = CTLSRC_ITEM;
	while (n < CHOICE && (got = ctlsrc_next(k->v->reads, &item)) == CTLSRC_ITEM)
		if (!draw(k, ++n))
			*out = (struct labels){
				.bytes = memcpy(arena_alloc(a, item.labels.len), item.labels.bytes,
				    item.labels.len),
				.len = item.labels.len,
			};
	return got == CTLSRC_FAILED ? ctlsrc_tell(k->v->reads) : CTL_OK;
}

/* All samples of a series in a part of the spot, of both sides. */
static int one_series(struct check *k, const struct ctlsel *sel, int64_t from_ms, int64_t to_ms)
{
	struct arena a;
	struct labels ls;
	struct column from = { 0 }, to = { 0 };
	struct ctlsrc_opts o = { .http = k->v->to, .way = CTLSRC_READ };
	struct ctlsrc_piece piece = { .sel = sel, .from_ms = from_ms, .to_ms = to_ms };
	arena_init(&a, 1024);
	int status = k->reads ? CTL_OK : ctlsrc_open(&o, &k->reads);
	if (!status)
		status = some_series(k, &a, &piece, &ls);
	bool any = !status && ls.len;
	if (any)
		status = ctlsame_read(k->v->reads, ls, from_ms, to_ms, &from);
	if (any && !status)
		status = ctlsame_read(k->reads, ls, from_ms, to_ms, &to);
	k->v->asked += any && !status;
	if (any && !status && (from.count != to.count || !ctlsame_within(&from, &to))) {
		char begin[32], end[32];
		struct buf text;
		buf_init(&text);
		label_text_metric(&text, ls);
		buf_add_u8(&text, 0);
		begin[num_fmt_time(from_ms, begin)] = 0;
		end[num_fmt_time(to_ms, end)] = 0;
		if (++k->v->asked_differ <= CTLVERIFY_LISTED) {
			ctlterm_print(stdout, (const char *)text.data);
			printf(" from %s to %s: samples differ (%u at the source, %u at the target)\n",
			    begin, end, from.count, to.count);
		}
		buf_release(&text);
	}
	column_release(&from);
	column_release(&to);
	arena_release(&a);
	return status;
}

static int one_query(struct check *k)
{
	struct spot *spot = &k->pool[draw(k, k->spots < POOL ? k->spots : POOL)];
	struct arena a;
	struct ctlsel sel;
	struct buf q;
	char by[256];
	json_t *results[2] = { NULL, NULL };
	bool too_much = false;
	arena_init(&a, 1024);
	buf_init(&q);
	const char *const names[] = { spot->name };
	ctlsel_narrow(&a, &k->v->sels[spot->sel], &(struct ctlsel_names){ names, 1 }, &sel);
	int64_t width = spot->to_ms - spot->from_ms + 1;
	int64_t part = 1 + (int64_t)draw(k, (uint64_t)width),
	        from = spot->from_ms + (int64_t)draw(k, (uint64_t)(width - part + 1)),
	        to = from + part - 1 + (part == 1);
	size_t shape = draw(k, COUNT_OF(shapes));
	bool hists = false;
	int status = some_label(k, &sel, spot, by, sizeof(by));
	if (!status)
		status = has_hists(k, &sel, from, to, &hists);
	if (hists)
		shape = draw(k, 2);
	if (!status && hists && k->v->reads && draw(k, 2)) {
		status = one_series(k, &sel, from, to);
		buf_release(&q);
		arena_release(&a);
		return status;
	}
	for (size_t i = 0; !status && !too_much && i < 2; i++) {
		const char *head = shapes[shape].head, *mark = strstr(head, "%s");
		buf_clear(&q);
		buf_add(&q, head, (size_t)(mark - head));
		buf_add_str(&q, by);
		buf_add_str(&q, mark + 2);
		put_range(&q, &k->sides[i], &sel, from, to);
		buf_add_str(&q, shapes[shape].tail);
		buf_add_u8(&q, 0);
		status = ask(&k->sides[i], (const char *)q.data, to, &results[i], &too_much);
	}
	bool differ = !status && !too_much && !same(results[0], results[1], NULL);
	if (differ && shapes[shape].adds) {
		json_t *sizes;
		status = ask_sizes(k, &sel, by, from, to, &sizes);
		differ = !status && !same(results[0], results[1], sizes);
		json_decref(sizes);
	}
	k->v->asked += !status && !too_much;
	if (differ)
		tell_query(k, &q, to, results);
	json_decref(results[0]);
	json_decref(results[1]);
	buf_release(&q);
	arena_release(&a);
	return status;
}

/* --- all of it --- */

int ctlverify_run(struct ctlverify *v)
{
	struct check *k = mem_zalloc(sizeof(*k));
	k->v = v;
	k->random = v->seed;
	k->sides[0] = (struct side){ .http = v->from, .params = v->params, .word = "source" };
	k->sides[1] = (struct side){ .http = v->to, .word = "target" };
	ctlprog_begin(&k->prog, "samples compared", 0, 0, v->quiet);
	int status = look_at_ranges(&k->sides[0]);
	if (!status)
		status = look_at_ranges(&k->sides[1]);
	if (!status)
		status = all_counts(k);
	for (unsigned i = 0; !status && k->spots && i < v->queries; i++)
		status = ctl_stopped() ? ctl_fail(CTL_INTERRUPTED, "interrupted") : one_query(k);
	k->prog.done = (double)v->counted;
	snprintf(k->prog.more, sizeof(k->prog.more),
	    "%" PRIu64 " counts, %" PRIu64 " differ; %u queries, %u differ", v->compared, v->differ,
	    v->asked, v->asked_differ);
	if (!v->quiet && !status)
		ctlprog_end(&k->prog);
	for (size_t i = 0; i < POOL; i++)
		mem_free(k->pool[i].name);
	ctlsrc_close(k->reads);
	mem_free(k);
	if (status)
		return status;
	if (v->differ > CTLVERIFY_LISTED)
		printf("and %" PRIu64 " more counts\n", v->differ - CTLVERIFY_LISTED);
	return v->differ || v->asked_differ ? CTL_NO : CTL_OK;
}
