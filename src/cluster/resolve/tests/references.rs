//! Names that refer to something else in the file.

use super::{messages, problems};

#[test]
fn every_undefined_reference_is_reported_with_its_place() {
    let text = "
services:
  web:
    image: web
    networks: [bakc]
    volumes: ['dtaa:/data', 'cache:/cache']
    depends_on: [db, wbe2]
    configs: [site]
    secrets: [toke]
    x-convoke: { needs: [queue] }
  web2:
    image: web
networks: { back: {} }
volumes: { data: {} }
secrets: { token: { environment: TOKEN } }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: network "bakc" is not defined
     --> compose.yaml:5:16
      |
    5 |     networks: [bakc]
      |                ^^^^
      = help: did you mean "back"?

    error: volume "dtaa" is not defined
     --> compose.yaml:6:15
      |
    6 |     volumes: ['dtaa:/data', 'cache:/cache']
      |               ^^^^^^^^^^^^
      = help: did you mean "data"?

    error: volume "cache" is not defined
     --> compose.yaml:6:29
      |
    6 |     volumes: ['dtaa:/data', 'cache:/cache']
      |                             ^^^^^^^^^^^^^^
      = help: define it under the file's top-level "volumes", or write "./cache" if a folder is meant

    error: "web" depends on "db", which is no service here
     --> compose.yaml:7:18
      |
    7 |     depends_on: [db, wbe2]
      |                  ^^
      = help: define it under the file's top-level "services"

    error: "web" depends on "wbe2", which is no service here
     --> compose.yaml:7:22
      |
    7 |     depends_on: [db, wbe2]
      |                      ^^^^
      = help: did you mean "web2"?

    error: config "site" is not defined
     --> compose.yaml:8:15
      |
    8 |     configs: [site]
      |               ^^^^
      = help: define it under the file's top-level "configs"

    error: secret "toke" is not defined
     --> compose.yaml:9:15
      |
    9 |     secrets: [toke]
      |               ^^^^
      = help: did you mean "token"?

    error: "web" needs "queue", which is no service or component here
      --> compose.yaml:10:26
       |
    10 |     x-convoke: { needs: [queue] }
       |                          ^^^^^
       = help: define it under the file's top-level "services"
    "#);
}

#[test]
fn a_missing_dependency_that_is_not_required_is_only_a_warning() {
    let text = "
services:
  web: { image: web, depends_on: { db: { condition: service_healthy, required: false } } }
";
    assert_eq!(messages(text), ["\"web\" depends on \"db\", which is no service here"]);
}

#[test]
fn two_components_of_one_name_are_refused() {
    let text = "
services:
  db: { image: db, scale: 2 }
  db-1: { image: db }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: the name "db-1" is taken twice: by the service and by container 1 of "db"
     --> compose.yaml:4:3
      |
    4 |   db-1: { image: db }
      |   ^^^^
      = help: rename one of the services
    "#);
}

#[test]
fn two_containers_of_one_name_are_refused() {
    let text = "
services:
  a: { image: i, container_name: same }
  b: { image: i, container_name: same }
  c: { image: i, container_name: own, scale: 2 }
  d: { image: i, scale: 500 }
  e: { image: i, scale: 1000 }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: the container name "same" is taken twice: by "a" (compose.yaml:3:34) and by "b"
     --> compose.yaml:4:34
      |
    4 |   b: { image: i, container_name: same }
      |                                  ^^^^
      = help: give one of them another container_name

    error: 2 containers of "c" can't share the container_name "own"
     --> compose.yaml:5:34
      |
    5 |   c: { image: i, container_name: own, scale: 2 }
      |                                  ^^^
      = help: remove container_name, or run one container

    error: 1000 containers of "e" are too many
     --> compose.yaml:7:25
      |
    7 |   e: { image: i, scale: 1000 }
      |                         ^^^^
      = help: a cluster has at most 1000 containers
    "#);
}
