/* testlib - temporary folders, where the sources and the shared data are. */
#ifndef TESTS_LIB_TESTLIB_H
#define TESTS_LIB_TESTLIB_H

const char *testlib_src(void); /* top of the source tree ($KYMO_SRC, else ".") */
char *testlib_shared(
    /* path of ../shared/<rel> in a static buffer, or NULL when absent: skip, visibly */
    const char *rel);
char *testlib_tmpdir(const char *stem); /* a new empty directory; the name is malloc'ed */
void testlib_rmtree(const char *path);

#endif
