//! `convoke doctor`: is all there that convoke needs?

use super::error::{CliError, FAILED};
use super::session::Session;
use crate::engine::docker::DockerEngine;
use crate::neon::clock;
use crate::report::{DoctorRow, DoctorStatus, table};
use crate::store::Store;
use crate::units::ByteSize;

pub(super) async fn run(session: &Session) -> Result<u8, CliError> {
    let mut rows = Vec::new();
    match session.connect().await {
        Ok(engine) => rows.extend(of_engine(session, &engine).await),
        Err(error) => rows.push(row(
            "engine",
            DoctorStatus::Fail,
            format!("{:#}", error.error),
            Some("start it, or point DOCKER_HOST at it"),
        )),
    }
    rows.push(of_state());
    let printer = &session.printer;
    if session.global.is_json() {
        printer.result(table::json(&rows).map_err(|error| CliError::failed(error.to_string()))?);
    } else {
        printer.result(table::doctor(&rows, printer.out_theme()));
    }
    let failed = rows.iter().any(|row| row.status == DoctorStatus::Fail);
    Ok(if failed { FAILED } else { 0 })
}

async fn of_engine(session: &Session, engine: &DockerEngine) -> Vec<DoctorRow> {
    let info = engine.known_info();
    let mut rows = vec![row(
        "engine",
        DoctorStatus::Ok,
        format!("{} (API {}) at {}", info.version, info.api_version, info.address),
        None,
    )];
    let machine = format!("{}, {} CPUs, {}", info.operating_system, info.cpus, ByteSize(info.memory));
    rows.push(row("machine", DoctorStatus::Ok, machine, None));
    rows.extend(of_clock(engine));
    let way = session.prober(engine).await.reach();
    rows.push(if info.is_local {
        row("containers", DoctorStatus::Ok, format!("reached {}", describe_reach(&way)), None)
    } else {
        let text = format!("on another machine: reached {}", describe_reach(&way));
        row("containers", DoctorStatus::Warn, text, Some("publish the ports that probes ask, or probe by exec"))
    });
    rows
}

/// What is signed with a time is taken within some minutes of it alone.
fn of_clock(engine: &DockerEngine) -> Option<DoctorRow> {
    let time = engine.time()?;
    Some(match clock::warning_of("the engine's machine", time.said, time.asked, time.answered) {
        Some(warning) => row("clock", DoctorStatus::Warn, warning, None),
        None => row("clock", DoctorStatus::Ok, "the engine's is this machine's, within 30 s", None),
    })
}

fn describe_reach(report: &crate::probe::ReachReport) -> String {
    match report.way {
        Some(way) => way.to_string(),
        None => "by their addresses if that works, else by published ports, else by exec".to_owned(),
    }
}

fn of_state() -> DoctorRow {
    match Store::trouble() {
        Some(warning) => {
            row("state", DoctorStatus::Warn, warning, Some("set CONVOKE_STATE_DIR to a folder that can be written"))
        }
        None => row("state", DoctorStatus::Ok, "the state directory can be written", None),
    }
}

fn row(check: &str, status: DoctorStatus, detail: impl Into<String>, hint: Option<&str>) -> DoctorRow {
    DoctorRow { check: check.to_owned(), status, detail: detail.into(), hint: hint.map(str::to_owned) }
}
