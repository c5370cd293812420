/*
 * catalogs - the catalog of a store from start to end: looked at after an unclean stop, opened,
 * rebuilt when damaged, caught up with the files.
 *
 * A file CLEAN in the data directory says that the last process closed the catalog; without it the
 * environment is walked once in a child process first.
 * A damaged one is renamed to catalog.damaged (an older one of that name goes) and all files are
 * worked into a new one. One of a later format refuses the start.
 * Damage met while the store runs is remembered in the file CATALOG_DAMAGED: no CLEAN is written
 * any more, and the next start rebuilds without asking what a walk would find. Until then queries
 * and merges that need the damaged record fail and say so, everything else goes on.
 *
 * Thread: main; after recover_files, before the shards' backgrounds open. Blocks. Watching: loop 0.
 */
#ifndef STORAGE_BACK_CATALOGS_H
#define STORAGE_BACK_CATALOGS_H

#include "core/base/err.h"

#define CATALOGS_DIR     "catalog"
#define CATALOGS_DAMAGED "catalog.damaged"
#define CATALOGS_CLEAN   "CLEAN"
#define CATALOGS_TOLD    "CATALOG_DAMAGED"
#define CATALOGS_LOOK_MS 60000

struct store;
MUST_CHECK enum err catalogs_open(struct store *st, struct errbuf *eb);
void catalogs_close(struct store *st); /* no worker uses it any more */
/* Every minute: readers of dead processes go, damage is remembered. */
void catalogs_watch(struct store *st);
void catalogs_unwatch(struct store *st);

#endif
