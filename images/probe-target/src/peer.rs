//! Looking a peer up and connecting to it, with times.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::log;

/// Time after the start within which a `--require`d peer must have answered.
const REQUIRE_WITHIN: Duration = Duration::from_millis(300);

/// How a look-up went: the first address or the resolver's words, and the milliseconds it took.
pub fn resolve(peer: &str) -> (Result<SocketAddr, String>, u128) {
    let begun = Instant::now();
    let found = match peer.to_socket_addrs() {
        Ok(mut addresses) => addresses.next().ok_or_else(|| "no address".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    (found, begun.elapsed().as_millis())
}

/// How a connection attempt went, and the milliseconds it took. There is no time limit: the kernel's is shown.
pub fn connect(address: SocketAddr) -> (Result<(), String>, u128) {
    let begun = Instant::now();
    let result = TcpStream::connect(address).map(drop).map_err(|error| error.to_string());
    (result, begun.elapsed().as_millis())
}

/// Looks the peer up and connects in a thread of its own, logging each step; with `retry`, again until connected.
pub fn follow(peer: String, retry: Option<Duration>, start: Instant) {
    std::thread::spawn(move || {
        while !attempt(&peer, start) {
            let Some(pause) = retry else { return };
            std::thread::sleep(pause);
        }
    });
}

fn attempt(peer: &str, start: Instant) -> bool {
    let at = start.elapsed().as_millis();
    let address = match resolve(peer) {
        (Ok(address), ms) => {
            log(&format!("resolved {peer} to {} in {ms} ms, asked at {at} ms", address.ip()));
            address
        }
        (Err(error), ms) => {
            log(&format!("unresolved {peer} in {ms} ms, asked at {at} ms: {error}"));
            return false;
        }
    };
    match connect(address) {
        (Ok(()), ms) => log(&format!("connected {peer} in {ms} ms, at {} ms", start.elapsed().as_millis())),
        (Err(error), ms) => {
            log(&format!("failed {peer} in {ms} ms, at {} ms: {error}", start.elapsed().as_millis()));
            return false;
        }
    }
    true
}

/// Tries until the peer accepts a connection or the time is up.
///
/// # Errors
/// With the last attempt's failure.
pub fn require(peer: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let left = REQUIRE_WITHIN.saturating_sub(begun.elapsed());
        let error = match resolve(peer).0 {
            Err(error) => error,
            Ok(address) => match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            },
        };
        if begun.elapsed() >= REQUIRE_WITHIN {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listening_peer_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (found, _) = resolve(&format!("localhost:{}", address.port()));
        assert_eq!(found.unwrap().port(), address.port());
        assert_eq!(connect(address).0, Ok(()));
        assert_eq!(require(&address.to_string()), Ok(()));
    }

    #[test]
    fn a_required_peer_that_is_absent_fails_in_time() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let begun = Instant::now();
        assert!(require(&address.to_string()).unwrap_err().contains("refused"));
        assert!(begun.elapsed() >= REQUIRE_WITHIN && begun.elapsed() < REQUIRE_WITHIN * 5);
    }

    #[test]
    fn a_peer_without_a_port_does_not_resolve() {
        assert!(resolve("localhost").0.is_err());
    }
}
