//! A client's session: start-up, authentication as `pg_hba.conf` of a compute says it, queries.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::scram::{Exchange, Verifier};
use super::spec::{Mode, Running};
use super::sql::{self, Context, Outcome};
use super::state::Compute;
use crate::pg::holds_timeline;
use crate::pg::wire::{Message, Problem, Wire};

/// For start-up and authentication.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first superuser: from this machine only, since it has no password.
const ADMIN: &str = "cloud_admin";
const NOTICE: &str = "this is neon-sim, a simulation: it stores no pages and answers SHOW and SELECT of constants only";

/// Serves one client to its end.
pub async fn serve(compute: Arc<Compute>, stream: TcpStream) {
    let from = stream.peer_addr().map(|peer| peer.ip().to_canonical());
    let mut wire = Wire::new(stream);
    let opened = match from {
        Ok(from) => timeout(PATIENCE, open(&compute, &mut wire, from)).await,
        Err(_) => return,
    };
    let session = match opened {
        Ok(Ok(Some(Ok(session)))) => session,
        Ok(Ok(Some(Err(problem)))) => {
            tracing::info!("refused a session: {}", problem.text);
            wire.error(&problem);
            // The client may be gone already.
            let _ = wire.flush().await;
            return;
        }
        _ => return,
    };
    // The same: an error here is the client's end.
    let _ = session.queries(&compute, &mut wire).await;
}

struct Session {
    user: String,
    database: String,
    prepared: BTreeMap<String, String>,
}

/// None: the client wanted no session.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    compute: &Compute,
    wire: &mut Wire<S>,
    from: IpAddr,
) -> std::io::Result<Option<Result<Session, Problem>>> {
    let Some(parameters) = wire.startup().await? else { return Ok(None) };
    let user = parameters.get("user").cloned().unwrap_or_default();
    let database = parameters.get("database").cloned().unwrap_or_else(|| user.clone());
    let Some(running) = compute.running() else {
        return Ok(Some(Err(Problem::fatal("57P03", "the database system is starting up"))));
    };
    if let Err(problem) = authenticate(wire, &running, &user, from).await? {
        return Ok(Some(Err(problem)));
    }
    let known = running.databases.iter().map(String::as_str).chain(["postgres", "template1"]);
    if !known.into_iter().any(|known| known == database) {
        return Ok(Some(Err(Problem::fatal("3D000", format!("database \"{database}\" does not exist")))));
    }
    // A backend reads the catalog first, and that is pages.
    for pageserver in &running.pageservers {
        if let Err(why) =
            holds_timeline(pageserver, running.storage_token.as_deref(), running.tenant, running.timeline).await
        {
            return Ok(Some(Err(Problem::fatal("08006", why))));
        }
    }
    wire.authentication(0, &[]);
    for (name, value) in [("server_version", sql::VERSION), ("server_encoding", "UTF8"), ("client_encoding", "UTF8")] {
        wire.parameter(name, value);
    }
    for (name, value) in [("standard_conforming_strings", "on"), ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC")] {
        wire.parameter(name, value);
    }
    wire.put(b'K', &[0; 8]);
    wire.notice(NOTICE);
    wire.ready(b'I');
    wire.flush().await?;
    Ok(Some(Ok(Session { user, database, prepared: BTreeMap::new() })))
}

/// Trust for this machine, a password for all others.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    running: &Running,
    user: &str,
    from: IpAddr,
) -> std::io::Result<Result<(), Problem>> {
    let role = running.roles.iter().find(|role| role.name == user);
    if from.is_loopback() {
        let known = role.is_some() || user == ADMIN;
        return Ok(known
            .then_some(())
            .ok_or_else(|| Problem::fatal("28000", format!("role \"{user}\" does not exist"))));
    }
    let failed = || Problem::fatal("28P01", format!("password authentication failed for user \"{user}\""));
    let Some(stored) = role.and_then(|role| role.encrypted_password.as_deref()) else { return Ok(Err(failed())) };
    let Some(verifier) = Verifier::parse(stored) else {
        return Ok(Err(Problem::fatal("0A000", "neon-sim knows passwords stored as SCRAM-SHA-256 only")));
    };
    wire.authentication(10, b"SCRAM-SHA-256\0\0");
    wire.flush().await?;
    let Some(first) = wire.read().await?.as_ref().and_then(sasl_initial) else { return Ok(Err(failed())) };
    let exchange = match Exchange::begin(verifier, &first, &nonce()) {
        Ok(exchange) => exchange,
        Err(why) => return Ok(Err(Problem::fatal("08P01", format!("malformed SCRAM message: {why}")))),
    };
    wire.authentication(11, exchange.challenge.as_bytes());
    wire.flush().await?;
    let last = wire.read().await?.map(|message| String::from_utf8_lossy(&message.body).into_owned());
    match exchange.finish(&last.unwrap_or_default()) {
        Ok(signature) => {
            wire.authentication(12, signature.as_bytes());
            Ok(Ok(()))
        }
        Err(_) => Ok(Err(failed())),
    }
}

/// What SASLInitialResponse holds behind the mechanism's name and a length.
fn sasl_initial(message: &Message) -> Option<String> {
    let (mechanism, at) = message.text(0).ok()?;
    let rest = message.body.get(at + 4..).filter(|_| message.kind == b'p' && mechanism == "SCRAM-SHA-256")?;
    Some(String::from_utf8_lossy(rest).into_owned())
}

fn nonce() -> String {
    let mut bytes = [0; 18];
    // Without randomness the nonce is a fixed one, which only matters to passwords that matter.
    let _ = getrandom::fill(&mut bytes);
    STANDARD.encode(bytes)
}

impl Session {
    async fn queries<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        compute: &Compute,
        wire: &mut Wire<S>,
    ) -> std::io::Result<()> {
        let (mut bound, mut skipping) = (String::new(), false);
        while let Some(message) = wire.read().await? {
            let running = compute.running();
            let Some(running) = running else {
                wire.error(&Problem::fatal("57P01", "terminating connection due to administrator command"));
                return wire.flush().await;
            };
            match message.kind {
                b'X' => return Ok(()),
                b'Q' => {
                    self.simple(wire, &running, &message.text(0)?.0);
                    wire.ready(b'I');
                }
                b'S' => {
                    skipping = false;
                    wire.ready(b'I');
                }
                // After an error, everything up to Sync.
                _ if skipping => continue,
                b'H' => {}
                kind => {
                    let done = self.extended(wire, &running, kind, &message, &mut bound)?;
                    if let Err(problem) = done {
                        wire.error(&problem);
                        skipping = true;
                    }
                    continue;
                }
            }
            wire.flush().await?;
        }
        Ok(())
    }

    fn ask(&self, running: &Running, statement: &str) -> Result<Outcome, Problem> {
        let is_replica = running.mode != Mode::Primary;
        let context = Context { user: &self.user, database: &self.database, settings: &running.settings, is_replica };
        sql::answer(statement, &context)
    }

    fn simple<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>, running: &Running, text: &str) {
        let statements: Vec<&str> = text.split(';').filter(|part| !part.trim().is_empty()).collect();
        if statements.is_empty() {
            wire.put(b'I', &[]);
        }
        for statement in statements {
            match self.ask(running, statement) {
                Ok(outcome) => put(wire, &outcome, true),
                Err(problem) => return wire.error(&problem),
            }
        }
    }

    /// Parse, Bind, Describe, Execute and Close, for statements without parameters.
    fn extended<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        running: &Running,
        kind: u8,
        message: &Message,
        bound: &mut String,
    ) -> std::io::Result<Result<(), Problem>> {
        match kind {
            b'P' => {
                let (name, at) = message.text(0)?;
                self.prepared.insert(name, message.text(at)?.0);
                wire.put(b'1', &[]);
            }
            b'B' => {
                let (_portal, at) = message.text(0)?;
                *bound = self.prepared.get(&message.text(at)?.0).cloned().unwrap_or_default();
                wire.put(b'2', &[]);
            }
            b'D' => {
                let (name, _) = message.text(1)?;
                let is_statement = message.body.first() == Some(&b'S');
                let statement = if is_statement { self.prepared.get(&name).cloned() } else { Some(bound.clone()) };
                if is_statement {
                    wire.put(b't', &[0, 0]);
                }
                match self.ask(running, &statement.unwrap_or_default()) {
                    Ok(Outcome::Row(names, _)) => wire.columns(&names),
                    Ok(_) => wire.put(b'n', &[]),
                    Err(problem) => return Ok(Err(problem)),
                }
            }
            b'E' => match self.ask(running, bound) {
                Ok(outcome) => put(wire, &outcome, false),
                Err(problem) => return Ok(Err(problem)),
            },
            b'C' => wire.put(b'3', &[]),
            other => {
                let text = format!("neon-sim takes no message {:?}", char::from(other));
                return Ok(Err(Problem::error("0A000", text)));
            }
        }
        Ok(Ok(()))
    }
}

fn put<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, outcome: &Outcome, with_columns: bool) {
    match outcome {
        Outcome::Row(names, values) => {
            if with_columns {
                wire.columns(names);
            }
            wire.row(values);
            wire.complete("SELECT 1");
        }
        Outcome::Done(tag) => wire.complete(tag),
        Outcome::Empty => wire.put(b'I', &[]),
    }
}
