#include "core/model/tenant.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "core/model/cardrule.h"

#define COUNT       TENANT_LIMIT_COUNT_UNIT
#define BYTES       TENANT_LIMIT_BYTES
#define MS          TENANT_LIMIT_MS
#define TABLE_FIRST 8u

const struct tenant_limit_row tenant_limit_rows[TENANT_LIMITS_COUNT] = {
#define TENANT_LIMIT(field, key, unit, usual, least, most, help)                                   \
 [TENANT_LIMIT_##                                                                                  \
     field] = { key, help, unit, usual, least, most, offsetof(struct tenant_limits, field) },
#include "core/model/tenant_limits.def"
#undef TENANT_LIMIT
};
STATIC(TENANT_LIMITS_COUNT <= 64); /* tenant_row.own */

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_' || c == '-';
}

enum err tenant_name_check(const char *name, size_t len, struct errbuf *eb)
{
	if (!len)
		return errbuf_set(eb, ERR_BADDATA, "tenant name is empty");
	for (size_t i = 0; i < len; i++)
		if (!name_char(name[i]))
			return errbuf_set(eb, ERR_BADDATA,
			    "tenant name \"%.*s\": only A-Z, a-z, 0-9, \"_\" and \"-\" may stand in it",
			    (int)(len < 100 ? len : 100), name);
	if (len > TENANT_NAME_MAX)
		return errbuf_set(eb, ERR_BADDATA,
		    "tenant name \"%.20s...\": %zu characters, at most %u", name, len,
		    TENANT_NAME_MAX);
	return 0;
}

/* ---- limits ---- */

void tenant_limits_default(struct tenant_limits *l)
{
	*l = (struct tenant_limits){
#define TENANT_LIMIT(field, key, unit, usual, ...) .field = usual,
#include "core/model/tenant_limits.def"
#undef TENANT_LIMIT
	};
}

uint64_t tenant_limit_get(const struct tenant_limits *l, enum tenant_limit_id id)
{
	return *(const uint64_t *)(const void *)((const char *)l + tenant_limit_rows[id].off);
}

static void limit_set(struct tenant_limits *l, enum tenant_limit_id id, uint64_t v)
{
	*(uint64_t *)(void *)((char *)l + tenant_limit_rows[id].off) = v;
}

static struct tenant_limits usual;

static void usual_fill(void)
{
	tenant_limits_default(&usual);
}

static const struct tenant_limits *usual_limits(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, usual_fill);
	return &usual;
}

/* ---- the snapshot ---- */

static int row_cmp(const void *a, const void *b)
{
	return strcmp(((const struct tenant_row *)a)->name, ((const struct tenant_row *)b)->name);
}

static enum err rows_check(const struct tenants *t, struct errbuf *eb)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const char *name = t->rows[i].name;
		enum err e = tenant_name_check(name, strnlen(name, sizeof t->rows[i].name), eb);
		if (e)
			return e;
		if (i && !strcmp(name, t->rows[i - 1].name))
			return errbuf_set(eb, ERR_BADDATA, "tenant \"%s\" stands there twice", name);
	}
	return 0;
}

static uint64_t any_of(const struct tenant_limits *l)
{
	uint64_t any = 0;
	for (unsigned i = 0; i < TENANT_LIMITS_COUNT; i++)
		any |= (uint64_t)(tenant_limit_get(l, i) != 0) << i;
	return any;
}

static void row_fill(const struct tenants *t, struct tenant_row *row)
{
	row->id = TENANT_NONE;
	for (unsigned i = 0; i < TENANT_LIMITS_COUNT; i++)
		if (!(row->own >> i & 1))
			limit_set(&row->limits, i, tenant_limit_get(&t->defaults, i));
}

/* Its place in _names, or the free one where it belongs. */
static uint32_t *name_place(const struct tenants *t, const char *name, size_t len)
{
	for (uint32_t i = (uint32_t)hash64(name, len, 0) & t->_names_mask;;
	     i = (i + 1) & t->_names_mask) {
		uint32_t *place = &t->_names[i];
		const char *have = *place ? t->rows[*place - 1].name : NULL;
		if (!have || bytes_equal(have, strlen(have), name, len))
			return place;
	}
}

static void names_fill(struct tenants *t)
{
	uint32_t size = TABLE_FIRST;
	while (size < 2 * t->count)
		size *= 2;
	t->_names_mask = size - 1;
	t->_names = mem_zalloc(size * sizeof *t->_names);
	for (uint32_t i = 0; i < t->count; i++)
		*name_place(t, t->rows[i].name, strlen(t->rows[i].name)) = i + 1;
}

enum err tenants_create(struct tenants **out, const struct tenant_limits *defaults,
    const struct tenant_row *rows, size_t count, struct errbuf *eb)
{
	struct tenants *t = mem_zalloc(sizeof *t);
	CHECK(count < UINT32_MAX / 4);
	t->defaults = defaults ? *defaults : *usual_limits();
	t->count = (uint32_t)count;
	t->rows = mem_array(NULL, count + 1, sizeof *t->rows);
	if (count) {
		memcpy(t->rows, rows, count * sizeof *rows);
		qsort(t->rows, count, sizeof *t->rows, row_cmp);
	}
	enum err e = rows_check(t, eb);
	if (e) {
		tenants_free(t);
		return e;
	}
	t->any = any_of(&t->defaults);
	for (uint32_t i = 0; i < t->count; i++) {
		row_fill(t, &t->rows[i]);
		t->any |= any_of(&t->rows[i].limits);
		if (t->rows[i].card_own)
			t->_card_hash = hash64(t->rows[i].name, strlen(t->rows[i].name),
			    t->_card_hash + card_rules_hash(t->rows[i].card));
	}
	names_fill(t);
	const struct tenant_row *row =
	    tenants_find(t, TENANT_DEFAULT_NAME, strlen(TENANT_DEFAULT_NAME));
	if (row)
		tenants_set_id(t, (uint32_t)(row - t->rows), TENANT_DEFAULT);
	*out = t;
	return 0;
}

void tenants_free(struct tenants *t)
{
	if (!t)
		return;
	mem_free(t->rows);
	mem_free(t->_names);
	mem_free(t->_ids);
	mem_free(t);
}

static void ids_grow(struct tenants *t, uint32_t id)
{
	uint32_t count = t->_ids_count ? t->_ids_count : TABLE_FIRST;
	while (count <= id)
		count *= 2;
	if (count == t->_ids_count)
		return;
	t->_ids = mem_array(t->_ids, count, sizeof *t->_ids);
	memset(t->_ids + t->_ids_count, 0, (count - t->_ids_count) * sizeof *t->_ids);
	t->_ids_count = count;
}

void tenants_set_id(struct tenants *t, uint32_t row, uint32_t id)
{
	CHECK(row < t->count);
	CHECK(id < UINT32_MAX / 4);
	ids_grow(t, id);
	CHECK(!t->_ids[id] || t->_ids[id] == row + 1);
	t->_ids[id] = row + 1;
	t->rows[row].id = id;
}

const struct tenant_row *tenants_find(const struct tenants *t, const char *name, size_t len)
{
	uint32_t place = *name_place(t, name, len);
	return place ? &t->rows[place - 1] : NULL;
}

const struct tenant_row *tenants_of(const struct tenants *t, uint32_t id)
{
	if (id >= t->_ids_count || !t->_ids[id])
		return NULL;
	return &t->rows[t->_ids[id] - 1];
}

const struct tenant_limits *tenant_limits_of(const struct tenants *t, uint32_t id)
{
	if (!t)
		return usual_limits();
	const struct tenant_row *row = tenants_of(t, id);
	return row ? &row->limits : &t->defaults;
}

const struct tenant_limits *tenant_limits_here(uint32_t id)
{
	const struct loop *here = loop_here();
	return tenant_limits_of(here ? loop_tenants(here) : NULL, id);
}

void tenants_set_card(struct tenants *t, const struct card_rules *card)
{
	t->card = card;
}

uint64_t tenants_card_hash(const struct tenants *t)
{
	uint64_t own = t->_card_hash, all = card_rules_hash(t->card);
	return own || all ? hash_mix64(own + all) : 0;
}

const struct card_rules *tenant_card_of(const struct tenants *t, uint32_t id)
{
	if (!t)
		return NULL;
	const struct tenant_row *row = tenants_of(t, id);
	return row && row->card_own ? row->card : t->card;
}

/* ---- texts ---- */

static void grouped(uint64_t v, char *out)
{
	char digits[NUM_FMT_MAX];
	size_t n = num_fmt_u64(v, digits), len = 0;

	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[len++] = ',';
		out[len++] = digits[i];
	}
	out[len] = 0;
}

const char *tenant_limit_text(const struct tenants *t, uint32_t id, enum tenant_limit_id limit,
    char out[TENANT_LIMIT_TEXT_MAX])
{
	const struct tenant_limit_row *desc = &tenant_limit_rows[limit];
	const struct tenant_row *row = t ? tenants_of(t, id) : NULL;
	uint64_t v = tenant_limit_get(tenant_limits_of(t, id), limit);
	char number[2 * NUM_FMT_MAX + 1];

	if (desc->unit == TENANT_LIMIT_MS)
		number[num_fmt_duration((int64_t)v, number)] = 0;
	else
		grouped(v, number);
	snprintf(out, TENANT_LIMIT_TEXT_MAX, "limit %.32s%s (tenants.%s.%s)", number,
	    desc->unit == TENANT_LIMIT_BYTES ? " bytes" : "",
	    row && row->own >> limit & 1 ? row->name : "defaults", desc->key);
	return out;
}
