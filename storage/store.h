/*
 * store - the sharded whole: takes batches (core/seam/sink.h), gives cursors (core/seam/source.h),
 * survives crashes.
 *
 * Shard j of S (fixed in MANIFEST) lives on loop j mod N. A series belongs to shard (fingerprint.hi
 * >> 32) * S >> 32.
 * The hot path: rows -> fingerprint (once per label run) -> one slice per owning loop -> owner:
 * successor prediction, else prefetched probe, label bytes compared -> append -> one log frame per
 * request and loop -> synced -> verdict home.
 * Order of things and invariants (1)-(11): README.md of this room.
 *
 * Thread: store_open, store_close from the main thread while the team runs; everything else on any
 * loop.
 * Memory: labels of active series, tails, packs, late rows and in-memory postings are on the head's
 * account.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/rt/job.h"
#include "core/rt/team.h"
#include "core/rt/work.h"
#include "core/seam/sink.h"
#include "core/seam/source.h"

/*
 * What the log may hold. A row takes 9 bytes in it: with very many series rounds come every five
 * minutes where rows come every 15 s, not every 85 s.
 */
#define STORE_LOG_SHARE_BYTES  (UINT64_C(512) << 20)
#define STORE_LOG_SERIES_BYTES 200u
enum store_sync {
	STORE_SYNC_COMMIT,
	STORE_SYNC_INTERVAL,
	STORE_SYNC_OFF
};

struct store_opts {
	const char *dir;
	struct team *team;
	struct work_pool *pool;
	unsigned shards; /* for a new directory; 0 = 16; an existing one keeps its own */
	enum store_sync sync;
	int64_t sync_interval_ms; /* 1,000 */
	int64_t ooo_window_ms;    /* below 0 = the retention */
	int64_t retention_ms;     /* 30 d */
	uint64_t retention_bytes; /* of files, catalog and log; 0 = no limit */
	int64_t future_ms;        /* 10 min */
	uint64_t series_max;      /* all tenants; 0 = head budget / SPACE_SERIES_BYTES */
	/* per loop, burst of ten seconds; 0 = the loop's limits, UINT64_MAX = as many as come */
	uint64_t new_series_per_s;
	uint64_t min_free_bytes; /* 0 = max(1 GiB, 3 %) */
	int64_t round_every_ms;  /* 10 min */
	int64_t retry_ms;        /* after a failed round, switch, merge or feed; 0 = 5 s */
	int64_t seal_every_ms;   /* between looks at what can be merged; 0 = 1 min */
	int64_t evict_idle_ms;   /* a series so much older than its tenant's newest sample may leave
	                               memory; 0 = 70 min */
	/* Rounds start when the log holds more; 0 = 512 MiB, and 200 bytes an active series. */
	uint64_t log_share_bytes;
	uint64_t log_segment_bytes; /* 0 = 64 MiB; smaller for tests and small disks */
	unsigned log_probe_ms;      /* between tries of a log that is read-only; 0 = 60 s */
	uint64_t reserve_bytes;     /* 0 = 64 MiB */
	uint64_t stats_bytes;       /* of store_stats; 0 = STORE_STATS_PART th of the budget */
	struct label_limits labels; /* 0 = the loop's limits (core/model/limits.h) */
	/*
	 * Asked now and then while store_open runs, from several threads: true = give up,
	 * ERR_STOPPING.
	 * May be NULL. */
	bool (*stop)(void *arg);
	void *stop_arg;
};
void store_opts_default(struct store_opts *o);

struct store;
/*
 * Locks the directory (ERR_LOCKED names the owner's pid), recovers, commits again what was not
 * known synced, then is ready.
 */
MUST_CHECK enum err store_open(const struct store_opts *o, struct store **out, struct errbuf *eb);
/*
 * Stops accepting, finishes what is under way, syncs. No request may be in flight and no cursor
 * open; reads of cursors that were closed in a wait are waited for.
 */
void store_close(struct store *st);
struct sink *store_sink(struct store *st);
struct source *store_source(struct store *st);

/*
 * Tenants by name (storage/tenantbook.h). On a loop of the team; each finds in a table of its own.
 * find: TENANT_NONE when nobody has the name; its data is empty then, and reading makes nothing.
 * name: NULL when nobody has the id; "~7" when the name was lost with both copies of the book.
 * Ids are 0 (TENANT_DEFAULT) to store_tenants - 1.
 */
uint32_t store_tenant_find(const struct store *st, const char *name, size_t len);
const char *store_tenant_name(const struct store *st, uint32_t id);
uint32_t store_tenants(const struct store *st);
uint64_t store_tenant_series(const struct store *st, uint32_t id); /* active now, exactly */
/*
 * Ids for names, new ones where nobody has them yet: durable, and found on all loops, before done
 * is called, on the asking loop, never below the caller. Names and ids are borrowed until then.
 * err: ERR_BADDATA a name is wrong, ERR_TOOBIG over --limits.tenants, ERR_NOSPACE and others: the
 * book cannot be written; eb has the text. Names that somebody has get their ids all the same,
 * the others TENANT_NONE.
 */
struct tenantbook;
struct store_tenant_req {
	const char *const *names; /* [count], each with a NUL behind it */
	size_t count;
	uint32_t *ids;               /* [count] */
	const struct limits *limits; /* whose number of tenants holds; NULL: those of loop 0 */
	void (*done)(struct store_tenant_req *r);
	/* result */
	enum err err;
	struct errbuf eb;
	struct mbox_msg _msg;
	struct list_link _link;
	struct loop *_from;
	struct tenantbook *_book;
};
void store_tenant_make(struct store *st, struct store_tenant_req *r);
/*
 * Ids for all rows of a snapshot that no loop has yet. store_tenants_bind on a loop; done as above;
 * on an error the rows without an id have TENANT_NONE. store_tenants_bind_wait on a thread that is
 * no loop, at the start.
 */
struct tenants;
struct store_tenants_req {
	struct tenants *tenants;
	const struct limits *limits; /* those that come with them; NULL: those of loop 0 */
	void (*done)(struct store_tenants_req *r);
	enum err err;
	struct errbuf eb;
	struct store_tenant_req _make;
	const char **_names;
	uint32_t *_ids;
};
void store_tenants_bind(struct store *st, struct store_tenants_req *r);
MUST_CHECK enum err store_tenants_bind_wait(
    struct store *st, struct tenants *tenants, struct errbuf *eb);

/*
 * Metadata of metric families of tenants, served from memory of loop 0's keeper, copied into metas
 * (array and strings in the arena), of one tenant after another.
 */
struct store_meta_req {
	struct arena *arena;
	const char *family; /* NULL = all */
	size_t family_len;
	/*
	 * Only these instead, in their order for each tenant; NULL: no list. Borrowed until done.
	 */
	const struct store_meta_name {
		const char *s;
		size_t len;
	} * names;
	size_t names_count;
	const uint32_t *tenants; /* borrowed until done */
	size_t tenants_count;
	struct batch_meta *metas;
	size_t count;
	void (*done)(struct store_meta_req *r); /* on the asking loop */
	struct mbox_msg _msg;
	struct loop *_from;
	struct store *_store;
	struct job _job; /* on loop 0 */
	struct loop_deferred _end;
	bool _begun;
	size_t _tenant;      /* of tenants: whose turn it is */
	const void *_family; /* of that one, the next; NULL: its first */
	size_t _name;        /* of names, the next */
	size_t _room;        /* of metas */
};
void store_meta(struct store *st, struct store_meta_req *r);

/*
 * Memory goes to files, and what is worth it is merged without waiting for quiet, open ranges too;
 * done when durable.
 */
struct store_flush_req {
	void (*done)(struct store_flush_req *r);
	enum err err;
	struct mbox_msg _msg;
	struct loop *_from;
	uint32_t _open;
};
void store_flush(struct store *st, struct store_flush_req *r);

/* Copies of the data directory while it is in use: storage/back/snapshot.h. On a loop. */
struct snapshot_req;
void store_snapshot(struct store *st, struct snapshot_req *r);

/*
 * Figures of a tenant for /status/tsdb, gathered from all loops. Files are shared: the times of
 * theirs count where the tenant is the only one; else those of samples in memory do.
 * They are exact but for a label with so many values in one shard that it would fill the tables
 * (storage/stats.c): its values are estimated within 2 % (core/base/sketch.h), the same as long as
 * they are the same, and of its pairs a small part of the series of each may be missing.
 */
struct store_top {
	char name[256]; /* cut */
	uint64_t value;
	/* It may be so much more, for there was no room to count all; 0: exact, or within 2 %. */
	uint64_t off;
	bool about; /* it is not exact */
};
#define STORE_TOP_MAX 100
/*
 * All counts under way hold a STORE_STATS_PART th of the budget, STORE_STATS_LEAST to
 * STORE_STATS_MOST bytes. What has fewer pairs of names and values than there is room for
 * (some 100 bytes each and loop) is exact; of labels with very many values their number is an
 * estimate, within 2 %.
 */
#define STORE_STATS_PART  64u
#define STORE_STATS_LEAST (UINT64_C(16) << 20)
#define STORE_STATS_MOST  (UINT64_C(128) << 20)
struct store_stats {
	uint64_t series, label_pairs, chunks;
	uint64_t made;              /* series that came into memory since the store was opened */
	int64_t t_min_ms, t_max_ms; /* INT64_MAX, INT64_MIN when empty */
	struct store_top by_metric[STORE_TOP_MAX],
	    by_label[STORE_TOP_MAX] /* distinct values per name */, by_pair[STORE_TOP_MAX],
	    by_target[STORE_TOP_MAX] /* pairs of instance */, mem_by_label[STORE_TOP_MAX];
	unsigned by_metric_count, by_label_count, by_pair_count, by_target_count, mem_by_label_count;
	/* what a list does not have has so much at most */
	uint64_t metric_below, label_below, pair_below, target_below;
	bool pairs_about; /* label_pairs is not exact */
	uint64_t bytes;   /* that the count held */
};
struct count;
struct store_stats_req {
	uint32_t tenant;
	unsigned top;              /* 1..STORE_TOP_MAX */
	bool lists;                /* chunks and times are not wanted, and memory is saved */
	struct store_stats *stats; /* filled; caller's */
	void (*done)(struct store_stats_req *r);
	struct mbox_msg _msg;
	struct loop *_from;
	struct store *_store;
	struct list_link _link;
	uint32_t _open;
	struct count *_counts;
};
void store_stats(struct store *st, struct store_stats_req *r);

/*
 * What explodes in a tenant, and did within a day (storage/append/alarm.h), those of now first; and
 * what its largest metrics, labels, pairs and targets were an hour and a day ago (NULL: nobody
 * knows). Copies: store_card_release, also after it.
 */
struct alarm_row;
struct marks_mark;
struct store_card_req {
	uint32_t tenant;
	void (*done)(struct store_card_req *r); /* on the asking loop */
	/* result */
	struct alarm_row *rows;
	size_t rows_count;
	struct marks_mark *hour, *day; /* storage/marks.h */
	struct mbox_msg _msg;
	struct loop *_from;
	struct store *_store;
};
void store_card(struct store *st, struct store_card_req *r);
void store_card_release(struct store_card_req *r);
/*
 * How it came about: the moments of a range that are kept (storage/cardhist.h), each with the
 * largest of a kind. Moments ascend, rows descend; since_ms to t_ms is what made covers; a name
 * that is not there had at most `below`. The cut is the caller's: store_card_cut_release.
 */
enum store_card_kind {
	STORE_CARD_METRIC,
	STORE_CARD_LABEL, /* its values */
	STORE_CARD_PAIR,
	STORE_CARD_TARGET /* pairs of instance */
};
#define STORE_CARD_KINDS 4u
struct store_card_row {
	uint32_t name; /* of names */
	uint64_t value;
};
struct store_card_moment {
	int64_t t_ms, since_ms;
	uint64_t series, made, below;
	uint32_t rows_at, rows_count; /* of rows */
};
struct store_card_cut {
	struct store_card_moment *moments;
	struct store_card_row *rows;
	uint32_t *names; /* where each begins in texts; NUL at its end */
	char *texts;
	uint32_t moments_count, rows_count, names_count;
};
struct store_card_history_req {
	uint32_t tenant;
	enum store_card_kind kind;
	int64_t t_min_ms, t_max_ms, step_ms;            /* step 0: every moment */
	unsigned limit;                                 /* of rows, 1..64 */
	void (*done)(struct store_card_history_req *r); /* on the asking loop */
	/* result */
	struct store_card_cut cut;
	int64_t every_ms; /* moments are so far apart where nothing hinders */
	struct mbox_msg _msg;
	struct loop *_from;
	struct store *_store;
};
void store_card_history(struct store *st, struct store_card_history_req *r);
void store_card_cut_release(struct store_card_cut *c);
/* Rows of all tenants, at once. On loop 0. */
void store_card_here(struct store *st, void (*fn)(void *arg, const struct alarm_row *row), void *arg);

/* Is the catalog being made anew (storage/back/rebuild.c)? Any thread. */
bool store_catalog_is_behind(const struct store *st);
unsigned store_shards(const struct store *st);
/* With what 0 stood for filled in. */
const struct store_opts *store_opts_in_force(const struct store *st);
uint64_t store_series(const struct store *st); /* active now, approximately */

#endif
