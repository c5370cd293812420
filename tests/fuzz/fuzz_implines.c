/*
 * A file that is imported (net/ctl/implines.h), read and sent nowhere: the first byte chooses the
 * format. Judges: it ends well or says why; the same bytes packed or cut give no crash; what was
 * given, passed over or bad adds up to the same when it is read again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/ctl/implines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct impwork_counts read_it(int fd, enum implines_format format, const char *columns)
{
	char path[64];
	struct impwork w = { .t_from_ms = 1000, .t_to_ms = INT64_MAX, .dry_run = true, .quiet = true };
	if (impwork_open(&w, NULL, "fuzz"))
		abort();
	w.counts.bad = UINT32_MAX; /* nothing is told */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ctlprog_begin(&w.prog, "B", 0, 0, true);
	struct implines o = {
		.work = &w, .path = path, .unit = "0/file", .format = format, .csv_columns = columns
	};
	int status = implines(&o);
	if (status && status != CTL_USAGE && status != CTL_DAMAGED && status != CTL_LOCAL)
		abort();
	struct impwork_counts counts = w.counts;
	impwork_close(&w);
	return counts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const columns[] = { NULL, "name,job,time,value", "time,-,value,metric" };
	if (!size)
		return 0;
	int fd = memfd_create("lines", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	enum implines_format format = data[0] % (IMPLINES_CSV + 1);
	const char *named = columns[data[0] / 8 % COUNT_OF(columns)];
	struct impwork_counts a = read_it(fd, format, named), b = read_it(fd, format, named);
	if (a.floats != b.floats || a.bad != b.bad || a.passed != b.passed || a.series != b.series)
		abort();
	close(fd);
	return 0;
}
