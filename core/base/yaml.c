#include "core/base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/rune.h"
#include "core/base/yaml_priv.h"

#define SENTENCE_MAX 1024
#define PATH_MAX_    300 /* of keys, in an error */
#define SHOWN_LEFT   70u /* characters of the line before the place, and behind it */
#define SHOWN_RIGHT  50u

/* ---- life ---- */

void yaml_keep_init(struct yaml_keep *k)
{
	*k = (struct yaml_keep){ .secrets = NULL };
	arena_init(&k->arena, 4096);
}

void yaml_keep_release(struct yaml_keep *k)
{
	for (size_t i = 0; i < k->secrets_count; i++)
		secret_free(k->secrets[i]);
	mem_free(k->secrets);
	mem_free(k->paths);
	arena_release(&k->arena);
	*k = (struct yaml_keep){ .secrets = NULL };
}

static struct yaml *yaml_begin(const char *name, struct yaml_keep *keep)
{
	struct yaml *y = mem_zalloc(sizeof(*y));
	arena_init(&y->arena, 16384);
	y->name = arena_strndup(&y->arena, name, strlen(name));
	y->text = "";
	y->keep = keep;
	y->root = arena_zalloc(&y->arena, sizeof(*y->root));
	y->root->type = YAML_MAP;
	return y;
}

struct yaml *yaml_open(const char *name, const char *text, size_t len, struct yaml_keep *keep)
{
	struct yaml *y = yaml_begin(name, keep);
	if (len > YAML_TEXT_MAX) {
		yaml_fail_whole(y, "it is %zu bytes long, more than %u", len, YAML_TEXT_MAX);
		return y;
	}
	y->text = text;
	y->len = len;
	yaml_grow(y);
	return y;
}

void yaml_close(struct yaml *y)
{
	if (!y)
		return;
	mem_free(y->loaded);
	arena_release(&y->arena);
	mem_free(y);
}

static char *take_in(struct yaml *y, int fd, size_t *len)
{
	size_t cap = 65536;
	char *text = mem_alloc(cap);
	*len = 0;
	while (*len <= YAML_TEXT_MAX) {
		ssize_t n = read(fd, text + *len, cap - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			yaml_fail_whole(y, "%s", err_why(err_of_errno(errno)));
			break;
		}
		if (!n)
			return text;
		*len += (size_t)n;
		if (*len == cap)
			text = mem_realloc(text, cap *= 2);
	}
	if (*len > YAML_TEXT_MAX)
		yaml_fail_whole(y, "it is longer than %u bytes", YAML_TEXT_MAX);
	mem_free(text);
	return NULL;
}

struct yaml *yaml_load(const char *path, struct yaml_keep *keep)
{
	struct yaml *y = yaml_begin(path, keep);
	struct stat st;
	/* Not to wait for who writes into a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		yaml_fail_whole(y, "%s", err_why(err_of_errno(errno)));
		return y;
	}
	size_t len = 0;
	if (fstat(fd, &st))
		yaml_fail_whole(y, "%s", err_why(err_of_errno(errno)));
	else if (!S_ISREG(st.st_mode))
		yaml_fail_whole(y, "it is not a plain file");
	else
		y->loaded = take_in(y, fd, &len);
	close(fd);
	if (y->loaded) {
		y->text = y->loaded;
		y->len = len;
		yaml_grow(y);
	}
	return y;
}

const struct yaml_node *yaml_root(const struct yaml *y)
{
	return y->root;
}

struct yaml_keep *yaml_keep_of(struct yaml *y)
{
	return y->keep;
}

const char *yaml_text(const struct yaml *y, size_t *len)
{
	*len = y->len;
	return y->text;
}

const struct yaml_node *yaml_child(const struct yaml_node *map, const char *key)
{
	size_t len = strlen(key);
	if (map->type != YAML_MAP)
		return NULL;
	for (const struct yaml_node *n = map->first; n; n = n->next)
		if (n->key_len == len && !memcmp(n->key, key, len))
			return n;
	return NULL;
}

/* ---- errors ---- */

static unsigned index_of(const struct yaml_node *n)
{
	unsigned i = 0;
	for (const struct yaml_node *c = n->parent->first; c && c != n; c = c->next)
		i++;
	return i;
}

static void path_add(const struct yaml_node *n, char *out, size_t size, size_t *len)
{
	char part[160];
	if (!n->parent)
		return;
	path_add(n->parent, out, size, len);
	if (n->key)
		rune_printf(part, sizeof(part), "%s%.*s", *len ? "." : "",
		    (int)(n->key_len < 64 ? n->key_len : 64), n->key);
	else
		snprintf(part, sizeof(part), "[%u]", index_of(n));
	*len += rune_printf(out + *len, size - *len, "%s", part);
}

size_t yaml_path(const struct yaml_node *n, char *out, size_t size)
{
	size_t len = 0;
	out[0] = 0;
	path_add(n, out, size, &len);
	return len;
}

static void keep_error(struct yaml *y, uint32_t at, bool whole, const char *sentence)
{
	char *kept = arena_strndup(&y->arena, sentence, strlen(sentence));
	for (char *p = kept; *p; p++)
		if ((uint8_t)*p < 0x20 || *p == 0x7f)
			*p = '?';
	y->errors[y->errors_count++] =
	    (struct yaml_error){ .at = at, .whole = whole, .sentence = kept };
}

static bool fail_v(struct yaml *y, const struct yaml_node *n, uint32_t at, const char *fmt, va_list ap)
{
	char sentence[SENTENCE_MAX];
	if (!yaml_has_room(y)) { /* where it is takes time to find out: a text may have very many */
		y->errors_count++;
		return false;
	}
	size_t len = n ? yaml_path(n, sentence, PATH_MAX_) : 0;
	if (len)
		len += rune_printf(sentence + len, sizeof(sentence) - len, ": ");
	rune_vprintf(sentence + len, sizeof(sentence) - len, fmt, ap);
	keep_error(y, at, !n && at == UINT32_MAX, sentence);
	return false;
}

bool yaml_fail(struct yaml *y, const struct yaml_node *n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fail_v(y, n, n ? n->at : UINT32_MAX, fmt, ap);
	va_end(ap);
	return false;
}

bool yaml_fail_key(struct yaml *y, const struct yaml_node *n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fail_v(y, n, n->key ? n->key_at : n->at, fmt, ap);
	va_end(ap);
	return false;
}

bool yaml_fail_at(struct yaml *y, uint32_t at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fail_v(y, NULL, at, fmt, ap);
	va_end(ap);
	return false;
}

bool yaml_fail_whole(struct yaml *y, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fail_v(y, NULL, UINT32_MAX, fmt, ap);
	va_end(ap);
	return false;
}

size_t yaml_failed(const struct yaml *y)
{
	return y->errors_count;
}

bool yaml_failed_in(const struct yaml *y, const struct yaml_node *n)
{
	if (!n)
		return false;
	uint32_t from = n->key ? n->key_at : n->at, to = UINT32_MAX;
	for (; n && to == UINT32_MAX; n = n->parent)
		if (n->next)
			to = n->next->key ? n->next->key_at : n->next->at;
	for (size_t i = 0; i < y->errors_count && i < YAML_ERRORS_MAX; i++)
		if (y->errors[i].whole || (y->errors[i].at >= from && y->errors[i].at < to))
			return true;
	return y->errors_count > YAML_ERRORS_MAX;
}

/* ---- telling them ---- */

static size_t line_begin(const struct yaml *y, size_t at)
{
	while (at && y->text[at - 1] != '\n')
		at--;
	return at;
}

/* Length of the character at s: a byte that is none counts as one. */
static size_t step(const char *s, size_t len)
{
	uint32_t rune;
	size_t n = rune_decode(s, len, &rune);
	return n ? n : 1;
}

static unsigned chars(const char *s, size_t len)
{
	unsigned count = 0;
	for (size_t i = 0; i < len; i += step(s + i, len - i))
		count++;
	return count;
}

static size_t clamp(const struct yaml *y, uint32_t at)
{
	return at < y->len ? at : y->len;
}

void yaml_place(const struct yaml *y, uint32_t at, unsigned *line, unsigned *column)
{
	size_t to = clamp(y, at), begin = line_begin(y, to);
	*line = 1;
	for (const char *p = y->text; (p = memchr(p, '\n', (size_t)(y->text + begin - p))); p++)
		(*line)++;
	*column = 1 + chars(y->text + begin, to - begin);
}

/* Characters of a line as they may be shown: tabs stay, so that the caret stands right. */
static void put_shown(struct buf *out, const char *s, size_t len, bool blank)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t rune;
		n = rune_decode(s + i, len - i, &rune);
		bool fine = n && (rune == '\t' || rune_printable(rune));
		if (blank)
			buf_add_u8(out, s[i] == '\t' ? '\t' : ' ');
		else if (fine)
			buf_add(out, s + i, n);
		else
			buf_add_u8(out, '?');
		n = n ? n : 1;
	}
}

/* Where the character before at begins. */
static size_t before(const struct yaml *y, size_t at, size_t begin)
{
	size_t to = at - 1;
	while (to > begin && at - to < 4 && ((uint8_t)y->text[to] & 0xc0) == 0x80)
		to--;
	return to;
}

static void tell_line(const struct yaml *y, uint32_t at, struct buf *out)
{
	size_t to = clamp(y, at), begin = line_begin(y, to), from = to, end = to;
	for (unsigned n = 0; from > begin && n < SHOWN_LEFT; n++)
		from = before(y, from, begin);
	for (unsigned n = 0;
	     end < y->len && y->text[end] != '\n' && y->text[end] != '\r' && n < SHOWN_RIGHT; n++)
		end += step(y->text + end, y->len - end);
	buf_add_str(out, "  ");
	put_shown(out, y->text + from, end - from, false);
	buf_add_str(out, "\n  ");
	put_shown(out, y->text + from, to - from, true);
	buf_add_str(out, "^\n");
}

static int by_place(const void *a, const void *b)
{
	const struct yaml_error *x = a, *z = b;
	if (x->whole != z->whole)
		return x->whole ? -1 : 1;
	return x->at < z->at ? -1 : x->at > z->at;
}

void yaml_tell(struct yaml *y, struct buf *out)
{
	size_t kept = y->errors_count < YAML_ERRORS_MAX ? y->errors_count : YAML_ERRORS_MAX;
	qsort(y->errors, kept, sizeof(y->errors[0]), by_place);
	for (size_t i = 0; i < kept; i++) {
		const struct yaml_error *e = &y->errors[i];
		unsigned line, column;
		if (e->whole) {
			buf_printf(out, "%s: %s\n", y->name, e->sentence);
			continue;
		}
		yaml_place(y, e->at, &line, &column);
		buf_printf(out, "%s:%u:%u: %s\n", y->name, line, column, e->sentence);
		tell_line(y, e->at, out);
	}
	if (y->errors_count > kept)
		buf_printf(
		    out, "%s: %zu more mistakes are not shown\n", y->name, y->errors_count - kept);
}
