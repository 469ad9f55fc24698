use super::*;

/// Reads options, with a file that has the text.
fn read(file: &str, vars: &[(&str, &str)], args: &[&str]) -> Result<Options, OptionsError> {
    let path = env::temp_dir().join(format!(
        "chat-server-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, file).unwrap();
    let mut words: Vec<OsString> = vec!["chat-server".into(), "--config".into()];
    words.push(path.clone().into());
    words.extend(args.iter().map(OsString::from));
    let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
    let options = Options::of(words, vars);
    std::fs::remove_file(&path).unwrap();
    options
}

fn error(file: &str, vars: &[(&str, &str)], args: &[&str]) -> String {
    read(file, vars, args).unwrap_err().to_string()
}

#[test]
fn the_command_line_goes_before_variables_and_they_before_the_file() {
    let file = "grace = '1s'\nlog-bytes = '1MiB'\nmax-clients = 7\nlisten = ['[::1]:0']";
    let vars = [
        ("CHAT_SERVER_GRACE", "2s"),
        ("CHAT_SERVER_LOG_BYTES", "2MiB"),
        ("CHAT_SOMETHING", "else"),
    ];
    let options = read(file, &vars, &["--grace", "3s"]).unwrap();
    let value = |name: &str| &options.values[name][..];
    assert_eq!(value("grace"), ["3s"]);
    assert_eq!(value("log-bytes"), ["2MiB"]);
    assert_eq!(value("max-clients"), ["7"]);
    assert_eq!(value("listen"), ["[::1]:0"]);
    assert_eq!(value("drop-policy"), ["oldest"]);
}

#[test]
fn public_sets_what_nobody_else_does() {
    let file = "public = true\nstall-timeout = '5s'";
    let vars = [("CHAT_SERVER_CONNECT_RATE_PER_IP", "7")];
    let options = read(file, &vars, &[]).unwrap();
    let value = |name: &str| &options.values[name][..];
    assert_eq!(value("stall-timeout"), ["5s"]);
    assert_eq!(value("connect-rate-per-ip"), ["7"]);
    assert_eq!(value("max-clients-per-ip"), ["100"]);
    let options = read(file, &[], &["--max-clients-per-ip", "3"]).unwrap();
    assert_eq!(options.values["max-clients-per-ip"], ["3"]);
    assert_eq!(options.values["connect-rate-per-ip"], ["20"]);
}

#[test]
fn what_is_printed_says_the_same_when_it_is_read() {
    let file = "grace = '1s'\nlisten = ['127.0.0.1:0', '[::1]:0']";
    let options = read(file, &[], &[]).unwrap();
    let again = read(&options.to_string(), &[], &[]).unwrap();
    assert_eq!(options.changes(&again).collect::<Vec<_>>(), [""; 0]);
    let other = read("grace = '2s'", &[], &[]).unwrap();
    assert_eq!(
        options.changes(&other).collect::<Vec<_>>(),
        ["grace", "listen"]
    );
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    let cases = [
        (
            "gracee = '1s'",
            "there is no option `gracee`; did you mean `grace`?",
        ),
        ("zzz = 1", "there is no option `zzz`"),
        ("config = 'other.toml'", "there is no option `config`"),
        (
            "grace = '1 parsec'",
            "grace: invalid value '1 parsec' for '--grace <DURATION>': ",
        ),
        (
            "grace = ['1s', '2s']",
            "grace: it takes one value and no list",
        ),
        ("grace = 1979-05-27", "grace takes a text, a number"),
        ("listen = []", "listen takes a text, a number"),
        ("listen = ['nowhere']", "listen: invalid value 'nowhere'"),
        ("drop-policy = 'all'", "drop-policy: invalid value 'all'"),
        ("log = 'off'\ngrace = ", "is no TOML: line 2, column "),
    ];
    for (file, told) in cases {
        let error = error(file, &[], &[]);
        assert!(
            error.contains(told) && error.contains(".toml") && error.lines().count() == 1,
            "{file}: {error}"
        );
    }
    let told = error("", &[("CHAT_SERVER_GRACEE", "1s")], &[]);
    assert!(
        told.contains("CHAT_SERVER_GRACEE: there is no option `gracee`; did you"),
        "{told}"
    );
    let told = error("", &[("CHAT_SERVER_GRACE", "")], &[]);
    assert!(
        told.starts_with("the variable CHAT_SERVER_GRACE: grace: "),
        "{told}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let words = ["chat-server", "--config", "/nowhere/chat.toml"].map(OsString::from);
    let error = Options::of(words.to_vec(), std::iter::empty()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the configuration /nowhere/chat.toml: "),
        "{error}"
    );
}
