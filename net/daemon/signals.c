#include "net/daemon/signals.h"

#include "core/base/log.h"

/* clang-format off */
static const struct row {
	int sig;
	const char *name;
	const char *ignored; /* the reason; NULL: it is an end */
} rows[] = {
	{ SIGTERM, "SIGTERM", NULL },
	{ SIGINT,  "SIGINT",  NULL },
	{ SIGQUIT, "SIGQUIT", NULL },
	{ SIGHUP,  "SIGHUP",  "there is no configuration file to reload, flags are read at start" },
	{ SIGUSR1, "SIGUSR1", "no meaning, the log goes to stderr" },
	{ SIGUSR2, "SIGUSR2", "no meaning" },
};
/* clang-format on */

static const struct row *row_of(int sig)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].sig == sig)
			return &rows[i];
	return NULL;
}

static void fill(sigset_t *set, bool ignored)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (!rows[i].ignored == !ignored)
			sigaddset(set, rows[i].sig);
}

void signals_block(sigset_t *ends)
{
	sigset_t all;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(ends);
	fill(ends, false);
	all = *ends;
	fill(&all, true);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

int signals_wait(const sigset_t *ends)
{
	sigset_t all = *ends;
	fill(&all, true);
	for (;;) {
		int sig;
		if (sigwait(&all, &sig))
			continue;
		const struct row *row = row_of(sig);
		if (!row || !row->ignored)
			return sig;
		LOG_WARN("signal_ignored", "signal=%s reason=\"%s\"", row->name, row->ignored);
	}
}

const char *signals_name(int sig)
{
	const struct row *row = row_of(sig);
	return row ? row->name : "?";
}
