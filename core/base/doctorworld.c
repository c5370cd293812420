#include "core/base/doctorworld.h"

#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>

#include "core/base/fsio.h"
#include "core/base/num.h"

/* statfs(2), f_type. */
#define TMPFS_TYPE 0x01021994
#define RAMFS_TYPE 0x858458f6
#define NFS_TYPE   0x6969
#define SMB_TYPE   0x517b
#define CIFS_TYPE  0xff534d42
#define SMB2_TYPE  0xfe534d42

static void read_kind(struct fsio_dir *d, struct doctorworld *w)
{
	struct statfs s;
	if (fstatfs(fsio_dir_fd(d), &s))
		return;
	switch ((uint64_t)s.f_type & UINT32_MAX) {
	case TMPFS_TYPE:
	case RAMFS_TYPE:
		w->kind = DOCTORWORLD_MEMORY;
		break;
	case NFS_TYPE:
	case SMB_TYPE:
	case CIFS_TYPE:
	case SMB2_TYPE:
		w->kind = DOCTORWORLD_NETWORK;
		break;
	default:
		break;
	}
	w->inodes_free = s.f_ffree;
	w->inodes_total = s.f_files;
}

static bool begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

static enum err of_data(void *arg, const char *name)
{
	struct doctorworld *w = arg;
	w->catalog_damaged |= !strcmp(name, "catalog.damaged");
	return ERR_OK;
}

static enum err of_log(void *arg, const char *name)
{
	struct doctorworld *w = arg;
	w->log_unread += begins(name, "unread-") || begins(name, "waiting-");
	w->log_damaged += begins(name, "damaged-");
	return ERR_OK;
}

int64_t doctorworld_snapshot_ms(const char *name)
{
	char text[32];
	int64_t ms;
	static const char form[] = "ddddddddTddddddZ-";
	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
			return 0;
	(void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", name, name + 4,
	    name + 6, name + 9, name + 11, name + 13);
	return num_parse_time(text, strlen(text), &ms) ? 0 : ms;
}

static enum err of_snapshots(void *arg, const char *name)
{
	struct doctorworld *w = arg;
	int64_t ms = doctorworld_snapshot_ms(name);
	w->snapshots += ms != 0;
	w->snapshot_ms = ms > w->snapshot_ms ? ms : w->snapshot_ms;
	return ERR_OK;
}

static void each_of(struct fsio_dir *d, const char *sub, enum err (*fn)(void *, const char *),
    struct doctorworld *w)
{
	struct fsio_dir *s;
	if (fsio_dir_sub(d, sub, false, &s))
		return;
	enum err e = fsio_dir_each(s, fn, w); /* on an error what it has seen counts */
	(void)e;
	fsio_dir_close(s);
}

void doctorworld_read(const char *root, const char *data_dir, struct doctorworld *out)
{
	struct fsio_dir *d;
	*out = (struct doctorworld){ .known = true };
	machine_read(root, &out->machine);
	if (!data_dir || fsio_dir_open(data_dir, false, &d))
		return;
	read_kind(d, out);
	if (!fsio_dir_each(d, of_data, out)) {
		each_of(d, "log", of_log, out);
		each_of(d, "snapshots", of_snapshots, out);
	}
	fsio_dir_close(d);
}
