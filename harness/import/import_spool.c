/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records between the passes. The header of a trace says how many CPUs,
 * threads and pages there are, which only the whole input tells; and an input
 * may be a pipe, or cost much to unpack twice. So events are decoded once and
 * kept: the last chunk in memory, and if there is more than one, all of them
 * in a temporary file that has no name any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "import_int.h"

static FILE *
temporary(void)
{
	const char *dir = getenv("TMPDIR");
	char name[1024];

	if (dir == NULL || *dir == '\0')
		dir = "/tmp";
	const int size =
	    snprintf(name, sizeof(name), "%s/kalab-import-XXXXXX", dir);
	if (size < 0 || (size_t)size >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return (NULL);
	}
	const int fd = mkstemp(name);
	if (fd < 0)
		return (NULL);
	(void)unlink(name);
	FILE *fp = fdopen(fd, "w+");
	if (fp == NULL)
		(void)close(fd);
	return (fp);
}

/* Memory to the file. */
static int
flush(struct import__spool *s)
{
	if (s->fp == NULL)
		s->fp = temporary();
	if (s->fp == NULL)
		return (errno);
	errno = 0;
	if (fwrite(s->record, sizeof(*s->record), s->count, s->fp) !=
		s->count ||
	    fflush(s->fp) != 0)
		return (errno != 0 ? errno : EIO);
	s->count = 0;
	return (0);
}

int
import__spool_put(struct import__spool *s, const struct import__record *record)
{
	if (s->record == NULL) {
		s->record = malloc(IMPORT__CHUNK * sizeof(*s->record));
		if (s->record == NULL)
			return (ENOMEM);
	}
	if (s->count == IMPORT__CHUNK) {
		const int error = flush(s);

		if (error != 0)
			return (error);
	}
	s->record[s->count++] = *record;
	return (0);
}

int
import__spool_rewind(struct import__spool *s)
{
	s->at = 0;
	if (s->fp == NULL)
		return (0);
	if (!s->reading) {
		const int error = flush(s);

		if (error != 0)
			return (error);
	}
	s->reading = true;
	errno = 0;
	if (fseek(s->fp, 0, SEEK_SET) != 0)
		return (errno != 0 ? errno : EIO);
	s->count = 0;
	return (0);
}

int
import__spool_get(
    struct import__spool *s, const struct import__record **ret_record)
{
	if (s->at == s->count && s->fp != NULL) {
		errno = 0;
		s->count =
		    fread(s->record, sizeof(*s->record), IMPORT__CHUNK, s->fp);
		s->at = 0;
		if (s->count == 0 && ferror(s->fp)) {
			if (errno == 0)
				errno = EIO;
			return (-1);
		}
	}
	if (s->at == s->count)
		return (0);
	*ret_record = &s->record[s->at++];
	return (1);
}

void
import__spool_fini(struct import__spool *s)
{
	free(s->record);
	if (s->fp != NULL)
		(void)fclose(s->fp);
	*s = (struct import__spool) { 0 };
}
