#!/bin/sh
# Brings a whole cluster up on this machine, to try it out: three servers of NATS with JetStream, and some
# chat servers that serve one room. Ctrl-C takes it down again, and removes its files.
#
#   bins/server/dist/cluster/cluster.sh [NODES]
#
# NODES is how many chat servers there are, 2 if nothing is said. Variables:
#   CHAT_SERVER  the chat server [default: chat-server from $PATH, or target/release/chat-server]
#   NATS_SERVER  the server of NATS [default: nats-server from $PATH, or /usr/sbin/nats-server]
#   PORT         chat servers listen on it and on the next ones [default: 8080]
#   NATS_PORT    servers of NATS listen on it and on the next eight [default: 4222]
#   DIR          where the stream and the logs are; it is kept then [default: a new directory]
set -eu

nodes=${1:-2}
port=${PORT:-8080}
nats_port=${NATS_PORT:-4222}
stream=room

# Finds a program in one of some places.
find_program() {
    for place in "$@"; do
        if path=$(command -v "$place" 2>/dev/null); then
            printf '%s\n' "$path"
            return
        fi
    done
    echo "error: $1 is missing: install it, or say where it is (see the top of this file)" >&2
    exit 1
}

# Waits until process $1 has printed $2 to file $3, up to $4 tenths of a second; its log is file $5. $6 says
# what did not happen.
wait_for() {
    tries=0
    until grep -qs "$2" "$3"; do
        tries=$((tries + 1))
        if [ "$tries" -ge "$4" ] || ! kill -0 "$1" 2>/dev/null; then
            echo "error: $6; its last lines:" >&2
            tail -n 5 "$5" >&2
            exit 1
        fi
        sleep 0.1
    done
}

case $nodes in
    '' | *[!0-9]* | 0) echo "usage: $0 [NODES]" >&2; exit 2 ;;
esac
nats=$(find_program "${NATS_SERVER:-nats-server}" "${NATS_SERVER:-/usr/sbin/nats-server}")
root=$(cd "$(dirname "$0")/../../../.." && pwd)
chat=$(find_program "${CHAT_SERVER:-chat-server}" "${CHAT_SERVER:-$root/target/release/chat-server}")
if [ -n "${DIR:-}" ]; then
    dir=$DIR
    mkdir -p "$dir"
else
    dir=$(mktemp -d)
fi

pids=
nats_pids=
chat_pids=
end() {
    trap '' INT TERM
    # Chat servers first: they deliver what they have.
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -z "${DIR:-}" ]; then
        rm -rf "$dir"
    fi
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

urls=
for n in 0 1 2; do
    # To itself, too, which is passed over.
    routes="nats://127.0.0.1:$((nats_port + 3)), nats://127.0.0.1:$((nats_port + 4)), nats://127.0.0.1:$((nats_port + 5))"
    cat >"$dir/nats-$n.conf" <<EOF
server_name: nats-$n
listen: "127.0.0.1:$((nats_port + n))"
http: "127.0.0.1:$((nats_port + 6 + n))"
jetstream { store_dir: "$dir/nats-$n" }
cluster { name: chat, listen: "127.0.0.1:$((nats_port + 3 + n))", routes: [ $routes ] }
EOF
    "$nats" -c "$dir/nats-$n.conf" >"$dir/nats-$n.log" 2>&1 &
    pids="$! $pids"
    nats_pids="$nats_pids $!"
    urls="$urls${urls:+,}nats://127.0.0.1:$((nats_port + n))"
done
n=0
for pid in $nats_pids; do
    log=$dir/nats-$n.log
    wait_for "$pid" 'Server is ready' "$log" 100 "$log" "nats-server $n did not get ready"
    n=$((n + 1))
done

n=1
while [ "$n" -le "$nodes" ]; do
    "$chat" --cluster "$urls" --cluster-stream "$stream" --node "node-$n" "127.0.0.1:$((port + n - 1))" \
        >"$dir/chat-$n.out" 2>"$dir/chat-$n.log" &
    pids="$! $pids"
    chat_pids="$chat_pids $!"
    n=$((n + 1))
done
addrs=
n=1
for pid in $chat_pids; do
    # A chat server is ready when it has joined.
    wait_for "$pid" '^listening on ' "$dir/chat-$n.out" 400 "$dir/chat-$n.log" "chat-server $n did not join"
    addrs="$addrs${addrs:+,}127.0.0.1:$((port + n - 1))"
    n=$((n + 1))
done
echo "NATS at $urls, files in $dir"
echo "one room at $addrs, for example:"
echo "  stresstest --connect $addrs --window 100 --duration 5s"
echo "Ctrl-C takes it down"
wait
