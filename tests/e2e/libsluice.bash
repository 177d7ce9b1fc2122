# For tests of libsluice.so: installed into an empty prefix, and a program of somebody else compiled
# against it. Loaded after lib.bash.

# In setup_file: PREFIX, and USER_PROGRAM for `user`.
install_library() {
  local root build
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  build=$(dirname "$(realpath "${SLUICE:-$root/build/test/sluice}")")
  export PREFIX=$BATS_FILE_TMPDIR/prefix USER_PROGRAM=$BATS_FILE_TMPDIR/user
  cmake --install "$build" --prefix "$PREFIX" >"$BATS_FILE_TMPDIR/install.log" 2>&1 3>&-
  export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig LD_LIBRARY_PATH=$PREFIX/lib
  # A program that loads a library with sanitizers must have them itself.
  SANITIZE=
  if grep -q __asan_init <(nm -D "$PREFIX/lib/libsluice.so"); then SANITIZE=-fsanitize=address,undefined; fi
  export SANITIZE
  compile cc -std=gnu11 -O1 -g -Wall -Wextra -Werror "$root/tests/e2e/libsluice.c" -o "$USER_PROGRAM" -pthread 3>&-
}

# compile COMPILER FLAG...: with what pkg-config says.
compile() {
  local compiler=$1
  shift
  # shellcheck disable=SC2046,SC2086 # flags
  $compiler $SANITIZE $(pkg-config --cflags sluice) "$@" $(pkg-config --libs sluice)
}

user() { "$USER_PROGRAM" "$@"; }
