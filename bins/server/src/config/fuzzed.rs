//! What must hold for any configuration.

use super::{Options, OptionsError};

/// Reads a file, variables and words of a command line, which NUL parts: `NAME=value` in each line of
/// the second part, a word in each line of the third. Checks that options which make sense say the same when
/// they are printed and read again, and that what makes none is told.
pub fn check_input(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split('\0');
    let mut part = || parts.next().unwrap_or_default();
    let (file, vars, words) = (part(), part(), part());
    // Another file would be read.
    if [vars, words]
        .iter()
        .any(|part| part.contains("onfig") || part.contains("ONFIG"))
    {
        return;
    }
    let vars: Vec<_> = vars
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let words: Vec<_> = words.lines().collect();
    match read(file, &vars, &words) {
        Ok(options) => {
            let printed = options.to_string();
            let again = read(&printed, &[], &[]).unwrap_or_else(|error| {
                panic!("what was printed cannot be read: {error}\n{printed}");
            });
            assert_eq!(options.changes(&again).next(), None, "{printed}");
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => check_error(&error),
    }
}

fn check_error(error: &OptionsError) {
    let told = error.to_string();
    match error {
        // It shows the lines of the file that it is about.
        OptionsError::Syntax { .. } => assert!(!told.is_empty()),
        OptionsError::Unknown { name, nearest, .. } => {
            assert!(told.contains(name.as_str()), "{told}");
            assert_ne!(nearest.as_ref(), Some(name));
        }
        OptionsError::Type { name, .. } | OptionsError::Value { name, .. } => {
            assert!(told.contains(name.as_str()), "{told}");
        }
        OptionsError::Usage(_) => assert!(!told.is_empty()),
        OptionsError::Read { .. } => panic!("{told}"),
    }
}

fn read(file: &str, vars: &[(&str, &str)], words: &[&str]) -> Result<Options, OptionsError> {
    let words = ["chat-server", "--config", "chat.toml"].iter().chain(words);
    let words = words.map(|&word| word.into()).collect();
    let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
    Options::with_file(words, vars, |_| Ok(file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_of_the_corpus_says_the_same_again() {
        crate::fuzzed::check_corpus("server_config", check_input);
    }
}
