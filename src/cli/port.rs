//! `convoke port`: where a component's port is published.

use super::args::Port;
use super::error::CliError;
use super::session::{Session, choose};

pub(super) async fn run(session: &Session, args: Port) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.files.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, std::slice::from_ref(&args.component))?;
    let mut found = false;
    for container in observed.containers.iter().filter(|c| chosen.contains(&c.component)) {
        for port in &container.ports {
            let (Some(ip), Some(host_port)) = (port.host_ip, port.host_port) else { continue };
            let host = std::net::SocketAddr::new(ip, host_port);
            match args.port {
                Some(wanted) if wanted == port.container_port => session.printer.result(host),
                None => {
                    session.printer.result(format_args!("{}/{} -> {host}", port.container_port, port.protocol.as_str()))
                }
                Some(_) => continue,
            }
            found = true;
        }
    }
    if found {
        return Ok(0);
    }
    let what = args.port.map_or_else(|| "no port".to_owned(), |port| format!("no port {port}"));
    Err(CliError::failed(format!("{} publishes {what}", args.component)).hint("`ports` in its service publishes one"))
}
