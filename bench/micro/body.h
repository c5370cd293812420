/*
 * body - a Remote Write 1.0 body for the micro benches: 2,000 series of node-exporter-like metrics
 * scraped in Kubernetes,
 * 9 or 10 labels and some 216 bytes of label bytes each, one sample per series, target by target as
 * a sender's queue gives them.
 */
#ifndef BENCH_MICRO_BODY_H
#define BENCH_MICRO_BODY_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/model/label.h"
#include "proto/rw1.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_SERIES 2000

static inline void body_label(struct buf *b, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	uint8_t head[4] = { 0x0a, (uint8_t)(4 + n + v), 0x0a, (uint8_t)n };
	uint8_t mid[2] = { 0x12, (uint8_t)v };
	buf_add(b, head, 4);
	buf_add(b, name, n);
	buf_add(b, mid, 2);
	buf_add(b, value, v);
}

/* Label bytes of series i; labels sorted by name. */
static inline void body_series_labels(struct buf *b, unsigned i)
{
	static const char *const families[] = { "node_cpu_seconds_total",
		"node_disk_read_bytes_total", "node_filesystem_avail_bytes",
		"node_network_receive_bytes_total", "node_scrape_collector_duration_seconds",
		"node_schedstat_running_seconds_total", "node_softnet_processed_total",
		"node_memory_MemAvailable_bytes" };
	static const char *const parts[] = { "cpu", "device", "mountpoint", "device", "collector",
		"cpu", "cpu", NULL };
	static const char *const modes[] = { "idle", "iowait", "irq", "nice", "softirq", "steal",
		"system", "user" };
	unsigned target = i / 250, at = i % 250, family = at / 32;
	char instance[32], pod[48], part[32], node[48];
	snprintf(instance, sizeof(instance), "10.42.%u.%u:9100", target, 17 + target * 7);
	snprintf(pod, sizeof(pod), "node-exporter-%05x", 0x4f2a1u + target * 7919u);
	snprintf(part, sizeof(part), "%s%u",
	    family == 4                      ? "collector"
	        : family == 2                ? "/mnt/vol"
	        : family == 1 || family == 3 ? "eth"
	                                     : "",
	    at % 32 / (family ? 1 : 8));
	snprintf(node, sizeof(node), "ip-10-42-%u-%u", target, 17 + target * 7);
	body_label(b, "__name__", families[family]);
	body_label(b, "cluster", "prod-eu-1");
	const char *name = parts[family];
	if (name && !strcmp(name, "collector"))
		body_label(b, name, part);
	body_label(b, "container", "exporter");
	if (name && !strcmp(name, "cpu"))
		body_label(b, name, part);
	if (name && !strcmp(name, "device"))
		body_label(b, name, part);
	body_label(b, "instance", instance);
	body_label(b, "job", "node-exporter");
	if (family == 0)
		body_label(b, "mode", modes[at % 8]);
	if (name && !strcmp(name, "mountpoint"))
		body_label(b, name, part);
	body_label(b, "namespace", "monitoring");
	body_label(b, "node", node);
	body_label(b, "pod", pod);
}

static inline void body_make(struct buf *out)
{
	struct buf labels;
	buf_init(&labels);
	uint64_t rnd = 88172645463325252u;
	for (unsigned i = 0; i < BODY_SERIES; i++) {
		buf_clear(&labels);
		body_series_labels(&labels, i);
		rnd = hash_mix64(rnd + i);
		double v = i % 5 == 0 ? 0
		    : i % 3           ? (double)(rnd % 100000)
		                      : (double)(rnd % 100000000) / 100;
		rw1_encode_series(out,
		    (struct labels){ .bytes = labels.data, .len = (uint32_t)labels.len },
		    1755000000000 + (int64_t)(i / 250) * 137, v);
	}
	buf_release(&labels);
}

/* Best of some rounds: other work on the machine only ever adds. */
#define BODY_ROUNDS 40
#define BODY_BEST_NS(best, times, code)                                                            \
 do {                                                                                              \
  for (int round_ = 0; round_ < BODY_ROUNDS; round_++) {                                           \
   uint64_t t0_ = clock_real_mono_ns();                                                            \
   for (int time_ = 0; time_ < (times); time_++) {                                                 \
    code;                                                                                          \
   }                                                                                               \
   uint64_t took_ = (clock_real_mono_ns() - t0_);                                                  \
   if (!round_ || took_ / (double)(times) < best)                                                  \
    best = took_ / (double)(times);                                                                \
  }                                                                                                \
 } while (0)

#endif
