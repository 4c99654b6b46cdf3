//! Messages: lengths, kinds, and the few that this simulation says.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The longest start-up packet that Postgres takes.
const LONGEST_STARTUP: u32 = 10_000;
/// More than any query that a simulation can answer is long.
const LONGEST_MESSAGE: u32 = 1 << 20;

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Message {
    /// Text up to a zero byte, from this place on; and the place behind it.
    pub fn text(&self, from: usize) -> Result<(String, usize)> {
        let rest = self.body.get(from..).ok_or_else(cut_off)?;
        let length = rest.iter().position(|byte| *byte == 0).ok_or_else(cut_off)?;
        Ok((String::from_utf8_lossy(&rest[..length]).into_owned(), from + length + 1))
    }
}

fn cut_off() -> Error {
    Error::new(ErrorKind::InvalidData, "a message is cut off")
}

/// A session's stream. Messages gather until [`Self::flush`].
pub struct Wire<S> {
    stream: S,
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, out: Vec::new() }
    }

    /// The parameters of a session that begins; `None` for a client that wanted something else.
    pub async fn startup(&mut self) -> Result<Option<BTreeMap<String, String>>> {
        loop {
            let length = self.stream.read_u32().await?;
            let code = self.stream.read_u32().await?;
            if !(8..=LONGEST_STARTUP).contains(&length) || code == CANCEL_REQUEST {
                return Ok(None);
            }
            let mut body = vec![0; length as usize - 8];
            self.stream.read_exact(&mut body).await?;
            if code == SSL_REQUEST || code == GSS_REQUEST {
                self.stream.write_all(b"N").await?;
                continue;
            }
            let texts: Vec<String> =
                body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            let pairs = texts.chunks_exact(2).filter(|pair| !pair[0].is_empty());
            return Ok(Some(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect()));
        }
    }

    /// The next message; `None` when the client has gone.
    pub async fn read(&mut self) -> Result<Option<Message>> {
        let kind = match self.stream.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = self.stream.read_u32().await?;
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err(Error::new(ErrorKind::InvalidData, format!("a message of {length} bytes")));
        }
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).await?;
        Ok(Some(Message { kind, body }))
    }

    /// Adds a message.
    pub fn put(&mut self, kind: u8, body: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
        self.out.extend_from_slice(body);
    }

    /// `AuthenticationOk` and its kin: a code, and what goes with it.
    pub fn authentication(&mut self, code: u32, more: &[u8]) {
        self.put(b'R', &[&code.to_be_bytes()[..], more].concat());
    }

    /// Asks for a password in plain text, which is where storage programs take tokens. `None`: the client has gone.
    pub async fn ask_password(&mut self) -> Result<Option<String>> {
        self.authentication(3, &[]);
        self.flush().await?;
        match self.read().await? {
            Some(message) if message.kind == b'p' => Ok(Some(message.text(0)?.0)),
            Some(_) => Err(Error::new(ErrorKind::InvalidData, "a password was expected")),
            None => Ok(None),
        }
    }

    pub fn parameter(&mut self, name: &str, value: &str) {
        self.put(b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }

    /// `I`: idle, `T`: in a transaction, `E`: in one that has failed.
    pub fn ready(&mut self, status: u8) {
        self.put(b'Z', &[status]);
    }

    pub fn error(&mut self, problem: &Problem) {
        self.report(b'E', problem);
    }

    pub fn notice(&mut self, text: &str) {
        self.report(b'N', &Problem { severity: "NOTICE", code: "00000", text: text.to_owned() });
    }

    fn report(&mut self, kind: u8, problem: &Problem) {
        let mut fields = Vec::new();
        let all = [(b'S', problem.severity), (b'V', problem.severity), (b'C', problem.code), (b'M', &*problem.text)];
        for (field, text) in all {
            fields.push(field);
            fields.extend_from_slice(text.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        self.put(kind, &fields);
    }

    /// Columns of text.
    pub fn columns(&mut self, names: &[String]) {
        const TEXT_OID: u32 = 25;
        let mut body = u16::try_from(names.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        for name in names {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&[0; 7]);
            body.extend_from_slice(&TEXT_OID.to_be_bytes());
            body.extend_from_slice(&(-1_i16).to_be_bytes());
            body.extend_from_slice(&(-1_i32).to_be_bytes());
            body.extend_from_slice(&[0; 2]);
        }
        self.put(b'T', &body);
    }

    pub fn row(&mut self, values: &[String]) {
        let mut body = u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        for value in values {
            body.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend_from_slice(value.as_bytes());
        }
        self.put(b'D', &body);
    }

    pub fn complete(&mut self, tag: &str) {
        self.put(b'C', &[tag.as_bytes(), b"\0"].concat());
    }

    pub async fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }
}

/// What goes wrong in a session, as Postgres says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: &'static str,
    pub code: &'static str,
    pub text: String,
}

impl Problem {
    /// Ends the session.
    pub fn fatal(code: &'static str, text: impl Into<String>) -> Self {
        Self { severity: "FATAL", code, text: text.into() }
    }

    /// Ends the query.
    pub fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self { severity: "ERROR", code, text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_can_not_be_a_message_is_refused() {
        for bytes in [&b"Q\0\0\0\x03"[..], b"Q\xff\xff\xff\xff", b"Q\0\0\0\x09ab"] {
            let mut wire = Wire::new(std::io::Cursor::new(bytes.to_vec()));
            assert!(wire.read().await.is_err(), "{bytes:?}");
        }
        assert!(Message { kind: b'Q', body: b"no end".to_vec() }.text(0).is_err());
        assert_eq!(Message { kind: b'Q', body: b"a\0b\0".to_vec() }.text(2).unwrap(), ("b".to_owned(), 4));
        assert_eq!(Wire::new(std::io::Cursor::new(Vec::new())).read().await.unwrap(), None);
    }
}
