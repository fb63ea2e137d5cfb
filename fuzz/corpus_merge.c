/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coverage of code is what an engine knows: entries go to libFuzzer's merge as
 * payloads, each under its number, and what it keeps comes back by contents.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "fuzz/corpus.h"

#define PATH_MAX_HERE 4096

struct merge {
	struct corpus *corpus;
	uint64_t *hash; /* of each entry's payload */
	char root[PATH_MAX_HERE], in[PATH_MAX_HERE + 8], out[PATH_MAX_HERE + 8];
};

static bool
put(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *f = fopen(path, "wb");
	bool ok = f != NULL && fwrite(bytes, 1, size, f) == size;

	if (f != NULL && fclose(f) != 0)
		ok = false;
	return (ok);
}

static int
put_entry(struct merge *m, size_t i, uint32_t groups, char *why, size_t size)
{
	const struct corpus_entry *e = &m->corpus->entry[i];
	char path[PATH_MAX_HERE + 40];
	uint8_t *bytes = NULL;
	struct trace t;
	size_t n = 0;
	int error;

	trace_init(&t);
	if (corpus_load(e, groups, &t, why, size) != 0)
		return (-1);
	error = trace_encode(&t, &bytes, &n);
	trace_fini(&t);
	(void)snprintf(path, sizeof(path), "%s/%zu", m->in, i);
	if (error == 0) {
		m->hash[i] = XXH64(bytes, n, 0);
		error = put(path, bytes, n) ? 0 : errno;
	}
	free(bytes);
	if (error == 0)
		return (0);
	(void)snprintf(why, size, "%s: %s", path, strerror(error));
	return (-1);
}

static int
merge(struct merge *m, const char *exe, char *why, size_t size)
{
	int status = -1;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR);

		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execl(exe, exe, "-merge=1", "-entropic=0", "-timeout=25",
		    "-detect_leaks=0", m->out, m->in, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid > 0 && status == 0)
		return (0);
	(void)snprintf(why, size, "%s: its merge fails", exe);
	return (-1);
}

/* Calls for each file of the directory. */
static void
each(const char *directory, void (*fn)(struct merge *, const char *path),
    struct merge *m)
{
	char path[PATH_MAX_HERE + 300];
	DIR *d = opendir(directory);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", directory, e->d_name);
		if (e->d_name[0] != '.')
			fn(m, path);
	}
	if (d != NULL)
		(void)closedir(d);
}

static void
take(struct merge *m, const char *path)
{
	static uint8_t bytes[FUZZ_INPUT_MAX + 1];
	FILE *f = fopen(path, "rb");
	size_t n = f != NULL ? fread(bytes, 1, sizeof(bytes), f) : 0;
	const uint64_t hash = XXH64(bytes, n, 0);

	if (f != NULL)
		(void)fclose(f);
	/* Of equal ones the first. */
	for (size_t i = 0; i < m->corpus->n; i++)
		if (m->hash[i] == hash) {
			m->corpus->entry[i].edges = true;
			return;
		}
}

static void
drop(struct merge *m, const char *path)
{
	(void)m;
	(void)unlink(path);
}

static int
run_merge(
    struct merge *m, const char *exe, uint32_t groups, char *why, size_t size)
{
	int error = 0;

	(void)snprintf(m->in, sizeof(m->in), "%s/in", m->root);
	(void)snprintf(m->out, sizeof(m->out), "%s/out", m->root);
	if (mkdir(m->in, 0777) != 0 || mkdir(m->out, 0777) != 0) {
		(void)snprintf(why, size, "%s: %s", m->root, strerror(errno));
		return (-1);
	}
	for (size_t i = 0; i < m->corpus->n && error == 0; i++)
		error = put_entry(m, i, groups, why, size);
	if (error == 0)
		error = merge(m, exe, why, size);
	if (error == 0)
		each(m->out, take, m);
	return (error);
}

int
corpus_merge(
    struct corpus *c, const char *exe, uint32_t groups, char *why, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	struct merge m = { .corpus = c };
	int error = -1;

	m.hash = calloc(c->n + 1, sizeof(*m.hash));
	(void)snprintf(m.root, sizeof(m.root), "%s/kalab-XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
	if (m.hash == NULL || mkdtemp(m.root) == NULL) {
		(void)snprintf(why, size, "%s: %s", m.root, strerror(errno));
		free(m.hash);
		return (-1);
	}
	error = run_merge(&m, exe, groups, why, size);
	each(m.in, drop, &m);
	each(m.out, drop, &m);
	(void)rmdir(m.in);
	(void)rmdir(m.out);
	(void)rmdir(m.root);
	free(m.hash);
	return (error);
}
