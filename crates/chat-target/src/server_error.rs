//! Why there is no server.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::output::LastLines;

/// Why there is no server to test, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The executable could not be started.
    #[error("cannot start {}: {source}{}", executable.display(), hint(executable, source, advice))]
    Start {
        /// The executable.
        executable: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do where it is not there.
        advice: &'static str,
    },
    /// The address is not free.
    #[error(
        "the server cannot be told to listen on {addr}: {source}; give it a free address, or one with port 0"
    )]
    Unavailable {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file for its standard error cannot be written.
    #[error("cannot write the server's log: {0}")]
    Log(#[source] io::Error),
    /// There is no thread or no process to watch it with.
    #[error("cannot watch the server: {0}")]
    Watch(#[source] io::Error),
    /// No ready line came in time.
    #[error("the server printed no line {} within {} s{lines}", ready_line(suffix), timeout.as_secs())]
    NotReady {
        /// How the line would have ended, where it has to tell something of the address.
        suffix: &'static str,
        /// How long it had.
        timeout: Duration,
        /// What it printed instead.
        lines: LastLines,
    },
    /// The server ended before its ready line.
    #[error("the server ended before it was ready: {status}{lines}")]
    ExitedEarly {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        lines: LastLines,
    },
    /// The ready line names nothing to connect to.
    #[error("the server's ready line names no IP address and port: `listening on {named}`")]
    NoAddress {
        /// What it names.
        named: String,
    },
    /// The server ended while it was tested.
    #[error("the server died: {status}{lines}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        lines: LastLines,
    },
    /// A signal asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Describes the line that tells that a server is ready.
fn ready_line(suffix: &str) -> String {
    match suffix {
        "" => "that starts with `listening on `".to_owned(),
        suffix => format!("`listening on ADDRESS{suffix}`"),
    }
}

/// Says what may help, if anything.
fn hint(executable: &Path, error: &io::Error, advice: &str) -> String {
    let name = executable.display();
    match error.kind() {
        io::ErrorKind::NotFound => {}
        io::ErrorKind::PermissionDenied if executable.is_dir() => {
            return "; it is a directory".to_owned();
        }
        io::ErrorKind::PermissionDenied if executable.is_file() => {
            return format!("; is it a program? `chmod +x {name}` makes it executable");
        }
        _ => return String::new(),
    }
    let is_bare = executable.parent() == Some(Path::new(""));
    if is_bare && executable.exists() {
        return format!("; did you mean ./{name}? A name alone is looked for in $PATH");
    }
    let mut first_line = String::new();
    let file = File::open(executable).map(BufReader::new);
    if file.is_err() && !advice.is_empty() {
        return format!("; {advice}");
    }
    let read = file.and_then(|mut file| file.read_line(&mut first_line));
    match (read, first_line.trim_end().strip_prefix("#!")) {
        (Ok(_), Some(interpreter)) => {
            format!(
                "; the file is there, and its interpreter is not: {}",
                interpreter.trim()
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_has_a_hint() {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let dir = std::env::temp_dir();
        let script = dir.join(format!("script-{}", std::process::id()));
        std::fs::write(&script, "#!/nonexistent/python3\nprint(1)\n").unwrap();
        let told = hint(&script, &not_found(), "install it");
        std::fs::remove_file(&script).unwrap();
        assert!(told.ends_with("is not: /nonexistent/python3"), "{told}");
        // Tests run in the directory of the package.
        let told = hint(Path::new("Cargo.toml"), &not_found(), "install it");
        assert!(told.contains("did you mean ./Cargo.toml?"), "{told}");
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let told = hint(Path::new("Cargo.toml"), &refused(), "");
        assert!(told.contains("`chmod +x Cargo.toml`"), "{told}");
        assert_eq!(hint(&dir, &refused(), ""), "; it is a directory");
        let hint_of_none = |advice| hint(Path::new("/nonexistent"), &not_found(), advice);
        assert_eq!(
            (hint_of_none(""), hint_of_none("install it")),
            (String::new(), "; install it".to_owned())
        );
    }
}
