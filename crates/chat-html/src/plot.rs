//! Axes, and lines in them.

use maud::{Markup, html};

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// Evenly, from zero to this.
    Linear { max: f64 },
    /// Each power of ten takes the same room, between these powers.
    Log { from: f64, to: f64 },
    /// Percentiles: 0, 90, 99 and 99.9 are a step apart, up to so many nines.
    Nines { count: f64 },
}

impl Scale {
    /// Makes an axis that begins at zero and has room for all values.
    pub(crate) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let max = values.fold(0.0, f64::max);
        let step = nice_step(max);
        Self::Linear {
            max: if max > 0.0 {
                (max / step).ceil() * step
            } else {
                1.0
            },
        }
    }

    /// Makes an axis of whole powers of ten for values that are not zero.
    pub(crate) fn log(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let (min, max) = positive.fold((f64::MAX, 0.0_f64), |(min, max), value| {
            (min.min(value), max.max(value))
        });
        if max == 0.0 {
            return Self::Log { from: 0.0, to: 1.0 };
        }
        let (from, to) = (min.log10().floor(), max.log10().ceil());
        Self::Log {
            from,
            to: to.max(from + 1.0),
        }
    }

    /// Returns where a value is, from 0 to 1.
    pub(crate) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { max } => value / max,
            Self::Log { from, to } => (value.max(f64::MIN_POSITIVE).log10() - from) / (to - from),
            Self::Nines { count } => nines(value) / count,
        };
        place.clamp(0.0, 1.0)
    }

    /// Returns the values at the ends of the axis: what a low picture has room for.
    pub(crate) fn end_ticks(self) -> Vec<f64> {
        let ticks = self.ticks();
        [ticks.first(), ticks.last()]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Returns the values that are marked.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { max } => {
                let step = nice_step(max);
                let count = (max / step).round();
                (0..=COUNT_MAX)
                    .map(|number| f64::from(number) * step)
                    .take_while(|value| *value <= count * step * 1.001)
                    .collect()
            }
            Self::Log { from, to } => powers(from, to).collect(),
            Self::Nines { count } => (0..=COUNT_MAX)
                .map(f64::from)
                .take_while(|nines| *nines <= count)
                .map(|nines| 100.0 * (1.0 - 10_f64.powf(-nines)))
                .collect(),
        }
    }
}

/// The room of a picture and its margins, in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    /// A picture with lines that are named at their right, across a page.
    pub(crate) const fn wide(height: f64) -> Self {
        Self {
            width: 960.0,
            height,
            left: 76.0,
            right: 200.0,
            top: 32.0,
            bottom: 52.0,
        }
    }

    /// The same on a phone.
    pub(crate) const fn narrow(height: f64) -> Self {
        Self {
            width: 358.0,
            height,
            left: 58.0,
            right: 100.0,
            top: 32.0,
            bottom: 52.0,
        }
    }

    /// Returns where a part of the way along the horizontal axis is.
    pub(crate) fn x(&self, place: f64) -> f64 {
        self.left + place * (self.width - self.left - self.right)
    }

    /// Returns where a part of the way up the vertical axis is.
    pub(crate) fn y(&self, place: f64) -> f64 {
        self.height - self.bottom - place * (self.height - self.top - self.bottom)
    }

    /// Draws horizontal lines at these ticks of the vertical axis, with their labels.
    pub(crate) fn rows(
        &self,
        scale: Scale,
        ticks: &[f64],
        label: impl Fn(f64) -> String,
    ) -> Markup {
        html! {
            @for &tick in ticks {
                @let y = round(self.y(scale.place(tick)));
                line.grid x1=(self.left) x2=(self.width - self.right) y1=(y) y2=(y) {}
                text.tick x=(self.left - 8.0) y=(y + 4.0) text-anchor="end" { (label(tick)) }
            }
        }
    }

    /// Draws vertical lines at the ticks of the horizontal axis, with their labels. Leaves out
    /// labels that have no room.
    pub(crate) fn columns(&self, scale: Scale, label: impl Fn(f64) -> String) -> Markup {
        let bottom = self.height - self.bottom;
        let ticks = scale.ticks();
        let room = (self.width - self.left - self.right) / ticks.len().max(1) as f64;
        let step = ticks
            .iter()
            .map(|tick| 9.0 * label(*tick).chars().count() as f64);
        let each = (step.fold(0.0, f64::max) / room).ceil().max(1.0);
        html! {
            @for (number, tick) in ticks.into_iter().enumerate() {
                @let x = round(self.x(scale.place(tick)));
                line.grid x1=(x) x2=(x) y1=(self.top) y2=(bottom) {}
                @if number as f64 % each == 0.0 {
                    text.tick x=(x) y=(bottom + 18.0) text-anchor="middle" { (label(tick)) }
                }
            }
        }
    }
}

/// Returns how many nines a percentile has: 1 for 90 %, 2 for 99 %.
pub(crate) fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-12).log10()
}

/// Draws a line through points; `None` leaves a gap.
pub(crate) fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut path, mut is_down) = (String::new(), false);
    for point in points {
        if let Some((x, y)) = point {
            let command = if is_down { 'L' } else { 'M' };
            path += &format!("{command}{} {}", round(x), round(y));
            // A single point is a line of no length, which round ends make a dot.
            if !is_down {
                path += "h0";
            }
        }
        is_down = point.is_some();
    }
    path
}

/// Moves labels apart that are too near each other: returns a height for each, in the same order.
pub(crate) fn apart(wanted: &[f64], distance: f64, max: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let mut heights = wanted.to_vec();
    let mut next_min = f64::MIN;
    for &label in &order {
        heights[label] = heights[label].max(next_min);
        next_min = heights[label] + distance;
    }
    let mut next_max = max;
    for &label in order.iter().rev() {
        heights[label] = heights[label].min(next_max);
        next_max = heights[label] - distance;
    }
    heights
}

/// Rounds to a tenth of a pixel, which nobody sees, so that pages stay small.
pub(crate) fn round(pixels: f64) -> f64 {
    (10.0 * pixels).round() / 10.0
}

/// Returns 1, 2 or 5 times a power of ten, of which two to five make `max`.
fn nice_step(max: f64) -> f64 {
    if max <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((max / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps
        .into_iter()
        .find(|step| max / step <= 4.0)
        .unwrap_or(10.0 * power)
}

fn powers(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..=COUNT_MAX)
        .map(move |number| from + f64::from(number))
        .take_while(move |power| *power <= to)
        .map(|power| 10_f64.powf(power))
}

/// How many ticks there are at most, whatever the values: no axis needs more.
const COUNT_MAX: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_all_values_and_few_ticks() {
        for max in [0.0, 1e-9, 0.7, 1.0, 3.0, 4.1, 99.0, 2_345.0, 1e12] {
            let scale = Scale::linear([max / 3.0, max].into_iter());
            let ticks = scale.ticks();
            assert!((2..=6).contains(&ticks.len()), "{max}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= max * 0.999, "{max}: {ticks:?}");
            let scale = Scale::log([max, max / 7.0].into_iter());
            assert!(scale.place(max) <= 1.0 && scale.place(max / 7.0) >= 0.0);
            assert!(scale.ticks().len() >= 2, "{max}");
        }
    }

    #[test]
    fn nines_are_a_step_apart() {
        let scale = Scale::Nines { count: 4.0 };
        for (percentile, place) in [(0.0, 0.0), (90.0, 0.25), (99.0, 0.5), (99.99, 1.0)] {
            assert!(
                (scale.place(percentile) - place).abs() < 1e-9,
                "{percentile}"
            );
        }
    }

    #[test]
    fn labels_keep_their_order_and_distance() {
        let heights = apart(&[50.0, 52.0, 10.0, 99.0], 14.0, 100.0);
        assert_eq!(heights, [50.0, 64.0, 10.0, 99.0]);
        assert_eq!(apart(&[100.0, 100.0], 14.0, 100.0), [86.0, 100.0]);
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let points = [Some((1.0, 2.0)), Some((3.0, 4.04)), None, Some((5.0, 6.0))];
        assert_eq!(path(points.into_iter()), "M1 2h0L3 4M5 6h0");
    }
}
