//! Options of docker compose that convoke doesn't have: each is answered by name, with what to type instead.
//!
//! `docs/compose-support.md` lists them; a test holds the two together.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Command, option, why not, and what instead.
pub(super) const FOREIGN: &[(&str, &[&str], &str, &str)] = &[
    (
        "up",
        &[
            "--attach",
            "--attach-dependencies",
            "--no-attach",
            "--no-log-prefix",
            "--timestamps",
            "--no-color",
            "--menu",
        ],
        "up shows how components become ready, not what they write",
        "convoke logs -f",
    ),
    (
        "up",
        &["--abort-on-container-exit", "--abort-on-container-failure", "--exit-code-from"],
        "up returns when all is ready, and fails when a component does",
        "convoke wait SERVICE, which passes on its exit code (--down-project: and takes the cluster down)",
    ),
    (
        "up",
        &["--watch", "-w"],
        "convoke doesn't watch sources",
        "convoke supervise applies changes of the Compose files",
    ),
    ("up", &["--always-recreate-deps"], "what didn't change is kept", "convoke up --force-recreate without services"),
    (
        "up",
        &["--renew-anon-volumes", "-V"],
        "a replacement keeps its volumes",
        "convoke rm -sf SERVICE, then convoke up",
    ),
    (
        "up",
        &["-t"],
        "the time until SIGKILL is the file's stop_grace_period",
        "convoke down -t SECONDS; --timeout limits the start",
    ),
    ("run", &["--dry-run"], "a one-off container isn't planned", "convoke up --plan SERVICE shows what it depends on"),
    ("build", &["--push"], "convoke doesn't push", "docker push IMAGE"),
    ("build", &["--builder"], "the builder is buildx's to choose", "BUILDX_BUILDER=NAME convoke build"),
    ("build", &["--memory", "-m"], "BuildKit has no such limit", "leave it out"),
    ("build", &["--dry-run", "--print", "--check"], "builds aren't planned", "convoke config shows what each is told"),
    ("exec", &["--dry-run"], "a command runs or it doesn't", "leave it out"),
    ("logs", &["--dry-run"], "logs changes nothing", "leave it out"),
    ("ps", &["--dry-run"], "ps changes nothing", "leave it out"),
];

/// What to say of an option that clap doesn't know, if it is one of these.
pub(super) fn explain(error: &clap::Error, args: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    let option = given.split(['=', ' ']).next().unwrap_or(given);
    let is_this = |command: &str, options: &[&str]| options.contains(&option) && args.iter().any(|arg| arg == command);
    let (command, _, why, instead) = FOREIGN.iter().find(|(command, options, ..)| is_this(command, options))?;
    Some(format!("error: convoke {command} has no {option}: {why}\n  instead: {instead}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Cli;

    fn said(line: &str) -> Option<String> {
        let args: Vec<String> = format!("convoke {line}").split(' ').map(str::to_owned).collect();
        explain(&Cli::try_parse_from(&args).unwrap_err(), &args)
    }

    #[test]
    fn each_is_answered_by_name() {
        for (command, options, why, _) in FOREIGN {
            for option in *options {
                let rest = if *command == "exec" { " web true" } else { " web" };
                let said = said(&format!("{command} {option}{rest}"));
                let said = said.unwrap_or_else(|| panic!("{command} {option} is unknown, and not said so"));
                assert!(said.starts_with(&format!("error: convoke {command} has no {option}: {why}\n")), "{said}");
            }
        }
        assert!(said("up --exit-code-from=web").is_some());
        assert_eq!(said("up --nonsense"), None);
    }

    #[test]
    fn the_page_lists_them() {
        let page = include_str!("../../docs/compose-support.md");
        for (command, options, ..) in FOREIGN {
            let row = page.lines().find(|line| {
                line.starts_with(&format!("| `{command}` ")) && options.iter().all(|o| line.contains(&format!("`{o}`")))
            });
            assert!(row.is_some(), "no row has {command} {options:?}");
        }
    }
}
