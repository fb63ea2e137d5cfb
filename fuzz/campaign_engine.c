/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines as processes.
 *
 * Executables are looked for in the directories of the options: fuzz_NAME and
 * the engine's name behind it, and the mutator library of AFL++. Each engine
 * is the leader of a process group of its own; a signal to kalab is none to
 * it. What it says goes to a log in its target's directory.
 *
 * A process is known by its number and by when it began, in clock ticks since
 * boot: a number that the system has given to somebody else in between is left
 * alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "campaign_int.h"

#define LOG_MAX	   (8 << 20) /* a log that is longer begins anew */
#define TAIL	   8192
#define INPUT_MAX  "1024" /* CAMPAIGN_INPUT_MAX */
#define PROBE_TIME 20u

static const char *const engine_names[] = { "libfuzzer", "afl" };

const char *
campaign_engine_name(enum campaign_engine engine)
{
	return (engine_names[engine]);
}

/* ---- Finding them -------------------------------------------------------- */

void
campaign_find(const char *bin, const char *name, char path[CAMPAIGN_PATH])
{
	while (*bin != '\0') {
		const size_t n = strcspn(bin, ":");
		const int length =
		    snprintf(path, CAMPAIGN_PATH, "%.*s/%s", (int)n, bin, name);

		if (n != 0 && length < (int)CAMPAIGN_PATH &&
		    access(path, R_OK) == 0)
			return;
		bin += n + (bin[n] == ':');
	}
	path[0] = '\0';
}

int
campaign_run_quietly(const char *exe, const char *first, const char *second,
    unsigned seconds, char *buf, size_t size)
{
	const double until = campaign_now() + seconds;
	size_t n = 0;
	int fds[2], status = -1;
	bool ended = false;
	pid_t pid;

	if (pipe(fds) != 0)
		return (-1);
	for (int i = 0; i < 2; i++)
		(void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0) {
		(void)setpgid(0, 0);
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)dup2(fds[1], STDERR_FILENO);
		(void)unsetenv("KALAB_FUZZ_SHARED");
		(void)execl(exe, exe, first, second, (char *)NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	while (pid > 0) {
		char drop[4096];
		const ssize_t got = read(fds[0], n + 1 < size ? buf + n : drop,
		    n + 1 < size ? size - 1 - n : sizeof(drop));

		if (got > 0 && n + 1 < size)
			n += (size_t)got;
		if (got > 0 && (!ended || campaign_now() < until))
			continue;
		if (ended)
			break;
		/* What it said last may have come after the look. */
		ended = waitpid(pid, &status, WNOHANG) == pid;
		if (ended)
			continue;
		if (campaign_now() > until)
			(void)kill(-pid, SIGKILL);
		(void)usleep(2000);
	}
	buf[n] = '\0';
	(void)close(fds[0]);
	return (status);
}

uint32_t
campaign_groups(const char *bin, const char *target)
{
	char name[64], exe[CAMPAIGN_PATH], said[TAIL];

	(void)snprintf(name, sizeof(name), "fuzz_%.40s", target);
	campaign_find(bin, name, exe);
	if (exe[0] == '\0' ||
	    campaign_run_quietly(
		exe, "--groups", NULL, PROBE_TIME, said, sizeof(said)) != 0)
		return (0);
	return ((uint32_t)strtoul(said, NULL, 0));
}

/* It runs an empty input: an engine of which that cannot be said is broken. */
static bool
probe(struct campaign *c, struct campaign_target *t, enum campaign_engine e)
{
	char input[CAMPAIGN_PATH], said[TAIL];
	FILE *f;
	int status;

	if (!campaign_path(input, "%s/probe", t->directory))
		return (false);
	f = fopen(input, "wb");
	if (f == NULL || fclose(f) != 0) {
		(void)campaign_fail("%s: %s", input, strerror(errno));
		return (false);
	}
	status = campaign_run_quietly(
	    t->exe[e], input, NULL, PROBE_TIME, said, sizeof(said));
	if (status == 0 && e == CAMPAIGN_AFL) {
		status = campaign_run_quietly(t->exe[e], "--groups", NULL,
		    PROBE_TIME, said, sizeof(said));
		said[strcspn(said, "\n")] = '\0';
		(void)snprintf(t->groups, sizeof(t->groups), "%.15s", said);
	}
	(void)c;
	if (status == 0)
		return (true);
	said[strcspn(said, "\n")] = '\0';
	(void)campaign_fail("%s: the target crashes at its start (%s %d): %s",
	    t->exe[e], WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), said);
	return (false);
}

bool
campaign_engines_find(struct campaign *c)
{
	const struct campaign_options *o = c->options;
	char name[64];

	for (uint32_t i = 0; i < o->targets; i++) {
		struct campaign_target *t = &c->target[i];

		for (int e = 0; e < CAMPAIGN_ENGINES; e++) {
			if (!o->engine[e])
				continue;
			(void)snprintf(name, sizeof(name), "fuzz_%s_%s",
			    t->name, engine_names[e]);
			campaign_find(o->bin, name, t->exe[e]);
			if (t->exe[e][0] == '\0') {
				(void)campaign_fail(
				    "no %s in %s: see --bin", name, o->bin);
				return (false);
			}
			if (!probe(c, t, (enum campaign_engine)e))
				return (false);
		}
		campaign_find(o->bin, "libkalab_mutator_afl.so", t->mutator);
	}
	if (o->engine[CAMPAIGN_AFL]) {
		char path[CAMPAIGN_PATH];

		campaign_find(getenv("PATH") != NULL ? getenv("PATH") : "",
		    "afl-fuzz", path);
		if (path[0] == '\0') {
			(void)campaign_fail("no afl-fuzz in PATH");
			return (false);
		}
	}
	return (true);
}

/* ---- Starting and ending ------------------------------------------------- */

/* When the process began, in ticks; 0: there is none. */
static uint64_t
began_at(pid_t pid)
{
	char name[64], line[1024], *at;
	unsigned long long ticks = 0;
	size_t n;
	FILE *f;

	(void)snprintf(name, sizeof(name), "/proc/%ld/stat", (long)pid);
	f = fopen(name, "r");
	if (f == NULL)
		return (0);
	n = fread(line, 1, sizeof(line) - 1, f);
	(void)fclose(f);
	line[n] = '\0';
	/* Behind the name, which may have anything in it, the 20th field. */
	at = strrchr(line, ')');
	for (int i = 0; at != NULL && i < 20; i++)
		at = strchr(at + 1, ' ');
	if (at != NULL)
		(void)sscanf(at, "%llu", &ticks);
	return (ticks);
}

static void
end_orphan(void *arg, int64_t row, pid_t pid, uint64_t ticks)
{
	(void)arg;
	(void)row;
	if (pid <= 1 || ticks == 0 || began_at(pid) != ticks)
		return;
	(void)kill(-pid, SIGTERM);
	for (int i = 0; i < 100 && began_at(pid) == ticks; i++)
		(void)usleep(20000);
	if (began_at(pid) == ticks)
		(void)kill(-pid, SIGKILL);
}

void
campaign_orphans_end(struct campaign *c)
{
	(void)campaign_db_orphans(c->db, end_orphan, NULL);
}

static void
set_environment(const struct campaign_target *t, enum campaign_engine engine)
{
	char path[CAMPAIGN_PATH + 16];

	(void)snprintf(path, sizeof(path), "%s/species", t->directory);
	(void)setenv("KALAB_FUZZ_SHARED", path, 1);
	(void)snprintf(path, sizeof(path), "%s/traces", t->directory);
	(void)setenv("KALAB_FUZZ_TRACES", path, 1);
	if (engine != CAMPAIGN_AFL)
		return;
	(void)setenv("AFL_NO_UI", "1", 1);
	(void)setenv("AFL_AUTORESUME", "1", 1);
	/* It and its target take turns: on one CPU nobody has to be woken. */
	(void)setenv("AFL_TRY_AFFINITY", "1", 1);
	(void)setenv("AFL_SKIP_CPUFREQ", "1", 1);
	(void)setenv("AFL_SKIP_CRASHES", "1", 1);
	(void)setenv("AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES", "1", 1);
	(void)setenv("AFL_IGNORE_PROBLEMS", "1", 1);
	/* What other machines have found comes before the first mutation. */
	(void)setenv("AFL_IMPORT_FIRST", "1", 1);
	if (t->mutator[0] != '\0' && strtoul(t->groups, NULL, 0) != 0) {
		(void)setenv("AFL_CUSTOM_MUTATOR_LIBRARY", t->mutator, 1);
		(void)setenv("AFL_CUSTOM_MUTATOR_ONLY", "1", 1);
		(void)setenv("AFL_DISABLE_TRIM", "1", 1);
		(void)setenv("KALAB_FUZZ_GROUPS", t->groups, 1);
	}
}

/* In the child: becomes the engine. */
static void
exec_libfuzzer(const struct campaign_slot *s)
{
	const struct campaign_target *t = s->target;
	static char artifacts[CAMPAIGN_PATH + 32], corpus[CAMPAIGN_PATH + 16];

	(void)snprintf(artifacts, sizeof(artifacts),
	    "-artifact_prefix=%s/artifacts/", t->directory);
	(void)snprintf(corpus, sizeof(corpus), "%s/corpus", t->directory);
	(void)execl(t->exe[CAMPAIGN_LIBFUZZER], t->exe[CAMPAIGN_LIBFUZZER],
	    "-max_len=" INPUT_MAX, "-timeout=25", "-rss_limit_mb=2048",
	    "-entropic=0", "-use_counters=0", "-print_funcs=0", "-reload=1",
	    "-detect_leaks=0", artifacts, corpus, (char *)NULL);
	_exit(127);
}

static void
exec_afl(const struct campaign_slot *s, const char *machine)
{
	const struct campaign_target *t = s->target;
	static char out[CAMPAIGN_PATH + 16], corpus[CAMPAIGN_PATH + 16];
	static char seeds[CAMPAIGN_PATH + 16], name[CAMPAIGN_NAME + 16];
	const bool first = s->index == 0;

	(void)snprintf(out, sizeof(out), "%s/afl", t->directory);
	(void)snprintf(corpus, sizeof(corpus), "%s/corpus", t->directory);
	(void)snprintf(seeds, sizeof(seeds), "%s/seeds", t->directory);
	(void)snprintf(name, sizeof(name), "%s%u", machine, s->index);
	/* Only a main instance reads what libFuzzer finds. */
	if (first)
		(void)execlp("afl-fuzz", "afl-fuzz", "-i", seeds, "-o", out,
		    "-M", name, "-F", corpus, "-t", "2000+", "-G", INPUT_MAX,
		    "--", t->exe[CAMPAIGN_AFL], (char *)NULL);
	else
		(void)execlp("afl-fuzz", "afl-fuzz", "-i", seeds, "-o", out,
		    "-S", name, "-t", "2000+", "-G", INPUT_MAX, "--",
		    t->exe[CAMPAIGN_AFL], (char *)NULL);
	_exit(127);
}

static bool
log_name(const struct campaign_slot *s, char path[CAMPAIGN_PATH])
{
	return (campaign_path(path, "%s/log/%s-%u", s->target->directory,
	    engine_names[s->engine], s->index));
}

bool
campaign_engine_start(struct campaign *c, struct campaign_slot *s)
{
	char name[CAMPAIGN_PATH];
	pid_t pid;
	int fd;

	if (!log_name(s, name))
		return (false);
	fd = open(
	    name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		(void)campaign_fail("%s: %s", name, strerror(errno));
		return (false);
	}
	pid = fork();
	if (pid == 0) {
		const int null = open("/dev/null", O_RDONLY);

		(void)setpgid(0, 0);
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
		set_environment(s->target, s->engine);
		if (s->engine == CAMPAIGN_AFL)
			exec_afl(s, c->options->name);
		exec_libfuzzer(s);
	}
	(void)close(fd);
	if (pid < 0) {
		(void)campaign_fail("fork: %s", strerror(errno));
		return (false);
	}
	(void)setpgid(pid, pid);
	s->pid = pid;
	s->started = campaign_now();
	return (campaign_db_engine_began(c->db, s, began_at(pid), &s->row));
}

bool
campaign_engine_ended(
    struct campaign *c, struct campaign_slot *s, int *ret_status)
{
	if (s->pid == 0 || waitpid(s->pid, ret_status, WNOHANG) != s->pid)
		return (false);
	(void)kill(-s->pid, SIGKILL); /* what it may have left */
	s->pid = 0;
	(void)campaign_db_engine_ended(c->db, s->row, *ret_status);
	return (true);
}

/* Asked first, then forced. */
void
campaign_engines_stop(struct campaign *c)
{
	uint32_t left = 1;
	int status;

	for (uint32_t i = 0; i < c->slots; i++)
		if (c->slot[i].pid != 0)
			(void)kill(-c->slot[i].pid, SIGINT);
	for (int tries = 0; tries < 300 && left != 0; tries++) {
		left = 0;
		for (uint32_t i = 0; i < c->slots; i++) {
			struct campaign_slot *s = &c->slot[i];

			if (s->pid != 0 && tries == 250)
				(void)kill(-s->pid, SIGKILL);
			if (!campaign_engine_ended(c, s, &status))
				left += s->pid != 0;
		}
		(void)usleep(20000);
	}
}

/* ---- What they say ------------------------------------------------------- */

/* The end of the file, terminated. */
static void
tail_of(const char *name, char *buf, size_t size)
{
	const int fd = open(name, O_RDWR | O_CLOEXEC);
	struct stat st;
	ssize_t n = 0;

	buf[0] = '\0';
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		const off_t from = st.st_size >= (off_t)size ?
		    st.st_size - (off_t)size + 1 :
		    0;

		n = pread(fd, buf, size - 1, from);
		if (st.st_size > LOG_MAX && ftruncate(fd, 0) != 0)
			n = 0;
	}
	buf[n > 0 ? n : 0] = '\0';
	(void)close(fd);
}

void
campaign_engine_last_words(
    const struct campaign_slot *s, char *buf, size_t size)
{
	char name[CAMPAIGN_PATH], text[TAIL], *line;

	buf[0] = '\0';
	if (!log_name(s, name))
		return;
	tail_of(name, text, sizeof(text));
	for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		(void)snprintf(buf, size, "%s", line);
}

/* The number behind the last mark in the text; what it was if there is none. */
static uint64_t
figure(const char *text, const char *mark, uint64_t now)
{
	const char *at = text;

	while ((at = strstr(at, mark)) != NULL) {
		at += strlen(mark);
		now = strtoull(at + strspn(at, " :"), NULL, 10);
	}
	return (now);
}

void
campaign_engine_figures(struct campaign_slot *s)
{
	char name[CAMPAIGN_PATH], text[TAIL];

	if (s->engine == CAMPAIGN_LIBFUZZER) {
		if (!log_name(s, name))
			return;
		tail_of(name, text, sizeof(text));
		s->edges = figure(text, " cov:", s->edges);
		s->features = figure(text, " ft:", s->features);
		s->corpus = figure(text, " corp:", s->corpus);
	} else if (campaign_path(name, "%s/afl/job%u/fuzzer_stats",
		       s->target->directory, s->index)) {
		tail_of(name, text, sizeof(text));
		s->edges = figure(text, "\nedges_found ", s->edges);
		s->corpus = figure(text, "\ncorpus_count ", s->corpus);
	}
}

/* ---- Judging ------------------------------------------------------------- */

/* What follows the mark on its line. */
static bool
quote(const char *text, const char *mark, char signature[160])
{
	const char *at = strstr(text, mark);

	if (at == NULL)
		return (false);
	at += strlen(mark);
	(void)snprintf(signature, 160, "%.*s", (int)strcspn(at, "\n"), at);
	return (true);
}

bool
campaign_engine_judge(
    const char *exe, const char *input, unsigned seconds, char signature[160])
{
	static char said[1 << 16];
	int status;

	status =
	    campaign_run_quietly(exe, input, NULL, seconds, said, sizeof(said));
	if (quote(said, "\n  signature  ", signature) ||
	    quote(said, "SUMMARY: ", signature))
		return (true);
	if (status == 0)
		return (false);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		(void)snprintf(signature, 160, "hang");
	else
		(void)snprintf(signature, 160, "%s %d",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
					  WEXITSTATUS(status));
	return (true);
}
