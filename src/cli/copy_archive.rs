//! The archives of `convoke cp`: packing what is here, unpacking what comes from a container.
//!
//! An archive's first name is the thing that is copied; here and there it may be called otherwise. What a container
//! sends isn't trusted: nothing of it is written outside of where it is unpacked, by `..` or by links.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc;

use crate::engine::docker::Pieces;

/// Pieces of an archive are so large.
const PIECE: usize = 64 * 1024;

/// Packs `source` under the name `as_name`; without one, only what is in it. Owners are left to root unless kept. Sockets and the
/// like are left out.
pub(super) fn pack(source: &Path, as_name: Option<&str>, keep_owners: bool) -> Pieces {
    let (sender, receiver) = mpsc::channel(16);
    let (source, name) = (source.to_owned(), as_name.map(ToOwned::to_owned));
    tokio::task::spawn_blocking(move || {
        let sink = BufWriter::with_capacity(PIECE, Sink(sender.clone()));
        let mut packing = Packing { tar: Builder::new(sink), keep_owners };
        let packed = packing.add(&source, Path::new(name.as_deref().unwrap_or_default()));
        let ended = packed.and_then(|()| packing.tar.into_inner()).and_then(|mut sink| sink.flush());
        if let Err(error) = ended {
            // Whoever doesn't read any more knows why.
            _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

struct Sink(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Packing<W: Write> {
    tar: Builder<W>,
    keep_owners: bool,
}

impl<W: Write> Packing<W> {
    fn add(&mut self, path: &Path, name: &Path) -> io::Result<()> {
        let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let metadata = fs::symlink_metadata(path).map_err(with_path)?;
        let mut header = self.header(&metadata);
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(with_path)?;
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            return self.tar.append_link(&mut header, name, target).map_err(with_path);
        }
        if metadata.is_file() {
            let file = File::open(path).map_err(with_path)?;
            let whole = Whole { file: file.take(metadata.len()), left: metadata.len() };
            return self.tar.append_data(&mut header, name, whole).map_err(with_path);
        }
        if !metadata.is_dir() {
            return Ok(());
        }
        if !name.as_os_str().is_empty() {
            self.tar.append_data(&mut header, name, io::empty()).map_err(with_path)?;
        }
        let mut inside = fs::read_dir(path).map_err(with_path)?.collect::<io::Result<Vec<_>>>().map_err(with_path)?;
        inside.sort_by_key(fs::DirEntry::file_name);
        inside.into_iter().try_for_each(|entry| self.add(&entry.path(), &name.join(entry.file_name())))
    }

    fn header(&self, metadata: &Metadata) -> Header {
        let mut header = Header::new_gnu();
        header.set_metadata(metadata);
        if !self.keep_owners {
            header.set_uid(0);
            header.set_gid(0);
        }
        header
    }
}

/// A file of which as much is read as the archive's header says: one that shrinks meanwhile is an error.
struct Whole {
    file: io::Take<File>,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        if length == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}

/// Reads pieces that come from elsewhere; for threads that may wait.
pub(super) struct Reading<E> {
    pieces: mpsc::Receiver<Result<Bytes, E>>,
    rest: Bytes,
    /// What ended them.
    pub(super) failed: Option<E>,
}

impl<E> Reading<E> {
    pub(super) const fn new(pieces: mpsc::Receiver<Result<Bytes, E>>) -> Self {
        Self { pieces, rest: Bytes::new(), failed: None }
    }
}

impl<E> Read for Reading<E> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("the archive breaks off"));
                }
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

/// Unpacks an archive so that the thing which it is of is at `root`, whose parent is there.
pub(super) fn unpack(from: &mut impl Read, root: &Path, keep_owners: bool) -> io::Result<()> {
    let mut archive = Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(keep_owners);
    let mut first = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let below = below(&entry.path()?, &mut first)?;
        let target = place(root, &below)?;
        let of = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", target.display()));
        if entry.header().entry_type() == EntryType::Link {
            let source = entry.link_name()?.ok_or_else(|| invalid("a link that leads nowhere"))?;
            let source = place(root, &self::below(&source, &mut first)?)?;
            if fs::symlink_metadata(&target).is_ok() {
                fs::remove_file(&target).map_err(of)?;
            }
            fs::hard_link(source, &target).map_err(of)?;
        } else if entry.header().entry_type().is_dir() && fs::symlink_metadata(&target).is_ok_and(|at| at.is_symlink())
        {
            return Err(invalid(&format!("a folder where the link {} is", target.display())));
        } else {
            entry.unpack(&target).map_err(of)?;
        }
    }
    Ok(())
}

/// A path of the archive without its first name, which all of them share.
fn below(path: &Path, first: &mut Option<PathBuf>) -> io::Result<PathBuf> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(invalid(&format!("the path {}", path.display())));
            }
        }
    }
    // That of the root directory is called `/`.
    let Some((name, rest)) = parts.split_first() else { return Ok(PathBuf::new()) };
    let name = PathBuf::from(name);
    if *first.get_or_insert_with(|| name.clone()) != name {
        return Err(invalid(&format!("the path {}, beside {}", path.display(), name.display())));
    }
    Ok(rest.iter().collect())
}

/// Where it goes: never through a link.
fn place(root: &Path, below: &Path) -> io::Result<PathBuf> {
    let mut at = root.to_owned();
    for part in below.components() {
        if fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
            return Err(invalid(&format!("a path through the link {}", at.display())));
        }
        at.push(part);
    }
    Ok(at)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the archive has {what}: nothing more of it is unpacked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(source: &Path, name: Option<&str>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let mut pieces = pack(source, name, false);
            let mut all = Vec::new();
            while let Some(piece) = pieces.recv().await {
                all.extend_from_slice(&piece.unwrap());
            }
            all
        })
    }

    #[test]
    fn a_tree_comes_back_under_another_name() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("deep/er")).unwrap();
        fs::write(source.join("deep/er/file"), "text").unwrap();
        fs::set_permissions(source.join("deep/er/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("deep/er/file", source.join("link")).unwrap();
        let target = folder.path().join("target");
        unpack(&mut packed(&source, Some("any")).as_slice(), &target, false).unwrap();
        assert_eq!(fs::read_to_string(target.join("link")).unwrap(), "text");
        assert_eq!(fs::metadata(target.join("deep/er/file")).unwrap().permissions().mode() & 0o777, 0o640);
        let inside = packed(&source, None);
        let names: Vec<_> = Archive::new(inside.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["deep", "deep/er", "deep/er/file", "link"]);
    }

    fn hostile(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (path, kind, link) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(0);
            // As the field has it: the builder would refuse `..`.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn nothing_is_written_outside() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let cases: [&[(&str, EntryType, &str)]; 4] = [
            &[("a/../../b", Regular, "")],
            &[("a", Directory, ""), ("a/out", Symlink, "/tmp"), ("a/out/file", Regular, "")],
            &[("a", Directory, ""), ("a/hard", Link, "../secret")],
            &[("a", Directory, ""), ("b", Regular, "")],
        ];
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("secret"), "s").unwrap();
            let root = folder.path().join("root");
            let error = unpack(&mut hostile(case).as_slice(), &root, false).unwrap_err();
            assert!(error.to_string().contains("nothing more of it is unpacked"), "{error}");
            assert!(!folder.path().join("b").exists() && !Path::new("/tmp/file").exists());
        }
    }
}
