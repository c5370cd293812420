#include "net/gate/checks.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/metric.h"
#include "core/rt/epoch.h"

#define KEPT_SLOTS 1024u /* answers kept, right and wrong ones each; a power of two */

struct lane {
	struct list_link waiting, running, parked; /* of checks; parked: for an issuer's keys */
	unsigned running_count, count;             /* count: in all three */
	unsigned at_once, address_most, all_most;
};
struct kept {
	uint8_t key[CHECKS_KEY_BYTES];
	bool there;
};
struct checks {
	struct loop *loop; /* the keeper's */
	struct work_pool *pool;
	struct lane lanes[CHECK_KINDS];
	struct kept kept[2][KEPT_SLOTS]; /* by verdict */
	uint8_t secret_key[crypto_generichash_KEYBYTES];
	struct issuers *issuers;
	struct epoch version; /* issuers_version, for all loops */
};

static void pump(struct checks *cs, struct lane *l);

/* ---- of any thread ---- */

struct check *check_make(enum check_kind kind, const char *secret, size_t len)
{
	struct check *c = mem_zalloc(sizeof *c);
	c->kind = kind;
	c->secret = memcpy(mem_alloc(len + 1), secret, len);
	c->secret[len] = 0;
	c->secret_len = len;
	list_init(&c->_link);
	list_init(&c->_twins);
	return c;
}

static void forget_secret(struct check *c)
{
	if (c->secret)
		sodium_memzero(c->secret, c->secret_len);
	mem_free(c->secret);
	c->secret = NULL;
}

void check_free(struct check *c)
{
	if (!c)
		return;
	forget_secret(c);
	bearer_free(c->bearer);
	mem_free(c);
}

static void add_part(crypto_generichash_state *h, const void *part, size_t len)
{
	uint64_t n = len;
	crypto_generichash_update(h, (const uint8_t *)&n, sizeof n);
	crypto_generichash_update(h, part, len);
}

void checks_key(const struct checks *cs, const void *about, size_t about_len, const char *name,
    size_t name_len, const char *secret, size_t len, uint8_t out[CHECKS_KEY_BYTES])
{
	crypto_generichash_state h;
	crypto_generichash_init(&h, cs->secret_key, sizeof cs->secret_key, CHECKS_KEY_BYTES);
	add_part(&h, about, about_len);
	add_part(&h, name, name_len);
	add_part(&h, secret, len);
	crypto_generichash_final(&h, out, CHECKS_KEY_BYTES);
}

/* ---- kept answers (3) ---- */

static struct kept *kept_slot(struct checks *cs, const struct check *c, enum check_verdict v)
{
	uint64_t h;
	memcpy(&h, c->key, sizeof h);
	return &cs->kept[v][h & (KEPT_SLOTS - 1)];
}

static bool is_kept(struct checks *cs, const struct check *c, enum check_verdict v)
{
	const struct kept *k = kept_slot(cs, c, v);
	return k->there && !sodium_memcmp(k->key, c->key, sizeof k->key);
}

static void keep(struct checks *cs, const struct check *c)
{
	struct kept *k = kept_slot(cs, c, c->verdict);
	memcpy(k->key, c->key, sizeof k->key);
	k->there = true;
}

/* ---- home ---- */

static void came_home(struct mbox_msg *m)
{
	struct check *c = CONTAINER_OF(m, struct check, _msg);
	metric_observe_ns(M_AUTH_CHECK_SECONDS, loop_now_ns(c->_from) - c->_asked_ns);
	c->home(c);
}

static void send_home(struct check *c)
{
	forget_secret(c);
	c->_msg.fn = came_home;
	loop_send(c->_from, &c->_msg);
}

static void answer(struct check *c, enum check_verdict v)
{
	c->verdict = v;
	send_home(c);
}

/* With all that asked the same. */
static void finish(struct check *c)
{
	struct checks *cs = c->_of;
	struct lane *l = &cs->lanes[c->kind];
	for (struct list_link *t; (t = list_pop(&c->_twins));) {
		struct check *twin = CONTAINER_OF(t, struct check, _link);
		twin->verdict = c->verdict;
		twin->fault = c->fault;
		twin->version = c->version;
		memcpy(twin->text, c->text, sizeof twin->text);
		twin->bearer = c->bearer ? bearer_copy(c->bearer) : NULL;
		send_home(twin);
	}
	list_del(&c->_link);
	l->count--;
	send_home(c);
}

/* ---- on a worker ---- */

static void run_password(struct work_task *t)
{
	struct check *c = CONTAINER_OF(t, struct check, _task);
	bool right = passwd_right(c->hash, c->secret, c->secret_len);
	c->verdict = right && !c->nobody ? CHECK_RIGHT : CHECK_WRONG;
	metric_add(M_AUTH_CHECKED_PASSWORD, 1);
}

static void run_signature(struct work_task *t)
{
	struct check *c = CONTAINER_OF(t, struct check, _task);
	struct errbuf eb;
	errbuf_init(&eb);
	c->fault = bearer_check(
	    c->_book, c->secret, c->secret_len, c->_now_ms, &c->bearer, &c->_issuer, &eb);
	c->verdict = c->fault == JWT_FINE ? CHECK_RIGHT : CHECK_WRONG;
	snprintf(c->text, sizeof c->text, "%.*s", (int)sizeof c->text - 1, eb.text);
	metric_add(M_AUTH_CHECKED_SIGNATURE, 1);
}

/* ---- on the keeper ---- */

/* The key is not in the book: true when it waits for a newer one. */
static bool park(struct check *c)
{
	struct checks *cs = c->_of;
	switch (issuers_want(cs->issuers, c->_issuer, c->_mark)) {
	case ISSUERS_WAIT:
		list_del(&c->_link);
		list_add_tail(&cs->lanes[c->kind].parked, &c->_link);
		return true;
	case ISSUERS_KNOWN:
		return false;
	case ISSUERS_LATER:
		c->verdict = CHECK_NO_KEYS;
		return false;
	}
	return false;
}

static void ran(struct work_task *t)
{
	struct check *c = CONTAINER_OF(t, struct check, _task);
	struct checks *cs = c->_of;
	struct lane *l = &cs->lanes[c->kind];
	struct issuer_book *book = issuers_book(cs->issuers);
	bool newest = c->_book == book;
	l->running_count--;
	issuer_book_drop(c->_book);
	c->_book = NULL;
	if (c->kind == CHECK_PASSWORD)
		keep(cs, c);
	if (c->fault == JWT_NO_KEY && !newest) {
		/* Keys came while it ran: looked at again. */
		list_del(&c->_link);
		list_add_tail(&l->waiting, &c->_link);
	} else if (c->fault != JWT_NO_KEY || !park(c)) {
		finish(c);
	}
	pump(cs, l);
}

static void start(struct checks *cs, struct lane *l, struct check *c)
{
	list_add_tail(&l->running, &c->_link);
	l->running_count++;
	c->_now_ms = loop_now_ms(cs->loop);
	c->version = issuers_version(cs->issuers);
	if (c->kind == CHECK_SIGNATURE)
		c->_book = issuer_book_take(issuers_book(cs->issuers));
	memset(&c->_task, 0, sizeof c->_task);
	c->_task.run = c->kind == CHECK_PASSWORD ? run_password : run_signature;
	c->_task.done = ran;
	c->_task.prio = WORK_READ;
	work_submit(cs->pool, &c->_task);
}

static void pump(struct checks *cs, struct lane *l)
{
	while (l->running_count < l->at_once && !list_empty(&l->waiting)) {
		struct list_link *first = list_pop(&l->waiting);
		start(cs, l, CONTAINER_OF(first, struct check, _link));
	}
}

/* The same one in a list; counts those of this address. */
static struct check *look_through(
    const struct list_link *list, const struct check *c, unsigned *of_address)
{
	for (const struct list_link *at = list->next; at != list; at = at->next) {
		struct check *other =
		    CONTAINER_OF((struct list_link *)(uintptr_t)at, struct check, _link);
		if (!sodium_memcmp(other->key, c->key, sizeof c->key))
			return other;
		*of_address += other->who == c->who;
	}
	return NULL;
}

/*
 * The youngest of the address that waits most often, when that is more often than of_address: it
 * makes room for one that waits less. Addresses that share a counter are taken for one.
 */
static struct check *who_makes_room(const struct lane *l, unsigned of_address)
{
	uint16_t counts[256] = { 0 }, most = 0;
	LIST_EACH(at, &l->waiting) {
		uint16_t n = ++counts[CONTAINER_OF(at, struct check, _link)->who & 255];
		most = n > most ? n : most;
	}
	if (most <= of_address + 1)
		return NULL;
	for (struct list_link *at = l->waiting.prev; at != &l->waiting; at = at->prev) {
		struct check *c = CONTAINER_OF(at, struct check, _link);
		if (counts[c->who & 255] == most)
			return c;
	}
	return NULL;
}

/* False: all places are taken by those who have no more than this one. */
static bool has_place(struct lane *l, unsigned of_address)
{
	if (l->count < l->all_most)
		return true;
	struct check *other = who_makes_room(l, of_address);
	if (!other)
		return false;
	other->verdict = CHECK_CROWDED;
	finish(other);
	return true;
}

static void queue(struct checks *cs, struct check *c)
{
	struct lane *l = &cs->lanes[c->kind];
	unsigned of_address = 0;
	struct check *same = look_through(&l->running, c, &of_address);
	if (!same)
		same = look_through(&l->waiting, c, &of_address);
	if (!same)
		same = look_through(&l->parked, c, &of_address);
	if (same) {
		list_add_tail(&same->_twins, &c->_link);
	} else if (of_address >= l->address_most) {
		answer(c, CHECK_CROWDED_ADDRESS);
	} else if (!has_place(l, of_address)) {
		answer(c, CHECK_CROWDED);
	} else {
		l->count++;
		list_add_tail(&l->waiting, &c->_link);
		pump(cs, l);
	}
}

static void arrived(struct mbox_msg *m)
{
	struct check *c = CONTAINER_OF(m, struct check, _msg);
	struct checks *cs = c->_of;
	c->_mark = issuers_mark(cs->issuers);
	if (c->kind == CHECK_PASSWORD && is_kept(cs, c, CHECK_RIGHT))
		answer(c, CHECK_RIGHT);
	else if (c->kind == CHECK_PASSWORD && is_kept(cs, c, CHECK_WRONG))
		answer(c, CHECK_WRONG);
	else
		queue(cs, c);
}

void checks_ask(struct checks *cs, struct check *c)
{
	c->_of = cs;
	c->_from = loop_here();
	c->_asked_ns = loop_now_ns(c->_from);
	c->_msg.fn = arrived;
	loop_send(cs->loop, &c->_msg);
}

/* Other keys, or no hope for some: those that wait for them are looked at again. */
static void keys_changed(void *arg)
{
	struct checks *cs = arg;
	struct lane *l = &cs->lanes[CHECK_SIGNATURE];
	epoch_set(&cs->version, issuers_version(cs->issuers));
	list_move_all(&l->waiting, &l->parked);
	pump(cs, l);
}

uint64_t checks_version(const struct checks *cs)
{
	return epoch_now(&cs->version);
}

/* ---- life ---- */

static void *fetch_nothing(void *arg, const char *url,
    void (*done)(void *own, int status, const char *body, size_t len, const char *text), void *own)
{
	(void)arg, (void)url, (void)done, (void)own;
	return NULL;
}

static void cancel_nothing(void *arg, void *handle)
{
	(void)arg, (void)handle;
}

static void lane_init(struct lane *l, unsigned at_once, unsigned address_most, unsigned all_most)
{
	list_init(&l->waiting);
	list_init(&l->running);
	list_init(&l->parked);
	l->at_once = at_once;
	l->address_most = address_most;
	l->all_most = all_most;
}

enum err checks_create(struct team *team, struct work_pool *pool, const struct issuers_fetch *fetch,
    struct checks **out)
{
	static const struct issuers_fetch none = { .begin = fetch_nothing, .cancel = cancel_nothing };
	struct checks *cs = mem_try(sizeof *cs);
	if (!cs)
		return ERR_NOMEM;
	memset(cs, 0, sizeof *cs);
	cs->loop = team_loop(team, 0);
	cs->pool = pool;
	randombytes_buf(cs->secret_key, sizeof cs->secret_key);
	lane_init(&cs->lanes[CHECK_PASSWORD], CHECKS_PASSWORDS_AT_ONCE, CHECKS_PASSWORDS_ADDRESS,
	    CHECKS_PASSWORDS_ALL);
	lane_init(&cs->lanes[CHECK_SIGNATURE], CHECKS_SIGNATURES_AT_ONCE, CHECKS_SIGNATURES_ADDRESS,
	    CHECKS_SIGNATURES_ALL);
	cs->issuers =
	    issuers_create(cs->loop, fetch && fetch->begin ? fetch : &none, keys_changed, cs);
	*out = cs;
	return 0;
}

void checks_use(struct checks *cs, const struct ident_set *set)
{
	loop_check_here(cs->loop);
	issuers_use(cs->issuers, set);
}

void checks_close(struct checks *cs)
{
	loop_check_here(cs->loop);
	issuers_free(cs->issuers);
	cs->issuers = NULL;
}

void checks_free(struct checks *cs)
{
	if (!cs)
		return;
	CHECK(!cs->issuers);
	sodium_memzero(cs->secret_key, sizeof cs->secret_key);
	mem_free(cs);
}
