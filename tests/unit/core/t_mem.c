/* Without memory: the reserve, purses that are over, and the way back; freed memory goes home. */
#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/base/purse.h"
#include "tests/lib/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
# define SANITIZED 1 /* no limit on the address space, and malloc is theirs */
#else
# define SANITIZED 0
#endif

static size_t resident(void)
{
	unsigned long all = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &all, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss * 4096;
}

/* In a child: exit codes tell where it failed. */
static int starved(void)
{
	struct rlimit as = { 256 * MIB, 256 * MIB };
	struct purse p;
	struct arena a;
	size_t blocks = 0;

	if (setrlimit(RLIMIT_AS, &as))
		return 1;
	mem_setup();
	purse_init(&p, 1024 * MIB, NULL);
	arena_init(&a, 64 << 10);
	arena_purse(&a, &p);
	if (mem_short() || purse_take(&p, 512 * MIB) || purse_why(&p) != PURSE_MEMORY)
		return 2; /* it cannot be had, and nothing is lost by asking */
	while (!purse_over(&p)) {
		memset(arena_alloc(&a, 512 << 10), 1, 512 << 10);
		if (++blocks > 4096)
			return 3;
	}
	if (!mem_short() || purse_take(&p, 1) || !mem_wants_tick())
		return 4;
	/* The error's text and the answer still need some. */
	for (int i = 0; i < 1000; i++)
		((char *)mem_alloc(1000))[999] = 1;
	mem_tick();
	if (!mem_short())
		return 5; /* nothing was given back yet */
	arena_release(&a);
	purse_end(&p);
	mem_tick();
	if (mem_short() || !purse_take(&p, 100 * MIB))
		return 6;
	purse_give(&p, 100 * MIB);
	return 0;
}

/* mem_alloc, not an arena, meets the end. */
static int starved_heap(void)
{
	struct rlimit as = { 256 * MIB, 256 * MIB };
	void *pieces[4096];
	size_t n = 0;

	if (setrlimit(RLIMIT_AS, &as))
		return 1;
	mem_setup();
	while (!mem_short() && n < 4096)
		pieces[n] = n % 2 ? mem_zalloc(100000) : mem_realloc(NULL, 100000), n++;
	if (n == 4096)
		return 2;
	for (size_t i = 0; i < n; i++)
		mem_free(pieces[i]);
	mem_tick();
	return mem_short() ? 3 : 0;
}

static void run_child(int (*fn)(void), const char *what)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	tap_ok(WIFEXITED(status) && !WEXITSTATUS(status), "%s: exit %d, signal %d", what,
	    WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void blocks_go_home(void)
{
	struct purse p;
	struct arena a[8];
	size_t before = resident();

	purse_init(&p, 0, NULL);
	for (int i = 0; i < 8; i++) {
		arena_init(&a[i], 16 << 10);
		arena_purse(&a[i], &p);
		for (int k = 0; k < 400; k++)
			memset(arena_alloc(&a[i], 40000), k, 40000);
	}
	tap_ok(resident() > before + 100 * MIB, "128 MB are used");
	for (int i = 0; i < 8; i++)
		arena_release(&a[i]);
	TAP_OK(block_free_bytes() > 100 * MIB && mem_wants_tick());
	for (int i = 0; i < 8; i++)
		mem_tick();
	tap_is_u64(block_free_bytes(), 0, "eight seconds later nothing is kept");
	tap_ok(resident() < before + 16 * MIB, "and the memory is gone: %zu KiB more than before",
	    (resident() - before) / 1024);
	purse_end(&p);
}

/* Blocks of other sizes, and of more than the largest, do not pile up. */
static void sizes(void)
{
	void *p[256];

	for (size_t size = BLOCK_LEAST; size <= BLOCK_MOST; size *= 2) {
		size_t n = 64 * MIB / size < 256 ? 64 * MIB / size : 256;
		for (size_t i = 0; i < n; i++)
			memset(p[i] = block_get(size), 1, 1);
		for (size_t i = 0; i < n; i++)
			block_put(p[i], size);
	}
	tap_ok(block_free_bytes() <= 129 * MIB, "five sizes in turn: %zu MiB are kept",
	    block_free_bytes() / MIB);
	for (int i = 0; i < 10; i++) {
		size_t size = block_size(100 * MIB + 1);
		p[0] = block_get(size);
		((char *)p[0])[size - 1] = 1;
		block_put(p[0], size);
	}
	tap_ok(block_free_bytes() <= 620 * MIB, "large ones in turn: %zu MiB",
	    block_free_bytes() / MIB);
	block_give_back(10 * MIB + 5);
	block_give_back(SIZE_MAX);
	tap_is_u64(block_free_bytes(), 0, "all can go at once");
}

#ifdef KYMO_SHARP
static void soiled(void)
{
	uint8_t *a = mem_alloc(100), *b = mem_alloc(100), was[100];
	tap_ok(a[0] != b[0] && a[99] == a[0], "fresh memory is never the same twice in a row");
	memcpy(was, b, sizeof(was));
	b = mem_realloc(b, 1000);
	tap_ok(!memcmp(b, was, sizeof(was)) && b[999] != was[0] && b[999] != a[0],
	    "so is what is added to a piece, of which the rest stays");
	mem_free(a);
	mem_free(b);
	a = mem_array(NULL, 10, 8);
	b = mem_try(80);
	tap_ok(a[0] != b[0] && a[79] == a[0], "and arrays, and pieces that may fail");
	mem_free(a);
	mem_free(b);
}
#endif

int main(void)
{
#ifdef KYMO_SHARP
	soiled();
#endif
	if (SANITIZED) {
		tap_skip("a sanitizer has its own malloc");
		return tap_done();
	}
	run_child(starved, "256 MiB of address space: purses are over, nothing panics");
	run_child(starved_heap, "the heap of a process without memory");
	blocks_go_home();
	sizes();
	return tap_done();
}
