# SPDX-License-Identifier: BSD-2-Clause
# Lists are lines of fields separated by tabs, fit for cut(1).
t list subjects
for what in operations clauses protocols; do
	"$KALAB" list $what > list
	echo "$what: $(awk -F '\t' '{ print NF }' list | sort -u) fields"
done
"$KALAB" list clauses | cut -f 2 | sort -u
"$KALAB" list operations | grep '^kfree'
"$KALAB" list | grep '^#'
