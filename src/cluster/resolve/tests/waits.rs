//! Gates, needs, cycles.

use super::{good, messages, one, problems};
use crate::cluster::{Component, GateCondition, StartMode};

fn gates(component: &Component) -> Vec<(&str, GateCondition)> {
    component.gates.iter().map(|gate| (gate.on.as_str(), gate.condition)).collect()
}

fn needs(component: &Component) -> Vec<&str> {
    component.needs.iter().map(|name| name.as_str()).collect()
}

#[test]
fn conditions_become_gates_on_every_component_of_a_service() {
    let cluster = good(
        "
services:
  web:
    image: web
    depends_on:
      db: { condition: service_healthy, required: false, restart: true }
      cache: { condition: service_started }
      setup: { condition: service_completed_successfully }
  db: { image: db, scale: 2 }
  cache: { image: cache }
  setup: { image: setup }
",
    );
    let web = one(&cluster, "web");
    let expected = [
        ("db-1", GateCondition::Ready),
        ("db-2", GateCondition::Ready),
        ("cache", GateCondition::Started),
        ("setup", GateCondition::Completed),
    ];
    assert_eq!(gates(web), expected);
    assert_eq!(web.gates.iter().map(|gate| gate.required).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!(
        web.depends_on_label,
        "db:service_healthy:true,cache:service_started:false,setup:service_completed_successfully:false"
    );
    assert!(one(&cluster, "setup").completes && !one(&cluster, "db-1").completes);
    assert!(needs(web).is_empty() && !web.restarts_early_exit);
}

#[test]
fn edges_of_a_cycle_become_needs_and_stay_out_of_the_label() {
    let cluster = good(
        "
services:
  a: { image: i, depends_on: { b: { condition: service_healthy }, c: { condition: service_healthy } } }
  b: { image: i, depends_on: { a: { condition: service_healthy } } }
  c: { image: i }
",
    );
    let a = one(&cluster, "a");
    assert_eq!((gates(a), needs(a)), (vec![("c", GateCondition::Ready)], vec!["b"]));
    assert_eq!(a.depends_on_label, "c:service_healthy:false");
    let b = one(&cluster, "b");
    assert_eq!((gates(b), needs(b), b.depends_on_label.as_str()), (vec![], vec!["a"], ""));
    assert!(a.restarts_early_exit && b.restarts_early_exit && !one(&cluster, "c").restarts_early_exit);
}

#[test]
fn a_need_closes_a_cycle_too() {
    let cluster = good(
        "
services:
  controller: { image: i, x-convoke: { needs: [pageserver-2] } }
  pageserver: { image: i, scale: 2, depends_on: { controller: { condition: service_healthy } } }
",
    );
    assert_eq!(needs(one(&cluster, "controller")), ["pageserver-2"]);
    assert!(gates(one(&cluster, "pageserver-1")).is_empty());
    assert_eq!(needs(one(&cluster, "pageserver-1")), ["controller"]);
}

#[test]
fn members_of_a_scaled_service_may_need_one_another() {
    let cluster = good("services: { etcd: { image: i, scale: 3, x-convoke: { needs: [etcd] } } }");
    assert_eq!(needs(one(&cluster, "etcd-2")), ["etcd-1", "etcd-3"]);
    assert!(one(&cluster, "etcd-2").restarts_early_exit);
    let single = good("services: { a: { image: i, x-convoke: { needs: [etcd-1, a] } }, etcd: { image: i } }");
    assert_eq!(needs(one(&single, "a")), ["etcd"]);
}

#[test]
fn together_only_completion_gates() {
    let cluster = good(
        "
x-convoke: { start: together }
services:
  web: { image: i, depends_on: { db: { condition: service_healthy }, setup: { condition: service_completed_successfully } } }
  db: { image: i }
  setup: { image: i }
",
    );
    let web = one(&cluster, "web");
    assert_eq!(cluster.start, StartMode::Together);
    assert_eq!((gates(web), needs(web)), (vec![("setup", GateCondition::Completed)], vec!["db"]));
    assert!(web.restarts_early_exit);
    assert!(web.depends_on_label.starts_with("db:service_healthy"));
}

#[test]
fn completion_inside_a_cycle_is_refused_and_the_cycle_named() {
    let text = "
services:
  a:
    image: i
    depends_on:
      b: { condition: service_completed_successfully }
  b: { image: i, depends_on: [c] }
  c: { image: i, depends_on: [a] }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: "a" waits for "b" to complete inside the cycle a -> b -> c -> a
     --> compose.yaml:6:7
      |
    6 |       b: { condition: service_completed_successfully }
      |       ^
      = help: neither could ever start: use service_healthy or service_started here, or remove an edge of the cycle
    "#);
}

#[test]
fn a_service_that_depends_on_itself_is_refused() {
    let text = "
services:
  a: { image: i, depends_on: [a] }
  b: { image: i, depends_on: { b: { condition: service_completed_successfully, required: false } } }
  c: { image: i, scale: 2, depends_on: { c: { condition: service_healthy } } }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: "a" depends on itself
     --> compose.yaml:3:31
      |
    3 |   a: { image: i, depends_on: [a] }
      |                               ^
      = help: remove this

    error: "b" depends on itself
     --> compose.yaml:4:32
      |
    4 |   b: { image: i, depends_on: { b: { condition: service_completed_successfully, required: false } } }
      |                                ^
      = help: remove this

    error: "c" depends on itself
     --> compose.yaml:5:42
      |
    5 |   c: { image: i, scale: 2, depends_on: { c: { condition: service_healthy } } }
      |                                          ^
      = help: if its containers need one another, say "x-convoke: { needs: [c] }" instead
    "#);
}

#[test]
fn a_service_scaled_to_nothing_holds_nobody_back() {
    let cluster = good("services: { web: { image: i, depends_on: [db] }, db: { image: i, scale: 0 } }");
    assert_eq!(cluster.components.len(), 1);
    let web = one(&cluster, "web");
    assert!(web.gates.is_empty() && web.depends_on_label.is_empty());
}

#[test]
fn one_who_is_waited_for_must_be_allowed_to_complete() {
    let text = "
services:
  web: { image: i, depends_on: { job: { condition: service_completed_successfully } } }
  job: { image: i, x-convoke: { completes: false } }
";
    assert_eq!(messages(text), ["\"job\" says completes: false, but another service waits for it to complete"]);
}
