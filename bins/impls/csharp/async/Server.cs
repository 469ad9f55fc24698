// A chat server of async methods, which wait on a pool of threads.
//
// - Order: the lock around the room, which may be held across an await. Whoever broadcasts has it until the
//   message is in all queues.
// - A slow client lets its queue fill. Senders wait for it, with the lock, so that nobody can overtake; if it
//   does not take half of that within the grace, it lags, and gets nothing more until it has taken all.
// - Cost: two async methods a client, each an object while it waits, and a buffer to read into.
// - End: the queue of a client that leaves gets a last element; its writer takes what is before that, and ends
//   the connection.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Mono.Unix;
using Mono.Unix.Native;

static class Server
{
    // How long clients have at the end to take what is left. A judgement.
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(3);

    static int Main(string[] args)
    {
        IPEndPoint address = args.Length == 1 ? Parse(args[0]) : null;
        if (address == null)
        {
            Console.Error.WriteLine("usage: Server ADDRESS, an IP address and a port like 127.0.0.1:8080");
            return 2;
        }
        OpenFiles.Raise();
        var listener = new TcpListener(address);
        try
        {
            listener.Start(1024);
        }
        catch (SocketException error)
        {
            Console.Error.WriteLine("error: cannot listen on " + args[0] + ": " + error.Message);
            return 1;
        }
        UnixSignal[] signals = { new UnixSignal(Signum.SIGINT), new UnixSignal(Signum.SIGTERM) };
        Console.WriteLine("listening on " + listener.LocalEndpoint);
        var room = new Room();
        _ = room.AcceptAll(listener);
        WaitForAny(signals);
        Task.Run(() =>
        {
            WaitForAny(signals);
            Syscall._exit(1);
        });
        room.End(listener, Deadline);
        // Without a wait for what still runs.
        Syscall._exit(0);
        return 0;
    }

    // A signal that comes just before `WaitAny` does not end it, so it has to look again.
    static void WaitForAny(UnixSignal[] signals)
    {
        while (UnixSignal.WaitAny(signals, 100) >= signals.Length && !signals.Any(it => it.IsSet)) { }
        foreach (UnixSignal signal in signals)
            signal.Reset();
    }

    static IPEndPoint Parse(string text)
    {
        int colon = Math.Max(text.LastIndexOf(':'), 0);
        bool isAddress = IPAddress.TryParse(text.Substring(0, colon).Trim('[', ']'), out IPAddress address);
        bool isPort = ushort.TryParse(text.Substring(Math.Min(colon + 1, text.Length)), out ushort port);
        return isAddress && isPort ? new IPEndPoint(address, port) : null;
    }
}

// The process may have as many descriptors as the system allows: each client is one.
static class OpenFiles
{
    const int Number = 7; // RLIMIT_NOFILE on Linux

    struct Limit
    {
        public UIntPtr Current, Maximum;
    }

    [DllImport("libc")]
    static extern int getrlimit(int number, out Limit limit);

    [DllImport("libc")]
    static extern int setrlimit(int number, ref Limit limit);

    public static void Raise()
    {
        if (getrlimit(Number, out Limit limit) == 0)
        {
            limit.Current = limit.Maximum;
            // With fewer, there are fewer clients.
            setrlimit(Number, ref limit);
        }
    }
}

// The clients that get messages.
sealed class Room
{
    // How long to wait when a client could not be accepted. A judgement.
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    // The lock. It guards the clients, whether there may be more, and whether each of them lags.
    readonly SemaphoreSlim free = new SemaphoreSlim(1);
    readonly HashSet<Client> clients = new HashSet<Client>();
    volatile bool isEnding = false;

    // Counts the connections; and one, as long as there may be more.
    readonly CountdownEvent alive = new CountdownEvent(1);

    // Serves every client that connects, until the listener is stopped.
    public async Task AcceptAll(TcpListener listener)
    {
        while (!isEnding)
        {
            try
            {
                _ = Serve(new Client(await listener.AcceptSocketAsync()));
            }
            catch (Exception error) when (error is SocketException || error is ObjectDisposedException)
            {
                if (!isEnding)
                {
                    Console.Error.WriteLine("cannot accept a client: " + error.Message);
                    // There may be too many, and it takes one to leave.
                    await Task.Delay(Pause);
                }
            }
        }
        alive.Signal();
    }

    // Lets all clients leave, and waits until they have what is left, but no longer than until the deadline.
    public void End(TcpListener listener, TimeSpan deadline)
    {
        isEnding = true;
        listener.Stop();
        free.Wait();
        foreach (Client client in clients)
            client.PutEnd();
        clients.Clear();
        free.Release();
        alive.Wait(deadline);
    }

    // What goes wrong with a client ends this client and no other.
    async Task Serve(Client client)
    {
        alive.AddCount();
        // Before anything of it is read: it gets all from its own first message on.
        await Join(client);
        Task writing = client.Write();
        await client.Read(Broadcast);
        await Leave(client);
        await client.Discard();
        await writing;
        client.Close();
        alive.Signal();
    }

    async Task Join(Client client)
    {
        await free.WaitAsync();
        if (isEnding)
        {
            client.PutEnd();
        }
        else
            clients.Add(client);
        free.Release();
    }

    async Task Leave(Client client)
    {
        await free.WaitAsync();
        if (clients.Remove(client))
            client.PutEnd();
        free.Release();
    }

    // Puts a message into the queues of all clients that keep up. This is the one order.
    async Task Broadcast(byte[] message)
    {
        await free.WaitAsync();
        foreach (Client client in clients)
        {
            if (await client.KeepsUp())
                client.Put(message);
        }
        free.Release();
    }
}

sealed class Client
{
    // Messages that wait for a client at most. A judgement: some milliseconds of a flood.
    const int QueueLen = 1024;

    // How many bytes are written at once, or a message more. A judgement: more are no faster.
    const int BatchLen = 64 * 1024;

    // How long senders wait for a client until half of its queue is taken. A judgement.
    static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(100);

    // The last element of a queue. A message has a header at least.
    static readonly byte[] End = new byte[0];

    readonly Socket socket;
    readonly NetworkStream stream;
    readonly ConcurrentQueue<byte[]> queue = new ConcurrentQueue<byte[]>();

    // How many of the queue's elements are not written.
    int waiting = 0;

    // Has a permit when the writer has to look at the queue again.
    readonly SemaphoreSlim isFilled = new SemaphoreSlim(0);
    bool lags = false;

    public Client(Socket socket)
    {
        this.socket = socket;
        stream = new NetworkStream(socket, true);
    }

    // Waits until the queue has room, but no longer than for the grace, and tells whether the client keeps up.
    public async Task<bool> KeepsUp()
    {
        if (lags)
        {
            lags = Volatile.Read(ref waiting) > 0;
        }
        else if (Volatile.Read(ref waiting) >= QueueLen)
        {
            var watch = Stopwatch.StartNew();
            while (Volatile.Read(ref waiting) > QueueLen / 2 && watch.Elapsed < Grace)
                await Task.Delay(1);
            lags = Volatile.Read(ref waiting) > QueueLen / 2;
        }
        return !lags;
    }

    public void Put(byte[] message)
    {
        queue.Enqueue(message);
        if (Interlocked.Increment(ref waiting) == 1)
            isFilled.Release();
    }

    // Tells the writer that nothing more comes.
    public void PutEnd() => Put(End);

    // Broadcasts what the client sends, until it ends or fails. An unfinished message at the end is discarded.
    public async Task Read(Func<byte[], Task> broadcast)
    {
        var buffer = new byte[8192];
        int filled = 0;
        int count;
        while ((count = await ReadSome(buffer, filled)) > 0)
        {
            filled += count;
            int start = 0;
            while (start < filled && start + buffer[start] < filled)
            {
                var message = new byte[1 + buffer[start]];
                Buffer.BlockCopy(buffer, start, message, 0, message.Length);
                start += message.Length;
                await broadcast(message);
            }
            filled -= start;
            Buffer.BlockCopy(buffer, start, buffer, 0, filled);
        }
    }

    // Closing a socket with unread bytes would reset the connection.
    public async Task Discard()
    {
        var buffer = new byte[8192];
        while (await ReadSome(buffer, 0) > 0) { }
    }

    async Task<int> ReadSome(byte[] buffer, int start)
    {
        try
        {
            return await stream.ReadAsync(buffer, start, buffer.Length - start);
        }
        catch (Exception error) when (error is IOException || error is ObjectDisposedException)
        {
            return 0;
        }
    }

    // Writes what comes out of the queue, as much at once as is there, and then ends the sending side.
    public async Task Write()
    {
        try
        {
            socket.NoDelay = true;
            while (await WriteBatch()) { }
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception error) when (error is IOException || error is SocketException || error is ObjectDisposedException)
        {
            // This ends the reading.
            Close();
        }
    }

    // Waits for something to write, and tells whether more may come.
    async Task<bool> WriteBatch()
    {
        await isFilled.WaitAsync();
        var batch = new MemoryStream();
        int left;
        do
        {
            batch.SetLength(0);
            int count = 0;
            byte[] message = null;
            while (batch.Length < BatchLen && message != End && queue.TryDequeue(out message))
            {
                batch.Write(message, 0, message.Length);
                count++;
            }
            await stream.WriteAsync(batch.GetBuffer(), 0, (int)batch.Length);
            if (message == End)
                return false;
            left = Interlocked.Add(ref waiting, -count);
        }
        while (left > 0);
        return true;
    }

    public void Close() => stream.Close();
}
