#!/bin/sh
# Starts the lab, the benchmark or the tests: `sh lab/start.sh lab|bench|test [ARGUMENTS]`. It runs before anything is
# installed, so it is plain shell: it says what the machine lacks, installs the project's own dependencies, and hands
# over to Node.js.
set -eu

needed_major=20
needed_minor=19

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

check_node() {
    command -v node >/dev/null 2>&1 ||
        fail "Node.js $needed_major.$needed_minor or newer is needed, and there is no \`node\` on PATH." \
            "Install it from https://nodejs.org or your distribution, then try again."
    found=$(node -p process.versions.node)
    major=${found%%.*}
    rest=${found#*.}
    minor=${rest%%.*}
    if [ "$major" -lt "$needed_major" ] || { [ "$major" -eq "$needed_major" ] && [ "$minor" -lt "$needed_minor" ]; }; then
        fail "Node.js $needed_major.$needed_minor or newer is needed; \`node\` on PATH is $found ($(command -v node))."
    fi
}

# The lab makes networks, mounts and machines.
check_machine() {
    system=$(uname -s)
    [ "$system" = Linux ] || fail "The lab runs on Linux only; this is $system. \`npm test\` runs the tests that need no lab."
    [ "$(id -u)" -eq 0 ] || fail "The lab needs root, for its networks and machines. Run it as root: sudo npm run lab"
}

wants_help() {
    for argument in "$@"; do
        case $argument in --help | -h | help) return 0 ;; esac
    done
    return 1
}

# What one command installs and compiles, another may be about to run.
one_at_a_time() {
    exec 9<.
    command -v flock >/dev/null 2>&1 || return 0
    flock -n 9 && return
    echo "Waiting for another command that installs or compiles this project…" >&2
    flock -w 1800 9 || fail "It has not ended in half an hour. See what it does, then try again."
}

install_dependencies() {
    marker=node_modules/.package-lock.json # what npm writes last
    if [ -f "$marker" ] && [ -z "$(find package-lock.json -newer "$marker")" ]; then return; fi
    echo "Installing the project's dependencies (npm ci)…" >&2
    output=$(npm ci --no-audit --no-fund --loglevel=error 2>&1) || fail "$output" "npm ci failed; see above."
    touch "$marker"
}

build() {
    node -e 'require("./dist/build.js").assertBuildIsFresh()' >/dev/null 2>&1 && return
    echo "Compiling the commands that run on behalf of a stack (npm run build)…" >&2
    npm run --silent build >&2 || fail "npm run build failed; see above."
}

target=${1-}
case $target in
    lab | test) program=$target/main.ts ;;
    bench) program=lab/bench/main.ts ;;
    *) fail "usage: sh lab/start.sh lab|bench|test [ARGUMENTS]" ;;
esac
shift

cd "$(dirname "$0")/.."
check_node
if [ "$target" != test ] && ! wants_help "$@"; then check_machine; fi
one_at_a_time
install_dependencies
build
exec 9<&-
exec node --import tsx "$program" "$@"
