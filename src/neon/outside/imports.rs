//! Base backups that become branches: what is to be sent, the archives, and the end of it.

use super::super::ids::{BranchName, Lsn, TenantId};
use super::super::plane::{Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::Result;

/// Answers one of these calls.
pub(super) async fn route(
    plane: &Plane,
    method: &str,
    tenant: TenantId,
    rest: &[&str],
    asked: &Asked,
) -> Result<Answer> {
    Ok(match (method, rest) {
        ("POST", []) => match asked.json() {
            Ok(wanted) => Answer::ok(plane.plan_import(tenant, &wanted).await?),
            Err(answer) => answer,
        },
        ("PUT", [branch, "basebackup"]) => archive(plane, tenant, branch, asked, base_call).await?,
        ("PUT", [branch, "wal"]) => archive(plane, tenant, branch, asked, wal_call).await?,
        ("POST", [branch, "finish"]) => Answer::ok(plane.finish_import(tenant, &name(branch)?).await?),
        _ => Answer::no_route(asked),
    })
}

fn name(text: &str) -> Result<BranchName> {
    text.parse().map_err(|error| PlaneError::Input(format!("{error}")))
}

async fn archive(
    plane: &Plane,
    tenant: TenantId,
    branch: &str,
    asked: &Asked,
    call: fn(&Asked) -> std::result::Result<String, Answer>,
) -> Result<Answer> {
    let branch = name(branch)?;
    let (call, archive) = match call(asked).and_then(|call| Ok((call, asked.archive()?))) {
        Ok(both) => both,
        Err(answer) => return Ok(answer),
    };
    plane.pass_archive(tenant, &branch, &call, archive).await?;
    Ok(Answer::ok(()))
}

/// What a pageserver is asked; its parameters have been read here first.
fn base_call(asked: &Asked) -> std::result::Result<String, Answer> {
    let (base, end): (Lsn, Lsn) = (asked.parameter("base_lsn")?, asked.parameter("end_lsn")?);
    let version: u32 = asked.parameter("pg_version")?;
    Ok(format!("import_basebackup?base_lsn={base}&end_lsn={end}&pg_version={version}"))
}

fn wal_call(asked: &Asked) -> std::result::Result<String, Answer> {
    let (start, end): (Lsn, Lsn) = (asked.parameter("start_lsn")?, asked.parameter("end_lsn")?);
    Ok(format!("import_wal?start_lsn={start}&end_lsn={end}"))
}
