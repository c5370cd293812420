#include "storage/cfile/files.h"

#include "core/base/arena.h"
#include "core/base/fdcache.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/num.h"
#include "storage/cfile/tombs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TMP_NAME      FILES_NAME ".tmp"
#define PREV_TMP_NAME FILES_PREV ".tmp"
#define FIRST_LINE    "kymo-files 2\n"
#define FIRST_LINE_3  "kymo-files 3\n" /* as long, too; of those with deletions of series */
#define FIRST_LINE_1  "kymo-files 1\n" /* as long as FIRST_LINE */
#define TEXT_VERSION  2u
#define FIRST_WORD    "kymo-files "
#define CRC_LINE      13u /* "crc 89abcdef\n" */
#define FIELDS_MAX    12u
#define DATA_SUFFIX   ".kcf"
#define TOMB_FIELDS   6u

/* One comparison of two entries or names: a test counts them. */
#ifndef FILES_STEP
# define FILES_STEP() ((void)0)
#endif

/* ---- the list in memory ---- */

void files_init(struct files *fs, uint32_t shard)
{
	*fs = (struct files){
		.version = TEXT_VERSION, .shard = shard, .next_number = 1, .next_rank = 1
	};
}

void files_release(struct files *fs)
{
	for (size_t i = 0; i < fs->tombstones_count; i++)
		mem_free(fs->tombstones[i]);
	mem_free(fs->tombstones);
	mem_free(fs->tombs);
	mem_free(fs->dead);
	mem_free(fs->newest);
	mem_free(fs->entries);
	memset(fs, 0, sizeof(*fs));
}

static void tombstone_add(struct files *fs, const char *line, size_t len)
{
	char *copy = mem_alloc(len + 1);
	memcpy(copy, line, len);
	copy[len] = 0;
	fs->tombstones = mem_array(fs->tombstones, fs->tombstones_count + 1, sizeof(*fs->tombstones));
	fs->tombstones[fs->tombstones_count++] = copy;
}

void files_newest_clear(struct files *fs)
{
	fs->newest_count = 0;
}

void files_newest_add(struct files *fs, uint32_t tenant, bool own, int64_t t_ms)
{
	fs->newest = mem_array(fs->newest, fs->newest_count + 1, sizeof(*fs->newest));
	fs->newest[fs->newest_count++] =
	    (struct files_newest){ .tenant = tenant, .own = own, .t_ms = t_ms };
}

static struct files_dead *dead_find(const struct files *fs, uint32_t tenant)
{
	for (size_t i = 0; i < fs->dead_count; i++)
		if (fs->dead[i].tenant == tenant)
			return &fs->dead[i];
	return NULL;
}

int64_t files_dead_before(const struct files *fs, uint32_t tenant)
{
	const struct files_dead *d = dead_find(fs, tenant);
	return d ? d->before_ms : INT64_MIN;
}

void files_dead_raise(struct files *fs, uint32_t tenant, int64_t before_ms)
{
	struct files_dead *d = dead_find(fs, tenant);
	if (!d) {
		fs->dead = mem_array(fs->dead, fs->dead_count + 1, sizeof(*fs->dead));
		d = &fs->dead[fs->dead_count++];
		*d = (struct files_dead){ .tenant = tenant, .before_ms = before_ms };
	}
	if (before_ms > d->before_ms)
		d->before_ms = before_ms;
}

void files_dead_drop(struct files *fs, uint32_t tenant)
{
	struct files_dead *d = dead_find(fs, tenant);
	if (d)
		*d = fs->dead[--fs->dead_count];
}

void files_tombs_set(struct files *fs, size_t first, const struct files_tomb *t)
{
	CHECK(first <= fs->tombs_count);
	fs->tombs_count = first;
	if (!t)
		return;
	fs->tombs = mem_array(fs->tombs, first + 1, sizeof(*fs->tombs));
	fs->tombs[fs->tombs_count++] = *t;
}

void files_copy(struct files *to, const struct files *from)
{
	*to = *from;
	to->newest = NULL;
	to->newest_count = 0;
	for (size_t i = 0; i < from->newest_count; i++)
		files_newest_add(
		    to, from->newest[i].tenant, from->newest[i].own, from->newest[i].t_ms);
	to->cap = from->count;
	to->entries = NULL;
	if (from->count) {
		to->entries = mem_array(NULL, from->count, sizeof(*to->entries));
		memcpy(to->entries, from->entries, from->count * sizeof(*to->entries));
	}
	to->dead = NULL;
	to->dead_count = 0;
	for (size_t i = 0; i < from->dead_count; i++)
		files_dead_raise(to, from->dead[i].tenant, from->dead[i].before_ms);
	to->tombs = NULL;
	to->tombs_count = 0;
	for (size_t i = 0; i < from->tombs_count; i++)
		files_tombs_set(to, i, &from->tombs[i]);
	to->tombstones = NULL;
	to->tombstones_count = 0;
	for (size_t i = 0; i < from->tombstones_count; i++)
		tombstone_add(to, from->tombstones[i], strlen(from->tombstones[i]));
}

static int entry_cmp(const void *a, const void *b)
{
	const struct files_entry *x = a, *y = b;
	FILES_STEP();
	if (x->meta.start_ms != y->meta.start_ms)
		return x->meta.start_ms < y->meta.start_ms ? -1 : 1;
	if (x->meta.rank != y->meta.rank)
		return x->meta.rank < y->meta.rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Where the entry is, or belongs. */
static size_t entry_place(const struct files *fs, const struct files_entry *e)
{
	size_t lo = 0, hi = fs->count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (entry_cmp(&fs->entries[mid], e) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct files_entry *files_get(const struct files *fs, const char *name)
{
	for (size_t i = 0; i < fs->count; i++)
		if (strcmp(fs->entries[i].name, name) == 0)
			return &fs->entries[i];
	return NULL;
}

enum err files_names(const struct files *fs, enum err (*fn)(void *arg, const char *name), void *arg)
{
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < fs->count; i++)
		e = fn(arg, fs->entries[i].name);
	for (size_t i = 0; !e && i < fs->tombs_count; i++)
		e = fn(arg, fs->tombs[i].name);
	return e;
}

static void entry_append(struct files *fs, const struct files_entry *e)
{
	if (fs->count == fs->cap) {
		fs->cap = fs->cap ? fs->cap * 2 : 16;
		fs->entries = mem_array(fs->entries, fs->cap, sizeof(*fs->entries));
	}
	fs->entries[fs->count++] = *e;
}

void files_add(struct files *fs, const struct files_entry *e)
{
	size_t at = entry_place(fs, e);
	CHECK(at == fs->count || entry_cmp(&fs->entries[at], e) != 0);
	entry_append(fs, e);
	memmove(&fs->entries[at + 1], &fs->entries[at], (fs->count - 1 - at) * sizeof(*fs->entries));
	fs->entries[at] = *e;
}

bool files_del(struct files *fs, const struct files_entry *e)
{
	size_t at = entry_place(fs, e);
	if (at == fs->count || entry_cmp(&fs->entries[at], e) != 0)
		return false;
	fs->count--;
	memmove(&fs->entries[at], &fs->entries[at + 1], (fs->count - at) * sizeof(*fs->entries));
	return true;
}

bool files_del_many(struct files *fs, struct files_entry *gone, size_t count)
{
	size_t kept = 0, at = 0;
	if (count)
		qsort(gone, count, sizeof(*gone), entry_cmp);
	for (size_t i = 0; i < fs->count; i++) {
		if (at < count && entry_cmp(&fs->entries[i], &gone[at]) == 0)
			at++;
		else if (kept++ != i)
			fs->entries[kept - 1] = fs->entries[i];
	}
	fs->count = kept;
	return at == count;
}

bool files_add_many(struct files *fs, struct files_entry *more, size_t count)
{
	if (count)
		qsort(more, count, sizeof(*more), entry_cmp);
	for (size_t i = 0; i < count; i++) {
		size_t at = entry_place(fs, &more[i]);
		if ((at < fs->count && entry_cmp(&fs->entries[at], &more[i]) == 0) ||
		    (i && entry_cmp(&more[i - 1], &more[i]) == 0))
			return false;
	}
	size_t old = fs->count, all = old + count;
	for (size_t i = 0; i < count; i++)
		entry_append(fs, &more[i]);
	while (count) { /* from the back, so that each moves once */
		if (old && entry_cmp(&fs->entries[old - 1], &more[count - 1]) > 0)
			fs->entries[--all] = fs->entries[--old];
		else
			fs->entries[--all] = more[--count];
	}
	return true;
}

void files_keep(struct files *fs, bool (*keep)(void *arg, const struct files_entry *e), void *arg)
{
	size_t kept = 0;
	for (size_t i = 0; i < fs->count; i++)
		if (keep(arg, &fs->entries[i]))
			fs->entries[kept++] = fs->entries[i];
	fs->count = kept;
}

/* ---- names: one step each, however many there are ---- */

struct name_index {
	const char *names; /* the first; the others follow at this distance */
	size_t stride;
	uint32_t *slots; /* place + 1; 0 = empty */
	size_t mask;
};

static const char *name_at(const struct name_index *ix, size_t place)
{
	return ix->names + place * ix->stride;
}

/* The slot of the name, or the empty one where it belongs. */
static uint32_t *name_slot(const struct name_index *ix, const char *name)
{
	size_t i = (size_t)hash64(name, strlen(name), 0) & ix->mask;
	while (ix->slots[i]) {
		FILES_STEP();
		if (strcmp(name_at(ix, ix->slots[i] - 1), name) == 0)
			break;
		i = (i + 1) & ix->mask;
	}
	return &ix->slots[i];
}

/* False: a name stands there twice. The names are borrowed. */
static bool name_index_make(struct name_index *ix, const char *names, size_t stride, size_t count)
{
	size_t slots = 16;
	while (slots < count * 2)
		slots *= 2;
	*ix = (struct name_index){ .names = names, .stride = stride, .mask = slots - 1 };
	ix->slots = mem_zalloc(slots * sizeof(*ix->slots));
	for (size_t i = 0; i < count; i++) {
		uint32_t *slot = name_slot(ix, name_at(ix, i));
		if (*slot)
			return false;
		*slot = (uint32_t)i + 1;
	}
	return true;
}

static bool name_index_of(struct name_index *ix, const struct files *fs)
{
	const char *names = fs->count ? fs->entries[0].name : NULL;
	return name_index_make(ix, names, sizeof(*fs->entries), fs->count);
}

static bool name_index_has(const struct name_index *ix, const char *name)
{
	return *name_slot(ix, name) != 0;
}

static void name_index_release(struct name_index *ix)
{
	mem_free(ix->slots);
}

struct files_entry files_entry_of(
    const char *name, const struct cfile_meta *m, const struct cfile_stats *st)
{
	struct files_entry e = { .meta = *m,
		.size_bytes = st->size_bytes,
		.samples = st->samples,
		.series = st->series,
		.t_min_ms = st->t_min_ms,
		.t_max_ms = st->t_max_ms };
	CHECK(strlen(name) < sizeof(e.name));
	memcpy(e.name, name, strlen(name) + 1);
	return e;
}

/* ---- the text ---- */

static bool has_deletions(const struct files *fs)
{
	bool any = fs->tombs_count > 0;
	for (size_t i = 0; i < fs->count && !any; i++)
		any = fs->entries[i].clean > 0;
	return any;
}

void files_format(const struct files *fs, struct buf *out)
{
	size_t begin = out->len;
	buf_add_str(out, has_deletions(fs) ? FIRST_LINE_3 : FIRST_LINE);
	buf_printf(out,
	    "shard %" PRIu32 "\ngeneration %" PRIu64 "\ncomplete_to %" PRIu64 "\nnext_id %" PRIu32
	    "\nnext_number %" PRIu64 "\nnext_rank %" PRIu64 "\n",
	    fs->shard, fs->generation, fs->complete_to, fs->next_id, fs->next_number, fs->next_rank);
	for (size_t i = 0; i < fs->count; i++) {
		const struct files_entry *e = &fs->entries[i];
		buf_printf(out,
		    "file %s %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64
		    " %" PRIu32 " %" PRId64 " %" PRId64,
		    e->name, e->meta.start_ms, e->meta.end_ms, e->meta.rank, e->meta.flags,
		    e->size_bytes, e->samples, e->series, e->t_min_ms, e->t_max_ms);
		if (e->clean)
			buf_printf(out, " %" PRIu64, e->clean);
		buf_add_u8(out, '\n');
	}
	for (size_t i = 0; i < fs->newest_count; i++)
		buf_printf(out, "newest %" PRIu32 " %" PRIu32 " %" PRId64 "\n",
		    fs->newest[i].tenant, fs->newest[i].own, fs->newest[i].t_ms);
	for (size_t i = 0; i < fs->dead_count; i++)
		buf_printf(out, "tombstone tenant %" PRIu32 " %" PRId64 "\n", fs->dead[i].tenant,
		    fs->dead[i].before_ms);
	for (size_t i = 0; i < fs->tombs_count; i++) {
		const struct files_tomb *t = &fs->tombs[i];
		buf_printf(out, "tombstone series %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		    t->name, t->rank, t->bytes, t->entries);
	}
	for (size_t i = 0; i < fs->tombstones_count; i++)
		buf_printf(out, "tombstone %s\n", fs->tombstones[i]);
	buf_printf(out, "crc %08" PRIx32 "\n", crc32c(0, out->data + begin, out->len - begin));
}

struct field {
	const char *p;
	size_t len;
};

/* Splits a line at single spaces; more than FIELDS_MAX pieces give 0. */
static size_t fields_split(const char *line, size_t len, struct field *fields)
{
	size_t count = 0, begin = 0;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && line[i] != ' ')
			continue;
		if (count == FIELDS_MAX || i == begin)
			return 0;
		fields[count++] = (struct field){ line + begin, i - begin };
		begin = i + 1;
	}
	return count;
}

static bool field_is(const struct field *f, const char *word)
{
	return f->len == strlen(word) && memcmp(f->p, word, f->len) == 0;
}

static bool field_u64(const struct field *f, uint64_t *out)
{
	return num_parse_u64(f->p, f->len, out) == ERR_OK;
}

static bool field_u32(const struct field *f, uint32_t *out)
{
	uint64_t v = 0;
	if (!field_u64(f, &v) || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool field_i64(const struct field *f, int64_t *out)
{
	return num_parse_i64(f->p, f->len, out) == ERR_OK;
}

/* Names are ours: no path, nothing hidden. */
static bool name_good(const char *p, size_t len)
{
	if (len == 0 || len >= CFILE_NAME_MAX || p[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == '/')
			return false;
	return true;
}

static bool entry_parse(struct files *fs, const struct field *f, size_t count)
{
	struct files_entry e = { .meta.shard = fs->shard };
	if (!name_good(f[1].p, f[1].len) || fs->count >= FILES_COUNT_MAX)
		return false;
	memcpy(e.name, f[1].p, f[1].len);
	bool good = field_i64(&f[2], &e.meta.start_ms) && field_i64(&f[3], &e.meta.end_ms) &&
	    field_u64(&f[4], &e.meta.rank) && field_u32(&f[5], &e.meta.flags) &&
	    field_u64(&f[6], &e.size_bytes) && field_u64(&f[7], &e.samples) &&
	    field_u32(&f[8], &e.series) && field_i64(&f[9], &e.t_min_ms) &&
	    field_i64(&f[10], &e.t_max_ms) && (count < FIELDS_MAX || field_u64(&f[11], &e.clean));
	if (!good || e.meta.start_ms >= e.meta.end_ms)
		return false;
	entry_append(fs, &e);
	return true;
}

static bool newest_parse(struct files *fs, const struct field *f)
{
	uint32_t tenant, own;
	int64_t t_ms;
	if (!field_u32(&f[1], &tenant) || !field_u32(&f[2], &own) || own > 1 ||
	    !field_i64(&f[3], &t_ms))
		return false;
	files_newest_add(fs, tenant, own != 0, t_ms);
	return true;
}

#define TOMBSTONE "tombstone "

/* False: it is a tombstone of another kind; *good: it is whole, and behind those before it. */
static bool tomb_parse(struct files *fs, const char *line, size_t len, bool *good)
{
	struct field f[FIELDS_MAX];
	struct files_tomb t = { .rank = 0 };
	size_t count = fields_split(line, len, f);
	if (count < 2 || !field_is(&f[1], "series"))
		return false;
	*good = count == TOMB_FIELDS && name_good(f[2].p, f[2].len) && field_u64(&f[3], &t.rank) &&
	    field_u64(&f[4], &t.bytes) && field_u64(&f[5], &t.entries) &&
	    (!fs->tombs_count || fs->tombs[fs->tombs_count - 1].rank < t.rank);
	if (*good) {
		memcpy(t.name, f[2].p, f[2].len);
		files_tombs_set(fs, fs->tombs_count, &t);
	}
	return true;
}

/* False: it is a tombstone of another kind. */
static bool dead_parse(struct files *fs, const char *line, size_t len)
{
	struct field f[FIELDS_MAX];
	uint32_t tenant;
	int64_t before_ms;
	if (fields_split(line, len, f) != 4 || !field_is(&f[1], "tenant") ||
	    !field_u32(&f[2], &tenant) || !field_i64(&f[3], &before_ms))
		return false;
	files_dead_raise(fs, tenant, before_ms);
	return true;
}

static bool line_parse(struct files *fs, const char *line, size_t len)
{
	struct field f[FIELDS_MAX];
	size_t word = strlen(TOMBSTONE);
	if (len > word && memcmp(line, TOMBSTONE, word) == 0) {
		bool good = true;
		if (!tomb_parse(fs, line, len, &good) && !dead_parse(fs, line, len))
			tombstone_add(fs, line + word, len - word);
		return good;
	}
	size_t count = fields_split(line, len, f);
	if (count == FIELDS_MAX || count == FIELDS_MAX - 1)
		return field_is(&f[0], "file") && entry_parse(fs, f, count);
	if (count == 4)
		return field_is(&f[0], "newest") && newest_parse(fs, f);
	if (count != 2)
		return false;
	if (field_is(&f[0], "shard"))
		return field_u32(&f[1], &fs->shard);
	if (field_is(&f[0], "next_id"))
		return field_u32(&f[1], &fs->next_id);
	if (field_is(&f[0], "generation"))
		return field_u64(&f[1], &fs->generation);
	if (field_is(&f[0], "complete_to"))
		return field_u64(&f[1], &fs->complete_to);
	if (field_is(&f[0], "next_number"))
		return field_u64(&f[1], &fs->next_number);
	return field_is(&f[0], "next_rank") && field_u64(&f[1], &fs->next_rank);
}

static bool crc_good(const char *text, size_t len)
{
	char want[CRC_LINE + 1];
	if (len < CRC_LINE)
		return false;
	(void)snprintf(want, sizeof(want), "crc %08" PRIx32 "\n", crc32c(0, text, len - CRC_LINE));
	return memcmp(text + len - CRC_LINE, want, CRC_LINE) == 0;
}

/* Puts the entries in order, as files_format left them; false: a name stands there twice. */
static bool entries_arrange(struct files *fs)
{
	bool sorted = true;
	for (size_t i = 1; i < fs->count && sorted; i++)
		sorted = entry_cmp(&fs->entries[i - 1], &fs->entries[i]) <= 0;
	if (!sorted)
		qsort(fs->entries, fs->count, sizeof(*fs->entries), entry_cmp);
	struct name_index ix;
	bool good = name_index_of(&ix, fs);
	name_index_release(&ix);
	return good;
}

enum err files_parse(const uint8_t *data, size_t len, struct files *fs, struct errbuf *eb)
{
	const char *text = (const char *)data;
	size_t at = strlen(FIRST_LINE);
	if (!crc_good(text, len) || len < at + CRC_LINE ||
	    memcmp(text, FIRST_WORD, strlen(FIRST_WORD)) != 0)
		return errbuf_set(eb, ERR_DAMAGED, "%s: wrong checksum", FILES_NAME);
	bool first = memcmp(text, FIRST_LINE_1, at) == 0;
	if (!first && memcmp(text, FIRST_LINE, at) != 0 && memcmp(text, FIRST_LINE_3, at) != 0)
		return errbuf_set(eb, ERR_UNSUPPORTED,
		    "%s is of a later format (\"%.*s\") than this program knows (\"%.*s\")",
		    FILES_NAME, (int)strcspn(text, "\n"), text, (int)strcspn(FIRST_LINE_3, "\n"),
		    FIRST_LINE_3);
	struct files made;
	files_init(&made, 0);
	made.version = (uint32_t)(text[strlen(FIRST_WORD)] - '0');
	size_t end = len - CRC_LINE, number = 1;
	while (at < end) {
		const char *newline = memchr(text + at, '\n', end - at);
		size_t line = newline ? (size_t)(newline - text) - at : end - at;
		number++;
		if (!newline || !line_parse(&made, text + at, line)) {
			files_release(&made);
			return errbuf_set(
			    eb, ERR_DAMAGED, "%s: line %zu is wrong", FILES_NAME, number);
		}
		at += line + 1;
	}
	if (!entries_arrange(&made)) {
		files_release(&made);
		return errbuf_set(eb, ERR_DAMAGED, "%s: a name stands there twice", FILES_NAME);
	}
	*fs = made;
	return ERR_OK;
}

/* ---- loading ---- */

static enum err list_load(
    struct fsio_dir *d, const char *name, uint32_t shard, struct files *fs, struct errbuf *eb)
{
	uint8_t *data = NULL;
	size_t len = 0;
	enum err e = fsio_load(d, name, FILES_SIZE_MAX, &data, &len);
	if (e == ERR_TOOBIG || e == ERR_TRUNCATED)
		return errbuf_set(eb, ERR_DAMAGED, "%s: wrong length", name);
	if (e)
		return errbuf_set(eb, e, "%s: %s", name, err_why(e));
	e = files_parse(data, len, fs, eb);
	mem_free(data);
	if (!e && fs->shard != shard) {
		files_release(fs);
		e = errbuf_set(eb, ERR_DAMAGED, "%s: of another shard", name);
	}
	return e;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);
	return n > m && memcmp(name + n - m, suffix, m) == 0;
}

struct names {
	char (*list)[CFILE_NAME_MAX];
	size_t count, cap;
};

static enum err names_add(void *arg, const char *name)
{
	struct names *ns = arg;
	bool ours = has_suffix(name, DATA_SUFFIX) || has_suffix(name, TOMBS_SUFFIX) ||
	    has_suffix(name, ".tmp");
	if (!ours || strlen(name) >= CFILE_NAME_MAX)
		return ERR_OK;
	if (ns->count == ns->cap) {
		ns->cap = ns->cap ? ns->cap * 2 : 64;
		ns->list = mem_array(ns->list, ns->cap, sizeof(*ns->list));
	}
	memcpy(ns->list[ns->count++], name, strlen(name) + 1);
	return ERR_OK;
}

/* What is there and cannot be had, now or ever; short descriptors or memory pass. */
static bool is_lost(enum err e)
{
	return e == ERR_DAMAGED || e == ERR_UNSUPPORTED || e == ERR_NOTFOUND || e == ERR_IO;
}

/*
 * Adds a data file that describes itself wholly. What does not is left unnamed, for setting aside.
 */
static enum err file_adopt(struct fsio_dir *d, const char *name, struct files *fs, struct errbuf *eb)
{
	struct cfile *f = NULL;
	struct errbuf why;
	errbuf_init(&why);
	enum err e = cfile_open(d, name, &f, &why);
	if (is_lost(e)) {
		LOG_WARN("file_not_adopted", "shard=%" PRIu32 " err=%s text=\"%s\"", fs->shard,
		    err_text(e), why.text);
		return ERR_OK;
	}
	if (e)
		return errbuf_set(eb, e, "%s", why.text);
	const struct cfile_meta *m = cfile_meta(f);
	uint32_t id = 0;
	if (cfile_is_whole(f) && m->shard == fs->shard) {
		struct files_entry entry = files_entry_of(name, m, cfile_stats(f));
		files_add(fs, &entry);
		if (cfile_id_max(f, &id) && id >= fs->next_id)
			fs->next_id = id == UINT32_MAX ? id : id + 1;
		if (m->rank >= fs->next_rank)
			fs->next_rank = m->rank + 1;
	}
	cfile_close(f);
	return ERR_OK;
}

static bool tomb_listed(const struct files *fs, const char *name)
{
	for (size_t i = 0; i < fs->tombs_count; i++)
		if (strcmp(fs->tombs[i].name, name) == 0)
			return true;
	return false;
}

/* A file of deletions that is whole: it is believed, in its place among the others. */
static enum err tomb_adopt(struct fsio_dir *d, const char *name, struct files *fs, struct errbuf *eb)
{
	struct files_tomb t = { .rank = 0 }, last;
	struct tombs *set = NULL;
	struct errbuf why;
	uint64_t rank;
	if (tomb_listed(fs, name) || !tombs_name_parse(name, &rank))
		return ERR_OK;
	if (rank >= fs->next_rank && rank < UINT64_MAX)
		fs->next_rank = rank + 1;
	errbuf_init(&why);
	enum err e = tombs_load(d, name, fs->shard, &set, &why);
	if (is_lost(e)) {
		LOG_WARN("file_not_adopted", "shard=%" PRIu32 " err=%s text=\"%s\"", fs->shard,
		    err_text(e), why.text);
		return ERR_OK;
	}
	if (e)
		return errbuf_set(eb, e, "%s", why.text);
	memcpy(t.name, name, strlen(name) + 1);
	t.rank = rank;
	t.entries = set->count;
	tombs_unpin(set);
	size_t at = fs->tombs_count;
	while (at && fs->tombs[at - 1].rank > rank)
		at--;
	if (at && fs->tombs[at - 1].rank == rank)
		return ERR_OK;
	for (; at < fs->tombs_count; at++) {
		last = fs->tombs[at];
		fs->tombs[at] = t;
		t = last;
	}
	files_tombs_set(fs, fs->tombs_count, &t);
	return ERR_OK;
}

/* Names without a file leave. */
static void tombs_keep(struct files *fs, const struct name_index *there)
{
	size_t kept = 0;
	for (size_t i = 0; i < fs->tombs_count; i++)
		if (name_index_has(there, fs->tombs[i].name))
			fs->tombs[kept++] = fs->tombs[i];
	fs->tombs_count = kept;
}

static bool is_there(void *arg, const struct files_entry *e)
{
	return name_index_has(arg, e->name);
}

static enum err list_correct(
    struct fsio_dir *d, struct files *fs, size_t *data_files, struct errbuf *eb)
{
	struct names ns = { 0 };
	struct name_index there, listed;
	*data_files = 0;
	enum err e = fsio_dir_each(d, names_add, &ns);
	if (e) {
		mem_free(ns.list);
		return errbuf_set(eb, e, "%s cannot be listed: %s", fsio_dir_path(d), err_why(e));
	}
	CHECK(name_index_make(&there, ns.list ? ns.list[0] : NULL, CFILE_NAME_MAX, ns.count));
	files_keep(fs, is_there, &there);
	tombs_keep(fs, &there);
	struct files before;
	files_copy(&before, fs);
	CHECK(name_index_of(&listed, &before));
	for (size_t i = 0; !e && i < ns.count; i++) {
		if (has_suffix(ns.list[i], TOMBS_SUFFIX))
			e = tomb_adopt(d, ns.list[i], fs, eb);
		if (!has_suffix(ns.list[i], DATA_SUFFIX))
			continue;
		++*data_files;
		if (!name_index_has(&listed, ns.list[i]))
			e = file_adopt(d, ns.list[i], fs, eb);
	}
	name_index_release(&there);
	name_index_release(&listed);
	files_release(&before);
	mem_free(ns.list);
	return e;
}

enum err files_load(struct fsio_dir *d, uint32_t shard, struct files *fs, enum files_found *found,
    struct errbuf *eb)
{
	struct files got;
	enum err current = list_load(d, FILES_NAME, shard, &got, eb);
	if (!current) {
		*found = FILES_FOUND_CURRENT;
		*fs = got;
		return ERR_OK;
	}
	if (current == ERR_UNSUPPORTED || !is_lost(current))
		return current;
	if (current != ERR_NOTFOUND)
		LOG_ERROR("files_unreadable", "shard=%" PRIu32 " file=%s err=%s text=\"%s\"", shard,
		    FILES_NAME, err_text(current), eb ? eb->text : "");
	if (eb)
		errbuf_init(eb);
	enum err prev = list_load(d, FILES_PREV, shard, &got, eb);
	if (prev == ERR_UNSUPPORTED || (prev && !is_lost(prev)))
		return prev;
	if (prev)
		files_init(&got, shard);
	if (eb)
		errbuf_init(eb);
	size_t data_files = 0;
	enum err e = list_correct(d, &got, &data_files, eb);
	if (e) {
		files_release(&got);
		return e;
	}
	if (!prev)
		*found = FILES_FOUND_PREV;
	else
		*found = current == ERR_NOTFOUND && prev == ERR_NOTFOUND && data_files == 0
		    ? FILES_FOUND_NEW
		    : FILES_FOUND_NONE;
	*fs = got;
	return ERR_OK;
}

/* ---- switching ---- */

static enum err remove_if_there(struct fsio_dir *d, const char *name)
{
	enum err e = fsio_remove(d, name);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err tmp_write(struct fsio_dir *d, const struct files *fs)
{
	struct buf text;
	struct fsio_file *io = NULL;
	enum err e = remove_if_there(d, TMP_NAME);
	if (!e)
		e = fdcache_open_other(d, TMP_NAME, FSIO_CREATE, &io);
	if (e)
		return e;
	buf_init(&text);
	files_format(fs, &text);
	if (text.len > FILES_SIZE_MAX) { /* it could not be read again */
		LOG_EVERY(LOG_LEVEL_ERROR, "files_list_too_large",
		    "shard=%" PRIu32 " files=%zu bytes=%zu limit=%u", fs->shard, fs->count,
		    text.len, FILES_SIZE_MAX);
		e = ERR_TOOBIG;
	}
	if (!e)
		e = fsio_write_at(io, text.data, text.len, 0);
	if (!e)
		e = fsio_sync(io);
	fsio_close(io);
	buf_release(&text);
	return e;
}

/* Whole, and of this shard: what it says is not looked at. */
static bool list_whole(const uint8_t *data, size_t len, uint32_t shard)
{
	static const char *const firsts[] = { FIRST_LINE, FIRST_LINE_3 };
	bool ours = false;
	for (size_t i = 0; i < COUNT_OF(firsts); i++) {
		char begin[64];
		int n = snprintf(begin, sizeof(begin), "%sshard %" PRIu32 "\n", firsts[i], shard);
		ours |= len > (size_t)n && memcmp(data, begin, (size_t)n) == 0;
	}
	return ours && crc_good((const char *)data, len);
}

/*
 * The list on disk becomes FILES.prev, unless it is damaged or cannot be read: then the good
 * FILES.prev must stay. Without a newer one it stays, too: the switch does not hang on it, for an
 * old one is corrected from the data files all the same.
 */
static void prev_keep(struct fsio_dir *d, uint32_t shard)
{
	uint8_t *data = NULL;
	size_t len = 0;
	enum err e = fsio_load(d, FILES_NAME, FILES_SIZE_MAX, &data, &len);
	bool whole = !e && list_whole(data, len, shard);
	mem_free(data);
	if (e == ERR_NOTFOUND || (!e && !whole))
		return;
	/*
	 * A link by a crashed switch may be left; renaming two names of one file would do nothing.
	 */
	if (!e)
		e = remove_if_there(d, PREV_TMP_NAME);
	if (!e)
		e = fsio_link(d, FILES_NAME, PREV_TMP_NAME);
	if (!e)
		e = fsio_rename(d, PREV_TMP_NAME, FILES_PREV);
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "files_prev_not_kept",
		    "shard=%" PRIu32 " err=%s text=\"%s\"", shard, err_text(e), err_why(e));
}

enum err files_switch(struct files_switcher *sw, struct files *next)
{
	if (next->count > FILES_COUNT_MAX)
		return ERR_TOOBIG;
	next->generation++;
	enum err e = fsio_dir_sync(sw->dir); /* (2): the names of the new files */
	if (!e)
		e = tmp_write(sw->dir, next);
	if (e) {
		/* FILES is as it was. On a full disk the room of the new one counts. */
		if (remove_if_there(sw->dir, TMP_NAME))
			LOG_EVERY(LOG_LEVEL_WARN, "file_not_removed", "shard=%" PRIu32 " file=%s",
			    next->shard, TMP_NAME);
		return e;
	}
	prev_keep(sw->dir, next->shard);
	sw->unknown = true;
	e = fsio_rename(sw->dir, TMP_NAME, FILES_NAME);
	if (!e)
		e = fsio_dir_sync(sw->dir);
	sw->unknown = e != ERR_OK;
	return e;
}

enum err files_remove(struct files_switcher *sw, const char *name)
{
	return sw->unknown ? ERR_BUSY : remove_if_there(sw->dir, name);
}

static enum err set_aside(struct fsio_dir *d, const char *name)
{
	char to[sizeof(FILES_ASIDE_DIR) + CFILE_NAME_MAX];
	(void)snprintf(to, sizeof(to), "%s/%s", FILES_ASIDE_DIR, name);
	return fsio_rename(d, name, to);
}

/* Names of ours that the list does not have. */
static enum err names_unlisted(struct fsio_dir *d, const struct files *fs, struct names *ns)
{
	struct name_index listed;
	enum err e = fsio_dir_each(d, names_add, ns);
	CHECK(name_index_of(&listed, fs));
	size_t kept = 0;
	for (size_t i = 0; i < ns->count; i++)
		if (!name_index_has(&listed, ns->list[i]) && !tomb_listed(fs, ns->list[i]))
			memmove(ns->list[kept++], ns->list[i], CFILE_NAME_MAX);
	ns->count = kept;
	name_index_release(&listed);
	return e;
}

enum err files_aside(struct fsio_dir *d, const struct files *fs, size_t *count, struct errbuf *eb)
{
	struct names ns = { 0 };
	struct fsio_dir *sub = NULL;
	*count = 0;
	enum err e = names_unlisted(d, fs, &ns);
	for (size_t i = 0; !e && i < ns.count; i++) {
		if (!has_suffix(ns.list[i], DATA_SUFFIX) && !has_suffix(ns.list[i], TOMBS_SUFFIX))
			continue;
		if (!sub)
			e = fsio_dir_sub(d, FILES_ASIDE_DIR, true, &sub);
		if (!e)
			e = set_aside(d, ns.list[i]);
		if (!e)
			LOG_WARN("file_set_aside", "shard=%" PRIu32 " file=%s/%s", fs->shard,
			    FILES_ASIDE_DIR, ns.list[i]);
		*count += !e;
	}
	if (!e && sub)
		e = fsio_dir_sync(sub);
	if (!e && *count)
		e = fsio_dir_sync(d);
	if (e)
		(void)errbuf_set(eb, e, "%s: what no list names cannot be set aside: %s",
		    fsio_dir_path(d), err_why(e));
	if (sub)
		fsio_dir_close(sub);
	mem_free(ns.list);
	return e;
}

enum err files_clean(struct files_switcher *sw, const struct files *fs, size_t *count,
    void (*left)(void *arg, const char *name), void *arg)
{
	struct names ns = { 0 };
	*count = 0;
	if (sw->unknown)
		return ERR_BUSY;
	enum err e = names_unlisted(sw->dir, fs, &ns);
	for (size_t i = 0; !e && i < ns.count; i++) {
		enum err gone = remove_if_there(sw->dir, ns.list[i]);
		if (gone && left)
			left(arg, ns.list[i]);
		*count += !gone;
	}
	if (!e && *count)
		e = fsio_dir_sync(sw->dir);
	mem_free(ns.list);
	return e;
}
