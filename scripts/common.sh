# Shared by ./dev: where things are, and how a long step shows itself.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/klaxon"
run_dir="$root/.run"
requirements="$root/tests/requirements.txt"
venv="$cache/venv-$(sha256sum "$requirements" | cut -c1-16)"
python="$venv/bin/python"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m'; dim=$'\033[2m'; red=$'\033[31m'; green=$'\033[32m'; plain=$'\033[0m'
else bold=; dim=; red=; green=; plain=; fi

say() { printf '%s\n' "$*"; }
die() { printf '%s%s%s\n' "$red" "$*" "$plain" >&2; exit 1; }

# step NAME COMMAND…: runs it with its output in .run/logs/NAME.log; shows the time, and the log's end when it fails.
step() {
    local name=$1 log start pid status
    shift
    mkdir -p "$run_dir/logs"
    log="$run_dir/logs/${name//[^a-zA-Z0-9]/-}.log"
    start=$SECONDS
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    # A terminal sees the seconds go by; a pipe gets one line.
    trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; exit 130' INT TERM
    while [ -t 1 ] && kill -0 "$pid" 2>/dev/null; do
        printf '\r  %s… %ds ' "$name" $((SECONDS - start))
        sleep 0.2
    done
    wait "$pid"
    status=$?
    trap - INT TERM
    [ -t 1 ] && printf '\r\033[K'
    if [ $status -eq 0 ]; then
        printf '  %s%-40s%s %s%4ds%s\n' "$green" "$name" "$plain" "$dim" $((SECONDS - start)) "$plain"
    else
        printf '  %s%s failed after %ds; the end of %s:%s\n' "$red" "$name" $((SECONDS - start)) "${log#"$root"/}" "$plain"
        tail -n 25 "$log"
    fi
    return $status
}

# Each NAME.py of a folder, with the first line of its description.
list_scripts() {
    local file
    for file in "$1"/*.py; do
        printf '  %-14s %s\n' "$(basename "$file" .py | tr _ -)" "$(sed -n '1s/^"""//p' "$file")"
    done
}
