//! A gallery: the same broadcast chat server in many styles of concurrent I/O, each of them proved and
//! compared.
//!
//! A row is a folder with sources in any language and a file `impl.toml`, the [`Manifest`], which says
//! how it is built and run, and what must be found of it. [`find`] finds the rows of a directory, and a
//! [`Plan`] builds each, has it stand all cases of the specification and loads that show wrong orders,
//! and compares it with a reference. Nothing is timed that was not found right. Rows under `wrong/` are
//! natural designs that break the specification: they have to be convicted as their manifest says.
//!
//! # What it does not do
//!
//! It installs nothing: a row whose tools are missing is skipped, with the lines that install them. It
//! ranks nothing. Lines of code, packages, threads and memory are measured and never declared.
//!
//! # Examples
//!
//! ```no_run
//! use chat_gallery::{Plan, find};
//! use chat_stress::Interrupt;
//!
//! let dir = "bins/impls".into();
//! let entries = find(std::path::Path::new(&dir))?;
//! let plan = Plan { dir, times: 1, timing: None, guard: None };
//! let gallery = plan.run(&entries, &Interrupt::never(), &mut |entry, step| {
//!     eprintln!("{}: {step}", entry.name);
//! });
//! assert!(gallery.rows.iter().all(|row| row.standing.is_as_expected()));
//! # Ok::<(), chat_gallery::FindError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod build;
mod change;
mod entry;
mod gallery;
mod manifest;
mod new;
mod proof;
pub mod report;
mod source;
mod tools;

pub use entry::{Entry, FindError, find};
pub use gallery::{Plan, REFERENCE_NAME, Step, Timing};
pub use manifest::{
    Expect, ExtraLoad, Install, Layer, Lines, MANIFEST_NAME, Manifest, ManifestError, Need, Style,
};
pub use new::{NewError, new_row};
