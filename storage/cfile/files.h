/*
 * files - a shard's list of files: FILES, and FILES.prev, the one before it. One text file,
 * replaced whole.
 *
 *   kymo-files 2                               (1 is read too: it has no newest; 3 where deletions
 *                                              of series stand in it: who knows no such would show
 *                                              again what is gone)
 *   shard 3
 *   generation 17
 *   complete_to 1234
 *   next_id 5678
 *   next_number 1235
 *   next_rank 42
 *   file NAME start_ms end_ms rank flags size samples series t_min_ms t_max_ms [clean]
 *                                              clean: deletions up to that rank have nothing
 *                                              left to hide in it
 *   newest TENANT OWN t_ms                     newest accepted time of a class of samples
 *                                              (storage/newest.h); OWN is 1 or 0
 *   tombstone tenant TENANT before_ms          samples of the tenant before that are dead: reads
 *                                              hide them, merges drop them, none is taken any more
 *   tombstone series NAME RANK BYTES ENTRIES   a file of what was deleted of series
 *                                              (storage/cfile/tombs.h), up to that rank
 *   tombstone ...                              (other ones are kept as they are)
 *   crc 89abcdef                               crc32c, hex, of all bytes before this line
 *
 * The order of a switch (storage README, "FILES switch"): write FILES.tmp, sync; FILES, when it is
 * good, is linked as FILES.prev (through FILES.prev.tmp, by rename); rename FILES.tmp to FILES;
 * sync the directory.
 * (1) A switch that fails before the rename has changed nothing: FILES is as it was, what only the
 *     new list would have named may go. From the rename on the state on disk is unknown:
 *     files_unknown() is true, and removals and freeing of log segments wait for a later switch
 *     that succeeds. files_remove and files_clean check it.
 * (2) FILES names only files that are complete and synced: the caller has finished them
 *     (cfile_writer_finish); files_switch syncs the directory before it writes the list.
 * (3) FILES.prev is a help: a switch goes on without a newer one (logged).
 *
 * Time: adding and removing an entry takes a search and one move of memory, all else is linear.
 * Thread: struct files belongs to the shard's loop; a worker is given a copy (files_copy).
 * files_load, files_switch, files_remove, files_aside, files_clean block: workers or start only.
 */
#ifndef STORAGE_CFILE_FILES_H
#define STORAGE_CFILE_FILES_H

#include "core/base/fsio.h"
#include "storage/cfile/cfile.h"

#define FILES_NAME      "FILES"
#define FILES_PREV      "FILES.prev"
#define FILES_SIZE_MAX  (64u << 20) /* of the text: larger ones are neither written nor read */
#define FILES_COUNT_MAX 1000000u
#define FILES_ASIDE_DIR "aside" /* where files go that must not be removed */

struct files_entry {
	char name[CFILE_NAME_MAX];
	struct cfile_meta meta; /* range, rank, flags; shard */
	uint64_t size_bytes, samples;
	uint32_t series;
	int64_t t_min_ms, t_max_ms;
	uint64_t clean; /* deletions up to this rank hide nothing in it; 0: none is known to */
};
/* Deletions of a higher rank hide what they hide in that file. */
static inline uint64_t files_entry_rank(const struct files_entry *e)
{
	return e->clean > e->meta.rank ? e->clean : e->meta.rank;
}
struct files_tomb { /* a file of deletions */
	char name[CFILE_NAME_MAX];
	uint64_t rank, bytes, entries; /* rank: none in it is above it */
};
struct files_newest {
	uint32_t tenant, own;
	int64_t t_ms;
};
struct files_dead {
	uint32_t tenant;
	int64_t before_ms;
};
struct files {
	/* of the text it was parsed from; what is written is always the last one */
	uint32_t version;
	uint32_t shard;
	uint64_t generation;  /* one more with each switch */
	uint64_t complete_to; /* every row and definition at a number <= this is in the files */
	uint64_t next_number; /* of groups: a floor at recovery */
	uint64_t next_rank;
	uint32_t next_id;            /* series ids below this are taken */
	struct files_entry *entries; /* by start_ms, rank, name */
	size_t count, cap;
	struct files_newest *newest;
	size_t newest_count;
	struct files_dead *dead; /* one for a tenant */
	size_t dead_count;
	struct files_tomb *tombs; /* by rank */
	size_t tombs_count;
	char **tombstones; /* reserved: lines without the newline */
	size_t tombstones_count;
};
void files_init(struct files *fs, uint32_t shard);
void files_release(struct files *fs);
void files_copy(struct files *to, const struct files *from); /* to is initialised by this */
/* Keeps the order. The name must not be there yet. */
void files_add(struct files *fs, const struct files_entry *e);
/* Entry for a finished file. */
struct files_entry files_entry_of(
    const char *name, const struct cfile_meta *m, const struct cfile_stats *st);
void files_newest_clear(struct files *fs);
void files_newest_add(struct files *fs, uint32_t tenant, bool own, int64_t t_ms);
/* Samples of the tenant before that are dead from now on; a mark only goes up. */
void files_dead_raise(struct files *fs, uint32_t tenant, int64_t before_ms);
int64_t files_dead_before(const struct files *fs, uint32_t tenant); /* INT64_MIN: none is */
/* The mark goes; nothing that it hides may be left. */
void files_dead_drop(struct files *fs, uint32_t tenant);
/* In the place of those from `first` on; NULL: nothing is. */
void files_tombs_set(struct files *fs, size_t first, const struct files_tomb *t);
bool files_del(struct files *fs, const struct files_entry *e); /* false: not there */
/*
 * Many at once, in one walk over the list; puts the given ones into the list's order. False: one of
 * them is not there (the others went), or is there already (nothing was added).
 */
bool files_del_many(struct files *fs, struct files_entry *gone, size_t count);
bool files_add_many(struct files *fs, struct files_entry *more, size_t count);
/* Keeps the entries that keep() says yes to; it is asked in the list's order. */
void files_keep(struct files *fs, bool (*keep)(void *arg, const struct files_entry *e), void *arg);
/*
 * All names in the shard's directory that a list needs, FILES itself not among them, each once: for
 * whoever copies a shard. An error of fn ends it.
 */
MUST_CHECK enum err files_names(
    const struct files *fs, enum err (*fn)(void *arg, const char *name), void *arg);
/* Looks at all of them: for tests and inspection. */
const struct files_entry *files_get(const struct files *fs, const char *name);

/*
 * The text form, for tests and inspection. Parsing any bytes is safe: ERR_DAMAGED, ERR_UNSUPPORTED
 * (a later version). fs is initialised on success only.
 */
void files_format(const struct files *fs, struct buf *out);
MUST_CHECK enum err files_parse(const uint8_t *data, size_t len, struct files *fs, struct errbuf *eb);

enum files_found {
	FILES_FOUND_NEW,     /* neither list nor data files: an empty list */
	FILES_FOUND_CURRENT, /* FILES was good */
	/*
	 * FILES was damaged, unreadable or missing: FILES.prev was taken, and corrected from the
	 * data files
	 */
	FILES_FOUND_PREV,
	FILES_FOUND_NONE, /* the same of both: the list was made from the data files alone */
};
/*
 * Loads the list of a directory. When FILES was not good, data files describe themselves: every
 * complete one that the list does not name is added, names without a file are dropped; so are files
 * of deletions, which do no harm when they are old (tombs.h (3)). That is
 * safe: a file more holds only rows that were sent, an input of a merge beside its output loses to
 * the higher rank or equals it, and rows of an unfinished round are in the log as well. complete_to
 * stays that of FILES.prev, or 0: the log is replayed as far as it is there. next_id and next_rank
 * are then above all that was seen. What cannot be opened whole stays unnamed: files_aside keeps
 * it.
 * ERR_UNSUPPORTED: a list of a later version. ERR_NOFILES, ERR_NOMEM, ERR_ACCESS: what is there
 * could not be looked at; nothing is decided.
 */
MUST_CHECK enum err files_load(struct fsio_dir *d, uint32_t shard, struct files *fs,
    enum files_found *found, struct errbuf *eb);

/* One per shard, used by one worker task at a time. */
struct files_switcher {
	struct fsio_dir *dir;
	bool unknown; /* (1) */
};
/*
 * next->generation is raised by one. ERR_TOOBIG over FILES_COUNT_MAX entries or FILES_SIZE_MAX
 * bytes, some 600,000 entries: what could not be read again is not written (FILES is as it was). On
 * error see (1); try again later with the same or a newer list.
 */
MUST_CHECK enum err files_switch(struct files_switcher *sw, struct files *next);
static inline bool files_unknown(const struct files_switcher *sw)
{
	return sw->unknown;
}
/*
 * Removes one file that the durable list does not name any more and nobody pins. ERR_BUSY while the
 * state is unknown. Missing is success.
 */
MUST_CHECK enum err files_remove(struct files_switcher *sw, const char *name);
/*
 * At start, before a switch, when the list was not FILES_FOUND_CURRENT: data files that fs does not
 * name move to FILES_ASIDE_DIR, durably. Until that is done the old lists must stay, or a later
 * start would remove them. *count gets how many.
 */
MUST_CHECK enum err files_aside(
    struct fsio_dir *d, const struct files *fs, size_t *count, struct errbuf *eb);
/*
 * At start, after a switch: removes data files (*.kcf, *.ktb, *.tmp) that fs does not name; left()
 * gets the names of those that could not be removed. ERR_BUSY while the state is unknown. *count
 * gets how many went.
 */
MUST_CHECK enum err files_clean(struct files_switcher *sw, const struct files *fs, size_t *count,
    void (*left)(void *arg, const char *name), void *arg);

#endif
