/*
 * hapair - which replica of a pair is stored: two senders collect the same, one of them is elected.
 *
 * Of each tenant and cluster the first replica that sends is elected, and stays so while it sends.
 * When it has been silent for failover_ms, the next one that sends is elected in its place. What
 * others send is a repetition of what is stored. This is the rule of Cortex and Mimir ("Configure
 * high-availability deduplication" of Mimir's documentation), by the time at which requests come,
 * so that the clocks of senders do not matter.
 *
 * Elections live in a file (HAPAIR_FILE of the data directory) and hold after a restart. While
 * nobody was there to listen nobody was silent: who was elected has failover_ms from the start on.
 *
 *   offset  size  meaning
 *   0       8     "KYMOHA1\n"
 *   8       n     for each cluster: varint tenant, then cluster and replica, each with its length
 *                 as a varint before it
 *   8 + n   4     crc32c of all before, little endian
 *
 * (1) No wall clock is asked: its steps change nothing.
 * (2) An election is written by a worker at once, further ones update_ms later: of a crash within
 *     that time the one before is found again.
 * (3) A tenant has at most max_clusters clusters; one of which nothing came for HAPAIR_FORGET_MS
 *     goes when room is needed.
 *
 * Thread: any; a lock of one of HAPAIR_PARTS parts, tenants by turns, is held for one look.
 * Memory: about 100 bytes and the names for each cluster.
 */
#ifndef CORE_ACCOUNT_HAPAIR_H
#define CORE_ACCOUNT_HAPAIR_H

#include "core/base/err.h"

#define HAPAIR_FILE      "ha-pairs"
#define HAPAIR_PARTS     16u
#define HAPAIR_NAME_MAX  1024u /* bytes of the name of a cluster or replica */
#define HAPAIR_FORGET_MS 3600000u

/* What a tenant goes by. */
struct hapair_rule {
	bool enabled;
	const char *cluster_label, *replica_label;
	uint64_t failover_ms, update_ms, max_clusters;
};
/* Mimir's: off, cluster, __replica__, 30 s, 15 s, 100. */
extern const struct hapair_rule hapair_rule_default;

enum hapair_told {
	HAPAIR_ELECTED,  /* store it */
	HAPAIR_OTHER,    /* another replica is elected: it is stored already */
	HAPAIR_TOO_MANY, /* the tenant has max_clusters others */
	HAPAIR_TOO_LONG  /* HAPAIR_NAME_MAX */
};

struct hapairs;
struct work_pool;
struct hapairs *hapairs_create(void);
/* Writes what is not on the disk yet. No worker has anything to do with it any more. */
void hapairs_free(struct hapairs *h);
/*
 * Reads what was kept, and keeps it from now on. Blocks; before the first question. What is damaged
 * is told in the log and left: elections begin anew.
 */
void hapairs_keep(struct hapairs *h, const char *data_dir, struct work_pool *pool, uint64_t now_ns);
/* now_ns: of the monotonic clock. On a loop. */
enum hapair_told hapairs_ask(struct hapairs *h, uint32_t tenant, const struct hapair_rule *rule,
    const char *cluster, size_t cluster_len, const char *replica, size_t replica_len,
    uint64_t now_ns);

#endif
