/*
 * kymoctl inspect DATA_DIR|SNAPSHOT: what is in it and what takes how many bytes: files by kind and
 * width, their parts, the codec's forms; log, catalog, tombstones; ranges of time; the largest
 * metrics and labels of each tenant.
 *
 * Series are counted by the definitions in files (one for each id of a shard), so what is in the
 * log alone is not among them. Names are put into tables by hash: figures, not identities.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlprog.h"
#include "storage/back/catalogs.h"
#include "storage/storedir.h"
#include "storage/wal/replay.h"

#define TOP_USUAL 20.0
#define NAME_KEPT 160u

/* Of a hash: how many, and a name for people. Open addressing. */
struct tally_row {
	uint64_t hash, count, more; /* more: of labels, distinct values */
	uint32_t tenant;
	char *name;
};
struct names {
	struct tally_row *rows;
	size_t count, mask;
};
struct kind { /* of files: sealed or of a round, by width */
	bool sealed;
	int64_t width_ms;
	uint64_t files, bytes, samples, series;
	int64_t t_min_ms, t_max_ms;
};
struct inspect {
	struct storedir dir;
	struct kind *kinds;
	size_t kinds_count;
	uint64_t files, bytes, samples, label_bytes, times_bytes, directory_bytes, stream_bytes;
	uint64_t units, tombstones, list_bytes, log_bytes, log_segments, log_frames, catalog_bytes;
	uint64_t tomb_bytes, other_bytes, series, unreadable;
	int64_t t_min_ms, t_max_ms;
	struct chunk_forms forms;
	struct names metrics, labels, tenants;
	struct names values; /* pairs that were seen */
	uint8_t *seen;       /* bit set of the shard's ids */
	size_t seen_bytes;
	unsigned seen_shard;
	bool forms_wanted, quiet;
	struct ctlprog prog;
	double done, goal;
	struct errbuf eb;
};

/* ---- names ---- */

static void names_grow(struct names *n)
{
	struct names more = { .mask = n->mask ? 2 * n->mask + 1 : 1023, .count = n->count };
	more.rows = mem_zalloc((more.mask + 1) * sizeof(*more.rows));
	for (size_t i = 0; n->rows && i <= n->mask; i++) {
		if (!n->rows[i].hash)
			continue;
		size_t at = (size_t)n->rows[i].hash & more.mask;
		while (more.rows[at].hash)
			at = (at + 1) & more.mask;
		more.rows[at] = n->rows[i];
	}
	mem_free(n->rows);
	*n = more;
}

/* *fresh: it was not there. name NULL: none is kept. */
static struct tally_row *names_at(
    struct names *n, uint32_t tenant, uint64_t hash, const char *name, size_t len, bool *fresh)
{
	hash = hash_mix64(hash + tenant) | 1;
	if (2 * (n->count + 1) > n->mask)
		names_grow(n);
	size_t at = (size_t)hash & n->mask;
	while (n->rows[at].hash && n->rows[at].hash != hash)
		at = (at + 1) & n->mask;
	struct tally_row *r = &n->rows[at];
	*fresh = !r->hash;
	if (!*fresh)
		return r;
	*r = (struct tally_row){ .hash = hash, .tenant = tenant };
	if (name) {
		len = len < NAME_KEPT ? len : NAME_KEPT;
		r->name = mem_alloc(len + 1);
		memcpy(r->name, name, len);
		r->name[len] = 0;
	}
	n->count++;
	return r;
}

static int row_cmp(const void *a, const void *b)
{
	const struct tally_row *x = a, *y = b;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name ? x->name : "", y->name ? y->name : "");
}

/* The rows in front, largest first. */
static void names_sort(struct names *n)
{
	size_t kept = 0;
	for (size_t i = 0; n->rows && i <= n->mask; i++)
		if (n->rows[i].hash)
			n->rows[kept++] = n->rows[i];
	if (n->rows) /* what moved to the front stands there alone */
		memset(n->rows + kept, 0, (n->mask + 1 - kept) * sizeof(*n->rows));
	if (kept)
		qsort(n->rows, kept, sizeof(*n->rows), row_cmp);
}

static void names_release(struct names *n)
{
	for (size_t i = 0; n->rows && i <= n->mask; i++)
		mem_free(n->rows[i].name);
	mem_free(n->rows);
}

/* ---- series ---- */

static bool id_is_new(struct inspect *in, unsigned shard, uint32_t id)
{
	if (shard != in->seen_shard) {
		if (in->seen)
			memset(in->seen, 0, in->seen_bytes);
		in->seen_shard = shard;
	}
	if (id / 8 >= in->seen_bytes) {
		size_t bytes = in->seen_bytes ? in->seen_bytes : 4096;
		while (bytes <= id / 8)
			bytes *= 2;
		in->seen = mem_array(in->seen, bytes, 1);
		memset(in->seen + in->seen_bytes, 0, bytes - in->seen_bytes);
		in->seen_bytes = bytes;
	}
	bool fresh = !(in->seen[id / 8] >> id % 8 & 1);
	in->seen[id / 8] = (uint8_t)(in->seen[id / 8] | 1u << id % 8);
	return fresh;
}

static void series_add(struct inspect *in, uint32_t tenant, struct labels ls)
{
	struct label_iter it;
	struct label l;
	bool fresh;
	in->series++;
	names_at(&in->tenants, tenant, 0, NULL, 0, &fresh)->count++;
	it = label_iter(ls);
	while (label_next(&it, &l)) {
		uint64_t name = hash64(l.name, l.name_len, 1);
		struct tally_row *r = names_at(&in->labels, tenant, name, l.name, l.name_len, &fresh);
		r->count++;
		(void)names_at(
		    &in->values, tenant, hash64(l.value, l.value_len, name), NULL, 0, &fresh);
		r->more += fresh;
		if (l.name_len == 8 && memcmp(l.name, "__name__", 8) == 0)
			names_at(&in->metrics, tenant, hash64(l.value, l.value_len, 2), l.value,
			    l.value_len, &fresh)
			    ->count++;
	}
}

static void definitions(struct inspect *in, unsigned shard, struct cfile *f)
{
	struct cfile_defs *it;
	uint32_t id, tenant;
	struct labels ls;
	if (cfile_defs_create_order(f, &it))
		return;
	while (!cfile_defs_next(it, &id, &tenant, &ls))
		if (id_is_new(in, shard, id))
			series_add(in, tenant, ls);
	cfile_defs_free(it);
}

/* ---- files ---- */

static void unit_add(struct inspect *in, struct cfile *f, const struct cfile_extent *ext,
    struct cfile_unit *u, struct buf *bytes)
{
	struct errbuf eb;
	errbuf_init(&eb);
	buf_clear(bytes);
	enum err e = buf_reserve(bytes, ext->len) ? cfile_read(f, bytes->data, ext->len, ext->off)
	                                          : ERR_NOMEM;
	if (!e)
		e = cfile_unit_open(u, f, ext, bytes->data, &eb);
	for (uint32_t i = 0; !e && i < u->entries; i++) {
		const struct cfile_entry *one = cfile_unit_entry(u, i);
		in->stream_bytes += one->values_len;
		e = chunk_forms_add(one->values, one->values_len, one->count, &in->forms);
	}
	in->unreadable += e != 0;
}

static void units_add(struct inspect *in, struct cfile *f)
{
	const struct cfile_dir *d;
	struct cfile_unit u;
	struct buf bytes;
	if (cfile_dir_load(f, &d))
		return;
	cfile_unit_init(&u);
	buf_init(&bytes);
	for (uint32_t i = 0; i < cfile_stats(f)->units && !ctl_stopped(); i++) {
		struct cfile_extent ext = cfile_unit_extent(d, i);
		unit_add(in, f, &ext, &u, &bytes);
	}
	buf_release(&bytes);
	cfile_unit_release(&u);
	cfile_dir_unpin(f);
}

static struct kind *kind_of(struct inspect *in, const struct cfile_meta *m)
{
	bool sealed = m->flags & CFILE_SEALED;
	for (size_t i = 0; i < in->kinds_count; i++)
		if (in->kinds[i].sealed == sealed && in->kinds[i].width_ms == m->end_ms - m->start_ms)
			return &in->kinds[i];
	in->kinds = mem_array(in->kinds, in->kinds_count + 1, sizeof(*in->kinds));
	struct kind *k = &in->kinds[in->kinds_count++];
	*k = (struct kind){ .sealed = sealed,
		.width_ms = m->end_ms - m->start_ms,
		.t_min_ms = INT64_MAX,
		.t_max_ms = INT64_MIN };
	return k;
}

static void span(int64_t *min, int64_t *max, const struct cfile_stats *st)
{
	*min = st->t_min_ms < *min ? st->t_min_ms : *min;
	*max = st->t_max_ms > *max ? st->t_max_ms : *max;
}

static void file_add(struct inspect *in, const struct storedir_item *item)
{
	struct cfile *f;
	struct errbuf eb;
	errbuf_init(&eb);
	if (cfile_open(item->dir, item->name, &f, &eb)) {
		ctl_note("%s: %s", item->path, eb.text);
		in->unreadable++;
		return;
	}
	const struct cfile_stats *st = cfile_stats(f);
	struct kind *k = kind_of(in, cfile_meta(f));
	k->files++;
	k->bytes += st->size_bytes;
	k->samples += st->samples;
	k->series += st->series;
	span(&k->t_min_ms, &k->t_max_ms, st);
	span(&in->t_min_ms, &in->t_max_ms, st);
	in->files++;
	in->bytes += st->size_bytes;
	in->samples += st->samples;
	in->label_bytes += st->label_bytes;
	in->times_bytes += st->times_bytes;
	in->directory_bytes += st->directory_bytes;
	in->units += st->units;
	definitions(in, item->shard, f);
	if (in->forms_wanted)
		units_add(in, f);
	cfile_close(f);
}

static uint64_t tombstones_of(const struct storedir_item *item)
{
	uint8_t *text;
	size_t len;
	struct files fs;
	if (fsio_load(item->dir, item->name, FILES_SIZE_MAX, &text, &len))
		return 0;
	enum err e = files_parse(text, len, &fs, NULL);
	mem_free(text);
	if (e)
		return 0;
	uint64_t count = fs.dead_count + fs.tombstones_count;
	for (size_t i = 0; i < fs.tombs_count; i++)
		count += fs.tombs[i].entries;
	files_release(&fs);
	return count;
}

static enum err one_item(void *arg, const struct storedir_item *item)
{
	struct inspect *in = arg;
	if (ctl_stopped())
		return ERR_CANCELED;
	switch (item->kind) {
	case STOREDIR_FILE:
		if (item->err) {
			ctl_note("%s: %s", item->path, err_text(item->err));
			in->unreadable++;
		} else if (item->entry) {
			file_add(in, item);
		} else {
			in->tomb_bytes += item->stat.size;
		}
		break;
	case STOREDIR_LIST:
		in->tombstones += tombstones_of(item);
		in->list_bytes += item->stat.size;
		break;
	case STOREDIR_SEGMENT:
	case STOREDIR_ASIDE:
		in->log_segments++;
		in->log_bytes += item->stat.size;
		break;
	case STOREDIR_MANIFEST:
	case STOREDIR_TENANTS:
	case STOREDIR_METADATA:
	case STOREDIR_MARKS:
	case STOREDIR_BOOK:
		in->other_bytes += item->stat.size;
		break;
	}
	in->done += (double)item->stat.size;
	ctlprog_tell(&in->prog, in->done);
	return ERR_OK;
}

static enum err count_item(void *arg, const struct storedir_item *item)
{
	struct inspect *in = arg;
	in->goal += (double)item->stat.size;
	return ERR_OK;
}

static void no_list(void *arg, unsigned shard, enum err err, const char *why)
{
	struct inspect *in = arg;
	ctl_note("shard %u: %s (%s)", shard, why, err_text(err));
	in->unreadable++;
}

static void ignore(void *arg, unsigned shard, enum err err, const char *why)
{
	(void)arg;
	(void)shard;
	(void)err;
	(void)why;
}

static void catalog_size(struct inspect *in)
{
	struct fsio_dir *d;
	struct fsio_stat st;
	if (fsio_dir_sub(in->dir.dir, CATALOGS_DIR, false, &d))
		return;
	if (!fsio_stat(d, "data.mdb", &st))
		in->catalog_bytes = st.size;
	fsio_dir_close(d);
}

/* ---- the answer ---- */

static const char *time_text(int64_t t_ms, char out[32])
{
	time_t s = (time_t)(t_ms / 1000);
	struct tm tm;
	if (t_ms == INT64_MAX || t_ms == INT64_MIN)
		return "-";
	gmtime_r(&s, &tm);
	(void)strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
	return out;
}

static const char *width_text(int64_t width_ms, char out[32])
{
	if (width_ms % 86400000 == 0)
		(void)snprintf(out, 32, "%" PRId64 "d", width_ms / 86400000);
	else
		(void)snprintf(out, 32, "%" PRId64 "h", width_ms / 3600000);
	return out;
}

struct part {
	const char *name;
	uint64_t bytes;
};

static size_t parts_of(const struct inspect *in, struct part out[16])
{
	uint64_t known = in->label_bytes + in->times_bytes + in->directory_bytes;
	const struct part parts[] = { { "files", in->bytes }, { "files: labels", in->label_bytes },
		{ "files: times", in->times_bytes }, { "files: directories", in->directory_bytes },
		{ "files: values and heads", in->bytes > known ? in->bytes - known : 0 },
		{ "log", in->log_bytes }, { "catalog", in->catalog_bytes },
		{ "lists", in->list_bytes }, { "tombstones", in->tomb_bytes },
		{ "other", in->other_bytes } };
	memcpy(out, parts, sizeof(parts));
	return COUNT_OF(parts);
}

static size_t forms_of(const struct inspect *in, struct part out[16])
{
	const struct chunk_forms *c = &in->forms;
	const struct part forms[] = { { "heads and constants", c->head }, { "runs", c->run },
		{ "packed: offset", c->packed[0] }, { "packed: delta", c->packed[1] },
		{ "packed: delta2", c->packed[2] }, { "dense", c->dense },
		{ "distance", c->distance }, { "raw", c->raw } };
	memcpy(out, forms, sizeof(forms));
	return COUNT_OF(forms);
}

static void tell_table(struct inspect *in, size_t top)
{
	char a[CTL_TEXT], b[CTL_TEXT], from[32], to[32], width[32];
	struct part parts[16];
	printf("series  %s (in files)\nsamples %s\ntimes   %s to %s UTC\nshards  %u, %" PRIu64
	       " files, %" PRIu64 " segments of the log, %" PRIu64 " tombstones\n",
	    ctl_count((double)in->series, a), ctl_count((double)in->samples, b),
	    time_text(in->t_min_ms, from), time_text(in->t_max_ms, to), in->dir.manifest.shards,
	    in->files, in->log_segments, in->tombstones);
	printf("\nbytes\n");
	for (size_t i = 0, n = parts_of(in, parts); i < n; i++)
		printf("  %-26s %10s  %.3f a sample\n", parts[i].name,
		    ctl_bytes((double)parts[i].bytes, a),
		    in->samples ? (double)parts[i].bytes / (double)in->samples : 0.0);
	printf("\nfiles of    width      files      bytes    samples  from                 to\n");
	for (size_t i = 0; i < in->kinds_count; i++) {
		const struct kind *k = &in->kinds[i];
		printf("  %-8s %6s %10" PRIu64 " %10s %10s  %s  %s\n",
		    k->sealed ? "merges" : "rounds", width_text(k->width_ms, width), k->files,
		    ctl_bytes((double)k->bytes, a), ctl_count((double)k->samples, b),
		    time_text(k->t_min_ms, from), time_text(k->t_max_ms, to));
	}
	if (in->forms_wanted) {
		printf("\nvalues: %" PRIu64 " streams, %" PRIu64 " of them constant\n",
		    in->forms.streams, in->forms.constants);
		for (size_t i = 0, n = forms_of(in, parts); i < n; i++)
			printf("  %-26s %10s\n", parts[i].name, ctl_bytes((double)parts[i].bytes, a));
	}
	printf("\ntenant     series\n");
	for (size_t i = 0; i < in->tenants.count && i < top; i++)
		printf("  %-8" PRIu32 " %8" PRIu64 "\n", in->tenants.rows[i].tenant,
		    in->tenants.rows[i].count);
	printf("\ntenant     series  metric\n");
	for (size_t i = 0; i < in->metrics.count && i < top; i++)
		printf("  %-8" PRIu32 " %8" PRIu64 "  %s\n", in->metrics.rows[i].tenant,
		    in->metrics.rows[i].count, in->metrics.rows[i].name);
	printf("\ntenant     series   values  label\n");
	for (size_t i = 0; i < in->labels.count && i < top; i++)
		printf("  %-8" PRIu32 " %8" PRIu64 " %8" PRIu64 "  %s\n", in->labels.rows[i].tenant,
		    in->labels.rows[i].count, in->labels.rows[i].more, in->labels.rows[i].name);
}

static json_t *parts_json(const struct part *parts, size_t count)
{
	json_t *o = json_object();
	for (size_t i = 0; i < count; i++)
		json_object_set_new(o, parts[i].name, json_integer((json_int_t)parts[i].bytes));
	return o;
}

static json_t *names_json(const struct names *n, const char *what, bool more, size_t top)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n->count && i < top; i++) {
		const struct tally_row *r = &n->rows[i];
		json_t *o = json_object();
		json_object_set_new(o, "tenant", json_integer(r->tenant));
		if (what) {
			json_t *name = json_string(r->name);
			json_object_set_new(o, what, name ? name : json_string("?"));
		}
		json_object_set_new(o, "series", json_integer((json_int_t)r->count));
		if (more)
			json_object_set_new(o, "values", json_integer((json_int_t)r->more));
		json_array_append_new(list, o);
	}
	return list;
}

static void tell_json(struct inspect *in, size_t top)
{
	struct part parts[16];
	json_t *o = json_object(), *kinds = json_array();
	const struct {
		const char *name;
		uint64_t n;
	} numbers[] = { { "series", in->series }, { "samples", in->samples },
		{ "files", in->files }, { "units", in->units }, { "segments", in->log_segments },
		{ "tombstones", in->tombstones }, { "shards", in->dir.manifest.shards },
		{ "unreadable", in->unreadable } };
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		json_object_set_new(o, numbers[i].name, json_integer((json_int_t)numbers[i].n));
	if (in->samples) {
		json_object_set_new(o, "t_min_ms", json_integer(in->t_min_ms));
		json_object_set_new(o, "t_max_ms", json_integer(in->t_max_ms));
	}
	json_object_set_new(o, "bytes", parts_json(parts, parts_of(in, parts)));
	if (in->forms_wanted)
		json_object_set_new(o, "values", parts_json(parts, forms_of(in, parts)));
	for (size_t i = 0; i < in->kinds_count; i++) {
		const struct kind *k = &in->kinds[i];
		json_array_append_new(kinds,
		    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind",
		        k->sealed ? "merges" : "rounds", "width_ms", (json_int_t)k->width_ms,
		        "files", (json_int_t)k->files, "bytes", (json_int_t)k->bytes, "samples",
		        (json_int_t)k->samples, "t_min_ms", (json_int_t)k->t_min_ms, "t_max_ms",
		        (json_int_t)k->t_max_ms));
	}
	json_object_set_new(o, "kinds", kinds);
	json_object_set_new(o, "tenants", names_json(&in->tenants, NULL, false, top));
	json_object_set_new(o, "metrics", names_json(&in->metrics, "metric", false, top));
	json_object_set_new(o, "labels", names_json(&in->labels, "label", true, top));
	json_dumpf(o, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(o);
}

static int run(struct inspect *in, const char *path, bool json, size_t top)
{
	if (ctl_is_url(path))
		return ctl_fail(CTL_USAGE,
		    "\"%s\": a directory is read, on the machine where it is; of a running server a "
		    "snapshot. What it knows itself: kymoctl cardinality --server %s",
		    path, path);
	enum err e = storedir_open(path, true, &in->dir, &in->eb);
	if (e == ERR_LOCKED)
		return ctl_fail(CTL_LOCAL,
		    "%s. Of a running server look at a snapshot: POST /api/v1/admin/tsdb/snapshot, then "
		    "kymoctl inspect %s/snapshots/NAME",
		    in->eb.text, path);
	if (!e)
		e = storedir_each(&in->dir, count_item, ignore, in, &in->eb);
	ctlprog_begin(&in->prog, "B", in->goal, 0, in->quiet);
	if (!e)
		e = storedir_each(&in->dir, one_item, no_list, in, &in->eb);
	if (e == ERR_CANCELED || ctl_stopped())
		return ctl_fail(CTL_INTERRUPTED, "interrupted");
	if (e)
		return ctl_fail(ctl_exit_of(e), "%s", in->eb.text[0] ? in->eb.text : err_text(e));
	catalog_size(in);
	names_sort(&in->tenants);
	names_sort(&in->metrics);
	names_sort(&in->labels);
	(json ? tell_json : tell_table)(in, top);
	return CTL_OK;
}

int ctl_inspect(int argc, char **argv)
{
	struct inspect in = { .t_min_ms = INT64_MAX, .t_max_ms = INT64_MIN, .seen_shard = UINT32_MAX };
	const char *format = NULL;
	double top = TOP_USUAL;
	bool quick = false;
	const struct cmdline_arg args[] = {
		{ .name = "format",
		    .meta = "table|json",
		    .help = "of the answer (table)",
		    .text = &format },
		{ .name = "top",
		    .meta = "N",
		    .help = "so many metrics, labels and tenants (20)",
		    .num = &top },
		{ .name = "quick",
		    .help = "without the codec's forms: values are not read",
		    .flag = &quick },
		{ .name = "quiet", .help = "no progress", .flag = &in.quiet },
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "inspect",
	        .words = "DATA_DIR | SNAPSHOT",
	        .help = "What a stopped server's data directory, or a snapshot, holds, and what "
	                "takes how many bytes.",
	        .examples = "  kymoctl inspect --quick /var/lib/kymo/snapshots/NAME\n"
	                    "      of a running server: which metrics take the room?\n"
	                    "  kymoctl inspect --format json --top 100 /var/lib/kymo\n"
	                    "      all of it, for a program\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = 1 },
	    argc, argv);
	if (format && strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return ctl_fail(CTL_USAGE, "--format is table or json");
	in.forms_wanted = !quick;
	errbuf_init(&in.eb);
	log_setup(LOG_LEVEL_NONE, false);
	ctl_catch();
	int status = run(&in, argv[0], format && strcmp(format, "json") == 0, (size_t)top);
	if (in.dir.dir)
		storedir_close(&in.dir);
	names_release(&in.tenants);
	names_release(&in.metrics);
	names_release(&in.labels);
	names_release(&in.values);
	mem_free(in.kinds);
	mem_free(in.seen);
	return status;
}
