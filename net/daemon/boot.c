#include "net/daemon/boot.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/budget.h"
#include "core/base/clock.h"
#include "core/base/fdcache.h"
#include "core/base/linefile.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "core/model/limits.h"
#include "core/rt/memkeep.h"
#include "net/api/api.h"
#include "net/api/api_status.h"
#include "net/api/strangers.h"
#include "net/conn/limit.h"
#include "net/daemon/cardmon.h"
#include "net/daemon/config.h"
#include "net/daemon/datadir.h"
#include "net/daemon/drain.h"
#include "net/daemon/flags.h"
#include "net/daemon/identity.h"
#include "net/daemon/reload.h"
#include "net/daemon/renew.h"
#include "net/daemon/sandbox.h"
#include "net/daemon/sdbeat.h"
#include "net/daemon/sdnotify.h"
#include "net/daemon/selfmon.h"
#include "net/daemon/signals.h"
#include "net/daemon/weburl.h"
#include "net/grpc/gsrv.h"
#include "net/http/srv.h"
#include "net/recv/recv_statsd.h"

/* Half of them for files, half for connections (core/base/fdcache.h); fewer, and one of the two
 * starves. */
#define FDS_LEAST      (2 * FDCACHE_SHARE_MIN)
#define STDOUT_WAIT_MS 1000 /* for who reads stdout */

struct boot {
	int argc;
	char **argv;
	struct config *conf; /* of the start */
	struct reload *reload;
	uint64_t begin_ns;
	struct team *team;
	struct work_pool *pool;
	struct memkeep *memkeep;
	struct identity *identity; /* who asks */
	struct api *api;
	struct srv *srv;
	struct store *store;
	uint64_t series;                /* when ready */
	struct selfmon *selfmon;        /* loop 0's */
	struct cardmon *cardmon;        /* so, too */
	struct renew *renew;            /* likewise */
	struct sdbeat *beat;            /* likewise; NULL: nobody listens */
	struct statsd *statsd;          /* NULL: no listener of it */
	struct linefile *access, *slow; /* logs of requests; NULL: none */
	bool ran;
	int stopped_pipe[2]; /* selfmon's last word to main */
	sigset_t ends;       /* signals that end the process */
	struct errbuf eb;
};

/* ---- the process ---- */

static bool set_up_process(sigset_t *ends)
{
	umask(077);
	mem_setup();
	struct rlimit none = { 0, 0 }, files;
	if (setrlimit(RLIMIT_CORE, &none))
		LOG_WARN("core_dumps_stay_on", "reason=\"setrlimit failed\"");
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files))
			LOG_WARN("descriptor_limit_stays", "limit=%llu",
			    (unsigned long long)files.rlim_cur);
	}
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < FDS_LEAST) {
		fprintf(stderr, "kymod: too many open files: %llu allowed (ulimit -n), %u needed\n",
		    (unsigned long long)files.rlim_cur, FDS_LEAST);
		return false;
	}
	signals_block(ends);
	return true;
}

/* For tests of the whole process: times that a file tells (core/base/clock.h). */
static bool test_clock(struct errbuf *eb)
{
	const char *path = getenv("KYMO_TEST_CLOCK");
	if (!path || !path[0])
		return true;
	if (clock_test_open(path, eb))
		return false;
	LOG_WARN("test_clock",
	    "file=\"%s\" text=\"all times are those of a test, not of this machine\"", path);
	return true;
}

/* Signals that end stay pending until main waits for them; a start that takes long looks for
 * them. */
static bool end_is_asked(void *arg)
{
	const sigset_t *ends = arg;
	sigset_t pending;
	if (sigpending(&pending))
		return false;
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(ends, sig) == 1 && sigismember(&pending, sig) == 1)
			return true;
	return false;
}

/* ---- the parts ---- */

static void ask_reload(void *arg, struct api_reload *a)
{
	reload_ask(((struct boot *)arg)->reload, a);
}

static void ask_end(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM); /* main waits for it */
}

static enum err open_identity(struct boot *b)
{
	enum err e = identity_create(b->team, b->pool, &b->identity, &b->eb);
	if (!e)
		identity_use(b->identity, b->conf->idents);
	return e;
}

/* Is there a file that may have changed? */
static bool can_reload(const struct boot *b)
{
	return b->conf->path || b->conf->flags.web_config;
}

/* What the listeners offer, from the next connection on; on an error nothing has changed. */
static enum err change_listeners(void *arg, const struct config *next, struct buf *told)
{
	struct boot *b = arg;
	const char *missing;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = srv_change(
	    b->srv, next->listen, next->listen_count, &next->trusted_proxies, &missing, &eb);
	if (e)
		buf_printf(told, "%s\n", eb.text);
	else if (missing)
		LOG_WARN("listener_at_next_start", "address=\"%s\"", missing);
	return e;
}

static enum err open_front(struct boot *b)
{
	struct api_opts ao = { .team = b->team,
		.pool = b->pool,
		.version = BOOT_VERSION,
		.revision = BOOT_REVISION,
		.branch = "kymo",
		.data_dir = b->conf->flags.data_dir,
		.retention_ms = b->conf->flags.retention_ms,
		.ooo_window_ms = (uint64_t)b->conf->flags.ooo_window_ms,
		.limits = &b->conf->flags.limits,
		.conf = b->conf->api,
		.reload = can_reload(b) ? ask_reload : NULL,
		.quit = ask_end,
		.arg = b,
		.identify = gate_ask,
		.external_url = b->conf->web.url,
		.links = b->conf->web.links,
		.prefix = b->conf->web.prefix,
		.access = b->access,
		.slow = b->slow,
		.access_on_stderr = !strcmp(b->conf->flags.access_file, "stderr") };
	enum err e = api_create(&ao, &b->api);
	if (e)
		return errbuf_set(&b->eb, e, "the API cannot be made: %s", err_text(e));
	const struct webconfig *web = b->conf->webconfig;
	struct srv_opts so = { .team = b->team,
		.listeners = b->conf->listen,
		.trusted_proxies = &b->conf->trusted_proxies,
		.fields = web ? web->headers : NULL,
		.field_count = web ? web->header_count : 0,
		.listener_count = b->conf->listen_count,
		.routes = api_routes,
		.prefix = b->conf->web.prefix,
		.links = b->conf->web.links,
		.ctx = b->api,
		.gate = api_gate,
		.door = api_door,
		.prepare = api_prepare,
		.speak = gsrv_speak,
		.unmatched = gsrv_unmatched,
		.stranger = strangers_say,
		.told = accesslog_told };
	e = srv_create(&so, &b->srv, &b->eb);
	if (!e)
		srv_serve(b->srv);
	return e;
}

/* From here on the flags tell what is in force. */
static void fill_flags(struct boot *b)
{
	const struct store_opts *so = store_opts_in_force(b->store);
	b->conf->flags.shards = store_shards(b->store);
	b->conf->flags.series_max = so->series_max;
	b->conf->flags.log_share_bytes = so->log_share_bytes;
	b->conf->flags.min_free_bytes = metric_sum(M_DISK_FLOOR_BYTES);
}

/* One snapshot for all loops, before the first of them runs. */
static void share_conf(struct boot *b)
{
	unsigned loops = team_count(b->team);
	config_settle(b->conf, loops);
	for (unsigned i = 0; i < loops; i++)
		loop_set_conf(team_loop(b->team, i), &b->conf->snap, &b->conf->flags.limits, NULL);
}

/* ---- a configuration that is in force now ---- */

struct change {
	struct boot *b;
	struct config *next;
};

static void show_limits(const struct limits *l)
{
	metric_gauge_set(M_MEMORY_BUDGET, (int64_t)budget_bytes());
	metric_gauge_set(M_LIMIT_QUERIES, (int64_t)l->query_memory_total);
	metric_gauge_set(M_LIMIT_INFLIGHT, (int64_t)l->http_inflight_bytes);
	metric_gauge_set(M_LIMIT_ANSWERS, (int64_t)l->http_answer_bytes);
	metric_gauge_set(M_LIMIT_CACHE, (int64_t)l->query_cache_bytes);
}

static void take_here(void *arg)
{
	const struct change *c = arg;
	struct loop *here = loop_here();
	identity_use_here(c->b->identity, c->next->idents);
	loop_set_conf(here, &c->next->snap, &c->next->flags.limits, c->next->tenants);
	api_set_conf(c->b->api, &c->next->api);
	if (!loop_index(here))
		show_limits(&c->next->flags.limits);
}

/* On a thread that is no loop. */
static void take_conf(void *arg, struct config *next)
{
	struct change c = { arg, next };
	const struct flags *f = &next->flags;
	log_setup(f->log_level, f->log_json);
	if (f->features_unknown[0])
		LOG_WARN("unknown_feature", "names=\"%s\" known=\"%s\"", f->features_unknown,
		    flags_features());
	identity_prepare(c.b->identity, next->idents);
	for (unsigned i = 0; i < team_count(c.b->team); i++)
		team_run_on(c.b->team, i, take_here, &c);
}

/* What is in force now that storage is open: ids of tenants, and what it found out. */
static enum err settle_conf(struct boot *b)
{
	enum err e = ERR_OK;
	if (b->conf->tenants)
		e = store_tenants_bind_wait(b->store, b->conf->tenants, &b->eb);
	if (e)
		return e;
	fill_flags(b);
	config_settle(b->conf, b->conf->flags.loops);
	take_conf(b, b->conf);
	b->conf->pool = b->pool;
	struct reload_opts ro = { .team = b->team,
		.pool = b->pool,
		.store = b->store,
		.argc = b->argc,
		.argv = b->argv,
		.may = change_listeners,
		.take = take_conf,
		.arg = b };
	b->reload = reload_create(&ro, b->conf);
	return ERR_OK;
}

static enum err open_store(struct boot *b)
{
	struct store_opts so;
	const struct limits *l = &b->conf->flags.limits;
	store_opts_default(&so);
	so.dir = b->conf->flags.data_dir;
	so.team = b->team;
	so.pool = b->pool;
	so.shards = b->conf->flags.shards;
	so.sync = b->conf->flags.sync;
	so.sync_interval_ms = b->conf->flags.sync_interval_ms;
	so.ooo_window_ms = b->conf->flags.ooo_window_ms;
	so.retention_ms = b->conf->flags.retention_ms;
	so.retention_bytes = b->conf->flags.retention_bytes;
	so.round_every_ms = b->conf->flags.round_every_ms;
	so.log_share_bytes = b->conf->flags.log_share_bytes;
	so.min_free_bytes = b->conf->flags.min_free_bytes;
	so.series_max = b->conf->flags.series_max;
	so.future_ms = (int64_t)l->write_future_ms;
	so.stop = end_is_asked;
	so.stop_arg = &b->ends;
	enum err e = store_open(&so, &b->store, &b->eb);
	return e ? e : settle_conf(b);
}

static void beat_begin(void *arg)
{
	struct boot *b = arg;
	b->beat = sdbeat_start(team_loop(b->team, 0), b->team, API_HEALTHY_NS);
}

/* Nobody's loop waits for them: each has a thread. */
static enum err open_request_logs(struct boot *b)
{
	const struct flags *f = &b->conf->flags;
	enum err e = ERR_OK;
	if (f->access_file[0] && strcmp(f->access_file, "stderr"))
		e = linefile_open(f->access_file, f->request_log_bytes, &b->access, &b->eb);
	if (!e && f->slow_file[0])
		e = linefile_open(f->slow_file, f->request_log_bytes, &b->slow, &b->eb);
	return e;
}

/* They may have been renamed. */
static void reopen_request_logs(struct boot *b)
{
	if (b->access)
		linefile_reopen(b->access);
	if (b->slow)
		linefile_reopen(b->slow);
}

static enum err open_all(struct boot *b)
{
	struct team_opts to = { .loops = b->conf->flags.loops, .pin = true };
	enum err e = datadir_check(b->conf->flags.data_dir, &b->eb);
	if (e)
		return e;
	e = open_request_logs(b);
	if (!e)
		e = team_create(&to, &b->team);
	else
		return e;
	if (!e) {
		share_conf(b);
		e = team_start(b->team);
	}
	if (!e)
		e = work_create(BOOT_WORKERS, &b->pool);
	if (e)
		return errbuf_set(&b->eb, e, "threads cannot be started: %s", err_text(e));
	team_run_on(b->team, 0, beat_begin, b);
	sdnotify_status("starting: reading the log");
	b->memkeep = memkeep_start(b->team, b->pool);
	e = open_identity(b);
	if (!e)
		e = open_front(b);
	if (!e)
		e = open_store(b);
	if (!e)
		identity_store(b->identity, b->store);
	if (!e)
		e = statsd_create(b->api, b->store, &b->conf->recv.statsd, &b->statsd, &b->eb);
	return e;
}

/* ---- self metrics run on loop 0 ---- */

static void beat_end(void *arg)
{
	sdbeat_stop(((struct boot *)arg)->beat);
}

static void beat_running(void *arg)
{
	sdbeat_phase(((struct boot *)arg)->beat, SDBEAT_RUNNING);
}

static void beat_ending(void *arg)
{
	sdbeat_phase(((struct boot *)arg)->beat, SDBEAT_ENDING);
}

static void selfmon_begin(void *arg)
{
	struct boot *b = arg;
	b->selfmon =
	    selfmon_start(team_loop(b->team, 0), store_sink(b->store), srv_address(b->srv, 0));
	b->cardmon = cardmon_start(team_loop(b->team, 0), b->store, selfmon_instance(b->selfmon));
	api_tell_self(b->api, selfmon_instance(b->selfmon));
}

static void renew_begin(void *arg)
{
	struct boot *b = arg;
	b->renew = renew_start(team_loop(b->team, 0), b->pool, b->srv);
}

static void renew_end(void *arg)
{
	renew_stop(((struct boot *)arg)->renew);
}

static void selfmon_ended(void *arg)
{
	struct boot *b = arg;
	ssize_t n = write(b->stopped_pipe[1], "", 1);
	CHECK(n == 1);
}

static void cardmon_ended(void *arg)
{
	struct boot *b = arg;
	selfmon_stop(b->selfmon, selfmon_ended, b);
}

static void selfmon_end(void *arg)
{
	struct boot *b = arg;
	cardmon_stop(b->cardmon, cardmon_ended, b);
}

/* ---- the walk ---- */

static void count_series(void *arg)
{
	struct boot *b = arg;
	b->series = store_series(b->store);
}

/* Whoever holds the other end of stdout may not read it: that must not keep the end from coming. */
static void say(const char *text, size_t len)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	if (poll(&out, 1, STDOUT_WAIT_MS) != 1 || write(STDOUT_FILENO, text, len) != (ssize_t)len)
		LOG_WARN(
		    "stdout", "text=\"nobody takes the lines that say how to reach this server\"");
}

/* What a client adds to show who it is. */
struct shown {
	const char *write, *ask; /* in prometheus.yml; for curl */
};
static struct shown shown_by_clients(const struct config *c)
{
	const struct config_identities *i = &c->identities;
	if (!c->idents || i->open)
		return (struct shown){ "", "" };
	if (i->tokens.count || i->issuers.count)
		return (struct shown){ ", authorization: {credentials_file: TOKEN-FILE}",
			"-H \"Authorization: Bearer $(cat TOKEN-FILE)\" " };
	if (!i->users.count && i->certs.count)
		return (struct shown){ ", tls_config: {cert_file: CERTIFICATE, key_file: KEY}",
			"--cert CERTIFICATE --key KEY " };
	return (struct shown){ ", basic_auth: {username: NAME, password_file: FILE}", "-u NAME " };
}

static void say_ready(struct boot *b)
{
	team_run_on(b->team, 0, count_series, b); /* loops own the counts */
	unsigned front = config_front(b->conf);
	const char *address = srv_address(b->srv, front);
	const char *scheme = b->conf->listen[front].tls ? "https" : "http";
	const char *port = strrchr(address, ':');
	bool any = !strncmp(address, "0.0.0.0:", 8) || !strncmp(address, "[::]:", 5);
	const struct shown shown = shown_by_clients(b->conf);
	char host[256], text[2048]; /* less than a pipe takes at once when it takes anything */
	snprintf(host, sizeof(host), "%s%s", any ? "localhost" : address, any ? port : "");
	int len = snprintf(text, sizeof(text),
	    "ready address=%s loops=%u shards=%u series=%llu took_ms=%llu access=%s config=%s\n"
	    "write to it, in prometheus.yml:  remote_write: [{url: \"%s://%s%s/api/v1/write\"%s}]\n"
	    "ask it:  curl %s'%s://%s%s/api/v1/query?query=up'\n",
	    address, team_count(b->team), store_shards(b->store), (unsigned long long)b->series,
	    (unsigned long long)((clock_real_mono_ns() - b->begin_ns) / 1000000),
	    b->conf->idents ? "identities" : "open", b->conf->path ? b->conf->path : "none", scheme,
	    host, b->conf->web.prefix, shown.write, shown.ask, scheme, host, b->conf->web.prefix);
	say(text, len > 0 && (size_t)len < sizeof(text) ? (size_t)len : 0);
	sdnotify_ready("running: %s, %llu series", address, (unsigned long long)b->series);
}

static void reload_by_signal(struct boot *b)
{
	reopen_request_logs(b);
	if (!can_reload(b) && (b->access || b->slow))
		return;
	if (!can_reload(b)) {
		LOG_WARN("signal_ignored",
		    "signal=SIGHUP reason=\"there is no configuration file to reload (--config), flags are read at start\"");
		return;
	}
	struct api_reload *a = mem_zalloc(sizeof(*a));
	buf_init(&a->told);
	reload_ask(b->reload, a);
}

static void wait_for_end(struct boot *b, const sigset_t *ends)
{
	int sig;
	while ((sig = signals_wait(ends)) == SIGHUP)
		reload_by_signal(b);
	LOG_INFO("stopping", "signal=%s", signals_name(sig));
	sdnotify_stopping("stopping: requests end, then all is synced");
	sigprocmask(SIG_UNBLOCK, ends,
	    NULL); /* a second signal ends it at once: nothing acknowledged is lost by that */
}

static void end_self_metrics(struct boot *b)
{
	char c;
	if (!b->conf->flags.self_metrics)
		return;
	team_run_on(b->team, 0, selfmon_end, b);
	while (read(b->stopped_pipe[0], &c, 1) != 1) {
	}
}

static void run(struct boot *b, const sigset_t *ends)
{
	b->ran = true;
	api_ready(b->api, b->store);
	if (b->conf->flags.self_metrics)
		team_run_on(b->team, 0, selfmon_begin, b);
	team_run_on(b->team, 0, renew_begin, b);
	statsd_start(b->statsd);
	sandbox_tell();
	say_ready(b);
	team_run_on(b->team, 0, beat_running, b);
	wait_for_end(b, ends);
	team_run_on(b->team, 0, beat_ending, b);
	reload_stop(b->reload);
	team_run_on(b->team, 0, renew_end, b);
	drain_connections(b->srv, b->api);
	statsd_stop(b->statsd);
	end_self_metrics(b);
}

static void close_all(struct boot *b)
{
	if (b->reload && !b->ran)
		reload_stop(b->reload);
	if (b->srv && !b->ran) /* nothing was drained */
		srv_close_all(b->srv);
	if (b->store)
		store_close(b->store);
	if (b->memkeep)
		memkeep_stop(b->memkeep);
	if (b->pool)
		work_stop(b->pool);
	identity_free(b->identity);
	if (b->beat)
		team_run_on(b->team, 0, beat_end, b);
	if (b->team)
		team_stop(b->team);
	renew_free(b->renew);
	statsd_free(b->statsd);
	if (b->srv)
		srv_free(b->srv);
	if (b->api)
		api_free(b->api);
	linefile_close(b->access);
	linefile_close(b->slow);
	memkeep_free(b->memkeep);
	reload_free(b->reload);
	if (b->pool)
		work_free(b->pool);
	if (b->team)
		team_free(b->team);
}

static int print(void (*fill)(struct buf *out))
{
	struct buf out;
	buf_init(&out);
	fill(&out);
	fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	return 0;
}

/* Mistakes of a configuration are several lines; each says in which file it is. */
static int tell(struct buf *told, int status)
{
	fwrite(told->data, 1, told->len, stderr);
	buf_release(told);
	return status;
}

static int check_config(const char *path, int argc, char **argv)
{
	struct config *c;
	struct buf told;
	buf_init(&told);
	if (config_load_file(path, argc, argv, &c, &told))
		return tell(&told, 1);
	printf("%s: fine\n", path);
	config_drop(c);
	buf_release(&told);
	return 0;
}

/* What ends at once: help and the like. -1: nothing of that is asked. */
static int do_order(const struct flags *f, int argc, char **argv)
{
	if (f->help)
		return print(flags_help);
	if (f->print_config)
		return print(config_print);
	if (f->hash_token)
		return identity_hash_token();
	if (f->hash_password)
		return identity_hash_password();
	if (f->check_config)
		return check_config(f->check_config, argc, argv);
	if (!f->version)
		return -1;
	printf("kymod %s (PromQL and HTTP API of Prometheus %s)\n", BOOT_VERSION, API_COMPAT_VERSION);
	return 0;
}

/* What stands before any thread; a line on stderr says why it cannot be. */
static bool set_up(struct boot *b)
{
	const struct flags *f = &b->conf->flags;
	log_setup(f->log_level, f->log_json);
	metric_build(BOOT_VERSION, BOOT_REVISION);
	if (!test_clock(&b->eb)) {
		fprintf(stderr, "kymod: %s\n", b->eb.text);
		return false;
	}
	if (!set_up_process(&b->ends))
		return false;
	sdnotify_open();
	if (sandbox_enter(f->sandbox, b->conf, &b->eb)) {
		fprintf(stderr, "kymod: %s\n", b->eb.text);
		return false;
	}
	if (pipe(b->stopped_pipe) || log_start()) {
		fprintf(stderr, "kymod: no pipe, or no thread for the log\n");
		return false;
	}
	return true;
}

int boot_main(int argc, char **argv)
{
	struct boot b = { .begin_ns = clock_real_mono_ns(), .argc = argc, .argv = argv };
	struct flags said;
	struct buf told;
	errbuf_init(&b.eb);
	if (flags_parse(argc, argv, &said, &b.eb)) {
		fprintf(stderr, "kymod: %s\n", b.eb.text);
		return 2;
	}
	int status = do_order(&said, argc, argv);
	if (status >= 0)
		return status;
	buf_init(&told);
	if (config_load_file(said.config, argc, argv, &b.conf, &told))
		return tell(&told, 2);
	buf_release(&told);
	if (!set_up(&b)) {
		config_drop(b.conf);
		return 1;
	}
	enum err e = open_all(&b);
	if (e == ERR_STOPPING) {
		LOG_INFO("stopping", "text=\"%s\"", b.eb.text);
		sdnotify_stopping("stopping: %s", b.eb.text);
		e = ERR_OK; /* as it was asked to; the next start goes on where this one began */
	} else if (e) {
		fprintf(stderr, "kymod: %s\n", b.eb.text[0] ? b.eb.text : err_text(e));
		sdnotify_status("could not start: %s", b.eb.text[0] ? b.eb.text : err_text(e));
	} else {
		run(&b, &b.ends);
	}
	close_all(&b);
	if (!e)
		LOG_INFO("stopped", "ran_s=%llu",
		    (unsigned long long)((clock_real_mono_ns() - b.begin_ns) / 1000000000));
	config_drop(b.conf);
	log_stop();
	sdnotify_close();
	return e ? 1 : 0;
}
