/*
 * Rounds before their time. Tight memory, or a log over its share, has them, one shard of a loop
 * after another: for memory those whose samples are 1/RELIEF_PART of the head's part together, each
 * other one after RELIEF_MS; for the log those with half of their part of its share, others after
 * RELIEF_LOG_MS. Where labels fill memory, or something else holds the log, rounds one behind the
 * other would give nothing back and leave thousands of small files.
 */
#include "storage/back/back.h"
#include "storage/share.h"

#define RELIEF_PART    16u
#define RELIEF_MS      60000u
#define RELIEF_OVER_MS 10000u /* the same where nothing is taken */
#define RELIEF_LOG_MS  10000u
#define RELIEF_ROW     9u /* bytes of a row in the log */
#define RELIEF_STOCK   4u /* regions without use that go at a time */

/* Would a round of the shard give so much memory back that it is worth its files? */
static bool gives_memory(const struct share *share, const struct shard *sh, bool over)
{
	uint64_t part = share->env->head_bytes_max / RELIEF_PART / share->shards_count;
	if (over && sh->rows_since_round)
		return true;
	if (head_live_bytes(&sh->head) > part)
		return true;
	/* Series that ended leave memory only by rounds. */
	uint64_t ms = over ? RELIEF_OVER_MS : RELIEF_MS;
	return sh->head.series_count && loop_now_ns(share->loop) - sh->round_end_ns >= ms * 1000000u;
}

/* Would a round of the shard let go of the log? */
static bool gives_log(const struct share *share, const struct shard *sh, uint64_t log_share)
{
	uint64_t shards = (uint64_t)share->shards_count * share->env->loops;
	if (sh->rows_since_round >= log_share / RELIEF_ROW / shards / 2)
		return sh->rows_since_round > 0;
	return sh->rows_since_round &&
	    loop_now_ns(share->loop) - sh->round_end_ns >= RELIEF_LOG_MS * 1000000ull;
}

void back_relieve(struct share *share, uint64_t log_share)
{
	enum share_fill fill = share_fill(share);
	struct shard *oldest = NULL;
	if (fill != SHARE_HAS_ROOM && slab_stock_bytes(share->mem)) {
		slab_stock_drop(share->mem, RELIEF_STOCK);
		fill = share_fill(share);
	}
	for (unsigned k = 0; k < share->shards_count; k++) {
		struct shard *sh = share->shards[k];
		if (sh->round == SHARD_UNWRITTEN || sh->round == SHARD_UNSWITCHED)
			continue; /* it waits for the disk: others need not */
		if (sh->round != SHARD_IDLE)
			return;
		bool helps = (log_share && gives_log(share, sh, log_share)) ||
		    (fill != SHARE_HAS_ROOM && gives_memory(share, sh, fill == SHARE_IS_OVER));
		if (helps && (!oldest || sh->round_end_ns < oldest->round_end_ns))
			oldest = sh;
	}
	if (oldest)
		back_round(oldest, !oldest->rows_since_round, NULL, NULL);
}
