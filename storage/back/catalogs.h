/*
 * catalogs - the catalog of a store from start to end: looked at after an unclean stop, opened, rebuilt when damaged, caught up with the files.
 *
 * A file CLEAN in the data directory says that the last process closed the catalog; without it the environment is walked once in a child process first.
 * A damaged one is renamed to catalog.damaged (an older one of that name is removed) and all files are worked into a new one.
 *
 * Thread: main; after recover_files, before the shards' backgrounds open. Blocks.
 */
#ifndef STORAGE_BACK_CATALOGS_H
#define STORAGE_BACK_CATALOGS_H

#include "core/base/err.h"

#define CATALOGS_DIR     "catalog"
#define CATALOGS_DAMAGED "catalog.damaged"
#define CATALOGS_CLEAN   "CLEAN"

struct store;
MUST_CHECK enum err catalogs_open(struct store *st, struct errbuf *eb);
void catalogs_close(struct store *st); /* no worker uses it any more */

#endif
