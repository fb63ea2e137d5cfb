/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An operation as a call in C.
 *
 * The table of operations says nearly all: a row's name is the function, its
 * arguments are the function's in that order. Where the function has other
 * ones there is a *form*: text in which $N is argument N as an expression, #N
 * the number of its register, and $o that of the register that is defined.
 */
#include <inttypes.h>
#include <string.h>

#include "repro_int.h"

#define TEXT_MAX 256

/* What is not the call that the row says. */
static const char *const forms[TRACE_OP_COUNT] = {
	[TRACE_OP_KMALLOC_CREATE] = "make_type($o, $0, true)",
	[TRACE_OP_KMALLOC_DESTROY] = "end_type(#0)",
	[TRACE_OP_MALLOC_INIT] = "make_type($o, $0, false)",
	[TRACE_OP_MALLOC_UNINIT] = "end_type(#0)",
	[TRACE_OP_KREALLOC] = "resize(&p[#0], $1, #2, $3)",
	[TRACE_OP_KFREE_INTERIOR] = "kfree(inside($0, $1), $2)",
	[TRACE_OP_KFREE_WILD] = "kfree(wild($0), $1)",
	[TRACE_OP_VM_PAGE_FREE] = "vm_page_free($0, g[#0].size / KA_PAGE_SIZE)",
	[TRACE_OP_MIGRATE] = "/* another thread goes on */",
	[TRACE_OP_QUIESCE] = "quiesce()",
	[TRACE_OP_THREAD_EXIT] = "/* its thread exits, and another goes on */",
	[TRACE_OP_OBJCACHE_CREATE] = "make_cache($o, $0, #1, $2, $3, $4, $5)",
	[TRACE_OP_OBJCACHE_CREATE_ZONE] =
	    "make_zone_cache($o, $0, #1, $2, $3, $4)",
	[TRACE_OP_OBJCACHE_RECLAIMLIST] = "reclaim_caches($0, $1, $2)",
	[TRACE_OP_OBJCACHE_HOOK] = "set_hook(&c[#0], $1, $2, $3, $4)",
	[TRACE_OP_MPIPE_INIT] = "make_pipe($o, #0, $1, $2, $3, $4, $5)",
	[TRACE_OP_MPIPE_ALLOC_CALLBACK] =
	    "mpipe_alloc_callback($0, pipe_callback, &q[#0], NULL)",
	[TRACE_OP_MPIPE_HOOK] = "set_hook(&q[#0], $1, $2, $3, $4)",
	[TRACE_OP_UMA_ZCREATE] = "make_zone($o, $0, $1, $2, $3, $4)",
	[TRACE_OP_UMA_ZCREATE_STATIC] =
	    "make_static_zone($o, $0, $1, $2, $3, $4, $5)",
	[TRACE_OP_UMA_ZONE_SET_SOURCE] = "set_source(#0)",
	[TRACE_OP_UMA_ZSECOND_CREATE] = "make_second_zone($o, $0, #1, $2)",
	[TRACE_OP_UMA_ZCACHE_CREATE] =
	    "make_token_zone($o, $0, $1, $2, $3, $4)",
	[TRACE_OP_UMA_ZALLOC_ARG] =
	    "uma_zalloc_arg($0, (void *)(uintptr_t)$2, $1)",
	[TRACE_OP_UMA_ZFREE_ARG] =
	    "uma_zfree_arg($0, $1, (void *)(uintptr_t)$2)",
	[TRACE_OP_UMA_ZFREE_INTERIOR] = "uma_zfree($0, inside($1, $2))",
	[TRACE_OP_UMA_ZFREE_WILD] = "uma_zfree($0, wild($1))",
	[TRACE_OP_UMA_ZONE_SET_MAX] = "set_max(#0, $1)",
	[TRACE_OP_UMA_ZONE_GET_CUR] = "check_current(#0)",
	[TRACE_OP_UMA_HOOK] = "set_hook(&z[#0], $1, $2, $3, $4)",
	[TRACE_OP_ZBOOTINIT] = "make_boot_zone($o, $0, $1, $2)",
	[TRACE_OP_ZINIT] = "make_vm_zone($o, $0, $1, $2, $3)",
	[TRACE_OP_ZINITNA] =
	    "returned = (uint64_t)zinitna($0, $1, b[#0].size, $2, $3)",
};

/* What looks at the object that a call brought: $c is the call. */
static const char *
took_form(const struct trace_op *op)
{
	switch (op->code) {
	case TRACE_OP_KSTRDUP:
		return ("took_string(&p[$o], $c, #1, $0, SIZE_MAX)");
	case TRACE_OP_KSTRNDUP:
		return ("took_string(&p[$o], $c, #2, $0, $1)");
	case TRACE_OP_KMALLOC_CACHEALIGN:
		return ("took(&p[$o], $c, #1, $0, $2 | M_CACHEALIGN)");
	case TRACE_OP_KMALLOC_POWEROF2:
		return ("took(&p[$o], $c, #1, $0, $2 | M_POWEROF2)");
	case TRACE_OP_VM_PAGE_ALLOC:
		return ("took_run(&g[$o], $c, $0, $1, $2)");
	case TRACE_OP_OBJCACHE_GET:
		return ("took_item(&p[$o], $c, OWNER_CACHE, #0, $1)");
	case TRACE_OP_UMA_ZALLOC:
	case TRACE_OP_UMA_ZALLOC_ARG:
		return ("took_item(&p[$o], $c, OWNER_ZONE, #0, $1)");
	case TRACE_OP_ZALLOC:
		return ("took_item(&p[$o], $c, OWNER_VMZONE, #0, 0)");
	default:
		if (trace_ops[op->code].group == TRACE_G_MP)
			return ("took_item(&p[$o], $c, OWNER_PIPE, #0, 0)");
		return ("took(&p[$o], $c, #1, $0, $2)");
	}
}

/* "WAITOK|ZERO" as "M_WAITOK | M_ZERO" */
static void
flags(const char *names, const char *prefix, char *buf, size_t size)
{
	size_t n = 0;

	for (; *names != '\0' && n + 40 < size; names++) {
		const size_t length = strcspn(names, "|");
		const bool number = *names >= '0' && *names <= '9';

		n += (size_t)snprintf(buf + n, size - n, "%s%s%.*s",
		    n == 0 ? "" : " | ", number ? "" : prefix, (int)length,
		    names);
		names += length;
		if (*names == '\0')
			break;
	}
}

static void
string(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	buf[n++] = '"';
	for (; *s != '\0' && n + 4 < size; s++) {
		if (*s == '"' || *s == '\\' || *s == '?')
			buf[n++] = '\\';
		buf[n++] = *s;
	}
	buf[n++] = '"';
	buf[n] = '\0';
}

/* A register, as what the function takes for it. */
static void
reg(enum trace_class class, uint64_t n, char *buf, size_t size)
{
	static const char *const text[TRACE_CLASS_COUNT] = {
		[TRACE_OBJ] = "p[%u].addr",
		[TRACE_TYPE] = "type_of(%u)",
		[TRACE_RUN] = "g[%u].addr",
		[TRACE_CACHE] = "c[%u].cache",
		[TRACE_PIPE] = "&q[%u].pipe",
		[TRACE_ZONE] = "z[%u].zone",
		[TRACE_VMZONE] = "b[%u].vmzone",
	};
	static const char *const none[TRACE_CLASS_COUNT] = {
		[TRACE_OBJ] = "NULL",
		[TRACE_TYPE] = "type_of(TYPES)",
		[TRACE_RUN] = "NULL",
		[TRACE_CACHE] = "NULL",
		[TRACE_PIPE] = "&q[PIPES].pipe",
		[TRACE_ZONE] = "NULL",
		[TRACE_VMZONE] = "NULL",
	};
	const char *const place = strchr(text[class], '%');

	if (n == TRACE_NOREG)
		(void)snprintf(buf, size, "%s", none[class]);
	else
		(void)snprintf(buf, size, "%.*s%" PRIu64 "%s",
		    (int)(place - text[class]), text[class], n, place + 2);
}

static void
argument(const struct trace_header *h, const struct trace_op *op, unsigned i,
    char *buf, size_t size)
{
	static const char *const reclaim[TRACE_RECLAIM_COUNT] = { "0",
		"UMA_RECLAIM_DRAIN", "UMA_RECLAIM_DRAIN_CPU",
		"UMA_RECLAIM_TRIM" };
	const enum trace_kind kind = trace_ops[op->code].arg[i];
	const int class = trace_kind_class(kind);
	const uint64_t n = op->arg[i];
	char names[TEXT_MAX];

	if (class >= 0)
		reg((enum trace_class) class, n, buf, size);
	else if (kind == TRACE_K_FLAGS)
		flags(trace_flags_format(n, names, sizeof(names)), "M_", buf,
		    size);
	else if (kind == TRACE_K_VMFLAGS)
		flags(trace_vmflags_format(n, names, sizeof(names)),
		    "VM_ALLOC_", buf, size);
	else if (kind == TRACE_K_STR)
		string(trace_str(h, n), buf, size);
	else if (kind == TRACE_K_INT)
		(void)snprintf(buf, size,
		    (int32_t)n == INT32_MIN ? "INT32_MIN" : "%" PRId32,
		    (int32_t)n);
	else if (kind == TRACE_K_RECLAIM)
		(void)snprintf(
		    buf, size, "%s", reclaim[n % TRACE_RECLAIM_COUNT]);
	else if (n > INT32_MAX)
		(void)snprintf(buf, size, "UINT64_C(%" PRIu64 ")", n);
	else
		(void)snprintf(buf, size, "%" PRIu64, n);
}

/* The number of what stands for no register. */
static const char *
spare(enum trace_kind kind)
{
	static const char *const names[TRACE_CLASS_COUNT] = { "SPARE", "TYPES",
		"RUNS", "CACHES", "PIPES", "ZONES", "VMZONES" };
	const int class = trace_kind_class(kind);

	return (class >= 0 ? names[class] : "0");
}

/* The form with everything put in. */
static void
fill_in(const struct trace_header *h, const struct trace_op *op,
    const char *form, const char *call, char *buf, size_t size)
{
	char text[TEXT_MAX];
	size_t n = 0;

	buf[0] = '\0';
	for (; *form != '\0' && n + 1 < size; form++) {
		if ((*form != '$' && *form != '#') || form[1] == '\0') {
			buf[n++] = *form;
			buf[n] = '\0';
			continue;
		}
		if (form[1] == 'c')
			(void)snprintf(text, sizeof(text), "%s", call);
		else if (form[1] == 'o')
			(void)snprintf(text, sizeof(text), "%" PRIu32, op->out);
		else if (*form == '$')
			argument(h, op, (unsigned)(form[1] - '0'), text,
			    sizeof(text));
		else if (op->arg[form[1] - '0'] == TRACE_NOREG)
			(void)snprintf(text, sizeof(text), "%s",
			    spare(trace_ops[op->code].arg[form[1] - '0']));
		else
			(void)snprintf(text, sizeof(text), "%" PRIu64,
			    op->arg[form[1] - '0']);
		n += (size_t)snprintf(buf + n, size - n, "%s", text);
		if (n >= size)
			n = size - 1;
		form++;
	}
}

/* "kmalloc($0, $1, $2)", by the row. */
static void
row_form(const struct trace_opdef *def, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s(", def->name);

	for (unsigned i = 0; i < def->nargs; i++)
		n += (size_t)snprintf(
		    buf + n, size - n, "%s$%u", i == 0 ? "" : ", ", i);
	(void)snprintf(buf + n, size - n, ")");
}

/* What the row says of its registers: which must be there, which end. */
static void
put_registers(
    FILE *f, const struct trace_op *op, bool before, const char *lacks)
{
	static const char letter[TRACE_CLASS_COUNT] = { [TRACE_OBJ] = 'p',
		[TRACE_RUN] = 'g',
		[TRACE_CACHE] = 'c',
		[TRACE_PIPE] = 'q',
		[TRACE_ZONE] = 'z',
		[TRACE_VMZONE] = 'b' };
	const struct trace_opdef *const def = &trace_ops[op->code];

	for (unsigned i = 0; i < def->nargs; i++) {
		const int class = trace_kind_class(def->arg[i]);

		if (class < 0 || op->arg[i] == TRACE_NOREG)
			continue;
		if (class == TRACE_OBJ || class == TRACE_RUN) {
			/* krealloc of NULL is kmalloc */
			if (before && def->arg[i] != TRACE_K_OBJ_MOD)
				(void)fprintf(f,
				    "\tif (%s(&%c[%" PRIu64 "]))\n"
				    "\t\treturn;\n",
				    lacks, letter[class], op->arg[i]);
			if (before && trace_kind_ends(def->arg[i]))
				(void)fprintf(f, "\tgives(&%c[%" PRIu64 "]);\n",
				    letter[class], op->arg[i]);
		} else if (!before && class > TRACE_RUN &&
		    trace_kind_ends(def->arg[i])) {
			(void)fprintf(f, "\t%c[%" PRIu64 "].alive = false;\n",
			    letter[class], op->arg[i]);
		}
	}
}

/* Calls that give a number, which the program has no other use for. */
static bool
gives_number(enum trace_opcode code)
{
	return (code == TRACE_OP_KMALLOC_USABLE_SIZE ||
	    code == TRACE_OP_KMALLOC_LIMIT || code == TRACE_OP_KMALLOC_TRIM ||
	    code == TRACE_OP_UMA_ZONE_GET_MAX);
}

void
repro__put_call(FILE *f, const struct trace_header *h,
    const struct trace_op *op, bool failing)
{
	const struct trace_opdef *const def = &trace_ops[op->code];
	char form[TEXT_MAX], call[2 * TEXT_MAX], line[4 * TEXT_MAX];

	row_form(def, form, sizeof(form));
	fill_in(h, op, forms[op->code] != NULL ? forms[op->code] : form, "",
	    call, sizeof(call));
	put_registers(f, op, true, failing ? "is_null" : "lacks");
	if (def->out == TRACE_OBJ || def->out == TRACE_RUN)
		(void)fprintf(f, "\tempties(&%c[%" PRIu32 "]);\n",
		    def->out == TRACE_OBJ ? 'p' : 'g', op->out);
	if (def->out == TRACE_OBJ || def->out == TRACE_RUN)
		fill_in(h, op, took_form(op), call, line, sizeof(line));
	else
		(void)snprintf(line, sizeof(line), "%s%s",
		    gives_number((enum trace_opcode)op->code) ?
			"returned = (uint64_t)" :
			"",
		    call);
	(void)fprintf(f, "\t%s%s\n", line, line[0] == '/' ? "" : ";");
	put_registers(f, op, false, "");
}
