use axum::http::HeaderName;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use tokens::{AUDIENCE, Issuer, MODEL, ROUTER, claims, jwks, now};

#[path = "../../tests/common/tokens.rs"]
mod tokens;

/// `{"alg":"none","kid":"rsa"}`.
const NONE: &str = "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0";

fn changed(change: impl Fn(&mut Value)) -> Value {
    let mut claims = claims(AUDIENCE, MODEL);
    change(&mut claims);
    claims
}

fn without(claim: &str) -> Value {
    changed(|claims| drop(claims.as_object_mut().unwrap().remove(claim)))
}

#[test]
fn a_token_proves_its_account_when_everything_about_it_is_right() {
    let (rsa, ec) = (Issuer::rsa("rsa"), Issuer::ec("ec"));
    let keys = Keys::parse(jwks(&[&rsa, &ec])).unwrap();
    let (head, rest) = rsa.token(MODEL).split_once('.').map(|(head, rest)| (head.to_owned(), rest.to_owned())).unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let (_, other) = rsa.token(ROUTER).split_once('.').map(|(head, rest)| (head.to_owned(), rest.to_owned())).unwrap();
    let other_payload = other.split_once('.').unwrap().0;
    // An attacker knows the public key: it must not be taken for a secret.
    let secret = EncodingKey::from_secret(rsa.jwk()["n"].as_str().unwrap().as_bytes());
    let shared = |kid: &str| encode(&Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) }, &claims(AUDIENCE, MODEL), &secret).unwrap();
    let unnamed = encode(&Header::new(Algorithm::HS256), &claims(AUDIENCE, MODEL), &secret).unwrap();
    let good = Ok(MODEL.to_owned());
    let table = [
        ("RSA", rsa.token(MODEL), good.clone()),
        ("EC", ec.token(MODEL), good.clone()),
        ("audience as a text", rsa.sign(&changed(|claims| claims["aud"] = json!(AUDIENCE))), good.clone()),
        ("one audience of two", rsa.sign(&changed(|claims| claims["aud"] = json!(["other", AUDIENCE]))), good.clone()),
        ("clocks apart", rsa.sign(&changed(|claims| (claims["exp"], claims["nbf"]) = (json!(now() - 30), json!(now() + 30)))), good),
        ("another audience", rsa.sign(&claims("uid.other.flights.evaluator.plimsoll.dev", MODEL)), Err(Refusal::Audience)),
        ("the API server's audience", rsa.sign(&claims("https://kubernetes.default.svc", MODEL)), Err(Refusal::Audience)),
        ("no audience", rsa.sign(&without("aud")), Err(Refusal::Audience)),
        ("expired", rsa.sign(&changed(|claims| claims["exp"] = json!(now() - 120))), Err(Refusal::Expired)),
        ("made for a year", rsa.sign(&changed(|claims| claims["exp"] = json!(now() + 31_536_000))), Err(Refusal::LongLived)),
        ("nobody knows when it was made", rsa.sign(&without("iat")), Err(Refusal::Unreadable)),
        ("not valid yet", rsa.sign(&changed(|claims| claims["nbf"] = json!(now() + 120))), Err(Refusal::Early)),
        ("never expires", rsa.sign(&without("exp")), Err(Refusal::Unreadable)),
        ("nobody's", rsa.sign(&without("sub")), Err(Refusal::Unreadable)),
        ("another key of that name", Issuer::rsa("rsa").token(MODEL), Err(Refusal::Signature)),
        ("another EC key of that name", Issuer::ec("ec").token(MODEL), Err(Refusal::Signature)),
        ("a key that nobody published", Issuer::rsa("new").token(MODEL), Err(Refusal::UnknownKey)),
        ("EC under the name of the RSA key", Issuer::ec("rsa").token(MODEL), Err(Refusal::Unreadable)),
        ("another payload", format!("{head}.{other_payload}.{signature}"), Err(Refusal::Signature)),
        ("no signature", format!("{head}.{payload}."), Err(Refusal::Signature)),
        ("alg none", format!("{NONE}.{payload}."), Err(Refusal::Unreadable)),
        ("HS256 with the public key", shared("rsa"), Err(Refusal::Unreadable)),
        ("HS256 with the public key, of EC", shared("ec"), Err(Refusal::Unreadable)),
        ("a key without a name", unnamed, Err(Refusal::UnknownKey)),
        ("nothing", String::new(), Err(Refusal::Unreadable)),
        ("garbage", "a.b.c".to_owned(), Err(Refusal::Unreadable)),
        ("a word", "token".to_owned(), Err(Refusal::Unreadable)),
    ];
    for (what, token, expected) in table {
        assert_eq!(prove(&token, &keys, AUDIENCE).map(|proof| proof.subject), expected, "{what}");
    }
}

#[test]
fn a_set_of_keys_is_taken_when_one_is_of_use() {
    let (rsa, ec) = (Issuer::rsa("rsa"), Issuer::ec("ec"));
    let mixed = json!({"keys": [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "new", "kid": "later"}, rsa.jwk(), 7, ec.jwk()]});
    assert_eq!(Keys::parse(mixed.to_string()).unwrap().count(), 2);
    for (text, words) in [("", "not a JSON Web Key Set"), ("{}", "not a JSON Web Key Set"), (r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#, "no key for")] {
        assert!(Keys::parse(text.to_owned()).err().unwrap().contains(words), "{text}");
    }
}

struct Door {
    folder: tempfile::TempDir,
    access: Access,
}

impl Door {
    fn with(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, keys).unwrap();
        let policy = Policy { keys: path, audience: AUDIENCE.into(), predictions_from: MODEL.into(), outcomes_from: ROUTER.into() };
        Self { access: Access::new(policy).unwrap(), folder }
    }

    fn admit(&self, written: Written, header: Option<&str>) -> Result<(), Refusal> {
        let headers = header.map(|header| (HeaderName::from_static("authorization"), header.parse().unwrap()));
        self.access.admit(written, &headers.into_iter().collect())
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.access.0.gate.as_ref().unwrap().memory.lock().unwrap()
    }

    /// The file becomes this, and some time goes by.
    fn later(&self, keys: &str) {
        std::fs::write(self.folder.path().join("jwks.json"), keys).unwrap();
        let looked = self.memory().looked;
        self.memory().looked = looked.checked_sub(LOOK_EVERY).unwrap();
    }
}

#[test]
fn predictions_are_the_servers_and_outcomes_the_routers() {
    let issuer = Issuer::ec("ec");
    let door = Door::with(&jwks(&[&issuer]));
    let (model, router) = (format!("Bearer {}", issuer.token(MODEL)), format!("bearer {}", issuer.token(ROUTER)));
    let stranger = format!("Bearer {}", issuer.token("system:serviceaccount:flights:default"));
    let table = [
        (Written::Predictions, Some(&model), Ok(())),
        (Written::Outcomes, Some(&router), Ok(())),
        (Written::Predictions, Some(&router), Err(Refusal::Account)),
        (Written::Outcomes, Some(&model), Err(Refusal::Account)),
        (Written::Predictions, Some(&stranger), Err(Refusal::Account)),
        (Written::Outcomes, None, Err(Refusal::NoToken)),
    ];
    for (written, header, expected) in table {
        assert_eq!(door.admit(written, header.map(String::as_str)), expected, "{written:?}");
    }
    assert_eq!(door.admit(Written::Outcomes, Some("Basic YTpi")), Err(Refusal::NoToken));
    assert_eq!(door.admit(Written::Outcomes, Some("Bearer")), Err(Refusal::NoToken));
    let refused: HashMap<_, _> = door.access.refused().into_iter().collect();
    assert_eq!((refused["account"], refused["no_token"], refused["expired"]), (3, 3, 0));
}

#[test]
fn a_signature_is_checked_once_for_a_token_and_its_time_always() {
    let issuer = Issuer::ec("ec");
    let door = Door::with(&jwks(&[&issuer]));
    let header = format!("Bearer {}", issuer.token(MODEL));
    for _ in 0..3 {
        assert_eq!(door.admit(Written::Predictions, Some(&header)), Ok(()));
    }
    assert_eq!(door.memory().proven.len(), 1);
    let expired = issuer.sign(&changed(|claims| claims["exp"] = json!(now() - 120)));
    let remembered: Proof = serde_json::from_value(json!({"sub": MODEL, "iat": now(), "exp": now() - 120})).unwrap();
    door.memory().proven.insert(expired.as_str().into(), remembered);
    assert_eq!(door.admit(Written::Predictions, Some(&format!("Bearer {expired}"))), Err(Refusal::Expired));
    // Strangers fill no memory, and neither do many tokens.
    let before = door.memory().proven.len();
    assert_eq!(door.admit(Written::Predictions, Some(&format!("Bearer {}", Issuer::ec("ec").token(MODEL)))), Err(Refusal::Signature));
    assert_eq!(door.memory().proven.len(), before);
    for number in 0..REMEMBERED {
        let proof = serde_json::from_value(json!({"sub": MODEL, "iat": now(), "exp": now()})).unwrap();
        door.memory().proven.insert(number.to_string().into(), proof);
    }
    assert_eq!(door.admit(Written::Predictions, Some(&format!("Bearer {}", issuer.token(ROUTER)))), Err(Refusal::Account));
    assert!(door.memory().proven.len() <= REMEMBERED);
}

#[test]
fn other_keys_in_the_file_count_soon_and_a_broken_file_changes_nothing() {
    let (old, new) = (Issuer::ec("old"), Issuer::ec("new"));
    let door = Door::with(&jwks(&[&old]));
    let [of_old, of_new] = [&old, &new].map(|issuer| format!("Bearer {}", issuer.token(MODEL)));
    let admit = |header: &str| door.admit(Written::Predictions, Some(header));
    assert_eq!((admit(&of_old), admit(&of_new)), (Ok(()), Err(Refusal::UnknownKey)));
    door.later("broken");
    assert_eq!((admit(&of_old), admit(&of_new)), (Ok(()), Err(Refusal::UnknownKey)));
    door.later(&jwks(&[&old, &new]));
    assert_eq!((admit(&of_old), admit(&of_new)), (Ok(()), Ok(())));
    door.later(&jwks(&[&new]));
    assert_eq!((admit(&of_old), admit(&of_new)), (Err(Refusal::UnknownKey), Ok(())), "a token of a key that was withdrawn");
}

#[test]
fn an_evaluator_does_not_start_with_keys_that_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let policy =
        |file: &str| Policy { keys: folder.path().join(file), audience: AUDIENCE.into(), predictions_from: MODEL.into(), outcomes_from: ROUTER.into() };
    std::fs::write(folder.path().join("empty"), r#"{"keys": []}"#).unwrap();
    for (file, words) in [("nowhere", "No such file"), ("empty", "has no key for RS256")] {
        let error = Access::new(policy(file)).err().unwrap().to_string();
        assert!(error.contains(file) && error.contains(words), "{error}");
    }
}
