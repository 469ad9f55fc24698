//! Makes one HTML page of what loads and cases on broadcast chat servers found.
//!
//! A [`Document`] is one file that `stresstest` keeps: the results of a load, a comparison of
//! servers, or the report of the cases of the specification. A [`Page`] takes any number of them and shows servers side by side:
//! who is right, how fast, at what cost, and how it went over time. A server that broke the
//! specification is shown as wrong, and its figures are struck out.
//!
//! The page is one file under [`PAGE_LEN_MAX`] bytes. It has no script, refers to nothing outside
//! itself, and forbids the browser to load anything. It follows the reader's light or dark theme,
//! fits a phone and a printed page, and every picture has its figures in a table.
//!
//! # What it does not do
//!
//! It does no I/O and reads no clock, and it measures and judges nothing: verdicts are those of
//! the documents.
//!
//! # Why pictures are drawn here
//!
//! Pictures have to follow the theme, have text that is read out, and be sharp on a phone and on
//! paper. The crate `plotters` writes colours into its SVG that no style sheet can change, and
//! `charming` needs a script. So the few kinds of pictures here are SVG from templates.
//!
//! # Examples
//!
//! ```
//! use chat_html::{Document, Page};
//! use chat_results::sample;
//!
//! let mut page = Page::new();
//! page.add(Document::from(sample::results()))?;
//! assert!(page.render().starts_with("<!DOCTYPE html>"));
//!
//! let error = Document::read("{}").unwrap_err();
//! assert!(error.to_string().starts_with("this is no results"));
//! # Ok::<(), chat_html::PageError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::cast_possible_truncation))]

mod bars;
mod compared;
mod conformance;
mod curves;
mod document;
mod figures;
mod gallery;
mod glance;
mod matrix;
mod page;
mod plot;
mod setting;
mod sweep;
mod text;
mod timeline;

pub use conformance::{Case, CaseFailure, Conformance, SentBytes};
pub use document::{Document, DocumentError};
pub use page::{DOCUMENT_COUNT_MAX, PAGE_LEN_MAX, Page, PageError};
