//! A `psql` for images without the real one: connects, runs what `-c` gives or what standard input holds line by line,
//! and prints rows as text. It is there for probes and first looks, not for work.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Parser;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::exit::Failure;
use crate::fault::Faults;

/// Of psql's flags, those that scripts use most.
#[derive(Debug, Parser)]
#[command(name = "psql", version = crate::VERSION, disable_help_flag = true)]
pub struct Options {
    #[arg(short, long)]
    host: Option<String>,
    #[arg(short, long)]
    port: Option<u16>,
    #[arg(short = 'U', long)]
    username: Option<String>,
    #[arg(short, long)]
    dbname: Option<String>,
    #[arg(long, env = "PGPASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// What to run; may be given several times
    #[arg(short, long)]
    command: Vec<String>,
    /// Rows only
    #[arg(short, long)]
    tuples_only: bool,
    #[arg(short = 'A', long)]
    no_align: bool,
    #[arg(short = 'X', long)]
    no_psqlrc: bool,
    #[arg(short, long)]
    quiet: bool,
    #[arg(short = 'w', long)]
    no_password: bool,
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// A database's name or a whole connection string
    target: Option<String>,
}

/// Exit code 2: no connection, as psql's.
pub async fn run(options: Options, _: Arc<Faults>) -> Result<(), Failure> {
    let config = options.config().map_err(|error| Failure { code: 2, why: error })?;
    let (client, connection) = config.connect(NoTls).await.map_err(|error| Failure { code: 2, why: anyhow!(error) })?;
    let connection = tokio::spawn(connection);
    for command in &options.command {
        options.query(&client, command).await?;
    }
    if options.command.is_empty() {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            if matches!(line.trim(), "\\q" | "exit" | "quit") {
                break;
            }
            if let Err(failure) = options.query(&client, &line).await {
                failure.report();
            }
        }
    }
    drop(client);
    connection.await.context("the connection broke")?.context("the connection broke")?;
    Ok(())
}

impl Options {
    fn config(&self) -> anyhow::Result<tokio_postgres::Config> {
        let is_whole = |target: &&String| target.contains('=') || target.contains("://");
        let mut config: tokio_postgres::Config = match self.target.as_ref().filter(is_whole) {
            Some(whole) => whole.parse().context("the connection string")?,
            None => tokio_postgres::Config::new(),
        };
        let name = self.target.as_ref().filter(|target| !is_whole(target)).or(self.dbname.as_ref());
        name.map(|name| config.dbname(name));
        self.username.as_ref().map(|user| config.user(user));
        self.password.as_ref().map(|password| config.password(password));
        self.port.map(|port| config.port(port));
        match &self.host {
            Some(host) => _ = config.host(host),
            None if config.get_hosts().is_empty() => _ = config.host("127.0.0.1"),
            None => {}
        }
        Ok(config)
    }

    async fn query(&self, client: &Client, text: &str) -> Result<(), Failure> {
        let messages = client.simple_query(text).await.map_err(|error| match error.as_db_error() {
            Some(error) => anyhow!("{}:  {}", error.severity(), error.message()),
            None => anyhow!(error),
        })?;
        let mut out = std::io::stdout().lock();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) if !self.tuples_only => {
                    let names: Vec<&str> = columns.iter().map(tokio_postgres::SimpleColumn::name).collect();
                    writeln!(out, "{}", names.join("|"))?;
                }
                SimpleQueryMessage::Row(row) => {
                    let values: Vec<&str> = (0..row.len()).map(|n| row.get(n).unwrap_or_default()).collect();
                    writeln!(out, "{}", values.join("|"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
