/*
 * ctlmark - where a long work is, in a small file of its own, so that the same command goes on
 * there after an interruption: lines "key value", replaced whole and durably (write, sync, rename).
 *
 *   kymoctl-mark 1
 *   work import /var/lib/prometheus http://127.0.0.1:9470     what it is; another work's is refused
 *   KEY VALUE
 *   crc 89abcdef                                             crc32c, hex, of what is before it
 *
 * Keys are words of letters, digits, "-", "_", ".", "/"; values any text (\n, \r and \\ of
 * it stand so).
 * Who has a mark open has the lock beside it (NAME.lock, core/base/fslock.h): the same work twice
 * at once would send everything twice, and each would forget what the other has marked.
 * Thread: one. Memory: texts are copied.
 */
#ifndef NET_CTL_CTLMARK_H
#define NET_CTL_CTLMARK_H

#include "core/base/err.h"

struct ctlmark;
/*
 * path: the file; work: what this is, in one line. Found: *goes_on. ERR_EXISTS: it is another
 * work's (eb says which); ERR_LOCKED: another process is at it; ERR_DAMAGED; ERR_ACCESS and so on.
 */
MUST_CHECK enum err ctlmark_open(
    const char *path, const char *work, struct ctlmark **out, bool *goes_on, struct errbuf *eb);
/* The same work from its begin: what a mark says of it is forgotten. */
MUST_CHECK enum err ctlmark_anew(
    const char *path, const char *work, struct ctlmark **out, struct errbuf *eb);
const char *ctlmark_get(const struct ctlmark *m, const char *key); /* NULL: not there */
int64_t ctlmark_get_num(const struct ctlmark *m, const char *key, int64_t otherwise);
void ctlmark_set(struct ctlmark *m, const char *key, const char *value); /* NULL: goes */
void ctlmark_set_num(struct ctlmark *m, const char *key, int64_t value);
MUST_CHECK enum err ctlmark_save(struct ctlmark *m, struct errbuf *eb);
/* The work is done: the file goes. */
MUST_CHECK enum err ctlmark_done(struct ctlmark *m, struct errbuf *eb);
void ctlmark_close(struct ctlmark *m); /* NULL is fine; does not save */
/*
 * Where a mark lies when the user did not say: $XDG_STATE_HOME/kymoctl or ~/.local/state/kymoctl,
 * named after the work.
 */
void ctlmark_path(const char *work, char *out, size_t size);

#endif
