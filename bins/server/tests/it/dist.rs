/// The page on operation, and the manual.
mod pages;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::util::{chat_server, run};

/// Where the files are.
const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(DIST).join(name)).unwrap()
}

/// Returns the values of a setting in a unit.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let of_name = lines.filter(|(setting, _)| *setting == name);
    of_name.map(|(_, value)| value.to_owned()).collect()
}

/// Runs a program of the system, or returns `None` where there is none.
fn run_if_there(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("cannot run {program}: {error}"),
    }
}

/// Returns what `--check-config` prints, by the names of the options.
fn checked(args: &[&str]) -> BTreeMap<String, String> {
    let output = run(chat_server().args(args).arg("--check-config"), b"");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines().map(|line| line.split_once(" = ").unwrap());
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Copies of the units, which start the server that is tested.
struct Units(PathBuf);

impl Units {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let server = env!("CARGO_BIN_EXE_chat-server");
        for unit in UNITS {
            let text = read(unit).replace("/usr/bin/chat-server", server);
            fs::write(folder.join(unit), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, unit: &str) -> String {
        self.0.join(unit).to_str().unwrap().to_owned()
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const UNITS: [&str; 3] = [
    "chat-server.service",
    "chat-server.socket",
    "chat-server-tls.socket",
];

#[test]
fn the_configuration_has_the_limits_of_public() {
    let example = checked(&["--config", &format!("{DIST}chat-server.toml")]);
    let mut public = checked(&["--public"]);
    public.insert("public".to_owned(), "\"false\"".to_owned());
    for (name, value) in [
        ("log", "info"),
        ("metrics", "9464"),
        ("admin", "/run/chat-server/admin"),
    ] {
        public.insert(name.to_owned(), format!("\"{value}\""));
    }
    assert_eq!(example, public);
}

#[test]
fn what_the_configuration_has_as_comments_makes_sense() {
    let text = read("chat-server.toml");
    let is_option = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
    let options = text.lines().filter(is_option);
    let options = options.map(|line| line.trim_start_matches('#'));
    // Certificates are read in a check, and those are not there.
    let (tls, others): (Vec<_>, Vec<_>) = options.partition(|line| line.starts_with("tls-"));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comments.toml");
    fs::write(&path, others.join("\n")).unwrap();
    let options = checked(&["--config", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    assert_eq!(options["max-clients"], "\"5000\"");
    assert!(options.contains_key("listen"));
    assert_eq!(tls.len(), 3);
    let help = String::from_utf8(run(chat_server().arg("--help"), b"").stdout).unwrap();
    for line in tls {
        let (name, _) = line.split_once(" = ").unwrap();
        // A server without TLS has none of them.
        assert!(
            !cfg!(feature = "tls") || help.contains(&format!("--{name} ")),
            "{name}"
        );
    }
}

#[test]
fn the_unit_starts_the_server_with_options_that_parse() {
    let unit = read("chat-server.service");
    let starts = settings(&unit, "ExecStart");
    let [start] = &starts[..] else {
        panic!("there is one command: {starts:?}");
    };
    let start = start.replace("/etc/chat-server.toml", &format!("{DIST}chat-server.toml"));
    let (program, args) = start.split_once(' ').unwrap();
    assert_eq!(program, "/usr/bin/chat-server");
    let args: Vec<_> = args.split(' ').collect();
    let options = checked(&args);
    let folder = &settings(&unit, "RuntimeDirectory")[0];
    assert_eq!(options["admin"], format!("\"/run/{folder}/admin\""));
    for credential in unit
        .lines()
        .filter_map(|line| line.strip_prefix("#LoadCredential="))
    {
        let (name, _) = credential.split_once(':').unwrap();
        let path = format!("/run/credentials/chat-server.service/{name}\"");
        assert!(read("chat-server.toml").contains(&path), "{name}");
    }
}

#[test]
fn the_container_starts_the_server_with_options_that_parse() {
    let dockerfile = read("Dockerfile");
    let list = |instruction: &str| -> Vec<String> {
        let line = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix(instruction));
        serde_json::from_str(line.unwrap()).unwrap()
    };
    assert_eq!(list("ENTRYPOINT "), ["/chat-server"]);
    let args = list("CMD ");
    let options = checked(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(options["public"], "\"true\"");
    let (_, port) = args[0].rsplit_once(':').unwrap();
    assert!(dockerfile.contains(&format!("\nEXPOSE {port}\n")));
    assert!(dockerfile.contains("\nUSER 65534:65534\n"));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let units = Units::new("verified");
    let paths = UNITS.map(|unit| units.path(unit));
    let mut args = vec!["verify", "--man=no", "--recursive-errors=no"];
    args.extend(paths.iter().map(String::as_str));
    let Some(output) = run_if_there("systemd-analyze", &args) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains("chat-server"),
        "{said}"
    );
}

#[test]
fn the_service_is_exposed_to_little() {
    let units = Units::new("exposed");
    let path = units.path("chat-server.service");
    // In tenths.
    let args = ["security", "--offline=true", "--threshold=15", &path];
    let Some(output) = run_if_there("systemd-analyze", &args) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_service_has_memory_for_its_clients_at_the_worst() {
    let unit = read("chat-server.service");
    let files: u64 = settings(&unit, "LimitNOFILE")[0].parse().unwrap();
    let memory = &settings(&unit, "MemoryMax")[0];
    let gib: u64 = memory.strip_suffix('G').unwrap().parse().unwrap();
    let clients = files - 32;
    // As on the page: 4 KiB in the server, and 90 in the system.
    let needed = (10 + 8) * 1024 + clients * (4 + 90);
    assert!(needed <= gib * 1024 * 1024, "{needed} KiB");
}

#[test]
fn alerts_come_when_they_should() {
    let alerts = format!("{DIST}prometheus-alerts.yml");
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dist/alerts.yml");
    for args in [["check", "rules", &alerts], ["test", "rules", tests]] {
        let Some(output) = run_if_there("promtool", &args) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn the_package_has_files_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let deb = &table["package"]["metadata"]["deb"];
    for asset in deb["assets"].as_array().unwrap() {
        let source = asset[0].as_str().unwrap();
        // These are built, or written by the server.
        if !source.contains("target/") {
            assert!(folder.join(source).exists(), "{source}");
        }
    }
    assert_eq!(deb["conf-files"][0].as_str(), Some("/etc/chat-server.toml"));
}
