//! What a page is made of.

use chat_results::Results;
use chat_results::comparison::Comparison;
use chat_results::gallery::Gallery;
use serde::Deserialize;
use serde_json::Value;

use crate::conformance::Conformance;

/// What one run of `stresstest` found, as it is kept in a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Document {
    /// A load, from `stresstest --json`.
    Run(Box<Results>),
    /// Servers side by side, from `stresstest compare --json`.
    Comparison(Box<Comparison>),
    /// Servers in many styles, from `stresstest gallery --json`.
    Gallery(Box<Gallery>),
    /// The cases of the specification, from `stresstest conform --json`.
    Conformance(Conformance),
}

impl Document {
    /// Reads a file, and finds out by itself which kind it is.
    ///
    /// # Errors
    ///
    /// When it is none of the kinds, or not all of it is there.
    pub fn read(json: &str) -> Result<Self, DocumentError> {
        let value: Value = serde_json::from_str(json).map_err(DocumentError::Json)?;
        if value.get("cases").is_some() {
            return parse("report of conform", value).map(Self::Conformance);
        }
        if value.get("comparison_version").is_some() {
            return parse("comparison", value).map(|it| Self::Comparison(Box::new(it)));
        }
        if value.get("gallery_version").is_some() {
            return parse("gallery", value).map(|it| Self::Gallery(Box::new(it)));
        }
        if value.get("counts").is_some() {
            let results: Results = parse("run", value)?;
            return Ok(results.into());
        }
        Err(DocumentError::Unknown)
    }

    /// Returns the command line of the server that it is about, if it is about one.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Run(results) => Some(&results.asked.server),
            Self::Conformance(conformance) => Some(&conformance.server),
            Self::Comparison(_) | Self::Gallery(_) => None,
        }
    }
}

impl From<Comparison> for Document {
    fn from(comparison: Comparison) -> Self {
        Self::Comparison(Box::new(comparison))
    }
}

impl From<Gallery> for Document {
    fn from(gallery: Gallery) -> Self {
        Self::Gallery(Box::new(gallery))
    }
}

impl From<Results> for Document {
    fn from(results: Results) -> Self {
        Self::Run(Box::new(results))
    }
}

/// Why a file is not a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON.
    #[error("this is not JSON: {0}")]
    Json(serde_json::Error),
    /// It is JSON of another kind.
    #[error(
        "this is no results of stresstest: not of a load, of compare, of conform or of a gallery"
    )]
    Unknown,
    /// It is of this kind, and a part is missing or wrong.
    #[error("this looks like the JSON of a {kind}, and cannot be read: {source}")]
    Part {
        /// The kind.
        kind: &'static str,
        /// What is missing or wrong.
        source: serde_json::Error,
    },
}

fn parse<T: for<'de> Deserialize<'de>>(
    kind: &'static str,
    value: Value,
) -> Result<T, DocumentError> {
    serde_json::from_value(value).map_err(|source| DocumentError::Part { kind, source })
}

#[cfg(test)]
mod tests {
    use chat_results::sample;

    use super::*;

    #[test]
    fn a_kept_run_is_read_as_it_was() {
        let results = sample::results();
        let json = serde_json::to_string(&results).unwrap();
        let Document::Run(read) = Document::read(&json).unwrap() else {
            panic!("it is a run");
        };
        assert_eq!(*read, results);
    }

    #[test]
    fn a_file_that_is_no_document_says_why() {
        for (json, told) in [
            ("", "this is not JSON: "),
            ("[]", "this is no results"),
            ("7", "this is no results"),
            ("{\"counts\":{}}", "this looks like the JSON of a run"),
            ("{\"cases\":7}", "this looks like the JSON of a report"),
        ] {
            let error = Document::read(json).unwrap_err().to_string();
            assert!(error.starts_with(told), "{json}: {error}");
        }
    }
}
