#include "storage/block/bmeta.h"

#include "core/base/json.h"
#include "core/base/jsonin.h"
#include "core/base/num.h"

#include <inttypes.h>
#include <string.h>

/* ---- ULIDs ---- */

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int digit(char c)
{
	const char *p = c ? strchr(digits, c) : NULL;
	return p ? (int)(p - digits) : -1;
}

bool bulid_is(const char *s, size_t len)
{
	if (len != BULID_LEN || digit(s[0]) > 7) /* 128 bits in 130 */
		return false;
	for (size_t i = 0; i < len; i++)
		if (digit(s[i]) < 0)
			return false;
	return true;
}

int64_t bulid_ms(const struct bulid *u)
{
	int64_t ms = 0;
	for (unsigned i = 0; i < 10; i++)
		ms = ms << 5 | digit(u->text[i]);
	return ms;
}

/* One more, as a number of 80 bits; false: it was the last one. */
static bool tail_next(uint8_t tail[10])
{
	for (unsigned i = 10; i-- > 0;)
		if (++tail[i])
			return true;
	return false;
}

static struct bulid text_of(const struct bulid_maker *m)
{
	struct bulid u;
	for (unsigned i = 0; i < 10; i++)
		u.text[i] = digits[m->ms >> (45 - 5 * i) & 31];
	for (unsigned i = 0; i < 16; i++) {
		unsigned bit = 5 * i, wide = (unsigned)m->tail[bit / 8] << 8;
		wide |= bit / 8 + 1 < 10 ? m->tail[bit / 8 + 1] : 0u;
		u.text[10 + i] = digits[wide >> (11 - bit % 8) & 31];
	}
	u.text[BULID_LEN] = 0;
	return u;
}

struct bulid bulid_next(struct bulid_maker *m, int64_t now_ms, const uint8_t random[10])
{
	uint64_t ms = now_ms > 0 ? (uint64_t)now_ms & ((UINT64_C(1) << 48) - 1) : 0;
	if (ms > m->ms) {
		m->ms = ms;
		memcpy(m->tail, random, sizeof(m->tail));
		m->tail[0] &= 0x7f; /* room for many more */
	} else if (!tail_next(m->tail)) {
		m->ms++;
	}
	return text_of(m);
}

/* ---- reading ---- */

struct reader {
	struct jsonin j;
	struct arena *a;
	struct bmeta *m;
	int64_t version;
};

/* Whole numbers, exactly; anything else is none. */
static int64_t integer(struct reader *r)
{
	struct jsonin *j = &r->j;
	(void)jsonin_peek(j);
	const uint8_t *from = j->p;
	while (j->p < j->end && (*j->p == '-' || (*j->p >= '0' && *j->p <= '9')))
		j->p++;
	int64_t v = 0;
	if (!j->wrong && num_parse_i64((const char *)from, (size_t)(j->p - from), &v))
		j->wrong = "a whole number should stand here";
	return v;
}

static uint64_t count(struct reader *r)
{
	int64_t v = integer(r);
	return v > 0 ? (uint64_t)v : 0;
}

static bool truth(struct reader *r)
{
	bool t = jsonin_peek(&r->j) == 't';
	return jsonin_skip(&r->j) && t;
}

static struct bulid ulid(struct reader *r)
{
	struct bulid u = { "" };
	struct jsonin_text t;
	if (!jsonin_string(&r->j, &t))
		return u;
	if (bulid_is(t.s, t.len))
		memcpy(u.text, t.s, t.len);
	else
		r->j.wrong = "a ULID should stand here";
	return u;
}

static bool is(const struct jsonin_text *key, const char *word)
{
	return jsonin_is(key, word);
}

static void stats(struct reader *r)
{
	struct jsonin_text key;
	bool first = true;
	if (!jsonin_enter(&r->j, '{'))
		return;
	while (jsonin_member(&r->j, &first, &key)) {
		if (is(&key, "numSamples"))
			r->m->samples = count(r);
		else if (is(&key, "numFloatSamples"))
			r->m->floats = count(r);
		else if (is(&key, "numHistogramSamples"))
			r->m->histograms = count(r);
		else if (is(&key, "numSeries"))
			r->m->series = count(r);
		else if (is(&key, "numChunks"))
			r->m->chunks = count(r);
		else if (is(&key, "numTombstones"))
			r->m->tombstones = count(r);
		else
			jsonin_skip(&r->j);
	}
}

static void one_source(struct reader *r, void *to)
{
	*(struct bulid *)to = ulid(r);
}

static void one_hint(struct reader *r, void *to)
{
	struct jsonin_text t;
	if (jsonin_string(&r->j, &t))
		*(const char **)to = arena_strndup(r->a, t.s, t.len);
}

static void one_parent(struct reader *r, void *to)
{
	struct bmeta_parent *p = to;
	struct jsonin_text key;
	bool first = true;
	if (!jsonin_enter(&r->j, '{'))
		return;
	while (jsonin_member(&r->j, &first, &key)) {
		if (is(&key, "ulid"))
			p->ulid = ulid(r);
		else if (is(&key, "minTime"))
			p->t_min_ms = integer(r);
		else if (is(&key, "maxTime"))
			p->t_max_ms = integer(r);
		else
			jsonin_skip(&r->j);
	}
}

/* An array, or null as Go writes an empty one. */
static void *list(struct reader *r, size_t size, void (*one)(struct reader *r, void *to), size_t *n)
{
	struct buf items;
	bool first = true;
	*n = 0;
	if (jsonin_null(&r->j) || !jsonin_enter(&r->j, '['))
		return NULL;
	buf_init(&items);
	while (jsonin_element(&r->j, &first)) {
		union {
			struct bmeta_parent parent;
			struct bulid ulid;
			const char *text;
		} item;
		memset(&item, 0, sizeof(item));
		one(r, &item);
		buf_add(&items, &item, size);
		++*n;
	}
	void *out = arena_dup(r->a, items.data, items.len);
	buf_release(&items);
	return out;
}

static void compaction(struct reader *r)
{
	struct bmeta *m = r->m;
	struct jsonin_text key;
	bool first = true;
	if (!jsonin_enter(&r->j, '{'))
		return;
	while (jsonin_member(&r->j, &first, &key)) {
		if (is(&key, "level"))
			m->level = (uint32_t)count(r);
		else if (is(&key, "sources"))
			m->sources = list(r, sizeof(*m->sources), one_source, &m->sources_count);
		else if (is(&key, "parents"))
			m->parents = list(r, sizeof(*m->parents), one_parent, &m->parents_count);
		else if (is(&key, "hints"))
			m->hints = list(r, sizeof(*m->hints), one_hint, &m->hints_count);
		else if (is(&key, "deletable"))
			m->deletable = truth(r);
		else if (is(&key, "failed"))
			m->failed = truth(r);
		else
			jsonin_skip(&r->j);
	}
}

static void thanos(struct reader *r)
{
	(void)jsonin_peek(&r->j);
	const uint8_t *from = r->j.p;
	if (jsonin_skip(&r->j)) {
		r->m->thanos_len = (size_t)(r->j.p - from);
		r->m->thanos = arena_strndup(r->a, (const char *)from, r->m->thanos_len);
	}
}

static void whole(struct reader *r)
{
	struct jsonin_text key;
	bool first = true;
	if (!jsonin_enter(&r->j, '{'))
		return;
	while (jsonin_member(&r->j, &first, &key)) {
		if (is(&key, "ulid"))
			r->m->ulid = ulid(r);
		else if (is(&key, "minTime"))
			r->m->t_min_ms = integer(r);
		else if (is(&key, "maxTime"))
			r->m->t_max_ms = integer(r);
		else if (is(&key, "stats"))
			stats(r);
		else if (is(&key, "compaction"))
			compaction(r);
		else if (is(&key, "version"))
			r->version = integer(r);
		else if (is(&key, "thanos"))
			thanos(r);
		else
			jsonin_skip(&r->j);
	}
}

enum err bmeta_parse(
    struct arena *a, const void *json, size_t len, struct bmeta *out, struct errbuf *eb)
{
	const uint8_t *p = json;
	struct reader r = { .j = { .p = p, .end = p + len, .arena = a }, .a = a, .m = out };
	*out = (struct bmeta){ 0 };
	whole(&r);
	if (!r.j.wrong && jsonin_peek(&r.j))
		r.j.wrong = "something stands behind the object";
	if (r.j.wrong)
		return errbuf_set(
		    eb, ERR_MALFORMED, "meta.json, byte %zu: %s", (size_t)(r.j.p - p), r.j.wrong);
	if (r.version != 1)
		return errbuf_set(
		    eb, ERR_UNSUPPORTED, "meta.json has version %" PRId64 ", not 1", r.version);
	if (!*out->ulid.text || out->t_min_ms > out->t_max_ms)
		return errbuf_set(eb, ERR_MALFORMED, "meta.json: no ulid, or times of no range");
	return ERR_OK;
}

bool bmeta_has_hint(const struct bmeta *m, const char *hint)
{
	for (size_t i = 0; i < m->hints_count; i++)
		if (strcmp(m->hints[i], hint) == 0)
			return true;
	return false;
}

/* ---- writing ---- */

/* Fields in their order, empty ones left out where Go's "omitempty" stands. */
struct fields {
	struct buf *out;
	unsigned depth;
	bool any;
};

static void field(struct fields *f, const char *name)
{
	buf_add_str(f->out, f->any ? ",\n" : "\n");
	for (unsigned i = 0; i < f->depth; i++)
		buf_add_u8(f->out, '\t');
	if (name)
		buf_printf(f->out, "\"%s\": ", name);
	f->any = true;
}

static void field_count(struct fields *f, const char *name, uint64_t v)
{
	if (!v)
		return;
	field(f, name);
	buf_printf(f->out, "%" PRIu64, v);
}

static void field_true(struct fields *f, const char *name, bool v)
{
	if (!v)
		return;
	field(f, name);
	buf_add_str(f->out, "true");
}

static void fields_end(const struct fields *f, char close)
{
	if (f->any)
		buf_add_u8(f->out, '\n');
	for (unsigned i = 0; f->any && i + 1 < f->depth; i++)
		buf_add_u8(f->out, '\t');
	buf_add_u8(f->out, (uint8_t)close);
}

static struct fields fields_begin(struct buf *out, unsigned depth, char open)
{
	buf_add_u8(out, (uint8_t)open);
	return (struct fields){ .out = out, .depth = depth };
}

static void print_range(struct fields *f, const struct bulid *u, int64_t from, int64_t to)
{
	field(f, "ulid");
	buf_printf(f->out, "\"%s\"", u->text);
	field(f, "minTime");
	buf_printf(f->out, "%" PRId64, from);
	field(f, "maxTime");
	buf_printf(f->out, "%" PRId64, to);
}

static void print_stats(struct buf *out, const struct bmeta *m)
{
	struct fields f = fields_begin(out, 2, '{');
	field_count(&f, "numSamples", m->samples);
	field_count(&f, "numFloatSamples", m->floats);
	field_count(&f, "numHistogramSamples", m->histograms);
	field_count(&f, "numSeries", m->series);
	field_count(&f, "numChunks", m->chunks);
	field_count(&f, "numTombstones", m->tombstones);
	fields_end(&f, '}');
}

static void print_lists(struct fields *f, const struct bmeta *m)
{
	if (m->sources_count) {
		field(f, "sources");
		struct fields l = fields_begin(f->out, 3, '[');
		for (size_t i = 0; i < m->sources_count; i++) {
			field(&l, NULL);
			buf_printf(f->out, "\"%s\"", m->sources[i].text);
		}
		fields_end(&l, ']');
	}
	field_true(f, "deletable", m->deletable);
	if (m->parents_count) {
		field(f, "parents");
		struct fields l = fields_begin(f->out, 3, '[');
		for (size_t i = 0; i < m->parents_count; i++) {
			const struct bmeta_parent *p = &m->parents[i];
			field(&l, NULL);
			struct fields o = fields_begin(f->out, 4, '{');
			print_range(&o, &p->ulid, p->t_min_ms, p->t_max_ms);
			fields_end(&o, '}');
		}
		fields_end(&l, ']');
	}
	field_true(f, "failed", m->failed);
	if (m->hints_count) {
		field(f, "hints");
		struct fields l = fields_begin(f->out, 3, '[');
		for (size_t i = 0; i < m->hints_count; i++) {
			field(&l, NULL);
			json_str(f->out, m->hints[i], strlen(m->hints[i]));
		}
		fields_end(&l, ']');
	}
}

void bmeta_print(struct buf *out, const struct bmeta *m)
{
	struct fields f = fields_begin(out, 1, '{');
	print_range(&f, &m->ulid, m->t_min_ms, m->t_max_ms);
	field(&f, "stats");
	print_stats(out, m);
	field(&f, "compaction");
	struct fields c = fields_begin(out, 2, '{');
	field(&c, "level");
	buf_printf(out, "%" PRIu32, m->level);
	print_lists(&c, m);
	fields_end(&c, '}');
	field(&f, "version");
	buf_add_str(out, "1");
	if (m->thanos) {
		field(&f, "thanos");
		buf_add(out, m->thanos, m->thanos_len);
	}
	fields_end(&f, '}');
}
