#include "storage/meta/defblock.h"

#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/wire.h"

#define FLAG_HOLES   1u
#define FLAG_TENANTS 2u
#define KEY_LABEL    0x0a /* core/model/label.h */
#define KEY_NAME     0x0a
#define KEY_VALUE    0x12

static uint32_t label_body(uint32_t name_len, uint32_t value_len)
{
	return (uint32_t)(2 + wire_varint_len(name_len) + wire_varint_len(value_len)) + name_len +
	    value_len;
}

static uint32_t label_full(uint32_t name_len, uint32_t value_len)
{
	uint32_t n = label_body(name_len, value_len);
	return (uint32_t)(1 + wire_varint_len(n)) + n;
}

/* Makes room for one more in an array that grows. */
#define ROOM(array, count, cap)                                                                    \
 do {                                                                                              \
  if ((count) == (cap)) {                                                                          \
   (cap) = (cap) ? 2 * (cap) : 64;                                                                 \
   (array) = mem_array((array), (cap), sizeof(*(array)));                                          \
  }                                                                                                \
 } while (0)

/* ---- writing ---- */

struct text {
	const uint8_t *data;
	uint32_t len, hash;
	uint32_t next; /* of a value: the next one of its name, index + 1 */
	uint32_t name; /* of a value */
	uint32_t rank; /* of a value: its number in its name */
};
struct texts {
	struct text *v;
	size_t count, cap;
	uint32_t *slots; /* index + 1 */
	size_t slots_count;
};
struct column {
	uint32_t first, last; /* values, index + 1; 0 = none */
	uint32_t count, used; /* used: the value of the last label, index + 1 */
};
struct defblock_writer {
	struct texts names, values;
	struct column *columns; /* as names */
	size_t columns_cap;
	uint32_t *shape_names; /* of all shapes */
	size_t shape_names_count, shape_names_cap;
	struct shape {
		uint32_t at, labels, hash;
	} * shapes;
	size_t shapes_count, shapes_cap;
	struct parsed {
		const uint8_t *bytes; /* of the whole label */
		uint32_t len;
		bool same; /* as that of the series before, at the same place */
		struct label l;
	} * parsed;
	size_t parsed_count, parsed_cap;
	bool same_shape;   /* as the series before, with labels at all */
	uint32_t *numbers; /* names of the labels parsed */
	size_t numbers_cap;
	struct buf shapes_of, codes;
};

struct defblock_writer *defblock_writer_create(void)
{
	struct defblock_writer *w = mem_zalloc(sizeof(*w));
	buf_init(&w->shapes_of);
	buf_init(&w->codes);
	return w;
}

void defblock_writer_free(struct defblock_writer *w)
{
	if (!w)
		return;
	mem_free(w->names.v);
	mem_free(w->names.slots);
	mem_free(w->values.v);
	mem_free(w->values.slots);
	mem_free(w->columns);
	mem_free(w->shape_names);
	mem_free(w->shapes);
	mem_free(w->parsed);
	mem_free(w->numbers);
	buf_release(&w->shapes_of);
	buf_release(&w->codes);
	mem_free(w);
}

static void texts_clear(struct texts *t)
{
	t->count = 0;
	if (t->slots)
		memset(t->slots, 0, t->slots_count * sizeof(*t->slots));
}

static void texts_grow(struct texts *t)
{
	mem_free(t->slots);
	t->slots_count = t->slots_count ? 2 * t->slots_count : 256;
	t->slots = mem_zalloc(t->slots_count * sizeof(*t->slots));
	for (size_t i = 0; i < t->count; i++) {
		size_t at = t->v[i].hash & (t->slots_count - 1);
		while (t->slots[at])
			at = (at + 1) & (t->slots_count - 1);
		t->slots[at] = (uint32_t)i + 1;
	}
}

/* The text with these bytes and this name; *fresh: it was not there. */
static uint32_t texts_put(struct texts *t, const char *data, uint32_t len, uint32_t name, bool *fresh)
{
	uint32_t hash = (uint32_t)hash64(data, len, name);
	if (t->count * 2 >= t->slots_count)
		texts_grow(t);
	size_t at = hash & (t->slots_count - 1);
	for (; t->slots[at]; at = (at + 1) & (t->slots_count - 1)) {
		const struct text *x = &t->v[t->slots[at] - 1];
		if (x->hash == hash && x->name == name && bytes_equal(x->data, x->len, data, len)) {
			*fresh = false;
			return t->slots[at] - 1;
		}
	}
	ROOM(t->v, t->count, t->cap);
	t->v[t->count] =
	    (struct text){ .data = (const uint8_t *)data, .len = len, .hash = hash, .name = name };
	t->slots[at] = (uint32_t)++t->count;
	*fresh = true;
	return (uint32_t)t->count - 1;
}

static uint32_t name_put(struct defblock_writer *w, const char *name, uint32_t len)
{
	bool fresh;
	uint32_t n = texts_put(&w->names, name, len, 0, &fresh);
	if (!fresh)
		return n;
	if (n >= w->columns_cap) {
		w->columns_cap = w->columns_cap ? 2 * w->columns_cap : 64;
		w->columns = mem_array(w->columns, w->columns_cap, sizeof(*w->columns));
	}
	w->columns[n] = (struct column){ 0 };
	return n;
}

/* The usual label: all lengths below 128, name then value. Its bytes, or 0. */
static inline uint32_t parse_short(const uint8_t *p, size_t left, struct label *l)
{
	if (left < 8 || p[0] != KEY_LABEL || p[1] >= 0x80 || p[2] != KEY_NAME || p[3] >= 0x80 ||
	    !p[3] || left < 2u + p[1] || p[1] < p[3] + 5u)
		return 0;
	uint32_t name_len = p[3], value_len = p[5 + name_len];
	if (p[4 + name_len] != KEY_VALUE || p[1] != name_len + value_len + 4u)
		return 0;
	l->name = (const char *)p + 4;
	l->name_len = name_len;
	l->value = (const char *)p + 6 + name_len;
	l->value_len = value_len;
	return 2u + p[1];
}

/* Any other that is canonical. */
static uint32_t parse_long(const uint8_t *p, size_t left, struct label *l)
{
	struct label_iter it = { .p = p, .end = p + left };
	if (!label_next(&it, l) || !l->name_len || !l->value_len)
		return 0;
	uint32_t len = (uint32_t)(it.p - p);
	return len == label_full(l->name_len, l->value_len) &&
	        l->value == l->name + l->name_len + 1 + wire_varint_len(l->value_len)
	    ? len
	    : 0;
}

/*
 * To w->parsed; false: they are not canonical. What stands there from the series before is compared
 * first: the same label at the same place is the usual case.
 */
static bool parse(struct defblock_writer *w, struct labels ls)
{
	const uint8_t *p = ls.bytes, *end = ls.len ? p + ls.len : p;
	size_t before = w->parsed_count, n = 0;
	w->same_shape = true;
	for (; p < end; n++) {
		struct parsed *x;
		ROOM(w->parsed, n, w->parsed_cap);
		x = &w->parsed[n];
		x->same = n < before && x->len <= (size_t)(end - p) && !memcmp(x->bytes, p, x->len);
		if (!x->same) {
			struct label l;
			uint32_t len = parse_short(p, (size_t)(end - p), &l);
			if (!len && !(len = parse_long(p, (size_t)(end - p), &l)))
				return false;
			w->same_shape = w->same_shape && n < before &&
			    bytes_equal(x->l.name, x->l.name_len, l.name, l.name_len);
			x->bytes = p;
			x->len = len;
			x->l = l;
		}
		p += x->len;
	}
	w->same_shape = w->same_shape && n == before;
	w->parsed_count = n;
	return true;
}

/* Are the names of the labels parsed those of the shape? */
static bool shape_is(const struct defblock_writer *w, const struct shape *s)
{
	if (s->labels != w->parsed_count)
		return false;
	for (uint32_t i = 0; i < s->labels; i++) {
		const struct text *n = &w->names.v[w->shape_names[s->at + i]];
		if (!bytes_equal(n->data, n->len, w->parsed[i].l.name, w->parsed[i].l.name_len))
			return false;
	}
	return true;
}

static bool names_ascend(const struct defblock_writer *w)
{
	for (size_t i = 1; i < w->parsed_count; i++) {
		const struct label *a = &w->parsed[i - 1].l, *b = &w->parsed[i].l;
		if (bytes_cmp(a->name, a->name_len, b->name, b->name_len) >= 0)
			return false;
	}
	return true;
}

/*
 * The shape of the labels parsed, which is made when there is none; `last` is the likely one.
 * UINT32_MAX: their names do not ascend.
 */
static uint32_t shape_of(struct defblock_writer *w, uint32_t last)
{
	if (last < w->shapes_count && (w->same_shape || shape_is(w, &w->shapes[last])))
		return last;
	uint64_t hash = w->parsed_count;
	for (size_t i = 0; i < w->parsed_count; i++)
		hash = hash_mix64(hash + hash64(w->parsed[i].l.name, w->parsed[i].l.name_len, 0));
	for (size_t i = w->shapes_count; i-- > 0;)
		if (w->shapes[i].hash == (uint32_t)hash && shape_is(w, &w->shapes[i]))
			return (uint32_t)i;
	if (!names_ascend(w))
		return UINT32_MAX;
	ROOM(w->shapes, w->shapes_count, w->shapes_cap);
	w->shapes[w->shapes_count] = (struct shape){ .at = (uint32_t)w->shape_names_count,
		.labels = (uint32_t)w->parsed_count,
		.hash = (uint32_t)hash };
	for (size_t i = 0; i < w->parsed_count; i++) {
		ROOM(w->shape_names, w->shape_names_count, w->shape_names_cap);
		w->shape_names[w->shape_names_count++] =
		    name_put(w, w->parsed[i].l.name, w->parsed[i].l.name_len);
	}
	return (uint32_t)w->shapes_count++;
}

static void value_put(struct defblock_writer *w, uint32_t name, const struct label *l)
{
	struct column *c = &w->columns[name];
	if (c->used) {
		const struct text *x = &w->values.v[c->used - 1];
		if (bytes_equal(x->data, x->len, l->value, l->value_len)) {
			buf_add_u8(&w->codes, 0);
			return;
		}
	}
	bool fresh;
	uint32_t v = texts_put(&w->values, l->value, l->value_len, name, &fresh);
	c->used = v + 1;
	if (!fresh) {
		wire_put_varint(&w->codes, (uint64_t)w->values.v[v].rank + 2);
		return;
	}
	buf_add_u8(&w->codes, 1);
	w->values.v[v].rank = c->count++;
	if (c->last)
		w->values.v[c->last - 1].next = v + 1;
	else
		c->first = v + 1;
	c->last = v + 1;
}

/* All of them as the value of a name without bytes. */
static void parse_whole(struct defblock_writer *w, struct labels ls)
{
	w->parsed_count = 0;
	w->same_shape = false;
	ROOM(w->parsed, w->parsed_count, w->parsed_cap);
	/* no label has as many bytes: the next series does not take it for one of its own */
	w->parsed[w->parsed_count++] = (struct parsed){ .bytes = ls.bytes,
		.len = UINT32_MAX,
		.l = { .name = "", .value = (const char *)ls.bytes, .value_len = ls.len } };
}

static void series_put(struct defblock_writer *w, struct labels ls, uint32_t *shape)
{
	uint32_t found = parse(w, ls) ? shape_of(w, *shape) : UINT32_MAX;
	if (found == UINT32_MAX) {
		parse_whole(w, ls);
		found = shape_of(w, *shape);
	}
	*shape = found;
	wire_put_varint(&w->shapes_of, found);
	for (size_t i = 0; i < w->parsed_count; i++) {
		if (w->parsed[i].same)
			buf_add_u8(&w->codes, 0);
		else
			value_put(w, w->shape_names[w->shapes[found].at + i], &w->parsed[i].l);
	}
}

static void column_put(const struct defblock_writer *w, const struct column *c, struct buf *out)
{
	const struct text *before = NULL;
	wire_put_varint(out, c->count);
	for (uint32_t at = c->first; at; at = w->values.v[at - 1].next) {
		const struct text *x = &w->values.v[at - 1];
		uint32_t shared = 0, most = before && before->len < x->len ? before->len : x->len;
		while (before && shared < most && before->data[shared] == x->data[shared])
			shared++;
		wire_put_varint(out, shared);
		wire_put_lenbytes(out, x->data + shared, x->len - shared);
		before = x;
	}
}

static void ids_put(const struct catalog_def *defs, size_t count, struct buf *out)
{
	unsigned flags = 0;
	for (size_t i = 1; i < count; i++) {
		CHECK(defs[i].id > defs[i - 1].id);
		flags |= defs[i].id - defs[i - 1].id > 1 ? FLAG_HOLES : 0;
		flags |= defs[i].tenant != defs[0].tenant ? FLAG_TENANTS : 0;
	}
	wire_put_varint(out, count);
	buf_add_u8(out, (uint8_t)flags);
	for (size_t i = 1; (flags & FLAG_HOLES) && i < count; i++)
		wire_put_varint(out, defs[i].id - defs[i - 1].id - 1);
	for (size_t i = 0; i < (flags & FLAG_TENANTS ? count : 1); i++)
		wire_put_varint(out, defs[i].tenant);
}

void defblock_write(
    struct defblock_writer *w, const struct catalog_def *defs, size_t count, struct buf *out)
{
	uint32_t shape = UINT32_MAX;
	CHECK(count >= 1);
	CHECK(count <= DEFBLOCK_IDS);
	texts_clear(&w->names);
	texts_clear(&w->values);
	w->shape_names_count = w->shapes_count = w->parsed_count = 0;
	buf_clear(&w->shapes_of);
	buf_clear(&w->codes);
	for (size_t i = 0; i < count; i++) {
		if (i + DEFBLOCK_AHEAD < count)
			defblock_fetch(defs[i + DEFBLOCK_AHEAD].labels);
		series_put(w, defs[i].labels, &shape);
	}
	ids_put(defs, count, out);
	wire_put_varint(out, w->names.count);
	for (size_t i = 0; i < w->names.count; i++)
		wire_put_lenbytes(out, w->names.v[i].data, w->names.v[i].len);
	wire_put_varint(out, w->shapes_count);
	for (size_t i = 0; i < w->shapes_count; i++) {
		wire_put_varint(out, w->shapes[i].labels);
		for (uint32_t k = 0; k < w->shapes[i].labels; k++)
			wire_put_varint(out, w->shape_names[w->shapes[i].at + k]);
	}
	for (size_t i = 0; i < w->names.count; i++)
		column_put(w, &w->columns[i], out);
	buf_add(out, w->shapes_of.data, w->shapes_of.len);
	buf_add(out, w->codes.data, w->codes.len);
}

/* ---- reading ---- */

void defblock_reader_init(struct defblock_reader *r)
{
	*r = (struct defblock_reader){ .count = 0 };
	buf_init(&r->text);
}

void defblock_reader_release(struct defblock_reader *r)
{
	mem_free(r->names);
	mem_free(r->values);
	mem_free(r->shapes);
	mem_free(r->numbers);
	mem_free(r->columns);
	buf_release(&r->text);
}

static bool read_ids(struct defblock_reader *r, struct wire_reader *in, uint32_t last_id)
{
	uint64_t count = wire_varint(in);
	uint8_t flags = wire_u8(in);
	if (in->bad || !count || count > DEFBLOCK_IDS || flags & ~(FLAG_HOLES | FLAG_TENANTS))
		return false;
	r->count = (uint32_t)count;
	r->ids[0] = 0;
	for (uint32_t i = 1; i < r->count; i++) {
		uint64_t d = flags & FLAG_HOLES ? wire_varint(in) : 0;
		if (d > UINT32_MAX || r->ids[i - 1] + d + 1 > last_id)
			return false;
		r->ids[i] = r->ids[i - 1] + (uint32_t)d + 1;
	}
	uint32_t first = last_id - r->ids[r->count - 1];
	for (uint32_t i = 0; i < r->count; i++) {
		uint64_t tenant = !i || flags & FLAG_TENANTS ? wire_varint(in) : r->tenants[0];
		if (tenant > UINT32_MAX)
			return false;
		r->ids[i] += first;
		r->tenants[i] = (uint32_t)tenant;
	}
	return !in->bad;
}

static bool read_names(struct defblock_reader *r, struct wire_reader *in)
{
	uint64_t count = wire_varint(in);
	if (in->bad || count > wire_left(in))
		return false;
	for (r->names_count = 0; r->names_count < count; r->names_count++) {
		size_t len;
		const uint8_t *data = wire_lenbytes(in, &len);
		if (in->bad || len > DEFBLOCK_ONE_MAX)
			return false;
		ROOM(r->names, r->names_count, r->names_cap);
		r->names[r->names_count] =
		    (struct defblock_text){ .data = data, .len = (uint32_t)len };
	}
	return true;
}

/* Names ascend in a shape, but for the one of labels that are not canonical. */
static bool read_shape(struct defblock_reader *r, struct wire_reader *in)
{
	uint64_t labels = wire_varint(in);
	if (in->bad || labels > wire_left(in))
		return false;
	ROOM(r->shapes, r->shapes_count, r->shapes_cap);
	r->shapes[r->shapes_count++] =
	    (struct defblock_shape){ .at = (uint32_t)r->numbers_count, .labels = (uint32_t)labels };
	const struct defblock_text *before = NULL;
	for (uint64_t i = 0; i < labels; i++) {
		uint64_t number = wire_varint(in);
		if (in->bad || number >= r->names_count)
			return false;
		const struct defblock_text *n = &r->names[number];
		if (before && bytes_cmp(before->data, before->len, n->data, n->len) >= 0)
			return false;
		if (!n->len && labels > 1)
			return false;
		ROOM(r->numbers, r->numbers_count, r->numbers_cap);
		r->numbers[r->numbers_count++] = (uint32_t)number;
		before = n;
	}
	return true;
}

static bool read_shapes(struct defblock_reader *r, struct wire_reader *in)
{
	uint64_t count = wire_varint(in);
	r->shapes_count = r->numbers_count = 0;
	if (in->bad || count > wire_left(in))
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (!read_shape(r, in))
			return false;
	return true;
}

/*
 * The values of a name: their texts stand behind each other in r->text, which may still move: data
 * is an offset until all are there.
 */
static bool read_column(struct defblock_reader *r, struct wire_reader *in, struct defblock_column *c)
{
	uint64_t count = wire_varint(in);
	size_t before_at = 0, before_len = 0;
	if (in->bad || count > wire_left(in))
		return false;
	*c = (struct defblock_column){ .first = (uint32_t)r->values_count, .count = (uint32_t)count };
	for (uint64_t i = 0; i < count; i++) {
		uint64_t shared = wire_varint(in);
		size_t more;
		const uint8_t *rest = wire_lenbytes(in, &more);
		if (in->bad || shared > before_len || r->text.len + shared + more > DEFBLOCK_TEXT_MAX)
			return false;
		size_t at = r->text.len, len = (size_t)shared + more;
		if (!buf_reserve(&r->text, len))
			return false;
		if (shared)
			memcpy(r->text.data + at, r->text.data + before_at, (size_t)shared);
		if (more)
			memcpy(r->text.data + at + shared, rest, more);
		r->text.len += len;
		ROOM(r->values, r->values_count, r->values_cap);
		r->values[r->values_count++] = (struct defblock_text){ .len = (uint32_t)len };
		before_at = at;
		before_len = len;
	}
	return true;
}

static bool read_values(struct defblock_reader *r, struct wire_reader *in)
{
	r->values_count = 0;
	buf_clear(&r->text);
	buf_reserve(&r->text, 1);
	if (r->columns_cap < r->names_count) {
		r->columns_cap = r->names_count;
		r->columns = mem_array(r->columns, r->columns_cap, sizeof(*r->columns));
	}
	for (size_t i = 0; i < r->names_count; i++)
		if (!read_column(r, in, &r->columns[i]))
			return false;
	const uint8_t *at = r->text.data;
	for (size_t i = 0; i < r->values_count; i++) {
		r->values[i].data = at;
		at += r->values[i].len;
	}
	return true;
}

/* The number of a value, among all, by its code. */
static bool read_code(struct wire_reader *in, struct defblock_column *c, uint32_t *number)
{
	uint64_t code = wire_varint(in);
	if (in->bad)
		return false;
	if (code == 1)
		c->last = c->used++;
	else if (code)
		c->last = code - 2 < c->used ? (uint32_t)code - 2 : UINT32_MAX;
	/* the last one, before there is any, is none; nor is one behind those told */
	if (c->last >= c->used || c->used > c->count)
		return false;
	*number = c->first + c->last;
	return true;
}

static bool read_series(struct defblock_reader *r, struct wire_reader *in, uint32_t place)
{
	const struct defblock_shape *s = &r->shapes[r->shape_of[place]];
	uint64_t len = 0;
	r->refs_at[place] = (uint32_t)r->numbers_count;
	for (uint32_t i = 0; i < s->labels; i++) {
		uint32_t name = r->numbers[s->at + i], number;
		if (!read_code(in, &r->columns[name], &number))
			return false;
		if (!r->values[number].len && r->names[name].len)
			return false;
		len += (uint64_t)r->names[name].len + r->values[number].len;
		ROOM(r->numbers, r->numbers_count, r->numbers_cap);
		r->numbers[r->numbers_count++] = number;
	}
	return len <= DEFBLOCK_TEXT_MAX;
}

bool defblock_read(struct defblock_reader *r, const uint8_t *raw, size_t len, uint32_t last_id)
{
	struct wire_reader in = wire_reader(raw, len);
	bool good = len <= DEFBLOCK_TEXT_MAX && read_ids(r, &in, last_id) && read_names(r, &in) &&
	    read_shapes(r, &in) && read_values(r, &in);
	for (uint32_t i = 0; good && i < r->count; i++) {
		uint64_t shape = wire_varint(&in);
		good = !in.bad && shape < r->shapes_count;
		r->shape_of[i] = (uint32_t)shape;
	}
	for (uint32_t i = 0; good && i < r->count; i++)
		good = read_series(r, &in, i);
	good = good && !wire_left(&in);
	if (!good)
		r->count = 0;
	return good;
}

uint32_t defblock_find(const struct defblock_reader *r, uint32_t id)
{
	uint32_t lo = 0, hi = r->count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (r->ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->count && r->ids[lo] == id ? lo : DEFBLOCK_IDS;
}

/* A label of a place: its name and value. */
static const struct defblock_text *label_at(
    const struct defblock_reader *r, uint32_t place, uint32_t i, const struct defblock_text **value)
{
	const struct defblock_shape *s = &r->shapes[r->shape_of[place]];
	*value = &r->values[r->numbers[r->refs_at[place] + i]];
	return &r->names[r->numbers[s->at + i]];
}

uint32_t defblock_labels_len(const struct defblock_reader *r, uint32_t place)
{
	uint32_t labels = r->shapes[r->shape_of[place]].labels, len = 0;
	for (uint32_t i = 0; i < labels; i++) {
		const struct defblock_text *value, *name = label_at(r, place, i, &value);
		len += name->len ? label_full(name->len, value->len) : value->len;
	}
	return len;
}

static uint8_t *put_text(uint8_t *to, uint8_t key, const struct defblock_text *t)
{
	*to++ = key;
	to = wire_store_varint(to, t->len);
	memcpy(to, t->data, t->len);
	return to + t->len;
}

void defblock_labels(const struct defblock_reader *r, uint32_t place, uint8_t *to)
{
	uint32_t labels = r->shapes[r->shape_of[place]].labels;
	for (uint32_t i = 0; i < labels; i++) {
		const struct defblock_text *value, *name = label_at(r, place, i, &value);
		if (!name->len) {
			if (value->len)
				memcpy(to, value->data, value->len);
			return;
		}
		*to++ = KEY_LABEL;
		to = wire_store_varint(to, label_body(name->len, value->len));
		to = put_text(to, KEY_NAME, name);
		to = put_text(to, KEY_VALUE, value);
	}
}

struct labels defblock_labels_dup(const struct defblock_reader *r, uint32_t place, struct arena *a)
{
	uint32_t len = defblock_labels_len(r, place);
	uint8_t *to = arena_alloc(a, len);
	if (!to)
		return (struct labels){ 0 };
	defblock_labels(r, place, to);
	return (struct labels){ .bytes = to, .len = len };
}
