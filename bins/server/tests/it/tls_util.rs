use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::certs::{Authority, Folder, Identity};
use crate::util::{DEADLINE, Server};

/// A server with TLS, and what its clients need.
pub(crate) struct TlsServer {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) folder: Folder,
}

impl TlsServer {
    pub(crate) fn start(args: &[&str]) -> Self {
        let authority = Authority::new();
        let identity = authority.issue();
        Self::start_as(authority, &identity, args)
    }

    /// Starts one that lets only clients in that have a certificate of its own CA.
    pub(crate) fn start_strict() -> Self {
        Self::start_strict_with(&[])
    }

    /// Starts such a one with more arguments.
    pub(crate) fn start_strict_with(args: &[&str]) -> Self {
        let authority = Authority::new();
        let folder = Folder::new();
        let ca = folder.write("client-ca.pem", &authority.pem);
        let identity = authority.issue();
        let args = [&["--tls-client-ca", &ca], args].concat();
        Self::start_as(authority, &identity, &args)
    }

    fn start_as(authority: Authority, identity: &Identity, args: &[&str]) -> Self {
        let folder = Folder::new();
        let cert = folder.write("cert.pem", &identity.cert);
        let key = folder.write("key.pem", &identity.key);
        let tls = [
            "--tls-listen",
            "127.0.0.1:0",
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
        ];
        let mut server = Server::start_with(&[&tls, args].concat());
        let line = server.next_line();
        let address = line.strip_prefix("listening on ").unwrap();
        let address = address
            .strip_suffix(" with TLS\n")
            .unwrap()
            .parse()
            .unwrap();
        Self {
            server,
            address,
            authority,
            folder,
        }
    }

    /// Puts another certificate in the place of the server's, of a new CA.
    pub(crate) fn renew(&mut self) {
        self.authority = Authority::new();
        let identity = self.authority.issue();
        self.folder.write("cert.pem", &identity.cert);
        self.folder.write("key.pem", &identity.key);
    }

    /// Connects a client without a certificate.
    pub(crate) fn connect(&self) -> TlsClient {
        TlsClient::connect(self.address, self.authority.client_config(None))
    }

    pub(crate) fn join(&self, hello: &[u8]) -> TlsClient {
        let mut client = self.connect();
        client.send(hello);
        while client.receive() != hello {}
        client
    }

    /// Returns the line that the server logs of a client it refuses.
    pub(crate) fn refusal(&mut self) -> String {
        let mut lines = self.server.log_lines();
        let line = lines.find(|line| line.contains("refused"));
        line.expect("the server logs a line")
    }
}

/// A client over TLS: blocking, with a deadline on everything.
pub(crate) struct TlsClient {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    pub(crate) fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self::connect_after(address, config, b"")
    }

    /// Connects, and sends bytes before anything of TLS.
    pub(crate) fn connect_after(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        first: &[u8],
    ) -> Self {
        let mut socket = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(first).unwrap();
        let name = ServerName::from(address.ip());
        let session = ClientConnection::new(config, name).unwrap();
        Self {
            stream: StreamOwned::new(session, socket),
        }
    }

    pub(crate) fn send(&mut self, body: &[u8]) {
        self.try_send(body).unwrap();
    }

    pub(crate) fn try_send(&mut self, body: &[u8]) -> io::Result<()> {
        let len = u8::try_from(body.len()).unwrap();
        self.stream.write_all(&[&[len], body].concat())?;
        self.stream.flush()
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive().unwrap().expect("there is a message")
    }

    /// Receives one message, or `None` when the server has said that nothing more comes. A
    /// connection that ends without that is an error.
    pub(crate) fn try_receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut header = [0];
        if self.stream.read(&mut header)? == 0 {
            return Ok(None);
        }
        let mut body = vec![0; header[0].into()];
        self.stream.read_exact(&mut body)?;
        Ok(Some(body))
    }

    /// Ends the sending side of TLS; the socket stays as it is.
    pub(crate) fn end_sending(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().unwrap();
    }

    /// Returns the error that the client finds out with that it is refused.
    pub(crate) fn refused(mut self) -> io::Error {
        self.try_send(b"let me in")
            .and_then(|()| self.try_receive())
            .expect_err("the client is refused")
    }
}
