/*
 * omet - text of OpenMetrics 1.0 ("OpenMetrics" specification, text format), one entry after the
 * other: those of proto/expo.h, with exemplars, units, times in seconds and created times.
 *
 *   # TYPE req counter
 *   req_total{code="200"} 17 1700000000.5 # {trace_id="a"} 0.5 1700000000.1
 *   req_created{code="200"} 1699999999.9
 *   # EOF
 *
 * It is strict: one blank between parts, no empty lines, no comments of one's own, "# EOF" as the
 * last line. A mistake spoils the whole, and none is told before it is reached: who may take
 * nothing of a text that is wrong reads it twice. What is taken is as in Prometheus 3.14; labels
 * are judged by expo_labels alone, those of an exemplar by omet_exemplar.
 *
 * Lines of created times are samples like others; with `created` they are marked (start_line), and
 * start_ms of the samples of the same metric is what they say.
 *
 * Memory: none; texts borrow what is read. Thread: pure. Any bytes are safe (fuzz_omet). Cost: as
 * of expo; each line is read twice where created times are looked for.
 */
#ifndef PROTO_OMET_H
#define PROTO_OMET_H

#include "proto/expo.h"

struct omet {
	struct expo x;
	const char *exemplar; /* its labels as they stand, in braces; NULL: the sample has none */
	size_t exemplar_len;
	double exemplar_v;
	int64_t exemplar_t_ms;
	bool exemplar_timed;
	/* with created */
	bool created, start_line; /* start_line: this sample is a created time, to be left out */
	int64_t start_ms;         /* 0 = not told */
	const char *_seen;        /* up to here was looked for one; NULL: nowhere yet */
	struct omet_created {     /* a line of one; series NULL: none */
		const char *series;
		size_t len;
		double v;
	} _next, _last;
	size_t _family_len;
};
void omet_init(struct omet *o, const char *text, size_t len, bool created);
/* Entries are those of o->x. */
enum expo_entry omet_next(struct omet *o);
/* Labels of the sample's exemplar, as they stand (Prometheus leaves their escapes). No name. */
MUST_CHECK bool omet_exemplar(
    struct arena *a, const struct omet *o, struct expo_labels *out, const char **bad);

#endif
