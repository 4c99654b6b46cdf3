//! Tokens as a control plane makes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Value, json};

pub fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

pub fn token(key: &KeyPair, claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"EdDSA","typ":"JWT"}"#), part(&claims.to_string()));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(*key.sk.sign(&signed, None)))
}

pub fn ctl_config(key: &KeyPair) -> Value {
    let x = URL_SAFE_NO_PAD.encode(*key.pk);
    let jwk = json!({ "use": "sig", "key_ops": ["verify"], "alg": "EdDSA", "kid": "1", "kty": "OKP", "crv": "Ed25519", "x": x });
    json!({ "jwks": { "keys": [jwk] }, "tls": null })
}
