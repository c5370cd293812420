/*
 * Two builds: the ordinary one below, and the sharp one in which every piece is a malloc.
 *
 * A region is 2 MiB, aligned to its size, so the region of a piece is its address with the low bits
 * cleared. Its first span begins with the region's head: one struct span per span.
 * A span of a class has its own free list; spans with a free piece are linked in their class,
 * wholly free spans in the region, regions with a free span in the slab.
 */
#include "storage/head/slab.h"
#include "core/base/arena.h"
#include "core/base/list.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SPANS       (SLAB_REGION_BYTES / SLAB_SPAN_BYTES)
#define CLASS_STEP  16u
#define CLASS_SMALL (512u / CLASS_STEP)
/* 512 > 1024 > 2048 > 4096 > 8192 > 16384, eight steps each */
#define CLASSES         (CLASS_SMALL + 5u * 8u)
#define REGIONS_SPARE   1u
#define STOCK_TRIM_PART 8u  /* of what was not needed, so much goes at a time ... */
#define STOCK_TRIM_MAX  16u /* ... and no more: the kernel takes 0.1 ms for one */

static inline unsigned class_of(size_t size)
{
	if (size <= 512)
		return (unsigned)((size + CLASS_STEP - 1) / CLASS_STEP) - (size > 0);
	/* eight steps per doubling */
	unsigned top = 63u - (unsigned)__builtin_clzll(size - 1); /* 9..13 */
	unsigned step = (unsigned)((size - 1) >> (top - 3)) & 7;
	return CLASS_SMALL + (top - 9) * 8 + step;
}

static inline size_t class_size(unsigned class)
{
	if (class < CLASS_SMALL)
		return (class + 1) * (size_t)CLASS_STEP;
	unsigned top = 9 + (class - CLASS_SMALL) / 8, step = (class - CLASS_SMALL) % 8;
	return ((size_t)1 << top) + (((size_t)step + 1) << (top - 3));
}

size_t slab_round(size_t size)
{
	return size > SLAB_PIECE_MAX ? size : class_size(class_of(size));
}

#ifdef KYMO_SHARP

/*
 * The sharp build: a piece is a malloc of exactly the size asked for, behind a head that links it,
 * so that the address sanitizer sees what happens around it and after it.
 */
struct piece {
	struct list_link link;
	size_t size;
	size_t unused_; /* 16-byte alignment of what follows */
};
STATIC(sizeof(struct piece) % 16 == 0);

struct slab {
	struct list_link pieces; /* up to SLAB_PIECE_MAX */
	size_t bytes;
};

struct slab *slab_create(void)
{
	struct slab *s = mem_zalloc(sizeof *s);
	list_init(&s->pieces);
	return s;
}

void slab_free(struct slab *s)
{
	if (!s)
		return;
	LIST_EACH_SAFE(l, n, &s->pieces)
		mem_free(CONTAINER_OF(l, struct piece, link));
	mem_free(s);
}

void *slab_take(struct slab *s, size_t size)
{
	s->bytes += slab_round(size);
	if (size > SLAB_PIECE_MAX)
		return mem_alloc(size);
	struct piece *p = mem_alloc(sizeof *p + size);
	p->size = size;
	list_add_tail(&s->pieces, &p->link);
	return p + 1;
}

void slab_give(struct slab *s, void *piece, size_t size)
{
	if (!piece)
		return;
	CHECK(s->bytes >= slab_round(size));
	s->bytes -= slab_round(size);
	if (size > SLAB_PIECE_MAX) {
		mem_free(piece);
		return;
	}
	struct piece *p = (struct piece *)piece - 1;
	CHECK(slab_round(p->size) == slab_round(size));
	list_del(&p->link);
	mem_free(p);
}

size_t slab_bytes(const struct slab *s)
{
	return s->bytes;
}

bool slab_stock_low(const struct slab *s)
{
	(void)s;
	return false;
}

void *slab_region_ready(void)
{
	return mem_alloc(1);
}

void slab_stock_add(struct slab *s, void *take_region)
{
	(void)s;
	mem_free(take_region);
}

void slab_stock_trim(struct slab *s)
{
	(void)s;
}

void slab_stock_drop(struct slab *s, uint32_t regions)
{
	(void)s;
	(void)regions;
}

size_t slab_stock_bytes(const struct slab *s)
{
	(void)s;
	return 0;
}

void *slab_map(size_t size)
{
	void *p = NULL;
	if (posix_memalign(&p, 4096, size))
		panic("out of memory: mapping %zu bytes", size);
	memset(p, 0, size);
	return p;
}

void slab_unmap(void *p, size_t size)
{
	(void)size;
	free(p);
}

void slab_huge(void *p, size_t size)
{
	(void)p;
	(void)size;
}

#else

struct span {
	/* of its class when a piece is free, of its region when it is free */
	struct list_link link;
	void *free;     /* pieces given back */
	uint32_t fresh; /* bytes handed out for the first time, from the start */
	uint32_t used;  /* pieces out */
	uint16_t class;
	bool listed;
};
struct region {
	struct list_link link; /* of the slab, when a span is free */
	struct list_link all;
	struct list_link free_spans;
	uint32_t spans_used;
	struct span spans[SPANS]; /* this head lies at the beginning of the first one */
};
# define REGION_HEAD ((uint32_t)(sizeof(struct region) + 63) & ~63u)
STATIC(REGION_HEAD <= SLAB_SPAN_BYTES - SLAB_PIECE_MAX);

struct slab {
	struct list_link classes[CLASSES]; /* spans with a free piece */
	struct list_link regions_free;     /* regions with a free span */
	struct list_link regions;
	uint32_t regions_count, regions_empty;
	struct list_link stock; /* regions, touched, without a head */
	uint32_t stock_count;
	uint32_t stock_least; /* there were since slab_stock_trim was called last */
	bool growing;         /* has wanted a region since slab_stock_trim was called last */
	size_t large_bytes, spans_taken;
};

static struct span *span_new(struct slab *s, unsigned class);
static void span_done(struct slab *s, struct span *sp);
static void region_drop(struct slab *s, struct region *r);

bool slab_stock_low(const struct slab *s)
{
	return s->growing && s->stock_count < SLAB_STOCK &&
	    s->regions_count > SLAB_SMALL_REGIONS + s->stock_count;
}

void *slab_region_ready(void)
{
	uint8_t *r = slab_map(SLAB_REGION_BYTES);
	slab_huge(r, SLAB_REGION_BYTES);
	for (size_t i = 0; i < SLAB_REGION_BYTES; i += 4096)
		((volatile uint8_t *)r)[i] = 0;
	return r;
}

void slab_stock_add(struct slab *s, void *take_region)
{
	struct region *r = take_region;
	list_add_tail(&s->stock, &r->all);
	s->stock_count++;
}

void slab_stock_drop(struct slab *s, uint32_t regions)
{
	for (; regions && s->stock_count; regions--, s->stock_count--)
		slab_unmap(CONTAINER_OF(list_pop(&s->stock), struct region, all), SLAB_REGION_BYTES);
	if (s->stock_least > s->stock_count)
		s->stock_least = s->stock_count;
}

void slab_stock_trim(struct slab *s)
{
	uint32_t ready = s->growing ? SLAB_STOCK : 0;
	uint32_t idle = s->stock_least > ready ? s->stock_least - ready : 0;
	uint32_t part = (idle + STOCK_TRIM_PART - 1) / STOCK_TRIM_PART;
	slab_stock_drop(s, part < STOCK_TRIM_MAX ? part : STOCK_TRIM_MAX);
	s->stock_least = s->stock_count;
	s->growing = false;
}

size_t slab_stock_bytes(const struct slab *s)
{
	return s->stock_count * (size_t)SLAB_REGION_BYTES;
}

static inline struct region *region_of(void *p)
{
	return (struct region *)((uintptr_t)p & ~((uintptr_t)SLAB_REGION_BYTES - 1));
}

static inline uint8_t *span_base(struct span *sp)
{
	struct region *r = region_of(sp);
	return (uint8_t *)r + (size_t)(sp - r->spans) * SLAB_SPAN_BYTES;
}

struct slab *slab_create(void)
{
	struct slab *s = mem_zalloc(sizeof *s);
	for (unsigned i = 0; i < CLASSES; i++)
		list_init(&s->classes[i]);
	list_init(&s->regions_free);
	list_init(&s->regions);
	list_init(&s->stock);
	CHECK(class_size(CLASSES - 1) == SLAB_PIECE_MAX);
	return s;
}

void slab_free(struct slab *s)
{
	if (!s)
		return;
	LIST_EACH_SAFE(l, n, &s->regions)
		region_drop(s, CONTAINER_OF(l, struct region, all));
	LIST_EACH_SAFE(l, n, &s->stock)
		slab_unmap(CONTAINER_OF(l, struct region, all), SLAB_REGION_BYTES);
	mem_free(s);
}

void *slab_take(struct slab *s, size_t size)
{
	if (UNLIKELY(size > SLAB_PIECE_MAX)) {
		s->large_bytes += size;
		return mem_alloc(size);
	}
	unsigned class = class_of(size);
	struct span *sp;
	if (UNLIKELY(list_empty(&s->classes[class])))
		sp = span_new(s, class);
	else
		sp = CONTAINER_OF(s->classes[class].next, struct span, link);
	size_t piece = class_size(class);
	void *p = sp->free;
	if (p) {
		memcpy(&sp->free, p, sizeof sp->free);
	} else {
		p = span_base(sp) + sp->fresh;
		sp->fresh += (uint32_t)piece;
	}
	sp->used++;
	if (!sp->free && sp->fresh + piece > SLAB_SPAN_BYTES) {
		list_del(&sp->link);
		sp->listed = false;
	}
	return p;
}

void slab_give(struct slab *s, void *piece, size_t size)
{
	if (!piece)
		return;
	if (UNLIKELY(size > SLAB_PIECE_MAX)) {
		CHECK(s->large_bytes >= size);
		s->large_bytes -= size;
		mem_free(piece);
		return;
	}
	struct region *r = region_of(piece);
	struct span *sp = &r->spans[((uintptr_t)piece & (SLAB_REGION_BYTES - 1)) / SLAB_SPAN_BYTES];
	CHECK(sp->used > 0);
	CHECK(sp->class == class_of(size));
	memcpy(piece, &sp->free, sizeof sp->free);
	sp->free = piece;
	if (!--sp->used) {
		span_done(s, sp);
	} else if (!sp->listed) {
		list_add_head(&s->classes[sp->class], &sp->link);
		sp->listed = true;
	}
}

size_t slab_bytes(const struct slab *s)
{
	return s->spans_taken * SLAB_SPAN_BYTES + s->large_bytes;
}

void *slab_map(size_t size)
{
	/* Aligned to 2 MiB when it is that large: one huge page must not straddle two arrays. */
	size_t align = size >= SLAB_REGION_BYTES ? SLAB_REGION_BYTES : 4096;
	uint8_t *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		panic("out of memory: mapping %zu bytes", size);
	uint8_t *start = (uint8_t *)(((uintptr_t)p + align - 1) & ~((uintptr_t)align - 1));
	uint8_t *end = start + ((size + 4095) & ~(size_t)4095);
	if (start > p)
		munmap(p, (size_t)(start - p));
	if (end < p + size + align)
		munmap(end, (size_t)(p + size + align - end));
	return start;
}

void slab_unmap(void *p, size_t size)
{
	if (p)
		CHECK(munmap(p, (size + 4095) & ~(size_t)4095) == 0);
}

void slab_huge(void *p, size_t size)
{
	(void)madvise(p, size, MADV_HUGEPAGE); /* a wish: without it small pages serve */
}

static void region_new(struct slab *s)
{
	struct region *r;
	s->growing = true;
	if (s->stock_count) {
		r = CONTAINER_OF(list_pop(&s->stock), struct region, all);
		if (s->stock_least > --s->stock_count)
			s->stock_least = s->stock_count;
	} else {
		r = slab_map(SLAB_REGION_BYTES);
		if (s->regions_count >= SLAB_SMALL_REGIONS)
			slab_huge(r, SLAB_REGION_BYTES);
	}
	list_init(&r->free_spans);
	for (unsigned i = 0; i < SPANS; i++)
		list_add_tail(&r->free_spans, &r->spans[i].link);
	list_add_tail(&s->regions, &r->all);
	list_add_tail(&s->regions_free, &r->link);
	s->regions_count++;
	s->regions_empty++;
}

static void region_drop(struct slab *s, struct region *r)
{
	list_del(&r->all);
	s->regions_count--;
	slab_unmap(r, SLAB_REGION_BYTES);
}

/* An empty region: to the stock, for what a round gives back the next one wants again. */
static void region_leave(struct slab *s, struct region *r)
{
	if (s->stock_count >= s->regions_count) {
		region_drop(s, r);
		return;
	}
	list_del(&r->all);
	s->regions_count--;
	list_add_head(&s->stock, &r->all);
	s->stock_count++;
}

static struct span *span_new(struct slab *s, unsigned class)
{
	if (list_empty(&s->regions_free))
		region_new(s);
	struct region *r = CONTAINER_OF(s->regions_free.next, struct region, link);
	struct span *sp = CONTAINER_OF(list_pop(&r->free_spans), struct span, link);
	if (!r->spans_used++)
		s->regions_empty--;
	if (list_empty(&r->free_spans))
		list_del(&r->link);
	s->spans_taken++;
	*sp = (struct span){
		.class = (uint16_t) class, .listed = true, .fresh = sp == r->spans ? REGION_HEAD : 0
	};
	list_init(&sp->link);
	list_add_head(&s->classes[class], &sp->link);
	return sp;
}

static void span_done(struct slab *s, struct span *sp)
{
	struct region *r = region_of(sp);
	if (sp->listed)
		list_del(&sp->link);
	if (list_empty(&r->free_spans))
		list_add_tail(&s->regions_free, &r->link);
	list_add_head(&r->free_spans, &sp->link);
	sp->listed = false;
	s->spans_taken--;
	if (--r->spans_used)
		return;
	if (s->regions_empty >= REGIONS_SPARE) {
		list_del(&r->link);
		region_leave(s, r);
	} else {
		s->regions_empty++;
	}
}

#endif
