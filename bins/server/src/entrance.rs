//! A client's way from its connection to its session.

use std::sync::Arc;

use chat_hub::Hub;
use tracing::debug;

use crate::admission::Admission;
use crate::cluster::Cluster;
use crate::peer::Peer;
use crate::proxy::Proxies;
use crate::runtime;
use crate::serving::{Admitted, Serving};
use crate::settings::Live;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::throttle::{Ingress, Target, Throttled};
use crate::tls::Tls;

/// Lets the clients of an address in. It is shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    pub(crate) hub: Hub,
    pub(crate) admission: Admission,
    pub(crate) settings: Live,
    pub(crate) ingress: Ingress,
    pub(crate) proxies: Arc<Proxies>,
    /// Where messages go, if not to the hub.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) kind: Kind,
}

/// What the clients of an address speak.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Plain,
    /// The same, and some may take the address for that of TLS.
    PlainBesideTls,
    Tls(Tls),
}

impl Entrance {
    /// Takes a connection: that of a client, or that of a proxy, which has to say first whom it is
    /// for.
    pub(crate) fn take<S: Stream>(&self, stream: S, peer: Peer) {
        if self.proxies.are_at(peer) {
            self.expect_header(stream, peer);
        } else {
            self.admit(stream, peer);
        }
    }

    /// Lets a client in when its proxy has said who it is. Others do not wait for that.
    fn expect_header<S: Stream>(&self, mut stream: S, proxy: Peer) {
        let limits = self.settings.get().limits;
        let place = match self.admission.expect_header(limits) {
            Ok(place) => place,
            Err(refusal) => return debug!(%proxy, "refused: {refusal}"),
        };
        let entrance = self.clone();
        let expecting = async move {
            let source = entrance.proxies.source(&mut stream, proxy).await;
            drop(place);
            match source {
                Ok(peer) => entrance.admit(stream, peer),
                Err(why) => entrance.admission.note_no_header(proxy, &why),
            }
        };
        runtime::spawn(expecting).detach();
    }

    /// Begins to serve a client, unless it is refused: then its connection is closed at once.
    fn admit<S: Stream>(&self, stream: S, peer: Peer) {
        let settings = self.settings.get();
        let entry = match self.admission.admit(peer, settings.limits) {
            Ok(entry) => entry,
            Err(refusal) => return debug!(%peer, "refused: {refusal}"),
        };
        debug!(%peer, "connected");
        let admitted = Admitted {
            peer,
            hub: self.hub.clone(),
            publisher: Throttled::new(self.target(), &self.ingress),
            message_timeout: settings.message_timeout,
            draining: settings.draining,
            entry,
        };
        let socket = match &self.kind {
            Kind::Plain => Socket::new(stream),
            Kind::PlainBesideTls => Socket::new(stream).refuse_tls(),
            Kind::Tls(tls) => return tls.admit(stream, admitted),
        };
        runtime::spawn(Serving::new(socket, admitted)).detach();
    }

    fn target(&self) -> Target {
        match &self.cluster {
            None => Target::Hub(self.hub.publisher()),
            Some(cluster) => Target::Cluster(Box::new(cluster.publisher())),
        }
    }
}
