#include "storage/meta/env.h"

#include "core/base/arena.h"
#include "core/base/guard.h"
#include "core/base/hash.h"
#include "core/base/wire.h"
#include "core/rt/gate.h"
#include "core/rt/latch.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

#define CRC_LEN     4
#define READERS_MAX 510
#define FILE_MODE   0600
#define DB_TRIES    8u /* each finds twice the room of the one before */

struct env_db {
	char name[ENV_NAME_MAX];
	uint32_t seed; /* crc of the name */
	MDB_dbi dbi;
};
struct env {
	MDB_env *env;
	struct gate *gate; /* inside: whoever has a transaction */
	size_t map_step;
	uint64_t map_bytes; /* of the map as it was made last; nobody is inside when it changes */
	uint64_t more;      /* room wanted because the map was full; the writer's */
	char *path;
	unsigned dbs_max;
	bool readonly;
	struct latch panicked; /* LMDB could not write its head: it wants to be opened again */
	struct latch damaged;  /* some call met damage */
	struct latch lost;     /* SIGBUS: LMDB is not called any more */
	struct env_db **dbs;
	size_t dbs_count;
};

unsigned env_puts_max, env_map_full_at;
size_t env_map_step;

#define LOST (-1) /* beside LMDB's codes and errno's */

static enum err err_of(int rc)
{
	switch (rc) {
	case 0:
		return ERR_OK;
	case MDB_NOTFOUND:
		return ERR_NOTFOUND;
	case MDB_MAP_FULL:
		return ERR_AGAIN;
	case MDB_TXN_FULL:
		return ERR_TOOBIG;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_BAD_TXN:
	case MDB_CURSOR_FULL:
	case MDB_INCOMPATIBLE:
	/* our keys have lengths it takes: one of its own pages says otherwise */
	case MDB_BAD_VALSIZE:
	case MDB_BAD_DBI:
	case MDB_PAGE_FULL:
	/* of the library we are linked with: a bit of the head is wrong */
	case MDB_VERSION_MISMATCH:
	case LOST:
		return ERR_DAMAGED;
	case MDB_READERS_FULL:
		return ERR_BUSY;
	default:
		return rc > 0 ? err_of_errno(rc) : ERR_IO;
	}
}

static enum err fail(struct env *e, struct errbuf *eb, int rc, const char *what)
{
	enum err er = err_of(rc);
	if (er == ERR_DAMAGED)
		latch_set(&e->damaged);
	if (rc == MDB_PANIC)
		latch_set(&e->panicked);
	return errbuf_set(eb, er, "catalog: %s: %s", what,
	    rc == LOST ? "a page of its file cannot be read" : mdb_strerror(rc));
}

static void want_more(struct env *e)
{
	e->more = e->more ? 2 * e->more : e->map_step;
}

static enum err txn_fail(struct env_txn *t, int rc, const char *what)
{
	enum err e = fail(t->env, t->eb, rc, what);
	if (rc == MDB_MAP_FULL)
		want_more(t->env);
	if (!t->err)
		t->err = e;
	return e;
}

bool env_is_damaged(const struct env *e)
{
	return latch_is_set(&e->damaged);
}

/* One call of LMDB: what it needs, what it gave. */
struct call {
	struct env *env;
	MDB_txn *txn;
	MDB_txn **begun;
	struct env_db *db;
	MDB_cursor *cursor;
	MDB_cursor **opened;
	MDB_val *key, *value;
	unsigned op; /* flags, or the cursor's operation */
	const void *v1, *v2;
	size_t len1, len2;
	uint64_t number;
	int rc;
	bool bad; /* the checksum is wrong */
};

static int guarded(struct env *e, void (*fn)(void *arg), struct call *c)
{
	if (latch_is_set(&e->lost))
		return LOST;
	if (!e->env) /* it could not be opened again */
		return MDB_PANIC;
	c->env = e;
	if (guard_run(fn, c))
		return c->rc;
	latch_set(&e->lost);
	return LOST;
}

/* With an error e->env is NULL or to be closed. */
static int open_at(struct env *e, size_t map_bytes)
{
	int rc = mdb_env_create(&e->env);
	if (rc) {
		e->env = NULL;
		return rc;
	}
	rc = mdb_env_set_maxdbs(e->env, e->dbs_max);
	if (!rc)
		rc = mdb_env_set_maxreaders(e->env, READERS_MAX);
	if (!rc && !e->readonly)
		rc = mdb_env_set_mapsize(e->env, map_bytes);
	if (!rc)
		rc = mdb_env_open(e->env, e->path,
		    MDB_NOTLS | (e->readonly ? MDB_RDONLY | MDB_NOLOCK : 0), FILE_MODE);
	return rc;
}

static void map_bytes_run(void *arg)
{
	struct call *c = arg;
	MDB_envinfo info;
	c->rc = mdb_env_info(c->env->env, &info);
	c->number = info.me_mapsize;
}

/* While nobody else uses it; 0: it cannot be told. */
static uint64_t map_of(struct env *e)
{
	struct call c = { 0 };
	return guarded(e, map_bytes_run, &c) ? 0 : c.number;
}

enum err env_open(const struct env_opts *o, struct env **out, struct errbuf *eb)
{
	struct env *e = mem_zalloc(sizeof(*e));
	e->map_step = o->map_step ? o->map_step : env_map_step ? env_map_step : ENV_MAP_STEP;
	e->dbs_max = o->dbs_max;
	e->readonly = o->readonly_solo;
	e->gate = gate_create();
	size_t len = strlen(o->path) + 1;
	e->path = mem_alloc(len);
	memcpy(e->path, o->path, len);
	int rc = open_at(e, e->map_step);
	if (rc) {
		enum err er = fail(e, eb, rc, "open");
		env_close(e);
		return er;
	}
	e->map_bytes = map_of(e);
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
	mem_free(e->path);
	gate_free(e->gate);
	mem_free(e);
}

static void db_run(void *arg)
{
	struct call *c = arg;
	bool ro = c->env->readonly;
	MDB_txn *txn;
	c->rc = mdb_txn_begin(c->env->env, NULL, ro ? MDB_RDONLY : 0, &txn);
	if (c->rc)
		return;
	c->rc = mdb_dbi_open(txn, c->db->name, ro ? 0 : MDB_CREATE, &c->db->dbi);
	if (c->rc)
		mdb_txn_abort(txn);
	else
		c->rc = mdb_txn_commit(txn);
}

/* How far the file is used: pages past the last one are free or not there yet. */
static void bytes_run(void *arg)
{
	struct call *c = arg;
	MDB_envinfo info;
	MDB_stat st;
	c->rc = mdb_env_info(c->env->env, &info);
	if (!c->rc)
		c->rc = mdb_env_stat(c->env->env, &st);
	if (!c->rc)
		c->number = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
}

uint64_t env_bytes(struct env *e)
{
	struct call c = { 0 };
	gate_enter(e->gate);
	int rc = guarded(e, bytes_run, &c);
	gate_leave(e->gate);
	return rc ? 0 : c.number;
}

uint64_t env_map_bytes(struct env *e)
{
	gate_enter(e->gate);
	uint64_t bytes = e->map_bytes;
	gate_leave(e->gate);
	return bytes;
}

static void sweep_run(void *arg)
{
	struct call *c = arg;
	int dead;
	c->rc = mdb_reader_check(c->env->env, &dead);
}

static int reopen(struct env *e);

enum err env_sweep_readers(struct env *e, struct errbuf *eb)
{
	struct call c = { 0 };
	int rc = latch_is_set(&e->panicked) ? reopen(e) : 0;
	gate_enter(e->gate);
	if (!rc)
		rc = guarded(e, sweep_run, &c);
	gate_leave(e->gate);
	return rc ? fail(e, eb, rc, "readers of dead processes") : ERR_OK;
}

void env_alone(struct env *e, void (*fn)(void *arg), void *arg)
{
	gate_close(e->gate);
	fn(arg);
	gate_open(e->gate);
}

/* Transactions */

static void begin_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_txn_begin(c->env->env, NULL, c->op, c->begun);
}

static int begin(struct env_txn *t, unsigned flags)
{
	struct call c = { .begun = &t->txn, .op = flags };
	int rc = guarded(t->env, begin_run, &c);
	if (rc)
		t->txn = NULL;
	return rc;
}

enum err env_begin_read(struct env *e, struct env_txn *t, struct errbuf *eb)
{
	*t = (struct env_txn){ .env = e, .eb = eb, .inside = true };
	if (latch_is_set(&e->panicked))
		(void)reopen(e); /* without success begin fails */
	gate_enter(e->gate);
	int rc = begin(t, MDB_RDONLY);
	if (rc) {
		gate_leave(e->gate);
		return fail(e, eb, rc, "begin");
	}
	return ERR_OK;
}

enum err env_begin_read_beside(const struct env_txn *writer, struct env_txn *t)
{
	*t = (struct env_txn){ .env = writer->env,
		.eb = writer->eb }; /* the writer is inside for both */
	int rc = begin(t, MDB_RDONLY);
	return rc ? fail(t->env, t->eb, rc, "begin") : ERR_OK;
}

static void grow_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_env_set_mapsize(c->env->env, c->number);
}

static int reopen_alone(struct env *e);

/*
 * While nobody is inside. LMDB has let the old map go when it cannot have the new one: it is opened
 * again with the old size then.
 */
static int grow_alone(struct env *e, uint64_t bytes)
{
	struct call c = { .number = bytes };
	int rc = guarded(e, grow_run, &c);
	if (!rc) {
		e->map_bytes = bytes;
		return 0;
	}
	latch_set(&e->panicked);
	(void)reopen_alone(e); /* without success the next one tries again */
	return rc;
}

static uint64_t in_steps(const struct env *e, uint64_t bytes)
{
	return (bytes + e->map_step - 1) / e->map_step * e->map_step;
}

/* Room for need bytes below 80 % of the map. Only the one writer grows it. */
static int make_room(struct env *e, uint64_t need)
{
	uint64_t map = e->map_bytes, want = (env_bytes(e) + need) / 4 * 5 + e->more;
	if (want <= map)
		return 0;
	uint64_t large = map + map / 2;
	uint64_t bytes = in_steps(e, want > large ? want : large);
	if (!mem_room(bytes - map))
		bytes = in_steps(e, want);
	gate_close(e->gate);
	int rc = grow_alone(e, bytes);
	gate_open(e->gate);
	return rc;
}

enum err env_db(struct env *e, const char *name, struct env_db **out, struct errbuf *eb)
{
	struct env_db *db = mem_zalloc(sizeof(*db));
	CHECK(strlen(name) < sizeof(db->name));
	memcpy(db->name, name, strlen(name));
	db->seed = crc32c(0, name, strlen(name));
	struct call c = { .db = db };
	int rc = guarded(e, db_run, &c);
	for (unsigned i = 0; rc == MDB_MAP_FULL && i < DB_TRIES; i++) {
		want_more(e);
		rc = make_room(e, 0);
		rc = rc ? rc : guarded(e, db_run, &c);
	}
	if (rc) {
		mem_free(db);
		return fail(e, eb, rc, name);
	}
	e->dbs = mem_array(e->dbs, e->dbs_count + 1, sizeof(struct env_db *));
	e->dbs[e->dbs_count++] = db;
	*out = db;
	return ERR_OK;
}

/*
 * When LMDB fails to write one of its head pages, a full disk is enough for it, it refuses all that
 * comes later. What was committed is whole; opened again it goes on. While nobody is inside.
 */
static int reopen_alone(struct env *e)
{
	if (e->env)
		mdb_env_close(e->env);
	int rc = open_at(e, e->map_bytes > e->map_step ? e->map_bytes : e->map_step);
	for (size_t i = 0; !rc && i < e->dbs_count; i++) {
		struct call c = { .db = e->dbs[i] };
		rc = guarded(e, db_run, &c);
	}
	if (rc && e->env) {
		mdb_env_close(e->env);
		e->env = NULL;
	}
	if (!rc) {
		e->map_bytes = map_of(e);
		latch_clear(&e->panicked);
	}
	return rc;
}

static int renew_alone(struct env *e, enum err (*move)(void *arg), void (*renewed)(void *arg),
    void *arg, enum err *moved)
{
	if (e->env)
		mdb_env_close(e->env);
	e->env = NULL;
	*moved = move(arg);
	if (*moved) {
		latch_set(&e->panicked);
		return MDB_PANIC;
	}
	renewed(arg);
	latch_clear(&e->lost);
	e->map_bytes = e->more = 0;
	int rc = reopen_alone(e);
	if (rc) /* the next one who comes tries again */
		latch_set(&e->panicked);
	else
		latch_clear(&e->damaged);
	return rc;
}

enum err env_renew(struct env *e, enum err (*move)(void *arg), void (*renewed)(void *arg),
    void *arg, struct errbuf *eb)
{
	enum err moved;
	gate_close(e->gate);
	int rc = renew_alone(e, move, renewed, arg, &moved);
	gate_open(e->gate);
	if (moved)
		return errbuf_set(eb, moved, "catalog: it cannot be moved aside: %s", err_why(moved));
	return rc ? fail(e, eb, rc, "a new one") : ERR_OK;
}

/* Whoever meets it does that, not inside of a transaction. */
static int reopen(struct env *e)
{
	gate_close(e->gate);
	int rc = latch_is_set(&e->lost) ? LOST : 0;
	if (!rc && latch_is_set(&e->panicked))
		rc = reopen_alone(e);
	gate_open(e->gate);
	return rc;
}

enum err env_begin_write(struct env *e, uint64_t need_bytes, struct env_txn *t, struct errbuf *eb)
{
	*t = (struct env_txn){ .env = e, .eb = eb, .write = true, .inside = true };
	int rc = latch_is_set(&e->panicked) ? reopen(e) : 0;
	if (rc)
		return fail(e, eb, rc, "opening it again");
	rc = make_room(e, need_bytes);
	if (rc)
		return fail(e, eb, rc, "growth of the map");
	gate_enter(e->gate);
	rc = begin(t, 0);
	if (rc) {
		gate_leave(e->gate);
		return fail(e, eb, rc, "begin");
	}
	return ERR_OK;
}

static void commit_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_txn_commit(c->txn);
}

enum err env_commit(struct env_txn *t)
{
	if (t->err) {
		enum err e = t->err;
		env_abort(t);
		return e;
	}
	struct call c = { .txn = t->txn };
	int rc = guarded(t->env, commit_run, &c);
	t->txn = NULL;
	if (t->inside)
		gate_leave(t->env->gate);
	if (rc == MDB_MAP_FULL) /* the list of free pages is written last */
		want_more(t->env);
	if (rc && t->write) /* who failed to write its head says so at the next call only */
		latch_set(&t->env->panicked);
	if (!rc && t->write)
		t->env->more = 0;
	return rc ? fail(t->env, t->eb, rc, "commit") : ERR_OK;
}

static void abort_run(void *arg)
{
	struct call *c = arg;
	mdb_txn_abort(c->txn);
	c->rc = 0;
}

void env_abort(struct env_txn *t)
{
	if (!t->txn)
		return;
	if (t->err == ERR_DAMAGED)
		latch_set(&t->env->damaged);
	/*
	 * Of a lost one too: it gives back memory and a place among the readers, and reads no page.
	 */
	struct call c = { .txn = t->txn };
	if (!guard_run(abort_run, &c))
		latch_set(&t->env->lost);
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
	latch_set(&t->env->damaged);
	return errbuf_set(t->eb, ERR_DAMAGED, "catalog: record of %s with key %s%s is damaged",
	    db->name, hex, shown < key_len ? "..." : "");
}

/* Inside of the guard: reads every byte of the record. */
static bool record_is_good(const struct env_db *db, const MDB_val *k, const MDB_val *v)
{
	if (v->mv_size < CRC_LEN)
		return false;
	const uint8_t *data = v->mv_data;
	size_t len = v->mv_size - CRC_LEN;
	return record_crc(db, k->mv_data, k->mv_size, data, len) == wire_load32(data + len);
}

static struct env_value value_of(const MDB_val *v)
{
	return (struct env_value){ .data = v->mv_data, .len = v->mv_size - CRC_LEN };
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

static void get_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_get(c->txn, c->db->dbi, c->key, c->value);
	c->bad = !c->rc && !record_is_good(c->db, c->key, c->value);
}

enum err env_get(
    struct env_txn *t, struct env_db *db, const void *key, size_t key_len, struct env_value *out)
{
	if (t->err)
		return t->err;
	MDB_val k = val_of(key, key_len), v;
	struct call c = { .txn = t->txn, .db = db, .key = &k, .value = &v };
	int rc = guarded(t->env, get_run, &c);
	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc)
		return txn_fail(t, rc, db->name);
	if (c.bad)
		return damaged(t, db, key, key_len);
	*out = value_of(&v);
	return ERR_OK;
}

static bool full_on_purpose(struct env_txn *t, const struct env_db *db)
{
	if (env_map_full_at && !--env_map_full_at)
		txn_fail(t, MDB_MAP_FULL, db->name);
	else if (env_puts_max && ++t->puts > env_puts_max)
		txn_fail(t, MDB_TXN_FULL, db->name);
	return t->err != ERR_OK;
}

static void put_run(void *arg)
{
	struct call *c = arg;
	size_t len = c->len1 + c->len2;
	c->value->mv_size = len + CRC_LEN;
	c->rc = mdb_put(c->txn, c->db->dbi, c->key, c->value, c->op);
	if (c->rc)
		return;
	uint8_t *to = c->value->mv_data;
	if (c->len1)
		memcpy(to, c->v1, c->len1);
	if (c->len2)
		memcpy(to + c->len1, c->v2, c->len2);
	wire_store32(to + len, record_crc(c->db, c->key->mv_data, c->key->mv_size, to, len));
}

enum err env_put2(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *v1, size_t len1, const void *v2, size_t len2, bool append)
{
	if (t->err)
		return t->err;
	CHECK(key_len <= ENV_KEY_MAX);
	if (full_on_purpose(t, db))
		return t->err;
	MDB_val k = val_of(key, key_len), v = { 0 };
	struct call c = { .txn = t->txn,
		.db = db,
		.key = &k,
		.value = &v,
		.v1 = v1,
		.len1 = len1,
		.v2 = v2,
		.len2 = len2,
		.op = append ? MDB_RESERVE | MDB_APPEND : MDB_RESERVE };
	int rc = guarded(t->env, put_run, &c);
	/* only with append: the caller's idea of the last key does not fit the records */
	if (rc == MDB_KEYEXIST)
		return damaged(t, db, key, key_len);
	return rc ? txn_fail(t, rc, db->name) : ERR_OK;
}

enum err env_put(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *value, size_t len)
{
	return env_put2(t, db, key, key_len, value, len, NULL, 0, false);
}

static void del_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_del(c->txn, c->db->dbi, c->key, NULL);
}

enum err env_del(struct env_txn *t, struct env_db *db, const void *key, size_t key_len)
{
	if (t->err)
		return t->err;
	if (full_on_purpose(t, db))
		return t->err;
	MDB_val k = val_of(key, key_len);
	struct call c = { .txn = t->txn, .db = db, .key = &k };
	int rc = guarded(t->env, del_run, &c);
	return rc && rc != MDB_NOTFOUND ? txn_fail(t, rc, db->name) : ERR_OK;
}

static void count_run(void *arg)
{
	struct call *c = arg;
	MDB_stat st;
	c->rc = mdb_stat(c->txn, c->db->dbi, &st);
	c->number = st.ms_entries;
}

uint64_t env_count(struct env_txn *t, struct env_db *db)
{
	struct call c = { .txn = t->txn, .db = db };
	return t->err || guarded(t->env, count_run, &c) ? 0 : c.number;
}

static void pages_run(void *arg)
{
	struct call *c = arg;
	MDB_stat st;
	c->rc = mdb_stat(c->txn, c->db->dbi, &st);
	c->number =
	    (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * (uint64_t)st.ms_psize;
}

uint64_t env_db_bytes(struct env *e, struct env_db *db)
{
	struct env_txn t;
	struct errbuf eb;
	errbuf_init(&eb);
	if (env_begin_read(e, &t, &eb))
		return 0;
	struct call c = { .txn = t.txn, .db = db };
	uint64_t bytes = guarded(e, pages_run, &c) ? 0 : c.number;
	env_abort(&t);
	return bytes;
}

/* Cursors */

static void cursor_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_cursor_open(c->txn, c->db->dbi, c->opened);
}

enum err env_cursor_open(struct env_txn *t, struct env_db *db, struct env_cursor *out)
{
	*out = (struct env_cursor){ .t = t, .db = db };
	if (t->err)
		return t->err;
	struct call c = { .txn = t->txn, .db = db, .opened = &out->c };
	int rc = guarded(t->env, cursor_run, &c);
	return rc ? txn_fail(t, rc, db->name) : ERR_OK;
}

void env_cursor_close(struct env_cursor *c)
{
	if (c->c)
		mdb_cursor_close(c->c);
	c->c = NULL;
}

static void move_run(void *arg)
{
	struct call *c = arg;
	c->rc = mdb_cursor_get(c->cursor, c->key, c->value, (MDB_cursor_op)c->op);
	c->bad = !c->rc && !record_is_good(c->db, c->key, c->value);
}

static enum err move(struct env_cursor *c, MDB_val *k, MDB_cursor_op op, struct env_record *out)
{
	if (c->t->err)
		return c->t->err;
	MDB_val v;
	struct call m = { .cursor = c->c, .db = c->db, .key = k, .value = &v, .op = op };
	int rc = guarded(c->t->env, move_run, &m);
	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc)
		return txn_fail(c->t, rc, c->db->name);
	if (m.bad)
		return damaged(c->t, c->db, k->mv_data, k->mv_size);
	out->key = k->mv_data;
	out->key_len = k->mv_size;
	out->value = value_of(&v);
	return ERR_OK;
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

enum err env_cursor_prev(struct env_cursor *c, struct env_record *out)
{
	MDB_val k;
	return move(c, &k, MDB_PREV, out);
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
	int rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
	if (!rc)
		rc = mdb_cursor_open(txn, main_dbi, &c);
	if (rc)
		return fail(e, eb, rc, "list of sub-databases");
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
	return rc == MDB_NOTFOUND ? ERR_OK : fail(e, eb, rc, "list of sub-databases");
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
