//! What must hold for any bytes that a proxy sends, in any pieces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::header::{HEADER_LEN_MAX, Header, HeaderError, Source};

/// What became of bytes: how many were taken, and whom they are from. `None` when more were needed.
type Outcome = (usize, Result<Option<Source>, HeaderError>);

/// Checks that bytes become the same in all pieces, which is what the naive reading of them says, and
/// that nothing after a header is taken. The first byte says how long the pieces are.
pub fn check_input(input: &[u8]) {
    let Some((&piece_len, input)) = input.split_first() else {
        return;
    };
    let whole = advance(input, usize::MAX);
    let expected = naive(input);
    assert_eq!(whole.1, expected.1, "{input:02x?}");
    assert!(whole.0 <= HEADER_LEN_MAX.min(input.len()));
    for len in [1, usize::from(piece_len).max(1)] {
        let in_pieces = advance(input, len);
        assert_eq!(in_pieces.1, whole.1, "in pieces of {len}: {input:02x?}");
        // Where it fails in bytes that come together depends on the pieces.
        assert!(in_pieces.0 == whole.0 || whole.1.is_err());
    }
    if let Ok(Some(_)) = whole.1 {
        assert_eq!(whole.0, expected.0, "it ends where it ends: {input:02x?}");
    }
}

/// Checks one header: that it is from `source` wherever it is cut, and what follows it is left alone.
#[cfg(test)]
#[track_caller]
fn check(header: &[u8], source: Source) {
    let expected = Ok(Some(source));
    for len in 1..=header.len() {
        for after in [&b""[..], b"\x05hello", header] {
            let input = [header, after].concat();
            assert_eq!(
                advance(&input, len),
                (header.len(), expected),
                "in pieces of {len}"
            );
        }
        let (first, rest) = header.split_at(len - 1);
        assert_eq!(
            advance(first, usize::MAX),
            (first.len(), Ok(None)),
            "{rest:?} is missing"
        );
    }
    check_input(&[&[3], header].concat());
}

/// Gives a header bytes in pieces of `piece_len`, or shorter where it takes fewer.
fn advance(input: &[u8], piece_len: usize) -> Outcome {
    let mut header = Header::default();
    let mut taken = 0;
    let mut piece_left = piece_len;
    while taken < input.len() {
        let room = header.room();
        let len = room.len().min(input.len() - taken).min(piece_left);
        room[..len].copy_from_slice(&input[taken..taken + len]);
        taken += len;
        piece_left = if piece_left == len {
            piece_len
        } else {
            piece_left - len
        };
        match header.advance(len) {
            Ok(None) => {}
            ended => return (taken, ended),
        }
    }
    (taken, Ok(None))
}

/// Reads a header as the specification says it, with all bytes at hand.
fn naive(input: &[u8]) -> Outcome {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let is_like = |prefix: &[u8]| {
        let len = prefix.len().min(input.len());
        input[..len] == prefix[..len]
    };
    if is_like(SIGNATURE) {
        naive_v2(input)
    } else if is_like(b"PROXY ") {
        naive_v1(input)
    } else {
        (0, Err(HeaderError::Other))
    }
}

fn naive_v2(input: &[u8]) -> Outcome {
    if input.len() > 12 && !matches!(input[12], 0x20 | 0x21) {
        return (0, Err(HeaderError::Damaged));
    }
    if input.len() < 16 {
        return (0, Ok(None));
    }
    let len = 16 + usize::from(input[14]) * 256 + usize::from(input[15]);
    if len > HEADER_LEN_MAX {
        return (0, Err(HeaderError::TooLong));
    }
    if input.len() < len {
        return (0, Ok(None));
    }
    let rest = &input[16..len];
    let port = |pos: usize| u16::from_be_bytes([rest[pos], rest[pos + 1]]);
    let ip4 = || <[u8; 4]>::try_from(&rest[..4]).map(Ipv4Addr::from).unwrap();
    let ip6 = || {
        <[u8; 16]>::try_from(&rest[..16])
            .map(Ipv6Addr::from)
            .unwrap()
    };
    let source = match (input[12], input[13] >> 4, input[13] & 15, rest.len()) {
        (0x20, ..) => Ok(Some(Source::Proxy)),
        (_, 0, 0..=2, _) => Ok(Some(Source::Proxy)),
        (_, 1, 0..=2, 12..) => Ok(Some(Source::Ip((ip4(), port(8)).into()))),
        (_, 2, 0..=2, 36..) => Ok(Some(Source::Ip((ip6(), port(32)).into()))),
        (_, 3, 0..=2, 216..) => Ok(Some(Source::Unix)),
        _ => Err(HeaderError::Damaged),
    };
    (len, source)
}

fn naive_v1(input: &[u8]) -> Outcome {
    let damaged = (0, Err(HeaderError::Damaged));
    // It is over with the first of these, and has at most 107 bytes.
    let end = (1..input.len().min(107)).find(|&pos| input[pos] == b'\n' || input[pos - 1] == b'\r');
    let Some(end) = end else {
        return if input.len() < 107 {
            (0, Ok(None))
        } else {
            damaged
        };
    };
    let line = std::str::from_utf8(&input[..=end]).ok();
    let Some(line) = line.and_then(|line| line.strip_suffix("\r\n")) else {
        return damaged;
    };
    let words: Vec<_> = line.split(' ').collect();
    let source = match words[..] {
        ["PROXY", "UNKNOWN", ..] if words.len() <= 6 => Some(Source::Proxy),
        ["PROXY", family, source, destination, port, destination_port] => {
            let is_of_family = |ip: &IpAddr| ip.is_ipv4() == (family == "TCP4");
            let ip = |text: &str| text.parse::<IpAddr>().ok().filter(is_of_family);
            let port_of = |text: &str| {
                let is_plain = text == "0" || !text.starts_with('0');
                text.parse::<u16>().ok().filter(|_| is_plain)
            };
            let is_known = matches!(family, "TCP4" | "TCP6");
            let other_end = ip(destination).zip(port_of(destination_port));
            let this_end = ip(source).zip(port_of(port));
            this_end
                .filter(|_| is_known && other_end.is_some())
                .map(|end| Source::Ip(end.into()))
        }
        _ => None,
    };
    match source {
        Some(source) => (end + 1, Ok(Some(source))),
        None => damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap();
        [SIGNATURE, &[command, family], &len.to_be_bytes(), rest].concat()
    }

    #[test]
    fn version_2_is_read_wherever_it_is_cut() {
        let source = Source::Ip("192.0.2.7:4000".parse().unwrap());
        let ip4 = [&[192, 0, 2, 7, 192, 0, 2, 1][..], &[15, 160, 31, 144]].concat();
        check(&v2(0x21, 0x11, &ip4), source);
        let noted = [&ip4[..], &[4, 0, 3, 0, 0, 0]].concat();
        check(&v2(0x21, 0x11, &noted), source);
        let mut ip6 = [0; 36];
        ip6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        ip6[15] = 7;
        ip6[32..34].copy_from_slice(&4000_u16.to_be_bytes());
        let source = Source::Ip("[2001:db8::7]:4000".parse().unwrap());
        check(&v2(0x21, 0x21, &ip6), source);
        check(&v2(0x21, 0x31, &[b'/'; 216]), Source::Unix);
        check(&v2(0x21, 0, b""), Source::Proxy);
        check(&v2(0x20, 0, b""), Source::Proxy);
        check(&v2(0x20, 0xff, b"it is of no family"), Source::Proxy);
        check(&v2(0x21, 0, &[0; HEADER_LEN_MAX - 16]), Source::Proxy);
    }

    #[test]
    fn version_1_is_read_wherever_it_is_cut() {
        let source = Source::Ip("192.0.2.7:4000".parse().unwrap());
        check(b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 8080\r\n", source);
        let source = Source::Ip("[2001:db8::7]:4000".parse().unwrap());
        check(b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 8080\r\n", source);
        check(b"PROXY UNKNOWN\r\n", Source::Proxy);
        check(
            b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n",
            Source::Proxy,
        );
    }

    #[test]
    fn what_is_no_header_fails_as_early_as_it_can() {
        for (input, taken, error) in [
            (&b"\x05hello"[..], 1, HeaderError::Other),
            (b"\r\n\r\nhello", 5, HeaderError::Other),
            (b"PROXYTCP4", 6, HeaderError::Other),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n", 24, HeaderError::Damaged),
            (b"PROXY TCP4 1.1.1.1 1.1.1.1 1\n", 29, HeaderError::Damaged),
            (
                b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \n",
                32,
                HeaderError::Damaged,
            ),
            (
                &[b"PROXY ", &[b'x'; 200][..]].concat(),
                107,
                HeaderError::Damaged,
            ),
            (&v2(0x31, 0x11, &[0; 12]), 13, HeaderError::Damaged),
            (&v2(0x22, 0x11, &[0; 12]), 13, HeaderError::Damaged),
            (&v2(0x21, 0x41, &[0; 12]), 28, HeaderError::Damaged),
            (&v2(0x21, 0x11, &[0; 11]), 27, HeaderError::Damaged),
            (
                &v2(0x21, 0x11, &[0; HEADER_LEN_MAX - 15]),
                16,
                HeaderError::TooLong,
            ),
        ] {
            assert_eq!(advance(input, 1), (taken, Err(error)), "{input:02x?}");
            check_input(&[&[5], input].concat());
        }
    }

    #[test]
    fn every_input_of_the_corpus_is_read_as_the_naive_reading_says() {
        crate::fuzzed::check_corpus("proxy_header", check_input);
    }
}
