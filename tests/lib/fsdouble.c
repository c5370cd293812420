/*
 * Two halves. The recorder: operations pass through under one lock and leave an event. The disk: a
 * state that is advanced over the events up to a point, where a file has
 *   durable  what the platter holds for sure
 *   cached   what the page cache held at the last sync, good or failed (differs from durable only
 *            after a failed one)
 *   pending  the writes since
 * and a directory durable names and pending operations. An image is the durable part plus a choice
 * of what is pending.
 */
#include "tests/lib/fsdouble.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "tests/lib/fscontent.h"

#define NO_NODE UINT32_MAX

/* ---- Events ---- */

enum event_kind {
	EV_WRITE, /* node, off, len, data (NULL = zeroes) */
	EV_SIZE,  /* node, off = size; len = 1: truncation, else allocation (grows only) */
	EV_SYNC,
	EV_SYNC_FAILED,
	EV_CREATE, /* dir, to, node */
	EV_MKDIR,
	EV_LINK,
	EV_RENAME, /* dir, from, to */
	EV_REMOVE, /* dir, from */
	EV_DIR_SYNC,
};
struct event {
	enum event_kind kind;
	uint32_t node, dir;
	uint64_t off, len;
	uint8_t *data;
	char *from, *to;
};

/* ---- What is on a disk ---- */

struct node {
	bool is_dir;
	/* file */
	struct content durable, cached;
	size_t *pending; /* events */
	size_t pending_count, pending_cap;
	/* directory */
	struct entry *entries;
	size_t entries_count, entries_cap;
};
struct entry {
	char *name;
	uint32_t node;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fsdouble_opts opts;
static struct event *events;
static size_t events_count, events_cap;
static uint64_t syncs, syncs_failed;
static const char *fail_part;
static unsigned fail_nth, fail_count;
/* inode number to node, as of now */
static struct {
	ino_t ino;
	uint32_t node;
} * inodes;
static size_t inodes_count, inodes_cap;
static uint32_t nodes_made;
/* the disk, advanced over events [0, disk_at) */
static struct node *disk;
static size_t disk_count, disk_at;
/* what was there at the start, to begin again */
static struct node *base;
static size_t base_count;

static void die(const char *what, const char *name)
{
	fprintf(stderr, "fsdouble: %s %s: %s\n", what, name, strerror(errno));
	abort();
}

/* ---- Nodes ---- */

static char *name_dup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = mem_alloc(n);
	memcpy(p, s, n);
	return p;
}

static struct entry *entry_find(struct node *d, const char *name)
{
	for (size_t i = 0; i < d->entries_count; i++) {
		if (strcmp(d->entries[i].name, name) == 0)
			return &d->entries[i];
	}
	return NULL;
}

static void entry_set(struct node *d, const char *name, uint32_t node)
{
	struct entry *e = entry_find(d, name);
	if (e) {
		e->node = node;
		return;
	}
	if (d->entries_count == d->entries_cap) {
		d->entries_cap = d->entries_cap ? d->entries_cap * 2 : 16;
		d->entries = mem_array(d->entries, d->entries_cap, sizeof(*d->entries));
	}
	d->entries[d->entries_count++] = (struct entry){ .name = name_dup(name), .node = node };
}

static void entry_del(struct node *d, const char *name)
{
	struct entry *e = entry_find(d, name);
	if (!e)
		return;
	mem_free(e->name);
	*e = d->entries[--d->entries_count];
}

static void nodes_copy(struct node **to, size_t *to_count, const struct node *from, size_t count)
{
	struct node *out = mem_zalloc((count + 1) * sizeof(*out));
	for (size_t i = 0; i < count; i++) {
		out[i].is_dir = from[i].is_dir;
		content_copy(&out[i].durable, &from[i].durable);
		content_copy(&out[i].cached, &from[i].cached);
		for (size_t k = 0; k < from[i].entries_count; k++)
			entry_set(&out[i], from[i].entries[k].name, from[i].entries[k].node);
	}
	*to = out;
	*to_count = count;
}

static void entries_release(struct node *n)
{
	for (size_t i = 0; i < n->entries_count; i++)
		mem_free(n->entries[i].name);
	mem_free(n->entries);
	n->entries = NULL;
	n->entries_count = n->entries_cap = 0;
}

static void nodes_free(struct node **nodes, size_t *count)
{
	for (size_t i = 0; i < *count; i++) {
		struct node *n = &(*nodes)[i];
		content_release(&n->durable);
		content_release(&n->cached);
		mem_free(n->pending);
		entries_release(n);
	}
	mem_free(*nodes);
	*nodes = NULL;
	*count = 0;
}

/* ---- Inode numbers ---- */

static uint32_t inode_find(ino_t ino)
{
	for (size_t i = inodes_count; i-- > 0;) {
		if (inodes[i].ino == ino)
			return inodes[i].node;
	}
	return NO_NODE;
}

/* A new thing; a number that was in use before belongs to it from now on. */
static uint32_t inode_new(ino_t ino)
{
	uint32_t node = nodes_made++;
	for (size_t i = 0; i < inodes_count; i++) {
		if (inodes[i].ino == ino) {
			inodes[i].node = node;
			return node;
		}
	}
	if (inodes_count == inodes_cap) {
		inodes_cap = inodes_cap ? inodes_cap * 2 : 256;
		inodes = mem_array(inodes, inodes_cap, sizeof(*inodes));
	}
	inodes[inodes_count].ino = ino;
	inodes[inodes_count++].node = node;
	return node;
}

static uint32_t node_of_fd(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		die("stat", "descriptor");
	return inode_find(st.st_ino);
}

/* ---- The recorder ---- */

static struct event *event_add(enum event_kind kind)
{
	if (events_count == events_cap) {
		events_cap = events_cap ? events_cap * 2 : 1024;
		events = mem_array(events, events_cap, sizeof(*events));
	}
	struct event *e = &events[events_count++];
	*e = (struct event){ .kind = kind, .node = NO_NODE, .dir = NO_NODE };
	return e;
}

static struct fsio_file *directs[64]; /* files whose writes go past the page cache */

static bool direct_is(const struct fsio_file *f)
{
	for (size_t i = 0; i < COUNT_OF(directs); i++) {
		if (directs[i] == f)
			return true;
	}
	return false;
}

/* One that was closed is forgotten when its memory is a file again. */
static void direct_set(struct fsio_file *f, bool on)
{
	size_t i = 0;
	while (i < COUNT_OF(directs) && directs[i] != f)
		i++;
	for (size_t k = 0; i == COUNT_OF(directs) && on && k < COUNT_OF(directs); k++)
		i = directs[k] ? i : k;
	if (i < COUNT_OF(directs))
		directs[i] = on ? f : NULL;
}

static enum err rec_direct(struct fsio_file *f, bool on)
{
	pthread_mutex_lock(&lock);
	direct_set(f, on);
	pthread_mutex_unlock(&lock);
	return ERR_OK;
}

static enum err rec_write_at(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; direct_is(f) && i < count; i++)
		CHECK(((uintptr_t)v[i].iov_base | v[i].iov_len | off) % FSIO_BLOCK == 0);
	enum err e = fsio_real.write_at(f, v, count, off);
	uint32_t node = node_of_fd(fsio_file_fd(f));
	if (!e && node != NO_NODE) {
		size_t len = 0;
		for (size_t i = 0; i < count; i++)
			len += v[i].iov_len;
		uint8_t *data = mem_alloc(len + 1);
		size_t at = 0;
		for (size_t i = 0; i < count; i++) {
			if (v[i].iov_len)
				memcpy(data + at, v[i].iov_base, v[i].iov_len);
			at += v[i].iov_len;
		}
		if (is_zero(data, len)) {
			mem_free(data);
			data = NULL;
		}
		struct event *ev = event_add(EV_WRITE);
		ev->node = node;
		ev->off = off;
		ev->len = len;
		ev->data = data;
	}
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_size(struct fsio_file *f, uint64_t size, bool cut)
{
	pthread_mutex_lock(&lock);
	enum err e = cut ? fsio_real.truncate(f, size) : fsio_real.allocate(f, size);
	uint32_t node = node_of_fd(fsio_file_fd(f));
	if (!e && node != NO_NODE) {
		struct event *ev = event_add(EV_SIZE);
		ev->node = node;
		ev->off = size;
		ev->len = cut;
	}
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_truncate(struct fsio_file *f, uint64_t size)
{
	return rec_size(f, size, true);
}

static enum err rec_allocate(struct fsio_file *f, uint64_t size)
{
	return rec_size(f, size, false);
}

static enum err rec_sync(struct fsio_file *f)
{
	if (opts.sync_delay_us)
		usleep(opts.sync_delay_us);
	pthread_mutex_lock(&lock);
	enum err e = ERR_OK;
	if (fail_count && (!fail_part || strstr(fsio_file_path(f), fail_part))) {
		if (fail_nth > 1)
			fail_nth--;
		else {
			fail_count--;
			e = ERR_SYNC;
		}
	}
	if (!e && opts.real_sync)
		e = fsio_real.sync(f);
	uint32_t node = node_of_fd(fsio_file_fd(f));
	if (node != NO_NODE)
		event_add(e ? EV_SYNC_FAILED : EV_SYNC)->node = node;
	syncs += !e;
	syncs_failed += e != ERR_OK;
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	union {
		const void *in;
		void *out;
	} p = { .in = data };
	struct iovec v = { .iov_base = p.out, .iov_len = len };
	enum err e = rec_write_at(f, &v, 1, off);
	return e ? e : rec_sync(f);
}

static enum err rec_read_at(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	return fsio_real.read_at(f, data, len, off, nowait);
}

/* As writes, which leave events. */
static enum err rec_copy(struct fsio_file *from, struct fsio_file *to, uint64_t len)
{
	enum err e = ERR_OK;
	uint8_t *block = mem_alloc(PAGE);
	for (uint64_t at = 0; !e && at < len; at += PAGE) {
		size_t n = len - at < PAGE ? (size_t)(len - at) : PAGE;
		struct iovec v = { .iov_base = block, .iov_len = n };
		e = rec_read_at(from, block, n, at, false);
		if (!e)
			e = rec_write_at(to, &v, 1, at);
	}
	mem_free(block);
	return e;
}

static enum err rec_open(
    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.open(d, name, mode, out);
	if (!e)
		direct_set(*out, false);
	if (mode != FSIO_CREATE) {
		pthread_mutex_unlock(&lock);
		return e;
	}
	uint32_t dir = node_of_fd(fsio_dir_fd(d));
	if (!e && dir != NO_NODE) {
		struct stat st;
		if (fstat(fsio_file_fd(*out), &st) != 0)
			die("stat", name);
		struct event *ev = event_add(EV_CREATE);
		ev->dir = dir;
		ev->node = inode_new(st.st_ino);
		ev->to = name_dup(name);
	}
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_mkdir(struct fsio_dir *d, const char *name)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.mkdir(d, name);
	uint32_t dir = node_of_fd(fsio_dir_fd(d));
	if (!e && dir != NO_NODE) {
		struct stat st;
		if (fstatat(fsio_dir_fd(d), name, &st, 0) != 0)
			die("stat", name);
		struct event *ev = event_add(EV_MKDIR);
		ev->dir = dir;
		ev->node = inode_new(st.st_ino);
		ev->to = name_dup(name);
	}
	pthread_mutex_unlock(&lock);
	return e;
}

static void name_event(
    struct fsio_dir *d, enum event_kind kind, const char *from, const char *to, uint32_t node)
{
	uint32_t dir = node_of_fd(fsio_dir_fd(d));
	if (dir == NO_NODE)
		return;
	struct event *ev = event_add(kind);
	ev->dir = dir;
	ev->node = node;
	ev->from = from ? name_dup(from) : NULL;
	ev->to = to ? name_dup(to) : NULL;
}

static enum err rec_rename(struct fsio_dir *d, const char *from, const char *to)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.rename(d, from, to);
	if (!e)
		name_event(d, EV_RENAME, from, to, NO_NODE);
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_link(struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.link(d, from, to_dir, to);
	struct stat st;
	if (!e && fstatat(fsio_dir_fd(to_dir), to, &st, 0) == 0)
		name_event(to_dir, EV_LINK, NULL, to, inode_find(st.st_ino));
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_remove(struct fsio_dir *d, const char *name)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.remove(d, name);
	if (!e)
		name_event(d, EV_REMOVE, name, NULL, NO_NODE);
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_rmdir(struct fsio_dir *d, const char *name)
{
	pthread_mutex_lock(&lock);
	enum err e = fsio_real.rmdir(d, name);
	if (!e)
		name_event(d, EV_REMOVE, name, NULL, NO_NODE);
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_stat(struct fsio_dir *d, const char *name, struct fsio_stat *out)
{
	return fsio_real.stat(d, name, out);
}

static enum err rec_dir_sync(struct fsio_dir *d)
{
	pthread_mutex_lock(&lock);
	enum err e = opts.real_sync ? fsio_real.dir_sync(d) : ERR_OK;
	if (!e)
		name_event(d, EV_DIR_SYNC, NULL, NULL, NO_NODE);
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err rec_free_bytes(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
	return fsio_real.free_bytes(d, free_bytes, total_bytes);
}

static enum err rec_size_get(struct fsio_file *f, uint64_t *size)
{
	return fsio_real.size(f, size);
}

static enum err rec_dir_open(struct fsio_dir *d, const char *name, struct fsio_dir **out)
{
	return fsio_real.dir_open(d, name, out);
}

static enum err rec_dir_each(
    struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg)
{
	return fsio_real.dir_each(d, fn, arg);
}

static const struct fsio_ops rec_table = {
	.write_at = rec_write_at,
	.read_at = rec_read_at,
	.sync = rec_sync,
	.write_sync = rec_write_sync,
	.direct = rec_direct,
	.allocate = rec_allocate,
	.truncate = rec_truncate,
	.open = rec_open,
	.rename = rec_rename,
	.link = rec_link,
	.remove = rec_remove,
	.rmdir = rec_rmdir,
	.stat = rec_stat,
	.dir_sync = rec_dir_sync,
	.mkdir = rec_mkdir,
	.free_bytes = rec_free_bytes,
	.copy = rec_copy,
	.size = rec_size_get,
	.dir_open = rec_dir_open,
	.dir_each = rec_dir_each,
};

const struct fsio_ops *fsdouble_ops(void)
{
	return &rec_table;
}

uint64_t fsdouble_point(void)
{
	pthread_mutex_lock(&lock);
	uint64_t n = events_count;
	pthread_mutex_unlock(&lock);
	return n;
}

void fsdouble_fail_syncs(const char *part, unsigned nth, unsigned count)
{
	pthread_mutex_lock(&lock);
	fail_part = part;
	fail_nth = nth;
	fail_count = count;
	pthread_mutex_unlock(&lock);
}

uint64_t fsdouble_syncs(void)
{
	pthread_mutex_lock(&lock);
	uint64_t n = syncs;
	pthread_mutex_unlock(&lock);
	return n;
}

uint64_t fsdouble_syncs_failed(void)
{
	pthread_mutex_lock(&lock);
	uint64_t n = syncs_failed;
	pthread_mutex_unlock(&lock);
	return n;
}

/* ---- What is there at the start ---- */

static uint32_t base_node(ino_t ino, bool is_dir)
{
	uint32_t id = inode_new(ino);
	base = mem_array(base, id + 1, sizeof(*base));
	base[id] = (struct node){ .is_dir = is_dir };
	base_count = id + 1;
	return id;
}

static void base_file(int dir_fd, const char *name, uint32_t id)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("open", name);
	static uint8_t page[PAGE];
	uint64_t at = 0;
	for (ssize_t n; (n = read(fd, page, PAGE)) > 0; at += (uint64_t)n)
		content_write(
		    &base[id].durable, is_zero(page, (size_t)n) ? NULL : page, (uint64_t)n, at);
	close(fd);
	content_copy(&base[id].cached, &base[id].durable);
}

static bool is_excluded(const char *name)
{
	for (size_t i = 0; opts.exclude && opts.exclude[i]; i++) {
		if (strcmp(opts.exclude[i], name) == 0)
			return true;
	}
	return false;
}

static uint32_t base_dir(int take_fd, bool top)
{
	struct stat st;
	DIR *dir = fdopendir(take_fd);
	if (!dir || fstat(dirfd(dir), &st) != 0)
		die("open", opts.root);
	uint32_t id = base_node(st.st_ino, true);
	for (struct dirent *ent; (ent = readdir(dir));) {
		const char *name = ent->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (top && is_excluded(name)))
			continue;
		if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			die("stat", name);
		uint32_t child = NO_NODE;
		if (S_ISDIR(st.st_mode)) {
			child = base_dir(
			    openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), false);
		} else if (S_ISREG(st.st_mode)) {
			child = inode_find(st.st_ino); /* a second link? */
			if (child == NO_NODE) {
				child = base_node(st.st_ino, false);
				base_file(dirfd(dir), name, child);
			}
		}
		if (child != NO_NODE)
			entry_set(&base[id], name, child);
	}
	closedir(dir);
	return id;
}

void fsdouble_start(const struct fsdouble_opts *o)
{
	CHECK(!base);
	opts = *o;
	if (mkdir(o->root, 0700) != 0 && errno != EEXIST)
		die("mkdir", o->root);
	int fd = open(o->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die("open", o->root);
	CHECK(base_dir(fd, true) == 0);
	fsio_hook(&rec_table);
}

static void disk_forget(void)
{
	nodes_free(&disk, &disk_count);
	disk_at = 0;
}

void fsdouble_stop(void)
{
	fsio_hook(NULL);
	disk_forget();
	nodes_free(&base, &base_count);
	for (size_t i = 0; i < events_count; i++) {
		mem_free(events[i].data);
		mem_free(events[i].from);
		mem_free(events[i].to);
	}
	mem_free(events);
	mem_free(inodes);
	events = NULL;
	inodes = NULL;
	events_count = events_cap = inodes_count = inodes_cap = 0;
	memset(directs, 0, sizeof(directs));
	nodes_made = 0;
	syncs = syncs_failed = 0;
	fail_count = 0;
}

/* ---- The disk ---- */

static uint64_t rnd(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return hash_mix64(*state);
}

static bool chance(uint64_t *state, unsigned percent)
{
	return rnd(state) % 100 < percent;
}

/* One pending event on the cache, and, sector by sector, by chance on the platter. */
static void pending_apply(const struct event *ev, struct content *cached, struct content *durable,
    unsigned percent, uint64_t *state)
{
	if (ev->kind == EV_SIZE) {
		content_resize(cached, ev->off, ev->len != 0);
		if (ev->len && chance(state, percent))
			content_resize(durable, ev->off, true);
		return;
	}
	content_write(cached, ev->data, ev->len, ev->off);
	if (!ev->len)
		return;
	for (uint64_t s = ev->off / SECTOR; s <= (ev->off + ev->len - 1) / SECTOR; s++) {
		if (percent == 100 || (percent && chance(state, percent)))
			sector_copy(durable, cached, s);
	}
}

/* The size a file has on the platter when what is pending is kept by chance. */
static uint64_t size_choose(uint64_t durable, uint64_t cached, unsigned percent, uint64_t *state)
{
	if (durable == cached || percent == 0)
		return durable;
	if (percent == 100 || cached < durable)
		return cached;
	switch (rnd(state) % 3) {
	case 0:
		return durable;
	case 1:
		return cached;
	default:
		return durable + rnd(state) % (cached - durable + 1);
	}
}

/* Where the power went while a block was written there may be anything. */
static void block_tear(struct content *durable, uint64_t index, uint64_t *state)
{
	uint8_t *p = page_for_write(durable, index);
	for (size_t i = 0; i < PAGE; i++)
		p[i] = (uint8_t)rnd(state);
}

static void blocks_tear(const struct event *ev, struct content *durable, uint64_t *state)
{
	if (ev->kind != EV_WRITE || !ev->len || !opts.torn_from || ev->off < opts.torn_from)
		return;
	for (uint64_t i = ev->off / PAGE; i <= (ev->off + ev->len - 1) / PAGE; i++) {
		if (chance(state, 20))
			block_tear(durable, i, state);
	}
}

static void node_sync(struct node *n, bool ok, uint64_t seed)
{
	uint64_t state = seed;
	for (size_t i = 0; i < n->pending_count; i++)
		pending_apply(&events[n->pending[i]], &n->cached, &n->durable, ok ? 100 : 40, &state);
	n->durable.size = size_choose(n->durable.size, n->cached.size, ok ? 100 : 40, &state);
	n->pending_count = 0;
}

static void name_apply(struct node *d, const struct event *ev)
{
	if (ev->kind == EV_CREATE || ev->kind == EV_MKDIR || ev->kind == EV_LINK) {
		if (ev->node != NO_NODE)
			entry_set(d, ev->to, ev->node);
	} else if (ev->kind == EV_REMOVE) {
		entry_del(d, ev->from);
	} else if (ev->kind == EV_RENAME) {
		struct entry *e = entry_find(d, ev->from);
		if (!e)
			return; /* what was renamed has not come into being */
		uint32_t node = e->node;
		entry_del(d, ev->from);
		entry_set(d, ev->to, node);
	}
}

static void node_pend(struct node *n, size_t event)
{
	if (n->pending_count == n->pending_cap) {
		n->pending_cap = n->pending_cap ? n->pending_cap * 2 : 16;
		n->pending = mem_array(n->pending, n->pending_cap, sizeof(*n->pending));
	}
	n->pending[n->pending_count++] = event;
}

static void disk_step(size_t i)
{
	const struct event *ev = &events[i];
	uint32_t most = ev->node == NO_NODE ? 0 : ev->node;
	if (most >= disk_count) {
		disk = mem_array(disk, most + 1, sizeof(*disk));
		memset(disk + disk_count, 0, (most + 1 - disk_count) * sizeof(*disk));
		disk_count = most + 1;
	}
	switch (ev->kind) {
	case EV_WRITE:
	case EV_SIZE:
		node_pend(&disk[ev->node], i);
		break;
	case EV_SYNC:
	case EV_SYNC_FAILED:
		node_sync(&disk[ev->node], ev->kind == EV_SYNC, i);
		break;
	case EV_MKDIR:
		disk[ev->node].is_dir = true;
		node_pend(&disk[ev->dir], i);
		break;
	case EV_CREATE:
	case EV_LINK:
	case EV_RENAME:
	case EV_REMOVE:
		node_pend(&disk[ev->dir], i);
		break;
	case EV_DIR_SYNC: {
		struct node *d = &disk[ev->dir];
		for (size_t k = 0; k < d->pending_count; k++)
			name_apply(d, &events[d->pending[k]]);
		d->pending_count = 0;
		break;
	}
	}
}

static void disk_advance(size_t point)
{
	CHECK(point <= events_count);
	if (!disk || disk_at > point) {
		disk_forget();
		nodes_copy(&disk, &disk_count, base, base_count);
	}
	for (; disk_at < point; disk_at++)
		disk_step(disk_at);
}

/* ---- Images ---- */

struct picture {
	unsigned percent; /* of what is pending that is kept */
	bool prefix;      /* names: all up to one, or one by one */
	uint64_t seed;
};

static void picture_page(int fd, const uint8_t *p, uint64_t index, uint64_t size)
{
	uint64_t at = index * PAGE;
	if (!p || at >= size || is_zero(p, PAGE))
		return;
	size_t len = size - at < PAGE ? (size_t)(size - at) : PAGE;
	if (pwrite(fd, p, len, (off_t)at) != (ssize_t)len)
		die("write", "image");
}

static void picture_file(
    const struct picture *pic, const struct node *n, uint32_t id, int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die("create", name);
	uint64_t state = pic->seed ^ hash_mix64(id + 1);
	struct content cached = { 0 }, durable = { 0 };
	const struct content *show = &n->durable;
	uint64_t size = n->durable.size;
	if (n->pending_count && pic->percent) {
		content_copy(&cached, &n->cached);
		content_copy(&durable, &n->durable);
		for (size_t i = 0; i < n->pending_count; i++)
			pending_apply(
			    &events[n->pending[i]], &cached, &durable, pic->percent, &state);
		for (size_t i = 0; i < n->pending_count; i++)
			blocks_tear(&events[n->pending[i]], &durable, &state);
		size = size_choose(n->durable.size, cached.size, pic->percent, &state);
		show = &durable;
	}
	if (pic->percent ==
	    /* the kernel lives on, and with it what a failed sync has left in its memory only */
	    100) {
		show = n->pending_count ? &cached : &n->cached;
		size = show->size;
	}
	if (ftruncate(fd, (off_t)size) != 0)
		die("truncate", name);
	for (size_t i = 0; i < show->count; i++)
		picture_page(fd, show->pages[i], i, size);
	content_release(&cached);
	content_release(&durable);
	close(fd);
}

static void picture_dir(const struct picture *pic, uint32_t id, int take_fd)
{
	const struct node *n = &disk[id];
	uint64_t state = pic->seed ^ hash_mix64(~(uint64_t)id);
	struct node names = { .is_dir = true };
	for (size_t i = 0; i < n->entries_count; i++)
		entry_set(&names, n->entries[i].name, n->entries[i].node);
	size_t upto = rnd(&state) % (n->pending_count + 1);
	for (size_t i = 0; i < n->pending_count; i++) {
		bool kept = pic->percent == 100 ||
		    (pic->percent && (pic->prefix ? i < upto : chance(&state, pic->percent)));
		if (kept)
			name_apply(&names, &events[n->pending[i]]);
	}
	for (size_t i = 0; i < names.entries_count; i++) {
		const struct entry *e = &names.entries[i];
		if (!disk[e->node].is_dir) {
			picture_file(pic, &disk[e->node], e->node, take_fd, e->name);
			continue;
		}
		if (mkdirat(take_fd, e->name, 0700) != 0)
			die("mkdir", e->name);
		int fd = openat(take_fd, e->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			die("open", e->name);
		picture_dir(pic, e->node, fd);
	}
	entries_release(&names);
	close(take_fd);
}

void fsdouble_image(uint64_t point, uint64_t seed, enum fsdouble_keep keep, const char *dest)
{
	static const unsigned percents[] = { 10, 50, 50, 90 };
	struct picture pic = { .seed = hash_mix64(seed + 1) };
	pic.percent = keep == FSDOUBLE_SYNCED ? 0
	    : keep == FSDOUBLE_ALL            ? 100
	                                      : percents[pic.seed % COUNT_OF(percents)];
	pic.prefix = pic.seed >> 8 & 1;
	if (mkdir(dest, 0700) != 0 && errno != EEXIST)
		die("mkdir", dest);
	int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die("open", dest);
	pthread_mutex_lock(&lock);
	disk_advance(point);
	picture_dir(&pic, 0, fd);
	pthread_mutex_unlock(&lock);
}
