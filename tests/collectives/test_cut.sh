#!/bin/bash
# A link that is cut ends all ranks: three train in network namespaces, the link of one goes down, and each of them ends with
# status 3 and the name of a rank within the time limit.
# Labels: release
set -u
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 77; }
[ -e "$PLUGIN_DIR/m3bsr_collectives_mpi.so" ] || { echo 'skipped: built without MPI (libopenmpi-dev or libmpich-dev)'; exit 77; }
exec "$SOURCE_DIR/tools/bench/links" --cut --build "$BUILD_DIR"
