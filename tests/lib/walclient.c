#include "tests/lib/walclient.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "storage/wal/walrec.h"
#include "storage/wal/walseg.h"
#include "tests/lib/fsdouble.h"
#include "tests/lib/tap.h"

static uint64_t pick(uint64_t *state, uint64_t below)
{
	*state += 0x9e3779b97f4a7c15u;
	return hash_mix64(*state) % below;
}

/* ---- Tokens: one per frame ---- */

struct walclient_token *walclient_tokens;

struct walclient walclients[WALCLIENT_LOOPS];

uint64_t walclient_token_of(unsigned loop, uint64_t index)
{
	return index * WALCLIENT_LOOPS + loop;
}

static void walclient_send(struct walclient *c)
{
	uint64_t id = walclient_token_of(c->loop, c->next++);
	CHECK(id < WALCLIENT_TOKENS_MAX);
	struct walog_frame *f = walog_frame(c->w);
	struct walrec_writer w;
	uint32_t ids[4096];
	int64_t times[4096];
	double values[4096];
	size_t n = 1 + pick(&c->state, c->rows_max);
	for (size_t i = 0; i < n; i++) {
		ids[i] = (uint32_t)i;
		times[i] = (int64_t)id;
		values[i] = num_from_bits(id);
	}
	walrec_begin(&w, &f->payload);
	walrec_group(&w, c->loop, ++c->number);
	walrec_rows(&w, n, ids, times, values);
	walrec_end(&w);
	walclient_tokens[id] = (struct walclient_token){
		.number = c->number, .loop = (uint8_t)c->loop, .acked_at = WALCLIENT_NEVER
	};
	walclient_tokens[id].position = walog_submit(c->w, f);
}

void walclient_fill(struct walclient *c)
{
	while (c->next < c->stop_at && c->next - c->decided < c->window && !c->last_state)
		walclient_send(c);
}

void walclient_report(void *arg, unsigned loop, const struct walog_report *r)
{
	(void)arg;
	struct walclient *c = &walclients[loop];
	uint64_t point = c->record_points ? fsdouble_point() : 0;
	c->reports++;
	c->last_state = r->state;
	if (r->held_bytes > c->held_max)
		c->held_max = r->held_bytes;
	for (; c->decided < c->next; c->decided++) {
		struct walclient_token *t = &walclient_tokens[walclient_token_of(loop, c->decided)];
		if (t->position > r->durable && t->position > r->failed)
			break;
		t->failed = t->position > r->durable;
		if (t->failed)
			c->last_err = r->err;
	}
	/*
	 * What failed first and got durable then counts as well: a duplicate of it would be
	 * acknowledged.
	 */
	for (; c->durable < c->decided; c->durable++) {
		struct walclient_token *t = &walclient_tokens[walclient_token_of(loop, c->durable)];
		if (t->position > r->durable)
			break;
		t->acked_at = point;
		c->number_durable = t->number;
	}
	if (c->completes && pick(&c->state, 8) == 0 && c->number_durable > 20)
		walog_complete(c->w, loop, c->number_durable - 20);
	walclient_fill(c);
}

void walclient_start(void *arg)
{
	walclient_fill(arg);
}

void walclient_goes_on(void *arg)
{
	struct walclient *c = arg;
	c->stop_at = c->next + c->more;
	walclient_fill(c);
}

bool walclient_done(void *arg)
{
	struct walclient *c = arg;
	return c->decided == c->next && (c->next == c->stop_at || c->last_state);
}

/* A log that is well again while it is stopped must not be handed more. */
void walclient_ends(void *arg)
{
	struct walclient *c = arg;
	c->stop_at = c->next;
}

/* ---- Replay and judgement ---- */

static void found_payload(struct walclient_found *f, const uint8_t *payload, size_t len, bool real)
{
	struct walrec_groups it;
	struct walrec_group g;
	struct walrec_reader r;
	struct walrec_record rec;
	walrec_groups_init(&it, payload, len);
	walrec_reader_init(&r);
	while (walrec_groups_next(&it, &g)) {
		walrec_reader_open(&r, &g);
		if (g.shard >= WALCLIENT_LOOPS || !walrec_next(&r, &rec) || rec.tag != WALREC_ROWS) {
			f->broken++;
			continue;
		}
		if (g.number > f->top[g.shard])
			f->top[g.shard] = g.number;
		uint64_t id = num_bits(rec.v[0]);
		for (size_t i = 0; i < rec.count; i++)
			f->broken += num_bits(rec.v[i]) != id || rec.t_ms[i] != (int64_t)id ||
			    rec.ids[i] != i;
		if (!real)
			continue;
		if (f->count == f->cap) {
			f->cap = f->cap ? f->cap * 2 : 256;
			f->tokens = mem_array(f->tokens, f->cap, sizeof(*f->tokens));
		}
		f->tokens[f->count++] = id;
	}
	f->broken += it.err != 0 || r.err != 0;
	walrec_reader_release(&r);
}

static enum err found_frame(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	found_payload(arg, payload, len, true);
	return ERR_OK;
}

static void found_void(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)seq;
	found_payload(arg, payload, len, false);
}

static const struct replay_ops found_ops = { .frame = found_frame, .void_frame = found_void };

void walclient_found_read(const char *dir, struct walclient_found *f, struct replay_result *r)
{
	struct fsio_dir *d;
	struct errbuf eb;
	errbuf_init(&eb);
	*f = (struct walclient_found){ 0 };
	CHECK(fsio_dir_open(dir, true, &d) == 0);
	if (replay_run(d, &found_ops, f, r, &eb)) {
		tap_note("replay: %s", eb.text);
		f->broken++;
	}
	fsio_dir_close(d);
}

bool walclient_found_same(const struct walclient_found *a, const struct walclient_found *b)
{
	return a->count == b->count &&
	    (!a->count || memcmp(a->tokens, b->tokens, a->count * sizeof(*a->tokens)) == 0);
}

/*
 * Faults of what was found on an image of a point of this life; what a loop has completed may be
 * missing.
 */
size_t walclient_judge(
    const struct walclient_found *f, uint64_t point, uint64_t first_complete, bool explain)
{
	static uint8_t seen[WALCLIENT_TOKENS_MAX];
	size_t bad = f->broken;
	uint64_t last[WALCLIENT_LOOPS] = { 0 };
	for (size_t i = 0; i < f->count; i++) {
		uint64_t id = f->tokens[i];
		unsigned loop = (unsigned)(id % WALCLIENT_LOOPS);
		bool sent = id < WALCLIENT_TOKENS_MAX && id / WALCLIENT_LOOPS < walclients[loop].next;
		bool wrong = !sent || walclient_tokens[id].gone || seen[id] ||
		    walclient_tokens[id].number <= last[loop];
		if (wrong && explain)
			tap_note("point %llu: token %llu found: sent %d gone %d twice %d",
			    (unsigned long long)point, (unsigned long long)id, sent,
			    sent && walclient_tokens[id].gone, sent && seen[id]);
		bad += wrong;
		if (sent) {
			seen[id] = 1;
			last[loop] = walclient_tokens[id].number;
		}
	}
	for (unsigned l = 0; l < WALCLIENT_LOOPS; l++) {
		for (uint64_t i = 0; i < walclients[l].next; i++) {
			uint64_t id = walclient_token_of(l, i);
			const struct walclient_token *t = &walclient_tokens[id];
			bool missing = t->acked_at <= point && !seen[id] && !t->gone &&
			    t->number > first_complete;
			if (missing && explain)
				tap_note("point %llu: token %llu missing, acknowledged at %llu",
				    (unsigned long long)point, (unsigned long long)id,
				    (unsigned long long)t->acked_at);
			bad += missing;
			seen[id] = 0;
		}
	}
	return bad;
}

void walclient_found_release(struct walclient_found *f, struct replay_result *r)
{
	mem_free(f->tokens);
	replay_result_release(r);
}

char *walclient_path(const char *root, const char *stem, unsigned n)
{
	char *p = NULL;
	CHECK(asprintf(&p, "%s/%s%u", root, stem, n) > 0);
	return p;
}

enum err walclient_log(const char *dir, struct fsio_dir **d, struct testteam *tt,
    enum walog_sync sync, const struct replay_result *r, struct walog **w)
{
	CHECK(fsio_dir_open(dir, true, d) == 0);
	struct walog_opts o = { .dir = *d,
		.team = tt->team,
		.sync = sync,
		.sync_interval_ms = 5,
		.segment_bytes = WALSEG_MIN_BYTES,
		.spares_max = 3,
		.probe_ms = 200,
		.replay = r,
		.on_report = walclient_report };
	struct errbuf eb;
	errbuf_init(&eb);
	return walog_create(&o, w, &eb);
}
