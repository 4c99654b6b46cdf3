//! `convoke neon timeline import`: a base backup of any Postgres becomes a branch.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use http_body_util::StreamBody;
use hyper::Method;
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::interval;

use super::super::error::{CliError, INTERRUPTED};
use super::super::session::Session;
use super::link::Link;
use super::tenant::path_of;
use super::tenant_args::TimelineImport;
use crate::neon::api::{self, ImportPlan, TimelineView};
use crate::neon::backup;
use crate::neon::ids::Lsn;
use crate::neon::server::encoded;
use crate::neon::upload::Progress;
use crate::units::ByteSize;

/// So much is read at a time.
const PIECE: usize = 256 << 10;
/// Between two lines about how far it is.
const TOLD: Duration = Duration::from_secs(5);

/// What is to be sent, read from the files and the arguments.
struct Positions {
    base: Lsn,
    end: Option<Lsn>,
    pg_version: u32,
}

pub(super) async fn run(session: &Session, link: &Link, args: TimelineImport) -> Result<u8, CliError> {
    // Before anything is asked, and a name is taken.
    let at = positions(&args)?;
    let path = format!("/v1/tenants/{}/imports", path_of(args.of));
    let body = api::TimelineImport {
        branch: args.branch.clone(),
        timeline_id: args.timeline,
        base_lsn: at.base,
        end_lsn: at.end,
    };
    let plan: ImportPlan = link.ask(Method::POST, &path, Some(&body)).await?;
    let path = format!("{path}/{}", encoded(args.branch.as_str()));
    let end = at.end.unwrap_or(at.base);
    if plan.base {
        let call = format!("{path}/basebackup?base_lsn={}&end_lsn={end}&pg_version={}", at.base, at.pg_version);
        if !send(session, link, &args.base, &call).await? {
            return Ok(INTERRUPTED);
        }
    }
    if let Some(file) = args.wal.as_ref().filter(|_| plan.wal) {
        let call = format!("{path}/wal?start_lsn={}&end_lsn={end}", at.base);
        if !send(session, link, file, &call).await? {
            return Ok(INTERRUPTED);
        }
    }
    let made: TimelineView = link.ask(Method::POST, &format!("{path}/finish"), None::<&()>).await?;
    session.printer.result(format_args!(
        "branch {}, timeline {}, up to {}, Postgres {}",
        args.branch, plan.timeline_id, made.info.last_record_lsn, made.info.pg_version
    ));
    Ok(0)
}

/// What is said has to be what is in the files; what isn't said is read from them.
fn positions(args: &TimelineImport) -> Result<Positions, CliError> {
    let wrong = |error: backup::BadBackup| CliError::input(error.to_string());
    let found = backup::base(&args.base).map_err(wrong)?;
    let file = args.base.display();
    if !(14..=17).contains(&found.pg_version) || args.pg_version.is_some_and(|given| given != found.pg_version) {
        let wanted = args.pg_version.map_or_else(|| "14 to 17".to_owned(), |given| given.to_string());
        return Err(CliError::input(format!("{file} is of Postgres {}, and not {wanted}", found.pg_version)));
    }
    let base = match (args.base_lsn, found.start) {
        (Some(given), Some(start)) if given != start => {
            return Err(CliError::input(format!("{file} begins at {start}, and not at {given}"))
                .hint("leave --base-lsn out: the backup says it itself"));
        }
        (given, start) => given.or(start).ok_or_else(|| {
            CliError::input(format!("{file} doesn't say where it begins: it has no backup_label"))
                .hint("--base-lsn LSN")
        })?,
    };
    let Some(wal) = &args.wal else { return Ok(Positions { base, end: None, pg_version: found.pg_version }) };
    let end = args.end_lsn.or_else(|| backup::end_of_manifest(&args.base)).ok_or_else(|| {
        CliError::input("where the WAL ends isn't known: there is no backup_manifest beside the backup")
            .hint("--end-lsn LSN")
    })?;
    backup::wal(wal, base).map_err(wrong)?;
    Ok(Positions { base, end: Some(end), pg_version: found.pg_version })
}

/// Sends a file. False: it was interrupted; the same command goes on later.
async fn send(session: &Session, link: &Link, file: &Path, call: &str) -> Result<bool, CliError> {
    let unreadable = |error: io::Error| CliError::input(format!("can't read {}: {error}", file.display()));
    let opened = File::open(file).await.map_err(unreadable)?;
    let size = opened.metadata().await.map_err(unreadable)?.len();
    let progress = Progress::default();
    let upload = link.upload(call, StreamBody::new(Box::pin(pieces(opened))), progress.clone());
    let mut upload = std::pin::pin!(upload);
    let mut told = interval(TOLD);
    // The first tick is at once.
    told.tick().await;
    loop {
        tokio::select! {
            biased;
            () = session.interrupts.after(1) => {
                session.printer.problem("interrupted; the same command once more goes on where this one was");
                return Ok(false);
            }
            answer = &mut upload => return answer.map(|()| true),
            _ = told.tick() => {
                let (sent, size) = (ByteSize(progress.bytes()), ByteSize(size));
                session.printer.progress(format_args!("{}: sent {sent} of {size}", file.display()));
            }
        }
    }
}

/// A file in pieces, as fast as they are taken.
fn pieces(file: File) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (Frame::data(piece.freeze()), file)))
    })
}
