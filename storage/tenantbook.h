/*
 * tenantbook - which name of a tenant has which id (core/model/tenant.h), in the data directory.
 *
 * An id is given once and never to another name: series, metadata and newest times on disk know
 * their tenant by it alone. Tenant 0 is "default" and stands nowhere; the others are 1, 2, 3, ...
 *
 * Files TENANTS.a and TENANTS.b, the same bytes, made with the first tenant:
 *   "KYMOTEN1"  version u32  record bytes u32  zeros[12]  crc32c of those u32
 *   of each id from 1 on: crc32c u32 (begun with the id)  length u32 (0: lost)  name[64]
 * (1) A name is found by nobody before its record is synced in both files; then by all loops,
 *     before whoever asked for it is told. New records are written at the end of a and synced,
 *     then of b.
 * (2) A file in which a write or sync failed is not written again: a new one takes its place.
 * (3) At a start a record counts that either file has whole. What neither has, but the store knows
 *     samples or metadata of, is lost: its id keeps the data, under the name "~id", which nobody
 *     can have; it is logged, and both files are set aside before they are written again. Whoever
 *     puts a copy of the files back while the server does not run has the names back.
 *
 * Each loop has a table of its own, so finding asks nobody: one hash, as good as one comparison.
 * Making is for loop 0 and one worker; what is asked for meanwhile goes into the next write
 * together.
 * Memory: a name, 8 bytes of each loop's list, 8 to 16 of its table.
 */
#ifndef STORAGE_TENANTBOOK_H
#define STORAGE_TENANTBOOK_H

#include "core/base/fsio.h"
#include "core/model/tenant.h"
#include "core/rt/latch.h"
#include "core/rt/work.h"

#define TENANTBOOK_MAX 1000000u /* whatever the limit says */

struct share;
struct store_tenant_req;
struct tenantbook_env {
	struct share **shares; /* [loops]; that of loop 0 is home */
	unsigned loops;
	struct work_pool *pool;
	struct fsio_dir *dir;  /* the data directory */
	struct latch *several; /* set when there is another one than the default */
};
struct tenantbook;
struct tenantbook *tenantbook_create(const struct tenantbook_env *env);
void tenantbook_free(struct tenantbook *b);
/*
 * Reads the files; before loops use it. ERR_UNSUPPORTED: of a later format. ERR_NOFILES, ERR_NOMEM,
 * ERR_ACCESS: says nothing of the files.
 */
MUST_CHECK enum err tenantbook_load(struct tenantbook *b, struct errbuf *eb);
/*
 * The store has data of ids up to that: they are nobody else's. After tenantbook_load, at most
 * once; writes the files again where they need it. Blocks.
 */
void tenantbook_settle(struct tenantbook *b, uint32_t id_max);
/* On a loop of the team. TENANT_NONE; NULL. Names live as long as the book. */
uint32_t tenantbook_find(const struct tenantbook *b, const char *name, size_t len);
const char *tenantbook_name(const struct tenantbook *b, uint32_t id);
uint32_t tenantbook_count(const struct tenantbook *b); /* ids given, 0 included */
void tenantbook_make(struct tenantbook *b, struct store_tenant_req *r);
/* On loop 0: what was asked for and has not begun is told ERR_STOPPING. */
void tenantbook_stop(struct tenantbook *b);
bool tenantbook_busy(const struct tenantbook *b);

#endif
