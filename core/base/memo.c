#include "core/base/memo.h"

#include <pthread.h>

#include "core/base/check.h"

static struct {
	pthread_mutex_t lock;
	struct list_link all; /* the hand stands at the first */
	size_t bytes, limit;
} memos = { .lock = PTHREAD_MUTEX_INITIALIZER, .all = { &memos.all, &memos.all }, .limit = MEMO_LIMIT };

struct freed { /* taken out, to be freed outside the lock */
	void *thing;
	void (*free)(void *thing);
};
#define FREED_AT_ONCE 32u

void memo_init(struct memo *m, void (*free_thing)(void *thing))
{
	*m = (struct memo){ ._free = free_thing };
	list_init(&m->_link);
}

void *memo_pin(struct memo *m)
{
	pthread_mutex_lock(&memos.lock);
	void *thing = m->_thing;
	if (thing) {
		m->_pins++;
		m->_used = true;
	}
	pthread_mutex_unlock(&memos.lock);
	return thing;
}

void memo_unpin(struct memo *m)
{
	pthread_mutex_lock(&memos.lock);
	CHECK(m->_pins > 0);
	m->_pins--;
	pthread_mutex_unlock(&memos.lock);
}

/* Under the lock. */
static struct freed take_out(struct memo *m)
{
	struct freed f = { m->_thing, m->_free };
	list_del(&m->_link);
	memos.bytes -= m->_bytes;
	m->_thing = NULL;
	return f;
}

/* Under the lock: what goes for the sake of the budget, at most FREED_AT_ONCE. */
static size_t evict(struct freed *out)
{
	size_t n = 0;
	struct list_link *last = memos.all.prev; /* each one is met once */
	while (memos.bytes > memos.limit && !list_empty(&memos.all) && n < FREED_AT_ONCE) {
		struct list_link *l = memos.all.next;
		struct memo *m = CONTAINER_OF(l, struct memo, _link);
		bool end = l == last;
		if (m->_pins || m->_used) {
			m->_used = false;
			list_del(l);
			list_add_tail(&memos.all, l);
		} else {
			out[n++] = take_out(m);
		}
		if (end)
			break;
	}
	return n;
}

void *memo_put(struct memo *m, void *take_thing, size_t bytes)
{
	struct freed out[FREED_AT_ONCE + 1];
	size_t n = 0;
	CHECK(take_thing);
	pthread_mutex_lock(&memos.lock);
	if (m->_thing) {
		out[n++] = (struct freed){ take_thing, m->_free };
	} else {
		m->_thing = take_thing;
		m->_bytes = bytes;
		memos.bytes += bytes;
		list_add_tail(&memos.all, &m->_link);
	}
	m->_pins++;
	m->_used = true;
	n += evict(out + n);
	void *thing = m->_thing;
	pthread_mutex_unlock(&memos.lock);
	for (size_t i = 0; i < n; i++)
		out[i].free(out[i].thing);
	return thing;
}

void memo_release(struct memo *m)
{
	struct freed f = { 0 };
	pthread_mutex_lock(&memos.lock);
	CHECK(!m->_pins);
	if (m->_thing)
		f = take_out(m);
	pthread_mutex_unlock(&memos.lock);
	if (f.thing)
		f.free(f.thing);
}

void memo_limit(size_t bytes)
{
	pthread_mutex_lock(&memos.lock);
	memos.limit = bytes;
	pthread_mutex_unlock(&memos.lock);
}

size_t memo_bytes(void)
{
	pthread_mutex_lock(&memos.lock);
	size_t bytes = memos.bytes;
	pthread_mutex_unlock(&memos.lock);
	return bytes;
}
