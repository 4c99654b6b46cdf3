//! The controller's state in Postgres: connecting with patience, own migrations, and one connection that is made anew
//! when it is lost.

mod nodes;
mod shards;
mod timelines;

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

pub use timelines::{PendingOp, StoredTimeline};

use crate::http::ApiError;

/// Between two tries to connect at the start.
const RETRY: Duration = Duration::from_millis(100);
/// For one statement; a database that takes longer is reported as trouble.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// Of a silent connection.
const KEEPALIVE: Duration = Duration::from_secs(10);

const MIGRATIONS: &[&str] = &[include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// A value for a statement.
pub type Param<'a> = &'a (dyn ToSql + Sync);

/// The database said no, or nothing.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("database error: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the database didn't answer within {} s", STATEMENT_LIMIT.as_secs())]
    Silent,
    #[error("the database holds something that can't be read: {0}")]
    Content(String),
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The database. Statements go one after the other.
pub struct Db {
    config: Config,
    client: Mutex<Client>,
}

impl Db {
    /// Tries each 100 ms until `patience` is over; a missing database is retried like a refused connection. One that
    /// accepts and stays silent is waited for.
    pub async fn connect(url: &str, patience: Duration) -> anyhow::Result<Self> {
        let mut config = Config::from_str(url).context("--database-url")?;
        notice_silence(&mut config);
        let begin = Instant::now();
        loop {
            match connect(&config).await {
                Ok(client) => return Ok(Self { config, client: Mutex::new(client) }),
                Err(error) if begin.elapsed() >= patience => {
                    return Err(error).context(format!("no database within {patience:?}"));
                }
                Err(error) => tracing::info!("Database not yet available, waiting... ({})", chain(&error)),
            }
            sleep(RETRY).await;
        }
    }

    /// Brings the tables up to date. Refuses a database that belongs to the real program.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let real = self.query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL", &[]).await?;
        let real: bool = real.first().map_or(Ok(false), |row| row.try_get(0))?;
        anyhow::ensure!(!real, "this database belongs to a real storage controller; a simulation needs its own");
        self.batch("CREATE TABLE IF NOT EXISTS neon_sim_migrations (version INT PRIMARY KEY)").await?;
        let rows = self.query("SELECT coalesce(max(version), 0) FROM neon_sim_migrations", &[]).await?;
        let done: i32 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        for (version, sql) in (1_i32..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
            tracing::info!("migration {version}");
            self.batch(&format!("BEGIN; {sql}; INSERT INTO neon_sim_migrations VALUES ({version}); COMMIT")).await?;
        }
        Ok(())
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        in_time(async {
            let client = self.alive().await?;
            Ok(client.query(sql, params).await?)
        })
        .await
    }

    /// All of them or none.
    async fn together(&self, statements: &[(&str, &[Param<'_>])]) -> Result<(), DbError> {
        in_time(async {
            let mut client = self.alive().await?;
            let transaction = client.transaction().await?;
            for (sql, params) in statements {
                transaction.execute(*sql, params).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn batch(&self, sql: &str) -> Result<(), DbError> {
        in_time(async { Ok(self.alive().await?.batch_execute(sql).await?) }).await
    }

    /// The connection, made anew if it was lost. To be used in time: whoever waits for it waits for all before.
    async fn alive(&self) -> Result<MutexGuard<'_, Client>, DbError> {
        let mut client = self.client.lock().await;
        if client.is_closed() {
            *client = connect(&self.config).await?;
            tracing::info!("connected to the database again");
        }
        Ok(client)
    }
}

/// With the time for its turn, so that calls don't queue for ever behind a database that hangs.
async fn in_time<T>(work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    timeout(STATEMENT_LIMIT, work).await.unwrap_or(Err(DbError::Silent))
}

/// A host that vanished without a word is noticed: the connection closes, and the next statement makes another.
fn notice_silence(config: &mut Config) {
    config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE);
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(STATEMENT_LIMIT);
    }
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!("lost the database: {}", chain(&error));
        }
    });
    Ok(client)
}

/// An error with its causes; Postgres' own says little without them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Stored as JSON text, a plain word for a plain enum.
fn to_text<T: Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Content(error.to_string()))
}

fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Content(format!("{text}: {error}")))
}

/// Ids as text.
fn parse<T: FromStr>(text: &str) -> Result<T, DbError> {
    text.parse().map_err(|_| DbError::Content(text.to_owned()))
}

/// Postgres has signed numbers only.
fn to_i64(number: u64) -> Result<i64, DbError> {
    i64::try_from(number).map_err(|_| DbError::Content(format!("{number} is too large")))
}

fn from_int<I: Copy + std::fmt::Display, T: TryFrom<I>>(number: I) -> Result<T, DbError> {
    T::try_from(number).map_err(|_| DbError::Content(number.to_string()))
}
