# SPDX-License-Identifier: BSD-2-Clause
# One seed in 64 is run twice without being asked (G-10): of a malloc that
# refuses something once, in the first run and not in the second.
[ -n "${BAD_CALLOC:-}" ] || skip "no BAD_CALLOC"
once() {
	LD_PRELOAD=$BAD_CALLOC BAD_CALLOC_ONCE=1 "$KALAB" "$@"
}
once --version > version 2>&1 && grep -q '^kalab [0-9.]*$' version ||
    skip "nothing can be preloaded"
# That something is refused is no finding of one run.
for seed in 128 135 "135 --twice"; do
	# shellcheck disable=SC2086
	once run --subject malloc --contents sampled --seed $seed > out
	echo "seed $seed: status $?"
	grep -e clause -e replay out
done
# The command of the report shows it again.
once run --subject malloc --contents sampled --seed 128 > out
command=$(sed -n 's/^  replay     kalab //p' out)
# shellcheck disable=SC2086
once $command > again
echo "status $?"
grep clause again
# shellcheck disable=SC2086
status $command
