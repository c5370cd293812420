/*
 * tenant - who shares a server: names, ids, and the limits of each.
 *
 * A name is what identities and clients say, 1 to TENANT_NAME_MAX of A-Z, a-z, 0-9, "_" and "-".
 * An id is what stands beside every series; storage/tenants gives it, once for each name, and it is
 * never given again. Nobody but the operator sees ids, and neither is ever a file's name.
 *
 * struct tenants is an immutable snapshot of what the configuration says: the limits of everybody
 * (defaults), and rows of those that have some of their own. tenants_create makes it; then each row
 * gets its id (tenants_set_id) from whoever has the book, before the snapshot is given to a loop
 * (loop_set_tenants). Tenants without a row have the defaults.
 *
 * (1) In a row no limit is missing: what it does not say is filled in from the defaults. A limit
 *     that is 0 there is not the tenant's matter: the server's own holds.
 *
 * Cost: finding by name one hash and as good as one comparison, by id one read.
 * Thread: any, once it is given to loops. Memory: own, freed at once by tenants_free.
 */
#ifndef CORE_MODEL_TENANT_H
#define CORE_MODEL_TENANT_H

#include "core/base/err.h"
#include "core/rt/loop.h"

#define TENANT_DEFAULT      0u /* who writes and reads where there are no identities */
#define TENANT_DEFAULT_NAME "default"
#define TENANT_NONE         UINT32_MAX /* nobody: it has no data, and nothing is written for it */
#define TENANT_NAME_MAX     64u        /* bytes */

/* ERR_BADDATA: *eb tells what is wrong with the name. */
MUST_CHECK enum err tenant_name_check(const char *name, size_t len, struct errbuf *eb);

struct card_rules;
struct tenant_limits {
#define TENANT_LIMIT(field, ...) uint64_t field;
#include "core/model/tenant_limits.def"
#undef TENANT_LIMIT
};
enum tenant_limit_id {
#define TENANT_LIMIT(field, ...) TENANT_LIMIT_##field,
#include "core/model/tenant_limits.def"
#undef TENANT_LIMIT
	TENANT_LIMITS_COUNT
};
enum tenant_limit_unit {
	TENANT_LIMIT_COUNT_UNIT,
	TENANT_LIMIT_BYTES,
	TENANT_LIMIT_MS
};
struct tenant_limit_row {
	const char *key, *help;
	enum tenant_limit_unit unit;
	uint64_t usual, least, most;
	size_t off; /* in struct tenant_limits */
};
extern const struct tenant_limit_row tenant_limit_rows[TENANT_LIMITS_COUNT];
/* The usual of each. */
void tenant_limits_default(struct tenant_limits *l);
uint64_t tenant_limit_get(const struct tenant_limits *l, enum tenant_limit_id id);

struct tenant_row {
	char name[TENANT_NAME_MAX + 1];
	uint32_t id;  /* TENANT_NONE until it is set */
	uint64_t own; /* bit of each tenant_limit_id that the row itself says */
	struct tenant_limits limits;
	/* Rules of its own (core/model/cardrule.h), none where it is NULL; else those of all. */
	bool card_own;
	const struct card_rules *card; /* borrowed, by the snapshot too */
};
struct tenants {
	struct tenant_limits defaults;
	struct tenant_row *rows; /* by name */
	uint32_t count;
	uint64_t any;                  /* bit of each tenant_limit_id that is not 0 for somebody */
	const struct card_rules *card; /* of those without rules of their own; NULL: none */
	uint64_t _card_hash;           /* of those that have some */
	uint32_t *_names;              /* open addressing over rows, 0 = free, else its place + 1 */
	uint32_t _names_mask;
	uint32_t *_ids; /* of an id its row + 1; 0 = none */
	uint32_t _ids_count;
};
/*
 * defaults NULL: the usual ones. Of a given row name, own and those limits that own names are read.
 * ERR_BADDATA: a name is wrong or stands there twice; *eb tells. Row "default" has TENANT_DEFAULT
 * at once.
 */
MUST_CHECK enum err tenants_create(struct tenants **out, const struct tenant_limits *defaults,
    const struct tenant_row *rows, size_t count, struct errbuf *eb);
void tenants_free(struct tenants *t);
/* Before a loop has it. The id is nobody else's. */
void tenants_set_id(struct tenants *t, uint32_t row, uint32_t id);
/* Before a loop has it: the rules of tenants without their own; they outlive the snapshot. */
void tenants_set_card(struct tenants *t, const struct card_rules *card);
uint64_t tenants_card_hash(const struct tenants *t); /* of all rules; 0: there are none */
/* NULL: it has no row. */
const struct tenant_row *tenants_find(const struct tenants *t, const char *name, size_t len);
const struct tenant_row *tenants_of(const struct tenants *t, uint32_t id);
/* The limits that hold for it: of its row, else the defaults. t NULL: the usual ones. */
const struct tenant_limits *tenant_limits_of(const struct tenants *t, uint32_t id);
/* The same by the snapshot of this thread's loop. */
const struct tenant_limits *tenant_limits_here(uint32_t id);
/* The rules against its series without end; NULL: none. */
const struct card_rules *tenant_card_of(const struct tenants *t, uint32_t id);

#define TENANT_LIMIT_TEXT_MAX 160
/*
 * "limit 50,000 (tenants.acme.series)", as refusals end: the tenant's own number, and the key that
 * says it; returns out.
 */
const char *tenant_limit_text(const struct tenants *t, uint32_t id, enum tenant_limit_id limit,
    char out[TENANT_LIMIT_TEXT_MAX]);

#endif
