# SPDX-License-Identifier: BSD-2-Clause
# What cannot be written is an error, wherever it goes.
[ -c /dev/full ] || skip "no /dev/full"
f=$ROOT/harness/test/data/import-excerpt.txt.xz
"$KALAB" import --from ftrace -o a.kt "$f" 2> report
full() {
	echo "$ kalab $*"
	"$KALAB" "$@" > /dev/full
	echo "status $?"
}
{
	full --help
	full --version
	full list
	full replay a.kt
	full replay --json a.kt
	full show a.kt
	full show --bare a.kt
	full run
	full run --help
	full import --from ftrace "$f"
} 2>&1
t import --from ftrace -o /dev/full "$f"
