//! A tar archive as it comes over the wire: which files it has, and whether it is whole. Contents are not kept.

/// Archives are made of blocks of this size.
const BLOCK: usize = 512;
/// The one content that is looked at is shorter than this.
const KEPT: usize = 16;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub size: u64,
    /// How it begins.
    pub begin: Vec<u8>,
}

/// Reads an archive in pieces of any size.
#[derive(Debug, Default)]
pub struct Archive {
    /// A block that isn't whole yet.
    block: Vec<u8>,
    /// Blocks of the file that is being read.
    left: u64,
    entries: Vec<Entry>,
    /// A block of zeros was seen: what follows is padding.
    ended: bool,
}

impl Archive {
    /// The next piece.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), String> {
        while !piece.is_empty() && !self.ended {
            let (taken, rest) = piece.split_at(piece.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(taken);
            piece = rest;
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.take(&block)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, block: &[u8]) -> Result<(), String> {
        if self.left > 0 {
            self.left -= 1;
            if let Some(entry) = self.entries.last_mut() {
                let wanted = usize::try_from(entry.size).unwrap_or(KEPT).min(KEPT) - entry.begin.len();
                entry.begin.extend_from_slice(&block[..wanted.min(BLOCK)]);
            }
            return Ok(());
        }
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(());
        }
        let entry = header(block)?;
        self.left = entry.size.div_ceil(BLOCK as u64);
        self.entries.push(entry);
        Ok(())
    }

    /// All files, if the archive has come to its end.
    pub fn end(self) -> Result<Vec<Entry>, String> {
        if self.ended { Ok(self.entries) } else { Err("unexpected end of file".into()) }
    }
}

/// Of a file's first block: the sum of its bytes, with blanks for itself, is written in it.
fn header(block: &[u8]) -> Result<Entry, String> {
    let sum: u64 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    if octal(&block[148..156]) != Some(sum) {
        return Err("archive header checksum mismatch".into());
    }
    let size = octal(&block[124..136]).ok_or("numeric field was not a number when getting size")?;
    // 0 and NUL are files; the others have no content, but for what belongs to the next name.
    let size = if matches!(block[156], b'0' | 0 | b'x' | b'g' | b'L' | b'K') { size } else { 0 };
    let name = block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    Ok(Entry { name: name.strip_prefix("./").unwrap_or(&name).to_owned(), size, begin: Vec::new() })
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in files {
            let mut block = vec![0; BLOCK];
            block[..name.len()].copy_from_slice(name.as_bytes());
            block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            block[156] = b'0';
            block[148..156].fill(b' ');
            let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            out.extend(block);
            out.extend(content.as_bytes());
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Entry>, String> {
        let mut archive = Archive::default();
        bytes.chunks(piece).try_for_each(|piece| archive.feed(piece))?;
        archive.end()
    }

    #[test]
    fn files_are_found_in_pieces_of_any_size() {
        let long = "x".repeat(1025);
        let bytes = archive(&[("PG_VERSION", "17\n"), ("./base/1", &long), ("empty", "")]);
        for piece in [1, 511, 512, 513, bytes.len()] {
            let entries = read(&bytes, piece).unwrap();
            let names: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
            assert_eq!(names, [("PG_VERSION", 3), ("base/1", 1025), ("empty", 0)]);
            assert_eq!(entries[0].begin, b"17\n");
            assert_eq!(entries[1].begin.len(), KEPT);
        }
    }

    #[test]
    fn what_is_no_archive_or_cut_off_is_told() {
        assert_eq!(read(b"", 1), Err("unexpected end of file".into()));
        assert_eq!(read(&[b'x'; 512], 512), Err("archive header checksum mismatch".into()));
        let bytes = archive(&[("a", "b")]);
        assert_eq!(read(&bytes[..512], 512), Err("unexpected end of file".into()));
        let mut bad = archive(&[("a", "b")]);
        bad[0] = b'c';
        assert_eq!(read(&bad, 512), Err("archive header checksum mismatch".into()));
    }
}
