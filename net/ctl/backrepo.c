#include "net/ctl/backrepo.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "storage/back/snapshot.h"

#define MARK_KEY   "KYMOBACKUPS"
#define MARK_TEXT  "kymo-backups 1\n"
#define MARK_WORD  "kymo-backups "
#define GENS       "generations/"
#define OBJECTS    "objects/"
#define PART       ".part"
#define FIRST_LINE "kymo-backup 1\n"
#define FIRST_WORD "kymo-backup "
#define CRC_LINE   13u
#define BLOCK      (1u << 20)
#define GEN_MAX    (1u << 30)
#define FILES_MAX  4000000u
#define HEX_MAX    (2 * BACKREPO_HASH + 1)
#define KEY_MAX    (sizeof(OBJECTS) + HEX_MAX + 3)

/* ---- hex ---- */

static void hex_put(const uint8_t *p, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_get(const char *p, size_t len, uint8_t *out, size_t bytes)
{
	if (len != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		int a = hex_digit(p[2 * i]), b = hex_digit(p[2 * i + 1]);
		if (a < 0 || b < 0)
			return false;
		out[i] = (uint8_t)(a << 4 | b);
	}
	return true;
}

static void key_of(const struct backfile *f, char out[KEY_MAX])
{
	char hex[HEX_MAX];
	hex_put(f->hash, BACKREPO_HASH, hex);
	(void)snprintf(out, KEY_MAX, OBJECTS "%.2s/%s", hex, hex);
}

/* ---- a generation ---- */

void backgen_release(struct backgen *g)
{
	mem_free(g->files);
	mem_free(g->_slots);
	*g = (struct backgen){ 0 };
}

static uint32_t *slot_of(struct backgen *g, const char *path)
{
	size_t i = (size_t)hash64(path, strlen(path), 0) & g->_mask;
	while (g->_slots[i] && strcmp(g->files[g->_slots[i] - 1].path, path) != 0)
		i = (i + 1) & g->_mask;
	return &g->_slots[i];
}

static void slots_grow(struct backgen *g)
{
	mem_free(g->_slots);
	g->_mask = g->_mask ? 2 * g->_mask + 1 : 63;
	g->_slots = mem_zalloc((g->_mask + 1) * sizeof(*g->_slots));
	for (size_t i = 0; i < g->count; i++)
		*slot_of(g, g->files[i].path) = (uint32_t)i + 1;
}

void backgen_add(struct backgen *g, const struct backfile *f)
{
	if (g->count == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 64;
		g->files = mem_array(g->files, g->cap, sizeof(*g->files));
	}
	if (2 * (g->count + 1) > g->_mask)
		slots_grow(g);
	g->files[g->count++] = *f;
	*slot_of(g, f->path) = (uint32_t)g->count;
}

const struct backfile *backgen_find(struct backgen *g, const char *path)
{
	uint32_t at = g->_slots ? *slot_of(g, path) : 0;
	return at ? &g->files[at - 1] : NULL;
}

void backgen_format(const struct backgen *g, struct buf *out)
{
	size_t begin = out->len;
	char hex[HEX_MAX];
	hex_put(g->identity, sizeof(g->identity), hex);
	buf_printf(
	    out, FIRST_LINE "made %" PRId64 "\nidentity %s\nfrom %s\n", g->made_s, hex, g->from);
	for (size_t i = 0; i < g->count; i++) {
		const struct backfile *f = &g->files[i];
		hex_put(f->hash, BACKREPO_HASH, hex);
		buf_printf(out, "file %" PRIu64 " %" PRIu64 " %s %" PRId64 " %08" PRIx32 " %s\n",
		    f->size, f->stored, hex, f->mtime_ns, f->tail, f->path);
	}
	buf_printf(out, "crc %08" PRIx32 "\n", crc32c(0, out->data + begin, out->len - begin));
}

/* Relative, below where it is put: no "..", nothing that is empty, no odd bytes. */
static bool path_good(const char *p, size_t len)
{
	if (!len || len >= BACKREPO_PATH_MAX || p[0] == '/')
		return false;
	for (size_t i = 0, begin = 0; i <= len; i++) {
		if (i < len && p[i] != '/') {
			if (p[i] <= ' ' || p[i] > '~')
				return false;
			continue;
		}
		if (i == begin || p[begin] == '.')
			return false;
		begin = i + 1;
	}
	return true;
}

/* The next word of a line; false: there is none. */
static bool word(const char **p, const char *end, const char **w, size_t *len)
{
	const char *space = memchr(*p, ' ', (size_t)(end - *p));
	*w = *p;
	*len = (size_t)((space ? space : end) - *p);
	*p = space ? space + 1 : end;
	return *len > 0;
}

static bool file_parse(struct backgen *g, const char *p, const char *end)
{
	struct backfile f = { 0 };
	const char *w;
	size_t len;
	uint8_t tail[4];
	bool good = word(&p, end, &w, &len) && !num_parse_u64(w, len, &f.size) &&
	    word(&p, end, &w, &len) && !num_parse_u64(w, len, &f.stored) &&
	    word(&p, end, &w, &len) && hex_get(w, len, f.hash, BACKREPO_HASH) &&
	    word(&p, end, &w, &len) && !num_parse_i64(w, len, &f.mtime_ns) &&
	    word(&p, end, &w, &len) && hex_get(w, len, tail, sizeof(tail)) &&
	    path_good(p, (size_t)(end - p)) && f.stored <= f.size && g->count < FILES_MAX;
	if (!good)
		return false;
	f.tail = (uint32_t)tail[0] << 24 | (uint32_t)tail[1] << 16 | (uint32_t)tail[2] << 8 | tail[3];
	memcpy(f.path, p, (size_t)(end - p));
	if (backgen_find(g, f.path))
		return false;
	backgen_add(g, &f);
	return true;
}

static bool is_word(const char *line, const char *end, const char *w, const char **rest)
{
	size_t n = strlen(w);
	if ((size_t)(end - line) < n || memcmp(line, w, n) != 0)
		return false;
	*rest = line + n;
	return true;
}

static bool line_parse(struct backgen *g, const char *line, const char *end)
{
	const char *p;
	if (is_word(line, end, "file ", &p))
		return file_parse(g, p, end);
	if (is_word(line, end, "made ", &p))
		return !num_parse_i64(p, (size_t)(end - p), &g->made_s);
	if (is_word(line, end, "identity ", &p))
		return hex_get(p, (size_t)(end - p), g->identity, sizeof(g->identity));
	if (!is_word(line, end, "from ", &p) || (size_t)(end - p) >= sizeof(g->from))
		return false;
	memcpy(g->from, p, (size_t)(end - p));
	g->from[end - p] = 0;
	return true;
}

enum err backgen_parse(const uint8_t *data, size_t len, struct backgen *g, struct errbuf *eb)
{
	const char *text = (const char *)data;
	char want[CRC_LINE + 1];
	size_t at = strlen(FIRST_LINE), n = strlen(FIRST_WORD);
	if (len < at + CRC_LINE || memcmp(text, FIRST_WORD, n) != 0)
		return errbuf_set(eb, ERR_DAMAGED, "it is no list of a backup, or cut");
	(void)snprintf(want, sizeof(want), "crc %08" PRIx32 "\n", crc32c(0, text, len - CRC_LINE));
	if (memcmp(text + len - CRC_LINE, want, CRC_LINE) != 0)
		return errbuf_set(eb, ERR_DAMAGED, "its list has a wrong checksum");
	if (memcmp(text, FIRST_LINE, at) != 0)
		return errbuf_set(eb, ERR_UNSUPPORTED, "it is of a later format");
	struct backgen made = { 0 };
	for (size_t end = len - CRC_LINE; at < end;) {
		const char *newline = memchr(text + at, '\n', end - at);
		if (!newline || !line_parse(&made, text + at, newline)) {
			backgen_release(&made);
			return errbuf_set(eb, ERR_DAMAGED, "a line of its list is wrong");
		}
		at = (size_t)(newline - text) + 1;
	}
	*g = made;
	return ERR_OK;
}

/* ---- the repository ---- */

static bool gen_key_parse(const char *key, bool part, char name[BACKREPO_NAME_MAX])
{
	size_t n = strlen(key), m = strlen(GENS), tail = part ? strlen(PART) : 0;
	if (n < m + tail || n - m - tail >= BACKREPO_NAME_MAX ||
	    (part && strcmp(key + n - tail, PART) != 0))
		return false;
	memcpy(name, key + m, n - m - tail);
	name[n - m - tail] = 0;
	return snapshot_name_parse(name, NULL);
}

static void name_add(
    char (**names)[BACKREPO_NAME_MAX], size_t *count, const char name[BACKREPO_NAME_MAX])
{
	*names = mem_array(*names, *count + 1, sizeof(**names));
	memcpy((*names)[(*count)++], name, BACKREPO_NAME_MAX);
}

static enum err gen_seen(void *arg, const char *key, uint64_t bytes)
{
	struct backrepo *r = arg;
	char name[BACKREPO_NAME_MAX] = "";
	(void)bytes;
	if (gen_key_parse(key, false, name))
		name_add(&r->names, &r->count, name);
	else if (gen_key_parse(key, true, name))
		name_add(&r->parts, &r->parts_count, name);
	return ERR_OK;
}

static enum err any_key(void *arg, const char *key, uint64_t bytes)
{
	(void)bytes;
	*(bool *)arg |= strcmp(key, "LOCK") != 0;
	return *(bool *)arg ? ERR_EXISTS : ERR_OK; /* one is enough, of however many */
}

static enum err mark_check(struct backtarget *t, bool create, struct errbuf *eb)
{
	char text[sizeof(MARK_TEXT)] = "";
	uint64_t size;
	bool any = false;
	enum err e = t->ops->size(t, MARK_KEY, &size);
	if (e == ERR_NOTFOUND) {
		enum err l = t->ops->list(t, "", any_key, &any);
		if (l || any || !create)
			return errbuf_set(eb, l && !any ? l : ERR_NOTFOUND,
			    "%s is no repository of backups", t->path);
		e = t->ops->put(t, MARK_KEY, MARK_TEXT, strlen(MARK_TEXT));
		if (!e)
			e = t->ops->flush(t);
		return e ? errbuf_set(eb, e, "%s: %s", t->path, err_why(e)) : ERR_OK;
	}
	if (!e && size != strlen(MARK_TEXT))
		e = ERR_UNSUPPORTED;
	if (!e)
		e = t->ops->get(t, MARK_KEY, text, strlen(MARK_TEXT), 0);
	if (!e && strcmp(text, MARK_TEXT) != 0)
		e = memcmp(text, MARK_WORD, strlen(MARK_WORD)) == 0 ? ERR_UNSUPPORTED : ERR_DAMAGED;
	return e ? errbuf_set(eb, e, "%s: " MARK_KEY ": %s", t->path, err_text(e)) : ERR_OK;
}

enum err backrepo_open(const char *path, bool create, struct backrepo *out, struct errbuf *eb)
{
	struct backrepo r = { 0 };
	enum err e = backtarget_dir(path, create, &r.target, eb);
	if (e)
		return e;
	e = mark_check(r.target, create, eb);
	if (!e) {
		e = r.target->ops->list(r.target, GENS, gen_seen, &r);
		if (e)
			(void)errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	if (e) {
		backrepo_close(&r);
		return e;
	}
	*out = r;
	return ERR_OK;
}

void backrepo_close(struct backrepo *r)
{
	backtarget_close(r->target);
	mem_free(r->names);
	mem_free(r->parts);
	*r = (struct backrepo){ 0 };
}

bool backrepo_complete(const struct backrepo *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->names[i], name) == 0)
			return true;
	return false;
}

static void gen_key(const char *name, bool part, char out[KEY_MAX])
{
	(void)snprintf(out, KEY_MAX, GENS "%s%s", name, part ? PART : "");
}

enum err backrepo_load(
    struct backrepo *r, const char *name, bool part, struct backgen *out, struct errbuf *eb)
{
	struct backtarget *t = r->target;
	char key[KEY_MAX];
	uint64_t size;
	if (!name && !r->count)
		return errbuf_set(eb, ERR_NOTFOUND, "%s has no complete backup", t->path);
	if (!name)
		name = r->names[r->count - 1];
	if (!snapshot_name_parse(name, NULL))
		return errbuf_set(eb, ERR_NOTFOUND, "\"%s\" is no name of a backup", name);
	gen_key(name, part, key);
	enum err e = t->ops->size(t, key, &size);
	if (!e && size > GEN_MAX)
		e = ERR_TOOBIG;
	if (e)
		return errbuf_set(eb, e, "backup %s: %s", name, err_why(e));
	uint8_t *data = mem_alloc(size + 1);
	e = t->ops->get(t, key, data, size, 0);
	struct errbuf why;
	errbuf_init(&why);
	if (!e)
		e = backgen_parse(data, size, out, &why);
	mem_free(data);
	if (e)
		return errbuf_set(eb, e, "backup %s: %s", name, why.text[0] ? why.text : err_why(e));
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	return ERR_OK;
}

enum err backrepo_save(struct backrepo *r, const struct backgen *g, bool part, struct errbuf *eb)
{
	struct backtarget *t = r->target;
	struct buf text;
	char key[KEY_MAX];
	buf_init(&text);
	backgen_format(g, &text);
	enum err e = t->ops->flush(t); /* (1) */
	gen_key(g->name, part, key);
	if (!e)
		e = t->ops->put(t, key, text.data, text.len);
	if (!e)
		e = t->ops->flush(t);
	buf_release(&text);
	return e ? errbuf_set(eb, e, "%s: backup %s: %s", t->path, g->name, err_why(e)) : ERR_OK;
}

enum err backrepo_part_drop(struct backrepo *r, const char *name, struct errbuf *eb)
{
	struct backtarget *t = r->target;
	char key[KEY_MAX];
	gen_key(name, true, key);
	enum err e = t->ops->del(t, key);
	if (!e)
		e = t->ops->flush(t);
	return e ? errbuf_set(eb, e, "%s: %s: %s", t->path, key, err_why(e)) : ERR_OK;
}

/* ---- files ---- */

/* SHA-256 of bytes without the zeroes at their end. */
struct hashing {
	EVP_MD_CTX *ctx;
	uint64_t len, zeroes; /* hashed; behind that, not yet */
};

static void hash_begin(struct hashing *h)
{
	*h = (struct hashing){ .ctx = EVP_MD_CTX_new() };
	CHECK(h->ctx && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1);
}

static void hash_put(struct hashing *h, const uint8_t *p, size_t len)
{
	CHECK(EVP_DigestUpdate(h->ctx, p, len) == 1);
	h->len += len;
}

static void hash_add(struct hashing *h, const uint8_t *p, size_t len)
{
	static const uint8_t zeroes[4096];
	size_t end = len;
	while (end && !p[end - 1])
		end--;
	for (; end && h->zeroes;) {
		size_t n = h->zeroes < sizeof(zeroes) ? (size_t)h->zeroes : sizeof(zeroes);
		hash_put(h, zeroes, n);
		h->zeroes -= n;
	}
	if (end)
		hash_put(h, p, end);
	h->zeroes += len - end;
}

static void hash_end(struct hashing *h, uint8_t out[BACKREPO_HASH])
{
	unsigned len = 0;
	CHECK(EVP_DigestFinal_ex(h->ctx, out, &len) == 1 && len == BACKREPO_HASH);
	EVP_MD_CTX_free(h->ctx);
}

static enum err file_hash(
    struct fsio_file *f, uint64_t size, uint8_t hash[BACKREPO_HASH], uint64_t *stored)
{
	struct hashing h;
	uint8_t *block = mem_alloc(BLOCK);
	enum err e = ERR_OK;
	hash_begin(&h);
	for (uint64_t at = 0; !e && at < size;) {
		size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		e = fsio_read_at(f, block, n, at);
		if (!e)
			hash_add(&h, block, n);
		at += n;
	}
	mem_free(block);
	*stored = h.len;
	hash_end(&h, hash);
	return e;
}

bool backrepo_has(struct backrepo *r, const struct backfile *f)
{
	char key[KEY_MAX];
	uint64_t size;
	key_of(f, key);
	return !r->target->ops->size(r->target, key, &size) && size == f->stored;
}

enum err backrepo_store(struct backrepo *r, struct fsio_file *from, struct backfile *f,
    uint64_t *bytes, struct errbuf *eb)
{
	char key[KEY_MAX];
	*bytes = 0;
	enum err e = file_hash(from, f->size, f->hash, &f->stored);
	if (e)
		return errbuf_set(eb, e, "%s cannot be read: %s", f->path, err_why(e));
	if (backrepo_has(r, f))
		return ERR_OK;
	key_of(f, key);
	e = r->target->ops->put_file(r->target, key, from, f->stored);
	if (e)
		return errbuf_set(eb, e, "%s: %s", r->target->path, err_why(e));
	*bytes = f->stored;
	return ERR_OK;
}

enum err backrepo_fetch(struct backrepo *r, const struct backfile *f, struct fsio_file *to,
    bool (*stopped)(void), struct errbuf *eb)
{
	char key[KEY_MAX];
	uint64_t size = 0;
	uint8_t hash[BACKREPO_HASH];
	struct hashing h;
	key_of(f, key);
	enum err e = r->target->ops->size(r->target, key, &size);
	if (e)
		return errbuf_set(eb, e, "%s: its object %s: %s", f->path, key, err_why(e));
	if (size != f->stored)
		return errbuf_set(
		    eb, ERR_DAMAGED, "%s: its object %s has a wrong length", f->path, key);
	uint8_t *block = mem_alloc(BLOCK);
	hash_begin(&h);
	for (uint64_t at = 0; !e && at < size;) {
		size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		e = stopped && stopped() ? ERR_CANCELED
		                         : r->target->ops->get(r->target, key, block, n, at);
		if (!e)
			hash_add(&h, block, n);
		if (!e && to)
			e = fsio_write_at(to, block, n, at);
		at += n;
	}
	mem_free(block);
	hash_end(&h, hash);
	if (e)
		return e == ERR_CANCELED ? e : errbuf_set(eb, e, "%s: %s", f->path, err_why(e));
	if (memcmp(hash, f->hash, sizeof(hash)) != 0)
		return errbuf_set(eb, ERR_DAMAGED, "%s: its object %s is damaged", f->path, key);
	if (to && f->size > size)
		e = fsio_truncate(to, f->size);
	return e ? errbuf_set(eb, e, "%s: %s", f->path, err_why(e)) : ERR_OK;
}

bool backrepo_same(const struct backfile *f, struct fsio_file *have)
{
	uint64_t size, stored;
	uint8_t hash[BACKREPO_HASH];
	return !fsio_size(have, &size) && size == f->size && !file_hash(have, size, hash, &stored) &&
	    stored == f->stored && memcmp(hash, f->hash, sizeof(hash)) == 0;
}

/* ---- prune ---- */

struct pruning {
	struct backrepo *r;
	struct backgen all; /* objects that stay, by hash in hex as path */
	struct backrepo_pruned *out;
	struct errbuf *eb;
	const char *oldest; /* of the generations that stay; NULL: none does */
	char (*drop)[KEY_MAX];
	size_t drop_count;
};

static void objects_keep(struct pruning *p, const struct backgen *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct backfile f = g->files[i];
		char key[KEY_MAX];
		key_of(&f, key);
		(void)snprintf(f.path, sizeof(f.path), "%s", key);
		if (!backgen_find(&p->all, f.path))
			backgen_add(&p->all, &f);
	}
}

static enum err object_seen(void *arg, const char *key, uint64_t bytes)
{
	struct pruning *p = arg;
	if (strlen(key) >= KEY_MAX || backgen_find(&p->all, key))
		return ERR_OK;
	p->drop = mem_array(p->drop, p->drop_count + 1, sizeof(*p->drop));
	memcpy(p->drop[p->drop_count++], key, strlen(key) + 1);
	p->out->objects++;
	p->out->bytes += bytes;
	return ERR_OK;
}

/* How many younger ones of the same directory there are. */
static size_t younger(const struct backgen *gens, size_t count, size_t i)
{
	size_t n = 0;
	for (size_t k = i + 1; k < count; k++)
		n += memcmp(gens[k].identity, gens[i].identity, sizeof(gens[i].identity)) == 0;
	return n;
}

static enum err gens_prune(struct pruning *p, struct backgen *gens, unsigned keep)
{
	struct backtarget *t = p->r->target;
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < p->r->count; i++) {
		char key[KEY_MAX];
		if (younger(gens, p->r->count, i) < keep) {
			if (!p->oldest)
				p->oldest = gens[i].name;
			objects_keep(p, &gens[i]);
			continue;
		}
		gen_key(gens[i].name, false, key);
		e = t->ops->del(t, key);
		p->out->generations++;
	}
	return e;
}

/* Those that are not complete. One that cannot be read begins anew, whatever it named. */
static enum err parts_prune(struct pruning *p)
{
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < p->r->parts_count; i++) {
		struct backgen part;
		struct errbuf why;
		errbuf_init(&why);
		if (p->oldest && strcmp(p->r->parts[i], p->oldest) < 0) {
			e = backrepo_part_drop(p->r, p->r->parts[i], p->eb);
		} else if (!backrepo_load(p->r, p->r->parts[i], true, &part, &why)) {
			objects_keep(p, &part);
			backgen_release(&part);
		}
	}
	return e;
}

enum err backrepo_prune(
    struct backrepo *r, unsigned keep, struct backrepo_pruned *out, struct errbuf *eb)
{
	struct pruning p = { .r = r, .out = out, .eb = eb };
	struct backtarget *t = r->target;
	struct backgen *gens = mem_zalloc((r->count + 1) * sizeof(*gens));
	*out = (struct backrepo_pruned){ 0 };
	enum err e = ERR_OK;
	/* What cannot be read might name anything: then nothing goes. */
	for (size_t i = 0; !e && i < r->count; i++) {
		struct errbuf why;
		errbuf_init(&why);
		e = backrepo_load(r, r->names[i], false, &gens[i], &why);
		if (e)
			(void)errbuf_set(eb, e,
			    "%s. Nothing is pruned while it cannot be read: remove %s/" GENS
			    "%s if it is lost",
			    why.text, t->path, r->names[i]);
	}
	if (!e)
		e = gens_prune(&p, gens, keep);
	if (!e)
		e = parts_prune(&p);
	if (!e)
		e = t->ops->flush(t); /* (1): no list is left without its objects */
	if (!e)
		e = t->ops->list(t, OBJECTS, object_seen, &p);
	for (size_t i = 0; !e && i < p.drop_count; i++)
		e = t->ops->del(t, p.drop[i]);
	if (!e)
		e = t->ops->flush(t);
	for (size_t i = 0; i < r->count; i++)
		backgen_release(&gens[i]);
	mem_free(gens);
	mem_free(p.drop);
	backgen_release(&p.all);
	return e && !eb->text[0] ? errbuf_set(eb, e, "%s: %s", t->path, err_why(e)) : e;
}
