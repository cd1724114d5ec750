#!/bin/bash
# The short form of tests/soak/run: a few rounds of each kind, always the same ones.
# Labels: release
set -u
exec "$SOURCE_DIR/tests/soak/run" --rounds 2 --seed 1 --build "$BUILD_DIR"
