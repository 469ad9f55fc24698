#!/bin/sh
# Makes the Debian package in target/debian, with cargo-deb (`cargo install cargo-deb`).
set -eu
cd "$(dirname "$0")/../../.."
cargo build --release --locked --package chat-server
release=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$release/manual"
server=$release/chat-server
"$server" --man | gzip -9n > "$release/manual/chat-server.1.gz"
"$server" --completions bash > "$release/manual/chat-server"
"$server" --completions zsh > "$release/manual/_chat-server"
"$server" --completions fish > "$release/manual/chat-server.fish"
cargo deb --package chat-server --no-build --locked --dbgsym
