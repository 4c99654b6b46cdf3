//! `run -p 8080:80`: docker compose's short option for a port, which everywhere else names the project.

use std::ffi::OsString;

use clap::{ArgAction, Command};

/// The arguments with each `-p` of `run` whose value is a port turned into `--publish`.
pub(super) fn with_ports(args: Vec<OsString>, definition: &Command) -> Vec<OsString> {
    let mut all = args.into_iter();
    let mut out: Vec<OsString> = all.next().into_iter().collect();
    let mut scope = definition.clone();
    let mut is_run = false;
    while let Some(arg) = all.next() {
        let Some(text) = arg.to_str().map(ToOwned::to_owned) else {
            out.push(arg);
            break;
        };
        if text == "--" {
            out.push(arg);
            break;
        }
        if !text.starts_with('-') || text == "-" {
            // The command, or the service: what follows that is the program's own.
            let command = (!is_run).then(|| definition.find_subcommand(&text)).flatten();
            out.push(arg);
            match command {
                Some(found) if found.get_name() == "run" => (scope, is_run) = (with_globals(found, definition), true),
                _ => break,
            }
            continue;
        }
        if let Some(port) = text.strip_prefix("-p").filter(|port| is_run && is_port(port)) {
            out.extend(["--publish".into(), port.trim_start_matches('=').into()]);
            continue;
        }
        let wants_value = wants_value(&text, &scope);
        let value = if wants_value { all.next() } else { None };
        let is_publish = is_run && text == "-p" && value.as_ref().and_then(|v| v.to_str()).is_some_and(is_port);
        out.push(if is_publish { "--publish".into() } else { arg });
        out.extend(value);
    }
    out.extend(all);
    out
}

fn with_globals(command: &Command, definition: &Command) -> Command {
    command.clone().args(definition.get_arguments().filter(|arg| arg.is_global_set()).cloned())
}

/// Whether the option takes the next argument.
fn wants_value(text: &str, scope: &Command) -> bool {
    let takes = |arg: &&clap::Arg| {
        matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
    };
    if let Some(long) = text.strip_prefix("--") {
        let named = |arg: &&clap::Arg| {
            arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
        };
        return scope.get_arguments().filter(takes).any(|arg| named(&arg));
    }
    // Of several in one, such as -Te, the last may take a value, unless one before it took the rest as its own.
    let letters: Vec<char> = text[1..].chars().collect();
    let of =
        |letter: char| scope.get_arguments().find(|arg| arg.get_short() == Some(letter)).is_some_and(|arg| takes(&arg));
    letters.iter().position(|letter| of(*letter)).is_some_and(|first| first + 1 == letters.len())
}

/// `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `3000-3005`; not a name.
fn is_port(text: &str) -> bool {
    let text = text.trim_start_matches('=');
    let bare = text.strip_suffix("/tcp").or_else(|| text.strip_suffix("/udp")).unwrap_or(text);
    let fits = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-' | '[' | ']');
    !bare.is_empty()
        && bare.chars().all(fits)
        && bare.rsplit([':', '-']).next().is_some_and(|last| last.parse::<u16>().is_ok())
        && (bare.contains(':') || bare.chars().all(|c| c.is_ascii_digit() || c == '-'))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    fn turned(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let out = with_ports(args, &Cli::command());
        out.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_port_is_published_and_a_name_is_the_project() {
        assert_eq!(turned("convoke run -p 8080:80 web"), "convoke run --publish 8080:80 web");
        assert_eq!(turned("convoke run -p80 --rm web"), "convoke run --publish 80 --rm web");
        assert_eq!(turned("convoke run -Tp 80:80 -p demo web"), "convoke run -Tp 80:80 -p demo web");
        assert_eq!(
            turned("convoke -p demo -f a.yaml run --name x -e A=1 -p 127.0.0.1:1:2/udp web"),
            "convoke -p demo -f a.yaml run --name x -e A=1 --publish 127.0.0.1:1:2/udp web"
        );
    }

    #[test]
    fn other_commands_and_what_is_run_are_left_alone() {
        for line in [
            "convoke run db psql -p 5432",
            "convoke run -i -T db psql -p 5432",
            "convoke ps -p 80",
            "convoke -p 8080 run web",
            "convoke run -p abc web",
            "convoke run -- web -p 80",
            "convoke run",
        ] {
            assert_eq!(turned(line), line);
        }
    }
}
