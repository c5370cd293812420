/*
 * postings_priv - what the files of postings share, and what others use of their sets of ids:
 * tables, pairs and names (postings.c), values by text (postings_tree.c), selecting
 * (postings_select.c).
 */
#ifndef STORAGE_META_POSTINGS_PRIV_H
#define STORAGE_META_POSTINGS_PRIV_H

#include "storage/meta/postings.h"
#include "storage/meta/postings_ids.h"

/* An empty set; the caller's. */
static inline roaring_bitmap_t *postings_bitmap(void)
{
	roaring_bitmap_t *r = roaring_bitmap_create();
	if (!r)
		panic("out of memory: bitmap");
	return r;
}

/* After DONE: the ids; the caller's (roaring_bitmap_free). */
roaring_bitmap_t *postings_select_take(struct postings_select *s);
/* Ids >= from of a set, ascending, at most max; returns how many. */
size_t postings_bitmap_from(const roaring_bitmap_t *b, uint32_t from, uint32_t *ids, size_t max);

/* ---- inside ---- */

#define POSTINGS_NO_PAIR   UINT32_MAX
#define POSTINGS_PAUSE     (UINT32_MAX - 1) /* of a cursor with `need`: so many were passed over */
#define POSTINGS_SKIPS     16384u
#define POSTINGS_PAGE      64u /* pairs: one bit of a word each */
#define POSTINGS_GUESSES   24u
#define POSTINGS_PAIRS_MAX (1u << 29)

/*
 * A pair. Its text is not its own: label points at this label in the label bytes of one of its
 * series, which stay where they are as long as the series is in here. When that one goes, the text
 * is taken from another one.
 */
struct pair {
	const uint8_t *label; /* NULL = free */
	union ids ids;
	uint32_t name;     /* place in postings.names */
	unsigned pos : 29; /* in its bag (postings_tree.c) */
	unsigned kind : 3; /* enum ids_kind */
};
STATIC(sizeof(struct pair) == 24);
struct pair_page {
	uint64_t free;           /* a bit for each free pair */
	uint32_t next, previous; /* of the pages that have room, number + 1; 0 = none */
	struct pair pairs[POSTINGS_PAGE];
};
struct tree_node;
struct pname {
	uint64_t hash;
	struct tree_node *tree; /* its values; NULL = none */
	uint64_t series, bytes;
	uint32_t count; /* values */
	uint32_t len;
	char text[];
};
/*
 * Open addressing, half to 3/4 full: 11 to 16 bytes an entry. It grows by a half beside the old
 * slots, which go over a few at each addition, in order; those that are over stay where they are
 * (chains in there stay whole), those that are deleted are dead.
 */
struct slot {
	uint32_t hash;  /* the low half */
	uint32_t place; /* + 1; 0 = free */
};
struct table {
	struct slot *slots, *old; /* old: NULL = none */
	uint32_t size, count;
	uint32_t old_size, old_at; /* those of old below old_at are in slots, too */
};
struct postings {
	struct table pairs_table, names_table;
	struct pair_page **pages;
	uint32_t pages_count, pages_cap;
	uint32_t room;        /* first page that has room, number + 1; 0 = none */
	uint32_t *free_pages; /* numbers without a page */
	uint32_t free_pages_count, free_pages_cap;
	struct pname **names; /* NULL = free */
	uint32_t names_end, names_cap, names_count;
	uint32_t names_hole; /* those before are all taken */
	union ids all;
	enum ids_kind all_kind;
	uint64_t series, made, seed; /* made: ids added since postings_made_begin */
	struct postings_labels labels;
	struct postings_parts parts;
	uint32_t serial; /* of the last bag made */
	uint32_t shape;  /* changes whenever a bag comes, goes or moves */
	/*
	 * the pairs of the series added last, by the place of the label: the next one may share
	 * them
	 */
	uint32_t guesses[POSTINGS_GUESSES];
	uint32_t gone[POSTINGS_GUESSES]; /* of the one removed last */
};

static inline struct pair *pair_at(const struct postings *p, uint32_t place)
{
	return &p->pages[place / POSTINGS_PAGE]->pairs[place % POSTINGS_PAGE];
}
static inline uint32_t pair_count(const struct pair *x)
{
	return ids_count(&x->ids, (enum ids_kind)x->kind);
}

static inline const uint8_t *pair_varint(const uint8_t *b, uint32_t *out)
{
	uint32_t v = *b++;
	if (UNLIKELY(v >= 0x80)) {
		v &= 0x7f;
		for (unsigned shift = 7;; shift += 7) {
			v |= (uint32_t)(*b & 0x7f) << shift;
			if (*b++ < 0x80)
				break;
		}
	}
	*out = v;
	return b;
}
/* Canonical label bytes (core/model/label.h) at a label: how many are its own. */
static inline uint32_t pair_label_len(const uint8_t *label)
{
	uint32_t body;
	const uint8_t *b = pair_varint(label + 1, &body);
	return (uint32_t)(b - label) + body;
}
static inline const char *pair_value(const struct pair *x, uint32_t *len)
{
	uint32_t n;
	const uint8_t *b = pair_varint(x->label + 1, &n);
	b = pair_varint(b + 1, &n);
	return (const char *)pair_varint(b + n + 1, len);
}
/* NULL: nobody here has this label, or this name. */
struct pair *postings_pair(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len);
struct pname *postings_name_find(const struct postings *p, const char *name, size_t len);

/*
 * The next value of a name among those that within (NULL: any) may hold for; once POSTINGS_NO_PAIR,
 * it is at its end. The beginnings of its expression narrow the walk when that leaves fewer.
 */
uint32_t postings_next(const struct postings *p, const struct pname *n,
    const struct matcher *within, struct postings_cursor *c);
/* How many values that walk would meet, at most. */
uint32_t postings_next_count(const struct pname *n, const struct matcher *within);

/*
 * Bits for the digits and letters in a text, all of them where something is not ASCII. A text in
 * which all characters of a word stand has all bits of the word but for what is not ASCII there.
 */
uint32_t postings_sign(const char *text, size_t len);

/*
 * The values of a name by their texts: forks of a trie over bags of at most TREE_BAG values in no
 * order, so that those that begin with some text are a part of it. Only the first TREE_TEXT bytes
 * count; what is equal as far as that shares a bag, of any size.
 * A bag is known by its path, what all its texts begin with, and a serial.
 */
#define TREE_BAG  512u
#define TREE_TEXT 96u

void tree_add(struct postings *p, struct pname *n, uint32_t place);
void tree_del(struct postings *p, struct pname *n, uint32_t place);
void tree_free(struct postings *p, struct tree_node *t);
/* Values below a prefix, at most: a bag is counted whole. */
uint32_t tree_count(const struct tree_node *t, const char *prefix, size_t len);
/*
 * The next value of a cursor (fresh: all zero) among those that may begin with prefix: a bag is
 * told whole. POSTINGS_NO_PAIR: that was the last; POSTINGS_PAUSE: call again.
 */
uint32_t tree_next(const struct postings *p, const struct tree_node *t, struct postings_cursor *c,
    const char *prefix, size_t len);

#endif
