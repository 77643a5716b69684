# Wait until a vLLM server has no request left, then return: run by kubelet before SIGTERM.
#
# Carried as text in the pod's preStop command: POSIX sh, dash and busybox ash too. It asks by
# drain.py where there is a python, by curl and awk where there is none, and waits for the endpoints
# alone where there is no curl either. It writes nothing to disk, and exits 0. Arguments: seconds to
# wait at most, seconds that endpoints need to learn that the pod ends, http or https, the server's
# address, its ports with spaces between, and drain.py itself.
#
# Why: vLLM aborts every request at SIGTERM; it listens only once its model is loaded; while it
# loads, one SIGTERM is swallowed and two are not; a shell as PID 1 never passes one on.

# seconds since boot, without a program
now() { read -r now _ </proc/uptime; now=${now%%.*}; }

# slurp PID FILE: a file of a process, its lines joined by slashes, NUL bytes dropped
slurp() {
  text=
  { while IFS= read -r line || [ "$line" ]; do text=$text$line/; done; } 2>/dev/null <"/proc/$1/$2"
}

# field PID NAME: a field of a process's status
field() {
  value=
  { while read -r key word _; do [ "$key" != "$2:" ] || value=$word; done; } 2>/dev/null <"/proc/$1/status"
}

# is_ours PID: a process of this container; PID 1 is not where namespaces are shared
is_ours() { slurp $$ cgroup; ours=$text; slurp "$1" cgroup; [ "$ours" = "$text" ]; }

is_shell() {
  slurp "$1" comm
  case $text in sh/ | bash/ | dash/ | ash/ | busybox/ | ksh/ | zsh/) return 0 ;; esac
  return 1
}

# SIGTERM reaches PID 1: the kernel drops what it neither handles nor blocks
takes_term() {
  for mask in SigCgt SigBlk; do
    field 1 $mask
    case $value in '' | *[4567cdefCDEF]???) return 0 ;; esac
  done
  return 1
}

# the processes beside PID 1 that run vLLM: the uppermost, no shell, not this one
servers() {
  found=' ' servers=
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    case $pid in 1 | $$) continue ;; esac
    slurp "$pid" cmdline
    case $text in *[vV][lL][lL][mM]*) ;; *) continue ;; esac
    is_shell "$pid" || ! is_ours "$pid" || found="$found$pid "
  done
  for pid in $found; do
    field "$pid" PPid
    case $found in *" $value "*) ;; *) servers="$servers $pid" ;; esac
  done
}

# SIGTERM; a process may be gone, or belong to somebody else
term() { for pid; do kill -TERM "$pid" 2>/dev/null; done; }

# a server that does not listen yet: one SIGTERM here, kubelet's is the second
end_loading() {
  if is_ours 1 && ! is_shell 1; then
    while servers; ! takes_term && [ -z "$servers" ] && now && [ "$now" -lt "$end" ]; do sleep 1; done
    if takes_term; then
      term 1
      sleep 1
      return
    fi
  fi
  for _ in 1 2; do
    servers
    term $servers
    sleep 1
  done
}

# pass SIGTERM on where PID 1 will not
end_serving() {
  if is_ours 1 && { is_shell 1 || ! takes_term; }; then
    servers
    term $servers
  fi
}

# write to the container's log; to the hook's own output where that cannot be reached
say() {
  if ! { is_ours 1 && printf 'tunegate preStop: %s\n' "$1" >>/proc/1/fd/1; } 2>/dev/null; then
    printf 'tunegate preStop: %s\n' "$1"
  fi
}

# how many requests run or wait in a text of metrics, all engines together, or why that is not
# known; the last line of the input is curl's: the status of the answer, its own exit status
count() {
  LC_ALL=C awk '
    { last = $0 }
    /^(# (HELP|TYPE) )?vllm:/ { found = 1 }
    /^vllm:num_requests_(running|waiting|swapped)([ \t{]|$)/ {
      rest = $0
      sub(/^[^ \t{]+[ \t]*/, "", rest)
      if (rest ~ /^[{]/) sub(/^.*[}]/, "", rest)
      split(rest, words, " ")
      value = 1
      if (words[1] ~ /^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$/)
        if (words[1] + 0 >= 0 && words[1] + 0 < 1e15) value = words[1] + 0
      total += value
    }
    END {
      if (total > int(total)) total = int(total) + 1
      if (last ~ / 7$/) print "gone"
      else if (last !~ / 0$/) print "slow"
      else if (last !~ /^200 / || !found) print "blind"
      else printf "%.0f\n", total
    }'
}

ask() { curl -q -s -k -L --noproxy '*' -m "$patience" "$@"; }

# look PORT: how many requests a port has, or gone, dead, slow, blind, or none: nothing can ask
look() {
  now
  patience=$((end - now))
  [ $patience -le 5 ] || patience=5
  [ $patience -ge 1 ] || patience=1
  for python in python3 python; do
    state=$("$python" -B -I -S -c "$probe" "$scheme" "$host" "$1" "$patience" 2>/dev/null) && return
  done
  # a tool that was there once is only slow
  if [ "$answered" ]; then state=slow; else state=none; fi
  command -v curl >/dev/null && command -v awk >/dev/null || return
  case $host in *:*) url="$scheme://[$host]:$1" ;; *) url="$scheme://$host:$1" ;; esac
  status=$(ask -o /dev/null -w '%{http_code}' "$url/health")
  case $?-$status in
    0-503) state=dead ;;
    0-*) state=$({ ask -w '\n%{http_code}' "$url/metrics"; echo " $?"; } | count) ;;
    7-*) state=gone ;;
    *) state=slow ;;
  esac
}

# wait for two samples in a row without a request, and say why the wait is over
drain() {
  zeros=0 answered=
  while :; do
    now
    passed=$((now - begun)) states= left=0
    for port in $ports; do
      # the deadline is that of all ports together
      if [ "$states" ] && now && [ "$now" -ge $end ]; then state=slow; else look "$port"; fi
      states="$states $state"
      case $state in [0-9]*) left=$((left + state)) ;; esac
    done
    rest="$left requests left"
    case $states in
      *slow*) rest='the server does not answer' left= ;;
      *blind*) rest='/metrics does not show requests (--disable-log-stats?), waited blindly' left= ;;
      *[0-9]*) ;;
      *none*) wait_blindly && return ;;
      *dead*) outcome='the engine is dead: /health answers 503' && return ;;
      *) outcome=${answered:-$loading} && return ;;
    esac
    answered='the server has gone'
    if [ "$left" = 0 ] && [ $passed -ge "$propagation" ]; then zeros=$((zeros + 1)); else zeros=0; fi
    now
    outcome="$rest after $((now - begun)) s"
    if [ $zeros = 2 ] || [ "$now" -ge $end ] || ! sleep 1; then return; fi
  done
}

# nothing can ask: only the endpoints can be waited for
wait_blindly() {
  sleep "$propagation"
  outcome="no python3 and no curl here, waited $propagation s"
}

main() {
  propagation=$2 scheme=$3 host=$4 ports=$5 probe=$6
  loading='the server is still loading: told to end'
  now
  # the first second counts only once it is over
  begun=$((now + 1)) end=$((now + $1))
  drain
  say "$outcome"
  if [ "$outcome" = "$loading" ]; then end_loading; else end_serving; fi
}

main "$@"
exit 0
