/*
 * expo - text as targets expose it ("Exposition formats" of the Prometheus documentation, 0.0.4,
 * and 1.0.0 with quoted UTF-8 names), one entry after the other, without copies.
 *
 *   # HELP up Is it there?          EXPO_HELP    family "up", text
 *   # TYPE up gauge                 EXPO_TYPE    family "up", type
 *   up{job="a",instance=""} 1 17    EXPO_SAMPLE  series: up{job="a",instance=""}  v: 1  t_ms: 17
 *
 * A sample gives where its series stands, its value and its time. Its labels are not looked at: who
 * knows the series by its bytes needs them no more, and who does not asks expo_labels, which judges
 * them. So the entries alone do not say that a text is good: a text is good when its entries and
 * all labels of its samples are.
 *
 * What is taken and what it means is as in Prometheus 3.14, in every detail: blanks before a name
 * belong to it, a NUL where an entry should begin ends the text, a label value may hold line feeds,
 * "foo+1 5" is the value 1 at the time 5. But NULs that Prometheus overlooks beside values and
 * words are errors here. OpenMetrics is proto/omet.h, with the same entries.
 *
 * Cost: 1 GB/s (bench/micro/b_expo). Memory: none; texts borrow what is read. Thread: pure. Any
 * bytes are safe (fuzz_expo).
 */
#ifndef PROTO_EXPO_H
#define PROTO_EXPO_H

#include "core/model/batch.h"

enum expo_entry {
	EXPO_END,
	EXPO_SAMPLE,
	EXPO_HELP,
	EXPO_TYPE,
	EXPO_UNIT,    /* of OpenMetrics alone */
	EXPO_COMMENT, /* an empty one, too */
	EXPO_BAD      /* nothing can be read behind it */
};
enum expo_type { /* as batch_meta has them */
	EXPO_UNKNOWN,
	EXPO_COUNTER,
	EXPO_GAUGE,
	EXPO_HISTOGRAM,
	EXPO_GAUGEHISTOGRAM,
	EXPO_SUMMARY,
	EXPO_INFO,
	EXPO_STATESET,
	EXPO_TYPES
};
extern const char *const expo_type_name[EXPO_TYPES]; /* "counter"; EXPO_UNKNOWN: "unknown" */

struct expo {
	const char *p, *end; /* what is left to read */
	const char *at;      /* the entry that was read last; with EXPO_BAD: what is wrong */
	uint64_t line;       /* of p, from 1; line feeds in label values do not count */
	/* EXPO_SAMPLE: name and labels as they stand */
	const char *series;
	size_t series_len;
	double v;
	int64_t t_ms;
	bool timed;
	/* metadata: the name of the family and the text as they stand, or the type */
	const char *family, *text;
	size_t family_len, text_len;
	enum expo_type type;     /* that was told last: that of the samples that follow */
	const char *bad;         /* EXPO_BAD: why */
	bool seconds, with_hash; /* expo_init_import */
};
/* line: the number of the first one. */
void expo_init(struct expo *x, const char *text, size_t len, uint64_t line);
/*
 * Of one line, without its LF, as an import takes it: a CR at its end, blanks before it and a
 * comment behind the sample are no part of it, times may have a sign or be floats, and those below
 * 2^31 are seconds, as VictoriaMetrics has it.
 */
void expo_init_import(struct expo *x, const char *line, size_t len, uint64_t number);
enum expo_entry expo_next(struct expo *x);
/* "line 3: a value is no number: \"up 1x\"", as an answer may have it. */
void expo_say(const struct expo *x, const char *bad, const char *at, struct errbuf *eb);

/* ---- Labels ---- */

#define EXPO_SERIES_MAX (256u << 10) /* bytes of a series: no limit lets longer ones be stored */

enum expo_form {
	EXPO_TEXT,
	EXPO_OPENMETRICS /* no blanks, commas are needed, no line feeds in values */
};
struct expo_labels {
	struct label *items; /* as they stand, empty ones too; [0] is __name__ */
	uint32_t count;
};
/*
 * Those of a series' text, without their escapes; le of a histogram and quantile of a summary (type
 * is that of its family) in OpenMetrics' form: "1" is "1.0". False: *bad says why. Memory: the
 * arena's, eight times the text.
 */
MUST_CHECK bool expo_labels(struct arena *a, enum expo_form form, const char *series, size_t len,
    enum expo_type type, struct expo_labels *out, const char **bad);
/*
 * Those of an exemplar of OpenMetrics, in braces; none is a name of a metric. Escapes stay, as
 * Prometheus leaves them.
 */
MUST_CHECK bool expo_exemplar_labels(
    struct arena *a, const char *s, size_t len, struct expo_labels *out, const char **bad);
/*
 * Canonical bytes: sorted, without empty values. False: a label stands twice, or the metric has an
 * empty name.
 */
MUST_CHECK bool expo_encode(
    struct arena *a, struct expo_labels *ls, struct labels *out, const char **bad);
/* A float as OpenMetrics has it in le and quantile; at most NUM_FMT_MAX bytes. */
size_t expo_fmt_float(double v, char *out);
/* Without the escapes \\ and \n; quotes: and \". The text itself when there are none. */
const char *expo_unescape(struct arena *a, const char *s, size_t len, bool quotes, size_t *out_len);

#endif
