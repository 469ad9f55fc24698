import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * A chat server of virtual threads: plain blocking code, of which the virtual machine runs as much at once as
 * there are processors.
 *
 * <ul>
 * <li>Order: the lock around the room. Whoever broadcasts has it until the message is in all queues.
 * <li>A slow client lets its queue fill. Senders wait for it, with the lock, so that nobody can overtake; if it
 *     does not take half of that within the grace, it lags, and gets nothing more until it has taken all.
 * <li>Cost: two virtual threads a client, whose stacks are some hundred bytes on the heap while they wait.
 * <li>End: the queue of a client that leaves gets a last element; its writer takes what is before that, and
 *     ends the connection.
 * </ul>
 */
public final class Server {
    /** Messages that wait for a client at most. A judgement: some milliseconds of a flood. */
    private static final int QUEUE_LEN = 1024;
    /** How many milliseconds senders wait for a client until half of its queue is taken. A judgement. */
    private static final int GRACE = 100;
    /** How many milliseconds clients have at the end to take what is left. A judgement. */
    private static final int DEADLINE = 3000;
    /** Messages that are written at once, of 64 KiB at most. A judgement: more are no faster. */
    private static final int BATCH_LEN = 256;
    /** The last element of a queue. A message has a header at least. */
    private static final byte[] END = {};

    /** Guards all below, and each client's {@code lags}. Its holder waits for clients that are full. */
    private static final ReentrantLock room = new ReentrantLock();
    private static final Set<Client> clients = new HashSet<>();
    private static boolean isEnding = false;

    public static void main(String[] args) throws Exception {
        InetSocketAddress address = args.length == 1 ? parse(args[0]) : null;
        if (address == null) {
            fail(2, "usage: Server ADDRESS, an IP address and a port like 127.0.0.1:8080");
        }
        ServerSocket listener = new ServerSocket();
        try {
            listener.bind(address, 1024);
        } catch (IOException error) {
            fail(1, "error: cannot listen on " + args[0] + ": " + error.getMessage());
        }
        for (String name : new String[] {"INT", "TERM"}) {
            Signal.handle(new Signal(name), signal -> end(listener));
        }
        String host = listener.getInetAddress().getHostAddress();
        System.out.println("listening on " + (host.contains(":") ? "[" + host + "]" : host) + ":" + listener.getLocalPort());
        // The compiler may be older than virtual threads.
        var threads = (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        acceptAll(listener, threads);
        threads.shutdown();
        threads.awaitTermination(DEADLINE, TimeUnit.MILLISECONDS);
        System.exit(0);
    }

    private static InetSocketAddress parse(String text) {
        int colon = text.lastIndexOf(':');
        String host = text.substring(0, Math.max(colon, 0));
        // Anything else might be the name of a host, which would be asked for.
        if (!host.matches("\\d+(\\.\\d+){3}|\\[[\\da-fA-F:.]+\\]")) {
            return null;
        }
        try {
            return new InetSocketAddress(InetAddress.getByName(host), Integer.parseInt(text.substring(colon + 1)));
        } catch (IOException | IllegalArgumentException error) {
            return null;
        }
    }

    private static void fail(int code, String why) {
        System.err.println(why);
        System.exit(code);
    }

    /** Stops accepting, and lets all clients leave. The next signal ends the process at once. */
    private static void end(ServerSocket listener) {
        for (String name : new String[] {"INT", "TERM"}) {
            Signal.handle(new Signal(name), SignalHandler.SIG_DFL);
        }
        room.lock();
        isEnding = true;
        clients.forEach(client -> client.queue.add(END));
        clients.clear();
        room.unlock();
        try {
            listener.close();
        } catch (IOException error) {
            System.err.println("cannot stop listening: " + error.getMessage());
        }
    }

    /** Serves every client that connects, until the listener is closed. */
    private static void acceptAll(ServerSocket listener, ExecutorService threads) throws InterruptedException {
        while (!listener.isClosed()) {
            try {
                Client client = new Client(listener.accept());
                // Before anything of it is read: it gets all from its own first message on.
                client.join();
                threads.execute(client::read);
                threads.execute(client::write);
            } catch (IOException error) {
                if (!listener.isClosed()) {
                    System.err.println("cannot accept a client: " + error.getMessage());
                    // There may be too many, and it takes one to leave.
                    Thread.sleep(GRACE);
                }
            }
        }
    }

    /** Puts a message into the queues of all clients that keep up. This is the one order. */
    private static void broadcast(byte[] message) throws InterruptedException {
        room.lock();
        try {
            for (Client client : clients) {
                if (client.keepsUp()) {
                    client.queue.add(message);
                }
            }
        } finally {
            room.unlock();
        }
    }

    private static final class Client {
        final Socket socket;
        /** Its bound is {@code free}. */
        final BlockingQueue<byte[]> queue = new LinkedBlockingQueue<>();
        /** A permit for each message that the queue may still take; the writer gives them back. */
        final Semaphore free = new Semaphore(QUEUE_LEN);
        final CountDownLatch written = new CountDownLatch(1);
        boolean lags = false;

        Client(Socket socket) {
            this.socket = socket;
        }

        void join() {
            room.lock();
            if (isEnding) {
                queue.add(END);
            } else {
                clients.add(this);
            }
            room.unlock();
        }

        void leave() {
            room.lock();
            if (clients.remove(this)) {
                queue.add(END);
            }
            room.unlock();
        }

        /** Takes a permit for a message, if the client keeps up. Waits for one no longer than for the grace. */
        boolean keepsUp() throws InterruptedException {
            if (lags) {
                lags = !free.tryAcquire(QUEUE_LEN);
                free.release(lags ? 0 : QUEUE_LEN - 1);
            } else if (!free.tryAcquire()) {
                lags = !free.tryAcquire(QUEUE_LEN / 2, GRACE, TimeUnit.MILLISECONDS);
                free.release(lags ? 0 : QUEUE_LEN / 2 - 1);
            }
            return !lags;
        }

        /** Broadcasts what the client sends until it ends or fails, and closes the socket when all is written. */
        void read() {
            try (socket) {
                try {
                    socket.setTcpNoDelay(true);
                    InputStream input = new BufferedInputStream(socket.getInputStream());
                    readAll(new DataInputStream(input));
                } finally {
                    leave();
                }
                // Closing a socket with unread bytes would reset the connection.
                socket.getInputStream().transferTo(OutputStream.nullOutputStream());
                written.await();
            } catch (IOException | InterruptedException error) {
                // What goes wrong with a client ends this client and no other.
            }
        }

        void readAll(DataInputStream input) throws IOException, InterruptedException {
            int len;
            while ((len = input.read()) >= 0) {
                byte[] message = new byte[1 + len];
                message[0] = (byte) len;
                // An unfinished message at the end is discarded.
                if (input.readNBytes(message, 1, len) < len) {
                    return;
                }
                broadcast(message);
            }
        }

        /** Writes what comes out of the queue, as much at once as is there, and then ends the sending side. */
        void write() {
            try {
                writeAll(new BufferedOutputStream(socket.getOutputStream(), 64 * 1024));
                socket.shutdownOutput();
            } catch (IOException | InterruptedException error) {
                close();
            } finally {
                written.countDown();
            }
        }

        void writeAll(OutputStream output) throws IOException, InterruptedException {
            var batch = new ArrayList<byte[]>();
            do {
                batch.clear();
                batch.add(queue.take());
                queue.drainTo(batch, BATCH_LEN - 1);
                for (byte[] message : batch) {
                    output.write(message);
                }
                output.flush();
                free.release(batch.size());
            } while (batch.get(batch.size() - 1) != END);
        }

        /** Ends the reading, too. */
        void close() {
            try {
                socket.close();
            } catch (IOException error) {
                System.err.println("cannot close a connection: " + error.getMessage());
            }
        }
    }
}
