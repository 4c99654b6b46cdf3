//! The process that an ephemeral cluster lives as long as.
//!
//! It is named so that no other can be taken for it: a process number means something only together with when the
//! process began, the machine's start, and the space that processes are numbered in. The text is the value of the label
//! [`labels::EPHEMERAL`](crate::engine::labels::EPHEMERAL).

use std::fmt;
use std::str::FromStr;

/// A process, named for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: i32,
    /// When it began, in ticks since the machine's start.
    start: u64,
    /// The machine's start.
    boot: String,
    /// The space of process numbers.
    space: String,
    /// The machine.
    machine: String,
}

/// Whether an owner is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs.
    Alive,
    /// It is gone for good.
    Gone,
    /// It can't be seen from here: another machine, or another container's processes.
    Unknown,
}

/// Where this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    boot: String,
    space: String,
    machine: String,
}

impl Place {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let space = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        Self { boot: read("/proc/sys/kernel/random/boot_id"), space, machine: read("/etc/machine-id") }
    }
}

impl Owner {
    /// The process with this number, if it runs.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let start = start_of(&stat_of(pid)?)?;
        let Place { boot, space, machine } = Place::here();
        (!boot.is_empty()).then_some(Self { pid, start, boot, space, machine })
    }

    /// Whether it is still there. `engine_is_local`: the cluster's engine is on this machine.
    pub(super) fn fate(&self, engine_is_local: bool) -> Fate {
        let here = Place::here();
        self.fate_at(&here, engine_is_local, stat_of(self.pid).as_deref())
    }

    fn fate_at(&self, here: &Place, engine_is_local: bool, stat: Option<&str>) -> Fate {
        if self.boot != here.boot {
            // The machine was started anew, and all its processes with it; or it is another machine.
            let is_same = engine_is_local && self.machine == here.machine;
            return if is_same { Fate::Gone } else { Fate::Unknown };
        }
        if self.space != here.space {
            return Fate::Unknown;
        }
        if stat.and_then(start_of) == Some(self.start) { Fate::Alive } else { Fate::Gone }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, start, boot, space, machine } = self;
        write!(f, "pid={pid} start={start} boot={boot} space={space} machine={machine}")
    }
}

impl FromStr for Owner {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let word = text.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            word.map(str::to_owned).ok_or_else(|| format!("{text:?} has no {key}"))
        };
        let number = |key: &str| value(key)?.parse().map_err(|_| format!("{text:?}: {key} isn't a number"));
        let pid = i32::try_from(number("pid")?).map_err(|_| format!("{text:?}: pid is too large"))?;
        Ok(Self {
            pid,
            start: number("start")?,
            boot: value("boot")?,
            space: value("space")?,
            machine: value("machine")?,
        })
    }
}

/// The kernel's line about a process; None if there is none with this number.
fn stat_of(pid: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// When a process began, by its line; None for one that ended and is only remembered.
fn start_of(stat: &str) -> Option<u64> {
    // The program's name may hold anything, parentheses and spaces included.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    fields.nth(18)?.parse().ok().filter(|_| !matches!(state, "Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b (c) S 1 42 42 0 -1 4194560 979 0 18 0 1 1 0 0 20 0 2 0 12050 71000064 251";

    fn place() -> Place {
        Place { boot: "b1".into(), space: "4026531836".into(), machine: "m1".into() }
    }

    fn owner() -> Owner {
        "pid=42 start=12050 boot=b1 space=4026531836 machine=m1".parse().unwrap()
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        assert_eq!(owner().fate_at(&place(), true, Some(STAT)), Fate::Alive);
        assert_eq!(owner().fate_at(&place(), true, Some(&STAT.replace("12050", "12051"))), Fate::Gone);
        assert_eq!(owner().fate_at(&place(), true, None), Fate::Gone);
        assert_eq!(owner().fate_at(&place(), true, Some(&STAT.replace(") S ", ") Z "))), Fate::Gone);
    }

    #[test]
    fn what_can_not_be_seen_is_not_gone() {
        let elsewhere = Place { space: "7".into(), ..place() };
        assert_eq!(owner().fate_at(&elsewhere, true, None), Fate::Unknown);
        let restarted = Place { boot: "b2".into(), ..place() };
        assert_eq!(owner().fate_at(&restarted, true, Some(STAT)), Fate::Gone);
        assert_eq!(owner().fate_at(&restarted, false, Some(STAT)), Fate::Unknown);
        let other_machine = Place { machine: "m2".into(), ..restarted };
        assert_eq!(owner().fate_at(&other_machine, true, Some(STAT)), Fate::Unknown);
    }

    #[test]
    fn the_text_is_read_back() {
        assert_eq!(owner().to_string().parse::<Owner>().unwrap(), owner());
        let nameless: Owner = "pid=1 start=2 boot=b space=3 machine=".parse().unwrap();
        assert_eq!(nameless.machine, "");
        for wrong in ["", "pid=x start=1 boot=b space=3 machine=m", "pid=1 boot=b space=3 machine=m"] {
            assert!(wrong.parse::<Owner>().is_err(), "{wrong:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_alive_and_an_ended_one_is_gone() {
        let own = Owner::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(own.fate(true), Fate::Alive);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let owner = Owner::of(pid).unwrap();
        assert_eq!(owner.fate(true), Fate::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(owner.fate(true), Fate::Gone);
        assert_eq!(Owner::of(pid), None);
    }
}
