/*
 * limits - every limit towards clients, as fields of one snapshot that never changes.
 *
 * The rows of core/model/limits.def are the fields, their flags and defaults: a refusal names the
 * limit, its number and its flag from there. main makes one snapshot of the command line and gives
 * it to each loop before it serves; who runs on no loop (tests, tools) has limits_default.
 * A limit guards the server: it counts cost, and an ordinary client never meets it.
 *
 * Thread: any. Memory: the snapshot lives as long as the process.
 */
#ifndef CORE_MODEL_LIMITS_H
#define CORE_MODEL_LIMITS_H

#include "core/rt/loop.h"

struct limits {
#define LIMIT(field, flag, unit, ...) uint64_t field;
#include "core/model/limits.def"
#undef LIMIT
};
enum limits_id {
#define LIMIT(field, flag, unit, ...) LIMITS_##field,
#include "core/model/limits.def"
#undef LIMIT
	LIMITS_COUNT
};
enum limits_unit {
	LIMITS_COUNT_UNIT,
	LIMITS_BYTES,
	LIMITS_MS
};
struct limits_row {
	const char *flag, *help;
	enum limits_unit unit;
	uint64_t usual, least, most;
	size_t off; /* in struct limits */
};
extern const struct limits_row limits_rows[LIMITS_COUNT];
/* With what 0 stands for filled in, from the memory there is. */
void limits_default(struct limits *l);
/* The same for a snapshot of which some fields were set. loops: 0 = the CPUs. */
void limits_fill(struct limits *l, unsigned loops);
/* The snapshot of this thread's loop; the defaults on a thread without one. */
const struct limits *limits_here(void);
/* The flag of a limit without its dashes: "query.max-samples". */
const char *limits_flag(enum limits_id id);
#define LIMITS_TEXT_MAX 96
/* "limit 50,000,000 (--query.max-samples)", as refusals end; returns out. */
const char *limits_text(const struct limits *l, enum limits_id id, char out[LIMITS_TEXT_MAX]);

#endif
