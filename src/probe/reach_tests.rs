use super::*;
use crate::cluster::PortBinding;
use std::net::Ipv4Addr;
use tokio::time::advance;

const ENGINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SILENT: Result<(), &NoContact> = Err(&NoContact::NoRoute);
const REFUSED: Result<(), &NoContact> = Err(&NoContact::Refused);

fn reach(mode: ReachMode, is_local: bool, operating_system: &str) -> Reach {
    let info = EngineInfo {
        version: "20.10.24".into(),
        api_version: "1.41".into(),
        address: if is_local || operating_system == "Docker Desktop" {
            "unix:///docker.sock"
        } else {
            "tcp://192.0.2.1:2375"
        }
        .into(),
        is_local,
        cpus: 2,
        operating_system: operating_system.into(),
        memory: 0,
    };
    Reach::new(mode, &info, ENGINE)
}

fn auto() -> Reach {
    reach(ReachMode::Auto, true, "Debian GNU/Linux 12 (bookworm)")
}

fn target(name: &str, host_port: Option<u16>) -> Target {
    let published = host_port.map(|port| PortBinding {
        host_ip: Some(ENGINE),
        host_port: Some(port),
        container_port: 80,
        protocol: Protocol::Tcp,
    });
    Target {
        component: ComponentName::new(name).unwrap(),
        container: ContainerId::new(format!("id of {name}")).unwrap(),
        addresses: vec![Ipv4Addr::new(10, 231, 0, 2).into()],
        published: published.into_iter().collect(),
        host_network: false,
        started_at: Some(Timestamp::UNIX_EPOCH),
    }
}

fn direct(unproven: bool) -> Route {
    Route::Direct { addresses: vec!["10.231.0.2:80".parse().unwrap()], unproven }
}

fn published(port: u16, doubtful: bool) -> Route {
    Route::Published { address: SocketAddr::new(ENGINE, port), doubtful }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_proves_the_direct_way_for_all() {
    let (reach, a, b) = (auto(), target("a", Some(8080)), target("b", None));
    assert_eq!(reach.report().way, None);
    assert_eq!(reach.route(&a, 80), direct(true));
    assert!(!reach.direct_went(&a, REFUSED, Instant::now()));
    assert_eq!(reach.route(&b, 80), direct(false));
    assert_eq!(reach.report().way, Some(Way::Direct));
    // Once proven, silence is the component's own.
    for _ in 0..5 {
        advance(PATIENCE).await;
        assert!(!reach.direct_went(&a, SILENT, Instant::now()));
    }
}

#[tokio::test(start_paused = true)]
async fn long_silence_disproves_it_if_the_container_runs() {
    let (reach, a, b) = (auto(), target("a", Some(8080)), target("b", None));
    let begun = Instant::now();
    advance(Duration::from_millis(200)).await;
    assert!(!reach.direct_went(&a, SILENT, begun));
    advance(PATIENCE - Duration::from_millis(200)).await;
    assert!(reach.direct_went(&a, SILENT, Instant::now()));
    reach.is_down(&a);
    assert!(!reach.direct_went(&a, SILENT, Instant::now()), "silence of a container that was down doesn't count");
    advance(PATIENCE).await;
    assert!(reach.direct_went(&a, SILENT, Instant::now()));
    reach.no_direct_way(&a);
    assert_eq!(reach.route(&a, 80), published(8080, false));
    assert_eq!(reach.route(&b, 80), Route::Inside);
    assert_eq!(reach.route(&a, 81), Route::Inside, "another port of it isn't published");
    assert_eq!(reach.report().way, Some(Way::Published));
}

#[tokio::test(start_paused = true)]
async fn one_that_differs_has_a_way_of_its_own() {
    let (reach, a, odd) = (auto(), target("a", None), target("odd", None));
    reach.direct_went(&a, Ok(()), Instant::now());
    let begun = Instant::now();
    advance(PATIENCE).await;
    assert!(!reach.direct_went(&odd, SILENT, begun), "the way leads to others: it gets longer");
    advance(PATIENCE_IF_PROVEN).await;
    assert!(reach.direct_went(&odd, SILENT, begun));
    reach.no_direct_way(&odd);
    assert_eq!((reach.route(&a, 80), reach.route(&odd, 80)), (direct(false), Route::Inside));
    let ways: Vec<Way> = reach.report().components.into_values().collect();
    assert_eq!((reach.report().way, ways), (Some(Way::Direct), vec![Way::Direct, Way::Exec]));
}

#[tokio::test(start_paused = true)]
async fn a_new_run_starts_its_silence_anew() {
    let (reach, mut a) = (auto(), target("a", None));
    assert!(!reach.direct_went(&a, SILENT, Instant::now()));
    advance(PATIENCE).await;
    a.started_at = Some(Timestamp::MAX);
    assert!(!reach.direct_went(&a, SILENT, Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_new_run_of_the_silent_one_gives_the_direct_way_another_chance() {
    let (reach, a, b) = (auto(), target("a", None), target("b", None));
    assert!(!reach.direct_went(&a, SILENT, Instant::now()));
    advance(PATIENCE).await;
    assert!(reach.direct_went(&a, SILENT, Instant::now()));
    reach.no_direct_way(&a);
    assert_eq!((reach.route(&a, 80), reach.route(&b, 80)), (Route::Inside, Route::Inside));
    // The engine was going down, and has started it again; meanwhile that isn't known.
    assert_eq!(reach.route(&Target { started_at: None, ..a.clone() }, 80), Route::NotYet);
    let again = Target { started_at: Some(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(9)), ..a };
    assert_eq!((reach.route(&again, 80), reach.route(&b, 80)), (direct(true), direct(true)));
    // That of another says nothing of it.
    advance(PATIENCE).await;
    reach.no_direct_way(&again);
    let other = Target { started_at: again.started_at, ..b };
    assert_eq!(reach.route(&other, 80), Route::Inside);
}

#[tokio::test(start_paused = true)]
async fn a_published_port_that_only_refuses_is_doubted_until_it_answers() {
    let reach = reach(ReachMode::Auto, true, "Docker Desktop");
    let a = target("a", Some(8080));
    assert_eq!(reach.route(&a, 80), published(8080, false));
    reach.published_went(&a, REFUSED, Instant::now());
    advance(PATIENCE).await;
    reach.published_went(&a, REFUSED, Instant::now());
    assert_eq!(reach.route(&a, 80), published(8080, true));
    reach.published_went(&a, Ok(()), Instant::now());
    assert_eq!(reach.route(&a, 80), published(8080, false));
    let b = target("b", Some(8081));
    reach.published_went(&b, REFUSED, Instant::now());
    advance(PATIENCE).await;
    reach.published_went(&b, REFUSED, Instant::now());
    reach.inside_is_impossible(&b);
    reach.published_went(&b, REFUSED, Instant::now());
    assert_eq!(reach.route(&b, 80), published(8081, false));
    reach.inside_works(&b);
    assert_eq!(reach.route(&b, 80), Route::Inside);
}

#[test]
fn a_remote_engine_s_addresses_and_loopback_are_strangers() {
    let reach = reach(ReachMode::Auto, false, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(reach.route(&target("a", Some(8080)), 80), Route::Inside);
    let mut a = target("b", Some(8080));
    a.published[0].host_ip = None;
    assert_eq!(reach.route(&a, 80), published(8080, false));
    assert_eq!(reach.report().way, Some(Way::Published));
}

#[test]
fn the_host_s_network_is_the_engine_s_host() {
    let mut a = target("a", None);
    (a.host_network, a.addresses) = (true, Vec::new());
    let at_host = SocketAddr::new(ENGINE, 80);
    for mode in [ReachMode::Auto, ReachMode::Direct, ReachMode::Published] {
        let route = reach(mode, true, "Debian").route(&a, 80);
        assert_eq!(route, Route::Direct { addresses: vec![at_host], unproven: false });
    }
    let desktop = reach(ReachMode::Auto, true, "Docker Desktop");
    assert_eq!(desktop.route(&a, 80), Route::Published { address: at_host, doubtful: false });
}

#[test]
fn a_forced_way_is_the_only_one() {
    let (with, without) = (target("with", Some(8080)), target("without", None));
    let forced = |mode: &str| reach(mode.parse().unwrap(), true, "Debian");
    assert_eq!(forced("direct").route(&with, 80), direct(false));
    assert_eq!(forced("published").route(&with, 80), published(8080, false));
    assert_eq!(forced("exec").route(&with, 80), Route::Inside);
    assert!(matches!(forced("published").route(&without, 80), Route::Nowhere(_)));
    let mut nowhere = without;
    nowhere.addresses.clear();
    assert!(matches!(forced("direct").route(&nowhere, 80), Route::Nowhere(_)));
    assert_eq!(auto().route(&nowhere, 80), Route::Inside);
    assert!("ssh".parse::<ReachMode>().is_err());
}

/// A probe goes out before the engine has shown the container it has just started.
#[test]
fn before_a_container_was_looked_at_no_way_is_ruled_out() {
    let mut fresh = target("fresh", None);
    fresh.started_at = None;
    assert_eq!(reach(ReachMode::Published, true, "Debian").route(&fresh, 80), Route::NotYet);
    assert_eq!(reach(ReachMode::Auto, true, "Docker Desktop").route(&fresh, 80), Route::NotYet);
    assert_eq!(reach(ReachMode::Exec, true, "Debian").route(&fresh, 80), Route::Inside);
    assert_eq!(auto().route(&fresh, 80), direct(true), "a fixed address is known from the beginning");
    fresh.addresses.clear();
    assert_eq!(reach(ReachMode::Direct, true, "Debian").route(&fresh, 80), Route::NotYet);
}

#[test]
fn loopback_is_shared_with_a_virtual_machine_of_this_one() {
    let desktop = reach(ReachMode::Auto, false, "Docker Desktop");
    assert!(matches!(desktop.route(&target("a", Some(8080)), 80), Route::Published { .. }));
    let remote = reach(ReachMode::Auto, false, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(remote.route(&target("a", Some(8080)), 80), Route::Inside);
}
