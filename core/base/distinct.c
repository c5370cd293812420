#include "core/base/distinct.h"

#include "core/base/hash.h"
#include "core/base/mem.h"

#define PLACES_LEAST 16u

static struct distinct_slot *slot_of(const struct distinct *d, uint64_t hash)
{
	uint32_t mask = d->places - 1;
	for (uint32_t i = (uint32_t)hash_mix64(hash) & mask;; i = (i + 1) & mask)
		if (!d->slots[i].all || d->slots[i].hash == hash)
			return &d->slots[i];
}

static void grow(struct distinct *d)
{
	struct distinct was = *d;
	d->places = was.places ? was.places * 2 : PLACES_LEAST;
	d->slots = mem_zalloc(d->places * sizeof(*d->slots));
	for (uint32_t i = 0; i < was.places; i++)
		if (was.slots[i].all)
			*slot_of(d, was.slots[i].hash) = was.slots[i];
	mem_free(was.slots);
}

static void tell(struct distinct *d, uint32_t in, uint32_t by)
{
	d->seen += in ? by : 0;
	d->once += in == 1 ? by : 0;
	d->twice += in == 2 ? by : 0;
}

void distinct_add(struct distinct *d, uint64_t hash, uint32_t n, uint32_t n_in)
{
	if (d->used * 2 >= d->places)
		grow(d);
	struct distinct_slot *s = slot_of(d, hash);
	d->used += !s->all;
	tell(d, s->in, UINT32_MAX);
	s->hash = hash;
	s->all += n;
	s->in += n_in;
	tell(d, s->in, 1);
}

void distinct_join(struct distinct *to, const struct distinct *d)
{
	for (uint32_t i = 0; i < d->places; i++)
		if (d->slots[i].all)
			distinct_add(to, d->slots[i].hash, d->slots[i].all, d->slots[i].in);
}

uint32_t distinct_common(const struct distinct *a, const struct distinct *b, double *part)
{
	uint64_t all = 0, in = 0;
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->places; i++) {
		const struct distinct_slot *s = &a->slots[i];
		bool both = s->in && b->places && slot_of(b, s->hash)->in;
		all += s->in;
		in += both ? s->in : 0;
		n += both;
	}
	*part = all ? (double)in / (double)all : 0;
	return n;
}

double distinct_estimate(const struct distinct *d, double rate)
{
	double f1 = d->once, below = 2.0 * d->twice;
	if (rate >= 1 || !d->once)
		return d->seen;
	below += f1 * rate / (1 - rate);
	return below > 0 ? d->seen + f1 * f1 / below : d->seen;
}

void distinct_release(struct distinct *d)
{
	mem_free(d->slots);
	*d = (struct distinct){ 0 };
}
