//! Networks, addresses, hosts entries and published ports.

use convoke::cluster::{PortBinding, Protocol};
use convoke::engine::{Engine, ErrorKind};

use crate::context::{Cx, Net, attach, ms};

/// Old engines allow it, newer ones refuse.
pub(crate) async fn a_second_one_of_a_name_is_made_or_refused<E: Engine>(cx: &Cx<E>) {
    let first = cx.create_network(&cx.network_request("n", None)).await.unwrap();
    match cx.create_network(&cx.network_request("n", None)).await {
        Ok(second) => {
            assert_ne!(first, second);
            let seen = cx.engine.observe(&cx.cluster).await.unwrap().networks;
            let ids: Vec<_> = seen.iter().map(|network| network.id.as_str()).collect();
            assert_eq!(ids, [first.as_str(), second.as_str()], "the oldest comes first");
            let net = Net { id: first, name: seen[0].name.clone(), subnet: seen[0].subnet.unwrap() };
            let mut request = cx.request("a", &[]);
            request.networks.push(attach(&net, None));
            let id = cx.create(&request).await.unwrap();
            let ambiguous = cx.engine.start(&id).await.unwrap_err();
            assert_eq!(ambiguous.kind, ErrorKind::Conflict, "{ambiguous}");
            cx.engine.remove_network(&second).await.unwrap();
            cx.engine.start(&id).await.unwrap();
        }
        Err(error) => assert_eq!(error.kind, ErrorKind::NameTaken),
    }
}

pub(crate) async fn overlaps_are_refused<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let overlapping = cx.network_request("m", Some(network.subnet));
    assert_eq!(cx.create_network(&overlapping).await.unwrap_err().kind, ErrorKind::PoolOverlaps);
}

pub(crate) async fn one_in_use_stays<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let mut request = cx.request("a", &[]);
    request.networks.push(attach(&network, None));
    let id = cx.start(&request).await;
    assert_eq!(cx.engine.remove_network(&network.id).await.unwrap_err().kind, ErrorKind::InUse);
    assert_eq!(cx.engine.members(&network.id).await.unwrap().len(), 1);
    cx.engine.disconnect(&network.id, "nobody").await.unwrap();
    assert_eq!(cx.engine.members(&network.id).await.unwrap().len(), 1);
    cx.engine.remove(&id, true).await.unwrap();
    for _ in 0..2 {
        cx.engine.remove_network(&network.id).await.unwrap();
    }
}

pub(crate) async fn a_fixed_address_holds<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let address = network.subnet.address(5);
    let mut request = cx.request("a", &[]);
    request.networks.push(attach(&network, address));
    let id = cx.create(&request).await.unwrap();
    let endpoint = cx.inspect(&id).await.networks[&network.name].clone();
    assert_eq!((endpoint.address, endpoint.fixed_address), (None, address));
    cx.engine.start(&id).await.unwrap();
    let endpoint = cx.inspect(&id).await.networks[&network.name].clone();
    assert_eq!((endpoint.address, endpoint.fixed_address), (address, address));
    assert_eq!(endpoint.network_id, network.id);
    cx.engine.stop(&id, ms(5000)).await.unwrap();
    assert_eq!(cx.inspect(&id).await.networks[&network.name].address, None);
}

pub(crate) async fn a_taken_address_is_told_at_the_start<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let mut ids = Vec::new();
    for component in ["a", "b"] {
        let mut request = cx.request(component, &[]);
        request.networks.push(attach(&network, network.subnet.address(5)));
        ids.push(cx.create(&request).await.unwrap());
    }
    cx.engine.start(&ids[0]).await.unwrap();
    assert_eq!(cx.engine.start(&ids[1]).await.unwrap_err().kind, ErrorKind::AddressTaken);
    // It is free again when its owner stopped.
    cx.engine.stop(&ids[0], ms(5000)).await.unwrap();
    cx.engine.start(&ids[1]).await.unwrap();
}

pub(crate) async fn dynamic_addresses_keep_to_their_range<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    for component in ["a", "b"] {
        let mut request = cx.request(component, &[]);
        request.networks.push(attach(&network, None));
        let id = cx.start(&request).await;
        let address = cx.inspect(&id).await.networks[&network.name].address.unwrap();
        assert!(address >= network.subnet.address(8).unwrap(), "{address} is in the lower half");
    }
}

/// With the address and the names that it had; whoever does it twice, or takes it off twice, has what they want.
pub(crate) async fn one_that_was_taken_off_is_put_back<E: Engine>(cx: &Cx<E>) {
    let networks = [cx.network("m").await, cx.network("n").await];
    let mut request = cx.request("a", &[]);
    let attachments = networks.each_ref().map(|network| attach(network, network.subnet.address(5)));
    request.networks.extend(attachments.clone());
    let id = cx.start(&request).await;
    let before = cx.inspect(&id).await;
    for (network, attachment) in networks.iter().zip(&attachments) {
        for _ in 0..2 {
            cx.engine.disconnect(&network.id, &before.name).await.unwrap();
        }
        assert!(!cx.inspect(&id).await.networks.contains_key(&network.name));
        for _ in 0..2 {
            cx.engine.connect(&id, attachment).await.unwrap();
        }
    }
    let after = cx.inspect(&id).await;
    assert_eq!(after.networks, before.networks);
    assert_eq!(after.state.started_at, before.state.started_at);
    // A stopped one has its address from its next start on.
    cx.engine.stop(&id, ms(5000)).await.unwrap();
    cx.engine.disconnect(&networks[1].id, &before.name).await.unwrap();
    cx.engine.connect(&id, &attachments[1]).await.unwrap();
    cx.engine.start(&id).await.unwrap();
    assert_eq!(cx.inspect(&id).await.networks, before.networks);
    // What is gone is told.
    cx.engine.remove(&id, true).await.unwrap();
    assert_eq!(cx.engine.connect(&id, &attachments[0]).await.unwrap_err().kind, ErrorKind::NotFound);
}

pub(crate) async fn a_taken_address_is_told_when_it_is_put_back<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let mut to = attach(&network, network.subnet.address(5));
    to.aliases = vec!["other".to_owned(), "name".to_owned()];
    let mut request = cx.request("a", &[]);
    request.networks.push(to.clone());
    let first = cx.start(&request).await;
    let before = cx.inspect(&first).await;
    assert_eq!(before.networks[&network.name].aliases, to.aliases);
    cx.engine.disconnect(&network.id, &before.name).await.unwrap();
    request = cx.request("b", &[]);
    request.networks.push(attach(&network, to.address));
    let second = cx.start(&request).await;
    assert_eq!(cx.engine.connect(&first, &to).await.unwrap_err().kind, ErrorKind::AddressTaken);
    cx.engine.remove(&second, true).await.unwrap();
    cx.engine.connect(&first, &to).await.unwrap();
    assert_eq!(cx.inspect(&first).await.networks, before.networks);
}

/// With failing fast it can't on an engine that sets kernel parameters by the interface's number.
pub(crate) async fn one_off_its_network_may_not_start<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let mut to = attach(&network, network.subnet.address(5));
    to.fail_fast = true;
    let mut request = cx.request("a", &[]);
    request.networks.push(to.clone());
    let id = cx.create(&request).await.unwrap();
    cx.engine.disconnect(&network.id, &request.name).await.unwrap();
    if let Err(error) = cx.engine.start(&id).await {
        assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
        cx.engine.connect(&id, &to).await.unwrap();
        cx.engine.start(&id).await.unwrap();
        assert_eq!(cx.inspect(&id).await.networks[&network.name].address, to.address);
    }
}

pub(crate) async fn several_at_once<E: Engine>(cx: &Cx<E>) {
    let networks = [cx.network("m").await, cx.network("n").await];
    let mut request = cx.request("a", &[]);
    request.networks.extend(networks.iter().map(|network| attach(network, network.subnet.address(5))));
    let id = cx.start(&request).await;
    let seen = cx.inspect(&id).await.networks;
    assert_eq!(seen.len(), 2);
    for network in &networks {
        assert_eq!(seen[&network.name].address, network.subnet.address(5));
    }
}

/// At the start if it is the first, since the engine looks for that one only then.
pub(crate) async fn a_missing_one_is_told<E: Engine>(cx: &Cx<E>) {
    let (gone, stays) = (cx.network("m").await, cx.network("n").await);
    cx.engine.remove_network(&gone.id).await.unwrap();
    let mut request = cx.request("a", &[]);
    request.networks.push(attach(&gone, None));
    let kind = match cx.create(&request).await {
        Ok(id) => cx.engine.start(&id).await.unwrap_err().kind,
        Err(error) => error.kind,
    };
    assert_eq!(kind, ErrorKind::NotFound);
    let mut request = cx.request("b", &[]);
    request.networks.extend([attach(&stays, None), attach(&gone, None)]);
    let kind = match cx.create(&request).await {
        Ok(id) => cx.engine.start(&id).await.unwrap_err().kind,
        Err(error) => error.kind,
    };
    assert_eq!(kind, ErrorKind::NotFound);
}

pub(crate) async fn hosts_entries_are_kept<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let peer = network.subnet.address(6).unwrap();
    let mut request = cx.request("a", &[]);
    request.networks.push(attach(&network, None));
    request.hosts.push(("peer".to_owned(), peer));
    request.spec.extra_hosts.push(("elsewhere".to_owned(), "192.0.2.7".to_owned()));
    let id = cx.start(&request).await;
    let mut seen = cx.inspect(&id).await.extra_hosts;
    seen.sort();
    let wanted = [("elsewhere".to_owned(), "192.0.2.7".to_owned()), ("peer".to_owned(), peer.to_string())];
    assert_eq!(seen, wanted);
}

fn published(host_port: Option<u16>) -> PortBinding {
    PortBinding { host_ip: None, host_port, container_port: 8080, protocol: Protocol::Tcp }
}

pub(crate) async fn a_port_is_chosen<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.spec.ports.push(published(None));
    let id = cx.create(&request).await.unwrap();
    assert_eq!(cx.inspect(&id).await.ports, []);
    cx.engine.start(&id).await.unwrap();
    let ports = cx.inspect(&id).await.ports;
    assert_eq!(ports.len(), 1);
    assert!(ports[0].host_port.is_some_and(|port| port > 0) && ports[0].container_port == 8080);
    assert_eq!(ports[0].host_ip, Some(request.publish_address));
    cx.engine.stop(&id, ms(5000)).await.unwrap();
    assert_eq!(cx.inspect(&id).await.ports, []);
}

pub(crate) async fn a_taken_port_is_told_at_the_start<E: Engine>(cx: &Cx<E>) {
    let mut first = cx.request("a", &[]);
    first.spec.ports.push(published(None));
    let owner = cx.start(&first).await;
    let port = cx.inspect(&owner).await.ports[0].host_port;
    let mut second = cx.request("b", &[]);
    second.spec.ports.push(published(port));
    let id = cx.create(&second).await.unwrap();
    assert_eq!(cx.engine.start(&id).await.unwrap_err().kind, ErrorKind::PortTaken);
    cx.engine.remove(&owner, true).await.unwrap();
    cx.engine.start(&id).await.unwrap();
}
