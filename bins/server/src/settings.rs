//! What may change while the server runs.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::admission::ClientLimits;
use crate::args::{Args, Draining};
use crate::limits::ClientsError;
use crate::throttle::Rates;

/// What may change while the server runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: ClientLimits,
    pub(crate) draining: Draining,
    pub(crate) rates: Rates,
    pub(crate) message_timeout: Option<Duration>,
    pub(crate) drain_timeout: Duration,
}

impl Settings {
    pub(crate) fn of(args: &Args) -> Result<Self, ClientsError> {
        Ok(Self {
            limits: args.client_limits()?,
            draining: args.draining(),
            rates: args.rates(),
            message_timeout: args.message_timeout(),
            drain_timeout: args.drain_timeout,
        })
    }
}

/// Settings that change. They are shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Live(Arc<RwLock<Settings>>);

impl Live {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(RwLock::new(settings)))
    }

    pub(crate) fn get(&self) -> Settings {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}
