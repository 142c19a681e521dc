#!/bin/sh
# Looks for data races and memory errors in the core.
#
#   tools/sanitize.sh thread [seconds]   writers and readers of one index, under ThreadSanitizer
#   tools/sanitize.sh valgrind [filter]  the core's index tests under memcheck, scalar kernels
#   tools/sanitize.sh miri [filter]      views and the index's locks under Miri, scalar kernels
#
# thread and miri need a nightly toolchain with its sources:
#   rustup toolchain install nightly --component rust-src,miri
# The standard library is built with the sanitizer too, for its locks are what is tested.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')

case ${1:-} in
thread)
  export CARGO_TARGET_DIR="$target/thread" RUSTFLAGS=-Zsanitizer=thread
  export RUVECTOR_STRESS_SECONDS="${2:-200}" TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"
  exec cargo +nightly test -Zbuild-std --target "$host" -p ruvector-core --test threads -- --nocapture
  ;;
valgrind)
  # Valgrind does not know AVX-512.
  export RUVECTOR_SIMD="${RUVECTOR_SIMD:-scalar}" RUVECTOR_NUM_THREADS=2 PROPTEST_CASES=2
  export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9 --fair-sched=yes"
  cargo test -p ruvector-core --lib -- "${2:-index::}" --skip crafted_files
  RUVECTOR_STRESS_SECONDS=5 exec cargo test -p ruvector-core --test threads
  ;;
miri)
  export CARGO_TARGET_DIR="$target/miri" RUVECTOR_SIMD=scalar PROPTEST_CASES=1
  export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks"
  cargo +nightly miri test -p ruvector-core --lib -- ${2:-matrix:: index::bitmap index::key}
  exec cargo +nightly miri test -p ruvector-core --test threads -- turns panicked
  ;;
*)
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
