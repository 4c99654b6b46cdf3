//! Templates from the folder to the text.

use std::path::{Path, PathBuf};

use super::*;
use crate::compose::{self, LoadOptions, Source};

fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn built_in(name: &str, pairs: &[(&str, &str)]) -> Rendered {
    find(name, &[]).unwrap().render(&set(pairs)).unwrap()
}

/// A folder of templates with one called `mine`.
fn mine(manifest: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::write(folder.path().join("mine/template.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("mine/compose.yaml.j2"), text).unwrap();
    folder
}

/// What finding and rendering `mine` says, with the folder's path left out.
fn said(manifest: &str, text: &str, pairs: &[(&str, &str)]) -> String {
    let folder = mine(manifest, text);
    let directories = [folder.path().to_owned()];
    let rendered = find("mine", &directories).and_then(|template| template.render(&set(pairs)));
    let said = match rendered {
        Ok(rendered) => rendered.text,
        Err(error) => error.to_string(),
    };
    said.replace(&format!("{}/", folder.path().display()), "")
}

fn load(rendered: &Rendered) -> compose::Loaded {
    let source = Source { name: "rendered".into(), text: rendered.text.clone(), path: None };
    let options = LoadOptions {
        project_name: Some("test".to_owned()),
        working_dir: Some(PathBuf::from("/")),
        ..LoadOptions::default()
    };
    compose::load(&[source], &options).unwrap_or_else(|problems| panic!("{problems}\n{}", rendered.text))
}

#[test]
fn built_in_templates_load_with_their_defaults() {
    let (templates, problems) = list(&[]);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(templates.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["etcd", "neon", "postgres"]);
    for template in templates {
        let loaded = load(&template.render(&[]).unwrap());
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        for parameter in template.parameters {
            assert!(!parameter.help.is_empty(), "{}: {} has no help", template.name, parameter.name);
            assert!(template.text.text().contains(&parameter.name), "{}: {} is unused", template.name, parameter.name);
        }
    }
}

#[test]
fn a_template_has_a_readme() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-templates");
    for template in list(&[]).0 {
        let readme = std::fs::read_to_string(folder.join(template.name.as_str()).join("README.md")).unwrap();
        for parameter in &template.parameters {
            assert!(readme.contains(&format!("`{}`", parameter.name)), "{}: {}", template.name, parameter.name);
        }
    }
}

#[test]
fn etcd_members_depend_on_each_other() {
    insta::assert_snapshot!(built_in("etcd", &[("members", "2"), ("port", "2379")]).text, @r#"
    # Each member needs the others to become healthy, and says so: a cycle, whose members start together.
    services:
      etcd-1:
        image: "convoke/etcd:3.4"
        entrypoint: [etcd]
        command:
          - --name=etcd-1
          - --data-dir=/var/lib/etcd/data
          - --listen-client-urls=http://0.0.0.0:2379
          - --advertise-client-urls=http://etcd-1:2379
          - --listen-peer-urls=http://0.0.0.0:2380
          - --initial-advertise-peer-urls=http://etcd-1:2380
          - --initial-cluster=etcd-1=http://etcd-1:2380,etcd-2=http://etcd-2:2380
          - --snapshot-count=10000
        environment:
          ETCDCTL_API: "3"
        depends_on:
          etcd-2: { condition: service_healthy }
        ports:
          - "2379:2379"
        volumes:
          - data-1:/var/lib/etcd
        # A leader that is told to stop hands over first, and waits 7 s for peers that stop at the same time. What was
        # acknowledged is on disk either way.
        stop_grace_period: 1s
        x-convoke:
          live: { tcp: { port: 2379 } }
          ready: { http: { port: 2379, path: /health } }
      etcd-2:
        image: "convoke/etcd:3.4"
        entrypoint: [etcd]
        command:
          - --name=etcd-2
          - --data-dir=/var/lib/etcd/data
          - --listen-client-urls=http://0.0.0.0:2379
          - --advertise-client-urls=http://etcd-2:2379
          - --listen-peer-urls=http://0.0.0.0:2380
          - --initial-advertise-peer-urls=http://etcd-2:2380
          - --initial-cluster=etcd-1=http://etcd-1:2380,etcd-2=http://etcd-2:2380
          - --snapshot-count=10000
        environment:
          ETCDCTL_API: "3"
        depends_on:
          etcd-1: { condition: service_healthy }
        ports:
          - "2380:2379"
        volumes:
          - data-2:/var/lib/etcd
        # A leader that is told to stop hands over first, and waits 7 s for peers that stop at the same time. What was
        # acknowledged is on disk either way.
        stop_grace_period: 1s
        x-convoke:
          live: { tcp: { port: 2379 } }
          ready: { http: { port: 2379, path: /health } }

    volumes:
      data-1: {}
      data-2: {}
    "#);
    let loaded = load(&built_in("etcd", &[("members", "1")]));
    assert_eq!(loaded.project.services.len(), 1);
}

#[test]
fn a_secret_that_was_set_is_told_apart_from_a_public_default() {
    let password = "p\"a$${x}: \\ #'\n- é\u{7f}";
    let rendered = built_in("postgres", &[("password", password)]);
    assert_eq!(rendered.secrets, [password]);
    load(&rendered);
    assert!(!format!("{rendered:?}").contains("é"));
    assert!(built_in("postgres", &[]).secrets.is_empty());
}

#[test]
fn parameters_are_checked_together() {
    let template = find("etcd", &[]).unwrap();
    let wrong = set(&[("membres", "3"), ("members", "ten"), ("frobnicate", "1")]);
    insta::assert_snapshot!(template.render(&wrong).unwrap_err(), @r#"
    error: parameter "members" of template etcd must be a whole number from 1 to 9, but it is "ten"

    error: template etcd has no parameter "frobnicate"
      = help: it has members, image, port, snapshot_count

    error: template etcd has no parameter "membres"
      = help: did you mean "members"?
    "#);
    let twice = set(&[("members", "0"), ("members", "3")]);
    assert!(template.render(&twice).is_ok(), "the last counts");
}

#[test]
fn a_parameter_without_a_default_must_be_set() {
    let manifest = "summary: x\nparameters:\n  zone: { type: enum, values: [a, b], help: Where to run }\n";
    insta::assert_snapshot!(said(manifest, "{{ zone }}", &[]), @r#"
    error: template mine needs parameter "zone" (Where to run)
      = help: add --set zone=VALUE
    "#);
    insta::assert_snapshot!(said(manifest, "{{ zone }}", &[("zone", "c")]), @r#"
    error: parameter "zone" of template mine must be one of a, b, but it is "c"
    "#);
    assert_eq!(said(manifest, "z: {{ zone }}\n", &[("zone", "b")]), "z: \"b\"\n");
}

#[test]
fn a_template_may_refuse_parameters_in_its_own_words() {
    let manifest = "summary: x\nparameters:\n  n: { type: int }\n";
    let text = "{% if n == 2 %}\n{{ fail(\"n must be odd, but it is \" ~ n) }}\n{% endif %}\nn: {{ n }}\n";
    insta::assert_snapshot!(said(manifest, text, &[("n", "2")]), @"error: template mine: n must be odd, but it is 2");
    assert_eq!(said(manifest, text, &[("n", "3")]), "n: 3\n");
}

#[test]
fn neon_has_as_many_nodes_as_asked_for_and_no_gates() {
    let loaded = load(&built_in("neon", &[("pageservers", "3"), ("safekeepers", "5"), ("images", "sim")]));
    assert_eq!(loaded.project.services.len(), 3 + 3 + 5 + 3);
    assert!(loaded.project.services.values().all(|service| service.depends_on.is_empty()));
    let smallest = load(&built_in("neon", &[("pageservers", "1"), ("safekeepers", "1")]));
    assert_eq!(smallest.project.services.len(), 8);
    let two = find("neon", &[]).unwrap().render(&set(&[("safekeepers", "2")])).unwrap_err();
    assert!(two.to_string().contains("safekeepers must be 1, or 3 and more"), "{two}");
}

#[test]
fn an_unknown_template_is_named_with_the_closest() {
    insta::assert_snapshot!(find("etdc", &[]).unwrap_err(), @r#"
    error: there is no template "etdc"
      = help: did you mean "etcd"?
    "#);
    insta::assert_snapshot!(find("../../etc", &[]).unwrap_err(), @r#"
    error: there is no template "../../etc"
      = help: there are etcd, neon, postgres; --template-dir DIR adds those in a folder
    "#);
}

#[test]
fn mistakes_in_a_manifest_are_reported_at_their_places() {
    let manifest = "sumary: x\nparameters:\n  Size: { type: int, default: big, min: no }\n  a: { default: 1 }\n  \
                    b: { type: strin, defalt: 1 }\n  c: { type: enum }\n  d: 5\n  e: { type: string, default: }\n";
    insta::assert_snapshot!(said(manifest, "", &[]), @r#"
    error: unknown key "sumary"
     --> mine/template.yaml:1:1
      |
    1 | sumary: x
      | ^^^^^^
      = help: did you mean "summary"?

    error: the manifest has no summary
     --> mine/template.yaml:1:1
      |
    1 | sumary: x
      | ^
      = help: add summary: what the template starts

    error: parameter name "Size" must start with a lower-case letter and hold only lower-case letters, digits and '_'
     --> mine/template.yaml:3:3
      |
    3 |   Size: { type: int, default: big, min: no }
      |   ^^^^

    error: min must be a whole number
     --> mine/template.yaml:3:41
      |
    3 |   Size: { type: int, default: big, min: no }
      |                                         ^^

    error: default must be a whole number, but it is "big"
     --> mine/template.yaml:3:31
      |
    3 |   Size: { type: int, default: big, min: no }
      |                               ^^^

    error: the parameter has no type
     --> mine/template.yaml:4:6
      |
    4 |   a: { default: 1 }
      |      ^
      = help: add type: one of string, int, bool, enum, port, duration, secret

    error: unknown key "defalt"
     --> mine/template.yaml:5:21
      |
    5 |   b: { type: strin, defalt: 1 }
      |                     ^^^^^^
      = help: did you mean "default"?

    error: unknown type "strin"
     --> mine/template.yaml:5:14
      |
    5 |   b: { type: strin, defalt: 1 }
      |              ^^^^^
      = help: use one of string, int, bool, enum, port, duration, secret

    error: the enum has no values
     --> mine/template.yaml:6:6
      |
    6 |   c: { type: enum }
      |      ^
      = help: add values: [a, b]

    error: a parameter must be a mapping, but it is a number
     --> mine/template.yaml:7:6
      |
    7 |   d: 5
      |      ^

    error: the default is empty
     --> mine/template.yaml:8:29
      |
    8 |   e: { type: string, default: }
      |                             ^
      = help: write default: "" for empty text; leave the line out if the parameter must be set
    "#);
    insta::assert_snapshot!(said("", "", &[]), @r"
    error: the manifest is empty
     --> mine/template.yaml
    ");
    insta::assert_snapshot!(said("a: b: c", "", &[]), @r"
    error: invalid YAML: mapping values are not allowed in this context
     --> mine/template.yaml:1:5
      |
    1 | a: b: c
      |     ^
    ");
}

#[test]
fn mistakes_in_a_template_are_reported_at_their_places() {
    let manifest = "summary: x\nparameters:\n  size: { type: int, default: 1 }\n";
    insta::assert_snapshot!(said(manifest, "a: 1\nb: {{ sise }}\n", &[]), @r"
    error: template mine can't be rendered: undefined value: `sise` is undefined
     --> mine/compose.yaml.j2:2:7
      |
    2 | b: {{ sise }}
      |       ^^^^
      = help: the template's parameters are size
    ");
    insta::assert_snapshot!(said(manifest, "a: {% if size %}\n", &[]), @r"
    error: template mine can't be rendered: syntax error: unexpected end of input, expected end of block
     --> mine/compose.yaml.j2:1:15
      |
    1 | a: {% if size %}
      |               ^^
    ");
    for filter in ["safe", "e", "escape", "tojson"] {
        let text = format!("a: {{{{ size|{filter} }}}}\n");
        assert!(said(manifest, &text, &[]).contains(&format!("unknown filter: filter {filter}")), "{filter}");
    }
    insta::assert_snapshot!(said(manifest, "a: {{ size|safe }}\n", &[]), @r"
    error: template mine can't be rendered: unknown filter: filter safe is unknown
     --> mine/compose.yaml.j2:1:12
      |
    1 | a: {{ size|safe }}
      |            ^^^^
    ");
}

#[test]
fn no_value_escapes_its_quotes() {
    let manifest = "summary: x\nparameters:\n  v: { type: string }\n";
    let text = "{% macro line(x) %}\n- {{ x }}\n{% endmacro %}\n{{ line(v) }}\n{% set b %}- {{ v }}{% endset %}\n\
                {{ b }}\n- {{ [v, 1] }}\n- {{ {\"k\": v} }}\n- {{ \"a\" ~ v }}\n";
    insta::assert_snapshot!(said(manifest, text, &[("v", "\"\n- $x")]), @r#"
    - "\"\n- $$x"

    - "\"\n- $$x"
    - ["\"\n- $$x", 1]
    - {"k": "\"\n- $$x"}
    - "a\"\n- $$x"
    "#);
}

#[test]
fn a_folder_of_the_users_wins() {
    let folder = mine("summary: mine", "services: {}\n");
    std::fs::rename(folder.path().join("mine"), folder.path().join("etcd")).unwrap();
    let directories = [PathBuf::from("/nowhere"), folder.path().to_owned()];
    let template = find("etcd", &directories).unwrap();
    assert_eq!(template.origin, Origin::Directory(folder.path().join("etcd")));
    std::fs::create_dir(folder.path().join("broken")).unwrap();
    std::fs::write(folder.path().join("broken/template.yaml"), "summary: x").unwrap();
    let (templates, problems) = list(&directories);
    assert_eq!(templates.len(), 3, "etcd of the folder, neon and postgres");
    assert!(problems.to_string().contains("broken/compose.yaml.j2 can't be read"), "{problems}");
}

#[test]
fn the_users_own_folder() {
    let env = |pairs: &'static [(&str, &str)]| {
        user_directory(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    };
    assert_eq!(env(&[("HOME", "/h")]), Some("/h/.config/convoke/templates".into()));
    assert_eq!(env(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]), Some("/c/convoke/templates".into()));
    assert_eq!(env(&[("XDG_CONFIG_HOME", "relative")]), None);
}

/// Text of the rendered template neon.
fn neon(parameters: &[(&str, &str)]) -> String {
    find("neon", &[]).unwrap().render(&set(parameters)).unwrap().text
}

#[test]
fn neon_takes_more_lines_for_pageservers_and_more_options_for_safekeepers() {
    let more =
        [("pageserver_config", "tenant_config = { pitr_interval = '1h' }"), ("safekeeper_options", "--no-sync  --dev")];
    let text = neon(&more);
    assert!(text.contains(r"' }\ntenant_config = { pitr_interval = '1h' }\n"), "{text}");
    assert!(text.contains("      - \"--no-sync\"\n      - \"--dev\"\n    init: true\n"), "{text}");
}

#[test]
fn neon_keeps_layers_in_a_bucket_if_told_so() {
    let bucket =
        [("storage", "s3"), ("s3_endpoint", "http://s3:9000"), ("s3_access_key", "me"), ("s3_secret_key", "of me")];
    let text = neon(&bucket);
    let storage = r#"{ endpoint = \"http://s3:9000\", bucket_name = \"neon\", bucket_region = \"eu-north-1\", prefix_in_bucket = "#;
    for prefix in ["'/pageserver' }", "'/safekeeper/' }"] {
        assert!(text.contains(&format!("{storage}{prefix}")), "{text}");
    }
    assert_eq!(text.matches("AWS_SHARED_CREDENTIALS_FILE: /run/s3/credentials").count(), 2 + 3, "{text}");
    assert!(text.contains(r#"aws_secret_access_key = of me\n""#) && !text.contains("\n  s3:\n"), "{text}");
    assert!(!neon(&[]).contains("AWS_"));
    let own = neon(&[("storage", "s3"), ("s3_image", "some/minio:1")]);
    assert!(own.contains("\n  s3:\n    image: \"some/minio:1\"\n") && own.contains("http://s3:9000"), "{own}");
    let refused =
        |parameters: &[(&str, &str)]| find("neon", &[]).unwrap().render(&set(parameters)).unwrap_err().to_string();
    assert!(refused(&bucket[..3]).contains("s3_access_key and s3_secret_key together"));
    assert!(refused(&bucket[1..]).contains("are for storage=s3, but storage is volume"));
}
