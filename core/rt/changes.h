/*
 * changes - which times of somebody's data changed last: numbers by ranges of time, written by many
 * loops, asked by any thread.
 *
 * Changes are numbered 1, 2, 3, ... over all. Whoever wants to know later whether what it has read
 * is still so takes the number of now (changes_now) before it reads, and asks later for the newest
 * change in the range of time that it has read (changes_of): a larger number says that something
 * there may have changed since, an equal or smaller one that nothing has.
 * The writer makes its change visible first, then marks it (changes_mark). So:
 * (1) A number may be too new, never too old: what is read after changes_now is at least as new.
 * (2) When nothing in a range has changed since n, what was read holds for the now that was taken
 *     before that was asked, too: all marks up to it are seen by then.
 *
 * Memory of times. For each writer and kind CHANGES_LEVELS rings of CHANGES_SLOTS slots: a minute
 * wide, 16 minutes, 4 hours, 3 days. A ring holds the newest slots of its width up to the newest
 * time marked; a change stands in every ring whose slots reach back to it, what lies before all in
 * one number. A range is answered by the ring that says least. So one late change makes old times
 * new only nearby, coarser the older they are.
 * What lies more than CHANGES_AHEAD_MS ahead of the writer's clock moves no ring: it has a number
 * of
 * its own, which times count as theirs when the rings reach them.
 *
 * Who is asked for. `who` is a small number (a tenant's). Nothing is kept of those for whom nobody
 * ever asked; from the first question on it is. CHANGES_ALL marks those, too, who come later.
 *
 * Thread: changes_mark on the writer's own thread; the others any.
 * Cost: a mark of one minute 4 stores and one compare and swap; for whom nobody asks, one
 * operation on a number that all share. A question some 4 loads for each writer and minute-wide
 * range, at most 260.
 * Memory: 4 KiB for each writer and somebody asked for.
 */
#ifndef CORE_RT_CHANGES_H
#define CORE_RT_CHANGES_H

#include <stdint.h>

#define CHANGES_LEVELS   4u
#define CHANGES_SLOTS    64u
#define CHANGES_SLOT_MS  60000 /* of the finest ring; each next one is 16 times as wide */
#define CHANGES_AHEAD_MS 3600000
#define CHANGES_ALL      UINT32_MAX

enum changes_kind {
	CHANGES_DATA,  /* samples */
	CHANGES_ORDER, /* the order in which series are read */
	CHANGES_KINDS
};
struct changes;
struct changes *changes_create(unsigned writers);
void changes_free(struct changes *c);
uint64_t changes_now(const struct changes *c);
/* The newest change of the kind in the range, both ends inclusive; 0 = none yet. */
uint64_t changes_of(
    struct changes *c, uint32_t who, enum changes_kind kind, int64_t t_min_ms, int64_t t_max_ms);

/* Ranges of time, gathered: near ones are one. */
#define CHANGES_SPANS 8u
struct changes_span {
	int64_t t_min_ms, t_max_ms;
};
struct changes_spans {
	unsigned count; /* all zero: none */
	struct changes_span at[CHANGES_SPANS];
};
/* When there are too many, the nearest two become one. */
void changes_spans_add(struct changes_spans *s, int64_t t_min_ms, int64_t t_max_ms);
/* In these ranges something has changed, and can be seen. now_ms: the wall clock. */
void changes_mark_spans(struct changes *c, unsigned writer, uint32_t who, enum changes_kind kind,
    const struct changes_spans *s, int64_t now_ms);
void changes_mark(struct changes *c, unsigned writer, uint32_t who, enum changes_kind kind,
    int64_t t_min_ms, int64_t t_max_ms, int64_t now_ms);

#endif
