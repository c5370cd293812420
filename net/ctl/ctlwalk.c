#include "net/ctl/ctlwalk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/num.h"

#define GROUP_MAX   1024u /* names in a piece */
#define GROUP_BYTES 6000u /* of their text: servers take queries of 16 KiB */
#define LEAST_MS    60000 /* of a window's part */
#define SLICE_MS    (30 * CTLWALK_DAY_MS)
#define OLDEST_MS   INT64_C(1199145600000) /* 2008 */
#define WAIT_MAX_MS 30000u
#define QUERY       "/api/v1/query"

/* --- requests --- */

/*
 * As ctlwalk_json; *answer is all of it. too_much (may be NULL): the server says so, nothing is
 * told then. NULL without a failure or that: the server has no queries.
 */
static int ask(struct ctlhttp *http, const char *path, const struct buf *form, bool keep_trying,
    json_t **answer, bool *too_much)
{
	struct ctlhttp_call call = { .method = "POST", .path = path, .keep_trying = keep_trying };
	struct buf whole;
	json_error_t error;
	buf_init(&whole);
	*answer = NULL;
	bool get = strstr(path, "/label/") != NULL; /* which takes no POST */
	if (get) {
		buf_printf(&whole, "%s?%.*s", path, (int)form->len, (const char *)form->data);
		buf_add_u8(&whole, 0);
		call.method = "GET";
		call.path = (const char *)whole.data;
	} else {
		call.body = form->data;
		call.body_len = form->len;
	}
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	/* a query that takes too long is too much, and one that cannot be asked tells nothing */
	bool query = !strcmp(path, QUERY), late = query && call.err == ERR_TIMEOUT;
	bool none = query && !call.err && (call.status == 404 || call.status == 405);
	bool refused = too_much && (ctlhttp_says_too_much(&call) || late || none);
	if (too_much)
		*too_much = refused && !none;
	int status = refused ? CTL_OK : ctlhttp_outcome(&call);
	if (!status && !refused)
		*answer = json_loadb(
		    (const char *)call.answer.data, call.answer.len, JSON_ALLOW_NUL, &error);
	if (!status && !refused && !*answer)
		status = ctl_fail(CTL_REFUSED, "%s%s: the answer is no JSON: %s",
		    ctlhttp_server(http), path, error.text);
	ctlhttp_call_release(&call);
	buf_release(&whole);
	return status;
}

int ctlwalk_json(
    struct ctlhttp *http, const char *path, const struct buf *form, bool keep_trying, json_t **data)
{
	json_t *answer;
	int status = ask(http, path, form, keep_trying, &answer, NULL);
	*data = json_incref(json_object_get(answer, "data"));
	json_decref(answer);
	return status;
}

/* Thanos tells stores that are away in warnings, a cluster of VictoriaMetrics in isPartial. */
static int check_whole(struct ctlhttp *http, const json_t *answer, const char *what)
{
	const char *warning =
	    json_string_value(json_array_get(json_object_get(answer, "warnings"), 0));
	if (!warning && !json_is_true(json_object_get(answer, "isPartial")))
		return CTL_OK;
	return ctl_fail(CTL_REFUSED, "%s: the %s is perhaps not whole: %s", ctlhttp_server(http),
	    what, warning ? warning : "isPartial");
}

/* Is it a list of names, and of all of them? null is a list of none (of Go). */
static int check_names(struct ctlhttp *http, const json_t *answer, bool partial)
{
	const json_t *data = json_object_get(answer, "data"), *name;
	size_t i;
	if (!json_is_array(data) && !json_is_null(data))
		return ctl_fail(
		    CTL_REFUSED, "%s: the answer has no list of names", ctlhttp_server(http));
	json_array_foreach(data, i, name)
	{
		if (!json_is_string(name))
			return ctl_fail(
			    CTL_REFUSED, "%s: a name of a metric is no text", ctlhttp_server(http));
	}
	return partial ? CTL_OK : check_whole(http, answer, "list of names");
}

struct names_asked {
	const struct ctlsel *sel; /* NULL: whatever there is */
	int64_t from_ms, to_ms;
	unsigned limit; /* 0: all */
	bool keep_trying;
	bool partial; /* they need not be all; of those with a limit nobody says so */
};
/* The answer is an array, or NULL: none. */
static int ask_names(struct ctlhttp *http, const struct names_asked *n, json_t **out, bool *too_much)
{
	struct buf form, text;
	char number[32];
	json_t *answer;
	buf_init(&form);
	buf_init(&text);
	if (n->sel) {
		ctlsel_text(&text, n->sel);
		ctlhttp_param_len(&form, "match[]", (const char *)text.data, text.len);
	}
	number[num_fmt_ts(n->from_ms, number)] = 0;
	ctlhttp_param(&form, "start", number);
	number[num_fmt_ts(n->to_ms, number)] = 0;
	ctlhttp_param(&form, "end", number);
	if (n->limit) {
		snprintf(number, sizeof(number), "%u", n->limit);
		ctlhttp_param(&form, "limit", number);
	}
	int status =
	    ask(http, "/api/v1/label/__name__/values", &form, n->keep_trying, &answer, too_much);
	if (!status && answer)
		status = check_names(http, answer, n->limit || n->partial);
	*out = status ? NULL : json_incref(json_object_get(answer, "data"));
	json_decref(answer);
	buf_release(&form);
	buf_release(&text);
	return status;
}

/* Samples of one selector: whoever says that it is too much is asked for halves. */
static int any_samples(struct ctlhttp *http, const struct names_asked *n, bool *any)
{
	struct buf form, q;
	char number[32];
	json_t *answer;
	bool too_much;
	if (ctl_stopped())
		return ctl_fail(CTL_INTERRUPTED, "interrupted, the same command goes on");
	buf_init(&form);
	buf_init(&q);
	buf_add_str(&q, "count(count_over_time(");
	ctlsel_text(&q, n->sel);
	/* where ranges are closed one millisecond more is asked for */
	buf_printf(&q, "[%" PRId64 "ms]))", n->to_ms - n->from_ms + 1);
	ctlhttp_param_len(&form, "query", (const char *)q.data, q.len);
	number[num_fmt_ts(n->to_ms, number)] = 0;
	ctlhttp_param(&form, "time", number);
	int status = ask(http, QUERY, &form, n->keep_trying, &answer, &too_much);
	buf_release(&form);
	buf_release(&q);
	const json_t *result = json_object_get(json_object_get(answer, "data"), "result");
	*any = json_array_size(result) > 0;
	if (!status && answer && !*any && !n->partial)
		status = check_whole(http, answer, "count of samples");
	json_decref(answer);
	if (status || !too_much)
		return status;
	*any = n->to_ms - n->from_ms < LEAST_MS;
	for (unsigned i = 0; !status && !*any && i < 2; i++) {
		struct names_asked half = *n;
		half.to_ms = i ? n->to_ms : n->from_ms + (n->to_ms - n->from_ms) / 2;
		half.from_ms = i ? n->from_ms + (n->to_ms - n->from_ms) / 2 + 1 : n->from_ms;
		status = any_samples(http, &half, any);
	}
	return status;
}

/* Is anything there, of a selector at least? Believed when it is a yes. */
static int anything(
    struct ctlhttp *http, const struct ctlsel *sels, size_t count, struct names_asked n, bool *any)
{
	*any = false;
	for (size_t i = 0; !*any && i < count; i++) {
		json_t *names;
		bool too_much;
		n.sel = &sels[i];
		n.limit = 1;
		int status = ask_names(http, &n, &names, &too_much);
		*any = too_much || json_array_size(names) > 0;
		json_decref(names);
		if (!status && !*any)
			status = any_samples(http, &n, any);
		if (status)
			return status;
	}
	return CTL_OK;
}

/*
 * Names of a selector. Some (VictoriaMetrics: -search.maxLabelsAPISeries) look through series where
 * there is a selector, and refuse that if there are too many of them: names that it does not have
 * cost a request that gives nothing, so all are taken then.
 */
static int all_names(struct ctlhttp *http, const struct names_asked *n, json_t **names)
{
	bool too_much;
	int status = ask_names(http, n, names, &too_much);
	if (status || !too_much)
		return status;
	json_decref(*names);
	struct names_asked whole = *n;
	whole.sel = NULL;
	return ask_names(http, &whole, names, NULL);
}

/*
 * The list of a range says that there are none. If there are samples, how long a part of it at
 * their place has names? Its length, 0: no such part.
 */
static int seen_length(struct ctlhttp *http, struct names_asked n, int64_t *seen_ms)
{
	json_t *names;
	bool any;
	*seen_ms = 0;
	int status = any_samples(http, &n, &any);
	for (int64_t ms = (n.to_ms - n.from_ms + 1) / 2; !status && any && ms >= LEAST_MS; ms /= 2) {
		bool left;
		n.to_ms = n.from_ms + ms - 1;
		status = any_samples(http, &n, &left);
		if (!left) {
			n.from_ms += ms;
			n.to_ms += ms;
		}
		if (status || (status = all_names(http, &n, &names)))
			return status;
		bool found = json_array_size(names) > 0;
		json_decref(names);
		if (found) {
			*seen_ms = ms;
			return CTL_OK;
		}
	}
	return status;
}

int ctlwalk_first(
    struct ctlhttp *http, const struct ctlsel *sels, size_t count, int64_t to_ms, int64_t *first_ms)
{
	int64_t from_ms = OLDEST_MS;
	bool any = false;
	for (; from_ms <= to_ms; from_ms += SLICE_MS) {
		struct names_asked n = { .from_ms = from_ms, .to_ms = from_ms + SLICE_MS - 1 };
		int status = anything(http, sels, count, n, &any);
		if (status)
			return status;
		if (any)
			break;
	}
	*first_ms = any ? from_ms : INT64_MAX;
	return CTL_OK;
}

/* --- windows --- */

static int64_t floor_to(int64_t t, int64_t width)
{
	int64_t down = t / width * width;
	return down > t ? down - width : down;
}

static void window_of(struct ctlwalk *w, int64_t at_ms)
{
	const struct ctlwalk_opts *o = &w->_o;
	w->window_from_ms = at_ms;
	w->window_to_ms = o->to_ms;
	if (o->window_ms) {
		int64_t end = num_sat_add(floor_to(at_ms, o->window_ms), o->window_ms - 1);
		w->window_to_ms = end < o->to_ms ? end : o->to_ms;
	}
	w->_next_ms = num_sat_add(w->window_to_ms, 1);
	w->windows_done = o->window_ms
	    ? (uint64_t)(floor_to(at_ms, o->window_ms) - floor_to(o->from_ms, o->window_ms)) /
	        (uint64_t)o->window_ms
	    : 0;
}

static int by_bytes(const void *x, const void *y)
{
	const char *const *a = x, *const *b = y;
	return strcmp(*a, *b);
}

/* Adds the names of the window's part from n->from_ms on, and moves it behind that part. */
static int list_part(struct ctlwalk *w, struct names_asked *n, json_t *all)
{
	json_t *names;
	const json_t *name;
	size_t i;
	int64_t seen_ms = 0;
	n->to_ms = w->window_to_ms;
	if (w->_names_ms && n->to_ms - n->from_ms >= w->_names_ms)
		n->to_ms = n->from_ms + w->_names_ms - 1;
	n->keep_trying = w->_begun;
	int status = all_names(w->_o.http, n, &names);
	if (!status && w->_names_ms && !json_array_size(names))
		status = seen_length(w->_o.http, *n, &seen_ms);
	if (status) {
		json_decref(names);
		return status;
	}
	w->_begun = true;
	json_array_foreach(names, i, name)
	{
		const char *s = json_string_value(name);
		if (s && *s && strlen(s) == json_string_length(name))
			json_object_set_new_nocheck(all, s, json_null());
	}
	json_decref(names);
	if (!seen_ms) {
		n->from_ms = num_sat_add(n->to_ms, 1);
		return CTL_OK;
	}
	w->_names_ms = seen_ms;
	ctl_note("%s: lists of names are cut without a word; they are asked for by %" PRId64 " s",
	    ctlhttp_server(w->_o.http), seen_ms / 1000);
	return CTL_OK;
}

/* The names of the selector at hand, those that are done left out. */
static int list(struct ctlwalk *w)
{
	json_t *all = json_object(), *unused;
	const char *name;
	size_t count = 0;
	struct names_asked n = {
		.sel = &w->_o.sels[w->sel], .from_ms = w->window_from_ms, .partial = w->_o.partial
	};
	int status = CTL_OK;
	while (!status && n.from_ms <= w->window_to_ms && n.from_ms < INT64_MAX)
		status = list_part(w, &n, all);
	if (status) {
		json_decref(all);
		return status;
	}
	w->_names = arena_array(&w->_arena, json_object_size(all) + 1, sizeof(*w->_names));
	json_object_foreach(all, name, unused)
	{
		w->_names[count++] = arena_strndup(&w->_arena, name, strlen(name));
	}
	json_decref(all);
	if (count)
		qsort(w->_names, count, sizeof(*w->_names), by_bytes);
	w->names_all = count;
	w->name_at = 0;
	while (w->_after && w->sel == w->_after_sel && w->name_at < count &&
	    strcmp(w->_names[w->name_at], w->_after) <= 0)
		w->name_at++;
	w->_open = true;
	w->_sub_ms = 0;
	w->_whole = !w->_o.group && !w->name_at;
	return CTL_OK;
}

/* Are there names in the month that begins here? If not, it is quiet. */
static int look_ahead(struct ctlwalk *w)
{
	bool any;
	int64_t to = num_sat_add(w->window_from_ms, SLICE_MS - 1);
	if (!w->_o.window_ms || w->_o.window_ms > SLICE_MS / 4 || w->window_from_ms <= w->_quiet_to_ms)
		return CTL_OK;
	to = to < w->_o.to_ms ? to : w->_o.to_ms;
	struct names_asked n = { .from_ms = w->window_from_ms,
		.to_ms = to,
		.keep_trying = w->_begun,
		.partial = w->_o.partial };
	int status = anything(w->_o.http, w->_o.sels, w->_o.sels_count, n, &any);
	if (!status && !any)
		w->_quiet_to_ms = to;
	return status;
}

static void next_window(struct ctlwalk *w)
{
	mem_free(w->_after);
	w->_after = NULL;
	arena_reset(&w->_arena, 1u << 20);
	w->_open = false;
	w->sel = 0;
	w->_most = w->_o.group_max && w->_o.group_max < GROUP_MAX ? w->_o.group_max : GROUP_MAX;
	if (w->_next_ms > w->_o.to_ms || w->_next_ms == INT64_MAX) {
		w->_sure = true;
		return;
	}
	window_of(w, w->_next_ms);
}

/* --- pieces --- */

static void make(struct ctlwalk *w)
{
	size_t n = 0, bytes = 0;
	arena_reset(&w->_piece, 1u << 20);
	if (w->_whole) {
		n = w->names_all;
		w->names_count = 0;
	} else {
		while (w->name_at + n < w->names_all && n < w->_group && (!n || bytes < GROUP_BYTES))
			bytes += ctlsel_name_bytes(w->_names[w->name_at + n++]);
		w->names_count = n;
	}
	w->names = w->_names + w->name_at;
	struct ctlsel_names names = { .names = w->names, .count = w->names_count };
	ctlsel_narrow(&w->_piece, &w->_o.sels[w->sel], &names, &w->_narrow);
	w->piece = (struct ctlsrc_piece){
		.sel = &w->_narrow, .from_ms = w->window_from_ms, .to_ms = w->window_to_ms
	};
	if (w->_sub_ms) {
		w->piece.from_ms = w->_sub_from_ms;
		int64_t end = num_sat_add(w->_sub_from_ms, w->_sub_ms - 1);
		w->piece.to_ms = end < w->window_to_ms ? end : w->window_to_ms;
	}
	bool last_name = w->name_at + n >= w->names_all && w->sel + 1 == w->_o.sels_count;
	w->window_ends = last_name && w->piece.to_ms == w->window_to_ms;
}

int ctlwalk_next(struct ctlwalk *w, bool *more)
{
	*more = false;
	for (;;) {
		int status = CTL_OK;
		if (ctl_stopped())
			return ctl_fail(CTL_INTERRUPTED, "interrupted, the same command goes on");
		if (w->_sure)
			return CTL_OK;
		if (!w->_open)
			status = look_ahead(w);
		if (!status && !w->_open && w->window_to_ms <= w->_quiet_to_ms) {
			next_window(w);
			continue;
		}
		if (!status && !w->_open)
			status = list(w);
		if (status)
			return status;
		if (w->name_at < w->names_all) {
			make(w);
			*more = true;
			return CTL_OK;
		}
		w->_open = false;
		if (++w->sel >= w->_o.sels_count)
			next_window(w);
	}
}

void ctlwalk_done(struct ctlwalk *w, uint64_t samples)
{
	w->_tries = 0;
	if (w->_sub_ms && w->piece.to_ms < w->window_to_ms) {
		w->_sub_from_ms = w->piece.to_ms + 1;
		return;
	}
	w->_sub_ms = 0;
	w->name_at += w->_whole ? w->names_all : w->names_count;
	if (samples < w->_o.samples / 2 && 2 * w->_group <= w->_most)
		w->_group *= 2;
	else if (samples > 2 * w->_o.samples && w->_group > 1)
		w->_group /= 2;
}

/* A smaller piece; false: it is as small as can be. */
static bool shrink(struct ctlwalk *w)
{
	if (w->_whole) {
		w->_whole = false;
		w->_group = w->names_all > 8 ? w->names_all / 4 : 1;
		w->_group = w->_group < w->_most ? w->_group : w->_most;
		return true;
	}
	if (w->names_count > 1) {
		w->_group = w->_most = w->names_count / 2;
		return true;
	}
	int64_t now = w->piece.to_ms - w->piece.from_ms + 1;
	if (now < 2 * LEAST_MS)
		return false;
	w->_sub_from_ms = w->piece.from_ms;
	w->_sub_ms = (now + 1) / 2;
	return true;
}

int ctlwalk_again(struct ctlwalk *w, enum ctlsrc_got got)
{
	struct ctlsrc *src = w->_o.src;
	if (got == CTLSRC_FAILED)
		return ctlsrc_tell(src);
	if (got == CTLSRC_SMALLER && shrink(w)) {
		w->_tries = 0;
		return CTL_OK;
	}
	if (got == CTLSRC_SMALLER || ++w->_tries > CTLWALK_TRIES)
		return ctlsrc_tell(src);
	/* perhaps it is too much, and the server does not say so */
	if (w->_tries > 2 && w->_tries % 2)
		(void)shrink(w);
	unsigned ms = 200u << (w->_tries < 8 ? w->_tries : 8);
	if (w->_tries == 1 || w->_tries == 4)
		ctl_note("%s: %s; it is tried again", ctlhttp_server(w->_o.http), ctlsrc_why(src));
	if (!ctl_sleep_ms(ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS))
		return ctl_fail(CTL_INTERRUPTED, "interrupted, the same command goes on");
	return CTL_OK;
}

/* --- places: WINDOW_START SELECTOR NAME, or the next window's start --- */

bool ctlwalk_place(const struct ctlwalk *w, struct buf *out)
{
	if (w->piece.to_ms < w->window_to_ms)
		return false;
	buf_clear(out);
	size_t last = w->name_at + (w->_whole ? w->names_all : w->names_count);
	if (w->window_ends)
		buf_printf(out, "%" PRId64, w->_next_ms);
	else
		buf_printf(out, "%" PRId64 " %zu %s", w->window_from_ms, w->sel, w->_names[last - 1]);
	buf_add_u8(out, 0);
	return true;
}

static void go_on(struct ctlwalk *w, const char *place)
{
	char *end;
	int64_t at = strtoll(place, &end, 10);
	if (at > w->_o.to_ms) {
		w->_sure = true;
		w->windows_done = w->windows;
		return;
	}
	if (at >= w->_o.from_ms)
		window_of(w, at);
	if (*end != ' ')
		return;
	size_t sel = strtoul(end + 1, &end, 10);
	if (*end != ' ' || sel >= w->_o.sels_count)
		return;
	w->sel = w->_after_sel = sel;
	w->_after = mem_alloc(strlen(end + 1) + 1);
	memcpy(w->_after, end + 1, strlen(end + 1) + 1);
}

void ctlwalk_open(struct ctlwalk *w, const struct ctlwalk_opts *o, const struct ctlmark *mark)
{
	const char *place = mark ? ctlmark_get(mark, CTLWALK_KEY) : NULL;
	*w = (struct ctlwalk){
		._o = *o, .windows = 1, ._quiet_to_ms = INT64_MIN, ._names_ms = o->names_ms
	};
	arena_init(&w->_arena, 4096);
	arena_init(&w->_piece, 4096);
	if (o->from_ms > o->to_ms)
		w->_sure = true;
	if (o->window_ms)
		w->windows = (uint64_t)(floor_to(o->to_ms, o->window_ms) -
		                 floor_to(o->from_ms, o->window_ms)) /
		        (uint64_t)o->window_ms +
		    1;
	w->_most = o->group_max && o->group_max < GROUP_MAX ? o->group_max : GROUP_MAX;
	w->_group = o->group ? o->group : w->_most;
	window_of(w, o->from_ms);
	if (place)
		go_on(w, place);
}

void ctlwalk_close(struct ctlwalk *w)
{
	mem_free(w->_after);
	arena_release(&w->_arena);
	arena_release(&w->_piece);
}
