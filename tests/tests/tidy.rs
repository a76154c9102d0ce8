//! Rules about the tree itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;

/// The longest source file.
const LINES: usize = 400;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn sources() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(tree()).output().unwrap();
    let is_source = |path: &&str| [".rs", ".go", ".py", ".sh"].iter().any(|end| path.ends_with(end)) || path.starts_with("scripts/");
    String::from_utf8(listed.stdout).unwrap().lines().filter(is_source).map(|path| tree().join(path)).filter(|path| path.is_file()).collect()
}

/// Crates may only know those below them.
#[test]
fn crate_arrows_point_down() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = [
        ("plimsoll-crds", vec![]),
        ("plimsoll-stats", vec![]),
        ("plimsoll-features", vec![]),
        ("plimsoll-model-server-api", vec![]),
        ("plimsoll-local-cluster", vec![]),
        ("plimsoll-router", vec![]),
        ("plimsoll-serving", vec![]),
        ("plimsoll-evaluator-api", vec![]),
        // Stats for what a report shows; the router in its tests only: a whole experiment, from the assignment to the p-value.
        ("plimsoll-evaluator", vec!["plimsoll-artifact", "plimsoll-serving", "plimsoll-evaluator-api", "plimsoll-router", "plimsoll-stats"]),
        ("plimsoll-artifact", vec!["plimsoll-features"]),
        ("plimsoll-networks", vec!["plimsoll-features", "plimsoll-artifact"]),
        ("plimsoll-operator", vec!["plimsoll-crds", "plimsoll-stats"]),
        (
            "plimsoll-model-server",
            vec!["plimsoll-features", "plimsoll-artifact", "plimsoll-networks", "plimsoll-serving", "plimsoll-model-server-api", "plimsoll-evaluator-api"],
        ),
        // It reads the spec's types, which are data; no client comes with them.
        ("plimsoll-trainer", vec!["plimsoll-features", "plimsoll-artifact", "plimsoll-networks", "plimsoll-crds"]),
        // Tests only: what both sides of the artifact must agree on.
        ("plimsoll-contract-tests", vec!["plimsoll-features", "plimsoll-trainer", "plimsoll-model-server", "plimsoll-model-server-api", "plimsoll-evaluator"]),
        // Stats to see for itself when a guardrail has its evidence.
        ("plimsoll-tests", vec!["plimsoll-crds", "plimsoll-artifact", "plimsoll-model-server-api", "plimsoll-stats"]),
    ]
    .into_iter()
    .map(|(name, below)| (name, below.into_iter().collect()))
    .collect();
    let metadata = MetadataCommand::new().manifest_path(tree().join("Cargo.toml")).no_deps().exec().unwrap();
    for package in metadata.packages {
        let below = &allowed[package.name.as_str()];
        for dependency in package.dependencies.iter().filter(|dependency| dependency.name.starts_with("plimsoll-")) {
            assert!(below.contains(dependency.name.as_str()), "{} must not know {}", package.name, dependency.name);
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LINES, "{} has {lines} lines: split it by idea", path.display());
    }
}

#[test]
fn every_rust_module_says_what_it_is_for() {
    for path in sources().iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        let in_test_folder = path.components().any(|part| part.as_os_str() == "tests") && path.components().any(|part| part.as_os_str() == "src");
        assert!(text.starts_with("//!") || in_test_folder || path.to_string_lossy().ends_with("_tests.rs"), "{} begins without //!", path.display());
    }
}

#[test]
fn generated_definitions_are_what_the_generator_writes() {
    for crd in plimsoll_crds::all() {
        let path = tree().join("crds/generated").join(format!("{}.yaml", crd.spec.names.plural));
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, serde_yaml::to_string(&crd).unwrap(), "{}: run make generate", path.display());
        assert!(written.len() < 100_000, "{} is too large", path.display());
    }
}

#[test]
fn samples_are_understood() {
    let folder = tree().join("deploy/samples/flights");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // By way of JSON, as kubectl does.
        let value: serde_json::Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let what = path.display();
        match value["kind"].as_str().unwrap() {
            "TrainingJob" => drop(serde_json::from_value::<plimsoll_crds::TrainingJob>(value).unwrap_or_else(|error| panic!("{what}: {error}"))),
            "ModelDeployment" => drop(serde_json::from_value::<plimsoll_crds::ModelDeployment>(value).unwrap_or_else(|error| panic!("{what}: {error}"))),
            "ABTest" => drop(serde_json::from_value::<plimsoll_crds::ABTest>(value).unwrap_or_else(|error| panic!("{what}: {error}"))),
            other => panic!("{what}: unknown kind {other}"),
        }
    }
}

/// What the operator may do: API group, resources (or paths), verbs. Whoever adds a right changes this list too, and says why in review.
const RIGHTS: [&str; 15] = [
    "plimsoll.dev trainingjobs,modelversions,modelapprovals,modeldeployments,abtests get,list,watch",
    "plimsoll.dev modelversions create",
    "plimsoll.dev trainingjobs/status,modelversions/status,modeldeployments/status,abtests/status get,patch",
    " namespaces,pods get,list,watch",
    " configmaps,services,serviceaccounts get,list,watch,create,patch,delete",
    " persistentvolumeclaims get,list,watch,create",
    "apps deployments,controllerrevisions get,list,watch,create,patch,delete",
    "batch jobs get,list,watch,create,patch,delete",
    "policy poddisruptionbudgets get,list,watch,create,patch,delete",
    "networking.k8s.io networkpolicies get,list,watch,create,patch,delete",
    "rbac.authorization.k8s.io roles,rolebindings get,list,watch,create,patch,delete",
    "discovery.k8s.io endpointslices get,list,watch",
    "events.k8s.io events create,patch",
    "apiextensions.k8s.io customresourcedefinitions get",
    "/openid/v1/jwks get",
];

#[test]
fn the_operator_has_these_rights_and_no_others() {
    let template = std::fs::read_to_string(tree().join("charts/plimsoll/templates/rbac.yaml")).unwrap();
    let rules: Vec<&str> = template.split("\nrules:\n").skip(1).map(|after| after.split("\n---").next().unwrap()).collect();
    assert_eq!(rules.len(), 1, "the operator has one role");
    let rules: Vec<BTreeMap<String, Vec<String>>> = serde_yaml::from_str(rules[0]).unwrap();
    let parts = ["apiGroups", "resources", "nonResourceURLs", "verbs"];
    let shown = |rule: &BTreeMap<String, Vec<String>>| parts.iter().filter_map(|part| Some(rule.get(*part)?.join(","))).collect::<Vec<_>>().join(" ");
    assert_eq!(rules.iter().map(shown).collect::<Vec<_>>(), RIGHTS);
    assert!(!RIGHTS.iter().any(|rule| ["secrets", "exec", "*", "escalate", "bind,", "impersonate", "approve"].iter().any(|word| rule.contains(word))));
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let architecture = std::fs::read_to_string(tree().join("ARCHITECTURE.md")).unwrap();
    let code: String = sources()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let names: Vec<&str> = architecture.split('`').filter(|name| name.starts_with('i') && name.contains('_') && name.as_bytes()[1].is_ascii_digit()).collect();
    assert!(names.len() > 12, "the table of invariants is gone");
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}

#[test]
fn the_documentation_shows_the_table_of_approvals_that_journeys_prove() {
    let (documented, proven) = (std::fs::read_to_string(tree().join("docs/approval.md")).unwrap(), plimsoll_tests::matrix::markdown());
    assert!(documented.contains(&proven), "docs/approval.md lacks these tables:\n{proven}");
}

/// A panel or rule whose metric nobody exports shows nothing, and one that fills gaps with zeros hides it. Whether there is data is told
/// by the journey `dashboards`.
#[test]
fn panels_and_rules_ask_for_metrics_that_exist_and_hide_no_gap() {
    let code: String = sources()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for file in ["dashboard.json", "quality.json", "rules.yaml"] {
        let text = std::fs::read_to_string(tree().join("charts/plimsoll/files").join(file)).unwrap();
        assert!(!text.contains("vector("), "{file} fills gaps");
        let names: BTreeSet<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.starts_with("plimsoll_")).collect();
        assert!(names.len() > 3, "{file} asks for nothing");
        for name in names {
            assert!(code.contains(&format!("\"{}\"", name.trim_end_matches("_bucket"))), "{file}: nobody exports {name}");
        }
    }
}

/// Every test that the rows of the table of errors name, and at least one in every row.
#[test]
fn every_error_in_the_docs_names_tests_that_exist() {
    let page = std::fs::read_to_string(tree().join("docs/errors.md")).unwrap();
    let code: String = sources()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what is wrong")).collect();
    assert!(rows.len() > 15, "the table of errors is gone");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 5, "{row}");
        let names: Vec<&str> = cells[4].split('`').filter(|name| name.contains('_')).collect();
        assert!(!names.is_empty(), "no test in the row {row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
        }
    }
}
