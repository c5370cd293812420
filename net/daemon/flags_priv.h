/* flags_priv - the table of flags, for what reads the command line and for what shows it. */
#ifndef NET_DAEMON_FLAGS_PRIV_H
#define NET_DAEMON_FLAGS_PRIV_H

#include "net/daemon/flags.h"

enum flag_kind {
	FLAG_TEXT,
	FLAG_PATH, /* in the configuration: from its folder */
	FLAG_LIST, /* const char *, commas between; in the configuration a list */
	FLAG_LISTEN,
	FLAG_UNSIGNED, /* unsigned */
	FLAG_COUNT,    /* uint64_t */
	FLAG_BYTES,    /* uint64_t */
	FLAG_DURATION, /* ms, int64_t or uint64_t */
	FLAG_SWITCH,
	FLAG_UNSWITCH, /* a switch that turns something off */
	FLAG_SYNC,
	FLAG_LEVEL,
	FLAG_FORMAT,
	FLAG_ACCESS,
	FLAG_SANDBOX,
	FLAG_FEATURES
};
enum flag_group { /* of the help */
	FLAG_GENERAL,
	FLAG_STORAGE,
	FLAG_QUERIES,
	FLAG_WRITES,
	FLAG_WEB,
	FLAG_GROUPS
};
struct flag {
	const char *name;
	enum flag_kind kind;
	enum flag_group group; /* of a limit: flag_group_of */
	size_t off;            /* in struct flags */
	uint64_t least, most;  /* of numbers */
	const char *arg;       /* what stands behind the name in the help; NULL: no value */
	const char *help;      /* in brackets what a default of 0 stands for */
	bool limit;            /* a row of limits.def: its default is limits_rows' */
	uint64_t usual;        /* of a limit; 0: found later, and 0 may be given */
	bool start;            /* holds from start to end: a reload does not change it */
	const char *key; /* in the configuration; NULL: the name with _ for -, "": it has none */
};
extern const struct flag flags_table[];
extern const size_t flags_count;

/* Does it make the process do one thing and end (--help)? It has no value in force. */
bool flag_is_order(const struct flag *row);
/* Does it hold from start to end, whatever a reload says? */
bool flag_is_start(const struct flag *row);
/* The value as /api/v1/status/flags has it; in out, or a text of f. */
#define FLAG_VALUE_MAX 416
const char *flag_value(const struct flags *f, const struct flag *row, char out[FLAG_VALUE_MAX]);
const char *flag_group_title(enum flag_group group);
enum flag_group flag_group_of(const struct flag *row);
static inline void *flag_at(const struct flags *f, const struct flag *row)
{
	return (char *)(uintptr_t)f + row->off;
}
/* "query.max_samples": where the configuration has it, in out; "" when it has not. */
#define FLAG_KEY_MAX 64
const char *flag_key(const struct flag *row, char out[FLAG_KEY_MAX]);
/* What the map of this name in the configuration is about. */
const char *flag_section_help(const char *section, size_t len);
/* The words of the kinds that have words, in the order of their enums. */
extern const char *const flags_syncs[3], *const flags_levels[4], *const flags_formats[2],
                                                                     *const flags_accesses[3];
extern const char *const flags_sandboxes[3];

#endif
