//! Connections: made, refused, or never answered; and whether one through a proxy has anybody behind it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::finding::{Finding, limit_text};

/// A published port's proxy accepts before the program listens, and then closes at once: a connection that is still
/// open after this time has somebody behind it.
const LASTING: Duration = Duration::from_millis(200);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoContact {
    /// The address is there, and nothing listens: proof that the way to it works.
    Refused,
    /// Nobody has the address, or no way leads there.
    NoRoute,
    /// No answer of any kind within this time.
    Silent(Duration),
    /// Something on our side, such as too many open files: says nothing about the component.
    Ours(String),
}

impl fmt::Display for NoContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::NoRoute => f.write_str("no route to host"),
            Self::Silent(limit) => write!(f, "no connection in {}", limit_text(*limit)),
            Self::Ours(text) => f.write_str(text),
        }
    }
}

impl NoContact {
    fn of(error: &io::Error, limit: Duration) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                Self::Refused
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::NoRoute,
            io::ErrorKind::TimedOut => Self::Silent(limit),
            _ => Self::Ours(format!("could not connect: {error}")),
        }
    }

    /// The answer that it amounts to.
    pub(super) fn finding(&self) -> Finding {
        match self {
            Self::Ours(text) => Finding::trouble(text.clone()),
            _ => Finding::unreachable(self.to_string()),
        }
    }
}

/// Connects to the first of the addresses that accepts; each gets an even share of what is left of the time limit.
/// One after the other, since a server logs connections that say nothing.
///
/// # Errors
/// When none accepts: a refusal if there was one, since it shows the most, else the first address's.
pub(super) async fn dial(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, NoContact> {
    let deadline = Instant::now() + limit;
    let mut worst = None;
    for (tried, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / others;
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => NoContact::of(&error, limit),
            Err(_) => NoContact::Silent(limit),
        };
        if worst.is_none() || error == NoContact::Refused {
            worst = Some(error);
        }
    }
    Err(worst.unwrap_or(NoContact::NoRoute))
}

/// What an accepted connection says. Through a proxy it must bring bytes or last.
pub(super) async fn accepted(stream: &TcpStream, proxied: bool) -> Finding {
    if proxied && !lasts(stream).await {
        return Finding::unreachable(NOBODY_BEHIND);
    }
    Finding::pass("accepts connections")
}

/// The answer when a proxy accepted for a program that isn't there.
pub(super) const NOBODY_BEHIND: &str = "nothing listens behind the published port";

/// Whether bytes come, or nothing at all happens for a while.
async fn lasts(stream: &TcpStream) -> bool {
    let first = async {
        let mut byte = [0];
        loop {
            stream.readable().await?;
            match stream.try_read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    };
    match timeout(LASTING, first).await {
        Ok(Ok(read)) => read > 0,
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict;
    use crate::probe::testing::{closed_port, serve, silent_port};
    use tokio::io::AsyncWriteExt;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn an_address_that_listens_is_found_behind_one_that_refuses() {
        let (closed, open) = (closed_port().await, serve(|_| async {}).await);
        assert!(dial(&[closed, open], LIMIT).await.is_ok());
        assert_eq!(dial(&[closed], LIMIT).await.unwrap_err(), NoContact::Refused);
        assert_eq!(dial(&[], LIMIT).await.unwrap_err(), NoContact::NoRoute);
    }

    #[tokio::test]
    async fn a_refusal_outweighs_silence() {
        let closed = closed_port().await;
        let nowhere = SocketAddr::from(([255, 255, 255, 255], closed.port()));
        assert_eq!(dial(&[nowhere, closed], LIMIT).await.unwrap_err(), NoContact::Refused);
    }

    #[tokio::test]
    async fn a_full_backlog_is_silence() {
        let (address, _silent) = silent_port().await;
        let limit = Duration::from_millis(50);
        let error = dial(&[address], limit).await.unwrap_err();
        assert_eq!(error, NoContact::Silent(limit));
        assert_eq!(error.finding(), Finding::unreachable("no connection in 50 ms"));
    }

    #[test]
    fn our_own_trouble_says_nothing_about_the_component() {
        let error = io::Error::from_raw_os_error(24);
        assert_eq!(NoContact::of(&error, LIMIT).finding().verdict, Verdict::EngineTrouble);
        for (kind, text) in [
            (io::ErrorKind::HostUnreachable, "no route to host"),
            (io::ErrorKind::NetworkUnreachable, "no route to host"),
            (io::ErrorKind::TimedOut, "no connection in 5 s"),
        ] {
            assert_eq!(NoContact::of(&kind.into(), LIMIT).finding(), Finding::unreachable(text));
        }
    }

    #[tokio::test]
    async fn a_proxy_without_a_program_is_told_from_a_program() {
        let closes = serve(|stream| async { drop(stream) }).await;
        let stream = dial(&[closes], LIMIT).await.unwrap();
        assert_eq!(accepted(&stream, true).await, Finding::unreachable(NOBODY_BEHIND));
        assert_eq!(accepted(&stream, false).await.verdict, Verdict::Pass);

        let silent = serve(|stream| async { std::mem::forget(stream) }).await;
        let begun = Instant::now();
        assert_eq!(accepted(&dial(&[silent], LIMIT).await.unwrap(), true).await.verdict, Verdict::Pass);
        assert!(begun.elapsed() >= LASTING);

        let greets = serve(|mut stream| async move { stream.write_all(b"220 hello\r\n").await.unwrap() }).await;
        let begun = Instant::now();
        assert_eq!(accepted(&dial(&[greets], LIMIT).await.unwrap(), true).await.verdict, Verdict::Pass);
        assert!(begun.elapsed() < LASTING);
    }
}
