"""How long the server keeps clients that vanish: their network goes away, and they say nothing.

    sudo python3 bins/server/tests/vanish.py target/release/chat-server

Takes three minutes, `ip`, and the right to make network namespaces, which is why this is no test that
runs everywhere: those assert the options of the sockets. Two namespaces are connected by a cable that
is pulled out. Fails when a client is kept longer than it should be.
"""

import os
import subprocess
import sys
import time

# What the server is told, whether there is something on its way to the client, and for how many
# seconds the client may be kept: that of the options, and what timers are late.
CASES = [
    ([], False, 60 + 6 * 20 + 20),
    (["--stall-timeout=20s"], True, 20 + 60 + 20),
    (["--public"], True, 60 + 60 + 20),
]
SERVER, CLIENT = f"vanish-s{os.getpid()}", f"vanish-c{os.getpid()}"
ADDRESS = "10.99.7.1"
CONNECT = """
import socket, sys, time
held = []
for port in sys.argv[2:]:
    held.append(socket.create_connection((sys.argv[1], port)))
    held[-1].sendall(b"\\x05hello")
    held[-1].recv(6)
print("connected", flush=True)
time.sleep(3600)
"""
TALK = """
import socket, sys, time
talkers = [socket.create_connection(("127.0.0.1", port)) for port in sys.argv[1:]]
while True:
    for talker in talkers:
        talker.sendall(b"\\x05hello")
        talker.recv(65536)
    time.sleep(0.5)
"""


def ip(command):
    subprocess.run(["ip", *command.split()], check=True)


def inside(namespace, *command):
    command = ["ip", "netns", "exec", namespace, *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def plug_in():
    for namespace, host in (SERVER, 1), (CLIENT, 2):
        ip(f"netns add {namespace}")
        ip(f"-n {namespace} link set lo up")
    ip(f"-n {SERVER} link add cable type veth peer name cable netns {CLIENT}")
    for namespace, host in (SERVER, 1), (CLIENT, 2):
        ip(f"-n {namespace} addr add 10.99.7.{host}/24 dev cable")
        ip(f"-n {namespace} link set cable up")


def descriptor_count(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def watch(executable, running):
    servers = [inside(SERVER, executable, "0.0.0.0:0", *args) for args, _, _ in CASES]
    running += servers
    ports = [server.stdout.readline().strip().rsplit(":", 1)[1] for server in servers]
    client = inside(CLIENT, sys.executable, "-c", CONNECT, ADDRESS, *ports)
    running.append(client)
    client.stdout.readline()
    counts = [descriptor_count(server) for server in servers]
    ip(f"-n {CLIENT} link set cable down")
    start = time.monotonic()
    talked = [index for index, case in enumerate(CASES) if case[1]]
    running.append(inside(SERVER, sys.executable, "-c", TALK, *(ports[index] for index in talked)))
    while any(descriptor_count(servers[index]) == counts[index] for index in talked):
        time.sleep(0.1)
    for index in talked:
        counts[index] += 1
    left = set(range(len(CASES)))
    while left:
        for index in sorted(left):
            args, is_talked, time_max = CASES[index]
            elapsed = time.monotonic() - start
            is_gone = descriptor_count(servers[index]) < counts[index]
            if is_gone:
                what = "something on its way" if is_talked else "idle"
                print(f"{' '.join(args) or 'by default'}, {what}: {elapsed:.0f} s", flush=True)
                left.remove(index)
            elif elapsed > time_max:
                sys.exit(f"{args}: the client is still there after {elapsed:.0f} s")
        time.sleep(0.1)


def main():
    running = []
    try:
        plug_in()
        watch(sys.argv[1], running)
    finally:
        for process in running:
            process.kill()
            process.wait()
        for namespace in SERVER, CLIENT:
            subprocess.run(["ip", "netns", "del", namespace], check=False)


main()
