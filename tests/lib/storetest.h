/*
 * storetest - a store in this process, driven from the test's main thread: write rows and wait for
 * the verdict, flush, read back everything through cursors, stop and start again.
 *
 * Thread: main. Memory: columns given to a reader's callback are lent for the call.
 */
#ifndef TESTS_LIB_STORETEST_H
#define TESTS_LIB_STORETEST_H

#include "core/seam/source.h"
#include "storage/cfile/files.h"
#include "storage/store.h"
#include "tests/lib/testteam.h"

struct storetest {
	struct testteam tt;
	struct store_opts opts;
	struct store *store;
	bool team_runs;
	/* of the requests and reads to come */
	uint32_t tenant;
	bool own;
};
/* Of the thread's last storetest_read: warnings of its cursors, the first of them. */
extern __thread unsigned storetest_warnings;
/* Series of the last read that had the times of the one before by reference. */
extern __thread unsigned storetest_same_times;
extern __thread char storetest_warning[320];
/*
 * Defaults for tests: no limits on new series, small free-space floor, 16 shards. dir is borrowed.
 */
void storetest_init(struct storetest *s, const char *dir);
/* Starts a team and opens. ERR of store_open with its text on stdout as a note. */
enum err storetest_open(struct storetest *s, unsigned loops);
void storetest_close(struct storetest *s);

/*
 * Limits of tenants that loops go by from now on, as a configuration that is read again sets them;
 * NULL: none. Stays the caller's.
 */
struct tenants;
void storetest_tenants(struct storetest *s, const struct tenants *t);

/* Labels of count series: {__name__="name", series="0"}, "1", ... */
void storetest_names(struct arena *a, const char *name, struct labels *out, unsigned count);

struct storetest_row {
	struct labels labels;
	int64_t t_ms;
	double v;         /* of a histogram: its sum */
	uint64_t hist;    /* not 0: the histogram that testhist_any makes of it */
	int64_t start_ms; /* 0 = not told */
};
/* Is sample i of a column this row? Values, histograms and start times bit by bit. */
bool storetest_row_is(const struct storetest_row *row, const struct sample_column *col, uint32_t i);
/*
 * For models of plain values: the row becomes a histogram or gets a start time, as its value asks,
 * always the same; half of all values ask for nothing.
 */
void storetest_row_kind(struct storetest_row *row);
/* The value of sample i; false: it is not, bit by bit, what storetest_row_kind makes of one. */
bool storetest_value(const struct sample_column *col, uint32_t i, double *v);
struct storetest_verdict {
	enum err err;
	uint64_t stored, refused;
	uint64_t hists, exemplars, exemplars_refused;
	enum sink_reason reason;
	char text[512];
};
/*
 * One request on loop `loop`; waits for done. The batch gets the store's tenant and own, and stays
 * the caller's.
 */
struct storetest_verdict storetest_send(struct storetest *s, unsigned loop, struct batch *b);
/* The same of rows. */
struct storetest_verdict storetest_write(
    struct storetest *s, unsigned loop, const struct storetest_row *rows, size_t count);
enum err storetest_flush(struct storetest *s);
/* Deletion of what all matchers hold for, of the store's tenant; ms is borrowed. */
enum err storetest_delete(struct storetest *s, const struct matcher *ms, size_t ms_count,
    int64_t t_min_ms, int64_t t_max_ms);
/* Files are written again without what was deleted. */
enum err storetest_clean(struct storetest *s);
/*
 * Every series of all shards with samples in the range that the matchers hold for; fn on the main
 * thread, shard by shard. Returns the first error of a cursor.
 */
enum err storetest_read(struct storetest *s, const struct matcher *ms, size_t ms_count,
    int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg);
/* The same without samples: of SOURCE_SERIES, label sets; of the others texts, as label bytes. */
enum err storetest_labels(struct storetest *s, enum source_what what, const char *label,
    int64_t t_min_ms, int64_t t_max_ms,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg);
/* Any question; of the store's tenant. */
enum err storetest_ask(struct storetest *s, const struct source_query *query,
    void (*fn)(void *arg, struct labels ls, const struct sample_column *col), void *arg);
/*
 * The clock must be fake: moves it and lets all loops run what came due, again and again until
 * workers and loops have settled for a moment.
 */
void storetest_advance(struct storetest *s, int64_t ms);
/* Ids of the one file that a list names, at most max: how many; 0: it names others, or none. */
unsigned storetest_file_ids(struct fsio_dir *d, const struct files *fs, uint32_t *ids, unsigned max);

#endif
