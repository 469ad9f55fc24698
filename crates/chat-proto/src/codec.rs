//! The codec traits of tokio-util and asynchronous-codec.

use std::io;

use bytes::{BufMut, BytesMut};

use crate::{Body, BodyBytes, ReadError, Unfinished};

/// The codec for the `Framed` types of tokio-util and of asynchronous-codec.
///
/// It decodes to [`BodyBytes`], which share the buffer they were received in, and encodes [`Body`].
/// After an error of the stream, decoding goes on where it stopped; tokio-util's `Framed` first
/// returns `None` once. After [`ReadError::Unfinished`] the stream is at its end. Read no more from
/// it: the codec would take later bytes for the start of a message.
///
/// # Examples
#[cfg_attr(
    feature = "tokio-util",
    doc = r##"
With the feature `tokio-util`:

```
use chat_proto::{Body, Codec, ReadError, Unfinished};
use futures::{SinkExt, TryStreamExt, executor::block_on};
use tokio_util::codec::{FramedRead, FramedWrite};

# block_on(async {
let mut writer = FramedWrite::new(Vec::new(), Codec);
writer.send(Body::new(b"hello")?).await?;
let mut wire = writer.into_inner();
wire.extend(b"\x05wor");

let mut reader = FramedRead::new(&wire[..], Codec);
let body = reader.try_next().await?.unwrap();
assert_eq!(body.as_bytes(), b"hello");
let error = reader.try_next().await.unwrap_err();
assert!(matches!(error, ReadError::Unfinished(Unfinished { received: 4, expected: 6 })));
# Ok::<(), Box<dyn std::error::Error>>(())
# }).unwrap();
```
"##
)]
#[cfg_attr(
    feature = "asynchronous-codec",
    doc = r##"
With the feature `asynchronous-codec`:

```
use asynchronous_codec::{FramedRead, FramedWrite};
use chat_proto::{Body, Codec, ReadError, Unfinished};
use futures::{SinkExt, TryStreamExt, executor::block_on, io::Cursor};

# block_on(async {
let mut writer = FramedWrite::new(Cursor::new(Vec::new()), Codec);
writer.send(Body::new(b"hello")?).await?;
let mut wire = writer.into_inner().into_inner();
wire.extend(b"\x05wor");

let mut reader = FramedRead::new(&wire[..], Codec);
let body = reader.try_next().await?.unwrap();
assert_eq!(body.as_bytes(), b"hello");
let error = reader.try_next().await.unwrap_err();
assert!(matches!(error, ReadError::Unfinished(Unfinished { received: 4, expected: 6 })));
# Ok::<(), Box<dyn std::error::Error>>(())
# }).unwrap();
```
"##
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codec;

impl Codec {
    fn decode_eof(received: &mut BytesMut) -> Result<Option<BodyBytes>, ReadError> {
        let body = BodyBytes::split_from(received);
        if body.is_none() {
            Unfinished::check(&received.split())?;
        }
        Ok(body)
    }

    fn encode(body: Body<'_>, unsent: &mut BytesMut) {
        unsent.reserve(body.encoded_len());
        unsent.put_u8(body.header());
        unsent.put_slice(body.as_bytes());
    }
}

#[cfg(feature = "tokio-util")]
impl tokio_util::codec::Decoder for Codec {
    type Item = BodyBytes;
    type Error = ReadError;

    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<BodyBytes>, ReadError> {
        Ok(BodyBytes::split_from(received))
    }

    fn decode_eof(&mut self, received: &mut BytesMut) -> Result<Option<BodyBytes>, ReadError> {
        Self::decode_eof(received)
    }
}

#[cfg(feature = "tokio-util")]
impl tokio_util::codec::Encoder<Body<'_>> for Codec {
    type Error = io::Error;

    fn encode(&mut self, body: Body<'_>, unsent: &mut BytesMut) -> io::Result<()> {
        Self::encode(body, unsent);
        Ok(())
    }
}

#[cfg(feature = "asynchronous-codec")]
impl asynchronous_codec::Decoder for Codec {
    type Item = BodyBytes;
    type Error = ReadError;

    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<BodyBytes>, ReadError> {
        Ok(BodyBytes::split_from(received))
    }

    fn decode_eof(&mut self, received: &mut BytesMut) -> Result<Option<BodyBytes>, ReadError> {
        Self::decode_eof(received)
    }
}

#[cfg(feature = "asynchronous-codec")]
impl asynchronous_codec::Encoder for Codec {
    type Item<'a> = Body<'a>;
    type Error = io::Error;

    fn encode(&mut self, body: Body<'_>, unsent: &mut BytesMut) -> io::Result<()> {
        Self::encode(body, unsent);
        Ok(())
    }
}
