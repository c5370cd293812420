/*
 * doctorworld - what the doctor has to ask the system and the disk for: machine and process
 * (core/base/machine.h), the file system of the data directory, what lies in it that a human should
 * look at, and snapshots.
 *
 * Blocks: for a worker. Memory: the caller's. What cannot be read is 0.
 */
#ifndef CORE_BASE_DOCTORWORLD_H
#define CORE_BASE_DOCTORWORLD_H

#include "core/base/check.h"
#include "core/base/machine.h"

enum doctorworld_disk {
	DOCTORWORLD_DISK,
	DOCTORWORLD_MEMORY, /* tmpfs, ramfs */
	DOCTORWORLD_NETWORK /* NFS, SMB */
};
struct doctorworld {
	bool known; /* it has been read */
	struct machine machine;
	enum doctorworld_disk kind;
	uint64_t inodes_free, inodes_total; /* total 0: the file system does not count them */
	uint64_t log_unread, log_damaged;   /* in log/: unread-* and waiting-*; damaged-* */
	bool catalog_damaged;               /* catalog.damaged lies there */
	uint64_t snapshots;                 /* in snapshots/ */
	int64_t snapshot_ms;                /* when the newest was made; 0: there is none */
};
/* root: as of machine_read; data_dir may be NULL. */
void doctorworld_read(const char *root, const char *data_dir, struct doctorworld *out);
/* When a snapshot of this name was made ("20261129T081218Z-..."); 0: it is no such name. */
int64_t doctorworld_snapshot_ms(const char *name);

#endif
