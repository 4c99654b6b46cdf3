//! What `convoke run` was told of its container, as a Compose file that is merged over the others.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Run;
use super::error::CliError;
use crate::compose::{self, Source};

/// The file. One value a line, so that a message about one shows it alone.
pub(super) fn text(args: &Run) -> Result<Source, CliError> {
    let here = std::env::current_dir()
        .map_err(|error| CliError::input(format!("the working directory can't be read: {error}")))?;
    let mut lines = vec!["services:".to_owned(), format!("  {}:", quoted(&json!(args.service)))];
    let mut add = |key: &str, tag: &str, value: Value| lines.push(format!("    {key}: {tag}{}", quoted(&value)));
    // Its policy is for components: this one ends when it ends.
    add("restart", "", json!("no"));
    if let Some(entrypoint) = &args.entrypoint {
        add("entrypoint", "!override ", json!(entrypoint));
    }
    if args.entrypoint.is_some() || !args.command.is_empty() {
        add("command", "!override ", json!(args.command));
    }
    let ports_tag = if args.service_ports { "" } else { "!override " };
    add("ports", ports_tag, json!(args.publish));
    let volumes: Vec<String> = args.volumes.iter().map(|volume| from_here(volume, &here)).collect();
    let environment = environment(args, &here)?;
    for (key, values) in [
        ("environment", &environment),
        ("volumes", &volumes),
        ("labels", &args.labels),
        ("cap_add", &args.cap_add),
        ("cap_drop", &args.cap_drop),
    ] {
        if !values.is_empty() {
            add(key, "", json!(values));
        }
    }
    for (key, value) in [("working_dir", &args.workdir), ("user", &args.user)] {
        if let Some(value) = value {
            add(key, "", json!(value));
        }
    }
    Ok(Source { name: "the command line".to_owned(), text: lines.join("\n") + "\n", path: None })
}

/// Variables of files, and over them those of the command line.
fn environment(args: &Run, here: &Path) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for file in &args.env_from_file {
        let variables = compose::variables_of(&here.join(file), &std::env::vars().collect())?;
        all.extend(variables.into_iter().map(|(key, value)| format!("{key}={value}")));
    }
    all.extend(args.env.clone());
    Ok(all)
}

/// JSON, which is YAML; what the shell has left of a `$` is meant as such.
fn quoted(value: &Value) -> String {
    value.to_string().replace('$', "$$")
}

/// The file's relative paths are its folder's; who types one means where they are.
fn from_here(volume: &str, here: &Path) -> String {
    let is_relative =
        volume.starts_with("./") || volume.starts_with("../") || volume == "." || volume.starts_with(".:");
    if !is_relative {
        return volume.to_owned();
    }
    let (source, rest) = volume.split_once(':').map_or((volume, String::new()), |(s, rest)| (s, format!(":{rest}")));
    format!("{}{rest}", here.join(source).display())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn written(args: &[&str]) -> String {
        let cli = Cli::try_parse_from([&["convoke", "run"], args].concat()).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        text(&run).unwrap().text
    }

    #[test]
    fn what_is_not_said_stays_as_the_file_has_it() {
        let plain = "services:\n  \"web\":\n    restart: \"no\"\n    ports: !override []\n";
        assert_eq!(written(&["web"]), plain);
        assert!(written(&["-P", "web"]).contains("ports: []\n"));
    }

    #[test]
    fn an_entry_point_takes_the_command_away() {
        let all = written(&["--entrypoint", "sh -c", "web"]);
        assert!(all.contains("entrypoint: !override \"sh -c\"\n    command: !override []\n"), "{all}");
    }

    #[test]
    fn dollars_are_the_shell_s_and_paths_are_from_here() {
        let all = written(&["-v", "./a:/b", "-v", "data:/d", "-e", "A=$B", "web", "echo", "-n", "$X"]);
        let here = std::env::current_dir().unwrap();
        assert!(all.contains(&format!(r#"["{}/./a:/b","data:/d"]"#, here.display())), "{all}");
        assert!(all.contains(r#"["A=$$B"]"#) && all.contains(r#"["echo","-n","$$X"]"#), "{all}");
    }
}
