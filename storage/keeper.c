#include "storage/keeper.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "storage/store_priv.h"

#define MAGIC      "KYMOMETA"
#define NAME       "METADATA"
#define ASIDE      "METADATA.damaged"
#define FORMAT     1u
#define READ_TRIES 3u
#define FILE_MAX   (KEEPER_BYTES_MAX + KEEPER_FAMILIES_MAX * 32u)

struct family {
	uint64_t hash; /* of tenant and name; 0 = free place */
	uint32_t tenant, family_len, help_len, unit_len;
	uint8_t type;
	char *texts; /* family, help, unit one after another */
};
struct keeper {
	struct store *store;
	struct family *places; /* open addressing, at most half full */
	uint32_t mask, count;
	size_t bytes;
	uint64_t number; /* of METADATA as loaded: records at or below it are in it */
	bool dirty;      /* changed since the last save began */
	/* a save on its way */
	struct work_task task;
	bool busy;
	struct buf image;
	enum err err;
	struct shard *shard;
	uint64_t complete_to, next_complete_to; /* told when it is durable; asked for meanwhile */
};

static void save_run(struct work_task *t);
static void save_done(struct work_task *t);

struct keeper *keeper_create(struct store *st)
{
	struct keeper *k = mem_zalloc(sizeof *k);
	k->store = st;
	k->mask = 255;
	k->places = mem_zalloc((k->mask + 1) * sizeof *k->places);
	buf_init(&k->image);
	return k;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	CHECK(!k->busy);
	for (uint32_t i = 0; i <= k->mask; i++)
		mem_free(k->places[i].texts);
	mem_free(k->places);
	buf_release(&k->image);
	mem_free(k);
}

static uint64_t hash_of(uint32_t tenant, const void *name, size_t len)
{
	return hash64(name, len, tenant) | 1;
}

/* Its place, or the free one where it belongs. */
static struct family *place(
    const struct keeper *k, uint64_t hash, uint32_t tenant, const void *name, size_t len)
{
	for (uint32_t i = (uint32_t)(hash >> 1) & k->mask;; i = (i + 1) & k->mask) {
		struct family *f = &k->places[i];
		if (!f->hash ||
		    (f->hash == hash && f->tenant == tenant && f->family_len == len &&
		        memcmp(f->texts, name, len) == 0))
			return f;
	}
}

static void grow(struct keeper *k)
{
	struct family *old = k->places;
	uint32_t count = k->mask + 1;
	k->mask = count * 2 - 1;
	k->places = mem_zalloc(((size_t)k->mask + 1) * sizeof *k->places);
	for (uint32_t i = 0; i < count; i++)
		if (old[i].hash)
			*place(k, old[i].hash, old[i].tenant, old[i].texts, old[i].family_len) =
			    old[i];
	mem_free(old);
}

static size_t texts_len(const struct family *f)
{
	return (size_t)f->family_len + f->help_len + f->unit_len;
}

static bool text_is(const char *have, size_t have_len, const void *text, size_t len)
{
	return have_len == len && (!len || memcmp(have, text, len) == 0);
}

/* true: it was new or different. */
static bool set(struct keeper *k, const struct walrec_meta *m)
{
	size_t len = m->family_len + m->help_len + m->unit_len;
	if (!m->family_len || m->family_len > KEEPER_TEXT_MAX || m->help_len > KEEPER_TEXT_MAX ||
	    m->unit_len > KEEPER_TEXT_MAX)
		return false;
	uint64_t hash = hash_of(m->tenant, m->family, m->family_len);
	struct family *f = place(k, hash, m->tenant, m->family, m->family_len);
	if (f->hash && f->type == m->type &&
	    text_is(f->texts + f->family_len, f->help_len, m->help, m->help_len) &&
	    text_is(f->texts + f->family_len + f->help_len, f->unit_len, m->unit, m->unit_len))
		return false;
	size_t was = f->hash ? texts_len(f) : 0;
	if (k->bytes - was + len > KEEPER_BYTES_MAX || (!f->hash && k->count >= KEEPER_FAMILIES_MAX)) {
		metric_add(M_METADATA_DROPPED, 1);
		return false;
	}
	char *texts = mem_alloc(len);
	memcpy(texts, m->family, m->family_len);
	if (m->help_len)
		memcpy(texts + m->family_len, m->help, m->help_len);
	if (m->unit_len)
		memcpy(texts + m->family_len + m->help_len, m->unit, m->unit_len);
	bool fresh = !f->hash;
	mem_free(f->texts);
	*f = (struct family){ .hash = hash,
		.tenant = m->tenant,
		.type = m->type,
		.texts = texts,
		.family_len = (uint32_t)m->family_len,
		.help_len = (uint32_t)m->help_len,
		.unit_len = (uint32_t)m->unit_len };
	k->bytes += len - was;
	k->dirty = true;
	if (fresh && ++k->count > k->mask / 2)
		grow(k);
	return true;
}

void keeper_put(struct keeper *k, const struct batch *b, uint64_t *position)
{
	struct shard *sh = k->store->shards[0];
	struct share *share = sh->share;
	struct walog_frame *frame = NULL;
	struct walrec_writer w;
	loop_check_here(sh->loop);
	for (size_t i = 0; i < b->metas_count; i++) {
		const struct batch_meta *bm = &b->metas[i];
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
			frame = walog_frame(share->log);
			walrec_begin(&w, &frame->payload);
			walrec_group(&w, sh->index, ++sh->number);
		}
		walrec_meta(&w, &m);
		sh->rows_since_round++; /* so that a round comes and the log may let it go */
		if (walrec_full(&w)) {
			walrec_end(&w);
			walog_submit(share->log, frame);
			frame = NULL;
		}
	}
	if (frame) {
		walrec_end(&w);
		walog_submit(share->log, frame);
	}
	uint64_t handed = walog_handed(share->log);
	if (handed > *position)
		*position = handed;
}

void keeper_replay(struct keeper *k, uint64_t number, const struct walrec_meta *m)
{
	struct shard *sh = k->store->shards[0];
	if (number > k->number && set(k, m) && number > sh->list.complete_to)
		sh->rows_since_round++; /* as keeper_put */
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

void keeper_get(const struct keeper *k, uint32_t tenant, struct store_meta_req *r)
{
	r->count = 0;
	r->metas = NULL;
	if (r->family) {
		const struct family *f = place(
		    k, hash_of(tenant, r->family, r->family_len), tenant, r->family, r->family_len);
		if (!f->hash)
			return;
		r->metas = arena_array(r->arena, 1, sizeof *r->metas);
		copy_out(f, r->arena, &r->metas[r->count++]);
		return;
	}
	if (!k->count)
		return;
	r->metas = arena_array(r->arena, k->count, sizeof *r->metas);
	for (uint32_t i = 0; i <= k->mask; i++)
		if (k->places[i].hash && k->places[i].tenant == tenant)
			copy_out(&k->places[i], r->arena, &r->metas[r->count++]);
}

/* ---- METADATA ---- */

static void image_make(struct keeper *k, uint64_t number)
{
	struct buf *b = &k->image;
	buf_clear(b);
	buf_add(b, MAGIC, 8);
	buf_add_u8(b, FORMAT);
	wire_put_u64(b, number);
	wire_put_varint(b, k->count);
	for (uint32_t i = 0; i <= k->mask; i++) {
		const struct family *f = &k->places[i];
		if (!f->hash)
			continue;
		wire_put_varint(b, f->tenant);
		buf_add_u8(b, f->type);
		wire_put_lenbytes(b, f->texts, f->family_len);
		wire_put_lenbytes(b, f->texts + f->family_len, f->help_len);
		wire_put_lenbytes(b, f->texts + f->family_len + f->help_len, f->unit_len);
	}
	wire_put_u32(b, crc32c(0, b->data, b->len));
}

static enum err image_read(struct keeper *k, const uint8_t *data, size_t len)
{
	if (len < 22 || memcmp(data, MAGIC, 8) != 0 ||
	    wire_load32(data + len - 4) != crc32c(0, data, len - 4))
		return ERR_DAMAGED;
	if (data[8] != FORMAT)
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
	k->number = number;
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

enum err keeper_load(struct keeper *k, struct fsio_dir *dir, struct errbuf *eb)
{
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

enum err keeper_save(struct keeper *k, struct fsio_dir *dir)
{
	CHECK(!k->busy);
	if (!k->dirty)
		return 0;
	image_make(k, k->store->shards[0]->number);
	enum err e = fsio_replace(dir, NAME, k->image.data, k->image.len);
	k->dirty = e != 0;
	return e;
}

static void save_start(struct keeper *k)
{
	k->complete_to = k->next_complete_to;
	k->busy = true;
	k->dirty = false;
	image_make(k, k->shard->number);
	k->task.run = save_run;
	k->task.done = save_done;
	k->task.prio = WORK_BACKGROUND;
	work_submit(k->store->opts.pool, &k->task);
}

static void save_run(struct work_task *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, task);
	k->err = fsio_replace(k->store->dir, NAME, k->image.data, k->image.len);
}

static void save_done(struct work_task *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, task);
	k->busy = false;
	if (k->err) {
		/* The log keeps its segments until a later round's save succeeds. */
		k->dirty = true;
		LOG_EVERY(LOG_LEVEL_WARN, "metadata_not_saved", "err=%s", err_text(k->err));
		return;
	}
	walog_complete(k->store->log, 0, k->complete_to);
	if (k->next_complete_to > k->complete_to)
		keeper_complete(k, k->shard, k->next_complete_to);
}

void keeper_complete(struct keeper *k, struct shard *shard0, uint64_t complete_to)
{
	loop_check_here(shard0->loop);
	k->shard = shard0;
	k->next_complete_to = complete_to;
	if (k->busy)
		return;
	if (k->dirty)
		save_start(k);
	else
		walog_complete(k->store->log, 0, complete_to);
}

bool keeper_busy(const struct keeper *k)
{
	return k->busy;
}
