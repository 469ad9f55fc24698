//! The page as a whole.

use chat_results::comparison::Comparison;
use chat_results::gallery::Gallery;
use chat_results::{Order, Results, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::conformance::Conformance;
use crate::document::Document;
use crate::text::{clipped, short_name, shown};
use crate::{compared, curves, figures, gallery, glance, matrix, setting, timeline};

/// A page under way.
#[derive(Clone, Debug, Default)]
pub struct Page {
    documents: Vec<Document>,
    facts: Vec<(String, String)>,
}

impl Page {
    /// Makes a page of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what one file has. Documents are shown in the order in which they are added.
    ///
    /// # Errors
    ///
    /// When there are [`DOCUMENT_COUNT_MAX`] already.
    pub fn add(&mut self, document: Document) -> Result<(), PageError> {
        if self.documents.len() == DOCUMENT_COUNT_MAX {
            return Err(PageError::Full);
        }
        self.documents.push(document);
        Ok(())
    }

    /// Adds a fact about how the page or its figures were made, like the machine or a version: its
    /// name and what it is.
    pub fn add_fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    /// Returns the page: HTML, at most [`PAGE_LEN_MAX`] bytes.
    ///
    /// When that is not enough for everything, first the bytes of failed cases are left out, then
    /// all that is said of them, and the tables under the pictures; the page says so.
    pub fn render(&self) -> String {
        let details = [Detail::All, Detail::NoBytes, Detail::Least];
        let mut pages = details
            .map(|detail| move || self.render_with(detail))
            .into_iter();
        loop {
            let page = pages.next().map(|render| render()).unwrap_or_default();
            if page.len() <= PAGE_LEN_MAX || pages.len() == 0 {
                return page;
            }
        }
    }

    fn render_with(&self, detail: Detail) -> String {
        let subjects = self.subjects();
        let (runs, conformances) = (subjects.runs(), subjects.conformances());
        let comparisons = self.comparisons();
        let title = subjects.title();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // No byte from a server can make the browser load or run anything.
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the results" }
                    header {
                        p.kind { "stresstest report" }
                        h1 { (title) }
                    }
                    main #main {
                        @for gallery in self.galleries() { (gallery::section(gallery)) }
                        @if self.galleries().next().is_none() && comparisons.is_empty() || !subjects.subjects.is_empty() {
                            (glance::section(&runs, &conformances))
                        }
                        @for (number, comparison) in comparisons.iter().enumerate() { (compared::section(number, comparison)) }
                        (matrix::section(&conformances, detail))
                        (curves::section(&runs, detail))
                        (figures::section(&runs))
                        (timeline::section(&runs, detail))
                        (setting::section(&runs, &conformances, &self.facts))
                    }
                    footer { p {
                        "Made by stresstest. The method is in docs/METHOD.md of its source. "
                        @if detail != Detail::All {
                            "Some details were left out to keep this page small; the JSON files have them."
                        }
                    } }
                }
            }
        };
        page.into_string()
    }

    fn comparisons(&self) -> Vec<&Comparison> {
        let comparisons = self.documents.iter().filter_map(|document| match document {
            Document::Comparison(comparison) => Some(&**comparison),
            _ => None,
        });
        comparisons.collect()
    }

    fn galleries(&self) -> impl Iterator<Item = &Gallery> {
        self.documents.iter().filter_map(|document| match document {
            Document::Gallery(gallery) => Some(&**gallery),
            _ => None,
        })
    }

    /// Gives each document the name and the colour of its server. Repeated runs of a load are
    /// numbered.
    fn subjects(&self) -> Subjects<'_> {
        let mut servers: Vec<(&str, String)> = Vec::new();
        let mut subjects: Vec<Subject<'_>> = Vec::new();
        for document in &self.documents {
            let Some(server) = document.server() else {
                continue;
            };
            let known = servers.iter().position(|(known, _)| *known == server);
            let place = known.unwrap_or_else(|| {
                servers.push((server, unique_name(server, &servers)));
                servers.len() - 1
            });
            let repeated = subjects
                .iter()
                .filter(|other| is_repeated(other.document, document));
            let name = match repeated.count() {
                0 => servers[place].1.clone(),
                count => format!("{}, run {}", servers[place].1, count + 1),
            };
            subjects.push(Subject {
                name,
                colour: place % COLOUR_COUNT,
                document,
            });
        }
        let mut names: Vec<String> = servers.into_iter().map(|(_, name)| name).collect();
        names.extend(self.galleries().map(|_| "The gallery".to_owned()));
        let contenders = self.comparisons().into_iter().flat_map(|it| &it.servers);
        for contender in contenders.take(CONTENDER_COUNT_MAX) {
            if !names.contains(&contender.name) {
                names.push(clipped(&contender.name, 24));
            }
        }
        Subjects { names, subjects }
    }
}

/// Returns a name for a server that no server has before it.
fn unique_name(server: &str, others: &[(&str, String)]) -> String {
    let short = short_name(server);
    let namesakes = others
        .iter()
        .filter(|(other, _)| short_name(other) == short);
    match namesakes.count() {
        0 => short,
        count => format!("{} ({})", clipped(&short, 20), count + 1),
    }
}

/// Tells whether two documents are of the same kind, server and, if they are runs, load.
fn is_repeated(one: &Document, other: &Document) -> bool {
    let is_alike = match (one, other) {
        (Document::Run(one), Document::Run(other)) => is_same_load(one, other),
        (Document::Conformance(_), Document::Conformance(_)) => true,
        _ => false,
    };
    is_alike && one.server() == other.server()
}

/// Puts runs of the same load together: only these can be compared.
pub(crate) fn by_load<'a>(runs: &[Run<'a>]) -> Vec<Vec<Run<'a>>> {
    let mut loads: Vec<Vec<Run<'a>>> = Vec::new();
    for run in runs {
        let same = loads
            .iter_mut()
            .find(|load| is_same_load(load[0].results, run.results));
        match same {
            Some(load) => load.push(*run),
            None => loads.push(vec![*run]),
        }
    }
    loads
}

/// Tells whether two runs ask the same, but for the seed.
fn is_same_load(one: &Results, other: &Results) -> bool {
    let mut load = *one.load();
    load.seed = other.load().seed;
    load == *other.load()
}

/// What opens the table of a picture. Readers who jump from one to the next hear which picture.
pub(crate) fn summary(of: &str) -> Markup {
    html! { summary { "Figures of this picture" span.unseen { ": " bdi { (of) } } } }
}

/// How much of the details a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Everything.
    All,
    /// Not the bytes of failed cases.
    NoBytes,
    /// No more than pictures, and the marks of cases.
    Least,
}

/// A run of a load, with what it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: usize,
    pub(crate) results: &'a Results,
}

impl Run<'_> {
    /// Tells how the server broke the specification, if it did: then its figures are worth nothing.
    pub(crate) fn wrong(&self) -> Option<String> {
        match (&self.results.order, &self.results.verdict) {
            (Order::Broken { story, .. }, _) => Some(story.clone()),
            (_, Verdict::Broken { why }) => Some(why.clone()),
            _ => self.results.violations.first().map(ToString::to_string),
        }
    }

    /// Shows a figure, struck out for a server that is wrong.
    pub(crate) fn figure(&self, text: &str) -> Markup {
        html! {
            @if self.wrong().is_some() {
                s { (text) } span.unseen { " (void: the server is wrong)" }
            } @else {
                (text)
            }
        }
    }

    /// Shows the name with the colour of its lines and bars.
    pub(crate) fn label(&self) -> Markup {
        label(self.name, self.colour)
    }
}

/// Cases on a server, with what it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conformed<'a> {
    pub(crate) name: &'a str,
    pub(crate) report: &'a Conformance,
}

/// Shows a name with a swatch of its colour.
pub(crate) fn label(name: &str, colour: usize) -> Markup {
    html! { span.name { span class=(format!("swatch c{colour}")) aria-hidden="true" {} bdi { (name) } } }
}

struct Subject<'a> {
    name: String,
    colour: usize,
    document: &'a Document,
}

struct Subjects<'a> {
    /// The names of the servers.
    names: Vec<String>,
    subjects: Vec<Subject<'a>>,
}

impl Subjects<'_> {
    fn runs(&self) -> Vec<Run<'_>> {
        let runs = self
            .subjects
            .iter()
            .filter_map(|subject| match subject.document {
                Document::Run(results) => Some(Run {
                    name: &subject.name,
                    colour: subject.colour,
                    results,
                }),
                _ => None,
            });
        runs.collect()
    }

    fn conformances(&self) -> Vec<Conformed<'_>> {
        let reports = self
            .subjects
            .iter()
            .filter_map(|subject| match subject.document {
                Document::Conformance(report) => Some(Conformed {
                    name: &subject.name,
                    report,
                }),
                _ => None,
            });
        reports.collect()
    }

    fn title(&self) -> String {
        let title = match &self.names[..] {
            [] => "No results".to_owned(),
            [one] => one.clone(),
            [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
        };
        shown(&title, TITLE_LEN_MAX)
    }
}

/// Why something cannot be added to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// There is no room.
    #[error("a page takes up to {DOCUMENT_COUNT_MAX} files; make more than one page")]
    Full,
}

/// How many documents a page takes. A judgement: no reader compares more lines in one picture.
pub const DOCUMENT_COUNT_MAX: usize = 12;

/// How many bytes a page has at most: it is sent around by mail.
pub const PAGE_LEN_MAX: usize = 1_000_000;

/// How many servers of comparisons are named in the title. A judgement.
const CONTENDER_COUNT_MAX: usize = 12;

const TITLE_LEN_MAX: usize = 120;

/// How many colours the style sheet has.
pub(crate) const COLOUR_COUNT: usize = 6;

const STYLE: &str = include_str!("style.css");
