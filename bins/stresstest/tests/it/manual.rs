use crate::run::{Running, stresstest};

/// Returns what is printed.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let run = Running::start_command(stresstest().args(args)).wait();
    run.check(0, &[]);
    run.stdout
}

#[test]
fn the_man_page_names_each_option_of_each_command() {
    let page = printed(&["--man"]);
    for command in [
        None,
        Some("compare"),
        Some("conform"),
        Some("gallery"),
        Some("html"),
    ] {
        let help = printed(&command.into_iter().chain(["--help"]).collect::<Vec<_>>());
        let words = help.lines().filter_map(|line| {
            let words = line.trim_start();
            words
                .split([',', ' ', '='])
                .find(|word| word.starts_with("--"))
        });
        let options: Vec<_> = words.filter(|word| word.len() > 2).collect();
        assert!(options.len() > 2, "{help}");
        for option in options {
            let option = option.trim_matches(|char: char| !char.is_ascii_alphabetic());
            let in_page = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&in_page), "{command:?} {option}");
        }
    }
    for heading in [
        ".SH COMPARE",
        ".SH CONFORM",
        ".SH GALLERY",
        ".SH HTML",
        ".SH RECHECK",
    ] {
        assert!(page.contains(heading), "{heading}");
    }
}

#[test]
fn shells_complete_options_and_commands() {
    for (shell, option) in [
        ("bash", "--fail-on"),
        ("zsh", "--fail-on"),
        ("fish", "-l fail-on"),
    ] {
        let script = printed(&["--completions", shell]);
        assert!(
            script.contains(option) && script.contains("conform"),
            "{shell}"
        );
    }
    let run = Running::start_command(stresstest().args(["--completions", "ed"])).wait();
    assert!(run.stderr.contains("possible values"), "{}", run.stderr);
}
