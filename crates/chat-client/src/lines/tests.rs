use proptest::prelude::*;

use super::*;

fn split_chunks<'a>(lines: Lines, chunks: impl IntoIterator<Item = &'a [u8]>) -> Batch {
    let mut lines = lines;
    let mut batch = Batch::default();
    for chunk in chunks {
        lines.push(chunk, &mut batch);
    }
    lines.finish(&mut batch);
    batch
}

fn newline() -> Lines {
    Lines::new(Framing::Newline)
}

fn too_long(number: u64, len: usize) -> RefusedLine {
    let cause = BodyTooLong { len }.into();
    RefusedLine { number, cause }
}

#[track_caller]
fn check(lines: Lines, input: &[u8], wire: &[u8], refused: &[RefusedLine]) {
    let batch = split_chunks(lines, [input]);
    assert_eq!((&batch.wire[..], &batch.refused[..]), (wire, refused));
}

/// The same for newlines, in the plainest way.
fn split_naively(input: &[u8]) -> Batch {
    let mut batch = Batch::default();
    let mut lines: Vec<_> = input.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    for (index, line) in lines.into_iter().enumerate() {
        if line.len() > BODY_LEN_MAX {
            batch.refused.push(too_long(index as u64 + 1, line.len()));
        } else {
            batch.push(line);
        }
    }
    batch
}

#[test]
fn each_line_is_a_message() {
    check(newline(), b"", b"", &[]);
    check(newline(), b"\n", b"\0", &[]);
    check(newline(), b"one\ntwo\n", b"\x03one\x03two", &[]);
    check(newline(), b"one\n\ntwo", b"\x03one\0\x03two", &[]);
    check(newline(), b"\r\n\xFF\0\n", b"\x01\r\x02\xFF\0", &[]);
}

#[test]
fn a_null_may_end_a_message_instead() {
    check(
        Lines::new(Framing::Null),
        b"a\nb\0\0c",
        b"\x03a\nb\0\x01c",
        &[],
    );
}

#[test]
fn a_line_may_be_hexadecimal() {
    let hex = || Lines::new(Framing::Hex);
    check(hex(), b"00fF 0a\r\n\n41", b"\x03\0\xFF\n\0\x01A", &[]);
    for line in [&b"0"[..], b"0g", b"0 0", b"\xFF\xFF"] {
        let cause = LineError::Hex;
        check(hex(), line, b"", &[RefusedLine { number: 1, cause }]);
    }
    let longest = "41 ".repeat(255);
    check(
        hex(),
        longest.as_bytes(),
        &[&[255], &[b'A'; 255][..]].concat(),
        &[],
    );
    check(hex(), "41".repeat(256).as_bytes(), b"", &[too_long(1, 256)]);
    let batch = split_chunks(hex(), ["41 ".repeat(10_000).as_bytes()]);
    assert_eq!(batch.refused, [too_long(1, 10_000)]);
    check(
        hex(),
        "4".repeat(3999).as_bytes(),
        b"",
        &[too_long(1, 2000)],
    );
    // Spaces do not count, however many there are.
    let sparse = format!("  41{}42 \t", " ".repeat(5000));
    check(hex(), sparse.as_bytes(), b"\x02AB", &[]);
    check(hex(), b" \n ", b"\0", &[]);
}

#[test]
fn a_line_may_have_255_bytes_and_no_more() {
    let longest = [&[255], &[b'x'; 255][..]].concat();
    check(newline(), &[b'x'; 255], &longest, &[]);
    check(newline(), &[b'x'; 256], b"", &[too_long(1, 256)]);
    let input = [&[b'x'; 300], &b"\nok\n"[..], &[b'x'; 256]].concat();
    check(
        newline(),
        &input,
        b"\x02ok",
        &[too_long(1, 300), too_long(3, 256)],
    );
}

#[test]
fn a_refused_line_names_its_length_and_the_limit() {
    let text = "line 7: a body has at most 255 bytes, not 300";
    assert_eq!(too_long(7, 300).to_string(), text);
}

/// Returns the bodies of a batch.
fn bodies(batch: &Batch) -> Vec<&[u8]> {
    let (messages, rest) = chat_proto::Messages::split(&batch.wire);
    assert!(rest.is_empty());
    messages.into_iter().map(|body| body.as_bytes()).collect()
}

#[test]
fn a_long_line_is_split_after_a_space_or_between_characters() {
    let split = |line: &str| split_chunks(newline().splitting(), [line.as_bytes()]);
    let words = format!("{} {} {}", "a".repeat(100), "b".repeat(150), "c".repeat(10));
    let batch = split(&words);
    assert_eq!(
        bodies(&batch)
            .iter()
            .map(|body| body.len())
            .collect::<Vec<_>>(),
        [252, 10]
    );
    let batch = split(&"ü".repeat(200));
    assert_eq!(
        bodies(&batch)
            .iter()
            .map(|body| body.len())
            .collect::<Vec<_>>(),
        [254, 146]
    );
    let batch = split(&"x".repeat(255 + 255));
    assert_eq!(
        bodies(&batch)
            .iter()
            .map(|body| body.len())
            .collect::<Vec<_>>(),
        [255, 255]
    );
}

proptest! {
    #[test]
    fn any_input_in_any_chunks_is_divided_as_the_naive_way_says(
        lens in prop::collection::vec(prop_oneof![0..4_usize, 253..259_usize, 0..2000_usize], 0..12),
        filler in any::<u8>(),
        chunk_lens in prop::collection::vec(prop_oneof![0..3_usize, 0..700_usize], 1..8),
    ) {
        let input = lens.iter().map(|&len| vec![filler; len]).collect::<Vec<_>>().join(&b'\n');
        let chunks = chunks(&input, &chunk_lens);
        prop_assert_eq!(split_chunks(newline(), chunks), split_naively(&input));
    }

    #[test]
    fn the_parts_of_split_lines_are_the_lines(
        text in "([a-zü世👩]{0,400} ?){0,9}",
        chunk_lens in prop::collection::vec(1..700_usize, 1..8),
    ) {
        let batch = split_chunks(newline().splitting(), chunks(text.as_bytes(), &chunk_lens));
        let bodies = bodies(&batch);
        prop_assert_eq!(bodies.concat(), text.as_bytes());
        prop_assert!(bodies.iter().all(|body| std::str::from_utf8(body).is_ok()));
        prop_assert_eq!(batch.count, bodies.len() as u64);
        let shortest = text.len().div_ceil(BODY_LEN_MAX);
        prop_assert!(bodies.len() >= shortest && batch.refused.is_empty());
    }
}

fn chunks<'a>(input: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = input;
    let mut chunks = Vec::new();
    for &len in lens.iter().cycle().take(100) {
        let (chunk, after) = rest.split_at(len.min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    chunks
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let lines = [
        &b"one"[..],
        b"",
        &[b'x'; 255],
        &[b'y'; 256],
        b"\r",
        &[b'z'; 600],
        b"last",
    ];
    let input = lines.join(&b'\n');
    let expected = split_naively(&input);
    assert_eq!(
        (expected.wire.len(), expected.refused.len()),
        (4 + 1 + 256 + 2 + 5, 2)
    );
    for cut in 0..=input.len() {
        let (first, second) = input.split_at(cut);
        assert_eq!(
            split_chunks(newline(), [first, second]),
            expected,
            "cut at {cut}"
        );
    }
    assert_eq!(
        split_chunks(newline(), input.chunks(1)),
        expected,
        "byte by byte"
    );
}
