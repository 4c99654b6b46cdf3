//! Published ports.

use super::{good, messages, one, problems};

#[test]
fn one_host_port_for_two_is_refused() {
    let text = "
services:
  web: { image: i, ports: ['8080:80', '9000:90/udp'] }
  api: { image: i, ports: ['127.0.0.1:8080:8080', '9000:90'] }
  far: { image: i, ports: ['192.0.2.7:8080:80'] }
  twice: { image: i, ports: ['7000:1', '7000:2'] }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: host port 8080 is published by "api" and by "web" (compose.yaml:3:28)
     --> compose.yaml:4:28
      |
    4 |   api: { image: i, ports: ['127.0.0.1:8080:8080', '9000:90'] }
      |                            ^^^^^^^^^^^^^^^^^^^^^
      = help: give one of them another host port

    error: host port 7000 is published twice by "twice" (also at compose.yaml:6:30)
     --> compose.yaml:6:40
      |
    6 |   twice: { image: i, ports: ['7000:1', '7000:2'] }
      |                                        ^^^^^^^^
      = help: give one of them another host port
    "#);
}

#[test]
fn several_containers_cannot_share_a_host_port() {
    insta::assert_snapshot!(problems("
services:
  web: { image: i, scale: 2, ports: ['8080:80'] }
"), @r#"
    error: port 8080 of "web" can't be published by 2 containers
     --> compose.yaml:3:38
      |
    3 |   web: { image: i, scale: 2, ports: ['8080:80'] }
      |                                      ^^^^^^^^^
      = help: give a range ("8080-8081:80"), or no host port ("80")
    "#);
}

#[test]
fn a_range_is_shared_out_and_no_host_port_suits_everybody() {
    let cluster = good("services: { web: { image: i, scale: 2, ports: ['8080-8081:80', '90'] } }");
    let ports = |name| one(&cluster, name).spec.ports.iter().map(|port| port.host_port).collect::<Vec<_>>();
    assert_eq!(ports("web-1"), [None, Some(8080)]);
    assert_eq!(ports("web-2"), [None, Some(8081)]);
    let single = good("services: { web: { image: i, ports: ['8080-8081:80-81'] } }");
    assert_eq!(one(&single, "web").spec.ports.len(), 2);
}

#[test]
fn ports_on_the_hosts_network_are_not_published() {
    let text = "services: { web: { image: i, network_mode: host, ports: ['8080:80'] } }";
    assert_eq!(messages(text), ["ports of \"web\" are not published"]);
}

#[test]
fn a_range_of_all_ports_is_no_work() {
    let cluster = good("services: { web: { image: i, ports: ['1-65535:1-65535'] } }");
    assert_eq!(one(&cluster, "web").spec.ports.len(), 65535);
}
