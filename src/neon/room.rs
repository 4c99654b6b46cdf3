//! Room on the engine's disk. The control plane's volume is on it, as those of the pageservers are.

use std::path::Path;

/// A pageserver evicts layers when more than this is in use, unless it is configured otherwise.
const LIMIT: u64 = 80;

/// What is to be said of the disk that a folder is on; None: there is room, or it can't be told.
#[must_use]
pub fn warning(folder: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    judge(disk.f_blocks, disk.f_bavail)
}

fn judge(blocks: u64, free: u64) -> Option<String> {
    let used = 100 - free.min(blocks) * 100 / blocks.max(1);
    (blocks > 0 && used > LIMIT).then(|| {
        format!(
            "the engine's disk is {used} % full: above {LIMIT} % pageservers evict layers, and fetch them again when they are \
             read (disk_usage_based_eviction in pageserver_config)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_more_than_80_percent_full_is_warned_of() {
        for (free, warned) in [(100, false), (20, false), (19, true), (0, true), (200, false)] {
            assert_eq!(judge(100, free).is_some(), warned, "{free}");
        }
        assert_eq!(judge(0, 0), None);
        assert!(judge(1000, 95).unwrap().starts_with("the engine's disk is 91 % full"));
        assert_eq!(warning(Path::new("/no/such/folder")), None);
    }
}
