/*
 * Replays files and folders of inputs through a fuzzer that was built without libFuzzer. Prints
 * TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static unsigned replayed;

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	uint8_t *data = NULL;
	size_t len = 0, n;
	static uint8_t piece[65536];
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0) {
		data = realloc(data, len + n);
		if (!data)
			exit(1);
		memcpy(data + len, piece, n);
		len += n;
	}
	fclose(f);
	uint8_t *exact = malloc(len ? len : 1); /* exact size, so that an over-read is seen */
	if (!exact)
		exit(1);
	if (len)
		memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	free(data);
	replayed++;
}

static void replay_path(const char *path)
{
	struct stat st;
	if (stat(path, &st)) /* a fuzzer without past crashes has no repro folder */
		return;
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		char sub[4096];
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		replay_path(sub);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_path(argv[i]);
	if (argc == 1) { /* by its name: fuzz_<module> replays corpus/<module> and repro/<module> */
		const char *src = getenv("KYMO_SRC"), *name = strrchr(argv[0], '/');
		name = name ? name + 1 : argv[0];
		const char *stem = strstr(name, "fuzz_");
		char path[4096];
		stem = stem ? stem + 5 : name;
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", src ? src : ".", stem);
		replay_path(path);
		snprintf(path, sizeof(path), "%s/tests/fuzz/repro/%s", src ? src : ".", stem);
		replay_path(path);
	}
	printf("%sok 1 - replayed %u inputs\n1..1\n", replayed ? "" : "not ", replayed);
	return replayed == 0;
}
