use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::read;
use crate::util::{chat_server, run};

/// Returns the page on operation.
fn operation() -> String {
    fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/OPERATION.md"
    ))
    .unwrap()
}

/// Returns what the server prints.
fn printed(args: &[&str]) -> String {
    let output = run(chat_server().args(args), b"");
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the long names of the options that a help has.
fn options(help: &str) -> Vec<String> {
    let words = help.lines().filter_map(|line| {
        let words = line.trim_start();
        words.split([',', ' ']).find(|word| word.starts_with("--"))
    });
    words
        .map(|word| word.trim_end_matches(['.', ';']).to_owned())
        .collect()
}

#[test]
fn the_man_page_names_each_option() {
    let page = printed(&["--man"]);
    let helps = printed(&["--help"]) + &printed(&["top", "--help"]);
    let options = options(&helps);
    assert!(options.len() > 30, "{options:?}");
    for option in options {
        let in_page = option.replace('-', "\\-");
        assert!(page.contains(&in_page), "{option}");
    }
    assert!(page.contains(".TH chat-server 1"));
}

#[test]
fn shells_complete_each_option() {
    for (shell, option) in [
        ("bash", "--log-bytes"),
        ("zsh", "--log-bytes"),
        ("fish", "-l log-bytes"),
    ] {
        let script = printed(&["--completions", shell]);
        assert!(script.contains(option), "{shell}");
    }
}

/// Collects the texts of the log's lines from source: the last literal of each macro that logs.
fn collect(tokens: TokenStream, messages: &mut Vec<String>) {
    let mut before = Vec::new();
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let is_macro = matches!(&before[..], [.., TokenTree::Ident(name), TokenTree::Punct(mark)]
                if mark.as_char() == '!' && LEVELS.contains(&name.to_string().as_str()));
            if is_macro && group.delimiter() == Delimiter::Parenthesis {
                let literals = group.stream().into_iter().filter_map(|token| match token {
                    TokenTree::Literal(literal) => Some(literal.to_string()),
                    _ => None,
                });
                messages.extend(literals.last());
            }
            collect(group.stream(), messages);
        }
        before.push(token);
    }
}

const LEVELS: [&str; 3] = ["info", "warn", "error"];

fn collect_all(folder: &Path, messages: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_all(&path, messages);
        } else {
            collect(
                fs::read_to_string(&path).unwrap().parse().unwrap(),
                messages,
            );
        }
    }
}

/// Writes a text of the log as the page does, with dots for what differs from line to line.
fn as_on_page(message: &str) -> String {
    let message = message.trim_matches('"');
    let mut parts = message.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| format!("…{}", part.split_once('}').unwrap().1));
    first + &rest.collect::<String>()
}

#[test]
fn each_line_of_the_log_is_on_the_page() {
    let mut messages = Vec::new();
    collect_all(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut messages,
    );
    assert!(messages.len() > 20, "{messages:?}");
    let page = operation();
    // One that is all dots is the line of a panic, or of the state, whose reasons are texts.
    let texts = messages.iter().map(|message| as_on_page(message));
    let missing: Vec<_> = texts
        .filter(|text| text != "…" && !page.contains(&format!("`{text}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/OPERATION.md does not name {missing:#?}"
    );
    for text in ["state", "somebody asked for the state"] {
        assert!(page.contains(&format!("`{text}`")), "{text}");
    }
}

#[test]
fn each_alert_has_its_section_on_the_page() {
    let alerts = read("prometheus-alerts.yml");
    let page = operation();
    let names: Vec<_> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() >= 6);
    for name in names {
        assert!(page.contains(&format!("\n### {name}\n")), "{name}");
        let link = format!("runbook: docs/OPERATION.md#{}\n", name.to_lowercase());
        assert_eq!(alerts.matches(&link).count(), 1, "{link}");
    }
}

#[test]
fn the_page_has_the_limits_of_the_service() {
    let page = operation();
    let unit = read("chat-server.service");
    for name in ["LimitNOFILE", "MemoryMax", "WatchdogSec", "TimeoutStopSec"] {
        let setting = unit.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(page.contains(&format!("`{setting}`")), "{setting}");
    }
}
