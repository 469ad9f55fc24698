//! `stresstest gallery`: the same server in many styles, each built, proved and compared.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chat_gallery::{Entry, FindError, NewError, Plan, Step, Timing, find, new_row, report};
use chat_html::Document;
use chat_report::atomic_file::Draft;
use chat_report::{is_closed_pipe, parse_output, tell};
use chat_results::gallery::{Gallery, RowStanding};
use chat_target::{EXIT_INTERRUPTED, Interrupt};
use clap::{Parser, value_parser};

use crate::html;
use crate::plan::server_beside;

/// Builds, proves and compares a gallery of servers: one in each style of concurrent I/O
///
/// A row is a folder like rust/tokio with a file impl.toml, which says how the server is built and run.
/// Each has to stand all cases of the specification and loads that show wrong orders. What is right is
/// compared with the chat-server beside this program; nothing else is timed. Rows under wrong/ have to
/// be convicted as their impl.toml says.
///
/// What was found is kept in DIR/target/gallery.json; rows that are named are looked at again, and the
/// others stay as they were.
#[derive(Debug, Parser)]
#[command(name = "stresstest gallery", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Directory of the gallery
    #[arg(default_value = "bins/impls")]
    dir: PathBuf,

    /// Rows to look at, like rust/tokio; a folder stands for all rows in it [default: all]
    names: Vec<String>,

    /// Fail where a row is skipped because a tool is missing
    #[arg(long)]
    require_all: bool,

    /// Take the rows along that take long to install and build
    #[arg(long)]
    heavy: bool,

    /// Prove the rows and do not time them
    #[arg(long)]
    prove: bool,

    /// How often a right row has to pass each load
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=100))]
    times: u32,

    /// Number of rounds in which a row and chat-server take turns; with fewer than 9, nothing can be told
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = value_parser!(u32).range(9..=1000))]
    rounds: u32,

    /// Write what is known of all rows to this file as JSON
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    json: Option<PathBuf>,

    /// Write what is known of all rows to this file as one HTML page, which needs no network
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    html: Option<PathBuf>,

    /// Replace the table between the two marks in this Markdown file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Make the folder of a new row, with what is to be filled in, and look at none
    #[arg(long, value_name = "LANGUAGE/STYLE")]
    new: Option<String>,

    /// Print no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Looks at a gallery, if that is what the process was started for, and returns the exit code. `args`
/// come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    args.next().filter(|name| name == "gallery")?;
    let name = OsString::from("stresstest gallery");
    let args = Args::parse_from([name].into_iter().chain(args));
    Some(gallery(&args).unwrap_or_else(|error| {
        tell(format_args!("error: {error}"));
        match error {
            Failure::Find(_) | Failure::NoSuchRow { .. } => EXIT_USAGE,
            _ => EXIT_STOPPED,
        }
    }))
}

fn gallery(args: &Args) -> Result<u8, Failure> {
    if let Some(name) = &args.new {
        for path in new_row(&args.dir, name)? {
            writeln!(io::stdout(), "{}", path.display()).map_err(Failure::Print)?;
        }
        return Ok(EXIT_PASSED);
    }
    let interrupt = Interrupt::on_signals().map_err(Failure::Watch)?;
    let entries = chosen(args, find(&args.dir)?)?;
    let reference = server_beside();
    let plan = Plan {
        dir: args.dir.canonicalize().map_err(Failure::Print)?,
        times: args.times,
        timing: (!args.prove).then_some(Timing {
            reference,
            rounds: args.rounds,
        }),
        guard: std::env::current_exe().ok(),
    };
    let mut progress = Progress::new(entries.len());
    let found = plan.run(&entries, &interrupt, &mut |entry, step| {
        if !args.quiet {
            progress.tell(entry, step);
        }
    });
    let kept_path = plan.dir.join("target/gallery.json");
    let known = kept(&kept_path, found.clone());
    let written = write_files(args, &kept_path, &known);
    let mut text = Vec::new();
    report::table(&found, &mut text).map_err(Failure::Print)?;
    match io::stdout().write_all(&text) {
        Err(error) if !is_closed_pipe(&error) => return Err(Failure::Print(error)),
        _ => {}
    }
    written?;
    Ok(exit_code(&found, args.require_all))
}

/// Returns the rows that are asked for.
fn chosen(args: &Args, entries: Vec<Entry>) -> Result<Vec<Entry>, Failure> {
    let is_named = |entry: &Entry, name: &str| Path::new(&entry.name).starts_with(name);
    for name in &args.names {
        if !entries.iter().any(|entry| is_named(entry, name)) {
            let known: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
            return Err(Failure::NoSuchRow {
                name: name.clone(),
                known: known.join(", "),
            });
        }
    }
    let is_heavy = |entry: &Entry| entry.manifest.as_ref().is_ok_and(|it| it.heavy);
    let is_chosen = |entry: &Entry| {
        let is_asked_for = args.names.iter().any(|name| is_named(entry, name));
        is_asked_for || args.names.is_empty() && (args.heavy || !is_heavy(entry))
    };
    Ok(entries.into_iter().filter(is_chosen).collect())
}

/// Returns what is known of all rows: what was found now, and before of the others.
fn kept(path: &Path, found: Gallery) -> Gallery {
    let before = fs::read_to_string(path).ok();
    let before = before.and_then(|text| serde_json::from_str::<Gallery>(&text).ok());
    let mut known = found;
    let others = before.into_iter().flat_map(|it| it.rows);
    let names: Vec<_> = known.rows.iter().map(|row| row.name.clone()).collect();
    known
        .rows
        .extend(others.filter(|row| !names.contains(&row.name)));
    known
        .rows
        .sort_by_key(|row| (row.is_wrong(), row.name.clone()));
    known
}

fn write_files(args: &Args, kept_path: &Path, known: &Gallery) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(known).map_err(io::Error::from);
    let write = |path: &Path| {
        let written = text
            .as_ref()
            .map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let written = written.and_then(|text| Draft::write(path, text.as_bytes()));
        written.map_err(|source| Failure::Write {
            path: path.to_owned(),
            source,
        })
    };
    let kept = write(kept_path);
    let json = args.json.as_deref().map_or(Ok(()), write);
    let markdown = args.markdown.as_deref().map_or(Ok(()), |path| {
        write_table(path, known).map_err(|source| Failure::Write {
            path: path.to_owned(),
            source,
        })
    });
    let html = args.html.as_deref().map_or(Ok(()), |path| {
        let written = html::write(path, [Document::from(known.clone())]);
        written.map_err(|source| Failure::Write {
            path: path.to_owned(),
            source: source.into_io(),
        })
    });
    kept.and(json).and(html).and(markdown)
}

/// Replaces the table in a text.
fn write_table(path: &Path, known: &Gallery) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let replaced = report::replace_table(&text, known).ok_or_else(|| {
        let told = format!(
            "it has no lines {} and {}",
            report::MARKS[0],
            report::MARKS[1]
        );
        io::Error::other(told)
    })?;
    Draft::write(path, replaced.as_bytes())
}

fn exit_code(found: &Gallery, requires_all: bool) -> u8 {
    let has = |is_it: fn(&RowStanding) -> bool| found.rows.iter().any(|row| is_it(&row.standing));
    if has(|it| matches!(it, RowStanding::Otherwise { .. })) {
        EXIT_BROKEN
    } else if found.is_interrupted {
        EXIT_INTERRUPTED
    } else if has(|it| matches!(it, RowStanding::Failed { .. }))
        || requires_all && has(|it| matches!(it, RowStanding::Skipped { .. }))
    {
        EXIT_STOPPED
    } else if has(|it| matches!(it, RowStanding::Unproved { .. })) {
        EXIT_INCONCLUSIVE
    } else {
        EXIT_PASSED
    }
}

/// How far it is, and how long the rest takes.
struct Progress {
    start: Instant,
    count: usize,
    name: String,
    done: usize,
    is_terminal: bool,
}

impl Progress {
    fn new(count: usize) -> Self {
        Self {
            start: Instant::now(),
            count,
            name: String::new(),
            done: 0,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, entry: &Entry, step: Step<'_>) {
        let is_next = self.name != entry.name;
        if is_next {
            self.done += usize::from(!self.name.is_empty());
            self.name.clone_from(&entry.name);
        }
        // A log has a line for each row.
        if is_next || self.is_terminal {
            let (count, number) = (self.count, self.done + 1);
            tell(format_args!(
                "{number} of {count}, {}: {step}{}",
                entry.name,
                self.left()
            ));
        }
    }

    /// Tells how long the rest takes, by what took that is done.
    fn left(&self) -> String {
        if self.done == 0 {
            return String::new();
        }
        let each = self.start.elapsed() / u32::try_from(self.done + 1).unwrap_or(u32::MAX);
        let left = each * u32::try_from(self.count - self.done).unwrap_or(u32::MAX);
        let minutes = left.as_secs_f64() / Duration::from_secs(60).as_secs_f64();
        format!(" (about {minutes:.0} min left)")
    }
}

/// Why nothing could be found, or nobody could be told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    New(#[from] NewError),
    #[error("there is no row {name}: there are {known}")]
    NoSuchRow { name: String, known: String },
    #[error("cannot watch for signals: {0}")]
    Watch(io::Error),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot print the table: {0}")]
    Print(io::Error),
}

const EXIT_PASSED: u8 = 0;
const EXIT_STOPPED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_BROKEN: u8 = 3;
const EXIT_INCONCLUSIVE: u8 = 5;

const AFTER_HELP: &str = "\
Exit codes:
  3    a row is wrong, or a wrong design was not convicted as its impl.toml says
  130  interrupted; what was found until then is shown
  1    a row could not be built or run, or with --require-all one was skipped
  5    inconclusive: a load did not show enough, as on a machine that is busy
  0    all rows are as their impl.toml says
  2    the command line makes no sense; nothing was started

Examples:
  stresstest gallery
  stresstest gallery bins/impls rust/tokio python
  stresstest gallery --prove --times 1 --require-all
  stresstest gallery --new rust/my-style";
