/* Assets: their forms, their ETags, and which lists of tags name one. */
#include "net/http/asset.h"

#include "core/base/mem.h"
#include "tests/lib/tap.h"

static void make(struct asset *a, unsigned lines, unsigned from)
{
	struct buf b;
	buf_init(&b);
	for (unsigned i = 0; i < lines; i++)
		buf_printf(&b, "line %u\n", from + i);
	asset_init(a, "text/plain", NULL, &b);
}

static const struct {
	const char *field;
	bool named;
} lists[] = {
	{ "\"abc\"", true },
	{ "W/\"abc\"", true },
	{ " \"abc\" ", true },
	{ "\"x\", \"abc\"", true },
	{ "\"x\",\"y\" ,\t\"abc\",\"z\"", true },
	{ ",, \"abc\"", true },
	{ "\"a,b\", \"abc\"", true },
	{ "*", true },
	{ " * ", true },
	{ "", false },
	{ ",", false },
	{ "abc", false },
	{ "\"abc", false },
	{ "\"ab\"", false },
	{ "\"abcd\"", false },
	{ "\"ABC\"", false },
	{ "\"x\" \"abc\"", false },
	{ "x\"abc\"", false },
	{ "w/\"abc\"", false },
	{ "W/", false },
	{ "W/*", false },
	{ "*, \"abc\"", false },
	{ "\"x*\"", false },
};

/* One that is borrowed in its packed form. */
static void packed(const struct asset *made)
{
	struct asset a, wrong;
	asset_init_packed(&a, "text/plain", NULL, made->gzip, made->gzip_len, made->plain_len);
	tap_ok(a.gzip == made->gzip && !a.plain && a.plain_len == made->plain_len,
	    "packed bytes are borrowed");
	tap_is_str(a.gzip_etag, made->gzip_etag, "their ETag is that of the bytes");
	tap_ok(strcmp(a.plain_etag, a.gzip_etag) && strlen(a.plain_etag) > 2,
	    "that of the plain form is another");
	uint8_t *plain = asset_unpack(&a);
	tap_ok(plain && !memcmp(plain, made->plain, made->plain_len), "they unpack to what it was");
	mem_free(plain);
	asset_release(&a);
	for (size_t i = 0; i < 2; i++) {
		asset_init_packed(&wrong, "text/plain", NULL, made->gzip, made->gzip_len,
		    i ? made->plain_len - 1 : made->plain_len + 1);
		tap_ok(!asset_unpack(&wrong), "another length than what is told is an error");
		asset_release(&wrong);
	}
	asset_init_packed(
	    &wrong, "text/plain", NULL, made->gzip, made->gzip_len - 1, made->plain_len);
	tap_ok(!asset_unpack(&wrong), "so is a piece of it");
	asset_release(&wrong);
	uint8_t *bad = mem_alloc(made->gzip_len);
	memcpy(bad, made->gzip, made->gzip_len);
	bad[made->gzip_len - 5] ^= 1; /* its checksum */
	asset_init_packed(&wrong, "text/plain", NULL, bad, made->gzip_len, made->plain_len);
	tap_ok(!asset_unpack(&wrong), "and a bit that is wrong");
	asset_release(&wrong);
	mem_free(bad);
}

int main(void)
{
	struct asset a, same, other, small;
	make(&a, 1000, 1);
	make(&same, 1000, 1);
	make(&other, 1000, 2);
	make(&small, 3, 1);
	tap_ok(a.gzip && a.gzip_len < a.plain_len / 2, "a large one is kept compressed, too");
	packed(&a);
	tap_ok(!small.gzip && small.plain_len == 21, "a small one is not");
	tap_is_str(a.plain_etag, same.plain_etag, "the same bytes have the same ETag");
	tap_is_str(a.gzip_etag, same.gzip_etag, "compressed, too");
	tap_ok(strcmp(a.plain_etag, other.plain_etag) && strcmp(a.gzip_etag, other.gzip_etag),
	    "others have others");
	tap_ok(strcmp(a.plain_etag, a.gzip_etag), "so has each form");
	tap_ok(a.plain_etag[0] == '"' && a.plain_etag[strlen(a.plain_etag) - 1] == '"',
	    "they are strong: %s", a.plain_etag);
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		tap_ok(asset_named(lists[i].field, strlen(lists[i].field), "\"abc\"") ==
		        lists[i].named,
		    "If-None-Match: %s", lists[i].field);
	asset_release(&a);
	asset_release(&same);
	asset_release(&other);
	asset_release(&small);
	return tap_done();
}
