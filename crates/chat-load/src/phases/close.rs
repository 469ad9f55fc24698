//! The closing round: publishers send a last message each, and everybody waits for all of them.

use chat_results::Phase;
use chat_trace::Kind;
use mio::Registry;

use crate::phases::Part;
use crate::protocol::Protocol;
use crate::settle::Audience;
use crate::stop::Stop;
use crate::wiring::Wiring;

/// The closing round.
#[derive(Debug)]
pub(crate) struct Close {
    /// How many have not completed it: publishers whose closing message is not everywhere, and
    /// visitors that have not joined.
    open: usize,
}

impl Close {
    pub(crate) fn new<P: Protocol + Copy>(wiring: &Wiring<'_, P>) -> Self {
        Self {
            open: wiring.topology.publishers + wiring.visits.pending_count(),
        }
    }

    /// Has slow clients read as others do, and publishers send their closing messages.
    pub(crate) fn start<P: Protocol + Copy>(
        &mut self,
        wiring: &mut Wiring<'_, P>,
        registry: &Registry,
    ) -> Result<(), Stop> {
        for slow in wiring.topology.slow_clients() {
            let rearmed = wiring.clients[slow]
                .as_mut()
                .map_or(Ok(()), |client| client.rearm(registry));
            rearmed.map_err(|source| wiring.failed(slow, source))?;
        }
        for publisher in 0..wiring.topology.publishers {
            wiring.send_awaited(publisher, Kind::Closing)?;
        }
        Ok(())
    }
}

impl<P: Protocol + Copy> Part<P> for Close {
    const PHASE: Phase = Phase::Close;
    const AUDIENCE: Audience = Audience::Everyone;
    const NUDGE: Option<Kind> = Some(Kind::Closing);
    const MAY_HANG: bool = false;

    fn open(&self) -> usize {
        self.open
    }

    fn settled(
        &mut self,
        _wiring: &mut Wiring<'_, P>,
        _sender: usize,
        _registry: &Registry,
    ) -> Result<(), Stop> {
        self.open -= 1;
        Ok(())
    }

    fn visitor_joined(&mut self) {
        self.open -= 1;
    }

    fn turn(&mut self, wiring: &mut Wiring<'_, P>, _registry: &Registry) -> Result<(), Stop> {
        wiring.let_visitors_go();
        Ok(())
    }
}
