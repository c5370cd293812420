#include "bench/load/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define LOOPS_MAX 64u

static const char *scaled(
    double n, const char *const *units, unsigned count, const char *end, char *text)
{
	unsigned k = 0;
	while (n >= 999.5 && k + 1 < count) {
		n /= 1000;
		k++;
	}
	int digits = n >= 99.95 || (!k && n == floor(n)) ? 0 : n >= 9.995 ? 1 : 2;
	snprintf(text, PROGRESS_TEXT, "%.*f%s%s%s", digits, n, *units[k] || *end ? " " : "",
	    units[k], end);
	return text;
}

static const char *const units[] = { "", "k", "M", "G", "T" };

const char *progress_count(double n, char text[PROGRESS_TEXT])
{
	return scaled(n, units, COUNT_OF(units), "", text);
}

const char *progress_bytes(double n, char text[PROGRESS_TEXT])
{
	return scaled(n, units, COUNT_OF(units), "B", text);
}

const char *progress_time(double s, char text[PROGRESS_TEXT])
{
	unsigned long whole = s > 0 ? (unsigned long)s : 0;
	if (s < 60)
		snprintf(text, PROGRESS_TEXT, "%.1f s", s);
	else if (whole < 3600)
		snprintf(text, PROGRESS_TEXT, "%lu min %02lu s", whole / 60, whole % 60);
	else
		snprintf(text, PROGRESS_TEXT, "%lu h %02lu min", whole / 3600, whole / 60 % 60);
	return text;
}

/* Time left: of the time there is, or as the rate so far says. */
static double left_of(const struct progress *p, double at_s, uint64_t samples)
{
	if (p->goal_s > 0)
		return fmax(0, p->goal_s - at_s);
	return samples && p->goal > samples ? at_s * (double)(p->goal - samples) / (double)samples
	                                    : 0;
}

static void show(const struct progress *p, double at_s, double rate)
{
	struct fleet_tally t;
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT], c[PROGRESS_TEXT], d[PROGRESS_TEXT], part[32] = "";
	fleet_tally(p->fleet, &t);
	double done = p->goal_s > 0 ? at_s / p->goal_s
	    : p->goal               ? (double)t.samples / (double)p->goal
	                            : -1;
	if (done >= 0)
		snprintf(part, sizeof(part), "  %3.0f %%", 100 * fmin(1, done));
	fprintf(stderr, "\r\033[K%s  %s%s  %s samples  %s/s  left %s  %llu failed, %llu repeated",
	    p->what, progress_time(at_s, a), part, progress_count((double)t.samples, b),
	    progress_count(rate, c), progress_time(left_of(p, at_s, t.samples), d),
	    (unsigned long long)t.failed, (unsigned long long)t.retries);
	fflush(stderr);
}

static void look(const struct progress *p, struct procstat *s)
{
	memset(s, 0, sizeof(*s));
	if (p->pid && procstat_read(p->pid, s))
		fprintf(stderr, "kymobench %s: the server has ended\n", p->what);
}

static void line(const struct progress *p, double at_s, const struct procstat *was,
    const struct procstat *now, double took_s)
{
	struct procstat_thread t[LOOPS_MAX];
	struct fleet_tally tally;
	unsigned n = p->pid ? procstat_threads(p->pid, "loop", t, LOOPS_MAX) : 0;
	fleet_tally(p->fleet, &tally);
	fprintf(stderr, "%s%8.1f s  %12llu samples  rss %7.1f MB  anon %7.1f MB  %.3f cores ",
	    p->_terminal ? "\r\033[K" : "", at_s, (unsigned long long)tally.samples, now->rss_mb,
	    now->anon_mb, (now->cpu_s - was->cpu_s) / took_s);
	for (unsigned i = 0; i < n; i++)
		fprintf(stderr, " %s %.2f s", t[i].name, t[i].cpu_s);
	fputc('\n', stderr);
}

static void *progress_main(void *arg)
{
	struct progress *p = arg;
	uint64_t begin = clock_real_mono_ns(), shown = begin, told = begin, was_samples = 0;
	struct procstat was, now;
	struct fleet_tally t;
	look(p, &was);
	while (!__atomic_load_n(&p->_stop, __ATOMIC_RELAXED)) {
		usleep(50000);
		uint64_t ns = clock_real_mono_ns();
		double at_s = (double)(ns - begin) / 1e9;
		if (p->_terminal && ns - shown > 500000000u) {
			fleet_tally(p->fleet, &t);
			show(p, at_s,
			    (double)(t.samples - was_samples) / ((double)(ns - shown) / 1e9));
			was_samples = t.samples;
			shown = ns;
		}
		if (p->every_s > 0 && (double)(ns - told) / 1e9 >= p->every_s) {
			look(p, &now);
			line(p, at_s, &was, &now, (double)(ns - told) / 1e9);
			was = now;
			told = ns;
		}
	}
	if (p->_terminal)
		fprintf(stderr, "\r\033[K");
	return NULL;
}

void progress_begin(struct progress *p)
{
	p->_terminal = isatty(STDERR_FILENO);
	p->_stop = false;
	p->_runs = p->_terminal || p->every_s > 0;
	if (p->_runs && pthread_create(&p->_thread, NULL, progress_main, p)) {
		perror("kymobench: pthread_create");
		exit(1);
	}
}

void progress_end(struct progress *p)
{
	if (!p->_runs)
		return;
	__atomic_store_n(&p->_stop, true, __ATOMIC_RELAXED);
	pthread_join(p->_thread, NULL);
	p->_runs = false;
}
