"""A right server in 40 lines. A client misses messages while it has a mebibyte to take."""
import asyncio, signal, sys

clients = set()


async def serve(reader, writer):
    clients.add(writer)
    try:
        while True:
            header = await reader.readexactly(1)
            message = header + await reader.readexactly(header[0])
            for client in clients:
                if client.transport.get_write_buffer_size() < LIMIT:
                    client.write(message)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    clients.discard(writer)
    writer.close()


async def main():
    host, _, port = sys.argv[-1].rpartition(":")
    server = await asyncio.start_server(serve, host.strip("[]"), int(port), backlog=256)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, end.set)
    host, port = server.sockets[0].getsockname()[:2]
    print("listening on", f"[{host}]:{port}" if ":" in host else f"{host}:{port}", flush=True)
    await end.wait()
    server.close()
    for client in clients:
        client.close()
    for _ in range(200):
        if all(client.transport.get_write_buffer_size() == 0 for client in clients):
            break
        await asyncio.sleep(0.01)


LIMIT = 1 << 20
asyncio.run(main())
