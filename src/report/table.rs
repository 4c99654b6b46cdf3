//! Tables of `ps`, `templates` and `doctor`, for people and as JSON.

use std::net::IpAddr;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::theme::{BAD, CAUTION, DIM, GOOD, HINT, Theme, printable};
use crate::drive::chaos::Fault;
use crate::event::{Outcome, Phase, PlannedAction, PublishedEndpoint, Stamp};
use crate::names::ComponentName;
use crate::plan::preview::{Obtain, Preview};
use crate::units::human;

/// A component as `ps` shows it. Its serialised form is what `ps --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PsRow {
    /// The component.
    pub component: ComponentName,
    /// Where it is.
    pub phase: Phase,
    /// Since when its process runs, or when it ended; None: never started.
    pub since: Option<Timestamp>,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// Exit code of the last run, where it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The last answer of its probe, or the engine's word on its health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Addresses on the cluster's networks.
    pub addresses: Vec<IpAddr>,
    /// Published ports.
    pub ports: Vec<PublishedEndpoint>,
    /// Image reference.
    pub image: String,
}

/// A template as `templates` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateRow {
    /// Its name.
    pub name: String,
    /// What it is, in one line.
    pub summary: String,
    /// Its parameters with their defaults, such as `members=3`.
    pub parameters: Vec<String>,
    /// Where it comes from: `built in`, or a folder.
    pub source: String,
}

/// A recorded run as `report --list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// Identifier of the run.
    pub run: String,
    /// Wall clock at its beginning, RFC 3339.
    pub time: Option<String>,
    /// What was asked.
    pub command: Option<String>,
    /// How it ended; None: it goes on, or was killed.
    pub outcome: Option<Outcome>,
    /// The same for people.
    #[serde(skip)]
    pub verdict: String,
    /// How long it took, in microseconds.
    pub took: Stamp,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DoctorStatus {
    /// As it should be.
    Ok,
    /// It works, with a drawback.
    Warn,
    /// It doesn't work.
    Fail,
}

impl DoctorStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// A check of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorRow {
    /// What was checked.
    pub check: String,
    /// How it went.
    pub status: DoctorStatus,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is broken, as `chaos list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenRow {
    /// The component.
    pub component: ComponentName,
    /// What was done to it, or what it looks like where nobody noted it.
    pub fault: Fault,
    /// Since when; None: nobody noted it.
    pub since: Option<Timestamp>,
    /// What is so now.
    pub now: String,
}

/// The table of `chaos list`; no line end after the last line.
#[must_use]
pub fn broken(rows: &[BrokenRow], at: Timestamp, theme: Theme) -> String {
    if rows.is_empty() {
        return "nothing is broken".to_owned();
    }
    let since = |row: &BrokenRow| row.since.and_then(|since| Duration::try_from(at.duration_since(since)).ok());
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let age = since(row).map_or_else(|| "not by chaos".to_owned(), human);
            vec![row.component.to_string(), row.fault.as_str().to_owned(), age, row.now.clone()]
        })
        .collect();
    let mut lines = aligned(&["COMPONENT", "FAULT", "FOR", "NOW"], &cells);
    lines[0] = theme.paint(DIM, &lines[0]);
    lines.join("\n")
}

/// The table of `ps`; no line end after the last line. Columns that are empty throughout are left out.
#[must_use]
pub fn ps(rows: &[PsRow], now: Timestamp, theme: Theme) -> String {
    if rows.is_empty() {
        return "no components".to_owned();
    }
    let header = ["COMPONENT", "PHASE", "FOR", "RESTARTS", "PROBE", "ADDRESS", "PORTS", "IMAGE"];
    let cells: Vec<Vec<String>> = rows.iter().map(|row| ps_cells(row, now)).collect();
    let lines = aligned(&header, &cells);
    let styled = lines.iter().enumerate().map(|(index, line)| match index.checked_sub(1).map(|at| &rows[at]) {
        None => theme.paint(DIM, line),
        Some(row) => match row.phase {
            Phase::Failed => theme.paint(BAD, line),
            Phase::Unhealthy | Phase::Restarting => theme.paint(CAUTION, line),
            Phase::Stopped | Phase::Completed => theme.paint(DIM, line),
            _ => line.clone(),
        },
    });
    styled.collect::<Vec<_>>().join("\n")
}

/// The table of `templates`; no line end after the last line.
#[must_use]
pub fn templates(rows: &[TemplateRow], theme: Theme) -> String {
    if rows.is_empty() {
        return "no templates".to_owned();
    }
    let header = ["TEMPLATE", "WHAT IT IS", "PARAMETERS", "SOURCE"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| vec![row.name.clone(), row.summary.clone(), row.parameters.join(" "), row.source.clone()])
        .collect();
    let mut lines = aligned(&header, &cells);
    lines[0] = theme.paint(DIM, &lines[0]);
    lines.join("\n")
}

/// What `up --plan` shows; no line end after the last line.
#[must_use]
pub fn preview(preview: &Preview, theme: Theme) -> String {
    let row =
        |planned: &PlannedAction| vec![planned.component.to_string(), planned.action.clone(), planned.reason.clone()];
    let cells: Vec<Vec<String>> = preview.actions.iter().map(row).collect();
    let mut lines = aligned(&["COMPONENT", "ACTION", "WHY"], &cells);
    for (planned, line) in preview.actions.iter().zip(lines.iter_mut().skip(1)) {
        *line = match planned.action.as_str() {
            "keep" => theme.paint(DIM, &*line),
            "replace" | "remove" => theme.paint(CAUTION, &*line),
            _ => theme.paint(GOOD, &*line),
        };
    }
    lines[0] = theme.paint(DIM, &lines[0]);
    let images = |wanted: Obtain| {
        preview.images.iter().filter(|(_, how)| **how == wanted).map(|(image, _)| image.clone()).collect::<Vec<_>>()
    };
    let others = [
        ("images to pull", images(Obtain::Pull)),
        ("images to build", images(Obtain::Build)),
        ("networks to make", preview.networks.clone()),
        ("volumes to make", preview.volumes.clone()),
        ("left alone, the file doesn't have them", preview.orphans.iter().map(ToString::to_string).collect()),
    ];
    let named = others.into_iter().filter(|(_, names)| !names.is_empty());
    lines.extend(named.map(|(what, names)| printable(&format!("{what}: {}", names.join(", ")))));
    lines.extend(preview.refusals.iter().map(|why| theme.paint(BAD, format!("up would refuse: {}", printable(why)))));
    let counts = preview.counts().into_iter().map(|(action, number)| format!("{number} to {action}"));
    lines.push(format!("plan of {}: {}; nothing was done", preview.cluster, counts.collect::<Vec<_>>().join(", ")));
    lines.join("\n")
}

/// Any table with a header; `empty` where it has no rows. No line end after the last line.
#[must_use]
pub fn listing(header: &[&str], rows: &[Vec<String>], empty: &str, theme: Theme) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut lines = aligned(header, rows);
    lines[0] = theme.paint(DIM, &lines[0]);
    lines.join("\n")
}

/// The table of `report --list`; no line end after the last line.
#[must_use]
pub fn runs(rows: &[RunRow], theme: Theme) -> String {
    let header = ["RUN", "WHEN", "COMMAND", "VERDICT", "TOOK"];
    let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let (when, command) = (unknown(&row.time), unknown(&row.command));
            vec![row.run.clone(), when, command, row.verdict.clone(), human(row.took.0)]
        })
        .collect();
    let mut lines = aligned(&header, &cells);
    lines[0] = theme.paint(DIM, &lines[0]);
    lines.join("\n")
}

/// The checks of `doctor`, each with its hint below; no line end after the last line.
#[must_use]
pub fn doctor(rows: &[DoctorRow], theme: Theme) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| vec![row.status.as_str().to_owned(), row.check.clone(), row.detail.clone()]).collect();
    let mut lines = Vec::new();
    // The first line is the header, which this list has no use for.
    for (row, line) in rows.iter().zip(aligned(&["", "", ""], &cells).into_iter().skip(1)) {
        let style = match row.status {
            DoctorStatus::Ok => GOOD,
            DoctorStatus::Warn => CAUTION,
            DoctorStatus::Fail => BAD,
        };
        let word = row.status.as_str();
        lines.push(format!("{}{}", theme.paint(style, word), &line[word.len()..]));
        lines.extend(row.hint.iter().map(|hint| format!("      try: {}", theme.paint(HINT, printable(hint)))));
    }
    lines.join("\n")
}

/// A table of these columns; no line end after the last line.
#[must_use]
pub fn plain(header: &[&str], rows: &[Vec<String>], theme: Theme) -> String {
    let mut lines = aligned(header, rows);
    lines[0] = theme.paint(DIM, &lines[0]);
    lines.join("\n")
}

/// Rows as a JSON array over several lines.
///
/// # Errors
/// When a row can't be written as JSON.
pub fn json<T: Serialize>(rows: &[T]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(rows)
}

fn ps_cells(row: &PsRow, now: Timestamp) -> Vec<String> {
    let spent = row.since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    let probe = match (&row.probe, row.exit_code) {
        (Some(answer), _) => answer.clone(),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => String::new(),
    };
    let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
    let port = |port: &PublishedEndpoint| format!("{}->{}/{}", port.host, port.port, port.protocol);
    vec![
        row.component.to_string(),
        row.phase.to_string(),
        spent.map(whole).unwrap_or_default(),
        if row.restarts == 0 { String::new() } else { row.restarts.to_string() },
        probe,
        addresses.join(" "),
        row.ports.iter().map(port).collect::<Vec<_>>().join(" "),
        row.image.clone(),
    ]
}

/// A duration in whole seconds: nobody reads `ps` for more.
fn whole(time: Duration) -> String {
    if time < Duration::from_mins(1) { format!("{} s", time.as_secs()) } else { human(time) }
}

/// A header line and a line per row, columns aligned, without those that are empty in every row.
fn aligned(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let used: Vec<usize> = (0..header.len()).filter(|column| rows.iter().any(|row| !row[*column].is_empty())).collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(used.iter().map(|column| header[*column]));
    for row in rows {
        table.add_row(used.iter().map(|column| Cell::new(printable(&row[*column]))));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if header[used[index]] == "RESTARTS" {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(component: &str, phase: Phase, since: &str) -> PsRow {
        PsRow {
            component: ComponentName::new(component).unwrap(),
            phase,
            since: Some(since.parse().unwrap()),
            restarts: 0,
            exit_code: None,
            probe: None,
            addresses: vec![],
            ports: vec![],
            image: "etcd:3.4".into(),
        }
    }

    fn sample() -> Vec<PsRow> {
        let component = ComponentName::new("etcd-1").unwrap();
        let port = PublishedEndpoint { component, host: "127.0.0.1:2379".into(), port: 2379, protocol: "tcp".into() };
        vec![
            PsRow {
                probe: Some("200".into()),
                addresses: vec![[10, 231, 0, 2].into()],
                ports: vec![port],
                ..row("etcd-1", Phase::Ready, "2026-11-22T10:00:00Z")
            },
            PsRow {
                probe: Some("connection\nrefused".into()),
                restarts: 12,
                ..row("etcd-2", Phase::Unhealthy, "2026-11-22T11:59:55.5Z")
            },
            PsRow { exit_code: Some(0), ..row("seed", Phase::Completed, "2026-11-22T11:59:00Z") },
        ]
    }

    fn noon() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn ps_for_people() {
        insta::assert_snapshot!(ps(&sample(), noon(), Theme::PLAIN), @r"
        COMPONENT  PHASE      FOR        RESTARTS  PROBE               ADDRESS     PORTS                     IMAGE
        etcd-1     ready      2 h 0 min            200                 10.231.0.2  127.0.0.1:2379->2379/tcp  etcd:3.4
        etcd-2     unhealthy  4 s              12  connection refused                                        etcd:3.4
        seed       completed  1 min 0 s            exit code 0                                               etcd:3.4
        ");
        assert_eq!(ps(&[], noon(), Theme::PLAIN), "no components");
    }

    #[test]
    fn empty_columns_are_left_out() {
        let rows = [row("a", Phase::Ready, "2026-11-22T12:00:00Z")];
        insta::assert_snapshot!(ps(&rows, noon(), Theme::PLAIN), @r"
        COMPONENT  PHASE  FOR  IMAGE
        a          ready  0 s  etcd:3.4
        ");
    }

    #[test]
    fn ps_for_programs() {
        insta::assert_snapshot!(json(&sample()[..1]).unwrap(), @r#"
        [
          {
            "component": "etcd-1",
            "phase": "ready",
            "since": "2026-11-22T10:00:00Z",
            "restarts": 0,
            "probe": "200",
            "addresses": [
              "10.231.0.2"
            ],
            "ports": [
              {
                "component": "etcd-1",
                "host": "127.0.0.1:2379",
                "port": 2379,
                "protocol": "tcp"
              }
            ],
            "image": "etcd:3.4"
          }
        ]
        "#);
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let colored = ps(&sample(), noon(), Theme { color: true, unicode: true });
        let stripped = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(stripped, ps(&sample(), noon(), Theme::PLAIN));
        assert_ne!(colored, stripped);
    }

    #[test]
    fn doctor_for_people() {
        let check = |check: &str, status, detail: &str, hint: Option<&str>| DoctorRow {
            check: check.into(),
            status,
            detail: detail.into(),
            hint: hint.map(Into::into),
        };
        let rows = [
            check("engine", DoctorStatus::Ok, "20.10.24 at unix:///var/run/docker.sock", None),
            check("state directory", DoctorStatus::Warn, "read-only", Some("set CONVOKE_STATE_DIR")),
            check("containers", DoctorStatus::Fail, "can't be reached directly", None),
        ];
        insta::assert_snapshot!(doctor(&rows, Theme::PLAIN), @r"
        ok    engine           20.10.24 at unix:///var/run/docker.sock
        warn  state directory  read-only
              try: set CONVOKE_STATE_DIR
        fail  containers       can't be reached directly
        ");
    }

    #[test]
    fn templates_for_people() {
        let rows = [
            TemplateRow {
                name: "etcd".into(),
                summary: "etcd cluster".into(),
                parameters: vec!["members=3".into(), "version=3.4".into()],
                source: "built in".into(),
            },
            TemplateRow {
                name: "postgres".into(),
                summary: "one Postgres".into(),
                parameters: vec![],
                source: "built in".into(),
            },
        ];
        insta::assert_snapshot!(templates(&rows, Theme::PLAIN), @r"
        TEMPLATE  WHAT IT IS    PARAMETERS             SOURCE
        etcd      etcd cluster  members=3 version=3.4  built in
        postgres  one Postgres                         built in
        ");
    }
}
