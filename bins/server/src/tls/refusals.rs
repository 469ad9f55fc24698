//! Clients that are refused: why, and that their number does not fill the log.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{AlertDescription, CertificateError, Error};
use tracing::{debug, warn};

use crate::peer::Peer;

/// Why a client does not get in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it did not finish its handshake within {0:?}")]
    Late(Duration),
    #[error("it speaks no TLS; is it meant for the plain address?")]
    Plain,
    #[error("it speaks TLS, and this address is the plain one")]
    TlsOnPlain,
    #[error("it has no certificate, and only clients with one get in")]
    NoCertificate,
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is of another CA")]
    OtherCa,
    #[error("its certificate is no good: {0}")]
    BadCertificate(CertificateError),
    #[error("it does not accept the certificate of this server: {0:?}")]
    NotAccepted(AlertDescription),
    #[error("it left during its handshake")]
    Left,
    #[error("{0}")]
    Tls(Error),
    #[error("{0}")]
    Io(io::Error),
}

/// What a client's stream fails with when it speaks TLS where it should not.
#[derive(Debug, thiserror::Error)]
#[error("it speaks TLS, and this address is the plain one")]
pub(crate) struct TlsOnPlain;

impl Refusal {
    /// Tells the reason from the error that a handshake has failed with.
    pub(crate) fn of(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(error) => Self::of_tls(error.clone()),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Left,
            None => Self::Io(error),
        }
    }

    fn of_tls(error: Error) -> Self {
        use CertificateError::{BadSignature, Expired, ExpiredContext, UnknownIssuer};
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(Expired | ExpiredContext { .. }) => Self::Expired,
            // The latter is a CA of the same name with another key.
            Error::InvalidCertificate(UnknownIssuer | BadSignature) => Self::OtherCa,
            Error::InvalidCertificate(error) => Self::BadCertificate(error),
            Error::AlertReceived(alert) => Self::NotAccepted(alert),
            error => Self::Tls(error),
        }
    }

    /// Returns the reason in a word.
    fn name(&self) -> &'static str {
        match self {
            Self::Late(_) => "late",
            Self::Plain => "plain",
            Self::TlsOnPlain => "tls_on_plain",
            Self::NoCertificate => "no_certificate",
            Self::Expired => "expired",
            Self::OtherCa => "other_ca",
            Self::BadCertificate(_) => "bad_certificate",
            Self::NotAccepted(_) => "not_accepted",
            Self::Left => "left",
            Self::Tls(_) => "tls",
            Self::Io(_) => "io",
        }
    }

    /// Counts a client that is refused, and logs it, but for each reason only now and then; at the
    /// level `debug`, each.
    pub(crate) fn note(&self, peer: Peer) {
        let reason = self.name();
        let unsaid = match LOGGED.note(reason, Instant::now()) {
            // Whoever tries whether a port is open does this, and nobody is to be told.
            Some(unsaid) if !matches!(self, Self::Left) => unsaid,
            _ => {
                debug!(%peer, reason, "refused a client: {self}");
                return;
            }
        };
        if unsaid == 0 {
            warn!(%peer, reason, "refused a client: {self}");
        } else {
            warn!(%peer, reason, more = unsaid, "refused a client: {self}");
        }
    }
}

/// Logs a client that was refused since it speaks TLS where it should not, if an error says that.
pub(crate) fn note_tls_on_plain(peer: Peer, error: &io::Error) {
    let inner = error.get_ref();
    if inner.is_some_and(|inner| inner.is::<TlsOnPlain>()) {
        Refusal::TlsOnPlain.note(peer);
    }
}

/// Returns how many clients were refused for each reason.
pub(crate) fn refused() -> BTreeMap<&'static str, u64> {
    let reasons = LOGGED.reasons();
    let count = |name| reasons.get(name).map_or(0, |silence| silence.total);
    NAMES.map(|name| (name, count(name))).into()
}

/// What was logged of each reason.
#[derive(Debug)]
struct Logged {
    reasons: Mutex<BTreeMap<&'static str, Silence>>,
}

/// The time in which a reason is not logged.
#[derive(Debug)]
struct Silence {
    begin: Instant,
    /// How many clients were refused in it.
    count: u64,
    /// How many clients were ever refused for the reason.
    total: u64,
}

impl Logged {
    /// Notes one more client. Returns how many were not logged before it, if it is to be logged.
    fn note(&self, reason: &'static str, now: Instant) -> Option<u64> {
        debug_assert!(NAMES.contains(&reason));
        let mut reasons = self.reasons();
        let Some(silence) = reasons.get_mut(reason) else {
            let begun = Silence {
                begin: now,
                count: 0,
                total: 1,
            };
            reasons.insert(reason, begun);
            return Some(0);
        };
        silence.total += 1;
        if now < silence.begin + LOG_PERIOD {
            silence.count += 1;
            return None;
        }
        silence.begin = now;
        Some(std::mem::take(&mut silence.count))
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<&'static str, Silence>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static LOGGED: Logged = Logged {
    reasons: Mutex::new(BTreeMap::new()),
};

/// All reasons, as [`Refusal::name`] has them.
const NAMES: [&str; 11] = [
    "late",
    "plain",
    "tls_on_plain",
    "no_certificate",
    "expired",
    "other_ca",
    "bad_certificate",
    "not_accepted",
    "left",
    "tls",
    "io",
];

/// How long nothing more is logged of clients that are refused for the same reason. A judgement:
/// ports that are open to everybody are tried all the time.
const LOG_PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_now_and_then_with_the_number_of_the_rest() {
        let logged = Logged {
            reasons: Mutex::default(),
        };
        let start = Instant::now();
        assert_eq!(logged.note("late", start), Some(0));
        assert_eq!(logged.note("late", start), None);
        assert_eq!(logged.note("plain", start), Some(0), "others are others");
        let almost = start + LOG_PERIOD - Duration::from_nanos(1);
        assert_eq!(logged.note("late", almost), None);
        assert_eq!(logged.note("late", start + LOG_PERIOD), Some(2));
        assert_eq!(logged.note("late", start + LOG_PERIOD), None);
        assert_eq!(logged.note("late", start + 2 * LOG_PERIOD), Some(1));
        assert_eq!(logged.reasons()["late"].total, 6);
    }
}
