"""What every server here needs and no style differs in: its argument, exit codes, a listener, the ready
line, the limit on open files and signals."""

import ipaddress
import resource
import signal
import socket
import sys

BACKLOG = 1024  # connections that wait to be accepted; a judgement


def listen():
    """Listens on the address of the command line."""
    try:
        (address,) = sys.argv[1:]
        host, _, port = address.rpartition(":")
        ip, port = ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        print("usage: server.py ADDRESS, an IP address and a port like 127.0.0.1:8080", file=sys.stderr)
        sys.exit(2)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        return socket.create_server((str(ip), port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        print(f"error: cannot listen on {address}: {error}", file=sys.stderr)
        sys.exit(1)


def ready(listener):
    """Says that clients can connect."""
    host, port = listener.getsockname()[:2]
    print("listening on", f"[{host}]:{port}" if ":" in host else f"{host}:{port}", flush=True)


def on_signals(loop, end):
    """Calls `end` on the first SIGINT or SIGTERM. The second one ends the process."""

    def first():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        end()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first)
