//! endpoint_storage: small files of endpoints, such as what their caches held. This one really keeps them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use clap::Parser;
use ed25519_compact::PublicKey;
use serde::Deserialize;

use crate::exit::Failure;
use crate::fault::Faults;
use crate::http::metrics;
use crate::ids::{TenantId, TimelineId};
use crate::signals::Signals;
use crate::{jwt, listen};

/// Flags of the real program.
#[derive(Debug, Parser)]
#[command(name = "endpoint_storage", version = crate::VERSION)]
pub struct Options {
    /// A file with the configuration
    #[arg(required_unless_present = "config")]
    config_file: Option<PathBuf>,
    /// The configuration itself, as JSON
    #[arg(long, conflicts_with = "config_file")]
    config: Option<String>,
    /// Starts without trying to write
    #[arg(long)]
    no_s3_check_on_startup: bool,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default = "default_listen")]
    listen: String,
    pemfile: PathBuf,
    #[serde(rename = "type")]
    kind: String,
    local_path: Option<PathBuf>,
    #[serde(default = "default_limit")]
    max_upload_file_limit: usize,
}

fn default_listen() -> String {
    "0.0.0.0:51243".to_owned()
}

const fn default_limit() -> usize {
    100 * 1024 * 1024
}

struct Storage {
    key: PublicKey,
    root: PathBuf,
}

/// Runs until a signal ends it.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    faults.begin(".".as_ref()).await?;
    let text = match (&options.config, &options.config_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?
        }
        (None, None) => return Err(Failure::usage("no configuration")),
    };
    let config: Config = serde_json::from_str(&text).context("parsing config")?;
    let storage = Arc::new(open(&config, !options.no_s3_check_on_startup)?);
    let listener = listen::bind("HTTP", &config.listen).await?;
    let mut signals = Signals::install()?;
    let serve = async {
        faults.hang().await;
        listen::serve(listener, router(storage, config.max_upload_file_limit));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => {}
        _ = signals.stop() => {}
    }
    Ok(())
}

fn open(config: &Config, check: bool) -> anyhow::Result<Storage> {
    let file = config.pemfile.display();
    let pem = std::fs::read_to_string(&config.pemfile).with_context(|| format!("reading pemfile {file}"))?;
    let key = PublicKey::from_pem(&pem).map_err(|error| anyhow::anyhow!("pemfile {file}: {error}"))?;
    if config.kind != "LocalFs" {
        bail!("type {:?}: neon-sim has LocalFs only", config.kind);
    }
    let root = config.local_path.clone().context("LocalFs needs local_path")?;
    std::fs::create_dir_all(&root).with_context(|| format!("can't make {}", root.display()))?;
    if check {
        let trial = root.join(".write-test");
        std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial)).context("test write")?;
    }
    Ok(Storage { key, root })
}

fn router(storage: Arc<Storage>, limit: usize) -> Router {
    Router::new()
        .route("/{tenant}/{timeline}/{endpoint}/{*path}", get(read).put(write).delete(remove))
        .route("/{tenant}/{timeline}/{endpoint}", delete(remove_prefix))
        .route("/{tenant}/{timeline}", delete(remove_prefix))
        .route("/{tenant}", delete(remove_prefix))
        .route("/metrics", get(metrics))
        .route("/status", get(async || ()))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(storage)
}

#[derive(Deserialize)]
struct Claims {
    tenant_id: TenantId,
    timeline_id: TimelineId,
    endpoint_id: String,
}

type Shared = State<Arc<Storage>>;
type Path4 = extract::Path<(TenantId, TimelineId, String, String)>;

/// An answer that isn't success.
type Refused = (StatusCode, String);

/// 400 without a token that can be read, 401 for one that doesn't fit the path.
fn authorize(
    storage: &Storage,
    headers: &HeaderMap,
    tenant: TenantId,
    timeline: Option<TimelineId>,
) -> Result<(), Refused> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(value) = value else {
        return Err((StatusCode::BAD_REQUEST, "Header of type `authorization` was missing".to_owned()));
    };
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let token = jwt::bearer(value).ok_or_else(|| bad("invalid token".into()))?;
    let claims: Claims = jwt::verify(token, &[storage.key]).map_err(|error| bad(format!("invalid token: {error}")))?;
    // Any endpoint of the timeline may: that is how the real one is.
    let fits = claims.tenant_id == tenant && timeline.is_none_or(|timeline| timeline == claims.timeline_id);
    fits.then_some(()).ok_or_else(|| {
        let text = format!("the token is for {}/{}/{}", claims.tenant_id, claims.timeline_id, claims.endpoint_id);
        (StatusCode::UNAUTHORIZED, text)
    })
}

/// The file of a key; None for one that would lead out of the folder.
fn place(root: &Path, parts: &[&str]) -> Option<PathBuf> {
    let all = parts.iter().flat_map(|part| part.split('/'));
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    all.clone().all(sound).then(|| all.fold(root.to_path_buf(), |path, part| path.join(part)))
}

async fn read(
    State(storage): Shared,
    extract::Path((tenant, timeline, endpoint, path)): Path4,
    headers: HeaderMap,
) -> Response {
    let key = format!("{tenant}/{timeline}/{endpoint}/{path}");
    if let Err(refused) = authorize(&storage, &headers, tenant, Some(timeline)) {
        return refused.into_response();
    }
    match place(&storage.root, &[&key]).map(std::fs::read) {
        Some(Ok(bytes)) => bytes.into_response(),
        Some(Err(error))
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) =>
        {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
        _ => (StatusCode::NOT_FOUND, key).into_response(),
    }
}

async fn write(
    State(storage): Shared,
    extract::Path((tenant, timeline, endpoint, path)): Path4,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refused) = authorize(&storage, &headers, tenant, Some(timeline)) {
        return refused.into_response();
    }
    let Some(file) = place(&storage.root, &[&format!("{tenant}/{timeline}/{endpoint}/{path}")]) else {
        return (StatusCode::BAD_REQUEST, "bad path").into_response();
    };
    let kept = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, &body));
    match kept {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn remove(
    State(storage): Shared,
    extract::Path((tenant, timeline, endpoint, path)): Path4,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = authorize(&storage, &headers, tenant, Some(timeline)) {
        return refused.into_response();
    }
    gone(place(&storage.root, &[&format!("{tenant}/{timeline}/{endpoint}/{path}")]))
}

async fn remove_prefix(State(storage): Shared, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let tenant = parts.first().and_then(|part| part.parse().ok());
    let timeline = parts.get(1).map(|part| part.parse());
    let (Some(tenant), None | Some(Ok(_))) = (tenant, &timeline) else {
        return (StatusCode::BAD_REQUEST, "bad id").into_response();
    };
    if let Err(refused) = authorize(&storage, &headers, tenant, timeline.and_then(Result::ok)) {
        return refused.into_response();
    }
    gone(place(&storage.root, &parts))
}

/// Deleting what isn't there is success.
fn gone(place: Option<PathBuf>) -> Response {
    let Some(place) = place else { return (StatusCode::BAD_REQUEST, "bad path").into_response() };
    let removed = if place.is_dir() { std::fs::remove_dir_all(&place) } else { std::fs::remove_file(&place) };
    match removed {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_the_folder() {
        let root = Path::new("/root");
        assert_eq!(place(root, &["a/b"]), Some(PathBuf::from("/root/a/b")));
        for bad in ["../x", "a/../../x", "a//b", "", ".hidden"] {
            assert_eq!(place(root, &[bad]), None, "{bad}");
        }
    }
}
