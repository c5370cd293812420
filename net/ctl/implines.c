#include "net/ctl/implines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/num.h"
#include "proto/importl.h"
#include "proto/omet.h"
#include "proto/unpack.h"

#define READ_BYTES   (256u << 10)
#define COLUMNS_MAX  256u
#define ARENA_MOST   ((size_t)64 << 20) /* of collected rows' labels */
#define FAMILY_BYTES 256u
#define RECORD_MAX   ((size_t)1 << 20) /* of CSV: a quote that is never closed costs its line */

enum stamp { /* how a column of CSV has times */
	STAMP_ANY,
	STAMP_S,
	STAMP_MS,
	STAMP_NS,
	STAMP_TEXT
};
struct row {
	uint32_t series;
	int64_t t_ms;
	double v;
};
struct known { /* a series of the rows that are collected */
	const char *key;
	size_t key_len;
	uint64_t hash;
	struct labels labels;
	uint32_t type, rows;
};
struct lines {
	const struct implines *o;
	struct impwork *w;
	enum implines_format format;
	int fd;
	struct unpack *unpack;
	struct buf packed, text; /* text: what is unpacked and not read yet */
	size_t packed_at, text_at;
	bool packed_ends, ends;
	uint64_t read_bytes;        /* of the file */
	uint64_t offset, line, sum; /* done so far; sum: a hash of all lines until here */
	/* rows that are collected */
	struct arena arena, keep;
	struct row *rows;
	size_t rows_count;
	struct known *known;
	uint32_t known_count, known_cap, *places, places_mask;
	/* text: the family of # TYPE */
	char family[FAMILY_BYTES];
	enum expo_type type;
	/* csv */
	struct label *columns; /* name_len 0: none */
	int columns_name, columns_time, columns_value;
	unsigned columns_count;
	bool has_columns;
	enum stamp stamp;
	/* jsonl */
	struct batch batch;
	int64_t *times;
	double *values;
	size_t cells_cap;
};

/* --- bytes --- */

static int fill_packed(struct lines *l)
{
	if (l->packed_at) {
		memmove(l->packed.data, l->packed.data + l->packed_at, l->packed.len - l->packed_at);
		l->packed.len -= l->packed_at;
		l->packed_at = 0;
	}
	if (l->packed_ends || l->packed.len >= READ_BYTES)
		return CTL_OK;
	buf_reserve(&l->packed, READ_BYTES);
	ssize_t n;
	do {
		n = read(l->fd, l->packed.data + l->packed.len, READ_BYTES);
	} while (n < 0 && errno == EINTR && !ctl_stopped());
	if (n < 0)
		return ctl_stopped() ? CTL_INTERRUPTED
		                     : ctl_fail(CTL_LOCAL, "%s: %s", l->o->path, strerror(errno));
	l->packed.len += (size_t)n;
	l->read_bytes += (size_t)n;
	l->packed_ends = n == 0;
	return CTL_OK;
}

static int begin_unpack(struct lines *l)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd },
	                     xz[] = { 0xfd, '7', 'z', 'X', 'Z' };
	const uint8_t *p = l->packed.data;
	size_t n = l->packed.len;
	enum err e = ERR_OK;
	if (n >= sizeof(xz) && !memcmp(p, xz, sizeof(xz)))
		return ctl_fail(
		    CTL_USAGE, "%s is packed with xz: xz -dc FILE | kymoctl import -", l->o->path);
	if (n >= sizeof(gzip) && !memcmp(p, gzip, sizeof(gzip)))
		e = unpack_create(UNPACK_GZIP, &l->unpack);
	else if (n >= sizeof(zstd) && !memcmp(p, zstd, sizeof(zstd)))
		e = unpack_create(UNPACK_ZSTD, &l->unpack);
	return e ? ctl_fail(ctl_exit_of(e), "%s: %s", l->o->path, err_why(e)) : CTL_OK;
}

/* More text behind what is there; l->ends when there is none. */
static int fill(struct lines *l)
{
	int status = fill_packed(l);
	if (status)
		return status;
	buf_reserve(&l->text, 1); /* what is empty has an address, too */
	if (l->text_at) {
		memmove(l->text.data, l->text.data + l->text_at, l->text.len - l->text_at);
		l->text.len -= l->text_at;
		l->text_at = 0;
	}
	if (!l->unpack) {
		buf_add(&l->text, l->packed.data, l->packed.len);
		l->packed_at = l->packed.len;
		l->ends = l->packed_ends;
		return CTL_OK;
	}
	size_t before = l->text.len;
	for (;;) {
		size_t used = 0, out = 0;
		buf_reserve(&l->text, UNPACK_STEP);
		enum err e = unpack_next(l->unpack, l->packed.data + l->packed_at,
		    l->packed.len - l->packed_at, &used, l->text.data + l->text.len, UNPACK_STEP,
		    &out);
		l->packed_at += used;
		l->text.len += out;
		if (e == ERR_AGAIN) {
			unpack_allow(l->unpack);
			continue;
		}
		if (e)
			return ctl_fail(ctl_exit_of(e), "%s: what is packed in it is damaged: %s",
			    l->o->path, err_why(e));
		if ((!used && !out) || l->text.len - before >= READ_BYTES)
			break;
	}
	bool idle = l->text.len == before && l->packed_at == l->packed.len;
	if (l->packed_ends && idle && !unpack_whole(l->unpack))
		return ctl_fail(CTL_DAMAGED, "%s ends early", l->o->path);
	l->ends = l->packed_ends && idle;
	return CTL_OK;
}

/* Where a search for the end of a line is; of CSV, in what the text before is. */
enum cell {
	CELL_BEGIN,
	CELL_PLAIN,
	CELL_QUOTED,
	CELL_CLOSED /* behind its second quote, or the first half of two in quotes */
};
struct line_scan {
	size_t at;
	enum cell cell;
};

static enum cell cell_after(enum cell cell, const uint8_t *p, size_t len)
{
	if (cell == CELL_BEGIN && !memchr(p, '"', len))
		return CELL_PLAIN;
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '"')
			cell = cell == CELL_QUOTED ? CELL_CLOSED
			    : cell == CELL_PLAIN   ? CELL_PLAIN
			                           : CELL_QUOTED;
		else if (cell != CELL_QUOTED)
			cell = p[i] == ',' ? CELL_BEGIN : CELL_PLAIN;
	}
	return cell;
}

/*
 * The LF that ends the line at p; NULL: it is not there yet. A record of CSV goes on behind an LF
 * in quotes; where they are not closed it ends with its first line.
 */
static const uint8_t *line_end(
    const struct lines *l, struct line_scan *scan, const uint8_t *p, size_t have)
{
	for (;;) {
		const uint8_t *from = p + scan->at;
		const uint8_t *lf = have > scan->at ? memchr(from, '\n', have - scan->at) : NULL;
		if (l->format != IMPLINES_CSV) {
			scan->at = have;
			return lf;
		}
		if (!lf)
			return have && (have > RECORD_MAX || l->ends) ? memchr(p, '\n', have) : NULL;
		scan->cell = cell_after(scan->cell, from, (size_t)(lf - from));
		if (scan->cell != CELL_QUOTED)
			return lf;
		scan->at = (size_t)(lf - p) + 1;
	}
}

static uint64_t lines_in(const struct lines *l, const char *p, size_t len)
{
	uint64_t n = 1;
	for (size_t i = 0; l->format == IMPLINES_CSV && i < len; i++)
		n += p[i] == '\n';
	return n;
}

/*
 * The next line, without its LF that lies behind it; of CSV the next record, which has the LF that
 * stand in quotes. False: there is none, or *status says why.
 */
static bool next_line(struct lines *l, const char **line, size_t *len, int *status)
{
	struct line_scan scan = { 0 };
	for (;;) {
		const uint8_t *p = l->text.data + l->text_at;
		size_t have = l->text.len - l->text_at;
		const uint8_t *lf = line_end(l, &scan, p, have);
		if (lf) {
			*line = (const char *)p;
			*len = (size_t)(lf - p);
			l->text_at += *len + 1;
			l->offset += *len + 1;
			l->line += lines_in(l, *line, *len);
			l->sum = hash64(*line, *len, l->sum);
			return true;
		}
		if (l->ends && !have)
			return false;
		if (l->ends) { /* the last line has no end of its own */
			buf_add_u8(&l->text, '\n');
			continue;
		}
		*status = have > IMPLINES_LINE_MAX
		    ? ctl_fail(CTL_DAMAGED, "%s: line %" PRIu64 " is longer than %u MiB",
		          l->o->path, l->line + 1, IMPLINES_LINE_MAX >> 20)
		    : fill(l);
		if (*status)
			return false;
	}
}

static int bad(struct lines *l, const char *why)
{
	return impwork_bad(l->w, "%s: line %" PRIu64 ": %s", l->o->path, l->line, why);
}

static int place(struct lines *l)
{
	char text[400];
	struct impwork *w = l->w;
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIx64 " %d %s", l->offset,
	    l->line, l->sum, (int)l->type, l->family);
	impwork_at(w, text);
	ctlprog_tell(&w->prog,
	    l->o->tell_bytes ? l->o->bytes_before + (double)l->read_bytes
	                     : (double)(w->counts.floats + w->counts.hists + w->counts.passed));
	return ctl_stopped() ? CTL_INTERRUPTED : CTL_OK;
}

/* --- rows that are collected --- */

static void known_grow(struct lines *l)
{
	l->known_cap = l->known_cap ? l->known_cap * 2 : 4096;
	l->known = mem_array(l->known, l->known_cap, sizeof(*l->known));
	mem_free(l->places);
	l->places_mask = l->known_cap * 2 - 1;
	l->places = mem_zalloc(((size_t)l->places_mask + 1) * sizeof(*l->places));
	for (uint32_t i = 0; i < l->known_count; i++) {
		uint32_t at = (uint32_t)l->known[i].hash & l->places_mask;
		while (l->places[at])
			at = (at + 1) & l->places_mask;
		l->places[at] = i + 1;
	}
}

/* The series of a text; new ones have no labels yet. */
static uint32_t known_of(struct lines *l, const char *key, size_t len, uint64_t more)
{
	uint64_t hash = hash64(key, len, more);
	if (l->known_count == l->known_cap)
		known_grow(l);
	uint32_t at = (uint32_t)hash & l->places_mask;
	for (; l->places[at]; at = (at + 1) & l->places_mask) {
		const struct known *k = &l->known[l->places[at] - 1];
		if (k->hash == hash && k->key_len == len && !memcmp(k->key, key, len))
			return l->places[at] - 1;
	}
	l->known[l->known_count] =
	    (struct known){ .key = arena_strndup(&l->arena, key, len), .key_len = len, .hash = hash };
	l->places[at] = ++l->known_count;
	return l->known_count - 1;
}

static int push_rows(struct lines *l)
{
	int status = CTL_OK;
	size_t at = 0;
	uint32_t *first = mem_array(NULL, (size_t)l->known_count + 1, sizeof(*first));
	int64_t *t = mem_array(NULL, l->rows_count + 1, sizeof(*t));
	double *v = mem_array(NULL, l->rows_count + 1, sizeof(*v));
	for (uint32_t i = 0; i < l->known_count; i++) {
		first[i] = (uint32_t)at;
		at += l->known[i].rows;
	}
	for (size_t i = 0; i < l->rows_count; i++) {
		uint32_t to = first[l->rows[i].series]++;
		t[to] = l->rows[i].t_ms;
		v[to] = l->rows[i].v;
	}
	for (uint32_t i = 0; i < l->known_count && !status; i++) {
		const struct known *k = &l->known[i];
		struct ctlpush_series s = { .labels = k->labels, .type = k->type };
		bool wanted;
		if (!k->rows)
			continue;
		status = impwork_series(l->w, &s, &wanted);
		/* Times may stand in any order: what is out of the range is left out run by run. */
		uint32_t end = first[i], from = end - k->rows, run = from;
		for (; !status && run < end; from = run) {
			bool in = t[run] >= l->w->t_from_ms && t[run] <= l->w->t_to_ms;
			while (run < end &&
			    (t[run] >= l->w->t_from_ms && t[run] <= l->w->t_to_ms) == in)
				run++;
			if (!in)
				l->w->counts.passed += run - from;
			else
				status = impwork_samples(l->w,
				    &(struct sample_column){
				        .count = run - from, .t_ms = t + from, .v = v + from });
		}
	}
	mem_free(first);
	mem_free(t);
	mem_free(v);
	l->rows_count = 0;
	l->known_count = 0;
	if (l->places)
		memset(l->places, 0, ((size_t)l->places_mask + 1) * sizeof(*l->places));
	arena_reset(&l->arena, 1 << 20);
	return status ? status : place(l);
}

static int add_row(struct lines *l, uint32_t series, int64_t t_ms, double v)
{
	l->rows[l->rows_count++] = (struct row){ series, t_ms, v };
	l->known[series].rows++;
	return l->rows_count == IMPLINES_ROWS || arena_used(&l->arena) > ARENA_MOST ? push_rows(l)
	                                                                            : CTL_OK;
}

/* --- text and OpenMetrics --- */

static void set_family(struct lines *l, const struct expo *x)
{
	snprintf(l->family, sizeof(l->family), "%.*s", (int)x->family_len, x->family);
	l->type = x->type;
}

/* Is a sample of this name one of the family that # TYPE named? */
static bool of_family(const struct lines *l, const char *series, size_t len)
{
	size_t n = strlen(l->family);
	return n && len >= n && !memcmp(series, l->family, n) &&
	    (len == n || series[n] == '{' || series[n] == ' ' || series[n] == '_');
}

static int text_sample(struct lines *l, const struct expo *x)
{
	const char *why = "it has no time";
	bool om = l->format == IMPLINES_OPENMETRICS;
	enum expo_type type = of_family(l, x->series, x->series_len) ? l->type : EXPO_UNKNOWN;
	if (!x->timed)
		return bad(l, why);
	uint32_t k = known_of(l, x->series, x->series_len, type);
	if (!l->known[k].labels.len) {
		struct expo_labels ls;
		if (!expo_labels(&l->arena, om ? EXPO_OPENMETRICS : EXPO_TEXT, x->series,
		        x->series_len, type, &ls, &why) ||
		    !expo_encode(&l->arena, &ls, &l->known[k].labels, &why))
			return bad(l, why);
		l->known[k].type = type == EXPO_UNKNOWN ? 0 : (uint32_t)type;
	}
	return add_row(l, k, x->t_ms, x->v);
}

static int text_line(struct lines *l, const char *line, size_t len)
{
	struct omet o;
	struct expo x;
	if (!len)
		return CTL_OK;
	if (l->format == IMPLINES_OPENMETRICS) {
		if (len == 5 && !memcmp(line, "# EOF", 5))
			return CTL_OK;
		omet_init(&o, line, len + 1, false); /* its LF lies behind it */
		enum expo_entry e = omet_next(&o);
		x = o.x;
		if (e == EXPO_SAMPLE)
			return text_sample(l, &x);
		if (e == EXPO_TYPE)
			set_family(l, &x);
		return e == EXPO_BAD ? bad(l, x.bad) : CTL_OK;
	}
	expo_init_import(&x, line, len, l->line);
	if (line[0] == '#')
		expo_init(&x, line, len, l->line);
	enum expo_entry e = expo_next(&x);
	if (e == EXPO_SAMPLE)
		return text_sample(l, &x);
	if (e == EXPO_TYPE)
		set_family(l, &x);
	return e == EXPO_BAD ? bad(l, x.bad) : CTL_OK;
}

/* --- JSON lines --- */

static int json_rows(struct lines *l, struct importl *in)
{
	struct errbuf eb;
	int status = CTL_OK;
	errbuf_init(&eb);
	while (!status && in->left) {
		batch_clear(&l->batch);
		enum err e = importl_rows(in, &l->batch, 65536, &eb);
		size_t n = l->batch.rows_count;
		if (n > l->cells_cap) {
			l->cells_cap = n;
			l->times = mem_array(l->times, n, sizeof(*l->times));
			l->values = mem_array(l->values, n, sizeof(*l->values));
		}
		size_t kept = 0;
		for (size_t i = 0; i < n; i++) {
			int64_t t = l->batch.rows[i].t_ms;
			if (t < l->w->t_from_ms || t > l->w->t_to_ms)
				continue;
			l->times[kept] = t;
			l->values[kept++] = l->batch.rows[i].v;
		}
		l->w->counts.passed += n - kept;
		status = impwork_samples(l->w,
		    &(struct sample_column){
		        .count = (uint32_t)kept, .t_ms = l->times, .v = l->values });
		if (!status && e)
			return bad(l, eb.text);
		if (!n)
			break;
	}
	return status;
}

static int json_line(struct lines *l, const char *line, size_t len)
{
	struct importl in;
	struct errbuf eb;
	bool wanted;
	errbuf_init(&eb);
	if (strspn(line, " \t\r\n") >= len)
		return CTL_OK;
	arena_reset(&l->arena, 1 << 20);
	if (importl_begin(&l->arena, line, len, &in, &eb))
		return bad(l, eb.text);
	struct ctlpush_series s = { .labels = { in.labels, in.labels_len } };
	int status = impwork_series(l->w, &s, &wanted);
	if (!status && wanted)
		status = json_rows(l, &in);
	else if (!status)
		l->w->counts.passed += in.left;
	return status ? status : place(l);
}

/* --- CSV --- */

/* Cells of a row, in the arena, each with a NUL behind it; -1: quotes are wrong. */
static int csv_cells(struct lines *l, const char *p, size_t len, struct label *cells)
{
	const char *end = p + len;
	char *at = arena_alloc(&l->keep, len + COLUMNS_MAX);
	int n = 0;
	if (len && end[-1] == '\r')
		end--;
	for (;; p++) {
		char *to = at;
		if (n == (int)COLUMNS_MAX)
			return -1;
		if (p < end && *p == '"') {
			for (p++; p < end && (*p != '"' || (p + 1 < end && p[1] == '"')); p++) {
				p += *p == '"';
				*at++ = *p;
			}
			if (p == end || (p + 1 < end && p[1] != ','))
				return -1;
			p++;
		} else {
			while (p < end && *p != ',')
				*at++ = *p++;
		}
		cells[n++] = (struct label){ .value = to, .value_len = (uint32_t)(at - to) };
		*at++ = 0;
		if (p >= end)
			return n;
	}
}

/* Is it the word, of times also with how they are written: "__timestamp__:unix_ms"? */
static bool is_column(const char *text, const char *word, enum stamp *stamp)
{
	static const char *const units[] = {
		[STAMP_S] = "unix_s", [STAMP_MS] = "unix_ms", [STAMP_NS] = "unix_ns", [STAMP_TEXT] = "rfc3339"
	};
	size_t len = strlen(word);
	if (strncmp(text, word, len) != 0)
		return false;
	if (stamp)
		*stamp = STAMP_ANY;
	if (!text[len])
		return true;
	for (unsigned i = STAMP_S; stamp && text[len] == ':' && i < COUNT_OF(units); i++)
		if (!strcmp(text + len + 1, units[i]))
			*stamp = (enum stamp)i;
	return stamp && *stamp != STAMP_ANY;
}

/* The column with the first of three names that there is; the others are labels. */
static int column_of(const struct label *cells, int n, const char *const words[3], enum stamp *stamp)
{
	for (unsigned k = 0; k < 3; k++)
		for (int i = 0; i < n; i++)
			if (is_column(cells[i].value, words[k], stamp))
				return i;
	return -1;
}

static int csv_columns(struct lines *l, const char *text, size_t len)
{
	static const char *const names[3] = { "__name__", "name", "metric" },
	                         *const times[3] = { "__timestamp__", "time", "timestamp" },
	                         *const values[3] = { "__value__", "value", "Value" };
	struct label cells[COLUMNS_MAX];
	int n = csv_cells(l, text, len, cells);
	if (n < 0)
		return ctl_fail(CTL_USAGE, "%s: the names of its columns cannot be read", l->o->path);
	l->columns_name = column_of(cells, n, names, NULL);
	l->columns_time = column_of(cells, n, times, &l->stamp);
	l->columns_value = column_of(cells, n, values, NULL);
	if (l->columns_time < 0 || l->columns_value < 0 || l->columns_name < 0)
		return ctl_fail(CTL_USAGE,
		    "%s: columns \"name\", \"time\" and \"value\" are needed, in its first row or by "
		    "--csv-columns name,LABEL,...,time,value",
		    l->o->path);
	/* They live as long as the file: the arena of cells is emptied row by row. */
	l->columns = mem_zalloc((size_t)n * sizeof(*l->columns));
	bool exported = !strcmp(cells[l->columns_value].value, values[0]);
	for (int i = 0; i < n; i++) {
		const char *word = cells[i].value;
		bool is_label = i != l->columns_name && i != l->columns_time &&
		    i != l->columns_value && *word && (exported || strcmp(word, "-") != 0);
		if (is_label)
			l->columns[i] = (struct label){ .name = strdup(word),
				.name_len = (uint32_t)strlen(word) };
	}
	l->columns_count = (unsigned)n;
	l->has_columns = true;
	return CTL_OK;
}

/* Numbers of no known unit are seconds, ms, us or ns by their size. */
static bool csv_time(const struct lines *l, const char *s, size_t len, int64_t *ms)
{
	double n;
	if (l->stamp == STAMP_MS && !num_parse_i64(s, len, ms))
		return true;
	if (l->stamp == STAMP_TEXT || num_parse_float(s, len, &n))
		return (l->stamp == STAMP_ANY || l->stamp == STAMP_TEXT) &&
		    !num_parse_time(s, len, ms);
	double size = fabs(n);
	switch (l->stamp) {
	case STAMP_S:
		n *= 1e3;
		break;
	case STAMP_NS:
		n /= 1e6;
		break;
	case STAMP_MS:
	case STAMP_TEXT:
		break;
	case STAMP_ANY:
		n = size < 1e11 ? n * 1e3 : size < 1e14 ? n : size < 1e17 ? n / 1e3 : n / 1e6;
		break;
	}
	if (!(fabs(n) < 9e15))
		return false;
	*ms = (int64_t)floor(n + 0.5);
	return true;
}

static int csv_line(struct lines *l, const char *line, size_t len)
{
	struct label cells[COLUMNS_MAX];
	struct label_builder b;
	int64_t t_ms;
	double v;
	arena_reset(&l->keep, 1 << 16);
	if (!l->has_columns)
		return csv_columns(l, line, len);
	if (!len || (len == 1 && *line == '\r'))
		return CTL_OK;
	int n = csv_cells(l, line, len, cells);
	if (n < 0)
		return bad(l, "its quotes are wrong");
	if (n != (int)l->columns_count)
		return bad(l, "it has another number of columns");
	const struct label *time = &cells[l->columns_time], *value = &cells[l->columns_value];
	if (!csv_time(l, time->value, time->value_len, &t_ms))
		return bad(l, "its time is none");
	if (num_parse_float(value->value, value->value_len, &v))
		return bad(l, "its value is no number");
	if (!cells[l->columns_name].value_len)
		return bad(l, "it has no name");
	label_builder_init(&b, &l->keep);
	label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, cells[l->columns_name].value,
	    cells[l->columns_name].value_len);
	for (unsigned i = 0; i < l->columns_count; i++)
		if (l->columns[i].name)
			label_builder_set(&b, l->columns[i].name, l->columns[i].name_len,
			    cells[i].value, cells[i].value_len);
	struct labels ls = label_builder_done(&b);
	uint32_t k = known_of(l, (const char *)ls.bytes, ls.len, 0);
	l->known[k].labels = (struct labels){ (const uint8_t *)l->known[k].key, ls.len };
	return add_row(l, k, t_ms, v);
}

/* --- the whole --- */

static enum implines_format guess(const struct lines *l)
{
	const char *path = l->o->path, *text = (const char *)l->text.data + l->text_at;
	size_t len = l->text.len - l->text_at;
	static const char *const ends[] = { ".gz", ".zst" };
	size_t n = strlen(path);
	for (unsigned i = 0; i < COUNT_OF(ends); i++)
		if (n > strlen(ends[i]) && !strcmp(path + n - strlen(ends[i]), ends[i]))
			n -= strlen(ends[i]);
	if (n > 4 && !strncmp(path + n - 4, ".csv", 4))
		return IMPLINES_CSV;
	if ((n > 3 && !strncmp(path + n - 3, ".om", 3)) ||
	    (n > 12 && !strncmp(path + n - 12, ".openmetrics", 12)))
		return IMPLINES_OPENMETRICS;
	if (len && *text == '{' && memchr(text, ':', len) && len > 2 && text[1] == '"')
		return IMPLINES_JSONL;
	if (l->o->csv_columns)
		return IMPLINES_CSV;
	return IMPLINES_AUTO; /* told by its end, or by its times */
}

/* The mark of UTF-8 that some editors put first is no part of the text. */
static void pass_mark(struct lines *l)
{
	if (l->text.len < 3 || memcmp(l->text.data, "\xef\xbb\xbf", 3))
		return;
	l->text_at = 3;
	l->offset = 3;
}

/* OpenMetrics ends with "# EOF", and nothing else does. */
static enum implines_format by_end(const struct lines *l)
{
	char tail[16];
	off_t size = lseek(l->fd, 0, SEEK_END);
	ssize_t n = -1;
	if (size > 0 && !l->unpack)
		n = pread(l->fd, tail, 6, size > 6 ? size - 6 : 0);
	if (size >= 0)
		(void)!lseek(l->fd, (off_t)l->read_bytes, SEEK_SET);
	return n >= 5 && (!strncmp(tail, "# EOF\n", 6) || !strncmp(tail + n - 5, "# EOF", 5))
	    ? IMPLINES_OPENMETRICS
	    : IMPLINES_TEXT;
}

/* What was done is read again, and must be what it was. */
static int go_on(struct lines *l, const char *where)
{
	uint64_t offset = 0, number = 0, sum = 0;
	int type = 0, used = 0, status = CTL_OK;
	const char *line;
	size_t len;
	if (sscanf(where, "%" SCNu64 " %" SCNu64 " %" SCNx64 " %d %n", &offset, &number, &sum,
	        &type, &used) < 4)
		return CTL_OK;
	while (l->offset < offset && next_line(l, &line, &len, &status)) {
		if (l->format == IMPLINES_CSV && !l->has_columns)
			status = csv_columns(l, line, len);
		if (!status && ctl_stopped())
			status = CTL_INTERRUPTED;
		if (status)
			break;
	}
	if (status)
		return status;
	if (l->offset != offset || l->line != number || l->sum != sum)
		return ctl_fail(CTL_USAGE,
		    "%s is not what it was when its import was interrupted: --again begins anew",
		    l->o->path);
	l->type = type >= 0 && type < EXPO_TYPES ? (enum expo_type)type : EXPO_UNKNOWN;
	snprintf(l->family, sizeof(l->family), "%s", where + used);
	return CTL_OK;
}

static int read_all(struct lines *l)
{
	const char *where = impwork_place(l->w, l->o->unit), *line;
	size_t len;
	int status = fill_packed(l);
	if (!status)
		status = begin_unpack(l);
	if (!status)
		status = fill(l);
	if (status)
		return status;
	pass_mark(l);
	l->format = l->o->format ? l->o->format : guess(l);
	if (l->format == IMPLINES_AUTO)
		l->format = by_end(l);
	if (l->format == IMPLINES_CSV && l->o->csv_columns)
		status = csv_columns(l, l->o->csv_columns, strlen(l->o->csv_columns));
	if (!status && where)
		status = go_on(l, where);
	while (!status && next_line(l, &line, &len, &status)) {
		if (l->format == IMPLINES_JSONL)
			status = json_line(l, line, len);
		else if (l->format == IMPLINES_CSV)
			status = csv_line(l, line, len);
		else
			status = text_line(l, line, len);
	}
	if (!status && l->rows_count)
		status = push_rows(l);
	return status ? status : impwork_unit_done(l->w);
}

int implines(const struct implines *o)
{
	struct lines l = { .o = o, .w = o->work };
	const char *where = impwork_place(o->work, o->unit);
	if (where && !strcmp(where, "done"))
		return CTL_OK;
	l.fd = strcmp(o->path, "-") ? open(o->path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (l.fd < 0)
		return ctl_fail(CTL_LOCAL, "%s: %s", o->path, strerror(errno));
	buf_init(&l.packed);
	buf_init(&l.text);
	arena_init(&l.arena, 1 << 16);
	arena_init(&l.keep, 1 << 12);
	batch_init(&l.batch);
	l.rows = mem_array(NULL, IMPLINES_ROWS, sizeof(*l.rows));
	impwork_unit(o->work, o->unit);
	int status = read_all(&l);
	for (unsigned i = 0; i < l.columns_count; i++)
		free((void *)(uintptr_t)l.columns[i].name);
	mem_free(l.columns);
	mem_free(l.rows);
	mem_free(l.known);
	mem_free(l.places);
	mem_free(l.times);
	mem_free(l.values);
	batch_release(&l.batch);
	arena_release(&l.arena);
	arena_release(&l.keep);
	buf_release(&l.packed);
	buf_release(&l.text);
	unpack_free(l.unpack);
	if (l.fd != STDIN_FILENO)
		close(l.fd);
	return status;
}
