#include "proto/expo.h"

#include "core/base/rune.h"
#include "proto/expo_scan.h"

#include <math.h>

#define SHOWN         40u          /* bytes of a text that is said to be wrong */
#define SECONDS_BELOW 2147483648.0 /* of imports: later times in milliseconds are of 1970 */

const char *const expo_type_name[EXPO_TYPES] = { "unknown", "counter", "gauge", "histogram",
	"gaugehistogram", "summary", "info", "stateset" };

void expo_init(struct expo *x, const char *text, size_t len, uint64_t line)
{
	*x = (struct expo){ .p = text, .end = text + len, .at = text, .line = line };
}

void expo_init_import(struct expo *x, const char *line, size_t len, uint64_t number)
{
	if (len && line[len - 1] == '\r')
		len--;
	expo_init(x, line, len, number);
	while (x->p < x->end && (*x->p == ' ' || *x->p == '\t'))
		x->p++;
	x->seconds = x->with_hash = true;
}

void expo_say(const struct expo *x, const char *bad, const char *at, struct errbuf *eb)
{
	char text[SHOWN + 4];
	uint32_t rune;
	size_t len = (size_t)(x->end - at), n = 0;
	while (n < len && n < SHOWN && at[n] != '\n') {
		size_t size = rune_decode(at + n, len - n, &rune);
		if (size)
			memcpy(text + n, at + n, size);
		else
			text[n] = '?';
		n += size ? size : 1;
	}
	(void)errbuf_set(eb, ERR_MALFORMED, "line %llu: %s: \"%.*s%s\"",
	    (unsigned long long)x->line, bad, (int)n, text, n < len && at[n] != '\n' ? "..." : "");
}

static enum expo_entry wrong(struct expo *x, const char *at, const char *why)
{
	x->bad = why;
	x->at = at;
	return EXPO_BAD;
}

static inline const char *blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static inline bool ends_token(const char *p, const char *end)
{
	return p == end || *p == ' ' || *p == '\t' || *p == '\n';
}

/* Behind the line feed at p, if there is one. */
static inline void line_done(struct expo *x, const char *p)
{
	x->line += p < x->end;
	x->p = p + (p < x->end);
}

/* ---- samples ---- */

static const char *token_end(const char *p, const char *end)
{
	while (!ends_token(p, end))
		p++;
	return p;
}

/* Go's floats, without those of later versions: no p, no underscores. */
static bool float_of(const char *s, size_t len, double *out)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == 'p' || s[i] == 'P' || s[i] == '_')
			return false;
	if (num_parse_float(s, len, out))
		return false;
	if (isnan(*out))
		*out = num_from_bits(SAMPLE_NAN_BITS);
	return true;
}

static inline bool value_take(const char **p, const char *end, double *out)
{
	const char *q = *p;
	if (LIKELY(num_scan_float(&q, end, out) && ends_token(q, end))) {
		*p = q;
		return true;
	}
	q = token_end(*p, end);
	if (!float_of(*p, (size_t)(q - *p), out))
		return false;
	*p = q;
	return true;
}

/* Milliseconds, or seconds: what is below 2^31 is no time of our days in milliseconds. */
static bool import_time(const char *s, size_t len, int64_t *out)
{
	double v;
	if (!num_parse_i64(s, len, out) &&
	    (*out >= (int64_t)SECONDS_BELOW || *out < -(int64_t)SECONDS_BELOW))
		return true;
	if (!float_of(s, len, &v) || !isfinite(v))
		return false;
	*out = num_i64_go(v >= -SECONDS_BELOW && v < SECONDS_BELOW ? v * 1000 : v);
	return true;
}

static bool time_take(struct expo *x, const char **p)
{
	const char *q = token_end(*p, x->end), *s = *p;
	size_t len = (size_t)(q - s);
	*p = q;
	x->timed = true;
	if (x->seconds)
		return import_time(s, len, &x->t_ms);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)(s[i] - '0') > 9)
			return false;
	return !num_parse_i64(s, len, &x->t_ms);
}

static inline bool comment_follows(const struct expo *x, const char *p)
{
	return x->with_hash && p < x->end && *p == '#';
}

/* Value and time, behind the series. */
static inline enum expo_entry sample_rest(struct expo *x, const char *p)
{
	const char *end = x->end;
	p = blanks(p, end);
	const char *value = p;
	if (!value_take(&p, end, &x->v))
		return wrong(x, value,
		    ends_token(value, end) ? "a value is missing" : "a value is no number");
	x->timed = false;
	p = blanks(p, end);
	if (p < end && *p != '\n' && !comment_follows(x, p)) {
		const char *t = p;
		if (!time_take(x, &p))
			return wrong(x, t, "a time is no number of milliseconds");
		p = blanks(p, end);
	}
	if (comment_follows(x, p))
		p = end;
	if (p < end && *p != '\n')
		return wrong(x, p, "a line should end here");
	line_done(x, p);
	return EXPO_SAMPLE;
}

/* p: behind blanks that stand before it. */
static inline enum expo_entry sample(struct expo *x, const char *p)
{
	const char *end = x->end;
	x->at = x->series = x->p;
	if (*p != '{') {
		p = expo_name_end(p, end);
		x->series_len = (size_t)(p - x->series);
		if (p == end || *p != '{') {
			const char *brace = blanks(p, end);
			if (brace == end || *brace != '{')
				return sample_rest(x, p);
			p = brace;
		}
	}
	const char *close = expo_brace_end(p + 1, end);
	if (!close)
		return wrong(x, p, "labels have no end");
	p = close + 1;
	x->series_len = (size_t)(p - x->series);
	return sample_rest(x, p);
}

/* ---- comments and metadata ---- */

static enum expo_entry comment(struct expo *x, const char *p)
{
	const char *feed = memchr(p, '\n', (size_t)(x->end - p));
	line_done(x, feed ? feed : x->end);
	return EXPO_COMMENT;
}

/* A NUL within a comment ends the text, but for one behind the blanks and what follows them. */
static enum expo_entry hash(struct expo *x, const char *p)
{
	const char *feed = memchr(p, '\n', (size_t)(x->end - p)), *end = feed ? feed : x->end;
	bool spaced = p + 1 < end && (p[1] == ' ' || p[1] == '\t');
	const char *word = blanks(p + 1, end);
	if (!x->with_hash &&
	    (spaced ? word < end && !*word : memchr(p, 0, (size_t)(end - p)) != NULL)) {
		x->p = x->end;
		return EXPO_END;
	}
	return comment(x, p);
}

/* The name of a family, in quotes or not; behind it, NULL: there is none. */
static const char *family_take(struct expo *x, const char *p)
{
	const char *end = x->end;
	if (p < end && *p == '"') {
		x->family = ++p;
		for (; p < end && *p != '"'; p++)
			if (!*p || (*p == '\\' && (++p == end || *p == '\n' || !*p)))
				return NULL;
		x->family_len = (size_t)(p - x->family);
		return p < end ? p + 1 : NULL;
	}
	if (p == end || !expo_name_begins(*p))
		return NULL;
	x->family = p;
	p = expo_name_end(p, end);
	x->family_len = (size_t)(p - x->family);
	return p;
}

/* All behind the name but the first character, whatever it is; of blanks alone nothing. */
static bool text_take(struct expo *x, const char *p, const char *feed)
{
	const char *q = p;
	x->text = p;
	x->text_len = 0;
	if (p == feed)
		return true;
	if (!*p)
		return false;
	if (*p == ' ' || *p == '\t')
		for (q++; q < feed && (*q == ' ' || *q == '\t' || !*q); q++)
			;
	if (q == feed && q > p)
		return true;
	x->text = p + 1;
	x->text_len = (size_t)(feed - x->text);
	return true;
}

/* An import takes those of OpenMetrics, too. */
static bool type_take(struct expo *x)
{
	const unsigned old =
	    1u << EXPO_COUNTER | 1u << EXPO_GAUGE | 1u << EXPO_HISTOGRAM | 1u << EXPO_SUMMARY;
	for (unsigned i = 0; i < EXPO_TYPES; i++) {
		const char *name = expo_type_name[i];
		if ((old >> i & 1 || x->with_hash) &&
		    bytes_equal(x->text, x->text_len, name, strlen(name))) {
			x->type = (enum expo_type)i;
			return true;
		}
	}
	x->type = EXPO_UNKNOWN;
	return bytes_equal(x->text, x->text_len, "untyped", 7);
}

static enum expo_entry metadata(struct expo *x, const char *p, enum expo_entry what)
{
	const char *word = p;
	p = family_take(x, blanks(p, x->end));
	if (!p)
		return wrong(x, word, "the name of a metric should stand here");
	const char *feed = memchr(p, '\n', (size_t)(x->end - p));
	if (!feed)
		feed = x->end;
	if (!text_take(x, p, feed))
		return wrong(x, word, "a NUL behind the name of a metric");
	if (what == EXPO_TYPE && !type_take(x))
		return wrong(x, x->text, "no type of a metric");
	if (what == EXPO_HELP && !rune_valid(x->text, x->text_len))
		return wrong(x, x->text, "a help text is no UTF-8");
	line_done(x, feed);
	return what;
}

static enum expo_entry hash_line(struct expo *x, const char *p)
{
	const char *end = x->end, *word = blanks(p + 1, end);
	x->at = p;
	if (word > p + 1 && end - word > 4 && (word[4] == ' ' || word[4] == '\t')) {
		if (memcmp(word, "HELP", 4) == 0)
			return metadata(x, word + 4, EXPO_HELP);
		if (memcmp(word, "TYPE", 4) == 0)
			return metadata(x, word + 4, EXPO_TYPE);
	}
	return hash(x, p);
}

enum expo_entry expo_next(struct expo *x)
{
	const char *end = x->end, *p;
	while ((p = blanks(x->p, end)) < end && *p == '\n')
		line_done(x, p);
	if (p == end || (!*p && !x->with_hash)) {
		x->p = end;
		return EXPO_END;
	}
	if (LIKELY(expo_name_begins(*p) || *p == '{'))
		return sample(x, p);
	if (*p == '#')
		return hash_line(x, p);
	return wrong(x, p, "no line begins like this");
}
