/*
 * backtarget - where backups lie: objects under keys ("objects/3f/3fa0..."), written whole. Now a
 * directory; a bucket has the same five calls.
 *
 * Keys are words of letters, digits, ".", "-", "_", with "/" between them.
 * Thread: one, blocks. Memory: what is got is the caller's.
 */
#ifndef NET_CTL_BACKTARGET_H
#define NET_CTL_BACKTARGET_H

#include "core/base/fsio.h"

struct backtarget;
struct backtarget_ops {
	/* Replaces what is there. It is whole at once, and durable after flush. */
	enum err (*put)(struct backtarget *t, const char *key, const void *data, size_t len);
	/* The same of the first len bytes of a file. */
	enum err (*put_file)(
	    struct backtarget *t, const char *key, struct fsio_file *from, uint64_t len);
	/* Exactly len bytes from off on; ERR_TRUNCATED. */
	enum err (*get)(struct backtarget *t, const char *key, void *data, size_t len, uint64_t off);
	/* ERR_DAMAGED: something else has its name. */
	enum err (*size)(struct backtarget *t, const char *key, uint64_t *bytes);
	/* Keys that begin with prefix, which ends with "/" or is "", by name; fn ends it. */
	enum err (*list)(struct backtarget *t, const char *prefix,
	    enum err (*fn)(void *arg, const char *key, uint64_t bytes), void *arg);
	/* Missing is success. Durable after flush. */
	enum err (*del)(struct backtarget *t, const char *key);
	enum err (*flush)(struct backtarget *t);
	void (*close)(struct backtarget *t);
};
struct backtarget {
	const struct backtarget_ops *ops;
	const char *path; /* for people */
};
/* ERR_LOCKED: another process works on it, as long as this is open. */
MUST_CHECK enum err backtarget_dir(
    const char *path, bool create, struct backtarget **out, struct errbuf *eb);
static inline void backtarget_close(struct backtarget *t)
{
	if (t)
		t->ops->close(t);
}

/*
 * The directory that holds what path names below top, and what is behind its last slash; create:
 * directories that are missing are made. *dir is NULL on an error.
 */
MUST_CHECK enum err backtarget_walk(
    struct fsio_dir *top, const char *path, bool create, struct fsio_dir **dir, const char **name);

#endif
