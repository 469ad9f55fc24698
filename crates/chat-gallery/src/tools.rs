//! The tools that rows need: whether they are there, and in which version.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::manifest::{Manifest, Need};

/// What is there of all that a row needs.
#[derive(Debug)]
pub(crate) struct Tools {
    /// A line for each tool, with its version.
    pub(crate) versions: Vec<String>,
    /// What is missing, in words.
    pub(crate) missing: Vec<String>,
}

impl Tools {
    /// Looks for the tools of a row, in its folder.
    pub(crate) fn probe(manifest: &Manifest, folder: &Path) -> Self {
        let (mut versions, mut missing) = (Vec::new(), Vec::new());
        for need in &manifest.needs {
            match version_line(&need.tool) {
                None => missing.push(format!("no {}", need.tool)),
                Some(line) if is_enough(need, &line) => versions.push(line),
                Some(line) => missing.push(format!(
                    "{} is too old: {} is needed, and this is {line}",
                    need.tool,
                    dotted(&need.version)
                )),
            }
        }
        for check in &manifest.checks {
            let mut shell = Command::new("sh");
            shell.args(["-c", check]).current_dir(folder);
            let shell = shell.stdin(Stdio::null()).stdout(Stdio::null());
            let status = shell.stderr(Stdio::null()).status();
            if !status.is_ok_and(|status| status.success()) {
                missing.push(format!("`{check}` fails"));
            }
        }
        Self { versions, missing }
    }
}

/// Returns the first line with a number in it that a tool tells of its version; `None` where there is
/// no such tool.
fn version_line(tool: &str) -> Option<String> {
    let mut told = None;
    for args in version_args(tool) {
        let output = Command::new(tool).args(args).stdin(Stdio::null()).output();
        let output = output.ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let with_number = |line: &&str| line.contains(|it: char| it.is_ascii_digit());
        told = text
            .lines()
            .find(with_number)
            .map(|line| line.trim().to_owned());
        if output.status.success() && told.is_some() {
            break;
        }
    }
    // It is there, and does not say more.
    Some(told.unwrap_or_else(|| tool.to_owned()))
}

/// Returns the arguments that make a tool tell its version, the best first.
fn version_args(tool: &str) -> Vec<Vec<&'static str>> {
    match tool {
        "go" => vec![vec!["version"]],
        "erl" | "erlc" | "escript" => vec![],
        _ => vec![vec!["--version"], vec!["-version"], vec!["version"]],
    }
}

/// Tells whether a version that stands in a line is as high as is needed. A line without one is
/// trusted.
fn is_enough(need: &Need, line: &str) -> bool {
    version_in(line).is_none_or(|version| version >= need.version)
}

/// Returns the first version in a line: numbers with points between them.
fn version_in(line: &str) -> Option<Vec<u64>> {
    let start = line.find(|it: char| it.is_ascii_digit())?;
    let end = line[start..].find(|it: char| !it.is_ascii_digit() && it != '.');
    let text = &line[start..end.map_or(line.len(), |end| start + end)];
    let numbers = text.split('.').filter(|part| !part.is_empty());
    numbers.map(|part| part.parse().ok()).collect()
}

fn dotted(version: &[u64]) -> String {
    let parts: Vec<_> = version.iter().map(u64::to_string).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say() {
        for (line, version) in [
            ("go version go1.19.8 linux/amd64", &[1, 19, 8][..]),
            ("Python 3.11.7", &[3, 11, 7]),
            ("v20.20.2", &[20, 20, 2]),
            ("javac 17", &[17]),
        ] {
            assert_eq!(version_in(line).as_deref(), Some(version), "{line}");
        }
        assert_eq!(version_in("no number"), None);
    }

    #[test]
    fn a_tool_that_is_too_old_or_missing_is_told_of() {
        let need = |text: &str| Need::try_from(text.to_owned()).unwrap();
        assert!(is_enough(&need("go >= 1.19"), "go version go1.19.8 linux"));
        assert!(is_enough(&need("go >= 1.19"), "go version go1.20 linux"));
        assert!(!is_enough(
            &need("go >= 1.19.9"),
            "go version go1.19.8 linux"
        ));
        assert!(is_enough(&need("sh"), "sh"));
        assert_eq!(version_line("no-such-tool-anywhere"), None);
        assert!(version_line("sh").is_some());
    }
}
