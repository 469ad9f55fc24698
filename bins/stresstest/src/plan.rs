//! What the command line asks for, in the terms of the libraries.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chat_report::{Baseline, LinesTo, Outputs, Progress, Standard, tell};
use chat_results::{Check, Load, Pacing};
use chat_stress::{Campaign, Convention, Launch, ProtocolName, Target, check_load};
use chat_tls::{Tls, TlsArgs, TlsError};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Args, Place};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) campaign: Campaign,
    pub(crate) standard: Standard,
    pub(crate) outputs: Outputs,
    pub(crate) lines: LinesTo,
    pub(crate) progress: Progress,
    pub(crate) has_table: bool,
    /// Whether it is told on standard error what a run of this kind does not test: less than usual,
    /// and there is no table that tells it.
    pub(crate) tells_not_tested: bool,
    pub(crate) protocol: ProtocolName,
    /// Whether comparisons with the baseline are told that found nothing worse.
    pub(crate) has_notes: bool,
    /// The servers that run already; none when the run starts its own.
    connect: Vec<SocketAddr>,
    /// How many servers are started as a group, if they are.
    servers: Option<u16>,
    /// How clients connect over TLS, if they do.
    pub(crate) tls: Option<Tls>,
    launch: Launch,
}

impl Plan {
    /// Reads the command line. Ends the process on `--help`, `--version` and everything that makes
    /// no sense.
    ///
    /// # Errors
    ///
    /// When a file for TLS is missing or no good.
    pub(crate) fn read() -> Result<Self, TlsError> {
        let args = Args::parse();
        let (options, places) = (args.tls.clone(), args.connect.clone());
        let mut plan = args.into_plan().unwrap_or_else(|problem| {
            Args::command()
                .error(ErrorKind::ValueValidation, problem)
                .exit()
        });
        plan.tls = read_tls(&options, places)?;
        Ok(plan)
    }

    /// Returns what is tested.
    pub(crate) fn target(&self) -> Target {
        match self.servers {
            _ if !self.connect.is_empty() => Target::running(self.connect.iter().copied()),
            Some(count) => Target::group_of(&self.launch, count),
            None => Target::Launch(self.launch.clone()),
        }
    }
}

impl Args {
    fn into_plan(self) -> Result<Plan, String> {
        let load = self.load();
        if self.isolation && !load.has_antagonists() {
            return Err("--isolation needs --stalled, --slow or --churn: it tells how much the others suffer from those".to_owned());
        }
        if self.record.is_some() && load.check != Check::Full {
            return Err(
                "--record needs --check full, since only then there is something to record"
                    .to_owned(),
            );
        }
        if self.calibrate && self.protocol != ProtocolName::Chat {
            return Err(format!(
                "--calibrate tells what this program can do in the protocol of the chat, and not in that of {}; run without it",
                self.protocol
            ));
        }
        self.check_tls()?;
        let launch = self.launch();
        let baseline = self.baseline.as_ref();
        let is_judged =
            self.fail_on.is_some() || baseline.is_some() || self.save_baseline.is_some();
        // With none but the classic options, the classic lines are all that there is on anything
        // but a terminal.
        let is_classic =
            load.is_classic() && self.window.is_none() && !is_judged && !self.calibrate;
        let in_flight = load.pacing == Pacing::LOCK_STEP && self.window.is_none() && !self.classic;
        let record_without = self.record.as_deref().filter(|_| self.isolation);
        let outputs = Outputs {
            record_without: record_without.map(without),
            server_log: self.server_log,
            json: self.json,
            html: self.html,
            csv: self.csv,
            hdr: self.hdr,
            record: self.record,
            save_baseline: self.save_baseline,
            baseline_dir: self.baseline_dir,
            is_quiet: self.quiet,
        };
        // Nothing else is to stand between what programs read.
        let is_quiet = self.quiet || outputs.has_stdout();
        let lines = match (is_quiet, is_judged || outputs.has_files()) {
            (true, _) => LinesTo::Nowhere,
            (false, true) => LinesTo::StdoutWhileRead,
            (false, false) => LinesTo::Stdout,
        };
        check_load(&load).map_err(|error| error.to_string())?;
        outputs.check().map_err(|error| error.to_string())?;
        let baseline = baseline.map(|name| Baseline::load(&outputs.baseline_dir, name));
        let has_table = !is_quiet && (!is_classic || io::stdout().is_terminal());
        let baseline = baseline.transpose().map_err(|error| error.to_string())?;
        if let Some(difference) = baseline.as_ref().and_then(|it| it.incomparable(&load)) {
            return Err(difference);
        }
        Ok(Plan {
            campaign: Campaign {
                load,
                calibrate: self.calibrate,
                isolation: self.isolation,
                in_flight,
            },
            standard: Standard {
                thresholds: self.fail_on.unwrap_or_default(),
                baseline,
                noise: self.noise,
            },
            outputs,
            lines,
            progress: Progress::shown_unless(self.quiet),
            has_table,
            tells_not_tested: !is_quiet && !has_table && !self.connect.is_empty(),
            protocol: self.protocol,
            has_notes: !self.quiet,
            tls: None,
            connect: self.connect.into_iter().map(|place| place.addr).collect(),
            servers: self.servers,
            launch,
        })
    }

    /// Tells what cannot be had over TLS.
    fn check_tls(&self) -> Result<(), String> {
        if !self.tls.is_asked_for() {
            return Ok(());
        }
        if self.calibrate {
            return Err(
                "--calibrate tells what this program can do without TLS, and not with it; run without one of them"
                    .to_owned(),
            );
        }
        if self.protocol != ProtocolName::Chat {
            return Err(format!(
                "--tls is for the protocol of the chat, and not for that of {}; run without it",
                self.protocol
            ));
        }
        Ok(())
    }

    /// Tells how the server is started, if one is.
    fn launch(&self) -> Launch {
        let executable = self.executable.clone();
        let mut launch = match self.protocol.known_server() {
            Some(known) => known.launch(executable, self.server),
            None => Launch::new(executable.unwrap_or_else(server_beside), self.server),
        };
        if self.tls.is_asked_for() {
            launch.convention = Convention::ChatOverTls;
        }
        launch.args.extend(self.args.iter().cloned());
        launch.log.clone_from(&self.server_log);
        // Without it, the server outlives this process only if that is killed.
        launch.guard = std::env::current_exe().ok();
        launch
    }

    fn load(&self) -> Load {
        let is_lasting = self.duration.is_some();
        let is_classic = self.window.is_none() && self.rate.is_none() && !is_lasting;
        let repetitions = if is_classic { REPETITIONS } else { 1 };
        let messages = Load::default().messages.filter(|_| !is_lasting);
        let window = self.window.map_or(Pacing::LOCK_STEP, Pacing::window);
        Load {
            publishers_read: !self.classic,
            repetitions: self.repetitions.unwrap_or(repetitions),
            messages: self.messages.or(messages),
            duration: self.duration,
            pacing: self.rate.map_or(window, Pacing::Rate),
            check: self.check,
            seed: self.seed,
            timeout: self.timeout,
            ..self.shape.load()
        }
    }
}

/// Reads the files for TLS, and warns of what it does not protect from.
fn read_tls(options: &TlsArgs, places: Vec<Place>) -> Result<Option<Tls>, TlsError> {
    let mut tls = options.read()?;
    if let Some(warning) = options.warning() {
        tell(format_args!("warning: {warning}"));
    }
    if let Some(tls) = &mut tls {
        for place in places {
            tls.add_host(place.addr, place.host);
        }
    }
    Ok(tls)
}

/// Returns where the run without antagonists is recorded: beside that of the run with them.
fn without(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".without");
    path.into()
}

/// Returns the server that is tested when none is named.
pub(crate) fn server_beside() -> PathBuf {
    std::env::current_exe().map_or_else(
        |_| SERVER_NAME.into(),
        |path| path.with_file_name(SERVER_NAME),
    )
}

const SERVER_NAME: &str = "chat-server";

/// How many repetitions there are when nothing is said. They are classic.
const REPETITIONS: u32 = 100;
