//! In which order servers have their turns.

/// Returns the order of `count` servers in a round. Chance, drawn from the seed, decides that of each
/// even round, and the next one has it reversed.
pub(crate) fn of_round(count: usize, seed: u64, round: u32) -> Vec<usize> {
    let mut state = seed ^ u64::from(round / 2).wrapping_mul(GOLDEN);
    let mut order: Vec<usize> = (0..count).collect();
    // Fisher and Yates.
    for place in (1..count).rev() {
        let other = usize::try_from(next(&mut state) % (place as u64 + 1)).unwrap_or(0);
        order.swap(place, other);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Draws a number, as `SplitMix64` does.
///
/// Source: Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The step of `SplitMix64`.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_round_is_the_reverse_of_the_one_before() {
        for count in 1..6 {
            for round in (0..20).step_by(2) {
                let mut back = of_round(count, 7, round + 1);
                back.reverse();
                let there = of_round(count, 7, round);
                assert_eq!(there, back);
                let mut all = there;
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn chance_decides_who_is_first() {
        let first = |seed| {
            (0..400)
                .filter(|round| of_round(2, seed, 2 * round)[0] == 0)
                .count()
        };
        for seed in 0..20 {
            assert!((140..260).contains(&first(seed)), "{} of 400", first(seed));
        }
    }
}
