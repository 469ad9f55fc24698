# Runs the server in the directory of this script, and ends it by SIGTERM whatever signal comes: the
# virtual machine keeps SIGINT for its shell, and hears no signal before it has started. The second
# signal ends it at once.
end() {
    trap 'kill -KILL "$server"; exit 1' INT TERM
    while kill -TERM "$server" 2>/dev/null; do sleep 0.2; done &
}
trap 'exit 0' INT TERM
ulimit -n "$(ulimit -Hn)"
erl -noinput +Bi -env ERL_CRASH_DUMP /dev/null -pa "$(dirname "$0")" -run server main "$@" &
server=$!
trap end INT TERM
while :; do
    wait "$server"
    code=$?
    # A signal ends the waiting, too.
    kill -0 "$server" 2>/dev/null || exit "$code"
done
