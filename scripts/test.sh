# The suites of ./dev test. Each adds its cases to the totals; a suite that cannot run counts as one failure.
passed=0 failed=0 skipped=0

count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
}

# build PRESET [TARGET]: one at a time in a checkout.
build() {
    mkdir -p "$root/build"
    (flock 9 && cmake -S "$root" --preset "$1" && cmake --build "$root/build/$1" ${2:+--target "$2"}) 9>"$root/build/.lock"
}

# From a JUnit file: tests, failures + errors, skipped.
count_junit() {
    local numbers
    numbers=$("$python" - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree
suites = list(tree.parse(sys.argv[1]).getroot().iter("testsuite"))
total, bad, skipped = (sum(int(s.get(k) or 0) for s in suites for k in keys)
                       for keys in (("tests",), ("failures", "errors"), ("skipped", "disabled")))
print(total - bad - skipped, bad, skipped)
PY
    ) || numbers="0 1 0"
    # shellcheck disable=SC2086
    count $numbers
}

suite_ctest() {
    local preset=$1 junit="$run_dir/ctest-$1.xml"
    step "build $preset" build "$preset" || { count 0 1 0; return; }
    rm -f "$junit"
    step "unit tests ($preset)" ctest --test-dir "$root/build/$preset" -j 2 --output-on-failure --no-tests=error --output-junit "$junit"
    count_junit "$junit"
}

suite_lint() {
    local junit="$run_dir/lint.xml"
    if step "lint" "$python" "$root/tests/lint/lint.py"; then count 1 0 0; else count 0 1 0; fi
    tail -n 1 "$run_dir/logs/lint.log"
    rm -f "$junit"
    step "lint's own tests" "$python" -m pytest -q -p no:cacheprovider --junitxml "$junit" "$root/tests/lint"
    count_junit "$junit"
}

# The other compiler's opinion: no warning is one test passed.
suite_clang() {
    if step "build clang" build clang; then count 1 0 0; else count 0 1 0; fi
}

# The real binaries between a real Kafka and a real kube-apiserver. They mostly wait, so four run at a time, each with its own servers.
suite_integration() {
    local preset=$1 junit="$run_dir/integration-$1.xml"
    install_servers
    install_readers
    install_gitops
    step "build $preset" build "$preset" || { count 0 1 0; return; }
    rm -f "$junit"
    step "integration tests ($preset)" env KLAXON_BIN="$root/build/$preset" "$python" -m pytest -q -rs -p no:cacheprovider \
        -n 4 --dist worksteal --timeout 240 --junitxml "$junit" "$root/tests/integration"
    count_junit "$junit"
}

# Short runs of the long proofs; each ends in a line that says what it found.
suite_prove() {
    install_servers
    step "build release" build release programs || { count 0 1 0; return; }
    prove "exactly-once" --kills 40 --seed 2
    prove "repair" --nodes 3
    prove "sinks" --kills 20 --seed 1
    prove "replay" --seed 2
}

prove() {
    local name="prove $*"
    if step "$name" env PYTHONPATH="$root/tests" KLAXON_BIN="$root/build/release" \
        "$python" "$root/tests/prove/${1//-/_}.py" "${@:2}"; then count 1 0 0; else count 0 1 0; fi
    tail -n 1 "$run_dir/logs/${name//[^a-zA-Z0-9]/-}.log"
}

run_suites() {
    local suite
    for suite in "$@"; do
        case $suite in
        lint) suite_lint ;;
        clang) suite_clang ;;
        unit) suite_ctest release ;;
        asan) suite_ctest asan ;;
        integration) suite_integration release ;;
        integration-asan) suite_integration asan ;;
        prove) suite_prove ;;
        *) die "./dev test: unknown suite \"$suite\"; there are: lint, clang, unit, asan, integration, integration-asan, prove" ;;
        esac
    done
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}
