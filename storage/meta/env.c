#include "storage/meta/env.h"

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/wire.h"
#include "core/rt/gate.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

#define CRC_LEN     4
#define READERS_MAX 510
#define FILE_MODE   0600

struct env_db {
	char name[ENV_NAME_MAX];
	uint32_t seed; /* crc of the name */
	MDB_dbi dbi;
};
struct env {
	MDB_env *env;
	struct gate *gate; /* inside: whoever has a transaction */
	size_t map_step;
	bool readonly;
	struct env_db **dbs;
	size_t dbs_count;
};

static enum err err_of(int rc)
{
	switch (rc) {
	case 0:
		return ERR_OK;
	case MDB_NOTFOUND:
	case ENOENT:
		return ERR_NOTFOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPACE;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_PANIC:
	case MDB_BAD_TXN:
	case MDB_CURSOR_FULL:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_VALSIZE: /* our keys have lengths it takes: one of its own pages says otherwise */
	case MDB_BAD_DBI:
	case MDB_PAGE_FULL:
		return ERR_DAMAGED;
	case MDB_VERSION_MISMATCH:
		return ERR_UNSUPPORTED;
	case ENOMEM:
		return ERR_NOMEM;
	case MDB_READERS_FULL:
		return ERR_BUSY;
	default:
		return ERR_IO;
	}
}

static enum err fail(struct errbuf *eb, int rc, const char *what)
{
	return errbuf_set(eb, err_of(rc), "catalog: %s: %s", what, mdb_strerror(rc));
}

static enum err txn_fail(struct env_txn *t, int rc, const char *what)
{
	enum err e = fail(t->eb, rc, what);
	if (!t->err)
		t->err = e;
	return e;
}

enum err env_open(const struct env_opts *o, struct env **out, struct errbuf *eb)
{
	struct env *e = mem_zalloc(sizeof(*e));
	e->map_step = o->map_step ? o->map_step : ENV_MAP_STEP;
	e->readonly = o->readonly_solo;
	e->gate = gate_create();
	int rc = mdb_env_create(&e->env);
	if (!rc)
		rc = mdb_env_set_maxdbs(e->env, o->dbs_max);
	if (!rc)
		rc = mdb_env_set_maxreaders(e->env, READERS_MAX);
	if (!rc && !o->readonly_solo)
		rc = mdb_env_set_mapsize(e->env, e->map_step);
	if (!rc)
		rc = mdb_env_open(e->env, o->path,
		    MDB_NOTLS | (o->readonly_solo ? MDB_RDONLY | MDB_NOLOCK : 0), FILE_MODE);
	if (rc) {
		enum err er = fail(eb, rc, "open");
		env_close(e);
		return er;
	}
	*out = e;
	return ERR_OK;
}

void env_close(struct env *e)
{
	if (!e)
		return;
	if (e->env)
		mdb_env_close(e->env);
	for (size_t i = 0; i < e->dbs_count; i++)
		mem_free(e->dbs[i]);
	mem_free(e->dbs);
	gate_free(e->gate);
	mem_free(e);
}

enum err env_db(struct env *e, const char *name, struct env_db **out, struct errbuf *eb)
{
	struct env_db *db = mem_zalloc(sizeof(*db));
	CHECK(strlen(name) < sizeof(db->name));
	memcpy(db->name, name, strlen(name));
	db->seed = crc32c(0, name, strlen(name));
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->env, NULL, e->readonly ? MDB_RDONLY : 0, &txn);
	if (!rc) {
		rc = mdb_dbi_open(txn, name, e->readonly ? 0 : MDB_CREATE, &db->dbi);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	if (rc) {
		mem_free(db);
		return fail(eb, rc, name);
	}
	e->dbs = mem_array(e->dbs, e->dbs_count + 1, sizeof(struct env_db *));
	e->dbs[e->dbs_count++] = db;
	*out = db;
	return ERR_OK;
}

/* How far the file is used: pages past the last one are free or not there yet. */
uint64_t env_bytes(struct env *e)
{
	MDB_envinfo info;
	MDB_stat st;
	if (mdb_env_info(e->env, &info) || mdb_env_stat(e->env, &st))
		return 0;
	return (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
}

uint64_t env_map_bytes(struct env *e)
{
	MDB_envinfo info;
	return mdb_env_info(e->env, &info) ? 0 : info.me_mapsize;
}

void env_sweep_readers(struct env *e)
{
	int dead;
	(void)mdb_reader_check(e->env, &dead);
}

/* Transactions */

enum err env_begin_read(struct env *e, struct env_txn *t, struct errbuf *eb)
{
	*t = (struct env_txn){ .env = e, .eb = eb, .inside = true };
	gate_enter(e->gate);
	int rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &t->txn);
	if (rc) {
		gate_leave(e->gate);
		return fail(eb, rc, "begin");
	}
	return ERR_OK;
}

enum err env_begin_read_beside(const struct env_txn *writer, struct env_txn *t)
{
	*t = (struct env_txn){ .env = writer->env,
		.eb = writer->eb }; /* the writer is inside for both */
	int rc = mdb_txn_begin(t->env->env, NULL, MDB_RDONLY, &t->txn);
	return rc ? fail(t->eb, rc, "begin") : ERR_OK;
}

/* Room for need bytes below 80 % of the map. Only the one writer grows it. */
static int make_room(struct env *e, uint64_t need)
{
	uint64_t want = (env_bytes(e) + need) / 4 * 5, map = env_map_bytes(e);
	if (want <= map)
		return 0;
	uint64_t steps = (want + e->map_step - 1) / e->map_step;
	gate_close(e->gate);
	int rc = mdb_env_set_mapsize(e->env, steps * e->map_step);
	gate_open(e->gate);
	return rc;
}

enum err env_begin_write(struct env *e, uint64_t need_bytes, struct env_txn *t, struct errbuf *eb)
{
	*t = (struct env_txn){ .env = e, .eb = eb, .write = true, .inside = true };
	int rc = make_room(e, need_bytes);
	if (rc)
		return fail(eb, rc, "growth of the map");
	gate_enter(e->gate);
	rc = mdb_txn_begin(e->env, NULL, 0, &t->txn);
	if (rc) {
		gate_leave(e->gate);
		return fail(eb, rc, "begin");
	}
	return ERR_OK;
}

enum err env_commit(struct env_txn *t)
{
	if (t->err) {
		enum err e = t->err;
		env_abort(t);
		return e;
	}
	int rc = mdb_txn_commit(t->txn);
	t->txn = NULL;
	if (t->inside)
		gate_leave(t->env->gate);
	return rc ? fail(t->eb, rc, "commit") : ERR_OK;
}

void env_abort(struct env_txn *t)
{
	if (!t->txn)
		return;
	mdb_txn_abort(t->txn);
	t->txn = NULL;
	if (t->inside)
		gate_leave(t->env->gate);
}

/* Records */

static uint32_t record_crc(
    const struct env_db *db, const void *key, size_t key_len, const void *value, size_t len)
{
	return crc32c(crc32c(db->seed, key, key_len), value, len);
}

static enum err damaged(struct env_txn *t, const struct env_db *db, const uint8_t *key, size_t key_len)
{
	char hex[2 * 24 + 1];
	size_t shown = key_len < 24 ? key_len : 24;
	for (size_t i = 0; i < shown; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	hex[2 * shown] = 0;
	if (!t->err)
		t->err = ERR_DAMAGED;
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: record of %s with key %s%s is damaged",
	    db->name, hex, shown < key_len ? "..." : "");
}

static enum err check_record(struct env_txn *t, const struct env_db *db, const MDB_val *k,
    const MDB_val *v, struct env_value *out)
{
	const uint8_t *data = v->mv_data;
	if (v->mv_size < CRC_LEN)
		return damaged(t, db, k->mv_data, k->mv_size);
	size_t len = v->mv_size - CRC_LEN;
	if (record_crc(db, k->mv_data, k->mv_size, data, len) != wire_load32(data + len))
		return damaged(t, db, k->mv_data, k->mv_size);
	*out = (struct env_value){ .data = data, .len = len };
	return ERR_OK;
}

/* LMDB's values have no const; it does not write to keys. */
static MDB_val val_of(const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} p = { .in = data };
	return (MDB_val){ .mv_data = p.out, .mv_size = len };
}

enum err env_get(
    struct env_txn *t, struct env_db *db, const void *key, size_t key_len, struct env_value *out)
{
	if (t->err)
		return t->err;
	MDB_val k = val_of(key, key_len), v;
	int rc = mdb_get(t->txn, db->dbi, &k, &v);
	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc)
		return txn_fail(t, rc, db->name);
	return check_record(t, db, &k, &v, out);
}

enum err env_put2(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *v1, size_t len1, const void *v2, size_t len2, bool append)
{
	if (t->err)
		return t->err;
	CHECK(key_len <= ENV_KEY_MAX);
	MDB_val k = val_of(key, key_len), v = { .mv_size = len1 + len2 + CRC_LEN };
	int rc = mdb_put(t->txn, db->dbi, &k, &v, append ? MDB_RESERVE | MDB_APPEND : MDB_RESERVE);
	if (rc == MDB_KEYEXIST) /* only with append: the caller's idea of the last key does not fit the records */
		return damaged(t, db, key, key_len);
	if (rc)
		return txn_fail(t, rc, db->name);
	uint8_t *to = v.mv_data;
	if (len1)
		memcpy(to, v1, len1);
	if (len2)
		memcpy(to + len1, v2, len2);
	wire_store32(to + len1 + len2, record_crc(db, key, key_len, to, len1 + len2));
	return ERR_OK;
}

enum err env_put(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *value, size_t len)
{
	return env_put2(t, db, key, key_len, value, len, NULL, 0, false);
}

enum err env_del(struct env_txn *t, struct env_db *db, const void *key, size_t key_len)
{
	if (t->err)
		return t->err;
	MDB_val k = val_of(key, key_len);
	int rc = mdb_del(t->txn, db->dbi, &k, NULL);
	return rc && rc != MDB_NOTFOUND ? txn_fail(t, rc, db->name) : ERR_OK;
}

uint64_t env_count(struct env_txn *t, struct env_db *db)
{
	MDB_stat st;
	return t->err || mdb_stat(t->txn, db->dbi, &st) ? 0 : st.ms_entries;
}

/* Cursors */

enum err env_cursor_open(struct env_txn *t, struct env_db *db, struct env_cursor *out)
{
	*out = (struct env_cursor){ .t = t, .db = db };
	if (t->err)
		return t->err;
	int rc = mdb_cursor_open(t->txn, db->dbi, &out->c);
	return rc ? txn_fail(t, rc, db->name) : ERR_OK;
}

void env_cursor_close(struct env_cursor *c)
{
	if (c->c)
		mdb_cursor_close(c->c);
	c->c = NULL;
}

static enum err move(struct env_cursor *c, MDB_val *k, MDB_cursor_op op, struct env_record *out)
{
	if (c->t->err)
		return c->t->err;
	MDB_val v;
	int rc = mdb_cursor_get(c->c, k, &v, op);
	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc)
		return txn_fail(c->t, rc, c->db->name);
	out->key = k->mv_data;
	out->key_len = k->mv_size;
	return check_record(c->t, c->db, k, &v, &out->value);
}

enum err env_cursor_seek(struct env_cursor *c, const void *key, size_t key_len, struct env_record *out)
{
	MDB_val k = val_of(key, key_len);
	return move(c, &k, MDB_SET_RANGE, out);
}

enum err env_cursor_next(struct env_cursor *c, struct env_record *out)
{
	MDB_val k;
	return move(c, &k, MDB_NEXT, out);
}

enum err env_cursor_last(struct env_cursor *c, struct env_record *out)
{
	MDB_val k;
	return move(c, &k, MDB_LAST, out);
}

/* The walk */

static enum err walk_db(struct env_txn *t, struct env_db *db, uint64_t *records)
{
	struct env_cursor c;
	struct env_record r;
	uint64_t count = env_count(t, db), seen = 0;
	enum err e = env_cursor_open(t, db, &c);
	if (e)
		return e;
	uint8_t last[ENV_KEY_MAX + 12];
	size_t last_len = 0;
	/* Keys must ascend and be as many as told: a damaged tree may lead back into itself. */
	while (!(e = env_cursor_next(&c, &r))) {
		size_t n = r.key_len < last_len ? r.key_len : last_len;
		int order = seen ? memcmp(last, r.key, n) : -1;
		if (order > 0 || (order == 0 && r.key_len <= last_len) ||
		    r.key_len > sizeof(last) || ++seen > count) {
			e = damaged(t, db, r.key, r.key_len);
			break;
		}
		memcpy(last, r.key, r.key_len);
		last_len = r.key_len;
	}
	env_cursor_close(&c);
	*records += seen;
	if (e == ERR_NOTFOUND)
		e = seen == count
		    ? ERR_OK
		    : errbuf_set(t->eb, ERR_DAMAGED, "catalog: %s has %llu records, %llu are there",
		          db->name, (unsigned long long)count, (unsigned long long)seen);
	return e;
}

/* Names of all sub-databases: the keys of the unnamed one. */
static enum err walk_names(
    struct env *e, MDB_txn *txn, struct errbuf *eb, char (**names)[ENV_NAME_MAX], size_t *count)
{
	MDB_dbi main_dbi;
	MDB_cursor *c;
	MDB_val k, v;
	(void)e;
	int rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
	if (!rc)
		rc = mdb_cursor_open(txn, main_dbi, &c);
	if (rc)
		return fail(eb, rc, "list of sub-databases");
	while (!(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))) {
		if (k.mv_size >= ENV_NAME_MAX) {
			rc = MDB_CORRUPTED;
			break;
		}
		*names = mem_array(*names, *count + 1, ENV_NAME_MAX);
		memset((*names)[*count], 0, ENV_NAME_MAX);
		memcpy((*names)[(*count)++], k.mv_data, k.mv_size);
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? ERR_OK : fail(eb, rc, "list of sub-databases");
}

enum err env_walk(struct env *e, uint64_t *records, struct errbuf *eb)
{
	char(*names)[ENV_NAME_MAX] = NULL;
	size_t count = 0;
	struct env_txn t;
	*records = 0;
	enum err er = env_begin_read(e, &t, eb);
	if (er)
		return er;
	er = walk_names(e, t.txn, eb, &names, &count);
	env_abort(&t);
	for (size_t i = 0; !er && i < count; i++) {
		struct env_db *db;
		er = env_db(e, names[i], &db, eb);
		if (!er)
			er = env_begin_read(e, &t, eb);
		if (!er) {
			er = walk_db(&t, db, records);
			env_abort(&t);
		}
	}
	mem_free(names);
	return er;
}
