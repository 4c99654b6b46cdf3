//! Projects of several files: `extends`, `include`, profiles, `!reset` and `!override`.

use super::*;

/// Loads `compose.yaml` (and `over.yaml`, if it is there) of a folder with these files.
fn load_files(files: &[(&str, &str)], profiles: &[&str]) -> Result<Loaded, String> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let source = |name: &str| {
        let path = root.path().join(name);
        std::fs::read_to_string(&path).ok().map(|text| Source { name: name.into(), text, path: Some(path) })
    };
    let sources: Vec<Source> = ["compose.yaml", "over.yaml"].into_iter().filter_map(source).collect();
    let env = BTreeMap::from([("TAG".to_owned(), "7".to_owned())]);
    let options = LoadOptions {
        env: env.into(),
        project_name: text("shop"),
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        ..LoadOptions::default()
    };
    load(&sources, &options).map_err(|problems| {
        let root = root.path().canonicalize().unwrap();
        problems.to_string().replace(root.to_str().unwrap(), "[folder]")
    })
}

fn services(loaded: &Loaded) -> Vec<&str> {
    loaded.project.services.keys().map(crate::names::ServiceName::as_str).collect()
}

fn env(service: &Service) -> String {
    let pairs = service.environment.iter();
    pairs.map(|(key, value)| format!("{key}={}", value.value.as_deref().unwrap_or("-"))).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_chain_of_services_over_two_files() {
    let loaded = load_files(
        &[
            (
                "compose.yaml",
                "services:
  web: { extends: { service: mid }, environment: { C: web } }
  mid: { extends: { file: base/common.yaml, service: app }, environment: { B: mid, C: mid }, ports: ['81:81'] }
",
            ),
            (
                "base/common.yaml",
                "services:
  app: { extends: root, environment: { A: app, B: app }, ports: ['80:80'], volumes: ['./data:/data'] }
  root: { image: 'app:${TAG}', build: ./src, env_file: vars.env }
",
            ),
            ("base/vars.env", "FROM_FILE=yes\n"),
        ],
        &[],
    )
    .unwrap();
    let web = &loaded.project.services["web"];
    assert_eq!(env(web), "FROM_FILE=yes A=app B=mid C=web");
    assert_eq!(web.image.as_ref().unwrap().value, "app:7");
    assert_eq!(web.ports.iter().map(|port| port.target).collect::<Vec<_>>(), [80, 81]);
    let context = &web.build.as_ref().unwrap().context.value;
    assert_eq!(context, &loaded.working_dir.join("base/src").display().to_string());
    let MountKind::Bind { source, .. } = &web.mounts[0].kind else { panic!("{:?}", web.mounts) };
    assert_eq!(source.value, loaded.working_dir.join("base/data").display().to_string());
}

#[test]
fn wrong_extends_are_told_with_their_place() {
    let problems = load_files(
        &[(
            "compose.yaml",
            "services:
  a: { extends: b, image: x }
  b: { extends: { service: a } }
  c: { extends: { service: dd, fil: x } }
  d: { image: x, extends: { file: nowhere.yaml, service: x } }
  e: { image: x, extends: { file: 'https://example.org/c.yaml', service: x } }
  f: { image: x, extends: [a] }
",
        )],
        &[],
    )
    .unwrap_err();
    for expected in [
        "services extend one another in a circle: a -> b -> a",
        "unknown key \"fil\" in services.c.extends",
        "there is no service \"dd\" here",
        "extends: \"nowhere.yaml\" can't be read",
        "isn't a file of this machine",
        "services.f.extends must be a service or a mapping, but it is a list",
        "compose.yaml:7:27",
    ] {
        assert!(problems.contains(expected), "{expected}:\n{problems}");
    }
    assert!(problems.matches("circle").count() == 1 && !problems.contains("neither"), "{problems}");
}

#[test]
fn an_included_project_keeps_its_own_folder_and_variables() {
    let loaded = load_files(
        &[
            (
                "compose.yaml",
                "include:
  - db/compose.yaml
  - { path: [two.yaml, three.yaml], project_directory: other, env_file: my.env }
services:
  web: { image: web, depends_on: [db] }
",
            ),
            ("db/compose.yaml", "services: { db: { image: 'db:${VERSION}-${TAG}', volumes: ['./data:/d', 'v:/v'] } }\nvolumes: { v: }\n"),
            ("db/.env", "VERSION=16\nTAG=hidden\n"),
            ("two.yaml", "services: { two: { image: 'two:${MY}', build: . } }\n"),
            ("three.yaml", "services: { two: { hostname: three } }\n"),
            ("my.env", "MY=2\n"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(services(&loaded), ["web", "db", "two"]);
    let (db, two) = (&loaded.project.services["db"], &loaded.project.services["two"]);
    assert_eq!(db.image.as_ref().unwrap().value, "db:16-7");
    assert!(matches!(&db.mounts[0].kind, MountKind::Bind { source, .. } if source.value.ends_with("/db/data")));
    assert!(loaded.project.volumes.contains_key("v"));
    assert_eq!((two.image.as_ref().unwrap().value.as_str(), two.hostname.as_deref()), ("two:2", Some("three")));
    assert!(two.build.as_ref().unwrap().context.value.ends_with("/other"));
}

#[test]
fn wrong_includes_are_told_with_their_place() {
    let problems = load_files(
        &[
            (
                "compose.yaml",
                "include: [a.yaml, { pat: x }, 'oci://x/y', nowhere.yaml]\nservices: { web: { image: web } }\n",
            ),
            ("a.yaml", "include: [b.yaml]\nservices: { web: { image: other } }\n"),
            ("b.yaml", "include:\n  - a.yaml\nservices: { b: { image: b } }\n"),
        ],
        &[],
    )
    .unwrap_err();
    insta::assert_snapshot!(problems, @r#"
    error: files include one another in a circle: [folder]/a.yaml -> [folder]/b.yaml -> [folder]/a.yaml
     --> b.yaml:2:5
      |
    2 |   - a.yaml
      |     ^^^^^^
      = help: remove one of these entries

    error: include[1] has no path
     --> compose.yaml:1:19
      |
    1 | include: [a.yaml, { pat: x }, 'oci://x/y', nowhere.yaml]
      |                   ^

    error: unknown key "pat" in include[1]
     --> compose.yaml:1:21
      |
    1 | include: [a.yaml, { pat: x }, 'oci://x/y', nowhere.yaml]
      |                     ^^^
      = help: there are path, project_directory and env_file

    error: include: "oci://x/y" isn't a file of this machine
     --> compose.yaml:1:31
      |
    1 | include: [a.yaml, { pat: x }, 'oci://x/y', nowhere.yaml]
      |                               ^^^^^^^^^^^
      = help: nothing is read over the network: fetch it first

    error: include: "nowhere.yaml" can't be read: No such file or directory (os error 2)
     --> compose.yaml:1:44
      |
    1 | include: [a.yaml, { pat: x }, 'oci://x/y', nowhere.yaml]
      |                                            ^^^^^^^^^^^^
      = help: relative paths are looked up in [folder]

    error: services.web is also in what is included at compose.yaml:1:11
     --> compose.yaml:2:13
      |
    2 | services: { web: { image: web } }
      |             ^^^
      = help: that one is at a.yaml:2:13: rename one of them, or change it in an override file
    "#);
}

#[test]
fn the_same_part_may_be_included_twice() {
    let loaded = load_files(
        &[
            ("compose.yaml", "include: [a.yaml, b.yaml]\n"),
            ("a.yaml", "include: [b.yaml]\nservices: { a: { image: a } }\n"),
            ("b.yaml", "services: { b: { image: b, environment: { A: 1 } } }\n"),
        ],
        &[],
    );
    assert_eq!(services(&loaded.unwrap()), ["a", "b"]);
}

#[test]
fn an_override_file_changes_what_is_included() {
    let loaded = load_files(
        &[
            ("compose.yaml", "include: [a.yaml]\n"),
            ("a.yaml", "services: { a: { image: a, user: x } }\n"),
            ("over.yaml", "services: { a: { image: b } }\n"),
        ],
        &[],
    )
    .unwrap();
    let a = &loaded.project.services["a"];
    assert_eq!((a.image.as_ref().unwrap().value.as_str(), a.user.as_deref()), ("b", Some("x")));
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let base = "services:
  a:
    image: i
    build: .
    user: root
    ports: ['80:80']
    environment: { A: '1', B: '2' }
    labels: { a: b }
  gone: { image: i }
";
    let over = "services:
  a:
    build: !reset null
    user: !reset
    ports: !override ['90:90']
    environment: { A: !reset null, C: '3' }
    labels: !override { c: d }
  gone: !reset null
";
    let loaded = load_files(&[("compose.yaml", base), ("over.yaml", over)], &[]).unwrap();
    assert_eq!(services(&loaded), ["a"]);
    let a = &loaded.project.services["a"];
    assert_eq!((&a.build, &a.user), (&None, &None));
    assert_eq!(a.ports.iter().map(|port| port.target).collect::<Vec<_>>(), [90]);
    assert_eq!(env(a), "B=2 C=3");
    assert_eq!(a.labels.keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn reset_and_override_change_what_is_extended() {
    let text = "services:
  base: { image: i, user: root, ports: ['80:80'], cap_add: [A] }
  a: { extends: base, user: !reset null, ports: !override ['90:90'] }
";
    let loaded = load_files(&[("compose.yaml", text)], &[]).unwrap();
    let a = &loaded.project.services["a"];
    assert_eq!((&a.user, a.ports.len(), a.ports[0].target, a.cap_add.len()), (&None, 1, 90, 1));
}

#[test]
fn profiles_switch_services_on() {
    let files = [(
        "compose.yaml",
        "services:
  a: { image: i }
  b: { image: i, profiles: [debug] }
  c: { image: i, profiles: [debug, test] }
",
    )];
    for (profiles, expected) in [
        (&[][..], &["a"][..]),
        (&["debug"], &["a", "b", "c"]),
        (&["test"], &["a", "c"]),
        (&["*"], &["a", "b", "c"]),
        (&["other"], &["a"]),
    ] {
        assert_eq!(services(&load_files(&files, profiles).unwrap()), expected, "{profiles:?}");
    }
    assert_eq!(load_files(&files, &[]).unwrap().project.profiles(), BTreeSet::from(["debug", "test"]));
}

#[test]
fn a_variable_and_a_name_switch_services_on_too() {
    let source = Source {
        name: "c".into(),
        text: "services: { a: { image: i, profiles: [x] }, b: { image: i, profiles: [y] }, c: { image: i, profiles: [z] } }".into(),
        path: None,
    };
    let env = BTreeMap::from([("COMPOSE_PROFILES".to_owned(), "x, none".to_owned())]);
    let options = LoadOptions {
        env: env.into(),
        working_dir: Some("/nowhere/shop".into()),
        services: vec!["b".to_owned()],
        ..LoadOptions::default()
    };
    assert_eq!(services(&load(&[source], &options).unwrap()), ["a", "b"]);
}

#[test]
fn logging_of_another_driver_is_replaced_and_devices_by_their_target() {
    let base = "services: { a: { image: i, extra_hosts: ['a=1.1.1.1'], env_file: a.env } }\n";
    let over = "services: { a: { env_file: [{ path: a.env, required: false }, { path: b.env, required: false }] } }\n";
    let loaded = load_files(&[("compose.yaml", base), ("over.yaml", over), ("b.env", "B=1\n")], &[]).unwrap();
    assert_eq!(env(&loaded.project.services["a"]), "B=1");
}
