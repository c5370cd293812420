/* testlib - temporary folders, where the sources and the shared data are. */
#ifndef TESTS_LIB_TESTLIB_H
#define TESTS_LIB_TESTLIB_H

#include <stddef.h>

const char *testlib_src(void); /* top of the source tree ($KYMO_SRC, else ".") */
char *testlib_shared(
    /* path of ../shared/<rel> in a static buffer, or NULL when absent: skip, visibly */
    const char *rel);
char *testlib_tmpdir(const char *stem); /* a new empty directory; the name is malloc'ed */
void testlib_rmtree(const char *path);
/* A copy of a directory in the place of another; from may be in use (a torn copy is a copy). */
void testlib_copy(const char *from, const char *to);
char *testlib_path(const char *dir, const char *name); /* "dir/name"; free() it */
/*
 * Files below dir, in no order: fn gets their names as seen from it ("shards/00/FILES") and their
 * sizes.
 */
void testlib_files(const char *dir, void (*fn)(void *arg, const char *name, size_t bytes), void *arg);

/* Descriptors of this process that are open, of the first few thousand. */
unsigned testlib_open_fds(void);

/* head, then part so many times, then tail; from mem_alloc. */
char *testlib_repeated(const char *head, const char *part, unsigned times, const char *tail);

#endif
