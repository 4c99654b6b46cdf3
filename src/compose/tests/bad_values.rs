//! Files with values that are out of range or contradict each other, and every word that is said about them.

use super::*;

#[test]
fn values_out_of_range() {
    insta::assert_snapshot!(said("services:\n  web:\n    image: i\n    ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]\n    expose: [0]\n    scale: -1\n    shm_size: big\n    stop_grace_period: 5 minutes\n    restart: sometimes\n    healthcheck: { interval: 1us, retries: -1, timeout: fast, test: [pg_isready] }\n    networks: { a: { ipv4_address: 300.1.1.1 } }\n    extra_hosts: [nothing, 'a=b']\n    pull_policy: hourly\n    container_name: a/b\n    command: \"it's\"\nnetworks:\n  a: { ipam: { config: [{ subnet: 10.0.0.1/24 }] } }\n  'b c': {}\n  c: { external: true, driver: bridge }\n"), @r#"
    error: services.web.ports[0]: port 70000 is out of range; ports go from 1 to 65535
     --> compose.yaml:4:13
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |             ^^^^^^^^^^

    error: services.web.ports[1]: "x" is not a port number
     --> compose.yaml:4:25
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |                         ^^^
      = help: write [[ip:]host port:]container port[/protocol], such as 127.0.0.1:8080:80/tcp

    error: services.web.ports[2]: 3 host ports don't match 2 container ports
     --> compose.yaml:4:30
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |                              ^^^^^^^^^^^^^^^

    error: services.web.ports[3].target must be from 1 to 65535, but it is 0
     --> compose.yaml:4:56
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |                                                        ^

    error: services.web.ports[3].published: port 99999 is out of range; ports go from 1 to 65535
     --> compose.yaml:4:70
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |                                                                      ^^^^^

    error: services.web.ports[4] has no target
     --> compose.yaml:4:78
      |
    4 |     ports: ['70000:80', 'x', '8000-8002:8-9', {target: 0, published: 99999}, {published: 80}]
      |                                                                              ^

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
    10 |     healthcheck: { interval: 1us, retries: -1, timeout: fast, test: [pg_isready] }
       |                              ^^^

    error: services.web.healthcheck.retries must be from 0 to 1000000, but it is -1
      --> compose.yaml:10:44
       |
    10 |     healthcheck: { interval: 1us, retries: -1, timeout: fast, test: [pg_isready] }
       |                                            ^^

    error: services.web.healthcheck.timeout: "fast" is not a duration; write it like 30s, 1m30s or 500ms
      --> compose.yaml:10:57
       |
    10 |     healthcheck: { interval: 1us, retries: -1, timeout: fast, test: [pg_isready] }
       |                                                         ^^^^

    error: services.web.healthcheck.test must begin with CMD, CMD-SHELL or NONE
      --> compose.yaml:10:69
       |
    10 |     healthcheck: { interval: 1us, retries: -1, timeout: fast, test: [pg_isready] }
       |                                                                     ^
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

    error: services.web.pull_policy: "hourly" is not a pull policy
      --> compose.yaml:13:18
       |
    13 |     pull_policy: hourly
       |                  ^^^^^^
       = help: there are always, missing, never, build, daily, weekly and every_12h

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

    error: networks.a.ipam.config[0].subnet must be a subnet such as 10.5.0.0/24 or fd00:5::/64, but it is "10.0.0.1/24"
      --> compose.yaml:17:35
       |
    17 |   a: { ipam: { config: [{ subnet: 10.0.0.1/24 }] } }
       |                                   ^^^^^^^^^^^

    error: network name "b c" must start with a letter or digit and hold only letters, digits, '.', '_' and '-'
      --> compose.yaml:18:3
       |
    18 |   'b c': {}
       |   ^^^^^

    warning: networks.c is external, so its driver is ignored
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

    error: services.web.volumes[6] is a mount of type bind without a source
      --> compose.yaml:11:9
       |
    11 |       - { type: bind, target: /c }
       |         ^

    error: services.web.volumes[7].type must be "bind", "volume", "tmpfs" or "image", but it is "disk"
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
    insta::assert_snapshot!(said("services:\n  a: {}\n  b: { image: 'a b' }\n  c: { build: { dockerfile: x, dockerfile_inline: y } }\n  d: { build: 'https://example.org/x.git' }\n  e: { image: i, network_mode: host, networks: [x] }\n  f: { image: i, scale: 2, deploy: { replicas: 3, resources: {} } }\n  g: { image: i, network_mode: 'service:a' }\n  h/i: { image: i }\nname: _-_-_-_-\nversion: '3'\n"), @r#"
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

    error: service name "h/i" must start with a letter or digit and hold only letters, digits, '.', '_' and '-'
     --> compose.yaml:9:3
      |
    9 |   h/i: { image: i }
      |   ^^^

    error: cluster name "_-_-_-_-" must start with a lower-case letter or digit and hold only lower-case letters, digits, '-' and '_'
      --> compose.yaml:10:7
       |
    10 | name: _-_-_-_-
       |       ^^^^^^^^

    warning: the key "version" is obsolete and ignored
      --> compose.yaml:11:1
       |
    11 | version: '3'
       | ^^^^^^^
    "#);
}
