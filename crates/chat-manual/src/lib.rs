//! A program's man page and its completions for shells, from the definition of its options.
//!
//! # Examples
//!
//! ```
//! use chat_manual::Manual;
//! use clap::{CommandFactory, Parser};
//!
//! /// Greets
//! #[derive(Parser)]
//! #[command(name = "greet", version)]
//! struct Args {
//!     /// Whom
//!     #[arg(long)]
//!     name: Option<String>,
//!
//!     #[command(flatten)]
//!     manual: Manual,
//! }
//!
//! let args = Args::parse_from(["greet", "--man"]);
//! let page = args.manual.text(Args::command()).expect("it is asked for");
//! assert!(page.contains(".TH greet 1"));
//! assert!(page.contains("\\-\\-name"));
//!
//! let args = Args::parse_from(["greet", "--name", "Ann"]);
//! assert_eq!(args.manual.text(Args::command()), None);
//! ```

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

/// The options that ask for it, to be flattened into those of a program. Each of them stands alone.
#[derive(Clone, Debug, Args)]
pub struct Manual {
    /// Print a script that completes these options in a shell, and end
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,

    /// Print the man page, and end
    #[arg(long, exclusive = true)]
    man: bool,
}

impl Manual {
    /// Returns what is to be printed of a program with these options, if anything is.
    ///
    /// There is one page for the program and its subcommands.
    #[must_use]
    pub fn text(&self, mut command: Command) -> Option<String> {
        if let Some(shell) = self.completions {
            let name = command.get_name().to_owned();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut text);
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        self.man.then(|| page(command))
    }
}

fn page(mut command: Command) -> String {
    command.build();
    let page = Man::new(command.clone());
    let mut text = String::new();
    text += &section(|text| page.render_title(text));
    text += &section(|text| page.render_name_section(text));
    text += &section(|text| page.render_synopsis_section(text));
    text += &section(|text| page.render_description_section(text));
    text += &section(|text| page.render_options_section(text));
    for subcommand in command.get_subcommands() {
        let page = Man::new(subcommand.clone());
        let heading = format!(".SH {}", subcommand.get_name().to_uppercase());
        let description = section(|text| page.render_description_section(text));
        text += &description.replacen(".SH DESCRIPTION", &heading, 1);
        let options = section(|text| page.render_options_section(text));
        text += &options.replacen(".SH OPTIONS\n", "", 1);
        text += &notes(&page, subcommand, ".SS");
    }
    text += &notes(&page, &command, ".SH");
    if command.get_version().is_some() {
        text += &section(|text| page.render_version_section(text));
    }
    text
}

/// Writes what stands after the options in the help, in lines as they are there.
fn notes(page: &Man, command: &Command, heading: &str) -> String {
    if command
        .get_after_long_help()
        .or(command.get_after_help())
        .is_none()
    {
        return String::new();
    }
    let extra = section(|text| page.render_extra_section(text));
    extra.replacen(".SH EXTRA", &format!("{heading} NOTES\n.nf"), 1) + ".fi\n"
}

fn section(render: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).expect("a vector takes everything");
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_are_on_the_page_with_their_options() {
        let option = clap::Arg::new("depth").long("depth").help("How deep");
        let dig = Command::new("dig")
            .about("Digs")
            .arg(option)
            .after_help("Mind\n  the pipes");
        let text = page(Command::new("work").subcommand(dig).after_help("Rest"));
        let rest = text.split_once(".SH DIG\nDigs\n").expect(&text).1;
        let rest = rest.split_once("\\-\\-depth").expect(&text).1;
        let rest = rest
            .split_once(".SS NOTES\n.nf\nMind\n  the pipes\n.fi\n")
            .expect(&text)
            .1;
        assert!(rest.contains(".SH NOTES\n.nf\nRest\n.fi\n"), "{text}");
    }
}
