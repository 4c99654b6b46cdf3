//! What the program in a container does: when it listens, when it is ready, how and when it ends.

use std::time::Duration;

use crate::engine::LogSource;

/// A component's script. Times count from the start of each run.
///
/// The default is a program that is ready at once, ends 10 ms after SIGTERM with code 0, and prints nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// How long the engine's start call takes; None: drawn from the engine's [`Latency`](super::Latency).
    pub start_latency: Option<Duration>,
    /// It accepts connections after this time.
    pub live_after: Duration,
    /// Its probes pass after this time; None: never.
    pub ready_after: Option<Duration>,
    /// It accepts connections only when these components do.
    pub live_needs: Vec<String>,
    /// It becomes ready only when these components accept connections; once ready it stays so.
    pub ready_needs: Vec<String>,
    /// It exits with this code if a component that it needs isn't there by then.
    pub gives_up: Option<(Duration, i64)>,
    /// Names that it looks up in its first instant; it exits with the code if one doesn't resolve.
    pub resolves: Option<(Vec<String>, i64)>,
    /// Ends that come by themselves; the first one that fits the run holds.
    pub exits: Vec<Exit>,
    /// Once ready: ready for the first time, unready for the second, over and over.
    pub flaps: Option<(Duration, Duration)>,
    /// Probes and health checks get no answer at all.
    pub hangs_probes: bool,
    /// Time from SIGTERM to its end, and the code; None: it ignores SIGTERM.
    pub on_term: Option<(Duration, i64)>,
    /// SIGKILL doesn't end it: it waits for a disk.
    pub unkillable: bool,
    /// The image has no such program: the start fails.
    pub missing_command: bool,
    /// The program of the health check is in the container after this time; None: never.
    pub probe_program_after: Option<Duration>,
    /// What it prints and when.
    pub log: Vec<(Duration, LogSource, String)>,
    /// A line that it prints over and over.
    pub log_every: Option<(Duration, String)>,
    /// Outcomes of commands that begin with these words; any other command is taken for a health check.
    pub execs: Vec<(Vec<String>, ExecScript)>,
    /// How long a health check's command takes.
    pub exec_takes: Duration,
    /// HTTP paths that are answered as soon as it is live; all others answer 503 until it is ready.
    pub live_paths: Vec<String>,
}

/// An end that comes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Time into the run.
    pub after: Duration,
    /// Exit code.
    pub code: i64,
    /// The kernel ends it for lack of memory.
    pub oom: bool,
    /// The component's first start that this holds for, from 1.
    pub from_start: u64,
    /// The last one; None: all from there on.
    pub to_start: Option<u64>,
}

/// How a command inside a container ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecScript {
    /// Exit code.
    pub code: i64,
    /// What it prints.
    pub output: String,
    /// How long it takes; None: it never ends by itself.
    pub takes: Option<Duration>,
}

/// An image whose program reads its behaviour from its arguments, as the test image of the contract suite does.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What it does when started with these words (entrypoint and command).
    pub run: fn(&[String]) -> Behaviour,
    /// What it does as a command in a running container; None: the container's behaviour decides.
    pub exec: fn(&[String]) -> Option<ExecScript>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            start_latency: None,
            live_after: Duration::ZERO,
            ready_after: Some(Duration::ZERO),
            live_needs: Vec::new(),
            ready_needs: Vec::new(),
            gives_up: None,
            resolves: None,
            exits: Vec::new(),
            flaps: None,
            hangs_probes: false,
            on_term: Some((Duration::from_millis(10), 0)),
            unkillable: false,
            missing_command: false,
            probe_program_after: Some(Duration::ZERO),
            log: Vec::new(),
            log_every: None,
            execs: Vec::new(),
            exec_takes: Duration::from_millis(5),
            live_paths: vec!["/status".to_owned(), "/live".to_owned()],
        }
    }
}

impl Behaviour {
    /// Live and ready after this time.
    #[must_use]
    pub fn ready_after(time: Duration) -> Self {
        Self { live_after: time, ready_after: Some(time), ..Self::default() }
    }

    /// Live after this time, never ready.
    #[must_use]
    pub fn never_ready(live_after: Duration) -> Self {
        Self { live_after, ready_after: None, ..Self::default() }
    }

    /// Every run ends after this time with this code.
    #[must_use]
    pub fn exits(after: Duration, code: i64) -> Self {
        Self::default().exiting(after, code)
    }

    /// The first `count` runs end after this time with this code; later ones go on.
    #[must_use]
    pub fn crashes_first(mut self, count: u64, after: Duration, code: i64) -> Self {
        if count > 0 {
            self.exits.push(Exit { after, code, oom: false, from_start: 1, to_start: Some(count) });
        }
        self
    }

    /// Every run that no other rule is for ends after this time with this code.
    #[must_use]
    pub fn exiting(mut self, after: Duration, code: i64) -> Self {
        self.exits.push(Exit { after, code, oom: false, from_start: 1, to_start: None });
        self
    }

    /// Every run that no other rule is for is ended by the kernel after this time.
    #[must_use]
    pub fn out_of_memory(mut self, after: Duration) -> Self {
        self.exits.push(Exit { after, code: 137, oom: true, from_start: 1, to_start: None });
        self
    }

    /// Sets the time of accepting connections apart from that of readiness.
    #[must_use]
    pub const fn live_after(mut self, time: Duration) -> Self {
        self.live_after = time;
        self
    }

    /// Sets how long the engine's start call takes.
    #[must_use]
    pub const fn start_latency(mut self, time: Duration) -> Self {
        self.start_latency = Some(time);
        self
    }

    /// Ready only when these components accept connections.
    #[must_use]
    pub fn needs<'a>(mut self, peers: impl IntoIterator<Item = &'a str>) -> Self {
        self.ready_needs.extend(peers.into_iter().map(str::to_owned));
        self
    }

    /// Accepts connections only when these components do.
    #[must_use]
    pub fn live_needs<'a>(mut self, peers: impl IntoIterator<Item = &'a str>) -> Self {
        self.live_needs.extend(peers.into_iter().map(str::to_owned));
        self
    }

    /// Exits with this code if what it needs isn't there by then.
    #[must_use]
    pub const fn gives_up(mut self, after: Duration, code: i64) -> Self {
        self.gives_up = Some((after, code));
        self
    }

    /// Looks these names up at once, and exits with the code if one doesn't resolve.
    #[must_use]
    pub fn resolves<'a>(mut self, names: impl IntoIterator<Item = &'a str>, code: i64) -> Self {
        self.resolves = Some((names.into_iter().map(str::to_owned).collect(), code));
        self
    }

    /// Alternates between ready and unready once it was ready.
    #[must_use]
    pub const fn flaps(mut self, ready: Duration, unready: Duration) -> Self {
        self.flaps = Some((ready, unready));
        self
    }

    /// Gives probes no answer.
    #[must_use]
    pub const fn hangs_probes(mut self) -> Self {
        self.hangs_probes = true;
        self
    }

    /// Ignores SIGTERM.
    #[must_use]
    pub const fn ignores_sigterm(mut self) -> Self {
        self.on_term = None;
        self
    }

    /// Ignores SIGTERM, and SIGKILL doesn't end it: it waits for a disk.
    #[must_use]
    pub const fn unkillable(mut self) -> Self {
        self.on_term = None;
        self.unkillable = true;
        self
    }

    /// Ends this long after SIGTERM with this code.
    #[must_use]
    pub const fn on_term(mut self, after: Duration, code: i64) -> Self {
        self.on_term = Some((after, code));
        self
    }

    /// The image doesn't have the program.
    #[must_use]
    pub const fn missing_command(mut self) -> Self {
        self.missing_command = true;
        self
    }

    /// The health check's program is never there.
    #[must_use]
    pub const fn missing_probe(mut self) -> Self {
        self.probe_program_after = None;
        self
    }

    /// The health check's program is there after this time only: an entrypoint installs it.
    #[must_use]
    pub const fn probe_program_after(mut self, time: Duration) -> Self {
        self.probe_program_after = Some(time);
        self
    }

    /// Prints a line to standard output.
    #[must_use]
    pub fn prints(mut self, after: Duration, line: &str) -> Self {
        self.log.push((after, LogSource::Out, line.to_owned()));
        self
    }

    /// Prints a line to standard error.
    #[must_use]
    pub fn complains(mut self, after: Duration, line: &str) -> Self {
        self.log.push((after, LogSource::Err, line.to_owned()));
        self
    }

    /// Prints a line over and over.
    #[must_use]
    pub fn prints_every(mut self, pause: Duration, line: &str) -> Self {
        self.log_every = Some((pause, line.to_owned()));
        self
    }

    /// Commands that begin with these words end so.
    #[must_use]
    pub fn exec<'a>(mut self, words: impl IntoIterator<Item = &'a str>, code: i64, output: &str) -> Self {
        let takes = Some(self.exec_takes);
        let words = words.into_iter().map(str::to_owned).collect();
        self.execs.push((words, ExecScript { code, output: output.to_owned(), takes }));
        self
    }

    /// Sets how long a health check's command takes.
    #[must_use]
    pub const fn exec_takes(mut self, time: Duration) -> Self {
        self.exec_takes = time;
        self
    }

    /// The end that the component's n-th start has by itself.
    pub(super) fn exit_of_start(&self, n: u64) -> Option<&Exit> {
        self.exits.iter().find(|exit| n >= exit.from_start && exit.to_start.is_none_or(|last| n <= last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_a_start_holds() {
        let ms = Duration::from_millis;
        let behaviour = Behaviour::default().crashes_first(2, ms(5), 1).exiting(ms(9), 0);
        let codes: Vec<i64> = (1..=3).filter_map(|n| behaviour.exit_of_start(n)).map(|exit| exit.code).collect();
        assert_eq!(codes, [1, 1, 0]);
        assert_eq!(Behaviour::default().crashes_first(1, ms(5), 1).exit_of_start(2), None);
    }
}
