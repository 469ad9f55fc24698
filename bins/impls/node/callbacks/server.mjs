// A chat server of callbacks on Node's one loop.
//
// - Order: a message is written to all sockets in a loop, and nothing else runs meanwhile.
// - A slow client lets its socket's buffer fill. Then no socket is read; if the client does not take
//   all of that within the grace, it lags: the others go on, and it gets nothing more until it has.
// - Cost: a socket with its handlers, and a buffer of what it has not taken.
// - End: sockets are no longer listened to; what is in their buffers is written, and they are ended.

import net from "node:net";

const FULL = 64 * 1024; // bytes that wait for a client which is full; a judgement
const GRACE = 100; // milliseconds that senders wait for a client that is full; a judgement
const DEADLINE = 3000; // milliseconds that clients have at the end; a judgement

/** The clients that get messages. */
const room = new Set();
/** Those of them that senders wait for. */
const full = new Set();
/** All connections, also of those that have left the room. */
const sockets = new Set();
let isEnding = false;

function serve(socket) {
  const client = { socket, unread: Buffer.alloc(0), lags: false, timer: null };
  sockets.add(socket);
  room.add(client);
  socket.setNoDelay(true);
  socket.on("data", (bytes) => receive(client, bytes));
  socket.on("drain", () => release(client, false));
  // An unfinished message is discarded.
  socket.on("end", () => {
    leave(client);
    socket.end();
  });
  // What goes wrong with a client ends this client and no other; 'close' follows.
  socket.on("error", () => {});
  socket.on("close", () => {
    leave(client);
    sockets.delete(socket);
    if (isEnding && sockets.size === 0) process.exit(0);
  });
  if (full.size > 0) socket.pause();
}

function leave(client) {
  room.delete(client);
  release(client, false);
}

/** Broadcasts all whole messages that a client has sent. */
function receive(client, bytes) {
  if (isEnding) return;
  const unread = client.unread.length > 0 ? Buffer.concat([client.unread, bytes]) : bytes;
  let end = 0;
  while (end < unread.length && end + 1 + unread[end] <= unread.length) end += 1 + unread[end];
  client.unread = unread.subarray(end);
  if (end > 0) broadcast(unread.subarray(0, end));
}

/** Writes messages to all clients that keep up. This is the one order. */
function broadcast(messages) {
  for (const client of room) {
    if (client.lags) continue;
    client.socket.write(messages);
    if (client.socket.writableLength > FULL && !full.has(client)) {
      full.add(client);
      client.timer = setTimeout(() => release(client, true), GRACE);
    }
  }
  if (full.size > 0) for (const { socket } of room) socket.pause();
}

/** Has nobody wait for a client any more: it has taken all, or it lags. */
function release(client, lags) {
  client.lags = lags;
  clearTimeout(client.timer);
  if (full.delete(client) && full.size === 0) for (const { socket } of room) socket.resume();
}

/** Stops accepting and reading, and ends each connection when all is written. */
function end(server) {
  isEnding = true;
  server.close();
  for (const name of ["SIGINT", "SIGTERM"]) process.removeAllListeners(name);
  // What clients send is thrown away: closing a socket with unread bytes would reset the connection.
  for (const socket of sockets) socket.resume().end();
  if (sockets.size === 0) process.exit(0);
  setTimeout(() => process.exit(0), DEADLINE);
}

function main([address, ...others]) {
  const url = address && others.length === 0 && URL.canParse(`tcp://${address}`) && new URL(`tcp://${address}`);
  const host = url && url.hostname.replace(/^\[|\]$/g, "");
  if (!url || url.port === "" || !net.isIP(host)) {
    console.error("usage: server.mjs ADDRESS, an IP address and a port like 127.0.0.1:8080");
    process.exit(2);
  }
  const server = net.createServer({ allowHalfOpen: true }, serve);
  for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => end(server));
  server.on("error", (error) => {
    console.error(`error: cannot listen on ${address}: ${error.message}`);
    process.exit(1);
  });
  server.listen({ host, port: Number(url.port), backlog: 1024 }, () => {
    const { address: ip, port, family } = server.address();
    console.log(`listening on ${family === "IPv6" ? `[${ip}]` : ip}:${port}`);
  });
}

main(process.argv.slice(2));
