//! A decoder that is too simple to be wrong.
//!
//! The fuzz targets include this file, so it names nothing but the crate's public items.

use chat_proto::Unfinished;

/// The result of decoding a stream: its bodies, and how it ended.
pub(crate) type Decoded = (Vec<Vec<u8>>, Result<(), Unfinished>);

/// Decodes a whole stream, one byte after the other.
pub(crate) fn decode_naively(stream: &[u8]) -> Decoded {
    let mut bodies = Vec::new();
    let mut bytes = stream.iter().copied();
    while let Some(header) = bytes.next() {
        let body: Vec<u8> = bytes.by_ref().take(usize::from(header)).collect();
        if body.len() < usize::from(header) {
            return (
                bodies,
                Err(Unfinished {
                    received: 1 + body.len(),
                    expected: 1 + usize::from(header),
                }),
            );
        }
        bodies.push(body);
    }
    (bodies, Ok(()))
}
