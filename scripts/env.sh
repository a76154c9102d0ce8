# Sourced, never run: where this project's caches lie and how its builds find the native libraries.
# Everything that takes long to make is kept outside the tree, in a folder named by its version.
export PLIMSOLL_CACHE="${PLIMSOLL_CACHE:-$HOME/.cache/plimsoll}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PLIMSOLL_CACHE/target}"
export LIBTORCH="$PLIMSOLL_CACHE/libtorch-2.11.0/torch"
export DUCKDB_LIB_DIR="$PLIMSOLL_CACHE/duckdb-1.5.6/package" DUCKDB_NO_PKG_CONFIG=1
export LD_LIBRARY_PATH="$LIBTORCH/lib:$DUCKDB_LIB_DIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# The clients of tests/protocol, named by the versions in their requirements.txt.
export PLIMSOLL_CLIENTS="clients-tritonclient-2.73.0-kserve-0.21.0"
# libtorch spins up a thread per core otherwise, and slows down by a factor of ten on busy cores.
export OMP_NUM_THREADS=1
# What libs/stats is compared with, named by the versions in its requirements.txt.
export PLIMSOLL_REFERENCES="references-gbstats-0.8.0-scipy-1.17.1-statsmodels-0.15.0"
