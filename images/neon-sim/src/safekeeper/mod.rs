//! safekeeper: which timelines it has and who their other safekeepers are; no WAL.

mod api;
mod options;
mod store;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};

use crate::auth::{Guard, Scope};
use crate::client::Client;
use crate::exit::Failure;
use crate::fault::Faults;
use crate::files::lock;
use crate::ids::NodeId;
use crate::signals::Signals;
use crate::{listen, pg};
pub use options::Options;
use store::Store;

/// A safekeeper that serves.
pub struct Safekeeper {
    id: NodeId,
    store: Store,
    peers: Client,
}

/// Runs until a signal ends it.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    let directory = std::fs::canonicalize(&options.datadir)
        .with_context(|| format!("can't use the data directory {}", options.datadir.display()))?;
    faults.begin(&directory).await?;
    let _lock = lock(&directory.join("safekeeper.pid"))?;
    let id = identity(&directory, options.id)?;
    if options.init {
        return Ok(());
    }
    if options.listen_https.is_some() {
        return Err(anyhow!("--listen-https: neon-sim has no TLS").into());
    }
    let token = options.auth_token_path.as_deref().map(read_token).transpose()?;
    let on_pg = Guard::of_optional(options.pg_auth_public_key_path.as_deref())?;
    let on_more_pg = Guard::of_optional(options.pg_tenant_only_auth_public_key_path.as_deref())?;
    let on_http = Guard::of_optional(options.http_auth_public_key_path.as_deref())?;
    let pg = listen::bind("Postgres", &options.listen_pg).await?;
    let more_pg = match &options.listen_pg_tenant_only {
        Some(address) => Some(listen::bind("Postgres for tenants", address).await?),
        None => None,
    };
    let http = listen::bind("HTTP", &options.listen_http).await?;
    let mut signals = Signals::install()?;
    let store = Store::open(&directory).context("can't read the timelines")?;
    tracing::info!("safekeeper {id} has {} timelines", store.count());
    let server = Arc::new(Safekeeper { id, store, peers: Client::new(token.as_deref(), &faults) });
    let serve = async {
        faults.hang().await;
        tokio::spawn(pg::refuse_all(pg, on_pg, &[Scope::SafekeeperData, Scope::Tenant], "stores no WAL"));
        if let Some(listener) = more_pg {
            tokio::spawn(pg::refuse_all(listener, on_more_pg, &[Scope::Tenant], "stores no WAL"));
        }
        listen::serve(http, on_http.around(api::router(server), api::allows));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => {}
        _ = signals.stop() => {}
    }
    Ok(())
}

/// From the file safekeeper.id, which the first start writes.
fn identity(directory: &Path, given: Option<u64>) -> Result<NodeId, anyhow::Error> {
    let file = directory.join("safekeeper.id");
    let kept = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text.trim().parse().with_context(|| format!("{} holds no number", file.display()))?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
    };
    match (kept, given) {
        (Some(kept), Some(given)) if kept != given => bail!("running with id {kept}, but --id is {given}"),
        (Some(kept), _) => Ok(NodeId(kept)),
        (None, Some(given)) => {
            std::fs::write(&file, format!("{given}\n")).with_context(|| format!("can't write {}", file.display()))?;
            Ok(NodeId(given))
        }
        (None, None) => bail!("safekeeper id is not set: --id is needed at the first start"),
    }
}

fn read_token(file: &Path) -> Result<String, anyhow::Error> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_kept_and_can_not_change() {
        let directory = tempfile::tempdir().unwrap();
        assert!(identity(directory.path(), None).is_err());
        assert_eq!(identity(directory.path(), Some(3)).unwrap(), NodeId(3));
        assert_eq!(identity(directory.path(), None).unwrap(), NodeId(3));
        assert!(identity(directory.path(), Some(4)).is_err());
    }
}
