/*
 * watch - which labels, metrics and targets make new series, as one loop sees it, so that what
 * explodes has a name within seconds.
 *
 * Every series that would be made is shown to it; it looks closely at WATCH_LOOKS of a tenant at
 * first, then at each second one, each fourth, ... chosen by their fingerprints: so it costs the
 * same however many come. What it looks at is counted with its weight, by kind:
 *   PAIR    a label of a metric: how many values it has not seen before come a second
 *   LABEL   the same of a label, whatever the metric; of __name__, too: the metrics explode then
 *   METRIC  new series of a metric
 *   TARGET  new series of a target (job and instance)
 *   RULE    rows that a rule (core/model/cardrule.h) has acted on, counted one by one
 * A kind has a table of fixed size, in sets of WATCH_WAYS; one that is not in takes the place of
 * the least of its set (space saving), so a hundred million names take no more memory than a
 * thousand. Values are known by bits of their
 * hashes, WATCH_BITS of them for each row, which begin anew when they are two thirds full.
 *
 * watch_collect ends a window (WATCH_WINDOW_MS) and tells the rows of it; storage/append/alarm puts
 * those of all loops together.
 *
 * A tenant is watched from its WATCH_BEGINth new series of a window on, or when a rule acts; of
 * WATCH_TENANTS one that was quiet for two windows makes room.
 *
 * Thread: its loop. Memory: 200 KiB for each tenant that is watched. Texts are cut at whole
 * characters.
 */
#ifndef STORAGE_APPEND_WATCH_H
#define STORAGE_APPEND_WATCH_H

#include "core/model/label.h"

#define WATCH_TENANTS   32u
#define WATCH_BEGIN     16u /* so that few new series of many tenants cost nothing */
#define WATCH_LOOKS     64u /* then each second one, and so on */
#define WATCH_WINDOW_MS 2000u
#define WATCH_WAYS      8u
#define WATCH_BITS      4096u
#define WATCH_TEXT      128u /* bytes of a metric or target, with its NUL */
#define WATCH_NAME      64u  /* of a label, and of an example */
#define WATCH_EXAMPLES  3u

enum watch_kind {
	WATCH_PAIR,
	WATCH_LABEL,
	WATCH_METRIC,
	WATCH_TARGET,
	WATCH_RULE,
	WATCH_KINDS
};
extern const char *const watch_kind_words[WATCH_KINDS];

/* A row of a window. */
struct watch_row {
	uint32_t tenant;
	enum watch_kind kind;
	uint32_t rule;           /* RULE: from 0 */
	uint64_t key;            /* the same on all loops */
	double series;           /* a second; RULE: rows */
	double values;           /* new values a second; METRIC, TARGET: as series */
	char metric[WATCH_TEXT]; /* "" = of all; TARGET: "" */
	char label[WATCH_NAME];  /* "" = none; TARGET: "" */
	char target[WATCH_TEXT]; /* TARGET, RULE of a target: "job/instance" */
	char examples[WATCH_EXAMPLES][WATCH_NAME];
};

struct watch_members;
struct watch {
	uint32_t _tenant; /* that was looked for last, and which of its fingerprints pass unseen */
	uint32_t _mask;
	struct watch_members *_members;
};
void watch_init(struct watch *w, uint64_t seed);
void watch_release(struct watch *w);
void watch_look_(struct watch *w, uint32_t tenant, uint64_t fp, struct labels ls, uint64_t now_ns);
static inline uint32_t watch_bits_(uint64_t fp)
{
	return (uint32_t)(fp * 0x9e3779b97f4a7c15u >> 32);
}
/* A series that is not known. */
static inline void watch_look(
    struct watch *w, uint32_t tenant, uint64_t fp, struct labels ls, uint64_t now_ns)
{
	if (UNLIKELY(tenant != w->_tenant || !(watch_bits_(fp) & w->_mask)))
		watch_look_(w, tenant, fp, ls, now_ns);
}
/*
 * A rule acts on a row. group: of the rule, by its hash. What is "" or NULL does not belong to it.
 */
struct watch_act {
	uint32_t rule;
	uint64_t group;
	const char *metric, *label, *value, *target;
	uint32_t metric_len, label_len, value_len, target_len;
};
void watch_acted(struct watch *w, uint32_t tenant, const struct watch_act *act, uint64_t now_ns);
/*
 * Ends the windows that are at least half as long as they should be: rows of them with at least
 * `least` new values a second (of RULE: any) are given to fn, each for the call.
 */
void watch_collect(struct watch *w, uint64_t now_ns, double least,
    void (*fn)(void *arg, const struct watch_row *row), void *arg);

#endif
