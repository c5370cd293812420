#include "core/model/label.h"

#include "core/base/rune.h"
#include "core/base/wire.h"
#include "core/model/limits.h"

#include <stdarg.h>
#include <stdlib.h>

/*
 * Protobuf keys of TimeSeries.labels, Label.name and Label.value (spec: Remote Write 1.0): field
 * number and wire type 2.
 */
#define KEY_LABEL 0x0a
#define KEY_NAME  0x0a
#define KEY_VALUE 0x12

#define SORT_ON_STACK 64

const struct label_limits label_limits_default = {
	.labels_per_series = 256, .name_bytes = 1024, .value_bytes = 16384, .total_bytes = 65535
};

/* Reading */

/* A number that nobody reads may be of ten bytes whatever they are, as protobuf-c has it. */
static void skip_varint(struct wire_reader *r)
{
	for (unsigned i = 0; i < 10; i++)
		if (wire_u8(r) < 0x80)
			return;
	r->bad = true;
}

/*
 * Passes over one field of a message whose key has been read. Field number 0 is an unknown one like
 * others, as protobuf-c has it.
 */
static bool skip_field(struct wire_reader *r, uint64_t key)
{
	size_t len;
	switch (key & 7) {
	case 0:
		skip_varint(r);
		break;
	case 1:
		wire_bytes(r, 8);
		break;
	case 2:
		wire_lenbytes(r, &len);
		break;
	case 5:
		wire_bytes(r, 4);
		break;
	default: /* groups are not used by any of our senders' schemas */
		r->bad = true;
	}
	return !r->bad;
}

/* One Label message: the last of repeated fields wins, as protobuf has it. */
static bool read_label(const uint8_t *p, size_t len, struct label *out)
{
	struct wire_reader r = wire_reader(p, len);
	*out = (struct label){ .name = "", .value = "" };
	while (wire_left(&r)) {
		uint64_t key = wire_varint(&r);
		size_t n;
		if (key == KEY_NAME || key == KEY_VALUE) {
			const uint8_t *s = wire_lenbytes(&r, &n);
			if (!s || n > UINT32_MAX)
				return false;
			if (key == KEY_NAME) {
				out->name = (const char *)s;
				out->name_len = (uint32_t)n;
			} else {
				out->value = (const char *)s;
				out->value_len = (uint32_t)n;
			}
		} else if (!skip_field(&r, key)) {
			return false;
		}
	}
	return !r.bad;
}

/* The usual label: every length below 128, name then value and nothing else. */
static inline bool read_short(struct label_iter *it, struct label *out)
{
	const uint8_t *p = it->p;
	size_t left = (size_t)(it->end - p);
	if (left < 6 || p[0] != KEY_LABEL || p[1] >= 0x80 || p[2] != KEY_NAME || p[3] >= 0x80 ||
	    left < 2u + p[1])
		return false;
	size_t n = p[1], name_len = p[3];
	if (n < name_len + 4 || p[4 + name_len] != KEY_VALUE || p[5 + name_len] >= 0x80)
		return false;
	size_t value_len = p[5 + name_len];
	if (n != name_len + value_len + 4)
		return false;
	*out = (struct label){ .name = (const char *)p + 4,
		.value = (const char *)p + 6 + name_len,
		.name_len = (uint32_t)name_len,
		.value_len = (uint32_t)value_len };
	it->p = p + 2 + n;
	return true;
}

bool label_next(struct label_iter *it, struct label *out)
{
	if (LIKELY(read_short(it, out)))
		return true;
	if (it->p == it->end || it->bad)
		return false;
	struct wire_reader r = wire_reader(it->p, (size_t)(it->end - it->p));
	size_t n;
	const uint8_t *p = wire_varint(&r) == KEY_LABEL ? wire_lenbytes(&r, &n) : NULL;
	if (!p || !read_label(p, n, out)) {
		it->bad = true;
		it->p = it->end;
		return false;
	}
	it->p = r.p;
	return true;
}

const char *label_get(struct labels ls, const char *name, size_t name_len, uint32_t *value_len)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	while (label_next(&it, &l)) {
		if (l.name_len == name_len && (name_len == 0 || memcmp(l.name, name, name_len) == 0)) {
			*value_len = l.value_len;
			return l.value;
		}
	}
	return NULL;
}

int label_cmp(struct labels a, struct labels b)
{
	if (label_equal(a, b))
		return 0;
	struct label_iter ia = label_iter(a), ib = label_iter(b);
	struct label la, lb;
	for (;;) {
		bool more_a = label_next(&ia, &la), more_b = label_next(&ib, &lb);
		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		int c = bytes_cmp(la.name, la.name_len, lb.name, lb.name_len);
		if (c == 0)
			c = bytes_cmp(la.value, la.value_len, lb.value, lb.value_len);
		if (c)
			return c;
	}
}

static size_t label_body_len(const struct label *l)
{
	return 2 + wire_varint_len(l->name_len) + wire_varint_len(l->value_len) + l->name_len +
	    l->value_len;
}

static size_t label_full_len(const struct label *l)
{
	size_t n = label_body_len(l);
	return 1 + wire_varint_len(n) + n;
}

/*
 * Is the label that took these bytes encoded the one right way? Its pieces must lie where the
 * shortest encoding puts them.
 */
static bool encoded_tightly(const uint8_t *start, const uint8_t *end, const struct label *l)
{
	size_t n = label_body_len(l);
	const uint8_t *name = start + 2 + wire_varint_len(n) + wire_varint_len(l->name_len);
	const uint8_t *value = name + l->name_len + 1 + wire_varint_len(l->value_len);
	return (size_t)(end - start) == label_full_len(l) && (const uint8_t *)l->name == name &&
	    (const uint8_t *)l->value == value;
}

bool label_is_canonical(struct labels ls)
{
	struct label_iter it = label_iter(ls);
	struct label l, last = { .name = "" };
	const uint8_t *start = it.p;
	while (label_next(&it, &l)) {
		if (l.name_len == 0 || l.value_len == 0 ||
		    bytes_cmp(last.name, last.name_len, l.name, l.name_len) >= 0 ||
		    !encoded_tightly(start, it.p, &l))
			return false;
		last = l;
		start = it.p;
	}
	return !it.bad;
}

struct hash128 label_fingerprint(struct labels ls, uint32_t tenant, uint64_t seed)
{
	return hash128(ls.bytes, ls.len, tenant ? seed ^ hash_mix64(tenant) : seed);
}

uint64_t label_hash(struct labels ls)
{
	return hash64(ls.bytes, ls.len, 0);
}

/* Writing */

static uint8_t *put_piece(uint8_t *p, uint8_t key, const char *s, uint32_t len)
{
	*p++ = key;
	p = wire_store_varint(p, len);
	if (len)
		memcpy(p, s, len);
	return p + len;
}

/* Labels already sorted, unique and without empty values. */
struct labels label_encode(struct arena *a, const struct label *items, size_t count)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += label_full_len(&items[i]);
	if (size == 0)
		return (struct labels){ 0 };
	CHECK(size <= UINT32_MAX);
	uint8_t *bytes = arena_alloc(a, size), *p = bytes;
	if (!bytes)
		return (struct labels){ 0 }; /* over budget: the arena tells */
	for (size_t i = 0; i < count; i++) {
		*p++ = KEY_LABEL;
		p = wire_store_varint(p, label_body_len(&items[i]));
		p = put_piece(p, KEY_NAME, items[i].name, items[i].name_len);
		p = put_piece(p, KEY_VALUE, items[i].value, items[i].value_len);
	}
	CHECK((size_t)(p - bytes) == size);
	return (struct labels){ .bytes = bytes, .len = (uint32_t)size };
}

static int item_cmp(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	return bytes_cmp(x->name, x->name_len, y->name, y->name_len);
}

/* At most this many bytes of a name or value stand in an error text. */
#define SHOWN(l) (int)rune_cut((l)->name, (l)->name_len, 100)

static enum err check_item(const struct label *l, const struct label_limits *lim, struct errbuf *eb)
{
	if (l->name_len == 0)
		return errbuf_set(eb, ERR_BADDATA, "label name is empty");
	if (lim->name_bytes && l->name_len > lim->name_bytes)
		return errbuf_set(eb, ERR_TOOBIG,
		    "label name \"%.*s...\" has %u bytes, limit %u (--%s)", SHOWN(l), l->name,
		    l->name_len, lim->name_bytes, limits_flag(LIMITS_write_name_bytes));
	if (lim->value_bytes && l->value_len > lim->value_bytes)
		return errbuf_set(eb, ERR_TOOBIG,
		    "value of label \"%.*s\" has %u bytes, limit %u (--%s)", SHOWN(l), l->name,
		    l->value_len, lim->value_bytes, limits_flag(LIMITS_write_value_bytes));
	if (!rune_valid(l->name, l->name_len))
		return errbuf_set(eb, ERR_BADDATA, "label name is not valid UTF-8");
	if (!rune_valid(l->value, l->value_len))
		return errbuf_set(eb, ERR_BADDATA, "value of label \"%.*s\" is not valid UTF-8",
		    SHOWN(l), l->name);
	return ERR_OK;
}

static enum err too_many(size_t count, const struct label_limits *lim, struct errbuf *eb)
{
	return errbuf_set(eb, ERR_TOOBIG, "series has %zu labels, limit %u (--%s)", count,
	    lim->labels_per_series, limits_flag(LIMITS_write_labels));
}

/* Checks of a sorted set as a whole; size is that of the canonical bytes. */
static enum err check_set(const struct label *items, size_t count, size_t size,
    const struct label_limits *lim, struct errbuf *eb)
{
	bool named = false;
	for (size_t i = 0; i < count; i++) {
		enum err e = check_item(&items[i], lim, eb);
		if (e)
			return e;
		named |= label_is_metric_name(items[i].name, items[i].name_len);
	}
	if (!named)
		return errbuf_set(eb, ERR_BADDATA, "metric name is missing");
	if (lim->labels_per_series && count > lim->labels_per_series)
		return too_many(count, lim, eb);
	if (lim->total_bytes && size > lim->total_bytes)
		return errbuf_set(eb, ERR_TOOBIG, "labels have %zu bytes, limit %u (--%s)", size,
		    lim->total_bytes, limits_flag(LIMITS_write_labels_bytes));
	return ERR_OK;
}

/* Those with an empty value are dropped, but each costs: so many are looked at. */
#define EMPTY_PER_LABEL 3u

/* How many labels there are, when they are too many to be sorted; 0: they are not. */
static size_t count_too_many(struct labels wire, const struct label_limits *lim)
{
	struct label_iter it = label_iter(wire);
	struct label l;
	size_t all = 0, kept = 0, max = lim->labels_per_series;
	while (label_next(&it, &l)) {
		all++;
		kept += l.value_len > 0;
	}
	if (!max || it.bad)
		return 0;
	return kept > max ? kept : all > max * (1 + EMPTY_PER_LABEL) ? all : 0;
}

enum err label_canonicalize(struct arena *a, struct labels wire, const struct label_limits *lim,
    struct labels *out, struct errbuf *eb)
{
	struct label stack[SORT_ON_STACK], *items = stack, l;
	size_t count = 0, cap = COUNT_OF(stack), size = 0;
	bool canonical = true;
	struct label_iter it = label_iter(wire);
	const uint8_t *start = it.p;
	while (label_next(&it, &l)) {
		if (count == cap) {
			size_t all = count_too_many(wire, lim);
			if (all)
				return too_many(all, lim, eb);
			struct label *more = arena_array(a, cap * 2, sizeof(*more));
			if (!more)
				return errbuf_set(eb, ERR_NOMEM, "no memory for labels");
			memcpy(more, items, count * sizeof(*items));
			items = more;
			cap *= 2;
		}
		canonical = canonical && l.value_len && encoded_tightly(start, it.p, &l) &&
		    (count == 0 || item_cmp(&items[count - 1], &l) < 0);
		items[count++] = l;
		start = it.p;
	}
	if (it.bad)
		return errbuf_set(eb, ERR_BADDATA, "labels are not well-formed");
	if (!canonical)
		qsort(items, count, sizeof(*items), item_cmp);
	/* Duplicates first: two of a name with one of them empty are still two. */
	for (size_t i = 1; i < count; i++) {
		if (item_cmp(&items[i - 1], &items[i]) == 0)
			return errbuf_set(eb, ERR_BADDATA, "label name \"%.*s\" is not unique",
			    SHOWN(&items[i]), items[i].name);
	}
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (items[i].value_len) {
			size += label_full_len(&items[i]);
			items[kept++] = items[i];
		} else if (items[i].name_len == 0) {
			return errbuf_set(eb, ERR_BADDATA, "label name is empty");
		}
	}
	enum err e = check_set(items, kept, size, lim, eb);
	if (e)
		return e;
	*out = canonical ? wire : label_encode(a, items, kept);
	return out->len ? ERR_OK : errbuf_set(eb, ERR_NOMEM, "no memory for labels");
}

/* Builder */

void label_builder_init(struct label_builder *b, struct arena *a)
{
	*b = (struct label_builder){ .arena = a };
}

void label_builder_from(struct label_builder *b, struct arena *a, struct labels ls)
{
	label_builder_init(b, a);
	struct label_iter it = label_iter(ls);
	struct label l;
	while (label_next(&it, &l))
		label_builder_set(b, l.name, l.name_len, l.value, l.value_len);
}

/* Items stay sorted; place of name, or where it would stand. */
static size_t find_item(const struct label_builder *b, const char *name, size_t name_len, bool *found)
{
	size_t lo = 0, hi = b->count;
	*found = false;
	/* Usually labels come in order: look at the end first. */
	if (hi && bytes_cmp(b->items[hi - 1].name, b->items[hi - 1].name_len, name, name_len) < 0)
		return hi;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = bytes_cmp(b->items[mid].name, b->items[mid].name_len, name, name_len);
		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void label_builder_set(
    struct label_builder *b, const char *name, size_t name_len, const char *value, size_t value_len)
{
	CHECK(name_len <= UINT32_MAX && value_len <= UINT32_MAX);
	if (value_len == 0) {
		label_builder_del(b, name, name_len);
		return;
	}
	bool found;
	size_t at = find_item(b, name, name_len, &found);
	if (!found) {
		if (b->count == b->cap) {
			size_t cap = b->cap ? b->cap * 2 : 16;
			struct label *more = arena_array(b->arena, cap, sizeof(*more));
			if (!more)
				return; /* over budget: the arena tells */
			if (b->count)
				memcpy(more, b->items, b->count * sizeof(*more));
			b->items = more;
			b->cap = cap;
		}
		memmove(&b->items[at + 1], &b->items[at], (b->count - at) * sizeof(*b->items));
		b->count++;
	}
	b->items[at] = (struct label){ .name = name,
		.value = value,
		.name_len = (uint32_t)name_len,
		.value_len = (uint32_t)value_len };
}

const char *label_builder_get(
    const struct label_builder *b, const char *name, size_t name_len, uint32_t *len)
{
	bool found;
	size_t at = find_item(b, name, name_len, &found);
	if (!found)
		return NULL;
	*len = b->items[at].value_len;
	return b->items[at].value;
}

void label_builder_del(struct label_builder *b, const char *name, size_t name_len)
{
	bool found;
	size_t at = find_item(b, name, name_len, &found);
	if (!found)
		return;
	b->count--;
	memmove(&b->items[at], &b->items[at + 1], (b->count - at) * sizeof(*b->items));
}

struct labels label_builder_done(struct label_builder *b)
{
	return label_encode(b->arena, b->items, b->count);
}

struct labels label_make(struct arena *a, ...)
{
	struct label_builder b;
	label_builder_init(&b, a);
	va_list ap;
	va_start(ap, a);
	for (const char *name; (name = va_arg(ap, const char *));) {
		const char *value = va_arg(ap, const char *);
		label_builder_set(&b, name, strlen(name), value, strlen(value));
	}
	va_end(ap);
	return label_builder_done(&b);
}
