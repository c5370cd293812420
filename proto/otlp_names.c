#include "proto/otlp_names.h"

#include "core/base/bytes.h"
#include "core/base/rune.h"

/* ---- words ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

static bool in_metric(char c)
{
	return is_word(c) || c == ':';
}

static struct otlp_text text(const char *s, size_t len)
{
	return (struct otlp_text){ s, (uint32_t)len };
}

static bool is(struct otlp_text t, const char *word)
{
	return bytes_equal(t.s, t.len, word, strlen(word));
}

/* A text that grows in place; who has one knows how long it gets at most. */
struct out {
	char *s;
	size_t len;
};

static struct out out_begin(struct arena *a, size_t max)
{
	return (struct out){ .s = arena_alloc(a, max ? max : 1) };
}

static void put(struct out *o, struct otlp_text t)
{
	if (t.len)
		memcpy(o->s + o->len, t.s, t.len);
	o->len += t.len;
}

static void put_word(struct out *o, const char *word)
{
	put(o, text(word, strlen(word)));
}

static bool underscores_only(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] != '_')
			return false;
	return true;
}

static bool ends_with(struct otlp_text t, struct otlp_text end)
{
	return t.len >= end.len && !memcmp(t.s + t.len - end.len, end.s, end.len);
}

/* ---- units ---- */

struct unit {
	const char *theirs, *ours;
	uint32_t theirs_len, ours_len;
};
#define UNIT(theirs, ours)                                                                         \
 {                                                                                                 \
  theirs, ours, sizeof(theirs) - 1, sizeof(ours) - 1                                               \
 }
/* clang-format off */
static const struct unit units[] = {
	UNIT("d", "days"),
	UNIT("h", "hours"),
	UNIT("min", "minutes"),
	UNIT("s", "seconds"),
	UNIT("ms", "milliseconds"),
	UNIT("us", "microseconds"),
	UNIT("ns", "nanoseconds"),
	UNIT("By", "bytes"),
	UNIT("KiBy", "kibibytes"),
	UNIT("MiBy", "mebibytes"),
	UNIT("GiBy", "gibibytes"),
	UNIT("TiBy", "tebibytes"),
	UNIT("KBy", "kilobytes"),
	UNIT("MBy", "megabytes"),
	UNIT("GBy", "gigabytes"),
	UNIT("TBy", "terabytes"),
	UNIT("m", "meters"),
	UNIT("V", "volts"),
	UNIT("A", "amperes"),
	UNIT("J", "joules"),
	UNIT("W", "watts"),
	UNIT("g", "grams"),
	UNIT("Cel", "celsius"),
	UNIT("Hz", "hertz"),
	UNIT("1", ""),
	UNIT("%", "percent"),
};
static const struct unit per_units[] = {
	UNIT("s", "second"),
	UNIT("m", "minute"),
	UNIT("h", "hour"),
	UNIT("d", "day"),
	UNIT("w", "week"),
	UNIT("mo", "month"),
	UNIT("y", "year"),
};

/* clang-format on */

static struct otlp_text unit_of(struct otlp_text t, const struct unit *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(t.s, t.len, list[i].theirs, list[i].theirs_len))
			return text(list[i].ours, list[i].ours_len);
	return t;
}

/* White space as Unicode has it. */
static bool is_space(uint32_t r)
{
	return (r >= 9 && r <= 13) || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
	    (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
	    r == 0x205f || r == 0x3000;
}

static struct otlp_text trim(struct otlp_text t)
{
	uint32_t r;
	size_t n;
	while ((n = rune_decode(t.s, t.len, &r)) && is_space(r))
		t = text(t.s + n, t.len - n);
	for (size_t len = t.len; len; t.len = (uint32_t)len) {
		n = 1;
		while (n < 4 && n < len && ((unsigned char)t.s[len - n] & 0xc0) == 0x80)
			n++;
		if (rune_decode(t.s + len - n, n, &r) != n || !is_space(r))
			break;
		len -= n;
	}
	return t;
}

/* A side of a unit, without annotations; nothing of one that is annotated. */
static struct otlp_text unit_side(struct otlp_text t)
{
	t = trim(t);
	bool annotated = t.len && (memchr(t.s, '{', t.len) || memchr(t.s, '}', t.len));
	return annotated ? text("", 0) : t;
}

/* Main unit, and the one behind a '/', with "per_". */
static void unit_split(
    struct arena *a, struct otlp_text unit, struct otlp_text *main, struct otlp_text *per)
{
	*main = *per = text("", 0);
	if (!unit.len)
		return;
	const char *slash = memchr(unit.s, '/', unit.len);
	size_t len = slash ? (size_t)(slash - unit.s) : unit.len;
	*main = unit_of(unit_side(text(unit.s, len)), units, COUNT_OF(units));
	if (!slash)
		return;
	struct otlp_text side =
	    unit_of(unit_side(text(slash + 1, unit.len - len - 1)), per_units, COUNT_OF(per_units));
	if (!side.len)
		return;
	struct out o = out_begin(a, side.len + 4);
	put_word(&o, "per_");
	put(&o, side);
	*per = text(o.s, o.len);
}

/* Foreign characters are underscores, many are one, none stands at the beginning. */
static struct otlp_text unit_clean(struct arena *a, struct otlp_text t)
{
	struct out o = out_begin(a, t.len);
	for (size_t i = 0; i < t.len; i++) {
		char c = in_metric(t.s[i]) ? t.s[i] : '_';
		if (c != '_' || !o.len || o.s[o.len - 1] != '_')
			o.s[o.len++] = c;
	}
	size_t skip = o.len && o.s[0] == '_';
	return text(o.s + skip, o.len - skip);
}

struct otlp_text otlp_unit_name(struct arena *a, struct otlp_text unit, bool escape)
{
	struct otlp_text main, per;
	if (!unit.len)
		return unit;
	unit_split(a, unit, &main, &per);
	if (escape) {
		main = unit_clean(a, main);
		per = unit_clean(a, per);
	}
	struct out o = out_begin(a, main.len + (size_t)per.len + 1);
	put(&o, main);
	if (main.len && per.len)
		put_word(&o, "_");
	put(&o, per);
	size_t skip = o.len && o.s[0] == '_';
	o.len -= o.len > skip && o.s[o.len - 1] == '_';
	return text(o.s + skip, o.len - skip);
}

/* ---- metrics ---- */

struct words {
	struct otlp_text *items;
	size_t count;
};

static void words_split(struct words *w, struct otlp_text t, bool (*inside)(char c))
{
	for (size_t i = 0; i < t.len;) {
		size_t from = i;
		while (i < t.len && inside(t.s[i]))
			i++;
		if (i > from)
			w->items[w->count++] = text(t.s + from, i - from);
		while (i < t.len && !inside(t.s[i]))
			i++;
	}
}

static bool words_have(const struct words *w, struct otlp_text t)
{
	for (size_t i = 0; i < w->count; i++)
		if (bytes_equal(w->items[i].s, w->items[i].len, t.s, t.len))
			return true;
	return false;
}

static void words_last(struct words *w, const char *word)
{
	size_t n = 0;
	for (size_t i = 0; i < w->count; i++)
		if (!is(w->items[i], word))
			w->items[n++] = w->items[i];
	w->items[n] = text(word, strlen(word));
	w->count = n + 1;
}

static struct otlp_text less_underscore(struct otlp_text t)
{
	t.len -= t.len && t.s[t.len - 1] == '_';
	return t;
}

static void words_unit(struct arena *a, struct words *w, struct otlp_text unit)
{
	struct otlp_text main, per;
	unit_split(a, unit, &main, &per);
	main = unit_clean(a, main);
	per = unit_clean(a, per);
	if (words_have(w, main))
		main.len = 0;
	if (is(per, "per_"))
		per.len = 0;
	per = less_underscore(per);
	if (words_have(w, per))
		per.len = 0;
	if (per.len)
		main = less_underscore(main);
	if (main.len)
		w->items[w->count++] = main;
	if (per.len)
		w->items[w->count++] = per;
}

static bool in_plain(char c)
{
	return in_metric(c) || c == '_';
}

/* Words joined by underscores; one more before a digit. */
static struct otlp_text words_join(struct arena *a, const struct words *w)
{
	size_t len = 1;
	for (size_t i = 0; i < w->count; i++)
		len += w->items[i].len + (size_t)1;
	struct out o = out_begin(a, len);
	if (w->count && w->items[0].len && is_digit(w->items[0].s[0]))
		put_word(&o, "_");
	for (size_t i = 0; i < w->count; i++) {
		if (i)
			put_word(&o, "_");
		put(&o, w->items[i]);
	}
	return text(o.s, o.len);
}

static bool escaped_name(struct arena *a, bool suffixes, struct otlp_text name,
    struct otlp_text unit, enum otlp_kind kind, struct otlp_text *out)
{
	struct words w = { .items = arena_array(a, name.len / 2 + (size_t)5, sizeof *w.items) };
	words_split(&w, name, suffixes ? in_metric : in_plain);
	if (suffixes) {
		words_unit(a, &w, unit);
		if (kind == OTLP_COUNTER)
			words_last(&w, "total");
		if (kind == OTLP_GAUGE && is(unit, "1"))
			words_last(&w, "ratio");
	}
	*out = words_join(a, &w);
	return out->len &&
	    (bytes_equal(out->s, out->len, name.s, name.len) || !underscores_only(out->s, out->len));
}

/* Less a suffix and the character before it, where more is left. */
static struct otlp_text less(struct otlp_text t, struct otlp_text suffix)
{
	if (ends_with(t, suffix) && t.len > suffix.len + 1)
		t.len -= suffix.len + 1;
	return t;
}

static struct otlp_text kept_name(
    struct arena *a, struct otlp_text name, struct otlp_text unit, enum otlp_kind kind)
{
	struct otlp_text main, per;
	bool ratio = kind == OTLP_GAUGE && is(unit, "1");
	unit_split(a, unit, &main, &per);
	if (ratio)
		name = less(name, text("ratio", 5));
	if (kind == OTLP_COUNTER)
		name = less(name, text("total", 5));
	if (per.len)
		name = less(name, per);
	struct out o = out_begin(a, (size_t)name.len + main.len + per.len + sizeof "___total");
	put(&o, name);
	if (main.len && !ends_with(name, main)) {
		put_word(&o, "_");
		put(&o, main);
	}
	if (per.len) {
		put_word(&o, "_");
		put(&o, per);
	}
	if (kind == OTLP_COUNTER)
		put_word(&o, "_total");
	if (ratio)
		put_word(&o, "_ratio");
	return text(o.s, o.len);
}

bool otlp_metric_name(struct arena *a, enum otlp_strategy s, struct otlp_text name,
    struct otlp_text unit, enum otlp_kind kind, struct otlp_text *out)
{
	if (otlp_escapes(s))
		return escaped_name(a, otlp_suffixes(s), name, unit, kind, out);
	*out = otlp_suffixes(s) ? kept_name(a, name, unit, kind) : name;
	return name.len;
}

/* ---- labels ---- */

/* Every foreign character is an underscore; join: of many that follow one another one is left. */
static void put_escaped(struct out *o, struct otlp_text t, bool join)
{
	bool was = false;
	for (size_t i = 0; i < t.len;) {
		bool good = is_word(t.s[i]);
		if (good || !was || !join)
			o->s[o->len++] = good ? t.s[i] : '_';
		was = !good;
		uint32_t r;
		size_t n = good ? 1 : rune_decode(t.s + i, t.len - i, &r);
		i += n ? n : 1;
	}
}

bool otlp_label_name(
    struct arena *a, const struct otlp_opts *o, struct otlp_text name, struct otlp_text *out)
{
	if (!otlp_escapes(o->strategy)) {
		*out = name;
		return !underscores_only(name.s, name.len);
	}
	if (!name.len)
		return false;
	bool join = o->join_underscores,
	     reserved = join && name.len >= 4 && !memcmp(name.s, "__", 2) &&
	    !memcmp(name.s + name.len - 2, "__", 2);
	struct out to = out_begin(a, name.len + sizeof "key_" - 1);
	to.s += sizeof "key_" - 1; /* room for what may stand before it */
	if (reserved) {
		put_word(&to, "__");
		put_escaped(&to, text(name.s + 2, name.len - 4), true);
		put_word(&to, "__");
	} else {
		put_escaped(&to, name, join);
	}
	size_t before = 0;
	if (is_digit(to.s[0]))
		before = 4;
	else if (!o->keep_underscore && to.s[0] == '_' && !(to.len > 1 && to.s[1] == '_'))
		before = 3;
	memcpy(to.s - before, "key_", before);
	*out = text(to.s - before, to.len + before);
	return !underscores_only(out->s, out->len);
}
