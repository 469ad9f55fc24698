use chat_results::comparison::{
    COMPARISON_VERSION, Comparison, Contender, Figure, Outcome, Placement, Round, Standing,
    SweepPoint, Workload,
};
use chat_results::sample::results;
use chat_results::statistics::{Estimate, Interval};
use chat_results::{Environment, Isolation, Load, Order, Results, Verdict};
use serde_json::{Value, json};

const RESULTS: (&str, &str) = ("results.json", include_str!("../../schema/results.json"));
const COMPARISON: (&str, &str) = (
    "comparison.json",
    include_str!("../../schema/comparison.json"),
);

/// Tells whether a value is as a schema says.
fn is_valid((name, _): (&str, &str), value: &Value) -> Result<(), String> {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    for (name, text) in [RESULTS, COMPARISON] {
        let schema = serde_json::from_str(text).unwrap();
        compiler.add_resource(name, schema).unwrap();
    }
    let schema = compiler.compile(name, &mut schemas).unwrap();
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

/// Returns a comparison in which everything was measured, with servers of every standing.
fn comparison() -> Comparison {
    let estimate = |interval| Estimate {
        value: 0.5,
        interval,
    };
    let known = estimate(Some(Interval {
        low: 0.25,
        high: 0.75,
    }));
    let why = || "died".to_owned();
    let standings = [
        Standing::Proved,
        Standing::Unproved,
        Standing::NotRun,
        Standing::Stopped { why: why() },
        Standing::Wrong { why: why() },
    ];
    let round = Round {
        number: 1,
        position: 2,
        figures: Figure::ALL.map(|figure| (figure, 1.5)).into(),
        delivery: results().latency[chat_results::Distribution::Delivery],
        failure: None,
    };
    let failed = Round {
        failure: Some(why()),
        ..Round::default()
    };
    let outcomes = standings.map(|standing| Outcome {
        rounds: vec![round.clone(), failed.clone()],
        medians: Figure::ALL.map(|figure| (figure, known)).into(),
        ratios: [(Figure::P50, estimate(None))].into(),
        standing,
        drop_ratio: 0.25,
    });
    let workload = |sweep, ceiling| Workload {
        name: "bulk".to_owned(),
        about: "much".to_owned(),
        placement: Placement::OneProcessor,
        load: Load::default(),
        sweep,
        ceiling_deliveries_per_s: ceiling,
        decided: Figure::ALL.into(),
        outcomes: outcomes.to_vec(),
        concerns: vec!["the machine is busy".to_owned()],
    };
    Comparison {
        comparison_version: COMPARISON_VERSION,
        environment: Environment::default(),
        confidence: 0.95,
        decided_count: 1,
        interval_confidence: 0.99,
        rounds: 12,
        seed: u64::MAX.to_string(),
        servers: vec![Contender {
            name: "a".to_owned(),
            command: vec!["./a".to_owned()],
            protocol: "nats".to_owned(),
            settings: vec!["no persistence".to_owned()],
        }],
        workloads: vec![
            workload(Some(SweepPoint::Rate(1e3)), Some(1e6)),
            workload(Some(SweepPoint::Window(10)), None),
            workload(None, None),
        ],
        is_interrupted: false,
    }
}

#[test]
fn results_of_every_kind_are_as_the_schema_says_and_read_back() {
    for results in all_kinds() {
        let text = serde_json::to_string(&results).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        is_valid(RESULTS, &value).unwrap();
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
fn a_comparison_is_as_the_schema_says_and_read_back() {
    let text = serde_json::to_string(&comparison()).unwrap();
    is_valid(COMPARISON, &serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<Comparison>(&text).unwrap(),
        comparison()
    );
}

/// Checks that a value is not valid any more when a field is missing, misspelt, or of another type.
fn check_refusals(schema: (&str, &str), valid: &Value, object: &str, field: &str) {
    is_valid(schema, valid).unwrap();
    let mut missing = valid.clone();
    let fields = missing.pointer_mut(object).unwrap().as_object_mut();
    fields.unwrap().remove(field).unwrap();
    let mut misspelt = valid.clone();
    misspelt.pointer_mut(object).unwrap()["misspelt"] = json!(1);
    let mut other = valid.clone();
    other.pointer_mut(object).unwrap()[field] = json!({"of": "another type"});
    for wrong in [missing, misspelt, other] {
        assert!(
            is_valid(schema, &wrong).is_err(),
            "{object}/{field}: {wrong}"
        );
    }
}

#[test]
fn a_schema_refuses_a_field_that_is_missing_misspelt_or_of_another_type() {
    let results = serde_json::to_value(results()).unwrap();
    for (object, field) in [
        ("/counts", "sent"),
        ("/latency/delivery", "p99_us"),
        ("/load", "cuts"),
        ("/load/environment", "kernel"),
    ] {
        check_refusals(RESULTS, &results, object, field);
    }
    let comparison = serde_json::to_value(comparison()).unwrap();
    for (object, field) in [
        ("", "rounds"),
        ("/environment", "kernel"),
        ("/servers/0", "name"),
        ("/workloads/0/load", "cuts"),
        ("/workloads/0/outcomes/4/standing", "why"),
        ("/workloads/0/outcomes/0/rounds/0/delivery", "p99_us"),
    ] {
        check_refusals(COMPARISON, &comparison, object, field);
    }
}

#[test]
fn the_schemas_describe_every_field() {
    fn check(schema: &Value, place: &str) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}/{name}");
            assert!(
                property["description"].is_string(),
                "{place} has no description"
            );
            check(property, &place);
        }
        for several in ["oneOf", "anyOf"] {
            for alternative in schema[several].as_array().into_iter().flatten() {
                check(alternative, place);
            }
        }
        check_all(&schema["$defs"]);
        if schema["items"].is_object() {
            check(&schema["items"], &format!("{place}[]"));
        }
    }
    fn check_all(definitions: &Value) {
        for (name, definition) in definitions.as_object().into_iter().flatten() {
            check(definition, name);
        }
    }
    for (name, text) in [RESULTS, COMPARISON] {
        check(&serde_json::from_str(text).unwrap(), name);
    }
}
