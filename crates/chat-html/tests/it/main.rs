//! The crate as its users see it.

/// Text from servers that would rather be markup.
mod attacked;
/// What the pages show.
mod pages;
/// The public API is the one in `public_api.txt`, which was reviewed.
#[path = "../../../chat-proto/tests/it/public_api.rs"]
mod public_api;
/// Documents to make pages of, and pages to look at.
mod util;

/// Headings, tables, focus, contrast and paper: for keyboards, screen readers and printers.
mod readers;
