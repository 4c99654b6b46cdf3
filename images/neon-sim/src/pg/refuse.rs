//! A port on which the real program speaks Postgres' protocol with computes: here every session is refused, in that
//! protocol, with the reason.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::accept_all;
use super::wire::{Problem, Wire};

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers for ever.
pub async fn refuse_all(listener: TcpListener, what: &'static str) {
    accept_all(listener, move |stream| async move {
        // Whatever goes wrong here, the client is gone, and a client is all there was.
        let _ = timeout(PATIENCE, refuse(stream, what)).await;
    })
    .await;
}

async fn refuse(stream: TcpStream, what: &str) -> std::io::Result<()> {
    let mut wire = Wire::new(stream);
    if wire.startup().await?.is_some() {
        wire.error(&Problem::fatal("0A000", format!("neon-sim is a simulation and {what}")));
        wire.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_session_is_refused_with_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(refuse_all(listener, "stores no pages"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        for code in [80_877_103, 80_877_104] {
            stream.write_u32(8).await.unwrap();
            stream.write_u32(code).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
        }
        stream.write_all(b"\0\0\0\x10\0\x03\0\0user\0me\0").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer[0], b'E');
        assert_eq!(u32::from_be_bytes(answer[1..5].try_into().unwrap()) as usize, answer.len() - 1);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("FATAL") && text.contains("simulation and stores no pages"), "{text}");
    }
}
