//! The keys with which the API server signs tokens, as it publishes them: evaluators check with them who hands over records.
//!
//! Not being able to read them is data: what evaluators have goes on being good. This module must not know who needs the keys.

use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;

use crate::error::said;

/// Where the API server publishes them.
const PATH: &str = "/openid/v1/jwks";
/// How long it may take: traffic may wait for this pass.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How often they are read although nothing happens: nobody tells when the API server has another key.
pub const READ_EVERY: Duration = Duration::from_secs(300);

/// The keys, as the JSON Web Key Set that was published.
///
/// # Errors
/// Why they cannot be read, for people.
pub async fn read_keys(client: &Client) -> Result<String, String> {
    let request = Request::get(PATH).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(READ_WITHIN, client.request_text(request)).await;
    let text = answer.map_err(|_| format!("{PATH}: no answer within {} s", READ_WITHIN.as_secs()))?;
    checked(text.map_err(|error| format!("{PATH}: {}", said(&error)))?)
}

/// An answer that has no keys must not take the place of one that has.
fn checked(text: String) -> Result<String, String> {
    let set: Option<Value> = serde_json::from_str(&text).ok();
    let has_keys = set.as_ref().and_then(|set| set.get("keys")?.as_array()).is_some_and(|keys| !keys.is_empty());
    if has_keys { Ok(text) } else { Err(format!("{PATH}: the answer has no keys")) }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::client::Body;

    use super::*;

    async fn answered(status: u16, text: &'static str) -> Result<String, String> {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            assert_eq!(request.uri().path(), PATH);
            Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(Body::from(text.as_bytes().to_vec())).unwrap())
        });
        read_keys(&Client::new(service, "n")).await
    }

    #[tokio::test]
    async fn what_is_published_is_taken_as_it_is() {
        let set = r#"{"keys":[{"kty":"RSA","kid":"one"}]}"#;
        assert_eq!(answered(200, set).await, Ok(set.to_owned()));
    }

    #[tokio::test]
    async fn an_answer_without_keys_is_none() {
        for text in ["", "not json", "{}", r#"{"keys": []}"#, r#"{"keys": "one"}"#] {
            assert!(answered(200, text).await.unwrap_err().contains("no keys"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let forbidden = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no rights"}"#;
        let error = answered(403, forbidden).await.unwrap_err();
        assert!(error.starts_with(PATH) && error.contains("no rights"), "{error}");
    }
}
