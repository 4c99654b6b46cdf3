//! A small S3 server, called as MinIO is: buckets that are folders, objects that are files in them. Requests are signed, and
//! signatures are checked. No parts, no versions, no policies.

mod client;
mod sign;

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;

use crate::exit::Failure;
use crate::fault::Faults;
use crate::signals::Signals;
use crate::{files, listen};
pub use client::Bucket;
use sign::{Parts, hash};

/// More than any object of a simulation is long.
const LARGEST: usize = 64 << 20;
/// Keys in one answer to a list.
const PAGE: usize = 1000;

/// `minio server DIRECTORY`
#[derive(Debug, Parser)]
#[command(name = "minio", version = crate::VERSION)]
pub enum Options {
    /// Serves a folder
    Server {
        /// Each folder in it is a bucket
        directory: PathBuf,
        /// Where it listens
        #[arg(long, default_value = ":9000")]
        address: String,
        /// There is no console here
        #[arg(long, hide = true)]
        console_address: Option<String>,
    },
}

struct Server {
    root: PathBuf,
    access_key: String,
    secret_key: String,
}

/// Runs until a signal ends it.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    let Options::Server { directory, address, .. } = options;
    std::fs::create_dir_all(&directory).with_context(|| format!("can't make {}", directory.display()))?;
    faults.begin(&directory).await?;
    let key = |name: &str| std::env::var(name).unwrap_or_else(|_| "minioadmin".to_owned());
    let server = Server { root: directory, access_key: key("MINIO_ROOT_USER"), secret_key: key("MINIO_ROOT_PASSWORD") };
    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address };
    let listener = listen::bind("S3", &address).await?;
    let mut signals = Signals::install()?;
    faults.hang().await;
    listen::serve(listener, router(Arc::new(server)));
    signals.stop().await;
    Ok(())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/minio/health/live", get(async || StatusCode::OK))
        .route("/minio/health/ready", get(async || StatusCode::OK))
        .fallback(answer)
        .with_state(server)
}

/// An error, as S3 says it.
#[derive(Debug)]
struct Refusal(StatusCode, &'static str, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        tracing::info!("{} {}: {}", self.0, self.1, self.2);
        let body = format!("<Error><Code>{}</Code><Message>{}</Message></Error>", self.1, escaped(&self.2));
        (self.0, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
                Self(StatusCode::NOT_FOUND, "NoSuchKey", "there is no such object".into())
            }
            _ => Self(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string()),
        }
    }
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST).await;
    let body = body.map_err(|error| Refusal(StatusCode::BAD_REQUEST, "IncompleteBody", error.to_string()))?;
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    server.check(&head.method, path, query, &head.headers, &body)?;
    let bad = |why: &str| Refusal(StatusCode::BAD_REQUEST, "InvalidRequest", why.to_owned());
    let path = decoded(path).ok_or_else(|| bad("the path isn't text"))?;
    let path = path.strip_prefix('/').ok_or_else(|| bad("a path that doesn't begin with a slash"))?;
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let place = server.place(bucket, key).ok_or_else(|| bad("a name that can't be one"))?;
    match (head.method.as_str(), key) {
        ("GET", "") => server.list(bucket, query).map(IntoResponse::into_response),
        ("HEAD", "") if place.is_dir() => Ok(StatusCode::OK.into_response()),
        ("HEAD", "") => Err(Refusal(StatusCode::NOT_FOUND, "NoSuchBucket", bucket.to_owned())),
        ("PUT", "") => Ok(std::fs::create_dir_all(&place).map(|()| StatusCode::OK.into_response())?),
        ("GET" | "HEAD", _) => Ok(std::fs::read(&place).map(IntoResponse::into_response)?),
        ("PUT", _) => server.put(bucket, &place, &body).map(IntoResponse::into_response),
        ("DELETE", _) => match std::fs::remove_file(&place) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(StatusCode::NO_CONTENT.into_response()),
        },
        (method, _) => Err(Refusal(StatusCode::NOT_IMPLEMENTED, "NotImplemented", format!("neon-sim has no {method}"))),
    }
}

impl Server {
    /// Where an object or a bucket is; `None` for names that would lead elsewhere.
    fn place(&self, bucket: &str, key: &str) -> Option<PathBuf> {
        let relative = Path::new(bucket).join(key);
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        (is_plain && !bucket.is_empty()).then(|| self.root.join(relative))
    }

    /// Whole or not at all.
    fn put(&self, bucket: &str, place: &Path, body: &[u8]) -> Result<StatusCode, Refusal> {
        if !self.root.join(bucket).is_dir() {
            return Err(Refusal(StatusCode::NOT_FOUND, "NoSuchBucket", bucket.to_owned()));
        }
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut temporary = place.to_path_buf();
        temporary.as_mut_os_string().push(".part");
        std::fs::write(&temporary, body)?;
        std::fs::rename(&temporary, place)?;
        Ok(StatusCode::OK)
    }

    /// `list-type=2`
    fn list(&self, bucket: &str, query: &str) -> Result<String, Refusal> {
        let root = self.root.join(bucket);
        if !root.is_dir() {
            return Err(Refusal(StatusCode::NOT_FOUND, "NoSuchBucket", bucket.to_owned()));
        }
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
            pair.and_then(|(_, value)| decoded(value)).unwrap_or_default()
        };
        let (prefix, delimiter, after) = (value("prefix"), value("delimiter"), value("continuation-token"));
        let mut keys = Vec::new();
        keys_below(&root, "", &mut keys)?;
        let mut found: Vec<(String, bool)> =
            keys.into_iter()
                .filter_map(|key| {
                    let rest = key.strip_prefix(&prefix)?;
                    let cut = rest.find(&delimiter).filter(|_| !delimiter.is_empty());
                    Some(cut.map_or((key.clone(), false), |at| {
                        (key[..prefix.len() + at + delimiter.len()].to_owned(), true)
                    }))
                })
                .filter(|(key, _)| *key > after)
                .collect();
        found.sort();
        found.dedup();
        let is_cut = found.len() > PAGE;
        found.truncate(PAGE);
        let entry = |(key, common): &(String, bool)| match common {
            true => format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(key)),
            false => format!("<Contents><Key>{}</Key></Contents>", escaped(key)),
        };
        let entries: String = found.iter().map(entry).collect();
        let next = found.last().filter(|_| is_cut).map(|(key, _)| escaped(key));
        let next = next.map(|key| format!("<NextContinuationToken>{key}</NextContinuationToken>")).unwrap_or_default();
        Ok(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>{bucket}</Name><KeyCount>{}</KeyCount>\
             <IsTruncated>{is_cut}</IsTruncated>{next}{entries}</ListBucketResult>",
            found.len()
        ))
    }

    /// 403 unless it was signed with the secret key.
    fn check(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), Refusal> {
        let denied = |code, why: &str| Refusal(StatusCode::FORBIDDEN, code, why.to_owned());
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let signed = header("authorization").strip_prefix("AWS4-HMAC-SHA256 ");
        let signed = signed.ok_or_else(|| denied("AccessDenied", "it isn't signed"))?;
        let field = |name: &str| {
            let found = signed.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default()
        };
        let credential: Vec<&str> = field("Credential").split('/').collect();
        let [access_key, _, region, ..] = credential.as_slice() else {
            return Err(denied("AccessDenied", "its credential can't be read"));
        };
        if *access_key != self.access_key {
            return Err(denied("InvalidAccessKeyId", "there is no such access key"));
        }
        let payload = header("x-amz-content-sha256");
        if payload != "UNSIGNED-PAYLOAD" && payload != hash(body) {
            return Err(denied("XAmzContentSHA256Mismatch", "the body isn't what was signed; parts aren't simulated"));
        }
        let names = field("SignedHeaders").split(';');
        let headers: Vec<(String, String)> = names.map(|name| (name.to_owned(), header(name).to_owned())).collect();
        let parts = Parts {
            method: method.as_str(),
            path,
            query,
            headers: &headers,
            date: header("x-amz-date"),
            region,
            payload,
        };
        let same = parts.signature(&self.secret_key) == field("Signature");
        same.then_some(()).ok_or_else(|| denied("SignatureDoesNotMatch", "it was signed with another secret key"))
    }
}

/// All objects, with their folders' names before theirs.
fn keys_below(folder: &Path, before: &str, keys: &mut Vec<String>) -> std::io::Result<()> {
    for name in files::names(folder)? {
        let place = folder.join(&name);
        if place.is_dir() {
            keys_below(&place, &format!("{before}{name}/"), keys)?;
        } else if !name.ends_with(".part") {
            keys.push(format!("{before}{name}"));
        }
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::client::testing::bucket;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_put_is_listed_read_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("neon")).unwrap();
        let listener = listen::bind("S3", "127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server { root: folder.path().to_path_buf(), access_key: "me".into(), secret_key: "secret".into() };
        listen::serve(listener, router(Arc::new(server)));
        tokio::task::spawn_blocking(move || {
            let own = bucket(&address, "secret");
            assert_eq!(own.get("a/b").unwrap_err().kind(), ErrorKind::NotFound);
            for key in ["a/b", "a/c/d", "a/c/e", "f/g"] {
                own.put(key, key.as_bytes()).unwrap();
            }
            assert_eq!(own.get("a/c/d").unwrap(), b"a/c/d");
            assert_eq!(own.children("a").unwrap(), ["b", "c"]);
            assert!(own.children("none").unwrap().is_empty());
            own.remove("a/c").unwrap();
            own.remove("a/c").unwrap();
            assert_eq!(own.children("a").unwrap(), ["b"]);
            let other = bucket(&address, "guessed");
            assert!(other.get("a/b").unwrap_err().to_string().contains("SignatureDoesNotMatch"));
        })
        .await
        .unwrap();
    }

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let server = Server { root: "/data".into(), access_key: String::new(), secret_key: String::new() };
        assert_eq!(server.place("neon", "a/b"), Some("/data/neon/a/b".into()));
        for (bucket, key) in [("..", "a"), ("neon", "../x"), ("neon", "/etc"), ("", "a"), (".", "a")] {
            assert_eq!(server.place(bucket, key), None, "{bucket} {key}");
        }
    }
}
