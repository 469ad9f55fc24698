//! A gallery from the first row to the last.

use std::fmt;
use std::path::PathBuf;

use chat_compare::{Candidate, Job, Plan as Comparing, Preset};
use chat_results::comparison::{Placement, Standing};
use chat_results::gallery::{Conformed, GALLERY_VERSION, Gallery, Proof, Row, RowStanding};
use chat_stress::Interrupt;
use chat_target::environment;

use crate::build::build;
use crate::entry::Entry;
use crate::manifest::{Expect, Manifest};
use crate::proof::{Probe, Server, UNRESOLVED, probes};
use crate::source::source;
use crate::tools::Tools;

/// What is done with the rows of a gallery.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The directory of the gallery.
    pub dir: PathBuf,
    /// How often right rows have to pass each load.
    pub times: u32,
    /// How rows are compared with the reference; `None` is not at all.
    pub timing: Option<Timing>,
    /// The executable of a process that ends a server if this one is killed, see
    /// [`Launch::guard`](chat_stress::Launch::guard).
    pub guard: Option<PathBuf>,
}

/// How rows are compared with the reference.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The executable that all rows are compared with.
    pub reference: PathBuf,
    /// How many rounds there are.
    pub rounds: u32,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// It is looked for tools, and the row is built.
    Build,
    /// The cases are run.
    Conform,
    /// This load is run.
    Load(&'a str),
    /// It is compared with the reference.
    Compare,
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build => f.write_str("building"),
            Self::Conform => f.write_str("the cases of the specification"),
            Self::Load(name) => write!(f, "the load {name}"),
            Self::Compare => f.write_str("comparing"),
        }
    }
}

impl Plan {
    /// Looks at rows, one after the other, and tells `before` of each step. What goes wrong with one is
    /// in its results, and the others go on. A signal ends it early.
    pub fn run(
        &self,
        entries: &[Entry],
        interrupt: &Interrupt,
        before: &mut dyn FnMut(&Entry, Step<'_>),
    ) -> Gallery {
        let mut rows = Vec::new();
        for entry in entries {
            if interrupt.is_interrupted() {
                break;
            }
            rows.push(self.row(entry, interrupt, &mut |step| before(entry, step)));
        }
        Gallery {
            gallery_version: GALLERY_VERSION,
            environment: environment(),
            rows,
            is_interrupted: interrupt.is_interrupted(),
        }
    }

    fn row(&self, entry: &Entry, interrupt: &Interrupt, before: &mut dyn FnMut(Step<'_>)) -> Row {
        let mut row = blank(entry);
        let manifest = match &entry.manifest {
            Ok(manifest) => manifest,
            Err(error) => {
                row.standing = failed(error);
                return row;
            }
        };
        row.card = manifest.card();
        let tools = Tools::probe(manifest, &entry.folder);
        row.versions = tools.versions;
        if !tools.missing.is_empty() {
            let (why, install) = (tools.missing.join("; "), manifest.install.lines());
            row.standing = RowStanding::Skipped { why, install };
            return row;
        }
        before(Step::Build);
        let built = match build(&self.dir, entry, manifest) {
            Ok(built) => built,
            Err(error) => {
                row.standing = failed(&error);
                return row;
            }
        };
        row.build = Some(built.build);
        row.source = Some(source(&self.dir, entry, manifest));
        let server = Server {
            command: built.command,
            guard: self.guard.clone(),
        };
        if manifest.expect == Expect::Pass {
            self.prove(&mut row, &server, interrupt, before);
            if row.standing.is_as_expected() {
                row.footprint = server.footprint(interrupt);
                self.compare(&mut row, &server, interrupt, before);
            }
        } else {
            convict(&mut row, &server, manifest, interrupt, before);
        }
        if interrupt.is_interrupted() {
            let why = "interrupted".to_owned();
            row.standing = RowStanding::Unproved { why };
        }
        row
    }

    /// Proves a row that is to be right.
    fn prove(
        &self,
        row: &mut Row,
        server: &Server,
        interrupt: &Interrupt,
        before: &mut dyn FnMut(Step<'_>),
    ) {
        before(Step::Conform);
        match server.conform(None, interrupt) {
            Ok(conformed) => {
                row.standing = standing_of_cases(&conformed);
                row.conformance = Some(conformed);
            }
            Err(error) => row.standing = failed(&error),
        }
        if !row.standing.is_as_expected() {
            return;
        }
        for probe in probes() {
            before(Step::Load(probe.name));
            let proof = server.prove(&probe, self.times, interrupt);
            if row.standing.is_as_expected() {
                row.standing = standing_of_load(&proof);
            }
            row.loads.push(proof);
        }
    }

    /// Compares a row that was found right with the reference.
    fn compare(
        &self,
        row: &mut Row,
        server: &Server,
        interrupt: &Interrupt,
        before: &mut dyn FnMut(Step<'_>),
    ) {
        let Some(timing) = self.timing.as_ref().filter(|_| !interrupt.is_interrupted()) else {
            return;
        };
        before(Step::Compare);
        let args = server.command[1..].iter();
        let args = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
        let comparison = Comparing {
            candidates: vec![
                Candidate::executable(REFERENCE_NAME, &timing.reference, Vec::new()),
                Candidate::executable(&row.name, &server.command[0], args),
            ],
            jobs: jobs(),
            placements: vec![Placement::OneProcessor, Placement::AllProcessors],
            rounds: Some(timing.rounds),
            confidence: CONFIDENCE,
            seed: chat_results::random_seed(),
            has_ceiling: false,
            guard: self.guard.clone(),
        };
        let comparison = comparison.run(interrupt, &mut |_| {});
        let outcomes = comparison.workloads.iter();
        let own = outcomes.filter_map(|workload| Some((workload, workload.outcomes.get(1)?)));
        for (workload, outcome) in own {
            let why = match &outcome.standing {
                Standing::Wrong { why } => why,
                Standing::Stopped { why } => why,
                _ => continue,
            };
            row.standing = RowStanding::Otherwise {
                why: format!("under the load {}: {why}", workload.name),
            };
        }
        row.comparison = Some(comparison);
    }
}

/// Finds a row wrong, as it is expected, in some tries.
fn convict(
    row: &mut Row,
    server: &Server,
    manifest: &Manifest,
    interrupt: &Interrupt,
    before: &mut dyn FnMut(Step<'_>),
) {
    let expected = match &manifest.expect {
        Expect::Case(case) => {
            before(Step::Conform);
            convict_by_case(row, server, case, interrupt);
            return;
        }
        Expect::Class(class) => class.as_str(),
        Expect::Pass => "",
    };
    let own = manifest.load.as_ref().and_then(|extra| extra.load().ok());
    let own = own.map(|load| Probe { name: "own", load });
    // The one that is made for it is the quickest.
    let all: Vec<_> = own.into_iter().chain(probes()).collect();
    for _ in 0..TRIES_MAX {
        for probe in &all {
            if interrupt.is_interrupted() {
                return;
            }
            before(Step::Load(probe.name));
            let proof = server.prove(probe, 1, interrupt);
            let class = proof.found.as_ref().map(|(class, _)| class.clone());
            add(&mut row.loads, proof, expected);
            match class {
                Some(class) if class == expected => {
                    row.standing = RowStanding::AsExpected;
                    return;
                }
                Some(class) => {
                    let why = format!("{expected} was expected, and {class} was found");
                    row.standing = RowStanding::Otherwise { why };
                }
                None => {}
            }
        }
    }
}

fn convict_by_case(row: &mut Row, server: &Server, case: &str, interrupt: &Interrupt) {
    match server.conform(Some(case), interrupt) {
        Ok(conformed) => {
            row.standing = if conformed.failed.is_empty() {
                let why = format!("the case {case} passes, which should fail");
                RowStanding::Otherwise { why }
            } else {
                RowStanding::AsExpected
            };
            row.conformance = Some(conformed);
        }
        Err(error) => row.standing = failed(&error),
    }
}

/// Adds what one more run of a load found to what is known of that load. What is expected is told rather
/// than what was found before.
fn add(proofs: &mut Vec<Proof>, proof: Proof, expected: &str) {
    match proofs.iter_mut().find(|it| it.name == proof.name) {
        Some(known) => {
            known.runs += proof.runs;
            known.passed += proof.passed;
            let is_expected = |(class, _): &(String, String)| class == expected;
            if known.found.is_none() || proof.found.as_ref().is_some_and(is_expected) {
                known.found = proof.found;
            }
        }
        None => proofs.push(proof),
    }
}

/// Makes the results of a row of which nothing is known.
fn blank(entry: &Entry) -> Row {
    Row {
        name: entry.name.clone(),
        card: Default::default(),
        checked: environment().date,
        standing: RowStanding::Otherwise {
            why: "nothing wrong was found, in as many tries as there are".to_owned(),
        },
        versions: Vec::new(),
        source: None,
        build: None,
        conformance: None,
        loads: Vec::new(),
        footprint: None,
        comparison: None,
    }
}

fn failed(error: &dyn fmt::Display) -> RowStanding {
    RowStanding::Failed {
        why: error.to_string(),
    }
}

fn standing_of_cases(conformed: &Conformed) -> RowStanding {
    let musts = conformed.failed.iter().filter(|case| case.level == "MUST");
    let ids: Vec<_> = musts.map(|case| case.id.as_str()).collect();
    if ids.is_empty() {
        return RowStanding::AsExpected;
    }
    RowStanding::Otherwise {
        why: format!("it fails {}", ids.join(", ")),
    }
}

fn standing_of_load(proof: &Proof) -> RowStanding {
    match &proof.found {
        None => RowStanding::AsExpected,
        Some((class, story)) if class == UNRESOLVED || class == "interrupted" => {
            RowStanding::Unproved {
                why: format!("under the load {}: {story}", proof.name),
            }
        }
        Some((class, story)) => RowStanding::Otherwise {
            why: format!("under the load {}: {class}: {story}", proof.name),
        },
    }
}

/// Returns the loads under which rows are compared.
fn jobs() -> Vec<Job> {
    let mut jobs = Preset::Quick.jobs();
    jobs.retain(|job| TIMED.contains(&job.name.as_str()));
    jobs
}

/// The loads of the preset under which rows are compared. A judgement: together they tell how much gets
/// through, how long a message takes, and what a client costs.
const TIMED: [&str; 3] = ["bulk", "paced", "many-clients"];

/// The name of what rows are compared with.
pub const REFERENCE_NAME: &str = "chat-server";

/// At which confidence all ratios of a row hold together.
const CONFIDENCE: f64 = 0.95;

/// How often a wrong row gets all loads. A judgement: the rarest of the shelf shows in one of three.
const TRIES_MAX: u32 = 5;
