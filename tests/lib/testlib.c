/* testlib - helpers shared by the tests that are not header-only. */
#include "tests/lib/testlib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *testlib_src(void)
{
	const char *s = getenv("KYMO_SRC");
	return s ? s : ".";
}

char *testlib_shared(const char *rel)
{
	static char path[4096];
	snprintf(path, sizeof(path), "%s/../shared/%s", testlib_src(), rel);
	return access(path, R_OK) == 0 ? path : NULL;
}

char *testlib_tmpdir(const char *stem)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;
	if (asprintf(&path, "%s/kymo-%s-XXXXXX", base ? base : "/tmp", stem) < 0 || !mkdtemp(path)) {
		perror("mkdtemp");
		exit(99);
	}
	return path;
}

static void rmtree_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		DIR *d = fdopendir(fd);
		struct dirent *e;
		while (d && (e = readdir(d))) {
			if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
				rmtree_at(fd, e->d_name);
		}
		if (d)
			closedir(d);
		unlinkat(dir_fd, name, AT_REMOVEDIR);
		return;
	}
	unlinkat(dir_fd, name, 0);
}

void testlib_rmtree(const char *path)
{
	rmtree_at(AT_FDCWD, path);
}
