# SPDX-License-Identifier: BSD-2-Clause
# What kalab mutate refuses, and that it says why nothing can be built.
t mutate --sample 0
t mutate --jobs 65
t mutate --bogus
t mutate --source "$ROOT" --build no/where --quiet
t mutate --mutants no/where --quiet
