#include "bench/load/kind.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROBE_TRIES    10u /* a server may be about to start */
#define PROBE_PAUSE_US 200000u
#define PROMETHEUS_PROMISE                                                                         \
 "in the log, not synced: a kill of the process loses nothing, a power cut may"

/* The first mark that is found decides: who embeds another's code stands before it. */
static const struct kind kinds[] = {
	{ .name = "kymo",
	    .mark = "kymo_build_info{",
	    .write = "/api/v1/write",
	    .read = "",
	    .extra = "",
	    .promise = "on disk: synced before the answer, unless --wal.sync says otherwise" },
	{ .name = "vmcluster",
	    .mark = "vm_app_version{version=\"vminsert",
	    .write = "/insert/0/prometheus/api/v1/write",
	    .read = "/select/0/prometheus",
	    .extra = "nocache=1&latency_offset=1ms",
	    .promise = "in memory: a kill loses the last seconds" },
	{ .name = "victoriametrics",
	    .mark = "vm_app_version{",
	    .write = "/api/v1/write",
	    .read = "",
	    .flush = "/internal/force_flush",
	    .extra = "nocache=1&latency_offset=1ms",
	    .promise = "in memory: a kill loses the last seconds" },
	{ .name = "mimir",
	    .mark = "mimir_build_info{",
	    .write = "/api/v1/push",
	    .read = "/prometheus",
	    .extra = "",
	    .promise = PROMETHEUS_PROMISE },
	{ .name = "mimir",
	    .mark = "cortex_build_info{",
	    .write = "/api/v1/push",
	    .read = "/prometheus",
	    .extra = "",
	    .promise = PROMETHEUS_PROMISE },
	{ .name = "cortex",
	    .write = "/api/v1/push",
	    .read = "/prometheus",
	    .extra = "",
	    .promise = PROMETHEUS_PROMISE },
	{ .name = "thanos",
	    .mark = "thanos_build_info{",
	    .write = "/api/v1/receive",
	    .read = "",
	    .extra = "",
	    .promise = PROMETHEUS_PROMISE },
	{ .name = "prometheus",
	    .mark = "prometheus_build_info{",
	    .write = "/api/v1/write",
	    .read = "",
	    .extra = "",
	    .promise = PROMETHEUS_PROMISE },
};
static const struct kind unknown = {
	.name = "unknown", .write = "/api/v1/write", .read = "", .extra = "", .promise = "unknown"
};

enum err kind_named(const char *name, const struct kind **out, struct errbuf *eb)
{
	char all[256] = "";
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		if (!strcmp(kinds[i].name, name)) {
			*out = &kinds[i];
			return ERR_OK;
		}
		if (i && !strcmp(kinds[i].name, kinds[i - 1].name))
			continue;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
		    kinds[i].name);
	}
	return errbuf_set(eb, ERR_BADDATA, "--kind \"%s\" is none of %s", name, all);
}

const struct kind *kind_probe(const struct httpc_url *u)
{
	struct httpc h;
	size_t off = 0;
	const struct kind *found = &unknown;
	httpc_init(&h, u);
	int status = -1;
	for (unsigned i = 0; i < PROBE_TRIES && (status < 0 || status == 503); i++) {
		if (i)
			usleep(PROBE_PAUSE_US);
		status = httpc_do(&h, "GET", "/metrics", "", NULL, 0, &off);
	}
	for (size_t i = 0; i < COUNT_OF(kinds) && status == 200 && found == &unknown; i++) {
		const char *mark = kinds[i].mark;
		if (mark && memmem(h.in.data + off, h.in.len - off, mark, strlen(mark)))
			found = &kinds[i];
	}
	httpc_release(&h);
	return found;
}
