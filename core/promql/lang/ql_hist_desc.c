/*
 * {{key:value ...}}: a native histogram of a series description. All keys may be left out, in any
 * order, each once; blanks stand between them. What is written is believed: a count is not made
 * from buckets.
 *
 *   schema offset n_offset             integers
 *   sum count z_bucket z_bucket_w      numbers; Inf and NaN, too
 *   buckets n_buckets custom_values    [n n n]: absolute counts, and upper bounds
 *   counter_reset_hint                 unknown reset not_reset gauge
 */
#include "core/model/hist.h"
#include "core/promql/lang/ql_parse_priv.h"

#include <string.h>
#include <strings.h>

enum key {
	KEY_SCHEMA,
	KEY_SUM,
	KEY_COUNT,
	KEY_ZERO_COUNT,
	KEY_ZERO_THRESHOLD,
	KEY_BOUNDS,
	KEY_BUCKETS,
	KEY_OFFSET,
	KEY_N_BUCKETS,
	KEY_N_OFFSET,
	KEY_HINT,
	KEYS
};
static const char *const key_text[KEYS] = { "schema", "sum", "count", "z_bucket", "z_bucket_w",
	"custom_values", "buckets", "offset", "n_buckets", "n_offset", "counter_reset_hint" };

struct numbers {
	double *v;
	uint32_t count;
};
struct reader {
	const char *p, *end;
	struct arena *arena;
	struct hist *h;
	unsigned seen; /* bits of enum key */
	int32_t offset[2];
	struct numbers buckets[2]; /* positive, negative */
	struct errbuf *eb;
};

static enum err fail(const struct reader *r, const char *what)
{
	size_t left = (size_t)(r->end - r->p);
	return errbuf_set(r->eb, ERR_BADDATA, "histogram description: %s at \"%.*s\"", what,
	    (int)(left < 40 ? left : 40), r->p);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && is_blank(*r->p))
		r->p++;
}
static bool closes(const struct reader *r)
{
	return r->end - r->p >= 2 && r->p[0] == '}' && r->p[1] == '}';
}

/* Up to a blank, a colon or a closing sign. */
static size_t word_len(const struct reader *r)
{
	size_t n = 0;

	while (r->p + n < r->end && !is_blank(r->p[n]) && !strchr(":]}", r->p[n]))
		n++;
	return n;
}

static enum err read_number(struct reader *r, double *v)
{
	size_t n = word_len(r), sign = n && (*r->p == '-' || *r->p == '+');

	if (num_parse_go(r->p + sign, n - sign, v))
		return fail(r, "bad number");
	if (sign && *r->p == '-')
		*v = -*v;
	r->p += n;
	return ERR_OK;
}

static enum err read_int(struct reader *r, int32_t min, int32_t max, int32_t *out)
{
	size_t n = word_len(r), sign = n && *r->p == '-';
	uint64_t v;

	if (num_parse_u64(r->p + sign, n - sign, &v) ||
	    v > (sign ? (uint64_t) - (int64_t)min : (uint64_t)max))
		return fail(r, "bad integer");
	*out = (int32_t)(sign ? -(int64_t)v : (int64_t)v);
	r->p += n;
	return ERR_OK;
}

/* [n n n], one at least. */
static enum err read_numbers(struct reader *r, struct numbers *out)
{
	uint32_t cap = 0;
	double v;

	if (r->p == r->end || *r->p != '[')
		return fail(r, "\"[\" expected");
	r->p++;
	for (;;) {
		skip_blanks(r);
		if (r->p < r->end && *r->p == ']')
			break;
		enum err e = read_number(r, &v);
		if (e)
			return e;
		if (out->count == cap) {
			cap = cap ? cap * 2 : 16;
			double *more = arena_array(r->arena, cap, sizeof(*more));
			if (!more)
				return errbuf_set(r->eb, ERR_NOMEM, "histogram: out of memory");
			if (out->count)
				memcpy(more, out->v, out->count * sizeof(*more));
			out->v = more;
		}
		out->v[out->count++] = v;
	}
	if (!out->count)
		return fail(r, "a number expected");
	r->p++;
	return ERR_OK;
}

static enum err read_hint(struct reader *r)
{
	static const char *const text[] = {
		[HIST_UNKNOWN] = "unknown", [HIST_RESET] = "reset", [HIST_NO_RESET] = "not_reset", [HIST_GAUGE] = "gauge"
	};
	size_t n = word_len(r);

	for (uint8_t i = 0; i < COUNT_OF(text); i++)
		if (strlen(text[i]) == n && !strncasecmp(r->p, text[i], n)) {
			r->h->hint = i;
			r->p += n;
			return ERR_OK;
		}
	return fail(r, "bad counter reset hint");
}

static enum err read_key(struct reader *r, enum key *out)
{
	size_t n = word_len(r);

	for (unsigned i = 0; i < KEYS; i++)
		if (strlen(key_text[i]) == n && !strncasecmp(r->p, key_text[i], n)) {
			if (r->seen & 1u << i)
				return fail(r, "a key stands twice");
			r->seen |= 1u << i;
			r->p += n;
			*out = (enum key)i;
			return ERR_OK;
		}
	return fail(r, "unknown key");
}

static enum err read_value(struct reader *r, enum key key)
{
	struct hist *h = r->h;
	struct numbers bounds = { 0 };
	int32_t schema = 0;
	enum err e = ERR_OK;

	switch (key) {
	case KEY_SCHEMA:
		e = read_int(r, INT8_MIN, INT8_MAX, &schema);
		h->schema = (int8_t)schema;
		return e;
	case KEY_SUM:
		return read_number(r, &h->sum);
	case KEY_COUNT:
		return read_number(r, &h->count.f);
	case KEY_ZERO_COUNT:
		return read_number(r, &h->zero_count.f);
	case KEY_ZERO_THRESHOLD:
		return read_number(r, &h->zero_threshold);
	case KEY_BOUNDS:
		e = read_numbers(r, &bounds);
		h->bounds = bounds.v;
		h->bounds_count = bounds.count;
		return e;
	case KEY_BUCKETS:
		return read_numbers(r, &r->buckets[0]);
	case KEY_OFFSET:
		return read_int(r, INT32_MIN, INT32_MAX, &r->offset[0]);
	case KEY_N_BUCKETS:
		return read_numbers(r, &r->buckets[1]);
	case KEY_N_OFFSET:
		return read_int(r, INT32_MIN, INT32_MAX, &r->offset[1]);
	case KEY_HINT:
		return read_hint(r);
	case KEYS:
		break;
	}
	return e;
}

/* Counts that stand beside each other: one span. */
static enum err make_side(struct reader *r, unsigned i, struct hist_side *side)
{
	const struct numbers *n = &r->buckets[i];

	if (!n->count)
		return ERR_OK;
	struct hist_span *span = arena_alloc(r->arena, sizeof(*span));
	union hist_count *counts = arena_array(r->arena, n->count, sizeof(*counts));
	if (!span || !counts)
		return errbuf_set(r->eb, ERR_NOMEM, "histogram: out of memory");
	*span = (struct hist_span){ .offset = r->offset[i], .length = n->count };
	for (uint32_t k = 0; k < n->count; k++)
		counts[k].f = n->v[k];
	*side = (struct hist_side){
		.spans = span, .counts = counts, .spans_count = 1, .counts_count = n->count
	};
	return ERR_OK;
}

static enum err read_pairs(struct reader *r)
{
	for (;;) {
		enum key key = KEY_SCHEMA;
		const char *before = r->p;
		skip_blanks(r);
		if (closes(r))
			return ERR_OK;
		if (r->p == before && r->seen)
			return fail(r, "blank expected");
		enum err e = read_key(r, &key);
		if (e)
			return e;
		if (r->p == r->end || *r->p++ != ':')
			return fail(r, "\":\" expected");
		if ((e = read_value(r, key)))
			return e;
	}
}

enum err ql_hist_desc(struct arena *a, const char **p, const char *end, const struct hist **out,
    bool *hint_given, struct errbuf *eb)
{
	struct reader r = { .p = *p + 2, .end = end, .arena = a, .eb = eb };

	r.h = arena_zalloc(a, sizeof(*r.h));
	if (!r.h)
		return errbuf_set(eb, ERR_NOMEM, "histogram: out of memory");
	r.h->is_float = true;
	enum err e = read_pairs(&r);
	if (!e)
		e = make_side(&r, 0, &r.h->positive);
	if (!e)
		e = make_side(&r, 1, &r.h->negative);
	*p = e ? r.p : r.p + 2;
	*out = r.h;
	*hint_given = r.seen & 1u << KEY_HINT;
	return e;
}
