//! Programs for Linux that an image may be made of: what their headers say, and what they need to run.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The header and the segments' table are at the beginning of a file, and so is the loader's name.
const HEAD: u64 = 64 << 10;
/// Segments that are read into memory, and the one that names the loader.
const LOADED: u32 = 1;
const LOADER: u32 = 3;
/// What the C library looks up hosts with, if it is older than 2.34: it opens them when it is asked first.
const LOOKUP: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/// A program for Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// Its file.
    pub(super) path: PathBuf,
    /// The processor it is for, in Rust's word.
    pub(super) architecture: &'static str,
    /// What loads it and its libraries; None: it is static and needs none.
    pub(super) loader: Option<String>,
}

impl Program {
    /// None if the file isn't there or isn't a program for Linux on a processor that Neon has images for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let mut head = Vec::new();
        File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        let elf = Elf::of(&head)?;
        Some(Self { path: path.to_owned(), architecture: elf.architecture, loader: elf.loader })
    }

    /// The same text as long as nobody writes the file; it costs no reading.
    pub(super) fn identity(&self) -> io::Result<String> {
        let of = fs::metadata(&self.path)?;
        let time = format!("{}.{:09}", of.mtime(), of.mtime_nsec());
        Ok(format!("{:x}-{:x}-{}-{time}", of.dev(), of.ino(), of.size()))
    }

    /// What runs, without what is for debuggers only.
    pub(super) fn content(&self) -> io::Result<Vec<u8>> {
        Ok(stripped(fs::read(&self.path)?))
    }

    /// The libraries that it needs, by the name under which they are looked for.
    pub(super) fn libraries(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let Some(loader) = &self.loader else { return Ok(Vec::new()) };
        let said = Command::new(loader).arg("--list").arg(&self.path).output()?;
        if !said.status.success() {
            let trouble = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            return Err(io::Error::other(format!("{loader} --list: {trouble}")));
        }
        let mut all = listed(&String::from_utf8_lossy(&said.stdout));
        let folder = all.iter().find(|(name, _)| name.starts_with("libc.")).and_then(|(_, path)| path.parent());
        if let Some(folder) = folder.map(Path::to_owned) {
            let more = LOOKUP.map(|name| (name.to_owned(), folder.join(name)));
            all.extend(more.into_iter().filter(|(_, path)| path.is_file()));
        }
        Ok(all)
    }
}

/// Lines such as `libc.so.6 => /lib/libc.so.6 (0x7f…)`; those without an arrow are the kernel's and the loader itself.
fn listed(text: &str) -> Vec<(String, PathBuf)> {
    let library = |line: &str| {
        let (name, behind) = line.trim().split_once(" => ")?;
        let path = behind.rsplit_once(" (").map_or(behind, |(path, _)| path);
        path.starts_with('/').then(|| (name.to_owned(), PathBuf::from(path)))
    };
    text.lines().filter_map(library).filter(|(name, _)| !name.starts_with("ld-")).collect()
}

/// What a header says.
struct Elf {
    architecture: &'static str,
    loader: Option<String>,
    /// Where the last segment that is loaded ends.
    end: u64,
}

impl Elf {
    /// None if it is of another kind, for another processor, or cut off.
    fn of(head: &[u8]) -> Option<Self> {
        // 64 bits, little endian.
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let architecture = match u16_at(head, 18)? {
            62 => "x86_64",
            183 => "aarch64",
            _ => return None,
        };
        let (table, size) = (usize::try_from(u64_at(head, 32)?).ok()?, usize::from(u16_at(head, 54)?));
        let (mut loader, mut end) = (None, 0);
        for n in 0..usize::from(u16_at(head, 56)?) {
            let entry = head.get(table.checked_add(n.checked_mul(size)?)?..)?;
            let (offset, length) = (u64_at(entry, 8)?, u64_at(entry, 32)?);
            match u32_at(entry, 0)? {
                LOADED => end = offset.checked_add(length)?.max(end),
                LOADER => {
                    let from = usize::try_from(offset).ok()?;
                    let text = head.get(from..from.checked_add(usize::try_from(length).ok()?)?)?;
                    loader = Some(std::str::from_utf8(text).ok()?.trim_end_matches('\0').to_owned());
                }
                _ => {}
            }
        }
        (end > 0).then_some(Self { architecture, loader, end })
    }
}

/// Cut off behind what is loaded: sections are for linkers and debuggers, and in a program that was built for
/// development most of it.
fn stripped(mut program: Vec<u8>) -> Vec<u8> {
    let end = Elf::of(&program).and_then(|elf| usize::try_from(elf.end).ok());
    if let Some(end) = end.filter(|end| (64..program.len()).contains(end)) {
        program.truncate(end);
        // The table of sections, which was behind.
        program[40..48].fill(0);
        program[60..64].fill(0);
    }
    program
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with segments: kind, offset, length. Behind the last one are 100 bytes of sections.
    fn elf(machine: u16, segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let end = segments.iter().map(|(_, offset, length)| offset + length).max().unwrap_or_default();
        let mut all = vec![0; usize::try_from(end).unwrap() + 100];
        all[..6].copy_from_slice(b"\x7fELF\x02\x01");
        all[18..20].copy_from_slice(&machine.to_le_bytes());
        all[32..40].copy_from_slice(&64_u64.to_le_bytes());
        all[40..48].copy_from_slice(&(end + 10).to_le_bytes());
        all[54..56].copy_from_slice(&56_u16.to_le_bytes());
        all[56..58].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
        all[60..62].copy_from_slice(&7_u16.to_le_bytes());
        for (n, (kind, offset, length)) in segments.iter().enumerate() {
            let entry = &mut all[64 + n * 56..120 + n * 56];
            entry[..4].copy_from_slice(&kind.to_le_bytes());
            entry[8..16].copy_from_slice(&offset.to_le_bytes());
            entry[32..40].copy_from_slice(&length.to_le_bytes());
        }
        all
    }

    #[test]
    fn a_header_tells_the_processor_and_whether_a_loader_is_needed() {
        let of = |bytes: &[u8]| Elf::of(bytes).map(|elf| (elf.architecture, elf.loader));
        assert_eq!(of(&elf(62, &[(1, 0, 400), (1, 400, 50)])), Some(("x86_64", None)));
        let mut linked = elf(183, &[(3, 300, 8), (1, 0, 400)]);
        linked[300..308].copy_from_slice(b"/lib/ld\0");
        assert_eq!(of(&linked), Some(("aarch64", Some("/lib/ld".to_owned()))));
        assert_eq!(of(&elf(8, &[(1, 0, 400)])), None, "another processor's");
        assert_eq!(of(&elf(62, &[(1, 0, 400), (1, 400, 50)])[..100]), None, "cut off");
        assert_eq!(of(b"#!/bin/sh"), None);
    }

    #[test]
    fn what_is_behind_the_segments_is_cut_off() {
        let whole = elf(62, &[(1, 0, 400), (1, 400, 50)]);
        let cut = stripped(whole.clone());
        assert_eq!(cut.len(), 450);
        assert_eq!((u64_at(&cut, 40), u16_at(&cut, 60)), (Some(0), Some(0)));
        assert_eq!(stripped(cut.clone()), cut);
        assert_eq!(stripped(b"no program".to_vec()), b"no program");
    }

    #[test]
    fn libraries_are_listed_without_the_kernel_s_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007f99608f5000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f995e53e000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f99608f7000)\n\tlibx.so => not found\n";
        assert_eq!(listed(text), [("libc.so.6".to_owned(), PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"))]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_program_and_its_libraries_are_found() {
        let own = Program::of(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(own.architecture, std::env::consts::ARCH);
        assert_eq!(own.identity().unwrap(), own.identity().unwrap());
        let libraries = own.libraries().unwrap();
        assert!(own.loader.is_none() || libraries.iter().any(|(name, _)| name.starts_with("libc.")), "{libraries:?}");
        assert!(libraries.iter().all(|(_, path)| path.is_file()), "{libraries:?}");
    }
}
