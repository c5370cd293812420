#include "core/base/log.h"
#include "core/base/wire.h"
#include "storage/meta/catalog_priv.h"

/*
 * The first dictionary is trained when there are DICT_FIRST series, the next ones when they have
 * become DICT_GROWTH times as many: CATPACK_DICTS_MAX are not reached by all ids there can be.
 * Blocks made before are packed again while the catalog is small; later it would only cost time.
 */
#define DICT_FIRST    2048u
#define DICT_GROWTH   8u
#define SAMPLE_BYTES  (512u << 10)
#define SAMPLES_MAX   1024u
#define JUDGED        16u  /* every so manyth sample says what a dictionary saves */
#define GAIN          20u  /* the new one must save 1/20 more than the one before */
#define REPACK_BLOCKS 256u /* in one transaction */
#define REPACK_SERIES 50000u

/* A record of "dict": key id u32; value: series there were (u64), the dictionary. */
struct dict_record {
	struct catalog *c;
	uint32_t id;
	uint64_t series;
	const uint8_t *dict;
	size_t len;
	enum err err;
};

static void take_run(void *arg)
{
	struct dict_record *d = arg;
	d->err = catpack_add(d->c->pack, d->id, d->dict, d->len);
	if (!d->err)
		d->c->dict_series = d->series;
}

enum err dicts_load(struct catalog *c, struct errbuf *eb)
{
	struct env_txn t;
	struct env_cursor cur;
	struct env_record r;
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	e = env_cursor_open(&t, c->dict, &cur);
	while (!e && !(e = env_cursor_next(&cur, &r))) {
		struct dict_record d = { .c = c };
		if (r.key_len == 4 && r.value.len > 8) {
			d.id = __builtin_bswap32(wire_load32(r.key));
			d.series = wire_load64(r.value.data);
			d.dict = r.value.data + 8;
			d.len = r.value.len - 8;
		}
		take_run(&d);
		if (d.err)
			e = catalog_malformed(&t, "dictionary", 0, d.id);
	}
	env_cursor_close(&cur);
	env_abort(&t);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* ---- training ---- */

struct samples {
	struct buf bytes;
	size_t sizes[SAMPLES_MAX];
	size_t count;
	uint64_t every; /* so manyth block is one */
};

static enum err sample_shard(struct catalog *c, struct env_txn *t, unsigned shard, struct samples *s)
{
	struct catpack_unpacker u;
	struct env_cursor cur;
	struct env_record r;
	uint64_t n = shard;
	enum err e = env_cursor_open(t, c->shards[shard].def, &cur);
	if (e)
		return e;
	catpack_unpacker_init(&u);
	while (!(e = env_cursor_next(&cur, &r))) {
		const uint8_t *plain;
		size_t len;
		if (n++ % s->every || s->count == SAMPLES_MAX || s->bytes.len >= SAMPLE_BYTES)
			continue;
		if (!catpack_unpack(c->pack, &u, r.value.data, r.value.len, &plain, &len, NULL)) {
			e = catalog_malformed(t, "block of definitions", shard, 0);
			break;
		}
		buf_add(&s->bytes, plain, len);
		s->sizes[s->count++] = len;
	}
	catpack_unpacker_release(&u);
	env_cursor_close(&cur);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err sample_all(struct catalog *c, uint64_t series, struct samples *s, struct errbuf *eb)
{
	struct env_txn t;
	enum err e = env_begin_read(c->env, &t, eb);
	if (e)
		return e;
	s->every = series / DEFBLOCK_IDS / SAMPLES_MAX + 1;
	for (unsigned i = 0; !e && i < c->shards_count; i++)
		e = sample_shard(c, &t, i, s);
	env_abort(&t);
	return e;
}

/* Does the dictionary save enough beside what there is? */
static bool is_worth(struct catalog *c, const struct samples *s, const struct buf *dict)
{
	struct catpack *with = catpack_create();
	size_t at = 0, old = 0, new = 0;
	bool good = catpack_add(with, 1, dict->data, dict->len) == ERR_OK;
	for (size_t i = 0; good && i < s->count; at += s->sizes[i++]) {
		if (i % JUDGED)
			continue;
		old +=
		    catpack_size(c->pack, catpack_newest(c->pack), s->bytes.data + at, s->sizes[i]);
		new += catpack_size(with, 1, s->bytes.data + at, s->sizes[i]);
	}
	catpack_free(with);
	return good && new + old / GAIN < old;
}

static enum err put_run(void *arg, struct env_txn *t)
{
	const struct dict_record *d = arg;
	uint8_t key[4], head[8];
	catalog_id_key(key, d->id);
	wire_store64(head, d->series);
	return env_put2(t, d->c->dict, key, sizeof(key), head, sizeof(head), d->dict, d->len, true);
}

struct repacking {
	struct catalog *c;
	unsigned shard;
	uint64_t next_id, begin;
	bool more;
};

static enum err repack_run(void *arg, struct env_txn *t)
{
	struct repacking *r = arg;
	r->next_id = r->begin;
	return defs_repack(r->c, t, r->shard, &r->next_id, REPACK_BLOCKS, &r->more);
}

static enum err repack_all(struct catalog *c, struct errbuf *eb)
{
	enum err e = ERR_OK;
	for (unsigned i = 0; !e && i < c->shards_count; i++) {
		struct repacking r = { .c = c, .shard = i, .more = true };
		while (!e && r.more) {
			e = catalog_write(c, 0, repack_run, &r, eb);
			r.begin = r.next_id;
		}
	}
	return e;
}

enum err dicts_look(struct catalog *c, uint64_t series, struct errbuf *eb)
{
	uint64_t least = c->dict_series ? c->dict_series * DICT_GROWTH : DICT_FIRST;
	uint32_t newest = catpack_newest(c->pack);
	if (series < least || newest == CATPACK_DICTS_MAX)
		return ERR_OK;
	struct samples *s = mem_zalloc(sizeof(*s));
	struct buf dict;
	buf_init(&s->bytes);
	buf_init(&dict);
	enum err e = sample_all(c, series, s, eb);
	bool good =
	    !e && !catpack_train(s->bytes.data, s->sizes, s->count, &dict) && is_worth(c, s, &dict);
	struct dict_record d = {
		.c = c, .id = newest + 1, .series = series, .dict = dict.data, .len = dict.len
	};
	if (!e)
		c->dict_series = series; /* also where none is worth while: not again soon */
	if (good)
		e = catalog_write(c, dict.len, put_run, &d, eb);
	if (good && !e) {
		env_alone(c->env, take_run, &d);
		e = d.err;
	}
	if (good && !e && series <= REPACK_SERIES)
		e = repack_all(c, eb);
	buf_release(&dict);
	buf_release(&s->bytes);
	mem_free(s);
	return e;
}
