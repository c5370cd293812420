/* testlib - helpers shared by the tests that are not header-only. */
#include "tests/lib/testlib.h"

#include "core/base/buf.h"

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

char *testlib_path(const char *dir, const char *name)
{
	char *p = NULL;
	if (asprintf(&p, "%s/%s", dir, name) < 0)
		exit(99);
	return p;
}

void testlib_copy(const char *from, const char *to)
{
	char *cmd = NULL;
	testlib_rmtree(to);
	if (asprintf(&cmd, "mkdir -p '%s' && cp -r --sparse=always '%s'/. '%s'/", to, from, to) < 0)
		exit(99);
	if (system(cmd))
		printf("# failed: %s\n", cmd);
	free(cmd);
}

static void files_below(const char *top, const char *sub,
    void (*fn)(void *arg, const char *name, size_t bytes), void *arg)
{
	char *dir = testlib_path(top, sub);
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		if (e->d_name[0] == '.')
			continue;
		char *name = *sub ? testlib_path(sub, e->d_name) : strdup(e->d_name);
		char *full = testlib_path(top, name);
		if (stat(full, &st) == 0 && S_ISDIR(st.st_mode))
			files_below(top, name, fn, arg);
		else if (stat(full, &st) == 0)
			fn(arg, name, (size_t)st.st_size);
		free(full);
		free(name);
	}
	if (d)
		closedir(d);
	free(dir);
}

void testlib_files(const char *dir, void (*fn)(void *arg, const char *name, size_t bytes), void *arg)
{
	files_below(dir, "", fn, arg);
}

unsigned testlib_open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

char *testlib_repeated(const char *head, const char *part, unsigned times, const char *tail)
{
	struct buf b;
	size_t len;

	buf_init(&b);
	buf_add_str(&b, head);
	for (unsigned i = 0; i < times; i++)
		buf_add_str(&b, part);
	buf_add_str(&b, tail);
	buf_add_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}
