/*
 * Any bytes as a data file: open, walk, find and decode never crash, whatever the checksums say.
 * Input: a byte that selects, then bytes: 0 a whole file; 1 the payload of a unit; 2 of a label
 * block; 3 a directory; 4 the text of FILES before its checksum; 5 the payload of a block of time
 * columns; 6-8 as 1-3 of version 1. For 1-3 and 5-8 a good file is put around them; a second byte
 * has its order (bit 0) and the kind of the unit (bits 1-2).
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

static void find(const struct cfile_dir *d)
{
	struct cfile_extent ext[4];
	for (uint32_t i = 0; i < 40; i++) {
		(void)cfile_find(d, i * 3, ext, 4);
		(void)cfile_find_opaque(d, i * 3, ext, 4);
		(void)cfile_times_extent(d, i, i % 2, ext);
	}
	(void)cfile_find(d, UINT32_MAX, ext, 4);
}

static void run_seen(void *arg, uint32_t first, uint32_t last)
{
	*(uint64_t *)arg += last - first;
}

static void walk(struct cfile *f)
{
	struct cfile_damage damage;
	const struct cfile_dir *d = NULL;
	struct cfile_defs *defs = NULL;
	uint32_t id = 0, tenant, last = 0;
	struct labels ls;
	uint64_t seen = 0;
	(void)!cfile_verify(f, &damage);
	(void)cfile_id_max(f, &id);
	(void)!cfile_each_run(f, run_seen, &seen);
	if (cfile_dir_load(f, &d) == ERR_OK) {
		find(d);
		cfile_dir_unpin(f);
	}
	if (cfile_defs_create(f, 1, &defs) == ERR_OK)
		while (cfile_defs_next(defs, &id, &tenant, &ls) == ERR_OK) {
			CHECK(id > last);
			last = id;
		}
	cfile_defs_free(defs);
}

struct piece {          /* what is put into a file */
	uint32_t magic; /* 0: a directory */
	unsigned version;
	bool metric;
	uint8_t kind;
};

static void header_put(uint8_t *p, const struct piece *what)
{
	struct cfile_meta m = { .shard = 1,
		.flags = what->metric ? CFILE_METRIC : 0,
		.start_ms = 0,
		.end_ms = 7200000,
		.rank = 1 };
	cfile_header_put(p, &m, 0);
	wire_store16(p + 8, (uint16_t)what->version);
	wire_store32(p + 60, crc32c(0, p, 60));
}

/* A directory with the piece alone. */
static void directory_put(struct buf *b, const struct piece *what, const struct cfile_head *h)
{
	bool unit = what->magic == CFILE_MAGIC_UNIT, opaque = unit && what->kind == CFILE_OPAQUE;
	if (what->version == 1) {
		wire_put_varint(b, 0);
		wire_put_varint(b, unit);
		wire_put_varint(b, !unit);
		wire_put_varint(b, 1);
		wire_put_u64(b, 0);
		wire_put_u64(b, 1);
	} else {
		wire_put_varint(b, unit && !opaque);
		wire_put_varint(b, opaque);
		wire_put_varint(b, what->magic == CFILE_MAGIC_BLOCK);
		wire_put_varint(b, what->magic == CFILE_MAGIC_TIMES);
	}
	wire_put_varint(b, 0);
	wire_put_varint(b, CFILE_UNIT_HEAD + h->len);
	if (what->magic == CFILE_MAGIC_TIMES) {
		wire_put_varint(b, h->count);
	} else if (!unit || opaque || !what->metric) {
		wire_put_varint(b, what->version == 1 ? h->first_id : wire_zigzag_of(h->first_id));
		wire_put_varint(
		    b, unit ? (uint64_t)(h->last_id - h->first_id) << 1 : h->last_id - h->first_id);
	}
	if (what->version == 1)
		return;
	wire_put_varint(b, 0);
	if (what->metric) {
		wire_put_varint(b, unit && !opaque);
		if (unit && !opaque) {
			wire_put_varint(b, 1);
			wire_put_varint(b, h->first_id);
		}
	}
}

static void footer_put(struct buf *b, const struct piece *what, uint32_t crc, size_t off)
{
	uint8_t fixed[CFILE_FOOTER] = { 0 };
	uint32_t dir_crc = crc32c(cfile_seed(crc, off), b->data + off, b->len - off);
	if (what->version > 1) {
		struct cfile f = { .header_crc = crc,
			.dir_off = off,
			.dir_len = (uint32_t)(b->len - off),
			.dir_crc = dir_crc,
			.kinds = 7 };
		f.stats.units = what->magic == CFILE_MAGIC_UNIT && what->kind != CFILE_OPAQUE;
		f.stats.blocks = what->magic == CFILE_MAGIC_BLOCK;
		struct wire_reader r = wire_reader(b->data + off, b->len - off);
		if (!what->magic) { /* what the directory says of itself */
			f.stats.units = (uint32_t)wire_varint(&r);
			(void)wire_varint(&r);
			f.stats.blocks = (uint32_t)wire_varint(&r);
		}
		cfile_footer_put(fixed, &f, b->data);
		buf_add(b, fixed, CFILE_FOOTER);
		return;
	}
	memcpy(fixed, b->data, CFILE_HEADER);
	uint8_t *p = fixed + CFILE_HEADER;
	wire_store64(p, off);
	wire_store32(p + 8, (uint32_t)(b->len - off));
	wire_store32(p + 12, dir_crc);
	wire_store32(p + 16, crc32c(crc, p, 16));
	memcpy(p + 24, CFILE_MAGIC_END_V1, 8);
	buf_add(b, fixed, CFILE_FOOTER_V1);
}

/* A file of one piece; its directory names it unless a directory is given. */
static void file_make(struct buf *b, const struct piece *what, const uint8_t *data, size_t size)
{
	uint8_t fixed[CFILE_HEADER];
	uint32_t magic = what->magic ? what->magic : CFILE_MAGIC_UNIT;
	header_put(fixed, what);
	buf_add(b, fixed, CFILE_HEADER);
	uint32_t crc = wire_load32(b->data + CFILE_HEADER - 4);
	struct cfile_head h = {
		.magic = magic, .kind = what->kind, .count = 1, .first_id = 1, .last_id = 1
	};
	if (what->magic && size >= 2) { /* count and ids come from the input, too */
		h.count = 1 + data[0];
		h.last_id = 1 + data[1];
		if (magic == CFILE_MAGIC_TIMES) {
			h.first_id = 0;
			h.last_id = h.count - 1;
		}
		data += 2;
		size -= 2;
	}
	size_t len = !what->magic ? 1 : size < CFILE_UNIT_RAW_MAX ? size : CFILE_UNIT_RAW_MAX;
	uint32_t seed = cfile_seed(crc, b->len);
	const uint8_t *payload = what->magic ? data : (const uint8_t *)"x";
	h.len = h.raw_len = (uint32_t)len;
	h.crc = crc32c(seed, payload, len);
	cfile_head_put(fixed, &h, seed);
	buf_add(b, fixed, CFILE_UNIT_HEAD);
	buf_add(b, payload, len);
	size_t off = b->len;
	if (what->magic)
		directory_put(b, what, &h);
	else
		buf_add(b, data, size);
	footer_put(b, what, crc, off);
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
	static const uint32_t magics[] = { 0, CFILE_MAGIC_UNIT, CFILE_MAGIC_BLOCK, 0, 0,
		CFILE_MAGIC_TIMES, CFILE_MAGIC_UNIT, CFILE_MAGIC_BLOCK, 0 };
	unsigned what = data[0] % 9;
	data++;
	size--;
	if (what == 4) {
		list(data, size);
		return 0;
	}
	buf_init(&b);
	if (what == 0) {
		buf_add(&b, data, size);
	} else {
		struct piece piece = { .magic = magics[what], .version = what < 6 ? 2 : 1 };
		if (piece.version > 1) {
			piece.metric = data[0] & 1;
			piece.kind = piece.magic == CFILE_MAGIC_UNIT ? data[0] >> 1 & 3 : 0;
		}
		file_make(&b, &piece, data + 1, size - 1);
	}
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
