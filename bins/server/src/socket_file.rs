//! The files of Unix sockets.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a Unix socket. It is removed when this is dropped, unless it has become another's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Tells a file from others that have had its path. The system gives the number of a file that is
/// removed to the next one, which is younger.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    modified: (i64, i64),
}

impl SocketFile {
    /// Binds a socket to a path. A file that a server has left there is replaced; one where a server
    /// listens is not, nor is one that is no socket.
    pub(crate) fn bind(socket: &Socket, path: &Path) -> io::Result<Self> {
        let address = SockAddr::unix(path).map_err(|_| unfit())?;
        remove_stale(path, &address)?;
        socket.bind(&address)?;
        Ok(Self {
            path: path.to_owned(),
            identity: Identity::of(&fs::symlink_metadata(path)?),
        })
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn unfit() -> io::Error {
    let why = "the path is too long for a Unix socket; choose one of at most 100 bytes";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Removes a socket that nobody listens at any more.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        let why = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server that does not accept at the moment is one all the same.
    client.set_nonblocking(true)?;
    match client.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another program listens there",
        )),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let metadata = fs::symlink_metadata(&self.path);
        if metadata.is_ok_and(|metadata| Identity::of(&metadata) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        Socket::new(Domain::UNIX, Type::STREAM, None).unwrap()
    }

    /// Returns a path that nobody else has.
    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("chat-server-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_stale_file_is_replaced_and_the_own_one_removed() {
        let path = path("stale");
        let first = SocketFile::bind(&socket(), &path).unwrap();
        // Its socket is closed, so nobody listens there. The clock of files may stand still for a few
        // milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let second_socket = socket();
        let second = SocketFile::bind(&second_socket, &path).unwrap();
        drop(first);
        assert!(path.exists(), "it is the second one's");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_is_told() {
        let error = SocketFile::bind(&socket(), &path(&"x".repeat(200))).unwrap_err();
        assert!(error.to_string().contains("at most 100 bytes"), "{error}");
    }

    #[test]
    fn a_file_in_use_and_one_that_is_no_socket_are_left_alone() {
        let path = path("used");
        let server = socket();
        let file = SocketFile::bind(&server, &path).unwrap();
        server.listen(0).unwrap();
        // Nobody accepts, so the second one finds the queue full.
        for _ in 0..2 {
            let error = SocketFile::bind(&socket(), &path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(file);
        fs::write(&path, "precious").unwrap();
        let error = SocketFile::bind(&socket(), &path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
    }
}
