/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a corpus reaches: the species of fuzz_feedback.c, by their hashes.
 *
 * An entry may be what kills the process, so each is run by one of its own,
 * which leaves what it showed in memory that is shared. The set that is kept
 * is found greedily (Chvatal, 1979): the least set would take exponential time,
 * this one is at most a logarithmic factor larger. Ties go to the entry with
 * fewer operations, then fewer bytes, then the lesser name, so that the result
 * depends on nothing but the entries. At the end what others have made needless
 * goes.
 */
#include "fuzz/corpus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEATURES_MAX (1u << 18) /* of one entry */
#define SECONDS	     60u	/* of one run; then it hangs */

/* What the process leaves. */
struct shown {
	struct run_result result;
	bool done;
	uint32_t n;
	uint64_t feature[FEATURES_MAX];
};

static struct shown *shown;

/* ---- Reading ------------------------------------------------------------- */

static bool
has_extension(const char *name)
{
	return (strchr(name, '.') != NULL);
}

static int
slurp(const char *path, uint8_t **ret_bytes, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return (-1);
	*ret_bytes = malloc(FUZZ_INPUT_MAX + 1);
	n = *ret_bytes != NULL ? fread(*ret_bytes, 1, FUZZ_INPUT_MAX + 1, f) :
				 0;
	if (*ret_bytes == NULL || ferror(f) || n > FUZZ_INPUT_MAX) {
		errno = n > FUZZ_INPUT_MAX ? EFBIG : errno;
		(void)fclose(f);
		free(*ret_bytes);
		return (-1);
	}
	(void)fclose(f);
	*ret_size = n;
	return (0);
}

/* As the target reads it. 0 or a positive errno. */
static int
load_input(const struct corpus_entry *e, uint32_t groups, struct trace *ret_t)
{
	static struct fuzz_trace input;
	uint8_t *bytes;
	size_t size;
	int error;

	if (slurp(e->path, &bytes, &size) != 0)
		return (errno);
	error = fuzz_trace_decode(&input, groups, bytes, size);
	free(bytes);
	if (error == 0)
		error = fuzz_trace_copy(&input, ret_t);
	return (error);
}

int
corpus_load(const struct corpus_entry *e, uint32_t groups, struct trace *ret_t,
    char *why, size_t size)
{
	struct trace_reader *r;
	struct trace_error te;
	int error;

	if (e->form == CORPUS_INPUT) {
		error = load_input(e, groups, ret_t);
		if (error == 0)
			return (0);
		(void)snprintf(why, size, "%s: %s", e->path, strerror(error));
		return (-1);
	}
	if (trace_reader_open(&r, e->path, &te) == 0) {
		error = trace_load(ret_t, r, &te);
		trace_reader_close(r);
		if (error == 0)
			return (0);
	}
	trace_error_format(&te, why, size);
	return (-1);
}

/* What it is, and the trace. 0, or -1 after a line in `why`. */
static int
load(struct corpus_entry *e, const struct corpus_options *o, struct trace *t,
    char *why, size_t size)
{
	struct stat st;
	FILE *f;

	if (stat(e->path, &st) == 0)
		e->bytes = (uint64_t)st.st_size;
	f = fopen(e->path, "rb");
	e->form = f != NULL && fgetc(f) == 'k' ? CORPUS_TEXT : CORPUS_BINARY;
	if (f != NULL)
		(void)fclose(f);
	if (corpus_load(e, o->groups, t, why, size) == 0)
		return (0);
	if (has_extension(e->name))
		return (-1);
	e->form = CORPUS_INPUT;
	return (corpus_load(e, o->groups, t, why, size));
}

/* ---- Running ------------------------------------------------------------- */

static void
note(void *arg, enum fuzz_species kind, uint64_t hash)
{
	(void)arg;
	if (shown->n < FEATURES_MAX)
		shown->feature[shown->n++] =
		    (hash & ~UINT64_C(7)) | (uint64_t)kind;
}

static void
child(const struct trace *t)
{
	const struct run_options o = { .subject =
					   fuzz_feedback_subject(subjects[0]),
		.contents = MODEL_CONTENTS_FULL,
		.state = fuzz_feedback_state,
		.result = fuzz_feedback_result };
	struct run_source source;
	struct run_mem mem;

	(void)alarm(SECONDS);
	/* What it says when it dies is for nobody. */
	if (freopen("/dev/null", "w", stderr) == NULL)
		return;
	fuzz_feedback_listen(note, NULL);
	fuzz_feedback_begin();
	source = run_source_mem(&mem, t);
	run(&source, &o, &shown->result);
	fuzz_feedback_end(&shown->result);
	shown->done = true;
}

static int
by_number(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y ? -1 : x > y);
}

static size_t
unique(uint64_t *a, size_t n)
{
	size_t m = 0;

	qsort(a, n, sizeof(*a), by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || a[i] != a[m - 1])
			a[m++] = a[i];
	return (m);
}

static void
judge(struct corpus_entry *e, int status)
{
	const struct run_result *r = &shown->result;

	e->hash = r->hash;
	if (!shown->done) {
		e->end = CORPUS_FINDING;
		(void)snprintf(e->signature, sizeof(e->signature), "died/%s-%d",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
					  WEXITSTATUS(status));
	} else if (r->status == RUN_FINDING) {
		e->end = CORPUS_FINDING;
		(void)snprintf(e->signature, sizeof(e->signature), "%s",
		    r->finding.signature);
	} else {
		e->end = r->status == RUN_CLEAN ? CORPUS_CLEAN : CORPUS_FAILED;
	}
}

/* False after errno. */
static bool
run_apart(struct corpus_entry *e, const struct trace *t)
{
	int status = 0;
	pid_t pid;

	shown->done = false;
	shown->n = 0;
	memset(&shown->result, 0, sizeof(shown->result));
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		child(t);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid < 0)
		return (false);
	judge(e, status);
	e->nfeatures = unique(shown->feature, shown->n);
	e->feature = malloc((e->nfeatures + 1) * sizeof(*e->feature));
	if (e->feature == NULL)
		return (false);
	memcpy(e->feature, shown->feature, e->nfeatures * sizeof(*e->feature));
	return (true);
}

static int
add_file(struct corpus *c, struct corpus_entry *e,
    const struct corpus_options *o, char *why, size_t size)
{
	struct trace t;
	bool ran;

	trace_init(&t);
	if (load(e, o, &t, why, size) != 0)
		return (-1);
	e->ops = t.nops;
	e->threads = t.header.threads;
	for (size_t i = 0; i < t.nops; i++)
		e->group[trace_ops[t.op[i].code].group]++;
	ran = run_apart(e, &t);
	trace_fini(&t);
	if (ran) {
		c->n++;
		return (0);
	}
	(void)snprintf(why, size, "%s: %s", e->path, strerror(errno));
	return (-1);
}

/* Room for one more; NULL: out of memory. */
static struct corpus_entry *
room(struct corpus *c, const char *directory, const char *name)
{
	const size_t length = strlen(directory) + strlen(name) + 2;
	struct corpus_entry *e;

	if (c->n == c->cap) {
		const size_t cap = c->cap == 0 ? 64 : c->cap * 2;
		struct corpus_entry *grown =
		    realloc(c->entry, cap * sizeof(*grown));

		if (grown == NULL)
			return (NULL);
		c->entry = grown;
		c->cap = cap;
	}
	e = &c->entry[c->n];
	memset(e, 0, sizeof(*e));
	e->path = malloc(length);
	if (e->path == NULL)
		return (NULL);
	(void)snprintf(e->path, length, "%s/%s", directory, name);
	e->name = e->path + strlen(directory) + 1;
	return (e);
}

static int
is_entry(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return (d->d_name[0] != '.' &&
	    (dot == NULL ||
		(strcmp(dot, ".md") != 0 && strcmp(dot, ".tmp") != 0)));
}

static int
add_name(struct corpus *c, const char *directory, const char *name,
    const struct corpus_options *o, char *why, size_t size)
{
	struct corpus_entry *e = room(c, directory, name);
	struct stat st;
	int error = -1;

	if (e == NULL) {
		(void)snprintf(why, size, "out of memory");
		return (-1);
	}
	if (stat(e->path, &st) != 0) {
		(void)snprintf(why, size, "%s: %s", e->path, strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		free(e->path);
		return (0);
	} else {
		error = add_file(c, e, o, why, size);
	}
	if (error != 0)
		free(e->path);
	return (error);
}

int
corpus_add(struct corpus *c, const char *directory,
    const struct corpus_options *o, char *why, size_t size)
{
	const size_t before = c->n;
	struct dirent **list;
	int n, error = 0;

	if (shown == NULL) {
		shown = mmap(NULL, sizeof(*shown), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (shown == MAP_FAILED) {
			shown = NULL;
			(void)snprintf(why, size, "out of memory");
			return (-1);
		}
	}
	n = scandir(directory, &list, is_entry, alphasort);
	if (n < 0) {
		(void)snprintf(why, size, "%s: %s", directory, strerror(errno));
		return (-1);
	}
	for (int i = 0; i < n; i++) {
		if (error == 0 && *o->stop) {
			(void)snprintf(why, size, "interrupted");
			error = -1;
		}
		if (error == 0)
			error = add_name(
			    c, directory, list[i]->d_name, o, why, size);
		if (error == 0 && o->progress != NULL)
			o->progress(o->arg, (size_t)i + 1, (size_t)n);
		free(list[i]);
	}
	free(list);
	if (error == 0 && c->n == before) {
		(void)snprintf(
		    why, size, "%s: no trace in this directory", directory);
		error = -1;
	}
	return (error);
}

/* ---- The least set ------------------------------------------------------- */

static int
by_size(const struct corpus_entry *a, const struct corpus_entry *b)
{
	if (a->ops != b->ops)
		return (a->ops < b->ops ? -1 : 1);
	if (a->bytes != b->bytes)
		return (a->bytes < b->bytes ? -1 : 1);
	return (strcmp(a->path, b->path));
}

/* All features, in order; how often each is shown by what is kept. */
struct cover {
	uint64_t *feature;
	uint32_t *times;
	size_t n;
};

static uint32_t *
times_of(const struct cover *v, uint64_t feature)
{
	const uint64_t *at =
	    bsearch(&feature, v->feature, v->n, sizeof(feature), by_number);

	return (&v->times[at - v->feature]);
}

static bool
cover_init(struct cover *v, struct corpus *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->entry[i].nfeatures;
	v->feature = malloc((n + 1) * sizeof(*v->feature));
	v->times = calloc(n + 1, sizeof(*v->times));
	if (v->feature == NULL || v->times == NULL)
		return (false);
	for (size_t i = 0; i < c->n; i++) {
		const struct corpus_entry *e = &c->entry[i];

		memcpy(v->feature + v->n, e->feature,
		    e->nfeatures * sizeof(*e->feature));
		v->n += e->nfeatures;
	}
	v->n = unique(v->feature, v->n);
	return (true);
}

static size_t
gain(const struct cover *v, const struct corpus_entry *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->nfeatures; i++)
		n += *times_of(v, e->feature[i]) == 0;
	return (n);
}

static void
keep(struct cover *v, struct corpus_entry *e)
{
	e->kept = true;
	for (size_t i = 0; i < e->nfeatures; i++)
		++*times_of(v, e->feature[i]);
}

/* Of each signature the least; no finding is lost. */
static void
keep_findings(struct corpus *c, struct cover *v)
{
	for (size_t i = 0; i < c->n; i++) {
		struct corpus_entry *e = &c->entry[i];
		bool least = e->end != CORPUS_CLEAN;

		for (size_t k = 0; k < c->n && least; k++) {
			const struct corpus_entry *o = &c->entry[k];

			if (k == i || o->end != e->end ||
			    strcmp(o->signature, e->signature) != 0)
				continue;
			least = by_size(e, o) < 0;
		}
		c->findings += e->end == CORPUS_FINDING;
		c->signatures += least && e->end == CORPUS_FINDING;
		if (least)
			keep(v, e);
	}
}

/* What an entry gains only ever becomes less: the last number bounds it, and
 * most entries need no second look. */
static void
keep_rest(struct corpus *c, struct cover *v)
{
	for (size_t i = 0; i < c->n; i++)
		c->entry[i].bound = c->entry[i].nfeatures;
	for (;;) {
		struct corpus_entry *best = NULL;
		size_t n;

		for (size_t i = 0; i < c->n; i++) {
			struct corpus_entry *e = &c->entry[i];

			if (!e->kept && e->bound != 0 &&
			    (best == NULL || e->bound > best->bound ||
				(e->bound == best->bound &&
				    by_size(e, best) < 0)))
				best = e;
		}
		if (best == NULL)
			return;
		n = gain(v, best);
		if (n == best->bound)
			keep(v, best);
		best->bound = n;
	}
}

/* What others have made needless goes, the largest first. */
static void
drop_needless(struct corpus *c, struct cover *v)
{
	for (;;) {
		struct corpus_entry *worst = NULL;

		for (size_t i = 0; i < c->n; i++) {
			struct corpus_entry *e = &c->entry[i];
			bool needed =
			    !e->kept || e->edges || e->end != CORPUS_CLEAN;

			for (size_t k = 0; k < e->nfeatures && !needed; k++)
				needed = *times_of(v, e->feature[k]) == 1;
			if (!needed && (worst == NULL || by_size(e, worst) > 0))
				worst = e;
		}
		if (worst == NULL)
			return;
		worst->kept = false;
		for (size_t k = 0; k < worst->nfeatures; k++)
			--*times_of(v, worst->feature[k]);
	}
}

static void
find_twins(struct corpus *c)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < i; k++) {
			struct corpus_entry *e = &c->entry[i];
			const struct corpus_entry *o = &c->entry[k];

			if (e->twin != NULL || o->twin != NULL ||
			    e->hash != o->hash || e->ops != o->ops ||
			    e->end != o->end)
				continue;
			e->twin = o;
			c->twins++;
		}
}

bool
corpus_minimize(struct corpus *c)
{
	struct cover v = { NULL, NULL, 0 };
	bool ok = cover_init(&v, c);

	if (ok) {
		c->features = v.n;
		for (size_t i = 0; i < v.n; i++)
			c->kind[(v.feature[i] & 7) % FUZZ_SPECIES_COUNT]++;
		find_twins(c);
		keep_findings(c, &v);
		for (size_t i = 0; i < c->n; i++)
			if (c->entry[i].edges && !c->entry[i].kept)
				keep(&v, &c->entry[i]);
		keep_rest(c, &v);
		drop_needless(c, &v);
		for (size_t i = 0; i < c->n; i++)
			c->kept += c->entry[i].kept;
	}
	free(v.feature);
	free(v.times);
	return (ok);
}

bool
corpus_copy(const char *from, const char *to)
{
	char temp[PATH_MAX + 8], buf[8192];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	ssize_t n = -1;

	(void)snprintf(temp, sizeof(temp), "%s.tmp", to);
	if (in >= 0)
		out =
		    open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	while (out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n) {
			n = -1;
			break;
		}
	if (out >= 0 && close(out) != 0)
		n = -1;
	if (in >= 0)
		(void)close(in);
	if (n == 0 && rename(temp, to) == 0)
		return (true);
	if (out >= 0)
		(void)unlink(temp);
	return (false);
}

void
corpus_fini(struct corpus *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->entry[i].path);
		free(c->entry[i].feature);
	}
	free(c->entry);
	memset(c, 0, sizeof(*c));
}
