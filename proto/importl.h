/*
 * importl - a line of JSON as VictoriaMetrics exports and imports it (proto/exportfmt.h) to rows of
 * a batch, without building the document.
 *
 *   {"metric":{"__name__":"up","job":"a"},"values":[1,null,"NaN"],"timestamps":[1700000000000,...]}
 *
 * importl_begin judges the whole line and makes its labels; importl_rows then gives some rows at a
 * time, so that a line of any length needs no more memory than its labels. Members come in any
 * order, unknown ones are passed over. Values are numbers, null (a stale marker), or texts: "NaN",
 * "Infinity", "-Infinity", "Inf", "-Inf", "null" or a number; these words may stand without quotes,
 * as older exports have them. Times are milliseconds.
 *
 * Memory: labels in the arena; the line is borrowed until its rows are there. Thread: pure. Any
 * bytes are safe (fuzz_importl). Cost: about 40 ns a sample.
 * Errors: ERR_MALFORMED with a text that names the byte.
 */
#ifndef PROTO_IMPORTL_H
#define PROTO_IMPORTL_H

#include "core/model/batch.h"
#include "proto/decoder.h"

#define IMPORTL_DEPTH_MAX  32u    /* of what is passed over */
#define IMPORTL_LABELS_MAX 65535u /* bytes of names and values: no limit lets more be stored */

struct importl {
	const char *_line, *_end;
	const char *_values, *_times; /* the next of each */
	uint8_t *labels;              /* canonical bytes */
	uint32_t labels_len;
	size_t left; /* samples that have not been given */
};
MUST_CHECK enum err importl_begin(
    struct arena *a, const char *line, size_t len, struct importl *out, struct errbuf *eb);
/* The line lies there now. */
void importl_move(struct importl *l, const char *line);
/* Adds at most `most` rows; none are added for what is malformed and behind it. */
MUST_CHECK enum err importl_rows(struct importl *l, struct batch *b, size_t most, struct errbuf *eb);

/* The same for a body: lines, of which blank ones are passed over. */
extern const struct decoder importl_decoder;

#endif
