//! The units in which people write figures and read them.

/// What a figure measures. It decides in which units people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A part of a whole, from 0 to 1.
    Ratio,
    /// A number of things.
    Count,
    /// How long something took, in microseconds.
    Time,
    /// Processor time a delivery, in microseconds.
    Effort,
    /// Deliveries a second.
    Rate,
    /// Memory, in KiB.
    Memory,
}

impl Quantity {
    /// Reads a value in one of the units. Returns `None` when there is no unit of that name; case
    /// does not matter.
    pub fn read(self, number: f64, unit: &str) -> Option<f64> {
        // There are two letters that look like this, and keyboards have either.
        let unit = unit.replace('\u{3bc}', "\u{b5}");
        let unit = self.units().iter().find(|known| {
            known
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&unit))
        })?;
        Some(number * unit.times / unit.per)
    }

    /// Shows a value in the largest unit of which there is one, or the smallest. A little less than
    /// all is not shown as all.
    pub fn show(self, value: f64) -> String {
        if self == Self::Ratio {
            let percent = significant(100.0 * value);
            return if percent == "100" && value < 1.0 {
                "99.99 %".to_owned()
            } else {
                format!("{percent} %")
            };
        }
        // What is rounded up to one of the next unit is one.
        let is_one = |unit: &&Unit| {
            value.abs() * unit.per / unit.times >= 1.0 - 0.5 * 10_f64.powf(-DIGIT_COUNT)
        };
        let unit = self
            .units()
            .iter()
            .rev()
            .find(is_one)
            .unwrap_or(&self.units()[0]);
        let number = significant(value * unit.per / unit.times);
        let space = if unit.names[0].is_empty() { "" } else { " " };
        let per_second = if self == Self::Rate { "/s" } else { "" };
        format!("{number}{space}{}{per_second}", unit.names[0])
    }

    /// Names the units that there are.
    pub fn unit_names(self) -> String {
        let names = self
            .units()
            .iter()
            .flat_map(|unit| unit.names)
            .map(|&name| if name.is_empty() { "none" } else { name });
        names.collect::<Vec<_>>().join(", ")
    }

    /// Returns the units, from small to large.
    fn units(self) -> &'static [Unit] {
        match self {
            Self::Ratio => &RATIO_UNITS,
            Self::Count => &COUNT_UNITS,
            Self::Time => &TIME_UNITS,
            Self::Effort => &EFFORT_UNITS,
            Self::Rate => &RATE_UNITS,
            Self::Memory => &MEMORY_UNITS,
        }
    }
}

/// A unit: `times / per` of what a [`Quantity`] is measured in. Both are whole, so that a value
/// read in it is as exact as can be: 7 % is the same number as 7 of 100.
#[derive(Debug)]
struct Unit {
    /// What it is called; the first name is shown.
    names: &'static [&'static str],
    times: f64,
    per: f64,
}

impl Unit {
    const fn new(names: &'static [&'static str], times: f64, per: f64) -> Self {
        Self { names, times, per }
    }
}

/// Writes a number with [`DIGIT_COUNT`] significant digits, and more only where they stand before
/// the point.
#[allow(clippy::cast_possible_truncation, reason = "it was clamped")]
fn significant(number: f64) -> String {
    let magnitude = if number == 0.0 {
        0.0
    } else {
        number.abs().log10().floor()
    };
    let decimals = (DIGIT_COUNT - 1.0 - magnitude).clamp(0.0, DECIMAL_COUNT_MAX);
    let text = format!("{number:.*}", decimals as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// How many significant digits are shown. Latencies have three; one more tells a value from the
/// threshold that it just crosses.
const DIGIT_COUNT: f64 = 4.0;

/// How many decimals are shown at most. A judgement: one drop among all deliveries that a run can
/// have is not shown as none.
const DECIMAL_COUNT_MAX: f64 = 12.0;

const RATIO_UNITS: [Unit; 2] = [Unit::new(&["%"], 1.0, 100.0), Unit::new(&[""], 1.0, 1.0)];

const COUNT_UNITS: [Unit; 1] = [Unit::new(&[""], 1.0, 1.0)];

const TIME_UNITS: [Unit; 3] = [MICROSECOND, MILLISECOND, Unit::new(&["s"], 1e6, 1.0)];

const EFFORT_UNITS: [Unit; 3] = [Unit::new(&["ns"], 1.0, 1e3), MICROSECOND, MILLISECOND];

const RATE_UNITS: [Unit; 4] = [
    Unit::new(&[""], 1.0, 1.0),
    Unit::new(&["K"], 1e3, 1.0),
    Unit::new(&["M"], 1e6, 1.0),
    Unit::new(&["G"], 1e9, 1.0),
];

const MEMORY_UNITS: [Unit; 3] = [
    Unit::new(&["KiB"], 1.0, 1.0),
    Unit::new(&["MiB"], 1024.0, 1.0),
    Unit::new(&["GiB"], 1024.0 * 1024.0, 1.0),
];

const MICROSECOND: Unit = Unit::new(&["\u{b5}s", "us"], 1.0, 1.0);

const MILLISECOND: Unit = Unit::new(&["ms"], 1e3, 1.0);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quantity: Quantity, number: f64, unit: &str, value: f64, shown: &str) {
        assert_eq!(quantity.read(number, unit), Some(value));
        assert_eq!(quantity.show(value), shown);
    }

    #[test]
    fn values_are_read_exactly_and_shown_in_the_unit_that_suits_them() {
        check(Quantity::Ratio, 7.0, "%", 0.07, "7 %");
        check(Quantity::Ratio, 0.25, "", 0.25, "25 %");
        check(Quantity::Ratio, 0.0, "%", 0.0, "0 %");
        check(Quantity::Count, 1_234_567.0, "", 1_234_567.0, "1234567");
        check(Quantity::Time, 7215.0, "us", 7215.0, "7.215 ms");
        check(Quantity::Time, 0.5, "\u{3bc}s", 0.5, "0.5 \u{b5}s");
        check(Quantity::Time, 90.0, "s", 90e6, "90 s");
        check(Quantity::Effort, 13.0, "ns", 0.013, "13 ns");
        check(Quantity::Rate, 2.5, "m", 2.5e6, "2.5 M/s");
        check(Quantity::Rate, 950.0, "", 950.0, "950/s");
        check(Quantity::Memory, 64.0, "mib", 65_536.0, "64 MiB");
        check(Quantity::Memory, -3.0, "KiB", -3.0, "-3 KiB");
    }

    #[test]
    fn a_small_part_is_not_shown_as_none() {
        assert_eq!(Quantity::Ratio.show(1e-11), "0.000000001 %");
    }

    #[test]
    fn what_rounds_up_to_the_next_unit_is_shown_in_it_and_nothing_else_is() {
        for (value, shown) in [
            (999.94, "999.9 \u{b5}s"),
            (999.96, "1 ms"),
            (1000.0, "1 ms"),
            (999_970.0, "1 s"),
            (999_940.0, "999.9 ms"),
        ] {
            assert_eq!(Quantity::Time.show(value), shown, "{value}");
        }
        for (value, shown) in [
            (0.999_999, "99.99 %"),
            (1.0, "100 %"),
            (0.999_9, "99.99 %"),
            (0.998_96, "99.9 %"),
        ] {
            assert_eq!(Quantity::Ratio.show(value), shown, "{value}");
        }
    }

    #[test]
    fn unknown_units_are_not_read() {
        assert_eq!(Quantity::Count.read(1.0, "ms"), None);
        assert_eq!(Quantity::Time.read(1.0, ""), None);
        assert_eq!(Quantity::Rate.unit_names(), "none, K, M, G");
    }
}
