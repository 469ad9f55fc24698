//! Seeing inside: figures for monitoring systems, the log, and whoever administers the server.
//!
//! All figures are collected when somebody asks for them, from what the hub and the list of clients
//! count anyway, and by threads of their own. So the chat pays nothing for them.

mod admin;
mod cluster;
mod http;
mod metrics;
mod places;
mod top;
mod view;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use crate::args::InsideArgs;

use self::admin::Admin;
#[cfg(any(test, fuzzing))]
pub use self::admin::fuzzed::check_input as check_commands;
pub(crate) use self::cluster::ClusterState;
pub(crate) use self::top::{Top, TopError};
pub(crate) use self::view::View;

/// What was opened for those who look inside. The admin socket is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    metrics: Option<TcpListener>,
    admin: Option<Admin>,
    args: InsideArgs,
}

/// Why there is no way to see inside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InsideError {
    #[error("cannot serve metrics at {address}: {source}")]
    Metrics {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot answer commands at {path}: {source}", path = .path.display())]
    Admin { path: PathBuf, source: io::Error },
    #[error("cannot start a thread for seeing inside: {0}")]
    Thread(#[from] io::Error),
}

impl Inside {
    /// Opens what the arguments ask for; nobody is served yet.
    pub(crate) fn open(args: &InsideArgs) -> Result<Self, InsideError> {
        let metrics = args.metrics.map(|address| {
            TcpListener::bind(address).map_err(|source| InsideError::Metrics { address, source })
        });
        let admin = args.admin.as_ref().map(|path| {
            let failed = |source| InsideError::Admin {
                path: path.clone(),
                source,
            };
            Admin::open(path).map_err(failed)
        });
        Ok(Self {
            metrics: metrics.transpose()?,
            admin: admin.transpose()?,
            args: args.clone(),
        })
    }

    /// Serves from now on those who look inside.
    pub(crate) fn serve(&self, view: &View) -> Result<(), InsideError> {
        if let Some(listener) = &self.metrics {
            info!("metrics are at http://{}/metrics", listener.local_addr()?);
            http::serve(listener.try_clone()?, view.clone())?;
        }
        if let Some(admin) = &self.admin {
            admin.serve(view)?;
        }
        let (period, view) = (self.args.stats, view.clone());
        if !period.is_zero() {
            spawn("stats", move || {
                loop {
                    thread::sleep(period);
                    view.log("state");
                }
            })?;
        }
        Ok(())
    }
}

/// Starts a thread that ends with the process at the latest.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(run).map(drop)
}

/// Answers whoever connects, on threads of its own. `accept` returns a connection with its place, or
/// `None` when it has closed one because there is no place left.
fn answer_all<P: Send + 'static>(
    name: &'static str,
    accept: impl Fn() -> io::Result<Option<P>> + Send + 'static,
    view: View,
    converse: fn(P, &View) -> io::Result<()>,
) -> io::Result<()> {
    spawn(name, move || {
        loop {
            let place = match accept() {
                Ok(Some(place)) => place,
                Ok(None) => continue,
                Err(_) => {
                    thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            let view = view.clone();
            let answering = spawn(&format!("{name}-answer"), move || {
                // Who does not wait for the answer need not have it.
                let _ = converse(place, &view);
            });
            if let Err(error) = answering {
                warn!("cannot answer a connection for {name}: {error}");
            }
        }
    })
}

/// How many connections are answered at a time, of each kind. A judgement: a few systems and people ask,
/// each now and then.
const CONNECTIONS_MAX: usize = 8;

/// How long nobody is accepted when the system cannot.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
