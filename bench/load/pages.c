/* pages - templates of series from exposition pages, recorded scrapes, and made-up ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/loadgen_priv.h"

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

struct tmpl *tmpl_add(struct loadgen *g, unsigned file, const char *name, char *labels)
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
		if (split_line(line, &name, &labels, &value)) {
			struct tmpl *t = tmpl_add(g, 0, name, labels);
			t->base = strtod(value, NULL);
		}
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
			struct tmpl *t = tmpl_add(g, file, name, labels);
			t->walk = WALK_PLAYED;
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
			to->walk = WALK_PLAYED;
			from->replay = NULL;
			found++;
		}
		mem_free(from->replay);
	}
	g->tmpls_count = page;
	for (size_t k = 0; k < page; k++)
		if (!g->tmpls[k].replay)
			g->tmpls[k].walk = WALK_STILL;
	if (!e && !found)
		return errbuf_set(eb, ERR_BADDATA, "%s holds no series of the page", path);
	return e;
}

enum err pages_load(struct loadgen *g, struct errbuf *eb)
{
	enum err e = ERR_OK;
	for (unsigned i = 0; i < g->o.replay_count && !e; i++) {
		g->file_first[i] = g->tmpls_count;
		e = load_replay(g, i, g->o.replay[i], eb);
		g->file_first[i + 1] = g->tmpls_count;
	}
	if (e || g->o.replay_count)
		return e;
	if (g->o.page)
		e = load_page(g, g->o.page, eb);
	if (!e && g->o.values)
		e = load_values(g, g->o.values, eb);
	return e;
}

/* ---- a node_exporter that is made up ---- */

static const char *const cpu_modes[] = { "idle", "iowait", "irq", "nice", "softirq", "steal",
	"system", "user" };
static const char *const per_disk[] = { "node_disk_reads_completed_total",
	"node_disk_read_bytes_total", "node_disk_written_bytes_total",
	"node_disk_writes_completed_total", "node_disk_io_time_seconds_total", "node_disk_io_now",
	"node_disk_read_time_seconds_total", "node_disk_write_time_seconds_total" };
static const char *const more_per_disk[] = { "node_disk_reads_merged_total",
	"node_disk_writes_merged_total", "node_disk_io_time_weighted_seconds_total",
	"node_disk_discards_completed_total", "node_disk_discards_merged_total",
	"node_disk_discarded_sectors_total", "node_disk_discard_time_seconds_total",
	"node_disk_flush_requests_total", "node_disk_flush_requests_time_seconds_total" };
static const char *const per_net[] = { "node_network_receive_bytes_total",
	"node_network_transmit_bytes_total", "node_network_receive_packets_total",
	"node_network_transmit_packets_total", "node_network_receive_errs_total",
	"node_network_transmit_errs_total", "node_network_up", "node_network_mtu_bytes",
	"node_network_speed_bytes", "node_network_receive_drop_total" };
static const char *const more_per_net[] = { "node_network_carrier",
	"node_network_carrier_changes_total", "node_network_carrier_down_changes_total",
	"node_network_carrier_up_changes_total", "node_network_flags", "node_network_iface_id",
	"node_network_iface_link", "node_network_receive_compressed_total",
	"node_network_receive_fifo_total", "node_network_receive_frame_total",
	"node_network_receive_multicast_total", "node_network_receive_nohandler_total",
	"node_network_transmit_carrier_total", "node_network_transmit_colls_total",
	"node_network_transmit_compressed_total", "node_network_transmit_drop_total",
	"node_network_transmit_fifo_total", "node_network_transmit_queue_length" };
static const char *const per_mount[] = { "node_filesystem_avail_bytes",
	"node_filesystem_size_bytes", "node_filesystem_free_bytes", "node_filesystem_files",
	"node_filesystem_files_free", "node_filesystem_readonly" };
static const char *const more_per_mount[] = { "node_filesystem_device_error" };
static const char *const per_cpu[] = { "node_cpu_scaling_frequency_hertz",
	"node_cpu_scaling_frequency_max_hertz", "node_schedstat_running_seconds_total",
	"node_schedstat_waiting_seconds_total", "node_schedstat_timeslices_total",
	"node_softnet_processed_total", "node_softnet_dropped_total",
	"node_softnet_times_squeezed_total" };
static const char *const devices[] = { "vda", "vdb", "nvme0n1", "nvme1n1", "dm-0", "dm-1" };
static const char *const nets[] = { "eth0", "eth1", "lo", "docker0", "veth4f6f4f1", "veth9c0a7b2",
	"bond0", "cni0" };
static const char *const mounts[] = { "/", "/boot", "/boot/efi", "/var", "/var/lib/docker", "/home",
	"/run", "/run/lock" };

static void add_family(
    struct loadgen *g, const char *const *names, size_t count, char *labels, double base)
{
	for (size_t m = 0; m < count; m++) {
		char copy[256];
		snprintf(copy, sizeof(copy), "%s", labels);
		tmpl_add(g, 0, names[m], copy)->base = base + (double)m;
	}
}

static void add_cpus(struct loadgen *g, const struct node_shape *s)
{
	char labels[256];
	for (unsigned cpu = 0; cpu < s->cpus; cpu++) {
		for (size_t m = 0; m < COUNT_OF(cpu_modes); m++) {
			snprintf(labels, sizeof(labels), "cpu=\"%u\",mode=\"%s\"", cpu, cpu_modes[m]);
			tmpl_add(g, 0, "node_cpu_seconds_total", labels)->base =
			    1000.0 * (double)(m + 1) + cpu;
		}
	}
	for (unsigned cpu = 0; s->whole && cpu < s->cpus; cpu++) {
		for (size_t m = 0; m < 2; m++) {
			snprintf(labels, sizeof(labels), "cpu=\"%u\",mode=\"%s\"", cpu,
			    m ? "user" : "nice");
			tmpl_add(g, 0, "node_cpu_guest_seconds_total", labels)->base = 0;
		}
		snprintf(labels, sizeof(labels), "cpu=\"%u\"", cpu);
		add_family(g, per_cpu, COUNT_OF(per_cpu), labels, 1e4 * (cpu + 1));
	}
}

static void add_devices(struct loadgen *g, const struct node_shape *s)
{
	char labels[256];
	for (unsigned d = 0; d < s->disks; d++) {
		snprintf(labels, sizeof(labels), "device=\"%s\"", devices[d]);
		add_family(g, per_disk, COUNT_OF(per_disk), labels, 1e5 * (d + 1));
		if (s->whole)
			add_family(g, more_per_disk, COUNT_OF(more_per_disk), labels, 2e5 * (d + 1));
	}
	for (unsigned d = 0; d < s->nets; d++) {
		snprintf(labels, sizeof(labels), "device=\"%s\"", nets[d]);
		add_family(g, per_net, COUNT_OF(per_net), labels, 1e6 * (d + 1));
		if (s->whole)
			add_family(g, more_per_net, COUNT_OF(more_per_net), labels, 2e6 * (d + 1));
	}
	for (unsigned d = 0; d < s->mounts; d++) {
		snprintf(labels, sizeof(labels),
		    "device=\"/dev/%s\",fstype=\"ext4\",mountpoint=\"%s\"",
		    devices[d % COUNT_OF(devices)], mounts[d]);
		size_t first = g->tmpls_count;
		add_family(g, per_mount, COUNT_OF(per_mount), labels, 0);
		for (size_t i = first; i < g->tmpls_count; i++)
			g->tmpls[i].base = 4096.0 * (double)(1000 * (d + 1) + (i - first));
		if (s->whole)
			add_family(g, more_per_mount, COUNT_OF(more_per_mount), labels, 0);
	}
}

void pages_node(struct loadgen *g, const struct node_shape *s)
{
	CHECK(s->disks <= COUNT_OF(devices) && s->nets <= COUNT_OF(nets) &&
	    s->mounts <= COUNT_OF(mounts));
	char name[128];
	add_cpus(g, s);
	add_devices(g, s);
	for (unsigned i = 0; g->tmpls_count < s->series; i++) {
		snprintf(name, sizeof(name), "node_%s_%s_%u", i % 3 ? "memory" : "vmstat",
		    i % 2 ? "bytes" : "pages_total", i);
		tmpl_add(g, 0, name, NULL)->base = 4096.0 * (i + 1);
	}
}
