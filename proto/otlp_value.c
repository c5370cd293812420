#include "proto/otlp_value.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/num.h"
#include "proto/pbscan.h"

/*
 *   KeyValue      1 string key  2 AnyValue value
 *   AnyValue      one of 1 string  2 bool  3 int64  4 double  5 ArrayValue  6 KeyValueList  7 bytes
 *   ArrayValue    1 AnyValue*
 *   KeyValueList  1 KeyValue*
 */
#define PAIR_LEAST 5u /* bytes of a pair in JSON */
enum any {
	ANY_NOTHING,
	ANY_STRING,
	ANY_BOOL,
	ANY_INT,
	ANY_DOUBLE,
	ANY_LIST,
	ANY_MAP,
	ANY_BYTES
};
static const uint8_t wires[] = {
	[ANY_STRING] = PBSCAN_BYTES,
	[ANY_BOOL] = PBSCAN_VARINT,
	[ANY_INT] = PBSCAN_VARINT,
	[ANY_DOUBLE] = PBSCAN_FIXED64,
	[ANY_LIST] = PBSCAN_BYTES,
	[ANY_MAP] = PBSCAN_BYTES,
	[ANY_BYTES] = PBSCAN_BYTES,
};

/* The field that counts: the last one; number 0 when there is none. False: malformed. */
static bool any_read(const uint8_t *p, size_t len, struct pbscan_field *out)
{
	const uint8_t *end = p + len;
	*out = (struct pbscan_field){ 0 };
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number < ANY_STRING || f.number > ANY_BYTES)
			continue;
		if (f.wire != wires[f.number])
			return false;
		*out = f;
	}
	return true;
}

/* KeyValue: its key and where its value is. False: malformed. */
static bool pair_read(
    const uint8_t *p, const uint8_t *end, struct otlp_text *key, const uint8_t **value, size_t *len)
{
	*key = (struct otlp_text){ "", 0 };
	*value = p;
	*len = 0;
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number != 1 && f.number != 2)
			continue;
		if (f.wire != PBSCAN_BYTES)
			return false;
		if (f.number == 1) {
			*key = (struct otlp_text){ (const char *)f.data, (uint32_t)f.len };
		} else {
			*value = f.data;
			*len = f.len;
		}
	}
	return true;
}

/* key and a string, all lengths in a byte, and nothing else: as senders make most of them. */
static bool plain_read(const uint8_t *p, size_t len, struct otlp_attr *out)
{
	if (len < 6 || len > 0x7f || p[0] != 0x0a)
		return false;
	size_t key_len = p[1];
	if (key_len + 6 > len)
		return false;
	const uint8_t *v = p + 2 + key_len;
	size_t rest = len - 2 - key_len;
	if (v[0] != 0x12 || v[1] != rest - 2 || v[2] != 0x0a || v[3] != rest - 4)
		return false;
	*out = (struct otlp_attr){ .key = (const char *)p + 2,
		.key_len = (uint32_t)key_len,
		.s = (const char *)v + 4,
		.len = (uint32_t)rest - 4 };
	return true;
}

bool otlp_attr_read(const uint8_t *p, size_t len, struct otlp_attr *out)
{
	struct otlp_text key;
	struct pbscan_field f;
	const uint8_t *value;
	size_t value_len;
	if (LIKELY(plain_read(p, len, out)))
		return true;
	if (!pair_read(p, p + len, &key, &value, &value_len) || !any_read(value, value_len, &f))
		return false;
	*out = (struct otlp_attr){ .key = key.s, .key_len = key.len, .s = "" };
	if (f.number == ANY_STRING) {
		out->s = (const char *)f.data;
		out->len = (uint32_t)f.len;
	} else if (f.number) {
		out->any = value;
		out->any_len = (uint32_t)value_len;
	}
	return true;
}

/* ---- texts ---- */

struct maker {
	struct buf buf;
	struct arena *arena;
	size_t pairs; /* of all maps */
	bool no_json; /* a number that JSON has no word for */
};

static void put_double(struct maker *m, double v, bool json)
{
	char text[NUM_FMT_MAX];
	if (json && !isfinite(v)) {
		m->no_json = true;
		return;
	}
	if (!isfinite(v)) {
		buf_add_str(&m->buf, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	size_t n = num_fmt_json(v, text);
	if (n >= 4 && text[n - 4] == 'e' && text[n - 3] == '-' && text[n - 2] == '0') {
		text[n - 2] = text[n - 1]; /* an exponent of one digit */
		n--;
	}
	buf_add(&m->buf, text, n);
}

static void put_int(struct buf *b, uint64_t v)
{
	char text[24];
	buf_add(b, text, num_fmt_i64((int64_t)v, text));
}

static enum err put_any(struct maker *m, const struct pbscan_field *f, bool json, unsigned depth);

static enum err put_value(struct maker *m, const uint8_t *p, size_t len, unsigned depth)
{
	struct pbscan_field f;
	if (!any_read(p, len, &f))
		return ERR_MALFORMED;
	return m->buf.over ? ERR_TOOBIG : put_any(m, &f, true, depth);
}

static enum err put_list(struct maker *m, const struct pbscan_field *list, unsigned depth)
{
	const uint8_t *p = list->data, *end = p + list->len;
	bool any = false;
	buf_add_u8(&m->buf, '[');
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f) || (f.number == 1 && f.wire != PBSCAN_BYTES))
			return ERR_MALFORMED;
		if (f.number != 1)
			continue;
		if (any)
			buf_add_u8(&m->buf, ',');
		any = true;
		enum err e = put_value(m, f.data, f.len, depth);
		if (e)
			return e;
	}
	buf_add_u8(&m->buf, ']');
	return ERR_OK;
}

struct pair {
	struct otlp_text key;
	const uint8_t *value;
	size_t len;
};

static int pair_cmp(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;
	int c = bytes_cmp(a->key.s, a->key.len, b->key.s, b->key.len);
	return c ? c : (a->key.s > b->key.s) - (a->key.s < b->key.s); /* as in the body */
}

/* Those of a map; NULL: malformed, or *big: more than a text can have. */
static struct pair *pairs_read(
    struct maker *m, const struct pbscan_field *map, size_t *count, bool *big)
{
	const uint8_t *const start = map->data, *const end = start + map->len;
	struct pair *pairs = NULL;
	for (int pass = 0; pass < 2; pass++) {
		size_t n = 0;
		for (const uint8_t *p = start; p < end;) {
			struct pbscan_field f;
			if (!pbscan_next(&p, end, &f) || (f.number == 1 && f.wire != PBSCAN_BYTES))
				return NULL;
			if (f.number != 1)
				continue;
			struct pair *to = pairs ? &pairs[n] : NULL;
			n++;
			if (to && !pair_read(f.data, f.data + f.len, &to->key, &to->value, &to->len))
				return NULL;
			if (to && !to->key.len)
				to->key.s = (const char *)f.data; /* a place of its own */
		}
		*count = n;
		if (pairs)
			break;
		m->pairs += n;
		*big = m->pairs > m->buf.limit / PAIR_LEAST;
		if (*big)
			return NULL;
		pairs = arena_array(m->arena, n + 1, sizeof *pairs);
	}
	return pairs;
}

static enum err put_map(struct maker *m, const struct pbscan_field *map, unsigned depth)
{
	size_t n;
	bool big = false;
	struct pair *pairs = pairs_read(m, map, &n, &big);
	if (!pairs)
		return big ? ERR_TOOBIG : ERR_MALFORMED;
	qsort(pairs, n, sizeof *pairs, pair_cmp);
	buf_add_u8(&m->buf, '{');
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		const struct pair *x = &pairs[i];
		if (i + 1 < n && bytes_equal(x->key.s, x->key.len, x[1].key.s, x[1].key.len))
			continue;
		if (any)
			buf_add_u8(&m->buf, ',');
		any = true;
		json_str_raw(&m->buf, x->key.s, x->key.len);
		buf_add_u8(&m->buf, ':');
		enum err e = put_value(m, x->value, x->len, depth);
		if (e)
			return e;
	}
	buf_add_u8(&m->buf, '}');
	return ERR_OK;
}

static void put_text(struct maker *m, const struct pbscan_field *f, bool json)
{
	if (json)
		json_str_raw(&m->buf, (const char *)f->data, f->len);
	else
		buf_add(&m->buf, f->data, f->len);
}

static void put_bytes(struct maker *m, const struct pbscan_field *f, bool json)
{
	if (json && !f->len) { /* as Go has it */
		buf_add_str(&m->buf, "null");
		return;
	}
	if (json)
		buf_add_u8(&m->buf, '"');
	wire_put_base64(&m->buf, f->data, f->len, true);
	if (json)
		buf_add_u8(&m->buf, '"');
}

static enum err put_any(struct maker *m, const struct pbscan_field *f, bool json, unsigned depth)
{
	if (depth > OTLP_DEPTH)
		return ERR_TOOBIG;
	switch ((enum any)f->number) {
	case ANY_NOTHING:
		if (json)
			buf_add_str(&m->buf, "null");
		break;
	case ANY_STRING:
		put_text(m, f, json);
		break;
	case ANY_BOOL:
		buf_add_str(&m->buf, f->value ? "true" : "false");
		break;
	case ANY_INT:
		put_int(&m->buf, f->value);
		break;
	case ANY_DOUBLE:
		put_double(m, num_from_bits(wire_load64(f->data)), json);
		break;
	case ANY_LIST:
		return put_list(m, f, depth + 1);
	case ANY_MAP:
		return put_map(m, f, depth + 1);
	case ANY_BYTES:
		put_bytes(m, f, json);
		break;
	}
	return ERR_OK;
}

/* The short ones, without a buffer. */
static bool short_text(struct arena *a, const struct pbscan_field *f, struct otlp_attr *attr)
{
	if (f->number == ANY_BOOL) {
		attr->s = f->value ? "true" : "false";
		attr->len = f->value ? 4 : 5;
		return true;
	}
	if (f->number != ANY_INT)
		return false;
	char *text = arena_alloc(a, 24);
	attr->len = (uint32_t)num_fmt_i64((int64_t)f->value, text);
	attr->s = text;
	return true;
}

enum err otlp_attr_text(struct arena *a, size_t max, struct otlp_attr *attr)
{
	struct maker m = { .arena = a };
	struct pbscan_field f;
	if (!attr->any)
		return ERR_OK;
	if (!any_read(attr->any, attr->any_len, &f))
		return ERR_MALFORMED;
	if (short_text(a, &f, attr)) {
		attr->any = NULL;
		return ERR_OK;
	}
	buf_init(&m.buf);
	m.buf.limit = max;
	enum err e = put_any(&m, &f, false, 0);
	if (!e && m.buf.over)
		e = ERR_TOOBIG;
	if (!e) {
		size_t len = m.no_json ? 0 : m.buf.len;
		attr->s = len ? arena_dup(a, m.buf.data, len) : "";
		attr->len = (uint32_t)len;
		attr->any = NULL;
	}
	buf_release(&m.buf);
	return e;
}
