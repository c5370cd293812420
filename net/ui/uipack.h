/*
 * uipack - the files of the web page as the program holds them: a table that net/ui/pack.sh makes
 * at build time (uipack.c, in the build tree), packed by gzip.
 *
 * Read only, any thread.
 */
#ifndef NET_UI_UIPACK_H
#define NET_UI_UIPACK_H

#include <stddef.h>
#include <stdint.h>

struct uipack_file {
	const char *name; /* below net/ui, "lib/dom.js" */
	const char *type; /* Content-Type */
	const uint8_t *gzip;
	size_t gzip_len, plain_len; /* bytes */
};
extern const struct uipack_file uipack_files[];
extern const size_t uipack_count;

#endif
