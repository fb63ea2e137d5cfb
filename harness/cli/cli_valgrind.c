/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A verb under valgrind(1): kalab starts itself again beneath it. What is
 * reported ends the process that it is reported of, and is found in a file of
 * that process.
 */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_NAME "KALAB_VALGRIND_LOG"
#define REPORTED 99 /* how a process ends of which valgrind reports */

static volatile pid_t below;

static void
pass_on(int sig)
{
	if (below > 0)
		(void)kill(below, sig);
}

const char *
cli_valgrind_log(void)
{
	return (getenv(LOG_NAME));
}

static void
start(const char *log, const char *verb, int argc, char **argv)
{
	static const char *const before[] = { "valgrind", "-q",
		"--error-exitcode=99", "--exit-on-first-error=yes" };
	const int nbefore = (int)(sizeof(before) / sizeof(*before));
	char self[PATH_MAX], to[PATH_MAX + 32];
	const char **arg = calloc((size_t)(nbefore + argc + 3), sizeof(*arg));
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i, at = 0;

	if (arg == NULL || n < 0)
		_exit(CLI_USAGE);
	self[n] = '\0';
	(void)snprintf(to, sizeof(to), "--log-file=%s.%%p", log);
	for (i = 0; i < nbefore; i++)
		arg[at++] = before[i];
	arg[at++] = to;
	arg[at++] = self;
	arg[at++] = verb;
	for (i = 1; i < argc; i++)
		arg[at++] = argv[i];
	(void)setenv(LOG_NAME, log, 1);
	(void)execvp(arg[0], (char *const *)(uintptr_t)arg);
	_exit(cli_usage(verb, "valgrind cannot be run: %s", strerror(errno)));
}

/* This process's own log: a report of what kalab itself did, and no finding. */
static void
show_log(const char *log, pid_t pid)
{
	char name[PATH_MAX + 32], line[512];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s.%ld", log, (long)pid);
	f = fopen(name, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		(void)fputs(line, stderr);
	if (f != NULL)
		(void)fclose(f);
}

bool
cli_under_valgrind(const char *verb, int argc, char **argv, int *ret_status)
{
	char directory[PATH_MAX - 16], log[PATH_MAX];
	int status = 0;

	if (cli_valgrind_log() != NULL)
		return (false); /* we are */
	*ret_status = CLI_USAGE;
	if (CLI_SANITIZED) {
		(void)cli_usage(verb,
		    "--valgrind: this kalab has a sanitizer, and valgrind "
		    "runs none that has");
		return (true);
	}
	if (!cli_scratch(verb, directory, sizeof(directory)))
		return (true);
	(void)snprintf(log, sizeof(log), "%s/valgrind", directory);
	(void)signal(SIGINT, SIG_IGN); /* the terminal's reaches it, too */
	(void)signal(SIGTERM, pass_on);
	(void)fflush(NULL);
	below = fork();
	if (below == 0) {
		(void)signal(SIGINT, SIG_DFL);
		(void)signal(SIGTERM, SIG_DFL);
		start(log, verb, argc, argv);
	}
	while (below > 0 && waitpid(below, &status, 0) < 0 && errno == EINTR)
		continue;
	if (below > 0 && WIFEXITED(status) && WEXITSTATUS(status) != REPORTED)
		*ret_status = WEXITSTATUS(status);
	else if (below > 0 && WIFEXITED(status))
		show_log(log, below);
	else
		(void)cli_usage(verb, "valgrind did not end as it should");
	cli_remove(directory);
	return (true);
}
