#include "bench/load/pacer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/procstat.h"
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/list.h"
#include "proto/snapz.h"

struct body {
	struct list_link link;
	size_t len;
	uint32_t samples;
	uint64_t round;
	double share; /* of its round, 0..1: when it is due */
	uint8_t data[];
};
/* Of nanoseconds; every `each`-th is kept. */
struct sample_set {
	uint64_t *ns;
	size_t count;
	uint64_t seen, each;
};
struct pacer;
struct conn {
	pthread_t thread;
	struct pacer *p;
	struct httpc http;
	struct list_link queue;
	pthread_cond_t more;
	/* latency: of the paced rounds; what was refused with 429 or 503 stands in refused */
	struct sample_set create, latency, refused, late;
	uint64_t samples, requests, failed, retries;
	char first_error[512];
};
struct pacer {
	const struct pacer_opts *o;
	struct conn *conns;
	pthread_t maker;
	pthread_mutex_t lock; /* queues, counts, rounds */
	pthread_cond_t room;  /* the maker may go on */
	pthread_cond_t over;  /* the first round is, or the clock of the others runs */
	size_t waiting_bytes, peak_bytes;
	uint64_t open_first; /* bodies of the first round not answered; while it is made: plus 1 */
	bool made;           /* all of them */
	bool started;        /* the paced rounds' clock runs */
	uint64_t begin_ns;   /* when the first paced round begins */
	uint64_t first_begin_ns, first_end_ns;
	uint64_t made_ns; /* CPU time of the maker */
	struct procstat at_begin, at_created;
	struct procstat_thread loops_created[PACER_THREADS];
};

static void set_init(struct sample_set *s)
{
	*s = (struct sample_set){ .each = 1, .ns = mem_array(NULL, PACER_KEPT, sizeof(*s->ns)) };
}

static void set_add(struct sample_set *s, uint64_t ns)
{
	if (s->seen++ % s->each)
		return;
	if (s->count == PACER_KEPT) {
		for (size_t i = 0; i < PACER_KEPT / 2; i++)
			s->ns[i] = s->ns[2 * i];
		s->count /= 2;
		s->each *= 2;
	}
	s->ns[s->count++] = ns;
}

static int by_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* ---- making ---- */

static struct body *body_make(struct pacer *p, uint64_t round, uint64_t i, uint64_t batches,
    struct buf *raw, struct buf *packed)
{
	uint64_t samples = loadgen_body(p->o->gen, i, raw);
	if (!samples)
		return NULL;
	buf_clear(packed);
	snapz_encode(packed, raw->data, raw->len);
	struct body *b = mem_alloc(sizeof(*b) + packed->len);
	*b = (struct body){ .len = packed->len,
		.samples = (uint32_t)samples,
		.round = round,
		.share = (double)i / (double)batches };
	memcpy(b->data, packed->data, packed->len);
	list_init(&b->link);
	return b;
}

static void body_hand_over(struct pacer *p, struct conn *c, struct body *b)
{
	pthread_mutex_lock(&p->lock);
	while (p->waiting_bytes && p->waiting_bytes + b->len > p->o->memory_bytes)
		pthread_cond_wait(&p->room, &p->lock);
	p->waiting_bytes += b->len;
	if (p->waiting_bytes > p->peak_bytes)
		p->peak_bytes = p->waiting_bytes;
	p->open_first += b->round == p->o->first;
	list_add_tail(&c->queue, &b->link);
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&p->lock);
}

/* The first round is over, as far as the maker goes, or its last body was answered. */
static void first_done(struct pacer *p)
{
	if (--p->open_first)
		return;
	p->first_end_ns = clock_real_mono_ns();
	pthread_cond_broadcast(&p->over);
}

static void *maker_main(void *arg)
{
	struct pacer *p = arg;
	struct buf raw, packed;
	buf_init(&raw);
	buf_init(&packed);
	uint64_t batches = loadgen_batches(p->o->gen);
	for (uint64_t round = p->o->first; round < p->o->first + p->o->rounds; round++) {
		loadgen_round(p->o->gen, round);
		for (uint64_t i = 0; i < batches; i++) {
			struct body *b = body_make(p, round, i, batches, &raw, &packed);
			if (b)
				body_hand_over(p, &p->conns[i % p->o->connections], b);
		}
		if (round == p->o->first) {
			pthread_mutex_lock(&p->lock);
			first_done(p);
			pthread_mutex_unlock(&p->lock);
		}
	}
	pthread_mutex_lock(&p->lock);
	p->made = true;
	for (unsigned k = 0; k < p->o->connections; k++)
		pthread_cond_signal(&p->conns[k].more);
	pthread_mutex_unlock(&p->lock);
	struct timespec cpu;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	p->made_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
	buf_release(&raw);
	buf_release(&packed);
	return NULL;
}

/* ---- sending ---- */

/* NULL: that was all. */
static struct body *body_take(struct conn *c)
{
	struct pacer *p = c->p;
	pthread_mutex_lock(&p->lock);
	while (list_empty(&c->queue) && !p->made)
		pthread_cond_wait(&c->more, &p->lock);
	struct list_link *l = list_pop(&c->queue);
	struct body *b = l ? CONTAINER_OF(l, struct body, link) : NULL;
	/* Paced rounds wait until the first one is over. */
	while (b && !p->started && (!p->o->create || b->round != p->o->first))
		pthread_cond_wait(&p->over, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return b;
}

static void body_done(struct conn *c, struct body *b)
{
	struct pacer *p = c->p;
	pthread_mutex_lock(&p->lock);
	p->waiting_bytes -= b->len;
	if (b->round == p->o->first)
		first_done(p);
	pthread_cond_signal(&p->room);
	pthread_mutex_unlock(&p->lock);
	mem_free(b);
}

static void note_refusal(struct conn *c, int status, size_t off)
{
	if (c->first_error[0])
		return;
	if (status < 0)
		snprintf(c->first_error, sizeof(c->first_error), "no answer");
	else
		snprintf(c->first_error, sizeof(c->first_error), "%d %.*s", status,
		    (int)(c->http.in.len - off), (char *)c->http.in.data + off);
}

static struct sample_set *set_for(struct conn *c, const struct body *b, int status)
{
	if (status == 429 || status == 503)
		return &c->refused;
	return b->round == c->p->o->first && c->p->o->create ? &c->create : &c->latency;
}

/* 5xx and broken connections are repeated for a while, as a sender does. */
static void body_send(struct conn *c, const struct body *b)
{
	uint64_t begin = clock_real_mono_ns();
	for (;;) {
		size_t off = 0;
		uint64_t sent = clock_real_mono_ns();
		int status = httpc_do(&c->http, "POST", c->p->o->path,
		    "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n",
		    b->data, b->len, &off);
		c->requests++;
		set_add(set_for(c, b, status), clock_real_mono_ns() - sent);
		if (status >= 200 && status < 300) {
			__atomic_add_fetch(&c->samples, b->samples, __ATOMIC_RELAXED);
			return;
		}
		note_refusal(c, status, off);
		if ((status >= 0 && status < 500) ||
		    (double)(clock_real_mono_ns() - begin) / 1e9 > c->p->o->retry_s) {
			c->failed++;
			return;
		}
		c->retries++;
		usleep(30000);
	}
}

static void *conn_main(void *arg)
{
	struct conn *c = arg;
	const struct pacer_opts *o = c->p->o;
	for (struct body *b; (b = body_take(c)) != NULL;) {
		if (!o->create || b->round != o->first) {
			uint64_t paced = b->round - o->first - o->create;
			uint64_t due = c->p->begin_ns +
			    (uint64_t)(((double)paced + b->share) * o->pace_s * 1e9),
			         now = clock_real_mono_ns();
			if (due > now)
				usleep((useconds_t)((due - now) / 1000));
			now = clock_real_mono_ns();
			set_add(&c->late, now > due ? now - due : 0);
		}
		body_send(c, b);
		body_done(c, b);
	}
	return NULL;
}

/* ---- telling ---- */

static uint64_t samples_of(const struct pacer *p)
{
	uint64_t n = 0;
	for (unsigned k = 0; k < p->o->connections; k++)
		n += __atomic_load_n(&p->conns[k].samples, __ATOMIC_RELAXED);
	return n;
}

static void line(const struct pacer *p, double at_s, uint64_t samples, const struct procstat *was,
    const struct procstat *now, double took_s)
{
	struct procstat_thread t[PACER_THREADS];
	unsigned n = p->o->pid ? procstat_threads(p->o->pid, "loop", t, PACER_THREADS) : 0;
	fprintf(stderr, "%8.1f s  %12llu samples  rss %7.1f MB  anon %7.1f MB  %.3f cores ", at_s,
	    (unsigned long long)samples, now->rss_mb, now->anon_mb,
	    (now->cpu_s - was->cpu_s) / took_s);
	for (unsigned i = 0; i < n; i++)
		fprintf(stderr, " %s %.2f s", t[i].name, t[i].cpu_s);
	fputc('\n', stderr);
}

static void look(const struct pacer *p, struct procstat *s)
{
	memset(s, 0, sizeof(*s));
	if (p->o->pid && procstat_read(p->o->pid, s))
		fprintf(stderr, "kymobench write: the server has ended\n");
}

struct teller {
	struct pacer *p;
	pthread_t thread;
	bool stop;
};

static void *teller_main(void *arg)
{
	struct teller *t = arg;
	uint64_t begin = clock_real_mono_ns(), last = begin;
	struct procstat was, now;
	look(t->p, &was);
	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		usleep(100000);
		uint64_t ns = clock_real_mono_ns();
		if ((double)(ns - last) / 1e9 < t->p->o->every_s)
			continue;
		look(t->p, &now);
		line(t->p, (double)(ns - begin) / 1e9, samples_of(t->p), &was, &now,
		    (double)(ns - last) / 1e9);
		was = now;
		last = ns;
	}
	return NULL;
}

enum which {
	CREATE,
	LATENCY,
	REFUSED,
	LATE
};

static const struct sample_set *set_of(const struct conn *c, enum which which)
{
	switch (which) {
	case CREATE:
		return &c->create;
	case LATENCY:
		return &c->latency;
	case REFUSED:
		return &c->refused;
	case LATE:
		break;
	}
	return &c->late;
}

/* Of all connections, in ms. */
static double quantile_ms(const struct pacer *p, enum which which, double q)
{
	size_t n = 0;
	for (unsigned k = 0; k < p->o->connections; k++)
		n += set_of(&p->conns[k], which)->count;
	uint64_t *all = mem_array(NULL, n + 1, sizeof(*all));
	n = 0;
	for (unsigned k = 0; k < p->o->connections; k++) {
		const struct sample_set *s = set_of(&p->conns[k], which);
		if (s->count)
			memcpy(all + n, s->ns, s->count * sizeof(*all));
		n += s->count;
	}
	qsort(all, n, sizeof(*all), by_u64);
	size_t at = (size_t)(q * (double)n);
	double ms = n ? (double)all[at < n ? at : n - 1] / 1e6 : 0;
	mem_free(all);
	return ms;
}

static void threads_tell(const struct pacer *p, double seconds)
{
	struct procstat_thread t[PACER_THREADS];
	unsigned n = p->o->pid ? procstat_threads(p->o->pid, "loop", t, PACER_THREADS) : 0;
	printf(",\"loops\":[");
	for (unsigned i = 0; i < n; i++)
		printf("%s%.4f", i ? "," : "", (t[i].cpu_s - p->loops_created[i].cpu_s) / seconds);
	printf("]");
}

static bool tell(struct pacer *p, uint64_t end_ns)
{
	const struct pacer_opts *o = p->o;
	uint64_t requests = 0, failed = 0, retries = 0, refused = 0, samples = samples_of(p);
	const char *why = "";
	for (unsigned k = 0; k < o->connections; k++) {
		requests += p->conns[k].requests;
		failed += p->conns[k].failed;
		retries += p->conns[k].retries;
		refused += p->conns[k].refused.seen;
		why = p->conns[k].first_error[0] ? p->conns[k].first_error : why;
	}
	struct procstat now;
	look(p, &now);
	uint64_t first = o->create ? loadgen_series(o->gen) : 0;
	double seconds = (double)(end_ns - p->begin_ns) / 1e9, create_s = 0,
	       create_cpu = p->at_created.cpu_s - p->at_begin.cpu_s,
	       cpu = now.cpu_s - p->at_created.cpu_s;
	if (o->create)
		create_s = (double)(p->first_end_ns - p->first_begin_ns) / 1e9;
	printf("{\"series\":%llu,\"samples\":%llu,\"requests\":%llu,\"failed\":%llu,\"retries\":%llu",
	    (unsigned long long)loadgen_series(o->gen), (unsigned long long)samples,
	    (unsigned long long)requests, (unsigned long long)failed, (unsigned long long)retries);
	printf(",\"create_s\":%.2f,\"create_cpu_s\":%.2f,\"create_per_cpu_s\":%.0f", create_s,
	    create_cpu, create_cpu > 0 && first ? (double)first / create_cpu : 0);
	printf(",\"create_p50_ms\":%.2f,\"create_p99_ms\":%.2f", quantile_ms(p, CREATE, 0.5),
	    quantile_ms(p, CREATE, 0.99));
	printf(",\"seconds\":%.2f,\"samples_per_s\":%.0f,\"cores\":%.4f", seconds,
	    seconds > 0 ? (double)(samples - first) / seconds : 0, seconds > 0 ? cpu / seconds : 0);
	threads_tell(p, seconds > 0 ? seconds : 1);
	printf(",\"late_p50_ms\":%.1f,\"late_p99_ms\":%.1f,\"late_max_ms\":%.1f",
	    quantile_ms(p, LATE, 0.5), quantile_ms(p, LATE, 0.99), quantile_ms(p, LATE, 1));
	printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.1f", quantile_ms(p, LATENCY, 0.5),
	    quantile_ms(p, LATENCY, 0.99), quantile_ms(p, LATENCY, 1));
	printf(",\"refused\":%llu,\"refused_p50_ms\":%.2f,\"refused_p99_ms\":%.2f",
	    (unsigned long long)refused, quantile_ms(p, REFUSED, 0.5), quantile_ms(p, REFUSED, 0.99));
	printf(",\"rss_mb\":%.1f,\"anon_mb\":%.1f,\"peak_rss_mb\":%.1f", now.rss_mb, now.anon_mb,
	    now.peak_mb);
	printf(",\"maker_cpu_s\":%.1f,\"waiting_peak_mb\":%.1f}\n", (double)p->made_ns / 1e9,
	    (double)p->peak_bytes / 1e6);
	if (failed || retries)
		fprintf(
		    stderr, "kymobench write: first refusal: %.*s\n", (int)strcspn(why, "\n"), why);
	return !failed;
}

/* ---- the whole ---- */

static void start(pthread_t *t, void *(*fn)(void *arg), void *arg)
{
	if (pthread_create(t, NULL, fn, arg)) {
		perror("pthread_create");
		exit(1);
	}
}

static void conns_make(struct pacer *p)
{
	p->conns = mem_zalloc(p->o->connections * sizeof(*p->conns));
	for (unsigned k = 0; k < p->o->connections; k++) {
		struct conn *c = &p->conns[k];
		c->p = p;
		httpc_init(&c->http, p->o->url);
		list_init(&c->queue);
		pthread_cond_init(&c->more, NULL);
		set_init(&c->create);
		set_init(&c->latency);
		set_init(&c->refused);
		set_init(&c->late);
	}
}

/* The clock of the paced rounds. */
static void clock_begin(struct pacer *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->o->create && !p->first_end_ns)
		pthread_cond_wait(&p->over, &p->lock);
	look(p, &p->at_created);
	if (p->o->pid)
		(void)procstat_threads(p->o->pid, "loop", p->loops_created, PACER_THREADS);
	p->begin_ns = clock_real_mono_ns();
	p->started = true;
	pthread_cond_broadcast(&p->over);
	pthread_mutex_unlock(&p->lock);
}

bool pacer_run(const struct pacer_opts *o)
{
	struct pacer p = { .o = o, .open_first = 1 };
	struct teller t = { .p = &p };
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.room, NULL);
	pthread_cond_init(&p.over, NULL);
	conns_make(&p);
	look(&p, &p.at_begin);
	p.first_begin_ns = clock_real_mono_ns();
	start(&p.maker, maker_main, &p);
	for (unsigned k = 0; k < o->connections; k++)
		start(&p.conns[k].thread, conn_main, &p.conns[k]);
	if (o->every_s > 0)
		start(&t.thread, teller_main, &t);
	clock_begin(&p);
	pthread_join(p.maker, NULL);
	for (unsigned k = 0; k < o->connections; k++)
		pthread_join(p.conns[k].thread, NULL);
	uint64_t end_ns = clock_real_mono_ns();
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	if (o->every_s > 0)
		pthread_join(t.thread, NULL);
	bool good = tell(&p, end_ns);
	for (unsigned k = 0; k < o->connections; k++) {
		httpc_release(&p.conns[k].http);
		pthread_cond_destroy(&p.conns[k].more);
		mem_free(p.conns[k].create.ns);
		mem_free(p.conns[k].latency.ns);
		mem_free(p.conns[k].late.ns);
	}
	mem_free(p.conns);
	pthread_cond_destroy(&p.over);
	pthread_cond_destroy(&p.room);
	pthread_mutex_destroy(&p.lock);
	return good;
}
