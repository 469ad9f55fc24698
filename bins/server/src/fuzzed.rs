//! What the fuzzer feeds the server with. Under `--cfg fuzzing`, this program is the fuzzer's.

#[cfg(test)]
use std::path::Path;

/// Checks all inputs of a corpus.
#[cfg(test)]
pub(crate) fn check_corpus(name: &str, check_input: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the seed corpus is part of the repository") {
        check_input(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "only {count} inputs in {}", dir.display());
}

// The package of the fuzzer builds this program under the name of each target.
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| match env!("CARGO_BIN_NAME") {
    "server_config" => crate::config::fuzzed::check_input(input),
    "server_admin" => crate::inside::check_commands(input),
    _ => unreachable!("there is no such target"),
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::{Table, Value};

    fn manifest(path: &str) -> Table {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap().parse().unwrap()
    }

    /// Returns the features that a dependency asks for.
    fn features(dependency: &Value) -> BTreeSet<&str> {
        let features = dependency.get("features").and_then(Value::as_array);
        let names = features.into_iter().flatten().filter_map(Value::as_str);
        names.collect()
    }

    #[test]
    fn the_fuzzer_builds_the_server_of_what_it_depends_on() {
        let (server, workspace) = (manifest("Cargo.toml"), manifest("../../Cargo.toml"));
        let fuzzer = manifest("../../fuzz/Cargo.toml");
        let fuzzer = fuzzer["dependencies"].as_table().unwrap();
        let shared = &workspace["workspace"]["dependencies"];
        for (name, dependency) in server["dependencies"].as_table().unwrap() {
            if dependency.get("optional").is_some() {
                continue;
            }
            let known = fuzzer.get(name);
            let known = known.unwrap_or_else(|| panic!("fuzz/Cargo.toml has no {name}"));
            let needed = [&shared[name.as_str()], dependency].map(features);
            for feature in needed.iter().flatten() {
                let has = features(known).contains(feature);
                assert!(has, "fuzz/Cargo.toml has {name} without {feature}");
            }
        }
    }
}
