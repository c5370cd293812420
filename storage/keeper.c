#include "storage/keeper.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/rt/job.h"
#include "storage/append/intake.h"
#include "storage/store.h"
#include "storage/tenantbook.h"

#define MAGIC        "KYMOMETA"
#define NAME         "METADATA"
#define ASIDE        "METADATA.damaged"
#define FORMAT       2u
#define FORMAT_OLD   1u /* numbers are shard 0's */
#define READ_TRIES   3u
#define PART_FIRST   8u
#define PUT_LOOK     32u /* families taken between two looks at the clock */
#define GET_LOOK     64u /* families copied between two looks at the clock */
#define OWNERS_FIRST 8u
#define IMAGE_ROOM   32u
#define IMAGE_HEAD   17u /* bytes of the head before the count */
#define FILE_MAX     (KEEPER_BYTES_MAX + KEEPER_FAMILIES_MAX * 32u)

struct family {              /* stays where it is as long as the keeper is there */
	struct family *next; /* of its tenant */
	uint64_t hash;       /* of tenant and name */
	uint32_t tenant, family_len, help_len, unit_len;
	uint8_t type;
	char *texts; /* family, help, unit one after another */
};
struct part {
	struct family **places; /* open addressing, at most half full */
	uint32_t mask, count;
};
struct owner { /* what a tenant has here */
	struct family *first, **last;
	uint32_t count;
	size_t bytes;
};
struct keeper {
	const struct keeper_env *env;
	struct owner *owners; /* [owners_count], by tenant */
	uint32_t owners_count, owners_some;
	struct part parts[KEEPER_PARTS]; /* by the top bits of the hash */
	uint32_t count;
	size_t bytes;
	uint64_t number;        /* of its group given last */
	uint64_t loaded;        /* number of METADATA as loaded: records at or below it are in it */
	uint64_t loaded_shard0; /* the same of shard 0's groups */
	bool dirty;             /* changed since the last save began */
	struct loop_timer timer;
	/* a save on its way */
	struct job job; /* makes the image */
	struct work_task task;
	bool busy;
	/* IMAGE_ROOM bytes, the families; the head is put before them at the end */
	struct buf image;
	size_t image_start;
	uint64_t image_number;
	uint32_t image_count;
	unsigned image_part; /* the next one */
	enum err err;
};

static void save_run(struct work_task *t);
static void save_done(struct work_task *t);

struct keeper *keeper_create(const struct keeper_env *env)
{
	struct keeper *k = mem_zalloc(sizeof *k);
	k->env = env;
	for (unsigned i = 0; i < KEEPER_PARTS; i++) {
		k->parts[i].mask = PART_FIRST - 1;
		k->parts[i].places = mem_zalloc(PART_FIRST * sizeof *k->parts[i].places);
	}
	buf_init(&k->image);
	return k;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	CHECK(!k->busy);
	for (unsigned i = 0; i < KEEPER_PARTS; i++) {
		struct part *p = &k->parts[i];
		for (uint32_t j = 0; j <= p->mask; j++)
			if (p->places[j]) {
				mem_free(p->places[j]->texts);
				mem_free(p->places[j]);
			}
		mem_free(p->places);
	}
	mem_free(k->owners);
	buf_release(&k->image);
	mem_free(k);
}

/* Seeded: which families share a part, and a place, is nobody's choice. */
static uint64_t hash_of(const struct keeper *k, uint32_t tenant, const void *name, size_t len)
{
	return hash64(name, len, k->env->seed ^ hash_mix64(tenant)) | 1;
}

static unsigned part_of(uint64_t hash)
{
	return (unsigned)(hash >> 32) % KEEPER_PARTS;
}

/* Its place, or the free one where it belongs. */
static struct family **place(
    const struct part *p, uint64_t hash, uint32_t tenant, const void *name, size_t len)
{
	for (uint32_t i = (uint32_t)(hash >> 1) & p->mask;; i = (i + 1) & p->mask) {
		const struct family *f = p->places[i];
		if (!f ||
		    (f->hash == hash && f->tenant == tenant && f->family_len == len &&
		        memcmp(f->texts, name, len) == 0))
			return &p->places[i];
	}
}

static void grow(struct part *p)
{
	struct family **old = p->places;
	uint32_t count = p->mask + 1;
	p->mask = count * 2 - 1;
	p->places = mem_zalloc(((size_t)p->mask + 1) * sizeof *p->places);
	for (uint32_t i = 0; i < count; i++)
		if (old[i])
			*place(p, old[i]->hash, old[i]->tenant, old[i]->texts, old[i]->family_len) =
			    old[i];
	mem_free(old);
}

static struct owner *owner_of(struct keeper *k, uint32_t tenant)
{
	uint32_t count = k->owners_count ? k->owners_count : OWNERS_FIRST;
	while (count <= tenant)
		count *= 2;
	if (count != k->owners_count) {
		struct owner *all = mem_zalloc(count * sizeof *all);
		for (uint32_t i = 0; i < k->owners_count; i++) {
			all[i] = k->owners[i];
			if (all[i].last == &k->owners[i].first)
				all[i].last = &all[i].first;
		}
		for (uint32_t i = k->owners_count; i < count; i++)
			all[i].last = &all[i].first;
		mem_free(k->owners);
		k->owners = all;
		k->owners_count = count;
	}
	return &k->owners[tenant];
}

/* Is there room for so many more? */
static bool fits(const struct keeper *k, const struct owner *o, size_t bytes, uint32_t families)
{
	if (k->bytes + bytes > KEEPER_BYTES_MAX || k->count + families > KEEPER_FAMILIES_MAX)
		return false;
	uint32_t some = k->owners_some + !o->count;
	if (some < 2)
		return true;
	if (k->bytes + bytes > KEEPER_BYTES_MAX / 10 * 9 && o->bytes + bytes > KEEPER_BYTES_MAX / some)
		return false;
	return !families || k->count + families <= KEEPER_FAMILIES_MAX / 10 * 9 ||
	    o->count + families <= KEEPER_FAMILIES_MAX / some;
}

static size_t texts_len(const struct family *f)
{
	return (size_t)f->family_len + f->help_len + f->unit_len;
}

static bool text_is(const char *have, size_t have_len, const void *text, size_t len)
{
	return have_len == len && (!len || memcmp(have, text, len) == 0);
}

static void mark(const struct keeper *k, const struct walrec_meta *m)
{
	if (k->env->stamps)
		stamps_mark(k->env->stamps, batch_meta_hash(m->tenant, m->family, m->family_len));
}

/* true: it was new or different. */
static bool set(struct keeper *k, const struct walrec_meta *m)
{
	size_t len = m->family_len + m->help_len + m->unit_len;
	if (!m->family_len || m->tenant >= TENANTBOOK_MAX || m->family_len > KEEPER_TEXT_MAX ||
	    m->help_len > KEEPER_TEXT_MAX || m->unit_len > KEEPER_TEXT_MAX)
		return false;
	uint64_t hash = hash_of(k, m->tenant, m->family, m->family_len);
	struct part *p = &k->parts[part_of(hash)];
	struct family **at = place(p, hash, m->tenant, m->family, m->family_len), *f = *at;
	if (f && f->type == m->type &&
	    text_is(f->texts + f->family_len, f->help_len, m->help, m->help_len) &&
	    text_is(f->texts + f->family_len + f->help_len, f->unit_len, m->unit, m->unit_len))
		return false;
	size_t was = f ? texts_len(f) : 0;
	struct owner *o = owner_of(k, m->tenant);
	if (!fits(k, o, len > was ? len - was : 0, !f)) {
		metric_add(M_METADATA_DROPPED, 1);
		mark(k, m);
		return false;
	}
	char *texts = mem_alloc(len);
	memcpy(texts, m->family, m->family_len);
	if (m->help_len)
		memcpy(texts + m->family_len, m->help, m->help_len);
	if (m->unit_len)
		memcpy(texts + m->family_len + m->help_len, m->unit, m->unit_len);
	bool fresh = !f;
	if (fresh) {
		f = *at = mem_zalloc(sizeof *f);
		*o->last = f;
		o->last = &f->next;
		k->owners_some += !o->count;
	}
	mem_free(f->texts);
	*f = (struct family){ .next = f->next,
		.hash = hash,
		.tenant = m->tenant,
		.type = m->type,
		.texts = texts,
		.family_len = (uint32_t)m->family_len,
		.help_len = (uint32_t)m->help_len,
		.unit_len = (uint32_t)m->unit_len };
	k->bytes += len - was;
	o->bytes += len - was;
	k->dirty = true;
	k->count += fresh;
	o->count += fresh;
	p->count += fresh;
	if (p->count > p->mask / 2)
		grow(p);
	mark(k, m);
	return true;
}

bool keeper_put(struct keeper *k, const struct intake *in, const struct batch *b, size_t *done,
    uint64_t *position)
{
	struct walog *log = k->env->log;
	struct walog_frame *frame = NULL;
	struct walrec_writer w;
	loop_check_here(k->env->loop);
	for (size_t from = *done; *done < b->metas_count; ++*done) {
		if (*done > from && *done % PUT_LOOK == 0 && intake_time_is_up(in))
			break;
		const struct batch_meta *bm = &b->metas[*done];
		struct walrec_meta m = { .tenant = b->tenant,
			.type = bm->type,
			.family = bm->family,
			.help = bm->help,
			.unit = bm->unit,
			.family_len = bm->family_len,
			.help_len = bm->help_len,
			.unit_len = bm->unit_len };
		m.help_len = (uint32_t)rune_cut(m.help, m.help_len, KEEPER_TEXT_MAX);
		if (!set(k, &m))
			continue;
		if (!frame) {
			frame = walog_frame(log);
			walrec_begin(&w, &frame->payload);
			walrec_group(&w, k->env->group, ++k->number);
		}
		walrec_meta(&w, &m);
		if (walrec_full(&w)) {
			walrec_end(&w);
			walog_submit(log, frame);
			frame = NULL;
		}
	}
	if (frame) {
		walrec_end(&w);
		walog_submit(log, frame);
	}
	uint64_t handed = walog_handed(log);
	if (handed > *position)
		*position = handed;
	return *done == b->metas_count;
}

void keeper_replay(struct keeper *k, bool own, uint64_t number, const struct walrec_meta *m)
{
	if (number > (own ? k->loaded : k->loaded_shard0))
		(void)set(k, m);
}

uint32_t keeper_tenant_max(const struct keeper *k)
{
	uint32_t max = k->owners_count;
	while (max && !k->owners[max - 1].count)
		max--;
	return max ? max - 1 : 0;
}

void keeper_number_seen(struct keeper *k, uint64_t number)
{
	k->number = number > k->number ? number : k->number;
}

static void copy_out(const struct family *f, struct arena *a, struct batch_meta *out)
{
	char *texts = arena_dup(a, f->texts, texts_len(f));
	*out = (struct batch_meta){ .family = texts,
		.help = texts + f->family_len,
		.unit = texts + f->family_len + f->help_len,
		.family_len = f->family_len,
		.help_len = f->help_len,
		.unit_len = f->unit_len,
		.type = f->type };
}

static void get_one(
    const struct keeper *k, uint32_t tenant, struct store_meta_req *r, const char *name, size_t len)
{
	uint64_t hash = hash_of(k, tenant, name, len);
	const struct family *f = *place(&k->parts[part_of(hash)], hash, tenant, name, len);
	if (f && r->count < r->_room)
		copy_out(f, r->arena, &r->metas[r->count++]);
}

static const struct owner *owner_at(const struct keeper *k, const struct store_meta_req *r)
{
	uint32_t tenant = r->tenants[r->_tenant];
	return tenant < k->owners_count ? &k->owners[tenant] : NULL;
}

/* Room for those there are now: what comes while they are copied may be left out. */
static void get_begin(const struct keeper *k, struct store_meta_req *r)
{
	r->count = r->_room = 0;
	r->metas = NULL;
	r->_family = NULL;
	r->_name = 0;
	r->_begun = true;
	for (r->_tenant = 0; r->_tenant < r->tenants_count; r->_tenant++) {
		const struct owner *o = owner_at(k, r);
		if (o && o->count)
			r->_room += r->family ? 1 : r->names ? r->names_count : o->count;
	}
	r->_tenant = 0;
	if (r->_room)
		r->metas = arena_array(r->arena, r->_room, sizeof *r->metas);
}

/* False: the turn is to be given away, and they go on. */
static bool get_names(const struct keeper *k, struct store_meta_req *r)
{
	for (unsigned n = 0; r->_name < r->names_count; r->_name++) {
		const struct store_meta_name *name = &r->names[r->_name];
		if (n++ % GET_LOOK == GET_LOOK - 1 && job_should_yield())
			return false;
		get_one(k, r->tenants[r->_tenant], r, name->s, name->len);
	}
	r->_name = 0;
	return true;
}

bool keeper_get(const struct keeper *k, struct store_meta_req *r)
{
	if (!r->_begun)
		get_begin(k, r);
	unsigned n = 0;
	for (; r->_tenant < r->tenants_count; r->_tenant++) {
		const struct owner *o = owner_at(k, r);
		if (r->family)
			get_one(k, r->tenants[r->_tenant], r, r->family, r->family_len);
		else if (r->names && o && !get_names(k, r))
			return false;
		if (r->family || r->names || !o)
			continue;
		const struct family *f = r->_family ? r->_family : o->first;
		for (; f && r->count < r->_room; f = f->next) {
			if (n++ % GET_LOOK == GET_LOOK - 1 && job_should_yield()) {
				r->_family = f;
				return false;
			}
			copy_out(f, r->arena, &r->metas[r->count++]);
		}
		r->_family = NULL;
	}
	return true;
}

/* ---- METADATA ---- */

static void image_begin(struct keeper *k)
{
	static const uint8_t room[IMAGE_ROOM];
	buf_clear(&k->image);
	(void)buf_reserve(&k->image, IMAGE_ROOM + k->bytes + (size_t)k->count * 16);
	buf_add(&k->image, room, sizeof room);
	k->image_number = k->number;
	k->image_count = 0;
	k->image_part = 0;
}

static void image_add(struct keeper *k)
{
	struct buf *b = &k->image;
	const struct part *p = &k->parts[k->image_part++];
	for (uint32_t i = 0; i <= p->mask; i++) {
		const struct family *f = p->places[i];
		if (!f)
			continue;
		wire_put_varint(b, f->tenant);
		buf_add_u8(b, f->type);
		wire_put_lenbytes(b, f->texts, f->family_len);
		wire_put_lenbytes(b, f->texts + f->family_len, f->help_len);
		wire_put_lenbytes(b, f->texts + f->family_len + f->help_len, f->unit_len);
		k->image_count++;
	}
}

/* The head, now that it is known how many there are, and the sum over all. */
static void image_end(struct keeper *k)
{
	uint8_t head[IMAGE_ROOM];
	memcpy(head, MAGIC, 8);
	head[8] = FORMAT;
	wire_store64(head + 9, k->image_number);
	size_t len = (size_t)(wire_store_varint(head + IMAGE_HEAD, k->image_count) - head);
	k->image_start = IMAGE_ROOM - len;
	memcpy(k->image.data + k->image_start, head, len);
	uint32_t crc = crc32c(0, k->image.data + k->image_start, k->image.len - k->image_start);
	wire_put_u32(&k->image, crc);
}

/* Blocks. */
static enum err image_write(struct keeper *k)
{
	image_end(k);
	enum err e = fsio_replace(
	    k->env->dir, NAME, k->image.data + k->image_start, k->image.len - k->image_start);
	buf_release(&k->image);
	buf_init(&k->image);
	return e;
}

static enum err image_read(struct keeper *k, const uint8_t *data, size_t len)
{
	if (len < 22 || memcmp(data, MAGIC, 8) != 0 ||
	    wire_load32(data + len - 4) != crc32c(0, data, len - 4))
		return ERR_DAMAGED;
	if (data[8] != FORMAT && data[8] != FORMAT_OLD)
		return ERR_UNSUPPORTED;
	struct wire_reader r = wire_reader(data + 9, len - 13);
	uint64_t number = wire_u64(&r);
	for (uint64_t n = wire_varint(&r); n && !r.bad; n--) {
		struct walrec_meta m = { .tenant = (uint32_t)wire_varint(&r) };
		m.type = wire_u8(&r);
		m.family = wire_lenbytes(&r, &m.family_len);
		m.help = wire_lenbytes(&r, &m.help_len);
		m.unit = wire_lenbytes(&r, &m.unit_len);
		if (!r.bad)
			(void)set(k, &m);
	}
	if (data[8] == FORMAT) {
		k->number = k->loaded = number;
		k->loaded_shard0 = UINT64_MAX; /* they were all in memory when it was made */
	} else {
		k->loaded_shard0 = number;
	}
	return r.bad ? ERR_DAMAGED : 0;
}

/* What cannot be read now may be readable later: it is set aside before a new one takes its
 * place. */
static enum err set_aside(struct fsio_dir *dir, enum err why, struct errbuf *eb)
{
	LOG_WARN("metadata_lost", "file=%s err=\"%s\" now=%s", NAME, err_why(why), ASIDE);
	enum err e = fsio_rename(dir, NAME, ASIDE);
	if (!e)
		e = fsio_dir_sync(dir);
	return e
	    ? errbuf_set(eb, e, "%s/%s cannot be renamed: %s", fsio_dir_path(dir), NAME, err_why(e))
	    : ERR_OK;
}

enum err keeper_load(struct keeper *k, struct errbuf *eb)
{
	struct fsio_dir *dir = k->env->dir;
	uint8_t *data;
	size_t len;
	enum err e = ERR_IO;
	for (unsigned i = 0; i < READ_TRIES && e == ERR_IO; i++)
		e = fsio_load(dir, NAME, FILE_MAX, &data, &len);
	if (e == ERR_NOTFOUND)
		return ERR_OK;
	if (!e) {
		e = image_read(k, data, len);
		unsigned version = len > 8 ? data[8] : 0;
		mem_free(data);
		if (e == ERR_UNSUPPORTED)
			return errbuf_set(eb, e,
			    "%s/%s is of a later format (%u) than this program knows (%u)",
			    fsio_dir_path(dir), NAME, version, FORMAT);
	}
	k->dirty = e != 0;
	if (e == ERR_IO || e == ERR_DAMAGED || e == ERR_TRUNCATED || e == ERR_TOOBIG)
		return set_aside(dir, e, eb);
	return e
	    ? errbuf_set(eb, e, "%s/%s cannot be read: %s", fsio_dir_path(dir), NAME, err_why(e))
	    : ERR_OK;
}

enum err keeper_save(struct keeper *k)
{
	CHECK(!k->busy);
	if (!k->dirty)
		return 0;
	image_begin(k);
	while (k->image_part < KEEPER_PARTS)
		image_add(k);
	enum err e = image_write(k);
	k->dirty = e != 0;
	return e;
}

static enum job_state image_some(struct job *j)
{
	struct keeper *k = CONTAINER_OF(j, struct keeper, job);
	while (k->image_part < KEEPER_PARTS) {
		image_add(k);
		if (job_should_yield())
			return JOB_YIELD;
	}
	k->task = (struct work_task){ .run = save_run, .done = save_done, .prio = WORK_BACKGROUND };
	work_submit(k->env->pool, &k->task);
	return JOB_DONE;
}

static void save_run(struct work_task *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, task);
	k->err = image_write(k);
}

static void save_done(struct work_task *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, task);
	k->busy = false;
	if (k->err) {
		k->dirty = true;
		LOG_EVERY(LOG_LEVEL_WARN, "metadata_not_saved", "err=%s", err_text(k->err));
	}
	walog_complete(k->env->log, k->env->group, k->image_number); /* (1) */
}

static void save_tick(struct loop_timer *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, timer);
	loop_timer_set(k->env->loop, t, KEEPER_SAVE_MS);
	if (k->busy || !k->dirty)
		return;
	k->busy = true;
	k->dirty = false;
	image_begin(k);
	job_init(&k->job, JOB_WRITE, image_some);
	job_start(k->env->loop, &k->job);
}

void keeper_start(struct keeper *k)
{
	loop_check_here(k->env->loop);
	if (!k->dirty) /* what METADATA has; else the first save tells */
		walog_complete(k->env->log, k->env->group, k->number);
	loop_timer_init(&k->timer, save_tick);
	save_tick(&k->timer);
}

void keeper_stop(struct keeper *k)
{
	loop_check_here(k->env->loop);
	loop_timer_cancel(k->env->loop, &k->timer);
}

bool keeper_busy(const struct keeper *k)
{
	return k->busy;
}
