//! Whose call it is and who answers it. A call of a test goes to the revision of the user's variant, every other one where the backends'
//! weights say; in a paired test the treatment answers a copy of it. **Invariant:** an answer that counts for a variant is that of the
//! variant's revision.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::assign::unit;
use crate::experiment::{Test, Variant};
use crate::headers::set;
use crate::table::{Table, Target};

/// Tells the caller which revision answered.
pub const REVISION_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-revision");
/// Tells the model server whose call it is: a name that only this deployment, or this test, has for the user.
pub const UNIT_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-unit");
/// Tells the model server and the caller for which variant of a test it was answered.
pub const VARIANT_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-variant");
/// Tells the model server the id of a call whose body names none: both answers of a pair have the same.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-request-id");
/// Tells the model server that nobody gets its answer, and for which variant the answer beside it counts.
pub const SHADOW_HEADER: HeaderName = HeaderName::from_static("x-plimsoll-shadow");

/// What is decided about a call.
#[derive(Debug)]
pub struct Placement<'a> {
    /// Who answers.
    pub target: Target,
    /// For which variant; `None` outside of a test.
    pub variant: Option<&'a Variant>,
    /// Whose call it is, if the call says it. `None` where nobody asks for outcomes: then nobody asks whose they are.
    pub unit: Option<String>,
    /// In a paired test, what is compared.
    pub pair: Option<Pair<'a>>,
}

/// Two answers to one call: the caller gets the control's.
#[derive(Debug)]
pub struct Pair<'a> {
    /// For whom the caller's answer counts.
    pub control: &'a Variant,
    /// Who answers the copy.
    pub treatment: &'a Variant,
    /// The id of both, unless the call names one.
    pub id: String,
}

impl<'a> Placement<'a> {
    /// Decides; `None` when nobody can answer. While nobody can answer for a variant its users are in no test: another model's answer
    /// must not count for it.
    pub fn of(table: &'a Table, headers: &HeaderMap, random: u64) -> Option<Self> {
        let in_test = table.routes.test.as_ref().and_then(|test| Self::by_test(table, test, headers, random));
        let placement = in_test.or_else(|| Self::by_weight(table, headers, random))?;
        Some(match &table.routes.paired_test {
            Some(test) if table.routes.evaluator.is_some() => placement.paired(table, test, headers, random),
            Some(_) | None => placement,
        })
    }

    /// With the pair that a paired test makes of it. Where another revision than the control's answers, nothing is compared.
    fn paired(self, table: &Table, test: &'a Test, headers: &HeaderMap, random: u64) -> Self {
        match (test.pair(), test.key(headers)) {
            (Some((control, treatment)), Some(key)) if self.target.revision == control.revision => {
                // Nobody is assigned. Whom the deployment knows by the same header keeps the name, or its evaluator would count two users.
                let known = table.routes.sticky_header.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(test.header.as_str()));
                let unit = self.unit.filter(|_| known).or_else(|| Some(test.unit(key)));
                Self { unit, pair: Some(Pair { control, treatment, id: make_id(random) }), ..self }
            }
            _ => self,
        }
    }

    fn by_test(table: &'a Table, test: &'a Test, headers: &HeaderMap, random: u64) -> Option<Self> {
        let key = test.key(headers)?;
        let variant = test.variant(key)?;
        let target = table.of_revision(&variant.revision, random)?;
        Some(Self { target, variant: Some(variant), unit: table.routes.evaluator.as_ref().map(|_| test.unit(key)), pair: None })
    }

    fn by_weight(table: &Table, headers: &HeaderMap, random: u64) -> Option<Self> {
        let routes = &table.routes;
        let key = routes.sticky_header.as_deref().and_then(|name| headers.get(name)).map(HeaderValue::as_bytes);
        let target = table.choose(key.unwrap_or(&random.to_le_bytes()), random.rotate_left(17))?;
        Some(Self { target, variant: None, unit: key.filter(|_| routes.evaluator.is_some()).map(|key| unit(&routes.seed, key)), pair: None })
    }

    /// Tells the model server. Only the router says whose call it is: what the caller says about that is removed.
    pub fn mark(&self, headers: &mut HeaderMap) {
        let variant = self.variant.filter(|_| self.unit.is_some()).map(|variant| variant.name.as_str());
        set(headers, UNIT_HEADER, self.unit.as_deref());
        set(headers, VARIANT_HEADER, variant);
        set(headers, REQUEST_ID_HEADER, self.pair.as_ref().map(|pair| pair.id.as_str()));
        set(headers, SHADOW_HEADER, None);
    }

    /// The variant for which the call is counted.
    pub fn counts_for(&self) -> Option<&str> {
        self.variant.or(self.pair.as_ref().map(|pair| pair.control)).map(|variant| variant.name.as_str())
    }

    /// Tells the caller.
    pub fn tell(&self, headers: &mut HeaderMap) {
        set(headers, REVISION_HEADER, Some(&self.target.revision));
        set(headers, VARIANT_HEADER, self.variant.map(|variant| variant.name.as_str()));
    }
}

impl Pair<'_> {
    /// Tells the model server of the copy, whose headers are those that the call was marked with.
    pub fn mark_copy(&self, headers: &mut HeaderMap) {
        set(headers, VARIANT_HEADER, Some(&self.treatment.name));
        set(headers, SHADOW_HEADER, Some(&self.control.name));
    }
}

/// Ids that are made one after another lie side by side in the evaluator's index.
fn make_id(random: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:012x}{random:016x}", since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Routes;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::{Value, json};

    /// A test of `old` against `new` beside a rollout that gives `new` this weight, or of `new` against itself.
    fn table(weight: u32, ready: &[&str], control: &str) -> Table {
        let backend = |name: &str, weight: u32, state: &str| json!({"revision": name, "service": name, "port": 8080, "weight": weight, "state": state});
        let variant = |name: &str, revision: &str| json!({"name": name, "revision": revision, "weight": 5_000});
        let routes = json!({"version": 1, "seed": "deployment", "stickyHeader": "x-user-id", "evaluator": {"service": "evaluator", "port": 8080},
            "backends": [backend("old", 10_000 - weight, "Stable"), backend("new", weight, "Candidate")],
            "test": {"seed": "test", "header": "X-Session", "variants": [variant("control", control), variant("treatment", "new")]}});
        let slice = |service: &&str| -> EndpointSlice {
            let metadata = json!({"labels": {"kubernetes.io/service-name": service}});
            serde_json::from_value(json!({"addressType": "IPv4", "metadata": metadata, "endpoints": [{"addresses": ["10.0.0.1"]}]})).unwrap()
        };
        Table::default().with(Routes::parse(&routes.to_string()).unwrap(), &ready.iter().map(slice).collect::<Vec<_>>())
    }

    fn headers(named: &[(&'static str, String)]) -> HeaderMap {
        named.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn session(user: u32) -> HeaderMap {
        headers(&[("x-session", format!("N{user}")), ("x-user-id", format!("U{user}"))])
    }

    /// Revision, variant, and unit.
    fn placed(table: &Table, headers: &HeaderMap) -> Option<(String, Option<String>, Option<String>)> {
        let placement = Placement::of(table, headers, 42)?;
        Some((placement.target.revision, placement.variant.map(|variant| variant.name.clone()), placement.unit))
    }

    #[test]
    fn users_of_a_test_keep_their_variant_whatever_a_rollout_does() {
        let both = ["old", "new"];
        let (before, after, over) = (table(0, &both, "old"), table(9_000, &both, "old"), table(10_000, &both, "new"));
        let mut treated = 0;
        for user in 0..2_000 {
            let (revision, variant, unit) = placed(&before, &session(user)).unwrap();
            let treatment = variant.as_deref() == Some("treatment");
            assert_eq!((revision.as_str(), treatment), (if treatment { "new" } else { "old" }, variant.as_deref() != Some("control")));
            assert_eq!(unit.unwrap(), crate::assign::unit("test", format!("N{user}").as_bytes()));
            assert_eq!(placed(&after, &session(user)).unwrap().1, variant);
            let (revision, name, _) = placed(&over, &session(user)).unwrap();
            assert_eq!((revision.as_str(), name), ("new", variant), "one revision may answer for both variants");
            treated += u32::from(treatment);
        }
        assert!(treated.abs_diff(1_000) < 90, "{treated}");
    }

    #[test]
    fn who_is_nobody_is_in_no_test() {
        let table = table(0, &["old", "new"], "old");
        for user in 0..50 {
            let user = format!("U{user}");
            let unit = unit("deployment", user.as_bytes());
            assert_eq!(placed(&table, &headers(&[("x-user-id", user)])), Some(("old".into(), None, Some(unit))));
        }
        assert_eq!(placed(&table, &headers(&[("x-session", String::new())])), Some(("old".into(), None, None)));
    }

    #[test]
    fn another_models_answer_never_counts_for_a_variant() {
        let (all, some) = (table(0, &["old", "new"], "old"), table(0, &["old"], "old"));
        for user in 0..50 {
            let control = placed(&all, &session(user)).filter(|(revision, ..)| revision == "old");
            let outside = ("old".to_owned(), None, Some(unit("deployment", format!("U{user}").as_bytes())));
            assert_eq!(placed(&some, &session(user)), control.or(Some(outside)));
        }
    }

    #[test]
    fn i2_a_candidate_without_weight_answers_for_its_variant_and_for_nobody_else() {
        let table = table(0, &["new"], "old");
        for user in 0..50 {
            let variant = table.routes.test.as_ref().unwrap().variant(format!("N{user}").as_bytes()).unwrap();
            assert_eq!(placed(&table, &session(user)).map(|(revision, ..)| revision).as_deref(), (variant.name == "treatment").then_some("new"));
        }
        assert!(placed(&table, &HeaderMap::new()).is_none());
    }

    /// The same test as pairs.
    fn paired(weight: u32, ready: &[&str]) -> Table {
        let mut table = table(weight, ready, "old");
        table.routes.paired_test = table.routes.test.take();
        table
    }

    #[test]
    fn in_a_paired_test_everybody_is_answered_by_weight_and_both_answers_have_one_unit_and_one_id() {
        let table = paired(0, &["old", "new"]);
        for user in 0..50 {
            let asked = session(user);
            let placement = Placement::of(&table, &asked, u64::from(user)).unwrap();
            assert_eq!((placement.target.revision.as_str(), placement.variant, placement.counts_for()), ("old", None, Some("control")));
            let mut call =
                headers(&[("x-plimsoll-variant", "forged".into()), ("x-plimsoll-shadow", "forged".into()), ("x-plimsoll-request-id", "forged".into())]);
            placement.mark(&mut call);
            let mut copy = call.clone();
            placement.pair.as_ref().unwrap().mark_copy(&mut copy);
            let said = |of: &HeaderMap, name: &HeaderName| of.get(name).map(|value| value.to_str().unwrap().to_owned());
            let unit = Some(unit("test", format!("N{user}").as_bytes()));
            assert_eq!([UNIT_HEADER, VARIANT_HEADER, SHADOW_HEADER].map(|name| said(&call, &name)), [unit.clone(), None, None]);
            let expected = [unit, Some("treatment".to_owned()), Some("control".to_owned())];
            assert_eq!([UNIT_HEADER, VARIANT_HEADER, SHADOW_HEADER].map(|name| said(&copy, &name)), expected);
            let id = said(&call, &REQUEST_ID_HEADER).unwrap();
            assert!(id.len() == 28 && said(&copy, &REQUEST_ID_HEADER).unwrap() == id, "{id}");
        }
    }

    #[test]
    fn whom_the_deployment_knows_by_the_header_of_a_paired_test_stays_the_same_unit() {
        let mut table = paired(0, &["old", "new"]);
        table.routes.sticky_header = Some("X-Session".into());
        let before = Placement::by_weight(&table, &session(1), 42).unwrap().unit;
        assert_eq!((Placement::of(&table, &session(1), 42).unwrap().unit, before.clone()), (before, Some(unit("deployment", b"N1"))));
    }

    #[test]
    fn nothing_is_compared_where_nobody_is_named_or_another_revision_answers_or_nobody_keeps_it() {
        let is_pair = |table: &Table, headers: &HeaderMap| Placement::of(table, headers, 42).unwrap().pair.is_some();
        assert!(is_pair(&paired(0, &["old"]), &session(1)), "the router counts that the copy has nobody to answer it");
        assert!(!is_pair(&paired(0, &["old", "new"]), &headers(&[("x-user-id", "N1".into())])));
        assert!(!is_pair(&paired(10_000, &["old", "new"]), &session(1)), "the control's revision does not answer");
        let mut unkept = paired(0, &["old", "new"]);
        unkept.routes.evaluator = None;
        assert!(!is_pair(&unkept, &session(1)));
    }

    #[test]
    fn where_nobody_asks_for_outcomes_only_the_caller_is_told() {
        let mut table = table(0, &["old", "new"], "old");
        table.routes.evaluator = None;
        let asked = session(1);
        let placement = Placement::of(&table, &asked, 42).unwrap();
        let (mut call, mut answer) = (headers(&[("x-plimsoll-unit", "forged".into()), ("x-plimsoll-variant", "forged".into())]), HeaderMap::new());
        placement.mark(&mut call);
        placement.tell(&mut answer);
        assert!(call.is_empty(), "{call:?}");
        assert_eq!(answer[VARIANT_HEADER], placement.variant.unwrap().name);
    }

    #[test]
    fn routes_with_a_bad_test_are_refused_and_those_without_one_are_not() {
        let routes_of = |name: &str, test: Value| {
            let backend = json!({"revision": "old", "service": "old", "port": 1, "weight": 10_000, "state": "Stable"});
            Routes::parse(&json!({"version": 1, "seed": "s", "backends": [backend], name: test}).to_string()).map_err(|error| error.to_string())
        };
        let routes = |test: Value| routes_of("test", test);
        let variant = |name: &str, revision: &str| json!({"name": name, "revision": revision, "weight": 5_000});
        let test = |header: &str, other: &str| json!({"seed": "t", "header": header, "variants": [variant("control", "old"), variant("treatment", other)]});
        assert_eq!(routes(Value::Null).unwrap().test, None);
        assert_eq!(routes(test("X-User-Id", "old")).unwrap().test.unwrap().header, "x-user-id");
        for (test, expected) in [
            (test("", "old"), "\"\" is no name of a header"),
            (test("x user", "old"), "\"x user\" is no name of a header"),
            (test("x-user-id", "gone"), "variant \"treatment\" is answered by revision \"gone\", which is no backend"),
            (json!({"seed": "t", "header": "x-user-id", "variants": []}), "has 0 variants"),
            (json!({"header": "x-user-id", "variants": []}), "missing field `seed`"),
        ] {
            let error = routes(test).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(routes_of("pairedTest", test("x-user-id", "old")).unwrap().paired_test.unwrap().pair().unwrap().1.name, "treatment");
        let mut three = test("x-user-id", "old");
        three["variants"] = json!([("a", 2_000), ("b", 3_000), ("c", 5_000)].map(|(name, weight)| json!({"name": name, "revision": "old", "weight": weight})));
        assert!(routes_of("pairedTest", three).unwrap_err().contains("has 3 variants; it takes a control and a treatment"));
    }
}
