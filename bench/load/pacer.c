#include "bench/load/pacer.h"

#include "core/base/clock.h"

static bool stopped(const struct pacer *p)
{
	return (p->stop && __atomic_load_n(p->stop, __ATOMIC_RELAXED)) || fleet_hopeless(p->fleet);
}

void pacer_push_round(struct pacer *p, uint64_t round, double at_s)
{
	uint64_t batches = loadgen_batches(p->gen);
	loadgen_round(p->gen, round);
	for (uint64_t i = 0; i < batches && !stopped(p); i++) {
		struct fleet_body b = { .round = round,
			.batch = i,
			.first = p->create && round == p->first,
			.at_s = at_s < 0 ? -1 : at_s + p->pace_s * (double)i / (double)batches };
		const struct buf *packed = rwbody_packed(p->body, p->gen, i, &b.counts);
		if (b.counts.samples)
			fleet_push(p->fleet, &b, packed);
	}
}

void pacer_run(struct pacer *p)
{
	uint64_t round = p->first, last = p->rounds == UINT64_MAX ? UINT64_MAX : round + p->rounds;
	bool paced = p->pace_s > 0;
	if (p->create && round < last) {
		uint64_t begin = clock_real_mono_ns();
		pacer_push_round(p, round++, -1);
		(void)fleet_drain(p->fleet, UINT64_MAX);
		p->created_s = (double)(clock_real_mono_ns() - begin) / 1e9;
	}
	if (p->created)
		p->created(p->arg);
	uint64_t begin = round;
	if (paced)
		fleet_clock(p->fleet);
	for (; round < last && !stopped(p); round++)
		pacer_push_round(p, round, paced ? (double)(round - begin) * p->pace_s : -1);
	if (stopped(p))
		fleet_stop(p->fleet);
	(void)fleet_drain(p->fleet, UINT64_MAX);
}
