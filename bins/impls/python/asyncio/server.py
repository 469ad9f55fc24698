"""A chat server on asyncio's streams; with --uvloop, the same on uvloop's event loop.

- Order: a message is written to all clients in a loop that awaits nothing, so no other task runs
  meanwhile.
- A slow client lets its transport's buffer fill. The sender waits for it; if it does not take all of
  that within the grace, it lags, and gets nothing more until it has.
- Cost: a task a client, and a buffer of what its socket has not taken.
- End: tasks are cancelled where they read; transports write what is left, and close.
"""

import asyncio
import sys

sys.path.append(f"{__file__.rpartition('/')[0]}/..")
import stage

GRACE = 0.1  # seconds that senders wait for a client that is full; a judgement
FULL = 64 * 1024  # bytes that wait for a client which is full; a judgement
DEADLINE = 3  # seconds that clients have at the end to take what is left; a judgement

clients = {}  # the task of each client, by its writer
lagging = set()  # the writers that get nothing now


async def serve(reader, writer):
    clients[writer] = asyncio.current_task()
    writer.transport.set_write_buffer_limits(high=FULL, low=0)
    try:
        while True:
            header = await reader.readexactly(1)
            await broadcast(header + await reader.readexactly(header[0]))
    except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
        writer.close()  # which first writes all that waits
    finally:
        del clients[writer]
        lagging.discard(writer)


async def broadcast(message):
    # Nothing is awaited between the writes: this is the one order.
    lagging.difference_update([it for it in lagging if not it.transport.get_write_buffer_size()])
    # uvloop refuses to write to a client that has just reset its connection.
    keeping_up = [it for it in clients.keys() - lagging if not it.is_closing()]
    for writer in keeping_up:
        writer.write(message)
    full = [it for it in keeping_up if it.transport.get_write_buffer_size() > FULL]
    if full:
        drains = {asyncio.ensure_future(it.drain()): it for it in full}
        _, late = await asyncio.wait(drains, timeout=GRACE)
        lagging.update(drains[it] for it in late if drains[it] in clients)


async def main(listener):
    ending = asyncio.Event()
    stage.on_signals(asyncio.get_running_loop(), ending.set)
    server = await asyncio.start_server(serve, sock=listener, backlog=stage.BACKLOG)
    stage.ready(listener)
    await ending.wait()
    server.close()
    leaving = [asyncio.ensure_future(it.wait_closed()) for it in clients.keys() - lagging]
    for task in clients.values():
        task.cancel()
    if leaving:
        await asyncio.wait(leaving, timeout=DEADLINE)


if __name__ == "__main__":
    run = asyncio.run
    if "--uvloop" in sys.argv:
        sys.argv.remove("--uvloop")
        from uvloop import run
    run(main(stage.listen()))
