//! Reading and writing that waits, whether or not the file blocks.
//!
//! Whether a file blocks is a property that all processes share that have it open, so any of them
//! can change it: the one that started this one, or another on the same terminal.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Reads, and waits until there is something to read.
///
/// # Errors
///
/// Those of the input, but for [`ErrorKind::Interrupted`] and [`ErrorKind::WouldBlock`].
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write, stdin};
/// use chat_client::patient;
///
/// let (mut input, mut output) = std::io::pipe()?;
/// patient::write_all(&mut output, b"hello")?;
/// let mut buf = [0; 9];
/// let len = patient::read(&mut input, &mut buf)?;
/// assert_eq!(&buf[..len], b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read<I: Read + AsFd>(input: &mut I, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buf) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(input, PollFlags::IN),
            read => return read,
        }
    }
}

/// Writes everything and flushes the output.
///
/// # Errors
///
/// Those of the output, but for [`ErrorKind::Interrupted`] and [`ErrorKind::WouldBlock`]. Some bytes
/// may have been written then.
pub fn write_all<O: Write + AsFd>(output: &mut O, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(output, PollFlags::OUT),
            Err(error) => return Err(error),
        }
    }
    output.flush()
}

/// Waits until something that does not block can be read or written.
pub(crate) fn wait(fd: &impl AsFd, flags: PollFlags) {
    // Where it fails, the next try does.
    let _ = poll(&mut [PollFd::new(fd, flags)], None);
}
