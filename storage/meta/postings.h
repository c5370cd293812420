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
 *   s = postings_select_begin(p, matchers, count, labels);
 *   while ((st = postings_select_step(s, enough, arg)) == POSTINGS_MORE) ... give the turn away
 *   if (st == POSTINGS_DONE) ids = postings_select_take(s);      (postings_priv.h)
 *   postings_select_end(s);
 * Series may be added and removed between the steps: those that are there all the time are judged
 * rightly, those that came or went meanwhile may be in the result or not. Look each id up anyway.
 * Sets of ids are copied and joined whole: some 20 us a million ids that lie close together, 1 ms
 * where they are scattered.
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
/* seed: secret, so that nobody can choose labels that meet in one place of the tables. */
struct postings *postings_create(uint64_t seed);
/*
 * For one that is built, read and freed, of about so many series: nothing can be deleted, and
 * adding is faster.
 */
struct postings *postings_create_growing(uint64_t seed, size_t series);
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
/*
 * Who can tell the labels of an id: when the matchers done have left few ids, their labels are
 * looked at instead of all values of a name. false: the id is not there any more.
 */
struct postings_labels {
	bool (*get)(void *arg, uint32_t id, struct labels *out);
	void *arg;
};
/* labels may be NULL. */
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
	const void *_pair;
};
size_t postings_values_count(const struct postings *p, const char *name, size_t name_len);
size_t postings_values(const struct postings *p, const char *name, size_t name_len, size_t *left,
    size_t count, bool (*fn)(void *arg, const struct postings_value *v), void *arg);
/* Ids >= from that have this value, ascending, at most max; returns how many. */
size_t postings_value_from(const struct postings *p, const char *name, size_t name_len,
    const char *value, size_t value_len, uint32_t from, uint32_t *ids, size_t max);

#endif
