//! Loading as a user asks for it, and `convoke config` beside `docker compose config`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::interop::Compose;
use crate::support::Ran;

/// Variables that fixtures refer to, as in `src/compose/tests/corpus.rs`.
const VARIABLES: [(&str, &str); 9] = [
    ("HOME", "/home/me"),
    ("TAG", "1.2"),
    ("FLAG", "true"),
    ("OFF", "false"),
    ("COUNT", "3"),
    ("SIZE", "64m"),
    ("PORT", "8080"),
    ("EMPTY", ""),
    ("OTHER", "o"),
];

/// Fixtures that docker compose 2.26 and 2.40 read or print otherwise, and why we don't.
const DIFFERENT: &[(&str, &str)] = &[
    ("blkio", "its JSON has the names of Go's fields, such as Path, which no Compose file may have"),
    ("extensions", "its JSON leaves out the extensions of services, unlike its YAML"),
    ("merge-extensions", "the same"),
    ("empty-values", "it refuses an empty ports, and 2.40 an empty user"),
    ("interpolation-keys", "it doubles the dollar sign of a key, and doesn't halve it again when it reads that"),
];

fn run(mut command: Command, folder: &Path) -> Ran {
    let begun = std::time::Instant::now();
    command.current_dir(folder).env_clear().envs(VARIABLES).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    Ran::of(command.output().unwrap(), begun.elapsed())
}

fn convoke(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.args(args);
    run(command, folder)
}

/// The canonical form as JSON.
#[track_caller]
fn config(folder: &Path, args: &[&str]) -> Value {
    let ran = convoke(folder, &[args, &["config", "--format", "json"]].concat());
    assert_eq!(ran.code, 0, "{ran}");
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}\n{ran}"))
}

pub(super) fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// What both must agree on: everything but values that say nothing, which only one of the two may print.
fn normalized(value: &Value) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), normalized(value)))
            .filter(|(_, value)| !says_nothing(value))
            .collect(),
        Value::Array(items) => items.iter().map(normalized).collect(),
        other => other.clone(),
    }
}

/// Older versions write the mode of a config or secret as a decimal number, newer ones and convoke as octal text.
fn with_octal_modes(value: Value) -> Value {
    match value {
        Value::Object(mut map) => {
            if let Some(mode) = map.get("mode").and_then(Value::as_u64).filter(|_| map.contains_key("source")) {
                map.insert("mode".into(), format!("0{mode:o}").into());
            }
            map.into_iter().map(|(key, value)| (key, with_octal_modes(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(with_octal_modes).collect(),
        other => other,
    }
}

/// The canonical form by convoke and by docker compose.
#[track_caller]
pub(super) fn both(compose: &Compose, folder: &Path, args: &[&str]) -> (Value, Value) {
    let mut command = Command::new(&compose.program[0]);
    command.args(&compose.program[1..]).args(args).args(["config", "--format", "json"]);
    let theirs = run(command, folder);
    let theirs: Value = serde_json::from_str(&theirs.out).unwrap_or_else(|error| panic!("{args:?}: {error}\n{theirs}"));
    (normalized(&config(folder, args)), normalized(&with_octal_modes(theirs)))
}

/// Docker compose of version 2, where there is one.
pub(super) fn compose() -> Option<Compose> {
    Compose::find().filter(|compose| !compose.is_first())
}

#[test]
fn every_fixture_has_the_canonical_form_that_compose_gives_it() {
    let Some(compose) = compose() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let mut different = Vec::new();
    let mut compared = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "snapshots" || DIFFERENT.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let (folder, file): (PathBuf, Vec<String>) = if path.is_dir() {
            (path.clone(), Vec::new())
        } else {
            (root.clone(), vec!["-f".into(), path.file_name().unwrap().to_string_lossy().into_owned()])
        };
        let named = if name == "name" { Vec::new() } else { vec!["-p".to_owned(), "fixture".to_owned()] };
        let args: Vec<&str> = named.iter().chain(&file).map(String::as_str).collect();
        let (ours, theirs) = both(&compose, &folder, &args);
        compared += 1;
        if ours != theirs {
            different.push(format!("{name}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert!(compared >= 150, "{compared} were compared");
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn files_come_from_options_the_environment_and_standard_input() {
    let folder = folder_with(&[
        ("compose.yaml", "services: { default: { image: i } }\n"),
        ("a.yaml", "name: fora\nservices: { a: { image: 'i:${V}' } }\n"),
        ("b.yaml", "services: { a: { user: b } }\n"),
        ("one.env", "V=1\n"),
        ("two.env", "V=2\nCOMPOSE_FILE=a.yaml\n"),
        // Not that of the file's directory: only looking for a file here takes it in.
        (".env", "V=top\n"),
        ("sub/.env", "V=sub\n"),
        ("other/compose.yaml", "services: { o: { image: 'i:${V-none}' } }\n"),
        ("sub/c.yaml", "services: { c: { image: 'i:${V}', build: . } }\n"),
    ]);
    let path = folder.path();
    let both = config(path, &["-f", "a.yaml", "-f", "b.yaml", "--env-file", "one.env"]);
    assert_eq!((&both["name"], &both["services"]["a"]["image"]), (&"fora".into(), &"i:1".into()));
    assert_eq!(both["services"]["a"]["user"], "b");
    // The variable that names files may come from an environment file.
    let named = config(path, &["--env-file", "one.env", "--env-file", "two.env"]);
    assert_eq!(named["services"]["a"]["image"], "i:2");
    let beside = config(path, &["-f", "sub/c.yaml"]);
    assert_eq!((&beside["name"], &beside["services"]["c"]["image"]), (&"sub".into(), &"i:sub".into()));
    let found = config(path, &["--project-directory", "other"]);
    assert_eq!((&found["name"], &found["services"]["o"]["image"]), (&"other".into(), &"i:none".into()));
    let moved = config(path, &["-f", "sub/c.yaml", "--project-directory", ".", "-p", "x"]);
    let context = path.canonicalize().unwrap();
    assert_eq!(moved["services"]["c"]["build"]["context"], context.to_str().unwrap());

    let mut piped = Command::new(env!("CARGO_BIN_EXE_convoke"));
    piped.args(["-f", "-", "-p", "x", "config", "--services"]).current_dir(path);
    piped.stdin(std::fs::File::open(path.join("sub/c.yaml")).unwrap());
    assert_eq!(String::from_utf8_lossy(&piped.output().unwrap().stdout), "c\n");
    convoke(path, &["-f", "-", "-f", "-", "config"]).exits(2).says(&["standard input can be read only once"]);
    convoke(path, &["--env-file", "no.env", "config"]).exits(2).says(&["the env file no.env can't be read"]);
}

#[test]
fn lists_of_names_images_hashes_and_variables() {
    let folder = folder_with(&[(
        "compose.yaml",
        "name: demo
services:
  web: { image: 'nginx:${TAG:-1}', volumes: ['data:/d'], networks: [front], profiles: [] }
  api: { build: ., environment: ['A=${NEEDED:?say what}'] }
  debug: { image: debug, profiles: [dev, all] }
networks: { front: , lonely: }
volumes: { data: , unused: }
",
    )]);
    let path = folder.path();
    let lines = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.args(args).current_dir(path).env("NEEDED", "x").env_remove("TAG");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["config", "--services"]), ["api", "web"]);
    assert_eq!(lines(&["--profile", "dev", "config", "--services"]), ["api", "debug", "web"]);
    assert_eq!(lines(&["config", "--profiles"]), ["all", "dev"]);
    assert_eq!(lines(&["config", "--images"]), ["demo-api", "nginx:1"]);
    assert_eq!(lines(&["config", "--volumes"]), ["data"]);
    assert_eq!(lines(&["config", "--networks"]), ["default", "front"]);
    let hashes = lines(&["config", "--hash", "*"]);
    assert!(hashes.len() == 2 && hashes[0].starts_with("api ") && hashes[1].len() == "web ".len() + 64, "{hashes:?}");
    assert_eq!(lines(&["config", "--hash", "web"]), hashes[1..]);
    convoke(path, &["config", "--hash", "web"]).exits(2).says(&["variable \"NEEDED\" is required: say what"]);
    assert_eq!(
        lines(&["config", "--variables"]),
        ["NAME    REQUIRED  DEFAULT VALUE  ALTERNATE VALUE", "NEEDED  yes", "TAG     no        1"]
    );
    let raw = lines(&["config", "--no-interpolate"]);
    assert!(raw.contains(&"    image: nginx:${TAG:-1}".to_owned()), "{raw:?}");
    // A colon inside a reference divides nothing.
    std::fs::write(path.join("mount.yaml"), "services: { a: { image: i, volumes: ['./${D:?x}:/d'] } }").unwrap();
    let raw = lines(&["-f", "mount.yaml", "config", "--no-interpolate", "--no-path-resolution"]);
    assert!(raw.contains(&"        source: ./${D:?x}".to_owned()), "{raw:?}");
    assert!(lines(&["config", "-q"]).is_empty());
    assert!(lines(&["config", "-o", "out.yaml"]).is_empty());
    let written = std::fs::read_to_string(path.join("out.yaml")).unwrap();
    assert_eq!(written.lines().map(str::to_owned).collect::<Vec<_>>(), lines(&["convert"]));
}

#[test]
fn what_isn_t_supported_is_a_warning_where_nothing_is_started() {
    let text = "services:\n  a:\n    image: i\n    use_api_socket: true\n  b:\n    image: i\n";
    let folder = folder_with(&[("compose.yaml", text)]);
    let ran = convoke(folder.path(), &["config"]);
    ran.exits(0).says(&["use_api_socket:", "warning: services.a.use_api_socket isn't supported yet"]);
    convoke(folder.path(), &["config", "--resolved"]).exits(2).says(&["error: services.a.use_api_socket"]);
    convoke(folder.path(), &["--format", "yaml", "ps"]).exits(2).says(&["only config prints YAML"]);
}

#[test]
fn a_dependency_whose_profile_is_off_is_said() {
    let text = "services:\n  a:\n    image: i\n    depends_on: [b]\n  b:\n    image: i\n    profiles: [x]\n";
    let folder = folder_with(&[("compose.yaml", text)]);
    let ran = convoke(folder.path(), &["config"]);
    ran.exits(2).says(&["\"a\" depends on \"b\", whose profiles are not switched on", "--profile x switches it on"]);
    convoke(folder.path(), &["--profile", "x", "config"]).exits(0);
}
