//! Which version `Latest` and names lead to.

use plimsoll_crds::model_deployment::ModelReference;

use super::fixtures::{at, version, version_name};
use crate::deployment::resolve::{Floor, Resolution, name, resolve};

fn wanted(version: &str) -> ModelReference {
    ModelReference { name: "flight-delay".into(), version: version.into() }
}

#[test]
fn latest_is_the_newest_approved_and_never_older_than_what_serves() {
    let versions = [version(3), version(1), version(2)];
    let (one, two) = (version_name(1), version_name(2));
    let nothing = Floor::default();
    let serves_two = Floor { version: Some(&two), created: Some(at(2)) };
    let table: [(&str, &[u8], Floor<'_>, Option<u8>); 5] = [
        ("the newest of the approved", &[1, 2], nothing, Some(2)),
        ("nothing approved", &[], nothing, None),
        ("an older approval is no way back", &[1], serves_two, Some(2)),
        ("a newer one is", &[1, 3], serves_two, Some(3)),
        ("what serves needs no approval", &[], serves_two, Some(2)),
    ];
    for (case, approved, floor, expected) in table {
        let eligible: Vec<String> = approved.iter().map(|number| version_name(*number)).collect();
        let got = resolve(&wanted("Latest"), &versions, floor, |version| eligible.iter().any(|allowed| name(version) == Some(allowed)));
        match expected {
            Some(number) => assert_eq!(got, Resolution::Version(&version(number)), "{case}"),
            None => assert_eq!(got, Resolution::NoApprovedVersion, "{case}"),
        }
    }
    let gone = Floor { version: Some("gone"), created: Some(at(2)) };
    assert_eq!(resolve(&wanted("Latest"), &versions, gone, |version| name(version) == Some(&one)), Resolution::WhatServes);
}

#[test]
fn a_name_leads_to_that_version_of_that_line_or_nowhere() {
    let mut foreign = version(2);
    foreign.spec.model = "other".into();
    let versions = [version(1), foreign];
    let resolve = |name: &str| resolve(&wanted(name), &versions, Floor::default(), |_| false);
    assert_eq!(resolve(&version_name(1)), Resolution::Version(&version(1)));
    assert_eq!(resolve(&version_name(2)), Resolution::OtherModel);
    assert_eq!(resolve(&version_name(3)), Resolution::UnknownVersion);
}
