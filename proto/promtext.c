#include "proto/promtext.h"

#include "core/base/num.h"

#define INSTANCE "instance"

static bool classic(const char *s, size_t len, bool metric)
{
	return metric ? label_metric_is_classic(s, len) : label_name_is_classic(s, len);
}

/* Backslash, newline and quote are escaped. */
static void escaped(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' || s[i] == '"')
			buf_add_u8(out, '\\');
		if (s[i] == '\n')
			buf_add_str(out, "\\n");
		else
			buf_add_u8(out, (uint8_t)s[i]);
	}
}

static void in_quotes(struct buf *out, const char *s, size_t len)
{
	buf_add_u8(out, '"');
	escaped(out, s, len);
	buf_add_u8(out, '"');
}

/* One underscore for each character that may not stand there. */
static void underscored(struct buf *out, const char *s, size_t len, bool metric)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];
		if ((c & 0xc0) == 0x80) /* inside a character */
			continue;
		char one[2] = { 'a', (char)c };
		bool good = i ? classic(one, 2, metric) : classic(one + 1, 1, metric);
		buf_add_u8(out, good ? c : '_');
	}
}

static void name_put(struct buf *out, const char *s, size_t len, bool metric, bool quoted)
{
	if (classic(s, len, metric))
		buf_add(out, s, len);
	else if (quoted)
		in_quotes(out, s, len);
	else
		underscored(out, s, len, metric);
}

void promtext_type(struct buf *out, const char *name, size_t len, bool quoted)
{
	buf_add_str(out, "# TYPE ");
	name_put(out, name, len, true, quoted);
	buf_add_str(out, " untyped\n");
}

static void pair(struct buf *out, bool *any, const struct label *l, bool quoted)
{
	buf_add_u8(out, *any ? ',' : '{');
	*any = true;
	name_put(out, l->name, l->name_len, false, quoted);
	buf_add_u8(out, '=');
	in_quotes(out, l->value, l->value_len);
}

void promtext_sample(
    struct buf *out, struct labels ls, const struct sample *s, bool instance, bool quoted)
{
	static const struct label none = {
		.name = INSTANCE, .name_len = sizeof(INSTANCE) - 1, .value = ""
	};
	struct label_iter it = label_iter(ls);
	struct label l;
	uint32_t len = 0;
	char text[NUM_FMT_MAX];
	bool any = false;
	const char *name = label_get(ls, LABEL_NAME, strlen(LABEL_NAME), &len);
	if (name && quoted && !label_metric_is_classic(name, len)) {
		buf_add_u8(out, '{');
		in_quotes(out, name, len);
		any = true;
	} else if (name) {
		name_put(out, name, len, true, quoted);
	}
	bool has = false;
	while (label_next(&it, &l)) {
		if (label_is_name(&l))
			continue;
		has |= bytes_equal(l.name, l.name_len, INSTANCE, sizeof(INSTANCE) - 1);
		pair(out, &any, &l, quoted);
	}
	if (instance && !has)
		pair(out, &any, &none, quoted);
	if (any)
		buf_add_u8(out, '}');
	buf_add_u8(out, ' ');
	buf_add(out, text, num_fmt_g(s->v, text));
	buf_add_u8(out, ' ');
	buf_add(out, text, num_fmt_i64(s->t_ms, text));
	buf_add_u8(out, '\n');
}
