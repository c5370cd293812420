#include "core/base/log.h"

#include "core/base/clock.h"
#include "core/base/logdrain.h"
#include "core/base/num.h"
#include "core/base/rune.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* a longer line is cut: one write() of this size is not torn on pipes (PIPE_BUF) */
#define LINE_MAX_BYTES 4096
#define TEXT_MAX_BYTES 2048
#define EVERY_NS       (10 * 1000000000ull)

static enum log_level log_least = LOG_LEVEL_INFO;
static bool log_json;
static __thread uint64_t left_out_now; /* told by the next line of this thread */

static const char *const level_words[] = { "debug", "info", "warn", "error", "none" };

/*
 * What is written of a text leaves room for its end: quote, brace, newline. And a member begins
 * only where it has some room.
 */
#define LINE_END_BYTES   8
#define LINE_LEAST_BYTES 48

/*
 * A line under construction; what does not fit is dropped, between characters, and JSON stays JSON.
 */
struct line {
	size_t len;
	bool full;
	char text[LINE_MAX_BYTES];
};

void log_setup(enum log_level least, bool json)
{
	__atomic_store_n(&log_least, least, __ATOMIC_RELAXED);
	__atomic_store_n(&log_json, json, __ATOMIC_RELAXED);
}

bool log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < COUNT_OF(level_words); i++) {
		if (strcmp(s, level_words[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_on(enum log_level level)
{
	return level >= __atomic_load_n(&log_least, __ATOMIC_RELAXED) && level < LOG_LEVEL_NONE;
}

static void put(struct line *l, const char *s, size_t len)
{
	size_t room = sizeof(l->text) - 2 - l->len; /* newline, and a brace in JSON */
	len = rune_cut(s, len, room);
	memcpy(l->text + l->len, s, len);
	l->len += len;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/*
 * Quotes of the format begin and end values, quotes of what was put into it belong to a value. To
 * tell one from the other, the format's become a byte that stands nowhere else.
 */
#define MARKS      "\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11"
#define FORMAT_MAX 1024

struct told { /* key=value ... with mark in place of each quote that begins or ends a value */
	char mark;
	size_t len;
	char text[TEXT_MAX_BYTES];
};

static unsigned count_of(const char *s, size_t len, char c)
{
	unsigned n = 0;
	for (const char *end = s + len; (s = memchr(s, c, (size_t)(end - s))); s++)
		n++;
	return n;
}

/* False: what was put in holds the mark, too. */
static bool told_with(struct told *t, char mark, const char *fmt, va_list ap)
{
	char marked[FORMAT_MAX];
	size_t len = strlen(fmt);
	unsigned quotes = count_of(fmt, len, '"');
	CHECK(len < sizeof(marked));
	for (size_t i = 0; i <= len; i++)
		marked[i] = fmt[i] == '"' ? mark : fmt[i];
	t->mark = mark;
	t->len = rune_vprintf(t->text, sizeof(t->text), marked, ap);
	unsigned marks = count_of(t->text, t->len, mark);
	return marks <= quotes && (marks == quotes || t->len + 4 >= sizeof(t->text));
}

static void told_make(struct told *t, const char *fmt, va_list ap)
{
	bool good = false;
	for (const char *mark = MARKS; *mark && !good; mark++) {
		va_list again;
		va_copy(again, ap);
		good = told_with(t, *mark, fmt, again);
		va_end(again);
	}
	if (!good) /* whoever sends all of them gets no values, but one text */
		t->mark = 0;
}

/*
 * The character at s as it is written: at most 6 bytes into out, their count; *step is what it took
 * of s. quoted: between quotes.
 */
static size_t escape(const char *s, size_t len, bool json, bool quoted, char *out, size_t *step)
{
	unsigned char c = (unsigned char)*s;
	uint32_t rune;
	*step = rune_decode(s, len, &rune);
	if (c == '\n' || (quoted && (c == '"' || c == '\\'))) {
		out[0] = '\\';
		out[1] = c == '\n' ? 'n' : (char)c;
		return 2;
	}
	if (*step == 0) { /* no UTF-8 */
		*step = 1;
		return json ? (size_t)snprintf(out, 7, "\\ufffd")
		            : (size_t)snprintf(out, 7, "\\x%02x", c);
	}
	/* U+0080 and later steer terminals, too */
	if (rune < 0x20 || (rune >= 0x7f && rune < 0xa0))
		return (size_t)snprintf(out, 7, json || rune >= 0x80 ? "\\u%04x" : "\\x%02x", rune);
	memcpy(out, s, *step);
	return *step;
}

/* Control characters never reach the terminal; between quotes, quote and backslash are escaped. */
static void put_escaped(struct line *l, const char *s, size_t len, bool json, bool quoted)
{
	for (size_t i = 0, step; i < len && !l->full; i += step) {
		char tmp[8];
		size_t n = escape(s + i, len - i, json, quoted, tmp, &step);
		l->full = l->len + n > sizeof(l->text) - LINE_END_BYTES;
		if (!l->full)
			put(l, tmp, n);
	}
}

static void put_time(struct line *l)
{
	int64_t ms = clock_wall_ms();
	int64_t s = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
	struct num_civil c = num_civil(s);
	char tmp[64];
	int n = snprintf(tmp, sizeof(tmp), "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ",
	    (long long)c.year, c.month, c.day, c.hour, c.minute, c.second, (int)(ms - s * 1000));
	put(l, tmp, (size_t)n);
}

static bool is_number(const char *s, size_t len)
{
	size_t i = len && s[0] == '-' ? 1 : 0;
	if (i == len || len > 15 || (s[i] == '0' && len > i + 1))
		return false;
	for (; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
	}
	return true;
}

/* The member of a pair that begins at s; where it ends. */
static const char *put_member(
    struct line *l, const char *s, const char *eq, const char *end, char mark)
{
	const char *value = eq + 1, *stop;
	bool quoted = value < end && mark && *value == mark;
	value += quoted;
	stop = memchr(value, quoted ? mark : ' ', (size_t)(end - value));
	stop = stop ? stop : end;
	bool number = !quoted && is_number(value, (size_t)(stop - value));
	put_str(l, ",\"");
	put_escaped(l, s, (size_t)(eq - s), true, true);
	put_str(l, number ? "\":" : "\":\"");
	put_escaped(l, value, (size_t)(stop - value), true, true);
	put_str(l, number ? "" : "\"");
	return quoted && stop < end ? stop + 1 : stop;
}

/*
 * key=value key="va lue" words...: pairs become members; words outside of pairs are gathered under
 * "text".
 */
static void put_members(struct line *l, const struct told *t)
{
	const char *s = t->text, *end = s + t->len;
	while (s < end && !l->full && l->len + LINE_LEAST_BYTES < sizeof(l->text)) {
		if (*s == ' ') {
			s++;
			continue;
		}
		const char *eq = s;
		while (eq < end && *eq != '=' && *eq != ' ')
			eq++;
		if (eq == end || *eq == ' ' || !t->mark) {
			put_str(l, ",\"text\":\"");
			put_escaped(l, s, (size_t)(end - s), true, true);
			put_str(l, "\"");
			return;
		}
		s = put_member(l, s, eq, end, t->mark);
	}
}

/* As it is, values in their quotes. */
static void put_pairs(struct line *l, const struct told *t)
{
	const char *s = t->text, *end = s + t->len;
	bool quoted = !t->mark;
	put_str(l, " ");
	while (s < end) {
		const char *stop = t->mark ? memchr(s, t->mark, (size_t)(end - s)) : NULL;
		put_escaped(l, s, (size_t)((stop ? stop : end) - s), false, quoted);
		if (!stop)
			break;
		put_str(l, "\"");
		quoted = !quoted;
		s = stop + 1;
	}
}

/* The time, the level, the event; the JSON object stays open. */
static void put_head(struct line *l, enum log_level level, const char *event, bool json)
{
	put_str(l, json ? "{\"ts\":\"" : "ts=");
	put_time(l);
	put_str(l, json ? "\",\"level\":\"" : " level=");
	put_str(l, level_words[level]);
	put_str(l, json ? "\",\"event\":\"" : " event=");
	put_escaped(l, event, strlen(event), json, json);
	if (json)
		put_str(l, "\"");
}

static void put_told(struct line *l, const struct told *t, bool json)
{
	if (json)
		put_members(l, t);
	else if (t->len)
		put_pairs(l, t);
}

PRINTF_LIKE(3, 4) static void put_text(struct line *l, bool json, const char *fmt, ...)
{
	struct told t;
	va_list ap;
	va_start(ap, fmt);
	told_make(&t, fmt, ap);
	va_end(ap);
	put_told(l, &t, json);
}

static void put_end(struct line *l, bool json)
{
	if (json)
		l->text[l->len++] = '}';
	l->text[l->len++] = '\n';
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	uint64_t left_out = left_out_now;
	left_out_now = 0;
	if (!log_on(level))
		return;
	int saved = errno;
	struct told t;
	va_list ap;
	va_start(ap, fmt);
	told_make(&t, fmt, ap);
	va_end(ap);
	bool json = __atomic_load_n(&log_json, __ATOMIC_RELAXED);
	struct line l = { .len = 0 };
	put_head(&l, level, event, json);
	if (left_out)
		put_text(&l, json, "left_out=%llu", (unsigned long long)left_out);
	put_told(&l, &t, json);
	put_end(&l, json);
	logdrain_put(l.text, l.len);
	errno = saved;
}

static size_t lost_line(char *out, size_t cap, uint64_t lost)
{
	bool json = __atomic_load_n(&log_json, __ATOMIC_RELAXED);
	struct line l = { .len = 0 };
	put_head(&l, LOG_LEVEL_WARN, "log_lines_lost", json);
	put_text(&l, json, "lines=%llu reason=\"stderr was not read in time\"",
	    (unsigned long long)lost);
	put_end(&l, json);
	size_t len = l.len < cap ? l.len : cap;
	memcpy(out, l.text, len);
	return len;
}

enum err log_start(void)
{
	return logdrain_start(lost_line);
}

void log_stop(void)
{
	logdrain_stop();
}

bool log_every_(uint64_t *next_ns, uint64_t *left_out)
{
	uint64_t now = clock_mono_ns();
	if (*next_ns && now < *next_ns) {
		++*left_out;
		return false;
	}
	*next_ns = now + EVERY_NS;
	left_out_now = *left_out;
	*left_out = 0;
	return true;
}

/* What was counted since it was told last; others may tell at the same time, none twice. */
static bool take_news(struct log_pace *p, uint64_t total, uint64_t *news)
{
	uint64_t told = __atomic_load_n(&p->_told, __ATOMIC_RELAXED);
	while (told < total &&
	    !__atomic_compare_exchange_n(
	        &p->_told, &told, total, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	*news = told < total ? total - told : 0;
	return *news > 0;
}

bool log_pace_first(struct log_pace *p, uint64_t total, uint64_t *news)
{
	if (__atomic_load_n(&p->_told, __ATOMIC_RELAXED) >= total ||
	    __atomic_exchange_n(&p->_paced, true, __ATOMIC_ACQ_REL))
		return false;
	return log_pace_next(p, total, news);
}

bool log_pace_next(struct log_pace *p, uint64_t total, uint64_t *news)
{
	if (take_news(p, total, news))
		return true;
	__atomic_store_n(&p->_paced, false, __ATOMIC_RELEASE);
	return false;
}
