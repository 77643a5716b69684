#!/usr/bin/env bash
# Set up what tunegate's checks, tests and demo need, on Debian or Ubuntu.
#
#   bootstrap.sh dev   the virtual environment: enough for `make check`
#   bootstrap.sh lab   system packages and the lab's programs
#   bootstrap.sh demo  the virtual environment, system packages, and the few programs of the demo
#   bootstrap.sh all   everything
#
# A second run takes about a second. What is missing and cannot be installed from here is named
# together, each with the command that installs it; the exit status is then 2.
set -euo pipefail

readonly UV_VERSION=0.13.8
readonly LAB_PACKAGES=(
  iproute2 nftables ethtool iputils-ping nfs-ganesha nfs-ganesha-mem nfs-ganesha-vfs
  libnfs-utils util-linux procps ca-certificates busybox curl dash tini
  qemu-system-x86 mmdebstrap debian-archive-keyring e2fsprogs buildah
  runc containernetworking-plugins prometheus
)
# as API_PROGRAMS and the nodes that act in tests/lab/lab.py
readonly DEMO_PROGRAMS=(
  etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok kwok-stages
)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly venv="$root/.venv"

programs=()         # the lab's programs wanted; none named means all of them
python=""           # the Python the virtual environment is made from
packages=()         # Debian packages to install
unmet=()            # what a person has to do, one command each
log=""              # output of the running step
step_pid=""

say() { printf '%s\n' "$*" >&2; }

cleanup() {
  if [[ -n $step_pid ]]; then kill "$step_pid" 2>/dev/null || true; fi
  if [[ -n $log ]]; then rm -f "$log"; fi
}

# step TEXT COMMAND...: run it quietly with a sign of life; show the end of its output if it fails
step() {
  local text=$1 every=15 begun=$SECONDS said=$SECONDS
  shift
  if [[ -t 2 ]]; then every=3; fi
  say "$text"
  : >"$log"
  "$@" >"$log" 2>&1 </dev/null &
  step_pid=$!
  while kill -0 "$step_pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - said >= every)); then
      said=$SECONDS
      say "  ... $((SECONDS - begun)) s: $(tail -n 1 "$log" | cut -c 1-100)"
    fi
  done
  if ! wait "$step_pid"; then
    step_pid=""
    tail -n 30 "$log" >&2
    say "This failed: $*"
    exit 1
  fi
  step_pid=""
}

is_root() { [[ $(id -u) == 0 ]]; }

has_package() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$(command -v "$candidate")
      return
    fi
  done
  unmet+=("Python 3.11 or newer:  apt-get install python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)")
}

# Debian keeps ensurepip in a package of its own
check_venv_module() {
  if [[ -z $python || -x $venv/bin/python ]]; then return; fi
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
  packages+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
}

check_packages() {
  local package
  for package in "${LAB_PACKAGES[@]}"; do
    if ! has_package "$package"; then packages+=("$package"); fi
  done
}

check_packages_can_be_installed() {
  if ((${#packages[@]} == 0)); then return; fi
  if ! command -v apt-get >/dev/null; then
    unmet+=("these programs, by this system's own means (here is no apt-get):  ${packages[*]}")
  elif ! is_root; then
    unmet+=("system packages:  sudo apt-get install --no-install-recommends ${packages[*]}")
  fi
}

check_root() {
  if ! is_root; then
    unmet+=("root, for network namespaces:  run this command again with sudo")
  fi
}

# Go is needed only while a program is missing from the cache
check_go() {
  local said
  if [[ -z $python ]]; then return; fi
  if ! said=$(cd "$root" && "$python" -m tests.lab.binaries --check "${programs[@]}" 2>&1); then
    unmet+=("$said")
  fi
}

report_unmet() {
  local item
  if ((${#unmet[@]} == 0)); then return; fi
  say "Cannot go on. Missing:"
  for item in "${unmet[@]}"; do say "- $item"; done
  exit 2
}

# The lab starts its own servers; the packages' services stay off. Only what is new is switched off.
install_packages() {
  local policy=/usr/sbin/policy-rc.d made_policy=no had_rpcbind=no
  if ((${#packages[@]} == 0)); then return; fi
  if has_package rpcbind; then had_rpcbind=yes; fi
  if [[ ! -e $policy ]]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    # shellcheck disable=SC2064 # the path is meant to be expanded now
    trap "rm -f $policy; cleanup" EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  local install=(apt-get install -y --no-install-recommends "${packages[@]}")
  if ! apt-get install --simulate --no-install-recommends "${packages[@]}" >/dev/null 2>&1; then
    step "Refreshing the package lists (about 15 s)" apt-get update
  fi
  step "Installing ${packages[*]} (about 30 s)" "${install[@]}"
  if [[ $made_policy == yes ]]; then
    rm -f "$policy"
    trap cleanup EXIT
  fi
  switch_off_services "$had_rpcbind"
}

switch_off_services() {
  local units=()
  if [[ ! -d /run/systemd/system ]]; then return; fi
  if [[ " ${packages[*]} " == *" nfs-ganesha "* ]]; then units+=(nfs-ganesha.service); fi
  if [[ " ${packages[*]} " == *" prometheus "* ]]; then units+=(prometheus.service); fi
  if [[ $1 == no ]] && has_package rpcbind; then units+=(rpcbind.service rpcbind.socket); fi
  if ((${#units[@]})); then systemctl disable --now "${units[@]}" >/dev/null 2>&1 || true; fi
}

# what the environment was made from; the same again means there is nothing to do
wanted_stamp() {
  printf 'uv %s\n' "$UV_VERSION"
  cd "$root" && sha256sum uv.lock pyproject.toml
}

make_venv() {
  local stamp=$venv/.bootstrap-stamp
  if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    step "Making the virtual environment $venv (about 5 s)" "$python" -m venv --clear "$venv"
  elif [[ -f $stamp && $(<"$stamp") == "$(wanted_stamp)" ]]; then
    return
  fi
  if [[ $("$venv/bin/uv" --version 2>/dev/null) != "uv $UV_VERSION"* ]]; then
    step "Installing uv $UV_VERSION (about 5 s)" \
      "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  fi
  step "Installing the locked Python packages (about 20 s)" \
    env -C "$root" UV_PROJECT_ENVIRONMENT="$venv" UV_PYTHON_DOWNLOADS=never \
    "$venv/bin/uv" sync --locked --all-extras --inexact --compile-bytecode
  wanted_stamp >"$stamp"
}

trust_system_certificates() {
  local bundle=/etc/ssl/certs/ca-certificates.crt
  if [[ -z ${SSL_CERT_FILE:-} && -r $bundle ]]; then export SSL_CERT_FILE=$bundle; fi
}

main() {
  local part=${1:-}
  if [[ $# != 1 || ! $part =~ ^(dev|lab|demo|all)$ ]]; then
    say "usage: $0 dev|lab|demo|all"
    exit 2
  fi
  if [[ $part == demo ]]; then programs=("${DEMO_PROGRAMS[@]}"); fi
  log=$(mktemp)
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trust_system_certificates
  find_python
  if [[ $part != lab ]]; then check_venv_module; fi
  if [[ $part != dev ]]; then
    check_root
    check_packages
    check_go
  fi
  check_packages_can_be_installed
  report_unmet
  # two at once would spoil each other's work
  exec 9<"$root"
  flock 9
  install_packages
  if [[ $part != lab ]]; then make_venv; fi
  if [[ $part != dev ]]; then
    (cd "$root" && "$python" -m tests.lab.binaries "${programs[@]}" >/dev/null)
  fi
  if [[ $part == lab || $part == all ]]; then
    (cd "$root" && "$python" -m tests.vm.image >/dev/null)
  fi
}

main "$@"
