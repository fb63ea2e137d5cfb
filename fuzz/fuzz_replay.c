/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plain driver: a target over files. What every build has, what the tests
 * run over the corpus, and what shows a finding again.
 *
 * Names are printed, and flushed, before their input is run: the last one of
 * the output of a process that died is the one that killed it. Directories are
 * walked in the order of bytes, without names that begin with a dot.
 *
 * Exit status: 0 all inputs are clean; 2 bad usage, an input that cannot be
 * read in full or is too long, a directory without any. A finding ends the
 * process by SIGABRT, a sanitizer's report in the way of the sanitizer.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz_target.h"

enum {
	STATUS_CLEAN = 0,
	STATUS_USAGE = 2
};

static uint8_t bytes[FUZZ_INPUT_MAX + 1];
static bool show_only;
static unsigned long inputs;

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: fuzz_%s [--show] FILE|DIRECTORY...\n"
	    "       fuzz_%s --groups\n"
	    "Runs inputs of the fuzz target, in sorted order.\n"
	    "  --groups  print the groups of operations that it runs, a number\n"
	    "  --show    print what would be run, as a text trace\n"
	    "Exit status: 0 clean, 2 bad usage or input; a finding is "
	    "printed and ends the process by SIGABRT.\n",
	    fuzz_target.name, fuzz_target.name);
}

static int
bad(const char *name, const char *what)
{
	(void)fprintf(
	    stderr, "fuzz_%s: %s: %s\n", fuzz_target.name, name, what);
	return (STATUS_USAGE);
}

/* The whole file, or -1 after a message. */
static long
slurp(const char *name, const struct stat *st)
{
	FILE *f = fopen(name, "rb");
	size_t got;
	int failed;

	if (f == NULL) {
		(void)bad(name, strerror(errno));
		return (-1);
	}
	errno = 0;
	got = fread(bytes, 1, sizeof(bytes), f);
	failed = ferror(f) ? errno : 0;
	(void)fclose(f);
	if (failed != 0)
		(void)bad(name, strerror(failed));
	else if (got > FUZZ_INPUT_MAX)
		(void)bad(name, "longer than 65536 bytes");
	else if (S_ISREG(st->st_mode) && got != (size_t)st->st_size)
		(void)bad(name, "read in part only");
	else
		return ((long)got);
	return (-1);
}

static int
one_file(const char *name, const struct stat *st)
{
	const long size = slurp(name, st);
	uint8_t *exact;

	if (size < 0)
		return (STATUS_USAGE);
	inputs++;
	if (show_only) {
		if (fuzz_show(stdout, bytes, (size_t)size) == 0)
			return (STATUS_CLEAN);
		return (bad(name, "cannot be shown"));
	}
	(void)printf("%s\n", name);
	(void)fflush(stdout);
	/* Of its size exactly: a read behind it is seen. */
	exact = malloc((size_t)size + (size == 0));
	if (exact == NULL)
		return (bad(name, "out of memory"));
	memcpy(exact, bytes, (size_t)size);
	(void)LLVMFuzzerTestOneInput(exact, (size_t)size);
	free(exact);
	return (STATUS_CLEAN);
}

static int
is_visible(const struct dirent *d)
{
	return (d->d_name[0] != '.');
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return (strcmp((*a)->d_name, (*b)->d_name));
}

/* A directory's files; directories in it are no corpus. */
static int
one_directory(const char *name)
{
	const unsigned long before = inputs;
	struct dirent **list;
	char path[4096];
	struct stat st;
	int status = STATUS_CLEAN;
	const int n = scandir(name, &list, is_visible, by_bytes);

	if (n < 0)
		return (bad(name, strerror(errno)));
	for (int i = 0; i < n; i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", name, list[i]->d_name);
		free(list[i]);
		if (status != STATUS_CLEAN)
			continue;
		if (stat(path, &st) != 0)
			status = bad(path, strerror(errno));
		else if (!S_ISDIR(st.st_mode))
			status = one_file(path, &st);
	}
	free(list);
	if (status == STATUS_CLEAN && inputs == before)
		status = bad(name, "no input in this directory");
	return (status);
}

int
fuzz_replay_main(int argc, char **argv)
{
	struct stat st;
	int i = 1, status = STATUS_CLEAN;

	if (i < argc && strcmp(argv[i], "--help") == 0) {
		usage(stdout);
		return (STATUS_CLEAN);
	}
	if (i < argc && strcmp(argv[i], "--groups") == 0) {
		(void)printf("%u\n", fuzz_target.groups);
		return (STATUS_CLEAN);
	}
	if (i < argc && strcmp(argv[i], "--show") == 0) {
		show_only = true;
		i++;
	}
	if (i == argc || argv[i][0] == '-') {
		usage(stderr);
		return (STATUS_USAGE);
	}
	(void)LLVMFuzzerInitialize(&argc, &argv);
	fuzz_always_twice = true;
	for (; i < argc && status == STATUS_CLEAN; i++) {
		if (stat(argv[i], &st) != 0)
			status = bad(argv[i], strerror(errno));
		else if (S_ISDIR(st.st_mode))
			status = one_directory(argv[i]);
		else
			status = one_file(argv[i], &st);
	}
	if (status == STATUS_CLEAN && !show_only)
		(void)printf("clean: %lu inputs\n", inputs);
	return (fflush(stdout) != 0 ? bad("standard output", strerror(errno)) :
				      status);
}
