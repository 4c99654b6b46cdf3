//! What is said about input that can't be used: read as a user reads it, word for word.
//!
//! None of this needs an engine, and none of it may touch one: the exit code is 2, standard output stays empty.
//! `INSTA_UPDATE=always cargo test --test cli bad_input` rewrites the snapshots.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Ran;

/// Some input that can't be used: what is wrong with it, and the Compose file.
type Case = (&'static str, &'static str);

const SYNTAX_AND_KEYS: &[Case] = &[
    ("invalid YAML", "services:\n  web:\n    image: [nginx\n"),
    ("indented with a tab", "services:\n\tweb:\n\t\timage: nginx\n"),
    ("an empty file", ""),
    ("unknown key", "services:\n  web:\n    image: nginx\n    enviroment: { A: b }\n"),
    ("unknown key at the top", "servces:\n  web: { image: nginx }\n"),
    ("a key that isn't supported", "services:\n  web:\n    image: nginx\n    use_api_socket: true\n"),
    ("wrong type", "services:\n  web:\n    image: nginx\n    ports: 80\n    command: { a: b }\n"),
    ("a wrong duration", "services:\n  web:\n    image: nginx\n    stop_grace_period: 10\n"),
    ("a wrong size", "services:\n  web:\n    image: nginx\n    mem_limit: lots\n"),
    ("the same key twice", "services:\n  web:\n    image: nginx\n    image: caddy\n"),
    ("the same service twice", "services:\n  web:\n    image: nginx\n  web:\n    image: caddy\n"),
    ("neither image nor build", "services:\n  web:\n    command: serve\n"),
    ("a required variable", "services:\n  web:\n    image: nginx:${TAG:?say which nginx}\n"),
    ("a broken variable", "services:\n  web:\n    image: nginx:${TAG\n"),
];

const REFERENCES: &[Case] = &[
    ("undefined network", "services:\n  web:\n    image: nginx\n    networks: [bakc]\nnetworks:\n  back: {}\n"),
    ("undefined volume", "services:\n  web:\n    image: nginx\n    volumes: [\"data:/data\"]\n"),
    ("undefined dependency", "services:\n  web:\n    image: nginx\n    depends_on: [bd]\n  db: { image: postgres }\n"),
    ("a dependency on itself", "services:\n  web:\n    image: nginx\n    depends_on: [web]\n"),
    ("undefined peer in needs", "services:\n  web:\n    image: nginx\n    x-convoke: { needs: [cache] }\n"),
    ("undefined config", "services:\n  web:\n    image: nginx\n    configs: [site]\n"),
    ("undefined secret", "services:\n  web:\n    image: nginx\n    secrets: [password]\n"),
    ("missing env_file", "services:\n  web:\n    image: nginx\n    env_file: nowhere.env\n"),
    (
        "a completion inside a cycle",
        "services:\n  a:\n    image: i\n    depends_on: { b: { condition: service_completed_successfully } }\n  b:\n    image: i\n    depends_on: [a]\n",
    ),
    (
        "one container name for two services",
        "services:\n  a: { image: i, container_name: same }\n  b: { image: i, container_name: same }\n",
    ),
    ("a clash of component names", "services:\n  web: { image: i, scale: 2 }\n  web-2: { image: i }\n"),
    ("scale with container_name", "services:\n  web:\n    image: nginx\n    container_name: web\n    scale: 2\n"),
];

const PORTS_AND_FILES: &[Case] = &[
    ("port out of range", "services:\n  web:\n    image: nginx\n    ports: [\"70000:80\", \"8080:0\", \"http:80\"]\n"),
    (
        "one host port for two services",
        "services:\n  a: { image: i, ports: [\"8080:80\"] }\n  b: { image: i, ports: [\"8080:81\"] }\n",
    ),
    ("scale with a host port", "services:\n  web:\n    image: nginx\n    ports: [\"8080:80\"]\n    scale: 2\n"),
    (
        "read_only with an inline config",
        "services:\n  web:\n    image: nginx\n    read_only: true\n    configs: [site]\nconfigs:\n  site: { content: hello }\n",
    ),
    (
        "an inline config under a tmpfs",
        "services:\n  web:\n    image: nginx\n    tmpfs: [/run]\n    configs: [{ source: site, target: /run/site.conf }]\nconfigs:\n  site: { content: hello }\n",
    ),
    (
        "a config file that isn't there",
        "services:\n  web:\n    image: nginx\n    configs: [site]\nconfigs:\n  site: { file: ./site.conf }\n",
    ),
    (
        "a secret's variable that isn't set",
        "services:\n  web:\n    image: nginx\n    secrets: [s]\nsecrets:\n  s: { environment: CONVOKE_TEST_UNSET }\n",
    ),
    (
        "a probe of no kind",
        "services:\n  web:\n    image: nginx\n    x-convoke:\n      ready: { htttp: { port: 80, path: / } }\n",
    ),
];

/// Command lines that can't be used, in a folder with a good file and a template folder.
const COMMAND_LINES: &[&[&str]] = &[
    &["config", "-f", "nowhere.yaml"],
    &["up", "no-such-template"],
    &["config", "etdc"],
    &["config", "etcd", "--set", "membres=3"],
    &["config", "etcd", "--set", "members=many"],
    &["render", "etcd", "--set", "members=0"],
    &["config", "etcd", "--set", "members"],
    &["config", "--set", "members=3"],
    &["config", "etcd", "-f", "compose.yaml"],
    &["-p", "Not A Name", "config"],
    &["up", "--timeout", "soon"],
    &["up", "--scale", "web=many"],
    &["up", "--on-failure", "explode"],
    &["up", "--frobnicate"],
    &["frobnicate"],
    &["-H", "ssh://box", "up"],
    &["-H", "tcp://", "up"],
];

#[test]
fn syntax_and_keys() {
    insta::assert_snapshot!(said_about(SYNTAX_AND_KEYS));
}

#[test]
fn references() {
    insta::assert_snapshot!(said_about(REFERENCES));
}

#[test]
fn ports_and_files() {
    insta::assert_snapshot!(said_about(PORTS_AND_FILES));
}

#[test]
fn command_lines() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("compose.yaml"), "services: { web: { image: nginx } }\n").unwrap();
    let mut all = String::new();
    for args in COMMAND_LINES {
        let ran = convoke(folder.path(), args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}\n{ran}");
        writeln!(all, "$ convoke {}\n{}", args.join(" "), ran.err).unwrap();
    }
    insta::assert_snapshot!(all.replace(folder.path().to_str().unwrap(), "[folder]"));
}

#[test]
fn no_file_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let ran = convoke(folder.path(), &["config"]);
    ran.exits(2);
    insta::assert_snapshot!(ran.err, @r"
    error: there is no compose.yaml here or in a folder above
      try: -f FILE, or the name of a template: convoke templates lists them
    ");
}

#[test]
fn a_variable_that_is_not_set_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("compose.yaml"),
        "services:\n  web:\n    image: nginx\n    user: \"1${GROUP}\"\n",
    )
    .unwrap();
    let ran = convoke(folder.path(), &["-p", "demo", "config"]);
    ran.exits(0).says(&["nginx"]);
    insta::assert_snapshot!(ran.err, @r#"
    warning: variable "GROUP" is not set; an empty string is used
     --> compose.yaml:4:11
      |
    4 |     user: "1${GROUP}"
      |           ^^^^^^^^^^^
    "#);
}

/// Several mistakes in two files are all told at once, each with its own file, line and column.
#[test]
fn many_mistakes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "services:\n  web:\n    imgae: nginx\n    image: nginx\n").unwrap();
    std::fs::write(folder.path().join("b.yaml"), "services:\n  web:\n    init: maybe\n    ports: [\"99999:1\"]\n")
        .unwrap();
    let ran = convoke(folder.path(), &["-f", "a.yaml", "-f", "b.yaml", "config"]);
    ran.exits(2).says(&["a.yaml:3:5", "b.yaml:3:11", "b.yaml:4:13", "did you mean \"image\"?"]);
}

/// What the program says about each file, one after the other.
fn said_about(cases: &[Case]) -> String {
    let mut all = String::new();
    for (title, text) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let ran = convoke(folder.path(), &["-p", "demo", "config", "--resolved"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{title}\n{ran}");
        writeln!(all, "### {title}\n{}", ran.err.replace(folder.path().to_str().unwrap(), "[folder]")).unwrap();
    }
    all
}

/// Runs the program where there is no engine: what needs one would end with another exit code.
fn convoke(folder: &Path, args: &[&str]) -> Ran {
    let begun = std::time::Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(args)
        .current_dir(folder)
        .env("DOCKER_HOST", format!("unix://{}/no.sock", folder.display()))
        .env("CONVOKE_STATE_DIR", folder.join("state"))
        .env_remove("COMPOSE_PROJECT_NAME")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::of(output, begun.elapsed())
}

/// Whatever a file holds, it takes no more memory than this, in KiB.
const MOST_MEMORY: u32 = 100 * 1024;

#[test]
fn no_file_takes_much_memory() {
    let many = |line: fn(usize) -> String, number| (0..number).map(line).collect::<String>();
    let alone = "services: { a: { image: i } }\n";
    let labels =
        format!("services:\n  a:\n    image: i\n    labels:\n{}", many(|n| format!("      k{n}: v{n}\n"), 49_000));
    let files = [
        ("many values", format!("x-a:\n{}{alone}", many(|n| format!("  - {n}\n"), 49_000))),
        ("labels", labels),
        ("more values than are read", format!("x-a:\n{}{alone}", many(|n| format!("  - {n}\n"), 300_000))),
        ("one long line", format!("x-a: \"{}\"\n{alone}", "y".repeat(4_000_000))),
        (
            "mistakes on one line",
            format!("services: {{ a: {{ image: i, {} }} }}\n", many(|n| format!("k{n}: 1, "), 3_000)),
        ),
        (
            "a large service that others extend",
            format!(
                "services:\n  b:\n    image: i\n    environment:\n{}{}",
                many(|n| format!("      K{n}: v\n"), 1000),
                many(|n| format!("  s{n}: {{ extends: b }}\n"), 900)
            ),
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let mut command = Command::new("sh");
        // What the process writes to, its stacks included; reserved addresses don't count.
        command.args(["-c", &format!("ulimit -d {MOST_MEMORY}; exec \"$0\" config"), env!("CARGO_BIN_EXE_convoke")]);
        let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)), "{name}: {}, {}", output.status, output.stderr.len());
        assert!(output.stderr.len() < 20_000_000, "{name}: {} bytes of messages", output.stderr.len());
    }
}
