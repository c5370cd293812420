/*
 * seal - merges files into one sealed file in metric order: round files of a range, later sealed
 * files, of one range or several neighbouring ones.
 *
 * Inputs are contiguous in rank among the shard's files whose ranges overlap the output's (the
 * caller sees to it); the output has the union of their ranges and inherits the highest rank.
 * (1) Per id, samples are merged by time; where a time stands several times the input of the
 *     highest rank wins. Two ids with the same labels stay two series.
 * (2) Every series of the output gets its labels: from the definitions in the inputs, else from
 *     labels_of. Definitions without samples in the inputs are carried too (a round file may define
 *     a series whose samples are in another range).
 * (3) A damaged unit of an input is skipped and counted: the rest is merged. The caller keeps (sets
 *     aside) inputs when damage_units > 0.
 * (4) A series whose labels nobody knows is kept, without a definition, behind all others, and
 *     counted; CFILE_LABELS_ALL is set only when there is none.
 * (5) Samples that are dead (opts.dead) do not come into the output; the definitions of their
 *     series do. Of a series whose labels nobody knows all samples stay.
 * (6) The output is CFILE_OWN when all inputs are.
 * (7) What was deleted (opts.tombs) does not come into the output, nor do definitions of ids that
 *     are dead: of all others as in (5). An output may be empty.
 *
 * How: the definitions are sorted (sealkeys). They are written in metric order, batch by batch of
 * series. Inputs in metric order have the batch's series beside each other and are read as it goes;
 * those in id order are gone through once for each batch, and what they have for it is kept,
 * encoded (sealparts). A batch is as many series as SEAL_MEMORY has room for.
 *
 * Memory: some SEAL_MEMORY for a batch; the definitions packed, 10-20 bytes a series, and
 * SEALKEYS_BATCH twice while they are sorted; 12 bytes a series; one unit and some blocks of time
 * columns of each input; the samples of one series; what the writer holds.
 * Thread: a worker.
 */
#ifndef STORAGE_COMPACT_SEAL_H
#define STORAGE_COMPACT_SEAL_H

#include "storage/cfile/cfile.h"
#include "storage/cfile/tombs.h"

#define SEAL_INPUTS_MAX 256u
#define SEAL_MEMORY     (32u << 20)

struct seal_piece { /* other bytes of an id in one input */
	const uint8_t *bytes;
	size_t len;
	uint64_t rank; /* of that input, as opts.ranks has it */
};

/* Samples of the tenant before that are dead: they are left out. */
struct seal_dead {
	uint32_t tenant;
	int64_t before_ms;
};
struct seal_opts {
	struct fsio_dir *dir;
	struct cfile **inputs; /* any order; those that overlap have distinct ranks */
	size_t inputs_count;   /* 1..SEAL_INPUTS_MAX */
	/*
	 * Labels of an id that no input defines; asked in ascending order of ids; ERR_NOTFOUND =
	 * nobody knows. *ls is borrowed until the next call. May be NULL.
	 */
	enum err (*labels_of)(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls);
	/*
	 * What was deleted of series, and for each input the rank above which deletions hide what
	 * they hide in it. NULL, both: nothing was.
	 */
	const struct tombs *tombs;
	const uint64_t *ranks;
	const struct seal_dead *dead; /* at most one for a tenant */
	size_t dead_count;
	/*
	 * Asked after each series, and again while inputs are gone through: may wait, so that a
	 * merge does not take the whole disk; an error ends the merge. May be NULL.
	 */
	enum err (*step)(void *arg, struct cfile_writer *w);
	/*
	 * Other bytes of an id (cfile_writer_add_opaque): what the inputs have, higher ranks
	 * behind; what the output gets is put to out, nothing: it gets none. NULL: those of the
	 * highest rank.
	 */
	void (*opaque)(
	    void *arg, uint32_t id, const struct seal_piece *pieces, size_t count, struct buf *out);
	void *arg;
	size_t memory;   /* for a batch; 0: SEAL_MEMORY */
	unsigned serial; /* of the name: this one, or the next that is free */
};
struct seal_result {
	char name[CFILE_NAME_MAX]; /* "" = none was made */
	unsigned serial;
	struct cfile_meta meta;
	struct cfile_stats stats;
	uint64_t damage_units;   /* skipped in the inputs */
	uint64_t dead;           /* samples that were left out */
	uint64_t deleted;        /* the same for deletions, of series that are not dead */
	uint32_t deleted_series; /* dead ones that the inputs had */
	uint64_t overwritten;    /* samples that lost to a higher rank */
	uint32_t unlabelled;     /* series of (4) */
	struct errbuf damage;    /* the first of them */
};
/*
 * Writes and syncs the output (not the directory). On error it is removed; that it is gone is not
 * sure, the caller sees to it (result.name).
 */
MUST_CHECK enum err seal_run(const struct seal_opts *o, struct seal_result *r, struct errbuf *eb);

#endif
