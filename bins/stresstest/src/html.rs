//! `stresstest report`, and `--html` of the other commands: one page of what was found.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};

use chat_html::{Document, DocumentError, Page, PageError};
use chat_report::atomic_file::Draft;
use chat_report::{parse_output, tell};
use clap::Parser;

/// Makes one HTML page of results that were kept with --json
///
/// Takes what loads, compare, conform and gallery have written, of one server or of many, and shows the
/// servers side by side. Several files of the same server and load are shown as a median and a span.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Results, as --json of a load, of compare, of conform or of gallery has written them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where the page goes
    #[arg(long, value_name = "OUT", value_parser = parse_output)]
    html: PathBuf,
}

/// Makes a page of kept results, if that is what the process was started for, and returns the exit
/// code. `args` come after the executable.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    args.next().filter(|name| name == NAME)?;
    let name = OsString::from(format!("stresstest {NAME}"));
    let args = Args::parse_from(iter::once(name).chain(args));
    Some(match report(&args) {
        Ok(()) => EXIT_WRITTEN,
        Err(error) => {
            tell(format_args!("error: {error}"));
            EXIT_FAILED
        }
    })
}

fn report(args: &Args) -> Result<(), HtmlError> {
    let mut page = Page::new();
    for path in &args.files {
        page.add(read(path)?)?;
    }
    write_page(&args.html, &page)
}

fn read(path: &Path) -> Result<Document, HtmlError> {
    let unread = |source| HtmlError::Read {
        path: path.to_owned(),
        source,
    };
    let mut json = String::new();
    let file = File::open(path).map_err(unread)?;
    let read = file.take(FILE_LEN_MAX + 1).read_to_string(&mut json);
    read.map_err(unread)?;
    if json.len() as u64 > FILE_LEN_MAX {
        return Err(unread(io::ErrorKind::FileTooLarge.into()));
    }
    Document::read(&json).map_err(|source| HtmlError::Document {
        path: path.to_owned(),
        source,
    })
}

/// Writes a page of documents that were just made.
pub(crate) fn write(
    path: &Path,
    documents: impl IntoIterator<Item = Document>,
) -> Result<(), HtmlError> {
    let mut page = Page::new();
    for document in documents {
        page.add(document)?;
    }
    write_page(path, &page)
}

fn write_page(path: &Path, page: &Page) -> Result<(), HtmlError> {
    Draft::write(path, page.render().as_bytes()).map_err(|source| HtmlError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HtmlError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot use {}: {source}", path.display())]
    Document {
        path: PathBuf,
        source: DocumentError,
    },
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl HtmlError {
    /// Returns what went wrong, for callers that name the file themselves.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Write { source, .. } => source,
            other => io::Error::other(other),
        }
    }
}

/// What it is called on the command line.
const NAME: &str = "report";

/// How many bytes a file may have. A judgement: results have some tens of thousands.
const FILE_LEN_MAX: u64 = 32 << 20;

const EXIT_WRITTEN: u8 = 0;
const EXIT_FAILED: u8 = 1;

const AFTER_HELP: &str = "\
Exit codes:
  0    the page is written, whatever it says of the servers
  1    a file cannot be read, is no results, or the page cannot be written
  2    the command line makes no sense

Example:
  stresstest --window 100 --duration 5s --json load.json ./my-server
  stresstest conform --json cases.json ./my-server
  stresstest report load.json cases.json --html report.html";
