//! The files that results go to.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_results::judge::{nothing_measured, outweigh};
use chat_results::{Results, Verdict};
use hdrhistogram::Histogram;

use crate::atomic_file::{self, is_same_file};
use crate::baseline::{Baseline, BaselineError, BaselineName};
use crate::lines::tell;
use crate::{csv, hdr, json};

/// The files that results go to, each of which there may be or not.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// All results as JSON.
    pub json: Option<PathBuf>,
    /// All results as a page for people.
    pub html: Option<PathBuf>,
    /// The figures as comma-separated values.
    pub csv: Option<PathBuf>,
    /// The distributions of times as an HDR histogram log.
    pub hdr: Option<PathBuf>,
    /// All that a verdict needs. Whoever runs the load writes it; here it is only looked whether
    /// there is another file in the same place.
    pub record: Option<PathBuf>,
    /// The same of the run without antagonists, which is written in the same way.
    pub record_without: Option<PathBuf>,
    /// What the server prints on standard error. It is written while the server runs.
    pub server_log: Option<PathBuf>,
    /// The baseline to keep.
    pub save_baseline: Option<BaselineName>,
    /// Where baselines are kept.
    pub baseline_dir: PathBuf,
    /// Whether where the baseline is goes without saying.
    pub is_quiet: bool,
}

impl Outputs {
    /// Tells whether the results, or some of them, go to a file other than a baseline.
    pub fn has_files(&self) -> bool {
        [&self.json, &self.html, &self.csv, &self.hdr, &self.record]
            .into_iter()
            .any(Option::is_some)
    }

    /// Tells whether one of the files is standard output.
    pub fn has_stdout(&self) -> bool {
        let files = [&self.json, &self.csv, &self.hdr, &self.record];
        let mut files = files.into_iter().flatten();
        files.any(|path| path == Path::new(STDOUT))
    }

    /// Finds out, before anything is started, whether the baseline can be kept and no two of the
    /// files are one. Each file can be written: [`parse_output`] has seen to that.
    ///
    /// # Errors
    ///
    /// When it is not so.
    pub fn check(&self) -> Result<(), OutputError> {
        let baseline = self.save_baseline.as_ref();
        baseline.map_or(Ok(()), |name| Baseline::try_save(&self.baseline_dir, name))?;
        let files = [
            ("--json", self.json.clone()),
            ("--html", self.html.clone()),
            ("--csv", self.csv.clone()),
            ("--hdr", self.hdr.clone()),
            ("--record", self.record.clone()),
            (
                "--record, without antagonists,",
                self.record_without.clone(),
            ),
            ("--server-log", self.server_log.clone()),
            (
                "--save-baseline",
                baseline.map(|name| Baseline::path(&self.baseline_dir, name)),
            ),
        ];
        let files: Vec<_> = files
            .into_iter()
            .filter_map(|(option, path)| path.map(|path| (option, path)))
            .collect();
        for (place, (option, path)) in files.iter().enumerate() {
            let mut before = files[..place].iter();
            let is_same = |other: &Path| {
                is_same_file(path, other) || (path == other && path == Path::new(STDOUT))
            };
            if let Some((other, _)) = before.find(|(_, other)| is_same(other)) {
                return Err(OutputError::Same {
                    options: [other, option],
                    path: path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Writes all files, each even where another fails. What goes wrong is told on standard error and
    /// makes the verdict worse. The files after it have that in them, and JSON is the last, so that
    /// programs learn of all others.
    ///
    /// `without` is the same run without antagonists, if there was one. `has_ended_early` tells
    /// whether a failure ended the run. `page` writes the page.
    pub fn write<'a>(
        &self,
        without: Option<&Results>,
        results: &mut Results,
        has_ended_early: bool,
        histograms: impl Iterator<Item = (&'static str, &'a Histogram<u64>)>,
        page: impl FnOnce(&Path, &Results) -> io::Result<()>,
    ) {
        if let Some(path) = &self.hdr {
            let time = Duration::from_secs_f64(results.counts.load_s);
            note_unwritten(results, path, hdr::write(path, time, histograms));
        }
        if let Some(name) = &self.save_baseline {
            self.save(name, results, has_ended_early);
        }
        if let Some(path) = &self.csv {
            let without = without.map(|without| ("without", without));
            let written = csv::write(path, without.into_iter().chain([("run", &*results)]));
            note_unwritten(results, path, written);
        }
        if let Some(path) = &self.html {
            let written = page(path, results);
            note_unwritten(results, path, written);
        }
        if let Some(path) = &self.json {
            let written = json::write(path, results);
            note_unwritten(results, path, written);
        }
    }

    /// Keeps the results of a run that came to its end.
    fn save(&self, name: &BaselineName, results: &mut Results, has_ended_early: bool) {
        if has_ended_early || nothing_measured(results).is_some() {
            tell(format_args!(
                "note: no baseline {name} is kept of a run that did not come to its end"
            ));
            return;
        }
        if matches!(results.verdict, Verdict::Failed { .. }) {
            tell(format_args!(
                "note: no baseline {name} is kept of a run that failed"
            ));
            return;
        }
        match Baseline::save(&self.baseline_dir, name, results) {
            Ok(path) if !self.is_quiet => {
                tell(format_args!("note: the baseline is in {}", path.display()));
            }
            Ok(_) => {}
            Err(error) => tell_later(results, &error.into()),
        }
    }
}

/// Why results cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The baseline cannot be kept.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// Two files are in one place.
    #[error("{} and {} write to one file, {}: one of them would be lost", options[0], options[1], path.display())]
    Same {
        /// The options that ask for the files.
        options: [&'static str; 2],
        /// Where they are.
        path: PathBuf,
    },
    /// Standard output failed.
    #[error("cannot print: {0}")]
    Print(io::Error),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Tells of an error that came after the verdict, and makes that worse by it.
pub fn tell_later(results: &mut Results, error: &OutputError) {
    tell(format_args!("error: {error}"));
    let why = error.to_string();
    outweigh(&mut results.verdict, Verdict::Stopped { why });
}

/// Reads the path of a file; `-` is standard output. Finds out, before anything is started, whether it can be written.
///
/// # Errors
///
/// When it cannot.
pub fn parse_output(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(if text == "-" { STDOUT } else { text });
    atomic_file::try_write(&path).map_err(|error| format!("it cannot be written: {error}"))?;
    Ok(path)
}

/// The name of standard output among files.
const STDOUT: &str = "/dev/stdout";

fn note_unwritten(results: &mut Results, path: &Path, written: io::Result<()>) {
    if let Err(source) = written {
        let path = path.to_owned();
        tell_later(results, &OutputError::Write { path, source });
    }
}
