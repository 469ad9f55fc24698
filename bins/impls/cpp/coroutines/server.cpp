// A chat server of C++20's coroutines on Asio, with one thread.
//
// - Order: a message is appended to what waits for each client, in a loop that awaits nothing.
// - A slow client lets that grow. Senders wait for it; if it does not take half of it within the grace,
//   it lags, and gets nothing more until it has taken all.
// - Cost: two coroutines a client, in some hundred bytes of heap each, 64 KiB to read into, and a buffer
//   of what it has not taken.
// - End: reading is cancelled, and nothing else; what waits is written, and connections are closed.

#include <sys/resource.h>

#include <array>
#include <asio.hpp>
#include <charconv>
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using asio::awaitable;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto grace = 100ms;               // that senders wait for a client which is full; a judgement
constexpr std::size_t full_len = 64 * 1024; // bytes that wait for such a client; a judgement
constexpr std::size_t read_len = 64 * 1024; // bytes that are read at once; a judgement
constexpr auto deadline = 3s;               // that clients have at the end; a judgement

struct Client {
    explicit Client(tcp::socket accepted)
        : socket(std::move(accepted)), wake(socket.get_executor(), Clock::time_point::max()),
          taken(socket.get_executor()) {}

    tcp::socket socket;
    asio::cancellation_signal reading;
    std::string waiting, writing;               // bytes that it gets next, and that it is given now
    std::optional<Clock::time_point> full_since; // from when on senders wait for it
    bool lags = false;
    bool has_left = false;    // nothing more will wait for it
    asio::steady_timer wake;  // cancelled when there is something to write
    asio::steady_timer taken; // cancelled when it is no longer full

    void push(std::string_view messages) {
        waiting += messages;
        wake.cancel();
        if (!full_since && waiting.size() + writing.size() > full_len) {
            full_since = Clock::now();
            taken.expires_at(*full_since + grace);
        }
    }

    // Notes that what was being written is.
    void wrote() {
        writing.clear();
        lags = lags && !waiting.empty();
        if (waiting.size() <= full_len / 2) release();
    }

    void release() {
        full_since.reset();
        taken.cancel();
    }
};

using ClientPtr = std::shared_ptr<Client>;

std::set<ClientPtr> room; // the clients that get messages
bool is_ending = false;

// What a failed operation leaves is its code.
auto into(asio::error_code& failed) { return asio::redirect_error(asio::use_awaitable, failed); }

void leave(Client& client, const ClientPtr& self) {
    room.erase(self);
    client.has_left = true;
    client.wake.cancel();
}

// Gives messages to all that keep up, and then waits for those that are full.
awaitable<void> broadcast(std::string_view messages) {
    std::vector<ClientPtr> full;
    // Nothing is awaited here: this is the one order.
    for (const ClientPtr& client : room) {
        if (client->lags) continue;
        client->push(messages);
        if (client->full_since) full.push_back(client);
    }
    for (const ClientPtr& client : full) {
        asio::error_code cancelled;
        while (client->full_since && Clock::now() < *client->full_since + grace)
            co_await client->taken.async_wait(into(cancelled));
        if (client->full_since) {
            client->lags = true;
            client->release();
        }
    }
}

// Returns the length of the whole messages in front.
std::size_t whole(std::string_view unread) {
    std::size_t end = 0;
    while (end < unread.size()) {
        std::size_t next = end + 1 + static_cast<unsigned char>(unread[end]);
        if (next > unread.size()) break;
        end = next;
    }
    return end;
}

// Broadcasts what a client sends, until it ends or fails, or the server ends.
awaitable<void> read(ClientPtr client) {
    std::string unread;
    asio::error_code failed;
    while (!is_ending && !failed) {
        std::size_t old_len = unread.size();
        unread.resize(old_len + read_len);
        std::size_t len = co_await client->socket.async_read_some(
            asio::buffer(unread.data() + old_len, read_len),
            asio::bind_cancellation_slot(client->reading.slot(), into(failed)));
        unread.resize(old_len + len);
        std::size_t end = whole(unread);
        if (end > 0) co_await broadcast(std::string_view(unread).substr(0, end));
        unread.erase(0, end);
    }
    // An unfinished message is discarded.
    leave(*client, client);
}

// Writes what waits for a client, as much at once as is there, until nothing more will.
awaitable<void> write(ClientPtr client) {
    asio::error_code failed, ignored;
    while (!failed && !(client->has_left && client->waiting.empty())) {
        if (client->waiting.empty()) {
            co_await client->wake.async_wait(into(ignored));
            continue;
        }
        std::swap(client->waiting, client->writing);
        co_await asio::async_write(client->socket, asio::buffer(client->writing), into(failed));
        client->wrote();
    }
    client->socket.shutdown(failed ? tcp::socket::shutdown_both : tcp::socket::shutdown_send, ignored);
    if (failed) {
        client->release();
        co_return;
    }
    // Closing a socket with unread bytes would reset the connection.
    std::array<char, 4096> discarded;
    while (!failed) co_await client->socket.async_read_some(asio::buffer(discarded), into(failed));
}

awaitable<void> accept(tcp::acceptor& acceptor) {
    asio::steady_timer pause(acceptor.get_executor());
    while (true) {
        asio::error_code failed;
        tcp::socket socket = co_await acceptor.async_accept(into(failed));
        if (!acceptor.is_open()) co_return;
        if (failed) {
            std::cerr << "cannot accept a client: " << failed.message() << std::endl;
            // There may be too many, and it takes one to leave.
            pause.expires_after(grace);
            co_await pause.async_wait(into(failed));
            continue;
        }
        asio::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        auto client = std::make_shared<Client>(std::move(socket));
        // Before anything of it is read: it gets all from its own first message on.
        room.insert(client);
        asio::co_spawn(acceptor.get_executor(), write(client), asio::detached);
        asio::co_spawn(acceptor.get_executor(), read(client), asio::detached);
    }
}

void serve(asio::io_context& io, const tcp::endpoint& endpoint) {
    tcp::acceptor acceptor(io, endpoint);
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](asio::error_code, int) { io.stop(); });
    asio::co_spawn(io, accept(acceptor), asio::detached);
    std::cout << "listening on " << acceptor.local_endpoint() << std::endl;
    io.run();
    // The next one ends the process.
    signals.clear();
    acceptor.close();
    is_ending = true;
    for (const ClientPtr& client : room) client->reading.emit(asio::cancellation_type::terminal);
    io.restart();
    io.run_for(deadline);
}

void raise_open_files() {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<tcp::endpoint> parse(std::string_view text) {
    std::size_t colon = text.rfind(':');
    if (colon == text.npos) return {};
    std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    asio::error_code failed;
    auto address = asio::ip::make_address(host, failed);
    std::uint16_t port = 0;
    auto [end, wrong] = std::from_chars(digits.begin(), digits.end(), port);
    if (failed || wrong != std::errc() || end != digits.end()) return {};
    return tcp::endpoint(address, port);
}

int main(int count, char** args) {
    auto endpoint = count == 2 ? parse(args[1]) : std::nullopt;
    if (!endpoint) {
        std::cerr << "usage: server ADDRESS, an IP address and a port like 127.0.0.1:8080\n";
        return 2;
    }
    raise_open_files();
    try {
        asio::io_context io(1);
        serve(io, *endpoint);
    } catch (const std::exception& error) {
        std::cerr << "error: cannot serve on " << *endpoint << ": " << error.what() << "\n";
        return 1;
    }
}
