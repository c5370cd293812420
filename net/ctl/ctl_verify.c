/*
 * kymoctl verify DATA_DIR|SNAPSHOT|REPO [--rebuild]
 *
 * Reads everything that has a checksum and says what is damaged, a line each, with the remedy:
 *   of a data directory  MANIFEST, TENANTS, METADATA, CARDINALITY; of each shard FILES and every
 *                        unit, definition and time column of each file, against what FILES says of
 *                        it; the frames of the log; the catalog, and its definitions against those
 *                        of the files
 *   of a repository      each list of a backup, and the checksum of every object
 * Only reads, but for LOCK. --rebuild: opens the directory as a server would, without its doors,
 * and makes the catalog anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/wire.h"
#include "core/model/tenant.h"
#include "core/rt/team.h"
#include "net/ctl/backrepo.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlprog.h"
#include "storage/asidebook.h"
#include "storage/back/catalogs.h"
#include "storage/cardhist.h"
#include "storage/cfile/tombs.h"
#include "storage/store.h"
#include "storage/storedir.h"
#include "storage/wal/replay.h"

#define SMALL_MAX   (256u << 20) /* of METADATA and the like */
#define CENTURY_MS  (100ll * 365 * 24 * 3600 * 1000)
#define TENANT_HEAD 32u
#define TENANT_REC  (8u + TENANT_NAME_MAX)
#define FROM_BACKUP                                                                                \
 "the server reads around it; what is lost is in a backup (kymoctl restore), if anywhere"

struct verify {
	bool rebuild, quiet;
	struct storedir dir;
	struct catalog *catalog; /* NULL: none that can be compared */
	struct ctlprog prog;
	double done, goal;
	uint64_t damaged, files, units, series, samples, not_in_catalog;
	unsigned manifests, tenants; /* whole copies of two */
	unsigned manifests_bad, tenants_bad;
	struct errbuf eb;
};

static void damaged(struct verify *v, const char *what, const char *how, const char *remedy)
{
	v->damaged++;
	printf("%s: %s; %s\n", what, how, remedy);
}

/* ---- small files ---- */

static bool crc_behind(const uint8_t *p, size_t len, const char *magic)
{
	size_t n = strlen(magic);
	return len >= n + 4 && memcmp(p, magic, n) == 0 &&
	    wire_load32(p + len - 4) == crc32c(0, p, len - 4);
}

/* As a start reads it; one of a former format is none of ours to judge. */
static bool history_whole(const uint8_t *p, size_t len)
{
	struct cardhist *h = cardhist_create(SMALL_MAX);
	enum err e = cardhist_decode(h, p, len);
	cardhist_free(h);
	return !e || e == ERR_UNSUPPORTED;
}

static bool book_whole(const struct verify *v, const uint8_t *p, size_t len)
{
	struct asidebook b;
	asidebook_init(&b, v->dir.manifest.shards);
	enum err e = asidebook_decode(&b, p, len);
	asidebook_release(&b);
	return !e;
}

static bool manifest_whole(const uint8_t *p, size_t len)
{
	struct manifest m;
	return len == MANIFEST_BYTES && !manifest_get(p, &m);
}

/* storage/tenantbook.h. A record that is cut at the end may have been under way. */
static bool tenants_whole(const uint8_t *p, size_t len)
{
	if (len < TENANT_HEAD || memcmp(p, "KYMOTEN1", 8) != 0 ||
	    wire_load32(p + 28) != crc32c(0, p, 28))
		return false;
	for (size_t at = TENANT_HEAD, id = 1; at + TENANT_REC <= len; at += TENANT_REC, id++)
		if (wire_load32(p + at) != crc32c((uint32_t)id, p + at + 4, TENANT_REC - 4))
			return false;
	return true;
}

static void small_file(struct verify *v, const struct storedir_item *item)
{
	uint8_t *data;
	size_t len;
	enum err e = fsio_load(item->dir, item->name, SMALL_MAX, &data, &len);
	bool good = !e;
	bool manifest = item->kind == STOREDIR_MANIFEST, tenants = item->kind == STOREDIR_TENANTS;
	if (!e) {
		good = manifest                       ? manifest_whole(data, len)
		    : tenants                         ? tenants_whole(data, len)
		    : item->kind == STOREDIR_METADATA ? crc_behind(data, len, "KYMOMETA")
		    : item->kind == STOREDIR_BOOK     ? book_whole(v, data, len)
		                                      : history_whole(data, len);
		mem_free(data);
	}
	v->manifests += manifest && good;
	v->tenants += tenants && good;
	if (good)
		return;
	damaged(v, item->path, e ? err_why(e) : "wrong checksum",
	    manifest      ? "a start writes it again from the other copy"
	        : tenants ? "a start takes each name from the copy that has it"
	        : item->kind == STOREDIR_METADATA
	        ? "a start sets it aside; senders repeat their metadata within minutes"
	        : item->kind == STOREDIR_BOOK
	        ? "what lies aside of the log is not taken in, and nothing can be deleted, until it can be read or log/waiting-* is gone"
	        : "a start forgets it: it has the largest metrics of the last day");
}

/* ---- files of samples ---- */

static void definitions(struct verify *v, const struct storedir_item *item, struct cfile *f)
{
	struct cfile_defs *it;
	struct catalog_lookup *look;
	struct arena a;
	uint32_t id, tenant, has;
	struct labels ls, known;
	uint64_t differ = 0;
	if (!v->catalog || cfile_defs_create(f, 0, &it))
		return;
	arena_init(&a, 1 << 16);
	look = catalog_lookup_begin(v->catalog, item->shard);
	while (!cfile_defs_next(it, &id, &tenant, &ls)) {
		struct errbuf eb;
		errbuf_init(&eb);
		arena_reset(&a, SIZE_MAX);
		enum err e = catalog_lookup_get(look, id, &a, &known, &has, &eb);
		if (e) {
			damaged(v, CATALOGS_DIR, eb.text, "kymoctl verify --rebuild");
			break;
		}
		if (!known.len)
			v->not_in_catalog++;
		else if (has != tenant || !label_equal(known, ls))
			differ++;
	}
	catalog_lookup_end(look);
	cfile_defs_free(it);
	arena_release(&a);
	if (differ) {
		char how[128];
		(void)snprintf(how, sizeof(how), "%" PRIu64 " series are others than in %s", differ,
		    item->path);
		damaged(v, CATALOGS_DIR, how, "kymoctl verify --rebuild");
	}
}

static void against_list(struct verify *v, const struct storedir_item *item, const struct cfile *f)
{
	const struct files_entry *e = item->entry;
	const struct cfile_stats *st = cfile_stats(f);
	const struct cfile_meta *m = cfile_meta(f);
	if (!e)
		return;
	if (e->size_bytes != item->stat.size || e->samples != st->samples ||
	    e->series != st->series || e->meta.rank != m->rank || m->shard != item->shard ||
	    e->meta.start_ms != m->start_ms || e->meta.end_ms != m->end_ms)
		damaged(v, item->path, "it is not what FILES says of it", FROM_BACKUP);
}

static void samples_file(struct verify *v, const struct storedir_item *item)
{
	struct cfile *f;
	struct cfile_damage damage;
	struct errbuf eb;
	char how[ERRBUF_SIZE + 64];
	errbuf_init(&eb);
	enum err e = cfile_open(item->dir, item->name, &f, &eb);
	if (e) {
		damaged(v, item->path, eb.text[0] ? eb.text : err_text(e), FROM_BACKUP);
		return;
	}
	v->files++;
	e = cfile_verify(f, &damage);
	v->units += cfile_stats(f)->units;
	v->series += cfile_stats(f)->series;
	v->samples += cfile_stats(f)->samples;
	if (e == ERR_DAMAGED && damage.units)
		(void)snprintf(how, sizeof(how), "%" PRIu64 " damaged units, first: %s",
		    damage.units, damage.first.text);
	else if (e == ERR_DAMAGED)
		(void)snprintf(how, sizeof(how), "its header, footer or directory is damaged");
	else if (e)
		(void)snprintf(how, sizeof(how), "%s", err_why(e));
	if (e)
		damaged(v, item->path, how, FROM_BACKUP);
	against_list(v, item, f);
	definitions(v, item, f);
	cfile_close(f);
}

/* What was deleted: its content stands twice, and a start needs one copy. */
static void deletions_file(struct verify *v, const struct storedir_item *item)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (tombs_verify(item->dir, item->name, item->shard, &eb))
		damaged(v, item->path, eb.text,
		    "with one whole copy nothing is lost; else what was deleted may come back: delete it once more");
}

static enum err one_item(void *arg, const struct storedir_item *item)
{
	struct verify *v = arg;
	if (ctl_stopped())
		return ERR_CANCELED;
	if (item->err)
		damaged(v, item->path,
		    item->err == ERR_NOTFOUND ? "FILES names it, and it is not there"
		                              : err_text(item->err),
		    FROM_BACKUP);
	else if (item->kind == STOREDIR_FILE && item->entry)
		samples_file(v, item);
	else if (item->kind == STOREDIR_FILE)
		deletions_file(v, item);
	else if (item->kind <= STOREDIR_BOOK)
		small_file(v, item);
	v->done += (double)item->stat.size;
	ctlprog_tell(&v->prog, v->done);
	return ERR_OK;
}

static void no_list(void *arg, unsigned shard, enum err err, const char *why)
{
	struct verify *v = arg;
	char what[32];
	(void)snprintf(what, sizeof(what), "shards/%02u", shard);
	damaged(v, what, why,
	    err == ERR_UNSUPPORTED
	        ? "use the version that wrote it, or a later one"
	        : "a start makes the list again from FILES.prev and the files, then verify again");
}

static enum err count_item(void *arg, const struct storedir_item *item)
{
	struct verify *v = arg;
	v->goal += (double)item->stat.size;
	return ERR_OK;
}

static void ignore(void *arg, unsigned shard, enum err err, const char *why)
{
	(void)arg;
	(void)shard;
	(void)err;
	(void)why;
}

/* ---- log, catalog ---- */

static enum err frame_seen(void *arg, uint64_t seq, const uint8_t *payload, size_t len)
{
	(void)arg;
	(void)seq;
	(void)payload;
	(void)len;
	return ERR_OK;
}

static bool stop_replay(void *arg)
{
	(void)arg;
	return ctl_stopped();
}

static void log_check(struct verify *v)
{
	static const struct replay_ops ops = { .frame = frame_seen, .stop = stop_replay };
	struct fsio_dir *log;
	struct replay_result r;
	struct errbuf eb;
	char how[128];
	errbuf_init(&eb);
	if (fsio_dir_sub(v->dir.dir, "log", false, &log))
		return;
	enum err e = replay_run(log, &ops, NULL, &r, &eb);
	fsio_dir_close(log);
	if (e == ERR_STOPPING)
		return;
	if (e) {
		damaged(v, "log", eb.text, "no start goes on like this");
		return;
	}
	if (r.damaged_frames || r.damaged_places) {
		(void)snprintf(how, sizeof(how),
		    "%" PRIu64 " frames that were synced cannot be read, in %" PRIu64 " places",
		    r.damaged_frames, r.damaged_places);
		damaged(v, "log", how,
		    "a start passes over them; their rows are lost, unless they are in files");
	}
	for (size_t i = 0; i < r.asides_count; i++) {
		char name[WALSEG_NAME_MAX], path[WALSEG_NAME_MAX + 8];
		walseg_name(r.asides[i].slot, name);
		(void)snprintf(path, sizeof(path), "log/%s", name);
		damaged(v, path,
		    r.asides[i].why == WALSEG_DAMAGED ? "its head is damaged"
		                                      : "it cannot be read whole",
		    "a start sets it aside, and takes what can be read of it");
	}
	replay_result_release(&r);
}

static void catalog_look(struct verify *v, const char *path)
{
	char where[4096];
	struct errbuf eb;
	errbuf_init(&eb);
	(void)snprintf(where, sizeof(where), "%.4000s/" CATALOGS_DIR, path);
	enum err e = catalog_check(where, stop_replay, NULL, &eb);
	if (e == ERR_NOTFOUND || e == ERR_STOPPING)
		return; /* the next start makes it: so it is in snapshots */
	if (!e)
		e = catalog_open(
		    where, v->dir.manifest.shards, v->dir.manifest.seed, &v->catalog, &eb);
	if (e)
		damaged(v, CATALOGS_DIR, eb.text[0] ? eb.text : err_text(e),
		    "kymoctl verify --rebuild, or any start, makes it anew");
}

/* ---- --rebuild ---- */

static bool stop_asked(void *arg)
{
	(void)arg;
	return ctl_stopped();
}

static enum err rebuild_in(
    const char *path, struct team *team, struct work_pool *pool, struct errbuf *eb)
{
	struct store_opts o;
	struct store *st;
	store_opts_default(&o);
	o.dir = path;
	o.team = team;
	o.pool = pool;
	o.retention_ms = CENTURY_MS; /* nothing goes for its age, nothing is merged */
	o.round_every_ms = o.seal_every_ms = 24ll * 3600 * 1000;
	o.min_free_bytes = 1;
	o.stop = stop_asked;
	enum err e = store_open(&o, &st, eb);
	if (e)
		return e == ERR_STOPPING ? ERR_CANCELED : e;
	while (store_catalog_is_behind(st) && ctl_sleep_ms(50))
		;
	bool behind = store_catalog_is_behind(st);
	store_close(st);
	return behind ? ERR_CANCELED : ERR_OK;
}

static enum err rebuild(struct verify *v, const char *path)
{
	struct team_opts to = { .loops = 2, .pin = false };
	struct team *team = NULL;
	struct work_pool *pool;
	enum err e = fsio_replace(v->dir.dir, CATALOGS_TOLD, "verify\n", 7);
	if (e)
		return errbuf_set(&v->eb, e, "%s/" CATALOGS_TOLD ": %s", path, err_why(e));
	storedir_close(&v->dir);
	e = work_create(4, &pool);
	if (e)
		return errbuf_set(&v->eb, e, "no threads");
	e = team_create(&to, &team);
	if (!e) {
		e = team_start(team);
		if (!e)
			e = rebuild_in(path, team, pool, &v->eb);
	}
	work_stop(pool);
	if (team) {
		team_stop(team);
		team_free(team);
	}
	work_free(pool);
	return e;
}

/* ---- commands ---- */

static int verdict(const struct verify *v)
{
	if (ctl_stopped())
		return ctl_fail(CTL_INTERRUPTED, "interrupted");
	return v->damaged ? CTL_NO : CTL_OK;
}

static int directory(struct verify *v, const char *path)
{
	enum err e = storedir_open(path, true, &v->dir, &v->eb);
	if (e == ERR_LOCKED)
		return ctl_fail(CTL_LOCAL,
		    "%s. Of a running server look at a snapshot: POST /api/v1/admin/tsdb/snapshot, then "
		    "kymoctl verify %s/snapshots/NAME",
		    v->eb.text, path);
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s", v->eb.text);
	if (v->rebuild) {
		e = rebuild(v, path);
		if (e == ERR_CANCELED)
			return ctl_fail(CTL_INTERRUPTED, "interrupted; the same command goes on");
		if (e)
			return ctl_fail(ctl_exit_of(e), "%s", v->eb.text);
		ctl_note("the catalog was made anew");
		e = storedir_open(path, true, &v->dir, &v->eb);
		if (e)
			return ctl_fail(ctl_exit_of(e), "%s", v->eb.text);
	}
	e = storedir_each(&v->dir, count_item, ignore, v, &v->eb);
	ctlprog_begin(&v->prog, "B", v->goal, 0, v->quiet);
	if (!e)
		catalog_look(v, path);
	if (!e)
		e = storedir_each(&v->dir, one_item, no_list, v, &v->eb);
	if (!e)
		log_check(v);
	if (v->catalog)
		catalog_close(v->catalog);
	if (e && e != ERR_CANCELED)
		return ctl_fail(ctl_exit_of(e), "%s", v->eb.text[0] ? v->eb.text : err_text(e));
	ctlprog_end(&v->prog);
	printf("%s files=%" PRIu64 " units=%" PRIu64 " samples=%" PRIu64
	       " bytes=%.0f damaged=%" PRIu64 " not_in_catalog=%" PRIu64 "\n",
	    path, v->files, v->units, v->samples, v->done, v->damaged, v->not_in_catalog);
	return verdict(v);
}

static int repository(struct verify *v, struct backrepo *r)
{
	struct backgen seen = { 0 };
	for (size_t i = 0; i < r->count && !ctl_stopped(); i++) {
		struct backgen g;
		struct errbuf eb;
		errbuf_init(&eb);
		if (backrepo_load(r, r->names[i], false, &g, &eb)) {
			damaged(v, r->names[i], eb.text,
			    "make a new backup; the others are whole without it");
			continue;
		}
		for (size_t k = 0; k < g.count && !ctl_stopped(); k++) {
			struct backfile f = g.files[k];
			for (size_t n = 0; n < BACKREPO_HASH; n++)
				(void)snprintf(f.path + 2 * n, 3, "%02x", f.hash[n]);
			if (backgen_find(&seen, f.path))
				continue;
			backgen_add(&seen, &f);
			errbuf_init(&eb);
			enum err e = backrepo_fetch(r, &g.files[k], NULL, ctl_stopped, &eb);
			if (e && e != ERR_CANCELED)
				damaged(v, r->names[i], eb.text,
				    "delete the object: the next backup of the same file puts it there again");
			v->files++;
			v->done += (double)f.stored;
		}
		backgen_release(&g);
	}
	printf("%s backups=%zu objects=%" PRIu64 " bytes=%.0f damaged=%" PRIu64 "\n",
	    r->target->path, r->count, v->files, v->done, v->damaged);
	backgen_release(&seen);
	if (!r->count && !ctl_stopped())
		return ctl_fail(CTL_NO, "%s has no complete backup", r->target->path);
	return verdict(v);
}

int ctl_verify(int argc, char **argv)
{
	struct verify v = { 0 };
	struct backrepo r;
	const struct cmdline_arg args[] = {
		{ .name = "rebuild",
		    .help = "make the catalog of a stopped server's data directory anew, then verify",
		    .flag = &v.rebuild },
		{ .name = "quiet", .help = "no progress", .flag = &v.quiet },
	};
	cmdline_parse(&(struct cmdline){ .program = "kymoctl",
	                  .command = "verify",
	                  .words = "DATA_DIR | SNAPSHOT | REPO",
	                  .help = "Reads all there is and says what is damaged, a line each, with the "
	                          "remedy. Exit status 1: something is.",
	                  .examples = "  kymoctl verify /var/lib/kymo\n"
	                              "      the data of a server that is stopped\n"
	                              "  kymoctl verify /backup/kymo\n"
	                              "      all backups there\n"
	                              "  kymoctl verify --rebuild /var/lib/kymo\n"
	                              "      with a new catalog\n",
	                  .args = args,
	                  .args_count = COUNT_OF(args),
	                  .words_min = 1,
	                  .words_max = 1 },
	    argc, argv);
	if (ctl_is_url(argv[0]))
		return ctl_fail(CTL_USAGE,
		    "\"%s\": directories are read, on the machine where they are; of a running server a "
		    "snapshot, or the backups (kymoctl backup %s REPO)",
		    argv[0], argv[0]);
	errbuf_init(&v.eb);
	log_setup(LOG_LEVEL_NONE, false);
	ctl_catch();
	int status;
	struct fsio_dir *top;
	struct fsio_stat st;
	bool repo = false;
	if (!fsio_dir_open(argv[0], false, &top)) {
		repo = !fsio_stat(top, "KYMOBACKUPS", &st);
		fsio_dir_close(top);
	}
	if (!repo) {
		status = directory(&v, argv[0]);
		if (v.dir.dir)
			storedir_close(&v.dir);
		return status;
	}
	enum err e = backrepo_open(argv[0], false, &r, &v.eb);
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s", v.eb.text);
	status = repository(&v, &r);
	backrepo_close(&r);
	return status;
}
