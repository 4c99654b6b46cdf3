//! SCRAM-SHA-256, the server's side (RFC 5802), against what Postgres stores of a password:
//! `SCRAM-SHA-256$4096:salt$stored key:server key`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What is stored of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// None for any other form, such as an md5 hash.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let bytes = |text: &str| STANDARD.decode(text).ok();
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: bytes(salt)?,
            stored_key: bytes(stored)?,
            server_key: bytes(server)?,
        })
    }
}

/// An exchange after its first two messages.
pub struct Exchange {
    verifier: Verifier,
    /// What both sides have said, as far as it is signed.
    said: String,
    nonce: String,
    /// `server-first-message`, to be sent.
    pub challenge: String,
}

impl Exchange {
    /// From the client's first message; `own` is this side's part of the nonce.
    pub fn begin(verifier: Verifier, first: &str, own: &str) -> Result<Self, &'static str> {
        let bare =
            first.strip_prefix("n,,").or_else(|| first.strip_prefix("y,,")).ok_or("channel binding is not here")?;
        let theirs = attribute(bare, 'r').ok_or("the first message has no nonce")?;
        let nonce = format!("{theirs}{own}");
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        let said = format!("{bare},{challenge}");
        Ok(Self { verifier, said, nonce, challenge })
    }

    /// From the client's last message; `server-final-message` if it knew the password.
    pub fn finish(&self, last: &str) -> Result<String, &'static str> {
        let (signed, proof) = last.rsplit_once(",p=").ok_or("the last message has no proof")?;
        if attribute(signed, 'r') != Some(&self.nonce) {
            return Err("the nonce has changed");
        }
        let said = format!("{},{signed}", self.said);
        let proof = STANDARD.decode(proof).map_err(|_| "the proof isn't base64")?;
        let signature = mac(&self.verifier.stored_key, said.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(one, other)| one ^ other).collect();
        if proof.len() != signature.len() || Sha256::digest(&client_key)[..] != self.verifier.stored_key[..] {
            return Err("wrong password");
        }
        Ok(format!("v={}", STANDARD.encode(mac(&self.verifier.server_key, said.as_bytes()))))
    }
}

fn attribute(message: &str, name: char) -> Option<&str> {
    message.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3: user `user`, password `pencil`.
    #[test]
    fn the_exchange_of_the_standard() {
        let verifier = Verifier {
            iterations: 4096,
            salt: STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(),
            stored_key: STANDARD.decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=").unwrap(),
            server_key: STANDARD.decode("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=").unwrap(),
        };
        let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let exchange = Exchange::begin(verifier, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", nonce).unwrap();
        assert_eq!(
            exchange.challenge,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(exchange.finish(last).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let wrong = last.replace("p=dHzb", "p=eHzb");
        assert_eq!(exchange.finish(&wrong), Err("wrong password"));
        assert_eq!(exchange.finish("c=biws,r=other,p=dHzb"), Err("the nonce has changed"));
    }

    #[test]
    fn other_forms_are_no_verifiers() {
        assert!(Verifier::parse("b093c0d3b281ba6da1eacc608620abd8").is_none());
        assert!(Verifier::parse("SCRAM-SHA-256$4096:AAAA$AAAA:AAAA").is_some());
    }
}
