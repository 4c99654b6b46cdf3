//! The record of a run: every event, one line of JSON each, in the cluster's folder; and what is learned from them.
//!
//! A line is written as soon as its event happened, so a `kill -9` costs at most half a line, which reading skips.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::reporter::Report;
use crate::event::{Event, EventKind, Failure, Outcome, Phase, Stamp};
use crate::mask::Masker;
use crate::names::ComponentName;
use crate::store::Store;

/// So many records are kept of each cluster.
pub const RECORDS_KEPT: usize = 20;
/// A record that grows beyond this is cut down to its beginning and its newest half: a supervised run may last for weeks.
pub const BYTES_KEPT: u64 = 8 << 20;
/// Extension of a record that is being cut down.
const UNFINISHED: &str = "cut";
/// Boot times come from so many of the newest runs in which a component booted.
const RUNS_LEARNED_FROM: usize = 3;
/// More than this of a record isn't read: something went wrong with it.
const BYTES_READ: u64 = 64 << 20;

/// Writes the record of a run.
pub struct RunRecord {
    runs_dir: Option<PathBuf>,
    masker: Masker,
    file: Option<File>,
    path: PathBuf,
    written: u64,
    bytes_kept: u64,
}

impl RunRecord {
    /// A record in the cluster's folder; nothing is recorded where there is none.
    #[must_use]
    pub fn new(store: &Store, masker: Masker) -> Self {
        let runs_dir = store.runs_dir();
        Self { runs_dir, masker, file: None, path: PathBuf::new(), written: 0, bytes_kept: BYTES_KEPT }
    }

    fn begin(&mut self, run: &str) {
        let Some(dir) = &self.runs_dir else {
            return;
        };
        prune(dir, RECORDS_KEPT - 1);
        match create(dir, run) {
            Ok((file, path)) => {
                self.written = file.metadata().map_or(0, |data| data.len());
                (self.file, self.path) = (Some(file), path);
            }
            Err(error) => tracing::warn!(dir = %dir.display(), %error, "the run is not recorded"),
        }
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(&masked(event, &self.masker))?;
        line.push(b'\n');
        file.write_all(&line)?;
        self.written += line.len() as u64;
        if self.written > self.bytes_kept {
            let (file, length) = cut_down(&self.path, self.bytes_kept / 2)?;
            (self.file, self.written) = (Some(file), length);
        }
        Ok(())
    }
}

impl Report for RunRecord {
    fn event(&mut self, event: &Event) {
        if let EventKind::RunStarted { run, .. } = &event.kind {
            self.begin(run);
        }
        if let Err(error) = self.append(event) {
            tracing::warn!(%error, "the rest of the run is not recorded");
            self.file = None;
        }
    }

    fn finish(&mut self) {
        self.file = None;
    }
}

/// A run that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Identifier of the run.
    pub run: String,
    /// Its events; the last ones are missing where the run was killed.
    pub events: Vec<Event>,
}

impl Record {
    /// What was asked, and when by the wall clock; None where the beginning is missing.
    #[must_use]
    pub fn beginning(&self) -> Option<(&str, &str)> {
        self.events.iter().find_map(|event| match &event.kind {
            EventKind::RunStarted { command, time, .. } => Some((command.as_str(), time.as_str())),
            _ => None,
        })
    }

    /// How it ended; None: it goes on, or was killed.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunFinished { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }

    /// How long it took, or until when it was recorded.
    #[must_use]
    pub fn took(&self) -> Stamp {
        self.events.iter().map(|event| event.at).max().unwrap_or_default()
    }
}

/// The newest records of a cluster, newest first, at most `limit`. What can't be read is left out.
#[must_use]
pub fn records(store: &Store, limit: usize) -> Vec<Record> {
    let Some(dir) = store.runs_dir() else {
        return Vec::new();
    };
    let newest = by_age(&dir).into_iter().take(limit);
    newest.filter_map(|path| read(&path).ok()).collect()
}

/// When the newest record of a cluster was last written to; None: there is none.
#[must_use]
pub fn last_recorded(store: &Store) -> Option<SystemTime> {
    let newest = by_age(&store.runs_dir()?).into_iter().next()?;
    newest.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// How long each component took from started to ready: the median of the newest runs in which it did so. Completed
/// counts as ready; a component that was only found running doesn't count. `records` are newest first.
#[must_use]
pub fn boot_times(records: &[Record]) -> BTreeMap<ComponentName, Duration> {
    let mut seen: BTreeMap<ComponentName, Vec<Duration>> = BTreeMap::new();
    for record in records {
        for (component, time) in boots(&record.events) {
            let times = seen.entry(component).or_default();
            if times.len() < RUNS_LEARNED_FROM {
                times.push(time);
            }
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    seen.into_iter().map(|(component, times)| (component, median(times))).collect()
}

/// The boots of one run: from the last time it was started before it was first ready.
fn boots(events: &[Event]) -> BTreeMap<ComponentName, Duration> {
    let mut started: BTreeMap<&ComponentName, Stamp> = BTreeMap::new();
    let mut boots = BTreeMap::new();
    for event in events {
        let EventKind::PhaseChanged { component, phase, .. } = &event.kind else {
            continue;
        };
        match phase {
            // `started` without `starting` before it is a component found running: its boot was not seen.
            Phase::Starting => {
                started.insert(component, event.at);
            }
            Phase::Started => {
                started.entry(component).and_modify(|at| *at = event.at);
            }
            Phase::Ready | Phase::Completed => {
                if let Some(at) = started.remove(component) {
                    boots.entry(component.clone()).or_insert(event.at.0.saturating_sub(at.0));
                }
            }
            _ => {}
        }
    }
    boots
}

/// The event with secrets masked in every text that comes from outside.
#[must_use]
pub fn masked(event: &Event, masker: &Masker) -> Event {
    let mut event = event.clone();
    if masker.is_empty() {
        return event;
    }
    let mask = |text: &mut String| *text = masker.mask(text);
    match &mut event.kind {
        EventKind::Planned { actions } => actions.iter_mut().for_each(|action| mask(&mut action.reason)),
        EventKind::ImageProgress { text, .. } => mask(text),
        EventKind::PhaseChanged { reason, .. } => reason.iter_mut().for_each(mask),
        EventKind::Waiting { why, .. } => mask(why),
        EventKind::Stalled { lines } => lines.iter_mut().for_each(mask),
        EventKind::Warning { message } => mask(message),
        EventKind::RecoveryPlanned { why, .. }
        | EventKind::SupervisionPaused { why }
        | EventKind::SupervisionEnded { why }
        | EventKind::EngineLost { why } => mask(why),
        EventKind::DescriptionRefused { message } => mask(message),
        EventKind::DriftFound { what, hint, .. } => {
            mask(what);
            hint.iter_mut().for_each(mask);
        }
        EventKind::Failed { failure } | EventKind::GivenUp { failure } => {
            let Failure { what, last_probe, log, hint, .. } = failure;
            mask(what);
            last_probe.iter_mut().chain(log).chain(hint).for_each(mask);
        }
        // Names, numbers and addresses only.
        EventKind::RunStarted { .. }
        | EventKind::ImageReady { .. }
        | EventKind::NetworkCreated { .. }
        | EventKind::NetworkRemoved { .. }
        | EventKind::VolumeCreated { .. }
        | EventKind::VolumeRemoved { .. }
        | EventKind::ComponentRemoved { .. }
        | EventKind::Exited { .. }
        | EventKind::ClusterReady { .. }
        | EventKind::DescriptionTaken { .. }
        | EventKind::SupervisionResumed {}
        | EventKind::EngineFound {}
        | EventKind::RunFinished { .. } => {}
    }
    event
}

fn create(dir: &Path, run: &str) -> io::Result<(File, PathBuf)> {
    // Identifiers are our own, but a path is made of this one.
    let name: String = run.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let path = dir.join(format!("{name}.jsonl"));
    Ok((OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?, path))
}

/// Leaves the first line of a record and about `keep` bytes of its newest; gives it opened again, and its length.
fn cut_down(path: &Path, keep: u64) -> io::Result<(File, u64)> {
    let mut old = BufReader::new(File::open(path)?);
    let mut first = Vec::new();
    old.read_until(b'\n', &mut first)?;
    let length = old.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(keep).max(first.len() as u64);
    old.seek(SeekFrom::Start(from))?;
    if from > first.len() as u64 {
        // The rest of a line that is cut through.
        old.read_until(b'\n', &mut Vec::new())?;
    }
    // A name of its own, and always the same: who is killed here leaves it to the next time.
    let beside = path.with_extension(UNFINISHED);
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(&first)?;
    io::copy(&mut old, &mut new)?;
    let length = new.metadata()?.len();
    std::fs::rename(&beside, path)?;
    Ok((OpenOptions::new().append(true).open(path)?, length))
}

fn read(path: &Path) -> io::Result<Record> {
    let run = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let lines = BufReader::new(File::open(path)?.take(BYTES_READ)).split(b'\n');
    // Half a line, or an event of a newer version: skipped.
    let events = lines.map_while(Result::ok).filter_map(|line| serde_json::from_slice(&line).ok()).collect();
    Ok(Record { run, events })
}

/// Paths of the records, newest first.
fn by_age(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut records: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let path = entry.path();
            path.extension().is_some_and(|extension| extension == "jsonl").then_some(())?;
            Some((entry.metadata().ok()?.modified().ok()?, path))
        })
        .collect();
    records.sort_unstable_by(|one, other| other.cmp(one));
    records.into_iter().map(|(_, path)| path).collect()
}

/// Removes all but the newest records, and what was left of cutting one down.
fn prune(dir: &Path, keep: usize) {
    let left = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let left = left.filter(|path| path.extension().is_some_and(|extension| extension == UNFINISHED));
    for old in by_age(dir).into_iter().skip(keep).chain(left) {
        if let Err(error) = std::fs::remove_file(&old) {
            tracing::debug!(path = %old.display(), %error, "an old record stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::names::ClusterName;

    fn store(root: &Path) -> Store {
        Store::open_at(root, &ClusterName::new("demo").unwrap())
    }

    fn started(run: &str) -> Event {
        let (cluster, components) = (ClusterName::new("demo").unwrap(), vec![]);
        let (run, command, time) = (run.to_owned(), "up".to_owned(), String::new());
        Event::new(Stamp::default(), EventKind::RunStarted { run, cluster, command, time, components })
    }

    fn phase(ms: u64, phase: Phase) -> Event {
        let component = ComponentName::new("a").unwrap();
        Event::new(Stamp(Duration::from_millis(ms)), EventKind::PhaseChanged { component, phase, reason: None })
    }

    fn record(events: Vec<Event>) -> Record {
        Record { run: "r".into(), events }
    }

    fn boot(ms: u64) -> Record {
        record(vec![phase(5, Phase::Starting), phase(10, Phase::Started), phase(10 + ms, Phase::Ready)])
    }

    #[test]
    fn a_record_without_end_keeps_its_beginning_and_its_newest_part() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        let mut record = RunRecord { bytes_kept: 40_000, ..RunRecord::new(&store, Masker::default()) };
        record.event(&started("long"));
        let dir = store.runs_dir().unwrap();
        for n in 0..100_000 {
            record.event(&phase(n, Phase::Ready));
            if n % 1000 == 0 {
                let length = dir.join("long.jsonl").metadata().unwrap().len();
                assert!(length <= 40_000, "{length} bytes after {n} events");
            }
        }
        record.finish();
        let read = &records(&store, 1)[0];
        assert_eq!(read.beginning().unwrap().0, "up");
        let stamps: Vec<u128> = read.events[1..].iter().map(|event| event.at.0.as_millis()).collect();
        assert!(stamps.len() > 200 && *stamps.last().unwrap() == 99_999, "{} kept", stamps.len());
        assert!(stamps.windows(2).all(|two| two[1] == two[0] + 1), "no hole in the newest part");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_record_is_private_masked_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        let mut recording = RunRecord::new(&store, Masker::new(["hunter2"]));
        let warning = Event::new(Stamp::default(), EventKind::Warning { message: "password hunter2".into() });
        recording.event(&started("run-1"));
        recording.event(&warning);
        recording.finish();
        let path = store.runs_dir().unwrap().join("run-1.jsonl");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // A killed run leaves half a line behind.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"v\":1,\"at\"").unwrap();
        let read = records(&store, 9);
        assert_eq!(read[0].run, "run-1");
        let message = EventKind::Warning { message: "password ***".into() };
        assert_eq!(read[0].events, [started("run-1"), Event::new(Stamp::default(), message)]);
    }

    #[test]
    fn the_newest_twenty_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        for number in 0..25 {
            let mut recording = RunRecord::new(&store, Masker::default());
            recording.event(&started(&format!("run-{number:02}")));
            // File times are coarser than a test is fast.
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            recording.file.as_ref().unwrap().set_modified(time).unwrap();
        }
        let runs: Vec<String> = records(&store, 99).into_iter().map(|record| record.run).collect();
        assert_eq!((runs.len(), runs[0].as_str(), runs[19].as_str()), (20, "run-24", "run-05"));
    }

    #[test]
    fn an_identifier_can_not_leave_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        RunRecord::new(&store, Masker::default()).event(&started("../../evil"));
        assert!(store.runs_dir().unwrap().join("evil.jsonl").exists());
    }

    #[test]
    fn a_degraded_folder_records_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let store = store(file.path());
        RunRecord::new(&store, Masker::default()).event(&started("r"));
        assert!(records(&store, 9).is_empty());
    }

    #[test]
    fn boot_times_are_the_median_of_the_newest_three() {
        let name = ComponentName::new("a").unwrap();
        let records = [boot(900), boot(100), boot(300), boot(5000), boot(5000)];
        assert_eq!(boot_times(&records), BTreeMap::from([(name, Duration::from_millis(300))]));
    }

    #[test]
    fn only_boots_that_were_seen_count() {
        let found_running = record(vec![phase(5, Phase::Started), phase(9, Phase::Ready)]);
        let never_ready = record(vec![phase(5, Phase::Starting), phase(6, Phase::Started), phase(9, Phase::Failed)]);
        assert!(boot_times(&[found_running, never_ready]).is_empty());
        let restarted = record(vec![
            phase(1, Phase::Starting),
            phase(2, Phase::Started),
            phase(500, Phase::Restarting),
            phase(600, Phase::Started),
            phase(650, Phase::Ready),
            phase(700, Phase::Unhealthy),
            phase(990, Phase::Ready),
        ]);
        assert_eq!(boot_times(&[restarted]).into_values().collect::<Vec<_>>(), [Duration::from_millis(50)]);
    }
}
