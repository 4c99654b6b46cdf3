//! Files with bad syntax, keys, types or variables, and every word that is said about them.

use super::*;

#[test]
fn yaml_that_cannot_be_parsed() {
    insta::assert_snapshot!(said("services:\n  a: [1, 2\n"), @r#"
    error: invalid YAML: unclosed bracket '['
     --> compose.yaml:2:6
      |
    2 |   a: [1, 2
      |      ^
    "#);
    insta::assert_snapshot!(said("services:\n\ta: 1\n"), @r#"
    error: invalid YAML: tabs disallowed within this context (block indentation)
     --> compose.yaml:2:2
      |
    2 | 	a: 1
      | 	^
      = help: indent with spaces, not with tabs
    "#);
    insta::assert_snapshot!(said("services:\n  a: 'x\n"), @r#"
    error: invalid YAML: unclosed quote
     --> compose.yaml:2:6
      |
    2 |   a: 'x
      |      ^
    "#);
    insta::assert_snapshot!(said("a: *nobody\n"), @r#"
    error: invalid YAML: while parsing node, found unknown anchor
     --> compose.yaml:1:4
      |
    1 | a: *nobody
      |    ^
    "#);
    insta::assert_snapshot!(said("a: 1\n b: 2\n"), @r#"
    error: invalid YAML: mapping values are not allowed in this context
     --> compose.yaml:2:3
      |
    2 |  b: 2
      |   ^
    "#);
    insta::assert_snapshot!(said("x: !custom 1\nservices: {a: {image: i}}\n"), @r#"
    error: unknown key "x" at the top level
     --> compose.yaml:1:1
      |
    1 | x: !custom 1
      | ^

    error: the tag !custom isn't supported
     --> compose.yaml:1:4
      |
    1 | x: !custom 1
      |    ^^^^^^^
      = help: there are !reset and !override, for what another file says
    "#);
    insta::assert_snapshot!(said("a: &a [*a]\n"), @r#"
    error: an alias inside its own anchor isn't supported
     --> compose.yaml:1:8
      |
    1 | a: &a [*a]
      |        ^^
    "#);
    insta::assert_snapshot!(said(""), @r#"
    error: the file is empty
     --> compose.yaml
    "#);
    insta::assert_snapshot!(said("just text\n"), @r#"
    error: a Compose file must be a mapping, but this is a string
     --> compose.yaml:1:1
      |
    1 | just text
      | ^^^^^^^^^
    "#);
    insta::assert_snapshot!(said("[1]\n"), @r#"
    error: a Compose file must be a mapping, but this is a list
     --> compose.yaml:1:1
      |
    1 | [1]
      | ^
    "#);
    insta::assert_snapshot!(said("services: { a: { image: i, <<: 3 } }\n"), @r#"
    error: the merge key << takes a mapping or a list of mappings
     --> compose.yaml:1:32
      |
    1 | services: { a: { image: i, <<: 3 } }
      |                                ^
    "#);
    insta::assert_snapshot!(said("services: { [a]: 1 }\n"), @r#"
    error: there are no services
     --> compose.yaml:1:11
      |
    1 | services: { [a]: 1 }
      |           ^

    error: a key must be a string, but this is a list
     --> compose.yaml:1:13
      |
    1 | services: { [a]: 1 }
      |             ^
    "#);
}

#[test]
fn duplicate_keys() {
    insta::assert_snapshot!(said("services:\n  a:\n    image: i\n    image: j\n  a:\n    image: k\n"), @r#"
    error: duplicate key "image"
     --> compose.yaml:4:5
      |
    4 |     image: j
      |     ^^^^^
      = help: the first is at compose.yaml:3:5

    error: duplicate key "a"
     --> compose.yaml:5:3
      |
    5 |   a:
      |   ^
      = help: the first is at compose.yaml:2:3
    "#);
}

#[test]
fn unknown_and_unsupported_keys() {
    insta::assert_snapshot!(said("service: {}\nservices:\n  web:\n    imgae: nginx\n    enviroment: {}\n    dns: 1.1.1.1\n    build: { contxt: . }\n    frobnicate: 1\n    x-anything: 1\n    x-convok: 1\n    depends_on: { b: { conditon: x } }\ninclude: [a]\n"), @r#"
    error: unknown key "service" at the top level
     --> compose.yaml:1:1
      |
    1 | service: {}
      | ^^^^^^^
      = help: did you mean "services"?

    error: unknown key "imgae" in services.web
     --> compose.yaml:4:5
      |
    4 |     imgae: nginx
      |     ^^^^^
      = help: did you mean "image"?

    error: unknown key "enviroment" in services.web
     --> compose.yaml:5:5
      |
    5 |     enviroment: {}
      |     ^^^^^^^^^^
      = help: did you mean "environment"?

    error: unknown key "contxt" in services.web.build
     --> compose.yaml:7:14
      |
    7 |     build: { contxt: . }
      |              ^^^^^^
      = help: did you mean "context"?

    error: unknown key "frobnicate" in services.web
     --> compose.yaml:8:5
      |
    8 |     frobnicate: 1
      |     ^^^^^^^^^^

    warning: the extension key "x-convok" is ignored
      --> compose.yaml:10:5
       |
    10 |     x-convok: 1
       |     ^^^^^^^^
       = help: did you mean "x-convoke"?

    error: unknown key "conditon" in services.web.depends_on.b
      --> compose.yaml:11:24
       |
    11 |     depends_on: { b: { conditon: x } }
       |                        ^^^^^^^^
       = help: did you mean "condition"?

    error: include: "a" can't be read: No such file or directory (os error 2)
      --> compose.yaml:12:11
       |
    12 | include: [a]
       |           ^
       = help: relative paths are looked up in /nowhere/shop
    "#);
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(said("services:\n  web:\n    image: [nginx]\n    command: { a: b }\n    environment: 5\n    ports: 80\n    init: maybe\n    tty: yes\n    hostname: 5\n    scale: many\n    networks: x\n    healthcheck: [a]\n    ulimits: [a]\n    working_dir: { }\n    cap_add: NET_ADMIN\n    environment2:\n"), @r#"
    error: services.web.image must be a string, but it is a list
     --> compose.yaml:3:12
      |
    3 |     image: [nginx]
      |            ^

    error: services.web.command must be a string or a list, but it is a mapping
     --> compose.yaml:4:14
      |
    4 |     command: { a: b }
      |              ^

    error: services.web.environment must be a mapping or a list of key=value, but it is a number
     --> compose.yaml:5:18
      |
    5 |     environment: 5
      |                  ^

    error: services.web.ports must be a list, but it is a number
     --> compose.yaml:6:12
      |
    6 |     ports: 80
      |            ^^

    error: services.web.init must be a boolean, but it is a string
     --> compose.yaml:7:11
      |
    7 |     init: maybe
      |           ^^^^^

    warning: services.web.tty should be a boolean, but it is the word "yes"
     --> compose.yaml:8:10
      |
    8 |     tty: yes
      |          ^^^
      = help: write true

    error: services.web.hostname must be a string, but it is a number
     --> compose.yaml:9:15
      |
    9 |     hostname: 5
      |               ^
      = help: put it in quotes: "5"

    error: services.web.scale must be a whole number, but it is a string
      --> compose.yaml:10:12
       |
    10 |     scale: many
       |            ^^^^

    error: services.web.networks must be a list or a mapping, but it is a string
      --> compose.yaml:11:15
       |
    11 |     networks: x
       |               ^

    error: services.web.healthcheck must be a mapping, but it is a list
      --> compose.yaml:12:18
       |
    12 |     healthcheck: [a]
       |                  ^

    error: services.web.ulimits must be a mapping, but it is a list
      --> compose.yaml:13:14
       |
    13 |     ulimits: [a]
       |              ^

    error: services.web.working_dir must be a string, but it is a mapping
      --> compose.yaml:14:18
       |
    14 |     working_dir: { }
       |                  ^

    error: services.web.cap_add must be a list, but it is a string
      --> compose.yaml:15:14
       |
    15 |     cap_add: NET_ADMIN
       |              ^^^^^^^^^

    error: unknown key "environment2" in services.web
      --> compose.yaml:16:5
       |
    16 |     environment2:
       |     ^^^^^^^^^^^^
       = help: did you mean "environment"?
    "#);
    insta::assert_snapshot!(said("services: [a]\n"), @r#"
    error: services must be a mapping, but it is a list
     --> compose.yaml:1:11
      |
    1 | services: [a]
      |           ^
    "#);
    insta::assert_snapshot!(said("services:\n"), @r#"
    error: there are no services
     --> compose.yaml:1:1
      |
    1 | services:
      | ^
      = help: add services: with one key for each service
    "#);
    insta::assert_snapshot!(said("services: { a: }\n"), @r#"
    error: services.a must be a mapping, but it is empty
     --> compose.yaml:1:14
      |
    1 | services: { a: }
      |              ^
    "#);
    insta::assert_snapshot!(said("services: { a: { image: i, command: [sleep, 10], labels: { a: [1] } } }\n"), @r#"
    error: services.a.command[1] must be a string, but it is a number
     --> compose.yaml:1:45
      |
    1 | services: { a: { image: i, command: [sleep, 10], labels: { a: [1] } } }
      |                                             ^^
      = help: put it in quotes: "10"

    error: services.a.labels.a must be a string or a number, but it is a list
     --> compose.yaml:1:63
      |
    1 | services: { a: { image: i, command: [sleep, 10], labels: { a: [1] } } }
      |                                                               ^
    "#);
}

#[test]
fn variables() {
    insta::assert_snapshot!(said("services:\n  a:\n    image: ${NO}:${TAG}\n    command: echo $1\n    user: ${NO:?say who}\n    hostname: ${A\n    environment: { X: $NOPE }\n"), @r#"
    warning: variable "NO" is not set; an empty string is used
     --> compose.yaml:3:12
      |
    3 |     image: ${NO}:${TAG}
      |            ^^^^^^^^^^^^

    error: variable "NO" is required: say who
     --> compose.yaml:5:11
      |
    5 |     user: ${NO:?say who}
      |           ^^^^^^^^^^^^^^

    error: "${A" is not a valid variable reference
     --> compose.yaml:6:15
      |
    6 |     hostname: ${A
      |               ^^^
      = help: write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain dollar sign is $$

    warning: variable "NOPE" is not set; an empty string is used
     --> compose.yaml:7:23
      |
    7 |     environment: { X: $NOPE }
      |                       ^^^^^
    "#);
}

#[test]
fn limits() {
    let said = |text: &str| load_texts(&[text]).unwrap_err().iter().next().unwrap().message.clone();
    assert_eq!(said(&"#".repeat((4 << 20) + 1)), "the file is larger than 4 MiB");
    let mut bomb = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*x{}", level - 1); 10].join(", ");
        bomb += &format!("x{level}: &x{level} [{aliases}]\n");
    }
    assert_eq!(said(&bomb), "the document is too large: more than 50000 values, aliases included");
    let mut deep = "x0: &x0 [a]\n".to_owned();
    for level in 1..80 {
        deep += &format!("x{level}: &x{level} [*x{}]\n", level - 1);
    }
    assert_eq!(said(&deep), "the document is nested too deeply: more than 64 levels");
    let nested = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(said(&nested).starts_with("invalid YAML: "), "{}", said(&nested));
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let long = "a".repeat(150);
    let text = format!("services: {{ {long}: {{ image: i }}, b: {{ imgae: j }}, {long}2: {{ image: i }} }}");
    insta::assert_snapshot!(said(&text), @r#"
    error: unknown key "imgae" in services.b
     --> compose.yaml:1:184
      |
    1 | … { image: i }, b: { imgae: j }, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…
      |                      ^^^^^
      = help: did you mean "image"?
    "#);
}

#[test]
fn empty_required_keys_count_as_missing() {
    insta::assert_snapshot!(said("services: { a: { image: i, ports: [{ target: }], volumes: [{ type: , target: /x }] } }"), @r#"
    error: services.a.ports[0] has no target
     --> compose.yaml:1:36
      |
    1 | services: { a: { image: i, ports: [{ target: }], volumes: [{ type: , target: /x }] } }
      |                                    ^

    error: services.a.volumes[0] has no type
     --> compose.yaml:1:60
      |
    1 | services: { a: { image: i, ports: [{ target: }], volumes: [{ type: , target: /x }] } }
      |                                                            ^
    "#);
}

#[test]
fn lines_with_a_secret_are_not_quoted() {
    insta::assert_snapshot!(said("services: { a: { image: i } }\nsecrets:\n  v: { external: false }\n  s: { content: hunter2, fiel: x }\n  t:\n    content: a\n    content: hunter3\n"), @r#"
    error: the secret "v" needs exactly one of file, content, environment and external
     --> compose.yaml:3:6
      |
    3 |   v: { external: false }
      |      ^

    error: unknown key "fiel" in secrets.s
     --> compose.yaml:4:26
      = help: did you mean "file"?

    error: duplicate key "content"
     --> compose.yaml:7:5
      = help: the first is at compose.yaml:6:5
    "#);
}

#[test]
fn problems_are_serialised_with_their_place() {
    let problems = load_texts(&["services: { a: { imgae: x, image: y } }"]).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string(&problems).unwrap(), @r#"[{"severity":"error","place":{"file":"compose.yaml","line":1,"column":18},"message":"unknown key \"imgae\" in services.a","hint":"did you mean \"image\"?"}]"#);
}

#[test]
fn a_text_that_cannot_be_read_shows_no_secret_either() {
    let unreadable = "services: { a: { image: i } }\nsecrets:\n  s:\n    content: \"hunter2\\q\"\n";
    assert!(!said(unreadable).contains("hunter2"), "{}", said(unreadable));
    let dollar = "services: { a: { image: i } }\nsecrets:\n  s: { content: 'ab${}hunter2' }\n";
    insta::assert_snapshot!(said(dollar), @r"
    error: a dollar sign in it is not a valid variable reference
     --> compose.yaml:3:17
      = help: write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain dollar sign is $$
    ");
    let elsewhere = "secrets: { s: { file: x } }\nservices:\n  a: { image: \"i\\q\" }\n";
    assert!(said(elsewhere).contains("| "), "{}", said(elsewhere));
}

#[test]
fn a_service_that_extends_nothing_needs_an_image() {
    let said = said("services: { a: { extends: , user: u } }\n");
    assert!(said.contains("service \"a\" has neither an image nor a build"), "{said}");
}
