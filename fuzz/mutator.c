/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The structure-aware mutator; see mutator.h.
 *
 * Nouns. A *sheet* is a trace that is being changed, with what is known of it
 * at one place: which registers are defined there, by which operation, and
 * which of them are live. An operation that is inserted uses live registers
 * mostly, ended ones now and then (that is how a trace misuses), and where the
 * table asks for a class of which there is none, an operation that makes one
 * is inserted before it. An object is given back to where it came from,
 * mostly: the cache, pipe, zone or type of an operation is made to fit the
 * object's.
 *
 * Edits need not care for registers: trace_canonicalize() renames them densely
 * and drops what names an undefined one. A new register is any number that is
 * not used yet.
 *
 * Values, configurations and faults are drawn as the generator draws them
 * (gen.h), which operation is inserted by its weights there, so that a mutated
 * trace costs what a generated one does: of a value drawn over its whole range
 * nearly all are of one kind, and that one is dear. A value that is there is
 * also moved a little, a size to the borders of its class: so many eighths of a
 * power of two, one more, one less.
 *
 * Traces stay short: what would be longer than both its origin and a length
 * that is drawn, a few dozen mostly, loses some operations.
 *
 * Cost: linear in the length of the trace; memory is used again from call to
 * call.
 */
#include "mutator.h"

#include <kalloc/flags.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gen/gen.h"
#include "trace/trace_int.h"
#include "util/random.h"

#define REGS_KNOWN 256u /* of a class; later ones are not chosen */
#define OPS_MAX	   2048u
#define DEPTH_MAX  3 /* makers of makers */
#define ROUNDS_MAX 5u
#define RUN_MAX	   8u /* operations that are edited together */

/* A register at a place. */
struct known {
	uint32_t number;
	uint32_t def; /* the operation that made what it holds */
	bool live;
};

struct sheet {
	struct trace t;
	struct gen_mix mix;
	uint64_t random;
	uint32_t groups;
	uint32_t fresh; /* the next number that no register has */
	/* At a place: */
	uint32_t count[TRACE_CLASS_COUNT];
	struct known known[TRACE_CLASS_COUNT][REGS_KNOWN];
	uint64_t *done;
};

static uint32_t
below(struct sheet *s, size_t n)
{
	return (n == 0 ? 0 : random_below(&s->random, (uint32_t)n));
}

static bool
one_in(struct sheet *s, uint32_t n)
{
	return (below(s, n) == 0);
}

/* ---- What is known at a place ------------------------------------------- */

/* The register at the place, or NULL. Dense numbers are where they count. */
static struct known *
find(struct sheet *s, int class, uint64_t number)
{
	struct known *const list = s->known[class];
	uint32_t i = s->count[class];

	if (number < i && list[number].number == number)
		return (&list[number]);
	while (i-- > 0)
		if (list[i].number == number)
			return (&list[i]);
	return (NULL);
}

/* Takes notice of operation i. */
static void
notice(struct sheet *s, size_t i)
{
	const struct trace_op *op = &s->t.op[i];
	const struct trace_opdef *def = &trace_ops[op->code];
	struct known *k;

	for (unsigned a = 0; a < def->nargs; a++) {
		if (!trace_kind_ends(def->arg[a]))
			continue;
		k = find(s, trace_kind_class(def->arg[a]), op->arg[a]);
		if (k != NULL)
			k->live = false;
	}
	if (def->out < 0)
		return;
	k = find(s, def->out, op->out);
	if (k == NULL && s->count[def->out] < REGS_KNOWN)
		k = &s->known[def->out][s->count[def->out]++];
	if (k != NULL)
		*k = (struct known) { op->out, (uint32_t)i, true };
}

/* Looks at the operations before `at`. */
static void
look(struct sheet *s, size_t at)
{
	memset(s->count, 0, sizeof(s->count));
	for (size_t i = 0; i < at; i++)
		notice(s, i);
}

/* A register of the class: live if there is one, mostly; else any; or NULL. */
static const struct known *
choose_known(struct sheet *s, int class)
{
	const uint32_t n = s->count[class];
	const struct known *k = NULL;

	if (n == 0 || one_in(s, 64))
		return (NULL);
	for (unsigned tries = 0; tries < 8; tries++) {
		/* The newest are what is worked on. */
		k = &s->known[class][one_in(s, 2) ?
			n - 1 - below(s, n < 4 ? n : 4) :
			below(s, n)];
		if (k->live || one_in(s, 16))
			break;
	}
	return (k);
}

static uint32_t
choose_register(struct sheet *s, int class)
{
	const struct known *k = choose_known(s, class);

	return (k == NULL ? TRACE_NOREG : k->number);
}

/* ---- Values -------------------------------------------------------------- */

/* So many eighths of a power of two, as the ends of classes are. */
static uint64_t
class_border(struct sheet *s, uint64_t size)
{
	uint64_t eighth = 1;

	while (eighth * 16 < size && eighth < UINT64_MAX / 32)
		eighth *= 2;
	size += eighth - 1;
	return (size - size % eighth + below(s, 3) - 1);
}

/* The number that is there, moved. */
static uint64_t
move_number(struct sheet *s, enum trace_kind kind, uint64_t now)
{
	switch (below(s, 8)) {
	case 0:
		return (now * 2);
	case 1:
		return (now / 2);
	case 2:
		if (one_in(s, 4))
			return (random_next(&s->random) >> below(s, 64));
		return (below(s, 4));
	case 3:
	case 4:
		if (kind == TRACE_K_SIZE)
			return (class_border(s, now));
		break;
	default:
		break;
	}
	return (now + below(s, 5) - 2);
}

/* Flags with a name, toggled; rarely others. */
static uint64_t
toggle_flags(struct sheet *s, enum trace__names set, uint64_t now)
{
	size_t count;
	const struct trace__name *names = trace__flag_names(set, &count);

	if (one_in(s, 32))
		return ((now ^ 1u << below(s, 16)) & TRACE__FLAGS_MASK);
	now ^= names[below(s, count)].bits;
	return (now & TRACE__FLAGS_MASK);
}

static uint64_t
choose_string(struct sheet *s)
{
	static const char letters[] = "abcdefghijklmnop";
	struct trace_header *h = &s->t.header;

	if (h->nstrs != 0 && !one_in(s, 3))
		return (below(s, h->nstrs));
	return (trace_str_intern(h, letters, 1 + below(s, 16)));
}

/* Another value of an argument that is no register. */
static uint64_t
change_value(struct sheet *s, const struct trace_op *op, unsigned a)
{
	const enum trace_kind kind = trace_ops[op->code].arg[a];
	const uint32_t words = trace__word_count(kind);
	struct trace_op drawn = *op;
	enum trace__names set;

	if (kind == TRACE_K_STR)
		return (choose_string(s));
	if (trace__kind_flags(kind, &set))
		return (toggle_flags(s, set, op->arg[a]));
	if (words != 0 && one_in(s, 8))
		return (below(s, words));
	gen_values(&s->mix, &drawn);
	if (words != 0 || kind == TRACE_K_CPU || one_in(s, 2))
		return (drawn.arg[a]);
	drawn.arg[a] = move_number(s, kind, op->arg[a]);
	return (kind == TRACE_K_INT ? (uint32_t)drawn.arg[a] : drawn.arg[a]);
}

/* ---- Inserting ----------------------------------------------------------- */

static bool
insert_op(struct sheet *s, size_t at, const struct trace_op *op)
{
	struct trace *t = &s->t;

	if (t->nops >= OPS_MAX || trace_append(t, op) != 0)
		return (false);
	memmove(
	    &t->op[at + 1], &t->op[at], (t->nops - 1 - at) * sizeof(*t->op));
	t->op[at] = *op;
	return (true);
}

/*
 * An operation of the sheet's groups that makes the class; -1: any at all. By
 * the generator's weights, so that there are more uses of things than things;
 * now and then all that make nothing but objects alike, for the seldom ones.
 */
static int
choose_code(struct sheet *s, int class)
{
	const bool alike = class < 0 && one_in(s, 2);
	uint32_t weight[TRACE_OP_COUNT], total = 0, code, at;

	for (code = 0; code < TRACE_OP_COUNT; code++) {
		const struct trace_opdef *const def = &trace_ops[code];

		weight[code] = alike ? def->out <= TRACE_OBJ : gen_weight[code];
		if ((s->groups & 1u << def->group) == 0 ||
		    (class >= 0 && def->out != class))
			weight[code] = 0;
		total += weight[code];
	}
	if (total == 0)
		return (-1);
	at = below(s, total);
	for (code = 0; at >= weight[code]; code++)
		at -= weight[code];
	return ((int)code);
}

/* Is there something of all that the operation needs? */
static bool
has_operands(const struct sheet *s, int code)
{
	const struct trace_opdef *const def = &trace_ops[code];

	for (unsigned a = 0; a < def->nargs; a++) {
		const int class = trace_kind_class(def->arg[a]);

		if (class >= 0 && s->count[class] == 0)
			return (false);
	}
	return (true);
}

/* An object goes back to where it came from: the owner of its definition. */
static void
fit_owner(struct sheet *s, struct trace_op *op, unsigned object)
{
	const struct trace_opdef *const def = &trace_ops[op->code];
	const struct known *k = find(s, TRACE_OBJ, op->arg[object]);

	if (k == NULL || one_in(s, 32))
		return;
	const struct trace_op *made = &s->t.op[k->def];
	const struct trace_opdef *by = &trace_ops[made->code];
	for (unsigned a = 0; a < def->nargs; a++) {
		const int class = trace_kind_class(def->arg[a]);

		if (class <= TRACE_OBJ)
			continue;
		for (unsigned b = 0; b < by->nargs; b++)
			if (trace_kind_class(by->arg[b]) == class)
				op->arg[a] = made->arg[b];
	}
}

/* An object that an operation of the group made, if there is one. */
static uint32_t
choose_object(struct sheet *s, enum trace_group group)
{
	const struct known *k = NULL;

	for (unsigned tries = 0; tries < 12; tries++) {
		k = choose_known(s, TRACE_OBJ);
		if (k == NULL || one_in(s, 32) ||
		    trace_ops[s->t.op[k->def].code].group == group)
			break;
	}
	return (k == NULL ? TRACE_NOREG : k->number);
}

static void
fill_op(struct sheet *s, struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	op->thread = (uint16_t)below(s, s->t.header.threads);
	gen_values(&s->mix, op);
	for (unsigned a = 0; a < def->nargs; a++) {
		const int class = trace_kind_class(def->arg[a]);

		if (class >= 0 && class != TRACE_OBJ)
			op->arg[a] = choose_register(s, class);
		if (def->arg[a] == TRACE_K_STR)
			op->arg[a] = choose_string(s);
	}
	for (unsigned a = 0; a < def->nargs; a++) {
		if (trace_kind_class(def->arg[a]) != TRACE_OBJ)
			continue;
		op->arg[a] = choose_object(s, def->group);
		fit_owner(s, op, a);
	}
	op->out = TRACE_NOREG;
	if (def->out < 0)
		return;
	/* A new register, or one that holds nothing any more. */
	op->out = s->fresh++;
	if (s->count[def->out] != 0 && one_in(s, 3)) {
		const struct known *k =
		    &s->known[def->out][below(s, s->count[def->out])];

		if (!k->live || one_in(s, 16))
			op->out = k->number;
	}
}

/*
 * Inserts an operation, before it makers of the classes that it needs and that
 * are not there. Returns how many operations were inserted. The last of them
 * is the operation. look(at) was called; it is true of the place after.
 */
static size_t
insert_with_makers(struct sheet *s, size_t at, int code, int depth)
{
	const struct trace_opdef *const def = &trace_ops[code];
	struct trace_op op = { .code = (uint16_t)code };
	size_t n = 0;

	for (unsigned a = 0; a < def->nargs; a++) {
		const int class = trace_kind_class(def->arg[a]);
		int maker;

		if (class < 0 || s->count[class] != 0 || depth == 0)
			continue;
		maker = choose_code(s, class);
		if (maker >= 0)
			n += insert_with_makers(s, at + n, maker, depth - 1);
	}
	fill_op(s, &op);
	if (!insert_op(s, at + n, &op))
		return (n);
	notice(s, at + n);
	return (n + 1);
}

static bool
mutate_insert(struct sheet *s)
{
	const size_t at = below(s, s->t.nops + 1);
	int code = choose_code(s, -1);

	look(s, at);
	for (unsigned tries = 0; tries < 6 && code >= 0; tries++) {
		if (has_operands(s, code))
			break;
		code = choose_code(s, -1);
	}
	if (code < 0)
		return (false);
	return (insert_with_makers(s, at, code, DEPTH_MAX) != 0);
}

/* The argument by which an operation ends an object of the class, or -1. */
static int
ends_class(int code, int class)
{
	const struct trace_opdef *const def = &trace_ops[code];

	for (unsigned a = 0; a < def->nargs; a++)
		if (trace_kind_ends(def->arg[a]) &&
		    trace_kind_class(def->arg[a]) == class)
			return ((int)a);
	return (-1);
}

/* What ends what the operation made: its arguments are the maker's. */
static bool
make_end(struct sheet *s, const struct trace_op *made, struct trace_op *ret_op)
{
	const struct trace_opdef *by = &trace_ops[made->code];

	for (unsigned tries = 0; tries < 64; tries++) {
		const int code = choose_code(s, -1);
		const int at = code < 0 ? -1 : ends_class(code, by->out);

		if (at < 0 || trace_ops[code].group != by->group)
			continue;
		memset(ret_op, 0, sizeof(*ret_op));
		ret_op->code = (uint16_t)code;
		ret_op->out = TRACE_NOREG;
		gen_values(&s->mix, ret_op);
		for (unsigned a = 0; a < trace_ops[code].nargs; a++) {
			const int class =
			    trace_kind_class(trace_ops[code].arg[a]);
			unsigned b = 0;

			if (class < 0)
				continue;
			while (b < by->nargs &&
			    trace_kind_class(by->arg[b]) != class)
				b++;
			ret_op->arg[a] = b < by->nargs ? made->arg[b] :
							 (uint64_t)TRACE_NOREG;
		}
		ret_op->arg[at] = made->out;
		ret_op->thread = one_in(s, 2) ?
		    made->thread :
		    (uint16_t)below(s, s->t.header.threads);
		return (true);
	}
	return (false);
}

static bool
mutate_pair(struct sheet *s)
{
	const size_t at = below(s, s->t.nops + 1);
	const int class =
	    one_in(s, 8) ? (int)below(s, TRACE_CLASS_COUNT) : TRACE_OBJ;
	const int code = choose_code(s, class);
	struct trace_op end;
	size_t n;

	if (code < 0)
		return (false);
	look(s, at);
	n = insert_with_makers(s, at, code, DEPTH_MAX);
	if (n == 0 || s->t.op[at + n - 1].out == TRACE_NOREG ||
	    !make_end(s, &s->t.op[at + n - 1], &end))
		return (n != 0);
	return (
	    insert_op(s, at + n + below(s, s->t.nops - (at + n) + 1), &end));
}

/* ---- Editing ------------------------------------------------------------- */

/* A few operations in a row: where, and how many. */
static size_t
choose_run(struct sheet *s, size_t *ret_at)
{
	size_t n = 1;

	*ret_at = below(s, s->t.nops);
	if (one_in(s, 2))
		n += below(s, one_in(s, 8) ? s->t.nops : RUN_MAX);
	return (n < s->t.nops - *ret_at ? n : s->t.nops - *ret_at);
}

static void
remove_run(struct sheet *s, size_t at, size_t n)
{
	struct trace *t = &s->t;

	memmove(
	    &t->op[at], &t->op[at + n], (t->nops - at - n) * sizeof(*t->op));
	t->nops -= n;
}

static bool
mutate_remove(struct sheet *s)
{
	size_t at, n;

	if (s->t.nops == 0)
		return (false);
	n = choose_run(s, &at);
	remove_run(s, at, n);
	return (true);
}

static bool
mutate_duplicate(struct sheet *s)
{
	size_t at, n, to;

	if (s->t.nops == 0)
		return (false);
	n = choose_run(s, &at);
	to = at + n + below(s, s->t.nops - at - n + 1);
	for (size_t i = 0; i < n; i++) {
		const struct trace_op op = s->t.op[at + i];

		if (!insert_op(s, to + i, &op))
			return (i != 0);
	}
	return (true);
}

static bool
mutate_swap(struct sheet *s)
{
	struct trace *t = &s->t;
	size_t a, b;

	if (t->nops < 2)
		return (false);
	a = below(s, t->nops - 1);
	b = one_in(s, 2) ? a + 1 : a + 1 + below(s, t->nops - 1 - a);
	const struct trace_op op = t->op[a];
	t->op[a] = t->op[b];
	t->op[b] = op;
	return (true);
}

static bool
mutate_thread(struct sheet *s)
{
	const uint32_t threads = s->t.header.threads;
	size_t at, n;
	uint16_t thread;

	if (s->t.nops == 0 || threads < 2)
		return (false);
	n = choose_run(s, &at);
	thread = (uint16_t)below(s, threads);
	for (size_t i = at; i < at + n; i++)
		s->t.op[i].thread = thread;
	return (true);
}

/* Changes an argument whose kind is wanted. */
static bool
change_argument(struct sheet *s, enum mutator_kind want)
{
	for (unsigned tries = 0; tries < 24 && s->t.nops != 0; tries++) {
		const size_t at = below(s, s->t.nops);
		struct trace_op *op = &s->t.op[at];
		const struct trace_opdef *def = &trace_ops[op->code];
		const unsigned a = below(s, def->nargs);
		enum trace__names set;

		if (def->nargs == 0)
			continue;
		const bool flags = trace__kind_flags(def->arg[a], &set);
		const bool reg = trace_kind_class(def->arg[a]) >= 0;
		if ((want == MUTATOR_REGISTER) != reg ||
		    (want == MUTATOR_FLAGS) != flags)
			continue;
		if (reg)
			look(s, at);
		if (trace_kind_class(def->arg[a]) == TRACE_OBJ &&
		    !one_in(s, 8)) {
			op->arg[a] = choose_object(s, def->group);
			fit_owner(s, op, a);
		} else {
			op->arg[a] = reg ?
			    choose_register(s, trace_kind_class(def->arg[a])) :
			    change_value(s, op, a);
		}
		return (true);
	}
	return (false);
}

/* ---- The header ---------------------------------------------------------- */

static bool
mutate_config(struct sheet *s)
{
	struct trace_header *h = &s->t.header;
	static struct trace_header drawn;

	gen_header(&s->mix, &drawn, 0, 0);
	switch (below(s, 6)) {
	case 0:
		h->cpus = drawn.cpus;
		break;
	case 1:
		h->threads = drawn.threads;
		break;
	case 2:
		h->pages = drawn.pages;
		break;
	case 3:
		h->reserve_system = below(s, h->pages / 2 + 1);
		h->reserve_interrupt = below(s, h->reserve_system + 1);
		break;
	case 4:
		h->slabs_keep = drawn.slabs_keep;
		break;
	default:
		h->debug ^= 1u << below(s, 3);
		h->debug &= KA_DEBUG_ALL;
		break;
	}
	for (uint32_t i = 0; i < h->threads; i++)
		if (one_in(s, 8))
			h->thread_cpu[i] = (uint16_t)below(s, h->cpus);
	return (true);
}

static bool
mutate_fault(struct sheet *s)
{
	struct trace_header *h = &s->t.header;
	const uint32_t what = below(s, 3);
	struct trace_fault *f;

	if (what == 0 && h->nfaults > 0) {
		const uint32_t at = below(s, h->nfaults);

		memmove(&h->fault[at], &h->fault[at + 1],
		    (h->nfaults - at - 1) * sizeof(*f));
		h->nfaults--;
		return (true);
	}
	if (what == 1 && h->nfaults > 0) {
		f = &h->fault[below(s, h->nfaults)];
	} else {
		if (h->nfaults == TRACE_FAULTS_MAX)
			return (false);
		f = &h->fault[h->nfaults++];
		memset(f, 0, sizeof(*f));
	}
	if (f->mode != TRACE_FAULT_PROB && f->k != 0 && one_in(s, 2)) {
		f->k += below(s, 5) - 2;
		f->k += f->k == 0;
	} else {
		gen_fault(&s->mix, f);
		f->seed &= 0xffff;
	}
	return (true);
}

static bool
mutate_schedule(struct sheet *s)
{
	struct trace_header *h = &s->t.header;
	static struct trace_header drawn;

	gen_header(&s->mix, &drawn, 0, 0);
	switch (below(s, 4)) {
	case 0:
		h->sched = drawn.sched;
		if (h->sched != TRACE_SCHED_RECORDED) {
			h->memory = drawn.memory;
			h->may = drawn.may;
		}
		break;
	case 1: /* what is found does not depend on the operations alone */
		if (h->sched == TRACE_SCHED_RECORDED)
			h->sched = TRACE_SCHED_STICKY;
		break;
	default:
		break;
	}
	if (h->sched == TRACE_SCHED_STICKY && one_in(s, 2))
		h->sticky = drawn.sticky;
	if (h->sched != TRACE_SCHED_RECORDED)
		h->sched_seed = below(s, 1u << 20);
	if (h->sched != TRACE_SCHED_RECORDED && h->threads == 1)
		h->threads = 2 + below(s, 3);
	return (true);
}

/* ---- Splicing ------------------------------------------------------------ */

/* An operation of another trace, in terms of this one. */
static bool
translate(struct sheet *s, const struct trace_header *from, bool rename,
    struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	for (unsigned a = 0; a < def->nargs; a++) {
		const int class = trace_kind_class(def->arg[a]);

		if (class >= 0 && op->arg[a] != TRACE_NOREG && rename)
			op->arg[a] += s->fresh;
		if (def->arg[a] != TRACE_K_STR)
			continue;
		const char *str = trace_str(from, op->arg[a]);
		op->arg[a] = trace_str_intern(&s->t.header, str, strlen(str));
		if (op->arg[a] == UINT32_MAX)
			return (false);
	}
	if (def->out >= 0 && rename)
		op->out += s->fresh;
	return (true);
}

/* Operations of the other trace come in at a place, or instead of the rest. */
static bool
splice(struct sheet *s, const struct trace *other)
{
	/* Renamed, they have objects of their own; else they share ours. */
	const bool rename = one_in(s, 2);
	size_t at = below(s, s->t.nops + 1);
	size_t from = 0, n = other->nops;

	if (n == 0)
		return (false);
	if (one_in(s, 2)) {
		from = below(s, n);
		n = 1 + below(s, n - from);
	}
	if (one_in(s, 2))
		s->t.nops = at;
	for (size_t i = 0; i < n; i++) {
		struct trace_op op = other->op[from + i];

		if (!translate(s, &other->header, rename, &op) ||
		    !insert_op(s, at, &op))
			return (i != 0);
		at++;
		/* Interleaved, now and then: two streams at one time. */
		if (s->t.nops > at && one_in(s, 4))
			at += below(s, 2);
	}
	/* The greater of both: with more threads there are more states. */
	if (other->header.threads > s->t.header.threads)
		s->t.header.threads = other->header.threads;
	if (other->header.cpus > s->t.header.cpus)
		s->t.header.cpus = other->header.cpus;
	return (true);
}

/* ---- Length --------------------------------------------------------------- */

/* What has grown loses some, unless it is short still. */
static void
shorten(struct sheet *s, size_t before)
{
	size_t most = 12 + below(s, 21), at, n;

	if (one_in(s, 8))
		most *= 2 + below(s, 7);
	if (most < before)
		most = before;
	while (s->t.nops > most) {
		n = choose_run(s, &at);
		if (n > s->t.nops - most)
			n = s->t.nops - most;
		remove_run(s, at, n);
		if (s->done != NULL)
			s->done[MUTATOR_REMOVE]++;
	}
}

/* ---- Bytes in, bytes out ------------------------------------------------- */

static void
number_fresh(struct sheet *s)
{
	/* Registers are dense and each has its definition. */
	s->fresh = (uint32_t)s->t.nops;
}

/* A canonical trace within max bytes: what is too long loses its end. */
static size_t
unload(struct trace *t, uint8_t *out, size_t max)
{
	static struct trace__bytes bytes;
	bool bare = false;

	while (trace__encode_canonical(t, &bytes) == 0) {
		const size_t size = bytes.size;

		if (size <= max) {
			memcpy(out, bytes.at, size);
			return (size);
		}
		if (t->nops > 0) {
			/* As many as are too much, if all are as long. */
			size_t over = t->nops * (size - max) / size;

			t->nops -= over != 0 ? over : 1;
		} else if (!bare) {
			t->header.nfaults = t->header.ndeviations = 0;
			trace__header_thread_cpus(&t->header);
			bare = true;
		} else {
			break;
		}
		if (trace_canonicalize(t) == SIZE_MAX)
			break;
	}
	return (0);
}

static bool
mutate(struct sheet *s, enum mutator_kind kind)
{
	static const struct {
		bool (*fn)(struct sheet *);
	} kinds[MUTATOR_COUNT] = {
		[MUTATOR_INSERT] = { mutate_insert },
		[MUTATOR_PAIR] = { mutate_pair },
		[MUTATOR_REMOVE] = { mutate_remove },
		[MUTATOR_DUPLICATE] = { mutate_duplicate },
		[MUTATOR_SWAP] = { mutate_swap },
		[MUTATOR_THREAD] = { mutate_thread },
		[MUTATOR_CONFIG] = { mutate_config },
		[MUTATOR_FAULT] = { mutate_fault },
		[MUTATOR_SCHEDULE] = { mutate_schedule },
	};
	bool did;

	did = kinds[kind].fn != NULL ? kinds[kind].fn(s) :
				       change_argument(s, kind);
	if (did && s->done != NULL)
		s->done[kind]++;
	return (did);
}

/* Some mutations, one mostly. Each begins with a canonical trace. */
static bool
mutate_some(struct sheet *s)
{
	const size_t before = s->t.nops;
	unsigned rounds = 1;

	while (rounds < ROUNDS_MAX && one_in(s, 2))
		rounds++;
	while (rounds > 0) {
		/* Splicing needs another trace and is not for here. */
		const enum mutator_kind kind =
		    (enum mutator_kind)below(s, MUTATOR_SPLICE);

		number_fresh(s);
		if (!mutate(s, kind))
			continue;
		rounds--;
		if (rounds == 0)
			shorten(s, before);
		if (trace_canonicalize(&s->t) == SIZE_MAX)
			return (false);
	}
	return (true);
}

/* Its memory is used again. */
static struct sheet the_sheet;

static struct sheet *
sheet_open(const uint8_t *data, size_t size, uint64_t seed, uint32_t groups,
    uint64_t *done)
{
	struct sheet *const s = &the_sheet;

	if (trace__decode(&s->t, data, size) != 0)
		return (NULL);
	s->random = seed;
	s->groups = groups;
	s->done = done;
	gen_mix_draw(&s->mix, random_next(&s->random), &s->t.header);
	number_fresh(s);
	return (s);
}

size_t
mutator_mutate(const uint8_t *data, size_t size, uint8_t *out, size_t max,
    uint64_t seed, uint32_t groups, uint64_t done[MUTATOR_COUNT])
{
	struct sheet *const s = sheet_open(data, size, seed, groups, done);

	if (s == NULL || !mutate_some(s))
		return (0);
	return (unload(&s->t, out, max));
}

size_t
mutator_cross(const uint8_t *data, size_t size, const uint8_t *other,
    size_t other_size, uint8_t *out, size_t max, uint64_t seed, uint32_t groups,
    uint64_t done[MUTATOR_COUNT])
{
	struct sheet *const s = sheet_open(data, size, seed, groups, done);
	static struct trace o;
	size_t before;

	if (s == NULL || trace__decode(&o, other, other_size) != 0)
		return (0);
	before = s->t.nops > o.nops ? s->t.nops : o.nops;
	if (splice(s, &o) && done != NULL)
		done[MUTATOR_SPLICE]++;
	shorten(s, before);
	if (trace_canonicalize(&s->t) == SIZE_MAX ||
	    (one_in(s, 4) && !mutate_some(s)))
		return (0);
	return (unload(&s->t, out, max));
}
