// A chat server of goroutines and channels.
//
//   - Order: one goroutine has the room. It takes a message from the channel that all readers send to,
//     and puts it into the channels of all clients before it takes the next.
//   - A slow client lets its channel fill. The room waits for it, and with the room all senders; if it
//     does not take half of that within the grace, it lags, and gets nothing more until it has taken
//     all that is in its channel.
//   - Cost: two goroutines a client, some KiB of stack each, and a wake-up for each message to a client
//     that waits.
//   - End: the room closes the channel of a client that leaves; its writer takes what is left, and
//     closes the connection.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Messages that wait for a client at most. A judgement: some milliseconds of a flood.
const channelLen = 1024

// How long the room waits for a client until half of its channel is taken. A judgement.
const grace = 100 * time.Millisecond

// How long clients have at the end to take what is left. A judgement.
const deadline = 3 * time.Second

type message = []byte

type client struct {
	channel chan message
	lags    bool
}

type room struct {
	// Unbuffered: who has sent to one of them knows that the room has taken it.
	join, leave chan *client
	messages    chan message
	end         chan struct{}
}

func main() {
	if len(os.Args) != 2 {
		usage()
	}
	address, err := netip.ParseAddrPort(os.Args[1])
	if err != nil {
		usage()
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	r := room{make(chan *client), make(chan *client), make(chan message), make(chan struct{})}
	go r.run()
	var clients sync.WaitGroup
	go r.acceptAll(listener, &clients)
	<-signals
	// The next one ends the process.
	signal.Reset()
	listener.Close()
	close(r.end)
	gone := make(chan struct{})
	go func() { clients.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(deadline):
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: server ADDRESS, an IP address and a port like 127.0.0.1:8080")
	os.Exit(2)
}

// run is the room. When the server ends, clients leave it, and what is still sent goes to nobody.
func (r *room) run() {
	clients := map[*client]bool{}
	remove := func(c *client) {
		if clients[c] {
			delete(clients, c)
			close(c.channel)
		}
	}
	end := r.end
	for {
		select {
		case c := <-r.join:
			clients[c] = true
			if end == nil {
				remove(c)
			}
		case c := <-r.leave:
			remove(c)
		case m := <-r.messages:
			for c := range clients {
				if c.keepsUp() {
					c.channel <- m
				}
			}
		case <-end:
			for c := range clients {
				remove(c)
			}
			end = nil
		}
	}
}

// keepsUp waits until a client's channel has room, but no longer than for the grace. Only the room puts
// something into it, so there is room then.
func (c *client) keepsUp() bool {
	if c.lags {
		c.lags = len(c.channel) > 0
	} else if len(c.channel) == channelLen {
		start := time.Now()
		for len(c.channel) > channelLen/2 && time.Since(start) < grace {
			time.Sleep(time.Millisecond)
		}
		c.lags = len(c.channel) > channelLen/2
	}
	return !c.lags
}

// acceptAll serves every client that connects, until the listener is closed.
func (r *room) acceptAll(listener net.Listener, clients *sync.WaitGroup) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot accept a client:", err)
			// There may be too many, and it takes one to leave.
			time.Sleep(grace)
			continue
		}
		clients.Add(1)
		go func() {
			defer clients.Done()
			r.serve(connection.(*net.TCPConn))
		}()
	}
}

// serve reads what a client sends while another goroutine writes to it.
func (r *room) serve(connection *net.TCPConn) {
	defer connection.Close()
	c := &client{channel: make(chan message, channelLen)}
	// Before anything of it is read: it gets all from its own first message on.
	r.join <- c
	written := make(chan struct{})
	go func() {
		defer close(written)
		if write(connection, c.channel) == nil {
			connection.CloseWrite()
		} else {
			// This ends the reading.
			connection.Close()
		}
	}()
	// An unfinished message at the end is discarded.
	r.readAll(connection)
	r.leave <- c
	// Closing a socket with unread bytes would reset the connection.
	io.Copy(io.Discard, connection)
	<-written
}

// readAll sends what a client sends to the room, until it ends or fails.
func (r *room) readAll(connection net.Conn) error {
	input := bufio.NewReader(connection)
	for {
		header, err := input.ReadByte()
		if err != nil {
			return err
		}
		m := make(message, 1+int(header))
		m[0] = header
		if _, err := io.ReadFull(input, m[1:]); err != nil {
			return err
		}
		r.messages <- m
	}
}

// write writes what comes out of a channel, as much at once as is there, until it is closed.
func write(connection net.Conn, channel <-chan message) error {
	output := bufio.NewWriterSize(connection, 64*1024)
	for m := range channel {
		if _, err := output.Write(m); err != nil {
			return err
		}
		if len(channel) == 0 {
			if err := output.Flush(); err != nil {
				return err
			}
		}
	}
	return output.Flush()
}
