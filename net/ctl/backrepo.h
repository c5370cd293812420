/*
 * backrepo - a repository of backups: generations of one or several data directories, which share
 * the files they have in common.
 *
 *   KYMOBACKUPS          "kymo-backups 1\n"
 *   objects/HH/HASH      bytes of a file; HASH: SHA-256 of them, hex; HH: its first two digits.
 *                        Zeroes at the end of a file are left out (segments of the log)
 *   generations/NAME     one backup, NAME as of snapshots ("20261129T081218Z-0123456789abcdef"):
 *     kymo-backup 1
 *     made 1795941988                     unix seconds, of what it has
 *     identity 0123...                    of the data directory (MANIFEST), hex
 *     from PATH                           where it was, for people
 *     file SIZE STORED HASH MTIME TAIL PATH
 *                                         bytes of the file, of its object; MTIME (ns) and TAIL
 *                                         (crc32c of its last bytes) tell a file that has not
 *                                         changed; PATH is the rest of the line:
 *                                         "shards/03/0-7200000-12.kcf"
 *     crc 89abcdef                        crc32c, hex, of all bytes before this line
 *   generations/NAME.part     the same of one that is not complete: the same command goes on there.
 *                             Beside a complete one: what is behind it was not done yet, its
 *                             snapshot not deleted
 *
 * (1) An object is there, whole and durable, before a generation that names it. (2) It goes when no
 *     generation names it. (3) Nothing of a generation changes once it is there.
 * Thread: one, blocks. Errors: eb says what and where.
 */
#ifndef NET_CTL_BACKREPO_H
#define NET_CTL_BACKREPO_H

#include "core/base/buf.h"
#include "net/ctl/backtarget.h"

#define BACKREPO_HASH     32u
#define BACKREPO_NAME_MAX 40u /* as SNAPSHOT_NAME_MAX */
#define BACKREPO_PATH_MAX 256u
#define BACKREPO_TAIL     192u /* bytes of TAIL: the footer of a file of samples */

struct backfile {
	uint64_t size, stored;
	uint8_t hash[BACKREPO_HASH];
	int64_t mtime_ns;
	uint32_t tail;
	char path[BACKREPO_PATH_MAX];
};
struct backgen {
	char name[BACKREPO_NAME_MAX];
	int64_t made_s;
	uint8_t identity[16];
	char from[1024];
	struct backfile *files;
	size_t count, cap;
	uint32_t *_slots; /* by path: place + 1 */
	size_t _mask;
};
void backgen_release(struct backgen *g);
void backgen_add(struct backgen *g, const struct backfile *f); /* copied */
const struct backfile *backgen_find(struct backgen *g, const char *path);
void backgen_format(const struct backgen *g, struct buf *out);
/* Any bytes are safe. ERR_DAMAGED, ERR_UNSUPPORTED. */
MUST_CHECK enum err backgen_parse(
    const uint8_t *data, size_t len, struct backgen *g, struct errbuf *eb);

struct backrepo {
	struct backtarget *target;
	char (*names)[BACKREPO_NAME_MAX]; /* of complete generations, by age */
	char (*parts)[BACKREPO_NAME_MAX]; /* of those that are not complete, by age */
	size_t count, parts_count;
};
/* create: an empty or missing directory becomes one. ERR_NOTFOUND: it is no repository. */
MUST_CHECK enum err backrepo_open(
    const char *path, bool create, struct backrepo *out, struct errbuf *eb);
void backrepo_close(struct backrepo *r);
/* name as it is, or NULL: the newest. part: one that is not complete. */
MUST_CHECK enum err backrepo_load(
    struct backrepo *r, const char *name, bool part, struct backgen *out, struct errbuf *eb);
bool backrepo_complete(const struct backrepo *r, const char *name);
/* A complete one leaves its part where it is: backrepo_part_drop. */
MUST_CHECK enum err backrepo_save(
    struct backrepo *r, const struct backgen *g, bool part, struct errbuf *eb);
/* Nobody goes on with it. Missing is success. */
MUST_CHECK enum err backrepo_part_drop(struct backrepo *r, const char *name, struct errbuf *eb);
/* What there is no object of yet is put there. *bytes: how much that was; f->hash, stored set. */
MUST_CHECK enum err backrepo_store(struct backrepo *r, struct fsio_file *from, struct backfile *f,
    uint64_t *bytes, struct errbuf *eb);
bool backrepo_has(struct backrepo *r, const struct backfile *f);
/*
 * Its bytes, checked. to NULL: only checked; else written there, with the zeroes at its end.
 * ERR_DAMAGED, ERR_NOTFOUND. stopped() may be NULL: ERR_CANCELED when it says so.
 */
MUST_CHECK enum err backrepo_fetch(struct backrepo *r, const struct backfile *f,
    struct fsio_file *to, bool (*stopped)(void), struct errbuf *eb);
/* Is the file there already, byte for byte? */
bool backrepo_same(const struct backfile *f, struct fsio_file *have);
/*
 * The newest keep stay, of each identity, and what is not complete and younger than the oldest of
 * those; gone and freed are told.
 */
struct backrepo_pruned {
	size_t generations, objects;
	uint64_t bytes;
};
MUST_CHECK enum err backrepo_prune(
    struct backrepo *r, unsigned keep, struct backrepo_pruned *out, struct errbuf *eb);

#endif
