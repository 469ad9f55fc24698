//! What went wrong, for people.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Says what went wrong.
pub fn explain(error: Error) -> io::Error {
    use AlertDescription::{
        BadCertificate, CertificateExpired, CertificateRequired, CertificateUnknown, DecryptError,
        UnknownCA,
    };
    let text = match &error {
        Error::AlertReceived(CertificateRequired) => {
            "the server lets only clients with a certificate in; give one (--tls-cert and --tls-key)"
        }
        Error::AlertReceived(CertificateExpired) => {
            "the server says that this client's certificate has expired"
        }
        Error::AlertReceived(UnknownCA | BadCertificate | CertificateUnknown | DecryptError) => {
            "the server does not accept this client's certificate: it is of another CA"
        }
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "the server's certificate is of no CA that this client accepts; is it the right server, and --tls-ca the right file?"
        }
        Error::InvalidMessage(_) | Error::InappropriateHandshakeMessage { .. } => {
            "the server speaks no TLS; is that its plain address?"
        }
        error => return io::Error::new(io::ErrorKind::InvalidData, format!("TLS failed: {error}")),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Says that the server closed the connection during the handshake.
pub fn refused() -> io::Error {
    let text =
        "the server closed during the handshake; does it speak TLS there, and is it not full?";
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// Says that a connection ended without the end that TLS has for it.
pub fn cut() -> io::Error {
    let text = "the connection ended, though the server did not say so";
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// Says that there was no handshake in time.
pub fn late() -> io::Error {
    let text = "there was no handshake in time; does the server speak TLS there?";
    io::Error::new(io::ErrorKind::TimedOut, text)
}
