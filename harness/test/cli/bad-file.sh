# SPDX-License-Identifier: BSD-2-Clause
# Files that are no traces.
: > empty
printf '\n' > newline
printf '\0\0\0\0' > zeros
printf 'kalab-trace\n' > no-version
printf 'kalab-trace 2\n' > version
mkdir directory
for verb in replay show "show --bare"; do
	# shellcheck disable=SC2086
	for f in missing empty newline zeros no-version version; do
		t $verb $f
	done
done
t show directory
t replay "$ROOT/meson.build"
