#include "net/daemon/datadir.h"

#include <stdio.h>
#include <string.h>

#include "core/base/fsio.h"

#define ULID_LEN 26u
#define OWN_MARK "MANIFEST." /* storage/manifest.h: MANIFEST.a and .b */

struct found {
	bool own;
	unsigned marks;
	char names[160]; /* the first marks, for the sentence */
};

/* A block of a TSDB: 26 characters of Crockford's base 32. */
static bool is_ulid(const char *name)
{
	return strlen(name) == ULID_LEN &&
	    strspn(name, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ULID_LEN;
}

static bool is_mark(const char *name)
{
	static const char *const marks[] = { "chunks_head", "wal", "wbl", "queries.active" };
	for (size_t i = 0; i < COUNT_OF(marks); i++)
		if (!strcmp(name, marks[i]))
			return true;
	return is_ulid(name) || !strncmp(name, "chunk_snapshot.", 15);
}

static enum err look(void *arg, const char *name)
{
	struct found *f = arg;
	f->own |= !strncmp(name, OWN_MARK, strlen(OWN_MARK));
	if (!is_mark(name))
		return ERR_OK;
	size_t len = strlen(f->names);
	if (f->marks++ < 3)
		snprintf(f->names + len, sizeof(f->names) - len, "%s%s", len ? ", " : "", name);
	return ERR_OK;
}

enum err datadir_check(const char *path, struct errbuf *eb)
{
	struct fsio_dir *d;
	struct found f = { .own = false };
	if (fsio_dir_open(path, false, &d))
		return ERR_OK; /* whoever opens it says what is wrong */
	enum err err = fsio_dir_each(d, look, &f);
	fsio_dir_close(d);
	if (err || f.own || !f.marks)
		return ERR_OK;
	return errbuf_set(eb, ERR_EXISTS,
	    "--data-dir %s: this is the data directory of a Prometheus server (it holds %s%s), whose format kymod does not read: give it a directory of its own",
	    path, f.names, f.marks > 3 ? ", ..." : "");
}
