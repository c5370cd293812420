/*
 * bdamage - who is told what could not be read of a block or of a head's files.
 *
 * Readers here go on behind what is damaged, as far as its format lets them; each piece that is
 * left out is told once: the file (its path below the directory that was opened), the offset of
 * the piece in it, and what is wrong with it in words.
 * Thread: that of the reader. Memory: file and what are lent for the call.
 */
#ifndef STORAGE_BLOCK_BDAMAGE_H
#define STORAGE_BLOCK_BDAMAGE_H

#include "core/base/check.h"

struct bdamage {
	void (*told)(void *arg, const char *file, uint64_t offset, const char *what);
	void *arg; /* told NULL: nobody wants to know; counts are kept all the same */
};
static inline void bdamage_tell(
    const struct bdamage *d, const char *file, uint64_t offset, const char *what)
{
	if (d->told)
		d->told(d->arg, file, offset, what);
}

#endif
