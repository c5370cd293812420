#include "core/rt/thread.h"

#include <signal.h>
#include <string.h>

#include "core/base/arena.h"

#define NAME_MAX_BYTES 16 /* with its NUL; pthread_setname_np refuses longer ones */

struct thread {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	char name[NAME_MAX_BYTES];
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	(void)pthread_setname_np(pthread_self(), t->name); /* a name is a courtesy */
	t->fn(t->arg);
	return NULL;
}

int thread_create(pthread_t *out, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);
	if (r)
		return r;
	r = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	if (!r)
		r = pthread_create(out, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return r;
}

enum err thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **out)
{
	struct thread *t = mem_zalloc(sizeof(*t));
	t->fn = fn;
	t->arg = arg;
	size_t len = strnlen(name, sizeof(t->name) - 1);
	memcpy(t->name, name, len);
	/* The new thread inherits the mask: signals stay with the main thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = thread_create(&t->id, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		mem_free(t);
		return err_note(ERR_NOMEM, r);
	}
	*out = t;
	return ERR_OK;
}

void thread_join(struct thread *t)
{
	if (!t)
		return;
	CHECK(pthread_join(t->id, NULL) == 0);
	mem_free(t);
}
