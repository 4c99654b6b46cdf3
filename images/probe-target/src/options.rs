//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

/// What `help` prints.
pub const USAGE: &str = "\
probe-target [OPTION…]              serve http, as the options say
probe-target check [--port N] [--path P] [--hang]
                                    exit 0 if P (default /ready) answers 200, else 1; --hang never ends
probe-target env                    print the environment
probe-target help                   print this

  --port N              port to serve (default 8080)
  --boot D              wait before listening, such as 200ms
  --ready-after D       /ready and /health answer 503 until D after the start
  --ready-until D       … and again from D after the start
  --hang                accept connections, never answer
  --exit CODE           exit with CODE, without serving unless --after is given
  --after D             … D after the start
  --exit-first N CODE   exit with CODE on each of the first N starts, counted in a file under --state
  --state DIR           where starts are counted (default /state)
  --connect HOST:PORT   resolve and connect in the first millisecond, and log how it went (repeatable)
  --connect-retry D     try again every D until connected
  --require HOST:PORT   exit 1 if no connection succeeds within 300 ms of the start (repeatable)
  --ignore-sigterm      go on after SIGTERM
  --log-line TEXT       log TEXT
  --log-after D         … D after the start
  --eat-memory MB       allocate and touch so much once booted
  --write PATH          write a file; exit 1 if that fails
  --cat PATH            log a file's content; exit 1 if that fails (repeatable)
  --uid-check           log the user and group ids
";

/// What the program was asked to be.
#[derive(Debug, PartialEq)]
pub enum Mode {
    Serve(Box<Options>),
    Check { port: u16, path: String, hang: bool },
    Env,
    Help,
}

/// How the server behaves.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub port: u16,
    pub boot: Duration,
    pub ready_after: Duration,
    pub ready_until: Option<Duration>,
    pub hang: bool,
    pub exit: Option<u8>,
    pub after: Option<Duration>,
    pub exit_first: Option<(u64, u8)>,
    pub state: PathBuf,
    pub connect: Vec<String>,
    pub connect_retry: Option<Duration>,
    pub require: Vec<String>,
    pub ignore_sigterm: bool,
    pub log_line: Option<String>,
    pub log_after: Duration,
    pub eat_memory: Option<usize>,
    pub write: Option<PathBuf>,
    pub cat: Vec<PathBuf>,
    pub uid_check: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 8080,
            boot: Duration::ZERO,
            ready_after: Duration::ZERO,
            ready_until: None,
            hang: false,
            exit: None,
            after: None,
            exit_first: None,
            state: PathBuf::from("/state"),
            connect: Vec::new(),
            connect_retry: None,
            require: Vec::new(),
            ignore_sigterm: false,
            log_line: None,
            log_after: Duration::ZERO,
            eat_memory: None,
            write: None,
            cat: Vec::new(),
            uid_check: false,
        }
    }
}

/// Reads the arguments (without the program's name).
///
/// # Errors
/// On an unknown option, a missing or ill-formed value.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Mode, String> {
    let mut arguments = arguments.into_iter().peekable();
    match arguments.peek().map(String::as_str) {
        Some("help" | "--help") => Ok(Mode::Help),
        Some("env") => Ok(Mode::Env),
        Some("check") => parse_check(arguments.skip(1)),
        _ => parse_serve(arguments),
    }
}

fn parse_check(mut arguments: impl Iterator<Item = String>) -> Result<Mode, String> {
    let (mut port, mut path, mut hang) = (8080, "/ready".to_owned(), false);
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--port" => port = value(&option, arguments.next())?,
            "--path" => path = value(&option, arguments.next())?,
            "--hang" => hang = true,
            _ => return Err(format!("unknown option {option} of check")),
        }
    }
    Ok(Mode::Check { port, path, hang })
}

fn parse_serve(mut arguments: impl Iterator<Item = String>) -> Result<Mode, String> {
    let mut options = Options::default();
    while let Some(option) = arguments.next() {
        let mut next = || arguments.next();
        match option.as_str() {
            "--port" => options.port = value(&option, next())?,
            "--boot" => options.boot = duration(&option, next())?,
            "--ready-after" => options.ready_after = duration(&option, next())?,
            "--ready-until" => options.ready_until = Some(duration(&option, next())?),
            "--hang" => options.hang = true,
            "--exit" => options.exit = Some(value(&option, next())?),
            "--after" => options.after = Some(duration(&option, next())?),
            "--exit-first" => options.exit_first = Some((value(&option, next())?, value(&option, next())?)),
            "--state" => options.state = value(&option, next())?,
            "--connect" => options.connect.push(value(&option, next())?),
            "--connect-retry" => options.connect_retry = Some(duration(&option, next())?),
            "--require" => options.require.push(value(&option, next())?),
            "--ignore-sigterm" => options.ignore_sigterm = true,
            "--log-line" => options.log_line = Some(value(&option, next())?),
            "--log-after" => options.log_after = duration(&option, next())?,
            "--eat-memory" => options.eat_memory = Some(value(&option, next())?),
            "--write" => options.write = Some(value(&option, next())?),
            "--cat" => options.cat.push(value(&option, next())?),
            "--uid-check" => options.uid_check = true,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    Ok(Mode::Serve(Box::new(options)))
}

fn value<T: std::str::FromStr>(option: &str, text: Option<String>) -> Result<T, String> {
    let text = text.ok_or_else(|| format!("{option} needs a value"))?;
    text.parse().map_err(|_| format!("{option} doesn't take {text:?}"))
}

/// A whole number with `us`, `ms`, `s` or `m` behind it, or a bare 0.
fn duration(option: &str, text: Option<String>) -> Result<Duration, String> {
    let text: String = value(option, text)?;
    let wrong = || format!("{option} doesn't take {text:?}; write it like 200ms or 3s");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    match &text[end..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(wrong),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Mode, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_arguments_it_serves() {
        assert_eq!(parsed(""), Ok(Mode::Serve(Box::default())));
    }

    #[test]
    fn options_with_their_values() {
        let Ok(Mode::Serve(options)) = parsed("--boot 200ms --exit-first 2 7 --connect a:1 --connect b:2 --exit 3")
        else {
            panic!("not parsed");
        };
        assert_eq!(options.boot, Duration::from_millis(200));
        assert_eq!(options.exit_first, Some((2, 7)));
        assert_eq!(options.connect, ["a:1", "b:2"]);
        assert_eq!(options.exit, Some(3));
    }

    #[test]
    fn a_check_has_its_own_options() {
        let check = Mode::Check { port: 9, path: "/live".to_owned(), hang: true };
        assert_eq!(parsed("check --port 9 --path /live --hang"), Ok(check));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, named) in [
            ("--bot 1s", "--bot"),
            ("--boot", "--boot needs"),
            ("--boot 5", "200ms"),
            ("--boot 1h", "200ms"),
            ("--exit 256", "256"),
            ("--exit-first 2", "--exit-first needs"),
            ("check --boot 1s", "--boot of check"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn every_option_is_in_the_help() {
        let source = include_str!("options.rs");
        let serve = source.split("fn parse_serve").nth(1).and_then(|rest| rest.split("fn value").next()).unwrap();
        for option in serve.split('"').filter(|text| text.starts_with("--")) {
            assert!(USAGE.contains(option), "{option}");
        }
    }
}
