#include "core/account/hapair.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/base/wire.h"
#include "core/rt/stripes.h"
#include "core/rt/work.h"

#define MAGIC         "KYMOHA1\n"
#define MAGIC_LEN     8u
#define FILE_MAX      (64u << 20)
#define BUCKETS_FIRST 64u
#define FILE_LOCK     HAPAIR_PARTS /* stripe of `writing` */
#define NS_PER_MS     UINT64_C(1000000)
#define SWEEP_NS      (1000 * NS_PER_MS) /* a part is looked through for silent ones this often */
#define SHOWN         100u               /* bytes of a name in a line of the log */

struct pair {
	struct pair *next;
	uint64_t hash, last_ns; /* of the last request of the elected one */
	char *replica;
	uint32_t tenant, cluster_len, replica_len;
	char cluster[];
};
struct owner { /* how many clusters of a tenant are in a part: all of them */
	uint32_t tenant, count;
};
struct part { /* under its stripe */
	struct pair **buckets;
	size_t mask, count;
	struct owner *owners;
	size_t owners_count;
	uint64_t due_ns;     /* when it has to be written; 0 = it is */
	uint64_t written_ns; /* when it was last written */
	uint64_t swept_ns;
};
struct hapairs {
	struct stripes *locks;
	struct part parts[HAPAIR_PARTS];
	struct fsio_dir *dir; /* NULL: nothing is kept */
	struct work_pool *pool;
	struct work_task task;
	bool writing; /* under FILE_LOCK */
};

const struct hapair_rule hapair_rule_default = { .cluster_label = "cluster",
	.replica_label = "__replica__",
	.failover_ms = 30000,
	.update_ms = 15000,
	.max_clusters = 100 };

/* ---- a part ---- */

static unsigned part_of(uint32_t tenant)
{
	return (unsigned)(hash_mix64(tenant) % HAPAIR_PARTS);
}

static struct pair *find(
    const struct part *p, uint32_t tenant, uint64_t hash, const char *cluster, size_t cluster_len)
{
	struct pair *e = p->buckets ? p->buckets[hash & p->mask] : NULL;
	while (e &&
	    (e->hash != hash || e->tenant != tenant || e->cluster_len != cluster_len ||
	        memcmp(e->cluster, cluster, cluster_len) != 0))
		e = e->next;
	return e;
}

static struct owner *owner_of(struct part *p, uint32_t tenant)
{
	for (size_t i = 0; i < p->owners_count; i++)
		if (p->owners[i].tenant == tenant)
			return &p->owners[i];
	p->owners = mem_array(p->owners, p->owners_count + 1, sizeof(*p->owners));
	p->owners[p->owners_count] = (struct owner){ tenant, 0 };
	return &p->owners[p->owners_count++];
}

static void grow(struct part *p)
{
	size_t size = p->buckets ? (p->mask + 1) * 2 : BUCKETS_FIRST;
	struct pair **more = mem_array(NULL, size, sizeof(struct pair *));
	memset(more, 0, size * sizeof(struct pair *));
	for (size_t i = 0; p->buckets && i <= p->mask; i++) {
		for (struct pair *e = p->buckets[i], *next; e; e = next) {
			next = e->next;
			e->next = more[e->hash & (size - 1)];
			more[e->hash & (size - 1)] = e;
		}
	}
	mem_free(p->buckets);
	p->buckets = more;
	p->mask = size - 1;
}

static void elect(struct pair *e, const char *replica, size_t len)
{
	mem_free(e->replica);
	e->replica = mem_alloc(len + 1);
	memcpy(e->replica, replica, len);
	e->replica[len] = 0;
	e->replica_len = (uint32_t)len;
}

static void add(struct part *p, uint32_t tenant, uint64_t hash, const char *cluster,
    size_t cluster_len, const char *replica, size_t replica_len, uint64_t now_ns)
{
	struct pair *e = mem_zalloc(sizeof(*e) + cluster_len);
	if (!p->buckets || p->count > p->mask)
		grow(p);
	e->hash = hash;
	e->tenant = tenant;
	e->last_ns = now_ns;
	e->cluster_len = (uint32_t)cluster_len;
	memcpy(e->cluster, cluster, cluster_len);
	elect(e, replica, replica_len);
	e->next = p->buckets[hash & p->mask];
	p->buckets[hash & p->mask] = e;
	p->count++;
	owner_of(p, tenant)->count++;
	metric_gauge_add(M_HA_CLUSTERS, 1);
}

static void drop(struct part *p, struct pair *e)
{
	owner_of(p, e->tenant)->count--;
	p->count--;
	metric_gauge_add(M_HA_CLUSTERS, -1);
	mem_free(e->replica);
	mem_free(e);
}

/* Loops' times differ a little: who was heard later than now is not silent. */
static uint64_t silent_ns(uint64_t last_ns, uint64_t now_ns)
{
	return now_ns > last_ns ? now_ns - last_ns : 0;
}

/* (3) */
static void sweep(struct part *p, uint64_t now_ns)
{
	if (p->swept_ns && silent_ns(p->swept_ns, now_ns) < SWEEP_NS)
		return;
	p->swept_ns = now_ns;
	for (size_t i = 0; p->buckets && i <= p->mask; i++) {
		for (struct pair **at = &p->buckets[i]; *at;) {
			struct pair *e = *at;
			if (silent_ns(e->last_ns, now_ns) < HAPAIR_FORGET_MS * NS_PER_MS) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			drop(p, e);
		}
	}
}

static void part_free(struct part *p)
{
	for (size_t i = 0; p->buckets && i <= p->mask; i++) {
		for (struct pair *e = p->buckets[i], *next; e; e = next) {
			next = e->next;
			drop(p, e);
		}
	}
	mem_free(p->buckets);
	mem_free(p->owners);
}

/* ---- the file ---- */

static void put_part(struct part *p, uint64_t now_ns, struct buf *out)
{
	for (size_t i = 0; p->buckets && i <= p->mask; i++) {
		for (const struct pair *e = p->buckets[i]; e; e = e->next) {
			wire_put_varint(out, e->tenant);
			wire_put_lenbytes(out, e->cluster, e->cluster_len);
			wire_put_lenbytes(out, e->replica, e->replica_len);
		}
	}
	p->due_ns = 0;
	p->written_ns = now_ns;
}

/* Nobody knows which parts the file lacks: whoever asks of one of them then has it written. */
static void due_again(struct hapairs *h, unsigned which, uint64_t due_ns)
{
	struct part *p = &h->parts[which];
	stripes_lock(h->locks, which);
	if (p->count && (!p->due_ns || due_ns < p->due_ns))
		p->due_ns = due_ns;
	stripes_unlock(h->locks, which);
}

/* Blocks. */
static void write_file(struct hapairs *h, uint64_t now_ns)
{
	struct buf b;
	buf_init(&b);
	buf_add(&b, MAGIC, MAGIC_LEN);
	for (unsigned i = 0; i < HAPAIR_PARTS; i++) {
		stripes_lock(h->locks, i);
		put_part(&h->parts[i], now_ns, &b);
		stripes_unlock(h->locks, i);
	}
	wire_put_u32(&b, crc32c(0, b.data, b.len));
	enum err e = fsio_replace(h->dir, HAPAIR_FILE, b.data, b.len);
	if (e) {
		LOG_WARN("ha_not_kept",
		    "file=%s/%s reason=\"%s\" text=\"a restart may elect other replicas\"",
		    fsio_dir_path(h->dir), HAPAIR_FILE, err_why(e));
		for (unsigned i = 0; i < HAPAIR_PARTS; i++)
			due_again(h, i, now_ns + hapair_rule_default.update_ms * NS_PER_MS);
	}
	buf_release(&b);
}

static void write_there(struct work_task *t)
{
	write_file(CONTAINER_OF(t, struct hapairs, task), clock_mono_ns());
}

static void written(struct work_task *t)
{
	struct hapairs *h = CONTAINER_OF(t, struct hapairs, task);
	stripes_lock(h->locks, FILE_LOCK);
	h->writing = false;
	stripes_unlock(h->locks, FILE_LOCK);
}

static void write_soon(struct hapairs *h)
{
	stripes_lock(h->locks, FILE_LOCK);
	bool begin = !h->writing;
	h->writing = true;
	stripes_unlock(h->locks, FILE_LOCK);
	if (!begin)
		return;
	h->task = (struct work_task){ .run = write_there, .done = written, .prio = WORK_BACKGROUND };
	work_submit(h->pool, &h->task);
}

static uint64_t hash_of(uint32_t tenant, const char *cluster, size_t len)
{
	return hash64(cluster, len, tenant);
}

static bool read_pairs(struct hapairs *h, const uint8_t *data, size_t len, uint64_t now_ns)
{
	if (len < MAGIC_LEN + 4 || memcmp(data, MAGIC, MAGIC_LEN) != 0 ||
	    wire_load32(data + len - 4) != crc32c(0, data, len - 4))
		return false;
	struct wire_reader r = wire_reader(data + MAGIC_LEN, len - MAGIC_LEN - 4);
	while (wire_left(&r)) {
		size_t cluster_len, replica_len;
		uint64_t tenant = wire_varint(&r);
		const char *cluster = (const char *)wire_lenbytes(&r, &cluster_len);
		const char *replica = (const char *)wire_lenbytes(&r, &replica_len);
		if (r.bad || tenant > UINT32_MAX || cluster_len > HAPAIR_NAME_MAX ||
		    replica_len > HAPAIR_NAME_MAX)
			return false;
		struct part *p = &h->parts[part_of((uint32_t)tenant)];
		uint64_t hash = hash_of((uint32_t)tenant, cluster, cluster_len);
		if (!find(p, (uint32_t)tenant, hash, cluster, cluster_len))
			add(p, (uint32_t)tenant, hash, cluster, cluster_len, replica, replica_len,
			    now_ns);
	}
	return true;
}

void hapairs_keep(struct hapairs *h, const char *data_dir, struct work_pool *pool, uint64_t now_ns)
{
	uint8_t *data = NULL;
	size_t len = 0;
	h->pool = pool;
	enum err e = fsio_dir_open(data_dir, false, &h->dir);
	if (e) {
		LOG_WARN("ha_not_kept", "dir=\"%s\" reason=\"%s\"", data_dir, err_why(e));
		h->dir = NULL;
		return;
	}
	e = fsio_load(h->dir, HAPAIR_FILE, FILE_MAX, &data, &len);
	if (!e && !read_pairs(h, data, len, now_ns))
		e = ERR_DAMAGED;
	if (e && e != ERR_NOTFOUND)
		LOG_WARN("ha_not_read", "file=%s/%s reason=\"%s\" text=\"elections begin anew\"",
		    data_dir, HAPAIR_FILE, err_why(e));
	mem_free(data);
}

/* ---- life ---- */

struct hapairs *hapairs_create(void)
{
	struct hapairs *h = mem_zalloc(sizeof(*h));
	h->locks = stripes_create(HAPAIR_PARTS + 1);
	return h;
}

void hapairs_free(struct hapairs *h)
{
	bool due = false;
	if (!h)
		return;
	for (unsigned i = 0; i < HAPAIR_PARTS; i++)
		due |= h->parts[i].due_ns != 0;
	if (h->dir && due)
		write_file(h, clock_mono_ns());
	for (unsigned i = 0; i < HAPAIR_PARTS; i++)
		part_free(&h->parts[i]);
	if (h->dir)
		fsio_dir_close(h->dir);
	stripes_free(h->locks);
	mem_free(h);
}

/* ---- questions ---- */

struct question {
	uint32_t tenant;
	const struct hapair_rule *rule;
	const char *cluster, *replica;
	size_t cluster_len, replica_len;
	uint64_t now_ns;
};

/* (2) */
static void changed(struct part *p, const struct question *q)
{
	uint64_t due = p->written_ns ? p->written_ns + q->rule->update_ms * NS_PER_MS : 0;
	metric_add(M_HA_ELECTIONS, 1);
	if (due < q->now_ns)
		due = q->now_ns;
	if (!p->due_ns || due < p->due_ns)
		p->due_ns = due;
}

static void tell(const struct question *q, const struct pair *e)
{
	LOG_INFO("ha_failover", "tenant=%u cluster=\"%.*s\" from=\"%.*s\" to=\"%.*s\" silent_ms=%llu",
	    q->tenant, (int)rune_cut(q->cluster, q->cluster_len, SHOWN), q->cluster,
	    (int)rune_cut(e->replica, e->replica_len, SHOWN), e->replica,
	    (int)rune_cut(q->replica, q->replica_len, SHOWN), q->replica,
	    (unsigned long long)((q->now_ns - e->last_ns) / NS_PER_MS));
}

static enum hapair_told ask_known(struct part *p, struct pair *e, const struct question *q)
{
	if (e->replica_len == q->replica_len && !memcmp(e->replica, q->replica, q->replica_len)) {
		if (q->now_ns > e->last_ns) /* loops' times differ a little */
			e->last_ns = q->now_ns;
		return HAPAIR_ELECTED;
	}
	if (q->now_ns < e->last_ns || q->now_ns - e->last_ns < q->rule->failover_ms * NS_PER_MS)
		return HAPAIR_OTHER;
	tell(q, e);
	metric_add(M_HA_FAILOVERS, 1);
	elect(e, q->replica, q->replica_len);
	e->last_ns = q->now_ns;
	changed(p, q);
	return HAPAIR_ELECTED;
}

static enum hapair_told ask_new(struct part *p, uint64_t hash, const struct question *q)
{
	if (owner_of(p, q->tenant)->count >= q->rule->max_clusters)
		sweep(p, q->now_ns);
	if (owner_of(p, q->tenant)->count >= q->rule->max_clusters)
		return HAPAIR_TOO_MANY;
	add(p, q->tenant, hash, q->cluster, q->cluster_len, q->replica, q->replica_len, q->now_ns);
	changed(p, q);
	return HAPAIR_ELECTED;
}

enum hapair_told hapairs_ask(struct hapairs *h, uint32_t tenant, const struct hapair_rule *rule,
    const char *cluster, size_t cluster_len, const char *replica, size_t replica_len, uint64_t now_ns)
{
	const struct question q = { tenant, rule, cluster, replica, cluster_len, replica_len, now_ns };
	if (cluster_len > HAPAIR_NAME_MAX || replica_len > HAPAIR_NAME_MAX)
		return HAPAIR_TOO_LONG;
	unsigned which = part_of(tenant);
	struct part *p = &h->parts[which];
	uint64_t hash = hash_of(tenant, cluster, cluster_len);
	stripes_lock(h->locks, which);
	struct pair *e = find(p, tenant, hash, cluster, cluster_len);
	enum hapair_told told = e ? ask_known(p, e, &q) : ask_new(p, hash, &q);
	bool due = p->due_ns && p->due_ns <= now_ns;
	stripes_unlock(h->locks, which);
	if (due && h->dir)
		write_soon(h);
	return told;
}
