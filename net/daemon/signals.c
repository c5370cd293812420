#include "net/daemon/signals.h"

#include "core/base/log.h"

enum meaning {
	SIGNAL_END,
	SIGNAL_RELOAD,
	SIGNAL_NOTHING
};
/* clang-format off */
static const struct row {
	int sig;
	enum meaning meaning;
	const char *name;
	const char *why; /* it means nothing */
} rows[] = {
	{ SIGTERM, SIGNAL_END,     "SIGTERM", NULL },
	{ SIGINT,  SIGNAL_END,     "SIGINT",  NULL },
	{ SIGQUIT, SIGNAL_END,     "SIGQUIT", NULL },
	{ SIGHUP,  SIGNAL_RELOAD,  "SIGHUP",  NULL },
	{ SIGUSR1, SIGNAL_NOTHING, "SIGUSR1", "no meaning, the log goes to stderr" },
	{ SIGUSR2, SIGNAL_NOTHING, "SIGUSR2", "no meaning" },
};
/* clang-format on */

static const struct row *row_of(int sig)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].sig == sig)
			return &rows[i];
	return NULL;
}

static void fill(sigset_t *set, bool ends)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if ((rows[i].meaning == SIGNAL_END) == ends)
			sigaddset(set, rows[i].sig);
}

void signals_block(sigset_t *ends)
{
	sigset_t all;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(ends);
	fill(ends, true);
	all = *ends;
	fill(&all, false);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

int signals_wait(const sigset_t *ends)
{
	sigset_t all = *ends;
	fill(&all, false);
	for (;;) {
		int sig;
		if (sigwait(&all, &sig))
			continue;
		const struct row *row = row_of(sig);
		if (!row || row->meaning != SIGNAL_NOTHING)
			return sig;
		LOG_WARN("signal_ignored", "signal=%s reason=\"%s\"", row->name, row->why);
	}
}

const char *signals_name(int sig)
{
	const struct row *row = row_of(sig);
	return row ? row->name : "?";
}
