/*
 * pushtable - the groups of all tenants, each in a file of its own (PUSHTABLE_DIR of the data
 * directory), as durable as the answer to its push says.
 *
 * (1) A change is made by a worker, in the lane of its tenant: one after the other, in order. It
 *     writes the group's file beside the old one, syncs and renames it, then puts the new group in
 *     the place of the old one. A crash leaves either.
 * (2) Who reads holds the groups it reads (pushtable_next, pushtable_due), never the lock: that is
 *     held for one look.
 * (3) Times of a group's rows only grow, whoever asks for them: what a later push says is newer.
 * (4) Groups of a tenant are consistent with one another, as a Prometheus Pushgateway asks: no
 *     family has two types, no series is in two groups.
 *
 * Memory: that of the groups, and 32 bytes for each series of them; bounded for each tenant.
 */
#ifndef NET_RECV_PUSHTABLE_H
#define NET_RECV_PUSHTABLE_H

#include "net/recv/pushgroup.h"

#define PUSHTABLE_DIR "pushed"

enum push_op {
	PUSH_REPLACE, /* PUT: the whole group */
	PUSH_MERGE,   /* POST: families of the same names */
	PUSH_DELETE,
	PUSH_EXPIRE, /* the same, of one that nobody has pushed since */
	PUSH_WIPE    /* all groups of the tenant */
};
/* What a push changes. */
struct push_change {
	/* given */
	enum push_op op;
	uint32_t tenant;
	struct labels labels; /* of the key */
	enum push_form form;
	const uint8_t *body;
	size_t body_len;
	const struct limits *limits;
	uint64_t max_groups, max_bytes; /* of the tenant */
	int64_t now_ms;
	uint64_t now_ns;
	const struct pushgroup *expected; /* PUSH_EXPIRE: held by the asker */
	/*
	 * Told. What is to be stored now: rows of the new group, stale markers of series that went,
	 * until release. An error: ERR_MALFORMED, ERR_BADDATA (400), ERR_TOOBIG (a limit), or one
	 * of the disk; then nothing has changed, but for the time of the failure.
	 */
	enum err err;
	struct errbuf eb;
	struct batch batch;
	struct pushgroup *group;
	struct pushgroup **olds;
	size_t olds_count, olds_cap;
};
struct pushtable;
struct pushtable *pushtable_create(void);
/*
 * Reads what was kept, and keeps it from now on; where that cannot be, each push is an error.
 * Blocks; before the first change.
 */
void pushtable_keep(struct pushtable *t, const char *data_dir);
void pushtable_free(struct pushtable *t);

unsigned pushtable_lane(uint32_t tenant);
/* By a worker, in the lane; blocks. */
void pushtable_change(struct pushtable *t, struct push_change *c);
void pushtable_change_release(struct pushtable *t, struct push_change *c);

/* The group behind prev, which is let go of; NULL: the first one, there is none. Held. */
struct pushgroup *pushtable_next(struct pushtable *t, uint32_t tenant, struct pushgroup *prev);
void pushtable_let_go(struct pushtable *t, struct pushgroup *g);
/*
 * The next group whose rows are due, of this tenant unless any; it is due again repeat_ns later.
 * Held; *t_ms: the time of its rows. NULL: none.
 */
struct pushgroup *pushtable_due(struct pushtable *t, bool any, uint32_t tenant, uint64_t now_ns,
    uint64_t repeat_ns, int64_t now_ms, int64_t *t_ms);

#endif
