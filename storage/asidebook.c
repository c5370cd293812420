#include "storage/asidebook.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/wire.h"

#define MAGIC      "KYMOASD"
#define FORMAT     '1'
#define HEAD_BYTES 12u
#define LOAD_TRIES 3u
#define ARENA      4096u

void asidebook_init(struct asidebook *b, uint32_t shards)
{
	*b = (struct asidebook){ .shards = shards };
	arena_init(&b->_arena, ARENA);
}

static void cut_release(struct asidebook_cut *c)
{
	for (size_t i = 0; i < c->selectors_count; i++)
		for (size_t k = 0; k < c->selectors[i].count; k++)
			matcher_release(&c->selectors[i].matchers[k]);
	c->selectors_count = 0;
}

static void empty(struct asidebook *b)
{
	for (size_t i = 0; i < b->cuts_count; i++)
		cut_release(&b->cuts[i]);
	mem_free(b->cuts);
	mem_free(b->files);
	b->cuts = NULL;
	b->files = NULL;
	b->cuts_count = b->files_count = 0;
}

void asidebook_release(struct asidebook *b)
{
	empty(b);
	arena_release(&b->_arena);
}

/* ---- bytes ---- */

static void selectors_put(struct buf *out, const struct asidebook_cut *c)
{
	wire_put_varint(out, c->selectors_count);
	for (size_t i = 0; i < c->selectors_count; i++) {
		const struct asidebook_selector *s = &c->selectors[i];
		wire_put_varint(out, s->count);
		for (size_t k = 0; k < s->count; k++) {
			const struct matcher *m = &s->matchers[k];
			buf_add_u8(out, (uint8_t)m->type);
			wire_put_lenbytes(out, m->name, m->name_len);
			wire_put_lenbytes(out, m->value, m->value_len);
		}
	}
}

static void cut_put(struct buf *out, const struct asidebook_cut *c)
{
	wire_put_u32(out, c->tenant);
	wire_put_u64(out, (uint64_t)c->t_min_ms);
	wire_put_u64(out, (uint64_t)c->t_max_ms);
	wire_put_u32(out, (uint32_t)c->slots_count);
	for (size_t i = 0; i < c->slots_count; i++)
		wire_put_u32(out, c->slots[i]);
	selectors_put(out, c);
}

void asidebook_encode(const struct asidebook *b, struct buf *out)
{
	size_t from = out->len;
	buf_add_str(out, MAGIC);
	buf_add_u8(out, FORMAT);
	wire_put_u32(out, 0);
	wire_put_u32(out, b->shards);
	wire_put_u32(out, (uint32_t)b->files_count);
	for (size_t i = 0; i < b->files_count; i++) {
		wire_put_u32(out, b->files[i].slot);
		for (uint32_t k = 0; k < b->shards; k++) {
			wire_put_u64(out, b->files[i].complete_to[k]);
			wire_put_u64(out, b->files[i].rank[k]);
		}
	}
	wire_put_u32(out, (uint32_t)b->cuts_count);
	for (size_t i = 0; i < b->cuts_count; i++)
		cut_put(out, &b->cuts[i]);
	wire_store32(out->data + from + 8, (uint32_t)(out->len - from - HEAD_BYTES));
	wire_put_u32(out, crc32c(0, out->data + from, out->len - from));
	size_t len = out->len - from;
	CHECK(buf_reserve(out, len));
	memcpy(out->data + out->len, out->data + from, len);
	out->len += len;
}

/* A count of things of which each takes at least so many bytes. */
static size_t count_get(struct wire_reader *r, uint64_t n, size_t least)
{
	if (n > wire_left(r) / least)
		r->bad = true;
	return r->bad ? 0 : (size_t)n;
}

static bool matcher_get(struct wire_reader *r, struct matcher *m)
{
	size_t name_len, value_len;
	uint8_t type = wire_u8(r);
	const uint8_t *name = wire_lenbytes(r, &name_len), *value = wire_lenbytes(r, &value_len);
	r->bad = r->bad || type > MATCHER_NRE ||
	    matcher_init(m, (enum matcher_type)type, (const char *)name, name_len,
	        (const char *)value, value_len, NULL);
	return !r->bad;
}

/* What was made so far is released with the cut. */
static void selectors_get(struct asidebook *b, struct wire_reader *r, struct asidebook_cut *c)
{
	size_t selectors = count_get(r, wire_varint(r), 1);
	struct asidebook_selector *s = arena_array(&b->_arena, selectors + 1, sizeof(*s));
	c->selectors = s;
	for (size_t i = 0; i < selectors && !r->bad; i++) {
		size_t matchers = count_get(r, wire_varint(r), 3);
		s[i].matchers = arena_array(&b->_arena, matchers + 1, sizeof(struct matcher));
		s[i].count = 0;
		c->selectors_count++;
		while (s[i].count < matchers && matcher_get(r, &s[i].matchers[s[i].count]))
			s[i].count++;
	}
}

static void cuts_get(struct asidebook *b, struct wire_reader *r)
{
	size_t cuts = count_get(r, wire_u32(r), 25);
	b->cuts = mem_array(NULL, cuts + 1, sizeof(*b->cuts));
	for (size_t i = 0; i < cuts && !r->bad; i++) {
		struct asidebook_cut *c = &b->cuts[b->cuts_count++];
		*c = (struct asidebook_cut){ .tenant = wire_u32(r) };
		c->t_min_ms = (int64_t)wire_u64(r);
		c->t_max_ms = (int64_t)wire_u64(r);
		c->slots_count = count_get(r, wire_u32(r), 4);
		c->slots = arena_array(&b->_arena, c->slots_count + 1, sizeof(*c->slots));
		for (size_t k = 0; k < c->slots_count; k++)
			c->slots[k] = wire_u32(r);
		selectors_get(b, r, c);
	}
}

static struct asidebook_file *file_add(struct asidebook *b, uint32_t slot)
{
	b->files = mem_array(b->files, b->files_count + 1, sizeof(*b->files));
	struct asidebook_file *f = &b->files[b->files_count++];
	f->slot = slot;
	f->complete_to = arena_array(&b->_arena, b->shards, sizeof(uint64_t));
	f->rank = arena_array(&b->_arena, b->shards, sizeof(uint64_t));
	return f;
}

static enum err content_get(struct asidebook *b, const uint8_t *data, size_t len)
{
	struct wire_reader r = wire_reader(data, len);
	if (wire_u32(&r) != b->shards)
		return ERR_DAMAGED;
	size_t files = count_get(&r, wire_u32(&r), 4 + 16 * (size_t)b->shards);
	for (size_t i = 0; i < files; i++) {
		struct asidebook_file *f = file_add(b, wire_u32(&r));
		for (uint32_t k = 0; k < b->shards; k++) {
			f->complete_to[k] = wire_u64(&r);
			f->rank[k] = wire_u64(&r);
		}
	}
	cuts_get(b, &r);
	if (!r.bad && !wire_left(&r))
		return ERR_OK;
	empty(b);
	return ERR_DAMAGED;
}

/* One copy, at the begin of data. */
static enum err copy_get(struct asidebook *b, const uint8_t *data, size_t len)
{
	if (len < HEAD_BYTES + 4 || memcmp(data, MAGIC, strlen(MAGIC)) != 0)
		return ERR_DAMAGED;
	uint32_t bytes = wire_load32(data + 8);
	if (bytes > len - HEAD_BYTES - 4 ||
	    wire_load32(data + HEAD_BYTES + bytes) != crc32c(0, data, HEAD_BYTES + bytes))
		return ERR_DAMAGED;
	if (data[7] != FORMAT)
		return ERR_UNSUPPORTED;
	return content_get(b, data + HEAD_BYTES, bytes);
}

enum err asidebook_decode(struct asidebook *b, const uint8_t *data, size_t len)
{
	enum err e = copy_get(b, data, len);
	return e == ERR_DAMAGED && len ? copy_get(b, data + len / 2, len - len / 2) : e;
}

/* ---- the file ---- */

enum err asidebook_load(struct asidebook *b, struct fsio_dir *dir, struct errbuf *eb)
{
	uint8_t *data;
	size_t len;
	enum err e = ERR_IO;
	for (unsigned i = 0; i < LOAD_TRIES && e == ERR_IO; i++)
		e = fsio_load(dir, ASIDEBOOK_NAME, ASIDEBOOK_FILE_MAX, &data, &len);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	if (!e) {
		/* matchers borrow from it */
		const uint8_t *own = arena_dup(&b->_arena, data, len);
		mem_free(data);
		e = asidebook_decode(b, own, len);
	}
	if (e == ERR_UNSUPPORTED || e == ERR_NOFILES || e == ERR_NOMEM || e == ERR_ACCESS)
		return errbuf_set(eb, e, "%s/" ASIDEBOOK_NAME " %s", fsio_dir_path(dir),
		    e == ERR_UNSUPPORTED ? "is of a later format than this program knows"
		                         : err_why(e));
	b->lost = e;
	if (e)
		LOG_ERROR("aside_unknown",
		    "file=%s/" ASIDEBOOK_NAME
		    " err=\"%s\" then=\"what lies aside of the log is not taken in\"",
		    fsio_dir_path(dir), err_why(e));
	return ERR_OK;
}

enum err asidebook_save(struct asidebook *b, struct fsio_dir *dir)
{
	struct buf out;
	enum err e;
	if (!b->dirty || b->lost)
		return ERR_OK;
	if (!b->files_count) {
		e = fsio_remove(dir, ASIDEBOOK_NAME);
		if (!e)
			e = fsio_dir_sync(dir);
		b->dirty = e && e != ERR_NOTFOUND;
		return b->dirty ? e : ERR_OK;
	}
	buf_init(&out);
	asidebook_encode(b, &out);
	e = out.len > ASIDEBOOK_FILE_MAX ? ERR_TOOBIG
	                                 : fsio_replace(dir, ASIDEBOOK_NAME, out.data, out.len);
	buf_release(&out);
	b->dirty = e != ERR_OK;
	return e;
}

/* ---- files ---- */

const struct asidebook_file *asidebook_find(const struct asidebook *b, uint32_t slot)
{
	for (size_t i = 0; i < b->files_count; i++)
		if (b->files[i].slot == slot)
			return &b->files[i];
	return NULL;
}

void asidebook_note(
    struct asidebook *b, uint32_t slot, const uint64_t *complete_to, const uint64_t *rank)
{
	if (b->lost || asidebook_find(b, slot))
		return;
	struct asidebook_file *f = file_add(b, slot);
	memcpy(f->complete_to, complete_to, b->shards * sizeof(*complete_to));
	memcpy(f->rank, rank, b->shards * sizeof(*rank));
	b->dirty = true;
}

static bool is_of(const uint32_t *slots, size_t count, uint32_t slot)
{
	for (size_t i = 0; i < count; i++)
		if (slots[i] == slot)
			return true;
	return false;
}

/* A deletion of none of them hides nothing any more. */
static void cuts_keep(struct asidebook *b, const uint32_t *slots, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < b->cuts_count; i++) {
		struct asidebook_cut *c = &b->cuts[i];
		size_t left = 0;
		for (size_t k = 0; k < c->slots_count; k++)
			if (is_of(slots, count, c->slots[k]))
				c->slots[left++] = c->slots[k];
		b->dirty |= left < c->slots_count;
		c->slots_count = left;
		if (left)
			b->cuts[kept++] = *c;
		else
			cut_release(c);
	}
	b->cuts_count = kept;
}

void asidebook_keep(struct asidebook *b, const uint32_t *slots, size_t count)
{
	size_t kept = 0;
	if (b->lost && !count) { /* whatever stood there */
		b->lost = ERR_OK;
		b->dirty = true;
	}
	for (size_t i = 0; i < b->files_count; i++)
		if (is_of(slots, count, b->files[i].slot))
			b->files[kept++] = b->files[i];
	b->dirty |= kept < b->files_count;
	b->files_count = kept;
	cuts_keep(b, slots, count);
}

void asidebook_forget(struct asidebook *b, uint32_t slot)
{
	uint32_t *left = mem_array(NULL, b->files_count + 1, sizeof(*left));
	size_t count = 0;
	for (size_t i = 0; i < b->files_count; i++)
		if (b->files[i].slot != slot)
			left[count++] = b->files[i].slot;
	if (count < b->files_count)
		asidebook_keep(b, left, count);
	mem_free(left);
}

bool asidebook_waits(const struct asidebook *b)
{
	return b->files_count > 0 || b->lost;
}

/* ---- deletions ---- */

static const char *dup(struct asidebook *b, const char *text, size_t len)
{
	return len ? arena_dup(&b->_arena, text, len) : "";
}

/* Its texts and slots; patterns are compiled when a start reads them. */
static void cut_own(struct asidebook *b, struct asidebook_cut *c)
{
	struct asidebook_selector *s = arena_array(&b->_arena, c->selectors_count + 1, sizeof(*s));
	uint32_t *slots = arena_array(&b->_arena, c->slots_count + 1, sizeof(*slots));
	memcpy(slots, c->slots, c->slots_count * sizeof(*slots));
	for (size_t i = 0; i < c->selectors_count; i++) {
		s[i].count = c->selectors[i].count;
		s[i].matchers = arena_array(&b->_arena, s[i].count + 1, sizeof(struct matcher));
		for (size_t k = 0; k < s[i].count; k++) {
			const struct matcher *m = &c->selectors[i].matchers[k];
			s[i].matchers[k] = (struct matcher){ .type = m->type,
				.name_len = m->name_len,
				.value_len = m->value_len,
				.name = dup(b, m->name, m->name_len),
				.value = dup(b, m->value, m->value_len) };
		}
	}
	c->selectors = s;
	c->slots = slots;
}

static bool is_there(const struct asidebook *b, const struct asidebook_cut *c)
{
	struct buf want, have;
	bool same = false;
	buf_init(&want);
	buf_init(&have);
	cut_put(&want, c);
	for (size_t i = 0; i < b->cuts_count && !same; i++) {
		buf_clear(&have);
		cut_put(&have, &b->cuts[i]);
		same = have.len == want.len && !memcmp(have.data, want.data, want.len);
	}
	buf_release(&want);
	buf_release(&have);
	return same;
}

/* Copied once it is on the disk: what is refused, or there already, holds nothing. */
static enum err cut_save(struct asidebook *b, struct fsio_dir *dir, const struct asidebook_cut *c)
{
	if (is_there(b, c))
		return asidebook_save(b, dir);
	b->cuts = mem_array(b->cuts, b->cuts_count + 1, sizeof(*b->cuts));
	b->cuts[b->cuts_count++] = *c;
	b->dirty = true;
	enum err e = asidebook_save(b, dir);
	if (e)
		b->cuts_count--;
	else
		cut_own(b, &b->cuts[b->cuts_count - 1]);
	return e;
}

enum err asidebook_delete(
    struct asidebook *b, struct fsio_dir *dir, const struct asidebook_cut *c, struct errbuf *eb)
{
	if (b->lost)
		return errbuf_set(eb, b->lost,
		    ASIDEBOOK_NAME
		    " cannot be read (%s), and a part of the log lies aside, whose rows would come back",
		    err_why(b->lost));
	struct asidebook_cut of_all = *c;
	of_all.slots_count = b->files_count;
	of_all.slots = mem_array(NULL, b->files_count + 1, sizeof(*of_all.slots));
	for (size_t i = 0; i < b->files_count; i++)
		of_all.slots[i] = b->files[i].slot;
	enum err e = cut_save(b, dir, &of_all);
	mem_free(of_all.slots);
	if (!e)
		return ERR_OK;
	return errbuf_set(eb, e, "%s/" ASIDEBOOK_NAME " cannot be written: %s", fsio_dir_path(dir),
	    e == ERR_TOOBIG ? "too many deletions while a part of the log lies aside" : err_why(e));
}

static bool selects(const struct asidebook_cut *c, struct labels ls)
{
	for (size_t i = 0; i < c->selectors_count; i++)
		if (matcher_labels(c->selectors[i].matchers, c->selectors[i].count, ls) != REX_NO)
			return true;
	return false;
}

size_t asidebook_cuts_of(const struct asidebook *b, uint32_t tenant, struct labels ls, uint32_t *out)
{
	size_t count = 0;
	for (size_t i = 0; i < b->cuts_count; i++)
		if (b->cuts[i].tenant == tenant && selects(&b->cuts[i], ls))
			out[count++] = (uint32_t)i;
	return count;
}

bool asidebook_hides(
    const struct asidebook *b, const uint32_t *cuts, size_t count, uint32_t slot, int64_t t_ms)
{
	for (size_t i = 0; i < count; i++) {
		const struct asidebook_cut *c = &b->cuts[cuts[i]];
		if (t_ms >= c->t_min_ms && t_ms <= c->t_max_ms &&
		    is_of(c->slots, c->slots_count, slot))
			return true;
	}
	return false;
}
