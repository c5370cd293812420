/*
 * meter - how fast something may go, for many who take from it at once, and a book of meters by
 * small numbers.
 *
 * A meter is one number: the time at which all that was taken is paid for (the virtual scheduling
 * algorithm of ITU-T I.371, Annex A). What is taken costs time: n things at so many a second cost
 * n / rate. So much as the burst costs may be taken ahead of it; beyond, who takes must wait.
 *
 * (1) What costs more than the burst may be taken when nothing else is owed, and is owed then.
 * (2) Who waits has taken already: those who come later stand behind it, on whatever thread.
 * (3) What is owed is never more than debt_ns.
 *
 * Thread: any; a meter is exact. Cost: one read and one compare-and-swap for each call.
 * Memory: of a book, one page for 256 numbers that are near each other, made when first asked for,
 * until meter_book_release. All zero is an empty book, and a meter of which nothing was taken.
 */
#ifndef CORE_BASE_METER_H
#define CORE_BASE_METER_H

#include <stdint.h>

#include "core/base/check.h"

struct meter {
	_Atomic uint64_t _paid_ns;
};
struct meter_terms {
	uint64_t burst_ns;
	uint64_t wait_ns; /* nobody waits longer */
	uint64_t debt_ns;
};
/* What n things cost at so many a second, at most 2^62. */
uint64_t meter_cost_ns(uint64_t n, uint64_t per_s);
/* How long to wait, at most t->wait_ns; more: nothing was taken, and it is what is missing. */
uint64_t meter_take(struct meter *m, uint64_t now_ns, uint64_t cost_ns, const struct meter_terms *t);
void meter_give(struct meter *m, uint64_t cost_ns); /* it was not used */
/* It cost more than was taken. */
void meter_owe(struct meter *m, uint64_t now_ns, uint64_t cost_ns, const struct meter_terms *t);

/* Numbers of METER_PAGES * METER_PAGE and more share rows with smaller ones. */
#define METER_PAGE  256u
#define METER_PAGES 4096u
struct meter_row {
	struct meter meters[2];
	_Atomic uint64_t note;      /* the owner's, by meter_note */
	_Atomic uint64_t _per_s[2]; /* at which rate each was taken from last; 0 = never */
	uint64_t _pad[3];
};
STATIC(sizeof(struct meter_row) == 64);
struct meter_book {
	struct meter_row *_Atomic _pages[METER_PAGES];
};
struct meter_row *meter_row(struct meter_book *b, uint32_t number);
/*
 * What is taken from meter i costs so much from here on. After a rise what is owed costs less too:
 * nobody waits for a rate that is no longer his. After a fall it stays.
 */
void meter_row_rate(struct meter_row *r, unsigned i, uint64_t per_s, uint64_t now_ns);
void meter_book_release(struct meter_book *b); /* nobody uses it any more */
/* A number beside the meters; the last one that was set. */
uint64_t meter_note(const struct meter_row *r);
void meter_note_set(struct meter_row *r, uint64_t note);

#endif
