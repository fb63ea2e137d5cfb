/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a long trace: COUNT operations on 64 threads and 4 CPUs with a
 * thousand objects live, sizes as in the recorded kernel traces (most below
 * 512 bytes, some of a page).
 *
 * usage: mktrace COUNT FILE
 */
#include <stdio.h>
#include <stdlib.h>

#include <kalloc/flags.h>

#include "trace/trace.h"
#include "util/random.h"

#define LIVE 1000u

static uint64_t
draw_size(uint64_t r)
{
	if (r % 8 == 0)
		return (4096);
	return (16 + (r >> 8) % (r % 3 == 0 ? 1024 : 256));
}

int
main(int argc, char **argv)
{
	struct trace_header h;
	struct trace_writer *w;
	struct trace_error e;
	uint64_t rng = 1, n, i;
	uint8_t live[LIVE] = { 0 };

	if (argc != 3)
		return (2);
	n = strtoull(argv[1], NULL, 0);
	trace_header_init(&h);
	h.cpus = 4;
	h.threads = 64;
	h.pages = 65536;
	for (i = 0; i < h.threads; i++)
		h.thread_cpu[i] = (uint16_t)(i % 4);
	if (trace_writer_open(&w, argv[2], TRACE_BINARY, &h, &e) != 0)
		return (2);
	for (i = 0; i < n; i++) {
		uint64_t r = random_next(&rng);
		struct trace_op op = { .thread = (uint16_t)(r % 64),
			.out = TRACE_NOREG };
		uint32_t reg = (uint32_t)(i <= LIVE ? i - 1 : (r >> 32) % LIVE);

		if (i == 0) {
			op.code = TRACE_OP_KMALLOC_CREATE;
			op.arg[0] = trace_str_intern(&h, "long", 4);
			op.out = 0;
		} else if (live[reg]) {
			op.code = TRACE_OP_KFREE;
			op.arg[0] = reg;
			live[reg] = 0;
		} else {
			op.code = TRACE_OP_KMALLOC;
			op.arg[0] = draw_size(r >> 6);
			op.arg[2] = M_WAITOK;
			op.out = reg;
			live[reg] = 1;
		}
		if (trace_writer_op(w, &op) != 0)
			break;
	}
	return (trace_writer_close(w, &e) == 0 ? 0 : 2);
}
