#!/usr/bin/env python3
"""Measures what a cluster costs: `docs/cluster_cost.py STRESSTEST SERVER PUBLISHER [ROUNDS]`.

PUBLISHER is the example `bare_publisher` of chat-cluster. Three servers of NATS and two chat servers run here, with the
stream in memory. In each round, one after the other, in an order that is reversed each time:

- in bulk: what the two chat servers take of one client each, as much as it may; and what a stream takes of two bare
  publishers with entries as long as the batches were, alone and with two readers beside them, as each node is one;
- at 1000 messages per second and 10 clients, which leaves the processors time: the latency of the cluster, of one chat server in a cluster of its own, and
  of one without a cluster.

Printed are the medians and the medians of the ratios in one round, with the least and the greatest.
"""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

BODY_LEN = 64
SECONDS = 3
BULK = ["--size", str(BODY_LEN), "--check", "off", "-p", "2", "-s", "1", "--window", "4000", "--duration", f"{SECONDS}s"]
STEADY = ["--size", str(BODY_LEN), "-p", "2", "-s", "8", "--rate", "500", "--duration", f"{SECONDS}s"]


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 9
    bulk, steady = [], []
    with contextlib.ExitStack() as running:
        nats = start_nats(running)
        pair = start_servers(running, nats, "pair", 2)
        lone = start_servers(running, nats, "lone", 1)
        plain = [start_server(running, [])]
        for number in range(rounds):
            bulk.append(measure_bulk(nats, pair, number % 2))
            groups = {"two nodes": pair, "one node": lone, "no cluster": plain}
            order = sorted(groups, reverse=number % 2 == 1)
            steady.append({name: latency(groups[name]) for name in order})
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    show("messages per second and node", "two nodes", bulk, "{:.4g}")
    show("p50 at 1000/s, us", "no cluster", [pick(it, "p50_us") for it in steady], "{:.4g}")
    show("p99 at 1000/s, us", "no cluster", [pick(it, "p99_us") for it in steady], "{:.4g}")


def pick(figures, key):
    return {name: them[key] for name, them in figures.items()}


def show(title, against, rounds, form):
    """Prints the medians of each of the things, and of its ratio to one of them."""
    print(title)
    for name in rounds[0]:
        median = statistics.median(it[name] for it in rounds)
        line = f"  {name}: {form.format(median)}"
        if name != against and against in rounds[0]:
            ratios = sorted(it[against] / it[name] if title.startswith("messages") else it[name] / it[against] for it in rounds)
            line += f", ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line)


def measure_bulk(nats, pair, is_reversed):
    """Returns messages per second and node, of the cluster and of bare publishers with batches as long."""
    # The length of a batch is what the last round of the cluster had.
    figures = {}
    for turn in range(2):
        if turn == is_reversed:
            before = [batches(metrics) for _, metrics in pair]
            run = stresstest(pair, BULK)
            after = [batches(metrics) for _, metrics in pair]
            count, size = (sum(b[i] - a[i] for a, b in zip(before, after)) for i in range(2))
            measure_bulk.batch_len = size / count
            figures["two nodes"] = run["counts"]["sent"] / run["counts"]["load_s"] / 2
        else:
            for readers in (0, 2):
                figures[f"bare publishers, {readers} readers"] = publish(nats, measure_bulk.batch_len, readers)
    return figures


measure_bulk.batch_len = 65000


def publish(nats, batch_len, readers):
    command = [sys.argv[3], ",".join(nats), "bare", "--beside", "pair", "--bytes", str(int(batch_len))]
    command += ["--publishers", "2", "--readers", str(readers), "--seconds", str(SECONDS)]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    told = json.loads(run.stdout)
    return told["bytes"] / (BODY_LEN + 1) / told["seconds"] / 2


def latency(servers):
    return stresstest(servers, STEADY)["latency"]["delivery"]


def stresstest(servers, load):
    addresses = ",".join(address for address, _ in servers)
    command = [sys.argv[1], "--connect", addresses, "--json", "-"] + load
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # On a busy machine a run may be inconclusive. Its ratio to the one beside it still tells something.
    if run.returncode not in (0, 5):
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def batches(metrics):
    """Returns how many own batches a node had, and their bytes."""
    text = urllib.request.urlopen(f"http://{metrics}/metrics").read().decode()
    names = ("batches", "bytes")
    return [float(re.search(rf"^chat_server_cluster_own_{name}_total (\S+)", text, re.M)[1]) for name in names]


def start_nats(running):
    """Starts three servers, and returns their URLs."""
    program = shutil.which("nats-server", path=f"{subprocess.os.environ['PATH']}:/usr/sbin")
    folder = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory()))
    ports = free_ports(6)
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports[3:])
    for number in range(3):
        config = folder / f"{number}.conf"
        config.write_text(
            f'server_name: nats-{number}\nlisten: "127.0.0.1:{ports[number]}"\n'
            f'jetstream {{ store_dir: "{folder}/{number}" }}\n'
            f'cluster {{ name: chat, listen: "127.0.0.1:{ports[3 + number]}", routes: [ {routes} ] }}\n'
        )
        start(running, [program, "-c", str(config)], stderr=subprocess.DEVNULL)
    return [f"nats://127.0.0.1:{port}" for port in ports[:3]]


def start_servers(running, nats, stream, count):
    """Starts chat servers in a cluster, each with a server of NATS of its own."""
    options = ["--cluster-stream", stream, "--cluster-storage", "memory", "--cluster-max-bytes", "128MiB"]
    return [
        start_server(running, options + ["--cluster", nats[number], "--node", f"node-{number}"])
        for number in range(count)
    ]


def start_server(running, options):
    """Starts a chat server, and returns its address and that of its metrics."""
    metrics = f"127.0.0.1:{free_ports(1)[0]}"
    server = start(running, [sys.argv[2], "127.0.0.1:0", "--metrics", metrics] + options, stdout=subprocess.PIPE)
    return server.stdout.readline().decode().split()[-1], metrics


def start(running, command, **options):
    process = subprocess.Popen(command, **options)
    running.callback(end, process)
    return process


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [it.getsockname()[1] for it in sockets]


if __name__ == "__main__":
    main()
