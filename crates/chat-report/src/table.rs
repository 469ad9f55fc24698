//! The results as a table for people.

mod health;

use std::env;
use std::io::{self, IsTerminal, Write};

use chat_results::{
    Asked, Isolation, Latency, Load, Order, Pacing, Quantile, Quantity, Results, ServerSeen,
    Verdict,
};
use console::Style;

use crate::lines::is_closed_pipe;

/// Prints the results, with colours if `is_coloured`.
pub fn print(results: &Results, is_coloured: bool, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table { out };
    table.out.write_all(b"\n")?;
    table.load(&results.asked)?;
    table.deliveries(results)?;
    table.order(&results.order)?;
    table.rules(results)?;
    table.latency(&results.latency, results.load())?;
    if let Some(server) = &results.server {
        table.server(server)?;
    }
    table.health(&results.health, &results.verdict)?;
    if let Some(isolation) = &results.isolation {
        table.isolation(isolation)?;
    }
    table.verdict(&results.verdict, is_coloured)?;
    table.out.flush()
}

/// Prints the results on standard output, in colours if it takes them.
///
/// # Errors
///
/// When they cannot be printed. That nobody reads standard output any more is no error.
pub fn print_on_stdout(results: &Results) -> io::Result<()> {
    match print(results, takes_colours(), &mut io::stdout()) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        printed => printed,
    }
}

/// Tells whether standard output takes colours and other styles.
///
/// Source: no-color.org.
pub fn takes_colours() -> bool {
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal()
        && !is_dumb
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints rows: a name, and behind it what there is to say.
struct Table<'a, W> {
    out: &'a mut W,
}

impl<W: Write> Table<'_, W> {
    fn row(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut name = name;
        for line in wrapped(text) {
            writeln!(self.out, "{name:NAME_WIDTH$}{line}")?;
            name = "";
        }
        Ok(())
    }

    fn load(&mut self, asked: &Asked) -> io::Result<()> {
        let Asked { server, load, .. } = asked;
        if asked.server_count > 1 {
            let servers = format!(
                "{}, with clients on each in turn: {server}",
                asked.server_count
            );
            self.row("servers", &servers)?;
        } else {
            self.row("server", server)?;
        }
        self.row("load", &load.to_string())
    }

    fn deliveries(&mut self, results: &Results) -> io::Result<()> {
        let (counts, drops) = (&results.counts, &results.drops);
        let rate = Quantity::Rate.show(counts.deliveries_per_s);
        let unsent = if counts.unsent > 0 {
            format!(" ({} more could not be sent in time)", counts.unsent)
        } else {
            String::new()
        };
        let (delivered, sent) = (
            many(counts.delivered, "delivery"),
            many(counts.sent, "message"),
        );
        self.row(
            "deliveries",
            &format!(
                "{rate}: {delivered} of {sent}{unsent} in {:.2} s",
                counts.load_s
            ),
        )?;
        if drops.dropped == 0 {
            self.row("drops", "none")?;
        } else {
            let mut text = format!("{} ({})", Quantity::Ratio.show(drops.rate), drops.dropped);
            if let Some((who, lost)) = &drops.worst {
                text += &format!(
                    "; most at {who}, {lost}; at most {} of one publisher in a row",
                    drops.longest_run
                );
            }
            self.row("drops", &text)?;
        }
        if drops.unresolved > 0 {
            self.row(
                "unresolved",
                &format!(
                    "{} deliveries neither came nor are proved to be dropped",
                    drops.unresolved
                ),
            )?;
        }
        if counts.closed > 0 {
            self.row(
                "",
                &format!(
                    "the server closed {} of clients that do not keep up",
                    many(counts.closed, "connection")
                ),
            )?;
        }
        if counts.churned > 0 {
            self.row(
                "",
                &format!(
                    "{} came and left; drops are those of others",
                    many(counts.churned, "visitor")
                ),
            )?;
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) -> io::Result<()> {
        let text = match order {
            Order::Proved { overtaken: 0 } => {
                "proved: one order explains what every client received".to_owned()
            }
            Order::Proved { overtaken } => format!(
                "proved: one order explains what every client received; in it, {} behind one that was sent after their arrival \
                 elsewhere, which is allowed",
                if *overtaken == 1 {
                    "1 message stands".to_owned()
                } else {
                    format!("{overtaken} messages stand")
                }
            ),
            Order::PartlyChecked => {
                "checked for each sender alone; --check full proves that all clients agree"
                    .to_owned()
            }
            Order::Unchecked => "not checked".to_owned(),
            Order::Broken {
                iteration,
                class,
                story,
            } => format!("BROKEN in iteration {iteration} ({class}): {story}"),
        };
        self.row("order", &text)
    }

    fn rules(&mut self, results: &Results) -> io::Result<()> {
        let mut name = "rules";
        for violation in &results.violations {
            self.row(name, &format!("BROKEN: {violation}"))?;
            name = "";
        }
        if !results.not_tested.is_empty() {
            let text = format!("not tested here: {}", results.not_tested.join("; "));
            self.row(name, &text)?;
        }
        Ok(())
    }

    fn latency(&mut self, latency: &Latency, load: &Load) -> io::Result<()> {
        if latency.iter().all(|(_, summary)| summary.is_none()) {
            return Ok(());
        }
        writeln!(self.out)?;
        self.columns(
            "latency",
            Quantile::ALL.map(|quantile| quantile.name().to_owned()),
        )?;
        for (distribution, summary) in latency.iter() {
            if let Some(summary) = summary {
                let shown =
                    Quantile::ALL.map(|quantile| Quantity::Time.show(quantile.of(&summary)));
                self.columns(distribution.title(), shown)?;
            }
        }
        match load.pacing {
            Pacing::Rate(_) => {}
            Pacing::Flood => {
                self.row("", "Publishers fill every buffer here, and that is what these times are of. --rate has a schedule.")?;
            }
            Pacing::Window(_) => {
                self.row("", "Publishers wait for their subscribers here, so a slow server is asked less. --rate does not wait.")?;
            }
        }
        writeln!(self.out)
    }

    fn columns(&mut self, name: &str, columns: [String; 5]) -> io::Result<()> {
        write!(self.out, "{name:LATENCY_WIDTH$}")?;
        columns
            .iter()
            .try_for_each(|column| write!(self.out, "{column:>COLUMN_WIDTH$}"))?;
        writeln!(self.out)
    }

    fn server(&mut self, seen: &ServerSeen) -> io::Result<()> {
        let cpu = seen.cpu_us_per_delivery.map_or_else(String::new, |cpu| {
            format!("{} per delivery, ", Quantity::Effort.show(cpu))
        });
        let (threads, files) = (
            many(seen.threads, "thread"),
            many(seen.descriptors, "open file"),
        );
        let cpus = seen.cpus.map_or_else(
            || "unknown".to_owned(),
            |cpus| format!("{cpu}{:.0} % of a processor", 100.0 * cpus),
        );
        self.row("server's cost", &format!("{cpus}; {threads}, {files}"))?;
        let [before, peak, after] = [seen.rss_before_kib, seen.rss_peak_kib, seen.rss_after_kib]
            .map(|kib| Quantity::Memory.show(kib as f64));
        self.row(
            "its memory",
            &format!("{before} before, {peak} at most, {after} after"),
        )
    }

    fn isolation(&mut self, isolation: &Isolation) -> io::Result<()> {
        let parts = [
            (isolation.deliveries, "deliveries per second"),
            (isolation.p99, "p99"),
            (isolation.cpu, "processor time per delivery"),
            (isolation.rss, "memory"),
        ];
        let told: Vec<String> = parts
            .iter()
            .filter_map(|(ratio, what)| ratio.map(|ratio| format!("{ratio:.2} x the {what}")))
            .collect();
        self.row(
            "isolation",
            &format!(
                "compared with no stalled, slow and visiting clients: {}",
                told.join(", ")
            ),
        )
    }

    fn verdict(&mut self, verdict: &Verdict, is_coloured: bool) -> io::Result<()> {
        let style = Style::new().bold().force_styling(is_coloured);
        let (word, why) = match verdict {
            Verdict::Passed => (style.green().apply_to("passed"), Vec::new()),
            Verdict::Inconclusive { why } => {
                (style.yellow().apply_to("INCONCLUSIVE"), vec![why.as_str()])
            }
            Verdict::Failed { why } => (
                style.red().apply_to("FAILED"),
                why.iter().map(String::as_str).collect(),
            ),
            // The order and the rules tell how.
            Verdict::Broken { .. } => (style.red().apply_to("BROKEN"), Vec::new()),
            // What the server printed stands on standard error.
            Verdict::Stopped { why } => (
                style.red().apply_to("STOPPED"),
                why.lines().take(1).collect(),
            ),
            Verdict::Interrupted => (
                style.yellow().apply_to("INTERRUPTED"),
                vec!["partial results, up to the interrupt"],
            ),
        };
        writeln!(self.out, "{:NAME_WIDTH$}{word}", "verdict")?;
        why.iter().try_for_each(|why| self.row("", why))
    }
}

/// Breaks a text into lines of a terminal's width; lines that it has stay lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for whole in text.lines() {
        let mut line = String::new();
        let mut width = 0;
        for word in whole.split(' ') {
            if width > 0 && width + 1 + word.chars().count() > TEXT_WIDTH {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            if width > 0 {
                line.push(' ');
                width += 1;
            }
            for char in word.chars() {
                // A word that is too long for a line is broken, as a terminal would.
                if width == TEXT_WIDTH {
                    lines.push(std::mem::take(&mut line));
                    width = 0;
                }
                line.push(char);
                width += 1;
            }
        }
        lines.push(line);
    }
    lines
}

/// Returns a count and what it counts.
fn many(count: u64, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
}

/// Widths in characters: of the names, of the texts behind them, of the names of latencies and of
/// their figures. Together they are less than 80, which terminals have.
const NAME_WIDTH: usize = 15;
const TEXT_WIDTH: usize = 64;
const LATENCY_WIDTH: usize = 22;
const COLUMN_WIDTH: usize = 11;

#[cfg(test)]
mod tests;
