#include "net/api/doctortenant.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rune.h"
#include "net/api/doctor.h"
#include "net/api/refusals.h"

#define FRESH_MS      (10 * 60 * INT64_C(1000)) /* what was later goes on */
#define SAMPLES_LEAST 10u /* fewer late or changed ones are not worth a word */
#define SLOW_WARN_MS  30000u
#define SENDERS_SHOWN 8u
#define TEXT_BYTES    1000u

struct teller {
	const struct doctortenant *t;
	void (*tell)(void *arg, const struct doctor_finding *f);
	void *arg;
};

static void tell(const struct teller *to, struct doctor_finding f, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void tell(const struct teller *to, struct doctor_finding f, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list ap;
	va_start(ap, fmt);
	(void)rune_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = text;
	to->tell(to->arg, &f);
}

/* --- notes --- */

static int by_key(const void *x, const void *y)
{
	const struct doctornote *a = x, *b = y;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->tenant != b->tenant)
		return a->tenant < b->tenant ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->what != b->what)
		return a->what < b->what ? -1 : 1;
	return (a->last_ms > b->last_ms) - (a->last_ms < b->last_ms);
}

size_t doctortenant_join(struct doctornote *notes, size_t count)
{
	size_t kept = 0;
	if (count)
		qsort(notes, count, sizeof(*notes), by_key);
	for (size_t i = 0; i < count; i++) {
		struct doctornote n = notes[i];
		if (kept && doctornotes_same(&notes[kept - 1], &n)) {
			const struct doctornote *was = &notes[kept - 1];
			n.count += was->count;
			n.first_ms = was->first_ms < n.first_ms ? was->first_ms : n.first_ms;
			n.most_ms = was->most_ms > n.most_ms ? was->most_ms : n.most_ms;
			if (!n.example[0])
				memcpy(n.example, was->example, sizeof(n.example));
			notes[kept - 1] = n;
		} else {
			notes[kept++] = n;
		}
	}
	return kept;
}

/* Kinds one after another, in each the most first. */
static int by_weight(const void *x, const void *y)
{
	const struct doctornote *a = x, *b = y;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->most_ms != b->most_ms)
		return a->most_ms > b->most_ms ? -1 : 1;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return (a->key > b->key) - (a->key < b->key);
}

static bool is_fresh(const struct teller *to, const struct doctornote *n)
{
	return to->t->now_ms - n->last_ms <= FRESH_MS;
}

static int64_t ago_s(const struct teller *to, const struct doctornote *n)
{
	return (to->t->now_ms - n->last_ms) / 1000;
}

/* "10.0.0.1 (Prometheus/3.14.0)" into out. */
static const char *who_of(const struct doctornote *n, char out[160])
{
	(void)snprintf(out, 160, "%s%s%s%s", n->who, n->agent[0] ? " (" : "", n->agent,
	    n->agent[0] ? ")" : "");
	return out;
}

static void refused(const struct teller *to, const struct doctornote *n)
{
	enum refusal what = (enum refusal)n->what;
	bool warn = is_fresh(to, n) && what != REFUSAL_EXEMPLARS;
	char who[160];
	tell(to,
	    (struct doctor_finding){ .id = what < REFUSAL_SAMPLES ? "writes_refused"
	            : what == REFUSAL_EXEMPLARS                   ? "exemplars_refused"
	            : what == REFUSAL_RECORDS                     ? "records_refused"
	                                                          : "samples_refused",
	        .severity = warn ? DOCTOR_WARN : DOCTOR_NOTE,
	        .remedy = refusals_remedy(what),
	        .example = n->example[0] ? n->example : NULL,
	        .since_ms = n->first_ms },
	    "%s: %" PRIu64 " %s refused, or stored in part, the last %" PRId64 " s ago from %s%s%s",
	    refusals_word(what), n->count, n->count == 1 ? "request was" : "requests were",
	    ago_s(to, n), who_of(n, who), n->example[0] ? ": " : "", n->example);
}

static uint64_t written(const struct doctortenant *t)
{
	uint64_t samples = 0;
	for (size_t i = 0; i < t->notes_count; i++)
		samples += t->notes[i].kind == DOCTORNOTE_SENDER ? t->notes[i].count : 0;
	return samples;
}

static void late(const struct teller *to, const struct doctornote *n)
{
	char who[160];
	if (n->count < SAMPLES_LEAST || n->count < written(to->t) / 100)
		return;
	tell(to,
	    (struct doctor_finding){ .id = "late_samples",
	        .severity = DOCTOR_NOTE,
	        .remedy =
	            "they are stored, and cost more than others: look whether the sender catches up after a break, or several senders write the same series",
	        .since_ms = n->first_ms },
	    "%" PRIu64
	    " samples of %s were older than the newest of their series, the last %" PRId64 " s ago",
	    n->count, who_of(n, who), ago_s(to, n));
}

static void changed(const struct teller *to, const struct doctornote *n)
{
	char who[160];
	if (n->count < SAMPLES_LEAST)
		return;
	tell(to,
	    (struct doctor_finding){ .id = "changed_samples",
	        .severity = is_fresh(to, n) ? DOCTOR_WARN : DOCTOR_NOTE,
	        .remedy =
	            "give each sender a label of its own (external_labels), or let one of a pair be elected (tenants.NAME.ha)",
	        .since_ms = n->first_ms },
	    "%" PRIu64
	    " samples of %s replaced another value of the same series and time, the last %" PRId64
	    " s ago: two senders write the same series",
	    n->count, who_of(n, who), ago_s(to, n));
}

static void slow(const struct teller *to, const struct doctornote *n)
{
	tell(to,
	    (struct doctor_finding){ .id = "slow_queries",
	        .severity = n->most_ms >= SLOW_WARN_MS && is_fresh(to, n) ? DOCTOR_WARN : DOCTOR_NOTE,
	        .remedy =
	            "a shorter range, narrower selectors or a longer step; trace=1 tells where its time goes",
	        .example = n->example,
	        .since_ms = n->first_ms },
	    "a query took %.1f s (%" PRIu64 " times slow, the last %" PRId64 " s ago from %s): %s",
	    (double)n->most_ms / 1000, n->count, ago_s(to, n), n->who, n->example);
}

static void ended(const struct teller *to, const struct doctornote *n)
{
	tell(to,
	    (struct doctor_finding){ .id = "queries_ended",
	        .severity = is_fresh(to, n) ? DOCTOR_WARN : DOCTOR_NOTE,
	        .remedy = "ask for less, or raise the limit that is named",
	        .example = n->example,
	        .since_ms = n->first_ms },
	    "%" PRIu64 " queries met a limit, the last %" PRId64 " s ago from %s: %s", n->count,
	    ago_s(to, n), n->who, n->example);
}

static void senders(const struct teller *to)
{
	char text[TEXT_BYTES], who[160];
	size_t at = 0;
	unsigned shown = 0, all = 0;
	for (size_t i = 0; i < to->t->notes_count; i++) {
		const struct doctornote *n = &to->t->notes[i];
		if (n->kind != DOCTORNOTE_SENDER || ++all > SENDERS_SHOWN || at > TEXT_BYTES - 200)
			continue;
		at += rune_printf(text + at, sizeof(text) - at, "%s%s %" PRIu64 " samples",
		    shown++ ? ", " : "", who_of(n, who), n->count);
	}
	if (!all)
		return;
	tell(to, (struct doctor_finding){ .id = "senders", .severity = DOCTOR_OK },
	    "in their last hour wrote: %s%s", text, all > shown ? ", and others" : "");
}

static void notes(const struct teller *to)
{
	static void (*const by_kind[])(const struct teller *to, const struct doctornote *n) = {
		[DOCTORNOTE_REFUSED] = refused,
		[DOCTORNOTE_LATE] = late,
		[DOCTORNOTE_CHANGED] = changed,
		[DOCTORNOTE_SENDER] = NULL,
		[DOCTORNOTE_SLOW] = slow,
		[DOCTORNOTE_ENDED] = ended,
	};
	unsigned of_kind = 0;
	for (size_t i = 0; i < to->t->notes_count; i++) {
		const struct doctornote *n = &to->t->notes[i];
		of_kind = i && n->kind == n[-1].kind ? of_kind + 1 : 0;
		bool all = n->kind == DOCTORNOTE_REFUSED;
		if (by_kind[n->kind] && (all || of_kind < DOCTOR_ROWS_MAX))
			by_kind[n->kind](to, n);
	}
	senders(to);
}

/* --- what the store knows --- */

/* Less is what new targets bring when they are scraped for the first time. */
#define EXPLODES_LEAST 5000u

static void explodes(const struct teller *to, const struct alarm_row *a)
{
	const struct watch_row *w = &a->row;
	static const char remedy[] =
	    "find what makes the label and leave it out there, or hold it by a rule (tenants.NAME.cardinality)";
	struct doctor_finding f = { .id = "cardinality",
		.severity =
		    w->kind == WATCH_RULE || a->total < EXPLODES_LEAST ? DOCTOR_NOTE : DOCTOR_WARN,
		.remedy = remedy,
		.since_ms = a->first_ms };
	if (w->kind == WATCH_RULE)
		tell(to, f,
		    "rule %u of cardinality acts on %.0f rows a second: metric \"%s\", label \"%s\", target \"%s\"",
		    (unsigned)w->rule + 1, w->values, w->metric, w->label, w->target);
	else if (w->kind == WATCH_PAIR)
		tell(to, f,
		    "label \"%s\" of metric \"%s\" brings up to %.0f new values a second, as \"%s\"",
		    w->label, w->metric, a->most, w->examples[0]);
	else if (w->kind == WATCH_LABEL)
		tell(to, f, "label \"%s\" brings up to %.0f new values a second, as \"%s\"",
		    w->label, a->most, w->examples[0]);
	else
		tell(to, f, "%s \"%s\" brings up to %.0f new series a second",
		    watch_kind_words[w->kind], w->kind == WATCH_METRIC ? w->metric : w->target,
		    a->most);
}

static void limits(const struct teller *to)
{
	const struct doctortenant *t = to->t;
	double part = t->series_max ? (double)t->series / (double)t->series_max : 0;
	if (!t->series_max)
		return;
	tell(to,
	    (struct doctor_finding){ .id = "tenant_series",
	        .severity = part >= 0.97 ? DOCTOR_BAD
	            : part >= 0.85       ? DOCTOR_WARN
	                                 : DOCTOR_OK,
	        .remedy =
	            "look for labels with many values (/api/v1/cardinality), or raise tenants.NAME.series" },
	    "%" PRIu64 " of %" PRIu64 " series are in memory%s", t->series, t->series_max,
	    part >= 0.97 ? ": new ones are refused" : "");
}

void doctortenant_findings(
    struct doctortenant *t, void (*fn)(void *arg, const struct doctor_finding *f), void *arg)
{
	struct teller to = { t, fn, arg };
	unsigned shown = 0;
	if (t->notes_count)
		qsort(t->notes, t->notes_count, sizeof(*t->notes), by_weight);
	limits(&to);
	notes(&to);
	for (size_t i = 0; i < t->alarms_count && shown < 2 * DOCTOR_ROWS_MAX; i++) {
		if (t->alarms[i].row.tenant != t->id || !t->alarms[i].on)
			continue;
		explodes(&to, &t->alarms[i]);
		shown++;
	}
}
