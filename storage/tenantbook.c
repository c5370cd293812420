#include "storage/tenantbook.h"

#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/wire.h"
#include "core/model/limits.h"
#include "storage/share.h"
#include "storage/store.h"

#define MAGIC       "KYMOTEN1"
#define FORMAT      1u
#define HEAD_BYTES  32u
#define NAME_OFF    8u
#define REC_BYTES   (NAME_OFF + TENANT_NAME_MAX)
#define FILE_MAX    (HEAD_BYTES + (size_t)REC_BYTES * TENANTBOOK_MAX)
#define TABLE_FIRST 16u
#define LOST_MAX    16u /* bytes of a name that stands for a lost one */

static const char *const copies[2] = { "TENANTS.a", "TENANTS.b" };
static const char *const asides[2] = { "TENANTS.a.damaged", "TENANTS.b.damaged" };

/* Names from id `first` on, and where each is. */
struct view {
	const char **names; /* NULL: lost, or not known yet */
	uint32_t first, count, cap;
	uint32_t *table; /* open addressing, at most half full: place in names + 1; 0 = free */
	uint32_t mask;
};
struct tenantbook {
	const struct tenantbook_env *env;
	struct view *views; /* [loops]; home's owns the names */
	/* home's */
	struct list_link waiting, batch; /* requests */
	struct view fresh;               /* names of the batch that nobody has yet */
	bool busy, stopping;
	bool torn[2]; /* a copy that is not as it should be: written whole the next time */
	/* what a start found */
	bool lost;         /* records that no copy has */
	uint64_t sums[2];  /* of the copies' bytes */
	size_t lengths[2]; /* 0: there is none that can be read */
	struct work_task task;
	enum err err;
	char why[160];
	struct mbox_msg walk;
	unsigned at; /* the loop it is on, or on its way to */
};

static void batch_begin(struct tenantbook *b);

/* ---- views ---- */

static uint32_t *place(const struct view *v, const char *name, size_t len)
{
	for (uint32_t i = (uint32_t)hash64(name, len, 0) & v->mask;; i = (i + 1) & v->mask) {
		uint32_t *at = &v->table[i];
		const char *have = *at ? v->names[*at - 1] : NULL;
		if (!have || bytes_equal(have, strlen(have), name, len))
			return at;
	}
}

static void view_init(struct view *v, uint32_t first)
{
	*v = (struct view){ .first = first, .mask = TABLE_FIRST - 1 };
	v->table = mem_zalloc(TABLE_FIRST * sizeof *v->table);
}

static void view_release(struct view *v)
{
	mem_free(v->names);
	mem_free(v->table);
	*v = (struct view){ 0 };
}

static void table_grow(struct view *v)
{
	mem_free(v->table);
	v->mask = v->mask * 2 + 1;
	v->table = mem_zalloc(((size_t)v->mask + 1) * sizeof *v->table);
	for (uint32_t i = 0; i < v->count; i++)
		if (v->names[i])
			*place(v, v->names[i], strlen(v->names[i])) = i + 1;
}

/* name NULL: the next id has none yet. */
static void view_add(struct view *v, const char *name)
{
	if (v->count == v->cap) {
		v->cap = v->cap ? v->cap * 2 : TABLE_FIRST;
		v->names = mem_array(v->names, v->cap, sizeof *v->names);
	}
	v->names[v->count++] = name;
	if (v->count > v->mask / 2)
		table_grow(v);
	else if (name)
		*place(v, name, strlen(name)) = v->count;
}

static uint32_t view_find(const struct view *v, const char *name, size_t len)
{
	uint32_t at = *place(v, name, len);
	return at ? v->first + at - 1 : TENANT_NONE;
}

static const struct view *view_here(const struct tenantbook *b)
{
	const struct loop *l = loop_here();
	return &b->views[l ? loop_index(l) : 0];
}

static char *name_dup(const char *name, size_t len)
{
	char *copy = mem_alloc(len + 1);
	memcpy(copy, name, len);
	copy[len] = 0;
	return copy;
}

/* ---- begin, end ---- */

static void walk_arrive(struct mbox_msg *msg);
static void task_run(struct work_task *t);
static void task_done(struct work_task *t);

struct tenantbook *tenantbook_create(const struct tenantbook_env *env)
{
	struct tenantbook *b = mem_zalloc(sizeof *b);
	b->env = env;
	b->views = mem_zalloc(env->loops * sizeof *b->views);
	for (unsigned i = 0; i < env->loops; i++)
		view_init(&b->views[i], 0);
	list_init(&b->waiting);
	list_init(&b->batch);
	b->walk.fn = walk_arrive;
	b->torn[0] = b->torn[1] = true;
	for (unsigned i = 0; i < env->loops; i++)
		view_add(&b->views[i],
		    i ? b->views[0].names[0]
		      : name_dup(TENANT_DEFAULT_NAME, strlen(TENANT_DEFAULT_NAME)));
	return b;
}

void tenantbook_free(struct tenantbook *b)
{
	if (!b)
		return;
	CHECK(!b->busy);
	for (uint32_t i = 0; i < b->views[0].count; i++)
		mem_free((void *)(uintptr_t)b->views[0].names[i]);
	for (unsigned i = 0; i < b->env->loops; i++)
		view_release(&b->views[i]);
	mem_free(b->views);
	mem_free(b);
}

/* ---- the files ---- */

static void head_put(struct buf *out)
{
	uint8_t head[HEAD_BYTES] = { 0 };
	memcpy(head, MAGIC, 8);
	wire_store32(head + 8, FORMAT);
	wire_store32(head + 12, REC_BYTES);
	wire_store32(head + 28, crc32c(0, head, 28));
	buf_add(out, head, sizeof head);
}

static bool is_lost(const char *name)
{
	return name[0] == '~';
}

/* Length 0: it is lost. */
static void record_put(struct buf *out, uint32_t id, const char *name)
{
	uint8_t rec[REC_BYTES] = { 0 };
	if (name && !is_lost(name)) {
		size_t len = strlen(name);
		wire_store32(rec + 4, (uint32_t)len);
		memcpy(rec + NAME_OFF, name, len);
	}
	wire_store32(rec, crc32c(id, rec + 4, REC_BYTES - 4));
	buf_add(out, rec, sizeof rec);
}

static bool record_get(const uint8_t *rec, uint32_t id, size_t *len)
{
	*len = wire_load32(rec + 4);
	if (wire_load32(rec) != crc32c(id, rec + 4, REC_BYTES - 4) || *len > TENANT_NAME_MAX)
		return false;
	return !*len || !tenant_name_check((const char *)rec + NAME_OFF, *len, NULL);
}

static void records_put(struct buf *out, const struct view *v, uint32_t from)
{
	for (uint32_t i = from; i < v->count; i++)
		record_put(out, v->first + i, v->names[i]);
}

/* All records there are, those of the batch too. */
static void image_put(const struct tenantbook *b, struct buf *out)
{
	buf_init(out);
	head_put(out);
	records_put(out, &b->views[0], 1);
	records_put(out, &b->fresh, 0);
}

static enum err copy_replace(const struct tenantbook *b, unsigned copy)
{
	struct buf image;
	image_put(b, &image);
	enum err e = fsio_replace(b->env->dir, copies[copy], image.data, image.len);
	buf_release(&image);
	return e;
}

static enum err copy_append(const struct tenantbook *b, unsigned copy)
{
	struct fsio_file *f;
	enum err e = fsio_open(b->env->dir, copies[copy], FSIO_WRITE, &f);
	if (e)
		return e;
	struct buf recs;
	buf_init(&recs);
	records_put(&recs, &b->fresh, 0);
	e = fsio_write_at(
	    f, recs.data, recs.len, HEAD_BYTES + (uint64_t)REC_BYTES * (b->fresh.first - 1));
	if (!e)
		e = fsio_sync(f);
	buf_release(&recs);
	fsio_close(f);
	return e;
}

/* Blocks. */
static enum err copy_write(struct tenantbook *b, unsigned copy)
{
	if (!b->torn[copy] && !copy_append(b, copy))
		return 0;
	enum err e = copy_replace(b, copy);
	b->torn[copy] = e != 0;
	return e;
}

static enum err head_check(const uint8_t *data, size_t len)
{
	if (len < HEAD_BYTES || memcmp(data, MAGIC, 7) != 0 ||
	    wire_load32(data + 28) != crc32c(0, data, 28))
		return ERR_DAMAGED;
	if (memcmp(data, MAGIC, 8) != 0 || wire_load32(data + 8) != FORMAT ||
	    wire_load32(data + 12) != REC_BYTES)
		return ERR_UNSUPPORTED;
	return 0;
}

struct copy {
	uint8_t *data;
	size_t len;
	enum err err;
};

/* What the system has not (descriptors, memory, rights) says nothing of a file. */
static bool says_nothing(enum err e)
{
	return e && e != ERR_DAMAGED && e != ERR_NOTFOUND && e != ERR_TRUNCATED &&
	    e != ERR_TOOBIG && e != ERR_IO;
}

static enum err copy_load(struct tenantbook *b, unsigned i, struct copy *c, struct errbuf *eb)
{
	const char *dir = fsio_dir_path(b->env->dir);
	c->err = fsio_load(b->env->dir, copies[i], FILE_MAX, &c->data, &c->len);
	if (says_nothing(c->err))
		return errbuf_set(
		    eb, c->err, "%s/%s cannot be read: %s", dir, copies[i], err_why(c->err));
	if (c->err == ERR_IO)
		LOG_WARN("tenants_copy", "file=%s err=\"%s\"", copies[i], err_why(c->err));
	if (c->err) {
		c->data = NULL;
		c->len = 0;
		return 0;
	}
	c->err = head_check(c->data, c->len);
	if (c->err == ERR_UNSUPPORTED)
		return errbuf_set(eb, c->err,
		    "%s/%s is of a later format than this program knows (%u)", dir, copies[i],
		    FORMAT);
	return 0;
}

static size_t records_of(const struct copy *c)
{
	return c->len < HEAD_BYTES ? 0 : (c->len - HEAD_BYTES) / REC_BYTES;
}

static const uint8_t *record_of(const struct copy *c, uint32_t id, size_t *len)
{
	if (id > records_of(c))
		return NULL;
	const uint8_t *rec = c->data + HEAD_BYTES + (size_t)REC_BYTES * (id - 1);
	return record_get(rec, id, len) ? rec : NULL;
}

/* Names up to the last record that either copy has whole. */
static void names_take(struct tenantbook *b, const struct copy c[2])
{
	struct view *v = &b->views[0];
	size_t n[2] = { records_of(&c[0]), records_of(&c[1]) }, all = n[n[1] > n[0]], len;
	while (
	    all && !record_of(&c[0], (uint32_t)all, &len) && !record_of(&c[1], (uint32_t)all, &len))
		all--;
	for (uint32_t id = 1; id <= all; id++) {
		const uint8_t *rec = record_of(&c[0], id, &len);
		if (!rec)
			rec = record_of(&c[1], id, &len);
		b->lost = b->lost || !rec;
		/* twice: one of them was never told to anybody */
		bool named =
		    rec && len && view_find(v, (const char *)rec + NAME_OFF, len) == TENANT_NONE;
		view_add(v, named ? name_dup((const char *)rec + NAME_OFF, len) : NULL);
	}
}

enum err tenantbook_load(struct tenantbook *b, struct errbuf *eb)
{
	struct copy c[2] = { { .err = 0 }, { .err = 0 } };
	enum err e = copy_load(b, 0, &c[0], eb);
	if (!e)
		e = copy_load(b, 1, &c[1], eb);
	if (!e)
		names_take(b, c);
	for (unsigned i = 0; i < 2 && !e; i++) {
		b->lengths[i] = c[i].len;
		b->sums[i] = hash64(c[i].data, c[i].len, 0);
	}
	mem_free(c[0].data);
	mem_free(c[1].data);
	return e;
}

static void copies_set_aside(struct tenantbook *b)
{
	for (unsigned i = 0; i < 2; i++) {
		enum err e = fsio_rename(b->env->dir, copies[i], asides[i]);
		if (e && e != ERR_NOTFOUND)
			LOG_WARN("tenants_copy", "file=%s err=\"%s\"", copies[i], err_why(e));
	}
	enum err e = fsio_dir_sync(b->env->dir);
	if (e)
		LOG_WARN("tenants_copy", "err=\"%s\"", err_why(e));
}

static void lost_name(struct tenantbook *b, uint32_t id)
{
	char name[LOST_MAX];
	snprintf(name, sizeof name, "~%u", id);
	b->views[0].names[id] = name_dup(name, strlen(name));
	LOG_WARN("tenant_lost",
	    "id=%u name=%s text=\"no copy of TENANTS has its name; its data is kept, and has it again when the copies are put back from a backup\"",
	    id, name);
}

/* The copies are as they should be, or written again. Blocks. */
static void copies_mend(struct tenantbook *b)
{
	struct buf image;
	if (b->lost)
		copies_set_aside(b);
	image_put(b, &image);
	uint64_t sum = hash64(image.data, image.len, 0);
	for (unsigned i = 0; i < 2; i++) {
		b->torn[i] = b->lost || b->lengths[i] != image.len || b->sums[i] != sum;
		if (!b->torn[i])
			continue;
		enum err e = copy_replace(b, i);
		b->torn[i] = e != 0;
		LOG_WARN("tenants_copy", "file=%s action=\"%s\" err=\"%s\"", copies[i],
		    e ? "cannot be written again" : "written again", e ? err_why(e) : "");
	}
	buf_release(&image);
}

void tenantbook_settle(struct tenantbook *b, uint32_t id_max)
{
	struct view *v = &b->views[0];
	if (id_max >= TENANTBOOK_MAX)
		id_max = 0;
	b->lost = b->lost || v->count <= id_max;
	while (v->count <= id_max)
		view_add(v, NULL);
	for (uint32_t id = 1; id < v->count; id++)
		if (!v->names[id])
			lost_name(b, id);
	if (v->count > 1) {
		latch_set(b->env->several);
		copies_mend(b);
	}
	for (unsigned i = 1; i < b->env->loops; i++)
		for (uint32_t id = 1; id < v->count; id++)
			view_add(&b->views[i], v->names[id]);
}

/* ---- finding ---- */

uint32_t tenantbook_find(const struct tenantbook *b, const char *name, size_t len)
{
	return view_find(view_here(b), name, len);
}

const char *tenantbook_name(const struct tenantbook *b, uint32_t id)
{
	const struct view *v = view_here(b);
	return id < v->count ? v->names[id] : NULL;
}

uint32_t tenantbook_count(const struct tenantbook *b)
{
	return view_here(b)->count;
}

/* ---- making, at home ---- */

static void req_told(struct mbox_msg *msg)
{
	struct store_tenant_req *r = CONTAINER_OF(msg, struct store_tenant_req, _msg);
	r->done(r);
}

static void req_end(struct store_tenant_req *r)
{
	r->_msg.fn = req_told;
	loop_send(r->_from, &r->_msg);
}

/* Ids of its names as home knows them; false: of one it does not. */
static bool req_fill(const struct tenantbook *b, struct store_tenant_req *r)
{
	bool all = true;
	for (size_t i = 0; i < r->count; i++) {
		r->ids[i] = view_find(&b->views[0], r->names[i], strlen(r->names[i]));
		all &= r->ids[i] != TENANT_NONE;
	}
	return all;
}

static void batch_end(struct tenantbook *b)
{
	struct list_link *l;
	while ((l = list_pop(&b->batch)) != NULL) {
		struct store_tenant_req *r = CONTAINER_OF(l, struct store_tenant_req, _link);
		if (!req_fill(b, r) && !r->err)
			r->err = errbuf_set(&r->eb, b->err ? b->err : ERR_BUG,
			    "new tenant cannot be kept: %s", b->why);
		req_end(r);
	}
	view_release(&b->fresh);
	b->busy = false;
	if (!list_empty(&b->waiting))
		batch_begin(b);
}

/* All loops take the new names, one after another; the last is home. */
static void walk_on(struct tenantbook *b)
{
	if (++b->at < b->env->loops)
		loop_send(b->env->shares[b->at]->loop, &b->walk);
	else
		loop_send(b->env->shares[0]->loop, &b->walk);
}

static void walk_arrive(struct mbox_msg *msg)
{
	struct tenantbook *b = CONTAINER_OF(msg, struct tenantbook, walk);
	if (b->at == b->env->loops) {
		batch_end(b);
		return;
	}
	loop_check_here(b->env->shares[b->at]->loop);
	for (uint32_t i = 0; i < b->fresh.count; i++)
		view_add(&b->views[b->at], b->fresh.names[i]);
	walk_on(b);
}

/* Blocks; the loops only read meanwhile. */
static void task_run(struct work_task *t)
{
	struct tenantbook *b = CONTAINER_OF(t, struct tenantbook, task);
	b->err = copy_write(b, 0);
	if (!b->err)
		b->err = copy_write(b, 1);
	if (b->err)
		snprintf(b->why, sizeof b->why, "%s", err_why(b->err));
}

static void task_done(struct work_task *t)
{
	struct tenantbook *b = CONTAINER_OF(t, struct tenantbook, task);
	if (b->err) {
		LOG_WARN("tenants_not_saved", "err=\"%s\"", b->why);
		for (uint32_t i = 0; i < b->fresh.count; i++)
			mem_free((void *)(uintptr_t)b->fresh.names[i]);
		batch_end(b);
		return;
	}
	latch_set(b->env->several);
	b->at = 0;
	walk_arrive(&b->walk);
}

static enum err too_many(struct store_tenant_req *r, const struct limits *l)
{
	char text[LIMITS_TEXT_MAX];
	return errbuf_set(&r->eb, ERR_TOOBIG, "no more tenants are taken: %s",
	    limits_text(l, LIMITS_tenants, text));
}

/* Names that nobody has become fresh. */
static void req_stage(struct tenantbook *b, struct store_tenant_req *r)
{
	const struct limits *l = r->limits ? r->limits : limits_here();
	uint64_t most = l->tenants > TENANTBOOK_MAX ? TENANTBOOK_MAX : l->tenants;
	for (size_t i = 0; i < r->count && !r->err; i++) {
		const char *name = r->names[i];
		size_t len = strlen(name);
		if (view_find(&b->views[0], name, len) != TENANT_NONE ||
		    view_find(&b->fresh, name, len) != TENANT_NONE)
			continue;
		r->err = tenant_name_check(name, len, &r->eb);
		if (!r->err && b->views[0].count + b->fresh.count >= most)
			r->err = too_many(r, l);
		if (!r->err)
			view_add(&b->fresh, name_dup(name, len));
	}
}

static void batch_begin(struct tenantbook *b)
{
	b->busy = true;
	b->err = 0;
	view_init(&b->fresh, b->views[0].count);
	list_move_all(&b->batch, &b->waiting);
	LIST_EACH(l, &b->batch)
		req_stage(b, CONTAINER_OF(l, struct store_tenant_req, _link));
	if (!b->fresh.count) {
		batch_end(b);
		return;
	}
	b->task = (struct work_task){ .run = task_run, .done = task_done, .prio = WORK_READ };
	work_submit(b->env->pool, &b->task);
}

static void req_arrive(struct mbox_msg *msg)
{
	struct store_tenant_req *r = CONTAINER_OF(msg, struct store_tenant_req, _msg);
	struct tenantbook *b = r->_book;
	if (b->stopping) {
		r->err = errbuf_set(&r->eb, ERR_STOPPING, "stopping");
		req_end(r);
		return;
	}
	list_add_tail(&b->waiting, &r->_link);
	if (!b->busy)
		batch_begin(b);
}

void tenantbook_make(struct tenantbook *b, struct store_tenant_req *r)
{
	r->_from = loop_here();
	CHECK(r->_from != NULL);
	r->_book = b;
	r->err = 0;
	errbuf_init(&r->eb);
	for (size_t i = 0; i < r->count; i++)
		r->ids[i] = TENANT_NONE;
	r->_msg.fn = req_arrive;
	loop_send(b->env->shares[0]->loop, &r->_msg);
}

void tenantbook_stop(struct tenantbook *b)
{
	struct list_link *l;
	b->stopping = true;
	while ((l = list_pop(&b->waiting)) != NULL) {
		struct store_tenant_req *r = CONTAINER_OF(l, struct store_tenant_req, _link);
		r->err = errbuf_set(&r->eb, ERR_STOPPING, "stopping");
		req_end(r);
	}
}

bool tenantbook_busy(const struct tenantbook *b)
{
	return b->busy;
}
