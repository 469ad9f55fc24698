//! What is run where, and when.

use std::process::Command;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::SystemTime;

use chat_results::Environment;
use procfs::{CpuInfo, Current};
use rustix::system::uname;

/// Returns what is run where, and when: this process, on this machine, now.
pub fn environment() -> Environment {
    let name = uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Environment {
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        command: std::env::args_os()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect(),
        host: text(name.nodename()),
        kernel: format!(
            "{} {} {}",
            text(name.sysname()),
            text(name.release()),
            text(name.machine())
        ),
        processor: processor().unwrap_or_default(),
        processor_count: available_parallelism().map_or(0, Into::into),
    }
}

/// Returns the commit of the repository that this process was started in, if it is in one. It is
/// looked for once.
fn commit() -> String {
    static COMMIT: OnceLock<String> = OnceLock::new();
    let describe = || {
        let args = [
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ];
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    COMMIT
        .get_or_init(|| describe().unwrap_or_default())
        .clone()
}

/// Returns the model of the first processor.
fn processor() -> Option<String> {
    let info = CpuInfo::current().ok()?;
    info.model_name(0).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_names() {
        let found = environment();
        assert!(
            !found.host.is_empty()
                && found.kernel.starts_with("Linux ")
                && found.processor_count > 0,
            "{found:?}"
        );
        assert!(found.date.ends_with('Z') && !found.command.is_empty());
        // These tests run in a repository, or in an unpacked package.
        let hash = found.commit.trim_end_matches("-dirty");
        assert!(
            hash.is_empty() || hash.len() == 40 && hash.bytes().all(|it| it.is_ascii_hexdigit()),
            "{found:?}"
        );
    }
}
