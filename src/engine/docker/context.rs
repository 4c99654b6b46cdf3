//! A build context as a tar stream: written on a thread of its own, so that a large one needs no memory.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ignore::Ignore;
use crate::cluster::Build;

/// Size of a piece that is sent.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be sent.
const WAITING: usize = 8;
/// Where a Dockerfile goes which isn't a file of the context.
const ADDED_DOCKERFILE: &str = ".convoke.dockerfile";

/// A build context ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    /// The Dockerfile's text.
    pub(super) dockerfile: String,
    /// Its path in the archive.
    pub(super) dockerfile_path: String,
    /// It isn't a file of the context and must be added.
    added: bool,
}

impl Context {
    /// Reads what decides on the rest: the Dockerfile and the ignore file.
    ///
    /// # Errors
    /// When the folder or the Dockerfile can't be read.
    pub(super) fn open(build: &Build) -> Result<Self, String> {
        let root = build.context.clone();
        if !root.is_dir() {
            return Err(format!("the build context {} is not a directory", root.display()));
        }
        let (dockerfile, dockerfile_path, added) = match &build.dockerfile_inline {
            Some(text) => (text.clone(), ADDED_DOCKERFILE.to_owned(), true),
            None => read_dockerfile(&root, &build.dockerfile)?,
        };
        let own = root.join(format!("{}.dockerignore", build.dockerfile));
        let rules = fs::read_to_string(own).or_else(|_| fs::read_to_string(root.join(".dockerignore")));
        let ignore = rules.map(|text| Ignore::parse(&text)).unwrap_or_default();
        Ok(Self { root, ignore, dockerfile, dockerfile_path, added })
    }

    /// The archive, piece by piece.
    pub(super) fn stream(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (pieces, receiver) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let failed = pieces.clone();
            if let Err(error) = self.write(Pieces { pieces, gathered: Vec::with_capacity(PIECE) }) {
                // Nobody listens if the engine ended the build early; then this is no news either.
                let _ = failed.blocking_send(Err(error));
            }
        });
        receiver
    }

    fn write(&self, out: impl Write) -> io::Result<()> {
        let mut tar = Builder::new(out);
        self.write_directory(&mut tar, "")?;
        if self.added {
            let mut header = header(EntryType::Regular, 0o644);
            header.set_size(self.dockerfile.len() as u64);
            tar.append_data(&mut header, &self.dockerfile_path, self.dockerfile.as_bytes())?;
        }
        tar.into_inner()?.flush()
    }

    fn write_directory(&self, tar: &mut Builder<impl Write>, below: &str) -> io::Result<()> {
        let mut entries: Vec<fs::DirEntry> = fs::read_dir(self.root.join(below))?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Some(name) = entry.file_name().to_str().map(ToOwned::to_owned) else {
                return Err(io::Error::other(format!("{}: the name is not valid UTF-8", entry.path().display())));
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            let sent = !self.ignore.excludes(&path) || path == self.dockerfile_path || path == ".dockerignore";
            if sent {
                write_entry(tar, &entry, &path).map_err(|error| named(&entry.path(), &error))?;
            }
            if kind.is_dir() && (sent || !self.ignore.prunes() || self.holds_dockerfile(&path)) {
                self.write_directory(tar, &path)?;
            }
        }
        Ok(())
    }

    /// An ignored directory is still read for the sake of the Dockerfile in it.
    fn holds_dockerfile(&self, path: &str) -> bool {
        self.dockerfile_path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The Dockerfile's text, its path in the archive, and whether it has to be added to it.
fn read_dockerfile(root: &Path, given: &str) -> Result<(String, String, bool), String> {
    let path = root.join(given);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let canonical = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    let inside = canonical(&path)?.strip_prefix(canonical(root)?).ok().and_then(Path::to_str).map(ToOwned::to_owned);
    match inside {
        Some(relative) if root.join(&relative).is_file() => Ok((text, relative, false)),
        _ => Ok((text, ADDED_DOCKERFILE.to_owned(), true)),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// As Docker's client does: owned by root, with the file's own mode and time. Sockets and devices are left out.
fn write_entry(tar: &mut Builder<impl Write>, entry: &fs::DirEntry, path: &str) -> io::Result<()> {
    let meta = entry.metadata()?;
    let kind = meta.file_type();
    let mut header = header(EntryType::Regular, mode(&meta));
    let modified = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    header.set_mtime(modified.map_or(0, |time| time.as_secs()));
    if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        tar.append_link(&mut header, path, fs::read_link(entry.path())?)
    } else if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, format!("{path}/"), io::empty())
    } else if kind.is_file() {
        header.set_size(meta.len());
        // A file that grows meanwhile must not run over into the next entry, nor one that shrinks leave a gap.
        let content = fs::File::open(entry.path())?.chain(io::repeat(0)).take(meta.len());
        tar.append_data(&mut header, path, content)
    } else {
        Ok(())
    }
}

#[cfg(unix)]
fn mode(meta: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o7777
}

#[cfg(not(unix))]
fn mode(meta: &fs::Metadata) -> u32 {
    if meta.is_dir() { 0o755 } else { 0o644 }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// Gathers small writes into pieces and sends them.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(data);
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(root: &Path, dockerfile: &str, inline: Option<&str>) -> Build {
        Build {
            dockerfile: dockerfile.to_owned(),
            dockerfile_inline: inline.map(ToOwned::to_owned),
            ..Build::new(root)
        }
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn paths(context: &Context) -> Vec<String> {
        let mut bytes = Vec::new();
        context.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let path = |entry: tar::Entry<'_, &[u8]>| String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        archive.entries().unwrap().map(|entry| path(entry.unwrap())).collect()
    }

    #[test]
    fn ignored_files_stay_but_the_dockerfile_goes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "build/Dockerfile", "FROM scratch");
        write(root, "build/secret", "s");
        write(root, "target/big", "b");
        write(root, "target/keep", "k");
        write(root, "src/a", "a");
        write(root, ".dockerignore", "build\ntarget\n");
        let context = Context::open(&build(root, "build/Dockerfile", None)).unwrap();
        assert_eq!(paths(&context), [".dockerignore", "build/Dockerfile", "src/", "src/a"]);
        write(root, ".dockerignore", "build\ntarget\n!target/keep\n");
        let context = Context::open(&build(root, "build/Dockerfile", None)).unwrap();
        assert!(paths(&context).contains(&"target/keep".to_owned()));
    }

    #[test]
    fn a_dockerfile_from_elsewhere_is_added() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "Other", "FROM other");
        write(folder.path(), "context/x", "x");
        let root = folder.path().join("context");
        let outside = Context::open(&build(&root, "../Other", None)).unwrap();
        assert_eq!(paths(&outside), ["x", ADDED_DOCKERFILE]);
        let inline = Context::open(&build(&root, "Dockerfile", Some("FROM inline"))).unwrap();
        assert_eq!(
            (paths(&inline), inline.dockerfile.as_str()),
            (vec!["x".into(), ADDED_DOCKERFILE.into()], "FROM inline")
        );
        assert!(Context::open(&build(&root, "Dockerfile", None)).unwrap_err().contains("Dockerfile"));
        assert!(Context::open(&build(&root.join("x"), "Dockerfile", None)).unwrap_err().contains("not a directory"));
    }

    #[tokio::test]
    async fn a_large_context_comes_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "Dockerfile", "FROM scratch");
        write(folder.path(), "large", &"x".repeat(3 * PIECE));
        let context = Context::open(&build(folder.path(), "Dockerfile", None)).unwrap();
        let mut pieces = context.stream();
        let mut lengths = Vec::new();
        while let Some(piece) = pieces.recv().await {
            lengths.push(piece.unwrap().len());
        }
        assert!(lengths.len() > 2 && lengths.iter().sum::<usize>().is_multiple_of(512), "{lengths:?}");
    }
}
