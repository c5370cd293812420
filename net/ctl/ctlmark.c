#include "net/ctl/ctlmark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/fsio.h"
#include "core/base/fslock.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"

#define HEAD     "kymoctl-mark 1\n"
#define MARK_MAX (64u << 20)

struct pair {
	char *key, *value;
};
struct ctlmark {
	struct fsio_dir *dir;
	struct fslock *lock;
	char *name, *work;
	struct pair *pairs;
	size_t count;
};

static char *copy(const char *text, size_t len)
{
	char *to = mem_alloc(len + 1);
	memcpy(to, text, len);
	to[len] = 0;
	return to;
}

/* A value's line: its ends of lines and backslashes as \n, \r, \\. */
static void put_value(struct buf *b, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			buf_add_str(b, "\\n");
		else if (*value == '\r')
			buf_add_str(b, "\\r");
		else if (*value == '\\')
			buf_add_str(b, "\\\\");
		else
			buf_add_u8(b, (uint8_t)*value);
	}
}

static void unescape(char *value)
{
	char *to = value;
	for (; *value; value++, to++) {
		*to = *value;
		if (*value != '\\' || !value[1])
			continue;
		value++;
		*to = *value == 'n' ? '\n' : *value == 'r' ? '\r' : *value;
	}
	*to = 0;
}

static struct pair *find(const struct ctlmark *m, const char *key)
{
	for (size_t i = 0; i < m->count; i++)
		if (!strcmp(m->pairs[i].key, key))
			return &m->pairs[i];
	return NULL;
}

static void add(struct ctlmark *m, const char *key, size_t key_len, const char *value, size_t len)
{
	m->pairs = mem_array(m->pairs, m->count + 1, sizeof(*m->pairs));
	m->pairs[m->count++] = (struct pair){ copy(key, key_len), copy(value, len) };
}

/* The text up to its line of the checksum is good. */
static enum err take(struct ctlmark *m, const char *at, const char *end, struct errbuf *eb)
{
	bool first = true;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const char *blank = stop ? memchr(at, ' ', (size_t)(stop - at)) : NULL;
		if (!blank)
			return errbuf_set(eb, ERR_DAMAGED, "%s: a line is damaged", m->name);
		size_t key_len = (size_t)(blank - at), len = (size_t)(stop - blank - 1);
		if (first) {
			bool same = key_len == 4 && !memcmp(at, "work", 4) &&
			    len == strlen(m->work) && !memcmp(blank + 1, m->work, len);
			if (!same)
				return errbuf_set(eb, ERR_EXISTS, "%s marks other work: %.*s",
				    m->name, (int)len, blank + 1);
			first = false;
		} else {
			add(m, at, key_len, blank + 1, len);
			unescape(m->pairs[m->count - 1].value);
		}
		at = stop + 1;
	}
	return first ? errbuf_set(eb, ERR_DAMAGED, "%s is cut short", m->name) : ERR_OK;
}

static enum err parse(struct ctlmark *m, const char *text, size_t len, struct errbuf *eb)
{
	static const char crc_word[] = "crc ";
	size_t head = strlen(HEAD), tail = sizeof(crc_word) - 1 + 9;
	if (len < head + tail || memcmp(text, HEAD, head) || text[len - 1] != '\n')
		return errbuf_set(eb, ERR_DAMAGED, "%s is no mark of kymoctl, or damaged", m->name);
	const char *crc = text + len - tail;
	char want[16];
	snprintf(want, sizeof(want), "crc %08" PRIx32 "\n", crc32c(0, text, len - tail));
	if (memcmp(crc, want, tail))
		return errbuf_set(eb, ERR_DAMAGED, "%s is damaged: its checksum is wrong", m->name);
	return take(m, text + head, crc, eb);
}

static enum err lock(struct ctlmark *m, struct errbuf *eb)
{
	char name[FSLOCK_NAME_MAX + 1];
	struct errbuf why;
	errbuf_init(&why);
	if (snprintf(name, sizeof(name), "%s.lock", m->name) >= (int)sizeof(name))
		return errbuf_set(eb, ERR_TOOBIG, "%s: the name is too long for a mark", m->name);
	enum err e = fslock_take(m->dir, name, &m->lock, &why);
	if (e == ERR_LOCKED)
		return errbuf_set(eb, e,
		    "the same work is under way: %s; one at a time, or --mark FILE for another",
		    why.text);
	return e ? errbuf_set(eb, e, "%s", why.text) : ERR_OK;
}

enum err ctlmark_open(
    const char *path, const char *work, struct ctlmark **out, bool *goes_on, struct errbuf *eb)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? copy(path, slash == path ? 1 : (size_t)(slash - path)) : copy(".", 1);
	struct ctlmark *m = mem_zalloc(sizeof(*m));
	m->name = copy(slash ? slash + 1 : path, strlen(slash ? slash + 1 : path));
	m->work = copy(work, strlen(work));
	*goes_on = false;
	for (char *p = m->work; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	uint8_t *text = NULL;
	size_t len = 0;
	enum err e = fsio_dir_open(dir, true, &m->dir);
	if (e)
		errbuf_set(eb, e, "%s: %s", dir, err_why(e));
	else if (!(e = lock(m, eb)))
		e = fsio_load(m->dir, m->name, MARK_MAX, &text, &len);
	if (e == ERR_NOTFOUND && m->lock) {
		e = ERR_OK;
	} else if (!e) {
		e = parse(m, (const char *)text, len, eb);
		*goes_on = !e;
	} else {
		errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	mem_free(text);
	mem_free(dir);
	if (e) {
		ctlmark_close(m);
		m = NULL;
	}
	*out = m;
	return e;
}

enum err ctlmark_anew(const char *path, const char *work, struct ctlmark **out, struct errbuf *eb)
{
	bool goes_on;
	enum err e = ctlmark_open(path, work, out, &goes_on, eb);
	if (e || !goes_on)
		return e;
	e = ctlmark_done(*out, eb);
	ctlmark_close(*out);
	*out = NULL;
	return e ? e : ctlmark_open(path, work, out, &goes_on, eb);
}

const char *ctlmark_get(const struct ctlmark *m, const char *key)
{
	const struct pair *p = find(m, key);
	return p ? p->value : NULL;
}

int64_t ctlmark_get_num(const struct ctlmark *m, const char *key, int64_t otherwise)
{
	const char *text = ctlmark_get(m, key);
	int64_t n;
	return text && !num_parse_i64(text, strlen(text), &n) ? n : otherwise;
}

void ctlmark_set(struct ctlmark *m, const char *key, const char *value)
{
	struct pair *p = find(m, key);
	if (!value && !p)
		return;
	if (!value) {
		mem_free(p->key);
		mem_free(p->value);
		*p = m->pairs[--m->count];
		return;
	}
	if (!p) {
		add(m, key, strlen(key), value, strlen(value));
		return;
	}
	mem_free(p->value);
	p->value = copy(value, strlen(value));
}

void ctlmark_set_num(struct ctlmark *m, const char *key, int64_t value)
{
	char text[24];
	text[num_fmt_i64(value, text)] = 0;
	ctlmark_set(m, key, text);
}

enum err ctlmark_save(struct ctlmark *m, struct errbuf *eb)
{
	struct buf b;
	buf_init(&b);
	buf_printf(&b, HEAD "work %s\n", m->work);
	for (size_t i = 0; i < m->count; i++) {
		buf_printf(&b, "%s ", m->pairs[i].key);
		put_value(&b, m->pairs[i].value);
		buf_add_u8(&b, '\n');
	}
	uint32_t crc = crc32c(0, b.data, b.len);
	buf_printf(&b, "crc %08" PRIx32 "\n", crc);
	enum err e = fsio_replace(m->dir, m->name, b.data, b.len);
	if (e)
		errbuf_set(eb, e, "%s/%s: %s", fsio_dir_path(m->dir), m->name, err_why(e));
	buf_release(&b);
	return e;
}

enum err ctlmark_done(struct ctlmark *m, struct errbuf *eb)
{
	enum err e = fsio_remove(m->dir, m->name);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	if (!e)
		e = fsio_dir_sync(m->dir);
	return e ? errbuf_set(eb, e, "%s/%s: %s", fsio_dir_path(m->dir), m->name, err_why(e)) : e;
}

void ctlmark_close(struct ctlmark *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++) {
		mem_free(m->pairs[i].key);
		mem_free(m->pairs[i].value);
	}
	mem_free(m->pairs);
	mem_free(m->name);
	mem_free(m->work);
	fslock_drop(m->lock);
	if (m->dir)
		fsio_dir_close(m->dir);
	mem_free(m);
}

void ctlmark_path(const char *work, char *out, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct hash128 h = hash128(work, strlen(work), 0);
	if (state && *state)
		snprintf(out, size, "%s/kymoctl/%016" PRIx64, state, h.hi);
	else
		snprintf(out, size, "%s/.local/state/kymoctl/%016" PRIx64, home ? home : "", h.hi);
}
