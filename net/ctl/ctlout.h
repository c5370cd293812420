/*
 * ctlout - text that is written to a file, which may be gzip or zstd, or to stdout.
 *
 * A file is OUT.part until ctlout_finish gives it its name: what bears the name is whole. At
 * ctlout_cut what was written is whole in itself (a member of gzip, a frame of zstd, and such may
 * stand behind each other), so that writing goes on there: ctlout_back, or a later process with the
 * offset that a mark has kept.
 *
 * Errors: the first is kept, every later call gives it, told once: an enum ctl_exit.
 * Thread: one; it blocks.
 */
#ifndef NET_CTL_CTLOUT_H
#define NET_CTL_CTLOUT_H

#include "core/base/buf.h"
#include "net/ctl/ctl.h"

enum ctlout_pack {
	CTLOUT_PLAIN,
	CTLOUT_GZIP,
	CTLOUT_ZSTD
};
/* By the end of a name: ".gz", ".zst"; *len is without it. */
enum ctlout_pack ctlout_pack_of(const char *path, size_t *len);

struct ctlout;
/*
 * path "-": stdout. from: 0, or an offset of ctlout_offset; *from becomes 0 when OUT.part is not
 * that long. A file that has the name already is CTL_LOCAL, but with overwrite.
 */
MUST_CHECK int ctlout_open(
    const char *path, enum ctlout_pack pack, bool overwrite, int64_t *from, struct ctlout **out);
bool ctlout_is_stdout(const struct ctlout *o);
/* Where the caller puts its text; taken by ctlout_flush_some when it is long, and by the others. */
struct buf *ctlout_buf(struct ctlout *o);
MUST_CHECK int ctlout_flush_some(struct ctlout *o);
MUST_CHECK int ctlout_cut(struct ctlout *o);
MUST_CHECK int ctlout_back(struct ctlout *o);  /* to the last cut; not on stdout */
int64_t ctlout_offset(const struct ctlout *o); /* of the last cut */
MUST_CHECK int ctlout_sync(struct ctlout *o);
uint64_t ctlout_bytes(const struct ctlout *o);  /* put in by this process, before it was packed */
MUST_CHECK int ctlout_finish(struct ctlout *o); /* cut, sync, the name */
void ctlout_close(struct ctlout *o);            /* NULL is fine; OUT.part stays */

#endif
