#!/usr/bin/env python3
"""Measures what TLS costs a server: `docs/tls_cost.py STRESSTEST SERVER`.

Each load runs plain and over TLS in turn, seven times, in an order that is reversed each time. Printed
are the medians of both, and the median of the ratios of runs next to each other, with the least and the
greatest. It needs the `openssl` command, for a certificate. Memory is what `docs/tls_memory.py` measures.
"""

import json
import statistics
import subprocess
import sys
import tempfile

from tls_memory import make_certificate

ROUNDS = 7

LOADS = {
    "bulk: 10 publishers with 1000 messages in flight each, 100 clients": (
        ["--window", "1000", "--duration", "3s", "-p", "10", "-s", "9"]
    ),
    "1000 messages per second, 100 clients": (
        ["--rate", "1000", "--duration", "3s", "-p", "1", "-s", "99"]
    ),
}

FIGURES = {
    "server's processor time per delivery, ns": lambda it: 1e3 * it["server"]["cpu_us_per_delivery"],
    "load tester's processor time per delivery, ns": (
        lambda it: 1e3 * it["health"]["cpu_us_per_delivery"]
    ),
    "deliveries per second": lambda it: it["counts"]["deliveries_per_s"],
    "p50 of delivery, us": lambda it: it["latency"]["delivery"]["p50_us"],
}


def measure(folder, load, options):
    stresstest, server = sys.argv[1:3]
    tls = ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"]
    run = subprocess.run(
        [stresstest, "-a", "127.0.0.1:0", "--size", "64", "--check", "off", "--json", "-"]
        + load
        + options
        + [server, "--", "--tls-listen", "127.0.0.1:0"]
        + tls,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # On a busy machine a run may be inconclusive. Its ratio to the one beside it still tells something.
    if run.returncode not in (0, 5):
        sys.exit(run.stderr)
    results = json.loads(run.stdout)
    return {name: figure(results) for name, figure in FIGURES.items()}


def main():
    with tempfile.TemporaryDirectory() as folder:
        make_certificate(folder)
        kinds = [[], ["--tls", "--tls-ca", f"{folder}/cert.pem"]]
        for title, load in LOADS.items():
            rounds = []
            for number in range(ROUNDS):
                order = [0, 1] if number % 2 == 0 else [1, 0]
                runs = {kind: measure(folder, load, kinds[kind]) for kind in order}
                rounds.append((runs[0], runs[1]))
            print(title)
            for name in FIGURES:
                show(name, [(plain[name], tls[name]) for plain, tls in rounds])


def show(name, pairs):
    plain = statistics.median(plain for plain, _ in pairs)
    tls = statistics.median(tls for _, tls in pairs)
    ratios = sorted(tls / plain for plain, tls in pairs)
    print(
        f"  {name}: plain {plain:.4g}, TLS {tls:.4g}, ratio {statistics.median(ratios):.2f}"
        f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
