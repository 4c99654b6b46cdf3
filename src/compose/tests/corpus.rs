//! Every file of `tests/fixtures/compose`: its canonical form is what it was, and says the same when it is read again.
//!
//! A fixture is a file, or a folder with a `compose.yaml` and what belongs to it. `INSTA_UPDATE=always` writes the
//! snapshots of new ones.

use std::path::{Path, PathBuf};

use super::*;

/// Variables that fixtures refer to. `tests/cli/compose_config.rs` gives docker compose the same.
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose")
}

/// Name and files of every fixture.
fn fixtures() -> Vec<(String, Vec<PathBuf>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(find_file(&path).filter(|files| files[0].starts_with(&path)).map(|files| (name, files)));
        } else {
            all.push((name, vec![path]));
        }
    }
    all.sort();
    all
}

fn options(directory: &Path) -> LoadOptions {
    let variables = VARIABLES.map(|(key, value)| (key.to_owned(), value.to_owned()));
    LoadOptions {
        env: Environment::new(BTreeMap::from(variables), directory, &[]),
        describes_only: true,
        ..LoadOptions::default()
    }
}

fn try_fixture(name: &str, files: &[PathBuf]) -> Result<Loaded, Diagnostics> {
    let directory = files[0].parent().unwrap();
    let read = |path: &PathBuf| {
        let source = Source::read(path).unwrap_or_else(|problems| panic!("{problems}"));
        Source { name: path.file_name().unwrap().to_string_lossy().into_owned(), ..source }
    };
    let sources: Vec<Source> = files.iter().map(read).collect();
    // One of them shows that a file can have a name.
    let project_name = (name != "name").then(|| "fixture".to_owned());
    let options = LoadOptions { project_name, ..options(directory) };
    load(&sources, &options)
}

fn load_fixture(name: &str, files: &[PathBuf]) -> Loaded {
    try_fixture(name, files).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

#[test]
fn every_fixture_is_valid() {
    let refused = fixtures().into_iter().filter_map(|(name, files)| try_fixture(&name, &files).err());
    let refused: Vec<String> = refused.map(|problems| problems.to_string()).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_canonical_forms_are_what_they_were() {
    let all = fixtures();
    assert!(all.len() >= 150, "{} fixtures", all.len());
    for (name, files) in all {
        let loaded = load_fixture(&name, &files);
        let mut text = loaded.canonical(true).yaml();
        if !loaded.warnings.is_empty() {
            text += &format!("--- warnings\n{}\n", loaded.warnings);
        }
        let text = text.replace(folder().to_str().unwrap(), "[fixtures]");
        let text = text.replace(folder().parent().unwrap().to_str().unwrap(), "[fixtures]/..");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder().join("snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), text));
    }
}

#[test]
fn a_canonical_form_says_the_same_when_it_is_read_again() {
    for (name, files) in fixtures() {
        let directory = files[0].parent().unwrap();
        let first = load_fixture(&name, &files).canonical(true).yaml();
        let source = Source { name: "again".into(), text: first.clone(), path: Some(directory.join("again.yaml")) };
        let again =
            load(&[source], &options(directory)).unwrap_or_else(|problems| panic!("{name}: {problems}\n{first}"));
        assert_eq!(again.canonical(true).yaml(), first, "{name}");
    }
}

#[test]
fn variables_can_be_left_in() {
    let text = "services:\n  a:\n    image: \"i:${TAG:-1}\"\n    ports: [\"${PORT}:80\", 90]\n    init: ${FLAG}\n    \
                profiles: [p]\n    environment: [A, \"B=$$x\"]\n    volumes: [\"./${D:?dir}:/d\"]\n  b: { image: b }\n";
    let source = || Source { name: "c".into(), text: text.into(), path: None };
    let options = LoadOptions {
        project_name: Some("demo".to_owned()),
        working_dir: Some("/demo".into()),
        profiles: vec!["p".to_owned()],
        ..LoadOptions::default()
    };
    let (canonical, references) = load_raw(&[source()], &options, true).unwrap();
    insta::assert_snapshot!(canonical.yaml(), @r#"
name: demo
services:
  a:
    profiles:
      - p
    environment:
      A: null
      B: $$x
    image: i:${TAG:-1}
    init: ${FLAG}
    networks:
      default: null
    ports:
      - mode: ingress
        target: 80
        published: ${PORT}
        protocol: tcp
      - mode: ingress
        target: 90
        protocol: tcp
    volumes:
      - type: bind
        source: /demo/${D:?dir}
        target: /d
        bind:
          create_host_path: true
  b:
    image: b
    networks:
      default: null
networks:
  default:
    name: demo_default
"#);
    let names: Vec<&str> = references.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["D", "FLAG", "PORT", "TAG"]);
    assert!(references[0].required && references[3].default.as_deref() == Some("1"));
    let off = LoadOptions { profiles: Vec::new(), ..options };
    let (canonical, _) = load_raw(&[source()], &off, false).unwrap();
    assert_eq!(canonical.keys("services").collect::<Vec<_>>(), ["b"]);
}

#[test]
fn the_content_of_a_secret_is_not_shown() {
    let text = "services: { a: { image: i, secrets: [s] } }\nsecrets: { s: { content: hunter2 } }\n";
    let canonical = loaded(text).canonical(true);
    assert!(!canonical.yaml().contains("hunter2") && !canonical.json().to_string().contains("hunter2"));
    assert!(canonical.yaml().contains("content: \"***\""), "{}", canonical.yaml());
}

#[test]
fn json_has_the_types_of_the_values() {
    let text = "services: { a: { image: i, init: true, scale: 2, cpus: 0.5, x-a: [1.5, null, '1'], mem_limit: 1m } }";
    let json = loaded(text).canonical(true).json();
    let service = &json["services"]["a"];
    assert_eq!(service["init"], true);
    assert_eq!(service["scale"], 2);
    assert_eq!(service["cpus"], 0.5);
    assert_eq!(service["mem_limit"], "1048576");
    assert_eq!(service["x-a"], serde_json::json!([1.5, null, "1"]));
}

#[test]
fn a_large_project_loads_quickly() {
    let mut text =
        "x-base: &base\n  image: i\n  environment: &env { A: '${TAG}', B: b }\nservices:\n  s0: { <<: *base }\n"
            .to_owned();
    for number in 1..200 {
        let before = number - 1;
        text += &format!(
            "  s{number}:\n    extends: s{}\n    environment: {{ <<: *env, N: '{number}' }}\n    depends_on: [{}]\n",
            before % 20,
            (0..number).map(|other| format!("s{other}")).collect::<Vec<_>>().join(", "),
        );
    }
    let loaded = loaded(&text);
    assert_eq!(loaded.project.services.len(), 200);
    assert_eq!(loaded.project.services["s199"].depends_on.len(), 199);
}
