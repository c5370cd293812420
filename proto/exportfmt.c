#include "proto/exportfmt.h"

#include "core/base/num.h"
#include "proto/promjson.h"

#include <math.h>

#define STAMP "__timestamp__"
#define VALUE "__value__"

/* --- JSON lines --- */

static void json_value(struct buf *out, double v)
{
	char text[NUM_FMT_MAX];
	if (sample_is_stale(v))
		buf_add_str(out, "null");
	else if (isnan(v))
		buf_add_str(out, "\"NaN\"");
	else if (isinf(v))
		buf_add_str(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		buf_add(out, text, num_fmt_json(v, text));
}

void exportfmt_line(
    struct buf *out, struct labels ls, const struct sample_column *c, uint32_t from, uint32_t to)
{
	char text[NUM_FMT_MAX];
	uint32_t first = from;
	while (first < to && sample_is_hist(c->v[first]))
		first++;
	if (first == to)
		return;
	buf_add_str(out, "{\"metric\":");
	promjson_labels(out, ls);
	buf_add_str(out, ",\"values\":[");
	for (uint32_t i = first; i < to; i++) {
		if (sample_is_hist(c->v[i]))
			continue;
		if (i > first)
			buf_add_u8(out, ',');
		json_value(out, c->v[i]);
	}
	buf_add_str(out, "],\"timestamps\":[");
	for (uint32_t i = first; i < to; i++) {
		if (sample_is_hist(c->v[i]))
			continue;
		if (i > first)
			buf_add_u8(out, ',');
		buf_add(out, text, num_fmt_i64(c->t_ms[i], text));
	}
	buf_add_str(out, "]}\n");
}

/* --- CSV --- */

static bool stamp_of(const char *s, size_t len, enum exportfmt_column *out)
{
	static const struct {
		const char *name;
		enum exportfmt_column what;
	} names[] = { { "unix_s", EXPORTFMT_UNIX_S }, { "unix_ms", EXPORTFMT_UNIX_MS },
		{ "unix_ns", EXPORTFMT_UNIX_NS }, { "rfc3339", EXPORTFMT_RFC3339 } };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (bytes_equal(s, len, names[i].name, strlen(names[i].name))) {
			*out = names[i].what;
			return true;
		}
	return false;
}

static enum err column_of(const char *s, size_t len, struct exportfmt_cell *out, struct errbuf *eb)
{
	const size_t stamp = sizeof(STAMP) - 1;
	*out =
	    (struct exportfmt_cell){ .what = EXPORTFMT_LABEL, .name = s, .name_len = num_u32(len) };
	if (!len)
		return errbuf_set(eb, ERR_BADDATA, "a column of format= has no name");
	if (bytes_equal(s, len, VALUE, sizeof(VALUE) - 1)) {
		out->what = EXPORTFMT_VALUE;
		return ERR_OK;
	}
	if (len < stamp || memcmp(s, STAMP, stamp) != 0)
		return ERR_OK;
	out->what = EXPORTFMT_UNIX_MS;
	if (len == stamp)
		return ERR_OK;
	if (s[stamp] == ':' && stamp_of(s + stamp + 1, len - stamp - 1, &out->what))
		return ERR_OK;
	return errbuf_set(eb, ERR_BADDATA,
	    "column \"%.*s\": times are " STAMP ":unix_s, unix_ms, unix_ns or rfc3339",
	    (int)(len < 100 ? len : 100), s);
}

/* A name between two quotes: *p goes behind the second. NULL: it is not there. */
static const char *quoted(struct arena *a, const char **p, const char *end, size_t *len)
{
	char *to = arena_alloc(a, (size_t)(end - *p) + 1);
	*len = 0;
	for (++*p; *p < end; ++*p) {
		if (**p == '"') {
			++*p;
			if (*p == end || **p != '"')
				return to;
		}
		to[(*len)++] = **p;
	}
	return NULL;
}

enum err exportfmt_csv_parse(
    struct arena *a, const char *s, size_t len, struct exportfmt_csv *out, struct errbuf *eb)
{
	const char *end = s + len;
	*out = (struct exportfmt_csv){ .columns = NULL };
	if (!len)
		return errbuf_set(eb, ERR_BADDATA,
		    "it is needed, and names the columns: __name__,__value__,__timestamp__:unix_ms");
	out->columns = arena_array(a, EXPORTFMT_COLUMNS_MAX, sizeof(*out->columns));
	for (const char *p = s; p <= end; out->count++) {
		const char *name = p;
		size_t name_len;
		if (out->count == EXPORTFMT_COLUMNS_MAX)
			return errbuf_set(eb, ERR_BADDATA, "format= has more than %u columns",
			    EXPORTFMT_COLUMNS_MAX);
		if (p < end && *p == '"') {
			name = quoted(a, &p, end, &name_len);
			if (!name || (p < end && *p != ','))
				return errbuf_set(eb, ERR_BADDATA, "the quotes of format= are wrong");
		} else {
			const char *comma = memchr(p, ',', (size_t)(end - p));
			p = comma ? comma : end;
			name_len = (size_t)(p - name);
		}
		enum err e = column_of(name, name_len, &out->columns[out->count], eb);
		if (e)
			return e;
		p++;
	}
	return ERR_OK;
}

/* Quoted where it has a comma, a quote or the end of a line in it (RFC 4180, 2). */
void exportfmt_csv_text(struct buf *out, const char *s, size_t len)
{
	bool plain = true;
	for (size_t i = 0; i < len && plain; i++)
		plain = s[i] != ',' && s[i] != '"' && s[i] != '\n' && s[i] != '\r';
	if (plain) {
		buf_add(out, s, len);
		return;
	}
	buf_add_u8(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"')
			buf_add_u8(out, '"');
		buf_add_u8(out, (uint8_t)s[i]);
	}
	buf_add_u8(out, '"');
}

static int64_t seconds(int64_t ms)
{
	return ms / 1000 - (ms % 1000 < 0);
}

static void cell(
    struct buf *out, const struct exportfmt_cell *c, struct labels ls, int64_t t_ms, double v)
{
	char text[NUM_FMT_MAX];
	uint32_t len = 0;
	const char *value;
	switch (c->what) {
	case EXPORTFMT_LABEL:
		value = label_get(ls, c->name, c->name_len, &len);
		exportfmt_csv_text(out, value ? value : "", value ? len : 0);
		return;
	case EXPORTFMT_VALUE:
		buf_add(out, text, num_fmt_json(v, text));
		return;
	case EXPORTFMT_UNIX_S:
		buf_add(out, text, num_fmt_i64(seconds(t_ms), text));
		return;
	case EXPORTFMT_UNIX_NS:
	case EXPORTFMT_UNIX_MS:
		buf_add(out, text, num_fmt_i64(t_ms, text));
		if (c->what == EXPORTFMT_UNIX_NS && t_ms)
			buf_add_str(out, "000000");
		return;
	case EXPORTFMT_RFC3339:
		buf_add(out, text, num_fmt_time(t_ms, text));
		return;
	}
}

void exportfmt_rows(struct buf *out, const struct exportfmt_csv *f, struct labels ls,
    const struct sample_column *c, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (sample_is_no_float(c->v[i]))
			continue;
		for (size_t k = 0; k < f->count; k++) {
			if (k)
				buf_add_u8(out, ',');
			cell(out, &f->columns[k], ls, c->t_ms[i], c->v[i]);
		}
		buf_add_u8(out, '\n');
	}
}
