//! Tokens of those who call: EdDSA signatures, checked with the public keys that a program was given.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{PublicKey, Signature};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a token isn't believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("it isn't three parts of base64url text with JSON in the first two")]
    Form,
    #[error("its algorithm is {0:?}, not EdDSA")]
    Algorithm(String),
    #[error("no key has signed it")]
    Signature,
    #[error("it has expired")]
    Expired,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Expiry {
    exp: Option<i64>,
}

/// The claims of a token that one of the keys has signed and that holds still.
pub fn verify<T: DeserializeOwned>(token: &str, keys: &[PublicKey]) -> Result<T, BadToken> {
    let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(BadToken::Form)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Form);
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| BadToken::Form)?;
    if header.alg != "EdDSA" {
        return Err(BadToken::Algorithm(header.alg));
    }
    let signature = Signature::from_slice(&bytes(signature)?).map_err(|_| BadToken::Signature)?;
    if !keys.iter().any(|key| key.verify(signed, &signature).is_ok()) {
        return Err(BadToken::Signature);
    }
    let claims = bytes(claims)?;
    let expiry: Expiry = serde_json::from_slice(&claims).map_err(|_| BadToken::Form)?;
    if expiry.exp.is_some_and(|exp| exp < Timestamp::now().as_second()) {
        return Err(BadToken::Expired);
    }
    serde_json::from_slice(&claims).map_err(|_| BadToken::Form)
}

/// What stands behind `Bearer ` in a header.
pub fn bearer(value: &str) -> Option<&str> {
    value.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty())
}

/// A key as a JWKS has it: base64url of its 32 bytes.
pub fn key_of_jwk(x: &str) -> Option<PublicKey> {
    PublicKey::from_slice(&URL_SAFE_NO_PAD.decode(x).ok()?).ok()
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use ed25519_compact::{KeyPair, Seed};

    /// The same key in every test.
    pub fn pair(seed: u8) -> KeyPair {
        KeyPair::from_seed(Seed::new([seed; 32]))
    }

    pub fn token(pair: &KeyPair, claims: &serde_json::Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(r#"{"alg":"EdDSA","typ":"JWT"}"#), part(&claims.to_string()));
        let signature = pair.sk.sign(&signed, None);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(*signature))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{pair, token};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_token_is_believed_if_a_key_signed_it_and_it_holds() {
        let (own, other) = (pair(1), pair(2));
        let check = |claims: Value, keys: &[PublicKey]| verify::<Value>(&token(&own, &claims), keys);
        let claims = json!({ "compute_id": "ep", "exp": 99_999_999_999_i64 });
        assert_eq!(check(claims.clone(), &[other.pk, own.pk]), Ok(claims.clone()));
        assert_eq!(check(claims.clone(), &[other.pk]), Err(BadToken::Signature));
        assert_eq!(check(claims, &[]), Err(BadToken::Signature));
        assert_eq!(check(json!({ "exp": 1 }), &[own.pk]), Err(BadToken::Expired));
        for text in ["", "a.b", "a.b.c", "x"] {
            assert_eq!(verify::<Value>(text, &[own.pk]), Err(BadToken::Form), "{text}");
        }
        let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        assert_eq!(verify::<Value>(&none, &[own.pk]), Err(BadToken::Algorithm("none".into())));
    }
}
