/* Label sets as text, as Prometheus' labels.String() prints them. */
#include "core/base/rune.h"
#include "core/model/label.h"

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_classic(const char *s, size_t len, bool colon)
{
	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_alpha(s[i]) && !(i && s[i] >= '0' && s[i] <= '9') && !(colon && s[i] == ':'))
			return false;
	}
	return true;
}

bool label_name_is_classic(const char *s, size_t len)
{
	return is_classic(s, len, false);
}

bool label_metric_is_classic(const char *s, size_t len)
{
	return is_classic(s, len, true);
}

static void put_pair(struct buf *out, const struct label *l)
{
	if (label_name_is_classic(l->name, l->name_len))
		buf_add(out, l->name, l->name_len);
	else
		label_quote_go(out, l->name, l->name_len);
	buf_add_u8(out, '=');
	label_quote_go(out, l->value, l->value_len);
}

void label_text(struct buf *out, struct labels ls)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	buf_add_u8(out, '{');
	for (bool first = true; label_next(&it, &l); first = false) {
		if (!first)
			buf_add(out, ", ", 2);
		put_pair(out, &l);
	}
	buf_add_u8(out, '}');
}

/* Of a name or value; l->name of a huge one may be cut in a text, too. */
static struct label piece_cut(const struct label *l, size_t max)
{
	return (struct label){ .name = l->name,
		.value = l->value,
		.name_len = (uint32_t)rune_cut(l->name, l->name_len, max),
		.value_len = (uint32_t)rune_cut(l->value, l->value_len, max) };
}

#define FIND_NAME 1024u /* labels looked at for the metric's name, when the text is cut */

/*
 * x{a="b"}; a name that is not classic is quoted inside of the braces, as a selector would have it.
 */
static void text_metric(struct buf *out, struct labels ls, size_t max)
{
	struct label_iter it = label_iter(ls);
	struct label l, name = { .name = NULL };
	size_t looks = max == SIZE_MAX ? SIZE_MAX : FIND_NAME, end;
	end = max < SIZE_MAX - out->len ? out->len + max : SIZE_MAX;
	for (; looks && label_next(&it, &l); looks--) {
		if (label_is_name(&l))
			name = piece_cut(&l, max);
	}
	bool inside = name.name && !label_metric_is_classic(name.value, name.value_len);
	if (name.name && !inside)
		buf_add(out, name.value, name.value_len);
	bool open = false;
	if (inside) {
		buf_add_u8(out, '{');
		label_quote_go(out, name.value, name.value_len);
		open = true;
	}
	it = label_iter(ls);
	while (out->len < end && label_next(&it, &l)) {
		if (label_is_name(&l))
			continue;
		buf_add_str(out, open ? ", " : "{");
		open = true;
		l = piece_cut(&l, max);
		put_pair(out, &l);
	}
	if (open)
		buf_add_u8(out, '}');
	else if (!name.name)
		buf_add(out, "{}", 2);
}

void label_text_metric(struct buf *out, struct labels ls)
{
	text_metric(out, ls, SIZE_MAX);
}

void label_text_cut(struct buf *out, struct labels ls, size_t max)
{
	size_t from = out->len;
	text_metric(out, ls, max);
	out->len = from + rune_cut((const char *)out->data + from, out->len - from, max);
}

/*
 * strconv.Quote: \a \b \f \n \r \t \v \\ \" have letters, other control characters and DEL are
 * \xNN, bytes that are not UTF-8 are \xNN, runes that Go does not call printable are \uNNNN or
 * \UNNNNNNNN.
 */
void label_quote_go(struct buf *out, const char *s, size_t len)
{
	static const char letters[] = "abtnvfr"; /* 0x07 .. 0x0d */
	buf_add_u8(out, '"');
	for (size_t i = 0; i < len;) {
		uint32_t rune;
		size_t n = rune_decode(s + i, len - i, &rune);
		uint8_t c = (uint8_t)s[i];
		if (n == 0) {
			buf_printf(out, "\\x%02x", c);
			n = 1;
		} else if (c == '"' || c == '\\') {
			buf_add_u8(out, '\\');
			buf_add_u8(out, c);
		} else if (c >= 0x07 && c <= 0x0d) {
			buf_add_u8(out, '\\');
			buf_add_u8(out, (uint8_t)letters[c - 0x07]);
		} else if (c < 0x20 || c == 0x7f) {
			buf_printf(out, "\\x%02x", c);
		} else if (rune >= 0x80 && !rune_printable(rune)) {
			buf_printf(out, rune < 0x10000 ? "\\u%04x" : "\\U%08x", rune);
		} else {
			buf_add(out, s + i, n);
		}
		i += n;
	}
	buf_add_u8(out, '"');
}
