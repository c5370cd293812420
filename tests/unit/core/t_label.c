#include "core/model/batch.h"
#include "core/model/label.h"
#include "core/model/limits.h"
#include "core/model/matcher.h"
#include "core/seam/sink.h"
#include "tests/lib/tap.h"

#include <stdlib.h>

static struct arena a;
static struct errbuf eb;

/* Wire bytes of pairs as they come, neither sorted nor checked. */
static struct labels wire(const char *const *v)
{
	struct buf b;
	buf_init(&b);
	for (; v[0]; v += 2) {
		size_t n = strlen(v[0]), m = strlen(v[1]);
		uint8_t body[1000], *p = body;
		*p++ = 0x0a;
		*p++ = (uint8_t)n;
		memcpy(p, v[0], n);
		p += n;
		*p++ = 0x12;
		*p++ = (uint8_t)m;
		memcpy(p, v[1], m);
		p += m;
		buf_add_u8(&b, 0x0a);
		size_t len = (size_t)(p - body);
		if (len >= 128)
			buf_add_u8(&b, (uint8_t)(len | 0x80));
		buf_add_u8(&b, (uint8_t)(len >= 128 ? len >> 7 : len));
		buf_add(&b, body, len);
	}
	struct labels ls = { .bytes = arena_dup(&a, b.data, b.len), .len = (uint32_t)b.len };
	buf_release(&b);
	return ls;
}
#define WIRE(...) wire((const char *const[]){ __VA_ARGS__, NULL })

static const char *text(struct labels ls)
{
	struct buf b;
	buf_init(&b);
	label_text_metric(&b, ls);
	char *s = arena_strndup(&a, (char *)b.data, b.len);
	buf_release(&b);
	return s;
}

static enum err canon(struct labels ls, struct labels *out)
{
	errbuf_init(&eb);
	return label_canonicalize(&a, ls, &label_limits_default, out, &eb);
}

static void test_canonical(void)
{
	struct labels ls, out, same = WIRE("__name__", "up", "job", "x");
	TAP_OK(label_is_canonical(same) && label_is_canonical((struct labels){ 0 }));
	TAP_OK(canon(same, &out) == ERR_OK && out.bytes == same.bytes);
	TAP_OK(label_equal(same, label_make(&a, "job", "x", "__name__", "up", "gone", "", NULL)));
	ls = WIRE("job", "x", "empty", "", "__name__", "up");
	TAP_OK(!label_is_canonical(ls) && canon(ls, &out) == ERR_OK && label_equal(out, same));
	static const struct {
		const char *v[7], *word;
		enum err err;
	} bad[] = {
		{ { "job", "x" }, "metric name is missing", ERR_BADDATA },
		{ { "__name__", "" }, "metric name is missing", ERR_BADDATA },
		{ { "__name__", "up", "", "x" }, "label name is empty", ERR_BADDATA },
		{ { "__name__", "up", "", "" }, "label name is empty", ERR_BADDATA },
		{ { "__name__", "up", "a", "1", "a", "2" }, "not unique", ERR_BADDATA },
		{ { "__name__", "up", "a", "1", "a", "" }, "not unique", ERR_BADDATA },
		{ { "__name__", "up", "a\xff", "1" }, "not valid UTF-8", ERR_BADDATA },
		{ { "__name__", "up", "a", "\xc0\x80" }, "not valid UTF-8", ERR_BADDATA },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		tap_ok(canon(wire(bad[i].v), &out) == bad[i].err && strstr(eb.text, bad[i].word),
		    "refused: %s", eb.text);
	struct label_builder b;
	const struct label_limits lim = label_limits_default;
	struct limits usual;
	limits_default(&usual);
	tap_ok(lim.labels_per_series == usual.write_labels &&
	        lim.name_bytes == usual.write_name_bytes &&
	        lim.value_bytes == usual.write_value_bytes &&
	        lim.total_bytes == usual.write_labels_bytes,
	    "the limits are those of the flags");
	char *big = arena_alloc(&a, lim.value_bytes + 1);
	memset(big, 'v', lim.value_bytes + 1);
	label_builder_from(&b, &a, same);
	label_builder_set(&b, "big", 3, big, lim.value_bytes);
	TAP_OK(canon(label_builder_done(&b), &out) == ERR_OK);
	label_builder_set(&b, "big", 3, big, lim.value_bytes + 1);
	tap_ok(canon(label_builder_done(&b), &out) == ERR_TOOBIG &&
	        strstr(eb.text, "16385 bytes, limit 16384 (--limits.label-value-bytes)"),
	    "a long value: %s", eb.text);
	label_builder_set(&b, "big", 3, "", 0);
	label_builder_set(&b, big, lim.name_bytes + 1, "x", 1);
	tap_ok(canon(label_builder_done(&b), &out) == ERR_TOOBIG &&
	        strstr(eb.text, "(--limits.label-name-bytes)"),
	    "a long name: %s", eb.text);
	label_builder_from(&b, &a, same);
	for (uint32_t i = 0; i + 2 < lim.labels_per_series; i++)
		label_builder_set(
		    &b, arena_printf(&a, "n%u", i), strlen(arena_printf(&a, "n%u", i)), "x", 1);
	TAP_OK(canon(label_builder_done(&b), &out) == ERR_OK);
	label_builder_set(&b, "one_more", 8, "x", 1);
	tap_ok(canon(label_builder_done(&b), &out) == ERR_TOOBIG &&
	        strstr(eb.text, "257 labels, limit 256 (--limits.labels-per-series)"),
	    "many labels: %s", eb.text);
	label_builder_from(&b, &a, same);
	for (int i = 0; i < 5; i++)
		label_builder_set(&b, arena_printf(&a, "n%d", i), 2, big, 16000);
	tap_ok(canon(label_builder_done(&b), &out) == ERR_TOOBIG &&
	        strstr(eb.text, "limit 65535 (--limits.labels-bytes)"),
	    "many bytes: %s", eb.text);
	/*
	 * Far over the limits they are counted, not sorted, and texts are cut before they are made.
	 */
	struct buf text, huge;
	buf_init(&text);
	buf_init(&huge);
	for (unsigned i = 0; i < 300000; i++)
		buf_add(&huge, "\x0a\x04\x0a\x00\x12\x00", 6);
	ls = (struct labels){ .bytes = huge.data, .len = (uint32_t)huge.len };
	size_t used = arena_used(&a);
	tap_ok(canon(ls, &out) == ERR_TOOBIG && strstr(eb.text, "300000 labels, limit 256") &&
	        arena_used(&a) - used < 256 << 10,
	    "empty ones by the hundred thousand: %s", eb.text);
	label_text_cut(&text, ls, 300);
	tap_ok(text.len == 300 && text.cap <= 4096, "as text they are cut: %zu bytes", text.len);
	buf_clear(&text);
	label_text_cut(&text, label_make(&a, "__name__", "up", "job", "x", NULL), 300);
	tap_ok(text.len == 11 && memcmp(text.data, "up{job=\"x\"}", 11) == 0, "a short one is whole");
	buf_release(&text);
	buf_release(&huge);
	/* An unknown number of ten bytes inside a label is passed over, whatever is in it. */
	static const uint8_t ten[] = { 0x0a, 16, 0x40, 0xf5, 0xfd, 0xe5, 0xff, 0xf5, 0xff, 0xf5,
		0xff, 0x85, 0x02, 0x0a, 1, 'a', 0x12, 0 };
	struct label_iter ten_it = label_iter((struct labels){ .bytes = ten, .len = sizeof(ten) });
	struct label ten_label;
	tap_ok(label_next(&ten_it, &ten_label) && ten_label.name_len == 1 &&
	        !label_next(&ten_it, &ten_label) && !ten_it.bad,
	    "unknown numbers of ten bytes are passed over");
	/* The same labels in a longer encoding are not canonical. */
	static const uint8_t loose[] = { 0x0a, 0x8f, 0x00, 0x0a, 8, '_', '_', 'n', 'a', 'm', 'e',
		'_', '_', 0x12, 3, 'a', 'b', 'c' };
	ls = (struct labels){ .bytes = loose, .len = sizeof(loose) };
	TAP_OK(!label_is_canonical(ls) && canon(ls, &out) == ERR_OK &&
	    label_equal(out, label_make(&a, "__name__", "abc", NULL)));
	/* Unknown fields inside of a label are passed over; value before name is read. */
	static const uint8_t odd[] = { 0x0a, 20, 0x12, 3, 'a', 'b', 'c', 0x18, 5, 0x22, 1, 'z',
		0x0a, 8, '_', '_', 'n', 'a', 'm', 'e', '_', '_' };
	ls = (struct labels){ .bytes = odd, .len = sizeof(odd) };
	TAP_OK(!label_is_canonical(ls) && canon(ls, &out) == ERR_OK &&
	    label_equal(out, label_make(&a, "__name__", "abc", NULL)));
	unsigned wrong = 0;
	for (uint32_t cut = 1; cut < same.len; cut++) {
		ls = (struct labels){ .bytes = same.bytes, .len = cut };
		wrong += canon(ls, &out) == ERR_OK && !label_is_canonical(out);
		wrong += cut != 16 && cut != 14 && canon(ls, &out) == ERR_OK;
	}
	tap_is_u64(wrong, 0, "cut bytes are refused");
}

static void test_builder(void)
{
	struct label_builder b;
	label_builder_init(&b, &a);
	const char *names[] = { "d", "a", "c", "b", "e" };
	for (int i = 0; i < 5; i++)
		label_builder_set(&b, names[i], 1, "1", 1);
	label_builder_set(&b, "c", 1, "2", 1);
	label_builder_del(&b, "e", 1);
	label_builder_del(&b, "nothing", 7);
	tap_is_str(text(label_builder_done(&b)), "{a=\"1\", b=\"1\", c=\"2\", d=\"1\"}",
	    "set, set again, delete");
	uint32_t n;
	struct labels ls = label_builder_done(&b);
	TAP_OK(label_is_canonical(ls) && label_get(ls, "zz", 2, &n) == NULL);
	const char *v = label_get(ls, "c", 1, &n);
	TAP_OK(v && n == 1 && *v == '2');
	label_builder_init(&b, &a);
	TAP_OK(label_builder_done(&b).len == 0);
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void test_order(void)
{
	struct labels v[] = { { 0 }, label_make(&a, "a", "1", NULL),
		label_make(&a, "a", "1", "b", "1", NULL), label_make(&a, "a", "10", NULL),
		label_make(&a, "a", "2", NULL), label_make(&a, "aa", "1", NULL),
		label_make(&a, "b", "0", NULL) };
	unsigned bad = 0;
	for (size_t i = 0; i < COUNT_OF(v); i++) {
		for (size_t j = 0; j < COUNT_OF(v); j++)
			bad += sign(label_cmp(v[i], v[j])) != sign((int)i - (int)j);
	}
	tap_is_u64(bad, 0, "order: name, value, name, value; a shorter one first");
	TAP_OK(label_fingerprint(v[1], 0, 5).hi != label_fingerprint(v[1], 1, 5).hi &&
	    label_fingerprint(v[1], 0, 5).hi != label_fingerprint(v[1], 0, 6).hi);
	TAP_OK(label_hash(v[1]) != label_hash(v[3]));
}

static void test_text(void)
{
	struct buf b;
	buf_init(&b);
	label_text(&b, label_make(&a, "__name__", "x", "a", "q\"\\\n", "b.c", "1", NULL));
	tap_is_mem(b.data, b.len, "{__name__=\"x\", a=\"q\\\"\\\\\\n\", \"b.c\"=\"1\"}", 38,
	    "labels as text");
	buf_release(&b);
	tap_is_str(text(label_make(&a, "__name__", "x", NULL)), "x", "a bare name");
	tap_is_str(text(label_make(&a, "__name__", "x:y", "a", "b", NULL)), "x:y{a=\"b\"}",
	    "a name with labels");
	tap_is_str(text(label_make(&a, "__name__", "x y", "a", "b", NULL)), "{\"x y\", a=\"b\"}",
	    "a name that needs quotes");
	tap_is_str(text((struct labels){ 0 }), "{}", "no labels");
	TAP_OK(label_name_is_classic("a_1", 3) && !label_name_is_classic("1a", 2) &&
	    !label_name_is_classic("a:b", 3) && !label_name_is_classic("", 0) &&
	    label_metric_is_classic("a:b", 3));
	buf_init(&b);
	label_quote_go(&b, "\a\x7f\xff\xc2\xa0\xf3\xa0\x80\x81\xc3\xa9", 11);
	tap_is_mem(b.data, b.len, "\"\\a\\x7f\\xff\\u00a0\\U000e0001\xc3\xa9\"", 30, "Go's quotes");
	buf_release(&b);
}

static void test_matchers(void)
{
	struct labels ls = label_make(&a, "__name__", "up", "job", "node", NULL);
	static const struct {
		enum matcher_type type;
		const char *name, *value;
		bool holds, empty;
	} m[] = {
		{ MATCHER_EQ, "job", "node", true, false },
		{ MATCHER_EQ, "job", "nod", false, false },
		{ MATCHER_NE, "job", "node", false, true },
		{ MATCHER_NE, "zone", "x", true, true },
		{ MATCHER_EQ, "zone", "", true, true },
		{ MATCHER_NE, "zone", "", false, false },
		{ MATCHER_RE, "job", "n.*", true, false },
		{ MATCHER_RE, "job", "n", false, false },
		{ MATCHER_RE, "zone", ".*", true, true },
		{ MATCHER_RE, "zone", ".+", false, false },
		{ MATCHER_NRE, "job", "n.*|x", false, true },
		{ MATCHER_NRE, "zone", "a|", false, false },
		{ MATCHER_NRE, "job", "x\\d+", true, true },
	};
	for (size_t i = 0; i < COUNT_OF(m); i++) {
		struct matcher x;
		errbuf_init(&eb);
		bool ok = matcher_init(&x, m[i].type, m[i].name, strlen(m[i].name), m[i].value,
		              strlen(m[i].value), &eb) == ERR_OK;
		tap_ok(ok && (matcher_labels(&x, 1, ls) == REX_YES) == m[i].holds &&
		        x.matches_empty == m[i].empty,
		    "matcher %d on %s with \"%s\"", (int)m[i].type, m[i].name, m[i].value);
		if (ok)
			matcher_release(&x);
	}
	struct matcher x;
	errbuf_init(&eb);
	TAP_OK(matcher_init(&x, MATCHER_RE, "a", 1, "(", 1, &eb) == ERR_BADDATA);
	tap_is_str(eb.text, "error parsing regexp: missing closing ): `(`",
	    "the error is the expression's own");
}

static void test_batch(void)
{
	struct batch b;
	batch_init(&b);
	for (uint32_t i = 0; i < 1000; i++)
		*batch_add(&b) = (struct batch_row){ .labels_len = i };
	for (uint32_t i = 0; i < 100; i++)
		*batch_add_meta(&b) = (struct batch_meta){ .help_len = i };
	unsigned bad = b.rows_count != 1000 || b.metas_count != 100;
	for (uint32_t i = 0; i < 1000; i++)
		bad += b.rows[i].labels_len != i || (i < 100 && b.metas[i].help_len != i);
	tap_is_u64(bad, 0, "rows and metadata are kept in order");
	size_t cap = b.rows_cap;
	b.tenant = 5;
	batch_clear(&b);
	TAP_OK(b.rows_count == 0 && b.metas_count == 0 && b.rows_cap == cap && b.tenant == 0);
	batch_release(&b);
	TAP_OK(b.rows == NULL && b.rows_cap == 0);
	tap_is_str(sink_reason_word[SINK_TOO_OLD], "too_old", "reasons have words");
	for (int i = 0; i < SINK_REASONS; i++)
		bad += !sink_reason_word[i];
	tap_is_u64(bad, 0, "all of them");
}

int main(void)
{
	arena_init(&a, 4096);
	test_canonical();
	test_builder();
	test_order();
	test_text();
	test_matchers();
	test_batch();
	arena_release(&a);
	return tap_done();
}
