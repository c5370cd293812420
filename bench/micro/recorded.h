/*
 * recorded - real metrics as columns: reads ../shared/data/recorded/NAME.prom.xz through the xz
 * program. Header only.
 *
 * A page of the recording is one row; series are in the order of their first line. Absent samples
 * have present[i] = 0.
 * Memory: malloc, for the life of the program. Prints and gives false when the data or xz is not
 * there: skip, visibly.
 */
#ifndef BENCH_MICRO_RECORDED_H
#define BENCH_MICRO_RECORDED_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/micro/used.h"
#include "core/model/label.h"

#define RECORDED_ROWS 3000u
struct recorded_series {
	char *text; /* name{labels} */
	double *v;
	uint8_t *present;
};
struct recorded {
	const char *name;
	struct recorded_series *series;
	size_t count, cap, rows;
	uint32_t *table; /* index + 1, open addressing */
	size_t table_size;
};
static const char *const recorded_names[] = { "node", "prometheus", "victoria" };
#define RECORDED_FILES 3u

static inline struct recorded_series *recorded_get(struct recorded *r, const char *text, size_t len)
{
	uint64_t h = 1469598103934665603u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 1099511628211u;
	size_t at = (size_t)(h % r->table_size);
	for (; r->table[at]; at = (at + 1) % r->table_size) {
		struct recorded_series *s = &r->series[r->table[at] - 1];
		if (strncmp(s->text, text, len) == 0 && s->text[len] == 0)
			return s;
	}
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 1024;
		r->series = realloc(r->series, r->cap * sizeof(*r->series));
	}
	struct recorded_series *s = &r->series[r->count++];
	s->text = strndup(text, len);
	s->v = calloc(RECORDED_ROWS, sizeof(double));
	s->present = calloc(RECORDED_ROWS, 1);
	r->table[at] = (uint32_t)r->count;
	return s;
}

static inline bool recorded_load(struct recorded *r, const char *src, const char *name)
{
	char cmd[4096], line[65536];
	snprintf(cmd, sizeof(cmd), "%s/../shared/data/recorded/%s.prom.xz", src, name);
	if (access(cmd, R_OK)) {
		printf("# skipped: %s is not there\n", cmd);
		return false;
	}
	snprintf(cmd, sizeof(cmd), "xz -dc '%s/../shared/data/recorded/%s.prom.xz'", src, name);
	FILE *f = popen(cmd, "r");
	memset(r, 0, sizeof(*r));
	r->name = name;
	r->table_size = 16381;
	r->table = calloc(r->table_size, sizeof(*r->table));
	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] == '@') {
			if (r->rows == RECORDED_ROWS)
				break;
			r->rows++;
			continue;
		}
		char *sp = strrchr(line, ' ');
		if (line[0] == '#' || !sp || r->rows == 0 || r->count > 8000)
			continue;
		struct recorded_series *s = recorded_get(r, line, (size_t)(sp - line));
		s->v[r->rows - 1] = strtod(sp + 1, NULL);
		s->present[r->rows - 1] = 1;
	}
	bool good = f && pclose(f) == 0 && r->rows == RECORDED_ROWS;
	if (!good)
		printf("# skipped: %s.prom.xz cannot be read (is xz installed?)\n", name);
	return good;
}

/*
 * name{a="b",c="d"}, as long as text_len says, with labels of its target. Escapes in values are
 * rare here: they are kept as written.
 */
static inline struct labels recorded_labels(
    struct arena *a, const char *text, size_t text_len, const char *instance, const char *job)
{
	struct label_builder b;
	const char *end = text + text_len, *p = text;
	label_builder_init(&b, a);
	while (p < end && *p != '{')
		p++;
	label_builder_set(&b, "__name__", 8, text, (size_t)(p - text));
	label_builder_set(&b, "instance", 8, instance, strlen(instance));
	label_builder_set(&b, "job", 3, job, strlen(job));
	while (p < end && (*p == '{' || *p == ',')) {
		const char *name = ++p;
		while (p < end && *p != '=' && *p != '}')
			p++;
		if (p + 1 >= end || *p != '=')
			break;
		const char *value = p + 2, *q = value;
		while (q < end && *q != '"')
			q += *q == '\\' && q + 1 < end ? 2 : 1;
		label_builder_set(&b, name, (size_t)(p - name), value, (size_t)(q - value));
		p = q + 1;
	}
	return label_builder_done(&b);
}
/* The same of a recorded series; target: the number of its copy. */
static inline struct labels recorded_series_labels(
    struct arena *a, const char *text, const char *job, unsigned target)
{
	char instance[64];
	snprintf(instance, sizeof(instance), "10.20.%u.%u:9100", target / 7, 10 + target);
	return recorded_labels(a, text, strlen(text), instance, job);
}

#endif
