#include "storage/read/unitpool.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/hash.h"

#define KEEP_BYTES (64u << 10)  /* of a spare one */
#define READ_MAX   (512u << 10) /* of one read */
#define READ_GAP   (16u << 10)  /* bytes between two that are read for nothing */

void unitpool_init(struct unitpool *p)
{
	memset(p, 0, sizeof(*p));
	list_init(&p->lru);
}

void unitpool_release(struct unitpool *p)
{
	for (size_t i = 0; i < p->count; i++) {
		cfile_unit_release(&p->units[i]->unit);
		cfile_times_release(&p->units[i]->times);
		buf_release(&p->units[i]->bytes);
		mem_free(p->units[i]);
	}
	mem_free(p->units);
}

static struct unitpool_unit **bucket_of(struct unitpool *p, const void *owner, uint32_t number)
{
	return &p->buckets[hash_mix64((uintptr_t)owner + number) % UNITPOOL_BUCKETS];
}

static void use(struct unitpool *p, struct unitpool_unit *x)
{
	x->used = ++p->tick;
	if (p->lru.prev == &x->lru)
		return;
	list_del(&x->lru);
	list_add_tail(&p->lru, &x->lru);
}

struct unitpool_unit *unitpool_find(struct unitpool *p, const void *owner, uint32_t number)
{
	struct unitpool_unit *x = *bucket_of(p, owner, number);
	while (x && (x->owner != owner || x->ext.unit != number))
		x = x->next;
	if (x)
		use(p, x);
	return x;
}

void unitpool_drop(struct unitpool *p, struct unitpool_unit *x)
{
	struct unitpool_unit **at = bucket_of(p, x->owner, x->ext.unit);
	CHECK(x->state != UNITPOOL_SPARE);
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	list_del(&x->lru);
	p->bytes -= x->ext.len;
	if (x->bytes.cap > KEEP_BYTES) {
		buf_release(&x->bytes);
		buf_init(&x->bytes);
	}
	x->state = UNITPOOL_SPARE;
	x->owner = NULL;
	x->next = p->spare;
	p->spare = x;
}

void unitpool_drop_all(struct unitpool *p, const void *owner)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->units[i]->owner == owner)
			unitpool_drop(p, p->units[i]);
}

static bool is_full(const struct unitpool *p, uint32_t len)
{
	if (!p->spare && p->count >= UNITPOOL_MAX)
		return true;
	return p->bytes && p->bytes + len > UNITPOOL_BYTES_MAX;
}

/* The least recently used one that nobody waits for goes; false: all are to stay. */
static bool make_room(struct unitpool *p, uint64_t before)
{
	LIST_EACH(l, &p->lru) {
		struct unitpool_unit *x = CONTAINER_OF(l, struct unitpool_unit, lru);
		if (x->used >= before)
			return false;
		if (x->state == UNITPOOL_WANTED)
			continue;
		unitpool_drop(p, x);
		return true;
	}
	return false;
}

static struct unitpool_unit *unit_new(struct unitpool *p)
{
	struct unitpool_unit *x = p->spare;
	if (x) {
		p->spare = x->next;
		return x;
	}
	CHECK(p->count < UNITPOOL_MAX);
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->units = mem_array(p->units, p->cap, sizeof(*p->units));
	}
	x = p->units[p->count++] = mem_zalloc(sizeof(*x));
	cfile_unit_init(&x->unit);
	cfile_times_init(&x->times);
	buf_init(&x->bytes);
	list_init(&x->lru);
	return x;
}

struct unitpool_unit *unitpool_take(struct unitpool *p, void *owner, struct cfile *file,
    const struct cfile_extent *ext, uint64_t before)
{
	while (is_full(p, ext->len))
		if (!make_room(p, before))
			return NULL;
	struct unitpool_unit *x = unit_new(p);
	struct unitpool_unit **bucket = bucket_of(p, owner, ext->unit);
	x->state = UNITPOOL_WANTED;
	x->is_times = (ext->unit & CFILE_NUMBER_TIMES) != 0;
	x->owner = owner;
	x->file = file;
	x->ext = *ext;
	x->err = ERR_OK;
	x->next = *bucket;
	*bucket = x;
	list_add_tail(&p->lru, &x->lru);
	x->used = ++p->tick;
	p->bytes += ext->len;
	buf_clear(&x->bytes);
	buf_reserve(&x->bytes, ext->len);
	return x;
}

enum err unitpool_open(struct unitpool *p, struct unitpool_unit *x, struct errbuf *eb)
{
	if (!x->is_times && p->opener && p->opener != x)
		cfile_unit_hand(&p->opener->unit, &x->unit);
	if (!x->is_times)
		p->opener = x;
	enum err e = x->is_times ? cfile_times_open(&x->times, x->file, &x->ext, x->bytes.data, eb)
	                         : cfile_unit_open(&x->unit, x->file, &x->ext, x->bytes.data, eb);
	x->near = 0;
	x->state = e ? UNITPOOL_BAD : UNITPOOL_OPEN;
	return e;
}

/* ---- on a worker ---- */

static int by_place(const void *a, const void *b)
{
	const struct unitpool_unit *x = *(struct unitpool_unit *const *)a,
	                           *y = *(struct unitpool_unit *const *)b;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->ext.off > y->ext.off) - (x->ext.off < y->ext.off);
}

/* One read for neighbours; alone each when it fails, so that one bad place costs one piece. */
static void read_run(struct unitpool_unit **run, size_t count, struct buf *b)
{
	uint64_t from = run[0]->ext.off, end = run[count - 1]->ext.off + run[count - 1]->ext.len;
	buf_clear(b);
	buf_reserve(b, (size_t)(end - from));
	bool whole = count > 1 && !cfile_read(run[0]->file, b->data, (size_t)(end - from), from);
	for (size_t i = 0; i < count; i++) {
		struct unitpool_unit *x = run[i];
		if (whole)
			memcpy(x->bytes.data, b->data + (x->ext.off - from), x->ext.len);
		else
			x->err = cfile_read(x->file, x->bytes.data, x->ext.len, x->ext.off);
	}
}

static bool is_near(const struct unitpool_unit *first, const struct unitpool_unit *before,
    const struct unitpool_unit *x)
{
	return x->file == before->file && x->ext.off >= before->ext.off + before->ext.len &&
	    x->ext.off - before->ext.off - before->ext.len <= READ_GAP &&
	    x->ext.off + x->ext.len - first->ext.off <= READ_MAX;
}

void unitpool_read(struct unitpool *p)
{
	struct unitpool_unit *wanted[UNITPOOL_MAX];
	size_t n = 0;
	struct buf b;
	buf_init(&b);
	for (size_t i = 0; i < p->count; i++)
		if (p->units[i]->state == UNITPOOL_WANTED)
			wanted[n++] = p->units[i];
	qsort(wanted, n, sizeof(struct unitpool_unit *), by_place);
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1; to < n && is_near(wanted[from], wanted[to - 1], wanted[to]);)
			to++;
		read_run(wanted + from, to - from, &b);
	}
	buf_release(&b);
}
