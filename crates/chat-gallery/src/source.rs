//! What the sources of rows are like: measured, never declared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package, PackageId};
use chat_results::gallery::{Excerpt, Source};
use proc_macro2::{TokenStream, TokenTree};

use crate::build::{is_rust, package};
use crate::change::CHANGE_NAME;
use crate::entry::Entry;
use crate::manifest::Manifest;

/// Looks at the sources of a row of the gallery in `dir`.
pub(crate) fn source(dir: &Path, entry: &Entry, manifest: &Manifest) -> Source {
    if manifest.twin.is_some() {
        return source_of_change(entry);
    }
    let mut files = files(&entry.folder);
    // One source may be run in two ways.
    let words = manifest
        .run
        .iter()
        .flatten()
        .map(|it| entry.folder.join(it));
    files.extend(words.filter(|it| it.is_file() && Comments::of(it).is_some()));
    files.sort();
    files.dedup();
    let texts: Vec<(&PathBuf, String)> = files
        .iter()
        .filter_map(|path| Some((path, fs::read_to_string(path).ok()?)))
        .collect();
    let code_lines = texts.iter().map(|(path, text)| code_lines(path, text));
    let rust = || texts.iter().filter(|(path, _)| has_extension(path, "rs"));
    Source {
        code_lines: code_lines.sum(),
        unsafe_count: is_rust(&entry.folder)
            .then(|| rust().map(|(_, text)| unsafe_count(text)).sum()),
        package_count: if is_rust(&entry.folder) {
            package_count(dir, entry)
        } else {
            None
        },
        excerpts: manifest
            .lines
            .iter()
            .filter_map(|lines| {
                let text = fs::read_to_string(entry.folder.join(&lines.file)).ok()?;
                let shown = text.lines().skip(lines.first - 1);
                let shown: Vec<_> = shown.take(lines.last + 1 - lines.first).collect();
                Some(Excerpt {
                    file: lines.file.to_string_lossy().into_owned(),
                    first_line: lines.first,
                    text: shown.join("\n"),
                })
            })
            .collect(),
    }
}

/// Looks at the change that makes a wrong design of its twin. Its lines are those that it adds.
fn source_of_change(entry: &Entry) -> Source {
    let text = fs::read_to_string(entry.folder.join(CHANGE_NAME)).unwrap_or_default();
    let is_added = |line: &&str| line.starts_with('+') && !line.starts_with("+++");
    Source {
        code_lines: text.lines().filter(is_added).count(),
        excerpts: vec![Excerpt {
            file: CHANGE_NAME.to_owned(),
            first_line: 1,
            text,
        }],
        ..Source::default()
    }
}

/// Returns the files of a row that have code in a known language.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() {
                folders.push(path);
            } else if Comments::of(&path).is_some() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// How a language marks comments.
struct Comments {
    /// What a comment to the end of its line begins with.
    line: &'static str,
    /// What longer ones begin and end with.
    block: Option<(&'static str, &'static str)>,
}

impl Comments {
    /// Returns those of the language of a file, if it is known. It goes by the file's extension.
    fn of(path: &Path) -> Option<Self> {
        let (line, block) = match path.extension()?.to_str()? {
            "rs" | "go" | "js" | "mjs" | "ts" | "c" | "cc" | "cpp" | "h" | "hpp" | "java"
            | "cs" => ("//", Some(("/*", "*/"))),
            "py" => ("#", Some(("\"\"\"", "\"\"\""))),
            "sh" | "rb" => ("#", None),
            "erl" | "hrl" => ("%", None),
            "hs" => ("--", Some(("{-", "-}"))),
            _ => return None,
        };
        Some(Self { line, block })
    }
}

/// Counts the lines with code: those that are neither empty nor a comment from their beginning. A
/// comment behind code leaves it code.
fn code_lines(path: &Path, text: &str) -> usize {
    let Some(comments) = Comments::of(path) else {
        return 0;
    };
    let mut is_inside = false;
    let mut count = 0;
    for line in text.lines().map(str::trim) {
        if let Some((begin, end)) = comments.block {
            if is_inside {
                is_inside = !line.contains(end);
                continue;
            }
            if let Some(rest) = line.strip_prefix(begin) {
                is_inside = !rest.contains(end);
                continue;
            }
        }
        count += usize::from(!line.is_empty() && !line.starts_with(comments.line));
    }
    count
}

/// Counts how often `unsafe` is written in Rust, outside comments and texts.
fn unsafe_count(text: &str) -> usize {
    fn count(tokens: TokenStream) -> usize {
        let of = |token| match token {
            TokenTree::Ident(name) => usize::from(name == "unsafe"),
            TokenTree::Group(group) => count(group.stream()),
            _ => 0,
        };
        tokens.into_iter().map(of).sum()
    }
    text.parse().map_or(0, count)
}

/// Counts the packages that a row is built from on this machine, without itself and what only tests
/// need.
fn package_count(dir: &Path, entry: &Entry) -> Option<usize> {
    let name = package(&entry.folder).ok()?;
    let mut command = MetadataCommand::new();
    command.current_dir(dir).other_options(vec![
        "--locked".to_owned(),
        "--filter-platform".to_owned(),
        format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
    ]);
    let metadata = command.exec().ok()?;
    let is_root = |package: &&Package| package.name.as_str() == name;
    let root = &metadata.packages.iter().find(is_root)?.id;
    let nodes = metadata.resolve?.nodes;
    let mut seen: BTreeSet<PackageId> = BTreeSet::new();
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|node| node.id == id)?;
        let needed = node.deps.iter().filter(|dep| {
            let mut kinds = dep.dep_kinds.iter();
            kinds.any(|kind| kind.kind != DependencyKind::Development)
        });
        open.extend(needed.map(|dep| dep.pkg.clone()));
    }
    Some(seen.len() - 1)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_code_are_counted_in_every_language() {
        let check = |name: &str, text: &str, count: usize| {
            assert_eq!(code_lines(Path::new(name), text), count, "{name}");
        };
        check(
            "a.rs",
            "//! doc\n\nfn main() { // here\n}\n/* one\n two */\n",
            2,
        );
        check(
            "a.py",
            "\"\"\"doc\nmore\"\"\"\n# note\nprint(1)  # here\n",
            1,
        );
        check("a.erl", "%% note\n-module(a).\n", 1);
        check("a.hs", "{- long\n-}\n-- note\nmain = pure ()\n", 1);
        check("a.txt", "prose\n", 0);
    }

    #[test]
    fn unsafe_is_counted_as_a_word_of_the_language() {
        let text = "// unsafe\nfn f() { let _ = \"unsafe\"; unsafe { g() } }\nunsafe fn g() {}\n";
        assert_eq!(unsafe_count(text), 2);
    }
}
