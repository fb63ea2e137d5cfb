# SPDX-License-Identifier: BSD-2-Clause
# Options and words that verbs refuse.
t run --bogus
t run word
t run --cpus 65
t run --cpus 0
t run --jobs 65
t run --ops
t run --runs 1x
t run --seed -1
t run --seed 0x10 --runs 1 --ops 1 --time 0
t run --subject other
t run --threads 257
t replay
t replay --ops 0 file
t replay --audit '' file
t replay --perturb 18446744073709551616 file
t replay --contents some file
t replay --check order file
t replay --subject other file
t replay --json=yes file
t import
t import file
t import --from perf file
t import --from ftrace
t import --from ftrace one two
t import --from ftrace --pages 31 file
t import --from ftrace --map file
t show
t show one two
t show --ops none file
t shrink
t shrink one two
t shrink --time 0 file
t stats
t stats one two
t stats --perturb -1 file
t list word
t list clauses word
t explore
t explore one two
t explore --strategy dfs file
t explore --memory pso file
t explore --may migrate,sleep file
t explore --bound -1 file
t explore --jobs 0 file
t explore none.trace
t replay --sarif --story file
t triage
t triage --jobs 0 dir
t triage --replays 0 dir
t triage --time 1m dir
t triage none
t triage none.trace /
t triage --keep dir /
t finding
t finding 1 2
t finding --time 0 1
t finding --campaign none 1
t finding none.trace
t corpus
t corpus stats
t corpus count dir
t corpus stats -o new dir
t corpus stats none
t corpus minimize --target none . | sed 's, in [^ ]*: see, in BIN: see,'
echo "== numbers are decimal, or hexadecimal after 0x"
"$KALAB" run --ops 010 --seed 08 | cut -d , -f 1,2
"$KALAB" run --ops 0x10 --seed 0x8 | cut -d , -f 1,2
t run --ops 0x
t run --seed 0x-1
echo "== what contradicts itself, or would have no effect"
: > file
t replay --json --junit file
t replay --sarif --json file
t triage --json --sarif file
t show --bare --map file
t show --perturb 1 --bare file
t explore --may nothing,wake file
for o in "--audit 1" "--check wgl" "--contents none" "--subject malloc"; do
	# shellcheck disable=SC2086
	t explore $o protocol:mpipe-pending
done
echo "== where a finding could not be kept"
t run --keep none
t run --keep file
t explore --keep none file
t shrink -o none/x file
