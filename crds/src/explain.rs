//! What `kubectl explain` prints where no doc comment of ours reaches: the kind itself, and the fields of the standard condition.
//!
//! **Invariant:** every field of every kind has a description; the test below walks them all.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray};

/// The fields of `metav1.Condition`.
const CONDITION: [(&str, &str); 6] = [
    ("type", "What the condition is about."),
    ("status", "Whether it holds: True, False or Unknown."),
    ("reason", "Why, as one word for programs."),
    ("message", "Why, as a sentence for people."),
    ("lastTransitionTime", "When the status changed last."),
    ("observedGeneration", "The generation of the spec that this is about."),
];

/// Describes the kind by what its spec says, and the conditions of its status.
pub fn explained(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for schema in crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        if let Some(about) = child(schema, "spec").and_then(|spec| spec.description.clone()) {
            schema.description = Some(about);
        }
        let conditions = child(schema, "status").and_then(|status| child(status, "conditions"));
        if let Some(JSONSchemaPropsOrArray::Schema(condition)) = conditions.and_then(|conditions| conditions.items.as_mut()) {
            condition.description = Some("One condition.".to_owned());
            for (name, about) in CONDITION {
                if let Some(field) = child(condition, name) {
                    field.description = Some(about.to_owned());
                }
            }
        }
    }
    crd
}

fn child<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool};

    /// Fields without a description, below `path`.
    fn silent(schema: &JSONSchemaProps, path: &str) -> Vec<String> {
        let fields = schema.properties.iter().flatten().flat_map(|(name, field)| {
            let path = format!("{path}.{name}");
            let own = field.description.as_deref().unwrap_or_default().trim().is_empty().then(|| path.clone());
            own.into_iter().chain(silent(field, &path)).collect::<Vec<_>>()
        });
        let items = match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => silent(items, &format!("{path}[]")),
            Some(JSONSchemaPropsOrArray::Schemas(_)) | None => Vec::new(),
        };
        let values = match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => silent(values, &format!("{path}{{}}")),
            Some(JSONSchemaPropsOrBool::Bool(_)) | None => Vec::new(),
        };
        fields.chain(items).chain(values).collect()
    }

    #[test]
    fn every_field_of_every_kind_is_explained() {
        for crd in crate::all() {
            let kind = &crd.spec.names.kind;
            for version in &crd.spec.versions {
                let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
                assert!(!schema.description.as_deref().unwrap().contains("Auto-generated"), "{kind}");
                assert_eq!(silent(schema, kind), Vec::<String>::new());
            }
        }
    }
}
