//! The results as comma-separated values, for spreadsheets.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use chat_results::{Load, Quantile, Results};

use crate::atomic_file::Draft;

/// Writes a line for each run, which has a name. In a new or empty file, a line with the names of the
/// columns comes before them; lines of earlier runs stay.
///
/// # Errors
///
/// When the file cannot be read or written, and when it has other columns. It is as it was then.
pub fn write<'a>(
    path: &Path,
    runs: impl IntoIterator<Item = (&'a str, &'a Results)>,
) -> io::Result<()> {
    append(path, &table(runs))
}

/// Adds a table, whose first line has the names of its columns, to a file as [`write()`] does.
///
/// # Errors
///
/// As [`write()`].
pub fn append(path: &Path, table: &str) -> io::Result<()> {
    let earlier = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => fs::read_to_string(path)?,
        _ => String::new(),
    };
    Draft::write(path, appended(earlier, table)?.as_bytes())
}

/// Adds the lines of a table to what a file has, but for the names of columns that are there.
fn appended(mut earlier: String, table: &str) -> io::Result<String> {
    let Some(names) = earlier.lines().next() else {
        return Ok(table.to_owned());
    };
    let lines = table
        .strip_prefix(names)
        .and_then(|rest| rest.strip_prefix('\n'));
    let lines = lines.ok_or_else(|| {
        io::Error::other("it has other columns, of another version or another program")
    })?;
    if !earlier.ends_with('\n') {
        earlier.push('\n');
    }
    Ok(earlier + lines)
}

fn table<'a>(runs: impl IntoIterator<Item = (&'a str, &'a Results)>) -> String {
    let mut text = String::new();
    for (name, results) in runs {
        let columns = columns(name, results);
        if text.is_empty() {
            push_line(&mut text, columns.iter().map(|(name, _)| name.as_str()));
        }
        push_line(&mut text, columns.iter().map(|(_, value)| value.as_str()));
    }
    text
}

/// Returns the name and the value of each column. What was not measured is empty.
fn columns(name: &str, results: &Results) -> Vec<(String, String)> {
    let environment = &results.asked.environment;
    let mut columns = vec![
        column("date", &environment.date),
        column("version", &environment.version),
        column("host", &environment.host),
        column("run", name),
        column("server", &results.asked.server),
        column("server_count", results.asked.server_count),
    ];
    columns.extend(load_columns(results.load()));
    columns.extend(found_columns(results));
    columns.extend(time_columns(results));
    columns.extend(cost_columns(results));
    columns
}

fn load_columns(load: &Load) -> Vec<(String, String)> {
    let [size_min, size_max] = load.size.bounds();
    let slow_bytes_per_s = (load.slow.count > 0).then_some(load.slow.bytes_per_s);
    vec![
        column("publishers", load.publishers),
        column("subscribers", load.subscribers),
        column("publishers_read", load.publishers_read),
        column("repetitions", load.repetitions),
        column("messages", shown(load.messages)),
        column(
            "duration_s",
            shown(load.duration.map(|it| it.as_secs_f64())),
        ),
        column("warmup_s", load.warmup.as_secs_f64()),
        column("window", shown(load.pacing.in_flight())),
        column("rate_per_s", shown(load.pacing.rate())),
        column("size_min_bytes", size_min),
        column("size_max_bytes", size_max),
        column("stalled", load.stalled),
        column("slow", load.slow.count),
        column("slow_bytes_per_s", shown(slow_bytes_per_s)),
        column("churn_per_s", load.churn),
        column("connect_rate_per_s", shown(load.connect_rate)),
        column("check", load.check.word()),
    ]
}

fn found_columns(Results { counts, drops, .. }: &Results) -> Vec<(String, String)> {
    vec![
        column("sent", counts.sent),
        column("unsent", counts.unsent),
        column("delivered", counts.delivered),
        column("load_s", counts.load_s),
        column("deliveries_per_s", counts.deliveries_per_s),
        column("dropped", drops.dropped),
        column("drop_rate", drops.rate),
        column("longest_drop", drops.longest_run),
        column("unresolved", drops.unresolved),
        column("closed", counts.closed),
    ]
}

fn time_columns(
    Results {
        latency, health, ..
    }: &Results,
) -> Vec<(String, String)> {
    let latencies = latency.iter().map(|(of, summary)| (of.name(), summary));
    let mut columns = Vec::new();
    for (name, summary) in latencies.chain([("lateness", health.lateness)]) {
        for quantile in Quantile::ALL {
            let value = summary.map(|summary| quantile.of(&summary));
            columns.push(column(
                format!("{name}_{}_us", quantile.name()),
                shown(value),
            ));
        }
    }
    columns
}

fn cost_columns(results: &Results) -> Vec<(String, String)> {
    let Results { server, health, .. } = results;
    vec![
        column(
            "server_cpu_us_per_delivery",
            shown(server.and_then(|it| it.cpu_us_per_delivery)),
        ),
        column("server_cpus", shown(server.and_then(|it| it.cpus))),
        column(
            "server_rss_peak_kib",
            shown(server.map(|it| it.rss_peak_kib)),
        ),
        column("tester_cpu", health.cpu),
        column(
            "tester_cpu_us_per_delivery",
            shown(health.cpu_us_per_delivery),
        ),
        column("tester_ceiling_per_s", shown(health.ceiling)),
        column("tester_paused_s", health.paused_s),
        column("tester_untimed", health.untimed_count),
        column(
            "tester_run_delay_s",
            shown(health.processor_wait.run_delay_s),
        ),
        column("steal_s", shown(health.processor_wait.steal_s)),
        column("tester_is_bound", health.bound_by.is_some()),
        column("order", results.order.word()),
        column("verdict", results.verdict.word()),
    ]
}

fn column(name: impl ToString, value: impl ToString) -> (String, String) {
    (name.to_string(), value.to_string())
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Adds a line. Only the server's name can have in it what needs quotes.
///
/// Source: RFC 4180.
fn push_line<'a>(text: &mut String, values: impl Iterator<Item = &'a str>) {
    for (place, value) in values.enumerate() {
        let separator = if place == 0 { "" } else { "," };
        let written = if value.contains([',', '"', '\n', '\r']) {
            write!(text, "{separator}\"{}\"", value.replace('"', "\"\""))
        } else {
            write!(text, "{separator}{value}")
        };
        written.expect("a string takes everything");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use chat_results::sample::results;

    use super::*;

    #[test]
    fn a_run_is_a_line_with_a_value_for_each_name() {
        let mut other = results();
        other.server = None;
        let text = table([("one", &results()), ("two", &other)]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
        let value = |run: usize, name: &str| {
            lines[run][lines[0].iter().position(|&column| column == name).unwrap()]
        };
        assert_eq!(
            (value(1, "run"), value(2, "run"), value(1, "sent")),
            ("one", "two", "1000")
        );
        assert_eq!(
            (
                value(1, "server_rss_peak_kib"),
                value(2, "server_rss_peak_kib")
            ),
            ("131072", "")
        );
        assert_eq!(value(1, "echo_p99_us"), "2000");
    }

    #[test]
    fn lines_are_added_to_those_of_the_same_columns() {
        let (one, two) = (table([("one", &results())]), table([("two", &results())]));
        let both = appended(one.clone(), &two).unwrap();
        assert_eq!(both, table([("one", &results()), ("two", &results())]));
        // The last line may have lost its end.
        assert_eq!(appended(one.trim_end().to_owned(), &two).unwrap(), both);
        assert_eq!(appended(String::new(), &two).unwrap(), two);
        appended("name,age\nann,7\n".to_owned(), &two).unwrap_err();
    }

    #[test]
    fn what_has_commas_and_quotes_is_quoted() {
        let mut results = results();
        results.asked.server = "./server --say \"a, b\"".into();
        assert!(
            table([("run", &results)]).contains("\n,,,run,\"./server --say \"\"a, b\"\"\",1,2,")
        );
    }
}
