//! How the figures came about: commands, loads and the machine.

use chat_results::{Environment, Quantity};
use maud::{Markup, html};

use crate::page::{Conformed, Run};
use crate::text::{COMMAND_LEN_MAX, STORY_LEN_MAX, shown};

/// Shows what was run, on what, and what the load tester says of itself.
pub(crate) fn section(
    runs: &[Run<'_>],
    conformances: &[Conformed<'_>],
    facts: &[(String, String)],
) -> Markup {
    if runs.is_empty() && conformances.is_empty() && facts.is_empty() {
        return html! {};
    }
    html! {
        section #setting aria-labelledby="setting-title" {
            h2 #setting-title { "Commands and machine" }
            @if !facts.is_empty() {
                dl { @for (name, value) in facts.iter().take(FACT_COUNT_MAX) {
                    dt { (shown(name, COMMAND_LEN_MAX)) } dd { (shown(value, COMMAND_LEN_MAX)) }
                } }
            }
            @for run in runs { (setting(run)) }
            @for conformed in conformances {
                h3 { bdi { (conformed.name) } ", cases" }
                pre { code { (shown(&conformed.report.server, COMMAND_LEN_MAX)) } }
                p { (conformed.report.cases.len()) " cases in " (format!("{:.1} s", conformed.report.took_s)) "." }
            }
        }
    }
}

fn setting(run: &Run<'_>) -> Markup {
    let results = run.results;
    let health = &results.health;
    html! {
        h3 { (run.label()) ", load" }
        pre { code { (shown(&results.asked.server, COMMAND_LEN_MAX)) } }
        dl {
            @if results.asked.server_count > 1 {
                dt { "Servers" } dd { (results.asked.server_count) ", with clients on each in turn" }
            }
            dt { "Load" } dd { (results.load()) }
            @for (name, value) in environment(&results.asked.environment) {
                @if !value.is_empty() { dt { (name) } dd { (shown(&value, COMMAND_LEN_MAX)) } }
            }
            dt { "Seed" } dd { (results.load().seed) }
            dt { "Load tester" }
            dd {
                (format!("{:.0} %", 100.0 * health.cpu)) " of one processor"
                @if let Some(limit) = health.limit { "; the limit was " (limit.name()) }
                @if health.pause_count > 0 { (format!("; {} pauses of its own, {:.2} s in all", health.pause_count, health.paused_s)) }
                @if let Some(why) = &health.bound_by { "; " strong.unsure { "it was the limit" } ": " (shown(why, STORY_LEN_MAX)) }
                "."
            }
            @if let Some(ceiling) = health.ceiling {
                dt { "Its own ceiling" } dd { (Quantity::Rate.show(ceiling)) }
            }
            @if !results.not_tested.is_empty() {
                dt { "Not tested" }
                dd { ul { @for sentence in results.not_tested.iter().take(FACT_COUNT_MAX) { li { (shown(sentence, STORY_LEN_MAX)) } } } }
            }
        }
    }
}

/// Tells what was run where, and when.
pub(crate) fn environment(environment: &Environment) -> [(&'static str, String); 6] {
    let processors = match environment.processor_count {
        0 => environment.processor.clone(),
        count => format!("{count} × {}", environment.processor),
    };
    [
        ("Date", environment.date.clone()),
        ("Machine", environment.host.clone()),
        ("Kernel", environment.kernel.clone()),
        ("Processors", processors),
        ("Commit", environment.commit.clone()),
        ("Command", environment.command.join(" ")),
    ]
}

/// How many facts and sentences are shown, whatever a file has.
const FACT_COUNT_MAX: usize = 40;
