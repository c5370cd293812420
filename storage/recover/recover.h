/*
 * recover - from a data directory to shards that are ready to go on ("Recovery" of
 * storage/README.md).
 *
 *   1  per shard: FILES (or FILES.prev), written again before anything is removed, its files
 *      opened, unnamed ones removed or set aside
 *   2  the log is read by the calling thread; payloads go in pieces to all loops, which apply their
 *      shards' groups side by side; RECOVER_FLIGHT_BYTES bound what is under way
 *   3  ids that only rows spoke of get their definitions from the files' label blocks; what is
 *      defined nowhere is dropped and counted; series that only the log still defines, without a
 *      sample in memory or in a file, are forgotten
 *   4  next numbers and ids are above everything seen
 * Afterwards walog_create commits again what was not known synced. Nothing here changes the log: a
 * second recovery finds the same (11).
 *
 * Thread: main, while the team turns and takes no requests. Blocks.
 */
#ifndef STORAGE_RECOVER_RECOVER_H
#define STORAGE_RECOVER_RECOVER_H

#include "core/base/err.h"
#include "storage/recover/refill.h"
#include "storage/share.h"
#include "storage/stopping.h"
#include "storage/wal/replay.h"

#define RECOVER_PIECE_BYTES  (4u << 20)
#define RECOVER_FLIGHT_BYTES (64u << 20)

struct asidebook;
struct space;
/* What it needs, set up by the store. */
struct recover_env {
	unsigned loops;
	struct share **shares; /* [loops] */
	unsigned shards_count; /* a group of that number is one of metadata */
	struct shard **shards;
	struct fsio_dir *dir, *log_dir, *shards_dir;
	struct asidebook *book; /* of what lies aside of the log; in dir */
	struct clockwatch *clock;
	struct space *space;
	struct team *team;
	struct stopping stop;
	int64_t future_ms, ooo_window_ms, retention_ms;
	struct refill_metas metas; /* called on loop 0 */
	struct sink *sink;         /* restore: takes rows once more, when the store is ready */
};
/* fn(args + i * size) on loop i, on all loops at the same time; returns when all have. */
void recover_on_all(const struct recover_env *env, void (*fn)(void *arg), void *args, size_t size);
/* Opens the shards' directories and files. */
MUST_CHECK enum err recover_files(const struct recover_env *env, struct errbuf *eb);
/* Replays the log into the shards; the caller releases *log after walog_create. */
MUST_CHECK enum err recover_log(
    const struct recover_env *env, struct replay_result *log, struct errbuf *eb);

/*
 * Loops begin with what all of them know. Newest times of classes, and the first look at the clock,
 * after the log; counts of series, last.
 */
void recover_newest(const struct recover_env *env);
void recover_tell(const struct recover_env *env);

#endif
