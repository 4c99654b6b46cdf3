//! Faults that are asked for by the environment or a file, to see how others cope with them.
//!
//! `NEON_SIM_FAULT`, or else the content of the file `NEON_SIM_FAULT_FILE` (/data/neon-sim-fault), holds one or more
//! of these, separated by commas:
//! - `start-delay=3s`: does nothing at all for 3 s;
//! - `crash-on-start=2`: exits with 1 on its second start; the count is kept in the working directory;
//! - `hang=5s`: ports are bound, nothing is answered for 5 s after that;
//! - `drop-peer=HOST`: its own calls to that host are refused;
//! - `no-postgres=15`: a pageserver finds no initdb of this version, as in an image without it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::exit::Failure;

const VARIABLE: &str = "NEON_SIM_FAULT";
const FILE_VARIABLE: &str = "NEON_SIM_FAULT_FILE";
const FILE: &str = "/data/neon-sim-fault";
/// Where the starts are counted, in the working directory.
const COUNT: &str = "neon-sim-starts";

/// What shall go wrong; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    pub start_delay: Option<Duration>,
    pub crash_on_start: Option<u32>,
    pub hang: Option<Duration>,
    pub drop_peers: Vec<String>,
    pub no_postgres: Vec<u32>,
}

impl Faults {
    /// Exit code 2 for what can't be understood.
    pub fn from_environment() -> Result<Self, Failure> {
        let (origin, text) = match std::env::var(VARIABLE) {
            Ok(text) if !text.trim().is_empty() => (VARIABLE.to_owned(), text),
            _ => {
                let file = std::env::var_os(FILE_VARIABLE).map_or_else(|| PathBuf::from(FILE), PathBuf::from);
                match std::fs::read_to_string(&file) {
                    Ok(text) => (file.display().to_string(), text),
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
                    Err(error) => return Err(Failure::usage(format!("can't read {}: {error}", file.display()))),
                }
            }
        };
        text.parse().map_err(|why| Failure::usage(format!("{origin}: {why}")))
    }

    /// The faults of a start, before anything else is done. `directory` keeps the count of starts.
    pub async fn begin(&self, directory: &Path) -> Result<(), Failure> {
        if *self != Self::default() {
            tracing::warn!("faults were asked for: {self:?}");
        }
        if let Some(delay) = self.start_delay {
            tracing::warn!("fault start-delay: nothing happens for {delay:?}");
            tokio::time::sleep(delay).await;
        }
        let Some(fatal) = self.crash_on_start else { return Ok(()) };
        let start = count_start(&directory.join(COUNT))?;
        if start == fatal {
            return Err(Failure::from(anyhow::anyhow!("fault crash-on-start: this is start {start}")));
        }
        tracing::info!("fault crash-on-start={fatal}: this is start {start}");
        Ok(())
    }

    /// To be called when the ports are bound and before anything is answered.
    pub async fn hang(&self) {
        if let Some(time) = self.hang {
            tracing::warn!("fault hang: nothing is answered for {time:?}");
            tokio::time::sleep(time).await;
        }
    }

    /// Whether calls to this host are to be refused.
    pub fn drops(&self, host: &str) -> bool {
        self.drop_peers.iter().any(|dropped| dropped == host)
    }

    fn add(&mut self, fault: &str) -> Result<(), String> {
        let (name, value) = fault.split_once('=').ok_or_else(|| format!("{fault:?} isn't NAME=VALUE"))?;
        match name {
            "start-delay" => self.start_delay = Some(duration(value)?),
            "hang" => self.hang = Some(duration(value)?),
            "crash-on-start" => match value.parse() {
                Ok(0) | Err(_) => return Err(format!("crash-on-start={value}: not a number from 1 on")),
                Ok(start) => self.crash_on_start = Some(start),
            },
            "drop-peer" if value.is_empty() => return Err("drop-peer= names no host".into()),
            "drop-peer" => self.drop_peers.push(value.to_owned()),
            "no-postgres" => {
                let version = value.parse().map_err(|error| format!("no-postgres={value}: {error}"))?;
                self.no_postgres.push(version);
            }
            other => {
                let known = "start-delay, crash-on-start, hang, drop-peer and no-postgres";
                return Err(format!("no fault {other:?}; there are {known}"));
            }
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for fault in text.split([',', '\n']).map(str::trim).filter(|fault| !fault.is_empty()) {
            faults.add(fault)?;
        }
        Ok(faults)
    }
}

/// `3s`, `500ms`, `1m 30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|error| format!("{text:?} is no duration: {error}"))?;
    Duration::try_from(parsed).map_err(|_| format!("{text:?} is below zero"))
}

/// Which start this is, from 1 on.
fn count_start(file: &Path) -> Result<u32, Failure> {
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(Failure::usage(format!("can't read {}: {error}", file.display()))),
    };
    let start = u32::saturating_add(before, 1);
    std::fs::write(file, start.to_string())
        .map_err(|error| Failure::usage(format!("crash-on-start can't count in {}: {error}", file.display())))?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_faults_at_once() {
        let faults: Faults =
            "start-delay=3s, crash-on-start=1,hang=500ms,drop-peer=a,drop-peer=b,no-postgres=15\n".parse().unwrap();
        assert_eq!(faults.start_delay, Some(Duration::from_secs(3)));
        assert_eq!(faults.crash_on_start, Some(1));
        assert_eq!(faults.hang, Some(Duration::from_millis(500)));
        assert_eq!(faults.no_postgres, [15]);
        assert!(faults.drops("a") && faults.drops("b") && !faults.drops("c"));
        assert_eq!("".parse::<Faults>().unwrap(), Faults::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("hang", "isn't NAME=VALUE"),
            ("hang=5", "\"5\" is no duration"),
            ("hang=-5s", "below zero"),
            ("crash-on-start=0", "from 1 on"),
            ("drop-peer=", "names no host"),
            ("no-postgres=x", "invalid digit"),
            ("explode=1", "no fault \"explode\""),
        ] {
            let why = text.parse::<Faults>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[tokio::test]
    async fn the_chosen_start_fails_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults { crash_on_start: Some(2), ..Faults::default() };
        assert!(faults.begin(directory.path()).await.is_ok());
        assert!(faults.begin(directory.path()).await.is_err());
        assert!(faults.begin(directory.path()).await.is_ok());
    }
}
