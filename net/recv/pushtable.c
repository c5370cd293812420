#include "net/recv/pushtable.h"

#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/rt/stripes.h"
#include "net/recv/pushset.h"
#include "proto/expo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS   16384u
#define LANE      192u /* the first of LANES; tenants by turns */
#define LANES     32u
#define FILE_MAX  ((size_t)1 << 30)
#define NAME_SIZE 48u
#define SUFFIX    ".group"
#define ROW_SEED  7u
#define TYPE_SEED 11u
#define ROW_COST  48u /* here and in the set */

struct tenant {
	struct list_link groups; /* by seq */
	uint64_t count, bytes, seq;
	struct pushset set; /* its lane's alone, as count and bytes */
};
struct pushtable {
	struct stripes *lock; /* of buckets, lists, refs and the table of tenants */
	struct pushgroup **buckets;
	struct tenant **tenants; /* by id */
	size_t tenants_count;
	struct list_link due; /* oldest first */
	struct fsio_dir *dir; /* NULL: nothing is kept */
	enum err no_dir;      /* why, where it should be: nothing is taken then */
};

static void lock(struct pushtable *t)
{
	stripes_lock(t->lock, 0);
}

static void unlock(struct pushtable *t)
{
	stripes_unlock(t->lock, 0);
}

struct pushtable *pushtable_create(void)
{
	struct pushtable *t = mem_zalloc(sizeof(*t));
	t->lock = stripes_create(1);
	t->buckets = mem_zalloc(BUCKETS * sizeof(*t->buckets));
	list_init(&t->due);
	return t;
}

unsigned pushtable_lane(uint32_t tenant)
{
	return LANE + tenant % LANES;
}

/* ---- under the lock ---- */

static struct tenant *tenant_of(struct pushtable *t, uint32_t id)
{
	return id < t->tenants_count ? t->tenants[id] : NULL;
}

static struct tenant *tenant_get(struct pushtable *t, uint32_t id)
{
	if (id >= t->tenants_count) {
		size_t count = (size_t)id + 64;
		t->tenants = mem_array(t->tenants, count, sizeof(*t->tenants));
		memset(t->tenants + t->tenants_count, 0,
		    (count - t->tenants_count) * sizeof(*t->tenants));
		t->tenants_count = count;
	}
	if (!t->tenants[id]) {
		t->tenants[id] = mem_zalloc(sizeof(**t->tenants));
		list_init(&t->tenants[id]->groups);
	}
	return t->tenants[id];
}

static struct pushgroup **place(struct pushtable *t, uint32_t tenant, struct labels labels)
{
	struct hash128 h = pushgroup_hash(tenant, labels);
	struct pushgroup **at = &t->buckets[h.lo % BUCKETS];
	while (*at &&
	    !((*at)->tenant == tenant && (*at)->hash.hi == h.hi && label_equal((*at)->labels, labels)))
		at = &(*at)->next;
	return at;
}

static void unlink_group(struct pushtable *t, struct pushgroup *g)
{
	struct pushgroup **at = place(t, g->tenant, g->labels);
	CHECK(*at == g);
	*at = g->next;
	g->gone = true;
	list_del(&g->by_tenant);
	list_del(&g->by_due);
}

/* before: the one whose place it takes; NULL: the last. */
static void link_group(struct pushtable *t, struct pushgroup *g, struct pushgroup *before)
{
	struct tenant *of = tenant_get(t, g->tenant);
	g->refs++;
	g->seq = before ? before->seq : ++of->seq;
	list_add_tail(before ? &before->by_tenant : &of->groups, &g->by_tenant);
	list_add_tail(&t->due, &g->by_due);
	if (before)
		unlink_group(t, before);
	struct pushgroup **at = place(t, g->tenant, g->labels);
	g->next = *at;
	*at = g;
}

/* ---- held groups ---- */

void pushtable_let_go(struct pushtable *t, struct pushgroup *g)
{
	if (!g)
		return;
	lock(t);
	bool last = --g->refs == 0;
	unlock(t);
	if (last)
		pushgroup_free(g);
}

static struct pushgroup *find(struct pushtable *t, uint32_t tenant, struct labels labels)
{
	lock(t);
	struct pushgroup *g = *place(t, tenant, labels);
	if (g)
		g->refs++;
	unlock(t);
	return g;
}

static struct list_link *behind(struct tenant *of, const struct pushgroup *prev)
{
	struct list_link *l = of->groups.next;
	if (!prev)
		return l;
	if (!prev->gone)
		return prev->by_tenant.next;
	while (l != &of->groups && CONTAINER_OF(l, struct pushgroup, by_tenant)->seq <= prev->seq)
		l = l->next;
	return l;
}

struct pushgroup *pushtable_next(struct pushtable *t, uint32_t tenant, struct pushgroup *prev)
{
	struct pushgroup *g = NULL;
	lock(t);
	struct tenant *of = tenant_of(t, tenant);
	struct list_link *l = of ? behind(of, prev) : NULL;
	if (l && l != &of->groups) {
		g = CONTAINER_OF(l, struct pushgroup, by_tenant);
		g->refs++;
	}
	unlock(t);
	pushtable_let_go(t, prev);
	return g;
}

static int64_t time_next(struct pushgroup *g, int64_t now_ms)
{
	g->last_ms = now_ms > g->last_ms ? now_ms : g->last_ms + 1;
	return g->last_ms;
}

struct pushgroup *pushtable_due(struct pushtable *t, bool any, uint32_t tenant, uint64_t now_ns,
    uint64_t repeat_ns, int64_t now_ms, int64_t *t_ms)
{
	struct pushgroup *g = NULL;
	lock(t);
	if (!list_empty(&t->due))
		g = CONTAINER_OF(t->due.next, struct pushgroup, by_due);
	if (g && (g->due_ns > now_ns || (!any && g->tenant != tenant)))
		g = NULL;
	if (g) {
		list_del(&g->by_due);
		list_add_tail(&t->due, &g->by_due);
		g->due_ns = now_ns + repeat_ns;
		g->refs++;
		*t_ms = time_next(g, now_ms);
	}
	unlock(t);
	return g;
}

/* ---- what is in common ---- */

static uint64_t row_hash(const struct push_row *r)
{
	return hash64(r->labels, r->labels_len, ROW_SEED) | 1;
}

static uint64_t family_hash(const struct push_family *f)
{
	return hash64(f->name, f->name_len, TYPE_SEED) | 1;
}

static void set_rows(struct pushset *s, const struct pushgroup *g)
{
	for (uint32_t i = 0; i < g->families_count; i++)
		for (uint32_t k = 0; k < g->families[i].rows_count; k++)
			pushset_add(s, row_hash(&g->families[i].rows[k]), 0);
}

static uint64_t cost(const struct pushgroup *g)
{
	return arena_used(&g->arena) + g->rows * ROW_COST;
}

static void account(struct tenant *of, struct pushgroup *g, bool add)
{
	if (add)
		g->cost = cost(g);
	of->count += add ? 1 : UINT64_MAX;
	of->bytes += add ? g->cost : 0 - g->cost;
	for (uint32_t i = 0; i < g->families_count; i++) {
		const struct push_family *f = &g->families[i];
		if (add)
			pushset_add(&of->set, family_hash(f), f->type);
		else
			pushset_remove(&of->set, family_hash(f));
		for (uint32_t k = 0; k < f->rows_count; k++) {
			if (add)
				pushset_add(&of->set, row_hash(&f->rows[k]), 0);
			else
				pushset_remove(&of->set, row_hash(&f->rows[k]));
		}
	}
}

/* As the Pushgateway shows a metric: { label:<name:"a" value:"b" > } */
static enum err inconsistent(
    struct push_change *c, const struct push_family *f, const struct push_row *r, const char *what)
{
	struct buf b;
	struct label l;
	buf_init(&b);
	b.limit = ERRBUF_SIZE / 2;
	bool instance = true;
	struct label_iter it = label_iter((struct labels){ r->labels, r->labels_len });
	while (label_next(&it, &l)) {
		int order = bytes_cmp(l.name, l.name_len, "instance", 8);
		if (instance && order > 0)
			buf_add_str(&b, "label:<name:\"instance\" value:\"\" > ");
		instance &= order < 0;
		if (!label_is_name(&l))
			buf_printf(&b, "label:<name:\"%.*s\" value:\"%.*s\" > ", (int)l.name_len,
			    l.name, (int)l.value_len, l.value);
	}
	enum err e = errbuf_set(&c->eb, ERR_BADDATA, "collected metric \"%.*s\" { %.*s} %s",
	    (int)(f->name_len < 200 ? f->name_len : 200), f->name, (int)b.len,
	    b.data ? (const char *)b.data : "", what);
	buf_release(&b);
	return e;
}

static enum err type_fits(struct push_change *c, const struct tenant *of,
    const struct pushgroup *old, const struct push_family *f)
{
	static const char *const names[EXPO_TYPES] = { "is not a UNTYPED", "is not a COUNTER",
		"is not a GAUGE", "is not a HISTOGRAM", "is not a GAUGE_HISTOGRAM",
		"is not a SUMMARY", "is not a UNTYPED", "is not a UNTYPED" };
	const struct pushset_entry *e = pushset_find(&of->set, family_hash(f));
	uint32_t mine = old && pushgroup_family(old, f->name, f->name_len);
	if (!e || e->count <= mine || e->type == f->type || !f->rows_count)
		return ERR_OK;
	return inconsistent(c, f, &f->rows[0], names[e->type]);
}

/* With the groups of others, and with itself. */
static enum err consistent(struct push_change *c, const struct tenant *of,
    const struct pushgroup *old, const struct pushgroup *g)
{
	struct pushset mine = { 0 }, olds = { 0 };
	enum err e = ERR_OK;
	if (old)
		set_rows(&olds, old);
	for (uint32_t i = 0; i < g->families_count && !e; i++) {
		const struct push_family *f = &g->families[i];
		e = type_fits(c, of, old, f);
		for (uint32_t k = 0; k < f->rows_count && !e; k++) {
			uint64_t h = row_hash(&f->rows[k]);
			const struct pushset_entry *all = pushset_find(&of->set, h);
			uint32_t others = (all ? all->count : 0) - (pushset_find(&olds, h) ? 1 : 0);
			if (others || pushset_find(&mine, h))
				e = inconsistent(c, f, &f->rows[k],
				    "was collected before with the same name and label values");
			pushset_add(&mine, h, 0);
		}
	}
	pushset_release(&mine);
	pushset_release(&olds);
	return e;
}

static enum err fits(struct push_change *c, const struct tenant *of, const struct pushgroup *old,
    const struct pushgroup *g)
{
	uint64_t bytes = of->bytes + cost(g) - (old ? old->cost : 0);
	if (!old && of->count >= c->max_groups)
		return errbuf_set(&c->eb, ERR_TOOBIG,
		    "there are %" PRIu64 " groups: limit %" PRIu64
		    " (receivers.pushgateway.max_groups)",
		    of->count, c->max_groups);
	if (bytes > c->max_bytes)
		return errbuf_set(&c->eb, ERR_TOOBIG,
		    "groups would take %" PRIu64 " bytes: limit %" PRIu64
		    " (receivers.pushgateway.max_bytes)",
		    bytes, c->max_bytes);
	return ERR_OK;
}

/* ---- files ---- */

static void file_name(const struct pushgroup *g, char out[NAME_SIZE])
{
	(void)snprintf(out, NAME_SIZE, "%016" PRIx64 "%016" PRIx64 SUFFIX, g->hash.hi, g->hash.lo);
}

static enum err write_file(struct pushtable *t, struct push_change *c, const struct pushgroup *g)
{
	char name[NAME_SIZE];
	struct buf b;
	if (!t->dir)
		return t->no_dir
		    ? errbuf_set(&c->eb, t->no_dir, "groups cannot be kept: %s", err_why(t->no_dir))
		    : ERR_OK;
	buf_init(&b);
	pushgroup_encode(g, &b);
	file_name(g, name);
	enum err e = fsio_replace(t->dir, name, b.data, b.len);
	buf_release(&b);
	return e ? errbuf_set(&c->eb, e, "the group cannot be written: %s", err_why(e)) : ERR_OK;
}

static enum err remove_file(struct pushtable *t, struct push_change *c, const struct pushgroup *g)
{
	char name[NAME_SIZE];
	if (!t->dir)
		return ERR_OK;
	file_name(g, name);
	enum err e = fsio_remove(t->dir, name);
	if (!e || e == ERR_NOTFOUND)
		return ERR_OK;
	return errbuf_set(&c->eb, e, "the group cannot be removed: %s", err_why(e));
}

/* Files that were removed stay so. */
static enum err sync_removed(struct pushtable *t, struct push_change *c)
{
	enum err e = t->dir ? fsio_dir_sync(t->dir) : ERR_OK;
	return e ? errbuf_set(&c->eb, e, "the group cannot be removed: %s", err_why(e)) : ERR_OK;
}

/* ---- changes ---- */

static void keep_old(struct push_change *c, struct pushgroup *old)
{
	if (c->olds_count == c->olds_cap) {
		c->olds_cap = c->olds_cap ? 2 * c->olds_cap : 4;
		c->olds = mem_array(c->olds, c->olds_cap, sizeof(struct pushgroup *));
	}
	c->olds[c->olds_count++] = old;
}

static void row(struct push_change *c, const struct push_row *r, int64_t t_ms, bool stale)
{
	struct batch_row *to = batch_add(&c->batch);
	*to = (struct batch_row){ .labels = r->labels, .labels_len = r->labels_len, .t_ms = t_ms };
	to->v = stale ? sample_stale() : r->v;
	if (!stale && r->hist) {
		struct batch_extra *x = arena_alloc(&c->group->arena, sizeof(*x));
		*x = (struct batch_extra){ .v = r->v, .hist = r->hist };
		batch_row_extra(&c->batch, to, x);
	}
}

static void rows_new(struct push_change *c, int64_t t_ms)
{
	struct pushgroup *g = c->group;
	for (uint32_t i = 0; i < g->families_count; i++) {
		const struct push_family *f = &g->families[i];
		*batch_add_meta(&c->batch) = (struct batch_meta){ .family = f->name,
			.help = f->help,
			.unit = f->unit,
			.family_len = f->name_len,
			.help_len = f->help_len,
			.unit_len = f->unit_len,
			.type = f->type };
		for (uint32_t k = 0; k < f->rows_count; k++)
			row(c, &f->rows[k], t_ms, false);
	}
}

/* Series of old that g does not have; g NULL: all. */
static void rows_gone(
    struct push_change *c, const struct pushgroup *old, const struct pushgroup *g, int64_t t_ms)
{
	struct pushset now = { 0 };
	if (g)
		set_rows(&now, g);
	for (uint32_t i = 0; i < old->families_count; i++)
		for (uint32_t k = 0; k < old->families[i].rows_count; k++)
			if (!pushset_find(&now, row_hash(&old->families[i].rows[k])))
				row(c, &old->families[i].rows[k], t_ms, true);
	pushset_release(&now);
}

/* Takes the place of old (may be NULL), which is held and goes into the change. */
static void take_place(
    struct pushtable *t, struct push_change *c, struct tenant *of, struct pushgroup *old)
{
	struct pushgroup *g = c->group;
	int64_t t_ms;
	lock(t);
	g->last_ms = old ? old->last_ms : 0;
	g->due_ns = c->now_ns;
	t_ms = time_next(g, c->now_ms);
	link_group(t, g, old);
	if (old)
		old->refs--; /* the table's */
	unlock(t);
	if (old) {
		account(of, old, false);
		keep_old(c, old);
		rows_gone(c, old, g, t_ms);
	}
	account(of, g, true);
	rows_new(c, t_ms);
}

static void removed(
    struct pushtable *t, struct push_change *c, struct tenant *of, struct pushgroup *old)
{
	lock(t);
	int64_t t_ms = time_next(old, c->now_ms);
	unlink_group(t, old);
	old->refs--;
	unlock(t);
	account(of, old, false);
	keep_old(c, old);
	rows_gone(c, old, NULL, t_ms);
}

/* Something is wrong with a push: its group is as it was, and says when that happened. */
static void failed(
    struct pushtable *t, struct push_change *c, struct tenant *of, struct pushgroup *old)
{
	struct errbuf told = c->eb;
	struct pushgroup *g = pushgroup_new(c->tenant, c->labels);
	if (old)
		pushgroup_keep(g, old);
	pushgroup_times(g, old ? old->pushed_ms : 0, c->now_ms);
	if ((old || !fits(c, of, NULL, g)) && !write_file(t, c, g)) {
		c->group = g;
		take_place(t, c, of, old);
	} else {
		pushgroup_free(g);
		pushtable_let_go(t, old);
	}
	c->eb = told;
}

static enum err say_inconsistent(struct push_change *c, enum err e)
{
	struct errbuf told = c->eb;
	errbuf_init(&c->eb);
	return errbuf_set(&c->eb, e,
	    "pushed metrics are invalid or inconsistent with existing metrics: %s", told.text);
}

static void push(struct pushtable *t, struct push_change *c, struct tenant *of)
{
	struct pushgroup *old = find(t, c->tenant, c->labels);
	struct pushgroup *g = pushgroup_new(c->tenant, c->labels);
	g->max_bytes = c->max_bytes;
	c->err = pushgroup_read(g, c->form, c->body, c->body_len, c->limits, c->now_ms, &c->eb);
	if (c->err == ERR_MALFORMED) {
		pushgroup_free(g);
		pushtable_let_go(t, old);
		return;
	}
	if (!c->err && old && c->op == PUSH_MERGE)
		pushgroup_keep(g, old);
	if (!c->err)
		c->err = consistent(c, of, old, g);
	if (c->err && c->err != ERR_TOOBIG)
		c->err = say_inconsistent(c, c->err);
	pushgroup_times(g, c->now_ms, old ? old->failed_ms : 0);
	if (!c->err)
		c->err = fits(c, of, old, g);
	if (c->err) {
		pushgroup_free(g);
		failed(t, c, of, old);
		return;
	}
	c->err = write_file(t, c, g);
	if (c->err) {
		pushgroup_free(g);
		pushtable_let_go(t, old);
		return;
	}
	c->group = g;
	take_place(t, c, of, old);
}

static void drop(struct pushtable *t, struct push_change *c, struct tenant *of)
{
	struct pushgroup *old = find(t, c->tenant, c->labels);
	if (!old || (c->op == PUSH_EXPIRE && old != c->expected)) {
		pushtable_let_go(t, old);
		return;
	}
	c->err = remove_file(t, c, old);
	if (!c->err)
		c->err = sync_removed(t, c);
	if (c->err)
		pushtable_let_go(t, old);
	else
		removed(t, c, of, old);
}

static void wipe(struct pushtable *t, struct push_change *c, struct tenant *of)
{
	struct pushgroup *g;
	while (!c->err && (g = pushtable_next(t, c->tenant, NULL))) {
		c->err = remove_file(t, c, g);
		if (c->err)
			pushtable_let_go(t, g);
		else
			removed(t, c, of, g);
	}
	if (!c->err)
		c->err = sync_removed(t, c);
}

void pushtable_change(struct pushtable *t, struct push_change *c)
{
	errbuf_init(&c->eb);
	batch_init(&c->batch);
	c->batch.tenant = c->tenant;
	c->err = ERR_OK;
	lock(t);
	struct tenant *of = tenant_get(t, c->tenant);
	unlock(t);
	switch (c->op) {
	case PUSH_REPLACE:
	case PUSH_MERGE:
		push(t, c, of);
		break;
	case PUSH_DELETE:
	case PUSH_EXPIRE:
		drop(t, c, of);
		break;
	case PUSH_WIPE:
		wipe(t, c, of);
		break;
	}
}

void pushtable_change_release(struct pushtable *t, struct push_change *c)
{
	batch_release(&c->batch);
	pushtable_let_go(t, c->group);
	for (size_t i = 0; i < c->olds_count; i++)
		pushtable_let_go(t, c->olds[i]);
	mem_free(c->olds);
	c->group = NULL;
	c->olds = NULL;
	c->olds_count = c->olds_cap = 0;
}

/* ---- from start to end ---- */

static enum err load_one(void *arg, const char *name)
{
	struct pushtable *t = arg;
	uint8_t *data;
	size_t len, n = strlen(name), tail = sizeof(SUFFIX) - 1;
	char right[NAME_SIZE];
	if (n > 4 && strcmp(name + n - 4, ".tmp") == 0) { /* a crash came before it was whole */
		if (fsio_remove(t->dir, name))
			LOG_WARN("pushed_group_stays", "file=\"%s/%s\" what=\"cannot be removed\"",
			    fsio_dir_path(t->dir), name);
		return ERR_OK;
	}
	if (n < tail || strcmp(name + n - tail, SUFFIX) != 0)
		return ERR_OK;
	enum err e = fsio_load(t->dir, name, FILE_MAX, &data, &len);
	struct pushgroup *g = e ? NULL : pushgroup_decode(data, len);
	if (!e)
		mem_free(data);
	if (g)
		file_name(g, right);
	if (!g || strcmp(name, right) != 0) {
		LOG_WARN("pushed_group_damaged", "file=\"%s/%s\" err=\"%s\"", fsio_dir_path(t->dir),
		    name, e ? err_why(e) : "it is damaged, and left out");
		pushgroup_free(g);
		return ERR_OK;
	}
	link_group(t, g, NULL);
	g->refs--;
	account(tenant_get(t, g->tenant), g, true);
	return ERR_OK;
}

void pushtable_keep(struct pushtable *t, const char *data_dir)
{
	struct fsio_dir *top;
	enum err e = fsio_dir_open(data_dir, false, &top);
	if (!e) {
		e = fsio_dir_sub(top, PUSHTABLE_DIR, true, &t->dir);
		fsio_dir_close(top);
	}
	if (e)
		t->no_dir = e;
	else
		e = fsio_dir_each(t->dir, load_one, t);
	if (e)
		LOG_ERROR("pushed_groups_lost",
		    "err=\"%s\" what=\"groups that were pushed cannot be read, nor kept\"",
		    err_why(e));
}

void pushtable_free(struct pushtable *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->tenants_count; i++) {
		struct tenant *of = t->tenants[i];
		if (!of)
			continue;
		while (!list_empty(&of->groups)) {
			struct list_link *l = of->groups.next;
			struct pushgroup *g = CONTAINER_OF(l, struct pushgroup, by_tenant);
			unlink_group(t, g);
			pushgroup_free(g);
		}
		pushset_release(&of->set);
		mem_free(of);
	}
	mem_free(t->tenants);
	mem_free(t->buckets);
	if (t->dir)
		fsio_dir_close(t->dir);
	stripes_free(t->lock);
	mem_free(t);
}
