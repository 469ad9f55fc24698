//! Figures side by side: a table in which each row has a bar.

use chat_results::Quantity;
use maud::{Markup, html};

use crate::plot::round;

/// A figure of several servers.
pub(crate) struct BarTable<'a> {
    pub(crate) name: &'a str,
    /// What it is, and which way is better.
    pub(crate) about: &'a str,
    pub(crate) quantity: Quantity,
    /// Whether values are multiples, of which 1 is the one to look at.
    pub(crate) is_multiple: bool,
    pub(crate) bars: Vec<Bar>,
}

/// What one server reached.
pub(crate) struct Bar {
    pub(crate) label: Markup,
    pub(crate) colour: usize,
    pub(crate) value: f64,
    /// From where to where the whisker goes, if there is one.
    pub(crate) span: Option<(f64, f64)>,
    /// What else there is to say, after the span.
    pub(crate) remark: String,
    /// Whether the server is wrong, so that its figures are void.
    pub(crate) is_wrong: bool,
}

impl BarTable<'_> {
    pub(crate) fn render(&self) -> Markup {
        let ends = self
            .bars
            .iter()
            .map(|bar| bar.span.map_or(bar.value, |(_, high)| high));
        let max = ends.fold(if self.is_multiple { 1.0 } else { 0.0 }, f64::max);
        let has_remarks = self
            .bars
            .iter()
            .any(|bar| bar.span.is_some() || !bar.remark.is_empty());
        html! {
            table.bars role="table" {
                caption { strong { (self.name) } " — " (self.about) }
                thead.unseen role="rowgroup" { tr role="row" {
                    th scope="col" role="columnheader" { "Server" } th scope="col" role="columnheader" { "Value" }
                    @if has_remarks { th scope="col" role="columnheader" { "Range" } }
                    td {}
                } }
                tbody role="rowgroup" { @for bar in &self.bars { tr role="row" {
                    th scope="row" role="rowheader" { (bar.label) }
                    td.number role="cell" { (self.value(bar)) }
                    @if has_remarks { td.span role="cell" { @if bar.is_wrong { s { (self.remark(bar)) } } @else { (self.remark(bar)) } } }
                    td.bar aria-hidden="true" { (self.picture(bar, max)) }
                } } }
            }
        }
    }

    fn value(&self, bar: &Bar) -> Markup {
        let text = self.show(bar.value);
        html! {
            @if bar.is_wrong { s { (text) } span.unseen { " (void: the server is wrong)" } } @else { (text) }
        }
    }

    fn remark(&self, bar: &Bar) -> String {
        let span = bar
            .span
            .map(|(low, high)| format!("{} to {}", self.show(low), self.show(high)));
        let parts = [span.unwrap_or_default(), bar.remark.clone()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }

    fn show(&self, value: f64) -> String {
        if self.is_multiple {
            format!("{value:.2}×")
        } else {
            self.quantity.show(value)
        }
    }

    fn picture(&self, bar: &Bar, max: f64) -> Markup {
        let place = |value: f64| {
            if max > 0.0 {
                round(100.0 * value / max)
            } else {
                0.0
            }
        };
        html! {
            svg class=(format!("c{}{}", bar.colour, if bar.is_wrong { " wrong" } else { "" })) viewBox="0 0 100 20" preserveAspectRatio="none" {
                rect.track x="0" y="3" width="100" height="14" {}
                rect.value x="0" y="3" width=(place(bar.value)) height="14" {}
                @if self.is_multiple { (marked("one", &format!("M{} 0v20", place(1.0)))) }
                @if let Some((low, high)) = bar.span.filter(|(low, high)| low < high) {
                    (marked("whisker", &format!("M{0} 6v8M{0} 10H{1}M{1} 6v8", place(low), place(high))))
                }
            }
        }
    }
}

/// Draws a line that is seen on a bar and beside it.
fn marked(class: &str, path: &str) -> Markup {
    html! {
        path.halo d=(path) {}
        path class=(class) d=(path) {}
    }
}
