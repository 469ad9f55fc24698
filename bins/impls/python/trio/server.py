"""A chat server on trio: tasks live in nurseries, and none outlives its nursery.

- Order: a task has a lock until its messages are in the channels of all clients.
- A slow client lets its channel fill. Senders wait for it, with the lock; if it does not take half of
  that within the grace, it lags, and gets nothing more until it has taken all.
- Cost: two tasks a client, and a channel of what it has not taken.
- End: the readers are cancelled as one, where they read. So no channel gets anything more, and the
  writers write what is left, until their deadline.
"""

import math
import signal
import sys

import trio

sys.path.append(f"{__file__.rpartition('/')[0]}/..")
import stage

GRACE = 0.1  # seconds that senders wait for a client that is full; a judgement
FULL = 64 * 1024  # bytes that wait for a client which is full; a judgement
READ = 64 * 1024  # bytes that are read at once; a judgement
DEADLINE = 3  # seconds that clients have at the end to take what is left; a judgement

room = set()  # the clients that get messages
order = trio.Lock()


class Client:
    def __init__(self, stream):
        self.stream = stream
        # It has a bound in bytes instead, which broadcast keeps.
        self.put, self.messages = trio.open_memory_channel(math.inf)
        self.waiting = 0  # bytes that it was sent and that are not written
        self.lags = False
        self.taken = trio.Event()  # set when few enough wait

    async def keeps_up(self):
        """Waits until few enough bytes wait, but no longer than for the grace."""
        if self.lags:
            self.lags = self.waiting > 0
        elif self.waiting > FULL:
            self.taken = trio.Event()
            with trio.move_on_after(GRACE):
                await self.taken.wait()
            self.lags = self.waiting > FULL // 2
        return not self.lags

    def took(self, count):
        self.waiting -= count
        if self.waiting <= FULL // 2:
            self.taken.set()


async def broadcast(messages):
    # Nobody else broadcasts meanwhile: this is the one order.
    async with order:
        for client in list(room):
            if await client.keeps_up() and client in room:
                client.waiting += len(messages)
                client.put.send_nowait(messages)


async def read(client):
    """Broadcasts what a client sends, until it ends or fails, or is cancelled."""
    unread = b""
    try:
        while received := await client.stream.receive_some(READ):
            unread += received
            if end := whole(unread):
                with trio.CancelScope(shield=True):
                    await broadcast(unread[:end])
                unread = unread[end:]
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:  # an unfinished message is discarded
        room.discard(client)
        client.put.close()


def whole(unread):
    """Returns the length of the whole messages in front."""
    end = 0
    while end < len(unread) and end + 1 + unread[end] <= len(unread):
        end += 1 + unread[end]
    return end


async def write(client):
    """Writes what comes out of a client's channel, as much at once as is there, until it is closed."""
    async with client.stream as stream:
        try:
            async for messages in client.messages:
                batch = [messages]
                while client.messages.statistics().current_buffer_used:
                    batch.append(client.messages.receive_nowait())
                await stream.send_all(b"".join(batch))
                client.took(sum(map(len, batch)))
            await stream.send_eof()
            # Closing a socket with unread bytes would reset the connection.
            while await stream.receive_some(READ):
                pass
        except trio.BrokenResourceError:
            room.discard(client)
            client.took(client.waiting)


async def accept(listener, readers, writers):
    async with listener:
        while True:
            try:
                client = Client(await listener.accept())
            except OSError as error:
                print(f"cannot accept a client: {error}", file=sys.stderr)
                await trio.sleep(GRACE)  # there may be too many, and it takes one to leave
                continue
            # Before anything of it is read: it gets all from its own first message on.
            room.add(client)
            writers.start_soon(write, client)
            readers.start_soon(read, client)


async def main(socket):
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(socket))
    async with trio.open_nursery() as writers:
        async with trio.open_nursery() as readers:
            # The next one ends the process.
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                stage.ready(socket)
                readers.start_soon(accept, listener, readers, writers)
                await anext(signals)
            readers.cancel_scope.cancel()
        writers.cancel_scope.deadline = trio.current_time() + DEADLINE


if __name__ == "__main__":
    trio.run(main, stage.listen())
