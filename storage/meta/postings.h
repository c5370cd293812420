/*
 * postings - which series of a head have which label: name and value -> ids, in memory.
 *
 * A pair (one name with one value) holds its ids inline (one or two), in a small sorted array, or
 * as a roaring bitmap; pairs hang in one hash table by the bytes of the encoded label and in the
 * list of their name. A pair without ids is gone at once, so names and values listed are those of
 * series in here.
 *
 *   postings_add  about 0.3 us for ten labels that are known, 40 ns per id and pair
 *   memory        2-4 bytes per id and pair, 80-100 bytes and the label per pair
 *
 * Selecting may look at many values of a name (expressions, negations). On a loop do it in steps:
 *   s = postings_select_begin(p, matchers, count);
 *   while ((st = postings_select_step(s, enough, arg)) == POSTINGS_MORE) ... give the turn away
 *   ...;
 *   if (st == POSTINGS_DONE) ids = postings_select_ids(s, &n);
 *   postings_select_end(s);
 * Series may be added and removed between the steps: those that are there all the time are judged
 * rightly, those that came or went meanwhile may be in the result or not. Look each id up anyway.
 *
 * Thread: one at a time (the shard's loop; or a worker that builds one of its own).
 * Memory: its own heap; label bytes are copied.
 * Errors: ERR_EXECUTION from selecting when a label expression hits its step limit; nothing else
 * can fail.
 */
#ifndef STORAGE_META_POSTINGS_H
#define STORAGE_META_POSTINGS_H

#include "core/model/matcher.h"

struct postings;
struct postings *postings_create(void);
/*
 * For one that is built, read and freed, of about so many series: nothing can be deleted, and
 * adding is faster.
 */
struct postings *postings_create_growing(size_t series);
void postings_free(struct postings *p);
/*
 * An id with canonical labels. Adding one that is in, and deleting one that is not, is a mistake of
 * the caller (an ODD line, nothing else). Ascending ids are the fast case.
 */
void postings_add(struct postings *p, uint32_t id, struct labels ls);
void postings_del(struct postings *p, uint32_t id, struct labels ls); /* the same labels */
uint64_t postings_series(const struct postings *p);
uint64_t postings_pairs(const struct postings *p);
size_t postings_bytes(const struct postings *p); /* memory held, about; O(1) */

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
struct postings_select *postings_select_begin(
    const struct postings *p, const struct matcher *ms, size_t count);
/*
 * Looks at values, at least one, until enough(arg) says so (NULL: at all). It is asked after each
 * value
 * that went through the engine of regular expressions, where one may take half a millisecond, and
 * after POSTINGS_CHEAP others.
 */
#define POSTINGS_CHEAP 256u
enum postings_state postings_select_step(
    struct postings_select *s, bool (*enough)(void *arg), void *arg);
/* After DONE: the ids, ascending, on the heap, the caller's (mem_free). */
uint32_t *postings_select_ids(struct postings_select *s, size_t *count);
void postings_select_end(struct postings_select *s);
/* The same in one go, for workers and tests: *ids is the caller's (mem_free). */
MUST_CHECK enum err postings_select(const struct postings *p, const struct matcher *ms,
    size_t count, uint32_t **ids, size_t *ids_count);

/*
 * Every name, in no order; strings are lent for the call. fn returns false to stop. values:
 * distinct values; series: ids that have the name; bytes: of name and value over all its series.
 */
struct postings_name {
	const char *name;
	size_t name_len;
	uint64_t values, series, bytes;
};
void postings_names(
    const struct postings *p, bool (*fn)(void *arg, const struct postings_name *n), void *arg);
/* Every value of a name, in no order. */
struct postings_value {
	const char *value;
	size_t value_len;
	uint64_t series;
	const void *_pair;
};
void postings_values(const struct postings *p, const char *name, size_t name_len,
    bool (*fn)(void *arg, const struct postings_value *v), void *arg);
/*
 * Values of a name from the from-th on (0 = first), at most count of them; for loops that give
 * their turn away. Returns how many fn got; fewer than count: that was the end.
 * A pair that goes away meanwhile may make one value be missed or be told twice: keep a set. */
size_t postings_values_part(const struct postings *p, const char *name, size_t name_len,
    size_t from, size_t count, bool (*fn)(void *arg, const struct postings_value *v), void *arg);

#endif
