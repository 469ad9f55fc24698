#!/usr/bin/env python3
"""Measures what a client costs a server in memory, plain and over TLS: `docs/tls_memory.py SERVER`.

It connects 1000 idle clients of each kind on the loopback and compares the server's resident memory
before and after. It needs the `openssl` command, for a certificate.
"""

import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time

CLIENT_COUNT = 1000


def make_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "30"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-addext", "basicConstraints=critical,CA:FALSE"],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def measure(server, port, context):
    """Returns the clients and how many KiB each costs."""
    before = resident_kib(server.pid)
    clients = []
    for _ in range(CLIENT_COUNT):
        client = socket.create_connection(("127.0.0.1", port))
        if context:
            client = context.wrap_socket(client, server_hostname="127.0.0.1")
        clients.append(client)
    time.sleep(1)
    return clients, (resident_kib(server.pid) - before) / CLIENT_COUNT


def main():
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        make_certificate(folder)
        server = subprocess.Popen(
            [sys.argv[1], "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]
            + ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            ports = [int(re.search(r":(\d+)\b(?!:)", server.stdout.readline())[1]) for _ in range(2)]
            context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
            # The first of each kind warms up what all share.
            kept = [greet(ports[0], None), greet(ports[1], context)]
            for name, port, of_kind in [("plain", ports[0], None), ("TLS", ports[1], context)]:
                clients, cost = measure(server, port, of_kind)
                kept += clients
                print(f"{name}: {cost:.1f} KiB a client")
        finally:
            server.terminate()
            server.wait()


def greet(port, context):
    client = socket.create_connection(("127.0.0.1", port))
    if context:
        client = context.wrap_socket(client, server_hostname="127.0.0.1")
    client.sendall(b"\x05hello")
    client.recv(6)
    return client


if __name__ == "__main__":
    main()
