/*
 * kymoctl doctor: what is wrong with a server or soon will be, the worst first (GET
 * /api/v1/status/doctor, net/api/doctor.h), and what only who asks sees: that it cannot be reached,
 * how far its clock is from this machine's. With --data-dir a directory that no server has open.
 *
 * Exit status 1 when any finding is warn or bad; 3 when there is no answer.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/doctorworld.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctltable.h"
#include "net/ctl/ctlterm.h"
#include "storage/storedir.h"

#define CLOCK_NOTE_MS 2000
#define CLOCK_WARN_MS 60000
#define RESERVE_BYTES (UINT64_C(64) << 20)
#define DAY_MS        (24 * 3600 * INT64_C(1000))

/* As the server words them (net/api/doctorchecks.h). */
enum severity {
	SEVERITY_OK,
	SEVERITY_NOTE,
	SEVERITY_WARN,
	SEVERITY_BAD
};
static const char *const severity_words[] = { "ok", "note", "warn", "bad" };

struct finding {
	enum severity severity;
	char *id, *where, *text, *remedy, *since;
};
struct doctor_list {
	struct finding *rows;
	size_t count, cap;
};

static char *copied(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	char *to = mem_alloc(len + 1);
	if (len)
		memcpy(to, text, len);
	to[len] = 0;
	return to;
}

static void add(struct doctor_list *l, enum severity severity, const char *id, const char *where,
    const char *text, const char *remedy, const char *since)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->rows = mem_array(l->rows, l->cap, sizeof(*l->rows));
	}
	l->rows[l->count++] = (struct finding){ .severity = severity,
		.id = copied(id),
		.where = copied(where),
		.text = copied(text),
		.remedy = copied(severity == SEVERITY_OK ? "" : remedy),
		.since = copied(since) };
}

static void found(struct doctor_list *l, enum severity severity, const char *id, const char *remedy,
    const char *fmt, ...) PRINTF_LIKE(5, 6);
static void found(struct doctor_list *l, enum severity severity, const char *id, const char *remedy,
    const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)rune_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(l, severity, id, "here", text, remedy, "");
}

/* --- a server --- */

static enum severity severity_of(const char *word)
{
	for (unsigned i = 0; word && i <= SEVERITY_BAD; i++)
		if (!strcmp(word, severity_words[i]))
			return (enum severity)i;
	return SEVERITY_NOTE;
}

static const char *text_in(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static bool take_findings(struct doctor_list *l, const json_t *answer)
{
	const json_t *data = json_object_get(answer, "data");
	const json_t *rows = json_object_get(data, "findings");
	if (!json_is_array(rows))
		return false;
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *f = json_array_get(rows, i);
		const char *tenant = text_in(f, "tenant");
		add(l, severity_of(text_in(f, "severity")), text_in(f, "id"),
		    *tenant ? tenant : text_in(f, "scope"), text_in(f, "text"),
		    text_in(f, "remedy"), text_in(f, "since"));
	}
	if (!json_is_true(json_object_get(data, "server")))
		found(l, SEVERITY_NOTE, "role", "ask with an identity that has the role admin",
		    "findings of the whole server are for the role admin: only those of tenants are here");
	return true;
}

/* The server's Date has whole seconds, and was written somewhere between asking and now. */
static void compare_clocks(struct doctor_list *l, int64_t date_ms, int64_t before_ms, int64_t after_ms)
{
	int64_t ahead = date_ms - after_ms, behind = before_ms - (date_ms + 1000);
	int64_t off = ahead > 0 ? ahead : behind > 0 ? behind : 0;
	if (!date_ms)
		return;
	found(l,
	    off > CLOCK_WARN_MS       ? SEVERITY_WARN
	        : off > CLOCK_NOTE_MS ? SEVERITY_NOTE
	                              : SEVERITY_OK,
	    "clocks", "set both clocks by NTP (chronyd, systemd-timesyncd)",
	    off ? "the server's clock is %.1f s %s this machine's"
	        : "the server's clock and this machine's agree (%.1f s%s)",
	    (double)off / 1000, off ? ahead > 0 ? "ahead of" : "behind" : "");
}

static void cannot_reach(struct doctor_list *l, const struct ctlhttp *http, const char *why)
{
	bool tls = strcasestr(why, "certificate") || strcasestr(why, "TLS");
	bool refused = strcasestr(why, "refused");
	found(l, SEVERITY_BAD, "reach",
	    tls           ? "give the authority of the server's certificate by --ca, and the name that stands in it by --server"
	        : refused ? "look whether kymod runs there and listens on this address (--listen)"
	                  : "look at the address (--server), the network and firewalls between",
	    "%s cannot be reached: %s", ctlhttp_server(http), why);
}

static int ask_server(struct doctor_list *l, const struct ctlhttp_access *access)
{
	struct ctlhttp *http;
	struct ctlhttp_call call = { .method = "GET", .path = "/api/v1/status/doctor" };
	int status = ctlhttp_open(access, &http);
	if (status)
		return status;
	int64_t before_ms = clock_wall_ms();
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	int64_t after_ms = clock_wall_ms();
	if (call.err && call.err != ERR_CANCELED && call.err != ERR_BADDATA) {
		cannot_reach(l, http, call.text);
		status = CTL_UNREACHABLE;
	} else {
		status = ctlhttp_outcome(&call);
	}
	json_t *j = status
	    ? NULL
	    : json_loadb((const char *)call.answer.data, call.answer.len, JSON_ALLOW_NUL, NULL);
	if (!status && !take_findings(l, j))
		status = ctl_fail(CTL_REFUSED, "%s has no doctor: is it a kymod of this version?",
		    ctlhttp_server(http));
	if (!status)
		compare_clocks(l, call.date_ms, before_ms, after_ms);
	json_decref(j);
	ctlhttp_call_release(&call);
	ctlhttp_close(http);
	return status;
}

/* --- a directory --- */

struct walk {
	struct doctor_list *l;
	uint64_t files, missing, shards_damaged, log_bytes;
	char first[256];
};

static void first_one(struct walk *w, const char *what, const char *why)
{
	if (!w->first[0])
		(void)rune_printf(w->first, sizeof(w->first), "%s (%s)", what, why);
}

static enum err of_item(void *arg, const struct storedir_item *item)
{
	struct walk *w = arg;
	w->files++;
	if (item->err) {
		w->missing++;
		first_one(w, item->path, err_text(item->err));
	} else if (item->kind == STOREDIR_SEGMENT) {
		w->log_bytes += item->stat.size;
	}
	return ERR_OK;
}

static void of_shard(void *arg, unsigned shard, enum err err, const char *why)
{
	struct walk *w = arg;
	char what[32];
	(void)err;
	w->shards_damaged++;
	(void)snprintf(what, sizeof(what), "shards/%02u/FILES", shard);
	first_one(w, what, why);
}

static void look_at_files(struct doctor_list *l, struct storedir *d)
{
	struct errbuf eb;
	struct walk w = { .l = l };
	errbuf_init(&eb);
	enum err e = storedir_each(d, of_item, of_shard, &w, &eb);
	if (e)
		found(l, SEVERITY_BAD, "files", "kymoctl verify tells more", "%s", eb.text);
	else if (w.missing || w.shards_damaged)
		found(l, SEVERITY_BAD, "files",
		    "restore them from a backup (kymoctl restore); kymoctl verify tells all of them",
		    "%" PRIu64 " of %" PRIu64 " files are missing or cannot be read, lists of %" PRIu64
		    " shards are damaged, first %s",
		    w.missing, w.files, w.shards_damaged, w.first);
	else
		found(l, SEVERITY_OK, "files", "", "%" PRIu64 " files are there", w.files);
}

static bool has(struct fsio_dir *d, const char *name)
{
	struct fsio_file *f;
	if (fsio_open(d, name, FSIO_READ, &f))
		return false;
	fsio_close(f);
	return true;
}

/* Both copies of what a directory is. */
static void look_at_manifest(struct doctor_list *l, struct fsio_dir *d)
{
	static const char *const names[] = { "MANIFEST.a", "MANIFEST.b" };
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct manifest m;
		uint8_t *data;
		size_t len;
		enum err e = fsio_load(d, names[i], MANIFEST_BYTES, &data, &len);
		if (!e) {
			e = len == MANIFEST_BYTES ? manifest_get(data, &m) : ERR_TRUNCATED;
			mem_free(data);
		}
		if (e)
			found(l, SEVERITY_WARN, "manifest",
			    "the other copy is enough, and the next start writes this one again; look at the disk",
			    "%s: %s", names[i], err_text(e));
		else if (!i)
			found(l, SEVERITY_OK, "manifest", "", "version %u, %" PRIu32 " shards",
			    MANIFEST_VERSION, m.shards);
	}
}

static void look_at_room(struct doctor_list *l, struct fsio_dir *d, const struct doctorworld *w)
{
	uint64_t free, total;
	char is[CTL_TEXT], of[CTL_TEXT];
	if (fsio_free_bytes(d, &free, &total))
		return;
	found(l,
	    free < RESERVE_BYTES                                  ? SEVERITY_BAD
	        : free < total / 33 || free < (UINT64_C(1) << 30) ? SEVERITY_WARN
	                                                          : SEVERITY_OK,
	    "disk", "give the disk more room, or start with a shorter --retention",
	    "%s of %s are free; by default writes are refused below 1 GiB or 3 %%",
	    ctl_bytes((double)free, is), ctl_bytes((double)total, of));
	if (w->inodes_total && w->inodes_free < w->inodes_total / 20)
		found(l, SEVERITY_WARN, "inodes", "remove small files on this file system",
		    "%" PRIu64 " of %" PRIu64 " inodes are free", w->inodes_free, w->inodes_total);
	if (w->kind == DOCTORWORLD_MEMORY)
		found(l, SEVERITY_NOTE, "disk_kind",
		    "put it on a disk if it should outlive this machine",
		    "the directory lies in memory (tmpfs): a reboot takes all of it");
	if (w->kind == DOCTORWORLD_NETWORK)
		found(l, SEVERITY_WARN, "disk_kind", "move it to a local disk",
		    "the directory lies on a network file system, where locks and syncs are not reliable");
}

static void look_at_rest(struct doctor_list *l, struct fsio_dir *d, const struct doctorworld *w)
{
	int64_t now_ms = clock_wall_ms();
	if (has(d, "CATALOG_DAMAGED"))
		found(l, SEVERITY_NOTE, "catalog", "nothing: the next start does it by itself",
		    "the catalog is damaged, and will be rebuilt from the files");
	else if (!has(d, "CLEAN"))
		found(l, SEVERITY_NOTE, "end", "nothing: nothing acknowledged is lost by that",
		    "the last process did not end in order: the next start looks at the catalog and reads the log");
	if (w->log_unread)
		found(l, SEVERITY_WARN, "leftovers",
		    "they are tried again by each start: start when memory and disk are in order",
		    "%" PRIu64 " segments of the log could not be read by a start", w->log_unread);
	if (w->log_damaged || w->catalog_damaged)
		found(l, SEVERITY_NOTE, "leftovers",
		    "look at them if they are wanted, then remove them",
		    "%" PRIu64 " damaged segments of the log%s lie there", w->log_damaged,
		    w->catalog_damaged ? " and a damaged catalog" : "");
	if (w->snapshots)
		found(l, now_ms - w->snapshot_ms > 7 * DAY_MS ? SEVERITY_NOTE : SEVERITY_OK,
		    "backup", "kymoctl backup, every day",
		    "the newest of %" PRIu64 " snapshots is %.1f days old", w->snapshots,
		    (double)(now_ms - w->snapshot_ms) / (double)DAY_MS);
}

static int look_at_dir(struct doctor_list *l, const char *path)
{
	struct storedir d;
	struct errbuf eb;
	struct doctorworld w;
	errbuf_init(&eb);
	enum err e = storedir_open(path, true, &d, &eb);
	if (e == ERR_LOCKED)
		return ctl_fail(CTL_LOCAL,
		    "a server has it open: %s. Ask the server: kymoctl doctor --server URL", eb.text);
	if (e == ERR_DAMAGED || e == ERR_UNSUPPORTED) {
		found(l, SEVERITY_BAD, "manifest",
		    e == ERR_DAMAGED ? "copy MANIFEST.a or MANIFEST.b from a backup"
		                     : "take a newer kymod: this one does not know the format",
		    "%s", eb.text);
		return CTL_OK;
	}
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s", eb.text);
	doctorworld_read("", path, &w);
	look_at_manifest(l, d.dir);
	look_at_room(l, d.dir, &w);
	look_at_files(l, &d);
	look_at_rest(l, d.dir, &w);
	storedir_close(&d);
	return CTL_OK;
}

/* --- shown --- */

static int worst_first(const void *x, const void *y)
{
	const struct finding *a = x, *b = y;
	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	return strcmp(a->id, b->id);
}

static void show_text(const struct doctor_list *l, bool all)
{
	size_t fine = 0;
	for (size_t i = 0; i < l->count; i++) {
		const struct finding *f = &l->rows[i];
		fine += f->severity == SEVERITY_OK;
		if (f->severity == SEVERITY_OK && !all)
			continue;
		const char *const parts[] = { f->id, " [", f->where, "]",
			*f->since ? " since " : "", f->since };
		printf("%-4s  ", severity_words[f->severity]);
		for (size_t k = 0; k < COUNT_OF(parts); k++)
			ctlterm_print(stdout, parts[k]);
		printf("\n      ");
		ctlterm_print(stdout, f->text);
		if (*f->remedy) {
			printf("\n      -> ");
			ctlterm_print(stdout, f->remedy);
		}
		printf("\n");
	}
	printf("%zu finding%s, %zu fine\n", l->count - fine, l->count - fine == 1 ? "" : "s", fine);
}

static void show(const struct doctor_list *l, enum ctltable_form form, bool all)
{
	static const struct ctltable_column columns[] = { { "severity", false }, { "id", false },
		{ "where", false }, { "text", false }, { "remedy", false }, { "since", false } };
	struct ctltable t;
	if (form == CTLTABLE_TABLE) {
		show_text(l, all);
		return;
	}
	ctltable_begin(&t, stdout, form, columns, COUNT_OF(columns));
	for (size_t i = 0; i < l->count; i++) {
		const struct finding *f = &l->rows[i];
		if (f->severity == SEVERITY_OK && !all)
			continue;
		ctltable_cell(&t, severity_words[f->severity]);
		ctltable_cell(&t, f->id);
		ctltable_cell(&t, f->where);
		ctltable_cell(&t, f->text);
		ctltable_cell(&t, f->remedy);
		ctltable_cell(&t, f->since);
	}
	ctltable_end(&t);
}

static void list_release(struct doctor_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct finding *f = &l->rows[i];
		mem_free(f->id);
		mem_free(f->where);
		mem_free(f->text);
		mem_free(f->remedy);
		mem_free(f->since);
	}
	mem_free(l->rows);
}

int ctl_doctor(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct doctor_list l = { .rows = NULL };
	const char *format = NULL, *dir = NULL;
	bool all = false;
	const struct cmdline_arg args[] = {
		{ .name = "data-dir",
		    .meta = "DIR",
		    .help = "look at a data directory that no server has open, instead",
		    .text = &dir },
		{ .name = "all", .help = "show what is fine, too", .flag = &all },
		CTLTABLE_ARG(format),
		CTLHTTP_ARGS(access),
	};
	cmdline_parse(&(struct cmdline){ .program = "kymoctl",
	                  .command = "doctor",
	                  .help = "What is wrong or soon will be, and what to do. Exit status 1 when "
	                          "anything is warn or bad.",
	                  .examples = "  kymoctl doctor --all\n"
	                              "      what was looked at, and its figures\n"
	                              "  kymoctl doctor > report || mail -s kymo ops < report\n"
	                              "      of a timer: somebody is told\n"
	                              "  kymoctl doctor --data-dir /var/lib/kymo\n"
	                              "      before a start, when the server is stopped\n",
	                  .args = args,
	                  .args_count = COUNT_OF(args) },
	    argc, argv);
	enum ctltable_form form = ctltable_form(format);
	ctl_catch();
	int status = dir ? look_at_dir(&l, dir) : ask_server(&l, &access);
	if (l.count) {
		qsort(l.rows, l.count, sizeof(*l.rows), worst_first);
		show(&l, form, all);
		if (!status && l.rows[0].severity >= SEVERITY_WARN)
			status = CTL_NO;
	}
	list_release(&l);
	return status;
}
