//! Where the engine is.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use crate::support::{TestCluster, with_engine};

const ONE: &str = r#"
services:
  web:
    image: convoke-test/probe-target:latest
    ports: ["8080"]
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#;

fn engine_address() -> String {
    with_engine(async |engine| engine.known_info().address.clone())
}

#[test]
fn the_option_goes_before_the_environment() {
    let cluster = TestCluster::new(ONE);
    let mut nowhere = cluster.command(&["up"]);
    nowhere.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    cluster.run_command(nowhere).exits(4).says(&["/nowhere/docker.sock"]);

    let mut somewhere = cluster.command(&["-H", &engine_address(), "up"]);
    somewhere.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    cluster.run_command(somewhere).exits(0);
}

#[test]
fn an_engine_is_reached_over_tcp_as_well() {
    let address = engine_address();
    let Some(socket) = address.strip_prefix("unix://").map(str::to_owned) else {
        println!("the engine is at {address}: the other tests have shown it");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(&socket).unwrap();
            forward(client, engine);
        }
    });

    let cluster = TestCluster::new(ONE);
    let run = |args: &[&str]| {
        let mut command = cluster.command(args);
        command.env("DOCKER_HOST", &host);
        cluster.run_command(command)
    };
    run(&["up"]).exits(0).says(&["ready in"]);
    run(&["exec", "web", "probe-target", "env"]).exits(0).says(&["PATH="]);
    run(&["doctor"]).exits(0).says(&[&host]);
    run(&["down"]).exits(0);
}

/// Copies both ways, each in a thread of its own.
fn forward(client: TcpStream, engine: UnixStream) {
    let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client);
    let (mut from_engine, mut to_engine) = (engine.try_clone().unwrap(), engine);
    std::thread::spawn(move || {
        copy(&mut from_client, &mut to_engine);
        _ = to_engine.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        copy(&mut from_engine, &mut to_client);
        _ = to_client.shutdown(Shutdown::Write);
    });
}

/// Until one of them is closed; how doesn't matter here.
fn copy(from: &mut impl Read, to: &mut impl Write) {
    _ = io::copy(from, to);
}
