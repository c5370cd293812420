#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/purse.h"
#include "tests/lib/tap.h"

static void of_a_purse(void)
{
	struct purse purse;
	struct buf b;

	purse_init(&purse, 1000, NULL);
	buf_init(&b);
	b.purse = &purse;
	for (int i = 0; i < 500; i++)
		buf_add_u8(&b, 'a');
	TAP_OK(!b.over && b.len == 500 && purse_used(&purse) == b.cap);
	for (int i = 0; i < 500; i++)
		buf_add_u8(&b, 'b');
	tap_ok(b.over && b.len == 512 && purse_used(&purse) == 512,
	    "what a purse does not have is left out: %zu", b.len);
	purse.max = 10000;
	buf_add_u8(&b, 'c');
	tap_is_u64(b.len, 512, "and so is everything behind it, whatever the purse has later");
	uint8_t *p = buf_take(&b, NULL);
	TAP_OK(!b.over && purse_used(&purse) == 0);
	purse.max = 1000;
	mem_free(p);
	buf_add_str(&b, "again");
	TAP_OK(purse_used(&purse) == b.cap);
	buf_release(&b);
	purse_end(&purse);
}

int main(void)
{
	struct buf b;
	buf_init(&b);
	for (int i = 0; i < 10000; i++)
		buf_add_u8(&b, (uint8_t)i);
	unsigned bad = b.len != 10000;
	for (int i = 0; i < 10000; i++)
		bad += b.data[i] != (uint8_t)i;
	tap_is_u64(bad, 0, "bytes added one by one are all there");
	buf_clear(&b);
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "%d,", i);
	tap_ok(b.len == 10 * 2 + 90 * 3 + 400 * 4 && memcmp(b.data, "0,1,2,", 6) == 0,
	    "printf appends without its NUL");
	size_t len;
	uint8_t *p = buf_take(&b, &len);
	tap_ok(p && len == 1890 && !b.data && b.len == 0, "take gives the memory away");
	mem_free(p);
	buf_add(&b, NULL, 0);
	tap_is_u64(b.len, 0, "nothing may be added");
	b.limit = 100;
	for (int i = 0; i < 20; i++)
		buf_add_str(&b, "1234567");
	tap_ok(b.over && b.len == 98 && b.cap <= 100,
	    "with a limit what does not fit is left out: %zu", b.len);
	buf_add_str(&b, "x");
	tap_is_u64(b.len, 98, "and so is everything behind it");
	buf_printf(&b, "%s", "y");
	tap_is_u64(b.len, 98, "printf too");
	TAP_OK(!buf_reserve(&b, 1));
	buf_clear(&b);
	TAP_OK(!b.over && buf_reserve(&b, 50));
	buf_printf(&b, "%0200d", 1);
	TAP_OK(b.over && b.len == 0);
	TAP_OK(!buf_reserve(&b, SIZE_MAX));
	buf_release(&b);
	of_a_purse();
	return tap_done();
}
