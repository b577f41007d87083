# What `./dev --help` and `./dev COMMAND --help` print.
help_of() {
    case $1 in
    up) cat <<'TXT'
Usage: ./dev up [--kubeconfig FILE [--context NAME] [--cluster NAME]]

Installs what is missing, builds, and starts Kafka, the stage (a scripted API server, Slack, Teams, mail server, PagerDuty and Log
Analytics), the collector and the sinks, on free ports of this machine. Then a node of the stage is lost and repaired: its events, and the
messages on Slack and Teams, in the mailbox and at PagerDuty, are shown as they arrive. All of it goes on running until `./dev down`; Ctrl-C ends it too.

  --kubeconfig FILE  watch the cluster of this kubeconfig instead; it is only read. Messages still go to the stage
  --context NAME     its context (default: the current one)
  --cluster NAME     what klaxon calls the cluster (default: mine)

Examples:
  ./dev up
  ./dev up --kubeconfig ~/.kube/config --cluster prod-weu
TXT
        ;;
    down) cat <<'TXT'
Usage: ./dev down

Ends everything that `./dev up` started, in order: sinks and collector commit and leave first.
TXT
        ;;
    status) cat <<'TXT'
Usage: ./dev status

What runs, where, and whether it is ready. Exits 0 when everything is.
TXT
        ;;
    logs) cat <<'TXT'
Usage: ./dev logs [-f] [NAME…]

The last lines of the logs of `./dev up`: kafka, stage, collector, sink-slack, sink-email, sink-teams, sink-loganalytics,
sink-webhook (all by default).

  -f    go on until Ctrl-C
TXT
        ;;
    test) cat <<'TXT'
Usage: ./dev test [SUITE…]

Builds and runs the tests, all suites by default; ends in `N passed, N failed, N skipped`.

  lint               include directions, banned functions, sizes, headers that compile alone
  clang              builds without a warning of clang
  unit, asan         unit tests and corpora: release build; with ASan and UBSan
  integration        the real binaries with a real Kafka and a real kube-apiserver
  integration-asan   the same under ASan and UBSan
  prove              exactly-once across 40 disturbances, a repair end to end, history against a filter in Python
TXT
        ;;
    bench | prove) cat <<TXT
Usage: ./dev $1 NAME [--help | OPTIONS]

$([ "$1" = bench ] && echo "Measures on this machine. Close what else runs." || echo "Long proofs. The same seed kills at the same instants.")

$(for f in "$root/tests/$1"/*.py; do printf '  %-16s %s\n' "$(basename "${f%.py}" | tr _ -)" "$(sed -n '1s/^"""\(.*[.:]\).*/\1/p' "$f")"; done)
TXT
        ;;
    build) cat <<'TXT'
Usage: ./dev build [PRESET]

Builds into build/PRESET: dev, release (default), asan, clang, tsan, fuzz.
TXT
        ;;
    package) cat <<'TXT'
Usage: ./dev package

Builds the Debian packages klaxon, klaxon-collector and klaxon-sinks into build/release/packages (docs/install.md).
TXT
        ;;
    fuzz) cat <<TXT
Usage: ./dev fuzz NAME [SECONDS]

Runs a libFuzzer target for so long (default 30): $(for f in "$root"/tests/fuzz/fuzz_*.c; do basename "${f#*/fuzz_}" .c | sed 's/^fuzz_//'; done | tr '\n' ' ')
TXT
        ;;
    lint) echo "Usage: ./dev lint: what the compiler and the linker cannot see (tests/lint/lint.py)." ;;
    fmt) echo "Usage: ./dev fmt: lay out every C file with clang-format." ;;
    clean) echo "Usage: ./dev clean: end what \`./dev up\` started, and remove build/ and .run/." ;;
    *) return 1 ;;
    esac
}

usage() {
    cat <<'TXT'
Usage: ./dev COMMAND [ARGUMENTS]        ./dev COMMAND --help says more

  up              start everything, and watch a node repair reach Slack, Teams, a mailbox and PagerDuty
  down            end it
  status          what runs, where, and whether it is ready
  logs [NAME…]    what the processes say

  test [SUITE…]   build and run the tests
  bench NAME      measure
  prove NAME      run a long proof
  build [PRESET]  build into build/PRESET
  package         build the Debian packages
  fuzz NAME [S]   run a fuzz target
  lint, fmt       check and lay out the code
  clean           remove build/ and .run/

What is missing on the machine is installed first, and named. Each command can be repeated.
TXT
}
