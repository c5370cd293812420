#include "net/gate/issuers.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/metric.h"

#define WELL_KNOWN "/.well-known/openid-configuration"
#define URL_BYTES  2048u

struct issuer {
	struct issuers *of;
	char *name, *jwks_url; /* as configured; the second may be NULL */
	struct keyring *keys;
	uint64_t good_ns; /* when the keys came */
	/* Numbers of fetches: the one under way, the last with keys, the last that failed. */
	uint64_t fetch_mark, good_mark, bad_mark;
	uint64_t asks_ns; /* when all asks of (2) are free again */
	unsigned failures;
	void *fetching;
	bool discovering;
	struct loop_timer timer;
	bool kept; /* by the configuration that is being taken */
};
struct issuers {
	struct loop *loop;
	struct issuers_fetch fetch;
	void (*changed)(void *arg);
	void *arg;
	struct issuer **list; /* in the order of the set */
	size_t count;
	struct issuer_book *book;
	uint64_t mark, version;
};

static uint64_t ms(uint64_t n)
{
	return n * 1000000u;
}

/* ---- the book ---- */

static void renew_book(struct issuers *is)
{
	struct keyring *keys[IDENT_ISSUERS_MOST];
	struct issuer_book *old = is->book;
	is->version++;
	if (!old)
		return;
	CHECK(old->count == is->count);
	for (size_t i = 0; i < is->count; i++)
		keys[i] = is->list[i]->keys;
	is->book = issuer_book_with(old, keys);
	issuer_book_drop(old);
}

/* Keys that came longer ago than this. */
static void drop_old(struct issuer *i, uint64_t keep_ms)
{
	if (!i->keys || loop_now_ns(i->of->loop) - i->good_ns < ms(keep_ms))
		return;
	LOG_WARN("keys_too_old", "issuer=\"%s\" text=\"its tokens are refused until it answers\"",
	    i->name);
	keyring_drop(i->keys);
	i->keys = NULL;
	renew_book(i->of);
}

struct issuer_book *issuers_book(struct issuers *is)
{
	return is->book;
}

uint64_t issuers_version(const struct issuers *is)
{
	return is->version;
}

/* ---- fetching ---- */

static void fetch_done(void *own, int status, const char *body, size_t len, const char *text);

static void failed(struct issuer *i, const char *text);

static void begin(struct issuer *i, const char *url)
{
	struct issuers *is = i->of;
	i->fetching = is->fetch.begin(is->fetch.arg, url, fetch_done, i);
	if (!i->fetching)
		failed(i, "there is no client to ask it with");
}

static void ask(struct issuer *i)
{
	char url[URL_BYTES];
	if (i->fetching)
		return;
	loop_timer_cancel(i->of->loop, &i->timer);
	i->fetch_mark = ++i->of->mark;
	i->discovering = !i->jwks_url;
	if (i->jwks_url) {
		begin(i, i->jwks_url);
		return;
	}
	size_t len = strlen(i->name);
	while (len && i->name[len - 1] == '/')
		len--;
	snprintf(url, sizeof url, "%.*s" WELL_KNOWN, (int)len, i->name);
	begin(i, url);
}

static void on_timer(struct loop_timer *t)
{
	struct issuer *i = CONTAINER_OF(t, struct issuer, timer);
	drop_old(i, ISSUERS_KEEP_MS);
	ask(i);
}

/* Some earlier than others, so that many servers do not come at the same moment. */
static uint64_t spread(uint64_t after_ms)
{
	return after_ms - after_ms / 8 + randombytes_uniform((uint32_t)(after_ms / 8) + 1);
}

static void failed(struct issuer *i, const char *text)
{
	uint64_t wait = ISSUERS_RETRY_MS;
	for (unsigned k = 0; k < i->failures && wait < ISSUERS_RETRY_MAX; k++)
		wait *= 2;
	if (wait > ISSUERS_RETRY_MAX)
		wait = ISSUERS_RETRY_MAX;
	i->failures++;
	i->bad_mark = i->fetch_mark;
	metric_add(M_AUTH_KEYS_FAILED, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "keys_not_fetched", "issuer=\"%s\" text=\"%s\" keys=%s next_s=%llu",
	    i->name, text, i->keys ? "kept" : "none", (unsigned long long)(wait / 1000));
	loop_timer_set(i->of->loop, &i->timer, spread(wait));
	i->of->changed(i->of->arg);
}

/* (1) A set without a key that can be used is no set. */
static enum err read_keys(const char *body, size_t len, struct jwk_set **out, struct errbuf *eb)
{
	enum err e = jwk_set_parse(body, len, out, eb);
	if (e || (*out)->count)
		return e;
	e = errbuf_set(eb, ERR_BADDATA, "none of its %zu keys can be used", (*out)->left_out);
	jwk_set_free(*out);
	return e;
}

static void take_keys(struct issuer *i, const char *body, size_t len)
{
	struct jwk_set *set;
	struct errbuf eb;
	char text[ERRBUF_SIZE + 32];
	errbuf_init(&eb);
	enum err e = read_keys(body, len, &set, &eb);
	if (e == ERR_BADDATA)
		drop_old(i, ISSUERS_EMPTY_MS);
	if (e) {
		snprintf(text, sizeof text, "its key set: %s", eb.text);
		failed(i, text);
		return;
	}
	i->failures = 0;
	i->good_mark = i->fetch_mark;
	i->good_ns = loop_now_ns(i->of->loop);
	metric_add(M_AUTH_KEYS_FETCHED, 1);
	loop_timer_set(i->of->loop, &i->timer, spread(ISSUERS_RENEW_MS));
	if (i->keys && jwk_set_equal(i->keys->set, set)) {
		jwk_set_free(set);
	} else {
		LOG_INFO("keys_fetched", "issuer=\"%s\" keys=%zu left_out=%zu", i->name, set->count,
		    set->left_out);
		keyring_drop(i->keys);
		i->keys = keyring_make(set);
		renew_book(i->of);
	}
	i->of->changed(i->of->arg);
}

/* (3) NULL: *text says why. */
static const char *look_at_discovery(const struct issuer *i, const json_t *o, const char **text)
{
	const char *named = json_string_value(json_object_get(o, "issuer"));
	const char *url = json_string_value(json_object_get(o, "jwks_uri"));
	if (named && strcmp(named, i->name) && issuer_name_like(named, i->name))
		*text = "its openid-configuration has its name with another / at the end: write "
		        "identities.oidc.issuer letter by letter as there";
	else if (!named || strcmp(named, i->name))
		*text = "its openid-configuration is of another issuer";
	else if (!url || strlen(url) >= URL_BYTES)
		*text = "its openid-configuration names no jwks_uri";
	else if (!strncmp(i->name, "https://", 8) && strncmp(url, "https://", 8))
		*text = "its jwks_uri is not https";
	else
		return url;
	return NULL;
}

static void take_discovery(struct issuer *i, const char *body, size_t len)
{
	const char *text = "its openid-configuration is no JSON";
	json_t *o = jwk_depth_fits(body, len, JWK_DEPTH_MAX)
	    ? json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL)
	    : NULL;
	const char *url = o ? look_at_discovery(i, o, &text) : NULL;
	i->discovering = false;
	if (url)
		begin(i, url);
	else
		failed(i, text);
	json_decref(o);
}

static void fetch_done(void *own, int status, const char *body, size_t len, const char *text)
{
	struct issuer *i = own;
	char why[64];
	i->fetching = NULL;
	if (!text && status != 200) {
		snprintf(why, sizeof why, "it answered %d", status);
		text = why;
	}
	if (text)
		failed(i, text);
	else if (i->discovering)
		take_discovery(i, body, len);
	else
		take_keys(i, body, len);
}

/* (2) */
static bool may_ask(struct issuer *i)
{
	uint64_t now = loop_now_ns(i->of->loop), one = ms(ISSUERS_ASK_MS);
	uint64_t from = i->asks_ns > now ? i->asks_ns : now;
	if (from - now + one > one * ISSUERS_ASK_BURST)
		return false;
	i->asks_ns = from + one;
	return true;
}

uint64_t issuers_mark(const struct issuers *is)
{
	return is->mark;
}

enum issuers_answer issuers_want(struct issuers *is, size_t issuer, uint64_t mark)
{
	CHECK(issuer < is->count);
	struct issuer *i = is->list[issuer];
	if (i->keys && i->good_mark > mark)
		return ISSUERS_KNOWN;
	if (!i->fetching && i->bad_mark <= mark && may_ask(i))
		ask(i);
	return i->fetching ? ISSUERS_WAIT : ISSUERS_LATER;
}

/* ---- life ---- */

static char *copy(const char *s)
{
	size_t n = s ? strlen(s) + 1 : 0;
	return s ? memcpy(mem_alloc(n), s, n) : NULL;
}

static struct issuer *issuer_make(struct issuers *is, const struct ident_oidc *conf)
{
	struct issuer *i = mem_zalloc(sizeof *i);
	i->of = is;
	i->name = copy(conf->issuer);
	i->jwks_url = copy(conf->jwks_url);
	loop_timer_init(&i->timer, on_timer);
	return i;
}

static void issuer_free(struct issuer *i)
{
	struct issuers *is = i->of;
	if (i->fetching)
		is->fetch.cancel(is->fetch.arg, i->fetching);
	loop_timer_cancel(is->loop, &i->timer);
	keyring_drop(i->keys);
	mem_free(i->name);
	mem_free(i->jwks_url);
	mem_free(i);
}

struct issuers *issuers_create(
    struct loop *l, const struct issuers_fetch *fetch, void (*changed)(void *arg), void *arg)
{
	struct issuers *is = mem_zalloc(sizeof *is);
	is->loop = l;
	is->fetch = *fetch;
	is->changed = changed;
	is->arg = arg;
	return is;
}

static bool is_for(const struct issuer *i, const struct ident_oidc *conf)
{
	return !strcmp(i->name, conf->issuer) && !i->jwks_url == !conf->jwks_url &&
	    (!i->jwks_url || !strcmp(i->jwks_url, conf->jwks_url));
}

static struct issuer *find_kept(struct issuers *is, const struct ident_oidc *conf)
{
	for (size_t i = 0; i < is->count; i++) {
		if (is->list[i]->kept || !is_for(is->list[i], conf))
			continue;
		is->list[i]->kept = true;
		return is->list[i];
	}
	return issuer_make(is, conf);
}

static void free_left(struct issuer **list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!list[i]->kept)
			issuer_free(list[i]);
		else
			list[i]->kept = false;
	}
	mem_free(list);
}

void issuers_use(struct issuers *is, const struct ident_set *set)
{
	struct issuer **old = is->list;
	size_t count = set ? ident_count(set, IDENT_OIDC) : 0, old_count = is->count;
	struct issuer **list = mem_zalloc((count + 1) * sizeof(struct issuer *));
	for (size_t i = 0; i < count; i++)
		list[i] = find_kept(is, ident_at(set, IDENT_OIDC, i)->issuer);
	is->list = list;
	is->count = count;
	free_left(old, old_count);
	issuer_book_drop(is->book);
	is->book = issuer_book_make(set);
	renew_book(is);
	for (size_t i = 0; i < count; i++)
		if (!list[i]->fetch_mark)
			ask(list[i]);
	is->changed(is->arg);
}

void issuers_free(struct issuers *is)
{
	if (!is)
		return;
	free_left(is->list, is->count);
	issuer_book_drop(is->book);
	mem_free(is);
}
