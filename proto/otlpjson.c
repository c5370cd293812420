#include "proto/otlpjson.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/base/bytes.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/base/wire.h"

/* ---- The messages ---- */

enum kind {
	KIND_STRING,
	KIND_BASE64,
	KIND_HEX,
	KIND_BOOL,
	KIND_UINT32,
	KIND_SINT32,
	KIND_INT64,
	KIND_UINT64,
	KIND_FIXED64,
	KIND_SFIXED64,
	KIND_DOUBLE,
	KIND_TEMPORALITY,
	KIND_MESSAGE
};
struct message;
struct field {
	const char *name;
	uint8_t number, kind;
	bool many;
	const struct message *sub;
};
struct message {
	const struct field *fields;
	unsigned count;
};
#define MESSAGE(m)                                                                                 \
 static const struct message m = { .fields = m##_fields, .count = COUNT_OF(m##_fields) }
#define ONE(name, number, kind)                                                                    \
 {                                                                                                 \
  name, number, KIND_##kind, false, NULL                                                           \
 }
#define MANY(name, number, kind)                                                                   \
 {                                                                                                 \
  name, number, KIND_##kind, true, NULL                                                            \
 }
#define SUB(name, number, m)                                                                       \
 {                                                                                                 \
  name, number, KIND_MESSAGE, false, &m                                                            \
 }
#define SUBS(name, number, m)                                                                      \
 {                                                                                                 \
  name, number, KIND_MESSAGE, true, &m                                                             \
 }

static const struct message any_value;
static const struct field key_value_fields[] = {
	ONE("key", 1, STRING),
	SUB("value", 2, any_value),
};
MESSAGE(key_value);
static const struct field array_value_fields[] = {
	SUBS("values", 1, any_value),
};
MESSAGE(array_value);
static const struct field kvlist_fields[] = {
	SUBS("values", 1, key_value),
};
MESSAGE(kvlist);
static const struct field any_value_fields[] = {
	ONE("stringValue", 1, STRING),
	ONE("boolValue", 2, BOOL),
	ONE("intValue", 3, INT64),
	ONE("doubleValue", 4, DOUBLE),
	SUB("arrayValue", 5, array_value),
	SUB("kvlistValue", 6, kvlist),
	ONE("bytesValue", 7, BASE64),
};
MESSAGE(any_value);
static const struct field exemplar_fields[] = {
	SUBS("filteredAttributes", 7, key_value),
	ONE("timeUnixNano", 2, FIXED64),
	ONE("asDouble", 3, DOUBLE),
	ONE("asInt", 6, SFIXED64),
	ONE("spanId", 4, HEX),
	ONE("traceId", 5, HEX),
};
MESSAGE(exemplar);
static const struct field number_point_fields[] = {
	SUBS("attributes", 7, key_value),
	ONE("startTimeUnixNano", 2, FIXED64),
	ONE("timeUnixNano", 3, FIXED64),
	ONE("asDouble", 4, DOUBLE),
	ONE("asInt", 6, SFIXED64),
	SUBS("exemplars", 5, exemplar),
	ONE("flags", 8, UINT32),
};
MESSAGE(number_point);
static const struct field hist_point_fields[] = {
	SUBS("attributes", 9, key_value),
	ONE("startTimeUnixNano", 2, FIXED64),
	ONE("timeUnixNano", 3, FIXED64),
	ONE("count", 4, FIXED64),
	ONE("sum", 5, DOUBLE),
	MANY("bucketCounts", 6, FIXED64),
	MANY("explicitBounds", 7, DOUBLE),
	SUBS("exemplars", 8, exemplar),
	ONE("flags", 10, UINT32),
	ONE("min", 11, DOUBLE),
	ONE("max", 12, DOUBLE),
};
MESSAGE(hist_point);
static const struct field buckets_fields[] = {
	ONE("offset", 1, SINT32),
	MANY("bucketCounts", 2, UINT64),
};
MESSAGE(buckets);
static const struct field exp_point_fields[] = {
	SUBS("attributes", 1, key_value),
	ONE("startTimeUnixNano", 2, FIXED64),
	ONE("timeUnixNano", 3, FIXED64),
	ONE("count", 4, FIXED64),
	ONE("sum", 5, DOUBLE),
	ONE("scale", 6, SINT32),
	ONE("zeroCount", 7, FIXED64),
	SUB("positive", 8, buckets),
	SUB("negative", 9, buckets),
	ONE("flags", 10, UINT32),
	SUBS("exemplars", 11, exemplar),
	ONE("min", 12, DOUBLE),
	ONE("max", 13, DOUBLE),
	ONE("zeroThreshold", 14, DOUBLE),
};
MESSAGE(exp_point);
static const struct field quantile_fields[] = {
	ONE("quantile", 1, DOUBLE),
	ONE("value", 2, DOUBLE),
};
MESSAGE(quantile);
static const struct field summary_point_fields[] = {
	SUBS("attributes", 7, key_value),
	ONE("startTimeUnixNano", 2, FIXED64),
	ONE("timeUnixNano", 3, FIXED64),
	ONE("count", 4, FIXED64),
	ONE("sum", 5, DOUBLE),
	SUBS("quantileValues", 6, quantile),
	ONE("flags", 8, UINT32),
};
MESSAGE(summary_point);
static const struct field gauge_fields[] = {
	SUBS("dataPoints", 1, number_point),
};
MESSAGE(gauge);
static const struct field sum_fields[] = {
	SUBS("dataPoints", 1, number_point),
	ONE("aggregationTemporality", 2, TEMPORALITY),
	ONE("isMonotonic", 3, BOOL),
};
MESSAGE(sum);
static const struct field histogram_fields[] = {
	SUBS("dataPoints", 1, hist_point),
	ONE("aggregationTemporality", 2, TEMPORALITY),
};
MESSAGE(histogram);
static const struct field exponential_fields[] = {
	SUBS("dataPoints", 1, exp_point),
	ONE("aggregationTemporality", 2, TEMPORALITY),
};
MESSAGE(exponential);
static const struct field summary_fields[] = {
	SUBS("dataPoints", 1, summary_point),
};
MESSAGE(summary);
static const struct field metric_fields[] = {
	ONE("name", 1, STRING),
	ONE("description", 2, STRING),
	ONE("unit", 3, STRING),
	SUB("gauge", 5, gauge),
	SUB("sum", 7, sum),
	SUB("histogram", 9, histogram),
	SUB("exponentialHistogram", 10, exponential),
	SUB("summary", 11, summary),
	SUBS("metadata", 12, key_value),
};
MESSAGE(metric);
static const struct field scope_fields[] = {
	ONE("name", 1, STRING),
	ONE("version", 2, STRING),
	SUBS("attributes", 3, key_value),
	ONE("droppedAttributesCount", 4, UINT32),
};
MESSAGE(scope);
static const struct field scope_metrics_fields[] = {
	SUB("scope", 1, scope),
	SUBS("metrics", 2, metric),
	ONE("schemaUrl", 3, STRING),
};
MESSAGE(scope_metrics);
static const struct field resource_fields[] = {
	SUBS("attributes", 1, key_value),
	ONE("droppedAttributesCount", 2, UINT32),
};
MESSAGE(resource);
static const struct field resource_metrics_fields[] = {
	SUB("resource", 1, resource),
	SUBS("scopeMetrics", 2, scope_metrics),
	ONE("schemaUrl", 3, STRING),
};
MESSAGE(resource_metrics);
static const struct field request_fields[] = {
	SUBS("resourceMetrics", 1, resource_metrics),
};
MESSAGE(request);

static const struct field nothing = { .name = NULL };

/* ---- The walk ---- */

#define KEY_MAX   64u /* a longer one is unknown */
#define WORD_SHOW 40u /* bytes of a wrong value that an error shows */

struct frame {                     /* an object, or an array of what `field` says */
	const struct message *msg; /* NULL: an array */
	const struct field *field; /* of an object: the member at hand; &nothing: none */
	size_t at;                 /* in out: of the length, 1 byte; 0: there is none */
	uint32_t index;            /* of an array: the element at hand */
	bool any;                  /* there was a member or element */
};
struct otlpjson {
	struct buf out;
	const uint8_t *p, *end; /* of a call */
	struct errbuf *eb;
	bool begun, ended;
	unsigned depth;
	struct frame frames[OTLPJSON_DEPTH];
};

struct otlpjson *otlpjson_create(size_t max_bytes)
{
	struct otlpjson *j = mem_alloc(sizeof(*j));
	buf_init(&j->out);
	j->out.limit = max_bytes;
	j->begun = j->ended = false;
	j->depth = 0;
	return j;
}

void otlpjson_free(struct otlpjson *j)
{
	if (!j)
		return;
	buf_release(&j->out);
	mem_free(j);
}

const uint8_t *otlpjson_result(const struct otlpjson *j, size_t *len)
{
	*len = j->out.len;
	return j->out.data ? j->out.data : (const uint8_t *)"";
}

static struct frame *top(struct otlpjson *j)
{
	return &j->frames[j->depth - 1];
}

/* ---- Errors ---- */

static size_t place(const struct otlpjson *j, char *out, size_t size)
{
	size_t n = 0;
	out[0] = 0;
	for (unsigned i = 0; i < j->depth && n + 1 < size; i++) {
		const struct frame *f = &j->frames[i];
		if (!f->msg)
			n += rune_printf(out + n, size - n, "[%" PRIu32 "]", f->index);
		else if (f->field->name)
			n += rune_printf(out + n, size - n, "%s%s", n ? "." : "", f->field->name);
	}
	return n;
}

static enum err wrong_as(const struct otlpjson *j, enum err e, const char *what)
{
	char at[512];
	size_t n = place(j, at, sizeof(at));
	return errbuf_set(j->eb, e, "%s%s%s", at, n ? ": " : "", what);
}

static enum err wrong(const struct otlpjson *j, const char *what)
{
	if (j->p >= j->end)
		return wrong_as(j, ERR_TRUNCATED, "the text ends too early");
	return wrong_as(j, ERR_MALFORMED, what);
}

/* "1x" is no integer; word is as it came. */
static enum err wrong_word(const struct otlpjson *j, const uint8_t *word, size_t len, const char *what)
{
	char text[WORD_SHOW * 4 + 64];
	size_t n = rune_cut((const char *)word, len, WORD_SHOW);
	if (!rune_valid((const char *)word, n))
		n = 0;
	rune_printf(text, sizeof(text), "%.*s%s %s", (int)n, (const char *)word,
	    n < len ? "..." : "", what);
	return wrong_as(j, ERR_MALFORMED, text);
}

static enum err full(const struct otlpjson *j)
{
	char text[80];
	(void)snprintf(text, sizeof(text),
	    "the request is larger than %zu bytes (--limits.body-bytes)", j->out.limit);
	return errbuf_set(j->eb, ERR_TOOBIG, "%s", text);
}

/* ---- Words and strings ---- */

static void blanks(struct otlpjson *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
		j->p++;
}

static bool next_is(struct otlpjson *j, char c)
{
	blanks(j);
	if (j->p >= j->end || *j->p != (uint8_t)c)
		return false;
	j->p++;
	return true;
}

struct text { /* the inside of a string, or a number as it stands */
	const uint8_t *p;
	size_t len;
	bool escapes, quoted;
};

/* p is behind the quote. */
static enum err string_raw(struct otlpjson *j, struct text *t)
{
	const uint8_t *p = j->p, *end = j->end;
	*t = (struct text){ .p = p, .quoted = true };
	for (; p < end && *p != '"'; p++) {
		j->p = p;
		if (UNLIKELY(*p < 0x20))
			return wrong(j, "a control character stands in a string");
		if (UNLIKELY(*p == '\\')) {
			t->escapes = true;
			if (++p >= end)
				break;
			if (!json_is_escape((const char *)p, (const char *)end))
				return wrong(j, "a string has an escape that is none");
		}
	}
	j->p = p;
	if (p >= end)
		return wrong(j, "");
	t->len = (size_t)(p - t->p);
	j->p = p + 1;
	return ERR_OK;
}

/* What a string says, never longer than it came; its length. Its escapes have been looked at. */
static size_t unescape(const struct text *t, uint8_t *to)
{
	size_t n = 0;
	(void)json_unescape((const char *)t->p, t->len, (char *)to, &n);
	return n;
}

static bool word_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    c == '+' || c == '-' || c == '.';
}

/* A number, null, true or false, as it stands. */
static enum err word_raw(struct otlpjson *j, struct text *t)
{
	*t = (struct text){ .p = j->p };
	while (j->p < j->end && word_char(*j->p))
		j->p++;
	t->len = (size_t)(j->p - t->p);
	return t->len ? ERR_OK : wrong(j, "a value should stand here");
}

static bool is_word(const struct text *t, const char *word)
{
	return !t->quoted && bytes_equal(t->p, t->len, word, strlen(word));
}

/* RFC 8259, number. */
static bool is_number(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	if (p < end && *p == '-')
		p++;
	const uint8_t *digits = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	if (p == digits || (*digits == '0' && p - digits > 1))
		return false;
	if (p < end && *p == '.') {
		const uint8_t *part = ++p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == part)
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		const uint8_t *part = p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == part)
			return false;
	}
	return p == end;
}

/* ---- What is written ---- */

static void put_tag(struct otlpjson *j, const struct field *f, unsigned wire)
{
	buf_add_u8(&j->out, (uint8_t)(f->number << 3 | wire));
}

static void put_varint(struct otlpjson *j, uint64_t v)
{
	wire_put_varint(&j->out, v);
}

static void put_64(struct otlpjson *j, uint64_t v)
{
	uint8_t b[8];
	wire_store64(b, v);
	buf_add(&j->out, b, sizeof(b));
}

/* A length that is known later: one byte is kept for it, more are made then. */
static size_t length_begin(struct otlpjson *j)
{
	size_t at = j->out.len;
	buf_add_u8(&j->out, 0);
	return at;
}

static void length_end(struct otlpjson *j, size_t at)
{
	struct buf *b = &j->out;
	if (b->over)
		return;
	size_t len = b->len - at - 1, more = wire_varint_len(len) - 1;
	if (more) {
		if (!buf_reserve(b, more))
			return;
		memmove(b->data + at + 1 + more, b->data + at + 1, len);
		b->len += more;
	}
	(void)wire_store_varint(b->data + at, len);
}

/* ---- Values ---- */

static enum err put_string(struct otlpjson *j, const struct field *f, const struct text *t)
{
	if (!t->quoted)
		return wrong_word(j, t->p, t->len, "is no string");
	put_tag(j, f, 2);
	if (!t->escapes) {
		put_varint(j, t->len);
		buf_add(&j->out, t->p, t->len);
		return ERR_OK;
	}
	size_t at = length_begin(j);
	if (!buf_reserve(&j->out, t->len))
		return full(j);
	j->out.len += unescape(t, j->out.data + j->out.len);
	length_end(j, at);
	return ERR_OK;
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* RFC 4648; "=" may be there or not, and bits that say nothing may be anything. */
static bool put_base64(struct otlpjson *j, const uint8_t *p, size_t len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t digits = len;
	while (digits && len - digits < 2 && p[digits - 1] == '=')
		digits--;
	if (digits % 4 == 1 || (digits < len && len % 4))
		return false;
	for (size_t i = 0; i < digits; i++) {
		int d = base64_digit(p[i]);
		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_add_u8(&j->out, (uint8_t)(bits >> have));
		}
	}
	return true;
}

static bool put_hex(struct otlpjson *j, const uint8_t *p, size_t len)
{
	if (len % 2)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int high = bytes_hex(p[i]), low = bytes_hex(p[i + 1]);
		if (high < 0 || low < 0)
			return false;
		buf_add_u8(&j->out, (uint8_t)(high << 4 | low));
	}
	return true;
}

static enum err put_bytes(struct otlpjson *j, const struct field *f, const struct text *t)
{
	struct text plain = *t;
	enum err e = ERR_OK;
	uint8_t *own = NULL;
	if (!t->quoted)
		return wrong_word(j, t->p, t->len, "is no string");
	if (t->escapes) { /* "\/" is what some write for "/" */
		own = mem_alloc(t->len);
		plain.p = own;
		plain.len = unescape(t, own);
	}
	put_tag(j, f, 2);
	size_t at = length_begin(j);
	bool hex = f->kind == KIND_HEX;
	if (!(hex ? put_hex : put_base64)(j, plain.p, plain.len))
		e = wrong_word(j, t->p, t->len, hex ? "is not hexadecimal" : "is not base64");
	length_end(j, at);
	mem_free(own);
	return e;
}

static enum err put_bool(struct otlpjson *j, const struct field *f, const struct text *t)
{
	bool yes = is_word(t, "true");
	if (!yes && !is_word(t, "false"))
		return wrong_word(j, t->p, t->len, "is neither true nor false");
	put_tag(j, f, 0);
	put_varint(j, yes);
	return ERR_OK;
}

/* A whole number of 64 bits: its bits, and whether it is below 0. */
static bool whole(const struct text *t, uint64_t *bits, bool *negative)
{
	const uint8_t *p = t->p, *end = t->p + t->len;
	uint64_t v = 0;
	*negative = p < end && *p == '-';
	p += *negative;
	if (!is_number(t->p, t->len))
		return false;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return false;
	if (p < end) { /* 1.0, 1e3 */
		double d;
		if (num_parse_float((const char *)t->p, t->len, &d))
			return false;
		d = fabs(d);
		if (d != trunc(d) || d >= 0x1p64)
			return false;
		v = (uint64_t)d;
	}
	*negative = *negative && v;
	*bits = *negative ? 0 - v : v;
	return !*negative || v <= (uint64_t)1 << 63;
}

static enum err put_integer(struct otlpjson *j, const struct field *f, const struct text *t)
{
	uint64_t v;
	bool negative;
	if (!whole(t, &v, &negative))
		return wrong_word(j, t->p, t->len, "is no integer of 64 bits");
	bool is_signed = f->kind == KIND_INT64 || f->kind == KIND_SFIXED64 || f->kind == KIND_SINT32;
	if (is_signed ? !negative && v > INT64_MAX : negative)
		return wrong_word(j, t->p, t->len, "is out of range");
	if ((f->kind == KIND_SINT32 && (int64_t)v != (int32_t)v) ||
	    (f->kind == KIND_UINT32 && v > UINT32_MAX))
		return wrong_word(j, t->p, t->len, "is no integer of 32 bits");
	bool fixed = f->kind == KIND_FIXED64 || f->kind == KIND_SFIXED64;
	if (!f->many)
		put_tag(j, f, fixed ? 1 : 0);
	if (fixed)
		put_64(j, v);
	else if (f->kind == KIND_SINT32)
		put_varint(j, v << 1 ^ (uint64_t)((int64_t)v >> 63));
	else
		put_varint(j, v);
	return ERR_OK;
}

static bool double_of(const struct text *t, double *out)
{
	static const struct {
		const char *text;
		double v;
	} words[] = { { "NaN", NAN }, { "Infinity", INFINITY }, { "-Infinity", -INFINITY } };
	for (size_t i = 0; t->quoted && i < COUNT_OF(words); i++)
		if (bytes_equal(t->p, t->len, words[i].text, strlen(words[i].text))) {
			*out = words[i].v;
			return true;
		}
	return is_number(t->p, t->len) && !num_parse_float((const char *)t->p, t->len, out);
}

static enum err put_double(struct otlpjson *j, const struct field *f, const struct text *t)
{
	double v;
	if (!double_of(t, &v))
		return wrong_word(j, t->p, t->len, "is no number that a double holds");
	if (!f->many)
		put_tag(j, f, 1);
	put_64(j, num_bits(v));
	return ERR_OK;
}

static enum err put_temporality(struct otlpjson *j, const struct field *f, const struct text *t)
{
	static const char *const names[] = { "AGGREGATION_TEMPORALITY_UNSPECIFIED",
		"AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE" };
	uint64_t v;
	bool negative;
	for (unsigned i = 0; t->quoted && i < COUNT_OF(names); i++)
		if (bytes_equal(t->p, t->len, names[i], strlen(names[i]))) {
			put_tag(j, f, 0);
			put_varint(j, i);
			return ERR_OK;
		}
	if (!whole(t, &v, &negative) || negative || v > INT32_MAX)
		return wrong_word(j, t->p, t->len, "is no temporality");
	put_tag(j, f, 0);
	put_varint(j, v);
	return ERR_OK;
}

static enum err put_scalar(struct otlpjson *j, const struct field *f, const struct text *t)
{
	switch (f->kind) {
	case KIND_STRING:
		return put_string(j, f, t);
	case KIND_BASE64:
	case KIND_HEX:
		return put_bytes(j, f, t);
	case KIND_BOOL:
		return put_bool(j, f, t);
	case KIND_DOUBLE:
		return put_double(j, f, t);
	case KIND_TEMPORALITY:
		return put_temporality(j, f, t);
	default:
		return put_integer(j, f, t);
	}
}

/* ---- Objects and arrays ---- */

static enum err push(struct otlpjson *j, const struct message *msg, const struct field *f, size_t at)
{
	if (j->depth == OTLPJSON_DEPTH)
		return wrong(j, "objects stand too deep in one another");
	j->frames[j->depth++] = (struct frame){ .msg = msg, .field = f, .at = at };
	return ERR_OK;
}

static void pop(struct otlpjson *j)
{
	struct frame *f = top(j);
	if (f->at)
		length_end(j, f->at - 1);
	j->depth--;
	if (!j->depth)
		j->ended = true;
	else if (top(j)->msg)
		top(j)->field = &nothing;
}

static enum err open_object(struct otlpjson *j, const struct field *f)
{
	if (!next_is(j, '{'))
		return wrong(j, "an object should stand here");
	put_tag(j, f, 2);
	return push(j, f->sub, &nothing, length_begin(j) + 1);
}

static enum err open_array(struct otlpjson *j, const struct field *f)
{
	if (!next_is(j, '['))
		return wrong(j, "an array should stand here");
	if (f->kind == KIND_MESSAGE)
		return push(j, NULL, f, 0);
	put_tag(j, f, 2);
	return push(j, NULL, f, length_begin(j) + 1);
}

/* A scalar that is not null. */
static enum err scalar_raw(struct otlpjson *j, struct text *t)
{
	blanks(j);
	return next_is(j, '"') ? string_raw(j, t) : word_raw(j, t);
}

static enum err pass_string(struct otlpjson *j)
{
	struct text t;
	return string_raw(j, &t);
}

static enum err pass_word(struct otlpjson *j)
{
	struct text t;
	enum err e = word_raw(j, &t);
	if (e || is_word(&t, "null") || is_word(&t, "true") || is_word(&t, "false") ||
	    is_number(t.p, t.len))
		return e;
	return wrong_word(j, t.p, t.len, "is no value");
}

/* Brackets that are open, one bit each: is it an object? */
struct open {
	uint64_t bits[(OTLPJSON_DEPTH + 63) / 64];
	unsigned depth;
};

static enum err pass_open(struct otlpjson *j, struct open *o, bool object)
{
	j->p++;
	if (o->depth + j->depth == OTLPJSON_DEPTH)
		return wrong(j, "objects stand too deep in one another");
	uint64_t bit = (uint64_t)1 << (o->depth % 64);
	o->bits[o->depth / 64] = (o->bits[o->depth / 64] & ~bit) | (object ? bit : 0);
	o->depth++;
	return ERR_OK;
}

static bool in_object(const struct open *o)
{
	return o->bits[(o->depth - 1) / 64] >> ((o->depth - 1) % 64) & 1;
}

/* Behind a value: what closes, up to where the next one begins. */
static enum err pass_closes(struct otlpjson *j, struct open *o)
{
	while (o->depth) {
		if (next_is(j, ','))
			return ERR_OK;
		if (!next_is(j, in_object(o) ? '}' : ']'))
			return wrong(j, "a comma should stand here");
		o->depth--;
	}
	return ERR_OK;
}

static enum err pass_key(struct otlpjson *j, const struct open *o)
{
	if (!o->depth || !in_object(o))
		return ERR_OK;
	if (!next_is(j, '"'))
		return wrong(j, "a key should stand here");
	enum err e = pass_string(j);
	return e || next_is(j, ':') ? e : wrong(j, "a colon should stand here");
}

/* A value of any kind. */
static enum err pass_over(struct otlpjson *j)
{
	struct open o = { .depth = 0 };
	enum err e;
	do {
		e = pass_key(j, &o);
		if (e)
			return e;
		blanks(j);
		uint8_t c = j->p < j->end ? *j->p : 0;
		if (c == '{' || c == '[') {
			e = pass_open(j, &o, c == '{');
			if (e)
				return e;
			if (!next_is(j, c == '{' ? '}' : ']'))
				continue;
			o.depth--;
		} else {
			if (c == '"')
				j->p++;
			e = c == '"' ? pass_string(j) : pass_word(j);
			if (e)
				return e;
		}
		e = pass_closes(j, &o);
	} while (!e && o.depth);
	return e;
}

/* ---- Members ---- */

/* snake_case as lowerCamelCase; its length. */
static size_t camel(uint8_t *s, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '_' && i + 1 < len && s[i + 1] >= 'a' && s[i + 1] <= 'z')
			s[n++] = (uint8_t)(s[++i] - 'a' + 'A');
		else
			s[n++] = s[i];
	}
	return n;
}

static const struct field *find(const struct message *m, const uint8_t *name, size_t len)
{
	for (unsigned i = 0; i < m->count; i++)
		if (bytes_equal(name, len, m->fields[i].name, strlen(m->fields[i].name)))
			return &m->fields[i];
	return NULL;
}

static const struct field *key_field(const struct message *m, const struct text *t)
{
	uint8_t key[KEY_MAX];
	const struct field *f = t->escapes ? NULL : find(m, t->p, t->len);
	if (f || t->len > KEY_MAX)
		return f;
	return find(m, key, camel(key, unescape(t, key)));
}

static bool null_next(struct otlpjson *j)
{
	blanks(j);
	if (j->end - j->p < 4 || memcmp(j->p, "null", 4) != 0 ||
	    (j->end - j->p > 4 && word_char(j->p[4])))
		return false;
	j->p += 4;
	return true;
}

static enum err member(struct otlpjson *j)
{
	struct frame *at = top(j);
	struct text t;
	if (!next_is(j, '"'))
		return wrong(j, "a key should stand here");
	enum err e = string_raw(j, &t);
	if (e)
		return e;
	if (!next_is(j, ':'))
		return wrong(j, "a colon should stand here");
	const struct field *f = key_field(at->msg, &t);
	if (!f)
		return pass_over(j);
	at->field = f;
	bool null = null_next(j);
	if (!null && f->many)
		return open_array(j, f);
	if (!null && f->kind == KIND_MESSAGE)
		return open_object(j, f);
	if (!null) {
		e = scalar_raw(j, &t);
		e = e ? e : put_scalar(j, f, &t);
	}
	if (!e)
		at->field = &nothing;
	return e;
}

static enum err element(struct otlpjson *j)
{
	const struct field *f = top(j)->field;
	struct text t;
	if (f->kind == KIND_MESSAGE)
		return open_object(j, f);
	enum err e = scalar_raw(j, &t);
	return e ? e : put_scalar(j, f, &t);
}

/* One member or element, or the end of what is open. */
static enum err step(struct otlpjson *j)
{
	struct frame *f = top(j);
	if (next_is(j, f->msg ? '}' : ']')) {
		pop(j);
		return ERR_OK;
	}
	if (f->any && !next_is(j, ','))
		return wrong(j, "a comma should stand here");
	if (f->any && !f->msg)
		f->index++;
	f->any = true;
	return f->msg ? member(j) : element(j);
}

static enum err begin(struct otlpjson *j)
{
	if (!next_is(j, '{'))
		return wrong(j, "the request should be a JSON object");
	j->begun = true;
	return push(j, &request, &nothing, 0);
}

enum err otlpjson_read(struct otlpjson *j, const uint8_t **p, const uint8_t *end, size_t turn_bytes,
    bool *done, struct errbuf *eb)
{
	const uint8_t *from = *p;
	enum err e = ERR_OK;
	j->p = *p;
	j->end = end;
	j->eb = eb;
	if (!j->begun)
		e = begin(j);
	while (!e && !j->ended && (size_t)(j->p - from) < turn_bytes)
		e = j->out.over ? full(j) : step(j);
	if (!e && j->out.over)
		e = full(j);
	if (!e && j->ended) {
		blanks(j);
		if (j->p < end)
			e = wrong(j, "something stands behind the request");
	}
	*p = j->p;
	*done = !e && j->ended;
	return e;
}
