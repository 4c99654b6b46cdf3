//! The ports on which the real programs speak Postgres' protocol with computes: here every session is refused, in
//! that protocol, with the reason.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The longest start-up packet that Postgres takes.
const LONGEST_PACKET: u32 = 10_000;
/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers for ever.
pub async fn refuse_all(listener: TcpListener, what: &'static str) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tracing::info!("refusing the Postgres session of {peer}");
                tokio::spawn(async move {
                    // Whatever goes wrong here, the client is gone, and a client is all there was.
                    let _ = timeout(PATIENCE, refuse(stream, what)).await;
                });
            }
            Err(error) => {
                tracing::warn!("can't accept a Postgres session: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn refuse(mut stream: TcpStream, what: &str) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let code = stream.read_u32().await?;
        if !(8..=LONGEST_PACKET).contains(&length) || code == CANCEL_REQUEST {
            return Ok(());
        }
        let mut rest = vec![0; length as usize - 8];
        stream.read_exact(&mut rest).await?;
        if code != SSL_REQUEST && code != GSS_REQUEST {
            break;
        }
        stream.write_all(b"N").await?;
    }
    stream.write_all(&error_response(what)).await?;
    stream.shutdown().await
}

/// FATAL, "feature not supported".
fn error_response(what: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    let message = format!("neon-sim is a simulation and {what}");
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "0A000"), (b'M', message.as_str())] {
        fields.push(kind);
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    let mut packet = vec![b'E'];
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&fields);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_is_refused_with_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(refuse_all(listener, "stores no pages"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        for (length, code) in [(8u32, SSL_REQUEST), (8, GSS_REQUEST)] {
            stream.write_u32(length).await.unwrap();
            stream.write_u32(code).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
        }
        stream.write_all(b"\0\0\0\x10\0\x03\0\0user\0me\0").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, error_response("stores no pages"));
        assert_eq!(answer[0], b'E');
        assert_eq!(u32::from_be_bytes(answer[1..5].try_into().unwrap()) as usize, answer.len() - 1);
    }
}
