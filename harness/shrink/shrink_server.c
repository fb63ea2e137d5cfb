/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Candidates in a child process.
 *
 * Nouns: the *server* is the parent's side; the *child* runs candidates that
 * it finds in shared memory, one request after the other, and is replaced when
 * it dies or hangs. A request is a byte in a pipe, an answer too; everything
 * else is in the shared memory.
 *
 * States of a child: none, idle (it reads), running. A child that dies is
 * seen as the end of its pipe, and the variant that it was at is in the shared
 * memory; the others are run by the next child.
 *
 * A child is a fork of a parent that has never done a run, so that the first
 * run of a child does not depend on what ran before. A *cold* server has a new
 * child for every request.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shrink_int.h"

#define TALK_MAX 8192u

double
shrink__now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec * 1e-9);
}

/* ---- The child --------------------------------------------------------- */

/* Where each thread went on last; this is a child's, of one run at a time. */
static struct place {
	const char *file;
	uint32_t line;
} place[TRACE_THREADS_MAX];

static void
note_place(void *arg, const struct run_step *s)
{
	(void)arg;
	if (s->before < TRACE_THREADS_MAX && s->before_file != NULL)
		place[s->before] =
		    (struct place) { s->before_file, s->before_line };
}

static void
tell_place(struct shrink_verdict *v)
{
	const struct place *p = &place[v->finding.thread % TRACE_THREADS_MAX];
	const char *file = p->file;

	v->source[0] = '\0';
	if (file == NULL)
		return;
	while (strncmp(file, "../", 3) == 0)
		file += 3;
	(void)snprintf(v->source, sizeof(v->source), "%.80s:%u", file, p->line);
}

static void
run_candidate(const struct shrink__server *s, const struct trace *t,
    struct run_result *ret_r)
{
	struct run_options o = { .subject = s->options->run.subject,
		.contents = s->options->run.contents,
		.audit_every = s->options->run.audit_every,
		.orders = s->options->run.orders,
		.points_max = s->options->run.points_max,
		.counts = s->options->run.counts,
		.story = s->told ? note_place : NULL };
	struct run_mem mem;
	struct run_source source = run_source_mem(&mem, t);
	struct run_result again;

	run(&source, &o, ret_r);
	if (!s->options->twice || ret_r->status != RUN_CLEAN)
		return;
	source = run_source_mem(&mem, t);
	run(&source, &o, &again);
	if (again.hash == ret_r->hash && again.status == ret_r->status)
		return;
	ret_r->status = RUN_FINDING;
	ret_r->finding = (struct finding) {
		.clause = "G-10",
		.operation = "replay",
		.expected = "the same events in both runs",
		.found = "others in the second run",
		.signature = "run/G-10/replay/hash",
	};
}

static void
tell(struct shrink_verdict *v, const struct run_result *r)
{
	v->outcome = r->status == RUN_FINDING ? SHRINK_FINDS :
	    r->status == RUN_CLEAN	      ? SHRINK_RUNS_CLEAN :
						SHRINK_CANNOT;
	v->finding = r->finding;
	v->error = r->error;
	v->switches = r->switches;
	memcpy(v->waits, r->waits, sizeof(v->waits));
	tell_place(v);
}

/* All variants, until one shows it. */
static void
serve(const struct shrink__server *s)
{
	struct shrink__shared *h = s->shared;
	struct trace t = { .header = h->header,
		.op = (struct trace_op *)(void *)(h->bytes + h->ops_at),
		.nops = h->nops };
	static struct run_result r;

	t.header.str = s->trace->header.str;
	t.header.nstrs = s->trace->header.nstrs;
	t.header.strs_cap = s->trace->header.strs_cap;
	t.header.deviation =
	    (struct trace_deviation *)(void *)(h->bytes + h->deviations_at);
	for (uint32_t i = h->first; i < h->nvariants; i++) {
		__atomic_store_n(&h->at, i, __ATOMIC_SEQ_CST);
		shrink__variant_apply(&h->variant[i], &t.header);
		run_candidate(s, &t, &r);
		tell(&h->verdict, &r);
		if (h->verdict.outcome == SHRINK_FINDS &&
		    (h->signature[0] == '\0' ||
			strcmp(h->signature, r.finding.signature) == 0))
			return;
	}
}

static void
child(const struct shrink__server *s, int in, int out)
{
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGINT, SIG_IGN); /* the terminal's is for the parent */
	(void)signal(SIGTERM, SIG_DFL);
	(void)dup2(fileno(s->talk), STDERR_FILENO);
	while (read(in, &byte, 1) == 1) {
		serve(s);
		if (write(out, "", 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- The parent -------------------------------------------------------- */

int
shrink__server_open(struct shrink__server *s, const struct shrink_options *o,
    const struct trace *t)
{
	const size_t deviations =
	    t->header.ndeviations * sizeof(struct trace_deviation);

	*s = (struct shrink__server) { .options = o,
		.trace = t,
		.to = -1,
		.from = -1,
		.hang = o->hang > 0 ? o->hang : 5.0 };
	s->shared_size = sizeof(*s->shared) + deviations + 64 +
	    (t->nops + 1) * sizeof(struct trace_op);
	s->shared = mmap(NULL, s->shared_size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared == MAP_FAILED)
		return (errno);
	s->shared->ops_at = (deviations + 63) & ~(size_t)63;
	s->talk = tmpfile();
	if (s->talk == NULL) {
		const int error = errno;

		(void)munmap(s->shared, s->shared_size);
		return (error);
	}
	return (0);
}

/* Ends the child; how it ended. */
static int
end_child(struct shrink__server *s, bool kill_it)
{
	int status = 0;

	if (s->to < 0)
		return (0);
	(void)close(s->to);
	(void)close(s->from);
	s->to = s->from = -1;
	if (kill_it)
		(void)kill(s->pid, SIGKILL);
	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return (status);
}

void
shrink__server_close(struct shrink__server *s)
{
	(void)end_child(s, true);
	(void)fclose(s->talk);
	(void)munmap(s->shared, s->shared_size);
}

void
shrink__server_renew(struct shrink__server *s)
{
	(void)end_child(s, true);
}

static bool
start_child(struct shrink__server *s)
{
	int to[2], from[2];

	if (pipe(to) != 0)
		return (false);
	if (pipe(from) != 0) {
		(void)close(to[0]);
		(void)close(to[1]);
		return (false);
	}
	(void)ftruncate(fileno(s->talk), 0);
	rewind(s->talk);
	s->pid = fork();
	if (s->pid == 0) {
		(void)close(to[1]);
		(void)close(from[0]);
		child(s, to[0], from[1]);
	}
	(void)close(to[0]);
	(void)close(from[1]);
	if (s->pid < 0) {
		(void)close(to[1]);
		(void)close(from[0]);
		return (false);
	}
	s->to = to[1];
	s->from = from[0];
	return (true);
}

/* Letters of what a dying process says; numbers and addresses differ. */
static void
squeeze(const char *from, char *to, size_t size)
{
	size_t n = 0;

	for (; *from != '\0' && *from != '\n' && n + 1 < size; from++) {
		bool digit = *from >= '0' && *from <= '9';

		if (digit && n > 0 && to[n - 1] == 'N')
			continue;
		if (digit && from[0] == '0' && from[1] == 'x') {
			from += 2 + strspn(from + 2, "0123456789abcdef");
			from--;
		}
		to[n++] = digit ? 'N' : *from == ' ' ? '-' : *from;
	}
	to[n] = '\0';
}

/* "==7== Invalid write of size 4", and below it where: without the numbers. */
static bool
valgrind_words(const char *text, char *to, size_t size)
{
	static const char at[] = "==    at 0x";
	const char *p = strstr(text, "== "), *in = strstr(text, at);
	char words[256];

	if (p == NULL || in == NULL || in < p)
		return (false);
	p += 3;
	in = strstr(in + sizeof(at), ": ");
	if (in == NULL)
		return (false);
	in += 2;
	(void)snprintf(words, sizeof(words), "%.*s in %.*s",
	    (int)strcspn(p, "\n"), p, (int)strcspn(in, " \n"), in);
	squeeze(words, to, size);
	return (true);
}

static size_t
read_log(const struct shrink__server *s, char *text, size_t size)
{
	char name[PATH_MAX];
	size_t n = 0;
	FILE *f;

	(void)snprintf(
	    name, sizeof(name), "%s.%ld", s->options->log, (long)s->pid);
	f = fopen(name, "r");
	if (f != NULL)
		n = fread(text, 1, size - 1, f);
	if (f != NULL)
		(void)fclose(f);
	text[n] = '\0';
	return (n);
}

/* What the child said last: of a sanitizer which error, else the line. */
static void
last_words(struct shrink__server *s, char *to, size_t size)
{
	static const char *const marks[] = { "ERROR: AddressSanitizer: ",
		"WARNING: ThreadSanitizer: ", "runtime error: ",
		"panic outside of a call: ", "panic: ", "assertion " };
	char text[TALK_MAX];
	const char *at = text;
	unsigned i;
	ssize_t n;

	if (s->options->log != NULL && read_log(s, text, sizeof(text)) != 0 &&
	    valgrind_words(text, to, size))
		return;
	n = pread(fileno(s->talk), text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	for (i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		const char *p = strstr(text, marks[i]);

		if (p == NULL)
			continue;
		at = p + strlen(marks[i]);
		if (i < 2) /* the word that names the error */
			text[(size_t)(at - text) + strcspn(at, " \n")] = '\0';
		break;
	}
	squeeze(at, to, size);
}

static void
tell_death(
    struct shrink__server *s, bool hung, int status, struct shrink_verdict *v)
{
	struct finding *f = &v->finding;
	char words[64], how[24];

	memset(v, 0, sizeof(*v));
	v->outcome = hung ? SHRINK_HANGS : SHRINK_DIES;
	if (hung)
		(void)snprintf(how, sizeof(how), "hang");
	else if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal-%d", WTERMSIG(status));
	else
		(void)snprintf(
		    how, sizeof(how), "status-%d", WEXITSTATUS(status));
	last_words(s, words, sizeof(words));
	(void)snprintf(f->clause, sizeof(f->clause), hung ? "G-4" : "G-3");
	(void)snprintf(f->operation, sizeof(f->operation), "run");
	(void)snprintf(
	    f->expected, sizeof(f->expected), "the run ends, with a verdict");
	(void)snprintf(f->found, sizeof(f->found), "%s%s%s", how,
	    words[0] != '\0' ? ": " : "", words);
	(void)snprintf(f->signature, sizeof(f->signature), "died/%s/%s", how,
	    words[0] != '\0' ? words : "-");
}

/* Waits for the answer. False: the child died, or hung and was killed. */
static bool
await(struct shrink__server *s, bool *ret_hung)
{
	uint32_t at = __atomic_load_n(&s->shared->at, __ATOMIC_SEQ_CST);
	double since = shrink__now();
	struct pollfd p = { .fd = s->from, .events = POLLIN };
	char byte;

	*ret_hung = false;
	for (;;) {
		uint32_t now_at;

		if (poll(&p, 1, 100) > 0)
			return (read(s->from, &byte, 1) == 1);
		now_at = __atomic_load_n(&s->shared->at, __ATOMIC_SEQ_CST);
		if (now_at != at) {
			at = now_at;
			since = shrink__now();
		}
		if (shrink__now() - since > s->hang) {
			*ret_hung = true;
			return (false);
		}
	}
}

/* One request; true: answered. False: *ret_v tells of a death. */
static bool
request(struct shrink__server *s, struct shrink_verdict *ret_v)
{
	bool hung = false;
	int status;

	if (s->cold)
		(void)end_child(s, true);
	if (s->to < 0 && !start_child(s)) {
		memset(ret_v, 0, sizeof(*ret_v));
		ret_v->outcome = SHRINK_CANNOT;
		trace_error_set(&ret_v->error, "kalab", 0, 0,
		    "cannot start a process: %s", strerror(errno));
		return (false);
	}
	if (write(s->to, "", 1) == 1 && await(s, &hung)) {
		*ret_v = s->shared->verdict;
		return (true);
	}
	status = end_child(s, hung);
	s->deaths++;
	tell_death(s, hung, status, ret_v);
	return (false);
}

bool
shrink__server_run(struct shrink__server *s, const struct trace_header *header,
    const struct trace_op *op, size_t nops,
    const struct shrink__variant *variant, uint32_t nvariants,
    const char *signature, struct shrink_verdict *ret_v, uint32_t *ret_variant)
{
	struct shrink__shared *h = s->shared;

	h->header = *header;
	memcpy(h->variant, variant, nvariants * sizeof(*variant));
	h->nvariants = nvariants;
	h->nops = nops;
	h->at = 0;
	(void)snprintf(h->signature, sizeof(h->signature), "%s",
	    signature != NULL ? signature : "");
	if (header->ndeviations != 0)
		memcpy(h->bytes + h->deviations_at, header->deviation,
		    header->ndeviations * sizeof(*header->deviation));
	memcpy(h->bytes + h->ops_at, op, nops * sizeof(*op));
	for (h->first = 0; h->first < nvariants; h->first = h->at + 1) {
		h->at = h->first;
		const bool answered = request(s, ret_v);

		s->runs += h->at - h->first + 1;
		if (ret_v->outcome == SHRINK_CANNOT && !answered)
			return (false);
		*ret_variant = h->at;
		if (ret_v->outcome != SHRINK_RUNS_CLEAN &&
		    ret_v->outcome != SHRINK_CANNOT &&
		    (signature == NULL ||
			strcmp(signature, ret_v->finding.signature) == 0))
			return (true);
	}
	return (false);
}
