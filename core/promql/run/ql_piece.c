#include "core/promql/run/ql_piece.h"

#include "core/promql/run/ql_scan.h"

void ql_piece_init(struct ql_piece *p, const struct ql_piece_spec *spec)
{
	p->spec = spec;
	p->batches = NULL;
	p->_batches_end = &p->batches;
}

static size_t scans_bytes(const struct ql_piece *p)
{
	return (p->scans_count + 1) * sizeof(*p->_scans);
}

/* The start of all scans of a loop, of which this is the first: one message for them. */
static struct mbox_msg *chain_of(struct ql_piece *p, unsigned first)
{
	struct ql_scan *at = &p->_scans[first];

	for (unsigned i = first + 1; i < p->scans_count; i++) {
		struct ql_scan *s = &p->_scans[i];
		if (s->loop != at->loop)
			continue;
		s->chained = true;
		at->next_start = s;
		at = s;
	}
	return &p->_scans[first].start;
}

void ql_piece_start(struct ql_piece *p, struct loop *home)
{
	struct source *src = p->spec->source;

	CHECK(!p->started);
	p->home = home;
	p->started = true;
	p->scans_count = src->ops->shards(src);
	if (p->spec->bytes)
		purse_force(p->spec->bytes, scans_bytes(p));
	p->_scans = mem_zalloc(scans_bytes(p));
	for (unsigned i = 0; i < p->scans_count; i++) {
		struct ql_scan *s = &p->_scans[i];
		*s = (struct ql_scan){
			.magic = SCAN_MAGIC,
			.piece = p,
			.loop = src->ops->loop_of(src, i),
			.home = home,
			.shard = i,
			.credits_home = QL_PIECE_CREDITS,
			.start.fn = ql_scan_start,
			.defer.fn = ql_scan_over,
		};
		for (unsigned k = 0; k < QL_PIECE_CREDITS; k++)
			s->credits[k] = (struct scan_credit){ .msg.fn = ql_scan_credit, .scan = s };
	}
	for (unsigned i = 0; i < p->scans_count; i++)
		if (!p->_scans[i].chained)
			loop_send(p->_scans[i].loop, chain_of(p, i));
}

void ql_piece_on_batch(struct mbox_msg *msg)
{
	struct ql_batch *b = CONTAINER_OF(msg, struct ql_batch, msg);
	struct ql_scan *s = b->scan;
	struct ql_piece *p = s->piece;

	loop_check_here(p->home);
	b->next = NULL;
	*p->_batches_end = b;
	p->_batches_end = &b->next;
	p->lasts += b->last;
	p->ends += b->over;
	p->arrived(p, b);
	if (p->drained)
		ql_piece_drain(p);
}

void ql_piece_on_heavy(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, heavy);
	struct ql_piece *p = s->piece;

	s->next_held = p->_held;
	p->_held = s;
	p->heavy(p);
}

void ql_piece_go_on(struct ql_piece *p)
{
	for (struct ql_scan *s; (s = p->_held);) {
		p->_held = s->next_held;
		s->heavy.fn = ql_scan_go_on;
		loop_send(s->loop, &s->heavy);
	}
}

void ql_piece_on_end(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, end);
	struct ql_piece *p = s->piece;
	p->ends += s->empties ? s->empties : 1;
	p->lasts += s->empties;
	p->arrived(p, NULL);
}

void ql_piece_on_ack(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, cancel);
	struct ql_piece *p = s->piece;
	p->_acks_open--;
	p->arrived(p, NULL);
}

void ql_piece_cancel(struct ql_piece *p)
{
	if (!p->started || p->canceled || p->ends == p->scans_count)
		return;
	p->canceled = true;
	for (unsigned i = 0; i < p->scans_count; i++) {
		struct ql_scan *s = &p->_scans[i];
		s->cancel.fn = ql_scan_cancel;
		p->_acks_open++;
		loop_send(s->loop, &s->cancel);
	}
}

struct ql_batch *ql_piece_take(struct ql_piece *p)
{
	struct ql_batch *b = p->batches;
	if (b) {
		p->batches = b->next;
		if (!p->batches)
			p->_batches_end = &p->batches;
		if (!b->over)
			loop_send(b->scan->loop, &b->scan->credits[b->slot].msg);
	}
	return b;
}

void ql_piece_drain(struct ql_piece *p)
{
	struct ql_batch *b;

	p->drained = true;
	while ((b = ql_piece_take(p)))
		ql_batch_free(b);
}

void ql_piece_release(struct ql_piece *p)
{
	CHECK(ql_piece_over(p) && !p->batches);
	if (p->_scans && p->spec->bytes)
		purse_give(p->spec->bytes, scans_bytes(p));
	mem_free(p->_scans);
	p->_scans = NULL;
}
