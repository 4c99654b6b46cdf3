//! What is in the archives of a base backup (`pg_basebackup --format=tar`): looked at before anything of them is sent,
//! since a pageserver says little about what it doesn't take.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::Archive;

use super::ids::Lsn;

/// Of Postgres, and fixed in Neon.
const SEGMENT: u64 = 16 << 20;
/// Small files of a backup are shorter.
const SMALL: u64 = 1 << 20;
/// How compressed files begin: gzip, zstd, lz4, xz, bzip2.
const COMPRESSED: [&[u8]; 5] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xfd7zXZ", b"BZh"];

/// Why a file is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BadBackup {
    /// It can't be read.
    #[error("can't read {}: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// It can be read, and is something else.
    #[error("{} {what}", file.display())]
    Wrong {
        /// Which.
        file: PathBuf,
        /// What it is.
        what: String,
    },
}

/// A base backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Of which major version it is.
    pub pg_version: u32,
    /// Where it begins, if it says so.
    pub start: Option<Lsn>,
}

/// Looks into the archive of a base backup.
///
/// # Errors
/// When it isn't one, or isn't whole.
pub fn base(file: &Path) -> Result<Base, BadBackup> {
    let (mut version, mut start, mut has_control) = (None, None, false);
    each(file, |name, content| {
        match name {
            "PG_VERSION" => version = text(content)?.trim().parse::<u32>().ok(),
            "backup_label" => start = start_of(&text(content)?),
            "global/pg_control" => has_control = true,
            _ => {}
        }
        Ok(())
    })?;
    match version {
        Some(pg_version) if has_control => Ok(Base { pg_version, start }),
        _ => Err(wrong(
            file,
            "is no base backup: it has no PG_VERSION or no global/pg_control (pg_basebackup --format=tar makes base.tar)",
        )),
    }
}

/// Looks into the archive of the WAL that belongs to it: the segment in which the backup begins has to be there.
///
/// # Errors
/// When it isn't.
pub fn wal(file: &Path, start: Lsn) -> Result<(), BadBackup> {
    let mut segments = Vec::new();
    each(file, |name, _| {
        let name = name.rsplit('/').next().unwrap_or_default();
        if name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            segments.push(name.to_owned());
        }
        Ok(())
    })?;
    let number = start.0 / SEGMENT;
    // Behind the number of Postgres' own timeline.
    let wanted = format!("{:08X}{:08X}", number >> 8, number & 0xff);
    if segments.iter().any(|name| name.ends_with(&wanted)) {
        return Ok(());
    }
    let has = match segments.as_slice() {
        [] => "no WAL segment at all".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} to {last}"),
    };
    Err(wrong(file, &format!("hasn't the WAL of {start}, segment …{wanted}: it has {has}")))
}

/// Where the WAL of a backup ends, by the file `backup_manifest` that `pg_basebackup` writes beside its archives.
#[must_use]
pub fn end_of_manifest(base: &Path) -> Option<Lsn> {
    let text = std::fs::read(base.with_file_name("backup_manifest")).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let ranges = manifest["WAL-Ranges"].as_array()?.iter();
    ranges.filter_map(|range| range["End-LSN"].as_str()?.parse().ok()).max()
}

/// `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)`
fn start_of(label: &str) -> Option<Lsn> {
    let line = label.lines().find_map(|line| line.strip_prefix("START WAL LOCATION:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn wrong(file: &Path, what: &str) -> BadBackup {
    BadBackup::Wrong { file: file.to_owned(), what: what.to_owned() }
}

fn text(content: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    content.take(SMALL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Goes through an archive from header to header.
fn each(file: &Path, mut look: impl FnMut(&str, &mut dyn Read) -> io::Result<()>) -> Result<(), BadBackup> {
    let unreadable = |why: io::Error| BadBackup::Unreadable { file: file.to_owned(), why };
    let mut opened = File::open(file).map_err(unreadable)?;
    let about = opened.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(wrong(file, "is not a file"));
    }
    let mut begin = [0; 8];
    let read = opened.read(&mut begin).map_err(unreadable)?;
    if COMPRESSED.iter().any(|magic| begin[..read].starts_with(magic)) {
        return Err(wrong(file, "is compressed: decompress it first"));
    }
    let mut archive = Archive::new(File::open(file).map_err(unreadable)?);
    let broken = |why: io::Error| wrong(file, &format!("is no tar archive, or damaged: {why}"));
    let mut count = 0;
    for entry in archive.entries_with_seek().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        if entry.raw_file_position() + entry.size() > about.len() {
            return Err(wrong(file, &format!("is cut off within {name}")));
        }
        look(name.strip_prefix("./").unwrap_or(&name), &mut entry).map_err(broken)?;
    }
    if count == 0 { Err(wrong(file, "is empty")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(folder: &Path, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join(name);
        let mut out = tar::Builder::new(File::create(&path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            out.append_data(&mut header, name, *content).unwrap();
        }
        out.finish().unwrap();
        path
    }

    const LABEL: &[u8] =
        b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n";

    #[test]
    fn a_backup_says_of_which_version_it_is_and_where_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let files: &[(&str, &[u8])] =
            &[("backup_label", LABEL), ("./PG_VERSION", b"16\n"), ("global/pg_control", &[0; 8192])];
        let whole = archive(folder.path(), "base.tar", files);
        let start = Some(Lsn(0x200_0028));
        assert_eq!(base(&whole).unwrap(), Base { pg_version: 16, start });
        assert_eq!(base(&archive(folder.path(), "plain.tar", &files[1..])).unwrap().start, None);
        std::fs::write(
            folder.path().join("backup_manifest"),
            r#"{"WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100"}]}"#,
        )
        .unwrap();
        assert_eq!(end_of_manifest(&whole), Some(Lsn(0x200_0100)));
    }

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
            folder.path().join(name)
        };
        let whole = archive(folder.path(), "x", &[("PG_VERSION", b"16\n"), ("global/pg_control", &[1; 8192])]);
        let cut = std::fs::read(&whole).unwrap()[..2048].to_vec();
        let rows = [
            (folder.path().join("none"), "can't read"),
            (folder.path().to_owned(), "is not a file"),
            (put("gz", b"\x1f\x8b\x08\x00rest"), "is compressed"),
            (put("text", &[b'x'; 2000]), "is no tar archive, or damaged"),
            (put("empty", b""), "is empty"),
            (put("cut", &cut), "is cut off within global/pg_control"),
            (archive(folder.path(), "other", &[("a", b"b")]), "is no base backup"),
        ];
        for (file, part) in rows {
            let why = base(&file).unwrap_err().to_string();
            assert!(why.contains(part) && why.contains(&*file.to_string_lossy()), "{part}: {why}");
        }
        assert_eq!(end_of_manifest(&whole), None);
    }

    #[test]
    fn the_wal_has_to_have_the_segment_of_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = archive(
            folder.path(),
            "pg_wal.tar",
            &[("0000000100000001000000FF", b"x"), ("archive_status/0000000100000001000000FF.done", b"")],
        );
        wal(&file, "1/FF000028".parse().unwrap()).unwrap();
        let why = wal(&file, "0/2000028".parse().unwrap()).unwrap_err().to_string();
        assert!(
            why.ends_with("hasn't the WAL of 0/2000028, segment …0000000000000002: it has 0000000100000001000000FF"),
            "{why}"
        );
        let none = archive(folder.path(), "none.tar", &[("x", b"")]);
        assert!(wal(&none, Lsn(1)).unwrap_err().to_string().ends_with("it has no WAL segment at all"));
    }
}
