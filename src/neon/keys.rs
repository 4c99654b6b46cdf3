//! Keys, tokens and passwords: what a control plane signs, and what computes check with.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_compact::{KeyPair, Seed, Signature};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::disk;

/// Of a compute's stored password, as Postgres' own default.
const ITERATIONS: u32 = 4096;

/// The cluster's key pair. It signs tokens with EdDSA.
#[derive(Clone)]
pub struct Keys(KeyPair);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// The pair in this file, which is made if it isn't there.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds something else.
    pub fn load_or_make(file: &Path) -> io::Result<Self> {
        if let Some(text) = disk::read(file)? {
            let pair = std::str::from_utf8(&text).ok().and_then(|text| KeyPair::from_pem(text).ok());
            return pair.map(Self).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no Ed25519 key", file.display()))
            });
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let pair = KeyPair::from_seed(Seed::new(seed));
        disk::write(file, pair.sk.to_pem().as_bytes(), 0o600)?;
        Ok(Self(pair))
    }

    /// A pair for tests.
    #[cfg(test)]
    pub(super) fn of_seed(seed: u8) -> Self {
        Self(KeyPair::from_seed(Seed::new([seed; 32])))
    }

    /// The public half, as PEM text.
    #[must_use]
    pub fn public_pem(&self) -> String {
        self.0.pk.to_pem()
    }

    /// The public half for a compute's `compute_ctl_config`.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let raw = *self.0.pk;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(raw));
        let x = URL_SAFE_NO_PAD.encode(raw);
        json!({ "keys": [{
            "use": "sig", "key_ops": ["verify"], "alg": "EdDSA", "kid": kid, "kty": "OKP", "crv": "Ed25519", "x": x,
        }] })
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(r#"{"alg":"EdDSA","typ":"JWT"}"#), part(&claims.to_string()));
        let signature = self.0.sk.sign(&signed, None);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(*signature))
    }

    /// The claims of a token that this key has signed and that holds still.
    #[must_use]
    pub fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        self.0.pk.verify(signed, &signature).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let holds = claims["exp"].as_i64().is_none_or(|exp| exp >= jiff::Timestamp::now().as_second());
        holds.then_some(claims)
    }

    /// For the management API of any compute.
    #[must_use]
    pub fn compute_admin(&self) -> String {
        self.token(&json!({ "scope": "compute_ctl:admin", "aud": ["compute"] }))
    }
}

/// A secret word in a file, made at random if it isn't there.
///
/// # Errors
/// When the file can't be read or written.
pub fn secret_word(file: &Path) -> io::Result<String> {
    if let Some(text) = disk::read(file)? {
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if !text.is_empty() {
            return Ok(text);
        }
    }
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let word = URL_SAFE_NO_PAD.encode(bytes);
    disk::write(file, word.as_bytes(), 0o600)?;
    Ok(word)
}

/// Whether two secrets are the same, in a time that doesn't tell where they differ.
#[must_use]
pub fn same_secret(one: &str, other: &str) -> bool {
    Sha256::digest(one).iter().zip(Sha256::digest(other).iter()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// What Postgres stores of a password: `SCRAM-SHA-256$4096:salt$stored key:server key`.
#[must_use]
pub fn scram(password: &str, salt: &[u8]) -> String {
    let salted = pbkdf2(password.as_bytes(), salt);
    let stored_key = Sha256::digest(mac(&salted, b"Client Key"));
    let server_key = mac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// One block of it, which is what SHA-256 gives.
fn pbkdf2(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut block = mac(password, &[salt, &1_u32.to_be_bytes()[..]].concat());
    let mut sum = block;
    for _ in 1..ITERATIONS {
        block = mac(password, &block);
        sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: password `pencil`. The keys are those that its proof is made of.
    #[test]
    fn a_stored_password_is_that_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            scram("pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn keys_and_words_are_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let (key, word) = (directory.path().join("key.pem"), directory.path().join("word"));
        let first = Keys::load_or_make(&key).unwrap();
        assert_eq!(Keys::load_or_make(&key).unwrap().public_pem(), first.public_pem());
        assert_eq!(secret_word(&word).unwrap(), secret_word(&word).unwrap());
        std::fs::write(&key, "nonsense").unwrap();
        assert!(Keys::load_or_make(&key).unwrap_err().to_string().contains("holds no Ed25519 key"));
        assert!(format!("{first:?}").len() < 10);
    }

    #[test]
    fn a_token_verifies_with_the_public_key() {
        let keys = Keys::of_seed(1);
        let token = keys.compute_admin();
        assert_eq!(keys.claims(&token).unwrap()["scope"], "compute_ctl:admin");
        assert_eq!(Keys::of_seed(2).claims(&token), None);
        assert_eq!(keys.claims(&keys.token(&json!({ "exp": 1 }))), None);
        assert_eq!(keys.claims("x.y.z"), None);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let x = keys.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
        let key = ed25519_compact::PublicKey::from_slice(&URL_SAFE_NO_PAD.decode(x).unwrap()).unwrap();
        key.verify(signed, &ed25519_compact::Signature::from_slice(&signature).unwrap()).unwrap();
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abd") && !same_secret("abc", ""));
    }
}
