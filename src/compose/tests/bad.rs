//! Bad files, and every word that is said about them.

use super::*;

/// What is said about a file: as the error, or as the warnings.
fn said(text: &str) -> String {
    load_texts(&[text]).map_or_else(|problems| problems.to_string(), |loaded| loaded.warnings.to_string())
}

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
    insta::assert_snapshot!(said("a: 1\n---\nb: 2\n"), @r#"
    error: a second document isn't supported; use one file for each
     --> compose.yaml:2:1
      |
    2 | ---
      | ^^^
    "#);
    insta::assert_snapshot!(said("x: !custom 1\nservices: {a: {image: i}}\n"), @r#"
    error: unknown key "x" at the top level
     --> compose.yaml:1:1
      |
    1 | x: !custom 1
      | ^

    error: the tag !custom isn't supported yet
     --> compose.yaml:1:4
      |
    1 | x: !custom 1
      |    ^^^^^^^
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

    error: services.web.dns isn't supported yet
     --> compose.yaml:6:5
      |
    6 |     dns: 1.1.1.1
      |     ^^^
      = help: remove it, or rename it to begin with x-

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

    error: include isn't supported yet
      --> compose.yaml:12:1
       |
    12 | include: [a]
       | ^^^^^^^
       = help: remove it, or rename it to begin with x-
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

    error: services.web.tty must be a boolean, but it is a string
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
fn values_out_of_range() {
    insta::assert_snapshot!(said("services:\n  web:\n    image: i\n    ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]\n    expose: [0]\n    scale: -1\n    shm_size: big\n    stop_grace_period: 5 minutes\n    restart: sometimes\n    healthcheck: { interval: 0s, retries: 0, timeout: fast, test: [pg_isready] }\n    networks: { a: { ipv4_address: 300.1.1.1 } }\n    extra_hosts: [nothing, 'a=b']\n    pull_policy: daily\n    container_name: a/b\n    command: \"it's\"\nnetworks:\n  a: { ipam: { config: [{ subnet: 10.0.0.1/24 }] } }\n  'b c': {}\n  c: { external: true, driver: bridge }\n"), @r#"
    error: services.web.ports[0]: port 70000 is out of range; ports go from 1 to 65535
     --> compose.yaml:4:13
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |             ^^^^^^^^^^

    error: services.web.ports[1]: "x" is not a port number
     --> compose.yaml:4:25
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |                         ^^^
      = help: write [[ip:]host port:]container port[/protocol], such as 127.0.0.1:8080:80/tcp

    error: services.web.ports[2]: a range of host ports for one container port isn't supported yet
     --> compose.yaml:4:30
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |                              ^^^^^^^^^^^^^^
      = help: leave the host port out and the engine picks a free one

    error: services.web.ports[3].target must be from 1 to 65535, but it is 0
     --> compose.yaml:4:55
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |                                                       ^

    error: services.web.ports[3].published: port 99999 is out of range; ports go from 1 to 65535
     --> compose.yaml:4:69
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |                                                                     ^^^^^

    error: services.web.ports[4] has no target
     --> compose.yaml:4:77
      |
    4 |     ports: ['70000:80', 'x', '8000-8010:80', {target: 0, published: 99999}, {published: 80}]
      |                                                                             ^

    error: services.web.expose[0]: port 0 is out of range; ports go from 1 to 65535
     --> compose.yaml:5:14
      |
    5 |     expose: [0]
      |              ^

    error: services.web.scale must be from 0 to 1000, but it is -1
     --> compose.yaml:6:12
      |
    6 |     scale: -1
      |            ^^

    error: services.web.shm_size: "big" is not a size in bytes; write it like 64m, 1g or 2048
     --> compose.yaml:7:15
      |
    7 |     shm_size: big
      |               ^^^

    error: services.web.stop_grace_period: "5 minutes" is not a duration; write it like 30s, 1m30s or 500ms
     --> compose.yaml:8:24
      |
    8 |     stop_grace_period: 5 minutes
      |                        ^^^^^^^^^

    error: services.web.restart: "sometimes" is not a restart policy
     --> compose.yaml:9:14
      |
    9 |     restart: sometimes
      |              ^^^^^^^^^
      = help: there are no, always, unless-stopped, on-failure and on-failure:TIMES

    error: services.web.healthcheck.interval must be at least 1ms
      --> compose.yaml:10:30
       |
    10 |     healthcheck: { interval: 0s, retries: 0, timeout: fast, test: [pg_isready] }
       |                              ^^

    error: services.web.healthcheck.retries must be from 1 to 1000000, but it is 0
      --> compose.yaml:10:43
       |
    10 |     healthcheck: { interval: 0s, retries: 0, timeout: fast, test: [pg_isready] }
       |                                           ^

    error: services.web.healthcheck.timeout: "fast" is not a duration; write it like 30s, 1m30s or 500ms
      --> compose.yaml:10:55
       |
    10 |     healthcheck: { interval: 0s, retries: 0, timeout: fast, test: [pg_isready] }
       |                                                       ^^^^

    error: services.web.healthcheck.test must begin with CMD, CMD-SHELL or NONE
      --> compose.yaml:10:67
       |
    10 |     healthcheck: { interval: 0s, retries: 0, timeout: fast, test: [pg_isready] }
       |                                                                   ^
       = help: write a string for a shell line, or ["CMD", "program", "argument"]

    error: services.web.networks.a.ipv4_address must be an IPv4 address, but it is "300.1.1.1"
      --> compose.yaml:11:36
       |
    11 |     networks: { a: { ipv4_address: 300.1.1.1 } }
       |                                    ^^^^^^^^^

    error: services.web.extra_hosts: "nothing" is not name=address
      --> compose.yaml:12:19
       |
    12 |     extra_hosts: [nothing, 'a=b']
       |                   ^^^^^^^

    error: services.web.extra_hosts: "b" is neither an IP address nor host-gateway
      --> compose.yaml:12:28
       |
    12 |     extra_hosts: [nothing, 'a=b']
       |                            ^^^^^

    error: services.web.pull_policy: "daily" isn't supported yet
      --> compose.yaml:13:18
       |
    13 |     pull_policy: daily
       |                  ^^^^^

    error: services.web.container_name: "a/b" is not a container name
      --> compose.yaml:14:21
       |
    14 |     container_name: a/b
       |                     ^^^
       = help: it must start with a letter or digit and hold only letters, digits, '.', '_' and '-'

    error: services.web.command can't be split into words: a ' is not closed
      --> compose.yaml:15:14
       |
    15 |     command: "it's"
       |              ^^^^^^

    error: networks.a.ipam.config[0].subnet must be an IPv4 subnet such as 10.5.0.0/24, but it is "10.0.0.1/24"
      --> compose.yaml:17:35
       |
    17 |   a: { ipam: { config: [{ subnet: 10.0.0.1/24 }] } }
       |                                   ^^^^^^^^^^^

    error: network name "b c" must start with a letter or digit and hold only letters, digits, '.', '_' and '-'
      --> compose.yaml:18:3
       |
    18 |   'b c': {}
       |   ^^^^^

    error: networks.c is external and can't have driver
      --> compose.yaml:19:24
       |
    19 |   c: { external: true, driver: bridge }
       |                        ^^^^^^
       = help: only name goes with external: true
    "#);
}

#[test]
fn mounts() {
    insta::assert_snapshot!(said("services:\n  web:\n    image: i\n    volumes:\n      - data/x:/y\n      - a:b\n      - a:/b:ro:z\n      - a:/b:rx\n      - :/b\n      - /\n      - { type: bind, target: /c }\n      - { type: disk, target: /c }\n      - { source: x }\n      - one:/same\n      - two:/same/\n    tmpfs: [run, '/t:size=x']\n"), @r#"
    error: services.web.volumes[0]: volume name "data/x" must start with a letter or digit and hold only letters, digits, '.', '_' and '-'
     --> compose.yaml:5:9
      |
    5 |       - data/x:/y
      |         ^^^^^^^^^
      = help: a relative path begins with ./

    error: services.web.volumes[1]: the target "b" is not an absolute path
     --> compose.yaml:6:9
      |
    6 |       - a:b
      |         ^^^
      = help: write [source:]target[:options] with an absolute target

    error: services.web.volumes[2]: "a:/b:ro:z" has too many colons; write [source:]target[:options]
     --> compose.yaml:7:9
      |
    7 |       - a:/b:ro:z
      |         ^^^^^^^^^

    error: services.web.volumes[3]: "rx" is not an option of a mount; there are ro, rw and nocopy
     --> compose.yaml:8:9
      |
    8 |       - a:/b:rx
      |         ^^^^^^^

    error: services.web.volumes[4]: ":/b" has nothing before the colon
     --> compose.yaml:9:9
      |
    9 |       - :/b
      |         ^^^

    error: services.web.volumes[5]: nothing can be mounted at /
      --> compose.yaml:10:9
       |
    10 |       - /
       |         ^

    error: services.web.volumes[6] is a bind mount without a source
      --> compose.yaml:11:9
       |
    11 |       - { type: bind, target: /c }
       |         ^

    error: services.web.volumes[7].type must be "bind", "volume" or "tmpfs", but it is "disk"
      --> compose.yaml:12:17
       |
    12 |       - { type: disk, target: /c }
       |                 ^^^^

    error: services.web.volumes[8] has no target
      --> compose.yaml:13:9
       |
    13 |       - { source: x }
       |         ^

    error: services.web.volumes[8] has no type
      --> compose.yaml:13:9
       |
    13 |       - { source: x }
       |         ^

    error: something is already mounted at /same/
      --> compose.yaml:15:9
       |
    15 |       - two:/same/
       |         ^^^^^^^^^^
       = help: the first is at compose.yaml:14:9

    error: services.web.tmpfs[0]: the target "run" is not an absolute path
      --> compose.yaml:16:13
       |
    16 |     tmpfs: [run, '/t:size=x']
       |             ^^^
       = help: write [source:]target[:options] with an absolute target

    error: services.web.tmpfs[1]: "x" is not a size in bytes; write it like 64m, 1g or 2048
      --> compose.yaml:16:18
       |
    16 |     tmpfs: [run, '/t:size=x']
       |                  ^^^^^^^^^^^
    "#);
}

#[test]
fn configs_and_secrets() {
    insta::assert_snapshot!(said("services:\n  a: { image: i, secrets: [5, { target: /x }, { source: s, uid: root, mode: 999 }], configs: [{ source: c, mode: 440 }] }\nsecrets:\n  s: { file: a, content: b }\n  t: {}\n  u:\n"), @r#"
    error: services.a.secrets[0] must be a string, but it is a number
     --> compose.yaml:2:28
      |
    2 |   a: { image: i, secrets: [5, { target: /x }, { source: s, uid: root, mode: 999 }], configs: [{ source: c, mod…
      |                            ^
      = help: put it in quotes: "5"

    error: services.a.secrets[1] has no source
     --> compose.yaml:2:31
      |
    2 |   a: { image: i, secrets: [5, { target: /x }, { source: s, uid: root, mode: 999 }], configs: [{ source: c, mod…
      |                               ^

    error: services.a.secrets[2].uid must be a whole number, but it is a string
     --> compose.yaml:2:65
      |
    2 |   a: { image: i, secrets: [5, { target: /x }, { source: s, uid: root, mode: 999 }], configs: [{ source: c, mod…
      |                                                                 ^^^^

    warning: services.a.configs[0].mode is decimal: 440 means 0670
     --> compose.yaml:2:114
      |
    2 | …[{ source: c, mode: 440 }] }
      |                      ^^^
      = help: write 0440 if that was meant

    error: the secret "s" needs exactly one of file, content, environment and external
     --> compose.yaml:4:6

    error: the secret "t" needs exactly one of file, content, environment and external
     --> compose.yaml:5:6
      |
    5 |   t: {}
      |      ^

    error: secrets.u must be a mapping, but it is empty
     --> compose.yaml:6:4
      |
    6 |   u:
      |    ^
    "#);
    insta::assert_snapshot!(said("services: { a: { image: i, env_file: missing.env } }\n"), @r#"
    error: the env file "missing.env" can't be read: No such file or directory (os error 2)
     --> compose.yaml:1:38
      |
    1 | services: { a: { image: i, env_file: missing.env } }
      |                                      ^^^^^^^^^^^
      = help: relative paths are looked up in /nowhere/shop
    "#);
}

#[test]
fn convoke_keys() {
    insta::assert_snapshot!(said("x-convoke: { start: sequentially, stop: x }\nservices:\n  a:\n    image: i\n    x-convoke:\n      raedy: { tcp: { port: 1 } }\n      live: { tcp: { port: 1 }, log: { contains: x } }\n      ready: { http: { path: ready, port: 80, prt: 1 } }\n      owner: { data: '1:1', /d: root }\n      needs: b\n      completes: 3\n  b: { image: i, x-convoke: { ready: {}, live: { http: {} } } }\n  c: { image: i, x-convoke: { ready: { exec: { command: [] } }, live: { engine_health: false } } }\n"), @r#"
    error: x-convoke.start must be "together" or "gated", but it is "sequentially"
     --> compose.yaml:1:21
      |
    1 | x-convoke: { start: sequentially, stop: x }
      |                     ^^^^^^^^^^^^

    error: unknown key "stop" in x-convoke
     --> compose.yaml:1:35
      |
    1 | x-convoke: { start: sequentially, stop: x }
      |                                   ^^^^

    error: unknown key "raedy" in services.a.x-convoke
     --> compose.yaml:6:7
      |
    6 |       raedy: { tcp: { port: 1 } }
      |       ^^^^^
      = help: did you mean "ready"?

    error: services.a.x-convoke.live needs exactly one of http, tcp, exec, log and engine_health
     --> compose.yaml:7:13
      |
    7 |       live: { tcp: { port: 1 }, log: { contains: x } }
      |             ^

    error: services.a.x-convoke.ready.http.path must begin with / and have no spaces, but it is "ready"
     --> compose.yaml:8:30
      |
    8 |       ready: { http: { path: ready, port: 80, prt: 1 } }
      |                              ^^^^^

    error: unknown key "prt" in services.a.x-convoke.ready.http
     --> compose.yaml:8:47
      |
    8 |       ready: { http: { path: ready, port: 80, prt: 1 } }
      |                                               ^^^
      = help: did you mean "port"?

    error: services.a.x-convoke.owner.data: "data" is not an absolute path
     --> compose.yaml:9:22
      |
    9 |       owner: { data: '1:1', /d: root }
      |                      ^^^^^
      = help: write /path/of/the/volume: "1000:1000:0750"

    error: services.a.x-convoke.owner./d must be uid:gid or uid:gid:mode
     --> compose.yaml:9:33
      |
    9 |       owner: { data: '1:1', /d: root }
      |                                 ^^^^
      = help: write /path/of/the/volume: "1000:1000:0750"

    error: services.a.x-convoke.needs must be a list, but it is a string
      --> compose.yaml:10:14
       |
    10 |       needs: b
       |              ^

    error: services.a.x-convoke.completes must be a boolean, but it is a number
      --> compose.yaml:11:18
       |
    11 |       completes: 3
       |                  ^

    error: services.b.x-convoke.ready needs exactly one of http, tcp, exec, log and engine_health
      --> compose.yaml:12:38
       |
    12 |   b: { image: i, x-convoke: { ready: {}, live: { http: {} } } }
       |                                      ^

    error: services.b.x-convoke.live.http has no port
      --> compose.yaml:12:56
       |
    12 |   b: { image: i, x-convoke: { ready: {}, live: { http: {} } } }
       |                                                        ^

    error: services.c.x-convoke.ready.exec.command is empty
      --> compose.yaml:13:57
       |
    13 |   c: { image: i, x-convoke: { ready: { exec: { command: [] } }, live: { engine_health: false } } }
       |                                                         ^

    error: services.c.x-convoke.live.engine_health takes nothing but true
      --> compose.yaml:13:88
       |
    13 |   c: { image: i, x-convoke: { ready: { exec: { command: [] } }, live: { engine_health: false } } }
       |                                                                                        ^^^^^
    "#);
}

#[test]
fn images_builds_and_contradictions() {
    insta::assert_snapshot!(said("services:\n  a: {}\n  b: { image: 'a b' }\n  c: { build: { dockerfile: x, dockerfile_inline: y } }\n  d: { build: 'https://example.org/x.git' }\n  e: { image: i, network_mode: host, networks: [x] }\n  f: { image: i, scale: 2, deploy: { replicas: 3, resources: {} } }\n  g: { image: i, network_mode: 'service:a' }\n  h/i: { image: i }\nname: Big Name\nversion: '3'\n"), @r#"
    error: service "a" has neither an image nor a build
     --> compose.yaml:2:3
      |
    2 |   a: {}
      |   ^
      = help: add image: NAME, or build: DIRECTORY

    error: services.b.image: "a b" is not an image name
     --> compose.yaml:3:15
      |
    3 |   b: { image: 'a b' }
      |               ^^^^^

    error: services.c.build has both dockerfile and dockerfile_inline
     --> compose.yaml:4:51
      |
    4 |   c: { build: { dockerfile: x, dockerfile_inline: y } }
      |                                                   ^

    error: a build context that isn't a local directory isn't supported yet
     --> compose.yaml:5:15
      |
    5 |   d: { build: 'https://example.org/x.git' }
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: services.e has both network_mode and networks
     --> compose.yaml:6:32
      |
    6 |   e: { image: i, network_mode: host, networks: [x] }
      |                                ^^^^
      = help: remove one of them

    error: services.f has scale 2 and deploy.replicas 3
     --> compose.yaml:7:25
      |
    7 |   f: { image: i, scale: 2, deploy: { replicas: 3, resources: {} } }
      |                         ^
      = help: remove one of them

    error: services.f.deploy.resources isn't supported yet
     --> compose.yaml:7:51
      |
    7 |   f: { image: i, scale: 2, deploy: { replicas: 3, resources: {} } }
      |                                                   ^^^^^^^^^
      = help: remove it, or rename it to begin with x-

    error: services.g.network_mode: sharing the network of a service isn't supported yet
     --> compose.yaml:8:32
      |
    8 |   g: { image: i, network_mode: 'service:a' }
      |                                ^^^^^^^^^^^

    error: service name "h/i" must start with a letter or digit and hold only letters, digits, '.', '_' and '-'
     --> compose.yaml:9:3
      |
    9 |   h/i: { image: i }
      |   ^^^

    error: cluster name "Big Name" must start with a lower-case letter or digit and hold only lower-case letters, digits, '-' and '_'
      --> compose.yaml:10:7
       |
    10 | name: Big Name
       |       ^^^^^^^^

    warning: the key "version" is obsolete and ignored
      --> compose.yaml:11:1
       |
    11 | version: '3'
       | ^^^^^^^
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

    error: "$1" is not a valid variable reference
     --> compose.yaml:4:14
      |
    4 |     command: echo $1
      |              ^^^^^^^
      = help: write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain dollar sign is $$

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
    assert_eq!(said(&bomb), "the document is too large: more than 250000 values, aliases included");
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
