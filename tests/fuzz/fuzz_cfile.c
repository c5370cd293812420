/*
 * Any bytes as a data file: open, walk, find and decode never crash, whatever the checksums say.
 * Input: a byte that selects, then bytes: 0 a whole file; 1 the payload of a unit; 2 of a label
 * block; 3 a directory; 4 the text of FILES before its checksum. For 1-4 a good file is put around
 * them.
 */
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "storage/cfile/cfile_priv.h"
#include "storage/cfile/files.h"
#include "tests/lib/testlib.h"

#include <inttypes.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "f.kcf"

static char *dir_path;

static void dir_remove(void)
{
	testlib_rmtree(dir_path);
}

static struct fsio_dir *dir_open(void)
{
	static struct fsio_dir *d;
	if (!d) {
		dir_path = testlib_tmpdir("fuzz_cfile");
		CHECK(fsio_dir_open(dir_path, false, &d) == ERR_OK);
		CHECK(atexit(dir_remove) == 0);
	}
	return d;
}

static void walk(struct cfile *f)
{
	struct cfile_damage damage;
	struct cfile_extent ext[4];
	(void)!cfile_verify(f, &damage);
	uint32_t id = 0;
	(void)cfile_id_max(f, &id);
	for (uint32_t i = 0; i < 40; i++)
		(void)cfile_find(f, i * 3, ext, 4);
	(void)cfile_find(f, UINT32_MAX, ext, 4);
}

/* A file of one piece; its directory names it unless a directory is given. */
static void file_make(struct buf *b, uint32_t magic, const uint8_t *data, size_t size, bool directory)
{
	uint8_t fixed[CFILE_FOOTER] = { 0 };
	struct cfile_meta m = { .shard = 1, .start_ms = 0, .end_ms = 7200000, .rank = 1 };
	cfile_header_put(fixed, &m, 0);
	buf_add(b, fixed, CFILE_HEADER);
	uint32_t crc = wire_load32(b->data + CFILE_HEADER - 4);
	struct cfile_head h = { .magic = magic, .count = 1, .first_id = 1, .last_id = 1 };
	if (!directory && size >= 2) { /* count and ids come from the input, too */
		h.count = 1 + data[0];
		h.last_id = 1 + data[1];
		data += 2;
		size -= 2;
	}
	size_t len = directory ? 1 : size < CFILE_UNIT_RAW_MAX ? size : CFILE_UNIT_RAW_MAX;
	uint32_t seed = cfile_seed(crc, b->len);
	h.len = h.raw_len = (uint32_t)len;
	h.crc = crc32c(seed, data, len);
	cfile_head_put(fixed, &h, seed);
	buf_add(b, fixed, CFILE_UNIT_HEAD);
	buf_add(b, data, len);
	size_t off = b->len;
	if (directory) {
		buf_add(b, data, size);
	} else {
		bool unit = magic == CFILE_MAGIC_UNIT;
		wire_put_varint(b, 0);
		wire_put_varint(b, unit);
		wire_put_varint(b, !unit);
		wire_put_varint(b, 1);
		wire_put_u64(b, 0);
		wire_put_u64(b, 1);
		wire_put_varint(b, 0);
		wire_put_varint(b, CFILE_UNIT_HEAD + len);
		wire_put_varint(b, h.first_id);
		wire_put_varint(
		    b, unit ? (uint64_t)(h.last_id - h.first_id) << 1 : h.last_id - h.first_id);
	}
	memset(fixed, 0, sizeof(fixed));
	cfile_header_put(fixed, &m, 0);
	uint8_t *p = fixed + CFILE_HEADER;
	wire_store64(p, off);
	wire_store32(p + 8, (uint32_t)(b->len - off));
	wire_store32(p + 12, crc32c(cfile_seed(crc, off), b->data + off, b->len - off));
	wire_store32(p + 16, crc32c(crc, p, 16));
	memcpy(p + 24, CFILE_MAGIC_END, 8);
	buf_add(b, fixed, sizeof(fixed));
}

static void list_of(const char *first_line, const uint8_t *data, size_t size)
{
	struct buf b;
	struct files fs;
	buf_init(&b);
	buf_add_str(&b, first_line);
	buf_add(&b, data, size);
	buf_printf(&b, "crc %08" PRIx32 "\n", crc32c(0, b.data, b.len));
	if (files_parse(b.data, b.len, &fs, NULL) == ERR_OK)
		files_release(&fs);
	buf_release(&b);
}

static void list(const uint8_t *data, size_t size)
{
	list_of("kymo-files 1\n", data, size);
	list_of("kymo-files 2\n", data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct buf b;
	struct cfile *f = NULL;
	struct fsio_file *io = NULL;
	struct fsio_dir *d = dir_open();
	unsigned what = data[0] % 5;
	data++;
	size--;
	if (what == 4) {
		list(data, size);
		return 0;
	}
	buf_init(&b);
	if (what == 0)
		buf_add(&b, data, size);
	else
		file_make(
		    &b, what == 2 ? CFILE_MAGIC_BLOCK : CFILE_MAGIC_UNIT, data, size, what == 3);
	(void)!fsio_remove(d, NAME);
	CHECK(fsio_open(d, NAME, FSIO_CREATE, &io) == ERR_OK);
	CHECK(fsio_write_at(io, b.data, b.len, 0) == ERR_OK);
	fsio_close(io);
	if (cfile_open(d, NAME, &f, NULL) == ERR_OK)
		walk(f);
	cfile_close(f);
	buf_release(&b);
	return 0;
}
