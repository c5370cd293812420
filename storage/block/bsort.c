#include "storage/block/bsort.h"

#include "core/base/bytes.h"
#include "core/base/mem.h"
#include "storage/block/bstream.h"

#include <stdio.h>
#include <stdlib.h>

#define ENTRY_COST   32u /* an entry, and the room that qsort takes for it */
#define READ_LEAST   ((size_t)16 << 10)
#define READ_MOST    ((size_t)1 << 20)
#define WRITE_BUFFER ((size_t)256 << 10)

/*
 * In memory and in runs alike: u64 prefix, u32 key length, u32 value length (of this machine: runs
 * do not outlive the process), key, value.
 */
struct head {
	uint64_t prefix;
	uint32_t key_len, value_len;
};
struct entry {
	uint64_t prefix;
	const uint8_t *at;
};
struct run {
	struct fsio_file *file;
	uint64_t end;
};
struct source { /* of a merge */
	struct bin in;
	struct bsort_record r; /* the next one, in the buffer of in */
	uint32_t age;          /* which run: of equal keys the older comes first */
};
struct bsort {
	struct fsio_dir *dir;
	bool unique;
	enum err err;
	/* adding */
	uint8_t *data;
	size_t used, cap;
	struct entry *entries;
	size_t count, entries_cap;
	uint64_t names; /* of scratch files */
	struct run *runs;
	size_t runs_count, runs_cap;
	uint64_t made, spilled;
	/* merging */
	struct source *sources;
	struct source **heap; /* the least is first */
	size_t heap_count, sources_count;
	size_t at;       /* without runs: the next entry */
	bool taken;      /* the first of the heap has been given out */
	struct buf last; /* unique: the key given out last */
	bool has_last;
};

struct bsort *bsort_create(struct fsio_dir *dir, size_t memory_bytes, bool unique)
{
	struct bsort *s = mem_zalloc(sizeof(*s));
	s->dir = dir;
	s->unique = unique;
	/* for records of 64 bytes: shorter ones fill the entries first, longer ones the data */
	s->entries_cap = memory_bytes / (ENTRY_COST + 64);
	s->cap = memory_bytes - s->entries_cap * ENTRY_COST;
	s->data = mem_alloc(s->cap);
	s->entries = mem_array(NULL, s->entries_cap, sizeof(*s->entries));
	buf_init(&s->last);
	return s;
}

static void memory_free(struct bsort *s)
{
	mem_free(s->data);
	mem_free(s->entries);
	s->data = NULL;
	s->entries = NULL;
}

static void sources_free(struct bsort *s)
{
	for (size_t i = 0; i < s->sources_count; i++)
		bin_close(&s->sources[i].in);
	mem_free(s->sources);
	mem_free(s->heap);
	s->sources = NULL;
	s->heap = NULL;
	s->sources_count = s->heap_count = 0;
}

void bsort_free(struct bsort *s)
{
	if (!s)
		return;
	sources_free(s);
	memory_free(s);
	for (size_t i = 0; i < s->runs_count; i++)
		fsio_close(s->runs[i].file);
	mem_free(s->runs);
	buf_release(&s->last);
	mem_free(s);
}

uint64_t bsort_runs(const struct bsort *s)
{
	return s->made;
}

uint64_t bsort_spilled(const struct bsort *s)
{
	return s->spilled;
}

static enum err fold(struct bsort *s, size_t first, size_t n, size_t memory);

/* ---- adding ---- */

static struct bsort_record record_at(const uint8_t *p)
{
	struct head h;
	memcpy(&h, p, sizeof(h));
	p += sizeof(h);
	return (struct bsort_record){ .prefix = h.prefix,
		.key = p,
		.key_len = h.key_len,
		.value = p + h.key_len,
		.value_len = h.value_len };
}

static int keys_cmp(const struct bsort_record *a, const struct bsort_record *b)
{
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return bytes_cmp(a->key, a->key_len, b->key, b->key_len);
}

static int entries_cmp(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	struct bsort_record x = record_at(a->at), y = record_at(b->at);
	int c = keys_cmp(&x, &y);
	return c ? c : (a->at > b->at) - (a->at < b->at);
}

static void sort(struct bsort *s)
{
	if (s->count)
		qsort(s->entries, s->count, sizeof(*s->entries), entries_cmp);
	if (!s->unique)
		return;
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (n) {
			struct bsort_record x = record_at(s->entries[n - 1].at),
			                    y = record_at(s->entries[i].at);
			if (!keys_cmp(&x, &y))
				continue;
		}
		s->entries[n++] = s->entries[i];
	}
	s->count = n;
}

static void run_write(struct bout *o, const struct bsort_record *r)
{
	struct head h = { r->prefix, r->key_len, r->value_len };
	bout_put(o, &h, sizeof(h));
	bout_put(o, r->key, r->key_len);
	bout_put(o, r->value, r->value_len);
}

static enum err run_begin(struct bsort *s, struct bout *o)
{
	char name[40];
	snprintf(name, sizeof(name), "run-%llu", (unsigned long long)s->names++);
	return bout_scratch(o, s->dir, name, WRITE_BUFFER);
}

/* The file becomes a run of s. */
static enum err run_end(struct bsort *s, struct bout *o)
{
	bout_flush(o);
	enum err e = o->err;
	struct run r = { .file = o->file, .end = bout_at(o) };
	mem_free(o->buf);
	if (e) {
		fsio_close(o->file);
		return e;
	}
	if (s->runs_count == s->runs_cap) {
		s->runs_cap = s->runs_cap ? 2 * s->runs_cap : 16;
		s->runs = mem_array(s->runs, s->runs_cap, sizeof(*s->runs));
	}
	s->runs[s->runs_count++] = r;
	s->made++;
	s->spilled += r.end;
	return ERR_OK;
}

static enum err spill(struct bsort *s)
{
	struct bout o;
	enum err e = run_begin(s, &o);
	if (e)
		return e;
	sort(s);
	for (size_t i = 0; i < s->count; i++) {
		struct bsort_record r = record_at(s->entries[i].at);
		run_write(&o, &r);
	}
	s->count = s->used = 0;
	return run_end(s, &o);
}

/* A record that has no room even in empty memory is a run of its own. */
static enum err alone(struct bsort *s, const struct bsort_record *r)
{
	struct bout o;
	enum err e = run_begin(s, &o);
	if (e)
		return e;
	run_write(&o, r);
	return run_end(s, &o);
}

enum err bsort_add(struct bsort *s, const struct bsort_record *r)
{
	size_t need = (sizeof(struct head) + r->key_len + r->value_len + 7) & ~(size_t)7;
	if (!s->err && need > BSORT_RECORD_MAX)
		s->err = ERR_TOOBIG;
	if (!s->err && s->count && (s->count == s->entries_cap || need > s->cap - s->used))
		s->err = spill(s);
	if (!s->err && s->runs_count >= 2 * BSORT_FAN)
		s->err = fold(s, s->runs_count - BSORT_FAN, BSORT_FAN, 0);
	if (s->err)
		return s->err;
	if (need > s->cap || !s->entries_cap)
		return s->err = alone(s, r);
	uint8_t *p = s->data + s->used;
	struct head h = { r->prefix, r->key_len, r->value_len };
	memcpy(p, &h, sizeof(h));
	if (r->key_len)
		memcpy(p + sizeof(h), r->key, r->key_len);
	if (r->value_len)
		memcpy(p + sizeof(h) + r->key_len, r->value, r->value_len);
	s->entries[s->count++] = (struct entry){ r->prefix, p };
	s->used += need;
	return ERR_OK;
}

/* ---- merging ---- */

static bool before(const struct source *a, const struct source *b)
{
	int c = keys_cmp(&a->r, &b->r);
	return c ? c < 0 : a->age < b->age;
}

static void sink(struct bsort *s, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1;
		if (l < s->heap_count && before(s->heap[l], s->heap[least]))
			least = l;
		if (l + 1 < s->heap_count && before(s->heap[l + 1], s->heap[least]))
			least = l + 1;
		if (least == i)
			return;
		struct source *x = s->heap[i];
		s->heap[i] = s->heap[least];
		s->heap[least] = x;
		i = least;
	}
}

/* False: its run has ended, or it has an error. */
static bool source_next(struct source *x)
{
	struct head h;
	if (!bin_more(&x->in))
		return false;
	const uint8_t *p = bin_take(&x->in, sizeof(h));
	if (!p)
		return false;
	memcpy(&h, p, sizeof(h));
	p = bin_take(&x->in, (size_t)h.key_len + h.value_len);
	if (!p)
		return false;
	x->r = (struct bsort_record){ .prefix = h.prefix,
		.key = p,
		.key_len = h.key_len,
		.value = p + h.key_len,
		.value_len = h.value_len };
	return true;
}

static enum err merge_begin(struct bsort *s, size_t first, size_t n, size_t memory)
{
	size_t each = n ? memory / n : 0;
	each = each < READ_LEAST ? READ_LEAST : each > READ_MOST ? READ_MOST : each;
	s->sources = mem_array(NULL, n + 1, sizeof(*s->sources));
	s->heap = mem_array(NULL, n + 1, sizeof(struct source *));
	s->sources_count = n;
	s->heap_count = 0;
	for (size_t i = 0; i < n; i++) {
		struct source *x = &s->sources[i];
		*x = (struct source){ .age = (uint32_t)i };
		bin_open(&x->in, s->runs[first + i].file, 0, s->runs[first + i].end, each);
	}
	for (size_t i = 0; i < n; i++) {
		if (source_next(&s->sources[i]))
			s->heap[s->heap_count++] = &s->sources[i];
		if (s->sources[i].in.err)
			return s->sources[i].in.err;
	}
	for (size_t i = s->heap_count / 2; i-- > 0;)
		sink(s, i);
	s->taken = false;
	s->has_last = false;
	return ERR_OK;
}

/* The first of the heap goes on, once what it had is not needed any more. */
static enum err heap_step(struct bsort *s)
{
	if (!s->taken || !s->heap_count)
		return ERR_OK;
	struct source *x = s->heap[0];
	s->taken = false;
	if (!source_next(x)) {
		if (x->in.err)
			return x->in.err;
		s->heap[0] = s->heap[--s->heap_count];
	}
	if (s->heap_count)
		sink(s, 0);
	return ERR_OK;
}

static bool is_last(const struct bsort *s, const struct bsort_record *r)
{
	return s->has_last && bytes_equal(s->last.data, s->last.len, r->key, r->key_len);
}

static enum err merge_next(struct bsort *s, struct bsort_record *out)
{
	for (;;) {
		enum err e = heap_step(s);
		if (e)
			return e;
		if (!s->heap_count)
			return ERR_NOTFOUND;
		*out = s->heap[0]->r;
		s->taken = true;
		if (!s->unique)
			return ERR_OK;
		if (is_last(s, out))
			continue;
		buf_clear(&s->last);
		buf_add(&s->last, out->key, out->key_len);
		s->has_last = true;
		return ERR_OK;
	}
}

/* Runs first..first+n-1 become one, in their place, so that ages stay in order. */
static enum err fold(struct bsort *s, size_t first, size_t n, size_t memory)
{
	struct bout o;
	struct bsort_record r;
	enum err e = run_begin(s, &o);
	if (e)
		return e;
	e = merge_begin(s, first, n, memory);
	while (!e) {
		e = merge_next(s, &r);
		if (!e)
			run_write(&o, &r);
	}
	sources_free(s);
	if (e != ERR_NOTFOUND) {
		enum err whatever = bout_close(&o, false);
		(void)whatever;
		return e;
	}
	e = run_end(s, &o);
	if (e)
		return e;
	for (size_t i = first; i < first + n; i++)
		fsio_close(s->runs[i].file);
	struct run *to = &s->runs[first];
	*to = s->runs[--s->runs_count];
	memmove(to + 1, to + n, (s->runs_count - first - n) * sizeof(*to));
	s->runs_count -= n - 1;
	return ERR_OK;
}

enum err bsort_begin(struct bsort *s, size_t memory_bytes)
{
	if (s->err)
		return s->err;
	if (!s->runs_count && s->used + s->count * ENTRY_COST <= memory_bytes) {
		sort(s);
		s->at = 0;
		return ERR_OK;
	}
	if (s->count)
		s->err = spill(s);
	memory_free(s);
	while (!s->err && s->runs_count > BSORT_FAN) {
		size_t n = s->runs_count - BSORT_FAN + 1;
		s->err = fold(s, 0, n > BSORT_FAN ? BSORT_FAN : n, memory_bytes);
	}
	if (!s->err)
		s->err = merge_begin(s, 0, s->runs_count, memory_bytes);
	return s->err;
}

enum err bsort_next(struct bsort *s, struct bsort_record *out)
{
	if (s->err)
		return s->err;
	if (s->sources) {
		enum err e = merge_next(s, out);
		if (e != ERR_NOTFOUND)
			s->err = e;
		return e;
	}
	if (s->at == s->count)
		return ERR_NOTFOUND;
	*out = record_at(s->entries[s->at++].at);
	return ERR_OK;
}
