//! `kubectl explain` answers for every field of every kind.

use plimsoll_tests::stage::Stage;
use serde_json::Value;

/// Every field below a schema of the API server's OpenAPI document, as kubectl names it, with its description.
fn fields(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // metadata is Kubernetes' own.
        if !path.contains('.') && ["metadata", "apiVersion", "kind"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{path}.{name}");
        found.push((path.clone(), field["description"].as_str().unwrap_or_default().to_owned()));
        fields(field, &path, found);
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            fields(&schema[below], path, found);
        }
    }
}

#[test]
#[ignore = "needs a cluster"]
fn every_field_of_every_kind_is_explained() {
    let stage = Stage::of_journeys().unwrap();
    let document: Value = serde_json::from_str(&stage.admin.kubectl(&["get", "--raw", "/openapi/v3/apis/plimsoll.dev/v1alpha1"]).unwrap()).unwrap();
    let explain = |arguments: &[&str]| stage.admin.kubectl(&[&["explain"], arguments].concat()).unwrap();
    for kind in ["TrainingJob", "ModelVersion", "ModelApproval", "ModelDeployment", "ABTest"] {
        let schema = &document["components"]["schemas"][format!("dev.plimsoll.v1alpha1.{kind}")];
        let about = schema["description"].as_str().unwrap();
        assert!(!about.contains("Auto-generated"), "{kind}: {about}");
        let mut found = Vec::new();
        fields(schema, &kind.to_lowercase(), &mut found);
        assert!(found.len() > 6, "{kind} has {} fields", found.len());
        let silent: Vec<&String> = found.iter().filter(|(_, about)| about.trim().is_empty()).map(|(path, _)| path).collect();
        assert!(silent.is_empty(), "without a description: {silent:?}");
        // What a person sees is that text: the kind with its whole tree, and each field near the top by itself.
        let tree = explain(&[&kind.to_lowercase(), "--recursive"]);
        for (path, about) in &found {
            let name = path.rsplit('.').next().unwrap();
            assert!(tree.lines().any(|line| line.trim().split(['\t', ' ']).next() == Some(name)), "{path} is not in the tree");
            if path.matches('.').count() <= 2 {
                let shown = explain(&[path.as_str()]).split_whitespace().collect::<Vec<_>>().join(" ");
                let start = about.split_whitespace().take(6).collect::<Vec<_>>().join(" ");
                assert!(shown.contains(&start), "{path}: {shown}");
            }
        }
        println!("{kind}: {} fields", found.len());
    }
}
