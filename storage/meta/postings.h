/*
 * postings - which series of a head have which label: name and value -> ids, in memory.
 *
 * A pair (one name with one value) is 24 bytes: its ids stand in it (one or two), in a piece of
 * distances, or in a roaring bitmap (postings_ids.h); its text is that of a series that has it.
 * Pairs are found in one hash table by the bytes of the encoded label, and by text among the values
 * of their name (a trie over bags of values, postings_priv.h), so that an expression with a known
 * beginning looks only at values that begin so. A pair without ids is gone at once, so names and
 * values listed are those of series in here.
 *
 *   postings_add  see bench/micro/b_postings.c: a label that the series before had at the same
 *                 place costs a comparison and 10-20 ns for the id
 *   memory        some 50 bytes a pair, without its text; 0.1-2 bytes an id of a pair
 *
 * Selecting may look at many values of a name (expressions, negations). On a loop do it in steps:
 *   s = postings_select_begin(p, matchers, count, labels);
 *   while ((st = postings_select_step(s, enough, arg)) == POSTINGS_MORE) ... give the turn away
 *   if (st == POSTINGS_DONE) ids = postings_select_take(s);      (postings_priv.h)
 *   postings_select_end(s);
 * Series may be added and removed between the steps: those that are there all the time are judged
 * rightly, those that came or went meanwhile may be in the result or not. Look each id up anyway.
 * Sets of ids are copied and joined whole: some 20 us a million ids that lie close together, 1 ms
 * where they are scattered.
 *
 * Thread: one at a time (the shard's loop).
 * Memory: its own heap; label bytes are those of the series, borrowed from postings_add to
 * postings_del.
 * Errors: ERR_EXECUTION from selecting when a label expression hits its step limit; nothing else
 * can fail.
 */
#ifndef STORAGE_META_POSTINGS_H
#define STORAGE_META_POSTINGS_H

#include "core/model/matcher.h"

struct postings;
/*
 * Who can tell the labels of an id that is in, as they were added. false: the id is not there any
 * more.
 */
struct postings_labels {
	bool (*get)(void *arg, uint32_t id, struct labels *out);
	void *arg;
};
/*
 * seed: secret, so that nobody can choose labels that meet in one place of the tables. labels is
 * copied; it tells the labels of each id between its postings_add and its postings_del.
 */
struct postings *postings_create(uint64_t seed, const struct postings_labels *labels);
void postings_free(struct postings *p);
/*
 * An id with canonical labels, whose bytes stay until postings_del. Adding one that is in, and
 * deleting one that is not, is a mistake of the caller (an ODD line, nothing else). Ascending ids
 * are the fast case.
 */
void postings_add(struct postings *p, uint32_t id, struct labels ls);
void postings_del(struct postings *p, uint32_t id, struct labels ls); /* the same bytes */
uint64_t postings_series(const struct postings *p);
uint64_t postings_made(const struct postings *p); /* ids added since postings_made_begin */
void postings_made_begin(struct postings *p);
uint64_t postings_pairs(const struct postings *p);
size_t postings_bytes(const struct postings *p); /* memory held, about; O(1) */
struct postings_parts {                          /* the same by part */
	size_t pairs, table, ids, order, names;
};
struct postings_parts postings_parts(const struct postings *p);

/*
 * All matchers must hold; a missing label is the empty string; no matchers: all. The matchers are
 * borrowed until postings_select_end.
 */
enum postings_state {
	POSTINGS_MORE,
	POSTINGS_DONE,
	POSTINGS_FAILED /* ERR_EXECUTION: a step limit */
};
struct postings_select;
/*
 * labels, borrowed: when the matchers done have left few ids, their labels are looked at instead of
 * the values of a name. NULL: never.
 */
struct postings_select *postings_select_begin(const struct postings *p, const struct matcher *ms,
    size_t count, const struct postings_labels *labels);
/*
 * Goes on, at least a step, until enough(arg) says so (NULL: at all). It is asked after every
 * POSTINGS_CHEAP steps and after each matcher. A step is a value looked at, 256 bytes of it or 512
 * ids put into a set; a value for the engine of regular expressions, where one may take half a
 * millisecond, is POSTINGS_CHEAP steps.
 */
#define POSTINGS_CHEAP 256u
enum postings_state postings_select_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg);
/* True: no id has all the single values that the matchers name. False when many ids have each. */
bool postings_select_none(const struct postings *p, const struct matcher *ms, size_t count);
uint64_t postings_select_steps(const struct postings_select *s); /* taken so far */
void postings_select_end(struct postings_select *s);

/*
 * Names and values, in no order, at most count of them in a call; strings are lent for the call. fn
 * returns false to stop. *left counts down: SIZE_MAX at first, 0 when all were told. Between calls
 * postings may change: what is there all the time is told, some of it perhaps twice.
 * Returns how many fn got.
 */
struct postings_name {
	const char *name;
	size_t name_len;
	/* distinct values; ids that have the name; bytes of name and value over all its series */
	uint64_t values, series, bytes;
};
size_t postings_names_count(const struct postings *p);
size_t postings_names(const struct postings *p, size_t *left, size_t count,
    bool (*fn)(void *arg, const struct postings_name *n), void *arg);
struct postings_value {
	const char *value;
	size_t value_len;
	uint64_t series;
};
/* How many postings_values would tell, at most. */
size_t postings_values_count(
    const struct postings *p, const char *name, size_t name_len, const struct matcher *within);
/* Where a walk over values is: all zero at first. Plain memory: nothing to release. */
#define POSTINGS_PATH 96u
struct postings_cursor {
	bool ended; /* all were told */
	/*
	 * Set before the first call: values that lack one of these (postings_priv.h, postings_sign)
	 * are passed over, some 1 ns each. 0: none is
	 */
	uint32_t need;
	uint32_t sign; /* what the value told last may have; all, where nobody knows */
	bool _begun, _in_bag;
	uint8_t _path_len;
	uint32_t _serial, _left, _shape;
	const void *_bag;
	uint32_t _ranges,
	    _range; /* beginnings of an expression + 1 (0: not decided), the one of now */
	uint8_t _path[POSTINGS_PATH];
};
/*
 * within (NULL: any): an expression of which the known beginnings narrow the walk. Values that it
 * does not hold for may be told, too.
 */
size_t postings_values(const struct postings *p, const char *name, size_t name_len,
    const struct matcher *within, struct postings_cursor *at, size_t count,
    bool (*fn)(void *arg, const struct postings_value *v), void *arg);
/* Ids >= from that have this value, ascending, at most max; returns how many. */
size_t postings_value_from(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len, uint32_t from, uint32_t *ids, size_t max);

/* All ids >= from, ascending, at most max; returns how many. */
size_t postings_ids_from(const struct postings *p, uint32_t from, uint32_t *ids, size_t max);

#endif
