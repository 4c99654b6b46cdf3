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
        Err(problems) => problems.to_string(),
    };
    said.replace(&format!("{}/", folder.path().display()), "")
}

fn load(rendered: &Rendered) -> compose::Loaded {
    let source = Source { name: "rendered".into(), text: rendered.text.clone(), path: None };
    let options = LoadOptions {
        project_name: Some(rendered.name.to_string()),
        working_dir: Some(PathBuf::from("/")),
        ..LoadOptions::default()
    };
    compose::load(&[source], &options).unwrap_or_else(|problems| panic!("{problems}\n{}", rendered.text))
}

#[test]
fn built_in_templates_load_with_their_defaults() {
    let (templates, problems) = list(&[]);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(templates.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["etcd", "postgres"]);
    for template in templates {
        let loaded = load(&template.render(&[]).unwrap());
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        for parameter in template.parameters {
            assert!(!parameter.help.is_empty(), "{}: {} has no help", template.name, parameter.name);
            assert!(template.text.text.contains(&parameter.name), "{}: {} is unused", template.name, parameter.name);
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
    insta::assert_snapshot!(built_in("etcd", &[("members", "2"), ("port", "2379")]).text, @"");
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
    insta::assert_snapshot!(template.render(&wrong).unwrap_err(), @"");
    let twice = set(&[("members", "0"), ("members", "3")]);
    assert!(template.render(&twice).is_ok(), "the last counts");
}

#[test]
fn a_parameter_without_a_default_must_be_set() {
    let manifest = "summary: x\nparameters:\n  zone: { type: enum, values: [a, b], help: Where to run }\n";
    insta::assert_snapshot!(said(manifest, "{{ zone }}", &[]), @"");
    insta::assert_snapshot!(said(manifest, "{{ zone }}", &[("zone", "c")]), @"");
    assert_eq!(said(manifest, "z: {{ zone }}\n", &[("zone", "b")]), "z: \"b\"\n");
}

#[test]
fn an_unknown_template_is_named_with_the_closest() {
    insta::assert_snapshot!(find("etdc", &[]).unwrap_err(), @"");
    insta::assert_snapshot!(find("../../etc", &[]).unwrap_err(), @"");
}

#[test]
fn mistakes_in_a_manifest_are_reported_at_their_places() {
    let manifest = "sumary: x\nparameters:\n  Size: { type: int, default: big, min: no }\n  a: { default: 1 }\n  \
                    b: { type: strin, defalt: 1 }\n  c: { type: enum }\n  d: 5\n  e: { type: string, default: }\n";
    insta::assert_snapshot!(said(manifest, "", &[]), @"");
    insta::assert_snapshot!(said("", "", &[]), @"");
    insta::assert_snapshot!(said("a: b: c", "", &[]), @"");
}

#[test]
fn mistakes_in_a_template_are_reported_at_their_places() {
    let manifest = "summary: x\nparameters:\n  size: { type: int, default: 1 }\n";
    insta::assert_snapshot!(said(manifest, "a: 1\nb: {{ sise }}\n", &[]), @"");
    insta::assert_snapshot!(said(manifest, "a: {% if size %}\n", &[]), @"");
    insta::assert_snapshot!(said(manifest, "a: {{ size|safe }}\n", &[]), @"");
}

#[test]
fn no_value_escapes_its_quotes() {
    let manifest = "summary: x\nparameters:\n  v: { type: string }\n";
    let text = "{% macro line(x) %}\n- {{ x }}\n{% endmacro %}\n{{ line(v) }}\n{% set b %}- {{ v }}{% endset %}\n\
                {{ b }}\n- {{ [v, 1] }}\n- {{ {\"k\": v} }}\n- {{ \"a\" ~ v }}\n- {{ v|e }}\n";
    insta::assert_snapshot!(said(manifest, text, &[("v", "\"\n- $x")]), @"");
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
    assert_eq!(templates.len(), 2, "etcd of the folder and postgres");
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
