/*
 * bytesum - what a server's data directory holds, by kind: of kymod down to the forms of the codec.
 * Thread: one.
 */
#ifndef BENCH_LOAD_BYTESUM_H
#define BENCH_LOAD_BYTESUM_H

#include "storage/cfile/cfile.h"

struct bytesum {
	/* of kymod: files of samples without the labels in them; of another: its data */
	uint64_t data;
	uint64_t labels; /* in kymod's files of samples */
	uint64_t index;  /* kymod's catalog, another's index */
	/* kymod's log and reserve: of fixed size, and empty after a flush; lists and the like */
	uint64_t log, other;
	uint64_t files; /* of samples */
	/* of kymod's files of samples */
	uint64_t times, directory, units, samples, series, streams_bytes;
	struct chunk_forms forms;
};
/* dir: the data directory of kymod. Every unit is read and decoded. */
MUST_CHECK enum err bytesum_kymo(const char *dir, struct bytesum *out, struct errbuf *eb);
/* dir: VictoriaMetrics' -storageDataPath, or another with folders "data" and "indexdb". */
MUST_CHECK enum err bytesum_peer(const char *dir, struct bytesum *out, struct errbuf *eb);

#endif
