/*
 * sealparts - what files in id order hold for a batch of series, merged and encoded as the output
 * will have it, kept until the series' turn comes in metric order.
 *
 * One struct for a group of files between which no file in metric order stands in rank.
 * Thread: one. Memory: the chunks of the batch, their time columns once each, 32 bytes a chunk and
 * 4 a series.
 */
#ifndef STORAGE_COMPACT_SEALPARTS_H
#define STORAGE_COMPACT_SEALPARTS_H

#include "storage/cfile/cfile.h"
#include "storage/cfile/cfile_columns.h"

struct sealpart {     /* a chunk */
	uint64_t off; /* in bytes */
	uint32_t len, column, id;
	uint8_t kind;
};
struct sealparts {
	struct buf bytes;
	struct cfile_columns columns;
	struct sealpart *parts; /* those of one series in time order behind each other */
	size_t count, cap;
	uint32_t *first; /* of the series with an index in the batch: part + 1, 0: it has none */
	size_t first_cap;
};
void sealparts_init(struct sealparts *p, int64_t base_ms);
void sealparts_release(struct sealparts *p);
/* Empty, for a batch of so many series. */
void sealparts_begin(struct sealparts *p, size_t series);
/* All samples of a series of the batch; once. */
void sealparts_add(struct sealparts *p, uint32_t index, uint32_t id,
    const struct sample_column *col, enum chunk_effort effort);
/* Its chunks; 0: it has none. */
size_t sealparts_get(const struct sealparts *p, uint32_t index, const struct sealpart **out);
/* A chunk behind what the column has. */
void sealparts_decode(struct sealparts *p, const struct sealpart *part, struct column *c);
enum err sealparts_write(struct sealparts *p, const struct sealpart *part, struct cfile_writer *w);

#endif
