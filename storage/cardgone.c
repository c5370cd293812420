#include "storage/cardgone.h"

#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "storage/meta/postings_priv.h"

#define TEXT_MAX 255u /* of a text of a list */
#define JOB      "job"
#define INSTANCE "instance"

struct name {
	uint64_t hash;
	const char *text;
	uint32_t len;
	uint8_t form;
	bool cut, had, has;
};
struct cardgone {
	uint64_t seed;
	struct arena texts;
	struct name *names;
	uint32_t count, cap;
	uint32_t *slots; /* place + 1 */
	uint32_t mask;
	bool met;
};

struct cardgone *cardgone_create(uint64_t seed)
{
	struct cardgone *g = mem_zalloc(sizeof(*g));
	g->seed = seed;
	arena_init(&g->texts, 4096);
	return g;
}

void cardgone_free(struct cardgone *g)
{
	if (!g)
		return;
	arena_release(&g->texts);
	mem_free(g->names);
	mem_free(g->slots);
	mem_free(g);
}

uint32_t cardgone_count(const struct cardgone *g)
{
	return g->count;
}

/* ---- names by text ---- */

static uint64_t hash_of(
    const struct cardgone *g, enum cardgone_form form, const char *text, size_t len)
{
	return hash64(text, len, g->seed + (uint64_t)form);
}

/* NULL: it is not there. */
static struct name *find(
    const struct cardgone *g, enum cardgone_form form, const char *text, size_t len)
{
	if (!g->count)
		return NULL;
	uint64_t hash = hash_of(g, form, text, len);
	for (uint32_t at = (uint32_t)hash & g->mask; g->slots[at]; at = (at + 1) & g->mask) {
		struct name *n = &g->names[g->slots[at] - 1];
		if (n->hash == hash && n->form == form && n->len == len &&
		    (!len || !memcmp(n->text, text, len)))
			return n;
	}
	return NULL;
}

static void slot_put(struct cardgone *g, uint32_t place)
{
	uint32_t at = (uint32_t)g->names[place].hash & g->mask;
	while (g->slots[at])
		at = (at + 1) & g->mask;
	g->slots[at] = place + 1;
}

static void grow(struct cardgone *g)
{
	g->cap = g->cap ? g->cap * 2 : 64;
	g->names = mem_array(g->names, g->cap, sizeof(*g->names));
	mem_free(g->slots);
	g->mask = g->cap * 2 - 1;
	g->slots = mem_zalloc(((size_t)g->mask + 1) * sizeof(*g->slots));
	for (uint32_t i = 0; i < g->count; i++)
		slot_put(g, i);
}

void cardgone_add(
    struct cardgone *g, enum cardgone_form form, const char *text, size_t len, size_t cut_at)
{
	bool cut = len + CARDGONE_CUT_LESS >= cut_at;
	struct name *n = find(g, form, text, len);
	if (n) {
		n->cut |= cut;
		return;
	}
	if (g->count == g->cap)
		grow(g);
	g->names[g->count] = (struct name){ .hash = hash_of(g, form, text, len),
		.text = arena_strndup(&g->texts, text, len),
		.len = (uint32_t)len,
		.form = (uint8_t)form,
		.cut = cut };
	slot_put(g, g->count++);
}

/* ---- in memory ---- */

/* A metric, a label, or a pair, wherever its name ends: names may have a '=' in them. */
static bool is_there(const struct postings *p, const char *text, uint32_t len)
{
	const struct pname *label = postings_name_find(p, text, len);
	if ((label && label->count) ||
	    postings_pair(p, LABEL_NAME, sizeof(LABEL_NAME) - 1, text, len))
		return true;
	for (uint32_t i = 0; i < len; i++)
		if (text[i] == '=' && postings_pair(p, text, i, text + i + 1, len - i - 1))
			return true;
	return false;
}

/* "": nothing was asked for. */
static bool has_value(const struct postings *p, const char *name, const char *value, uint32_t len)
{
	return !len || postings_pair(p, name, strlen(name), value, len);
}

/* Jobs may have a '/' in them. */
static bool has_target(const struct postings *p, const char *text, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (text[i] == '/' && has_value(p, JOB, text, i) &&
		    has_value(p, INSTANCE, text + i + 1, len - i - 1))
			return true;
	return false;
}

static size_t words(const struct cardgone *g)
{
	return g->count / 64 + 1;
}

void cardgone_part_init(const struct cardgone *g, struct cardgone_part *p)
{
	*p = (struct cardgone_part){ .had = mem_zalloc(words(g) * sizeof(*p->had)),
		.has = mem_zalloc(words(g) * sizeof(*p->has)) };
}

void cardgone_part_release(struct cardgone_part *p)
{
	mem_free(p->had);
	mem_free(p->has);
	*p = (struct cardgone_part){ 0 };
}

static void bit_set(uint64_t *bits, uint32_t at)
{
	bits[at / 64] |= UINT64_C(1) << at % 64;
}

static bool bit_is(const uint64_t *bits, uint32_t at)
{
	return bits[at / 64] >> at % 64 & 1;
}

bool cardgone_look(const struct cardgone *g, struct cardgone_part *p,
    const struct postings *postings, bool after, uint32_t most)
{
	for (; postings && most && p->at < g->count; most--, p->at++) {
		const struct name *n = &g->names[p->at];
		if (n->form == CARDGONE_NAME ? is_there(postings, n->text, n->len)
		                             : has_target(postings, n->text, n->len))
			bit_set(after ? p->has : p->had, p->at);
	}
	if (postings && p->at < g->count)
		return false;
	p->at = 0;
	return true;
}

static void touch(const struct cardgone *g, struct cardgone_part *p, enum cardgone_form form,
    const char *text, size_t len)
{
	const struct name *n = find(g, form, text, len);
	if (n)
		bit_set(p->had, (uint32_t)(n - g->names));
}

static size_t joined(char to[2 * TEXT_MAX + 1], const char *a, size_t a_len, char between,
    const char *b, size_t b_len)
{
	size_t n = a_len < TEXT_MAX ? a_len : TEXT_MAX;
	size_t m = b_len < TEXT_MAX ? b_len : TEXT_MAX;
	if (n)
		memcpy(to, a, n);
	to[n] = between;
	if (m)
		memcpy(to + n + 1, b, m);
	return n + 1 + m;
}

void cardgone_touch(const struct cardgone *g, struct cardgone_part *p, struct labels ls)
{
	char text[2 * TEXT_MAX + 1];
	uint32_t job_len = 0, instance_len = 0;
	struct label l;
	for (struct label_iter it = label_iter(ls); label_next(&it, &l);) {
		touch(g, p, CARDGONE_NAME, l.name, l.name_len);
		if (label_is_name(&l))
			touch(g, p, CARDGONE_NAME, l.value, l.value_len);
		touch(g, p, CARDGONE_NAME, text,
		    joined(text, l.name, l.name_len, '=', l.value, l.value_len));
	}
	const char *job = label_get(ls, JOB, sizeof(JOB) - 1, &job_len);
	const char *instance = label_get(ls, INSTANCE, sizeof(INSTANCE) - 1, &instance_len);
	touch(g, p, CARDGONE_TARGET, text,
	    joined(text, job, job ? job_len : 0, '/', instance, instance ? instance_len : 0));
}

/* ---- together ---- */

void cardgone_join(struct cardgone *g, const struct cardgone_part *p, uint64_t met)
{
	g->met |= met > 0;
	for (uint32_t i = 0; i < g->count; i++) {
		g->names[i].had |= bit_is(p->had, i);
		g->names[i].has |= bit_is(p->has, i);
	}
}

bool cardgone_is(const struct cardgone *g, enum cardgone_form form, const char *text, size_t len)
{
	const struct name *n = find(g, form, text, len);
	if (!n)
		return false;
	return n->cut ? g->met : n->had && !n->has;
}
