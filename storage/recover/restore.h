/*
 * restore - takes in what the disk could not read when the log was replayed (files set aside,
 * wal/walseg.h).
 *
 * Such a segment does not take its old place again, for the store goes on: it gives numbers, ids
 * and files anew. Its rows are written once more as their sender would, by labels, and repeats
 * change nothing. Only a value that was overwritten since comes back by that. Then the file is
 * removed.
 *
 * (1) "unread-...": set aside by this start, nobody has written since. What can be read of it is
 *     taken in at once; if that is not all, it is "waiting-..." from then on.
 * (2) "waiting-...": ids may have been given again, so what its rows speak of must be told by its
 *     own definitions: all of these files are taken in, or none as long as one cannot be read
 *     wholly, or a segment of the log that speaks of what they define has not become one (it
 *     does when it is free).
 * (3) What was deleted does not come back, whatever ids it had: storage/asidebook.h. While such a
 *     file lies there no cut is forgotten (shard.log_waits).
 * Definitions of the files count before those of the store. Rows whose labels are known nowhere are
 * counted. Metadata is not taken: senders repeat it.
 *
 * Thread: main, when the store runs and before anybody else writes. Blocks.
 */
#ifndef STORAGE_RECOVER_RESTORE_H
#define STORAGE_RECOVER_RESTORE_H

struct recover_env;
/* Nothing that goes wrong here keeps the store from running: the files stay for the next start. */
void restore_run(const struct recover_env *env);

#endif
