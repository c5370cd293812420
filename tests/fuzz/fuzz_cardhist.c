/*
 * Any bytes as the file CARDINALITY (storage/cardhist.h). Bit 0 of the first byte: they get a
 * magic (bit 1: of the format of now, else the one before) and checksum, so the fuzzer comes to
 * what stands between. What is read is cut in several ways, says the same when it is written and
 * read again, and forgets names.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/cardhist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut(const struct cardhist *h, uint32_t tenant)
{
	for (unsigned k = 0; k < STORE_CARD_KINDS; k++) {
		struct store_card_cut c;
		cardhist_cut(h, tenant, (enum store_card_kind)k, INT64_MIN, INT64_MAX,
		    k % 2 ? 300000 : 0, CARDHIST_TOP - 60 * (k / 2), &c);
		for (uint32_t i = 0; i < c.moments_count; i++) {
			const struct store_card_moment *m = &c.moments[i];
			CHECK(m->since_ms <= m->t_ms);
			CHECK(!i || m[-1].t_ms < m->t_ms);
			for (uint32_t r = m->rows_at; r < m->rows_at + m->rows_count; r++) {
				CHECK(c.rows[r].name < c.names_count);
				CHECK(strlen(c.texts + c.names[c.rows[r].name]) < 256);
				CHECK(r == m->rows_at || c.rows[r].value <= c.rows[r - 1].value);
			}
		}
		store_card_cut_release(&c);
	}
}

static bool even(void *arg, const char *text, size_t len)
{
	(void)arg;
	return len % 2 == 0 && text[len] == 0;
}

static void no_even(void *arg, const char *text, size_t len)
{
	CHECK(!even(arg, text, len));
}

static void forget(struct cardhist *h)
{
	size_t moments = cardhist_moments(h);
	for (uint32_t tenant = 0; tenant < 4; tenant++) {
		(void)cardhist_forget(h, tenant, even, NULL);
		cardhist_names(h, tenant, no_even, NULL);
		cut(h, tenant);
	}
	CHECK(cardhist_moments(h) == moments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cardhist *h = cardhist_create(1u << 20), *again = cardhist_create(1u << 20);
	struct buf b, image, second;
	if (!size)
		goto out;
	buf_init(&b);
	buf_init(&image);
	buf_init(&second);
	if (data[0] & 1)
		buf_add_str(&b, data[0] & 2 ? "KYMOCAR3" : "KYMOCAR2");
	buf_add(&b, data + 1, size - 1);
	if (data[0] & 1)
		wire_put_u32(&b, crc32c(0, b.data, b.len));
	enum err e = cardhist_decode(h, b.data, b.len);
	CHECK(!e || !cardhist_bytes(h));
	for (uint32_t tenant = 0; tenant < 4; tenant++)
		cut(h, tenant);
	cardhist_encode(h, &image);
	CHECK(!cardhist_decode(again, image.data, image.len));
	CHECK(cardhist_moments(again) == cardhist_moments(h));
	cardhist_encode(again, &second);
	CHECK(second.len == image.len && !memcmp(second.data, image.data, image.len));
	forget(again);
	cardhist_expire(again, 0);
	buf_release(&b);
	buf_release(&image);
	buf_release(&second);
out:
	cardhist_free(again);
	cardhist_free(h);
	return 0;
}
