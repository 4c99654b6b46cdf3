//! A bucket, as a pageserver uses it. Calls block: they are few and small, and made where files would be written.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::sign::{Parts, hash};

/// For one exchange.
const LIMIT: Duration = Duration::from_secs(5);

/// Where objects are kept, and what proves that we may.
pub struct Bucket {
    /// `host:port`.
    address: String,
    name: String,
    region: String,
    /// Without a slash at either end; empty: none.
    prefix: String,
    access_key: String,
    secret_key: String,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({} at {})", self.name, self.address)
    }
}

impl Bucket {
    /// Of the table `remote_storage`, with credentials as AWS' own clients find them; `None`: it names no server.
    pub fn of_config(table: &toml::Table) -> anyhow::Result<Option<Self>> {
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str);
        let Some(endpoint) = text("endpoint") else { return Ok(None) };
        let address = endpoint.strip_prefix("http://").context("remote_storage.endpoint: neon-sim has no TLS")?;
        let address = address.trim_end_matches('/');
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let (access_key, secret_key) = credentials()?;
        Ok(Some(Self {
            address,
            name: text("bucket_name").context("remote_storage.bucket_name is missing")?.to_owned(),
            region: text("bucket_region").context("remote_storage.bucket_region is missing")?.to_owned(),
            prefix: text("prefix_in_bucket").unwrap_or_default().trim_matches('/').to_owned(),
            access_key,
            secret_key,
        }))
    }

    /// Writes an object.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        self.call("PUT", &self.path(key), "", content).map(drop)
    }

    /// Reads an object.
    pub fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.call("GET", &self.path(key), "", b"")
    }

    /// What is directly below a key: names up to the next slash.
    pub fn children(&self, key: &str) -> Result<Vec<String>> {
        let below = format!("{}/", self.key(key));
        let found = self.list(&below, true)?;
        let name = |key: &String| key.strip_prefix(&below).map(|name| name.trim_end_matches('/').to_owned());
        Ok(found.iter().filter_map(name).collect())
    }

    /// Removes everything below a key.
    pub fn remove(&self, key: &str) -> Result<()> {
        for key in self.list(&format!("{}/", self.key(key)), false)? {
            self.call("DELETE", &format!("/{}/{key}", self.name), "", b"")?;
        }
        Ok(())
    }

    /// All keys that begin so; `flat`: those with a further slash as one each.
    fn list(&self, prefix: &str, flat: bool) -> Result<Vec<String>> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let mut query = format!("list-type=2&prefix={}", encoded(prefix));
            if flat {
                query.push_str("&delimiter=%2F");
            }
            if !after.is_empty() {
                query.push_str(&format!("&continuation-token={}", encoded(&after)));
            }
            let answer = self.call("GET", &format!("/{}", self.name), &query, b"")?;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            found.extend(texts(&answer, "Key"));
            found.extend(texts(&answer, "CommonPrefixes").iter().flat_map(|text| texts(text, "Prefix")));
            match texts(&answer, "NextContinuationToken").pop() {
                Some(next) => after = next,
                None => return Ok(found),
            }
        }
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn path(&self, key: &str) -> String {
        format!("/{}/{}", self.name, self.key(key))
    }

    fn call(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = self.signed(method, path, query, body);
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let cut_off = || Error::new(ErrorKind::UnexpectedEof, format!("{method} {path}: the answer is cut off"));
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(cut_off)?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()).ok_or_else(cut_off)?;
        let content = answer.split_off(end + 4);
        match status {
            200..300 => Ok(content),
            404 => Err(Error::new(ErrorKind::NotFound, format!("{method} {path}: there is none"))),
            _ => Err(Error::other(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&content)))),
        }
    }

    fn connect(&self) -> Result<TcpStream> {
        let address = self.address.to_socket_addrs()?.next();
        let address =
            address.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{}: no address", self.address)))?;
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    fn signed(&self, method: &str, path: &str, query: &str, body: &[u8]) -> String {
        let date = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        let payload = hash(body);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers =
            [header("host", &self.address), header("x-amz-content-sha256", &payload), header("x-amz-date", &date)];
        let parts =
            Parts { method, path, query, headers: &headers, date: &date, region: &self.region, payload: &payload };
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{method} {path}{mark}{query} HTTP/1.1\r\n{lines}authorization: AWS4-HMAC-SHA256 Credential={}/{}, \
             SignedHeaders={}, Signature={}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.access_key,
            parts.scope(),
            parts.signed_headers(),
            parts.signature(&self.secret_key),
            body.len()
        )
    }
}

/// From the environment, or from the file that it names.
fn credentials() -> anyhow::Result<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(access), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        return Ok((access, secret));
    }
    let file = variable("AWS_SHARED_CREDENTIALS_FILE").context("no credentials for remote_storage")?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {file}"))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == name));
        line.map(|(_, value)| value.trim().to_owned()).with_context(|| format!("{file} has no {name}"))
    };
    Ok((value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

/// The texts of all elements of this name. Keys here have nothing that XML writes differently.
fn texts(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(open.as_str()).skip(1);
    parts.filter_map(|part| part.split_once(close.as_str())).map(|(text, _)| text.to_owned()).collect()
}

/// What a signature counts as encoded: all but letters, digits and these four.
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &KEPT).to_string()
}

#[cfg(test)]
pub mod testing {
    use super::*;

    pub fn bucket(address: &str, secret: &str) -> Bucket {
        let text = |text: &str| text.to_owned();
        Bucket {
            address: text(address),
            name: text("neon"),
            region: text("eu-north-1"),
            prefix: text("pageserver"),
            access_key: text("me"),
            secret_key: text(secret),
        }
    }
}
