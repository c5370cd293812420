/*
 * snapshot - copies of the data directory, DATA_DIR/snapshots/NAME, made of hard links while the
 * store works: "Snapshots" of storage/README.md has the order and what must hold, (24) to (27).
 *
 *   snapshots_ask > waiting --> PREPARE directories > HOLD the log > LINK files, a worker's task
 *                                   |                                for each shard, in its lane
 *                                   | skip_head: at once             > CUT the log
 *                                   +--------------> LINK > FINISH <---+   |
 *                         any error: CLEAN, the half copy goes   FINISH > told
 * Requests are taken one after the other, SNAPSHOT_ASKED_MAX may wait.
 *
 * What is in one: MANIFEST.a, MANIFEST.b, TENANTS.a, TENANTS.b (copied); METADATA, CARDINALITY,
 * ASIDE, log/ (without spares; a segment that the log goes on in is copied), shards/NN/FILES
 * and what it names (linked). With skip_head log/ is empty:
 * what is in memory alone is left out.
 *
 * Thread: made and freed on the main thread; all else on loop 0. snapshots_look looks from any
 * thread that may block. Memory: own.
 */
#ifndef STORAGE_BACK_SNAPSHOT_H
#define STORAGE_BACK_SNAPSHOT_H

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/list.h"
#include "core/rt/loop.h"
#include "core/rt/work.h"

#define SNAPSHOTS_DIR      "snapshots"
#define SNAPSHOT_PART      ".part"
#define SNAPSHOT_NAME_MAX  40u /* "20261129T081218Z-0123456789abcdef" and a NUL */
#define SNAPSHOTS_MAX      1000u
#define SNAPSHOT_ASKED_MAX 64u
#define SNAPSHOTS_LOOK_MS  600000u /* between looks at what they hold */

struct shard;
struct walog;
/* What it stands on. */
struct snapshots_env {
	struct loop *loop; /* loop 0 */
	struct work_pool *pool;
	struct fsio_dir *dir, *log_dir; /* the data directory, its log */
	struct shard **shards;          /* [shards_count] */
	unsigned shards_count;
	struct walog *log; /* given when the store is ready */
};
struct snapshots;
struct snapshots *snapshots_create(const struct snapshots_env *env); /* borrowed */
void snapshots_free(struct snapshots *s);
/* When the store is ready: half ones of the last process go. */
void snapshots_start(struct snapshots *s);
/* What waits is told ERR_STOPPING; what is under way ends soon. */
void snapshots_stop(struct snapshots *s);
bool snapshots_busy(const struct snapshots *s);

enum snapshot_ask {
	SNAPSHOT_MAKE, /* gives name */
	SNAPSHOT_LIST, /* gives list */
	SNAPSHOT_DROP, /* takes name; ERR_NOTFOUND */
};
struct snapshot_info {
	char name[SNAPSHOT_NAME_MAX];
	int64_t made_ms; /* as its name has it */
	uint64_t files, bytes;
	uint64_t own_bytes; /* of files that the data directory itself has not (any more) */
};
struct snapshot_req {
	enum snapshot_ask ask;
	bool skip_head;
	char name[SNAPSHOT_NAME_MAX];
	void (*done)(struct snapshot_req *r); /* on the asking loop, for store_snapshot */
	/* result */
	enum err err; /* ERR_BUSY: too many wait; ERR_TOOBIG: SNAPSHOTS_MAX are there */
	struct errbuf eb;
	struct snapshot_info *list; /* by name, so by age; mem, the asker's to free */
	size_t list_count;
	struct list_link _link;
	struct mbox_msg _msg;
	struct loop *_from;
	struct snapshots *_snapshots;
};
/* On any loop of the team; done comes there. */
void snapshots_ask(struct snapshots *s, struct snapshot_req *r);

/*
 * YYYYMMDDTHHMMSSZ, "-", four hex digits of milliseconds in that second, twelve by chance: so names
 * stand in the order of their times.
 */
void snapshot_name_make(char out[SNAPSHOT_NAME_MAX], int64_t now_ms);
/* Is it the name of a whole one? *made_ms may be NULL. */
bool snapshot_name_parse(const char *name, int64_t *made_ms);

#endif
