/*
 * Names that a deletion takes along (storage/cardgone.h): what series in memory have before and
 * after, in several shards, with names and jobs that have the signs between them in themselves.
 */
#include <stdio.h>
#include <string.h>

#include "storage/cardgone.h"
#include "tests/lib/tap.h"

#define SERIES 8u
#define SHARDS 2u

static struct arena mem;
static struct labels all[SERIES];

static bool labels_get(void *arg, uint32_t id, struct labels *out)
{
	(void)arg;
	*out = all[id];
	return true;
}

static const struct postings_labels labels = { .get = labels_get };

static void make(unsigned i, const char *metric, const char *job, const char *instance,
    const char *name, const char *value)
{
	struct label_builder b;
	label_builder_init(&b, &mem);
	label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME), metric, strlen(metric));
	label_builder_set(&b, "job", 3, job, strlen(job));
	label_builder_set(&b, "instance", 8, instance, strlen(instance));
	label_builder_set(&b, name, strlen(name), value, strlen(value));
	all[i] = label_builder_done(&b);
}

static const struct {
	enum cardgone_form form;
	const char *text;
	bool goes;
} texts[] = {
	{ CARDGONE_NAME, "secret_total", true },
	{ CARDGONE_NAME, "__name__=secret_total", true },
	{ CARDGONE_NAME, "up", false },
	{ CARDGONE_NAME, "job=a", false },
	{ CARDGONE_NAME, "secret", true }, /* a label */
	{ CARDGONE_NAME, "secret=x=y", true },
	{ CARDGONE_NAME, "path", false },
	{ CARDGONE_NAME, "path=a=b", false },
	{ CARDGONE_NAME, "path=only", true },
	{ CARDGONE_NAME, "p=q", false },
	{ CARDGONE_NAME, "p=q=r", false },
	{ CARDGONE_NAME, "p=q=s", true },
	{ CARDGONE_NAME, "long ago", false },     /* in no series */
	{ CARDGONE_NAME, "touched_total", true }, /* in one that is not in memory */
	{ CARDGONE_NAME, "touched=v", true },
	{ CARDGONE_TARGET, "a/h:1", false },
	{ CARDGONE_TARGET, "ns/pod/h:2", true },
	{ CARDGONE_TARGET, "ns/pod/h:1", true }, /* its job is nowhere any more */
	{ CARDGONE_TARGET, "a/h:9", false },     /* was not there before */
	{ CARDGONE_TARGET, "t/i", true },
	{ CARDGONE_TARGET, "/h:1", false },
};

/* Series 3 to 5 are deleted, those of odd numbers are in shard 1. */
static void series_make(struct postings *p[SHARDS])
{
	make(0, "up", "a", "h:1", "path", "a=b");
	make(1, "up", "a", "h:1", "p=q", "r");
	make(2, "up", "b", "h:1", "path", "c");
	make(3, "secret_total", "ns/pod", "h:2", "secret", "x=y");
	make(4, "up", "a", "h:1", "path", "only");
	make(5, "secret_total", "a", "h:1", "p=q", "s");
	make(6, "touched_total", "t", "i", "touched", "v");
	for (unsigned i = 0; i < 6; i++)
		postings_add(p[i % SHARDS], i, all[i]);
}

static void look(
    const struct cardgone *g, struct cardgone_part *part, const struct postings *p, bool after)
{
	unsigned steps = 1;
	while (!cardgone_look(g, part, p, after, 2))
		steps++;
	TAP_OK(steps >= cardgone_count(g) / 2);
}

static struct cardgone *deletion(void)
{
	struct postings *p[SHARDS] = { postings_create(1, &labels), postings_create(2, &labels) };
	struct cardgone *g = cardgone_create(3);
	struct cardgone_part parts[SHARDS];
	series_make(p);
	for (unsigned twice = 0; twice < 2; twice++)
		for (unsigned i = 0; i < COUNT_OF(texts); i++)
			cardgone_add(g, texts[i].form, texts[i].text, strlen(texts[i].text), 255);
	cardgone_add(g, CARDGONE_NAME, "cut here", 8, 11);
	for (unsigned i = 0; i < SHARDS; i++) {
		cardgone_part_init(g, &parts[i]);
		look(g, &parts[i], p[i], false);
	}
	for (unsigned i = 3; i < 6; i++)
		postings_del(p[i % SHARDS], i, all[i]);
	cardgone_touch(g, &parts[0], all[6]);
	for (unsigned i = 0; i < SHARDS; i++) {
		look(g, &parts[i], p[i], true);
		cardgone_join(g, &parts[i], 0);
		cardgone_part_release(&parts[i]);
		postings_free(p[i]);
	}
	return g;
}

static void some_go(void)
{
	struct cardgone *g = deletion();
	tap_is_u64(cardgone_count(g), COUNT_OF(texts) + 1, "a text that is told twice is one");
	for (unsigned i = 0; i < COUNT_OF(texts); i++)
		tap_ok(cardgone_is(g, texts[i].form, texts[i].text, strlen(texts[i].text)) ==
		        texts[i].goes,
		    "%s %s", texts[i].text, texts[i].goes ? "goes" : "stays");
	tap_ok(!cardgone_is(g, CARDGONE_NAME, "other", 5) &&
	        !cardgone_is(g, CARDGONE_TARGET, "secret_total", 12),
	    "of what was not added nothing is said");
	struct cardgone_part none;
	cardgone_part_init(g, &none);
	tap_ok(cardgone_look(g, &none, NULL, true, 1), "a shard without the tenant has nothing");
	tap_ok(!cardgone_is(g, CARDGONE_NAME, "cut here", 8), "where no series was met nothing cut");
	cardgone_join(g, &none, 1);
	tap_ok(cardgone_is(g, CARDGONE_NAME, "cut here", 8),
	    "where one was, all that may be cut goes");
	cardgone_part_release(&none);
	cardgone_free(g);
}

int main(void)
{
	arena_init(&mem, 4096);
	some_go();
	arena_release(&mem);
	return tap_done();
}
