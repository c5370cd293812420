#include "core/base/guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

static _Thread_local sigjmp_buf *innermost;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_bus(int sig)
{
	if (innermost)
		siglongjmp(*innermost, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* SA_NODEFER: the signal is not blocked in here, so that no mask has to be kept with each jump. */
static void install(void)
{
	struct sigaction a = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };
	sigemptyset(&a.sa_mask);
	CHECK(sigaction(SIGBUS, &a, NULL) == 0);
}

bool guard_run(void (*fn)(void *arg), void *arg)
{
	sigjmp_buf here, *outer = innermost;
	CHECK(pthread_once(&once, install) == 0);
	if (sigsetjmp(here, 0)) {
		innermost = outer;
		return false;
	}
	innermost = &here;
	fn(arg);
	innermost = outer;
	return true;
}
