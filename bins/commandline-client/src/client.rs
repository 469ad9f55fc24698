//! One connection: both sides, and how it ended.

use std::{
    io,
    net::Shutdown,
    sync::{Arc, mpsc},
    thread,
};

use chat_proto::Unfinished;

use crate::{
    address::Address,
    print::Form,
    receive::{ReceiveError, receive},
    report::Report,
    send::send,
};

/// Connects standard input and output to the server at `address`, until the server closes or the
/// output does.
///
/// Receiving decides when it is over: the sending thread may be waiting for input then, and ends
/// with the process.
///
/// # Errors
///
/// [`ClientError`] says why the connection did not come about or did not end as it should. Failures
/// that end only the sending side, and refused lines, go to `report`.
pub(crate) fn run(address: &Address, report: &Arc<Report>) -> Result<(), ClientError> {
    let connect_error = |source| ClientError::Connect {
        address: address.clone(),
        source,
    };
    let stream = Arc::new(address.connect().map_err(connect_error)?);
    // A lone line must not wait for the acknowledgement of the one before. A connection that
    // refuses the option is gone already, which receiving finds and reports.
    let _ = stream.set_nodelay(true);

    let (outcome_sender, outcome_receiver) = mpsc::channel();
    let (sending_stream, report) = (Arc::clone(&stream), Arc::clone(report));
    let sending = move || {
        let outcome = send(io::stdin().lock(), &*sending_stream, &report);
        // Before the shutdown: who sees the server's answer to it also sees the outcome. Nobody
        // asks for it when receiving is over.
        let _ = outcome_sender.send(outcome);
        // This fails only when the connection is gone, which receiving finds and reports.
        let _ = sending_stream.shutdown(Shutdown::Write);
    };
    thread::Builder::new()
        .name("send".to_owned())
        .spawn(sending)
        .map_err(ClientError::Thread)?;

    let stdout = io::stdout().lock();
    let form = Form::suiting(&stdout);
    match receive(&*stream, stdout, form) {
        Ok(()) => judge_close(address, outcome_receiver.try_recv().ok()),
        Err(ReceiveError::Stream(source)) => Err(ClientError::Lost {
            address: address.clone(),
            source,
        }),
        Err(ReceiveError::Unfinished(cause)) => Err(ClientError::ClosedInsideMessage {
            address: address.clone(),
            cause,
        }),
        // Whoever reads the output has seen enough.
        Err(ReceiveError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ReceiveError::Output(error)) => Err(ClientError::Output(error)),
    }
}

/// Judges the end of the stream by the outcome of sending, which there is none of while there may
/// be more to send.
fn judge_close(address: &Address, send_outcome: Option<io::Result<()>>) -> Result<(), ClientError> {
    match send_outcome {
        Some(Ok(())) => Ok(()),
        // The system tells a cause once, to whichever side asks first. A broken pipe only repeats
        // that the connection is closed.
        Some(Err(source)) if source.kind() != io::ErrorKind::BrokenPipe => Err(ClientError::Lost {
            address: address.clone(),
            source,
        }),
        Some(Err(_)) | None => Err(ClientError::Closed {
            address: address.clone(),
        }),
    }
}

/// Says why a connection did not come about or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// There is no connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: Address,
        /// Why not.
        source: io::Error,
    },
    /// The connection failed.
    #[error("lost the connection to {address}: {source}")]
    Lost {
        /// Where to.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The server closed although there may be more to send.
    #[error("the server at {address} closed the connection")]
    Closed {
        /// Where the server is.
        address: Address,
    },
    /// The server closed where it may not.
    #[error("the server at {address} closed the connection: {cause}")]
    ClosedInsideMessage {
        /// Where the server is.
        address: Address,
        /// How much of the message had arrived.
        cause: Unfinished,
    },
    /// The output takes no more, for another reason than that it was closed.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// There is no thread to send from.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}
