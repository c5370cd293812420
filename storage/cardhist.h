/*
 * cardhist - how cardinality came about: of each tenant the largest metrics, labels, pairs and
 * targets at moments of the last day, to be played back.
 *
 * A moment: a time, the tenant's series in memory then, how many came into memory since a time, and
 * of each kind the CARDHIST_TOP largest names with their series (of a label: its values).
 * (1) Moments of a tenant ascend in time, no two have the same. One that is added at or before
 *     others (the clock was set back) takes their place: they were of a clock that was wrong.
 * (2) A name that a moment does not have had `below` at most: what the last row had where the list
 *     was full, nothing where it was not, more where there was no room to count all
 *     (storage/stats.c); or it was deleted since (cardhist_forget).
 * (3) `made` counts from since_ms to t_ms. Where a moment goes, the next one takes over both; so
 *     sums stay, and what nobody counted (the process was not there) is in no moment.
 * (4) A tenant holds CARDHIST_TENANT_BYTES at most, all together what they were given. Who holds
 *     more (of all: the largest) loses moments between its first and its last, those that leave the
 *     smallest gap: so a long history gets coarser, evenly, and stays as long as it is. Where all
 *     have one moment and that is too much, tenants go that were counted longest ago.
 * Names stand once per tenant; a list that is that of the moment before is shared. A quiet moment
 * is 100 bytes, one in which all lists change some 900, and what new names take.
 *
 * The image, of all there is:
 *   "KYMOCAR3"  tenants u32, of each: id u32, names varint, each a varint and so many bytes,
 *   moments varint, each: t_ms u64, since_ms u64, series varint, made varint, of each kind a
 *   varint: 0 the list of the moment before, else bytes + 1 and the list; crc32c u32 of all before
 *   a list: below, varint; of each row its name's place, varint, and its value, varint: the first
 *   as it is, the others what they are less than the one before
 * "KYMOCAR2" is read, too: its lists have no below, which is that of their last row where they are
 * full, else 0.
 *
 * Thread: one at a time. Memory: own. Fuzz: any bytes are safe for cardhist_decode.
 */
#ifndef STORAGE_CARDHIST_H
#define STORAGE_CARDHIST_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "storage/store.h"

#define CARDHIST_TOP          64u
#define CARDHIST_MOMENTS      400u
#define CARDHIST_TENANTS      1024u
#define CARDHIST_TENANT_BYTES (1u << 20)
/* Values of a label: more may be an estimate, within 2 % (storage/stats.c). */
#define CARDHIST_EXACT 8192u

struct cardhist;
struct cardhist *cardhist_create(size_t bytes_max);
void cardhist_free(struct cardhist *h);
/* What the tenant has now. Rows descend by value. */
struct cardhist_new {
	uint32_t tenant;
	int64_t t_ms;
	uint64_t series;
	/* that came into memory since the process began, which was at begun_ms */
	uint64_t made;
	int64_t begun_ms;
	const struct store_top *tops[STORE_CARD_KINDS];
	unsigned counts[STORE_CARD_KINDS];
	uint64_t below[STORE_CARD_KINDS]; /* (2): at least the last of a full list */
};
void cardhist_add(struct cardhist *h, const struct cardhist_new *n);
/* Moments before t_ms go, of all tenants. */
void cardhist_expire(struct cardhist *h, int64_t t_ms);
/*
 * Tenants that had series at their last moment, in no order; returns how many: they get another
 * moment when they have none any more.
 */
uint32_t cardhist_lives(const struct cardhist *h, uint32_t tenants[CARDHIST_TENANTS]);
/* Each name that the tenant's moments have, once; text is lent, and ends with a NUL. */
void cardhist_names(const struct cardhist *h, uint32_t tenant,
    void (*fn)(void *arg, const char *text, size_t len), void *arg);
/* Rows of names that are gone leave all moments of the tenant; sums stay. Returns how many went. */
uint32_t cardhist_forget(struct cardhist *h, uint32_t tenant,
    bool (*gone)(void *arg, const char *text, size_t len), void *arg);
size_t cardhist_bytes(const struct cardhist *h);
size_t cardhist_moments(const struct cardhist *h);

/*
 * The moments of a range with the `limit` first rows of a kind, in pieces of step_ms from t_min_ms
 * on, of which the last moment counts (0: all moments). Filled into c, which is released by
 * store_card_cut_release. Costs 10 ns a row.
 */
void cardhist_cut(const struct cardhist *h, uint32_t tenant, enum store_card_kind kind,
    int64_t t_min_ms, int64_t t_max_ms, int64_t step_ms, unsigned limit, struct store_card_cut *c);
/* Time of the moment nearest to t_ms, at most off_ms from it; false: none. */
bool cardhist_near(
    const struct cardhist *h, uint32_t tenant, int64_t t_ms, int64_t off_ms, int64_t *found_ms);

void cardhist_encode(const struct cardhist *h, struct buf *to);
/* Into an empty one. ERR_UNSUPPORTED: of another format; ERR_DAMAGED. It is empty then, too. */
MUST_CHECK enum err cardhist_decode(struct cardhist *h, const uint8_t *data, size_t len);

#endif
