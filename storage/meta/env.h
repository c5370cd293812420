/*
 * env - LMDB with checksums: every record ends with a CRC-32C over the name of its sub-database,
 * its key and its value, checked at each read.
 *
 * Synchronous commits, no WRITEMAP; the memory map grows by half of itself, in steps of
 * ENV_MAP_STEP, while nobody is inside of a transaction, before a writer would pass 80 % of it.
 * A writer that meets its end all the same gets ERR_AGAIN, and each next transaction finds twice
 * the room: abort and begin again. A map for which there is no address space stays as it is:
 * ERR_NOMEM, readers go on. A full disk is ERR_NOSPACE, at the commit.
 * One that changes more pages than LMDB keeps gets ERR_TOOBIG: in smaller pieces.
 *
 * LMDB refuses everything after it failed to write its head: the next transaction, or
 * env_sweep_readers, opens the environment again.
 *
 * The file is read through a map, so a page the disk cannot give is SIGBUS: every call here is
 * guarded (core/base/guard.h). After one the environment is lost: calls give ERR_DAMAGED, until
 * it is closed. That any call met damage is remembered: env_is_damaged.
 *
 * A transaction keeps its first error (not ERR_NOTFOUND) and turns later calls into no-ops that
 * return it; env_commit returns it too.
 * Keys compare as bytes.
 *
 * Thread: workers. Read transactions: any number, on any thread, one thread at a time each. Write
 * transactions: one at a time (LMDB's lock makes a second one wait).
 * A thread is inside of at most one transaction, but for env_begin_read_beside.
 * Memory: values are lent until the next write of the transaction, or its end.
 * Errors: ERR_DAMAGED with a text that names sub-database and key.
 */
#ifndef STORAGE_META_ENV_H
#define STORAGE_META_ENV_H

#include "core/base/err.h"

#define ENV_MAP_STEP ((size_t)16 << 20)
#define ENV_KEY_MAX  500
#define ENV_NAME_MAX 16

struct env;
struct env_db; /* a sub-database, for the life of the environment */
struct MDB_txn;
struct MDB_cursor;

struct env_opts {
	const char *path;   /* an existing directory */
	unsigned dbs_max;   /* sub-databases */
	bool readonly_solo; /* no lock file, no writing: for a walk by one process */
	size_t map_step;    /* 0 = ENV_MAP_STEP; smaller in tests */
};
MUST_CHECK enum err env_open(const struct env_opts *o, struct env **out, struct errbuf *eb);
void env_close(struct env *e); /* no transaction open */
/* Opened, made when missing (not with readonly_solo: ERR_NOTFOUND). Before other threads use e. */
MUST_CHECK enum err env_db(struct env *e, const char *name, struct env_db **out, struct errbuf *eb);
uint64_t env_bytes(struct env *e);     /* of the file in use */
uint64_t env_map_bytes(struct env *e); /* of the map */
/* Clears readers of dead processes; as a writer. Opens the environment again when LMDB wants
 * that. */
MUST_CHECK enum err env_sweep_readers(struct env *e, struct errbuf *eb);
bool env_is_damaged(const struct env *e); /* any thread */
/* fn while nobody is inside of a transaction: what all readers look at may change in it. */
void env_alone(struct env *e, void (*fn)(void *arg), void *arg);
/*
 * A new, empty environment in place of one that is damaged, also after SIGBUS: nobody is inside of
 * a transaction when it is closed, move() puts its files away and makes an empty directory;
 * renewed() runs when that is done; then it is opened. An error leaves it closed: calls fail, until
 * this succeeds.
 */
MUST_CHECK enum err env_renew(struct env *e, enum err (*move)(void *arg),
    void (*renewed)(void *arg), void *arg, struct errbuf *eb);
/* Bytes of the pages of a sub-database; 0 where it cannot be told. */
uint64_t env_db_bytes(struct env *e, struct env_db *db);
/*
 * For tests, 0 = off: so many changed records fill a transaction (ERR_TOOBIG); the map is full,
 * once, at the so manyth from now (ERR_AGAIN). */
extern unsigned env_puts_max, env_map_full_at;
extern size_t env_map_step; /* of all opened from now on */

struct env_txn {
	struct env *env;
	struct MDB_txn *txn;
	struct errbuf *eb;
	enum err err;
	bool write, inside;
	unsigned puts;
};
struct env_value {
	const uint8_t *data;
	size_t len;
};
MUST_CHECK enum err env_begin_read(struct env *e, struct env_txn *t, struct errbuf *eb);
/*
 * A second, reading transaction on the thread of a writing one that has just begun: sees what was
 * committed before. It must end first.
 */
MUST_CHECK enum err env_begin_read_beside(const struct env_txn *writer, struct env_txn *t);
/* need_bytes: about what will be written; the map is made large enough before. */
MUST_CHECK enum err env_begin_write(
    struct env *e, uint64_t need_bytes, struct env_txn *t, struct errbuf *eb);
MUST_CHECK enum err env_commit(struct env_txn *t);
void env_abort(struct env_txn *t); /* ends a transaction of either kind; nothing after env_commit */

MUST_CHECK enum err env_get(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    struct env_value *out); /* ERR_NOTFOUND */
enum err env_put(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *value, size_t len);
/* The same in two pieces; append: the key is above all others of the sub-database. */
enum err env_put2(struct env_txn *t, struct env_db *db, const void *key, size_t key_len,
    const void *v1, size_t len1, const void *v2, size_t len2, bool append);
enum err env_del(struct env_txn *t, struct env_db *db, const void *key,
    size_t key_len); /* a missing one is fine */
uint64_t env_count(struct env_txn *t, struct env_db *db);

struct env_cursor {
	struct env_txn *t;
	struct env_db *db;
	struct MDB_cursor *c;
};
struct env_record {
	const uint8_t *key;
	size_t key_len;
	struct env_value value;
};
MUST_CHECK enum err env_cursor_open(struct env_txn *t, struct env_db *db, struct env_cursor *out);
void env_cursor_close(struct env_cursor *c); /* before its transaction ends */
MUST_CHECK enum err env_cursor_seek(struct env_cursor *c, const void *key, size_t key_len,
    struct env_record *out); /* first at or above; ERR_NOTFOUND: none */
MUST_CHECK enum err env_cursor_next(
    struct env_cursor *c, struct env_record *out); /* ERR_NOTFOUND: that was the last */
MUST_CHECK enum err env_cursor_prev(
    struct env_cursor *c, struct env_record *out); /* ERR_NOTFOUND: that was the first */
MUST_CHECK enum err env_cursor_last(struct env_cursor *c, struct env_record *out);

/* Every record of every sub-database, with fn NULL only their checksums. */
MUST_CHECK enum err env_walk(struct env *e, uint64_t *records, struct errbuf *eb);

#endif
