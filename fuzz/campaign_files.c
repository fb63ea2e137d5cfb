/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of a campaign. For each target:
 *
 *   seeds/      what it began with
 *   corpus/     what libFuzzer reads and writes; AFL++ reads it, and what AFL++
 *               finds is copied here, under the hash of its contents
 *   afl/        AFL++'s own directories, one for each job; and copies of those
 *               of other machines, which AFL++ reads by itself
 *   artifacts/  what libFuzzer found to break something
 *   findings/   that of both engines, each input once, under its hash
 *   traces/     the same as text, where the target could still write it
 *   log/        what the engines say
 *   species     counts that they share (fuzz_shared.h)
 *
 * A sweep takes notice of what is new. It may be cut off at any place: files
 * are complete when they appear under their names, and what the database does
 * not know yet the next sweep tells it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "campaign_int.h"

#define INPUT_MAX  (1u << 20)
#define JUDGE_TIME 30u
#define QUEUES_MAX 256u /* of AFL++, of all targets and machines */
#define JUDGED_MAX 16u	/* findings of a sweep: the status line goes on */

bool
campaign_path(char path[CAMPAIGN_PATH], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, CAMPAIGN_PATH, fmt, ap);
	va_end(ap);
	if (n > 0 && n < (int)CAMPAIGN_PATH)
		return (true);
	(void)campaign_fail("%.64s...: the name is too long", path);
	return (false);
}

/* ---- Bytes --------------------------------------------------------------- */

static uint8_t bytes[INPUT_MAX];

/* The file's bytes to `bytes`; -1: it is gone, too long, or cannot be read. */
static ssize_t
slurp(const char *name)
{
	const int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = 0, got = 1;

	if (fd < 0)
		return (-1);
	while (got > 0 && size < (ssize_t)sizeof(bytes)) {
		got = read(fd, bytes + size, sizeof(bytes) - (size_t)size);
		size += got > 0 ? got : 0;
	}
	(void)close(fd);
	return (got < 0 || size == (ssize_t)sizeof(bytes) ? -1 : size);
}

/* Writes `bytes` under the name, at once or not at all. */
static bool
put(const char *name, size_t size)
{
	char temp[CAMPAIGN_PATH];
	bool ok;
	int fd;

	if (!campaign_path(temp, "%s.tmp", name))
		return (false);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	ok = fd >= 0 && write(fd, bytes, size) == (ssize_t)size;
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	if (ok && rename(temp, name) == 0)
		return (true);
	(void)campaign_fail("%s: %s", name, strerror(errno));
	(void)unlink(temp);
	return (false);
}

bool
campaign_make_directory(const char *name)
{
	if (mkdir(name, 0777) == 0 || errno == EEXIST)
		return (true);
	(void)campaign_fail("%s: %s", name, strerror(errno));
	return (false);
}

bool
campaign_adopt(const char *path, const char *directory, char hash[17])
{
	char own[CAMPAIGN_PATH];
	const ssize_t size = slurp(path);

	if (size < 0) {
		(void)campaign_fail("%s: it cannot be read, or is too long: %s",
		    path, strerror(errno));
		return (false);
	}
	(void)snprintf(
	    hash, 17, "%016" PRIx64, (uint64_t)XXH64(bytes, (size_t)size, 0));
	return (campaign_path(own, "%s/%s", directory, hash) &&
	    (access(own, F_OK) == 0 || put(own, (size_t)size)));
}

static bool
map_species(struct campaign_target *t)
{
	char name[CAMPAIGN_PATH];
	int fd;

	if (!campaign_path(name, "%s/species", t->directory))
		return (false);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || ftruncate(fd, sizeof(*t->shared)) != 0) {
		(void)campaign_fail("%s: %s", name, strerror(errno));
		return (false);
	}
	t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	(void)close(fd);
	if (t->shared == MAP_FAILED) {
		(void)campaign_fail("%s: %s", name, strerror(errno));
		return (false);
	}
	if (t->shared->magic == 0)
		t->shared->magic = FUZZ_SHARED_MAGIC;
	if (t->shared->magic == FUZZ_SHARED_MAGIC)
		return (true);
	(void)campaign_fail("%s: not a file of counts", name);
	return (false);
}

/* ---- Seeds --------------------------------------------------------------- */

/* Calls for each visible file of the directory; false stops. */
static bool
each_file(const char *directory,
    bool (*fn)(struct campaign *, struct campaign_target *, const char *path,
	const char *name),
    struct campaign *c, struct campaign_target *t)
{
	DIR *d = opendir(directory);
	char path[CAMPAIGN_PATH];
	struct dirent *e;
	bool ok = true;

	if (d == NULL)
		return (true);
	while (ok && (e = readdir(d)) != NULL) {
		const size_t n = strlen(e->d_name);

		if (e->d_name[0] == '.' ||
		    (n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0))
			continue;
		ok = campaign_path(path, "%s/%s", directory, e->d_name) &&
		    fn(c, t, path, e->d_name);
	}
	(void)closedir(d);
	return (ok);
}

/* An input of elsewhere goes to the corpus, unless it is there. */
static bool
adopt(struct campaign *c, struct campaign_target *t, const char *path,
    const char *engine)
{
	char own[CAMPAIGN_PATH], hash[17];
	const ssize_t size = slurp(path);
	bool is_new;

	if (size <= 0)
		return (true);
	(void)snprintf(hash, sizeof(hash), "%016" PRIx64,
	    (uint64_t)XXH64(bytes, (size_t)size, 0));
	if (!campaign_path(own, "%s/corpus/%s", t->directory, hash))
		return (false);
	if (access(own, F_OK) != 0 && !put(own, (size_t)size))
		return (false);
	return (campaign_db_entry(
	    c->db, t->name, hash, (uint64_t)size, engine, &is_new));
}

static bool
adopt_seed(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	char own[CAMPAIGN_PATH];
	const ssize_t size = slurp(path);

	if (size <= 0)
		return (true);
	return (campaign_path(own, "%s/seeds/%s", t->directory, name) &&
	    (access(own, F_OK) == 0 || put(own, (size_t)size)) &&
	    adopt(c, t, path, "seed"));
}

/* Seeds are beside the executables: seeds-NAME. */
static bool
adopt_seeds(struct campaign *c, struct campaign_target *t)
{
	const char *bin = c->options->bin;
	char path[CAMPAIGN_PATH];

	while (*bin != '\0') {
		const size_t n = strcspn(bin, ":");

		if (!campaign_path(
			path, "%.*s/seeds-%s", (int)n, bin, t->name) ||
		    !each_file(path, adopt_seed, c, t))
			return (false);
		bin += n + (bin[n] == ':');
	}
	/* AFL++ wants one at least. */
	bytes[0] = 0;
	return (campaign_path(path, "%s/seeds/least", t->directory) &&
	    (access(path, F_OK) == 0 || put(path, 1)));
}

bool
campaign_directories(struct campaign *c)
{
	static const char *const names[] = { "seeds", "corpus", "afl",
		"artifacts", "findings", "traces", "log" };
	char path[CAMPAIGN_PATH];

	for (uint32_t i = 0; i < c->options->targets; i++) {
		struct campaign_target *t = &c->target[i];

		if (!campaign_make_directory(t->directory) || !map_species(t))
			return (false);
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			if (!campaign_path(
				path, "%s/%s", t->directory, names[k]) ||
			    !campaign_make_directory(path))
				return (false);
		if (!campaign_db_begin(c->db) || !adopt_seeds(c, t) ||
		    !campaign_db_commit(c->db))
			return (false);
	}
	return (true);
}

/* ---- Sweeping ------------------------------------------------------------ */

static bool
notice_entry(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	struct stat st;
	bool is_new;

	if (stat(path, &st) != 0)
		return (true); /* it went away */
	return (campaign_db_entry(
	    c->db, t->name, name, (uint64_t)st.st_size, "libfuzzer", &is_new));
}

/*
 * A corpus is gone through only if a file came to it or left it since the last
 * time. What has changed just now may change again at the same time, as a file
 * system's clock has it: then it is gone through once more.
 */
static bool
sweep_corpus(struct campaign *c, struct campaign_target *t)
{
	char path[CAMPAIGN_PATH];
	struct stat st;

	if (!campaign_path(path, "%s/corpus", t->directory))
		return (false);
	if (stat(path, &st) != 0)
		return (true);
	if (st.st_mtim.tv_sec == t->corpus.tv_sec &&
	    st.st_mtim.tv_nsec == t->corpus.tv_nsec)
		return (true);
	if (!each_file(path, notice_entry, c, t))
		return (false);
	if (st.st_mtim.tv_sec + 1 < time(NULL))
		t->corpus = st.st_mtim;
	return (true);
}

/* Where the sweep of an AFL++ queue has come to: the highest id. */
static uint32_t
entry_number(const char *name)
{
	return (strncmp(name, "id:", 3) == 0 ?
		(uint32_t)strtoul(name + 3, NULL, 10) + 1 :
		0);
}

struct seen {
	char target[40], instance[CAMPAIGN_NAME + 16];
	uint32_t to;
};

static struct seen seen[QUEUES_MAX];
static uint32_t *seen_to; /* of the queue that is being swept */
static uint32_t seen_new;

/* NULL: a name that no instance has, or more queues than anybody has. */
static uint32_t *
seen_in(const struct campaign_target *t, const char *instance)
{
	struct seen *s;

	if (strlen(instance) >= sizeof(s->instance))
		return (NULL);
	for (s = seen; s < seen + QUEUES_MAX && s->target[0] != '\0'; s++)
		if (strcmp(s->target, t->name) == 0 &&
		    strcmp(s->instance, instance) == 0)
			return (&s->to);
	if (s == seen + QUEUES_MAX)
		return (NULL);
	(void)snprintf(s->target, sizeof(s->target), "%s", t->name);
	(void)snprintf(s->instance, sizeof(s->instance), "%s", instance);
	return (&s->to);
}

static bool
adopt_queued(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	const uint32_t n = entry_number(name);

	if (n <= *seen_to)
		return (true);
	if (n > seen_new)
		seen_new = n;
	/* Not what it had from us, or from one whose queue is swept too. */
	if (strstr(name, ",orig:") != NULL || strstr(name, ",sync:") != NULL)
		return (true);
	return (adopt(c, t, path, "afl"));
}

static uint32_t judged;

/* Engines read the beginning of an entry only: is it the finding's bytes? */
static bool
drop_if_begins(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	static uint8_t begins[CAMPAIGN_INPUT_MAX];
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	(void)c;
	(void)t;
	(void)name;
	if (fd < 0)
		return (true);
	n = read(fd, begins, sizeof(begins));
	(void)close(fd);
	if (n == (ssize_t)sizeof(begins) &&
	    memcmp(begins, bytes, sizeof(begins)) == 0)
		(void)unlink(path);
	return (true);
}

/* It is not run at each start of an engine. `bytes` are the finding's. */
static bool
drop_from_corpus(struct campaign *c, struct campaign_target *t, size_t size,
    const char *hash)
{
	char path[CAMPAIGN_PATH];

	if (!campaign_path(path, "%s/corpus/%s", t->directory, hash))
		return (false);
	(void)unlink(path);
	return (size != CAMPAIGN_INPUT_MAX ||
	    (campaign_path(path, "%s/corpus", t->directory) &&
		each_file(path, drop_if_begins, c, t)));
}

/* An input that broke something: kept, judged, recorded, told. */
static bool
take_finding(struct campaign *c, struct campaign_target *t, const char *path,
    enum campaign_engine engine)
{
	char own[CAMPAIGN_PATH], hash[17];
	char signature[160] = "not-again";
	const ssize_t size = slurp(path);
	bool known, first;

	if (size < 0 || judged >= JUDGED_MAX)
		return (true);
	(void)snprintf(hash, sizeof(hash), "%016" PRIx64,
	    (uint64_t)XXH64(bytes, (size_t)size, 0));
	if (!campaign_db_finding_known(c->db, t->name, hash, &known))
		return (false);
	if (known)
		return (true);
	judged++;
	if (!campaign_path(own, "%s/findings/%s", t->directory, hash) ||
	    (access(own, F_OK) != 0 && !put(own, (size_t)size)) ||
	    !drop_from_corpus(c, t, (size_t)size, hash))
		return (false);
	(void)campaign_engine_judge(t->exe[engine], own, JUDGE_TIME, signature);
	if (!campaign_db_finding(c->db, t->name, campaign_engine_name(engine),
		hash, signature, &first))
		return (false);
	c->findings++;
	if (first) {
		(void)printf("finding: %s, target %s, engine %s, input %s\n",
		    signature, t->name, campaign_engine_name(engine), own);
		(void)fflush(stdout);
	}
	return (true);
}

static bool
take_artifact(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	if (strncmp(name, "slow-unit-", 10) == 0)
		return (true);
	return (take_finding(c, t, path, CAMPAIGN_LIBFUZZER));
}

static bool
take_crash(struct campaign *c, struct campaign_target *t, const char *path,
    const char *name)
{
	if (strncmp(name, "id:", 3) != 0)
		return (true);
	return (take_finding(c, t, path, CAMPAIGN_AFL));
}

/* An instance's queue and findings, of this machine or another. */
static bool
sweep_instance(struct campaign *c, struct campaign_target *t,
    const char *directory, const char *instance)
{
	char path[CAMPAIGN_PATH];

	seen_to = seen_in(t, instance);
	if (seen_to == NULL)
		return (true);
	seen_new = *seen_to;
	if (!campaign_path(path, "%s/queue", directory) ||
	    !each_file(path, adopt_queued, c, t))
		return (false);
	*seen_to = seen_new;
	return (campaign_path(path, "%s/crashes", directory) &&
	    each_file(path, take_crash, c, t) &&
	    campaign_path(path, "%s/hangs", directory) &&
	    each_file(path, take_crash, c, t));
}

static bool
sweep_afl(struct campaign *c, struct campaign_target *t)
{
	char path[CAMPAIGN_PATH];

	return (campaign_path(path, "%s/afl", t->directory) &&
	    each_file(path, sweep_instance, c, t));
}

bool
campaign_sweep(struct campaign *c)
{
	char path[CAMPAIGN_PATH];
	bool ok = campaign_db_begin(c->db);

	judged = 0;
	for (uint32_t i = 0; ok && i < c->options->targets; i++) {
		struct campaign_target *t = &c->target[i];
		uint64_t edges = 0, features = 0;

		ok = campaign_path(path, "%s/artifacts", t->directory) &&
		    each_file(path, take_artifact, c, t) && sweep_afl(c, t) &&
		    sweep_corpus(c, t);
		for (uint32_t k = 0; k < c->slots; k++) {
			if (c->slot[k].target != t)
				continue;
			if (c->slot[k].edges > edges)
				edges = c->slot[k].edges;
			if (c->slot[k].features > features)
				features = c->slot[k].features;
		}
		ok = ok && campaign_db_progress(c->db, t, edges, features);
	}
	return (campaign_db_commit(c->db) && ok &&
	    campaign_db_counts(
		c->db, &c->entries, &c->findings, &c->signatures));
}
