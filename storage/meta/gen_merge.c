#include "storage/meta/gen.h"

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/wire.h"
#include "storage/meta/postings_priv.h"

/*
 * A walk over the same level of several generations at once; the ones at the smallest text are
 * current.
 */
struct lane {
	struct gen_iter it;
	bool open;    /* it holds something to release */
	bool present; /* it stands on an entry */
};

static int text_cmp(const struct buf *a, const struct buf *b)
{
	return bytes_cmp(a->data, a->len, b->data, b->len);
}

static enum err lane_next(struct lane *l)
{
	enum err e = gen_iter_next(&l->it);
	l->present = !e;
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* The smallest text of those present; NULL: none is left. */
static struct lane *lanes_least(struct lane *v, size_t count)
{
	struct lane *least = NULL;
	for (size_t i = 0; i < count; i++) {
		if (v[i].present && (!least || text_cmp(&v[i].it.text, &least->it.text) < 0))
			least = &v[i];
	}
	return least;
}

static void lanes_release(struct lane *v, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (v[i].open)
			gen_iter_release(&v[i].it);
		v[i] = (struct lane){ 0 };
	}
}

struct merge {
	struct env_txn *reader;
	struct env_db *db;
	const uint32_t *from;
	size_t count;
	uint32_t tenant;
	const roaring_bitmap_t *drop;
	struct gen_writer w;
	struct lane *names, *values;
	struct buf text;
	roaring_bitmap_t *ids;
};

/* All lanes that stand on m->text give their ids to m->ids and move on. */
static enum err take_ids(struct merge *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct lane *l = &m->values[i];
		if (!l->present || text_cmp(&l->it.text, &m->text) != 0)
			continue;
		enum err e = gen_iter_ids_or(&l->it, m->ids);
		if (!e)
			e = lane_next(l);
		if (e)
			return e;
	}
	return ERR_OK;
}

static enum err merge_values(struct merge *m)
{
	struct lane *least;
	while ((least = lanes_least(m->values, m->count))) {
		buf_clear(&m->text);
		buf_add(&m->text, least->it.text.data, least->it.text.len);
		roaring_bitmap_clear(m->ids);
		enum err e = take_ids(m);
		if (e)
			return e;
		if (m->drop)
			roaring_bitmap_andnot_inplace(m->ids, m->drop);
		if (!roaring_bitmap_is_empty(m->ids))
			gen_writer_value_bitmap(
			    &m->w, (const char *)m->text.data, m->text.len, m->ids);
	}
	return m->w.txn->err;
}

/* Opens the values of all lanes of names that stand on the least name, and moves those lanes on. */
static enum err open_values(struct merge *m, const struct lane *least)
{
	buf_clear(&m->text);
	buf_add(&m->text, least->it.text.data, least->it.text.len);
	gen_writer_name(&m->w, (const char *)m->text.data, m->text.len);
	for (size_t i = 0; i < m->count; i++) {
		struct lane *n = &m->names[i];
		if (!n->present || text_cmp(&n->it.text, &m->text) != 0)
			continue;
		gen_iter_values(
		    &m->values[i].it, m->reader, m->db, m->from[i], m->tenant, &n->it.name);
		m->values[i].open = true;
		enum err e = lane_next(&m->values[i]);
		if (!e)
			e = lane_next(n);
		if (e)
			return e;
	}
	return ERR_OK;
}

static enum err merge_names(struct merge *m)
{
	enum err e = ERR_OK;
	struct lane *least;
	for (size_t i = 0; !e && i < m->count; i++) {
		gen_iter_names(&m->names[i].it, m->reader, m->db, m->from[i], m->tenant);
		m->names[i].open = true;
		e = lane_next(&m->names[i]);
	}
	while (!e && (least = lanes_least(m->names, m->count))) {
		e = open_values(m, least);
		if (!e)
			e = merge_values(m);
		lanes_release(m->values, m->count);
	}
	return e;
}

static enum err all_ids(struct merge *m, roaring_bitmap_t *all)
{
	for (size_t i = 0; i < m->count; i++) {
		roaring_bitmap_t *one;
		enum err e = gen_ids(m->reader, m->db, m->from[i], m->tenant, &one);
		if (e == ERR_NOTFOUND)
			continue;
		if (e)
			return e;
		roaring_bitmap_or_inplace(all, one);
		roaring_bitmap_free(one);
	}
	if (m->drop)
		roaring_bitmap_andnot_inplace(all, m->drop);
	return ERR_OK;
}

enum err gen_merge(struct env_txn *reader, struct env_txn *writer, struct env_db *db,
    const uint32_t *from, size_t count, uint32_t tenant, uint32_t to, const roaring_bitmap_t *drop,
    uint64_t *bytes, uint64_t *ids)
{
	struct merge m = { .reader = reader,
		.db = db,
		.from = from,
		.count = count,
		.tenant = tenant,
		.drop = drop,
		.ids = postings_bitmap() };
	m.names = mem_zalloc(count * sizeof(*m.names));
	m.values = mem_zalloc(count * sizeof(*m.values));
	buf_init(&m.text);
	gen_writer_init(&m.w, writer, db, to, tenant);
	roaring_bitmap_t *all = postings_bitmap();
	enum err e = all_ids(&m, all);
	uint64_t kept = roaring_bitmap_get_cardinality(all);
	if (!e && kept)
		e = merge_names(&m);
	lanes_release(m.names, count);
	lanes_release(m.values, count);
	size_t n;
	uint32_t *left = idset_array(all, &n);
	enum err finished = gen_writer_finish(&m.w, left, n);
	mem_free(left);
	e = e ? e : finished;
	if (!e && writer->err)
		e = writer->err;
	*bytes += m.w.bytes;
	*ids += kept;
	roaring_bitmap_free(all);
	roaring_bitmap_free(m.ids);
	buf_release(&m.text);
	mem_free(m.names);
	mem_free(m.values);
	return e;
}

static uint32_t load_be32(const uint8_t *p)
{
	return __builtin_bswap32(wire_load32(p));
}

enum err gen_tenants(
    struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t **tenants, size_t *count)
{
	struct env_cursor c;
	struct env_record r;
	uint8_t key[8];
	uint32_t *v = NULL;
	size_t n = 0;
	enum err e = env_cursor_open(t, db, &c);
	if (e)
		return e;
	wire_store32(key, __builtin_bswap32(gen));
	wire_store32(key + 4, 0);
	while (!(e = env_cursor_seek(&c, key, sizeof(key), &r))) {
		if (r.key_len < 8 || load_be32(r.key) != gen)
			break;
		uint32_t tenant = load_be32(r.key + 4);
		v = mem_array(v, n + 1, sizeof(*v));
		v[n++] = tenant;
		if (tenant == UINT32_MAX)
			break;
		wire_store32(key + 4, __builtin_bswap32(tenant + 1));
	}
	env_cursor_close(&c);
	if (e && e != ERR_NOTFOUND) {
		mem_free(v);
		return e;
	}
	*tenants = v;
	*count = n;
	return ERR_OK;
}

enum err gen_remove(struct env_txn *t, struct env_db *db, uint32_t gen)
{
	uint8_t key[4];
	wire_store32(key, __builtin_bswap32(gen));
	for (;;) {
		struct env_cursor c;
		struct env_record r;
		enum err e = env_cursor_open(t, db, &c);
		if (e)
			return e;
		e = env_cursor_seek(&c, key, sizeof(key), &r);
		bool ours = !e && r.key_len >= 4 && memcmp(r.key, key, 4) == 0;
		uint8_t doomed[ENV_KEY_MAX];
		size_t len = ours && r.key_len <= sizeof(doomed) ? r.key_len : 0;
		memcpy(doomed, ours ? r.key : key, len);
		env_cursor_close(&c);
		if (e == ERR_NOTFOUND || (!e && !ours))
			return ERR_OK;
		if (!e)
			e = env_del(t, db, doomed, len);
		if (e)
			return e;
	}
}
