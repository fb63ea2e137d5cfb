#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause
# One script for both farms.
exec "$SRC/kalab/fuzz/oss-fuzz/build.sh"
