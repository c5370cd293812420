/*
 * Any bytes as a segment. The first byte chooses how much is repaired, so that the fuzzer gets past
 * the checksums: bit 0 the head, bit 1 the checksums of what looks like frames.
 * Frames come in ascending places inside the file, and reading one again at its place gives the
 * same.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/wire.h"
#include "storage/wal/walseg.h"

#define SIZE_MAX_BYTES (WALSEG_DATA + (64u << 10))
static uint8_t image[SIZE_MAX_BYTES];
static size_t image_len;

static enum err image_read(void *arg, void *data, size_t len, uint64_t off)
{
	(void)arg;
	if (off > image_len || image_len - off < len)
		return ERR_IO;
	memcpy(data, image + off, len);
	return ERR_OK;
}

static void repair(uint8_t how, uint32_t salt_crc)
{
	uint8_t sample[WALSEG_FRAME_BYTES];
	walseg_frame_put(sample, salt_crc, 1, 0, NULL, 0);
	for (size_t at = WALSEG_DATA; (how & 2) && at + WALSEG_FRAME_BYTES <= image_len;
	     at += WALSEG_ALIGN) {
		uint8_t *p = image + at;
		if (p[0] != sample[0])
			continue;
		memcpy(p, sample, 4);
		/* the top bit is WALSEG_LAST */
		uint32_t len = wire_load32(p + 4) & 0x7fffffff, crc = crc32c(salt_crc, p, 24);
		wire_store32(p + 24, crc);
		if (len <= image_len - at - WALSEG_FRAME_BYTES)
			wire_store32(p + 28, len ? crc32c(crc, p + WALSEG_FRAME_BYTES, len) : crc);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	uint8_t how = data[0];
	data++;
	size--;
	struct walseg_head h = { .slot = 1, .order = 1, .salt = 2, .first_seq = 1 };
	memset(image, 0, sizeof(image));
	if (how & 1) {
		walseg_head_put(&h, image);
		image_len = WALSEG_DATA +
		    (size < SIZE_MAX_BYTES - WALSEG_DATA ? size : SIZE_MAX_BYTES - WALSEG_DATA);
		memcpy(image + WALSEG_DATA, data, image_len - WALSEG_DATA);
		repair(how, walseg_salt_crc(h.salt));
	} else {
		image_len = size < SIZE_MAX_BYTES ? size : SIZE_MAX_BYTES;
		memcpy(image, data, image_len);
	}
	struct walseg_reader r;
	struct walseg_frame f;
	if (!walseg_reader_init(&r, 1, image_len, image_read, NULL)) {
		uint64_t end = WALSEG_DATA;
		for (enum walseg_got got = walseg_next(&r, &f); got != WALSEG_END;
		     got = walseg_next(&r, &f)) {
			if (got == WALSEG_BAD && walseg_resync(&r, &f) == WALSEG_END)
				break;
			if (f.offset < end || f.offset + walseg_frame_space(f.len) > image_len ||
			    f.synced >= f.seq)
				abort();
			if (f.len &&
			    memcmp(f.payload, image + f.offset + WALSEG_FRAME_BYTES, f.len) != 0)
				abort();
			end = f.offset + walseg_frame_space(f.len);
		}
	}
	walseg_reader_release(&r);
	return 0;
}
