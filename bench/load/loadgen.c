#include "bench/load/loadgen.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "core/model/label.h"

struct tmpl { /* one line of a page */
	struct labels labels;
	double base;
	unsigned file;
	bool still;     /* others have recorded values: this one stays what it is */
	double *replay; /* [scrapes], NaN with bits GEN_ABSENT where absent */
};
struct target {
	unsigned file, no, revision;
	size_t first; /* index of its first series */
};
/*
 * Labels of a template for all targets whose instance and revision have the same lengths: the
 * bytes, and where the two values stand.
 */
struct mould {
	uint8_t *bytes;
	uint32_t len, instance_at, revision_at;
};
#define TEXT_MAX 48u /* of instance and revision */
struct moulds {      /* of one pair of lengths; NULL = not made yet */
	struct mould *of[TEXT_MAX][TEXT_MAX];
};
struct loadgen {
	struct loadgen_opts o;
	struct arena arena; /* templates */
	struct tmpl *tmpls;
	size_t tmpls_count, tmpls_cap;
	size_t file_first[GEN_FILES_MAX + 1]; /* templates of each file */
	unsigned scrapes[GEN_FILES_MAX];
	struct moulds moulds; /* [templates] each */
	struct target *targets;
	size_t targets_count;
	size_t series_count;
	uint32_t *order; /* shuffle; NULL: as they come */
	uint64_t round;
};

#define ABSENT_BITS        0x7ff8dead00000001u
#define REPLAY_SCRAPES_MAX 3000
#define REPLAY_SHIFT       97

/*
 * Splits an exposition line into name, labels text and value text; false for comments and rubbish.
 */
static bool split_line(char *line, char **name, char **labels, char **value)
{
	while (*line == ' ')
		line++;
	if (!*line || *line == '#' || *line == '@')
		return false;
	*name = line;
	char *p = line + strcspn(line, "{ ");
	*labels = NULL;
	if (*p == '{') {
		*p++ = 0;
		*labels = p;
		bool quoted = false;
		for (; *p && (quoted || *p != '}'); p++) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == '"')
				quoted = !quoted;
		}
		if (!*p)
			return false;
		*p++ = 0;
	} else {
		if (!*p)
			return false;
		*p++ = 0;
	}
	p += strspn(p, " ");
	*value = p;
	return *p != 0;
}

static void parse_labels(struct label_builder *b, struct arena *a, char *p)
{
	while (p && *p) {
		char *name = p;
		p += strcspn(p, "=");
		if (!*p || p[1] != '"')
			return;
		size_t name_len = (size_t)(p - name);
		char *in = p + 2, *out = in, *value = in;
		for (; *in && *in != '"'; in++) {
			if (*in == '\\' && in[1]) {
				in++;
				*out++ = *in == 'n' ? '\n' : *in;
			} else {
				*out++ = *in;
			}
		}
		label_builder_set(b, name, name_len, arena_dup(a, value, (size_t)(out - value)),
		    (size_t)(out - value));
		p = *in ? in + 1 : in;
		p += strspn(p, ", ");
	}
}

static struct tmpl *add_tmpl(struct loadgen *g, unsigned file, char *name, char *labels)
{
	if (g->tmpls_count == g->tmpls_cap) {
		g->tmpls_cap = g->tmpls_cap ? 2 * g->tmpls_cap : 1024;
		g->tmpls = mem_array(g->tmpls, g->tmpls_cap, sizeof(*g->tmpls));
	}
	struct label_builder b;
	label_builder_init(&b, &g->arena);
	label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME),
	    arena_strndup(&g->arena, name, strlen(name)), strlen(name));
	parse_labels(&b, &g->arena, labels);
	struct tmpl *t = &g->tmpls[g->tmpls_count++];
	*t = (struct tmpl){ .labels = label_builder_done(&b), .file = file };
	return t;
}

static FILE *open_page(const char *path, bool *piped)
{
	size_t n = strlen(path);
	*piped = n > 3 && !strcmp(path + n - 3, ".xz");
	if (!*piped)
		return fopen(path, "r");
	char cmd[4200];
	if (strchr(path, '\''))
		return NULL;
	snprintf(cmd, sizeof(cmd), "xz -dc -- '%s'", path);
	return popen(cmd, "r");
}

static int close_page(FILE *f, bool piped)
{
	return piped ? pclose(f) : fclose(f);
}

static enum err load_page(struct loadgen *g, const char *path, struct errbuf *eb)
{
	bool piped;
	FILE *f = open_page(path, &piped);
	if (!f)
		return errbuf_set(eb, ERR_IO, "cannot read %s", path);
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	while ((n = getline(&line, &cap, f)) > 0) {
		char *name, *labels, *value;
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (split_line(line, &name, &labels, &value))
			add_tmpl(g, 0, name, labels)->base = strtod(value, NULL);
	}
	free(line);
	close_page(f, piped);
	return g->tmpls_count ? ERR_OK : errbuf_set(eb, ERR_BADDATA, "%s holds no samples", path);
}

/*
 * Recorded file: the same series come in about the same order each time, so the next template is
 * tried first.
 */
static enum err load_replay(struct loadgen *g, unsigned file, const char *path, struct errbuf *eb)
{
	bool piped;
	FILE *f = open_page(path, &piped);
	if (!f)
		return errbuf_set(eb, ERR_IO, "cannot read %s", path);
	size_t first = g->tmpls_count, guess = first;
	char **keys = NULL;
	size_t keys_cap = 0;
	unsigned scrape = 0;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = 0;
		if (line[0] == '@') {
			if (scrape == REPLAY_SCRAPES_MAX)
				break;
			scrape++;
			guess = first;
			continue;
		}
		char *space = strrchr(line, ' ');
		if (line[0] == '#' || !space || !scrape)
			continue;
		size_t key_len = (size_t)(space - line);
		size_t i = guess;
		if (i >= g->tmpls_count || strncmp(keys[i - first], line, key_len) ||
		    keys[i - first][key_len]) {
			for (i = first; i < g->tmpls_count; i++) {
				if (!strncmp(keys[i - first], line, key_len) &&
				    !keys[i - first][key_len])
					break;
			}
		}
		double v = strtod(space + 1, NULL);
		if (i == g->tmpls_count) {
			if (i - first == keys_cap) {
				keys_cap = keys_cap ? 2 * keys_cap : 1024;
				keys = mem_array(keys, keys_cap, sizeof(*keys));
			}
			keys[i - first] = arena_strndup(&g->arena, line, key_len);
			char *name, *labels, *value;
			if (!split_line(line, &name, &labels, &value))
				continue;
			struct tmpl *t = add_tmpl(g, file, name, labels);
			t->replay = mem_array(NULL, REPLAY_SCRAPES_MAX, sizeof(double));
			for (unsigned k = 0; k < REPLAY_SCRAPES_MAX; k++) {
				uint64_t bits = ABSENT_BITS;
				memcpy(&t->replay[k], &bits, 8);
			}
		}
		g->tmpls[i].replay[scrape - 1] = v;
		guess = i + 1;
	}
	free(line);
	mem_free(keys);
	int status = close_page(f, piped);
	g->scrapes[file] = scrape;
	if (status || !scrape)
		return errbuf_set(eb, ERR_BADDATA, "%s is not a recording", path);
	return ERR_OK;
}

/* The recording's values go to the page's series of the same labels; the rest of it is dropped. */
static enum err load_values(struct loadgen *g, const char *path, struct errbuf *eb)
{
	size_t page = g->tmpls_count, found = 0;
	enum err e = load_replay(g, 0, path, eb);

	for (size_t i = page; i < g->tmpls_count; i++) {
		struct tmpl *from = &g->tmpls[i];
		for (size_t k = 0; k < page && from->replay; k++) {
			struct tmpl *to = &g->tmpls[k];
			if (to->replay || !label_equal(to->labels, from->labels))
				continue;
			to->replay = from->replay;
			from->replay = NULL;
			found++;
		}
		mem_free(from->replay);
	}
	g->tmpls_count = page;
	for (size_t k = 0; k < page; k++)
		g->tmpls[k].still = !g->tmpls[k].replay;
	if (!e && !found)
		return errbuf_set(eb, ERR_BADDATA, "%s holds no series of the page", path);
	return e;
}

/* The built-in page: the shape of a node_exporter on a machine of 8 cores, some 500 series. */
static void builtin_page(struct loadgen *g)
{
	static const char *const modes[] = { "idle", "iowait", "irq", "nice", "softirq", "steal",
		"system", "user" };
	static const char *const per_disk[] = { "node_disk_reads_completed_total",
		"node_disk_read_bytes_total", "node_disk_written_bytes_total",
		"node_disk_writes_completed_total", "node_disk_io_time_seconds_total",
		"node_disk_io_now", "node_disk_read_time_seconds_total",
		"node_disk_write_time_seconds_total" };
	static const char *const per_net[] = { "node_network_receive_bytes_total",
		"node_network_transmit_bytes_total", "node_network_receive_packets_total",
		"node_network_transmit_packets_total", "node_network_receive_errs_total",
		"node_network_transmit_errs_total", "node_network_up", "node_network_mtu_bytes",
		"node_network_speed_bytes", "node_network_receive_drop_total" };
	static const char *const per_fs[] = { "node_filesystem_avail_bytes",
		"node_filesystem_size_bytes", "node_filesystem_free_bytes", "node_filesystem_files",
		"node_filesystem_files_free", "node_filesystem_readonly" };
	static const char *const devices[] = { "vda", "vdb", "nvme0n1", "nvme1n1", "dm-0", "dm-1" };
	static const char *const nets[] = { "eth0", "eth1", "lo", "docker0", "veth4f6f4f1",
		"veth9c0a7b2", "bond0", "cni0" };
	static const char *const mounts[] = { "/", "/boot", "/boot/efi", "/var", "/var/lib/docker",
		"/home", "/run", "/run/lock" };
	char name[128], labels[256];
	for (unsigned cpu = 0; cpu < 8; cpu++) {
		for (size_t m = 0; m < COUNT_OF(modes); m++) {
			snprintf(labels, sizeof(labels), "cpu=\"%u\",mode=\"%s\"", cpu, modes[m]);
			snprintf(name, sizeof(name), "node_cpu_seconds_total");
			add_tmpl(g, 0, name, labels)->base = 1000.0 * (m + 1) + cpu;
		}
	}
	for (size_t d = 0; d < COUNT_OF(devices); d++) {
		for (size_t m = 0; m < COUNT_OF(per_disk); m++) {
			snprintf(labels, sizeof(labels), "device=\"%s\"", devices[d]);
			snprintf(name, sizeof(name), "%s", per_disk[m]);
			add_tmpl(g, 0, name, labels)->base = 1e5 * (d + 1) + m;
		}
	}
	for (size_t d = 0; d < COUNT_OF(nets); d++) {
		for (size_t m = 0; m < COUNT_OF(per_net); m++) {
			snprintf(labels, sizeof(labels), "device=\"%s\"", nets[d]);
			snprintf(name, sizeof(name), "%s", per_net[m]);
			add_tmpl(g, 0, name, labels)->base = 1e6 * (d + 1) + m;
		}
	}
	for (size_t d = 0; d < COUNT_OF(mounts); d++) {
		for (size_t m = 0; m < COUNT_OF(per_fs); m++) {
			snprintf(labels, sizeof(labels),
			    "device=\"/dev/%s\",fstype=\"ext4\",mountpoint=\"%s\"",
			    devices[d % COUNT_OF(devices)], mounts[d]);
			snprintf(name, sizeof(name), "%s", per_fs[m]);
			add_tmpl(g, 0, name, labels)->base = 4096.0 * (1000 * (d + 1) + m);
		}
	}
	for (unsigned i = 0; g->tmpls_count < 500; i++) {
		snprintf(name, sizeof(name), "node_%s_%s_%u", i % 3 ? "memory" : "vmstat",
		    i % 2 ? "bytes" : "pages_total", i);
		add_tmpl(g, 0, name, NULL)->base = 4096.0 * (i + 1);
	}
}

/* Where value stands in the labels: it is a text that comes in no page. */
static uint32_t place_of(struct labels ls, const char *value, size_t len)
{
	const uint8_t *at = memmem(ls.bytes, ls.len, value, len);
	return (uint32_t)(at - ls.bytes);
}

static struct mould mould_make(
    struct loadgen *g, const struct tmpl *t, size_t instance_len, size_t revision_len)
{
	static const char *const jobs[GEN_FILES_MAX] = { "node_exporter", "job-1", "job-2", "job-3",
		"job-4", "job-5", "job-6", "job-7" };
	char instance[TEXT_MAX], revision[TEXT_MAX];
	memset(instance, 0xf1, sizeof(instance)); /* no page, and no length, has such bytes */
	memset(revision, 0xf2, sizeof(revision));
	struct label_builder b;
	label_builder_from(&b, &g->arena, t->labels);
	label_builder_set(&b, "job", 3, jobs[t->file], strlen(jobs[t->file]));
	label_builder_set(&b, "instance", 8, instance, instance_len);
	label_builder_set(&b, "revision", 8, revision, revision_len);
	struct labels ls = label_builder_done(&b);
	struct mould m = { .bytes = arena_dup(&g->arena, ls.bytes, ls.len), .len = ls.len };
	m.instance_at = place_of(ls, instance, instance_len);
	m.revision_at = place_of(ls, revision, revision_len);
	return m;
}

static const struct mould *moulds_of(struct loadgen *g, size_t instance_len, size_t revision_len)
{
	struct mould **of = &g->moulds.of[instance_len][revision_len];
	if (!*of) {
		*of = mem_zalloc(g->tmpls_count * sizeof(**of));
		for (size_t k = 0; k < g->tmpls_count; k++)
			(*of)[k] = mould_make(g, &g->tmpls[k], instance_len, revision_len);
	}
	return *of;
}

/* The target of a series: the last one that begins at it or before. */
static size_t target_at(const struct loadgen *g, size_t series)
{
	size_t lo = 0, hi = g->targets_count;
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;
		if (g->targets[mid].first <= series)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void make_targets(struct loadgen *g)
{
	unsigned files = g->o.replay_count ? g->o.replay_count : 1;
	uint64_t per_page = g->tmpls_count;
	uint64_t targets = g->o.replay_count ? g->o.targets : (g->o.series + per_page - 1) / per_page;
	g->targets_count = targets * files;
	g->targets = mem_zalloc(g->targets_count * sizeof(*g->targets));
	uint64_t most = g->o.replay_count ? per_page * targets : g->o.series;
	for (size_t i = 0; i < g->targets_count; i++) {
		unsigned file = (unsigned)(i % files);
		g->targets[i] = (struct target){
			.file = file, .no = (unsigned)(i / files), .first = g->series_count
		};
		uint64_t own = g->file_first[file + 1] - g->file_first[file];
		g->series_count += own < most - g->series_count ? own : most - g->series_count;
	}
}

static void make_order(struct loadgen *g)
{
	if (!g->o.shuffle)
		return;
	g->order = mem_array(NULL, g->series_count, sizeof(*g->order));
	for (size_t i = 0; i < g->series_count; i++)
		g->order[i] = (uint32_t)i;
	for (size_t i = g->series_count; i > 1; i--) {
		size_t j = hash_mix64(i) % i;
		uint32_t x = g->order[i - 1];
		g->order[i - 1] = g->order[j];
		g->order[j] = x;
	}
}

enum err loadgen_create(const struct loadgen_opts *o, struct loadgen **out, struct errbuf *eb)
{
	struct loadgen *g = mem_zalloc(sizeof(*g));
	g->o = *o;
	arena_init(&g->arena, 1 << 20);
	enum err e = ERR_OK;
	if (o->instance && (!strchr(o->instance, '#') || strlen(o->instance) + 10 > TEXT_MAX))
		e = errbuf_set(eb, ERR_BADDATA,
		    "instance \"%s\": at most %u characters with a # for each digit of the number",
		    o->instance, TEXT_MAX - 10);
	for (unsigned i = 0; i < o->replay_count && !e; i++) {
		g->file_first[i] = g->tmpls_count;
		e = load_replay(g, i, o->replay[i], eb);
		g->file_first[i + 1] = g->tmpls_count;
	}
	if (!o->replay_count) {
		if (o->page)
			e = load_page(g, o->page, eb);
		else
			builtin_page(g);
		if (!e && o->values)
			e = load_values(g, o->values, eb);
		g->file_first[1] = g->tmpls_count;
	}
	if (e) {
		loadgen_free(g);
		return e;
	}
	make_targets(g);
	make_order(g);
	*out = g;
	return ERR_OK;
}

void loadgen_free(struct loadgen *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->tmpls_count; i++)
		mem_free(g->tmpls[i].replay);
	for (size_t i = 0; i < TEXT_MAX * TEXT_MAX; i++)
		mem_free(g->moulds.of[i / TEXT_MAX][i % TEXT_MAX]);
	mem_free(g->tmpls);
	mem_free(g->targets);
	mem_free(g->order);
	arena_release(&g->arena);
	mem_free(g);
}

uint64_t loadgen_series(const struct loadgen *g)
{
	return g->series_count;
}

uint64_t loadgen_batches(const struct loadgen *g)
{
	return (g->series_count + g->o.batch - 1) / g->o.batch;
}

void loadgen_round(struct loadgen *g, uint64_t round)
{
	g->round = round;
	if (g->o.churn <= 0 || round == 0)
		return;
	for (size_t i = 0; i < g->targets_count; i++) {
		double u = (double)(hash_mix64(round * 1000003 + i) >> 11) / 9007199254740992.0;
		if (u < g->o.churn)
			g->targets[i].revision++;
	}
}

/* Page mode: shapes by hash of the series, most hardly move. */
static double shape_value(const struct loadgen *g, size_t target, size_t tmpl)
{
	uint64_t h = hash_mix64(((uint64_t)target << 32) | tmpl), r = g->round;
	double base = g->tmpls[tmpl].base;
	switch (h % 20) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4: /* a counter that moves */
		return floor(fabs(base)) + (double)(r * (h >> 8 & 1023) + (hash_mix64(h + r) & 63));
	case 5:
	case 6: /* seconds of something, two decimals */
		return floor(fabs(base) * 100) / 100 + (double)(r * (h >> 8 & 1023)) / 100;
	case 7:
	case 8: /* bytes in pages */
		return 4096.0 * (double)((h >> 12 & 0xfffff) + (hash_mix64(h ^ r) & 1023));
	case 9: /* a gauge of two decimals */
		return (double)(hash_mix64(h + r) % 10000) / 100;
	case 10:
	case 11: /* a slow counter */
		return floor(fabs(base)) + (double)((r + h % 60) / 60);
	default:
		return base;
	}
}

/* What the series of one target have in common. */
struct common {
	size_t target, first, end; /* series [first, end) */
	const struct mould *moulds;
	char instance[TEXT_MAX], revision[TEXT_MAX];
	size_t instance_len, revision_len;
};

/* The digits of the number in place of the first run of "#", zeros before it. */
static size_t instance_put(const char *form, unsigned no, char out[TEXT_MAX])
{
	if (!form)
		return (size_t)snprintf(out, TEXT_MAX, "instance-%u", no);
	int before = (int)strcspn(form, "#"), digits = (int)strspn(form + before, "#");
	return (size_t)snprintf(
	    out, TEXT_MAX, "%.*s%0*u%s", before, form, digits, no, form + before + digits);
}

static void common_begin(struct loadgen *g, struct common *c, size_t series)
{
	const struct target *t = &g->targets[c->target = target_at(g, series)];
	c->first = t->first;
	c->end = c->target + 1 < g->targets_count ? t[1].first : g->series_count;
	c->instance_len = instance_put(g->o.instance, t->no, c->instance);
	c->revision_len = (size_t)snprintf(c->revision, TEXT_MAX, "r%u", t->revision);
	c->moulds = moulds_of(g, c->instance_len, c->revision_len);
}

static void labels_add(const struct common *c, const struct mould *m, struct buf *raw)
{
	size_t at = raw->len;
	buf_add(raw, m->bytes, m->len);
	memcpy(raw->data + at + m->instance_at, c->instance, c->instance_len);
	memcpy(raw->data + at + m->revision_at, c->revision, c->revision_len);
}

uint64_t loadgen_body(struct loadgen *g, uint64_t batch, struct buf *raw)
{
	buf_clear(raw);
	uint64_t from = batch * g->o.batch, to = from + g->o.batch, samples = 0;
	struct common c = { .end = 0 };
	if (to > g->series_count)
		to = g->series_count;
	int64_t t_ms = g->o.start_ms + (int64_t)g->round * g->o.step_ms;
	for (uint64_t i = from; i < to; i++) {
		size_t series = g->order ? g->order[i] : i;
		if (series < c.first || series >= c.end)
			common_begin(g, &c, series);
		const struct target *target = &g->targets[c.target];
		size_t tmpl = g->file_first[target->file] + (series - c.first);
		const struct tmpl *m = &g->tmpls[tmpl];
		const struct mould *mould = &c.moulds[tmpl];
		double v;
		if (m->replay) {
			v = m->replay[(g->round + (uint64_t)REPLAY_SHIFT * target->no) %
			    g->scrapes[m->file]];
			uint64_t bits;
			memcpy(&bits, &v, 8);
			if (bits == ABSENT_BITS)
				continue;
		} else {
			v = m->still ? m->base : shape_value(g, c.target, tmpl);
		}
		uint8_t sample[32], *p = sample;
		*p++ = 0x09;
		memcpy(p, &v, 8);
		p += 8;
		*p++ = 0x10;
		p = wire_store_varint(p, (uint64_t)t_ms);
		size_t sample_len = (size_t)(p - sample);
		buf_add_u8(raw, 0x0a);
		wire_put_varint(raw, mould->len + 2 + sample_len);
		labels_add(&c, mould, raw);
		buf_add_u8(raw, 0x12);
		buf_add_u8(raw, (uint8_t)sample_len);
		buf_add(raw, sample, sample_len);
		samples++;
	}
	return samples;
}
