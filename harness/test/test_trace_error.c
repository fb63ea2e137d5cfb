/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: an error of a trace's text says where and what, and what was expected.
 * Method: a table of every class of errors, each with its exact place and
 * words; bytes and lengths that a table of strings cannot hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trace_test.h"

/* After these four lines an operation is line 5. */
#define FIVE  "kalab-trace 1\ncpus 2\nthreads 3\n0 m0 = kmalloc_create \"t\"\n"
#define Y10   "yyyyyyyyyy"
#define FAULT "fault page once 1\n"

static const struct bad_text {
	const char *text, *error;
} bad_texts[] = {
	/* The first line. */
	{ "\n",
	    "test:1:1: not a trace, expected \"kalab-trace 1\" in the fir"
	    "st line" },
	{ "ELF",
	    "test:1:1: not a trace, expected \"kalab-trace 1\" in the fir"
	    "st line" },
	{ "# comment\nkalab-trace 1\n",
	    "test:1:1: not a trace, expected \"kalab-trace 1\" in the fir"
	    "st line" },
	{ " kalab\n",
	    "test:1:1: not a trace, expected \"kalab-trace 1\" in the fir"
	    "st line" },
	{ "kalab-trace\n",
	    "test:1:12: missing version, expected 1..4294967295" },
	{ "kalab-trace 2\n",
	    "test:1:13: version 2 is not supported, expected 1" },
	{ "kalab-trace 0\n",
	    "test:1:13: version 0 is out of range, expected 1..4294967295" },
	{ "kalab-trace 1 x\n",
	    "test:1:15: unexpected \"x\" after \"kalab-trace\", expected "
	    "the end of the line" },
	{ "kalab-trace1\n",
	    "test:1:1: unknown word \"kalab-trace1\", expected kalab-trac"
	    "e" },
	/* Header lines. */
	{ "kalab-trace 1\ncpus 70\n",
	    "test:2:6: number 70 is out of range, expected 1..64" },
	{ "kalab-trace 1\ncpus 0\n",
	    "test:2:6: number 0 is out of range, expected 1..64" },
	{ "kalab-trace 1\ncpus\n", "test:2:5: missing number, expected 1..64" },
	{ "kalab-trace 1\ncpus 2 3\n",
	    "test:2:8: unexpected \"3\" after \"cpus\", expected the end "
	    "of the line" },
	{ "kalab-trace 1\ncpus 1\ncpus 1\n",
	    "test:3:1: a second \"cpus\" line, expected at most one" },
	{ "kalab-trace 1\ncpuz 1\n",
	    "test:2:1: unknown header line \"cpuz\" (did you mean \"cpus"
	    "\"?)" },
	{ "kalab-trace 1\nfrobnicate 1\n",
	    "test:2:1: unknown header line \"frobnicate\", expected a hea"
	    "der line or a thread" },
	{ "kalab-trace 1\nkmalloc 1\n",
	    "test:2:1: \"kmalloc\" without a thread, expected the thread'"
	    "s number first" },
	{ "kalab-trace 1\ncpus -1\n",
	    "test:2:6: \"-1\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ "kalab-trace 1\ncpus +1\n",
	    "test:2:6: \"+1\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ "kalab-trace 1\ncpus 1x\n",
	    "test:2:6: \"1x\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ "kalab-trace 1\ncpus 01\n",
	    "test:2:6: \"01\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ "kalab-trace 1\ncpus 0x\n",
	    "test:2:6: \"0x\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ "kalab-trace 1\ncpus 0xg\n",
	    "test:2:6: \"0xg\" is not a number, expected decimal or 0x he"
	    "xadecimal" },
	{ "kalab-trace 1\ncpus 99999999999999999999\n",
	    "test:2:6: number 99999999999999999999 is out of range, expec"
	    "ted 1..64" },
	{ "kalab-trace 1\nthreads 257\n",
	    "test:2:9: number 257 is out of range, expected 1..256" },
	{ "kalab-trace 1\npages 31\n",
	    "test:2:7: number 31 is out of range, expected 32..1048576" },
	{ "kalab-trace 1\npages 1048577\n",
	    "test:2:7: number 1048577 is out of range, expected 32..10485"
	    "76" },
	{ "kalab-trace 1\npages 64\nreserve 33 8\n",
	    "test:3:9: number 33 is out of range, expected 0..32" },
	{ "kalab-trace 1\nreserve 8 9\n",
	    "test:2:11: number 9 is out of range, expected 0..8" },
	{ "kalab-trace 1\nreserve 8\n",
	    "test:2:10: missing number, expected 0..8" },
	{ "kalab-trace 1\nreserve 1 1\npages 64\n",
	    "test:3:1: \"pages\" is late, expected before \"reserve\"" },
	{ "kalab-trace 1\nkeep 256\n",
	    "test:2:6: number 256 is out of range, expected 0..255" },
	{ "kalab-trace 1\ndebug\n",
	    "test:2:6: missing debug options, expected redzone, poison, a"
	    "udit joined by |, or 0" },
	{ "kalab-trace 1\ndebug redzone|posion\n",
	    "test:2:15: unknown flag \"posion\" (did you mean \"poison\"?"
	    ")" },
	{ "kalab-trace 1\ndebug 8\n",
	    "test:2:7: number 8 is out of range, expected 0..7" },
	{ "kalab-trace 1\ndebug redzone|\n",
	    "test:2:15: missing flag, expected names such as poison|audit"
	    ", or a number" },
	{ "kalab-trace 1\ndebug redzone poison\n",
	    "test:2:15: unexpected \"poison\" after \"debug\", expected t"
	    "he end of the line" },
	{ "kalab-trace 1\nthreads 2\nthread 2 cpu 0\n",
	    "test:3:8: thread 2 is out of range, expected 0..1" },
	{ "kalab-trace 1\nthread 0 cpu 1\n",
	    "test:2:14: cpu 1 is out of range, expected 0..0" },
	{ "kalab-trace 1\nthread 0 1\n",
	    "test:2:10: unknown word \"1\", expected cpu" },
	{ "kalab-trace 1\nthread 0\n", "test:2:9: missing word, expected cpu" },
	{ "kalab-trace 1\nthread 0 cpu 0\nthread 0 cpu 0\n",
	    "test:3:8: thread 0 has a CPU already, expected one line a th"
	    "read" },
	{ "kalab-trace 1\nthread 0 cpu 0\ncpus 2\n",
	    "test:3:1: \"cpus\" is late, expected before \"thread\"" },
	{ "kalab-trace 1\nthread 0 cpu 0\nthreads 2\n",
	    "test:3:1: \"threads\" is late, expected before \"thread\"" },
	{ "kalab-trace 1\ndeviate 0 0 0 fail\nthreads 2\n",
	    "test:3:1: \"threads\" is late, expected before \"deviate\"" },
	{ "kalab-trace 1\nschedule\n",
	    "test:2:9: missing schedule, expected recorded, random, sticky or pct" },
	{ "kalab-trace 1\nschedule fair\n",
	    "test:2:10: unknown schedule \"fair\", expected recorded, random, sticky or pct" },
	{ "kalab-trace 1\nschedule random\n",
	    "test:2:16: missing seed, expected 0..18446744073709551615" },
	{ "kalab-trace 1\nschedule sticky 0 1\n",
	    "test:2:17: number 0 is out of range, expected 1..1024" },
	{ "kalab-trace 1\nschedule sticky 8\n",
	    "test:2:18: missing seed, expected 0..18446744073709551615" },
	{ "kalab-trace 1\nschedule recorded 1\n",
	    "test:2:19: unexpected \"1\" after \"schedule\", expected the"
	    " end of the line" },
	{ "kalab-trace 1\nfault\n", "test:2:6: missing fault, expected page" },
	{ "kalab-trace 1\nfault disk once 1\n",
	    "test:2:7: unknown fault \"disk\", expected page" },
	{ "kalab-trace 1\nfault page twice 1\n",
	    "test:2:12: unknown fault mode \"twice\", expected once, from"
	    " or prob" },
	{ "kalab-trace 1\nfault page once 0\n",
	    "test:2:17: number 0 is out of range, expected 1..18446744073"
	    "709551615" },
	{ "kalab-trace 1\nfault page from\n",
	    "test:2:16: missing number, expected 1..18446744073709551615" },
	{ "kalab-trace 1\nfault page prob 1 2\n",
	    "test:2:17: unknown probability \"1\", expected one such as 1"
	    "/64" },
	{ "kalab-trace 1\nfault page prob\n",
	    "test:2:16: missing probability, expected one such as 1/64" },
	{ "kalab-trace 1\nfault page prob 3/2 1\n",
	    "test:2:17: number 3 is out of range, expected 1..2" },
	{ "kalab-trace 1\nfault page prob 0/2 1\n",
	    "test:2:17: number 0 is out of range, expected 1..2" },
	{ "kalab-trace 1\nfault page prob 1/65537 1\n",
	    "test:2:19: number 65537 is out of range, expected 1..65536" },
	{ "kalab-trace 1\nfault page prob 1/ 1\n",
	    "test:2:19: missing number, expected 1..65536" },
	{ "kalab-trace 1\nfault page prob 1/2\n",
	    "test:2:20: missing seed, expected 0..18446744073709551615" },
	{ "kalab-trace 1\n" FAULT FAULT FAULT FAULT FAULT FAULT FAULT FAULT
		FAULT,
	    "test:10:7: too many faults, expected at most 8" },
	{ "kalab-trace 1\ndeviate 1 0 0\n",
	    "test:2:9: thread 1 is out of range, expected 0..0, or 256..26"
	    "3 for the library's" },
	{ "kalab-trace 1\ndeviate 0 1 1 walk\n",
	    "test:2:15: unknown deviation \"walk\", expected run, flush, m"
	    "igrate, wake, delay, read, insert, fail or solo" },
	{ "kalab-trace 1\ndeviate 0 1 1 run 65536\n",
	    "test:2:19: number 65536 is out of range, expected 0..65535" },
	{ "kalab-trace 1\ndeviate 0 1 1 solo 1\n",
	    "test:2:20: unexpected \"1\" after \"deviate\", expected the"
	    " end of the line" },
	{ "kalab-trace 1\nmemory pso\n",
	    "test:2:8: unknown memory model \"pso\", expected sc, tso or "
	    "c11" },
	{ "kalab-trace 1\nmay\n",
	    "test:2:4: missing choices, expected migrate, wake, fail, solo "
	    "joined by |, or 0" },
	{ "kalab-trace 1\nmay sleep\n",
	    "test:2:5: unknown flag \"sleep\", expected names such as "
	    "fail|solo, or a number" },
	{ "kalab-trace 1\ndeviate 0 4294967296 0\n",
	    "test:2:11: number 4294967296 is out of range, expected 0..42"
	    "94967295" },
	{ "kalab-trace 1\ndeviate 0 1\n",
	    "test:2:12: missing number, expected 0..4294967295" },
	{ "kalab-trace 1\ndeviate 0 1 0 fail\ndeviate 0 1 0 solo\n",
	    "test:3:9: deviation out of order, expected one after thread "
	    "0 operation 1 point 0" },
	{ "kalab-trace 1\nthreads 2\ndeviate 1 0 0 fail\ndeviate 0 0 0 fail\n",
	    "test:4:9: deviation out of order, expected one after thread "
	    "1 operation 0 point 0" },
	/* The line of an operation. */
	{ FIVE "cpus 2\n",
	    "test:5:1: header line \"cpus\" after an operation, expected "
	    "it before the first" },
	{ FIVE "frobnicate\n",
	    "test:5:1: unknown header line \"frobnicate\", expected a hea"
	    "der line or a thread" },
	{ FIVE "kfree p0 m0\n",
	    "test:5:1: \"kfree\" without a thread, expected the thread's "
	    "number first" },
	{ FIVE "3 quiesce\n",
	    "test:5:1: thread 3 is out of range, expected 0..2" },
	{ FIVE "0x quiesce\n",
	    "test:5:1: \"0x\" is not a number, expected decimal or 0x hex"
	    "adecimal" },
	{ FIVE "0\n", "test:5:2: missing operation, expected its name" },
	{ FIVE "0 # nothing\n",
	    "test:5:3: missing operation, expected its name" },
	{ FIVE "0 kmaloc 64 m0 0\n",
	    "test:5:3: unknown operation \"kmaloc\" (did you mean \"kmall"
	    "oc\"?)" },
	{ FIVE "0 p0 = kamlloc 64 m0 0\n",
	    "test:5:8: unknown operation \"kamlloc\" (did you mean \"kmal"
	    "loc\"?)" },
	{ FIVE "0 frobnicate\n",
	    "test:5:3: unknown operation \"frobnicate\", expected one of "
	    "kalab-trace(5)" },
	{ FIVE "0 p0 =\n", "test:5:7: missing operation, expected its name" },
	{ FIVE "0 p0 kmalloc 64 m0 0\n",
	    "test:5:6: missing \"=\" after register p0, expected \"p0 = ."
	    "..\"" },
	{ FIVE "0 = kmalloc\n",
	    "test:5:3: unknown operation \"=\", expected one of kalab-tra"
	    "ce(5)" },
	{ FIVE "0 kmalloc 64 m0 0\n",
	    "test:5:3: \"kmalloc\" defines a register, expected \"p0 = km"
	    "alloc ...\"" },
	{ FIVE "0 p0 = kfree p0 m0\n",
	    "test:5:3: \"kfree\" defines no register, expected no \"p0 ="
	    "\"" },
	{ FIVE "0 m1 = kmalloc 64 m0 0\n",
	    "test:5:3: register m1 is of another kind, expected p0, p1, ."
	    ".." },
	{ FIVE "0 x0 = kmalloc 64 m0 0\n",
	    "test:5:3: \"x0\" is not a register, expected p0, p1, ..." },
	{ FIVE "0 p = kmalloc 64 m0 0\n",
	    "test:5:3: \"p\" is not a register, expected p0, p1, ..." },
	{ FIVE "0 p01 = kmalloc 64 m0 0\n",
	    "test:5:3: \"p01\" is not a register, expected p0, p1, ..." },
	{ FIVE "0 p16777216 = kmalloc 64 m0 0\n",
	    "test:5:3: register p16777216 is out of range, expected p0..p"
	    "16777215" },
	{ FIVE "0 p99999999999999999999 = kmalloc 64 m0 0\n",
	    "test:5:3: register p99999999999999999999 is out of range, ex"
	    "pected p0..p16777215" },
	{ FIVE "0 p0x1 = kmalloc 64 m0 0\n",
	    "test:5:3: \"p0x1\" is not a register, expected p0, p1, ..." },
	{ FIVE "0 null = kmalloc 64 m0 0\n",
	    "test:5:3: \"null\" is not a register, expected p0, p1, ..." },
	{ FIVE "0 p0 == kmalloc 64 m0 0\n",
	    "test:5:7: unknown operation \"=\", expected one of kalab-tra"
	    "ce(5)" },
	{ FIVE "0 \"kmalloc\"\n",
	    "test:5:3: unknown operation \"\"kmalloc\"\" (did you mean \""
	    "kmalloc\"?)" },
	/* Arguments. */
	{ FIVE "0 p0 = kmalloc\n",
	    "test:5:15: missing argument 1 of \"kmalloc\", expected a siz"
	    "e in bytes" },
	{ FIVE "0 p0 = kmalloc 64   # no type\n",
	    "test:5:21: missing argument 2 of \"kmalloc\", expected a mal"
	    "loc type (m0, m1, ...) or null" },
	{ FIVE "0 p0 = kmalloc 64 m0\n",
	    "test:5:21: missing argument 3 of \"kmalloc\", expected flags"
	    " such as WAITOK|ZERO, or 0" },
	{ FIVE "0 p0 = kmalloc 64 m0 WAITOK ZERO\n",
	    "test:5:29: unexpected \"ZERO\" after \"kmalloc\", expected t"
	    "he end of the line" },
	{ FIVE "0 p0 = kmalloc 64 m0 WAITOK | ZERO\n",
	    "test:5:29: unexpected \"|\" after \"kmalloc\", expected the "
	    "end of the line" },
	{ FIVE "0 quiesce 1\n",
	    "test:5:11: unexpected \"1\" after \"quiesce\", expected the "
	    "end of the line" },
	{ FIVE "0 quiesce \"x\"\n",
	    "test:5:11: unexpected \"\"x\"\" after \"quiesce\", expected "
	    "the end of the line" },
	{ FIVE "0 kfree p7 m0\n",
	    "test:5:9: register p7 is used before it is defined" },
	{ FIVE "0 p0 = kstrdup \"x\" m1\n",
	    "test:5:20: register m1 is used before it is defined" },
	{ FIVE "0 p0 = kmalloc 64 p0 0\n",
	    "test:5:19: register p0 is of another kind, expected a malloc"
	    " type (m0, m1, ...) or null" },
	{ FIVE "0 kfree m0 m0\n",
	    "test:5:9: register m0 is of another kind, expected an object"
	    " (p0, p1, ...) or null" },
	{ FIVE "0 kfree 0 m0\n",
	    "test:5:9: \"0\" is not a register, expected an object (p0, p"
	    "1, ...) or null" },
	{ FIVE "0 kfree \"p0\" m0\n",
	    "test:5:9: \"\"p0\"\" is not a register, expected an object ("
	    "p0, p1, ...) or null" },
	{ FIVE "0 vm_page_free p0\n",
	    "test:5:16: register p0 is of another kind, expected a run of"
	    " pages (g0, g1, ...) or null" },
	{ FIVE "0 kfree nul m0\n",
	    "test:5:9: \"nul\" is not a register, expected an object (p0,"
	    " p1, ...) or null" },
	{ FIVE "0 kfree p0x0 m0\n",
	    "test:5:9: \"p0x0\" is not a register, expected an object (p0"
	    ", p1, ...) or null" },
	{ FIVE "0 p0 = kmalloc 18446744073709551616 m0 0\n",
	    "test:5:16: number 18446744073709551616 is out of range, expe"
	    "cted 0..18446744073709551615" },
	{ FIVE "0 p0 = kmalloc 0x10000000000000000 m0 0\n",
	    "test:5:16: number 0x10000000000000000 is out of range, expec"
	    "ted 0..18446744073709551615" },
	{ FIVE "0 p0 = kmalloc -1 m0 0\n",
	    "test:5:16: \"-1\" is not a number, expected decimal or 0x he"
	    "xadecimal" },
	{ FIVE "0 p0 = kmalloc 1k m0 0\n",
	    "test:5:16: \"1k\" is not a number, expected decimal or 0x he"
	    "xadecimal" },
	{ FIVE "0 p0 = kmalloc m0 64 0\n",
	    "test:5:16: \"m0\" is not a number, expected decimal or 0x he"
	    "xadecimal" },
	{ FIVE "0 p0 = kmalloc 1 m0 WAITOKAY\n",
	    "test:5:21: unknown flag \"WAITOKAY\" (did you mean \"WAITOK"
	    "\"?)" },
	{ FIVE "0 p0 = kmalloc 1 m0 M_WAITOK\n",
	    "test:5:21: unknown flag \"M_WAITOK\" (did you mean \"WAITOK"
	    "\"?)" },
	{ FIVE "0 p0 = kmalloc 1 m0 ZERO|zero\n",
	    "test:5:26: unknown flag \"zero\" (did you mean \"ZERO\"?)" },
	{ FIVE "0 p0 = kmalloc 1 m0 65536\n",
	    "test:5:21: number 65536 is out of range, expected 0..65535" },
	{ FIVE "0 p0 = kmalloc 1 m0 ZERO||WAITOK\n",
	    "test:5:26: missing flag, expected names such as POWEROF2|CAC"
	    "HEALIGN, or a number" },
	{ FIVE "0 p0 = kmalloc 1 m0 |ZERO\n",
	    "test:5:21: missing flag, expected names such as POWEROF2|CAC"
	    "HEALIGN, or a number" },
	{ FIVE "0 p0 = kmalloc 1 m0 ABCDEFGH\n",
	    "test:5:21: unknown flag \"ABCDEFGH\", expected names such as"
	    " POWEROF2|CACHEALIGN, or a number" },
	{ FIVE "0 p0 = kmalloc 1 m0 =\n",
	    "test:5:21: unknown flag \"=\", expected names such as POWERO"
	    "F2|CACHEALIGN, or a number" },
	{ FIVE "0 g0 = vm_page_alloc 1 0 VM_ALLOC_NORMAL\n",
	    "test:5:26: unknown flag \"VM_ALLOC_NORMAL\" (did you mean \""
	    "NORMAL\"?)" },
	{ FIVE "0 g0 = vm_page_alloc 1 0 WAITOK\n",
	    "test:5:26: unknown flag \"WAITOK\", expected names such as I"
	    "NTERRUPT|ZERO, or a number" },
	{ FIVE "0 m1 = malloc_init x\n",
	    "test:5:20: \"x\" is not a string, expected one in double quo"
	    "tes" },
	{ FIVE "0 m1 = malloc_init \"x\n",
	    "test:5:20: string is not closed, expected \"" },
	{ FIVE "0 m1 = malloc_init \"\"\n",
	    "test:5:20: string has 0 characters, expected 1..32" },
	{ FIVE "0 m1 = malloc_init \"123456789012345678901234567890123\"\n",
	    "test:5:20: string has 33 characters, expected 1..32" },
	{ FIVE "0 m1 = malloc_init \"a\\n\"\n",
	    "test:5:22: unknown escape \"\\n\", expected \\\" or \\\\" },
	{ FIVE "0 m1 = malloc_init \"a\\\n",
	    "test:5:20: string is not closed, expected \"" },
	{ FIVE "0 m1 = malloc_init \"a\tb\"\n",
	    "test:5:22: a tab in a string, expected printable ASCII" },
	{ FIVE "0 m1 = malloc_init \"a\" \"b\"\n",
	    "test:5:24: unexpected \"\"b\"\" after \"malloc_init\", expec"
	    "ted the end of the line" },
	{ FIVE "0 migrate 2\n",
	    "test:5:11: cpu 2 is out of range, expected 0..1" },
	{ FIVE "0 migrate m0\n",
	    "test:5:11: \"m0\" is not a number, expected decimal or 0x he"
	    "xadecimal" },
	{ FIVE "0 kfree_wild heap m0\n",
	    "test:5:14: unknown pointer \"heap\", expected one of null, s"
	    "tack, static, unmapped, page, high" },
	/* Bytes and lengths. */
	{ FIVE "0 quiesce\x0d\n",
	    "test:5:10: byte 0x0d is not allowed here, expected printable"
	    " ASCII" },
	{ FIVE "0 quiesce \x01\n",
	    "test:5:11: byte 0x01 is not allowed here, expected printable"
	    " ASCII" },
	{ FIVE "0 quiesce # \x1b[31m\n",
	    "test:5:13: byte 0x1b is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 quiesc\xc3\xa9\n",
	    "test:5:9: byte 0xc3 is not allowed here, expected printable "
	    "ASCII" },
	{ FIVE "0 m1 = malloc_init \"\xc3\xa9\"\n",
	    "test:5:21: byte 0xc3 is not allowed here, expected printable"
	    " ASCII" },
	{ FIVE "0 quiesce # \xc3(\n",
	    "test:5:13: byte 0xc3 is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 quiesce # \xc0\xaf\n",
	    "test:5:13: byte 0xc0 is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 quiesce # \xed\xa0\x80\n",
	    "test:5:13: byte 0xed is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 quiesce # \xc2\x85\n",
	    "test:5:13: byte 0xc2 is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 quiesce # \xe2\x82\n",
	    "test:5:13: byte 0xe2 is not allowed here, expected printable"
	    " UTF-8" },
	{ FIVE "0 m1 = malloc_init \"#\" \x7f\n",
	    "test:5:24: byte 0x7f is not allowed here, expected printable"
	    " ASCII" },
	{ FIVE "0 yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
	       "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n",
	    "test:5:3: unknown operation \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
	    "yyyyyyyyyy...\", expected one of kalab-trace(5)" },
};

static void
errors_have_a_place_and_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(bad_texts); i++) {
		const struct bad_text *bad = &bad_texts[i];
		struct trace_error error;
		struct trace t;
		char line[600];

		if (trace_test_parse(
			bad->text, strlen(bad->text), &t, &error) == 0)
			fail_msg("no error in: %s", bad->text);
		trace_error_format(&error, line, sizeof(line));
		assert_string_equal(line, bad->error);
	}
}

/* Errors that need a length, since NUL bytes or long lines are in them. */
static void
odd_bytes_and_lengths(void **state)
{
	struct trace_error error;
	struct trace t;
	char line[600];
	const size_t head = strlen(FIVE);
	const size_t size = head + 5000;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, ' ', size);
	memcpy(text, FIVE, head);
	/* 4096 bytes are a line, 4097 are not, with a newline or without. */
	text[head + 4096] = '\n';
	assert_int_equal(trace_test_parse(text, head + 4097, &t, &error), 0);
	trace_fini(&t);
	assert_int_equal(trace_test_parse(text, head + 4096, &t, &error), 0);
	trace_fini(&t);
	text[head + 4096] = ' ';
	for (size_t cut = head + 4097; cut <= size; cut += 451) {
		assert_int_equal(trace_test_parse(text, cut, &t, &error), -1);
		trace_error_format(&error, line, sizeof(line));
		assert_string_equal(line,
		    "test:5:4097: line is too long, expected at most 4096 "
		    "bytes");
	}
	text[head + 4097] = '\n';
	assert_int_equal(trace_test_parse(text, head + 4098, &t, &error), -1);
	text[head + 3] = '\0';
	text[head + 4096] = '\n';
	assert_int_equal(trace_test_parse(text, head + 4097, &t, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line,
	    "test:5:4: byte 0x00 is not allowed here, expected printable "
	    "ASCII");
	free(text);
}

static void
an_error_is_final(void **state)
{
	static const char text[] = FIVE "0 quiesce\n0 bad\n0 quiesce\n";
	struct trace_error error;
	struct trace_reader *r;
	struct trace_op op;
	char line[600];

	(void)state;
	assert_int_equal(
	    trace_reader_open_mem(&r, "test", text, strlen(text), &error), 0);
	assert_int_equal(trace_reader_next(r, &op, &error), 1);
	assert_int_equal(trace_reader_next(r, &op, &error), 1);
	for (int i = 0; i < 3; i++) {
		memset(&error, 0, sizeof(error));
		assert_int_equal(trace_reader_next(r, &op, &error), -1);
		trace_error_format(&error, line, sizeof(line));
		assert_string_equal(line,
		    "test:6:3: unknown operation \"bad\", expected one of "
		    "kalab-trace(5)");
	}
	trace_reader_close(r);
}

static void
errors_are_one_line(void **state)
{
	struct trace_error error;
	char name[400], line[600], cut[8];

	(void)state;
	trace_error_set(&error, "a\nb\x1b", 3, 4, "x\ty%c%d", '\n', 5);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, "a?b?:3:4: x?y?5");
	trace_error_format(&error, cut, sizeof(cut));
	assert_string_equal(cut, "a?b?:3:");
	trace_error_set(&error, "f", 0, 17, "damaged");
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, "f: byte 17: damaged");
	/* Of long names the end is kept. */
	memset(name, 'd', sizeof(name));
	strcpy(name + sizeof(name) - 6, "/file");
	trace_error_set(&error, name, 1, 2, "x");
	assert_int_equal(strlen(error.file), sizeof(error.file) - 1);
	assert_memory_equal(error.file, "...d", 4);
	assert_string_equal(error.file + strlen(error.file) - 5, "/file");
	trace_error_set(NULL, "f", 1, 1, "nobody asks");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_a_place_and_words),
		cmocka_unit_test(odd_bytes_and_lengths),
		cmocka_unit_test(an_error_is_final),
		cmocka_unit_test(errors_are_one_line),
	};

	return (cmocka_run_group_tests_name("trace_error", tests, NULL, NULL));
}
