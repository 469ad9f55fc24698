//! Bodies that prove what they are.
//!
//! A body is a tag and filler. The filler and the length of the body are drawn from a generator
//! keyed by the seed and the tag, so that every delivery is checked to the last byte, however long
//! ago it was sent, and no body has to be stored.
//!
//! ```text
//! | run: u16 | client: u16 | kind and number: u32 | filler: up to 247 bytes |
//! ```
//!
//! All in little endian. The kind is the two highest bits of its field, the number the other 30.

use chat_results::BodyLens;

/// Which message a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The repetition it was sent in.
    pub run: u16,
    /// The client that sent it.
    pub client: u16,
    /// What it was sent for.
    pub kind: Kind,
    /// How many messages that client had sent before it in this repetition, below 2^30.
    pub number: u32,
}

impl Tag {
    /// Packs the tag into eight bytes.
    fn to_bytes(self) -> [u8; TAG_LEN] {
        let field = (self.kind as u32) << NUMBER_BITS | self.number;
        let packed = u64::from(self.run) | u64::from(self.client) << 16 | u64::from(field) << 32;
        packed.to_le_bytes()
    }

    /// Unpacks a tag. All eight bytes say something, so any of them are a tag.
    fn from_bytes([r0, r1, c0, c1, n0, n1, n2, n3]: [u8; TAG_LEN]) -> Self {
        let field = u32::from_le_bytes([n0, n1, n2, n3]);
        Self {
            run: u16::from_le_bytes([r0, r1]),
            client: u16::from_le_bytes([c0, c1]),
            kind: Kind::from_field(field),
            number: field % NUMBER_END,
        }
    }
}

/// The byte that a message consists of which a client leaves inside, so that it is known where it
/// turns up.
pub const UNFINISHED_BYTE: u8 = b'u';

/// What a message is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Proves by its echo that its sender is registered.
    Hello,
    /// Is counted.
    Load,
    /// Proves, by arriving where an earlier message did not, that the earlier one was dropped.
    Probe,
    /// Proves the same at the end of a repetition.
    Closing,
}

impl Kind {
    /// Reads the kind out of the field that a tag packs it in.
    pub fn from_field(field: u32) -> Self {
        Self::from_number(field >> NUMBER_BITS).expect("there is a kind for each value of two bits")
    }

    /// Returns the kind with a number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Hello,
            1 => Self::Load,
            2 => Self::Probe,
            3 => Self::Closing,
            _ => return None,
        })
    }
}

/// Makes and checks bodies.
#[derive(Clone, Copy, Debug)]
pub struct Payloads {
    key: u64,
    lens: BodyLens,
}

impl Payloads {
    /// Makes the payloads of a seed, with bodies of the lengths `lens`.
    pub fn new(seed: u64, lens: BodyLens) -> Self {
        Self {
            key: mixed(seed.wrapping_add(GOLDEN_GAMMA)),
            lens,
        }
    }

    /// Writes the body of the message with this tag into `buf`.
    pub fn body(self, tag: Tag, buf: &mut [u8; BODY_LEN_MAX]) -> &[u8] {
        let tag = tag.to_bytes();
        let filler = self.filler(tag);
        let body = &mut buf[..draw_len(self.lens, filler.start)];
        body[..TAG_LEN].copy_from_slice(&tag);
        filler.fill(&mut body[TAG_LEN..]);
        body
    }

    /// Tells what arrived.
    pub fn read(self, body: &[u8]) -> Reading {
        let Some((&tag, rest)) = body.split_first_chunk() else {
            return Reading::Untagged;
        };
        let is_intact = self.is_intact(tag, rest);
        let tag = Tag::from_bytes(tag);
        if is_intact {
            Reading::Intact(tag)
        } else {
            Reading::Damaged(tag)
        }
    }

    /// Reads the tag of a body and checks nothing else.
    pub fn tag(body: &[u8]) -> Reading {
        body.first_chunk().map_or(Reading::Untagged, |&tag| {
            Reading::Intact(Tag::from_bytes(tag))
        })
    }

    /// Tells whether `body` is exactly the one that belongs to `tag`.
    pub fn is_body_of(self, tag: Tag, body: &[u8]) -> bool {
        let expected = tag.to_bytes();
        body.split_first_chunk()
            .is_some_and(|(&tag, rest)| tag == expected && self.is_intact(tag, rest))
    }

    /// Tells whether `message` begins the body that belongs to `tag`, which has a length that
    /// `header` says. Enough of it has to be there that it is no accident.
    pub(crate) fn begins(self, tag: Tag, message: &[u8], header: u8) -> bool {
        let mut buf = [0; BODY_LEN_MAX];
        let body = self.body(tag, &mut buf);
        body.len() == usize::from(header) && body.starts_with(message)
    }

    fn is_intact(self, tag: [u8; TAG_LEN], rest: &[u8]) -> bool {
        let filler = self.filler(tag);
        TAG_LEN + rest.len() == draw_len(self.lens, filler.start) && filler.matches(rest)
    }

    /// Starts the generator for the body with this tag.
    fn filler(self, tag: [u8; TAG_LEN]) -> Filler {
        Filler {
            start: mixed(self.key ^ u64::from_le_bytes(tag)),
        }
    }
}

/// Draws a length from a random word.
fn draw_len(lens: BodyLens, word: u64) -> usize {
    let [min, max] = lens.bounds();
    let count = u64::from(max - min) + 1;
    let drawn = ((word >> 32) * count) >> 32;
    usize::from(min) + drawn as usize
}

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is exactly the body that belongs to its tag. Whether that message was ever sent, the tag
    /// alone cannot tell.
    Intact(Tag),
    /// It begins with this tag, but length or filler are wrong.
    Damaged(Tag),
    /// It is too short for a tag.
    Untagged,
}

/// The number of numbers: a client cannot send more messages than this in a repetition.
pub(crate) const NUMBER_END: u32 = 1 << NUMBER_BITS;

/// The generator of one body: a Weyl sequence, whose start a good mixing function draws from seed
/// and tag.
///
/// So bodies differ from one another in every word, as random ones would, and to draw a word is one
/// addition: a load tester that checks bodies spends most of its time here.
#[derive(Clone, Copy, Debug)]
struct Filler {
    start: u64,
}

impl Filler {
    /// Fills `rest`, what follows the tag.
    fn fill(self, rest: &mut [u8]) {
        let (words, tail) = rest.as_chunks_mut::<WORD_LEN>();
        for (word, place) in words.iter_mut().zip(1..) {
            *word = self.word(place).to_le_bytes();
        }
        let (place, tail_len) = (words.len() as u64 + 1, tail.len());
        tail.copy_from_slice(&self.word(place).to_le_bytes()[..tail_len]);
    }

    /// Tells whether `rest` is what the generator draws.
    fn matches(self, rest: &[u8]) -> bool {
        let (words, tail) = rest.as_chunks::<WORD_LEN>();
        let difference = words.iter().zip(1..).fold(0, |found, (word, place)| {
            found | (u64::from_le_bytes(*word) ^ self.word(place))
        });
        let last = self.word(words.len() as u64 + 1).to_le_bytes();
        // A comparison of slices would be a call, which takes longer than all the rest.
        let tail_difference = tail
            .iter()
            .zip(last)
            .fold(0, |found, (byte, drawn)| found | (byte ^ drawn));
        difference == 0 && tail_difference == 0
    }

    fn word(self, place: u64) -> u64 {
        self.start.wrapping_add(GOLDEN_GAMMA.wrapping_mul(place))
    }
}

/// The output function of splitmix64.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; the
/// constants are variant 13 of Stafford, "Better bit mixing", 2011.
fn mixed(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Length in bytes of the longest body.
pub const BODY_LEN_MAX: usize = u8::MAX as usize;

/// How many clients a tag can tell apart.
pub const CLIENTS_MAX: u32 = 1 << 16;

/// Length of a tag in bytes, and so of the shortest body.
const TAG_LEN: usize = 8;
const _: () = assert!(TAG_LEN == BodyLens::MIN as usize);

/// Length in bytes of what the generator draws at a time.
const WORD_LEN: usize = 8;

/// How many bits of a tag's last field are the number.
const NUMBER_BITS: u32 = 30;

/// The step of splitmix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag {
        run: 513,
        client: 7,
        kind: Kind::Probe,
        number: NUMBER_END - 2,
    };

    #[test]
    fn a_tag_survives_packing() {
        for kind in [Kind::Hello, Kind::Load, Kind::Probe, Kind::Closing] {
            let tag = Tag { kind, ..TAG };
            assert_eq!(Tag::from_bytes(tag.to_bytes()), tag);
        }
    }

    #[test]
    fn the_mixing_function_is_that_of_splitmix64() {
        // The first outputs of the reference implementation for state 0.
        assert_eq!(mixed(GOLDEN_GAMMA), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mixed(GOLDEN_GAMMA.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn bodies_of_neighbours_have_no_word_in_common() {
        let payloads = Payloads::new(1, BodyLens::new(255, 255).unwrap());
        let mut words = std::collections::HashSet::new();
        for number in 0..1000 {
            let mut buf = [0; BODY_LEN_MAX];
            let body = payloads.body(Tag { number, ..TAG }, &mut buf);
            words.extend(body[TAG_LEN..].as_chunks::<WORD_LEN>().0.iter().copied());
        }
        assert_eq!(words.len(), 1000 * 30);
    }

    #[test]
    fn lengths_reach_from_the_shortest_to_the_longest() {
        for (min, max) in [(8, 255), (8, 8), (255, 255), (63, 64)] {
            let payloads = Payloads::new(1, BodyLens::new(min, max).unwrap());
            let mut buf = [0; BODY_LEN_MAX];
            let lens: Vec<usize> = (0..10_000)
                .map(|number| payloads.body(Tag { number, ..TAG }, &mut buf).len())
                .collect();
            assert_eq!(
                (lens.iter().min(), lens.iter().max()),
                (Some(&min.into()), Some(&max.into()))
            );
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let payloads = Payloads::new(1, BodyLens::ALL);
        let mut buf = [0; BODY_LEN_MAX];
        let body = payloads.body(TAG, &mut buf).to_vec();
        assert_eq!(payloads.read(&body), Reading::Intact(TAG));
        assert!(
            payloads.is_body_of(TAG, &body)
                && !payloads.is_body_of(Tag { number: 0, ..TAG }, &body)
        );
        assert_ne!(
            Payloads::new(2, BodyLens::ALL).read(&body),
            Reading::Intact(TAG)
        );
        for bit in 0..8 * body.len() {
            let mut damaged = body.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !matches!(payloads.read(&damaged), Reading::Intact(_)),
                "bit {bit}"
            );
            assert!(!payloads.is_body_of(TAG, &damaged), "bit {bit}");
        }
        for len in 0..body.len() {
            let expected = if len < TAG_LEN {
                Reading::Untagged
            } else {
                Reading::Damaged(TAG)
            };
            assert_eq!(payloads.read(&body[..len]), expected, "cut to {len}");
        }
    }
}
