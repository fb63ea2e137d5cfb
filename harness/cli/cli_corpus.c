/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab corpus: what corpora reach, and the least that reaches as much. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/campaign.h"
#include "fuzz/corpus.h"

struct corpus_cli {
	struct corpus_options options;
	const char *output, *bin, *target;
	bool json, minimize;
};

static const char *const kinds[FUZZ_SPECIES_COUNT] = { "state", "outcome",
	"overlap", "owner", "run" };
static const char *const forms[] = { "text", "binary", "input" };

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab corpus stats [OPTION...] DIRECTORY...\n"
	    "       kalab corpus minimize [OPTION...] DIRECTORY...\n"
	    "  --bin DIRS        where targets are, as for kalab fuzz\n"
	    "  --json            one JSON object instead of text\n"
	    "  -o, --output DIR  of minimize: copy what is kept there\n"
	    "  --target NAME     inputs are read as by the target; keep also what\n"
	    "                    the coverage of code needs, by its program of\n"
	    "                    libFuzzer, if minimize\n");
}

/* ---- What is printed ----------------------------------------------------- */

static uint64_t
sum_ops(const struct corpus *c, unsigned group)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->entry[i].group[group];
	return (n);
}

static void
print_counts(const struct corpus *c)
{
	uint64_t bytes = 0, form[3] = { 0 }, ops = 0, threads = 0;

	for (size_t i = 0; i < c->n; i++) {
		bytes += c->entry[i].bytes;
		form[c->entry[i].form]++;
		ops += c->entry[i].ops;
		if (c->entry[i].threads > threads)
			threads = c->entry[i].threads;
	}
	(void)printf(
	    "entries     %zu, %llu bytes: %llu text, %llu binary or packed, "
	    "%llu inputs of engines\n",
	    c->n, (unsigned long long)bytes, (unsigned long long)form[0],
	    (unsigned long long)form[1], (unsigned long long)form[2]);
	(void)printf("operations  %llu:", (unsigned long long)ops);
	for (unsigned g = 0; g < TRACE_GROUP_COUNT; g++)
		(void)printf("%s %s %llu", g == 0 ? "" : ",",
		    trace_group_name((enum trace_group)g),
		    (unsigned long long)sum_ops(c, g));
	(void)printf("\nthreads    ");
	for (uint64_t t = 1; t <= threads; t++) {
		uint64_t n = 0;

		for (size_t i = 0; i < c->n; i++)
			n += c->entry[i].threads == t;
		if (n != 0)
			(void)printf(" %llux%llu", (unsigned long long)n,
			    (unsigned long long)t);
	}
	(void)printf("\n");
}

static void
print_stats(const struct corpus *c)
{
	print_counts(c);
	(void)printf("features    %llu:", (unsigned long long)c->features);
	for (unsigned k = 0; k < FUZZ_SPECIES_COUNT; k++)
		(void)printf("%s %s %llu", k == 0 ? "" : ",", kinds[k],
		    (unsigned long long)c->kind[k]);
	(void)printf(
	    "\nfindings    %zu, %zu signatures\n", c->findings, c->signatures);
	(void)printf("duplicates  %zu\n", c->twins);
	for (size_t i = 0; i < c->n; i++)
		if (c->entry[i].twin != NULL)
			(void)printf("  %s has the events of %s\n",
			    c->entry[i].path, c->entry[i].twin->path);
	(void)printf(
	    "minimized   %zu of %zu entries reach as much\n", c->kept, c->n);
}

static json_t *
entry_json(const struct corpus_entry *e)
{
	char hash[24];
	json_t *o;

	(void)snprintf(
	    hash, sizeof(hash), "%016llx", (unsigned long long)e->hash);
	o = json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:s, s:b}", "path",
	    cli_json_text(e->path), "form", forms[e->form], "bytes",
	    (json_int_t)e->bytes, "operations", (json_int_t)e->ops, "threads",
	    (json_int_t)e->threads, "features", (json_int_t)e->nfeatures,
	    "hash", hash, "kept", e->kept);
	if (e->end == CORPUS_FINDING)
		(void)json_object_set_new(
		    o, "signature", cli_json_text(e->signature));
	if (e->twin != NULL)
		(void)json_object_set_new(
		    o, "duplicate_of", cli_json_text(e->twin->path));
	return (o);
}

static void
print_json(const struct corpus *c)
{
	json_t *entries = json_array(), *features = json_object(), *all;

	for (size_t i = 0; i < c->n; i++)
		(void)json_array_append_new(entries, entry_json(&c->entry[i]));
	for (unsigned k = 0; k < FUZZ_SPECIES_COUNT; k++)
		(void)json_object_set_new(
		    features, kinds[k], json_integer((json_int_t)c->kind[k]));
	all = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "entries", entries,
	    "features", features, "findings", (json_int_t)c->findings,
	    "signatures", (json_int_t)c->signatures, "duplicates",
	    (json_int_t)c->twins, "kept", (json_int_t)c->kept);
	(void)json_dumpf(all, stdout, JSON_INDENT(2));
	(void)printf("\n");
	json_decref(all);
}

static void
print_kept(const struct corpus *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->entry[i].kept)
			(void)printf("%s\n", c->entry[i].path);
}

/* ---- Copying ------------------------------------------------------------- */

/* Names of two directories may be the same: the later gets a number. */
static bool
name_for(const struct corpus_cli *o, const struct corpus *c, size_t i,
    char path[PATH_MAX])
{
	unsigned before = 0;
	int n;

	for (size_t k = 0; k < i; k++)
		before += c->entry[k].kept &&
		    strcmp(c->entry[k].name, c->entry[i].name) == 0;
	if (before == 0)
		n = snprintf(
		    path, PATH_MAX, "%s/%s", o->output, c->entry[i].name);
	else
		n = snprintf(path, PATH_MAX, "%s/%u-%s", o->output, before,
		    c->entry[i].name);
	return (n > 0 && n < PATH_MAX);
}

static int
copy_kept(const struct corpus_cli *o, const struct corpus *c)
{
	char path[PATH_MAX];

	if (mkdir(o->output, 0777) != 0 && errno != EEXIST)
		return (
		    cli_usage("corpus", "%s: %s", o->output, strerror(errno)));
	for (size_t i = 0; i < c->n; i++) {
		if (!c->entry[i].kept)
			continue;
		if (!name_for(o, c, i, path))
			return (cli_usage("corpus", "a name is too long"));
		if (!corpus_copy(c->entry[i].path, path))
			return (cli_usage(
			    "corpus", "%s: %s", path, strerror(errno)));
	}
	return (CLI_CLEAN);
}

/* ---- The command --------------------------------------------------------- */

static void
on_progress(void *arg, size_t done, size_t all)
{
	(void)arg;
	cli_progress("%zu of %zu entries", done, all);
}

/* A target's program; its operations. 0, or CLI_USAGE. */
static int
merge(const struct corpus_cli *o, struct corpus *c, char *why, size_t size)
{
	char name[64], exe[1024];

	(void)snprintf(name, sizeof(name), "fuzz_%.32s_libfuzzer", o->target);
	campaign_find(cli_targets(o->bin), name, exe);
	if (exe[0] == '\0')
		return (cli_usage("corpus", "no %s in %s: see --bin", name,
		    cli_targets(o->bin)));
	if (corpus_merge(c, exe, o->options.groups, why, size) == 0)
		return (0);
	return (cli_usage("corpus", "%s", why));
}

/* Would what is kept be written among what is not? */
static bool
is_input(const struct corpus_cli *o, char *const *directory, int n)
{
	struct stat out, in;

	if (o->output == NULL || stat(o->output, &out) != 0)
		return (false);
	for (int i = 0; i < n; i++)
		if (stat(directory[i], &in) == 0 && in.st_dev == out.st_dev &&
		    in.st_ino == out.st_ino)
			return (true);
	return (false);
}

static int
corpus(const struct corpus_cli *o, char *const *directory, int n)
{
	struct corpus c = { 0 };
	char why[1024];
	int status = 0;

	for (int i = 0; i < n && status == 0; i++)
		if (corpus_add(
			&c, directory[i], &o->options, why, sizeof(why)) != 0)
			status = CLI_USAGE;
	cli_progress_end();
	if (status != 0)
		(void)cli_usage("corpus", "%s", why);
	if (status == 0 && o->target != NULL && o->minimize)
		status = merge(o, &c, why, sizeof(why));
	if (status == 0 && !corpus_minimize(&c))
		status = cli_usage("corpus", "out of memory");
	if (status == 0 && o->output != NULL)
		status = copy_kept(o, &c);
	if (status == 0) {
		if (o->json)
			print_json(&c);
		else if (o->minimize)
			print_kept(&c);
		else
			print_stats(&c);
		status = c.findings != 0 ? CLI_FINDING : CLI_CLEAN;
	}
	corpus_fini(&c);
	return (status);
}

static const struct option options[] = {
	{ "bin", required_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "output", required_argument, NULL, 'o' },
	{ "target", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

/* 0, or the status to exit with plus one. */
static int
parse(struct corpus_cli *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		switch (opt) {
		case 'b':
			o->bin = optarg;
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN + 1);
		case 'j':
			o->json = true;
			break;
		case 'o':
			o->output = optarg;
			break;
		case 't':
			o->target = optarg;
			break;
		default:
			return (CLI_USAGE + 1);
		}
	if (optind == argc ||
	    (strcmp(argv[optind], "stats") != 0 &&
		strcmp(argv[optind], "minimize") != 0))
		return (cli_usage("corpus", "expected stats or minimize") + 1);
	o->minimize = strcmp(argv[optind], "minimize") == 0;
	if (o->output != NULL && !o->minimize)
		return (cli_usage("corpus", "-o is of minimize") + 1);
	if (optind + 1 == argc)
		return (cli_usage("corpus", "no directory is named") + 1);
	if (is_input(o, argv + optind + 1, argc - optind - 1))
		return (cli_usage("corpus",
			    "%s: what is kept cannot go to where it is from",
			    o->output) +
		    1);
	return (0);
}

int
cli_corpus(int argc, char **argv)
{
	struct corpus_cli o = { .options = { .groups = FUZZ_GROUPS_ALL,
				    .stop = &cli_stop,
				    .progress = on_progress } };
	const int end = parse(&o, argc, argv);

	if (end != 0)
		return (end - 1);
	if (o.target != NULL) {
		o.options.groups =
		    campaign_groups(cli_targets(o.bin), o.target);
		if (o.options.groups == 0)
			return (cli_usage("corpus",
			    "%s is no target of operations in %s: see --bin",
			    o.target, cli_targets(o.bin)));
	}
	cli_catch_signals();
	return (corpus(&o, argv + optind + 1, argc - optind - 1));
}
