#include "net/http/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/near.h"
#include "proto/urlq.h"

#define ROUTE_NEAR_ROWS 128u
#define NO_ROW          UINT16_MAX
#define PATH_LEN_MAX    255u

/* --- the index --- */

enum pattern {
	PATTERN_LITERAL, /* found by its hash */
	PATTERN_NAME,
	PATTERN_PREFIX
};
struct spot {
	uint16_t next; /* row with the same path, later in the table */
	uint8_t len;   /* of the path */
	uint8_t pattern;
};
struct slot {
	uint32_t hash;
	uint16_t first; /* row; NO_ROW: empty */
};
struct router {
	struct route_table t;
	struct spot *spots; /* of each row */
	struct slot *slots; /* of literal paths, open addressing */
	uint32_t mask;
	/* First rows of the other paths, in the order they are asked. */
	uint16_t *names, *prefixes;
	size_t name_count, prefix_count;
	size_t prefix_len;
	char prefix[ROUTER_PREFIX_MAX + 1];
};

static enum pattern pattern_of(const char *path, size_t len)
{
	if (path[len - 1] == '*') {
		CHECK(len > 2 && path[len - 2] == '/' && !strchr(path, '<'));
		return PATTERN_PREFIX;
	}
	return strchr(path, '<') ? PATTERN_NAME : PATTERN_LITERAL;
}

static uint32_t hash_of(const char *path, size_t len)
{
	return (uint32_t)hash64(path, len, 0);
}

/* The first row of this literal path, or the slot where it would be. */
static struct slot *literal_slot(const struct router *rt, const char *path, size_t len)
{
	uint32_t h = hash_of(path, len);
	for (uint32_t i = h & rt->mask;; i = (i + 1) & rt->mask) {
		struct slot *s = &rt->slots[i];
		if (s->first == NO_ROW ||
		    (s->hash == h && rt->spots[s->first].len == len &&
		        !memcmp(rt->t.rows[s->first].path, path, len)))
			return s;
	}
}

/* Behind the rows of the same path, so that they are asked in the order of the table. */
static void chain(struct router *rt, uint16_t first, uint16_t row)
{
	while (rt->spots[first].next != NO_ROW)
		first = rt->spots[first].next;
	rt->spots[first].next = row;
}

static void add_other(struct router *rt, uint16_t *list, size_t *count, uint16_t row)
{
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(rt->t.rows[list[i]].path, rt->t.rows[row].path)) {
			chain(rt, list[i], row);
			return;
		}
	size_t at = *count;
	if (list == rt->prefixes) /* the longest first */
		for (; at && rt->spots[list[at - 1]].len < rt->spots[row].len; at--)
			list[at] = list[at - 1];
	list[at] = row;
	++*count;
}

static void add_row(struct router *rt, uint16_t row)
{
	const char *path = rt->t.rows[row].path;
	size_t len = strlen(path);
	CHECK(path[0] == '/' && len <= PATH_LEN_MAX);
	struct spot *s = &rt->spots[row];
	*s = (struct spot){ .next = NO_ROW, .len = (uint8_t)len };
	s->pattern = (uint8_t)pattern_of(path, len);
	CHECK(!(rt->t.rows[row].flags & ROUTE_ROOT) || s->pattern == PATTERN_LITERAL);
	switch ((enum pattern)s->pattern) {
	case PATTERN_NAME:
		add_other(rt, rt->names, &rt->name_count, row);
		return;
	case PATTERN_PREFIX:
		add_other(rt, rt->prefixes, &rt->prefix_count, row);
		return;
	case PATTERN_LITERAL: {
		struct slot *at = literal_slot(rt, path, len);
		if (at->first == NO_ROW)
			*at = (struct slot){ hash_of(path, len), row };
		else
			chain(rt, at->first, row);
		return;
	}
	}
}

struct router *router_create(const struct route_table *rows, const char *prefix)
{
	struct router *rt = mem_zalloc(sizeof *rt);
	CHECK(rows->count < NO_ROW && router_prefix_check(prefix));
	rt->t = *rows;
	rt->prefix_len = strlen(prefix);
	memcpy(rt->prefix, prefix, rt->prefix_len + 1);
	rt->mask = 1;
	while (rt->mask < 2 * rows->count)
		rt->mask = rt->mask * 2 + 1;
	rt->slots = mem_array(NULL, rt->mask + 1, sizeof *rt->slots);
	for (uint32_t i = 0; i <= rt->mask; i++)
		rt->slots[i] = (struct slot){ .first = NO_ROW };
	rt->spots = mem_array(NULL, rows->count + 1, sizeof *rt->spots);
	rt->names = mem_array(NULL, rows->count + 1, sizeof *rt->names);
	rt->prefixes = mem_array(NULL, rows->count + 1, sizeof *rt->prefixes);
	for (size_t i = 0; i < rows->count; i++)
		add_row(rt, (uint16_t)i);
	return rt;
}

void router_free(struct router *rt)
{
	if (!rt)
		return;
	mem_free(rt->prefixes);
	mem_free(rt->names);
	mem_free(rt->spots);
	mem_free(rt->slots);
	mem_free(rt);
}

const char *router_prefix(const struct router *rt)
{
	return rt->prefix;
}

bool router_prefix_check(const char *prefix)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	if (strlen(prefix) > ROUTER_PREFIX_MAX)
		return false;
	for (const char *p = prefix; *p;) {
		if (*p++ != '/')
			return false;
		size_t n = strspn(p, plain);
		if (!n || (n <= 2 && strspn(p, ".") == n))
			return false;
		p += n;
	}
	return true;
}

/* --- one path --- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* One character of raw, whose escapes are valid; a slash that was escaped is none. */
static bool next_char(const char **raw, char *c)
{
	const char *r = *raw;
	*c = *r;
	*raw = r + 1;
	if (*c != '%')
		return true;
	*c = (char)(bytes_hex((unsigned char)r[1]) * 16 + bytes_hex((unsigned char)r[2]));
	*raw = r + 3;
	return *c != '/';
}

/* Is the next one this? fold: letters of any case. */
static bool takes(const char **raw, const char *end, char want, bool fold)
{
	char c;
	if (*raw == end || !next_char(raw, &c))
		return false;
	return c == want || (fold && lower(c) == lower(want));
}

/*
 * May this rest of a path be handed on? Segments are as their bytes say, so that an escaped slash
 * hides nothing.
 */
static bool rest_is_clean(const char *raw, const char *end)
{
	for (const char *s = raw; s < end;) {
		size_t n = 0, dots = 0;
		char c = 0;
		while (s < end) {
			(void)next_char(&s, &c);
			if (c == '/')
				break;
			n++;
			dots += c == '.';
		}
		bool slash = c == '/';
		if ((slash && !n) || (n && n <= 2 && dots == n))
			return false;
	}
	return true;
}

/* Does raw (with valid escapes) match? What <name> or a prefix took comes back raw. */
static bool match(const char *pattern, const char *raw, const char *end, bool fold,
    const char **param, size_t *param_len)
{
	const char *r = raw;
	*param = NULL;
	for (const char *p = pattern; *p; p++) {
		if (*p == '*') {
			*param = r;
			*param_len = (size_t)(end - r);
			return rest_is_clean(r, end);
		}
		if (*p == '<') {
			const char *segment = r;
			while (r < end && *r != '/')
				r++;
			if (r == segment)
				return false;
			*param = segment;
			*param_len = (size_t)(r - segment);
			while (*p != '>')
				p++;
		} else if (!takes(&r, end, *p, fold)) {
			return false;
		}
	}
	return r == end;
}

/* What of raw lies behind the router's prefix; NULL: it is not under it. */
static const char *under(const struct router *rt, const char *raw, const char *end, bool fold)
{
	const char *r = raw;
	for (const char *p = rt->prefix; *p; p++)
		if (!takes(&r, end, *p, fold))
			return NULL;
	return !rt->prefix_len || r == end || *r == '/' ? r : NULL;
}

/* Percent-decodes, with a NUL behind; false: a bad escape, or a NUL inside. */
static bool decode(struct arena *a, const char *raw, size_t len, const char **out, size_t *out_len)
{
	if (!memchr(raw, '%', len)) {
		*out = arena_strndup(a, raw, len);
		*out_len = len;
		return !memchr(raw, 0, len);
	}
	return !urlq_path_segment(a, raw, len, out, out_len, NULL) && !memchr(*out, 0, *out_len);
}

static size_t slashes(const char *s, size_t len)
{
	size_t n = 0;
	for (const char *end = s + len; (s = memchr(s, '/', (size_t)(end - s))); s++)
		n++;
	return n;
}

/* Is this row asked for this path? Under a prefix stand all rows but those of the root. */
static bool stands_here(const struct router *rt, const struct route *row, bool at_root)
{
	return !rt->prefix_len || !(row->flags & ROUTE_ROOT) == !at_root;
}

/* The row of this method among those of one path; what others allow is gathered. */
static bool choose(
    const struct router *rt, uint16_t first, enum req_method method, struct route_match *out)
{
	for (uint16_t i = first; i != NO_ROW; i = rt->spots[i].next) {
		const struct route *row = &rt->t.rows[i];
		if (!stands_here(rt, row, !out->inside))
			continue;
		out->methods |= row->methods;
		if (row->methods & (unsigned)method) {
			out->route = row;
			return true;
		}
		if (!out->route)
			out->route = row;
	}
	return false;
}

/* Rows with <name>, or prefixes: the raw path is compared with each. */
static bool choose_other(const struct router *rt, const uint16_t *list, size_t count,
    enum req_method method, const char *raw, const char *end, struct route_match *out)
{
	for (size_t i = 0; i < count; i++)
		if (match(rt->t.rows[list[i]].path, raw, end, false, &out->param, &out->param_len) &&
		    choose(rt, list[i], method, out))
			return true;
	out->param = NULL;
	return false;
}

static bool choose_literal(const struct router *rt, enum req_method method, const char *path,
    size_t len, struct route_match *out)
{
	if (!len || len > PATH_LEN_MAX)
		return false;
	uint16_t first = literal_slot(rt, path, len)->first;
	return first != NO_ROW && choose(rt, first, method, out);
}

static enum route_found match_path(const struct router *rt, enum req_method method, const char *raw,
    size_t len, struct arena *a, struct route_match *out)
{
	*out = (struct route_match){ .route = NULL };
	if (!decode(a, raw, len, &out->path, &out->path_len))
		return ROUTE_BAD_PATH;
	const char *end = raw + len, *rest = under(rt, raw, end, false);
	size_t skip = rest ? rt->prefix_len : 0;
	if (rest)
		out->inside = out->path + skip;
	bool escaped = out->path_len < len;
	/* An escaped slash is in no literal path. */
	bool literal = !escaped || slashes(raw, len) == slashes(out->path, out->path_len);
	if (literal && choose_literal(rt, method, out->path + skip, out->path_len - skip, out))
		return ROUTE_FOUND;
	if (!rest)
		return out->route ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
	if (!choose_other(rt, rt->names, rt->name_count, method, rest, end, out) &&
	    !choose_other(rt, rt->prefixes, rt->prefix_count, method, rest, end, out))
		return out->route ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
	return decode(a, out->param, out->param_len, &out->param, &out->param_len) ? ROUTE_FOUND
	                                                                           : ROUTE_BAD_PATH;
}

/* The path without the alias, below the prefix; NULL: it is not below the alias. */
static const char *without_alias(
    const struct router *rt, const char *raw, size_t len, struct arena *a, size_t *out_len)
{
	const char *rest = under(rt, raw, raw + len, false);
	size_t alias_len = rt->t.alias ? strlen(rt->t.alias) : 0;
	if (!alias_len || !rest)
		return NULL;
	size_t left = (size_t)(raw + len - rest);
	if (left <= alias_len || memcmp(rest, rt->t.alias, alias_len) != 0 || rest[alias_len] != '/')
		return NULL;
	*out_len = rt->prefix_len + left - alias_len;
	char *path = arena_alloc(a, *out_len);
	if (rt->prefix_len)
		memcpy(path, rt->prefix, rt->prefix_len);
	memcpy(path + rt->prefix_len, rest + alias_len, left - alias_len);
	return path;
}

enum route_found router_match(const struct router *rt, enum req_method method, const char *raw,
    size_t len, struct arena *a, struct route_match *out)
{
	size_t other_len;
	enum route_found found = match_path(rt, method, raw, len, a, out);
	if (found != ROUTE_NO_PATH)
		return found;
	const char *other = without_alias(rt, raw, len, a, &other_len);
	return other ? match_path(rt, method, other, other_len, a, out) : found;
}

/* --- paths that almost fit --- */

/* How many dots are all of this segment? */
static size_t dots(const char *s, const char *end)
{
	size_t n = 0;
	for (char c; s < end; n++)
		if (!next_char(&s, &c) || c != '.')
			return 0;
	return n;
}

/* raw without empty segments, "." and "..", and without a slash at its end. */
static const char *clean(struct arena *a, const char *raw, size_t len, size_t *out_len)
{
	char *out = arena_alloc(a, len + 2);
	size_t n = 0;
	for (const char *s = raw, *end = raw + len; s < end;) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		const char *stop = slash ? slash : end;
		size_t d = dots(s, stop);
		if (d == 2) {
			while (n && out[--n] != '/')
				;
		} else if (stop > s && d != 1) {
			out[n++] = '/';
			memcpy(out + n, s, (size_t)(stop - s));
			n += (size_t)(stop - s);
		}
		s = slash ? slash + 1 : end;
	}
	if (!n)
		out[n++] = '/';
	*out_len = n;
	return out;
}

/* The row's path with param in the place of its <name> or star. */
static const char *fill(struct arena *a, const char *pattern, const char *param, size_t len)
{
	size_t head = strcspn(pattern, "<*");
	const char *tail = strchr(pattern, '>');
	if (!pattern[head])
		return pattern;
	return arena_printf(
	    a, "%.*s%.*s%s", (int)head, pattern, (int)len, param, tail ? tail + 1 : "");
}

/* Does the row take this clean path? The one of a prefix row has lost its last slash. */
static bool fits(const struct router *rt, size_t row, const char *path, const char *end,
    const char **param, size_t *param_len)
{
	const char *pattern = rt->t.rows[row].path;
	if (match(pattern, path, end, true, param, param_len))
		return true;
	if (rt->spots[row].pattern != PATTERN_PREFIX)
		return false;
	*param = "";
	*param_len = 0;
	const char *last = pattern + rt->spots[row].len - 2;
	for (; pattern < last; pattern++)
		if (!takes(&path, end, *pattern, true))
			return false;
	return path == end;
}

bool router_fix(const struct router *rt, enum req_method method, const char *raw, size_t len,
    struct arena *a, const char **out)
{
	if (!len || *raw != '/')
		return false;
	size_t clean_len, param_len = 0;
	const char *path = clean(a, raw, len, &clean_len), *end = path + clean_len, *param;
	if (!(path = under(rt, path, end, true)))
		return false;
	if (path == end) {
		path = "/";
		end = path + 1;
	}
	for (unsigned pattern = PATTERN_LITERAL; pattern <= PATTERN_PREFIX; pattern++) {
		size_t best = SIZE_MAX;
		for (size_t i = 0; i < rt->t.count; i++) {
			bool longer = best == SIZE_MAX || rt->spots[i].len > rt->spots[best].len;
			if (rt->spots[i].pattern == pattern && longer &&
			    (rt->t.rows[i].methods & (unsigned)method) &&
			    stands_here(rt, &rt->t.rows[i], false) &&
			    fits(rt, i, path, end, &param, &param_len))
				best = i;
			if (best != SIZE_MAX && pattern != PATTERN_PREFIX)
				break;
		}
		if (best == SIZE_MAX)
			continue;
		(void)fits(rt, best, path, end, &param, &param_len);
		*out = fill(a, rt->t.rows[best].path, param, param_len);
		return true;
	}
	return false;
}

/* Where the last part of a path begins. */
static size_t tail_of(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len;
}

/* Rows that people may be led to. */
static bool has_name(const struct router *rt, size_t row)
{
	return rt->t.rows[row].path[1] && rt->spots[row].pattern != PATTERN_PREFIX &&
	    stands_here(rt, &rt->t.rows[row], false);
}

const char *router_near(const struct router *rt, const char *inside, size_t len)
{
	const char *paths[ROUTE_NEAR_ROWS];
	size_t count = 0, dir = tail_of(inside, len);
	/* In the same folder the last parts are compared: what they share says nothing. */
	for (size_t i = 0; dir > 1 && i < rt->t.count && count < ROUTE_NEAR_ROWS; i++) {
		const char *known = rt->t.rows[i].path;
		if (has_name(rt, i) && tail_of(known, rt->spots[i].len) == dir &&
		    !memcmp(known, inside, dir))
			paths[count++] = known + dir;
	}
	const char *tail = count ? near_word(inside + dir, len - dir, paths, count) : NULL;
	if (tail)
		return tail - dir;
	bool in = count > 0;
	count = 0;
	for (size_t i = 0; i < rt->t.count && count < ROUTE_NEAR_ROWS; i++) {
		const char *known = rt->t.rows[i].path;
		if (has_name(rt, i) &&
		    !(in && tail_of(known, rt->spots[i].len) == dir && !memcmp(known, inside, dir)))
			paths[count++] = known;
	}
	return near_word(inside, len, paths, count);
}

void router_allow_text(unsigned methods, char *out, size_t size)
{
	static const struct {
		enum req_method bit;
		const char *name;
	} names[] = { { REQ_GET, "GET" }, { REQ_HEAD, "HEAD" }, { REQ_POST, "POST" },
		{ REQ_PUT, "PUT" }, { REQ_DELETE, "DELETE" }, { REQ_OPTIONS, "OPTIONS" } };
	size_t at = 0;
	out[0] = 0;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!(methods & (unsigned)names[i].bit))
			continue;
		int n = snprintf(out + at, size - at, "%s%s", at ? ", " : "", names[i].name);
		CHECK(n > 0 && (size_t)n < size - at);
		at += (size_t)n;
	}
}
