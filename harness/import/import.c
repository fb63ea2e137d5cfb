/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The importer.
 *
 * 1. Nouns. An *event* is what one line says. An *owner* is who gives objects
 * out: a malloc type, zone, objcache or mpipe. A *record* is what remains of an
 * event once addresses have become registers and names owners: it becomes an
 * operation when its thread is known. The *footprint* is an estimate from
 * above of the memory that the live objects need.
 *
 * 2. Passes. The first reads all lines, makes records and measures: CPUs,
 * contexts, the largest footprint, and for each owner size and number of its
 * objects. The second, import_next(), makes operations of the records. Between
 * them the header is decided on, and what owners are made with.
 *
 * 3. Pages. An import must not be short of pages anywhere, since the kernel
 * was not. Twice the largest footprint, for what fragmentation costs; a slab
 * for every size class and CPU; what zones, objcaches and pipes may have that
 * nobody holds; some slack; and the next power of two.
 *
 * 4. Failure. Lines that are not understood are counted, as traces are cut,
 * and other events have lines of their own. Only an input in which no
 * allocation is found at all is an error, as is damaged xz data, a CPU that a
 * trace cannot have, and more objects than there are registers. The last line
 * is not understood if it does not end: how much of it is missing is unknown,
 * and half a number is a number.
 */
#include "import.h"

#include <errno.h>
#include <kalloc/flags.h>
#include <stdlib.h>
#include <string.h>

#include "import_int.h"

#define PAGES_LEAST   4096u
#define SLACK_BYTES   ((uint64_t)4 << 20)
#define BUCKET_BYTES  ((uint64_t)16 << 10) /* of items in a bucket */
#define CACHED_MOST   512u /* objects that an objcache keeps, nearly */
#define OBJECT_MAX    ((uint64_t)1 << 38) /* more is counted as this much */
#define POINTERS_NULL 16u /* ZERO_SIZE_PTR, the kernel's object of no bytes */
#define POLL_MASK     0xfffu /* lines between looks at the stop flag */
#define DAT_MAGIC     "\027\010Dtracing" /* what trace-cmd record writes */

_Static_assert(((uint64_t)TRACE_REGS_MAX << 38) - 1 < UINT64_MAX / 2,
    "a sum of objects must not overflow");

static int
fail_errno(const struct import *im, int error, struct trace_error *err)
{
	if (error == ENOMEM)
		trace__error_memory(err, im->name);
	else if (error == EOVERFLOW)
		trace_error_set(err, im->name, im->report.lines, 1,
		    "too many live objects, expected at most %u",
		    TRACE_REGS_MAX);
	else
		trace__error_errno(err, im->name, "spool events", error);
	return (-1);
}

/* Sizes */

static uint64_t
footprint(uint64_t size)
{
	if (size > OBJECT_MAX)
		size = OBJECT_MAX;
	if (size <= KA_KMALLOC_MAX)
		return (size + size / 8 + 1);
	return ((size + KA_PAGE_SIZE - 1) / KA_PAGE_SIZE * KA_PAGE_SIZE);
}

/*
 * The number of a size's class: sixteen of 8 bytes up to 128, and then eight
 * in every power of two, up to the largest size that is no run of pages.
 */
static unsigned
size_class(uint64_t size)
{
	if (size <= 128)
		return ((unsigned)(size + 7) / 8 - 1);
	const unsigned log = 63 - (unsigned)__builtin_clzll(size - 1);
	return (16 + (log - 7) * 8 + ((unsigned)((size - 1) >> (log - 3)) & 7));
}

static void
live_add(struct import *im, uint64_t bytes)
{
	im->footprint += footprint(bytes);
	im->bytes += bytes < OBJECT_MAX ? bytes : OBJECT_MAX;
	if (im->footprint > im->footprint_peak)
		im->footprint_peak = im->footprint;
	if (im->bytes > im->report.bytes_peak)
		im->report.bytes_peak = im->bytes;
	const uint64_t live = im->objects.count + im->runs.count;
	if (live > im->report.live_peak)
		im->report.live_peak = live;
}

static void
live_remove(struct import *im, uint64_t bytes)
{
	im->footprint -= footprint(bytes);
	im->bytes -= bytes < OBJECT_MAX ? bytes : OBJECT_MAX;
}

/* Events */

static bool
is_page(const struct import__event *ev)
{
	return (ev->what == IMPORT_PAGE_ALLOC || ev->what == IMPORT_PAGE_FREE);
}

static bool
is_interrupt(const struct import__event *ev)
{
	return (ev->context == IMPORT_SOFTIRQ ||
	    ev->context == IMPORT_HARDIRQ || ev->context == IMPORT_NMI);
}

static struct import__record
record_of(const struct import *im, const struct import__event *ev)
{
	return ((struct import__record) {
	    .pid = ev->pid,
	    .cpu = (uint8_t)(ev->cpu % im->header.cpus),
	    .context = (uint8_t)ev->context,
	});
}

/* Ends what is live at the event's address: 1, 0 if nothing is, -1 errno. */
static int
end_object(struct import *im, const struct import__event *ev)
{
	struct import__record r = record_of(im, ev);
	struct import__object object;

	if (!import__live_remove(
		is_page(ev) ? &im->runs : &im->objects, ev->ptr, &object))
		return (0);
	live_remove(im, object.size);
	r.what = is_page(ev) ? IMPORT_PAGE_FREE : IMPORT_FREE;
	r.reg = object.reg;
	r.owner = (uint16_t)object.owner;
	if (!is_page(ev))
		import__owner_remove(&im->types.owner[object.owner]);
	errno = import__spool_put(&im->spool, &r);
	return (errno != 0 ? -1 : 1);
}

/* 0 or an errno. */
static int
begin_object(struct import *im, const struct import__event *ev)
{
	struct import__record r = record_of(im, ev);
	struct import__object object = { .key = ev->ptr, .size = ev->size };
	struct import__owner *owner = NULL;
	bool known;
	int error;

	r.what = (uint8_t)ev->what;
	r.size = ev->size;
	r.flags = import__gfp_flags(ev->gfp.at, ev->gfp.size, &known);
	im->report.gfp_unknown += !known;
	if (is_interrupt(ev))
		r.flags = import__nowait_flags(r.flags);
	if (is_page(ev)) {
		r.flags = import__vm_flags(r.flags);
		object.size = (uint64_t)KA_PAGE_SIZE << ev->size;
		im->report.page_allocs++;
	} else {
		error = import__types_find(im, ev, &object.owner);
		if (error != 0)
			return (error);
		owner = &im->types.owner[object.owner];
		if (owner->kind != IMPORT_UMA && owner->kind != IMPORT_ZINIT &&
		    ev->size > 0 && ev->size <= KA_KMALLOC_MAX)
			im->size_classes |= (uint64_t)1 << size_class(ev->size);
		im->report.allocs++;
	}
	error =
	    import__live_add(is_page(ev) ? &im->runs : &im->objects, &object);
	if (error != 0)
		return (error);
	live_add(im, object.size);
	if (owner != NULL)
		import__owner_add(owner, ev->size, r.flags);
	r.reg = object.reg;
	r.owner = (uint16_t)object.owner;
	return (import__spool_put(&im->spool, &r));
}

/* 0 or an errno. */
static int
event_apply(struct import *im, const struct import__event *ev)
{
	struct import_report *const rep = &im->report;

	if (ev->what == IMPORT_ALLOC || ev->what == IMPORT_PAGE_ALLOC) {
		if (ev->ptr == 0) {
			rep->allocs_failed++;
			return (0);
		}
		const int got = end_object(im, ev);
		if (got < 0)
			return (errno);
		rep->frees_lost += (uint64_t)got;
		return (begin_object(im, ev));
	}
	if (ev->ptr == 0 || (ev->ptr == POINTERS_NULL && !is_page(ev))) {
		rep->frees_null++;
		return (0);
	}
	const int got = end_object(im, ev);
	if (got < 0)
		return (errno);
	if (got == 0)
		rep->frees_unknown++;
	else if (is_page(ev))
		rep->page_frees++;
	else
		rep->frees++;
	return (0);
}

static int
event_take(
    struct import *im, const struct import__event *ev, struct trace_error *err)
{
	im->report.events++;
	if (im->options.cpus == 0 && ev->cpu >= TRACE_CPUS_MAX) {
		trace_error_set(err, im->name, im->report.lines, ev->column,
		    "CPU %u is out of range, expected at most %u", ev->cpu,
		    TRACE_CPUS_MAX - 1);
		return (-1);
	}
	const uint32_t cpu = ev->cpu % im->header.cpus;
	if (cpu >= im->cpus_seen)
		im->cpus_seen = cpu + 1;
	im->contexts[cpu] |= (uint8_t)(1u << ev->context);
	const int error = event_apply(im, ev);
	return (error != 0 ? fail_errno(im, error, err) : 0);
}

/* Lines */

static void
line_bad(struct import *im, uint64_t column)
{
	im->report.unparsed++;
	if (im->report.unparsed_line == 0) {
		im->report.unparsed_line = im->report.lines;
		im->report.unparsed_column = column;
	}
}

static int
line_take(
    struct import *im, const char *line, size_t size, struct trace_error *err)
{
	struct import__event ev;

	if (size > IMPORT_LINE_MAX) {
		line_bad(im, IMPORT_LINE_MAX + 1);
		return (0);
	}
	switch (import__ftrace_line(line, size, &ev)) {
	case IMPORT_LINE_EVENT:
		return (event_take(im, &ev, err));
	case IMPORT_LINE_OTHER:
		im->report.ignored++;
		break;
	case IMPORT_LINE_LOST:
		im->report.lost_gaps++;
		im->report.lost_events += ev.lost;
		break;
	case IMPORT_LINE_BAD:
		line_bad(im, ev.column);
		break;
	default:
		break;
	}
	return (0);
}

static int
poll_user(
    struct import *im, uint64_t done, uint64_t total, struct trace_error *err)
{
	const struct import_options *const o = &im->options;

	if (o->stop != NULL && *o->stop != 0) {
		trace_error_set(err, im->name, 0, TRACE__NOPOS, "interrupted");
		return (-1);
	}
	if (o->progress != NULL)
		o->progress(o->cookie, done, total);
	return (0);
}

/*
 * The next line without its end: 1; 0 at the end of the input; -1. *ret_whole
 * is whether its end was seen; if not, what follows is for line_drop().
 */
static int
line_next(struct import *im, struct import__span *ret_line, bool *ret_whole,
    struct trace_error *err)
{
	struct trace__input *const in = &im->input;
	const uint8_t *end;
	int more = 1;

	for (;;) {
		const size_t size = (size_t)(in->end - in->p);

		end = size > 0 ? memchr(in->p, '\n', size) : NULL;
		if (end != NULL || size > IMPORT_LINE_MAX || more == 0)
			break;
		more = trace__input_fill(in, err);
		if (more < 0)
			return (-1);
	}
	if (in->p == in->end)
		return (0);
	*ret_whole = end != NULL;
	if (end == NULL)
		end = in->end;
	*ret_line = (struct import__span) { (const char *)in->p,
		(size_t)(end - in->p) };
	in->p = end + *ret_whole;
	return (1);
}

/* Drops what is left of a line: 1 if its end came, 0, -1. */
static int
line_drop(struct import *im, struct trace_error *err)
{
	struct trace__input *const in = &im->input;

	for (;;) {
		const size_t size = (size_t)(in->end - in->p);
		const uint8_t *end =
		    size > 0 ? memchr(in->p, '\n', size) : NULL;

		if (end != NULL) {
			in->p = end + 1;
			return (1);
		}
		in->p = in->end;
		const int more = trace__input_fill(in, err);
		if (more <= 0)
			return (more);
	}
}

static int
read_lines(struct import *im, struct trace_error *err)
{
	struct import__span line;
	bool whole;
	int got;

	while ((got = line_next(im, &line, &whole, err)) > 0) {
		im->report.lines++;
		if (whole) {
			if (line_take(im, line.at, line.size, err) != 0)
				return (-1);
		} else {
			line_bad(im,
			    line.size > IMPORT_LINE_MAX ? IMPORT_LINE_MAX + 1 :
							  line.size + 1);
			if (line_drop(im, err) < 0)
				return (-1);
		}
		if ((im->report.lines & POLL_MASK) == 0 &&
		    poll_user(im, im->input.raw_done / 2, im->input.raw_total,
			err) != 0)
			return (-1);
	}
	return (got);
}

/* Between the passes */

/*
 * What an owner may have beyond what is live, from above: full caches and the
 * slab that fills them.
 */
static uint64_t
hoard(const struct import *im, const struct import__owner *o)
{
	const uint64_t cpus = im->header.cpus, each = footprint(o->size);
	uint64_t n = 0;

	switch ((enum import_kind)o->kind) {
	case IMPORT_UMA:
	case IMPORT_ZINIT:
		return ((3 * cpus + 1) *
			(o->size > BUCKET_BYTES ? each : BUCKET_BYTES) +
		    each + KA_SLAB_SIZE);
	case IMPORT_OBJCACHE:
		n = o->live_peak * cpus;
		return (each * (n < CACHED_MOST ? n : CACHED_MOST));
	case IMPORT_MPIPE:
		return (each * import__pipe_nnom(o));
	default:
		return (0);
	}
}

static uint32_t
choose_pages(const struct import *im)
{
	uint64_t bytes = 2 * im->footprint_peak +
	    im->report.size_classes * im->header.cpus * KA_SLAB_SIZE +
	    SLACK_BYTES;
	uint32_t pages = PAGES_LEAST;

	if (im->options.pages != 0)
		return (im->options.pages);
	for (uint32_t i = 0; i < im->types.nowners; i++)
		bytes += hoard(im, &im->types.owner[i]);
	while (
	    pages < TRACE_PAGES_MAX && (uint64_t)pages * KA_PAGE_SIZE < bytes)
		pages *= 2;
	return (pages);
}

static int
nothing_found(const struct import *im, struct trace_error *err)
{
	const struct import_report *const rep = &im->report;

	trace_error_set(err, im->name, rep->unparsed_line,
	    rep->unparsed_line > 0 ? rep->unparsed_column : TRACE__NOPOS,
	    "no allocation event found, expected lines like "
	    "'task-pid [cpu] flags time: kmalloc: ...'");
	return (-1);
}

static int
conclude(struct import *im, struct trace_error *err)
{
	struct import_report *const rep = &im->report;

	if (rep->allocs + rep->page_allocs == 0)
		return (nothing_found(im, err));
	if (im->options.cpus == 0)
		im->header.cpus = im->cpus_seen;
	rep->live = im->objects.count + im->runs.count;
	rep->call_sites = im->types.sites;
	rep->caches = im->types.caches;
	rep->types_folded = im->types.folded;
	rep->size_classes = (uint64_t)__builtin_popcountll(im->size_classes);
	rep->cpus = im->header.cpus;
	import__types_conclude(im);
	rep->pages = im->header.pages = choose_pages(im);
	trace__header_reserves(&im->header);
	import__live_fini(&im->objects);
	import__live_fini(&im->runs);
	trace__input_fini(&im->input);
	const int error = import__emit_prepare(im);
	return (error != 0 ? fail_errno(im, error, err) : 0);
}

static int
options_check(struct import *im, struct trace_error *err)
{
	struct import_options *const o = &im->options;
	const char *what = NULL;

	if (o->from != NULL && strcmp(o->from, "ftrace") != 0) {
		trace_error_set(err, im->name, 0, TRACE__NOPOS,
		    "unknown format '%s', expected ftrace", o->from);
		return (-1);
	}
	if (o->threads_max == 0)
		o->threads_max = IMPORT_THREADS_DEFAULT;
	if (o->threads_max > TRACE_THREADS_MAX)
		what = "threads out of range, expected 1 to 256";
	if (o->cpus > TRACE_CPUS_MAX)
		what = "CPUs out of range, expected 1 to 64";
	if (o->pages != 0 &&
	    (o->pages < TRACE_PAGES_MIN || o->pages > TRACE_PAGES_MAX))
		what = "pages out of range, expected 32 to 1048576";
	if (o->nmaps > IMPORT_MAPS_MAX)
		what = "maps out of range, expected 0 to 64";
	for (uint32_t i = 0; what == NULL && i < o->nmaps; i++) {
		if ((unsigned)o->map[i].kind >= IMPORT_KIND_COUNT)
			what = "unknown kind of a map";
	}
	if (what != NULL) {
		trace_error_set(err, im->name, 0, TRACE__NOPOS, "%s", what);
		return (-1);
	}
	return (0);
}

static struct import *
import_new(const char *name, const struct import_options *options,
    struct trace_error *err)
{
	struct import *im = calloc(1, sizeof(*im));

	if (im == NULL) {
		trace__error_memory(err, name);
		return (NULL);
	}
	trace_header_init(&im->header);
	im->input.fd = -1;
	trace__name_cut(im->name, sizeof(im->name),
	    strcmp(name, "-") == 0 ? "standard input" : name);
	if (options != NULL)
		im->options = *options;
	if (options_check(im, err) != 0) {
		import_close(im);
		return (NULL);
	}
	/* Until it is known, all that there can be. */
	im->header.cpus =
	    im->options.cpus != 0 ? im->options.cpus : TRACE_CPUS_MAX;
	return (im);
}

/* The first pass, once the input is open. */
static int
import_start(struct import *im, struct import **ret_im, struct trace_error *err)
{
	const size_t magic_size = sizeof(DAT_MAGIC) - 1;
	const int got = trace__input_need(&im->input, magic_size, err);

	if (got < 0)
		goto fail;
	if (got > 0 && memcmp(im->input.p, DAT_MAGIC, magic_size) == 0) {
		trace_error_set(err, im->name, 0, 0,
		    "is a trace.dat file, expected the text that "
		    "'trace-cmd report' makes of it");
		goto fail;
	}
	if (read_lines(im, err) != 0 || conclude(im, err) != 0)
		goto fail;
	*ret_im = im;
	return (0);
fail:
	import_close(im);
	return (-1);
}

int
import_open(struct import **ret_im, const char *name,
    const struct import_options *options, struct trace_error *err)
{
	struct import *im = import_new(name, options, err);

	if (im == NULL)
		return (-1);
	if (trace__input_open(&im->input, name, err) != 0) {
		import_close(im);
		return (-1);
	}
	return (import_start(im, ret_im, err));
}

int
import_open_mem(struct import **ret_im, const char *name, const void *bytes,
    size_t size, const struct import_options *options, struct trace_error *err)
{
	struct import *im = import_new(name, options, err);

	if (im == NULL)
		return (-1);
	if (trace__input_open_mem(&im->input, name, bytes, size, err) != 0) {
		import_close(im);
		return (-1);
	}
	return (import_start(im, ret_im, err));
}

const struct trace_header *
import_header(const struct import *im)
{
	return (&im->header);
}

const struct import_report *
import_report(const struct import *im)
{
	return (&im->report);
}

int
import_next(struct import *im, struct trace_op *ret_op, struct trace_error *err)
{
	if (im->pending_at == im->npending) {
		const int got = import__emit_fill(im);

		if (got < 0)
			return (fail_errno(im, errno, err));
		if (got == 0)
			return (0);
		/* Half of the way was the first pass. */
		if ((im->threads.clock & POLL_MASK) == 0 &&
		    poll_user(im, im->nrecords + im->threads.clock,
			2 * im->nrecords, err) != 0)
			return (-1);
	}
	*ret_op = im->pending[im->pending_at++];
	return (1);
}

void
import_close(struct import *im)
{
	if (im == NULL)
		return;
	import__live_fini(&im->objects);
	import__live_fini(&im->runs);
	import__types_fini(&im->types);
	import__spool_fini(&im->spool);
	trace__input_fini(&im->input);
	trace_header_fini(&im->header);
	free(im);
}

/*
 * Copies all operations. If that fails half way, an operation that is not
 * valid makes the writer give its file up.
 */
static int
write_all(struct import *im, const char *out, enum trace_form form,
    struct trace_error *err)
{
	const struct trace_op invalid = { .code = TRACE_OP_COUNT };
	struct trace_error ignored;
	struct trace_writer *w;
	struct trace_op op;
	int got;

	if (trace_writer_open(&w, out, form, &im->header, err) != 0)
		return (-1);
	while ((got = import_next(im, &op, err)) > 0) {
		if (trace_writer_op(w, &op) != 0)
			break; /* closing tells why */
	}
	if (got >= 0)
		return (trace_writer_close(w, err));
	(void)trace_writer_op(w, &invalid);
	(void)trace_writer_close(w, &ignored);
	return (-1);
}

int
import_run(const char *name, const struct import_options *options,
    const char *out, enum trace_form form, struct import_report *ret_report,
    struct trace_error *err)
{
	struct import *im;

	if (import_open(&im, name, options, err) != 0)
		return (-1);
	const int error = write_all(im, out, form, err);
	if (error == 0 && ret_report != NULL)
		*ret_report = im->report;
	import_close(im);
	return (error);
}

void
import_report_print(const struct import_report *rep, FILE *fp)
{
	const struct {
		const char *help;
		uint64_t value;
	} line[] = {
#define X(field, help) { help, rep->field },
		IMPORT_REPORT(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(line) / sizeof(*line); i++) {
		if (line[i].value != 0)
			fprintf(fp, "%12llu  %s\n",
			    (unsigned long long)line[i].value, line[i].help);
	}
	if (rep->unparsed_line != 0)
		fprintf(fp, "%12llu  first line not understood (column %llu)\n",
		    (unsigned long long)rep->unparsed_line,
		    (unsigned long long)rep->unparsed_column);
}
