/*
 * core/seam/tenantsrc above a source that is a list of series: one tenant goes through untouched;
 * of several, labels, matchers, names and values are as Mimir's tenant federation has them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/model/tenant.h"
#include "core/seam/tenantsrc.h"
#include "tests/lib/tap.h"

/* ---- a list of series ---- */

struct one {
	uint32_t tenant;
	struct labels ls;
};
static struct one list[16];
static unsigned list_count, opens, misasked;
static struct fuzzy_scratch scratch;
static struct arena arena;

struct walk {
	struct source_cursor base;
	const struct source_query *q;
	size_t tenant, at;
	bool paused; /* SOURCE_AGAIN before each item */
	struct label_iter it;
	bool inside;
};

static bool holds(const struct walk *w, const struct one *s)
{
	return s->tenant == w->q->tenants[w->tenant] &&
	    matcher_labels(w->q->matchers, w->q->matchers_count, s->ls) == REX_YES;
}

static enum source_state names_next(struct walk *w, struct source_item *out)
{
	struct label l;
	if (!label_next(&w->it, &l)) {
		w->inside = false;
		w->at++;
		return SOURCE_AGAIN;
	}
	bool values = w->q->what == SOURCE_LABEL_VALUES;
	if (values && !bytes_equal(l.name, l.name_len, w->q->label, w->q->label_len))
		return SOURCE_AGAIN;
	out->text = values ? l.value : l.name;
	out->text_len = values ? l.value_len : l.name_len;
	double score;
	if (w->q->find && !fuzzy_score(w->q->find->fuzzy, &scratch, out->text, out->text_len, &score))
		return SOURCE_AGAIN;
	return SOURCE_READY;
}

static enum source_state walk_next(struct source_cursor *c, struct source_item *out)
{
	struct walk *w = CONTAINER_OF(c, struct walk, base);
	if (w->inside)
		return names_next(w, out);
	w->paused = !w->paused;
	if (w->paused)
		return SOURCE_AGAIN;
	for (; w->tenant < w->q->tenants_count; w->tenant++, w->at = 0) {
		for (; w->at < list_count; w->at++) {
			const struct one *s = &list[w->at];
			if (!holds(w, s))
				continue;
			if (w->q->what >= SOURCE_LABEL_NAMES) {
				w->inside = true;
				w->it = label_iter(s->ls);
				return SOURCE_AGAIN;
			}
			*out = (struct source_item){ .tenant = s->tenant, .labels = s->ls };
			w->at++;
			return SOURCE_READY;
		}
	}
	c->warnings[0] = "a warning";
	c->warnings_count = 1;
	return SOURCE_END;
}

static void walk_close(struct source_cursor *c)
{
	opens--;
	free(CONTAINER_OF(c, struct walk, base));
}

static const struct source_cursor_ops walk_ops = { .next = walk_next, .close = walk_close };

static enum err walk_open(
    struct source *s, unsigned shard, const struct source_query *q, struct source_cursor **out)
{
	(void)s;
	(void)shard;
	struct walk *w = calloc(1, sizeof(*w));
	w->base.ops = &walk_ops;
	w->q = q;
	opens++;
	misasked += q->find && q->what != SOURCE_LABEL_NAMES && q->what != SOURCE_LABEL_VALUES;
	*out = &w->base;
	return 0;
}

static unsigned one_shard(struct source *s)
{
	(void)s;
	return 1;
}

static const struct source_ops list_ops = { .shards = one_shard, .open = walk_open };
static struct source list_source = { .ops = &list_ops };
static struct tenantsrc src;

static const char *name_of(void *arg, uint32_t tenant)
{
	static const char *const names[] = { "default", "acme", "zoo" };
	(void)arg;
	return tenant < 3 ? names[tenant] : NULL;
}

static void add(uint32_t tenant, struct labels ls)
{
	list[list_count++] = (struct one){ tenant, ls };
}

/* ---- asking ---- */

static const struct source_find *searched; /* of all questions from now on */

static const char *ask(enum source_what what, const char *label, const uint32_t *tenants,
    size_t tenants_count, const struct matcher *ms, size_t ms_count)
{
	static char text[4096];
	struct source_query q = { .what = what,
		.label = label,
		.label_len = label ? strlen(label) : 0,
		.tenants = tenants,
		.tenants_count = tenants_count,
		.matchers = ms,
		.matchers_count = ms_count,
		.find = searched };
	struct source_cursor *c;
	struct source_item item;
	struct buf b;
	buf_init(&b);
	if (src.source.ops->open(&src.source, 0, &q, &c))
		return "open failed";
	for (unsigned turns = 0; turns < 10000; turns++) {
		enum source_state st = c->ops->next(c, &item);
		if (st == SOURCE_AGAIN)
			continue;
		if (st != SOURCE_READY)
			break;
		if (b.len)
			buf_add_u8(&b, ' ');
		if (what >= SOURCE_LABEL_NAMES)
			buf_add(&b, item.text, item.text_len);
		else if (label_is_canonical(item.labels))
			label_text_metric(&b, item.labels);
		else
			buf_add_str(&b, "(not canonical)");
	}
	c->ops->close(c);
	snprintf(text, sizeof(text), "%.*s", (int)b.len, b.len ? (const char *)b.data : "");
	buf_release(&b);
	return text;
}

static const char *series(const uint32_t *tenants, size_t count, const struct matcher *ms, size_t n)
{
	return ask(SOURCE_SERIES, NULL, tenants, count, ms, n);
}

static struct matcher match(enum matcher_type type, const char *name, const char *value)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&m, type, name, strlen(name), value, strlen(value), &eb))
		tap_ok(false, "matcher: %s", eb.text);
	return m;
}

static const uint32_t both[] = { 1, 2 }, acme[] = { 1 }, some[] = { 1, TENANT_NONE, 7, 2 },
                      nobody[] = { TENANT_NONE, 7 };

static void labels_are_added(void)
{
	tap_is_str(series(acme, 1, NULL, 0), "up{job=\"a\"} up{job=\"b\", zone=\"x\"}",
	    "one tenant goes through as it is");
	tap_is_str(series(both, 2, NULL, 0),
	    "up{__tenant_id__=\"acme\", job=\"a\"} up{__tenant_id__=\"acme\", job=\"b\", zone=\"x\"} "
	    "up{__tenant_id__=\"zoo\", job=\"a\"} "
	    "{A=\"1\", __tenant_id__=\"zoo\", original___tenant_id__=\"own\"}",
	    "several: each series says whose it is, its own label of that name steps aside");
	tap_is_str(
	    series(some, 4, NULL, 0), series(both, 2, NULL, 0), "who does not exist has nothing");
	tap_is_str(series(nobody, 2, NULL, 0), "", "not even alone");
}

static void matchers_choose(void)
{
	struct matcher ms[2];
	ms[0] = match(MATCHER_EQ, "__tenant_id__", "zoo");
	ms[1] = match(MATCHER_EQ, "job", "a");
	tap_is_str(series(both, 2, ms, 2), "up{__tenant_id__=\"zoo\", job=\"a\"}",
	    "a matcher on __tenant_id__ chooses");
	ms[0] = match(MATCHER_NE, "__tenant_id__", "zoo");
	tap_is_str(series(both, 2, ms, 2), "up{__tenant_id__=\"acme\", job=\"a\"}", "the other one");
	ms[0] = match(MATCHER_RE, "__tenant_id__", "a.*|zoo");
	tap_is_str(series(both, 2, ms, 2),
	    "up{__tenant_id__=\"acme\", job=\"a\"} up{__tenant_id__=\"zoo\", job=\"a\"}",
	    "by expression");
	matcher_release(&ms[0]);
	ms[0] = match(MATCHER_EQ, "__tenant_id__", "");
	tap_is_str(series(both, 2, ms, 1), "", "nobody has an empty name");
	ms[0] = match(MATCHER_EQ, "original___tenant_id__", "own");
	tap_is_str(series(both, 2, ms, 1),
	    "{A=\"1\", __tenant_id__=\"zoo\", original___tenant_id__=\"own\"}",
	    "original___tenant_id__ is the series' own");
	ms[0] = match(MATCHER_EQ, "__tenant_id__", "own");
	tap_is_str(series(&both[1], 1, ms, 1), "{A=\"1\", __tenant_id__=\"own\"}",
	    "of one tenant it is a label like others");
}

static void names_and_values(void)
{
	struct matcher m = match(MATCHER_EQ, "job", "b");
	tap_is_str(ask(SOURCE_LABEL_NAMES, NULL, both, 2, &m, 1), "__name__ job zone __tenant_id__",
	    "names have the label where there is any");
	tap_ok(strstr(ask(SOURCE_LABEL_NAMES, NULL, both, 2, NULL, 0), "original___tenant_id__"),
	    "and what stepped aside");
	tap_is_str(ask(SOURCE_LABEL_NAMES, NULL, nobody, 2, NULL, 0), "", "no names of nobody");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "__tenant_id__", both, 2, NULL, 0), "acme zoo",
	    "values of the label are the tenants");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "__tenant_id__", both, 2, &m, 1), "acme",
	    "those that have such a series");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "original___tenant_id__", both, 2, NULL, 0), "own",
	    "of the other one the series' own");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "zone", both, 2, NULL, 0), "x", "others as they are");
}

/* What is sought narrows what is asked below only where nothing else follows from it. */
static void searches(void)
{
	struct fuzzy f;
	const struct source_find find = { .fuzzy = &f, .order = PICK_TEXT, .max = 5 };
	fuzzy_init(&f, FUZZY_SUBSEQUENCE, 1, false);
	tap_ok(fuzzy_add(&f, &arena, "__tenant", 8), "a search for the label");
	searched = &find;
	tap_ok(strstr(ask(SOURCE_LABEL_NAMES, NULL, both, 2, NULL, 0), "__tenant_id__"),
	    "finds it, though no series' own names fit");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "__tenant_id__", both, 2, NULL, 0), "acme zoo",
	    "its values do not hang on whether series' own texts fit");
	tap_is_str(ask(SOURCE_LABEL_VALUES, "zone", both, 2, NULL, 0), "",
	    "those of others are searched below");
	tap_is_u64(misasked, 0, "nothing is sought among series");
	searched = NULL;
}

int main(void)
{
	arena_init(&arena, 4096);
	fuzzy_scratch_init(&scratch);
	add(1, label_make(&arena, "__name__", "up", "job", "a", NULL));
	add(1, label_make(&arena, "__name__", "up", "job", "b", "zone", "x", NULL));
	add(2, label_make(&arena, "__name__", "up", "job", "a", NULL));
	add(2, label_make(&arena, "A", "1", "__tenant_id__", "own", NULL));
	tenantsrc_init(&src, &list_source, name_of, NULL);
	labels_are_added();
	matchers_choose();
	names_and_values();
	searches();
	tap_is_u64(opens, 0, "every cursor was closed");
	arena_release(&arena);
	return tap_done();
}
