//! Signatures of version 4: what proves that a request comes from somebody who knows the secret key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What a request is signed with, beside its headers.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub method: &'a str,
    /// Encoded.
    pub path: &'a str,
    /// Encoded.
    pub query: &'a str,
    /// Names in lower case, in their order, and values.
    pub headers: &'a [(String, String)],
    /// `20130524T000000Z`.
    pub date: &'a str,
    pub region: &'a str,
    /// Of the body, in hex.
    pub payload: &'a str,
}

impl Parts<'_> {
    /// Day, region, service: for what a signing key is good.
    pub fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.day(), self.region)
    }

    fn day(&self) -> &str {
        self.date.get(..8).unwrap_or(self.date)
    }

    /// The names of what is signed.
    pub fn signed_headers(&self) -> String {
        self.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }

    pub fn signature(&self, secret: &str) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let mut query: Vec<String> = self.query.split('&').filter(|pair| !pair.is_empty()).map(with_value).collect();
        query.sort();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            self.path,
            query.join("&"),
            self.signed_headers(),
            self.payload
        );
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.date, self.scope(), hash(canonical.as_bytes()));
        let mut key = mac(format!("AWS4{secret}").as_bytes(), self.day());
        for part in [self.region, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        hex(&mac(&key, &text))
    }
}

/// A name without a value has an empty one.
fn with_value(pair: &str) -> String {
    if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") }
}

/// Of a body, as it is signed.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation of version 4: a list of a bucket.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let payload = hash(b"");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header("host", "examplebucket.s3.amazonaws.com"),
            header("x-amz-content-sha256", &payload),
            header("x-amz-date", "20130524T000000Z"),
        ];
        let parts = Parts {
            method: "GET",
            path: "/",
            query: "max-keys=2&prefix=J",
            headers: &headers,
            date: "20130524T000000Z",
            region: "us-east-1",
            payload: &payload,
        };
        let signature = parts.signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        assert_eq!(signature, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }
}
