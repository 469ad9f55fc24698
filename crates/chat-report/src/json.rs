//! The results as JSON.

use std::io;
use std::path::Path;

use chat_results::Results;

use crate::atomic_file::Draft;

/// Writes the results to a file. `schema.json`, beside this package's manifest, describes it.
pub fn write(path: &Path, results: &Results) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(results)?;
    // A figure that is no number can be written and not read, and this is the time to tell.
    serde_json::from_str::<Results>(&text)?;
    text.push('\n');
    Draft::write(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use chat_results::sample::results;
    use chat_results::{Isolation, Order, Verdict};
    use serde_json::{Value, json};

    use super::*;

    const SCHEMA: &str = include_str!("../schema.json");

    /// Tells whether a value is as the schema says.
    fn is_valid(value: &Value) -> Result<(), String> {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler
            .add_resource("schema.json", serde_json::from_str(SCHEMA).unwrap())
            .unwrap();
        let schema = compiler.compile("schema.json", &mut schemas).unwrap();
        schemas
            .validate(value, schema)
            .map_err(|error| format!("{error:#}"))
    }

    /// Returns results of every kind.
    fn all_kinds() -> Vec<Results> {
        let sample = results();
        let mut all = vec![sample.clone()];
        for order in [
            Order::PartlyChecked,
            Order::Unchecked,
            Order::Broken {
                iteration: 1,
                class: "duplicate".into(),
                story: "twice".into(),
            },
        ] {
            all.push(Results {
                order,
                ..sample.clone()
            });
        }
        let why = "because".to_owned();
        for verdict in [
            Verdict::Inconclusive { why: why.clone() },
            Verdict::Failed {
                why: vec![why.clone()],
            },
            Verdict::Broken { why: why.clone() },
            Verdict::Stopped { why },
            Verdict::Interrupted,
        ] {
            all.push(Results {
                verdict,
                isolation: Some(Isolation::new(&sample, &sample)),
                server: None,
                ..sample.clone()
            });
        }
        all
    }

    #[test]
    fn results_of_every_kind_are_as_the_schema_says_and_are_read_back() {
        for results in all_kinds() {
            let text = serde_json::to_string(&results).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            is_valid(&value).unwrap();
            assert_eq!(
                (
                    value["order"]["is"].as_str(),
                    value["verdict"]["is"].as_str()
                ),
                (Some(results.order.word()), Some(results.verdict.word()))
            );
            assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
        }
    }

    #[test]
    fn the_schema_refuses_a_field_that_is_missing_misspelt_or_of_another_type() {
        let value = serde_json::to_value(results()).unwrap();
        is_valid(&value).unwrap();
        let mut missing = value.clone();
        missing["counts"].as_object_mut().unwrap().remove("sent");
        let mut misspelt = value.clone();
        misspelt["counts"]["sended"] = json!(1);
        let mut other = value;
        other["latency"]["delivery"]["p99_us"] = json!("fast");
        for wrong in [missing, misspelt, other] {
            assert!(is_valid(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_schema_describes_every_field() {
        fn check(schema: &Value, place: &str) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let place = format!("{place}/{name}");
                assert!(
                    property["description"].is_string(),
                    "{place} has no description"
                );
                check(property, &place);
            }
            for alternative in schema["oneOf"].as_array().into_iter().flatten() {
                check(alternative, place);
            }
            for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
                check(definition, name);
            }
        }
        check(&serde_json::from_str(SCHEMA).unwrap(), "");
    }
}
